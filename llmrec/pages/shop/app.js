/** The page as a whole: who looks, what they ask for, and what happens when they take something. */

import { $, count, h, icon, say, words } from "./dom.js";
import { call } from "./api.js";
import * as chat from "./chat.js";
import * as filters from "./filters.js";
import { brief, clear, failed, notice, served, theme } from "./notices.js";
import { picker } from "./people.js";
import { choose, listen, pictureOf, shrunk } from "./pictures.js";
import { open as look } from "./seen.js";
import { begin, leave, load, shelf, wish } from "./shelf.js";
import { become, did, remember, restore, who, without } from "./who.js";

const WIDE = matchMedia("(min-width: 1100px)");
const ROOM = 12; // pictures of the history that are shown
let catalogue = null;

const act = { take, dismiss: (item) => change("dismiss", item), look: (item) => look(item, act), drawn, widen, close: () => talk(false) };

async function start() {
  theme($("theme"));
  $("choose").append(icon("picture"));
  $("talk").append(icon("talk"));
  begin(act);
  await served();
  try {
    catalogue = await call("/v1/catalogue");
  } catch (error) {
    failed(error, start.again);
    return;
  }
  clear("fault");
  $("mark").textContent = catalogue.name;
  document.title = catalogue.name;
  chat.begin(catalogue.model, act);
  wire();
  if (restore()) enter();
  else welcome();
}
start.again = () => location.reload();

/** Everything that stands on the page for good. */
function wire() {
  const pictures = catalogue.searches.includes("picture");
  $("choose").hidden = !pictures;
  if (!pictures) $("words").placeholder = "Search";
  $("search").addEventListener("submit", (event) => {
    event.preventDefault();
    look_for({ words: $("words").value.trim() });
  });
  $("words").addEventListener("search", () => $("words").value === "" && wish.words && look_for({ words: "" }));
  $("choose").addEventListener("click", async () => {
    const file = await choose();
    if (file) seek(file);
  });
  listen({ search: (file) => pictures && who.kind && seek(file), chat: (file) => who.kind && chat.hold(file) });
  $("who").addEventListener("click", welcome);
  $("talk").addEventListener("click", () => talk($("talk").getAttribute("aria-expanded") !== "true"));
  document.querySelector("[data-opens-chat]").addEventListener("click", (event) => {
    event.preventDefault();
    talk(true);
  });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !WIDE.matches && document.body.classList.contains("talking")) talk(false);
  });
  WIDE.addEventListener("change", () => talk(false));
  addEventListener("offline", () => notice("net", "You are offline: what you see may be old.", { kind: "waiting" }));
  addEventListener("online", () => clear("net"));
}

/** Choose who looks. */
function welcome() {
  talk(false);
  for (const name of ["shop", "search", "ask", "who", "talk"]) $(name).hidden = true;
  $("welcome").hidden = false;
  document.body.classList.remove("in");
  picker($("picker"), { listed: catalogue.people, chosen });
  $("welcome-title").focus({ preventScroll: true });
  scrollTo(0, 0);
}

function chosen(kind, id) {
  become(kind, id);
  filters.reset();
  Object.assign(wish, { words: "", picture: null });
  $("words").value = "";
  chat.forget();
  enter();
  $("title").focus({ preventScroll: true });
}

function enter() {
  for (const name of ["shop", "search", "ask", "who", "talk"]) $(name).hidden = false;
  $("welcome").hidden = true;
  document.body.classList.add("in");
  filters.draw(catalogue, () => anew({ fresh: false }));
  $("who").replaceChildren(words("span", who.kind === "person" ? who.id : "Guest"), icon("down"));
  $("who").setAttribute("aria-label", `${who.kind === "person" ? who.id : "Guest"}: choose somebody else`);
  head();
  asked();
  scrollTo(0, 0);
  anew({ fresh: true });
  remember().then(head, (error) => failed(error, () => remember().then(head)));
}

/** Ask for the first items of a list that may be quite another one. */
function anew({ fresh }) {
  wish.count = 24;
  return load({ fresh });
}

/** The heading: whose list it is and what they took. */
function head() {
  const guest = who.kind === "guest";
  const { words: text, picture } = wish;
  const asks = picture ? "Like your picture" : text ? `“${text}”` : null;
  $("title").replaceChildren(words("span", asks ?? (guest ? (who.taken.length ? "For you" : "What do you like?") : `For ${who.id}`)));
  const all = who.taken.length + (who.more ?? 0);
  const row = who.taken.slice(-ROOM).reverse().map((item) => h("li", {}, taken(item, guest)));
  const rest = all - row.length;
  $("past").replaceChildren(
    ...(all
      ? [
          h("h2", { class: "faint" }, guest ? "You like" : "Taken so far"),
          h("ul", { class: "past", "aria-label": "The newest first" }, row, rest > 0 ? h("li", { class: "rest" }, `+${rest.toLocaleString()}`) : null),
        ]
      : []),
  );
}

function taken(item, guest) {
  if (!guest) return h("span", { class: "thumb", title: item.title }, pictureOf(item), h("span", { class: "hidden" }, item.title));
  const out = () => {
    without(item.item);
    head();
    load();
  };
  return h("button", { type: "button", class: "thumb", title: `Take out ${item.title}`, "aria-label": `Take out ${item.title}`, onclick: out }, pictureOf(item));
}

/** What stands below the heading, once there is an answer. */
function drawn(answer) {
  const some = count(shelf.items.length, "item");
  $("first").textContent = wish.words || wish.picture ? "what you asked for" : "retriever";
  const of = `, the best of ${count(answer.candidates, "candidate")}`;
  if (!shelf.items.length) $("lead").textContent = "";
  else if (who.kind === "guest" && !who.taken.length && !wish.words && !wish.picture) $("lead").textContent = "Click what you like, and the next list is yours.";
  else if (answer.cold) $("lead").textContent = "Nothing is known of you yet: this is what many people take.";
  else $("lead").textContent = `${some}${of}.`;
}

/** Show what is asked for beside the history, to be taken back. */
function asked() {
  const row = [];
  const chip = (content, undo, name) => h("button", { type: "button", class: "chip", "aria-label": name, onclick: undo }, content, icon("close"));
  if (wish.picture) row.push(chip([h("img", { src: wish.picture, alt: "" }), "Your picture"], () => look_for({ picture: null }), "Search without your picture"));
  if (wish.words) row.push(chip("Clear the search", () => look_for({ words: "" }), "Clear the search"));
  $("wish").replaceChildren(...row);
}

function look_for(change) {
  Object.assign(wish, change);
  if ("words" in change) $("words").value = change.words;
  asked();
  head();
  anew({ fresh: true });
}

async function seek(file) {
  try {
    look_for({ picture: await shrunk(file) });
    scrollTo({ top: 0 });
  } catch (error) {
    brief(error.message, "bad");
  }
}

function widen() {
  filters.reset();
  filters.draw(catalogue, () => anew({ fresh: false }));
  look_for({ words: "", picture: null });
}

function take(item) {
  change("purchase", item);
}

/** Something was bought or dismissed: the list changes at once, and once more when the gateway knows it. */
async function change(kind, item) {
  const done = did(kind, item);
  leave(item);
  head();
  const verb = kind === "dismiss" ? "Not shown again" : who.kind === "guest" ? "You like" : "Bought";
  brief(`${verb}: ${item.title}`, "good");
  try {
    await done;
  } catch (error) {
    head();
    clear("brief");
    await load();
    failed(error, error.wait === null ? undefined : () => change(kind, item));
    return;
  }
  await load();
}

/** Open or close the conversation where it lies over the page. */
function talk(open) {
  const over = open && !WIDE.matches;
  document.body.classList.toggle("talking", over);
  $("talk").setAttribute("aria-expanded", String(over));
  for (const one of [$("main"), document.querySelector(".top")]) one.inert = over;
  if (open && !$("ask").hidden) $("message")?.focus();
  else if (!open && !WIDE.matches && !$("talk").hidden && document.activeElement === document.body) $("talk").focus();
}

start().catch((error) => {
  failed(error);
  say(error.message);
});
