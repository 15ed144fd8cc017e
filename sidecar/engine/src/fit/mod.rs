//! How a model is fitted to a machine: layers on the GPU, context, slots, and memory for computed beginnings of prompts.
//!
//! Deciding is pure: what the model takes and what the machine has go in, a plan comes out that never takes more than there
//! is. What was left open gets smaller until it fits; what was fixed is kept, or refused with numbers. It must not know
//! llama.cpp or files.

mod explain;
mod needs;
mod shape;

#[cfg(test)]
pub(crate) use shape::tests::Table;
pub(crate) use shape::{Metadata, Shape, Use, Weights};

use crate::options::{CONTEXT_TOKENS_DEFAULT, SLOTS_MAX};
use crate::GpuLayers;
use ainonymous_types::{limits, KvType};
use needs::{Needs, Room};
use serde::{Deserialize, Serialize};

/// Context below which an automatic one does not go, in tokens, while there is a slot to give up.
const CONTEXT_TOKENS_WISHED: u32 = 2_048;
/// Context below which an automatic one does not go, in tokens.
const CONTEXT_TOKENS_MIN: u32 = 256;
/// Prompt tokens of one step on a GPU.
const CHUNK_GPU: u32 = 512;
/// Bounds of the prompt tokens of one step on the CPU.
const CHUNK_CPU: std::ops::RangeInclusive<u32> = 32..=512;
/// Weights times tokens of one step on the CPU: keeps a step well under a second on a few cores.
const CHUNK_CPU_WORK: u64 = 250_000_000_000;

/// Tokens that a batch must hold for the rows of an image, which some models read together: Gemma 3 has 256, Gemma 4 280
/// unless told otherwise.
pub(crate) const IMAGE_TOKENS: u32 = 280;

/// What is to be fitted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wishes<'a> {
    pub(crate) model: &'a Shape,
    /// The model that guesses ahead, and how many tokens at most.
    pub(crate) draft: Option<(&'a Shape, u32)>,
    /// Length of the projector's file.
    pub(crate) projector_bytes: Option<u64>,
    /// Fixed, or automatic.
    pub(crate) context_tokens: Option<u32>,
    /// Most slots.
    pub(crate) slots: u32,
    pub(crate) gpu_layers: GpuLayers,
    pub(crate) kv_type: KvType,
    /// Memory for computed beginnings of prompts: fixed, or what it is automatically.
    pub(crate) prefix_cache: PrefixCache,
}

/// Memory for computed beginnings of prompts, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PrefixCache {
    /// So much.
    Fixed(u64),
    /// So much, or less.
    Automatic(u64),
}

impl PrefixCache {
    fn fixed_bytes(self) -> u64 {
        match self {
            Self::Fixed(bytes) => bytes,
            Self::Automatic(_) => 0,
        }
    }
}

/// What the machine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Machine {
    /// Memory that programs can still have, in bytes; `None` where the system does not tell.
    pub(crate) system_bytes: Option<u64>,
    /// Free memory of each GPU, in bytes.
    pub(crate) gpus: Vec<u64>,
}

/// Memory that others were promised, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reserved {
    pub(crate) system_bytes: u64,
    /// Of all GPUs.
    pub(crate) gpu_bytes: u64,
}

impl Reserved {
    /// Both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            system_bytes: self.system_bytes.saturating_add(other.system_bytes),
            gpu_bytes: self.gpu_bytes.saturating_add(other.gpu_bytes),
        }
    }
}

impl Machine {
    /// What is left when others have taken what they were promised. Of which GPU is not known: each gives its share, as layers
    /// are spread by what is free.
    pub(crate) fn without(mut self, reserved: Reserved) -> Self {
        self.system_bytes = self.system_bytes.map(|bytes| bytes.saturating_sub(reserved.system_bytes));
        let all = self.gpus.iter().copied().fold(0, u64::saturating_add);
        for gpu in &mut self.gpus {
            // Rounded up.
            let share = u128::from(reserved.gpu_bytes.min(all)) * u128::from(*gpu);
            *gpu = gpu.saturating_sub(share.div_ceil(u128::from(all.max(1))) as u64);
        }
        self
    }
}

/// The plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fit {
    /// Layers on the GPU; the output counts as one more.
    pub gpu_layers: u32,
    /// Layers of the model, the output counted as one more.
    pub layers: u32,
    /// Context of one slot in tokens.
    pub context_tokens: u32,
    /// Questions answered at the same time.
    pub slots: u32,
    /// Prompt tokens of one step.
    pub batch_tokens: u32,
    /// Memory for computed beginnings of prompts, at most, in bytes.
    pub prefix_cache_bytes: u64,
    /// Weights of all models, in bytes.
    pub weights_bytes: u64,
    /// Caches of all slots and models, in bytes.
    pub kv_bytes: u64,
    /// What computing needs besides, about, in bytes.
    pub buffers_bytes: u64,
    /// What of all this lies on GPUs, in bytes.
    pub gpu_bytes: u64,
    /// What of all this lies in the machine's memory, in bytes.
    pub system_bytes: u64,
    /// Free memory of the GPUs, what is left alone taken off, in bytes.
    pub gpu_free_bytes: u64,
    /// The machine's free memory, what is left alone taken off, in bytes; `None` where the system does not tell.
    pub system_free_bytes: Option<u64>,
    /// What is less than was wished for, and why.
    pub degraded: Vec<Degraded>,
}

/// Something that is less than was wished for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Degraded {
    /// The model was not trained with so long a context.
    ContextTrained {
        /// Tokens wished for.
        wished: u32,
        /// Tokens chosen.
        chosen: u32,
    },
    /// Memory is too short for the usual context.
    Context {
        /// Tokens wished for.
        wished: u32,
        /// Tokens chosen.
        chosen: u32,
    },
    /// Memory is too short for so many slots.
    Slots {
        /// Slots wished for.
        wished: u32,
        /// Slots chosen.
        chosen: u32,
    },
    /// The GPUs' memory is too short for all layers.
    GpuLayers {
        /// Layers of the model.
        wished: u32,
        /// Layers chosen.
        chosen: u32,
    },
    /// Layers were to go to a GPU, and there is none.
    NoGpu {
        /// Layers wished for.
        wished: u32,
    },
    /// Memory is too short for the usual cache of prompts' beginnings.
    PrefixCache {
        /// Bytes wished for.
        wished: u64,
        /// Bytes chosen.
        chosen: u64,
    },
    /// Memory is too short for the weights: the system will read them from disk again and again.
    Paging {
        /// Bytes that are missing.
        missing: u64,
    },
    /// A try to load failed for lack of memory on the GPU.
    Retried {
        /// Layers that were tried first.
        wished: u32,
        /// Layers chosen.
        chosen: u32,
    },
}

/// What was fixed and cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge {
    /// What does not fit, and into what.
    pub(crate) what: String,
    pub(crate) needed_bytes: u64,
    pub(crate) free_bytes: u64,
}

/// Makes a plan, or says which fixed wish cannot be kept.
pub(crate) fn fit(wishes: &Wishes<'_>, machine: &Machine) -> Result<Fit, TooLarge> {
    let room = Room::of(machine);
    let mut degraded = Vec::new();
    let trained = match wishes.model.context_trained {
        0 => CONTEXT_TOKENS_DEFAULT,
        trained => trained.min(limits::CONTEXT_TOKENS_MAX),
    };
    let wished_context = wishes.context_tokens.unwrap_or(CONTEXT_TOKENS_DEFAULT).clamp(1, trained);
    if let Some(wished) = wishes.context_tokens.filter(|wished| *wished > wished_context) {
        degraded.push(Degraded::ContextTrained { wished, chosen: wished_context });
    }
    let wished_slots = wishes.slots.clamp(1, SLOTS_MAX);
    let mut refused = None;
    for (context_tokens, slots) in sizes(wishes.context_tokens.is_some(), wished_context, wished_slots) {
        let most = match gpu_layers(wishes, &room, context_tokens, slots) {
            Ok(most) => most,
            Err(too_large) => {
                refused.get_or_insert(too_large);
                continue;
            }
        };
        // With few layers on the GPU steps are larger, and so are their buffers here: it may fit without.
        let without = (most > 0 && wishes.gpu_layers == GpuLayers::Auto).then_some(0);
        for gpu_layers in std::iter::once(most).chain(without) {
            let needs = Needs::of(wishes, gpu_layers, context_tokens, slots);
            let must = needs.system_must.saturating_add(wishes.prefix_cache.fixed_bytes());
            if must > room.system {
                refused.get_or_insert(TooLarge {
                    what: match wishes.prefix_cache.fixed_bytes() {
                        0 => format!("{slots} x {context_tokens} tokens of context"),
                        cache => format!(
                            "{slots} x {context_tokens} tokens of context, with {} for prompts' beginnings,",
                            explain::bytes(cache)
                        ),
                    },
                    needed_bytes: must,
                    free_bytes: room.system,
                });
                continue;
            }
            // Weights are read through the system's cache and can be read again; rather fewer tokens and slots than that.
            let missing = must.saturating_add(needs.system_weights).saturating_sub(room.system);
            let is_small =
                slots == 1 && (wishes.context_tokens.is_some() || context_tokens / 2 < CONTEXT_TOKENS_WISHED);
            if missing == 0 || is_small {
                let plan = Plan { wishes, room, context_tokens, slots, gpu_layers, needs, missing };
                return Ok(plan.finish(degraded, wished_context, wished_slots));
            }
        }
    }
    // Unreachable without a refusal: the smallest size either fits or is refused.
    Err(refused.unwrap_or(TooLarge { what: "the model".into(), needed_bytes: 0, free_bytes: room.system }))
}

/// The same with fewer layers on the GPU, after more could not be loaded.
pub(crate) fn with_gpu_layers(wishes: &Wishes<'_>, machine: &Machine, first: &Fit, gpu_layers: u32) -> Option<Fit> {
    let fewer = Wishes {
        gpu_layers: GpuLayers::Fixed(gpu_layers),
        context_tokens: Some(first.context_tokens),
        slots: first.slots,
        ..*wishes
    };
    let mut fit = fit(&fewer, machine).ok()?;
    let mut degraded = first.degraded.clone();
    degraded.retain(|less| !matches!(less, Degraded::GpuLayers { .. } | Degraded::Paging { .. }));
    degraded.append(&mut fit.degraded);
    degraded.push(Degraded::Retried { wished: first.gpu_layers, chosen: gpu_layers });
    Some(Fit { degraded, ..fit })
}

/// Layers to try on the GPU after the first number could not be loaded.
pub(crate) fn fewer_layers(first: u32) -> Vec<u32> {
    let mut fewer = vec![first * 3 / 4, first / 2, first / 4, 0];
    fewer.dedup();
    fewer.retain(|layers| *layers < first);
    fewer
}

/// Context and slots to consider, the wished ones first.
fn sizes(fixed_context: bool, context: u32, slots: u32) -> Vec<(u32, u32)> {
    let mut sizes = vec![(context, slots)];
    let (mut context, mut slots) = (context, slots);
    loop {
        if !fixed_context && context / 2 >= CONTEXT_TOKENS_WISHED {
            context /= 2;
        } else if slots > 1 {
            slots /= 2;
        } else if !fixed_context && context / 2 >= CONTEXT_TOKENS_MIN {
            context /= 2;
        } else {
            return sizes;
        }
        sizes.push((context, slots));
    }
}

impl Fit {
    /// What it takes.
    pub(crate) fn takes(&self) -> Reserved {
        Reserved { system_bytes: self.system_bytes, gpu_bytes: self.gpu_bytes }
    }
}

impl Wishes<'_> {
    /// Tokens that a batch must hold for images; 0 without a projector.
    pub(crate) fn image_tokens(&self) -> u32 {
        self.projector_bytes.map_or(0, |_| IMAGE_TOKENS)
    }

    pub(super) fn usage(&self, gpu: bool, context_tokens: u32, slots: u32) -> Use {
        let outputs = slots * (self.draft.map_or(0, |(_, tokens)| tokens) + 1);
        let batch_tokens = chunk_tokens(gpu, self.model.parameters).max(outputs);
        Use { context_tokens, slots, batch_tokens, outputs, kv_type: self.kv_type }
    }
}

/// As many layers on the GPU as fit, or the fixed number.
fn gpu_layers(wishes: &Wishes<'_>, room: &Room, context_tokens: u32, slots: u32) -> Result<u32, TooLarge> {
    let all = wishes.model.layers.len() as u32 + 1;
    if room.gpus == 0 {
        return Ok(0);
    }
    // Every further GPU has buffers of its own.
    let buffers = wishes.model.buffer_bytes(&wishes.usage(true, context_tokens, slots)).saturating_mul(room.gpus - 1);
    let takes = |layers| Needs::of(wishes, layers, context_tokens, slots).gpu.saturating_add(buffers);
    match wishes.gpu_layers {
        GpuLayers::Fixed(0) => Ok(0),
        GpuLayers::Fixed(layers) => {
            let layers = layers.min(all);
            match takes(layers) {
                // Some drivers do not tell.
                needed if needed <= room.gpu_whole || room.gpu_whole == 0 => Ok(layers),
                needed_bytes => Err(TooLarge {
                    what: format!("{layers} layers with {slots} x {context_tokens} tokens of context on the GPU"),
                    needed_bytes,
                    free_bytes: room.gpu_whole,
                }),
            }
        }
        GpuLayers::Auto => Ok((1..=all).rev().find(|layers| takes(*layers) <= room.gpu).unwrap_or(0)),
    }
}

/// Prompt tokens of one step: a function of model and device alone, so that a prompt is always cut at the same places.
pub(crate) fn chunk_tokens(gpu: bool, parameters: u64) -> u32 {
    if gpu {
        return CHUNK_GPU;
    }
    let affordable = CHUNK_CPU_WORK / parameters.max(1);
    let power = affordable.max(1).ilog2().min(31);
    (1u32 << power).clamp(*CHUNK_CPU.start(), *CHUNK_CPU.end())
}

/// A choice that fits.
struct Plan<'a> {
    wishes: &'a Wishes<'a>,
    room: Room,
    context_tokens: u32,
    slots: u32,
    gpu_layers: u32,
    needs: Needs,
    missing: u64,
}

impl Plan<'_> {
    fn finish(self, mut degraded: Vec<Degraded>, wished_context: u32, wished_slots: u32) -> Fit {
        let Self { wishes, room, context_tokens, slots, gpu_layers, needs, missing } = self;
        let layers = wishes.model.layers.len() as u32 + 1;
        match wishes.gpu_layers {
            GpuLayers::Fixed(wished) if room.gpus == 0 && wished > 0 => degraded.push(Degraded::NoGpu { wished }),
            GpuLayers::Auto if room.gpus > 0 && gpu_layers < layers => {
                degraded.push(Degraded::GpuLayers { wished: layers, chosen: gpu_layers });
            }
            GpuLayers::Fixed(_) | GpuLayers::Auto => {}
        }
        if context_tokens < wished_context {
            degraded.push(Degraded::Context { wished: wished_context, chosen: context_tokens });
        }
        if slots < wished_slots {
            degraded.push(Degraded::Slots { wished: wished_slots, chosen: slots });
        }
        if missing > 0 {
            degraded.push(Degraded::Paging { missing });
        }
        let taken = needs.system_must.saturating_add(needs.system_weights);
        let prefix_cache_bytes = match wishes.prefix_cache {
            PrefixCache::Fixed(bytes) => bytes,
            PrefixCache::Automatic(wished) => {
                // Half of what is left: other programs come and go.
                let chosen = wished.min(room.system.saturating_sub(taken) / 2);
                if chosen < wished {
                    degraded.push(Degraded::PrefixCache { wished, chosen });
                }
                chosen
            }
        };
        Fit {
            gpu_layers,
            layers,
            context_tokens,
            slots,
            batch_tokens: wishes.usage(gpu_layers > 0, context_tokens, slots).batch_tokens,
            prefix_cache_bytes,
            weights_bytes: needs.weights,
            kv_bytes: needs.kv,
            buffers_bytes: needs.buffers,
            gpu_bytes: needs.gpu,
            system_bytes: taken.saturating_add(prefix_cache_bytes),
            gpu_free_bytes: room.gpu,
            system_free_bytes: (room.system != u64::MAX).then_some(room.system),
            degraded,
        }
    }
}

#[cfg(test)]
mod tests;
