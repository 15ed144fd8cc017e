// Builds the page so that it runs under a strict content security policy, from any folder, without outside requests.
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Every browser that can run this page reads WOFF2: the two older forms of KaTeX's fonts are left out. */
function fontsOfToday() {
  return {
    name: "fonts-of-today",
    enforce: "pre" as const,
    transform: (code: string, id: string) =>
      id.includes("katex.min.css") ? code.replace(/,url\([^)]*\.(?:woff|ttf)\) format\("(?:woff|truetype)"\)/g, "") : undefined,
  };
}

export default defineConfig({
  base: "./",
  plugins: [svelte(), fontsOfToday()],
  resolve: {
    // Tests run components as a browser does.
    ...(process.env["VITEST"] ? { conditions: ["browser", "module", "development"] } : {}),
    alias: {
      // `@holochain/client` signs and hashes with WebAssembly, half a megabyte of it, which the page's policy forbids.
      // These stand in for the few names it uses, on top of an audited library.
      "@bitgo/blake2b": here("./src/lib/conductor/blake2b.ts"),
      "libsodium-wrappers": here("./src/lib/conductor/sodium.ts"),
    },
  },
  build: {
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: true,
  },
  test: {
    include: ["src/**/*.test.ts"],
    environment: "node",
  },
} as Parameters<typeof defineConfig>[0]);
