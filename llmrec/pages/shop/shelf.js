/** The ranked list: asked for, drawn, and changed in place when somebody takes something. */

import { $, count, h, icon, say, still } from "./dom.js";
import { call } from "./api.js";
import { Card, length } from "./cards.js";
import { any, where } from "./filters.js";
import { clear, failed, notice } from "./notices.js";
import { somebody, who } from "./who.js";

const STEP = 24;
const MOST = 96;
const VARIED = 0.6; // where nothing is known, the first list shows as many kinds as it can

export const wish = { words: "", picture: null, count: STEP };
export const shelf = { items: [], answer: null };

const cards = new Map();
let asked = null;
let act = {};

export function begin(actions) {
  act = actions;
}

/** Show placeholders while a list is new. */
export function blank() {
  for (const card of cards.values()) card.end();
  cards.clear();
  shelf.items = [];
  const one = () => h("li", { class: "card skeleton", "aria-hidden": "true" }, h("div", { class: "frame" }), h("i"), h("i"), h("i"));
  $("list").replaceChildren(...Array.from({ length: 8 }, one));
  $("foot").replaceChildren();
}

/** Ask for the list and draw it. With `fresh`, placeholders stand there meanwhile. */
export async function load({ fresh = false } = {}) {
  asked?.abort();
  const mine = (asked = new AbortController());
  if (fresh) blank();
  $("list").setAttribute("aria-busy", "true");
  const cold = who.kind === "guest" && !who.taken.length && !wish.words && !wish.picture;
  const body = {
    ...somebody(),
    query: wish.words,
    where: where(),
    k: wish.count,
    reasons: true,
    diversity: cold ? VARIED : 0,
    ...(wish.picture ? { picture: wish.picture } : {}),
  };
  try {
    const answer = await call("/v1/recommendations", body, { signal: mine.signal });
    if (mine !== asked) return;
    clear("fault");
    draw(answer);
  } catch (error) {
    if (mine !== asked || error.name === "AbortError") return;
    failed(error, () => load({ fresh }));
    if (!shelf.items.length && error.status !== 401 && error.wait === null) $("list").replaceChildren();
  } finally {
    if (mine === asked) $("list").setAttribute("aria-busy", "false");
  }
}

function draw(answer) {
  const gone = new Set(who.dismissed);
  shelf.answer = answer;
  shelf.items = answer.items.filter((one) => !gone.has(one.item));
  arrange();
  if (answer.fallback) notice("fallback", answer.fallback, { kind: "waiting" });
  else clear("fallback");
  act.drawn(answer);
  const more = shelf.items.length >= wish.count && wish.count < MOST && answer.candidates > wish.count;
  const go = () => {
    wish.count += STEP;
    load();
  };
  $("foot").replaceChildren(...(more ? [h("button", { type: "button", class: "more", onclick: go }, "Show more")] : []));
  if (!shelf.items.length) empty(answer);
  say(shelf.items.length ? `${count(shelf.items.length, "item")}. First: ${shelf.items[0].title}` : (answer.empty ?? "Nothing was found."));
}

function empty(answer) {
  const widen = h("button", { type: "button", class: "main", onclick: () => act.widen() }, "Show everything again");
  $("foot").replaceChildren(
    h("div", { class: "empty" }, icon("eye"), h("p", {}, answer.empty ?? "Nothing was found."), any() || wish.words || wish.picture ? widen : null),
  );
}

/** Put the cards in the order of the items; those that stay glide to their new places. */
function arrange() {
  const list = $("list");
  const before = new Map([...cards].map(([item, card]) => [item, card.element.getBoundingClientRect()]));
  const focused = document.activeElement?.closest?.("#list .card")?.dataset.item;
  const role = document.activeElement?.className;
  const most = Math.max(0, ...shelf.items.map(length));
  const wanted = new Set(shelf.items.map((one) => one.item));
  for (const [item, card] of cards) {
    if (wanted.has(item)) continue;
    card.end();
    cards.delete(item);
  }
  const elements = shelf.items.map((item) => {
    if (!cards.has(item.item)) cards.set(item.item, new Card(item, act));
    const card = cards.get(item.item);
    card.update(item, most);
    return card.element;
  });
  list.replaceChildren(...elements);
  if (focused && cards.has(focused)) cards.get(focused).element.querySelector(`[class="${role}"]`)?.focus({ preventScroll: true });
  if (!still()) glide(before);
}

function glide(before) {
  const height = innerHeight;
  for (const [item, card] of cards) {
    const now = card.element.getBoundingClientRect();
    if (now.top > height * 1.5) continue;
    const then = before.get(item);
    const ease = { duration: 420, easing: "cubic-bezier(.2, .8, .2, 1)" };
    if (!then) card.element.animate([{ opacity: 0, transform: "translateY(10px)" }, { opacity: 1, transform: "none" }], ease);
    else if (then.left !== now.left || then.top !== now.top) {
      card.element.animate([{ transform: `translate(${then.left - now.left}px, ${then.top - now.top}px)` }, { transform: "none" }], ease);
    }
  }
}

/** Take an item out of the list at once, before the gateway has answered; the focus goes to the next one. */
export function leave(item) {
  const place = shelf.items.findIndex((one) => one.item === item.item);
  if (place < 0) return;
  const inside = cards.get(item.item).element.contains(document.activeElement);
  shelf.items.splice(place, 1);
  arrange();
  const next = shelf.items[Math.min(place, shelf.items.length - 1)];
  if (inside && next) cards.get(next.item).element.querySelector(".take").focus({ preventScroll: true });
}
