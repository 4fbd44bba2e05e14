/** Filters, as far as the catalogue allows: nothing is offered that no item has. */

import { $, h, icon, number, words } from "./dom.js";

const TITLES = { categories: "Category", brand: "Brand" };
const LONG = 14; // values above which they can be searched

export const filters = { chosen: new Map(), low: null, high: null };

/** The filter as requests take it. */
export function where() {
  const found = {};
  for (const [field, values] of filters.chosen) if (values.size) found[field] = flag(values) ?? { [several(field)]: [...values] };
  const price = {};
  if (filters.low !== null) price.at_least = filters.low;
  if (filters.high !== null) price.at_most = filters.high;
  if (Object.keys(price).length) found.price = price;
  return found;
}

const kinds = new Map();
const several = (field) => (kinds.get(field) === "texts" ? "has" : "any_of");
const flag = (values) => (values.has(true) ? true : undefined);
const title = (field) => TITLES[field] ?? field[0].toUpperCase() + field.slice(1).replaceAll("_", " ");

export const any = () => Object.keys(where()).length > 0;

export function reset() {
  filters.chosen.clear();
  filters.low = filters.high = null;
}

/** Draw the row of filters; `changed` is told when one is set. */
export function draw(catalogue, changed) {
  const place = $("filters");
  for (const facet of catalogue.facets) kinds.set(facet.field, facet.kind);
  const groups = catalogue.facets.map((facet) => group(facet, changed));
  if (catalogue.prices && catalogue.prices.low < catalogue.prices.high) groups.splice(2, 0, price(catalogue.prices, changed));
  const clear = h("button", { type: "button", class: "quiet clear", onclick: () => (reset(), changed(), draw(catalogue, changed)) }, "Clear all");
  const legend = h(
    "p",
    { class: "legend", "aria-hidden": "true" },
    "Score:",
    h("i", { class: "retriever" }),
    h("span", { id: "first" }, "retriever"),
    h("i", { class: "model" }),
    "model",
  );
  place.replaceChildren(...groups, clear, legend);
  place.addEventListener("keydown", shut);
  mark();
}

/** Show how many values of each are chosen. */
export function mark() {
  for (const one of $("filters").querySelectorAll("details")) {
    const field = one.dataset.field;
    const set = field === "price" ? Number(filters.low !== null || filters.high !== null) : (filters.chosen.get(field)?.size ?? 0);
    one.classList.toggle("set", set > 0);
    const told = field === "price" ? span() : set ? ` · ${set}` : "";
    one.querySelector("summary span").textContent = told;
  }
  $("filters").querySelector(".clear").hidden = !any();
}

function span() {
  const { low, high } = filters;
  if (low !== null && high !== null) return ` · ${low} – ${high}`;
  if (low !== null) return ` · from ${low}`;
  return high === null ? "" : ` · up to ${high}`;
}

function shut(event) {
  const open = event.key === "Escape" && event.target.closest("details[open]");
  if (!open) return;
  open.open = false;
  open.querySelector("summary").focus();
}

addEventListener("pointerdown", (event) => {
  for (const one of document.querySelectorAll(".filters details[open]")) if (!one.contains(event.target)) one.open = false;
});

function frame(field, name, ...content) {
  return h(
    "details",
    { name: "filter", "data-field": field },
    h("summary", {}, words("b", name), h("span"), icon("down")),
    h("div", { class: "panel", role: "group", "aria-label": name }, ...content),
  );
}

function group(facet, changed) {
  const rows = facet.values.map(({ value, count }) => {
    const box = h("input", { type: "checkbox", checked: filters.chosen.get(facet.field)?.has(value) ?? false });
    box.addEventListener("change", () => {
      const set = filters.chosen.get(facet.field) ?? new Set();
      filters.chosen.set(facet.field, set);
      if (box.checked) set.add(value);
      else set.delete(value);
      mark();
      changed();
    });
    return h("label", { class: "value" }, box, words("span", value === true ? "Yes" : value), h("small", {}, count.toLocaleString()));
  });
  const content = [h("div", { class: "values" }, rows)];
  if (facet.more) content.push(h("p", { class: "faint" }, `${facet.more.toLocaleString()} rarer ones: search for them in words.`));
  if (rows.length > LONG) {
    const find = h("input", { type: "search", placeholder: "Find", "aria-label": `Find in ${title(facet.field)}` });
    find.addEventListener("input", () => {
      const wanted = find.value.trim().toLowerCase();
      for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
    });
    content.unshift(find);
  }
  return frame(facet.field, title(facet.field), ...content);
}

function price(prices, changed) {
  const box = (name, what, hint) => {
    const field = h("input", { type: "number", min: 0, step: "any", inputMode: "decimal", placeholder: number(hint), value: filters[what] ?? "" });
    field.addEventListener("change", () => {
      const given = field.value === "" ? null : Number(field.value);
      filters[what] = given !== null && given >= 0 && Number.isFinite(given) ? given : null;
      mark();
      changed();
    });
    return h("label", { class: "bound" }, name, field);
  };
  return frame("price", "Price", h("div", { class: "bounds" }, box("From", "low", prices.low), box("To", "high", prices.high)));
}
