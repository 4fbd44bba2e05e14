/** Pictures that a person shows: chosen, dropped or pasted, made small here before they are sent. */

import { $, h } from "./dom.js";
import { show } from "./api.js";

const SIDE = 1024;
const QUALITY = 0.86;

/** An item's picture, or where there is none its first letter. */
export function pictureOf(item, given = {}) {
  const bare = () => h("span", { class: "bare", "aria-hidden": "true" }, [...item.title.trim()][0]?.toUpperCase() ?? "");
  if (!item.picture) return bare();
  const image = h("img", { alt: "", decoding: "async", draggable: false, ...given });
  image.addEventListener("load", () => image.classList.add("there"), { once: true });
  image.addEventListener("error", () => image.replaceWith(bare()), { once: true });
  show(image, item.picture);
  return image;
}

/** A picture file as a data URI of no more than 1,024 pixels a side. */
export async function shrunk(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error("This file is no picture that can be read. Take a JPEG, PNG or WebP.");
  }
  const scale = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = h("canvas", {
    width: Math.max(1, Math.round(bitmap.width * scale)),
    height: Math.max(1, Math.round(bitmap.height * scale)),
  });
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, canvas.width, canvas.height); // what is transparent would become black
  pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return canvas.toDataURL("image/jpeg", QUALITY);
}

const held = (transfer) => [...(transfer?.files ?? [])].find((file) => file.type.startsWith("image/"));

/** Take pictures that are dropped or pasted anywhere: `chat` gets those over the conversation, `search` all others. */
export function listen({ search, chat }) {
  const over = (event) => Boolean(event.target.closest?.("#ask"));
  const carries = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  let depth = 0;
  const end = () => {
    depth = 0;
    document.body.classList.remove("dropping");
  };
  addEventListener("dragenter", (event) => {
    if (!carries(event)) return;
    depth += 1;
    document.body.classList.add("dropping");
  });
  addEventListener("dragleave", () => {
    depth -= 1;
    if (depth <= 0) end();
  });
  addEventListener("dragover", (event) => carries(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    end();
    const file = held(event.dataTransfer);
    if (file) (over(event) ? chat : search)(file);
  });
  addEventListener("paste", (event) => {
    const file = held(event.clipboardData);
    if (!file || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    (over(event) ? chat : search)(file);
  });
}

/** Let a person choose a picture file. */
export function choose() {
  const input = $("file");
  input.value = "";
  return new Promise((done) => {
    input.onchange = () => done(input.files[0] ?? null);
    input.click();
  });
}
