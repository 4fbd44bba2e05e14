/** Making elements. Text goes in as text; nothing here turns a string into markup. */

const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  picture: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.500 9.500h.01",
  close: "M6 6l12 12M18 6L6 18",
  eye: "M2.500 12S6 5.500 12 5.500 21.500 12 21.500 12 18 18.500 12 18.500 2.500 12 2.500 12zM12 9.500a2.500 2.500 0 1 0 0 5 2.500 2.500 0 0 0 0-5z",
  talk: "M4 5h16v11H10l-4.500 4V16H4z",
  send: "M5 12h13M12 6l6 6-6 6",
  stop: "M7 7h10v10H7z",
  down: "M6 9.500l6 6 6-6",
  plus: "M12 5v14M5 12h14",
  check: "M5 12.500l4.500 4.500L19 7.500",
  light: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 3v1.500M12 19.500V21M3 12h1.500M19.500 12H21M5.600 5.600l1.100 1.100M17.300 17.300l1.100 1.100M5.600 18.400l1.100-1.100M17.300 6.700l1.100-1.100",
  dark: "M19.500 14.500A8 8 0 0 1 9.500 4.500a8 8 0 1 0 10 10z",
};

/** An element with properties, listeners (`onclick`), attributes (`aria-label`, `data-x`) and children. */
export function h(name, given = {}, ...children) {
  const made = document.createElement(name);
  for (const [what, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    if (what.startsWith("on")) made.addEventListener(what.slice(2), value);
    else if (what === "class") made.className = value;
    else if (what.includes("-") || !(what in made)) made.setAttribute(what, value === true ? "" : value);
    else made[what] = value;
  }
  made.append(...children.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== false));
  return made;
}

/** A drawn sign; whoever uses it names it. */
export function icon(name) {
  const made = document.createElementNS(SVG, "svg");
  made.setAttribute("viewBox", "0 0 24 24");
  made.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  made.append(path);
  return made;
}

export const $ = (id) => document.getElementById(id);

/** Say something to those who do not see the page. */
export function say(text) {
  $("said").textContent = text;
}

/** Text of the catalogue, in its own direction and unable to change that of what stands around it. */
export function words(name, text, given = {}) {
  return h(name, { dir: "auto", ...given }, text);
}

const NUMBER = new Intl.NumberFormat(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
export const number = (value) => NUMBER.format(value);
export const count = (value, one, many = `${one}s`) => `${value.toLocaleString()} ${value === 1 ? one : many}`;
export const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
export const ordinal = (place) => {
  const last = place % 100 > 10 && place % 100 < 14 ? 0 : place % 10;
  return `${place}${["th", "st", "nd", "rd"][last] ?? "th"}`;
};
