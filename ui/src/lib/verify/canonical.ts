// The one way in which things become bytes before they are hashed or signed: the twin of `ainonymous_verify::canonical`.
// A domain tag first; integers little-endian and of fixed width; texts and lists preceded by their length in 32 bits.
import { sha256 } from "@noble/hashes/sha2.js";
import { concat } from "./bytes";

const utf8 = new TextEncoder();

/** Where canonical bytes go. */
interface Sink<Result> {
  put(bytes: Uint8Array): void;
  finish(): Result;
}

class Memory implements Sink<Uint8Array> {
  readonly #parts: Uint8Array[] = [];
  put(bytes: Uint8Array): void {
    this.#parts.push(bytes);
  }
  finish(): Uint8Array {
    return concat(...this.#parts);
  }
}

class Hash implements Sink<Uint8Array> {
  readonly #hash = sha256.create();
  put(bytes: Uint8Array): void {
    this.#hash.update(bytes);
  }
  /** The hash of what was put so far; more can follow. */
  finish(): Uint8Array {
    return this.#hash.clone().digest();
  }
}

/** Writes fields in canonical form. */
export class Encoder<Result> {
  readonly #sink: Sink<Result>;

  private constructor(sink: Sink<Result>, domain?: string) {
    this.#sink = sink;
    if (domain !== undefined) this.text(domain);
  }

  /** Bytes in memory without a tag, to be added to what has one. */
  static bare(): Encoder<Uint8Array> {
    return new Encoder(new Memory());
  }

  /** Bytes in memory. */
  static bytes(domain: string): Encoder<Uint8Array> {
    return new Encoder(new Memory(), domain);
  }

  /** A SHA-256. */
  static hash(domain: string): Encoder<Uint8Array> {
    return new Encoder(new Hash(), domain);
  }

  finish(): Result {
    return this.#sink.finish();
  }

  /** Bytes as they are: for fields of fixed length, and for streams closed by a count. */
  raw(bytes: Uint8Array): this {
    this.#sink.put(bytes);
    return this;
  }

  u8(value: number): this {
    return this.raw(Uint8Array.of(value));
  }

  u32(value: number): this {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    return this.raw(bytes);
  }

  /** Two's complement. */
  i32(value: number): this {
    return this.u32(value >>> 0);
  }

  /** Takes what JavaScript holds exactly. */
  u64(value: number): this {
    return this.#wide(value);
  }

  /** Two's complement. */
  i64(value: number): this {
    return this.#wide(value);
  }

  /** Length in bytes, then UTF-8. */
  text(text: string): this {
    return this.blob(utf8.encode(text));
  }

  /** Length in bytes, then the bytes. */
  blob(bytes: Uint8Array): this {
    return this.u32(bytes.length).raw(bytes);
  }

  /** One byte: 0 for nothing, 1 before what `write` adds. */
  option<Value>(value: Value | null, write: (value: Value) => unknown): this {
    if (value === null) return this.u8(0);
    this.u8(1);
    write(value);
    return this;
  }

  /** Length of a list, then what `write` adds for each. */
  list<Item>(items: readonly Item[], write: (item: Item) => unknown): this {
    this.u32(items.length);
    items.forEach(write);
    return this;
  }

  #wide(value: number): this {
    if (!Number.isSafeInteger(value)) throw new RangeError("not an integer that can be written exactly");
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigInt64(0, BigInt(value), true);
    return this.raw(bytes);
  }
}
