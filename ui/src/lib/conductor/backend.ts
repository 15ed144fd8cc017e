// The conductor as a chat backend: keeps a connection, knows who serves what, asks, fails over, checks receipts.
import { isAllowed, outlookOf, refusedBy } from "../chat/backend";
import type { AnswerEvent, AskOptions, BackendState, ChatBackend, Failure, FailureCode, Findings, Model, NetworkPicture, Only, Outlook, ReceiptState, Stage, Wish } from "../chat/backend";
import type { Asked } from "../chat/question";
import { limits } from "../generated/types";
import type { Ask, Done, LocalSignal, ModelSpecRecord, ProviderRecord } from "../generated/types";
import { choose } from "../network/choose";
import { advance, unconnected } from "../network/connection";
import type { Connection, ConnectionEvent } from "../network/connection";
import { servedModels } from "../network/models";
import type { ServedModel, ServingProvider } from "../network/models";
import { Reputation } from "../network/reputation";
import * as askBytes from "../verify/ask";
import { random, toHex } from "../verify/bytes";
import * as commit from "../verify/commit";
import { generate, sign } from "../verify/ed25519";
import type { SigningKey } from "../verify/ed25519";
import { isInBatch } from "../verify/receipt";
import { write } from "../verify/receipt-file";
import type { AskedInFull, Place } from "../verify/receipt-file";
import { askProvider, awaitPublication } from "./asking";
import type { Publication, Wire } from "./asking";
import * as calls from "./calls";
import { findingsOf } from "./findings";
import { BlockedError } from "./link";
import type { Link, LinkListener, NetworkStanding } from "./link";
import { picture } from "./picture";
import { readLocalSignal } from "./signals";

/** What the backend takes from outside: a conductor, a clock and how hashes look. */
export interface Surroundings {
  open(listener: LinkListener): Promise<Link>;
  showHash(hash: Uint8Array): string;
  now(): number;
}

const REFRESH_JOINING_MS = 1_500;
const REFRESH_READY_MS = 10_000;
/** Models whose providers are looked up: the newest. */
const SPECS_SHOWN_MAX = 32;
/** A connection that still stands answers in this time. */
const WAKE_PATIENCE_MS = 3_000;
/** Refreshes in a row that may fail before the connection counts as lost. */
const REFRESH_FAILURES_MAX = 2;
/** Providers that one question may be passed on to before its first token. */
const PROVIDERS_TRIED_MAX = 3;
/** Pauses between looks for a batch that has not travelled here yet. */
const BATCH_PAUSES_MS = [0, 250, 500, 1_000, 2_000, 4_000, 8_000, 15_000];

/** Failures after which another provider may do better. */
const passedOn: ReadonlySet<FailureCode> = new Set<FailureCode>([
  "silent", "gone", "broken", "unknown_model", "busy", "draining", "engine_failed", "unknown_request",
  "not_admitted", "cannot_see", "must_be_known",
]);

/** What was last read from the DHT. */
interface Read {
  readonly specs: readonly ModelSpecRecord[];
  readonly providers: readonly ProviderRecord[];
  readonly standing: NetworkStanding | null;
  readonly atMs: number;
}

export class ConductorBackend implements ChatBackend {
  readonly kind = "conductor";
  /** Signals show who asks. */
  readonly canHide = false;
  readonly canCompare = false;
  readonly #around: Surroundings;
  readonly #reputation: Reputation;
  readonly #stateListeners = new Set<(state: BackendState) => void>();
  readonly #signalListeners = new Set<(signal: LocalSignal) => void>();
  readonly #running = new Set<AbortController>();
  readonly #wire: Wire;
  #connection: Connection<ServedModel> = unconnected;
  #link: Link | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #refreshFailures = 0;
  #isClosed = false;
  #read: Read | null = null;
  #session: { readonly conversation: string; readonly key: SigningKey } | null = null;

  constructor(around: Surroundings) {
    this.#around = around;
    this.#reputation = new Reputation(around.now);
    this.#wire = {
      send: (to, signal) => (this.#link ? calls.sendSignal(this.#link, to, signal) : Promise.reject(new Error("offline"))),
      listen: (listener) => {
        this.#signalListeners.add(listener);
        return () => this.#signalListeners.delete(listener);
      },
      isOpen: () => this.#link !== null,
      now: around.now,
    };
    void this.#connect();
  }

  get state(): BackendState {
    return this.#connection;
  }

  subscribe(listener: (state: BackendState) => void): () => void {
    this.#stateListeners.add(listener);
    listener(this.#connection);
    return () => this.#stateListeners.delete(listener);
  }

  outlook(model: Model, { prefer, only, hides, dice }: Wish): Outlook | null {
    const known = this.#model(model.id);
    if (known === null) return null;
    if (hides) return refusedBy("cannot_hide");
    const provider = this.#choose(model.id, prefer, new Set(), only, dice);
    if (provider === null) return only === null ? null : refusedBy("nobody_allowed");
    if (provider.isOwn) return outlookOf({ by: "self" }, [provider]);
    const others = known.providers.filter(({ kinship }) => isAllowed(kinship, only)).length - 1;
    return outlookOf({ by: "one", provider, others: Math.min(others, PROVIDERS_TRIED_MAX - 1) }, [provider]);
  }

  verify(): Promise<Failure> {
    return Promise.resolve({ code: "refused", detail: "the page replays nothing by itself" });
  }

  receiptFile(): Promise<string> {
    return Promise.reject(new Error("no file was promised"));
  }

  async network(): Promise<NetworkPicture> {
    const read = this.#read;
    const link = this.#link;
    const seen = read ?? { specs: [], providers: [], standing: null, atMs: this.#around.now() };
    return picture(seen, {
      self: link?.agent ?? null,
      network: link?.dna ?? null,
      readAgoS: read === null ? null : (this.#around.now() - read.atMs) / 1_000,
      showHash: this.#around.showHash,
      isFailing: (key) => this.#reputation.of(key).failures > 0,
    });
  }

  async findings(key: string): Promise<Findings> {
    const link = this.#link;
    const { showHash } = this.#around;
    const known = [...(this.#read?.providers.map(({ agent }) => agent) ?? []), ...(link === null ? [] : [link.agent])];
    const agent = known.find((agent) => showHash(agent) === key);
    if (link === null || agent === undefined) throw new Error("not connected, or nobody of that key is known");
    return findingsOf(await calls.getPublished(link, agent), showHash);
  }

  reconnect(): void {
    if (this.#connection.at !== "offline" && this.#connection.at !== "blocked") return;
    clearTimeout(this.#timer);
    void this.#connect();
  }

  wake(): void {
    const link = this.#link;
    if (link === null) return this.reconnect();
    // A socket that slept too long says nothing at all: silence counts as loss, a refusal does not.
    const late = setTimeout(() => link === this.#link && this.#lose(), WAKE_PATIENCE_MS);
    void link.standing().catch(() => null).finally(() => clearTimeout(late));
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    for (const running of this.#running) running.abort();
    // The last signals leave in this turn of the event loop.
    setTimeout(() => this.#link?.close(), 0);
  }

  async *ask(options: AskOptions): AsyncGenerator<AnswerEvent> {
    const stop = new AbortController();
    const onStop = () => stop.abort();
    options.stop.addEventListener("abort", onStop, { once: true });
    if (options.stop.aborted) onStop();
    this.#running.add(stop);
    try {
      yield* this.#askAround(options, stop.signal);
    } finally {
      this.#running.delete(stop);
      options.stop.removeEventListener("abort", onStop);
    }
  }

  /** Asks one provider after another until one begins to answer. */
  async *#askAround(options: AskOptions, stop: AbortSignal): AsyncGenerator<AnswerEvent> {
    const avoid = new Set(options.avoid);
    let failure: Failure = { code: this.#link === null ? "disconnected" : "no_provider", detail: "" };
    let provider = this.#choose(options.model.id, options.prefer, avoid, options.only, Math.random());
    for (let tried = 0; provider !== null && tried < PROVIDERS_TRIED_MAX && !stop.aborted; tried += 1) {
      yield { type: "asked", provider, route: "signals", reason: null, spec: this.#specOf(options.model.id) };
      const asking = yield* this.#askOne(provider, options, stop);
      if (asking === null) return;
      failure = asking.failure;
      avoid.add(provider.key);
      const next = asking.begun || !passedOn.has(failure.code) ? null : this.#choose(options.model.id, null, avoid, options.only, Math.random());
      if (next !== null && tried + 1 < PROVIDERS_TRIED_MAX) yield { type: "passed_on", from: provider, failure };
      provider = next;
    }
    if (!stop.aborted) yield { type: "failed", failure };
  }

  /** Null when there is nothing left to do: answered, or stopped. */
  async *#askOne(
    provider: ServingProvider,
    options: AskOptions,
    stop: AbortSignal,
  ): AsyncGenerator<AnswerEvent, { failure: Failure; begun: boolean } | null> {
    const { asked, ask, inFull } = this.#compose(provider, options);
    const publication = awaitPublication(this.#wire, asked);
    let begun = false;
    try {
      for await (const heard of askProvider(this.#wire, asked, ask, stop)) {
        if (heard.type === "failed") {
          if (passedOn.has(heard.failure.code)) this.#reputation.failed(provider.key);
          return { failure: heard.failure, begun };
        }
        if (heard.type === "answered") {
          this.#reputation.answered(provider.key);
          const { done, said } = heard;
          const file = (place: Place | null) => inFull && { whole: write(inFull, said, done.receipt, place) };
          yield { type: "answered", statement: statementOf(done) };
          // At once: what opens the receipt is nowhere else, and its batch may take minutes.
          yield { type: "receipt", receipt: { at: "signed" }, ...file(null) };
          const { receipt, place } = await this.#follow(done, publication);
          yield { type: "receipt", receipt, ...file(place) };
          return null;
        }
        if (heard.type === "text") begun = true;
        yield heard;
      }
      return null;
    } finally {
      publication.end();
    }
  }

  #compose(provider: ServingProvider, options: AskOptions): { asked: Asked; ask: Ask; inFull: AskedInFull | null } {
    const model = this.#model(options.model.id);
    const key = this.#sessionKey(options.conversation);
    const id = random(16);
    const salt = random(32);
    const spec = model?.spec.entry ?? new Uint8Array(39);
    const commitment = commit.input(salt, options.input);
    // As a node asks whom it does not know: nobody can tell from a question that it will not be audited.
    const secret = random(32);
    const audit = { challenge: askBytes.challenge(secret), rate_ppm: limits.PPM_MAX, auditors_ppm: limits.PPM_MAX };
    const signature = sign(key, askBytes.canonical(id, spec, commitment, key.publicKey, audit));
    return {
      asked: {
        id, spec, salt, commitment, audit,
        provider: provider.agent,
        sessionKey: key.publicKey,
        maxTokens: options.input.max_tokens,
      },
      ask: { id, spec, salt, audit, signature, input: options.input, session_key: key.publicKey },
      inFull: model && { id, model: model.entry, question: options.input, salt, signature, secret },
    };
  }

  #sessionKey(conversation: string): SigningKey {
    if (this.#session?.conversation !== conversation) this.#session = { conversation, key: generate() };
    return this.#session.key;
  }

  /** From a signed receipt to one that is found on the DHT, in a valid batch by whoever signed it. */
  async #follow({ receipt, chunks }: Done, publication: Publication): Promise<{ receipt: ReceiptState; place: Place | null }> {
    const proof = await publication.wait(chunks);
    if (proof === null) return { receipt: { at: "unpublished" }, place: null };
    const action = this.#around.showHash(proof.batch);
    for (const pause of BATCH_PAUSES_MS) {
      await new Promise((resolve) => setTimeout(resolve, pause));
      if (this.#link === null) continue;
      const record = await calls.getReceiptBatch(this.#link, proof.batch).catch(() => null);
      if (record === null) continue;
      const isThere = isInBatch(receipt, proof, record);
      return { receipt: { at: isThere ? "checked" : "false", action }, place: isThere ? { proof, record } : null };
    }
    return { receipt: { at: "unreachable", action }, place: null };
  }

  #specOf(id: string): string {
    const spec = this.#model(id)?.spec.entry;
    return spec === undefined ? "" : this.#around.showHash(spec);
  }

  #model(id: string): ServedModel | null {
    const models = this.#connection.at === "ready" ? this.#connection.models : [];
    return models.find((model) => model.id === id) ?? null;
  }

  #choose(model: string, prefer: string | null, avoid: ReadonlySet<string>, only: Only | null, dice: number): ServingProvider | null {
    const providers = (this.#model(model)?.providers ?? []).filter(({ kinship }) => isAllowed(kinship, only));
    return choose(providers, { prefer, avoid, dice, experience: (key) => this.#reputation.of(key) });
  }

  async #connect(): Promise<void> {
    this.#move({ type: "connect" });
    try {
      const link: Link = await this.#around.open({
        onSignal: (payload) => this.#hear(payload),
        onClosed: () => this.#lose(),
      });
      if (this.#isClosed) return link.close();
      this.#link = link;
      this.#refreshFailures = 0;
      this.#move({ type: "opened" });
      await this.#refresh();
    } catch (error) {
      if (error instanceof BlockedError) this.#move({ type: "blocked", why: error.why });
      else this.#lose();
    }
  }

  #lose(): void {
    this.#link?.close();
    this.#link = null;
    this.#move({ type: "lost", dice: Math.random() });
    if (this.#connection.at === "offline") this.#later(this.#connection.retryInMs, () => this.#connect());
  }

  /** Looks who is there, and again after a while. */
  async #refresh(): Promise<void> {
    const link = this.#link;
    if (link === null) return;
    try {
      const specs = (await calls.getAllModelSpecs(link)).slice(-SPECS_SHOWN_MAX);
      const found = new Map<string, ProviderRecord>();
      for (const { spec } of specs) {
        for (const provider of await calls.getProviders(link, spec.entry)) found.set(toHex(provider.agent), provider);
      }
      const providers = [...found.values()];
      if (link !== this.#link) return;
      this.#refreshFailures = 0;
      // Not every runtime tells; what it does not tell is not shown.
      const standing = await link.standing().catch(() => null);
      if (link !== this.#link) return;
      this.#read = { specs, providers, standing, atMs: this.#around.now() };
      const models = servedModels(specs, providers, link.agent, this.#around.showHash);
      this.#move({ type: "models", models, stage: stageOf(standing) });
      const agents = providers.map(({ agent }) => agent);
      await this.#reputation.learn(agents, this.#around.showHash, (agent) => calls.getAgentStanding(link, agent));
    } catch (error) {
      if (link !== this.#link) return;
      if (isUnauthorised(error)) return this.#move({ type: "blocked", why: "not_authorised" });
      this.#refreshFailures += 1;
      if (this.#refreshFailures >= REFRESH_FAILURES_MAX) return this.#lose();
    }
    this.#later(this.#connection.at === "ready" ? REFRESH_READY_MS : REFRESH_JOINING_MS, () => this.#refresh());
  }

  #later(ms: number, run: () => Promise<void>): void {
    clearTimeout(this.#timer);
    if (!this.#isClosed) this.#timer = setTimeout(() => void run(), ms);
  }

  #hear(payload: unknown): void {
    const signal = readLocalSignal(payload);
    if (signal !== null) for (const listener of [...this.#signalListeners]) listener(signal);
  }

  #move(event: ConnectionEvent<ServedModel>): void {
    const before = this.#connection;
    this.#connection = advance(before, event);
    if (this.#connection !== before) for (const listener of this.#stateListeners) listener(this.#connection);
  }
}

/** What is under way before anybody serves. */
export function stageOf(standing: NetworkStanding | null): Stage {
  if (standing === null) return "peers";
  if (!standing.hasAddress) return "relay";
  if (standing.agents === 0) return "bootstrap";
  return standing.agents === 1 && standing.connections === 0 ? "peers" : "providers";
}

function statementOf({ receipt: { receipt }, first_token_us, decode_us }: Done) {
  const later = receipt.completion_tokens - 1;
  return {
    finish: receipt.finish,
    promptTokens: receipt.prompt_tokens,
    completionTokens: receipt.completion_tokens,
    firstTokenMs: first_token_us / 1_000,
    tokensPerS: later > 0 && decode_us > 0 ? (later * 1_000_000) / decode_us : 0,
  };
}

function isUnauthorised(error: unknown): boolean {
  return error instanceof Error && /NoSigningCredentialsForCell|unauthorized/i.test(`${error.name} ${error.message}`);
}
