/** What stands above the list: why something is as it is, or does not go on, and what can be done. */

import { $, h, icon, say } from "./dom.js";
import { Fault, key, ready } from "./api.js";

const shown = new Map();

/** Show a notice under a name; the same name again replaces it. `actions` are [label, what to do]. */
export function notice(name, text, { actions = [], kind = "plain" } = {}) {
  clear(name);
  const made = h(
    "div",
    { class: `notice ${kind}`, "data-notice": name },
    h("p", {}, text),
    actions.map(([label, work]) => h("button", { type: "button", class: "quiet", onclick: work }, label)),
  );
  shown.set(name, { made });
  $("notices").append(made);
  say(text);
  return made;
}

export function clear(name) {
  const one = shown.get(name);
  if (!one) return;
  clearInterval(one.clock);
  one.made.remove();
  shown.delete(name);
}

/** Something that passes by itself. */
export function brief(text, kind = "plain") {
  notice("brief", text, { kind });
  const mine = shown.get("brief");
  setTimeout(() => shown.get("brief") === mine && clear("brief"), 4000);
}

/** Say why something failed and go on by itself where that helps: after the wait that was asked for, with a key … */
export function failed(error, again) {
  if (error.name === "AbortError") return;
  if (!(error instanceof Fault)) {
    console.error(error);
    notice("fault", error.message, { kind: "bad" });
    return;
  }
  if (error.status === 401) needKey(error, again);
  else if (error.status === 0) offline(again);
  else if (error.wait !== null && again) later(error, again);
  else notice("fault", error.message, { kind: "bad", actions: again ? [["Try again", () => (clear("fault"), again())]] : [] });
}

function later(error, again) {
  const go = () => {
    clear("fault");
    again();
  };
  const why = error.status === 429 ? "Too much is asked at this moment." : error.message.replace(/\. Ask again.*$/, ".");
  const said = (left) => `${why} Trying again in ${left} s.`;
  let left = Math.max(1, error.wait);
  const made = notice("fault", said(left), { kind: "waiting", actions: [["Try now", go]] });
  shown.get("fault").clock = setInterval(() => {
    left -= 1;
    if (left <= 0) go();
    else made.firstChild.textContent = said(left);
  }, 1000);
}

function offline(again) {
  clear("net");
  const text = navigator.onLine ? "The shop cannot be reached. Trying again …" : "You are offline. Waiting for the network …";
  notice("fault", text, { kind: "waiting" });
  const mine = shown.get("fault");
  mine.clock = setInterval(async () => {
    if ((await ready()) === null || shown.get("fault") !== mine) return;
    clear("fault");
    again?.();
  }, 1500);
}

/** Ask for a key, keep it for this tab and go on. */
function needKey(error, again) {
  const field = h("input", { type: "password", name: "key", id: "key", autocomplete: "off", required: true, spellcheck: false });
  const known = Boolean(key.value);
  const made = notice("key", known ? "This key does not open the shop. Try another one." : "This shop asks for a key.", { kind: "waiting" });
  const enter = (event) => {
    event.preventDefault();
    key.value = field.value.trim();
    clear("key");
    again?.();
  };
  made.append(
    h("form", { onsubmit: enter, class: "key" }, h("label", { htmlFor: "key" }, "Key"), field, h("button", { class: "main" }, "Open")),
    h("small", {}, "It stays in this tab and is forgotten when the tab closes."),
  );
  field.focus();
}

/** Wait until requests are served, and say so meanwhile. */
export async function served() {
  for (let first = true; ; first = false) {
    const is = await ready();
    if (is) break;
    const text = is === null ? "The shop cannot be reached. Trying again …" : "The model is getting ready. This takes a minute or two.";
    if (first || shown.get("ready")?.text !== text) {
      notice("ready", text, { kind: "waiting" });
      shown.get("ready").text = text;
    }
    await new Promise((done) => setTimeout(done, 1000));
  }
  clear("ready");
}

/** The button that goes from the system's theme to the other one and back. */
export function theme(button) {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const now = () => root.dataset.theme ?? (system.matches ? "dark" : "light");
  const draw = () => {
    button.replaceChildren(icon(now() === "dark" ? "light" : "dark"));
    button.setAttribute("aria-label", now() === "dark" ? "Use light colours" : "Use dark colours");
  };
  button.addEventListener("click", () => {
    const other = now() === "dark" ? "light" : "dark";
    const own = (other === "dark") === system.matches;
    if (own) delete root.dataset.theme;
    else root.dataset.theme = other;
    try {
      if (own) localStorage.removeItem("llmrec.theme");
      else localStorage.setItem("llmrec.theme", other);
    } catch {
      /* storage is forbidden: it lasts until the page is left */
    }
    draw();
  });
  system.addEventListener("change", draw);
  draw();
}
