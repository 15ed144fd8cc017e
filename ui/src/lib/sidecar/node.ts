// The node that served the page, as its owner uses it: what it has, does, and shall do. What changes it carries the page's token.
import { call, get } from "./http";
import type { MadeInvite, Members, ModelEntry, NetworkEntry, NetworkList, Offer, Pull, Revoked, Status, Timeline } from "./types";

const NETWORKS = "/ainonymous/v1/networks";
/** A passphrase is stretched for seconds on purpose. */
const KEYS_MS = 60_000;
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

  /** Networks of this node, and which one runs. */
  networks(): Promise<NetworkList> {
    return get<NetworkList>(NETWORKS, { token: this.#token });
  }

  /** Who is in the network that runs. */
  members(): Promise<Members> {
    return get<Members>(`${NETWORKS}/members`, { token: this.#token });
  }

  /** Makes a network, whose founder this node is. */
  makeNetwork(name: string, kind: "private" | "lan"): Promise<NetworkEntry> {
    return this.#change(NETWORKS, { name, kind });
  }

  /** `agent`: the only one that can use it; anybody who has the text if it is empty. */
  invite(network: string, expires_s: number, agent: string): Promise<MadeInvite> {
    return this.#change(`${NETWORKS}/invite`, { network, expires_s, ...(agent === "" ? {} : { agent }) });
  }

  join(invite: string): Promise<NetworkEntry> {
    return this.#change(`${NETWORKS}/join`, { invite });
  }

  /** Shuts an agent out, or everybody who came with an invite. */
  revoke(network: string, whom: string): Promise<Revoked> {
    return this.#change(`${NETWORKS}/revoke`, { network, whom });
  }

  async #order(path: string, body: unknown): Promise<void> {
    await call(path, { method: "POST", body, token: this.#token });
  }

  /** Opening keys takes a moment. */
  #change<T>(path: string, body: unknown): Promise<T> {
    return get<T>(path, { method: "POST", body, token: this.#token, patienceMs: KEYS_MS });
  }
}
