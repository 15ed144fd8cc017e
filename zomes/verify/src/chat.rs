//! The bounds of a question. Whoever receives one checks it here before it costs anything.

use crate::rules::bounds::{at_most, not_empty, range};
use crate::Breach;
use ainonymous_types::{limits, ChatInput, Sampling};

/// Whether a question is within its bounds.
pub fn bounds(input: &ChatInput) -> Result<(), Breach> {
    let ChatInput { messages, sampling, max_tokens, stop } = input;
    not_empty("messages", messages.len())?;
    at_most("messages", messages.len(), limits::CHAT_MESSAGES_MAX)?;
    let bytes = messages.iter().map(|m| m.content.len()).fold(0usize, usize::saturating_add);
    if bytes > limits::PROMPT_BYTES_MAX {
        return Err(Breach::TooLong { what: "messages.content", max: limits::PROMPT_BYTES_MAX as u64 });
    }
    if messages.last().is_some_and(|m| m.content.trim_ascii().is_empty()) {
        return Err(Breach::Empty { what: "messages.content" });
    }
    range("max_tokens", u64::from(*max_tokens), 0, u64::from(limits::ANSWER_TOKENS_MAX), "tokens")?;
    at_most("stop", stop.len(), limits::STOP_STRINGS_MAX)?;
    for text in stop {
        not_empty("stop", text.len())?;
        if text.len() > limits::STOP_BYTES_MAX {
            return Err(Breach::TooLong { what: "stop", max: limits::STOP_BYTES_MAX as u64 });
        }
    }
    sampling_bounds(sampling)
}

/// Whether sampling settings are within their bounds.
pub fn sampling_bounds(sampling: &Sampling) -> Result<(), Breach> {
    let Sampling { temperature_milli, top_p_milli, min_p_milli, top_k, seed } = *sampling;
    range("temperature_milli", temperature_milli.into(), 0, limits::TEMPERATURE_MILLI_MAX.into(), "thousandths")?;
    range("top_p_milli", top_p_milli.into(), 1, 1_000, "thousandths")?;
    range("min_p_milli", min_p_milli.into(), 0, 1_000, "thousandths")?;
    range("top_k", top_k.into(), 0, limits::TOP_K_MAX.into(), "tokens")?;
    range("seed", seed, 0, limits::SEED_MAX, "(an integer)")
}
