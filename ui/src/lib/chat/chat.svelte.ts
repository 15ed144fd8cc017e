// Everything that a person does with conversations: which is open, what is said in it, what is being written. Kept in the
// store and told to other tabs. Must not know how anything looks, nor who answers.
import { Tabs } from "../store/tabs";
import type { News } from "../store/tabs";
import { fromJson, toJson } from "../store/transfer";
import type { Store } from "../store/store";
import { advance, interrupted, isAwaited, isOpen, KEPT_HERE, providerOf, stopped, unanswered } from "./answer";
import type { Answer } from "./answer";
import type { AnswerEvent, BackendState, ChatBackend, Failure, Model, Outlook } from "./backend";
import { childrenOf, endOf, isSaid, newConversation, newId, pathTo, titleOf, usual } from "./conversation";
import type { Attachment, Conversation, Options, Turn } from "./conversation";
import { keepDraft, keptDraft } from "./draft";
import { compose, problemOf, randomSeed } from "./input";

/** What is being written is shown this often at most: a frame of the screen. */
const SHOW_MS = 16;
/** And written down and told to other tabs this often. */
const KEEP_MS = 700;
/** Where the draft of a conversation lives that has no turn yet. */
const NEW = "new";

interface Running {
  readonly stop: AbortController;
  turn: Turn;
}

export class Chat {
  readonly #backend: ChatBackend;
  readonly #store: Store;
  readonly #tabs: Tabs;
  readonly #unsubscribe: () => void;
  readonly #running = new Map<string, Running>();
  /** Turns that another tab writes, while this one waits for their end. */
  readonly #followed = new Set<string>();
  #turns = new Map<string, Turn>();
  #children: ReadonlyMap<string | null, readonly Turn[]> = new Map();

  connection: BackendState = $state.raw({ at: "connecting" });
  conversations: readonly Conversation[] = $state.raw([]);
  current: Conversation = $state.raw(newConversation(Date.now()));
  /** The branch that is shown, oldest first. */
  path: readonly Turn[] = $state.raw([]);
  /** Answers that are being written, here or in another tab: newer than those of the path. */
  live: ReadonlyMap<string, Answer> = $state.raw(new Map());
  attachments: readonly Attachment[] = $state.raw([]);
  /** The turn whose question is being edited. */
  editing: Turn | null = $state.raw(null);
  #draft: string = $state(keptDraft(NEW));
  /** One throw for each conversation. */
  #dice: number = $state(Math.random());

  constructor(backend: ChatBackend, store: Store) {
    this.#backend = backend;
    this.#store = store;
    this.#tabs = new Tabs((news) => void this.#hear(news));
    this.#unsubscribe = backend.subscribe((state) => (this.connection = state));
  }

  /** Reads what is kept; opens a conversation if its id is known. */
  async start(open: string | null): Promise<void> {
    await this.#list();
    if (open !== null) await this.open(open);
  }

  get draft(): string {
    return this.#draft;
  }

  set draft(draft: string) {
    this.#draft = draft;
    keepDraft(this.isNew ? NEW : this.current.id, draft);
  }

  get isNew(): boolean {
    return this.path.length === 0;
  }

  get models(): readonly Model[] {
    return this.connection.at === "ready" ? this.connection.models : [];
  }

  /** The chosen model, or the first while nothing is chosen or the chosen one is gone. */
  get model(): Model | null {
    return this.models.find(({ id }) => id === this.current.modelId) ?? this.models[0] ?? null;
  }

  /** Who sees the next question, how long it waits, what it costs; or what stands in its way. */
  get outlook(): Outlook | null {
    if (this.model === null) return null;
    const { only, hides } = this.current.options;
    return this.#backend.outlook(this.model, { prefer: this.#lastProvider(), only, hides, answers: this.#answers, dice: this.#dice });
  }

  get canHide(): boolean {
    return this.#backend.canHide;
  }

  get canCompare(): boolean {
    return this.#backend.canCompare;
  }

  /** What the backend can do of what is wished. */
  get #answers(): number {
    return this.canCompare ? this.current.options.answers : 1;
  }

  /** Lets anybody answer again: the way out where one's own policy refuses. */
  allowAnybody(): void {
    this.setOptions({ ...this.current.options, only: null, hides: false, answers: 1 });
  }

  /** The receipt of an answer as a file, from where its answer says that it is. */
  async receiptFile(turn: Turn, path: string): Promise<string> {
    if (path !== KEPT_HERE) return this.#backend.receiptFile(path);
    const kept = await this.#store.receipt(turn.id);
    if (kept === undefined) throw new Error("it is not kept any more");
    return kept;
  }

  /** Has an answer replayed; says why if that cannot be done. */
  async verify(turn: Turn, path: string): Promise<Failure | null> {
    const found = await this.#backend.verify(path);
    if ("code" in found) return found;
    void this.#settle({ ...turn, answer: advance(this.answerOf(turn), { type: "audit", ...found }, 0) });
    return null;
  }

  answerOf(turn: Turn): Answer {
    return this.live.get(turn.id) ?? turn.answer;
  }

  get isAnswering(): boolean {
    const last = this.path.at(-1);
    return last !== undefined && isOpen(this.answerOf(last));
  }

  /** Whether this tab can stop it. */
  get canStop(): boolean {
    const last = this.path.at(-1);
    return last !== undefined && this.#running.has(last.id) && isOpen(this.answerOf(last));
  }

  get canSend(): boolean {
    return !this.isAnswering && this.model !== null && this.draft.trim() !== "" && this.#fitsImages && this.outlook?.hurdle == null;
  }

  get #fitsImages(): boolean {
    return this.model?.takesImages === true || this.attachments.every(({ kind }) => kind !== "image");
  }

  chooseModel(modelId: string): void {
    this.#change({ modelId });
  }

  setOptions(options: Options): void {
    this.#change({ options });
  }

  send(): void {
    if (!this.canSend) return;
    const [question, attachments, edited] = [this.draft.trim(), this.attachments, this.editing];
    const parent = edited === null ? (this.path.at(-1)?.id ?? null) : edited.parent;
    this.draft = "";
    this.attachments = [];
    this.editing = null;
    this.#ask(parent, question, attachments, new Set());
  }

  /** Takes a question of the past into the field; sending it grows a branch. */
  edit(turn: Turn): void {
    this.editing = turn;
    this.attachments = turn.attachments;
    this.draft = turn.question;
  }

  cancelEdit(): void {
    this.editing = null;
    this.attachments = [];
    this.draft = "";
  }

  /** The same question once more, beside the answer that is there. */
  regenerate(turn: Turn): void {
    if (this.isAnswering || this.model === null) return;
    this.#ask(turn.parent, turn.question, turn.attachments, new Set());
  }

  /** Asks a question that failed once more, but not whoever failed at it, if there is somebody else. */
  retry(turn: Turn): void {
    const model = this.model;
    if (this.isAnswering || model === null) return;
    const failed = providerOf(turn.answer)?.key;
    const others = model.providers.filter(({ key }) => key !== failed);
    const avoid = new Set(failed !== undefined && failed !== "" && others.length > 0 ? [failed] : []);
    if (turn.answer.text === "" && (this.#children.get(turn.id) ?? []).length === 0) this.#forget(turn);
    this.#ask(turn.parent, turn.question, turn.attachments, avoid);
  }

  stop(): void {
    const last = this.path.at(-1);
    const running = last === undefined ? undefined : this.#running.get(last.id);
    if (running === undefined) return;
    running.turn = { ...running.turn, answer: stopped(running.turn.answer) };
    this.#show(running.turn);
    running.stop.abort();
  }

  /** Turns beside this one, and which it is. */
  siblings(turn: Turn): { readonly all: readonly Turn[]; readonly at: number } {
    const all = this.#children.get(turn.parent) ?? [turn];
    return { all, at: all.findIndex(({ id }) => id === turn.id) };
  }

  /** Shows another branch. */
  show(turn: Turn): void {
    this.#change({ leaf: endOf(this.#children, turn).id });
    this.#layOut();
  }

  new(): void {
    this.#leave();
    const { modelId, options } = this.current;
    this.current = newConversation(Date.now(), { modelId, options: { ...options, system: "" } });
    this.#turns = new Map();
    this.#dice = Math.random();
    this.#layOut();
    this.#draft = keptDraft(NEW);
  }

  async open(id: string): Promise<boolean> {
    const conversation = await this.#store.conversation(id);
    if (conversation === undefined) return false;
    this.#leave();
    // What older pages kept has fewer options.
    this.current = { ...conversation, options: { ...usual, ...conversation.options } };
    this.#turns = new Map((await this.#store.turns(id)).map((turn) => [turn.id, turn]));
    for (const { turn } of this.#running.values()) if (turn.conversation === id) this.#turns.set(turn.id, turn);
    this.#layOut();
    this.#draft = keptDraft(id);
    await this.#closeOrphans();
    return true;
  }

  async rename(id: string, title: string): Promise<void> {
    const conversation = await this.#store.conversation(id);
    if (conversation !== undefined) this.#keep({ ...conversation, title: titleOf(title) });
  }

  async remove(id: string): Promise<void> {
    this.#abort(id);
    await this.#store.remove(id);
    keepDraft(id, "");
    this.#tabs.tell({ type: "removed", id });
    await this.#gone(id);
  }

  async removeAll(): Promise<void> {
    this.#abort(null);
    await this.#store.clear();
    this.#tabs.tell({ type: "cleared" });
    this.conversations = [];
    this.new();
  }

  /** One conversation, or all of them, as JSON. */
  async exported(id: string | null): Promise<string> {
    const all = await this.#store.conversations();
    const conversations = id === null ? all : all.filter((one) => one.id === id);
    const turns: Turn[] = [];
    for (const one of conversations) turns.push(...(await this.#store.turns(one.id)));
    return toJson({ conversations, turns });
  }

  /** How many conversations came in; null if the file is none of ours. */
  async imported(json: string): Promise<number | null> {
    const kept = fromJson(json, Date.now());
    if (kept === null) return null;
    await this.#store.putAll(kept.conversations, kept.turns);
    for (const { id } of kept.conversations) this.#tabs.tell({ type: "conversation", id });
    await this.#list();
    return kept.conversations.length;
  }

  reconnect(): void {
    this.#backend.reconnect();
  }

  close(): void {
    for (const running of this.#running.values()) {
      running.turn = { ...running.turn, answer: interrupted(running.turn.answer) };
      void this.#store.putTurn(running.turn);
      running.stop.abort();
    }
    this.#unsubscribe();
    this.#backend.close();
    this.#tabs.close();
  }

  #ask(parent: string | null, question: string, attachments: readonly Attachment[], avoid: ReadonlySet<string>): void {
    const model = this.model;
    if (model === null) return;
    const { options, id: conversation } = this.current;
    const history = pathTo(this.#turns, parent).filter(isSaid);
    const exchanged = history.map((past) => ({ question: past.question, attachments: past.attachments, answer: past.answer.text }));
    const { input, images, leftOut } = compose(exchanged, { question, attachments }, options, randomSeed());
    const prefer = providerOf(history.at(-1)?.answer ?? unanswered)?.key || null;
    const likely = this.outlook?.readers;
    const modelLabel = model.quantization === "" ? model.name : `${model.name} ${model.quantization}`;
    const turn: Turn = {
      ...{ id: newId(), conversation, parent, question, attachments, modelId: model.id, modelLabel, leftOut },
      ...{ askedMs: Date.now(), answer: unanswered },
    };
    this.#turns.set(turn.id, turn);
    const title = this.current.title === "" ? titleOf(question) : this.current.title;
    this.#keep({ ...this.current, title, leaf: turn.id, updatedMs: turn.askedMs, modelId: model.id });
    this.#layOut();
    const problem = problemOf(input);
    if (problem !== null) return void this.#settle({ ...turn, answer: { ...unanswered, phase: "failed", failure: problem } });
    const running: Running = { stop: new AbortController(), turn };
    this.#running.set(turn.id, running);
    const named = likely?.by === "one" ? likely.provider.key : null;
    const { only, hides } = options;
    const ask = { conversation, model, input, images, prefer: prefer ?? named, avoid, only, hides, answers: this.#answers, stop: running.stop.signal };
    this.#show(turn);
    void this.#tabs.hold(turn.id, () => this.#run(running, ask));
  }

  /** While the turn is held: other tabs hear of it first when it is, and it is let go when its end is written down. */
  async #run(running: Running, ask: Parameters<ChatBackend["ask"]>[0]): Promise<void> {
    this.#noteDown(running.turn);
    const startedMs = performance.now();
    let [shownMs, keptMs] = [0, startedMs];
    let timer: ReturnType<typeof setTimeout> | undefined;
    const show = () => {
      timer = undefined;
      // Whatever was stopped may be deleted by now.
      if (ask.stop.aborted) return;
      shownMs = performance.now();
      this.#show(running.turn);
      if (shownMs - keptMs < KEEP_MS) return;
      keptMs = shownMs;
      this.#noteDown(running.turn);
    };
    for await (const given of this.#backend.ask(ask)) {
      const event = await this.#withReceiptKept(running.turn, given);
      const nowMs = performance.now();
      const before = running.turn.answer;
      if (ask.stop.aborted) break;
      running.turn = { ...running.turn, answer: advance(before, event, nowMs - startedMs) };
      const isEnd = event.type === "answered" || event.type === "failed" || event.type === "receipt" || event.type === "audit";
      // The first word is shown at once; later ones with the frames of the screen.
      if (isEnd || before.phase !== running.turn.answer.phase) {
        clearTimeout(timer);
        show();
      } else {
        timer ??= setTimeout(show, Math.max(0, SHOW_MS - (nowMs - shownMs)));
      }
      if (event.type === "answered" || event.type === "failed") void this.#settle(running.turn);
    }
    clearTimeout(timer);
    running.turn = { ...running.turn, answer: stopped(running.turn.answer) };
    const settled = this.#settle(running.turn);
    this.#running.delete(running.turn.id);
    await settled;
  }

  /** A receipt's file that the backend keeps nowhere is kept here, if there is room. */
  async #withReceiptKept({ id, conversation }: Turn, event: AnswerEvent): Promise<AnswerEvent> {
    if (event.type !== "receipt" || event.whole === undefined) return event;
    const receipt = { turn: id, conversation, keptMs: Date.now(), file: event.whole };
    const isKept = await this.#store.putReceipt(receipt).catch(() => false);
    return isKept ? { ...event, file: KEPT_HERE } : event;
  }

  /** Writes down how far it is. */
  #noteDown(turn: Turn): void {
    void this.#store.putTurn(turn).then((isKept) => isKept && this.#tell(turn));
  }

  /** Writes down how it ended. */
  async #settle(turn: Turn): Promise<void> {
    if (turn.conversation === this.current.id && this.#turns.has(turn.id)) {
      this.#turns.set(turn.id, turn);
      this.#layOut();
    }
    this.#setLive(turn.id, null);
    if (await this.#store.putTurn(turn)) this.#tell(turn);
  }

  #show(turn: Turn): void {
    this.#setLive(turn.id, turn.answer);
  }

  #setLive(id: string, answer: Answer | null): void {
    if (answer === null && !this.live.has(id)) return;
    const live = new Map(this.live);
    if (answer === null) live.delete(id);
    else live.set(id, answer);
    this.live = live;
  }

  #tell({ id, conversation }: Turn): void {
    this.#tabs.tell({ type: "turn", id, conversation });
  }

  #change(change: Partial<Conversation>): void {
    const changed = { ...this.current, ...change };
    if (this.isNew) this.current = changed;
    else this.#keep(changed);
  }

  #keep(conversation: Conversation): void {
    if (conversation.id === this.current.id) this.current = conversation;
    const others = this.conversations.filter(({ id }) => id !== conversation.id);
    this.conversations = [conversation, ...others].sort((a, b) => b.updatedMs - a.updatedMs);
    void this.#store.put(conversation).then(() => this.#tabs.tell({ type: "conversation", id: conversation.id }));
  }

  #forget(turn: Turn): void {
    this.#turns.delete(turn.id);
    void this.#store.removeTurn(turn.id);
    this.#layOut();
  }

  #leave(): void {
    this.editing = null;
    this.attachments = [];
  }

  #layOut(): void {
    this.#children = childrenOf(this.#turns);
    const leaf = this.current.leaf;
    const fallback = leaf !== null && !this.#turns.has(leaf) ? this.#children.get(null)?.at(-1) : undefined;
    this.path = pathTo(this.#turns, fallback === undefined ? leaf : endOf(this.#children, fallback).id);
  }

  #lastProvider(): string | null {
    const last = this.path.findLast(({ answer }) => answer.phase === "done");
    return (last === undefined ? undefined : providerOf(last.answer)?.key) || null;
  }

  async #list(): Promise<void> {
    this.conversations = await this.#store.conversations();
  }

  /** Answers of this conversation that nobody is writing any more, now or soon. */
  async #closeOrphans(): Promise<void> {
    for (const turn of [...this.#turns.values()]) {
      if (!isAwaited(turn.answer) || this.#running.has(turn.id)) continue;
      if (await this.#tabs.isHeld(turn.id)) this.#follow(turn);
      else await this.#closeUp(turn.id);
    }
  }

  /** What nobody writes any more is shown as it was left, and as interrupted if it was not complete. */
  async #closeUp(id: string): Promise<void> {
    const left = await this.#store.turn(id);
    if (left === undefined) this.#setLive(id, null);
    else if (isAwaited(left.answer)) await this.#settle({ ...left, answer: interrupted(left.answer) });
    else this.#take(left);
  }

  /** Shows what another tab writes; that tab may go before its answer is complete. */
  #follow(turn: Turn): void {
    this.#setLive(turn.id, turn.answer);
    if (this.#followed.has(turn.id)) return;
    this.#followed.add(turn.id);
    void this.#tabs.untilFree(turn.id).then((isKnown) => {
      this.#followed.delete(turn.id);
      return isKnown ? this.#closeUp(turn.id) : undefined;
    });
  }

  /** What another tab has written down. */
  #take(turn: Turn): void {
    if (!isAwaited(turn.answer)) this.#setLive(turn.id, null);
    if (turn.conversation !== this.current.id) return;
    if (isAwaited(turn.answer)) this.#follow(turn);
    const known = this.#turns.get(turn.id);
    this.#turns.set(turn.id, turn);
    if (known === undefined || !isOpen(turn.answer)) this.#layOut();
  }

  /** Ends what is being written in a conversation that is removed, or in all. */
  #abort(conversation: string | null): void {
    for (const { turn, stop } of this.#running.values()) if (conversation === null || turn.conversation === conversation) stop.abort();
  }

  async #gone(id: string): Promise<void> {
    this.#abort(id);
    this.conversations = this.conversations.filter((one) => one.id !== id);
    if (this.current.id === id) this.new();
  }

  /** Another tab changed something. */
  async #hear(news: News): Promise<void> {
    if (news.type === "cleared") {
      this.#abort(null);
      this.conversations = [];
      return this.new();
    }
    if (news.type === "removed") return this.#gone(news.id);
    if (news.type === "conversation") {
      await this.#list();
      const changed = this.conversations.find(({ id }) => id === news.id);
      if (changed === undefined || changed.id !== this.current.id) return;
      this.current = { ...changed, options: { ...usual, ...changed.options } };
      return this.#layOut();
    }
    if (news.conversation !== this.current.id || this.#running.has(news.id)) return;
    const turn = await this.#store.turn(news.id);
    if (turn !== undefined) this.#take(turn);
  }
}
