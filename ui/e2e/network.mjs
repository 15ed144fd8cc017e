// Real nodes on loopback for the browser, beginning with two: one that serves the tiny model, one whose page is opened.
// It knows the flags and JSON lines of `ainonymous`, nothing else of it.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createWriteStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const READY_LIMIT_MS = 120_000;
export const MODEL = fileURLToPath(new URL("../../tests/models/tiny-gemma-q8_0.gguf", import.meta.url));

/** What makes a node serve. */
export const SERVES = ["--serve", MODEL, "--threads", "1"];

/** Starts them and waits until both are ready. Whoever calls this calls `stop`. */
export async function startNetwork(binary) {
  const { up, stop } = await startNone(binary);
  try {
    const serving = up("serving", SERVES);
    const asking = up("asking", []);
    await serving.event("ready");
    const { chat, api } = await asking.event("listening");
    await asking.event("ready");
    /** The asking node once more, at the same address. */
    const restart = () => up("asking", ["--api", new URL(api).host]).event("ready");
    return { page: chat ?? api, serving, asking, up, stop, restart };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Only where nodes can meet: `up` starts one. Nodes of one name have one data folder, one after the other. */
export async function startNone(binary) {
  const dir = mkdtempSync(join(tmpdir(), "ainonymous-e2e-"));
  const nodes = [];
  const stop = async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    rmSync(dir, { recursive: true, force: true });
  };
  const start = (name, args) => {
    const node = new Node(name, binary, args, dir);
    nodes.push(node);
    return node;
  };
  try {
    const passphrase = join(dir, "passphrase");
    writeFileSync(passphrase, randomBytes(24).toString("hex"), { mode: 0o600 });
    const bootstrap = start("bootstrap", ["bootstrap", "--listen", "127.0.0.1:0", "--json"]);
    const { url } = await bootstrap.event("listening");
    const up = (name, more) =>
      start(name, [
        ...["up", "--json", ...(more.includes("--api") ? [] : ["--api", "127.0.0.1:0"]), "--network-tuning", "lan"],
        // A network of one's own knows where its members meet.
        ...(more.includes("--network") ? [] : ["--bootstrap", url]),
        ...["--receipt-interval-ms", "300", "--data-dir", join(dir, name), "--passphrase-file", passphrase, ...more],
      ]);
    return { up, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

class Node {
  #name;
  #child;
  #log;
  #events = [];
  #waiting = new Set();
  #ended;

  constructor(name, binary, args, dir) {
    this.#name = name;
    this.#log = join(dir, `${name}.log`);
    this.#child = spawn(binary, args, { cwd: dir, env: { ...process.env, NO_COLOR: "1" }, stdio: ["ignore", "pipe", "pipe"] });
    this.#child.stderr.pipe(createWriteStream(this.#log));
    this.#ended = new Promise((resolve) => this.#child.once("exit", resolve));
    createInterface({ input: this.#child.stdout }).on("line", (line) => {
      this.#events.push(parse(line));
      for (const wake of this.#waiting) wake();
    });
  }

  /** The first event of that name. */
  async event(name) {
    const deadline = Date.now() + READY_LIMIT_MS;
    for (let seen = 0; ; seen += 1) {
      while (seen >= this.#events.length) await this.#more(deadline, name);
      const event = this.#events[seen];
      if (event.error) throw this.#failure(event.error.message ?? JSON.stringify(event.error));
      if (event.event === name) return event;
    }
  }

  /** As if the machine had lost power. */
  async kill() {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }

  async stop() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 10_000);
    await this.#ended;
    clearTimeout(timer);
  }

  #more(deadline, name) {
    return new Promise((resolve, reject) => {
      const settle = (act) => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        act();
      };
      const wake = () => settle(resolve);
      const timer = setTimeout(() => settle(() => reject(this.#failure(`no “${name}” within its time`))), deadline - Date.now());
      this.#waiting.add(wake);
      void this.#ended.then(() => settle(() => reject(this.#failure(`it ended before “${name}”`))));
    });
  }

  #failure(detail) {
    let tail = "";
    try {
      tail = readFileSync(this.#log, "utf8").split("\n").slice(-20).join("\n");
    } catch {
      // It said nothing.
    }
    return new Error(`${this.#name}: ${detail}\n${tail}`);
  }
}

function parse(line) {
  try {
    return JSON.parse(line);
  } catch {
    return { event: "", line };
  }
}
