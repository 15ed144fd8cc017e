// From blocks to elements. What a model writes is hostile input: it may be told what to write by whoever wrote the text that it
// reads. Two doors stand behind each other: the renderer makes nothing but the elements below and shows HTML as text; what it
// made goes through DOMPurify with the same list. No picture is ever fetched: it would tell a stranger that the answer is read.
import DOMPurify from "dompurify";
import type { Token } from "marked";
import { reader } from "./blocks";
import { escape } from "./math";

const TAGS = [
  ..."p br hr em strong del code a blockquote ul ol li h3 h4 h5 h6 table thead tbody tr th td span div sup sub".split(" "),
];
const ATTRIBUTES = ["href", "class", "start", "align", "data-display", "title"];
const LINKS = /^(?:https?:|mailto:)/i;
const DECORATION = /^<(?:\/?(?:sup|sub)|br\s*\/?)>$/i;

reader.use({
  renderer: {
    html: ({ text }) => (DECORATION.test(text.trim()) ? text.trim() : escape(text)),
    image: ({ href, text }) => (LINKS.test(href) ? `<a href="${escape(href)}" class="picture">${escape(text || href)}</a>` : escape(text)),
    link({ href, tokens }) {
      const text = this.parser.parseInline(tokens);
      return LINKS.test(href) ? `<a href="${escape(href)}">${text}</a>` : text;
    },
    // The page has its own headings above these.
    heading({ depth, tokens }) {
      const level = Math.min(6, depth + 2);
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>`;
    },
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
    code: ({ text }) => `<p><code>${escape(text)}</code></p>`,
  },
});

/** The elements of a block of text. */
export function elementsOf(tokens: readonly Token[], words: { readonly table: string }): DocumentFragment {
  const fragment = DOMPurify.sanitize(reader.parser([...tokens]), {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ATTRIBUTES,
    ALLOWED_URI_REGEXP: LINKS,
    ADD_URI_SAFE_ATTR: ["start", "data-display", "align"],
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
  });
  for (const link of fragment.querySelectorAll("a")) {
    link.target = "_blank";
    link.rel = "noopener noreferrer nofollow";
  }
  for (const table of fragment.querySelectorAll("table")) {
    // Wide tables scroll, and what scrolls is reachable by keyboard.
    const frame = document.createElement("div");
    frame.className = "table";
    frame.tabIndex = 0;
    frame.setAttribute("role", "region");
    frame.setAttribute("aria-label", words.table);
    table.replaceWith(frame);
    frame.append(table);
  }
  return fragment;
}

/** Draws the formulas below an element, once the library is here. What it cannot read stays text. */
export async function drawMath(element: HTMLElement): Promise<void> {
  const formulas = [...element.querySelectorAll<HTMLElement>(".math:not([data-drawn])")];
  if (formulas.length === 0) return;
  const { draw } = await import("./katex");
  for (const formula of formulas) if (formula.isConnected) draw(formula);
}
