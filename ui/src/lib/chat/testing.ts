// What tests of the chat need: providers and models that exist only here, and a backend that says what it is told to.
import { isAllowed, outlookOf, refusedBy } from "./backend";
import type { AnswerEvent, AskOptions, Audit, BackendState, ChatBackend, Failure, Findings, Model, NetworkPicture, Outlook, Provider, Wish } from "./backend";
import { Channel } from "./channel";

export const provider = (key: string): Provider => ({ key, tokensPerS: 1, device: "cpu", isOwn: false, kinship: "public", waiting: null, milliPrice: null });
export const model: Model = {
  ...{ id: "m", name: "tiny", quantization: "q8_0", contextTokens: 512, takesImages: false, rests: false },
  providers: [provider("a"), provider("b")],
};
export const statement = { finish: "stop", promptTokens: 1, completionTokens: 1, firstTokenMs: 1, tokensPerS: 1 } as const;
export const asked = (key: string): AnswerEvent => ({ type: "asked", provider: provider(key), route: "direct", reason: null, spec: "" });

export class TestBackend implements ChatBackend {
  readonly kind = "sidecar";
  readonly canHide = true;
  readonly canCompare = true;
  state: BackendState = { at: "ready", models: [model, { ...model, id: "n", name: "other" }] };
  asked: AskOptions[] = [];
  events = new Channel<AnswerEvent>(100_000);
  reconnects = 0;
  #isClosed = false;
  #listener: (state: BackendState) => void = () => undefined;

  subscribe(listener: (state: BackendState) => void): () => void {
    this.#listener = listener;
    listener(this.state);
    return () => undefined;
  }

  move(state: BackendState): void {
    this.#listener(state);
  }

  outlook(of: Model, { prefer, only }: Wish): Outlook | null {
    const allowed = of.providers.filter(({ kinship }) => isAllowed(kinship, only));
    const likely = allowed.find(({ key }) => key === prefer) ?? allowed[0];
    return likely === undefined ? refusedBy("nobody_allowed") : outlookOf({ by: "one", provider: likely, others: allowed.length - 1 }, [likely]);
  }

  verify(_path: string): Promise<Audit | Failure> {
    return Promise.resolve({ audit: "audited", why: "as_honest" });
  }

  async receiptFile(path: string): Promise<string> {
    return `file of ${path}`;
  }

  async *ask(options: AskOptions): AsyncGenerator<AnswerEvent> {
    this.asked.push(options);
    for (;;) {
      const event = await this.events.next(1_000);
      if (event === null || options.stop.aborted || this.#isClosed) return;
      yield event;
      if (event.type === "failed" || event.type === "receipt") return;
    }
  }

  async network(): Promise<NetworkPicture> {
    return { self: null, network: null, peers: [], online: null, readAgoS: null, audits: null };
  }

  findings(_key: string): Promise<Findings> {
    return Promise.resolve({ reports: [], accusations: [], convictions: [], equivocations: [], hasMore: false });
  }

  reconnect(): void {
    this.reconnects += 1;
  }

  wake(): void {
    this.reconnects += 1;
  }

  close(): void {
    this.#isClosed = true;
  }
}
