// The node that served the page, as its owner uses it: what it has, does, and shall do. What changes it carries the page's token.
import { call, get } from "./http";
import type { ModelEntry, Offer, Pull, Status, Timeline } from "./types";

/** Loading a model reads gigabytes. */
const LOAD_MS = 10 * 60_000;

export interface NodePicture {
  readonly status: Status;
  readonly models: readonly ModelEntry[];
  readonly pulls: readonly Pull[];
  readonly timeline: Timeline;
}

export class NodeControl {
  readonly #token: string;

  constructor(token: string) {
    this.#token = token;
  }

  async look(): Promise<NodePicture> {
    const [status, { models }, { pulls }, timeline] = await Promise.all([
      get<Status>("/ainonymous/v1/status"),
      get<{ models: ModelEntry[] }>("/ainonymous/v1/models"),
      get<{ pulls: Pull[] }>("/ainonymous/v1/pulls"),
      get<Timeline>("/ainonymous/v1/timeline"),
    ]);
    return { status, models: models.filter(({ local }) => local), pulls, timeline };
  }

  async offers(): Promise<readonly Offer[]> {
    return (await get<{ models: Offer[] }>("/ainonymous/v1/catalogue")).models;
  }

  async load(model: string): Promise<void> {
    await call("/models/load", { method: "POST", body: { model }, patienceMs: LOAD_MS });
  }

  async unload(model: string): Promise<void> {
    await call("/models/unload", { method: "POST", body: { model } });
  }

  async pull(model: string): Promise<void> {
    await this.#order("/ainonymous/v1/pulls", { model });
  }

  async cancelPull(id: number): Promise<void> {
    await this.#order("/ainonymous/v1/pulls/cancel", { id });
  }

  /** Whether questions of peers are refused for now. */
  async pause(paused: boolean): Promise<void> {
    await this.#order("/ainonymous/v1/pause", { paused });
  }

  /** Finishes what runs, then ends the program. */
  async stop(): Promise<void> {
    await this.#order("/ainonymous/v1/stop", {});
  }

  async #order(path: string, body: unknown): Promise<void> {
    await call(path, { method: "POST", body, token: this.#token });
  }
}
