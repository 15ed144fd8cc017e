// A queue between callbacks and a loop that awaits. Bounded: when it is full, new items are refused.

/** Hands items from `push` to `next` in order. */
export class Channel<Item> {
  readonly #items: Item[] = [];
  readonly #capacity: number;
  #wake: (() => void) | null = null;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** False if the item was dropped because nobody takes them. */
  push(item: Item): boolean {
    if (this.#items.length >= this.#capacity) return false;
    this.#items.push(item);
    this.#wake?.();
    return true;
  }

  /** The next item, or null when none came within `waitMs`. */
  async next(waitMs: number): Promise<Item | null> {
    if (this.#items.length === 0 && waitMs > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, waitMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wake = null;
    }
    return this.#items.shift() ?? null;
  }
}
