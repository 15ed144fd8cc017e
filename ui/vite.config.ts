// Builds the page so that it runs under a strict content security policy, from any folder, without outside requests.
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  base: "./",
  plugins: [svelte()],
  resolve: {
    alias: {
      // `@holochain/client` signs zome calls with libsodium: half a megabyte of WebAssembly that the page's policy
      // forbids. This stands in for the five names it uses, on top of an audited library.
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
