//! Plans for machines of all sizes.

use super::*;
use proptest::prelude::*;

const GIB: u64 = 1 << 30;

/// Llama 3.1 8B as q8_0, about: 128 KiB of cache for a token.
fn large() -> Shape {
    let table = Table(
        [
            ("embedding_length", vec![4_096]),
            ("attention.head_count", vec![32]),
            ("attention.head_count_kv", vec![8]),
            ("feed_forward_length", vec![14_336]),
            ("context_length", vec![131_072]),
        ]
        .into(),
        "llama",
    );
    let weights = Weights { layers: vec![230 << 20; 32], rest: GIB, parameters: 8_000_000_000 };
    Shape::read(&table, &weights).with_vocabulary(128_256)
}

fn wishes(model: &Shape) -> Wishes<'_> {
    Wishes {
        model,
        draft: None,
        projector_bytes: None,
        context_tokens: None,
        slots: 4,
        gpu_layers: GpuLayers::Auto,
        kv_type: KvType::F16,
        prefix_cache: PrefixCache::Automatic(GIB),
    }
}

fn machine(system: u64, gpus: &[u64]) -> Machine {
    Machine { system_bytes: Some(system), gpus: gpus.to_vec() }
}

#[test]
fn a_large_machine_gives_everything() {
    let model = large();
    let fit = fit(&wishes(&model), &machine(64 * GIB, &[])).unwrap();
    assert_eq!((fit.context_tokens, fit.slots, fit.gpu_layers, fit.layers), (8_192, 4, 0, 33));
    assert_eq!((fit.kv_bytes, fit.prefix_cache_bytes), (4 * GIB, GIB));
    assert_eq!(fit.degraded, []);
    let unknown = super::fit(&wishes(&model), &Machine { system_bytes: None, gpus: vec![] }).unwrap();
    assert_eq!((unknown.context_tokens, unknown.slots, unknown.system_free_bytes), (8_192, 4, None));
}

#[test]
fn context_then_slots_then_context_again() {
    assert_eq!(
        sizes(false, 8_192, 4),
        [(8_192, 4), (4_096, 4), (2_048, 4), (2_048, 2), (2_048, 1), (1_024, 1), (512, 1), (256, 1)]
    );
    assert_eq!(sizes(true, 8_192, 3), [(8_192, 3), (8_192, 1)]);
    let model = large();
    let fit = fit(&wishes(&model), &machine(10 * GIB, &[])).unwrap();
    assert_eq!((fit.context_tokens, fit.slots), (2_048, 4), "{fit:?}");
    assert!(fit.degraded.contains(&Degraded::Context { wished: 8_192, chosen: 2_048 }), "{fit:?}");
    assert!(fit.explain().iter().any(|line| line.contains("2048 instead of 8192 tokens")), "{:?}", fit.explain());
}

#[test]
fn what_is_fixed_is_kept_or_refused_with_numbers() {
    let model = large();
    let fixed = Wishes { context_tokens: Some(32_768), ..wishes(&model) };
    let fewer = fit(&fixed, &machine(20 * GIB, &[])).unwrap();
    assert_eq!((fewer.context_tokens, fewer.slots), (32_768, 2), "slots are a most");
    let error = fit(&fixed, &machine(2 * GIB, &[])).unwrap_err();
    assert!(error.needed_bytes > error.free_bytes && error.needed_bytes > 16 * GIB, "{error:?}");
    assert!(error.what.contains("4 x 32768"), "{error:?}");
    let beyond = fit(&Wishes { context_tokens: Some(1 << 20), slots: 1, ..wishes(&model) }, &machine(64 * GIB, &[]));
    let beyond = beyond.unwrap();
    assert_eq!(beyond.context_tokens, 131_072);
    assert!(matches!(beyond.degraded[0], Degraded::ContextTrained { wished: 1_048_576, .. }));
    let layers = Wishes { gpu_layers: GpuLayers::Fixed(33), ..wishes(&model) };
    assert_eq!(fit(&layers, &machine(64 * GIB, &[24 * GIB])).unwrap().gpu_layers, 33);
    let error = fit(&layers, &machine(64 * GIB, &[4 * GIB])).unwrap_err();
    assert!(error.what.contains("33 layers") && error.free_bytes == 4 * GIB, "{error:?}");
    let none = fit(&layers, &machine(64 * GIB, &[])).unwrap();
    assert_eq!((none.gpu_layers, none.degraded), (0, vec![Degraded::NoGpu { wished: 33 }]));
    let silent = fit(&layers, &machine(64 * GIB, &[0])).unwrap();
    assert_eq!(silent.gpu_layers, 33, "a driver that does not tell is believed to have room");
}

#[test]
fn layers_go_to_the_gpu_from_the_last() {
    let model = large();
    let all = fit(&wishes(&model), &machine(64 * GIB, &[24 * GIB])).unwrap();
    assert_eq!((all.gpu_layers, all.layers), (33, 33));
    assert!(all.gpu_bytes <= all.gpu_free_bytes && all.system_bytes < 3 * GIB, "{all:?}");
    let some = fit(&wishes(&model), &machine(64 * GIB, &[10 * GIB])).unwrap();
    assert!((1..33).contains(&some.gpu_layers), "{some:?}");
    assert_eq!(some.degraded, [Degraded::GpuLayers { wished: 33, chosen: some.gpu_layers }]);
    let two = fit(&wishes(&model), &machine(64 * GIB, &[10 * GIB, 10 * GIB])).unwrap();
    assert!(two.gpu_layers > some.gpu_layers);
    assert_eq!(fit(&wishes(&model), &machine(64 * GIB, &[GIB / 2])).unwrap().gpu_layers, 0);
}

#[test]
fn a_model_larger_than_memory_is_read_from_disk_with_a_small_context() {
    let model = large();
    let fit = fit(&wishes(&model), &machine(4 * GIB, &[])).unwrap();
    assert_eq!((fit.context_tokens, fit.slots, fit.prefix_cache_bytes), (2_048, 1, 0));
    assert!(fit.degraded.iter().any(|less| matches!(less, Degraded::Paging { missing } if *missing > 4 * GIB)));
}

#[test]
fn a_draft_model_counts() {
    let (model, draft) = (large(), large());
    let without = fit(&wishes(&model), &machine(64 * GIB, &[])).unwrap();
    let with = fit(&Wishes { draft: Some((&draft, 4)), ..wishes(&model) }, &machine(64 * GIB, &[])).unwrap();
    assert_eq!(with.weights_bytes, 2 * without.weights_bytes);
    assert_eq!(with.kv_bytes, 2 * without.kv_bytes);
    assert!(with.buffers_bytes > without.buffers_bytes);
}

#[test]
fn after_a_failed_load_there_are_fewer_layers() {
    assert_eq!(fewer_layers(33), [24, 16, 8, 0]);
    assert_eq!(fewer_layers(1), [0]);
    assert!(fewer_layers(0).is_empty());
    let model = large();
    let (wishes, machine) = (wishes(&model), machine(64 * GIB, &[24 * GIB]));
    let first = fit(&wishes, &machine).unwrap();
    let fewer = with_gpu_layers(&wishes, &machine, &first, 16).unwrap();
    assert_eq!((fewer.gpu_layers, fewer.context_tokens, fewer.slots), (16, 8_192, 4));
    assert_eq!(fewer.degraded, [Degraded::Retried { wished: 33, chosen: 16 }]);
}

#[test]
fn chunks_shrink_with_the_model() {
    assert_eq!(chunk_tokens(true, 1 << 40), 512);
    assert_eq!(chunk_tokens(false, 1_450_000), 512);
    assert_eq!(chunk_tokens(false, 1_000_000_000), 128);
    assert_eq!(chunk_tokens(false, 70_000_000_000), 32);
}

/// How large a plan is: what was wished for comes first in `sizes`.
fn rank(wishes: &Wishes<'_>, fit: &Fit) -> usize {
    let sizes = sizes(wishes.context_tokens.is_some(), wishes.context_tokens.unwrap_or(8_192), wishes.slots);
    sizes.iter().position(|size| *size == (fit.context_tokens, fit.slots)).unwrap()
}

prop_compose! {
    fn any_wishes()(
        context_tokens in proptest::option::of(1u32..=131_072),
        slots in 1u32..=SLOTS_MAX,
        layers in proptest::option::of(0u32..40),
        q8 in any::<bool>(),
        draft in proptest::option::of(1u32..=16),
        fixed in proptest::option::of(0..8 * GIB),
    ) -> (Option<u32>, u32, GpuLayers, KvType, Option<u32>, PrefixCache) {
        let gpu_layers = layers.map_or(GpuLayers::Auto, GpuLayers::Fixed);
        let kv_type = if q8 { KvType::Q8_0 } else { KvType::F16 };
        (context_tokens, slots, gpu_layers, kv_type, draft, fixed.map_or(PrefixCache::Automatic(4 * GIB), PrefixCache::Fixed))
    }
}

proptest! {
    #[test]
    fn no_plan_takes_more_than_there_is(
        wished in any_wishes(),
        system in 0..80 * GIB,
        gpus in proptest::collection::vec(1..32 * GIB, 0..3),
    ) {
        let model = large();
        let (context_tokens, slots, gpu_layers, kv_type, draft, prefix_cache) = wished;
        let wishes = Wishes {
            context_tokens, slots, gpu_layers, kv_type, prefix_cache, draft: draft.map(|tokens| (&model, tokens)), model: &model,
            projector_bytes: (slots % 2 == 1).then_some(GIB),
        };
        let machine = machine(system, &gpus);
        match fit(&wishes, &machine) {
            Ok(fit) => {
                let paging = fit.degraded.iter().find_map(|less| match less {
                    Degraded::Paging { missing } => Some(*missing),
                    _ => None,
                });
                prop_assert!(fit.system_bytes - paging.unwrap_or(0) <= system, "{fit:?}");
                prop_assert!(fit.gpu_bytes <= gpus.iter().sum(), "{fit:?}");
                prop_assert!(fit.gpu_layers <= fit.layers && fit.slots <= slots && fit.slots > 0);
                if let Some(tokens) = context_tokens {
                    prop_assert_eq!(fit.context_tokens, tokens);
                }
                if let GpuLayers::Fixed(layers) = gpu_layers {
                    prop_assert_eq!(fit.gpu_layers, if gpus.is_empty() { 0 } else { layers.min(33) });
                }
                if let PrefixCache::Fixed(bytes) = prefix_cache {
                    prop_assert_eq!(fit.prefix_cache_bytes, bytes);
                }
                let less = (fit.slots, fit.context_tokens) != (slots, context_tokens.unwrap_or(8_192));
                prop_assert!(!less || !fit.degraded.is_empty(), "nothing is reduced in silence: {fit:?}");
                prop_assert_eq!(fit.explain().iter().filter(|line| line.contains("instead of")).count(),
                    fit.degraded.iter().filter(|less| !matches!(less, Degraded::Paging { .. })).count());
            }
            Err(error) => prop_assert!(error.needed_bytes > error.free_bytes, "{error:?}"),
        }
    }

    #[test]
    fn more_memory_is_never_worse(
        wished in any_wishes(),
        system in 0..80 * GIB,
        more in 0..40 * GIB,
        gpu in 1..32 * GIB,
        more_gpu in 0..32 * GIB,
        has_gpu in any::<bool>(),
    ) {
        let model = large();
        let (context_tokens, slots, gpu_layers, kv_type, draft, prefix_cache) = wished;
        let wishes = Wishes {
            context_tokens, slots, gpu_layers, kv_type, prefix_cache, draft: draft.map(|tokens| (&model, tokens)), model: &model,
            projector_bytes: (slots % 2 == 1).then_some(GIB),
        };
        let gpus = |bytes| if has_gpu { vec![bytes] } else { vec![] };
        let (small, large) = (machine(system, &gpus(gpu)), machine(system + more, &gpus(gpu + more_gpu)));
        match (fit(&wishes, &small), fit(&wishes, &large)) {
            (Ok(small), Ok(large)) => {
                let (was, is) = (rank(&wishes, &small), rank(&wishes, &large));
                prop_assert!(is <= was, "{small:?}\n{large:?}");
            }
            (Ok(small), Err(error)) => prop_assert!(false, "{small:?}\n{error:?}"),
            (Err(_), _) => {}
        }
    }
}

#[test]
fn a_projector_has_its_place_and_its_batch() {
    let model = large();
    let with = Wishes { projector_bytes: Some(GIB), ..wishes(&model) };
    let (plain, seeing) =
        (fit(&wishes(&model), &machine(64 * GIB, &[])).unwrap(), fit(&with, &machine(64 * GIB, &[])).unwrap());
    assert_eq!(seeing.batch_tokens, plain.batch_tokens, "prompts are cut at the same places");
    assert_eq!(seeing.weights_bytes, plain.weights_bytes + GIB);
    assert!(seeing.system_bytes > plain.system_bytes + GIB && seeing.buffers_bytes > plain.buffers_bytes + GIB / 2);
    let on_gpu = fit(&with, &machine(64 * GIB, &[24 * GIB])).unwrap();
    assert!(on_gpu.gpu_bytes > fit(&wishes(&model), &machine(64 * GIB, &[24 * GIB])).unwrap().gpu_bytes + GIB);
}

#[test]
fn what_others_were_promised_is_not_planned_with() {
    let reserved = |system_bytes, gpu_bytes| Reserved { system_bytes, gpu_bytes };
    let left = machine(10, &[30, 10]).without(reserved(4, 20));
    assert_eq!((left.system_bytes, left.gpus), (Some(6), vec![15, 5]));
    let none = machine(10, &[30, 10]).without(reserved(40, 90));
    assert_eq!((none.system_bytes, none.gpus), (Some(0), vec![0, 0]));
    assert_eq!(machine(10, &[]).without(reserved(0, 5)), machine(10, &[]));
    let unknown = Machine { system_bytes: None, gpus: vec![] };
    assert_eq!(unknown.clone().without(reserved(5, 5)), unknown);
    let model = large();
    let first = fit(&wishes(&model), &machine(24 * GIB, &[])).unwrap();
    let second = fit(&wishes(&model), &machine(24 * GIB, &[]).without(first.takes())).unwrap();
    assert!(first.degraded.is_empty() && first.system_bytes + second.system_bytes > 0);
    assert!(second.degraded.iter().any(|less| matches!(less, Degraded::Paging { .. } | Degraded::Context { .. })));
}
