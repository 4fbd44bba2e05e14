/** The conversation at the side: answers stream in, and the items that they are about stand among the words as cards. */

import { $, h, icon, number, say, words } from "./dom.js";
import { events } from "./api.js";
import { choose, pictureOf, shrunk } from "./pictures.js";
import { brief } from "./notices.js";
import { somebody } from "./who.js";

const STARTS = ["What would you suggest?", "Something quite different", "Something under 40"];
const NEXT = { list: ["Why the first?", "Cheaper", "More like the second"], explain: ["Show me more like it", "Something else"] };
const ENTRY = /^\d{1,3}\. \*\*/; // a line of a list: its item stands there as a card
const HALF = /^\d{1,3}(\.\s?\*{0,2}[^\n]*)?$/; // the same, not yet whole

const chat = { messages: [], picture: null, busy: null, model: "llmrec", act: {} };
let log, field, send, held, starts;

/** Draw the panel. */
export function begin(model, act) {
  Object.assign(chat, { model, act });
  log = h("div", { class: "log", role: "log", "aria-label": "Messages", "aria-live": "off", tabIndex: 0 });
  starts = h("div", { class: "starts" });
  held = h("div", { class: "held", hidden: true });
  field = h("textarea", { id: "message", rows: 1, maxLength: 4000, placeholder: "Ask for something …", enterKeyHint: "send" });
  send = h("button", { class: "icon main", "aria-label": "Send" }, icon("send"));
  const attach = h("button", { type: "button", class: "icon", "aria-label": "Send a picture" }, icon("picture"));
  attach.addEventListener("click", async () => {
    const file = await choose();
    if (file) hold(file);
  });
  const form = h("form", { class: "composer" }, held, h("label", { class: "hidden", htmlFor: "message" }, "Your message"), h("div", {}, attach, field, send));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (chat.busy) chat.busy.abort();
    else ask(field.value.trim());
  });
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!chat.busy) ask(field.value.trim());
  });
  field.addEventListener("input", grow);
  const shut = h("button", { type: "button", class: "icon shut", "aria-label": "Close the conversation", onclick: act.close }, icon("close"));
  $("ask").replaceChildren(h("header", {}, h("h2", {}, "Ask"), shut), log, starts, form);
  forget();
}

/** Begin anew: somebody else is there. */
export function forget() {
  chat.busy?.abort();
  chat.messages = [];
  log.replaceChildren(h("p", { class: "hello" }, "Ask in your own words: a wish, a price, a maker, or why something was suggested. A picture says it too."));
  offer(STARTS);
}

/** Hold a picture that goes with the next message. */
export async function hold(file) {
  try {
    chat.picture = await shrunk(file);
  } catch (error) {
    brief(error.message, "bad");
    return;
  }
  const drop = () => {
    chat.picture = null;
    held.hidden = true;
    field.focus();
  };
  held.replaceChildren(h("img", { src: chat.picture, alt: "The picture that goes with your message" }), h("button", { type: "button", class: "icon", "aria-label": "Leave the picture out", onclick: drop }, icon("close")));
  held.hidden = false;
  field.focus();
}

function offer(texts) {
  starts.replaceChildren(...texts.map((text) => h("button", { type: "button", class: "start", onclick: () => ask(text) }, text)));
}

function grow() {
  field.style.height = "auto";
  field.style.height = `${Math.min(140, field.scrollHeight)}px`;
}

async function ask(text) {
  if ((!text && !chat.picture) || chat.busy) return;
  const content = chat.picture
    ? [...(text ? [{ type: "text", text }] : []), { type: "image_url", image_url: { url: chat.picture } }]
    : text;
  log.querySelector(".hello")?.remove();
  log.append(h("div", { class: "mine" }, chat.picture ? h("img", { src: chat.picture, alt: "Your picture" }) : null, text ? words("p", text) : null));
  chat.messages.push({ role: "user", content });
  chat.picture = null;
  held.hidden = true;
  field.value = "";
  grow();
  await answer();
}

async function answer() {
  const place = h("article", { class: "theirs", "aria-busy": "true", "aria-label": "Answer" }, h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i")));
  log.append(place);
  log.scrollTop = log.scrollHeight;
  starts.replaceChildren();
  const mine = (chat.busy = new AbortController());
  send.replaceChildren(icon("stop"));
  send.setAttribute("aria-label", "Stop");
  const turn = { role: "assistant", content: "" };
  const drawing = new Drawing(place, chat.act);
  try {
    const body = { model: chat.model, messages: chat.messages, stream: true, ...somebody() };
    for await (const chunk of events("/v1/chat/completions", body, mine.signal)) {
      const delta = chunk.choices?.[0]?.delta ?? {};
      if (delta.llmrec) {
        turn.llmrec = delta.llmrec;
        drawing.items(delta.llmrec.items);
      }
      if (delta.content) {
        turn.content += delta.content;
        drawing.words(turn.content, false);
      }
    }
    drawing.words(turn.content, true);
    chat.messages.push(turn);
    say(place.textContent);
    const low = log.scrollHeight - log.scrollTop - log.clientHeight < 160;
    offer(turn.llmrec?.items.length ? (NEXT[turn.llmrec.kind] ?? NEXT.list) : STARTS);
    if (low) log.scrollTop = log.scrollHeight;
  } catch (error) {
    if (turn.content) {
      drawing.words(turn.content, true);
      chat.messages.push(turn); // what was said stands
    }
    if (error.name !== "AbortError") wrong(place, error, !turn.content);
    else if (!turn.content && chat.messages.at(-1)?.role === "user") chat.messages.pop();
  } finally {
    place.querySelector(".dots")?.remove();
    place.setAttribute("aria-busy", "false");
    if (!place.childElementCount) place.remove();
    chat.busy = null;
    send.replaceChildren(icon("send"));
    send.setAttribute("aria-label", "Send");
  }
}

/** Say what went wrong; where nothing was answered yet, it can be asked again. */
function wrong(place, error, again) {
  const wait = error.wait ? ` Try again in ${error.wait} s.` : "";
  place.append(h("p", { class: "bad", role: "alert" }, error.message + wait));
  if (!again) return;
  const retry = () => {
    place.remove();
    answer();
  };
  place.append(h("button", { type: "button", class: "quiet", onclick: retry }, "Try again"));
}

/** An answer as it is being drawn: words, with the cards where the list of items stands in them. */
class Drawing {
  constructor(place, act) {
    Object.assign(this, { place, act });
    this.before = h("div", { class: "said" });
    this.list = h("ol", { class: "rows", role: "list", hidden: true });
    this.after = h("div", { class: "said" });
  }

  items(items) {
    this.list.replaceChildren(...items.map((item) => h("li", {}, this.row(item))));
    this.list.hidden = !items.length;
  }

  row(item) {
    const told = [
      item.brand ? words("span", item.brand, { class: "brand" }) : null,
      words("b", item.title),
      item.price === null ? null : h("span", { class: "price" }, number(item.price)),
      item.reason ? words("small", item.reason) : null,
    ];
    return h(
      "button",
      { type: "button", class: "row", "data-item": item.item, onclick: () => this.act.look(item) },
      h("span", { class: "thumb" }, pictureOf(item)),
      h("span", { class: "row-words" }, told),
    );
  }

  words(text, whole) {
    const lines = text.split("\n");
    if (!whole && HALF.test(lines.at(-1))) lines.pop();
    const first = lines.findIndex((line) => ENTRY.test(line));
    const kept = (some) => some.filter((line) => line.trim() && !ENTRY.test(line));
    this.place.querySelector(".dots")?.remove();
    if (!this.before.isConnected) this.place.append(this.before, this.list, this.after);
    const listed = first >= 0 && !this.list.hidden;
    this.write(this.before, listed ? kept(lines.slice(0, first)) : lines.filter((line) => line.trim()));
    this.write(this.after, listed ? kept(lines.slice(first)) : []);
    const low = log.scrollHeight - log.scrollTop - log.clientHeight;
    if (low < 160) log.scrollTop = log.scrollHeight;
  }

  write(into, lines) {
    into.replaceChildren(...lines.map((line) => words("p", "", {}, null)));
    lines.forEach((line, place) => into.children[place].append(...strong(line)));
  }
}

/** Words between two stars are strong. */
function strong(line) {
  return line.split(/\*\*(.+?)\*\*/).map((part, place) => (place % 2 ? h("strong", {}, part) : part));
}
