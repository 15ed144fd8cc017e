//! How tokens are chosen: temperature and its companions, penalties, biases, log-probabilities.

use crate::fields::Fields;
use crate::ApiError;
use ainonymous_node::request::{Adjust, LOGIT_BIASES_MAX, LOGIT_BIAS_MAX, TOP_LOGPROBS_MAX};
use ainonymous_types::limits::{SEED_MAX, TEMPERATURE_MILLI_MAX, TOP_K_MAX};
use ainonymous_types::Sampling;
use rand::Rng as _;
use serde_json::{Number, Value};

/// Largest penalty either way (OpenAI's bound).
const PENALTY_MAX: f64 = 2.0;
/// Largest divisor of logits of tokens that occurred.
const REPETITION_MAX: f64 = 10.0;
/// Smallest one.
const REPETITION_MIN: f64 = 0.01;
/// Largest stretch of tokens that penalties look back at.
const LAST_TOKENS_MAX: i64 = 1 << 20;

/// How tokens are chosen; without a seed each question gets its own.
pub(crate) fn sampling(fields: &mut Fields) -> Result<Sampling, ApiError> {
    let default = Sampling::default();
    // -1 means none of it, as other servers have it.
    let top_k = fields.integer("top_k", -1, i64::from(TOP_K_MAX))?;
    let seed = fields.integer("seed", -1, SEED_MAX as i64)?;
    Ok(Sampling {
        temperature_milli: fields.milli("temperature", TEMPERATURE_MILLI_MAX)?.unwrap_or(default.temperature_milli),
        // 0 keeps the most likely token, as the smallest fraction does.
        top_p_milli: fields.milli("top_p", 1_000)?.unwrap_or(default.top_p_milli).max(1),
        min_p_milli: fields.milli("min_p", 1_000)?.unwrap_or(default.min_p_milli),
        top_k: top_k.map_or(default.top_k, |k| u32::try_from(k).unwrap_or(0)),
        seed: seed.and_then(|seed| u64::try_from(seed).ok()).unwrap_or_else(|| rand::rng().random_range(0..=SEED_MAX)),
    })
}

/// Penalties under the names of OpenAI, llama.cpp and vLLM.
pub(crate) fn penalties(fields: &mut Fields) -> Result<Adjust, ApiError> {
    let presence = fields.number("presence_penalty", -PENALTY_MAX, PENALTY_MAX)?.unwrap_or(0.0);
    let frequency = fields.number("frequency_penalty", -PENALTY_MAX, PENALTY_MAX)?.unwrap_or(0.0);
    let llama = fields.number("repeat_penalty", REPETITION_MIN, REPETITION_MAX)?;
    let vllm = fields.number("repetition_penalty", REPETITION_MIN, REPETITION_MAX)?;
    let repetition = match (llama, vllm) {
        (Some(one), Some(other)) if one != other => {
            return Err(ApiError::invalid(fields.path("repeat_penalty"), "contradicts 'repetition_penalty'"));
        }
        (one, other) => one.or(other).unwrap_or(1.0),
    };
    let last_tokens = match fields.integer("repeat_last_n", -1, LAST_TOKENS_MAX)? {
        // As in llama.cpp: nothing is looked back at, so nothing is penalised.
        Some(0) => return Ok(Adjust::default()),
        // -1: everything.
        Some(tokens) => u32::try_from(tokens).unwrap_or(0),
        // OpenAI's penalties look at the whole answer, llama.cpp's at the last tokens.
        None if repetition == 1.0 => 0,
        None => Adjust::default().last_tokens,
    };
    Ok(Adjust { repetition, presence, frequency, last_tokens, bias: Vec::new() })
}

/// `logit_bias`: token ids and what is added to them, as OpenAI's object or llama.cpp's pairs.
pub(crate) fn logit_bias(fields: &mut Fields) -> Result<Vec<(u32, f32)>, ApiError> {
    const NAME: &str = "logit_bias";
    let pairs: Vec<(Option<u32>, Value)> = match fields.take(NAME) {
        None => return Ok(Vec::new()),
        Some(Value::Object(map)) => map.into_iter().map(|(id, bias)| (id.parse().ok(), bias)).collect(),
        Some(Value::Array(pairs)) => pairs.into_iter().map(pair).collect(),
        Some(other) => return Err(fields.wrong_kind(NAME, "an object from token ids to biases", &other)),
    };
    if pairs.len() > LOGIT_BIASES_MAX {
        let problem = format!("has {} tokens; at most {LOGIT_BIASES_MAX} are allowed", pairs.len());
        return Err(ApiError::invalid(fields.path(NAME), problem));
    }
    let bias = |value: Value| match value {
        // llama.cpp's word for "never".
        Value::Bool(false) => Some(-LOGIT_BIAS_MAX),
        Value::Number(number) => as_f32(&number).filter(|bias| bias.abs() <= LOGIT_BIAS_MAX),
        _ => None,
    };
    let checked = pairs.into_iter().map(|(id, value)| Some((id?, bias(value)?))).collect::<Option<Vec<_>>>();
    checked.ok_or_else(|| {
        let problem = format!("must map token ids to numbers from -{LOGIT_BIAS_MAX} to {LOGIT_BIAS_MAX}");
        ApiError::invalid(fields.path(NAME), problem)
    })
}

fn pair(value: Value) -> (Option<u32>, Value) {
    match value {
        Value::Array(mut both) if both.len() == 2 => {
            let bias = both.pop().unwrap_or_default();
            (both.pop().and_then(|id| id.as_u64()).and_then(|id| u32::try_from(id).ok()), bias)
        }
        other => (None, other),
    }
}

fn as_f32(number: &Number) -> Option<f32> {
    number.as_f64().map(|float| float as f32)
}

/// `logprobs` as a switch with `top_logprobs` beside it (chat).
pub(crate) fn logprobs(fields: &mut Fields) -> Result<Option<u32>, ApiError> {
    let wanted = fields.boolean("logprobs")?.unwrap_or(false);
    let top = fields.integer("top_logprobs", 0, i64::from(TOP_LOGPROBS_MAX))?;
    match (wanted, top) {
        (false, Some(1..)) => Err(ApiError::invalid(fields.path("top_logprobs"), "needs 'logprobs' to be true")),
        (false, _) => Ok(None),
        (true, top) => Ok(Some(top.and_then(|top| u32::try_from(top).ok()).unwrap_or(0))),
    }
}

/// The sampling of one of several answers to the same question: each has a seed of its own.
pub(crate) fn of_choice(sampling: Sampling, choice: u32) -> Sampling {
    Sampling { seed: (sampling.seed + u64::from(choice)) % (SEED_MAX + 1), ..sampling }
}
