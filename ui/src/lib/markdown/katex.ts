// KaTeX, loaded when the first formula comes. It builds elements rather than HTML, so it fits the page's policy.
import katex from "katex";
import "katex/dist/katex.min.css";

export function draw(formula: HTMLElement): void {
  const tex = formula.textContent ?? "";
  try {
    katex.render(tex, formula, {
      displayMode: formula.dataset["display"] === "true",
      throwOnError: true,
      trust: false,
      strict: "ignore",
      maxExpand: 200,
      maxSize: 20,
    });
    formula.dataset["drawn"] = "true";
  } catch {
    formula.textContent = tex;
    formula.dataset["drawn"] = "false";
  }
}
