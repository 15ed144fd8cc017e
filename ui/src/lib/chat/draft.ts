// The unsent question survives a reload of this tab, where the browser allows keeping it.

const KEY = "ainonymous.draft";

export function keptDraft(): string {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

export function keepDraft(draft: string): void {
  try {
    sessionStorage.setItem(KEY, draft);
  } catch {
    // Storage is full or forbidden: the draft lives as long as the page.
  }
}
