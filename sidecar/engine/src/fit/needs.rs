//! What a choice takes, and where; and what there is to take.

use super::{Machine, Shape, Use, Wishes};

/// Memory of each GPU that is left alone: other programs, and what drivers keep.
const GPU_RESERVE_BYTES: u64 = 512 << 20;
/// Memory of the machine that is left alone, at most and as a share.
const SYSTEM_RESERVE_BYTES: u64 = 512 << 20;
const SYSTEM_RESERVE_SHARE: u64 = 8;

/// What computing an image needs besides the projector's weights, as a share of them; a large image of Gemma's takes that.
const PROJECTOR_BUFFERS_SHARE: u64 = 2;

/// Memory that may be taken.
#[derive(Clone, Copy)]
pub(super) struct Room {
    /// `u64::MAX` where the system does not tell.
    pub(super) system: u64,
    pub(super) gpu: u64,
    /// The same with what is better left alone.
    pub(super) gpu_whole: u64,
    pub(super) gpus: u64,
}

impl Room {
    pub(super) fn of(machine: &Machine) -> Self {
        let system = machine
            .system_bytes
            .map_or(u64::MAX, |bytes| bytes - SYSTEM_RESERVE_BYTES.min(bytes / SYSTEM_RESERVE_SHARE));
        let gpu = machine.gpus.iter().map(|bytes| bytes.saturating_sub(GPU_RESERVE_BYTES)).fold(0, u64::saturating_add);
        let gpu_whole = machine.gpus.iter().copied().fold(0, u64::saturating_add);
        Self { system, gpu, gpu_whole, gpus: machine.gpus.len() as u64 }
    }
}

/// What a choice takes, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Needs {
    /// On the GPUs.
    pub(super) gpu: u64,
    /// In the machine's memory, and nowhere else.
    pub(super) system_must: u64,
    /// In the machine's memory, read from the file.
    pub(super) system_weights: u64,
    pub(super) weights: u64,
    pub(super) kv: u64,
    pub(super) buffers: u64,
}

impl Needs {
    pub(super) fn of(wishes: &Wishes<'_>, gpu_layers: u32, context_tokens: u32, slots: u32) -> Self {
        let mut needs = Self::default();
        let of = wishes.usage(gpu_layers > 0, context_tokens, slots);
        let of = Use { batch_tokens: of.batch_tokens.max(wishes.image_tokens()), ..of };
        needs.add(wishes.model, &of, gpu_layers);
        if let Some((draft, _)) = wishes.draft {
            let of = Use { outputs: slots, ..of };
            needs.add(draft, &of, if gpu_layers > 0 { u32::MAX } else { 0 });
        }
        if let Some(weights) = wishes.projector_bytes {
            needs.add_projector(weights, gpu_layers > 0);
        }
        needs
    }

    /// It reads its file into memory of its own, on one device.
    fn add_projector(&mut self, weights: u64, gpu: bool) {
        let buffers = weights / PROJECTOR_BUFFERS_SHARE;
        let place = if gpu { &mut self.gpu } else { &mut self.system_must };
        *place = place.saturating_add(weights).saturating_add(buffers);
        self.weights = self.weights.saturating_add(weights);
        self.buffers = self.buffers.saturating_add(buffers);
    }

    fn add(&mut self, model: &Shape, of: &Use, gpu_layers: u32) {
        let count = model.layers.len();
        let on_gpu = (gpu_layers as usize).min(count);
        let (mut kv_gpu, mut kv_system, mut weights_gpu) = (0u64, 0u64, 0u64);
        for (at, layer) in model.layers.iter().enumerate() {
            let cache = model.cache_bytes(layer, of);
            if at >= count - on_gpu {
                kv_gpu = kv_gpu.saturating_add(cache);
                weights_gpu = weights_gpu.saturating_add(layer.weight_bytes);
            } else {
                kv_system = kv_system.saturating_add(cache);
            }
        }
        if gpu_layers as usize > count {
            weights_gpu = weights_gpu.saturating_add(model.rest_bytes);
        }
        let buffers = model.buffer_bytes(of);
        let weights = model.weight_bytes();
        let add = |sum: &mut u64, bytes: u64| *sum = sum.saturating_add(bytes);
        if gpu_layers > 0 {
            add(&mut self.gpu, kv_gpu);
            add(&mut self.gpu, weights_gpu);
            add(&mut self.gpu, buffers);
        }
        add(&mut self.system_must, kv_system);
        // With everything on the GPU there is little left to compute here, but inputs and results pass through.
        add(&mut self.system_must, if gpu_layers as usize > count { buffers / 8 } else { buffers });
        add(&mut self.system_weights, weights.saturating_sub(weights_gpu));
        add(&mut self.weights, weights);
        add(&mut self.kv, kv_gpu.saturating_add(kv_system));
        add(&mut self.buffers, buffers);
    }
}
