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
  /** False, and nothing is kept, if its conversation is not there (any more). */
  putTurn(turn: Turn): Promise<boolean>;
  /** Many at once, in one transaction. */
  putAll(conversations: readonly Conversation[], turns: readonly Turn[]): Promise<void>;
  /** Keeps the receipt's file of a turn; the oldest beyond [`RECEIPTS_MAX`] goes. False, and nothing is kept, if its turn is not there (any more), or if
   * it is longer than [`RECEIPT_CHARS_MAX`]. */
  putReceipt(receipt: KeptReceipt): Promise<boolean>;
  /** The file; undefined if it is not kept. */
  receipt(turn: string): Promise<string | undefined>;
  /** A turn and its receipt. */
  removeTurn(id: string): Promise<void>;
  /** A conversation and everything in it. */
  remove(conversation: string): Promise<void>;
  clear(): Promise<void>;
}

/** A receipt as a file. It contains the whole question, with all that was said before. */
export interface KeptReceipt {
  readonly turn: string;
  readonly conversation: string;
  /** Milliseconds since the epoch. */
  readonly keptMs: number;
  readonly file: string;
}

/** Receipts that are kept as files: those of the newest answers. */
export const RECEIPTS_MAX = 200;
/** Longest file that is kept, in UTF-16 units. */
export const RECEIPT_CHARS_MAX = 256 * 1024;

interface Schema extends DBSchema {
  conversations: { key: string; value: Conversation };
  turns: { key: string; value: Turn; indexes: { conversation: string } };
  receipts: { key: string; value: KeptReceipt; indexes: { conversation: string; keptMs: number } };
}

const NAME = "ainonymous";
/** 2: receipts. */
const VERSION = 2;

/** The store of this browser; in memory where the browser refuses to keep anything. */
export async function openStore(): Promise<{ store: Store; isKept: boolean }> {
  try {
    const db = await openDB<Schema>(NAME, VERSION, {
      upgrade(db, before) {
        if (before < 1) {
          db.createObjectStore("conversations", { keyPath: "id" });
          db.createObjectStore("turns", { keyPath: "id" }).createIndex("conversation", "conversation");
        }
        const receipts = db.createObjectStore("receipts", { keyPath: "turn" });
        receipts.createIndex("conversation", "conversation");
        receipts.createIndex("keptMs", "keptMs");
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

  async putTurn(turn: Turn): Promise<boolean> {
    const tx = this.#db.transaction(["conversations", "turns"], "readwrite");
    const isThere = (await tx.objectStore("conversations").getKey(turn.conversation)) !== undefined;
    if (isThere) void tx.objectStore("turns").put(turn);
    await tx.done;
    return isThere;
  }

  async putAll(conversations: readonly Conversation[], turns: readonly Turn[]): Promise<void> {
    const tx = this.#db.transaction(["conversations", "turns"], "readwrite");
    for (const one of conversations) void tx.objectStore("conversations").put(one);
    for (const one of turns) void tx.objectStore("turns").put(one);
    await tx.done;
  }

  async putReceipt(receipt: KeptReceipt): Promise<boolean> {
    if (receipt.file.length > RECEIPT_CHARS_MAX) return false;
    const tx = this.#db.transaction(["turns", "receipts"], "readwrite");
    const receipts = tx.objectStore("receipts");
    const isThere = (await tx.objectStore("turns").getKey(receipt.turn)) !== undefined;
    if (isThere) void receipts.put(receipt);
    let beyond = (await receipts.count()) - RECEIPTS_MAX;
    for (let oldest = beyond > 0 ? await receipts.index("keptMs").openKeyCursor() : null; oldest !== null && beyond > 0; beyond -= 1) {
      void receipts.delete(oldest.primaryKey);
      oldest = await oldest.continue();
    }
    await tx.done;
    return isThere;
  }

  async receipt(turn: string): Promise<string | undefined> {
    return (await this.#db.get("receipts", turn))?.file;
  }

  async removeTurn(id: string): Promise<void> {
    const tx = this.#db.transaction(["turns", "receipts"], "readwrite");
    void tx.objectStore("turns").delete(id);
    void tx.objectStore("receipts").delete(id);
    await tx.done;
  }

  async remove(conversation: string): Promise<void> {
    const tx = this.#db.transaction(["conversations", "turns", "receipts"], "readwrite");
    for (const name of ["turns", "receipts"] as const) {
      const store = tx.objectStore(name);
      for (const key of await store.index("conversation").getAllKeys(conversation)) void store.delete(key);
    }
    void tx.objectStore("conversations").delete(conversation);
    await tx.done;
  }

  async clear(): Promise<void> {
    const tx = this.#db.transaction(["conversations", "turns", "receipts"], "readwrite");
    for (const name of ["conversations", "turns", "receipts"] as const) void tx.objectStore(name).clear();
    await tx.done;
  }
}

/** For private windows, and for tests. */
export class MemoryStore implements Store {
  readonly #conversations = new Map<string, Conversation>();
  readonly #turns = new Map<string, Turn>();
  readonly #receipts = new Map<string, KeptReceipt>();

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

  async putTurn(turn: Turn): Promise<boolean> {
    if (!this.#conversations.has(turn.conversation)) return false;
    this.#turns.set(turn.id, turn);
    return true;
  }

  async putAll(conversations: readonly Conversation[], turns: readonly Turn[]): Promise<void> {
    for (const one of conversations) this.#conversations.set(one.id, one);
    for (const one of turns) this.#turns.set(one.id, one);
  }

  async putReceipt(receipt: KeptReceipt): Promise<boolean> {
    if (receipt.file.length > RECEIPT_CHARS_MAX || !this.#turns.has(receipt.turn)) return false;
    this.#receipts.delete(receipt.turn);
    this.#receipts.set(receipt.turn, receipt);
    const [oldest] = this.#receipts.keys();
    if (this.#receipts.size > RECEIPTS_MAX && oldest !== undefined) this.#receipts.delete(oldest);
    return true;
  }

  async receipt(turn: string): Promise<string | undefined> {
    return this.#receipts.get(turn)?.file;
  }

  async removeTurn(id: string): Promise<void> {
    this.#turns.delete(id);
    this.#receipts.delete(id);
  }

  async remove(conversation: string): Promise<void> {
    this.#conversations.delete(conversation);
    for (const turn of await this.turns(conversation)) this.#turns.delete(turn.id);
    for (const kept of [...this.#receipts.values()]) if (kept.conversation === conversation) this.#receipts.delete(kept.turn);
  }

  async clear(): Promise<void> {
    this.#conversations.clear();
    this.#turns.clear();
    this.#receipts.clear();
  }
}
