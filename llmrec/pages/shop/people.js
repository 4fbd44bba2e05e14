/** Choosing who looks: people of the log by their ids, any other id, or a guest. */

import { count, h, icon, say, words } from "./dom.js";
import { call, Fault } from "./api.js";
import { pictureOf } from "./pictures.js";
import { failed } from "./notices.js";

const PAUSE = 180;

/** Fill a place with the choice; `chosen(kind, id)` is told. */
export function picker(place, { listed, chosen }) {
  const list = h("ul", { class: "people", role: "list", "aria-label": "People of the log" });
  const field = h("input", { id: "person", type: "search", autocomplete: "off", maxLength: 256, spellcheck: false, autocapitalize: "off", placeholder: "The beginning of it is enough" });
  const other = h("button", { type: "button", class: "quiet", hidden: true });
  const note = h("p", { class: "faint", role: "status" });
  let clock;
  let newest = 0;

  async function look() {
    const mine = ++newest;
    const starts = field.value.trim();
    other.hidden = !starts;
    other.textContent = `Go on as “${starts}”`;
    if (!listed) return;
    try {
      const { data } = await call(`/v1/people?limit=12&starts=${encodeURIComponent(starts)}`);
      if (mine !== newest) return;
      list.replaceChildren(...data.map((one) => h("li", {}, person(one))));
      note.textContent = data.length ? "" : `Nobody’s id begins with “${starts}”.`;
      other.hidden = !starts || data.some((one) => one.user === starts);
      if (starts) say(count(data.length, "person", "people"));
    } catch (error) {
      if (error instanceof Fault && error.status === 403) note.textContent = "This key may not list people. Give an id.";
      else failed(error, look);
    }
  }

  function person(one) {
    return h(
      "button",
      { type: "button", class: "person", "data-person": one.user, onclick: () => chosen("person", one.user) },
      h("span", { class: "stack", "aria-hidden": "true" }, one.last.map((item) => pictureOf(item, { loading: "lazy" }))),
      words("span", one.user, { class: "id" }),
      h("span", { class: "faint" }, `${count(one.taken, "thing")} taken`),
    );
  }

  field.addEventListener("input", () => {
    clearTimeout(clock);
    clock = setTimeout(look, PAUSE);
  });
  const enter = (event) => {
    event.preventDefault();
    if (field.value.trim()) chosen("person", field.value.trim());
  };
  other.addEventListener("click", () => chosen("person", field.value.trim()));
  place.replaceChildren(
    h(
      "form",
      { class: "finder", onsubmit: enter },
      h("label", { htmlFor: "person" }, "Find a person by id"),
      h("div", {}, field, other),
    ),
    h(
      "div",
      { class: "choice" },
      h(
        "button",
        { type: "button", class: "person guest", onclick: () => chosen("guest") },
        h("span", { class: "stack", "aria-hidden": "true" }, icon("plus")),
        h("span", { class: "id" }, "A guest"),
        h("span", { class: "faint" }, "Click what you like; nothing is kept"),
      ),
      list,
    ),
    note,
  );
  look();
  return field;
}
