/** Who is looking: somebody of the log by an id, or a guest whose history lies in this tab alone. */

import { call } from "./api.js";

const KEPT = "llmrec.who";
const RECENT = 30;

/** `taken` and `dismissed` are those that this page knows of; of a person the gateway knows them as well. */
export const who = { kind: null, id: null, taken: [], dismissed: [], more: 0 };

const keep = () => sessionStorage.setItem(KEPT, JSON.stringify(who));

/** Whoever it was before the page was loaded again. */
export function restore() {
  try {
    Object.assign(who, JSON.parse(sessionStorage.getItem(KEPT) ?? "{}"));
  } catch {
    sessionStorage.removeItem(KEPT);
  }
  return who.kind !== null;
}

export function become(kind, id = null) {
  Object.assign(who, { kind, id, taken: [], dismissed: [], more: 0 });
  keep();
}

/** How requests name who asks. */
export function somebody() {
  if (who.kind === "person") return { user: who.id };
  return { history: who.taken.map((one) => one.item), exclude: who.dismissed };
}

/** The same for explanations, which leave nothing out. */
export function reader() {
  const { exclude, ...rest } = somebody();
  return rest;
}

/** What a person took, the newest last, with its fields. */
export async function remember() {
  if (who.kind !== "person") return;
  const id = who.id;
  const { taken } = await call(`/v1/people/${encodeURIComponent(id)}/history`);
  const last = taken.slice(-RECENT);
  const query = [...new Set(last)].map((item) => `item=${encodeURIComponent(item)}`).join("&");
  const found = last.length ? (await call(`/v1/items?${query}`)).data : [];
  const known = new Map(found.map((one) => [one.item, one]));
  if (who.id !== id) return;
  who.taken = last.map((item) => known.get(item)).filter(Boolean);
  who.more = taken.length - who.taken.length;
  keep();
}

const own = () => [...crypto.getRandomValues(new Uint8Array(12))].map((one) => one.toString(16).padStart(2, "0")).join("");

/** Take or dismiss an item: here at once; where the gateway will not have it, it is taken back and the error goes on. */
export async function did(kind, item) {
  if (kind === "dismiss") who.dismissed = [...who.dismissed, item.item];
  else who.taken = [...who.taken, item];
  keep();
  if (who.kind !== "person") return;
  try {
    await call("/v1/events", { events: [{ key: `page-${own()}`, user: who.id, item: item.item, kind }] });
  } catch (error) {
    who.taken = who.taken.filter((one) => one !== item);
    who.dismissed = who.dismissed.filter((one) => one !== item.item || kind !== "dismiss");
    keep();
    throw error;
  }
}

/** Take a guest's item out of the history again. */
export function without(item) {
  who.taken = who.taken.filter((one) => one.item !== item);
  keep();
}
