// Files that a person adds to a question. Text is text if it is UTF-8; images are made small enough for the wire.
import type { Attachment } from "./conversation";

export const FILES_MAX = 16;
const TEXT_BYTES_MAX = 512 << 10;
const IMAGE_BYTES_MAX = 8 << 20;
/** Longest side of an image that is sent, in pixels; models look at fewer. */
const IMAGE_SIDE_MAX = 2_048;

export type Unfit = "too_large" | "not_text" | "no_image_here" | "image_unreadable";

export async function attach(file: File, takesImages: boolean): Promise<Attachment | Unfit> {
  if (file.type.startsWith("image/")) return takesImages ? image(file) : "no_image_here";
  if (file.size > TEXT_BYTES_MAX) return "too_large";
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
    return text.includes("\0") ? "not_text" : { kind: "text", name: file.name, text };
  } catch {
    return "not_text";
  }
}

/** Drawn again: smaller, without what cameras write beside the picture. */
async function image(file: File): Promise<Attachment | Unfit> {
  if (file.size > 8 * IMAGE_BYTES_MAX) return "too_large";
  try {
    const bitmap = await createImageBitmap(file);
    const scale = Math.min(1, IMAGE_SIDE_MAX / Math.max(bitmap.width, bitmap.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(bitmap.width * scale));
    canvas.height = Math.max(1, Math.round(bitmap.height * scale));
    canvas.getContext("2d")?.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    bitmap.close();
    const url = canvas.toDataURL(file.type === "image/png" ? "image/png" : "image/jpeg", 0.9);
    return url.length > IMAGE_BYTES_MAX ? "too_large" : { kind: "image", name: file.name, url };
  } catch {
    return "image_unreadable";
  }
}
