// Formulas in Markdown: `$…$`, `$$…$$`, `\(…\)`, `\[…\]`. Found here, drawn later: the text stands in an element that says so. Pure.
import type { TokenizerAndRendererExtension } from "marked";

/** Longest formula that is drawn, in characters. */
const TEX_CHARS_MAX = 4_000;

const inline: readonly RegExp[] = [/^\\\(([\s\S]+?)\\\)/, /^\$(?![\s$])((?:\\.|[^\\$\n])+?)(?<!\s)\$(?!\d)/];
const display: readonly RegExp[] = [/^\\\[([\s\S]+?)\\\]/, /^\$\$([\s\S]+?)\$\$/];

function extension(name: string, level: "inline" | "block", patterns: readonly RegExp[], isDisplay: boolean): TokenizerAndRendererExtension {
  return {
    name,
    level,
    start: (source) => {
      // A block begins with its line; elsewhere it would cut paragraphs in two.
      const at = level === "block" ? source.search(/\n(?:\$\$|\\\[)/) + 1 : source.search(/\$|\\[([]/);
      return at < (level === "block" ? 1 : 0) ? undefined : at;
    },
    tokenizer: (source) => {
      for (const pattern of patterns) {
        const [raw, tex] = pattern.exec(source) ?? [];
        if (raw === undefined || tex === undefined || tex.length > TEX_CHARS_MAX) continue;
        const end = level === "block" ? /^[ \t]*(?:\n+|$)/.exec(source.slice(raw.length))?.[0] : "";
        if (end === undefined) continue;
        return { type: name, raw: raw + end, tex: tex.trim() };
      }
      return undefined;
    },
    renderer: ({ tex }) => {
      const text = escape(String(tex));
      // Within a paragraph there is no room for a `div`.
      const tag = level === "block" ? "div" : "span";
      return `<${tag} class="math"${isDisplay ? ' data-display="true"' : ""}>${text}</${tag}>`;
    },
  };
}

export const math: TokenizerAndRendererExtension[] = [
  extension("mathBlock", "block", display, true),
  extension("mathDisplay", "inline", display, true),
  extension("mathInline", "inline", inline, false),
];

export function escape(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;").replace(/'/g, "&#39;");
}
