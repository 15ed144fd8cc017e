// Who is there, from what stands on the DHT. Pure.
import type { NetworkPicture, Peer } from "../chat/backend";
import type { ModelSpecRecord, ProviderRecord } from "../generated/types";
import { equal, toHex } from "../verify/bytes";
import type { NetworkStanding } from "./link";

interface Seen {
  readonly specs: readonly ModelSpecRecord[];
  readonly providers: readonly ProviderRecord[];
  readonly standing: NetworkStanding | null;
}

interface Eyes {
  readonly self: Uint8Array | null;
  readonly network: Uint8Array | null;
  readonly readAgoS: number | null;
  readonly showHash: (hash: Uint8Array) => string;
  readonly isFailing: (key: string) => boolean;
}

/** Signals go through the conductor: nothing is known of queues and round trips. */
export function picture({ specs, providers, standing }: Seen, eyes: Eyes): NetworkPicture {
  const models = new Map(specs.map(({ spec, model }) => [toHex(spec.entry), model]));
  const peers = new Map<string, Peer>();
  for (const { agent, capability } of providers) {
    const key = eyes.showHash(agent);
    const isSelf = eyes.self !== null && equal(agent, eyes.self);
    peers.set(key, {
      key,
      kinship: isSelf ? "self" : "public",
      device: capability.backend_detail || capability.backend,
      models: capability.models.flatMap(({ spec, tokens_per_s }) => {
        const id = toHex(spec.entry);
        const model = models.get(id);
        const label = model === undefined ? "" : `${model.name} ${model.quantization}`.trim();
        return model === undefined ? [] : [{ id, label, tokensPerS: tokens_per_s, isMeasured: false }];
      }),
      route: isSelf ? "self" : "signals",
      roundTripMs: null,
      waiting: null,
      freeSlots: null,
      slots: null,
      heardAgoS: null,
      isFailing: eyes.isFailing(key),
    });
  }
  return {
    self: eyes.self === null ? null : eyes.showHash(eyes.self),
    network: eyes.network === null ? null : eyes.showHash(eyes.network),
    peers: [...peers.values()],
    online: standing === null ? null : Math.max(0, standing.agents - 1),
    readAgoS: eyes.readAgoS,
    audits: null,
  };
}
