//! The plan in words, for people.

use super::{Degraded, Fit};

impl Fit {
    /// What was chosen and what it takes; then what is less than was wished for. One sentence each.
    pub fn explain(&self) -> Vec<String> {
        let Self { context_tokens, slots, layers, gpu_layers, .. } = self;
        let mut lines = vec![match slots {
            1 => format!("one answer at a time with {context_tokens} tokens of context"),
            _ => format!("{slots} answers at a time with {context_tokens} tokens of context each"),
        }];
        lines.push(format!(
            "weights {}, caches {}, buffers about {}, prompts' beginnings at most {}",
            bytes(self.weights_bytes),
            bytes(self.kv_bytes),
            bytes(self.buffers_bytes),
            bytes(self.prefix_cache_bytes),
        ));
        if *gpu_layers > 0 {
            let which = if gpu_layers >= layers { "all".to_owned() } else { format!("{gpu_layers} of {layers}") };
            lines.push(format!(
                "{which} layers on the GPU: {} of {} free",
                bytes(self.gpu_bytes),
                bytes(self.gpu_free_bytes)
            ));
        }
        lines.push(match self.system_free_bytes {
            Some(free) => format!("memory: {} of {} free", bytes(self.system_bytes), bytes(free)),
            None => format!("memory: {}", bytes(self.system_bytes)),
        });
        lines.extend(self.degraded.iter().map(Degraded::explain));
        lines
    }
}

impl Degraded {
    /// One sentence.
    pub fn explain(&self) -> String {
        match self {
            Self::ContextTrained { wished, chosen } => {
                format!("{chosen} instead of {wished} tokens of context: the model was trained with no more")
            }
            Self::Context { wished, chosen } => {
                format!("{chosen} instead of {wished} tokens of context: memory is short")
            }
            Self::Slots { wished, chosen } => {
                format!("{chosen} instead of {wished} answers at a time: memory is short")
            }
            Self::GpuLayers { wished, chosen } => {
                format!("{chosen} instead of {wished} layers on the GPU: its memory is short")
            }
            Self::NoGpu { wished } => {
                format!("0 instead of {wished} layers on the GPU: there is none that this build can use")
            }
            Self::PrefixCache { wished, chosen } => {
                format!("{} instead of {} for prompts' beginnings: memory is short", bytes(*chosen), bytes(*wished))
            }
            Self::Paging { missing } => {
                format!(
                    "{} too little memory for the weights: they will be read from disk again and again",
                    bytes(*missing)
                )
            }
            Self::Retried { wished, chosen } => {
                format!("{chosen} instead of {wished} layers on the GPU: loading more failed for lack of memory")
            }
        }
    }
}

/// `1.5 GiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1_024.0 && unit + 1 < UNITS.len() {
        value /= 1_024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}
