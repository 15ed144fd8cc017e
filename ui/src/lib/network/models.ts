// From what stands on the DHT to what a person can choose. Pure.
import type { ModelSpec, ModelSpecRecord, ProviderRecord, SpecRef } from "../generated/types";
import type { Model, Provider } from "../chat/backend";
import { equal, toHex } from "../verify/bytes";

/** A provider with what it takes to reach it. */
export interface ServingProvider extends Provider {
  readonly agent: Uint8Array;
}

/** A model with what it takes to ask for it. */
export interface ServedModel extends Model {
  readonly spec: SpecRef;
  /** What the spec says. */
  readonly entry: ModelSpec;
  readonly providers: readonly ServingProvider[];
}

/** The models that somebody serves: those with most providers first, then by name. */
export function servedModels(
  specs: readonly ModelSpecRecord[],
  providers: readonly ProviderRecord[],
  own: Uint8Array,
  keyOf: (agent: Uint8Array) => string,
): ServedModel[] {
  const bySpec = new Map<string, ServingProvider[]>();
  for (const { agent, capability } of providers) {
    for (const { spec, tokens_per_s } of capability.models) {
      const id = toHex(spec.entry);
      const serving = bySpec.get(id) ?? [];
      if (!serving.some((other) => other.key === keyOf(agent))) {
        serving.push({
          agent,
          key: keyOf(agent),
          tokensPerS: tokens_per_s,
          isOwn: equal(agent, own),
          device: capability.backend_detail || capability.backend,
          kinship: equal(agent, own) ? "self" : "public",
          waiting: null,
          // Nobody is charged yet, and a capability does not say.
          milliPrice: null,
        });
      }
      bySpec.set(id, serving);
    }
  }
  const models = new Map<string, ServedModel>();
  for (const { spec, model } of specs) {
    const id = toHex(spec.entry);
    const serving = bySpec.get(id);
    if (serving === undefined || models.has(id)) continue;
    models.set(id, {
      id,
      spec,
      entry: model,
      name: model.name,
      quantization: model.quantization,
      contextTokens: model.context_tokens,
      // Signals carry text alone.
      takesImages: false,
      rests: false,
      providers: serving.toSorted((a, b) => b.tokensPerS - a.tokensPerS || (a.key < b.key ? -1 : 1)),
    });
  }
  return [...models.values()].sort(
    (a, b) => b.providers.length - a.providers.length || a.name.localeCompare(b.name, "en"),
  );
}
