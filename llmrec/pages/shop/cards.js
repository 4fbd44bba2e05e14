/** A card: an item with its picture, what it costs, why it stands there, and what can be done with it. */

import { h, icon, number, words } from "./dom.js";
import { events } from "./api.js";
import { pictureOf } from "./pictures.js";
import { reader, who } from "./who.js";

const VOICE = "As somebody with this taste might put it:"; // the model was tuned on what people say of what they took

/** The bar of a score: what the retriever and what the model add, as shares of the longest bar of a list. */
export function bar(parts, most) {
  const made = h("span", { class: "bar", "aria-hidden": "true" });
  for (const [name, value] of [["retriever", parts.retriever], ["model", parts.model ?? 0]]) {
    const piece = h("i", { class: name });
    piece.style.width = `${(100 * Math.max(0, value)) / (most || 1)}%`;
    made.append(piece);
  }
  return made;
}

/** How long the bar of an item is. */
export const length = (item) => (item.parts ? Math.max(0, item.parts.retriever) + Math.max(0, item.parts.model ?? 0) : 0);

/** Stream an explanation into a place; the place is told to screen readers when it is whole. */
export async function explain(item, place, signal) {
  place.setAttribute("aria-busy", "true");
  const text = words("q", "", { class: "writing" });
  place.replaceChildren(h("p", { class: "faint" }, VOICE), h("p", {}, text));
  try {
    for await (const piece of events("/v1/explanations", { ...reader(), item: item.item, stream: true }, signal)) {
      if (piece.text) text.textContent += piece.text;
    }
    if (!text.textContent) place.replaceChildren(h("p", {}, "There is no more to say of it."));
  } catch (error) {
    if (error.name === "AbortError") return;
    const again = h("button", { type: "button", class: "quiet", onclick: () => explain(item, place, signal) }, "Try again");
    if (!text.textContent) place.replaceChildren();
    place.append(h("p", { class: "bad" }, error.message), again);
  } finally {
    text.classList.remove("writing");
    place.setAttribute("aria-busy", "false");
  }
}

/** A card of the list; `act` knows what to do: take(item), dismiss(item), look(item). */
export class Card {
  constructor(item, act) {
    this.item = item;
    this.act = act;
    this.why = h("div", { class: "why", role: "region", "aria-live": "polite", hidden: true });
    this.body = h("div", { class: "words" });
    this.deal = h("div", { class: "deal" });
    this.element = h("li", { class: "card", "data-item": item.item }, this.frame(), this.body, this.deal);
  }

  frame() {
    const { item, act } = this;
    const guest = who.kind === "guest";
    const name = guest ? `I like ${item.title}` : `What the model saw of ${item.title}`;
    const main = () => (guest ? act.take(this.item) : act.look(this.item));
    return h(
      "div",
      { class: "frame" },
      h("button", { type: "button", class: "picture", "aria-label": name, onclick: main }, pictureOf(item, { loading: "lazy" })),
      h(
        "button",
        { type: "button", class: "icon dismiss", "aria-label": `Not for me: ${item.title}`, title: "Not for me", onclick: () => act.dismiss(this.item) },
        icon("close"),
      ),
    );
  }

  /** Show an item in its place of a list, whose longest bar is `most`. */
  update(item, most) {
    this.item = item;
    const { act } = this;
    const open = !this.why.hidden;
    const guest = who.kind === "guest";
    const why = h("button", { type: "button", class: "text", "aria-expanded": String(open), onclick: () => this.toggle(why) }, "Why?");
    why.setAttribute("aria-label", `Why? ${item.title}`);
    const look = h(
      "button",
      { type: "button", class: "icon look", "aria-label": `What the model saw of ${item.title}`, title: "What the model saw", onclick: () => act.look(this.item) },
      icon("eye"),
    );
    const take = h("button", { type: "button", class: "take", "aria-label": `${guest ? "I like" : "Buy"} ${item.title}`, onclick: () => act.take(this.item) }, guest ? "I like it" : "Buy");
    this.body.replaceChildren(
      ...[
        item.brand ? words("p", item.brand, { class: "brand" }) : null,
        words("h3", item.title, { class: "title", title: item.title.length > 60 ? item.title : "" }),
        item.price === null ? null : h("p", { class: "price" }, number(item.price)),
        item.reason ? words("p", item.reason, { class: "reason" }) : null,
      ].filter(Boolean),
    );
    const score = item.parts ? [this.score(item, most)] : [];
    this.deal.replaceChildren(...score, h("div", { class: "actions" }, take, why, look), this.why);
  }

  score(item, most) {
    const model = item.parts.model === null ? "none of the model" : `${number(item.parts.model)} of the model`;
    const told = `Score ${number(item.score)}: ${number(item.parts.retriever)} of the retriever, ${model}`;
    return h("p", { class: "score", title: told }, h("span", { class: "hidden" }, told), bar(item.parts, most), h("b", { "aria-hidden": "true" }, number(item.score)));
  }

  toggle(button) {
    this.why.hidden = !this.why.hidden;
    button.setAttribute("aria-expanded", String(!this.why.hidden));
    this.stop?.abort();
    if (this.why.hidden) return;
    this.stop = new AbortController();
    explain(this.item, this.why, this.stop.signal);
  }

  /** It leaves the list. */
  end() {
    this.stop?.abort();
    this.element.remove();
  }
}
