// Markdown as a list of blocks that grows: while an answer is written only its last block changes, so only that one is read
// and drawn again. Pure.
import { Marked } from "marked";
import type { Token, Tokens } from "marked";
import { math } from "./math";

export interface Block {
  readonly kind: "text" | "code";
  /** For `code` what stands between the fences. */
  readonly source: string;
  /** Language of code, as the model names it. */
  readonly language: string;
  readonly tokens: readonly Token[];
}

/** A list longer than this is cut between two of its items. */
const LIST_CHARS_MAX = 4_000;

export const reader = new Marked({ gfm: true, breaks: false, extensions: math });

export class Blocks {
  #text = "";
  #settled: Block[] = [];
  /** Where the part begins that may still change. */
  #from = 0;

  /** The blocks of a text. Cheap if the text only grew. */
  read(given: string): readonly Block[] {
    const text = given.includes("\r") ? given.replace(/\r\n?/g, "\n") : given;
    if (!text.startsWith(this.#text)) {
      this.#settled = [];
      this.#from = 0;
    }
    this.#text = text;
    const tokens = reader.lexer(text.slice(this.#from));
    const open = tokens.findLastIndex(isShown);
    for (const token of tokens.slice(0, Math.max(0, open))) this.#settle(token, token.raw.length);
    const last = tokens[open];
    if (last?.type === "list" && last.raw.length > LIST_CHARS_MAX) {
      const done = settledPart(last as Tokens.List);
      if (done !== null) this.#settle(done, done.raw.length);
    }
    const rest = open < 0 ? [] : reader.lexer(text.slice(this.#from));
    return [...this.#settled, ...rest.filter(isShown).map(blockOf)];
  }

  #settle(token: Token, length: number): void {
    this.#from += length;
    if (isShown(token)) this.#settled.push(blockOf(token));
  }
}

function isShown({ type }: Token): boolean {
  return type !== "space" && type !== "def";
}

function blockOf(token: Token): Block {
  if (token.type !== "code") return { kind: "text", source: token.raw, language: "", tokens: [token] };
  const { text, lang = "" } = token as Tokens.Code;
  return { kind: "code", source: text, language: /^[\w+#.-]{1,24}/.exec(lang)?.[0] ?? "", tokens: [] };
}

/** The items of a long list that will not change any more; null if there are none. */
function settledPart(list: Tokens.List): Tokens.List | null {
  const done = list.items.slice(0, -1);
  const raw = done.map((item) => item.raw).join("");
  return done.length > 0 && list.raw.startsWith(raw) ? { ...list, items: done, raw } : null;
}
