// The sidecar as a chat backend: asks through the API of the node that served the page, which chooses, falls back and checks
// receipts by itself. Must not know Holochain.
import { isAllowed, outlookOf, refusedBy } from "../chat/backend";
import type { Agreement, AnswerEvent, AskOptions, Asked, Audit, BackendState, ChatBackend, Failure, Findings, Model, NetworkPicture, Outlook, Peer, Provider, Reason, ReceiptState, Route, Stage, Wish } from "../chat/backend";
import type { FinishReason } from "../generated/types";
import { advance, unconnected } from "../network/connection";
import type { Connection, ConnectionEvent } from "../network/connection";
import { auditOf, auditsOf, findingsOf, foundBy } from "./audits";
import { failureOf } from "./failures";
import { Refused, Unreachable, call, errorOf, get } from "./http";
import { events } from "./sse";
import type { Agreed, AuditMade, FindingsEntry, ModelEntry, PeerEntry, Peers, ReasonFacts, Receipt, Status } from "./types";

const REFRESH_JOINING_MS = 1_500;
const REFRESH_READY_MS = 5_000;
const FAILURES_MAX = 2;
/** A question may wait for a model to be loaded. */
const PATIENCE_MS = 10 * 60_000;
/** Longest wait for a receipt, and how often it is asked for. */
const RECEIPT_WAIT_MS = 30_000;
const RECEIPT_ASKS_MAX = 4;
/** Pause between two looks whether an answer has been replayed, and how often it is looked. */
const AUDIT_PAUSE_MS = 2_000;
const AUDIT_ASKS_MAX = 150;

interface Seen {
  readonly status: Status;
  readonly models: readonly ModelEntry[];
  readonly peers: Peers;
  readonly atMs: number;
}

export class SidecarBackend implements ChatBackend {
  readonly kind = "sidecar";
  readonly canHide = true;
  readonly canCompare = true;
  readonly #listeners = new Set<(state: BackendState) => void>();
  readonly #running = new Set<AbortController>();
  #connection: Connection = unconnected;
  #seen: Seen | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  #isClosed = false;

  constructor() {
    void this.#connect();
  }

  get state(): BackendState {
    return this.#connection;
  }

  subscribe(listener: (state: BackendState) => void): () => void {
    this.#listeners.add(listener);
    listener(this.#connection);
    return () => this.#listeners.delete(listener);
  }

  outlook(model: Model, wish: Wish): Outlook | null {
    const outlook = this.#outlook(model, wish);
    // What one's own node answers itself is shown to nobody.
    if (outlook === null || outlook.readers === null || outlook.readers.by === "self") return outlook;
    return { ...outlook, auditors: this.#seen?.status.audits.show_auditors ?? "none" };
  }

  #outlook(model: Model, { prefer, only, hides, answers }: Wish): Outlook | null {
    const known = this.#connection.at === "ready" ? this.#connection.models.find(({ id }) => id === model.id) : undefined;
    if (known === undefined) return null;
    const allowed = known.providers.filter(({ kinship }) => isAllowed(kinship, only));
    if (answers > 1 && only !== "here") {
      const others = allowed.filter(({ isOwn }) => !isOwn);
      return others.length < answers ? refusedBy("too_few") : outlookOf({ by: "several", count: answers, among: others.length }, others);
    }
    const own = allowed.find(({ isOwn }) => isOwn);
    // Whoever hides does not ask here: nobody sees that anyway.
    if (own !== undefined) return outlookOf({ by: "self" }, [own]);
    const [first] = allowed;
    if (first === undefined) return refusedBy("nobody_allowed");
    // Who hides is routed to whoever can be reached so: where the conversation was is no hint.
    const preferred = hides ? undefined : allowed.find(({ key }) => key === prefer);
    const likely = preferred ?? (allowed.length === 1 ? first : undefined);
    if (likely !== undefined) return outlookOf({ by: "one", provider: likely, others: allowed.length - 1 }, [likely]);
    const strangers = allowed.filter(({ kinship }) => kinship === "public" || kinship === "lan").length;
    return outlookOf({ by: "one_of", count: allowed.length, strangers }, allowed);
  }

  async receiptFile(path: string): Promise<string> {
    return (await call(path)).text();
  }

  async verify(path: string): Promise<Audit | Failure> {
    let made: AuditMade;
    try {
      made = (await (await call(path, { method: "POST", patienceMs: PATIENCE_MS })).json()) as AuditMade;
    } catch (error) {
      return failureOf(error);
    }
    return foundBy(made);
  }

  async network(): Promise<NetworkPicture> {
    const seen = this.#seen ?? (await look());
    const { status, peers, models } = seen;
    const ago = (performance.now() - seen.atMs) / 1_000;
    const others = peers.peers.map((peer) => peerOf(peer, ago));
    const mine = ownPeer(status, models);
    return {
      self: status.agent,
      network: status.dna_hash,
      peers: mine === null ? others : [mine, ...others],
      online: status.network?.state === "ready" ? status.network.peers : null,
      readAgoS: peers.read_ago_s === null ? null : peers.read_ago_s + ago,
      audits: auditsOf(status.audits),
    };
  }

  async findings(key: string): Promise<Findings> {
    return findingsOf(await get<FindingsEntry>(`/ainonymous/v1/findings/${encodeURIComponent(key)}`));
  }

  reconnect(): void {
    if (this.#connection.at !== "offline" && this.#connection.at !== "blocked") return;
    clearTimeout(this.#timer);
    void this.#connect();
  }

  wake(): void {
    if (this.#connection.at === "offline") return this.reconnect();
    if (this.#connection.at === "blocked") return;
    clearTimeout(this.#timer);
    void this.#refresh();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    for (const running of this.#running) running.abort();
  }

  async *ask(options: AskOptions): AsyncGenerator<AnswerEvent> {
    const stop = new AbortController();
    const onStop = () => stop.abort();
    options.stop.addEventListener("abort", onStop, { once: true });
    if (options.stop.aborted) onStop();
    this.#running.add(stop);
    try {
      yield* this.#stream(options, stop.signal);
    } catch (error) {
      if (!stop.signal.aborted) yield { type: "failed", failure: failureOf(error) };
    } finally {
      this.#running.delete(stop);
      options.stop.removeEventListener("abort", onStop);
      stop.abort();
    }
  }

  async *#stream(options: AskOptions, stop: AbortSignal): AsyncGenerator<AnswerEvent> {
    const begunMs = performance.now();
    const response = await call("/v1/chat/completions", { method: "POST", body: bodyOf(options), stop, patienceMs: PATIENCE_MS });
    let asked = this.#asked(response.headers);
    const id = response.headers.get("x-ainonymous-id") ?? "";
    yield { type: "asked", ...asked };
    yield { type: "queued", before: 0 };
    if (response.body === null) throw new Unreachable("the answer has no body");
    let finish: FinishReason | null = null;
    let hasReceipt = false;
    let text = "";
    for await (const line of events(response.body)) {
      if (line.type === "comment") {
        const before = /^queued (\d+)$/.exec(line.text)?.[1];
        if (before !== undefined) yield { type: "queued", before: Number(before) };
        continue;
      }
      if (line.data === "[DONE]") break;
      const chunk = JSON.parse(line.data) as Chunk;
      if (chunk.error !== undefined) {
        const { code, message, hint } = errorOf(chunk);
        throw new Refused(200, code, message, hint);
      }
      const [choice] = chunk.choices;
      const { content = "", reasoning_content: reasoning = "" } = choice?.delta ?? {};
      if (content || reasoning) {
        text += content ?? "";
        yield { type: "text", text: content ?? "", tokens: 1, ...(reasoning ? { reasoning } : {}) };
      }
      if (typeof choice?.finish_reason !== "string") continue;
      finish = choice.finish_reason === "length" ? "length" : "stop";
      const { timings, ainonymous } = chunk;
      hasReceipt = typeof ainonymous?.receipt_path === "string";
      asked = {
        ...asked,
        provider: this.#provider(ainonymous?.provider ?? asked.provider.key),
        route: routeOf(ainonymous?.route ?? asked.route),
        spec: ainonymous?.model_spec ?? "",
      };
      const statement = {
        finish,
        promptTokens: timings?.prompt_n ?? 0,
        completionTokens: timings?.predicted_n ?? 0,
        firstTokenMs: timings?.provider_first_token_ms ?? performance.now() - begunMs,
        tokensPerS: timings?.predicted_per_second ?? 0,
      };
      const agreed = ainonymous?.agreement ?? null;
      yield { type: "answered", statement, asked, ...(agreed === null ? {} : { agreement: agreementOf(agreed) }) };
    }
    if (finish === null) throw new Unreachable(text === "" ? "the answer did not begin" : "the answer broke off");
    if (!hasReceipt) yield { type: "receipt", receipt: { at: "none" } };
    else {
      const followed = await follow(id, stop);
      yield { type: "receipt", ...followed };
      if (followed.audit === "running") yield { type: "audit", ...(await followAudit(id, stop)) };
    }
  }

  #asked(headers: Headers): Asked {
    return {
      provider: this.#provider(headers.get("x-ainonymous-provider") ?? ""),
      route: routeOf(headers.get("x-ainonymous-route") ?? "local"),
      reason: reasonOf(headers.get("x-ainonymous-reason")),
      spec: "",
    };
  }

  #provider(key: string): Provider {
    const { status, peers, models } = this.#seen ?? {};
    if (status !== undefined && (key === "" || key === status.agent)) {
      return { key, tokensPerS: 0, device: deviceOf(status), isOwn: true, kinship: "self", waiting: null, milliPrice: 0 };
    }
    const peer = peers?.peers.find(({ agent }) => agent === key);
    if (peer !== undefined) return providerOf(peer, models?.[0]?.id ?? "");
    return unknown(key);
  }

  async #connect(): Promise<void> {
    this.#move({ type: "connect" });
    await this.#refresh();
  }

  async #refresh(): Promise<void> {
    try {
      const seen = await look();
      if (this.#isClosed) return;
      this.#seen = seen;
      this.#failures = 0;
      if (this.#connection.at === "connecting") this.#move({ type: "opened" });
      this.#move({ type: "models", models: modelsOf(seen), stage: stageOf(seen.status) });
    } catch (error) {
      if (this.#isClosed) return;
      if (error instanceof Refused && error.status === 401) return this.#move({ type: "blocked", why: "key_needed" });
      this.#failures += 1;
      if (this.#connection.at === "connecting" || this.#failures >= FAILURES_MAX) this.#move({ type: "lost", dice: Math.random() });
    }
    const state = this.#connection;
    if (state.at === "offline") return this.#later(state.retryInMs, () => this.#connect());
    this.#later(state.at === "ready" ? REFRESH_READY_MS : REFRESH_JOINING_MS, () => this.#refresh());
  }

  #later(ms: number, run: () => Promise<void>): void {
    clearTimeout(this.#timer);
    if (!this.#isClosed) this.#timer = setTimeout(() => void run(), ms);
  }

  #move(event: ConnectionEvent): void {
    const before = this.#connection;
    this.#connection = advance(before, event);
    if (this.#connection !== before) for (const listener of this.#listeners) listener(this.#connection);
  }
}

interface Chunk {
  readonly error?: unknown;
  readonly choices: readonly {
    readonly delta?: { readonly content?: string | null; readonly reasoning_content?: string | null };
    readonly finish_reason?: string | null;
  }[];
  readonly timings?: {
    readonly prompt_n: number;
    readonly predicted_n: number;
    readonly predicted_per_second: number;
    readonly provider_first_token_ms: number;
  };
  readonly ainonymous?: {
    readonly provider: string | null;
    readonly model_spec: string | null;
    readonly route: string;
    readonly receipt_path: string | null;
    readonly agreement?: Agreed | null;
  };
}

async function look(): Promise<Seen> {
  const [status, { models }, peers] = await Promise.all([
    get<Status>("/ainonymous/v1/status"),
    get<{ models: ModelEntry[] }>("/ainonymous/v1/models"),
    get<Peers>("/ainonymous/v1/peers"),
  ]);
  return { status, models, peers, atMs: performance.now() };
}

/** A question as OpenAI writes it. */
export function bodyOf({ model, input, images, prefer, avoid, only, hides, answers }: AskOptions): Record<string, unknown> {
  const messages = input.messages.map(({ role, content }, index) => {
    const urls = images.get(index) ?? [];
    if (urls.length === 0) return { role, content };
    const pictures = urls.map((url) => ({ type: "image_url", image_url: { url } }));
    return { role, content: [{ type: "text", text: content }, ...pictures] };
  });
  const { temperature_milli, top_p_milli, min_p_milli, top_k, seed } = input.sampling;
  // The node chooses by itself; it is told only whom to ask if somebody has just failed.
  const others = model.providers.filter(({ key, isOwn, kinship }) => !isOwn && !avoid.has(key) && isAllowed(kinship, only));
  const provider = avoid.size > 0 && answers <= 1 ? (others.find(({ key }) => key === prefer) ?? others[0])?.key : undefined;
  const wishes = {
    ...(provider === undefined ? {} : { provider }),
    ...(only === null ? {} : only === "here" ? { route: "local" } : { only }),
    // What stays here needs no router.
    ...(hides && only !== "here" ? { hide: true } : {}),
    ...(answers > 1 && only !== "here" ? { critical: answers } : {}),
  };
  return {
    model: model.id,
    messages,
    stream: true,
    temperature: temperature_milli / 1_000,
    top_p: top_p_milli / 1_000,
    min_p: min_p_milli / 1_000,
    top_k,
    seed,
    ...(input.max_tokens > 0 ? { max_tokens: input.max_tokens } : {}),
    ...(Object.keys(wishes).length === 0 ? {} : { ainonymous: wishes }),
  };
}

interface Followed extends Audit {
  readonly receipt: ReceiptState;
  readonly file?: string;
  readonly verify?: string;
}

/** Waits until the node has checked the receipt; what it tells of audits and files is handed on. */
async function follow(id: string, stop: AbortSignal): Promise<Followed> {
  let batch = "";
  let last: Receipt | null = null;
  const end = (receipt: ReceiptState): Followed => {
    const { audit, audit_why: why, file, verify } = last ?? {};
    return { receipt, ...auditOf(audit, why), ...(isPath(file) ? { file } : {}), ...(isPath(verify) ? { verify } : {}) };
  };
  for (let asks = 0; asks < RECEIPT_ASKS_MAX && !stop.aborted; asks += 1) {
    const path = `/ainonymous/v1/receipts/${encodeURIComponent(id)}?wait_ms=${RECEIPT_WAIT_MS}`;
    const receipt = await get<Receipt>(path, { stop, patienceMs: RECEIPT_WAIT_MS + 10_000 }).catch(() => null);
    last = receipt ?? last;
    batch = receipt?.batch ?? batch;
    if (receipt?.checked === true) return end({ at: "checked", action: batch });
    if (receipt?.problem) return end({ at: "false", action: batch });
  }
  return end(batch === "" ? { at: "unpublished" } : { at: "unreachable", action: batch });
}

/** Waits until the node has replayed the answer. */
async function followAudit(id: string, stop: AbortSignal): Promise<Audit> {
  for (let asks = 0; asks < AUDIT_ASKS_MAX && !stop.aborted; asks += 1) {
    await new Promise((resolve) => setTimeout(resolve, AUDIT_PAUSE_MS));
    const receipt = await get<Receipt>(`/ainonymous/v1/receipts/${encodeURIComponent(id)}`, { stop }).catch(() => null);
    const found = auditOf(receipt?.audit, receipt?.audit_why);
    if (receipt !== null && found.audit !== "running") return found;
  }
  return { audit: "unaudited" };
}

function isPath(told: unknown): told is string {
  return typeof told === "string" && told.startsWith("/");
}

function agreementOf({ majority, agreed_tokens, voices }: Agreed): Agreement {
  return {
    hasMajority: majority,
    agreedTokens: agreed_tokens,
    voices: voices.map(({ provider, chosen, tokens, dissents_from, failed }) => ({
      ...{ provider, isChosen: chosen, tokens, dissentsFrom: dissents_from, failed },
    })),
  };
}

/** Facts of a header that the node wrote; null if there is none, or none that can be read. */
function reasonOf(header: string | null): Reason | null {
  if (header === null) return null;
  let facts: ReasonFacts;
  try {
    facts = JSON.parse(header) as ReasonFacts;
  } catch {
    return null;
  }
  return {
    ...{ kinship: facts.kinship, firstTokenMs: facts.first_token_ms, waitMs: facts.wait_ms, basis: facts.basis },
    ...{ prefixTokens: facts.prefix_tokens, milliPrice: facts.milli_price, candidates: facts.candidates, probed: facts.probed },
    ...{ nearEquals: facts.near_equals, lastResort: facts.last_resort, hedged: facts.hedged },
  };
}

function routeOf(route: string): Route {
  return route === "direct" || route === "routed" || route === "signals" || route === "posted" ? route : "local";
}

function stageOf({ network }: Status): Stage {
  if (network === null || network.state === "offline") return "starting";
  return network.state === "ready" ? "providers" : network.stage;
}

function deviceOf({ models }: Status): string {
  const info = models.find(({ info }) => info !== undefined)?.info;
  return info?.backend_detail || info?.backend || "";
}

function splitId(id: string): { name: string; quantization: string } {
  const at = id.lastIndexOf(":");
  return at < 0 ? { name: id, quantization: "" } : { name: id.slice(0, at), quantization: id.slice(at + 1) };
}

function providerOf(peer: PeerEntry, model: string): Provider {
  const served = peer.models.find(({ id }) => id === model) ?? peer.models[0];
  return {
    key: peer.agent,
    tokensPerS: served?.measured_tokens_per_s ?? served?.claimed_tokens_per_s ?? 0,
    device: peer.device,
    isOwn: false,
    kinship: peer.kinship,
    waiting: served?.heard?.queued ?? null,
    milliPrice: served?.heard?.milli_price ?? null,
  };
}

/** What can be asked, own models first; models that only make vectors are not for chats. */
function modelsOf({ status, models, peers }: Seen): Model[] {
  return models.flatMap((entry): Model[] => {
    if (entry.state === "failed" || entry.details?.embedding === true) return [];
    const local = status.models.find(({ id }) => id === entry.id);
    const own: Provider = {
      ...{ key: status.agent ?? "", tokensPerS: 0, device: local?.info?.backend_detail ?? "", isOwn: true },
      ...{ kinship: "self", waiting: local?.engine?.queued ?? null, milliPrice: 0 },
    };
    const others = entry.providers.map((key) => {
      const peer = peers.peers.find(({ agent }) => agent === key);
      return peer === undefined ? unknown(key) : providerOf(peer, entry.id);
    });
    const providers = [...(entry.local ? [own] : []), ...others.sort((a, b) => b.tokensPerS - a.tokensPerS)];
    if (providers.length === 0) return [];
    return [{
      ...{ id: entry.id, ...splitId(entry.id), contextTokens: entry.context_tokens, providers },
      ...{ takesImages: local?.info?.images ?? false, rests: entry.state !== "loaded" },
    }];
  });
}

function unknown(key: string): Provider {
  return { key, tokensPerS: 0, device: "", isOwn: false, kinship: "public", waiting: null, milliPrice: null };
}

function ownPeer(status: Status, models: readonly ModelEntry[]): Peer | null {
  if (status.agent === null) return null;
  const ready = status.models.filter(({ state }) => state === "ready" || state === "resting");
  const queued = ready.reduce((sum, { engine }) => sum + (engine?.queued ?? 0), 0);
  return {
    ...{ key: status.agent, kinship: "self", device: deviceOf(status), route: "self", roundTripMs: 0, isFailing: false },
    models: models.filter(({ local }) => local).map(({ id }) => ({ id, label: labelOf(id), tokensPerS: 0, isMeasured: false })),
    ...{ waiting: ready.length > 0 ? queued : null, freeSlots: null, slots: null, heardAgoS: 0 },
  };
}

function peerOf(peer: PeerEntry, ago: number): Peer {
  const heard = peer.models.flatMap(({ heard }) => (heard === null ? [] : [heard])).sort((a, b) => a.ago_s - b.ago_s)[0];
  return {
    ...{ key: peer.agent, kinship: peer.kinship, device: peer.device, route: peer.route, isFailing: peer.failing },
    models: peer.models.map(({ id, claimed_tokens_per_s, measured_tokens_per_s }) => ({
      ...{ id, label: labelOf(id), tokensPerS: measured_tokens_per_s ?? claimed_tokens_per_s },
      isMeasured: measured_tokens_per_s !== null,
    })),
    roundTripMs: heard?.round_trip_ms ?? null,
    waiting: heard?.queued ?? null,
    freeSlots: heard?.free_slots ?? null,
    slots: heard?.slots ?? null,
    heardAgoS: heard === undefined ? null : heard.ago_s + ago,
  };
}

function labelOf(id: string): string {
  const { name, quantization } = splitId(id);
  return `${name} ${quantization}`.trim();
}
