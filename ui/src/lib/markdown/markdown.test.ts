// @vitest-environment jsdom
// Markdown as it grows, and Markdown that means harm.
import { describe, expect, it } from "vitest";
import { Blocks } from "./blocks";
import { elementsOf } from "./html";

const long = [
  "# Title\n\nOne *two* `three`.\n\n- a\n- b\n  - c\n\n1. x\n2. y\n\n```rust\nfn main() {}\n```\n\n> quote\n\n",
  "| a | b |\n|---|---|\n| 1 | 2 |\n\n$$\nx^2\n$$\n\nThe end with $y$ and \\(z\\).\n",
].join("");

function html(text: string): string {
  const frame = document.createElement("div");
  for (const block of new Blocks().read(text)) {
    if (block.kind === "code") frame.append(block.source);
    else frame.append(elementsOf(block.tokens, { table: "Table" }));
  }
  return frame.innerHTML;
}

describe("blocks", () => {
  it("are the same however the text came", () => {
    const whole = new Blocks().read(long);
    const growing = new Blocks();
    for (let end = 1; end <= long.length; end += 3) growing.read(long.slice(0, end));
    const grown = growing.read(long);
    expect(grown.map(({ kind, source }) => [kind, source.trim()])).toEqual(whole.map(({ kind, source }) => [kind, source.trim()]));
    expect(whole.map(({ kind }) => kind)).toContain("code");
  });

  it("that are settled are not made again", () => {
    const growing = new Blocks();
    const first = growing.read("One.\n\nTwo.\n\nThr");
    const second = growing.read("One.\n\nTwo.\n\nThree, and mo");
    expect(second[0]).toBe(first[0]);
    expect(second[1]).toBe(first[1]);
    expect(second[2]).not.toBe(first[2]);
  });

  it("begin anew when the text is another", () => {
    const blocks = new Blocks();
    blocks.read("One.\n\nTwo.");
    expect(blocks.read("Three.").map(({ source }) => source)).toEqual(["Three."]);
  });

  it("of a long list settle before its end, and keep their numbers", () => {
    const items = Array.from({ length: 400 }, (_, at) => `${at + 1}. item number ${at + 1}`);
    const blocks = new Blocks();
    let read = blocks.read("");
    for (let count = 1; count <= items.length; count += 1) read = blocks.read(items.slice(0, count).join("\n"));
    expect(read.length).toBeGreaterThan(1);
    expect(read.map(({ source }) => source).join("")).toBe(items.join("\n"));
    expect(html(items.join("\n"))).toContain('<ol start="400">');
  });

  it("may have the line ends of other systems", () => {
    expect(new Blocks().read("a\r\n\r\nb").map(({ source }) => source)).toEqual(["a", "b"]);
  });
});

describe("what is drawn", () => {
  it("has tables that can be reached, headings below the page's, formulas as text", () => {
    const drawn = html(long);
    expect(drawn).toContain("<h3>Title</h3>");
    expect(drawn).toContain('<div class="table" tabindex="0" role="region" aria-label="Table"><table>');
    expect(drawn).toContain('<div class="math" data-display="true">x^2</div>');
    expect(drawn).toContain('<span class="math">y</span>');
    expect(drawn).toContain('<span class="math">z</span>');
    expect(html("It costs $5 and then $6.")).toContain("$5 and then $6");
  });

  it.each([
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)><a href=javascript:alert(1)>x</a></svg>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "![x](https://evil.example/beacon.png)",
    "![x](data:image/svg+xml;base64,PHN2Zz4=)",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](data:text/html,<script>alert(1)</script>)",
    "<a href='https://ok.example' onclick='alert(1)'>x</a>",
    "<https://ok.example\" onmouseover=alert(1)>",
    "[x](https://ok.example \"onmouseover=alert(1) x='\")",
    "`<img src=x onerror=alert(1)>`",
    "<style>*{background:url(https://evil.example)}</style>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<form action=https://evil.example><button>x</button></form>",
    "<div style='position:fixed;inset:0'>x</div>",
    "$\\href{javascript:alert(1)}{x}$",
  ])("does nothing: %s", (hostile) => {
    const frame = document.createElement("div");
    frame.innerHTML = html(hostile);
    expect(frame.querySelector("script, img, svg, iframe, style, form, button, object, embed, math, input")).toBeNull();
    for (const element of frame.querySelectorAll("*")) {
      for (const { name, value } of element.attributes) {
        expect(name).not.toMatch(/^on|^style$|^src/);
        if (name === "href") expect(value).toMatch(/^(https?:|mailto:)/);
      }
    }
  });

  it("keeps links harmless and HTML readable", () => {
    expect(html("[x](https://ok.example)")).toContain('<a href="https://ok.example" target="_blank" rel="noopener noreferrer nofollow">x</a>');
    expect(html("a <b>c</b>")).toContain("&lt;b&gt;c&lt;/b&gt;");
    expect(html("a<br>b")).toContain("<br>");
    expect(html("- [x] done")).toContain("☑ done");
  });
});
