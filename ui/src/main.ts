// Starts the page with the backend that its runtime offers: the sidecar's API where the sidecar served it, else the conductor.
import { mount } from "svelte";
import App from "./App.svelte";
import "./app.css";
import type { ChatBackend } from "./lib/chat/backend";
import { SidecarBackend } from "./lib/sidecar/backend";
import { NodeControl } from "./lib/sidecar/node";
import { openStore } from "./lib/store/store";

declare global {
  interface Window {
    /** What the sidecar writes into the page that it serves. */
    __AINONYMOUS_NODE__?: { readonly token: string };
  }
}

async function backendHere(): Promise<ChatBackend> {
  if (window.__AINONYMOUS_NODE__ !== undefined) return new SidecarBackend();
  // Half of the script: not needed where the sidecar answers.
  const [{ ConductorBackend }, { openLink, showHash }] = await Promise.all([import("./lib/conductor/backend"), import("./lib/conductor/link")]);
  return new ConductorBackend({ open: openLink, showHash, now: () => performance.now() });
}

const target = document.getElementById("app");
if (target === null) throw new Error("index.html has no #app");
const token = window.__AINONYMOUS_NODE__?.token;
const [backend, { store, isKept }] = await Promise.all([backendHere(), openStore()]);
mount(App, { target, props: { backend, node: token === undefined ? null : new NodeControl(token), store, isKept } });
