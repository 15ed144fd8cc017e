// The sidecar's API as a backend, against replies that exist only here.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { AnswerEvent, AskOptions, BackendState, Model } from "../chat/backend";
import { bodyOf, SidecarBackend } from "./backend";
import { NodeControl } from "./node";
import { events } from "./sse";

const peer = { agent: "uhCAkPEER", kinship: "friend", device: "avx2", route: "direct", failing: false, models: [{ id: "tiny:q8_0", claimed_tokens_per_s: 90, measured_tokens_per_s: 120.5, heard: { ago_s: 3, round_trip_ms: 2.5, queued: 1, slots: 4, free_slots: 0, milli_price: 0 } }] };
const entry = { id: "tiny:q8_0", local: false, state: "loaded", problem: null, providers: ["uhCAkPEER"], context_tokens: 512, file_bytes: 5, details: null, unloads_in_s: null };

let network: unknown;
let models: unknown[];
let peers: unknown[];
let audits: unknown;
let reply: (path: string, init: RequestInit) => Response | Promise<Response>;
let requests: { path: string; init: RequestInit }[];
let backend: SidecarBackend | null;

beforeEach(() => {
  vi.useFakeTimers();
  network = { state: "ready", peers: 1 };
  models = [entry];
  peers = [peer];
  audits = { show_auditors: "all", providers: [], last: [] };
  requests = [];
  backend = null;
  reply = () => json({}, 404);
  vi.stubGlobal("fetch", async (path: string, init: RequestInit) => {
    requests.push({ path, init });
    if (path === "/ainonymous/v1/status") return json({ version: "1", phase: { phase: "running" }, network, agent: "uhCAkSELF", dna_hash: "uhC0k", share: true, paused: false, models: [], counters: {}, uptime_s: 1, rss_bytes: 1, audits });
    if (path === "/ainonymous/v1/models") return json({ models });
    if (path === "/ainonymous/v1/peers") return json({ read_ago_s: 2, peers });
    return reply(path, init);
  });
});

afterEach(() => {
  backend?.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function json(body: unknown, status = 200): Response {
  return new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json" } });
}

function stream(lines: readonly string[], headers: Record<string, string> = {}): Response {
  return new Response(lines.join("\n") + "\n", { headers: { "content-type": "text/event-stream", ...headers } });
}

async function connect(): Promise<{ backend: SidecarBackend; model: Model }> {
  backend = new SidecarBackend();
  await vi.advanceTimersByTimeAsync(10);
  if (backend.state.at !== "ready") throw new Error(`not ready but ${backend.state.at}`);
  return { backend, model: backend.state.models[0] as Model };
}

const options = (model: Model, change: Partial<AskOptions> = {}): AskOptions => ({
  ...{ conversation: "c", model, prefer: null, avoid: new Set<string>(), only: null, hides: false, answers: 1, stop: new AbortController().signal, images: new Map() },
  input: { messages: [{ role: "user", content: "?", more: null }], sampling: { temperature_milli: 250, top_p_milli: 950, min_p_milli: 0, top_k: 64, seed: 7 }, max_tokens: 0, stop: [], more: null },
  ...change,
});

async function ask(change: Partial<AskOptions> = {}): Promise<AnswerEvent[]> {
  const { backend, model } = await connect();
  const heard: AnswerEvent[] = [];
  const asking = (async () => {
    for await (const event of backend.ask(options(model, change))) heard.push(event);
  })();
  await vi.advanceTimersByTimeAsync(1_000);
  await asking;
  return heard;
}

const last = { choices: [{ delta: {}, finish_reason: "stop" }], timings: { prompt_n: 4, predicted_n: 2, predicted_per_second: 50, provider_first_token_ms: 12 }, ainonymous: { provider: "uhCAkPEER", model_spec: "uhCEk", route: "direct", receipt_path: "/ainonymous/v1/receipts/ab" } };
const part = (content: string) => `data: ${JSON.stringify({ choices: [{ delta: { content }, finish_reason: null }] })}\n`;

describe("the connection to the node", () => {
  it("shows the stages of joining, then what can be asked", async () => {
    const states: BackendState[] = [];
    network = null;
    models = [];
    backend = new SidecarBackend();
    backend.subscribe((state) => states.push(state));
    for (const next of [{ state: "joining", stage: "relay" }, { state: "joining", stage: "peers" }, { state: "ready", peers: 1 }]) {
      await vi.advanceTimersByTimeAsync(1_600);
      network = next;
    }
    await vi.advanceTimersByTimeAsync(1_600);
    models = [entry];
    await vi.advanceTimersByTimeAsync(1_600);
    expect(states.map((state) => (state.at === "joining" ? state.stage : state.at))).toEqual(["connecting", "starting", "relay", "peers", "providers", "ready"]);
  });

  it("is lost and comes back", async () => {
    const { backend } = await connect();
    const working = globalThis.fetch;
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("refused")));
    await vi.advanceTimersByTimeAsync(12_000);
    expect(backend.state.at).toBe("offline");
    vi.stubGlobal("fetch", working);
    backend.wake();
    await vi.advanceTimersByTimeAsync(10);
    expect(backend.state.at).toBe("ready");
  });

  it("asks for the key when the node does", async () => {
    vi.stubGlobal("fetch", async () => json({ error: { code: "missing_api_key", message: "an API key is needed", hint: "h" } }, 401));
    backend = new SidecarBackend();
    await vi.advanceTimersByTimeAsync(10);
    expect(backend.state).toEqual({ at: "blocked", why: "key_needed" });
  });
});

describe("what is shown before asking", () => {
  it("is speed as measured, and who reads along", async () => {
    const { backend, model } = await connect();
    expect(model.providers).toMatchObject([{ key: "uhCAkPEER", tokensPerS: 120.5, kinship: "friend", waiting: 1 }]);
    const wish = { prefer: null, only: null, hides: false, answers: 1, dice: 0 } as const;
    expect(backend.outlook(model, wish)).toMatchObject({ readers: { by: "one", others: 0 }, waiting: 1, milliPrice: [0, 0], auditors: "all", hurdle: null });
    expect(backend.outlook(model, { ...wish, only: "friends" })).toMatchObject({ readers: { by: "one" } });
    expect(backend.outlook(model, { ...wish, only: "own" })).toMatchObject({ readers: null, hurdle: "nobody_allowed" });
    models = [{ ...entry, providers: ["uhCAkPEER", "uhCAkOTHER"] }];
    await vi.advanceTimersByTimeAsync(6_000);
    expect(backend.outlook(model, wish)).toMatchObject({ readers: { by: "one_of", count: 2, strangers: 1 }, waiting: 1, milliPrice: null });
    expect(backend.outlook(model, { ...wish, prefer: "uhCAkOTHER" })).toMatchObject({ readers: { by: "one", provider: { key: "uhCAkOTHER" }, others: 1 }, waiting: null });
    expect(backend.outlook(model, { ...wish, prefer: "uhCAkOTHER", hides: true })?.readers).toMatchObject({ by: "one_of" });
    models = [{ ...entry, local: true }];
    await vi.advanceTimersByTimeAsync(6_000);
    expect(backend.outlook(model, wish)).toMatchObject({ readers: { by: "self" }, milliPrice: [0, 0], auditors: "none" });
  });

  it("leaves out what cannot chat", async () => {
    models = [entry, { ...entry, id: "vectors", details: { embedding: true } }, { ...entry, id: "broken", state: "failed" }];
    const { backend } = await connect();
    expect(backend.state).toMatchObject({ models: [{ id: "tiny:q8_0", name: "tiny", quantization: "q8_0" }] });
  });

  it("is the network with what is known of it", async () => {
    const { backend } = await connect();
    const made = { provider: "uhCAkPEER", model: "tiny:q8_0", mode: "canary", auditor: null, verdict: "fail", why: "cut_off", tokens: 64, statistics: { tokens: 64, delta_sum: 1_024, impossible: 2 }, report: "uhCkk" };
    audits = { show_auditors: "none", providers: [{ provider: "uhCAkPEER", passed: 1, failed: 2, inconclusive: 3, convicted: false, rate_percent: 100 }], last: [{ ...made, mode: "drawn", auditor: "uhCAkAUDITOR", verdict: "inconclusive", why: "not_opened", statistics: null, report: null }, made] };
    await vi.advanceTimersByTimeAsync(6_000);
    const seen = await backend.network();
    expect(seen.audits?.providers).toEqual([{ provider: "uhCAkPEER", passed: 1, failed: 2, undecided: 3, isConvicted: false, ratePercent: 100 }]);
    expect(seen.audits?.last).toMatchObject([
      { audit: "disputed", why: "cut_off", isCanary: true, distance: 0.125, impossible: 2, auditor: null, report: "uhCkk" },
      { audit: "inconclusive", why: "not_opened", isCanary: false, distance: null, impossible: null, auditor: "uhCAkAUDITOR", report: null },
    ]);
    expect(seen).toMatchObject({ self: "uhCAkSELF", network: "uhC0k", online: 1 });
    expect(seen.peers).toMatchObject([{ kinship: "self" }, { key: "uhCAkPEER", roundTripMs: 2.5, freeSlots: 0, models: [{ label: "tiny q8_0", isMeasured: true }] }]);
  });
});

describe("asking through the node", () => {
  it("streams, counts, and follows the receipt", async () => {
    let looks = 0;
    reply = (path) => {
      if (path === "/v1/chat/completions") return stream([": queued 2\n", part("Par"), part("is."), `data: ${JSON.stringify(last)}\n`, "data: [DONE]\n"], { "x-ainonymous-id": "ab", "x-ainonymous-provider": "uhCAkPEER", "x-ainonymous-route": "direct", "x-ainonymous-reason": JSON.stringify({ kinship: "friend", first_token_ms: 12, wait_ms: 3, basis: "measured", prefix_tokens: 0, milli_price: 0, candidates: 2, probed: 1, near_equals: 1, last_resort: false, hedged: false }) });
      looks += 1;
      return json({ batch: looks > 1 ? "uhCkk" : null, checked: looks > 1, problem: null });
    };
    const heard = await ask();
    expect(heard.map(({ type }) => type)).toEqual(["asked", "queued", "queued", "text", "text", "answered", "receipt"]);
    expect(heard[0]).toMatchObject({ provider: { key: "uhCAkPEER", kinship: "friend" }, reason: { firstTokenMs: 12, candidates: 2, milliPrice: 0 }, route: "direct" });
    expect(heard[2]).toEqual({ type: "queued", before: 2 });
    expect(heard[5]).toMatchObject({ statement: { completionTokens: 2, tokensPerS: 50, firstTokenMs: 12 }, asked: { spec: "uhCEk" } });
    expect(heard[6]).toEqual({ type: "receipt", receipt: { at: "checked", action: "uhCkk" }, audit: "unaudited" });
  });

  it("hands on what the node says of audits and of the receipt's file, and believes no other place", async () => {
    const told = { batch: "uhCkk", checked: true, problem: null };
    const answered = () => stream([part("Hi"), `data: ${JSON.stringify(last)}\n`, "data: [DONE]\n"], { "x-ainonymous-id": "ab", "x-ainonymous-reason": "nonsense" });
    reply = (path) => (path === "/v1/chat/completions" ? answered() : json({ ...told, audit: "disputed", file: "/ainonymous/v1/receipts/ab/file" }));
    const heard = await ask();
    expect(heard.at(-1)).toMatchObject({ audit: "disputed", file: "/ainonymous/v1/receipts/ab/file" });
    expect(heard[0]).toMatchObject({ reason: null });
    backend?.close();
    reply = (path) => (path === "/v1/chat/completions" ? answered() : json({ ...told, audit: "splendid", file: "https://evil.example/" }));
    expect((await ask()).at(-1)).toEqual({ type: "receipt", receipt: { at: "checked", action: "uhCkk" }, audit: "unaudited" });
  });

  it("follows an answer that the node replays, and has one replayed", async () => {
    let looks = 0;
    reply = (path, init) => {
      if (path === "/v1/chat/completions") return stream([part("Hi"), `data: ${JSON.stringify(last)}\n`, "data: [DONE]\n"], { "x-ainonymous-id": "ab" });
      if (init.method === "POST") return path.endsWith("/verify") ? json({ verdict: "fail", why: "cut_off", tokens: 3 }) : json({ error: { code: "model_not_here", message: "m", hint: "h" } }, 409);
      looks += 1;
      const audit = looks < 3 ? { audit: "running" } : { audit: "inconclusive", audit_why: "uncalibrated" };
      return json({ batch: "uhCkk", checked: true, problem: null, verify: "/ainonymous/v1/receipts/ab/verify", ...audit });
    };
    const { backend, model } = await connect();
    const heard: AnswerEvent[] = [];
    const asking = (async () => {
      for await (const event of backend.ask(options(model))) heard.push(event);
    })();
    await vi.advanceTimersByTimeAsync(10_000);
    await asking;
    expect(heard.slice(-2)).toEqual([
      { type: "receipt", receipt: { at: "checked", action: "uhCkk" }, audit: "running", verify: "/ainonymous/v1/receipts/ab/verify" },
      { type: "audit", audit: "inconclusive", why: "uncalibrated" },
    ]);
    expect(await backend.verify("/ainonymous/v1/receipts/ab/verify")).toEqual({ audit: "disputed", why: "cut_off" });
    expect(await backend.verify("/ainonymous/v1/receipts/ab/gone")).toMatchObject({ code: "refused", reason: "model_not_here" });
  });

  it("asks several at once where enough may answer, and hands on how they compare", async () => {
    const voice = { provider: "uhCAkPEER", chosen: true, tokens: 2, dissents_from: null, failed: null };
    const agreement = { majority: false, agreed_tokens: 0, votes: [1], voices: [voice, { ...voice, chosen: false, dissents_from: 0 }] };
    reply = (path) => (path === "/v1/chat/completions" ? stream([part("Hi"), `data: ${JSON.stringify({ ...last, ainonymous: { ...last.ainonymous, receipt_path: null, agreement } })}\n`, "data: [DONE]\n"]) : json({}, 404));
    const heard = await ask({ answers: 2 });
    expect(JSON.parse(String(requests.find(({ path }) => path === "/v1/chat/completions")?.init.body))).toMatchObject({ ainonymous: { critical: 2 } });
    expect(heard.find(({ type }) => type === "answered")).toMatchObject({ agreement: { hasMajority: false, agreedTokens: 0, voices: [{ isChosen: true }, { dissentsFrom: 0 }] } });
    backend?.close();
    const { backend: other, model } = await connect();
    const wish = { prefer: null, only: null, hides: false, dice: 0 } as const;
    expect(other.outlook(model, { ...wish, answers: 2 })).toMatchObject({ readers: null, hurdle: "too_few" });
    expect(bodyOf(options(model, { answers: 3, only: "here" }))["ainonymous"]).toEqual({ route: "local" });
    models = [{ ...entry, providers: ["uhCAkPEER", "uhCAkOTHER"] }];
    await vi.advanceTimersByTimeAsync(6_000);
    expect(other.outlook(model, { ...wish, answers: 2 })).toMatchObject({ readers: { by: "several", count: 2, among: 2 } });
  });

  it("hands on what is published about a provider", async () => {
    const { backend } = await connect();
    const published = { action: "uhCkkA", author: "uhCAkB", at_s: 1_700_000_000 };
    reply = (path) => {
      if (path !== "/ainonymous/v1/findings/uhCAkPEER") return json({}, 404);
      return json({
        provider: "uhCAkPEER",
        reports: [{ ...published, canary: true, verdict: "fail", why: "not_as_honest", score: 512, statistics: { tokens: 64, delta_sum: 8_192, impossible: 2 } }, { ...published, canary: false, verdict: "inconclusive", why: "not_opened", score: 0, statistics: null }],
        accusations: [{ ...published, reports: ["uhCkkR"] }],
        convictions: [{ ...published, accusation: "uhCkkC", confirmations: ["uhCkkJ"], believed: false, appeal: null }, { ...published, accusation: "uhCkkC", confirmations: ["uhCkkJ"], believed: false, appeal: { ...published, passed: ["uhCkkP"], failed: [], overturned: true } }],
        ...{ equivocations: [published], more: true },
      });
    };
    const about = { action: "uhCkkA", author: "uhCAkB", atMs: 1_700_000_000_000 };
    expect(await backend.findings("uhCAkPEER")).toEqual({
      reports: [
        { ...about, audit: "disputed", why: "not_as_honest", isCanary: true, tokens: 64, distance: 1, impossible: 2 },
        { ...about, audit: "inconclusive", why: "not_opened", isCanary: false, tokens: null, distance: null, impossible: null },
      ],
      accusations: [{ ...about, reports: ["uhCkkR"] }],
      convictions: [{ ...about, accusation: "uhCkkC", confirmations: ["uhCkkJ"], appeal: null, isBelieved: false }, { ...about, accusation: "uhCkkC", confirmations: ["uhCkkJ"], appeal: { ...about, passed: ["uhCkkP"], failed: [], isOverturned: true }, isBelieved: false }],
      equivocations: [about],
      hasMore: true,
    });
    await expect(backend.findings("uhCAkNOBODY")).rejects.toThrow();
  });

  it("says that the own engine gives no receipt", async () => {
    reply = () => stream([part("Hi"), `data: ${JSON.stringify({ ...last, ainonymous: { ...last.ainonymous, receipt_path: null, route: "local" } })}\n`, "data: [DONE]\n"], { "x-ainonymous-route": "local" });
    const heard = await ask();
    expect(heard.at(-1)).toEqual({ type: "receipt", receipt: { at: "none" } });
    expect(heard[0]).toMatchObject({ provider: { isOwn: true } });
  });

  it.each([
    [503, "no_provider", "no_provider", "m"],
    [502, "provider_gone", "gone", "m"],
    [400, "not_for_peers", "refused", "m · h"],
  ])("has words for refusals: %i %s", async (status, code, named, detail) => {
    reply = () => json({ error: { code, message: "m", hint: "h" } }, status);
    expect((await ask()).at(-1)).toEqual({ type: "failed", failure: { code: named, detail, reason: code } });
  });

  it("names an error in the middle, and an end without an end", async () => {
    reply = () => stream([part("half"), `data: {"error":{"code":"provider_gone","message":"m","hint":"h"}}\n`]);
    expect((await ask()).slice(-2)).toMatchObject([{ text: "half" }, { failure: { code: "gone" } }]);
    backend?.close();
    reply = () => stream([part("half")]);
    expect((await ask()).at(-1)).toMatchObject({ failure: { code: "disconnected" } });
  });

  it("is silent once it is stopped", async () => {
    const stop = new AbortController();
    reply = (_, init) => new Promise((_, reject) => init.signal?.addEventListener("abort", () => reject(new DOMException("", "AbortError"))));
    setTimeout(() => stop.abort(), 100);
    expect(await ask({ stop: stop.signal })).toEqual([]);
  });

  it("writes the question as OpenAI does", async () => {
    const { model } = await connect();
    const images = new Map([[0, ["data:image/png;base64,AA=="]]]);
    expect(bodyOf(options(model, { images }))).toEqual({
      ...{ model: "tiny:q8_0", stream: true, temperature: 0.25, top_p: 0.95, min_p: 0, top_k: 64, seed: 7 },
      messages: [{ role: "user", content: [{ type: "text", text: "?" }, { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } }] }],
    });
    const two = { ...model, providers: [...model.providers, { ...model.providers[0]!, key: "uhCAkOTHER" }] };
    expect(bodyOf(options(two, { avoid: new Set(["uhCAkPEER"]) }))["ainonymous"]).toEqual({ provider: "uhCAkOTHER" });
    expect(bodyOf(options(two, { only: "friends", hides: true }))["ainonymous"]).toEqual({ only: "friends", hide: true });
    expect(bodyOf(options(two, { only: "here", hides: true }))["ainonymous"]).toEqual({ route: "local" });
    expect(bodyOf(options(two, { only: "own", avoid: new Set(["uhCAkPEER"]) }))["ainonymous"], "a stranger is not named where only own nodes may answer").toEqual({ only: "own" });
  });
});

describe("orders to the node", () => {
  it("carry the token, and nothing else does", async () => {
    reply = () => json({});
    const node = new NodeControl("secret");
    await node.pause(true);
    await node.pull("x");
    await node.load("x");
    await node.networks();
    await node.invite("circle", 3_600, "");
    const tokens = requests.map(({ path, init }) => [path, (init.headers as Record<string, string>)["x-ainonymous-token"]]);
    expect(tokens).toEqual([["/ainonymous/v1/pause", "secret"], ["/ainonymous/v1/pulls", "secret"], ["/models/load", undefined], ["/ainonymous/v1/networks", "secret"], ["/ainonymous/v1/networks/invite", "secret"]]);
    expect(requests.every(({ init }) => init.credentials === "same-origin" && init.redirect === "error")).toBe(true);
  });
});

describe("a stream of events", () => {
  const read = async (...chunks: (string | Uint8Array)[]) => {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const chunk of chunks) controller.enqueue(typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk);
        controller.close();
      },
    });
    const found: string[] = [];
    for await (const line of events(body)) found.push(line.type === "data" ? line.data : `#${line.text}`);
    return found;
  };

  it("may be cut anywhere", async () => {
    expect(await read("da", "ta: a\n", "\n: c\r\ndata:b\r", "\n")).toEqual(["a", "#c", "b"]);
    const euro = new TextEncoder().encode("data: €\n");
    expect(await read(euro.subarray(0, 7), euro.subarray(7))).toEqual(["€"]);
  });
});
