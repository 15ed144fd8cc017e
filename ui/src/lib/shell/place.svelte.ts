// What is on screen, kept in the address after `#`, so that reload, back and a second tab lead to the same.

export type View = "chat" | "network" | "node" | "settings";
export interface Place {
  readonly view: View;
  readonly conversation: string | null;
}

export function parsePlace(hash: string): Place {
  const [, view = "", id = ""] = /^#\/(\w*)(?:\/([0-9a-f]{32}))?$/.exec(hash) ?? [];
  if (view === "network" || view === "node" || view === "settings") return { view, conversation: null };
  return { view: "chat", conversation: view === "c" && id !== "" ? id : null };
}

export function hashOf({ view, conversation }: Place): string {
  if (view !== "chat") return `#/${view}`;
  return conversation === null ? "#/" : `#/c/${conversation}`;
}
