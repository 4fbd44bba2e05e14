/** What the page asks of the gateway: with its key, in its forms, and what went wrong in plain words. */

const KEY = "llmrec.key";
const pictures = new Map();

/** The key lives as long as the tab does, and nowhere else. */
export const key = {
  get value() {
    return sessionStorage.getItem(KEY);
  },
  set value(given) {
    if (given) sessionStorage.setItem(KEY, given);
    else sessionStorage.removeItem(KEY);
    for (const one of pictures.values()) one.then((address) => URL.revokeObjectURL(address), () => {});
    pictures.clear();
  },
};

/** Something went wrong: `status` is 0 where nobody answered, `wait` says in how many seconds to ask again. */
export class Fault extends Error {
  constructor(status, message, { code = null, wait = null } = {}) {
    super(message);
    Object.assign(this, { status, code, wait });
  }
}

const SILENT = "The shop cannot be reached.";
const BROKEN = "The answer broke off before its end.";

async function ask(path, { method = "GET", body, signal } = {}) {
  const headers = {};
  if (key.value) headers.Authorization = `Bearer ${key.value}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const sent = body === undefined ? undefined : JSON.stringify(body);
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: sent, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Fault(0, SILENT, { code: "offline", wait: 2 });
  }
  if (answer.ok) return answer;
  const told = await answer.json().then((content) => content.error ?? {}, () => ({}));
  const after = Number.parseInt(answer.headers.get("Retry-After") ?? "", 10);
  const wait = Number.isFinite(after) ? after : null;
  throw new Fault(answer.status, told.message ?? `The shop answered ${answer.status}.`, { code: told.code, wait });
}

/** Ask for something and read the JSON that comes back. */
export async function call(path, body, { method = body === undefined ? "GET" : "POST", signal } = {}) {
  const answer = await ask(path, { method, body, signal });
  return answer.json();
}

/** Whether requests are served: true, false, or null where nobody answers. */
export async function ready() {
  try {
    const answer = await fetch("/readyz", { cache: "no-store" });
    return (await answer.json()).ready === true;
  } catch {
    return null;
  }
}

/** Ask for a stream of server-sent events and give their contents one by one. */
export async function* events(path, body, signal) {
  const answer = await ask(path, { method: "POST", body, signal });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  try {
    for (;;) {
      const { value, done } = await reader.read().catch((error) => {
        if (error.name === "AbortError") throw error;
        throw new Fault(0, BROKEN, { code: "broken" });
      });
      if (done) throw new Fault(0, BROKEN, { code: "broken" });
      const whole = (waiting + value).split("\n\n");
      waiting = whole.pop();
      for (const event of whole) {
        const lines = event.split("\n").filter((line) => line.startsWith("data:"));
        const data = lines.map((line) => line.slice(5).trimStart()).join("\n");
        if (!data) continue;
        if (data === "[DONE]") return;
        const content = JSON.parse(data);
        if (content.error) throw new Fault(502, content.error.message, { code: content.error.code });
        yield content;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Show a picture of the gateway. A browser sends no key with an image of its own accord, so it is fetched with one. */
export function show(image, address) {
  if (!key.value) {
    image.src = address;
    return;
  }
  if (!pictures.has(address)) pictures.set(address, fetched(address));
  pictures.get(address).then(
    (found) => (image.src = found),
    () => image.dispatchEvent(new Event("error")),
  );
}

async function fetched(address, tries = 3) {
  try {
    const answer = await ask(address);
    return URL.createObjectURL(await answer.blob());
  } catch (error) {
    if (!error.wait || tries < 1) throw error;
    await new Promise((done) => setTimeout(done, 1000 * error.wait));
    return fetched(address, tries - 1);
  }
}
