// Where conversations are kept: in the browser's IndexedDB, on this machine alone (ADR 26). Must not know how they look.
import { openDB } from "idb";
import type { DBSchema, IDBPDatabase } from "idb";
import type { Conversation, Turn } from "../chat/conversation";

export interface Store {
  /** Newest first. */
  conversations(): Promise<Conversation[]>;
  conversation(id: string): Promise<Conversation | undefined>;
  turns(conversation: string): Promise<Turn[]>;
  turn(id: string): Promise<Turn | undefined>;
  put(conversation: Conversation): Promise<void>;
  putTurn(turn: Turn): Promise<void>;
  /** Many at once, in one transaction. */
  putAll(conversations: readonly Conversation[], turns: readonly Turn[]): Promise<void>;
  removeTurn(id: string): Promise<void>;
  /** A conversation and everything in it. */
  remove(conversation: string): Promise<void>;
  clear(): Promise<void>;
}

interface Schema extends DBSchema {
  conversations: { key: string; value: Conversation };
  turns: { key: string; value: Turn; indexes: { conversation: string } };
}

const NAME = "ainonymous";
const VERSION = 1;

/** The store of this browser; in memory where the browser refuses to keep anything. */
export async function openStore(): Promise<{ store: Store; isKept: boolean }> {
  try {
    const db = await openDB<Schema>(NAME, VERSION, {
      upgrade(db) {
        db.createObjectStore("conversations", { keyPath: "id" });
        db.createObjectStore("turns", { keyPath: "id" }).createIndex("conversation", "conversation");
      },
      // Another tab has a newer page: it gets its way.
      blocking: (_current, _blocked, event) => (event.target as IDBDatabase).close(),
    });
    return { store: new KeptStore(db), isKept: true };
  } catch {
    return { store: new MemoryStore(), isKept: false };
  }
}

const newestFirst = (a: Conversation, b: Conversation) => b.updatedMs - a.updatedMs;

class KeptStore implements Store {
  readonly #db: IDBPDatabase<Schema>;

  constructor(db: IDBPDatabase<Schema>) {
    this.#db = db;
  }

  async conversations(): Promise<Conversation[]> {
    return (await this.#db.getAll("conversations")).sort(newestFirst);
  }

  conversation(id: string): Promise<Conversation | undefined> {
    return this.#db.get("conversations", id);
  }

  turns(conversation: string): Promise<Turn[]> {
    return this.#db.getAllFromIndex("turns", "conversation", conversation);
  }

  turn(id: string): Promise<Turn | undefined> {
    return this.#db.get("turns", id);
  }

  async put(conversation: Conversation): Promise<void> {
    await this.#db.put("conversations", conversation);
  }

  async putTurn(turn: Turn): Promise<void> {
    await this.#db.put("turns", turn);
  }

  async putAll(conversations: readonly Conversation[], turns: readonly Turn[]): Promise<void> {
    const tx = this.#db.transaction(["conversations", "turns"], "readwrite");
    for (const one of conversations) void tx.objectStore("conversations").put(one);
    for (const one of turns) void tx.objectStore("turns").put(one);
    await tx.done;
  }

  async removeTurn(id: string): Promise<void> {
    await this.#db.delete("turns", id);
  }

  async remove(conversation: string): Promise<void> {
    const tx = this.#db.transaction(["conversations", "turns"], "readwrite");
    const turns = tx.objectStore("turns");
    for (const key of await turns.index("conversation").getAllKeys(conversation)) void turns.delete(key);
    void tx.objectStore("conversations").delete(conversation);
    await tx.done;
  }

  async clear(): Promise<void> {
    const tx = this.#db.transaction(["conversations", "turns"], "readwrite");
    void tx.objectStore("conversations").clear();
    void tx.objectStore("turns").clear();
    await tx.done;
  }
}

/** For private windows, and for tests. */
export class MemoryStore implements Store {
  readonly #conversations = new Map<string, Conversation>();
  readonly #turns = new Map<string, Turn>();

  async conversations(): Promise<Conversation[]> {
    return [...this.#conversations.values()].sort(newestFirst);
  }

  async conversation(id: string): Promise<Conversation | undefined> {
    return this.#conversations.get(id);
  }

  async turns(conversation: string): Promise<Turn[]> {
    return [...this.#turns.values()].filter((turn) => turn.conversation === conversation);
  }

  async turn(id: string): Promise<Turn | undefined> {
    return this.#turns.get(id);
  }

  async put(conversation: Conversation): Promise<void> {
    this.#conversations.set(conversation.id, conversation);
  }

  async putTurn(turn: Turn): Promise<void> {
    this.#turns.set(turn.id, turn);
  }

  async putAll(conversations: readonly Conversation[], turns: readonly Turn[]): Promise<void> {
    for (const one of conversations) this.#conversations.set(one.id, one);
    for (const one of turns) this.#turns.set(one.id, one);
  }

  async removeTurn(id: string): Promise<void> {
    this.#turns.delete(id);
  }

  async remove(conversation: string): Promise<void> {
    this.#conversations.delete(conversation);
    for (const turn of await this.turns(conversation)) this.#turns.delete(turn.id);
  }

  async clear(): Promise<void> {
    this.#conversations.clear();
    this.#turns.clear();
  }
}
