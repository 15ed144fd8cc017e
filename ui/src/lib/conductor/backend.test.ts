// The backend against a conductor that exists only here: what it asks, whom, and what it makes of the replies.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { AnswerEvent, BackendState, Model } from "../chat/backend";
import type { Ask, AuditQuery, PeerSignal, ReceiptBatchRecord, SendSignal } from "../generated/types";
import { limits } from "../generated/types";
import { filled, spec, specRecord, testAsk, TestProvider } from "../testing/provider";
import * as askBytes from "../verify/ask";
import { equal, fromHex, toHex } from "../verify/bytes";
import * as commit from "../verify/commit";
import { verify } from "../verify/ed25519";
import { ConductorBackend, stageOf } from "./backend";
import { BlockedError } from "./link";
import type { Link, LinkListener } from "./link";

vi.mock("./link", () => ({
  BlockedError: class extends Error {
    constructor(readonly why: string) {
      super(why);
    }
  },
}));

const one = new TestProvider(1);
const two = new TestProvider(2);
const batch = filled(39, 5);

/** A conductor whose peers do what the test says. */
class TestConductor {
  /** Pages by the function that reads them. */
  published = new Map<string, unknown>();
  providers = [one.record(100)];
  warranted: Uint8Array[] = [];
  batches = new Map<string, ReceiptBatchRecord>();
  sent: { to: Uint8Array; signal: PeerSignal }[] = [];
  onSent: (to: TestProvider, signal: PeerSignal) => void = () => undefined;
  openings = 0;
  refuse: Error | null = null;
  /** Its socket is open and says nothing. */
  isAsleep = false;
  standing = { hasAddress: true, agents: 1, connections: 0 };
  #listener: LinkListener | null = null;

  open = async (listener: LinkListener): Promise<Link> => {
    this.openings += 1;
    if (this.refuse !== null) throw this.refuse;
    this.#listener = listener;
    return { agent: filled(39, 1), dna: null, standing: () => (this.isAsleep ? new Promise(() => undefined) : Promise.resolve(this.standing)), close: () => undefined, call: (fn, payload) => this.#call(fn, payload) };
  };

  say(from: TestProvider, ...signals: PeerSignal[]): void {
    for (const signal of signals) this.#listener?.onSignal({ type: "peer", from: from.agent, signal });
  }

  break(): void {
    this.#listener?.onClosed();
  }

  async #call(fn: string, payload: unknown): Promise<unknown> {
    switch (fn) {
      case "get_all_model_specs":
        return [specRecord];
      case "get_providers_for_model_spec":
        return this.providers;
      case "get_agent_standing":
        return { actions: 5, warrants: this.warranted.some((agent) => equal(agent, payload as Uint8Array)) ? ["bad"] : [] };
      case "get_receipt_batch":
        return this.batches.get(toHex(payload as Uint8Array)) ?? null;
      case "get_audit_reports": {
        const { subject } = payload as AuditQuery;
        if (subject.type === "conviction") return this.published.get(`jury of ${toHex(subject.of)}`) ?? { found: [], next: null };
        expect(payload).toEqual({ subject: { type: "provider", of: one.agent }, before: null });
        return this.published.get(fn) ?? { found: [], next: null };
      }
      case "get_appeals":
      case "get_accusations":
      case "get_convictions":
      case "get_equivocations":
        expect(payload).toEqual({ subject: { type: "provider", of: one.agent }, before: null });
        return this.published.get(fn) ?? { found: [], next: null };
      case "send_signal": {
        const { to, signal } = payload as SendSignal;
        for (const agent of to) {
          this.sent.push({ to: agent, signal });
          const provider = [one, two].find((candidate) => equal(candidate.agent, agent));
          if (provider !== undefined) queueMicrotask(() => this.onSent(provider, signal));
        }
        return null;
      }
      default:
        throw new Error(`no such function: ${fn}`);
    }
  }
}

let conductor: TestConductor;
let backend: ConductorBackend;
let states: BackendState[];

beforeEach(() => {
  vi.useFakeTimers();
  conductor = new TestConductor();
  states = [];
});

afterEach(() => {
  backend.close();
  vi.useRealTimers();
});

async function connect(): Promise<Model> {
  backend = new ConductorBackend({ open: conductor.open, showHash: toHex, now: () => performance.now() });
  backend.subscribe((state) => states.push(state));
  await vi.advanceTimersByTimeAsync(10);
  const state = backend.state;
  if (state.at !== "ready") throw new Error(`not ready but ${state.at}`);
  return state.models[0] as Model;
}

function ask(model: Model, stop = new AbortController().signal, prefer: string | null = null) {
  const events: AnswerEvent[] = [];
  const asking = (async () => {
    const options = { conversation: "a", images: new Map(), model, input: testAsk().input, prefer, avoid: new Set<string>(), only: null, hides: false, answers: 1, stop };
    for await (const event of backend.ask(options)) events.push(event);
  })();
  return { events, asking };
}

function asks(): Ask[] {
  return conductor.sent.map(({ signal }) => signal).filter((signal) => signal.type === "ask");
}

function textOf(events: readonly AnswerEvent[]): string {
  return events.map((event) => (event.type === "text" ? event.text : "")).join("");
}

describe("the connection", () => {
  it("goes from connecting to joining to ready", async () => {
    conductor.providers = [];
    backend = new ConductorBackend({ open: conductor.open, showHash: toHex, now: () => performance.now() });
    backend.subscribe((state) => states.push(state));
    await vi.advanceTimersByTimeAsync(100);
    expect(states.at(-1)).toEqual({ at: "joining", stage: "peers" });
    conductor.standing = { hasAddress: true, agents: 2, connections: 1 };
    await vi.advanceTimersByTimeAsync(2_000);
    expect(states.at(-1)).toEqual({ at: "joining", stage: "providers" });
    conductor.providers = [one.record(100)];
    await vi.advanceTimersByTimeAsync(2_000);
    expect(states[0]?.at).toBe("connecting");
    expect(states.at(-1)).toMatchObject({ at: "ready", models: [{ name: "tiny", id: toHex(spec) }] });
  });

  it("comes back after a break, waiting longer each time", async () => {
    await connect();
    conductor.refuse = new Error("refused");
    conductor.break();
    expect(backend.state.at).toBe("offline");
    await vi.advanceTimersByTimeAsync(20_000);
    expect(conductor.openings).toBeGreaterThan(3);
    expect(conductor.openings).toBeLessThan(9);
    conductor.refuse = null;
    await vi.advanceTimersByTimeAsync(20_000);
    expect(backend.state.at).toBe("ready");
  });

  it("notices after sleep that the socket is dead, and leaves a live one alone", async () => {
    await connect();
    backend.wake();
    await vi.advanceTimersByTimeAsync(5_000);
    expect([backend.state.at, conductor.openings]).toEqual(["ready", 1]);
    conductor.isAsleep = true;
    backend.wake();
    await vi.advanceTimersByTimeAsync(2_900);
    expect(backend.state.at).toBe("ready");
    await vi.advanceTimersByTimeAsync(200);
    expect(backend.state.at).toBe("offline");
    conductor.isAsleep = false;
    backend.wake();
    await vi.advanceTimersByTimeAsync(100);
    expect(backend.state.at).toBe("ready");
  });

  it("stops trying when trying cannot help, until somebody asks for it", async () => {
    conductor.refuse = new BlockedError("token_refused", null);
    backend = new ConductorBackend({ open: conductor.open, showHash: toHex, now: () => performance.now() });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(backend.state).toEqual({ at: "blocked", why: "token_refused" });
    expect(conductor.openings).toBe(1);
    conductor.refuse = null;
    backend.reconnect();
    await vi.advanceTimersByTimeAsync(100);
    expect(backend.state.at).toBe("ready");
  });
});

describe("the network as it is seen", () => {
  it("names who serves what, and what is not known", async () => {
    await connect();
    const seen = await backend.network();
    expect(seen).toMatchObject({ self: toHex(filled(39, 1)), network: null, online: 0 });
    expect(seen.readAgoS).toBeLessThan(1);
    expect(seen.peers).toMatchObject([{ key: toHex(one.agent), models: [{ label: "tiny q8_0", tokensPerS: 100 }], roundTripMs: null, route: "signals" }]);
  });

  it("has a stage for each step of joining", () => {
    const at = (hasAddress: boolean, agents: number, connections: number) => stageOf({ hasAddress, agents, connections });
    expect([stageOf(null), at(false, 0, 0), at(true, 0, 0), at(true, 1, 0), at(true, 2, 1)]).toEqual(["peers", "relay", "bootstrap", "peers", "providers"]);
  });
});

describe("asking", () => {
  it("signs the question with the session's key, streams the answer, and checks its receipt", async () => {
    const model = await connect();
    conductor.onSent = (to, signal) => {
      if (signal.type !== "ask") return;
      const signals = to.answer(signal, ["Par", "is"]);
      conductor.say(to, { type: "accepted", id: signal.id, queue_position: 0 }, ...signals);
      const done = signals.at(-1);
      if (done?.type !== "done") return;
      const { proof, record } = to.publish(done.receipt, batch);
      conductor.batches.set(toHex(batch), record);
      conductor.say(to, { type: "receipt_published", id: signal.id, proof });
    };
    const { events, asking } = ask(model);
    await vi.advanceTimersByTimeAsync(1_000);
    await asking;

    expect(textOf(events)).toBe("Paris");
    expect(events.map(({ type }) => type)).toEqual(["asked", "queued", "text", "text", "answered", "receipt", "receipt"]);
    expect(events.at(-2)).toMatchObject({ receipt: { at: "signed" }, whole: expect.stringContaining('"batch": null') });
    expect(events.at(-1)).toMatchObject({ type: "receipt", receipt: { at: "checked", action: toHex(batch) } });
    expect(events[4]).toMatchObject({ statement: { completionTokens: 2, firstTokenMs: 40, tokensPerS: 1_000 } });
    const [sent] = asks() as [Ask];
    const commitment = commit.input(sent.salt, sent.input);
    const bytes = askBytes.canonical(sent.id, sent.spec, commitment, sent.session_key, sent.audit);
    expect(verify(sent.session_key, bytes, sent.signature)).toBe(true);
    const last = events.at(-1);
    const file = JSON.parse(last?.type === "receipt" ? (last.whole ?? "") : "");
    expect(file).toMatchObject({ format: "ainonymous-receipt", id: { hex: toHex(sent.id) }, tokens: [0, 1], text: "Paris", more: null, batch: { index: 0 }, fingerprint: null });
    expect(file.question.messages.at(-1).content).toBe(sent.input.messages.at(-1)?.content);
    // Whoever asks like this may audit, and the file shows whether the dice said so.
    expect(askBytes.challenge(fromHex(file.secret.hex))).toEqual(sent.audit.challenge);
    expect(sent.audit.rate_ppm).toBe(limits.PPM_MAX);
    expect(conductor.sent.filter(({ signal }) => signal.type === "cancel")).toEqual([]);
  });

  it("does not believe a batch that does not contain the receipt", async () => {
    const model = await connect();
    conductor.onSent = (to, signal) => {
      if (signal.type !== "ask") return;
      const done = to.answer(signal, ["x"]).at(-1);
      if (done?.type !== "done") return;
      const { proof, record } = to.publish(done.receipt, batch);
      conductor.batches.set(toHex(batch), { ...record, batch: { ...record.batch, root: filled(32, 1) } });
      conductor.say(to, ...to.answer(signal, ["x"]), { type: "receipt_published", id: signal.id, proof });
    };
    const { events, asking } = ask(model);
    await vi.advanceTimersByTimeAsync(60_000);
    await asking;
    expect(events.at(-1)).toMatchObject({ receipt: { at: "false" } });
  });

  it("asks where the receipt is when the news does not come", async () => {
    const model = await connect();
    let published: PeerSignal | null = null;
    conductor.onSent = (to, signal) => {
      if (signal.type === "ask") {
        const signals = to.answer(signal, ["x"]);
        const done = signals.at(-1);
        if (done?.type !== "done") return;
        const { proof, record } = to.publish(done.receipt, batch);
        conductor.batches.set(toHex(batch), record);
        published = { type: "receipt_published", id: signal.id, proof };
        conductor.say(to, ...signals);
      } else if (signal.type === "resend" && published !== null) conductor.say(to, published);
    };
    const { events, asking } = ask(model);
    await vi.advanceTimersByTimeAsync(70_000);
    await asking;
    expect(events.at(-1)).toMatchObject({ receipt: { at: "checked" } });
  });

  it("passes the question on when a provider is silent, and says so", async () => {
    conductor.providers = [one.record(100), two.record(1)];
    const model = await connect();
    conductor.onSent = (to, signal) => {
      if (signal.type === "ask" && to === two) conductor.say(to, ...to.answer(signal, ["yes"]));
    };
    const { events } = ask(model, undefined, toHex(one.agent));
    await vi.advanceTimersByTimeAsync(6_000);
    expect(events.map(({ type }) => type)).toEqual(["asked", "passed_on", "asked", "text", "answered", "receipt"]);
    expect(events[1]).toMatchObject({ from: { key: toHex(one.agent) }, failure: { code: "silent" } });
    expect(backend.outlook(model, { prefer: toHex(one.agent), only: null, hides: false, answers: 1, dice: 0 })).toMatchObject({ readers: { by: "one", provider: { key: toHex(two.agent) }, others: 1 }, hurdle: null });
    expect(backend.outlook(model, { prefer: null, only: "friends", hides: false, answers: 1, dice: 0 })?.hurdle).toBe("nobody_allowed");
    expect(backend.outlook(model, { prefer: null, only: null, hides: true, answers: 1, dice: 0 })?.hurdle, "signals show who asks").toBe("cannot_hide");
  });

  it("names the silence of the only provider within five seconds", async () => {
    const model = await connect();
    const { events, asking } = ask(model);
    await vi.advanceTimersByTimeAsync(4_999);
    await asking;
    expect(events.at(-1)).toEqual({ type: "failed", failure: { code: "silent", detail: "" } });
    expect(asks()).toHaveLength(2);
    expect(asks()[0]?.id).toEqual(asks()[1]?.id);
    expect(conductor.sent.at(-1)?.signal.type).toBe("cancel");
  });

  it("does not pass on what no provider could answer", async () => {
    conductor.providers = [one.record(100), two.record(1)];
    const model = await connect();
    conductor.onSent = (to, signal) => {
      if (signal.type === "ask") conductor.say(to, { type: "refused", id: signal.id, reason: "prompt_too_long", detail: "600 of 512 tokens" });
    };
    const { events, asking } = ask(model);
    await vi.advanceTimersByTimeAsync(100);
    await asking;
    expect(events.at(-1)).toEqual({ type: "failed", failure: { code: "prompt_too_long", detail: "600 of 512 tokens" } });
    expect(asks()).toHaveLength(1);
  });

  it("does not start anew with another provider in mid-answer", async () => {
    conductor.providers = [one.record(100), two.record(1)];
    const model = await connect();
    conductor.onSent = (to, signal) => {
      if (signal.type === "ask") conductor.say(to, ...to.answer(signal, ["half", " of it"]).slice(0, 1));
    };
    const { events, asking } = ask(model);
    await vi.advanceTimersByTimeAsync(6_000);
    await asking;
    expect(textOf(events)).toBe("half");
    expect(events.at(-1)).toMatchObject({ type: "failed", failure: { code: "gone" } });
  });

  it("never asks whoever is warranted", async () => {
    conductor.warranted = [one.agent];
    const model = await connect();
    await vi.advanceTimersByTimeAsync(100);
    expect(backend.outlook(model, { prefer: null, only: null, hides: false, answers: 1, dice: 0 })).toBeNull();
    const { events, asking } = ask(model);
    await asking;
    expect(events).toEqual([{ type: "failed", failure: { code: "no_provider", detail: "" } }]);
  });

  it("tells the provider when it is stopped, and says nothing more", async () => {
    const model = await connect();
    conductor.onSent = (to, signal) => {
      if (signal.type === "ask") conductor.say(to, ...to.answer(signal, ["Once", " upon"]).slice(0, 1));
    };
    const stop = new AbortController();
    const { events, asking } = ask(model, stop.signal);
    await vi.advanceTimersByTimeAsync(100);
    stop.abort();
    await vi.advanceTimersByTimeAsync(0);
    await asking;
    expect(conductor.sent.at(-1)?.signal.type).toBe("cancel");
    expect(events.at(-1)?.type).toBe("text");
  });

  it("tells the provider when the page closes", async () => {
    const model = await connect();
    ask(model);
    await vi.advanceTimersByTimeAsync(100);
    backend.close();
    await vi.advanceTimersByTimeAsync(0);
    expect(conductor.sent.at(-1)?.signal.type).toBe("cancel");
  });

  it("survives a break of the connection in mid-answer", async () => {
    const model = await connect();
    let sent: Ask | null = null;
    conductor.onSent = (to, signal) => {
      if (signal.type === "ask") {
        sent = signal;
        conductor.say(to, ...to.answer(signal, ["a", "b"]).slice(0, 1));
      } else if (signal.type === "resend" && sent !== null) {
        conductor.say(to, ...to.answer(sent, ["a", "b"]).slice(signal.from_chunk));
      }
    };
    const { events } = ask(model);
    await vi.advanceTimersByTimeAsync(100);
    conductor.break();
    await vi.advanceTimersByTimeAsync(3_000);
    expect(textOf(events)).toBe("ab");
    expect(events.at(-2)?.type).toBe("answered");
  });

  it("blames the connection, not the provider, while there is none", async () => {
    const model = await connect();
    const { events, asking } = ask(model);
    await vi.advanceTimersByTimeAsync(100);
    conductor.refuse = new Error("refused");
    conductor.break();
    await vi.advanceTimersByTimeAsync(6_000);
    await asking;
    expect(events.at(-1)).toMatchObject({ type: "failed", failure: { code: "disconnected" } });
  });

  it("reads what is published about a provider", async () => {
    await connect();
    const found = (entry: unknown) => ({ found: [{ action: filled(39, 7), author: two.agent, linked_at: 2_000_000, entry }], next: null });
    const statistics = { tokens: 32, delta_sum: 2_048, delta_window: 0, delta_position: 0, margin_sum: 0, margin_window: 0, tail: 0, impossible: 1 };
    conductor.published.set("get_audit_reports", found({ commit: { mode: "canary" }, report: { verdict: "fail", outcome: { measured: statistics } }, shows: true }));
    conductor.published.set("get_accusations", found({ provider: one.agent, reports: [filled(39, 8)] }));
    conductor.published.set("get_convictions", { ...found({ accusation: filled(39, 9), confirmations: [filled(39, 10)] }), next: 5 });
    const again = found({ conviction: filled(39, 7) });
    conductor.published.set("get_appeals", { ...again, found: [...again.found, ...again.found, ...found({ conviction: filled(39, 11) }).found] });
    const said = (juror: number, verdict: string) => found({ commit: { mode: { appeal: filled(39, 7) } }, report: { verdict } }).found.map((one) => ({ ...one, action: filled(39, juror) }));
    conductor.published.set(`jury of ${toHex(filled(39, 7))}`, { found: [...said(20, "pass"), ...said(21, "fail"), ...said(22, "inconclusive")], next: null });
    const about = { action: toHex(filled(39, 7)), author: toHex(two.agent), atMs: 2_000 };
    const appeal = { ...about, passed: [toHex(filled(39, 20))], failed: [toHex(filled(39, 21))], isOverturned: null };
    expect(await backend.findings(toHex(one.agent))).toEqual({
      reports: [{ ...about, audit: "disputed", why: "not_as_honest", isCanary: true, tokens: 32, distance: 0.5, impossible: 1 }],
      accusations: [{ ...about, reports: [toHex(filled(39, 8))] }],
      convictions: [{ ...about, accusation: toHex(filled(39, 9)), confirmations: [toHex(filled(39, 10))], appeal, isBelieved: null }],
      equivocations: [],
      hasMore: true,
    });
    const silent = { not_opened: { ...statistics, delta_sum: 0 } };
    for (const [verdict, why] of [["fail", "other_tokens"], ["inconclusive", "not_opened"]]) {
      conductor.published.set("get_audit_reports", found({ commit: { mode: "drawn" }, report: { verdict, outcome: silent }, shows: false }));
      expect((await backend.findings(toHex(one.agent))).reports).toMatchObject([{ why, tokens: null, distance: null, impossible: null }]);
    }
    await expect(backend.findings("beef")).rejects.toThrow("nobody of that key");
  });

  it("keeps one session key for a conversation and takes another for the next", async () => {
    const model = await connect();
    conductor.onSent = (to, signal) => {
      if (signal.type === "ask") conductor.say(to, { type: "refused", id: signal.id, reason: "malformed", detail: "" });
    };
    for (const conversation of ["1", "1", "2"]) {
      const options = { conversation, images: new Map(), model, input: testAsk().input, prefer: null, avoid: new Set<string>(), only: null, hides: false, answers: 1, stop: new AbortController().signal };
      for await (const event of backend.ask(options)) void event;
    }
    const [first, second, third] = asks().map(({ session_key }) => toHex(session_key));
    expect(first).toBe(second);
    expect(third).not.toBe(first);
    expect(new Set(asks().map(({ id }) => toHex(id))).size).toBe(3);
  });
});
