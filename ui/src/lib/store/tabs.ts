// Several tabs show the same conversations: whoever changes one says so, and whoever is writing an answer holds a lock, so
// that an answer whose tab is gone does not look alive for ever. Must not know what is kept.

export type News =
  | { readonly type: "turn"; readonly id: string; readonly conversation: string }
  | { readonly type: "conversation"; readonly id: string }
  | { readonly type: "removed"; readonly id: string }
  | { readonly type: "cleared" };

const CHANNEL = "ainonymous";
const lock = (turn: string) => `ainonymous.turn.${turn}`;

export class Tabs {
  #channel = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel(CHANNEL);

  constructor(listener: (news: News) => void) {
    this.#channel?.addEventListener("message", ({ data }: MessageEvent<News>) => listener(data));
  }

  tell(news: News): void {
    this.#channel?.postMessage(news);
  }

  /** Holds a turn while `work` runs. */
  async hold(turn: string, work: () => Promise<void>): Promise<void> {
    const locks = globalThis.navigator?.locks;
    if (locks === undefined) return work();
    await locks.request(lock(turn), work);
  }

  /** Whether some tab is writing this turn. */
  async isHeld(turn: string): Promise<boolean> {
    const locks = globalThis.navigator?.locks;
    if (locks === undefined) return false;
    const { held } = await locks.query();
    return held?.some(({ name, mode }) => name === lock(turn) && mode === "exclusive") ?? false;
  }

  /** Waits until no tab writes this turn any more, whether it came to its end or its tab did; false where that cannot be known. */
  async untilFree(turn: string): Promise<boolean> {
    const locks = globalThis.navigator?.locks;
    if (locks === undefined) return false;
    // Shared: whoever waits keeps no other from seeing the same.
    return locks.request(lock(turn), { mode: "shared" }, () => true);
  }

  close(): void {
    this.#channel?.close();
    // What ends only now is told to nobody: others find it written down.
    this.#channel = null;
  }
}
