// The field of the troubleshooting page: whoever pastes a message sees the entries whose fixed words stand in it, the
// nearest first; whoever types a few words sees the entries that hold all of them.
const WORD = /[\p{L}\p{N}_.]{2,}/gu;
const words = (text) => text.toLowerCase().match(WORD)?.map((one) => one.replace(/\.+$/, "")) ?? [];
const MOST = 12;

function entries() {
  return [...document.querySelectorAll(".error")].map((element) => {
    const message = element.querySelector("code").cloneNode(true);
    message.querySelectorAll("var").forEach((one) => one.replaceWith(" "));
    return { element, fixed: new Set(words(message.textContent)), all: new Set(words(element.textContent)) };
  });
}

function likeness(entry, asked, rare) {
  const weigh = (list) => list.reduce((sum, one) => sum + (rare.get(one) ?? 0), 0);
  const fixed = [...entry.fixed];
  const here = weigh(fixed.filter((one) => asked.has(one)));
  return (here / Math.max(weigh(fixed), 1e-9)) ** 2 * Math.sqrt(here);
}

function prepare() {
  const place = document.querySelector(".find-error");
  if (!place || place.dataset.ready) return;
  place.dataset.ready = "yes";
  const known = entries(), seen = new Map();
  for (const { fixed } of known) for (const one of fixed) seen.set(one, (seen.get(one) ?? 0) + 1);
  const rare = new Map([...seen].map(([one, count]) => [one, Math.log((known.length + 1) / count)]));
  const home = document.createElement("div");
  home.className = "errors found";
  place.after(home);
  const told = place.querySelector("output");
  place.querySelector("textarea").addEventListener("input", (event) => {
    const given = words(event.target.value), asked = new Set(given);
    home.replaceChildren();
    if (!given.length) return void (told.textContent = "");
    const whole = known.filter(({ all }) => given.every((one) => all.has(one)));
    const near = known.map((entry) => [likeness(entry, asked, rare), entry]).filter(([score]) => score > .6)
      .sort((a, b) => b[0] - a[0]).map(([, entry]) => entry);
    const found = [...new Set(given.length > 4 ? [...near, ...whole] : [...whole, ...near])].slice(0, MOST);
    told.textContent = found.length ? `${found.length} of ${known.length}, the nearest first` : "No message is near to this.";
    home.append(...found.map(({ element }) => element.cloneNode(true)));
  });
}
document.addEventListener("DOMContentLoaded", prepare);
if (document.readyState !== "loading") prepare();
