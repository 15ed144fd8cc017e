// Hands a text to the browser as a file.

/** The address of the file is let go of when the browser has surely read it. */
const KEPT_MS = 10_000;

export function save(name: string, text: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), KEPT_MS);
}
