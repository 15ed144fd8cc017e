// The conversation against a backend that answers as the test says.
import { beforeEach, describe, expect, it } from "vitest";
import type { AnswerEvent, AskOptions, BackendState, ChatBackend, Model, Provider } from "./backend";
import { Channel } from "./channel";
import { Chat } from "./chat.svelte";

const provider = (key: string): Provider => ({ key, tokensPerS: 1, device: "cpu", isOwn: false });
const model: Model = { id: "m", name: "tiny", quantization: "q8_0", contextTokens: 512, providers: [provider("a"), provider("b")] };
const other: Model = { ...model, id: "n", name: "other" };
const statement = { finish: "stop", promptTokens: 1, completionTokens: 1, firstTokenMs: 1, tokensPerS: 1 } as const;

class TestBackend implements ChatBackend {
  state: BackendState = { at: "ready", models: [model, other] };
  asked: AskOptions[] = [];
  events = new Channel<AnswerEvent>(100);
  reconnects = 0;
  #listener: (state: BackendState) => void = () => undefined;

  subscribe(listener: (state: BackendState) => void): () => void {
    this.#listener = listener;
    listener(this.state);
    return () => undefined;
  }

  move(state: BackendState): void {
    this.#listener(state);
  }

  likelyProvider(of: Model, prefer: string | null): Provider | null {
    return of.providers.find(({ key }) => key === prefer) ?? of.providers[0] ?? null;
  }

  async *ask(options: AskOptions): AsyncGenerator<AnswerEvent> {
    this.asked.push(options);
    for (;;) {
      const event = await this.events.next(1_000);
      if (event === null) return;
      yield event;
      if (event.type === "failed" || event.type === "receipt") return;
    }
  }

  reconnect(): void {
    this.reconnects += 1;
  }

  close(): void {}
}

let backend: TestBackend;
let chat: Chat;

beforeEach(() => {
  backend = new TestBackend();
  chat = new Chat(backend);
});

async function say(...events: AnswerEvent[]): Promise<void> {
  for (const event of events) backend.events.push(event);
  await new Promise((resolve) => setTimeout(resolve, 5));
}

const answered: AnswerEvent[] = [
  { type: "asked", provider: provider("b") },
  { type: "text", text: "Paris.", tokens: 1 },
  { type: "answered", statement },
  { type: "receipt", receipt: { at: "checked", action: "x" } },
];

function send(question: string): void {
  chat.draft = question;
  chat.send();
}

describe("a conversation", () => {
  it("sends the draft, shows the answer, and goes on with the same provider", async () => {
    expect(chat.canSend).toBe(false);
    expect(chat.reader?.key).toBe("a");
    send(" What? ");
    expect(backend.asked[0]?.prefer).toBe("a");
    expect(chat).toMatchObject({ draft: "", isAnswering: true, canSend: false });
    await say(...answered);
    expect(chat.turns).toMatchObject([{ question: "What?", answer: { phase: "done", text: "Paris.", receipt: { at: "checked" } } }]);
    expect(chat.reader?.key).toBe("b");
    send("And?");
    const [first, second] = backend.asked;
    expect(second?.input.messages.map(({ content }) => content)).toEqual(["What?", "Paris.", "And?"]);
    expect(second?.prefer).toBe("b");
    expect(second?.conversation).toBe(first?.conversation);
  });

  it("stops at once, whatever still comes", async () => {
    send("Tell.");
    await say({ type: "asked", provider: provider("a") }, { type: "text", text: "Once", tokens: 1 });
    chat.stop();
    expect(chat.isAnswering).toBe(false);
    expect(backend.asked[0]?.stop.aborted).toBe(true);
    await say({ type: "text", text: " upon", tokens: 1 });
    expect(chat.turns[0]?.answer).toMatchObject({ phase: "stopped", text: "Once" });
  });

  it("asks another provider again, without building on what failed", async () => {
    send("What?");
    await say({ type: "asked", provider: provider("a") }, { type: "text", text: "half", tokens: 1 }, { type: "failed", failure: { code: "gone", detail: "" } });
    chat.retry();
    expect(chat.turns).toHaveLength(1);
    expect(backend.asked[1]?.avoid).toEqual(new Set(["a"]));
    expect(backend.asked[1]?.input.messages).toHaveLength(1);
  });

  it("starts anew with another session", async () => {
    send("What?");
    await say(...answered);
    chat.clear();
    expect(chat.turns).toEqual([]);
    send("Who?");
    expect(backend.asked[1]?.conversation).not.toBe(backend.asked[0]?.conversation);
  });

  it("names what is too long without asking anybody", () => {
    send("x".repeat(2 ** 20 + 1));
    expect(chat.turns[0]?.answer).toMatchObject({ phase: "failed", failure: { code: "too_long" } });
    expect(backend.asked).toEqual([]);
  });

  it("keeps the chosen model while somebody serves it", () => {
    chat.chooseModel("n");
    expect(chat.model?.id).toBe("n");
    backend.move({ at: "ready", models: [model] });
    expect(chat.model?.id).toBe("m");
    backend.move({ at: "offline", retryInMs: 500, attempt: 1 });
    expect(chat.model).toBeNull();
    send("kept");
    expect(chat.draft).toBe("kept");
  });
});
