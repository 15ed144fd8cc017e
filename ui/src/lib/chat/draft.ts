// The unsent question of each conversation survives a reload of this tab, where the browser allows keeping it.

const key = (conversation: string) => `ainonymous.draft.${conversation}`;

export function keptDraft(conversation: string): string {
  try {
    return sessionStorage.getItem(key(conversation)) ?? "";
  } catch {
    return "";
  }
}

export function keepDraft(conversation: string, draft: string): void {
  try {
    if (draft === "") sessionStorage.removeItem(key(conversation));
    else sessionStorage.setItem(key(conversation), draft);
  } catch {
    // Storage is full or forbidden: the draft lives as long as the page.
  }
}
