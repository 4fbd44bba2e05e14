/** What the model saw of an item: its share of the score, the history as the prompt reads, the parts of the picture. */

import { $, count, h, icon, number, ordinal, words } from "./dom.js";
import { call } from "./api.js";
import { explain } from "./cards.js";
import { pictureOf } from "./pictures.js";
import { shelf, wish } from "./shelf.js";
import { reader, who } from "./who.js";

let stop = null;

/** Open it for an item; `act` knows how to take and dismiss. */
export function open(item, act) {
  const sheet = $("seen");
  stop?.abort();
  stop = new AbortController();
  const why = h("div", { class: "why", "aria-live": "polite" });
  const more = h("div", { class: "more-seen", "aria-busy": "true" }, h("i", { class: "line" }), h("i", { class: "line" }), h("i", { class: "line" }));
  const side = h("div", { class: "side" }, h("div", { class: "cut" }, pictureOf(item)));
  const then = (work) => () => {
    sheet.close();
    work(item);
  };
  const ask = h("button", { type: "button", class: "text" }, "Why this?");
  ask.addEventListener("click", () => {
    ask.hidden = true;
    explain(item, why, stop.signal);
  });
  sheet.replaceChildren(
    h("button", { type: "button", class: "icon shut", "aria-label": "Close", onclick: () => sheet.close() }, icon("close")),
    side,
    h(
      "div",
      { class: "told" },
      item.brand ? words("p", item.brand, { class: "brand" }) : null,
      words("h2", item.title, { id: "seen-title", class: item.title.length > 90 ? "long" : "" }),
      item.price === null ? null : h("p", { class: "price" }, number(item.price)),
      item.reason ? words("p", item.reason, { class: "reason" }) : null,
      h(
        "div",
        { class: "actions" },
        h("button", { type: "button", class: "take main", onclick: then(act.take) }, who.kind === "guest" ? "I like it" : "Buy"),
        h("button", { type: "button", class: "quiet", onclick: then(act.dismiss) }, "Not for me"),
        ask,
      ),
      why,
      score(item),
      more,
    ),
  );
  sheet.onclose = () => stop?.abort();
  sheet.onclick = (event) => event.target === sheet && sheet.close();
  if (!sheet.open) sheet.showModal();
  sheet.scrollTop = 0;
  fill(item, side, more, stop.signal);
}

async function fill(item, side, more, signal) {
  try {
    const seen = await call("/v1/seen", { ...reader(), item: item.item }, { signal });
    parts(side, seen);
    more.replaceChildren(read(item, seen));
    side.append(...[said(seen)].filter(Boolean));
  } catch (error) {
    if (error.name === "AbortError") return;
    more.replaceChildren(h("p", { class: "bad" }, error.message));
  } finally {
    more.setAttribute("aria-busy", "false");
  }
}

function score(item) {
  if (!item.parts) return null;
  const { retriever, model } = item.parts;
  const first = searched(item) ? "What you asked for" : "Retriever";
  const total = Math.max(0, retriever) + Math.max(0, model ?? 0) || 1;
  const row = (name, kind, value) =>
    h(
      "div",
      { class: "share", role: "listitem" },
      h("span", {}, name),
      h("span", { class: "bar", "aria-hidden": "true" }, sized(kind, Math.max(0, value) / total)),
      h("b", {}, `${Math.round((100 * Math.max(0, value)) / total)} %`),
      h("small", {}, number(value)),
    );
  return h(
    "section",
    {},
    h("h3", {}, "Whose score it is"),
    h(
      "div",
      { role: "list", class: "shares" },
      row(first, "retriever", retriever),
      model === null ? null : row("Model", "model", model),
    ),
    h("p", { class: "faint" }, placed(item) ?? ""),
  );
}

function sized(kind, share) {
  const made = h("i", { class: kind });
  made.style.width = `${100 * share}%`;
  return made;
}

/** Whether the first part of its score is how well it meets a wish. */
const searched = (item) => Boolean(wish.words || wish.picture) && shelf.items.includes(item);

/** Where each of the two alone would have put it among what is shown. */
function placed(item) {
  if (item.parts.model === null) return "The model had no part in it: it stands where the retriever puts it.";
  const some = shelf.items.filter((one) => one.parts && one.parts.model !== null);
  if (!some.includes(item) || some.length < 2) return null;
  const place = (worth) => 1 + some.filter((one) => worth(one) > worth(item)).length;
  const by = { retriever: place((one) => one.parts.retriever), model: place((one) => one.parts.model), both: place((one) => one.score) };
  const first = searched(item) ? "what you asked for" : "the retriever";
  return `Of the ${some.length} shown, ${first} alone would put it ${ordinal(by.retriever)}, the model ${ordinal(by.model)}; together it is ${ordinal(by.both)}.`;
}

function read(item, seen) {
  const items = seen.prompt.filter((one) => one.item).length;
  const left = [
    seen.trimmed ? `The ${seen.trimmed === 1 ? "oldest was" : `${seen.trimmed.toLocaleString()} oldest were`} trimmed to fit.` : "",
    seen.wordless ? `${count(seen.wordless, "item")} the model has no word of, and left out.` : "",
    !seen.trimmed && !seen.wordless && items ? "Nothing was trimmed." : "",
  ].filter(Boolean);
  const told = items
    ? `${count(items, "thing")} of ${seen.taken.toLocaleString()} that you took, oldest first, each as one word. ${left.join(" ")}`
    : `Nothing of you: your history is empty. ${left.join(" ")}`;
  const line = seen.prompt.map((one) =>
    one.item
      ? h("li", { class: "seen-item", title: one.item.title }, pictureOf(one.item), h("span", { class: "hidden" }, one.item.title))
      : words("li", one.text.trim(), { class: "seen-text" }),
  );
  const next = h("li", { class: "seen-item next" }, pictureOf(item), h("span", { class: "hidden" }, `Scored here: ${item.title}`));
  return h(
    "section",
    {},
    h("h3", {}, "What it read"),
    h("p", {}, told),
    h("ol", { class: "line-read", "aria-label": "The prompt, in its order" }, line, seen.word ? next : null),
    h("p", { class: "faint" }, seen.word ? `${count(seen.tokens, "token")}; the item in the frame is scored as the next word.` : "The model has no word of this item yet: the retriever alone scores it."),
  );
}

function said(seen) {
  if (!seen.agreed.length) return null;
  const shared = new Set(seen.shared);
  const marks = seen.agreed.slice(0, 12).map((word) => words("li", word, { class: shared.has(word) ? "shared" : "" }));
  return h(
    "section",
    {},
    h("h3", {}, "What others say of it"),
    h("ul", { class: "marks" }, marks),
    seen.shared.length ? h("p", { class: "faint" }, "In colour: what is also said of several things that you took.") : null,
  );
}

/** Draw the parts that the picture is cut into over the picture. */
function parts(side, seen) {
  const cut = side.querySelector(".cut");
  const image = cut.querySelector("img");
  if (!image) {
    side.append(h("p", { class: "faint" }, "It has no picture."));
    return;
  }
  if (!seen.grid) {
    side.append(h("p", { class: "faint" }, "This model cuts each picture in a way of its own."));
    return;
  }
  const { rows, columns, tokens, region } = seen.grid;
  const grid = h("div", { class: `grid ${region}`, "aria-hidden": "true" }, Array.from({ length: rows * columns }, () => h("i")));
  grid.style.gridTemplate = `repeat(${rows}, 1fr) / repeat(${columns}, 1fr)`;
  grid.classList.toggle("fine", rows > 8);
  const stand = () => cut.classList.toggle("wide", image.naturalWidth > image.naturalHeight);
  image.addEventListener("load", stand);
  stand();
  cut.append(grid);
  const button = h("button", { type: "button", class: "quiet", "aria-pressed": "true" }, "Show the parts");
  button.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    grid.hidden = !on;
  });
  const where = region === "centre" ? " of the square in its middle" : "";
  side.append(
    h("p", { class: "faint" }, `Where the model looks at this picture, it reads ${count(tokens, "part")}${where}: ${rows}\u00a0×\u00a0${columns}, each a visual token.`),
    button,
  );
}
