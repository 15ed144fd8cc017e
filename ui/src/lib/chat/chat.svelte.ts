// The conversation on screen: turns, the draft, what is running. In memory; only the draft survives a reload.
import { unanswered, advance, isOpen, stopped } from "./answer";
import type { Answer } from "./answer";
import type { BackendState, ChatBackend, Model, Provider } from "./backend";
import { keepDraft, keptDraft } from "./draft";
import { chatInput, problemOf, randomSeed } from "./input";

export interface Turn {
  readonly id: number;
  readonly question: string;
  readonly model: Model;
  readonly answer: Answer;
}

export class Chat {
  readonly #backend: ChatBackend;
  readonly #unsubscribe: () => void;
  #conversation = 0;
  #nextId = 0;
  #stop: AbortController | null = null;

  connection: BackendState = $state.raw({ at: "connecting" });
  turns: readonly Turn[] = $state.raw([]);
  #draft: string = $state(keptDraft());
  #modelId: string | null = $state(null);
  /** One throw for each conversation. */
  #dice: number = $state(Math.random());

  constructor(backend: ChatBackend) {
    this.#backend = backend;
    this.#unsubscribe = backend.subscribe((state) => (this.connection = state));
  }

  get draft(): string {
    return this.#draft;
  }

  set draft(draft: string) {
    this.#draft = draft;
    keepDraft(draft);
  }

  get models(): readonly Model[] {
    return this.connection.at === "ready" ? this.connection.models : [];
  }

  /** The chosen model, or the first while nothing is chosen or the chosen one is gone. */
  get model(): Model | null {
    return this.models.find(({ id }) => id === this.#modelId) ?? this.models[0] ?? null;
  }

  chooseModel(id: string): void {
    this.#modelId = id;
  }

  /** Who sees the next question, unless it fails before it answers: a conversation stays with one provider. */
  get reader(): Provider | null {
    return this.model === null ? null : this.#backend.likelyProvider(this.model, this.#lastProvider(), this.#dice);
  }

  get isAnswering(): boolean {
    const last = this.turns.at(-1);
    return last !== undefined && isOpen(last.answer);
  }

  get canSend(): boolean {
    return !this.isAnswering && this.model !== null && this.draft.trim() !== "";
  }

  send(): void {
    const model = this.model;
    if (!this.canSend || model === null) return;
    const question = this.draft.trim();
    this.draft = "";
    void this.#ask(question, model, new Set());
  }

  /** Asks the last question again, but not whoever failed at it. */
  retry(): void {
    const last = this.turns.at(-1);
    if (last === undefined || this.isAnswering) return;
    const failed = last.answer.phase === "failed" ? last.answer.provider?.key : undefined;
    const others = (this.model ?? last.model).providers.filter(({ key }) => key !== failed);
    this.turns = this.turns.slice(0, -1);
    void this.#ask(last.question, this.model ?? last.model, new Set(failed !== undefined && others.length > 0 ? [failed] : []));
  }

  stop(): void {
    const last = this.turns.at(-1);
    if (last === undefined || !isOpen(last.answer)) return;
    this.#set({ ...last, answer: stopped(last.answer) });
    this.#stop?.abort();
  }

  clear(): void {
    this.stop();
    this.turns = [];
    this.#conversation += 1;
    this.#dice = Math.random();
  }

  reconnect(): void {
    this.#backend.reconnect();
  }

  close(): void {
    this.#unsubscribe();
    this.#backend.close();
  }

  async #ask(question: string, model: Model, avoid: ReadonlySet<string>): Promise<void> {
    // What failed is not built upon: it may be half an answer, or one that its receipt does not cover.
    const history = this.turns
      .filter(({ answer }) => answer.phase === "done" || answer.phase === "stopped")
      .map((past) => ({ question: past.question, answer: past.answer.text }));
    const input = chatInput(history, question, randomSeed());
    const prefer = this.reader?.key ?? null;
    let turn: Turn = { id: this.#nextId++, question, model, answer: unanswered };
    this.turns = [...this.turns, turn];
    const problem = problemOf(input);
    if (problem !== null) return this.#set({ ...turn, answer: { ...unanswered, phase: "failed", failure: problem } });

    const stop = new AbortController();
    this.#stop = stop;
    const startedMs = performance.now();
    for await (const event of this.#backend.ask({ conversation: this.#conversation, model, input, prefer, avoid, stop: stop.signal })) {
      const current = this.turns.find(({ id }) => id === turn.id);
      if (current === undefined) return;
      turn = { ...current, answer: advance(current.answer, event, performance.now() - startedMs) };
      this.#set(turn);
    }
  }

  #set(turn: Turn): void {
    this.turns = this.turns.map((other) => (other.id === turn.id ? turn : other));
  }

  #lastProvider(): string | null {
    return this.turns.findLast(({ answer }) => answer.phase === "done")?.answer.provider?.key ?? null;
  }
}
