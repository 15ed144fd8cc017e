//! What kind of model is measured: how certain it is of its tokens, and how far from it the cheaper one is. Without that the figures of
//! two models cannot be compared.

use crate::give::{compute_again, give, load, options, plain, Given};
use ainonymous_engine::{Engine, LlamaEngine};
use futures::stream::{self, StreamExt};
use serde_json::{json, Value};
use std::path::Path;

/// Answers, and tokens of each at most.
const ANSWERS: u64 = 64;
const TOKENS: u32 = 96;
const AT_ONCE: usize = 16;
/// Temperatures, in thousandths.
const TEMPERATURES: [u32; 2] = [1_000, 700];
/// From this probability on a token counts as certain: in sixteenths of a nat, −ln 0.9.
const CERTAIN_16: i16 = -2;
/// Below all seeds of tables and attacks.
const FIRST_SEED: u64 = 20_000_000;

/// Means over the tokens of answers drawn without cuts. Log-probabilities are those at temperature 1, whatever was drawn at.
pub(crate) async fn measure(model: &Path, cheaper: &Path) -> Value {
    let honest = load(None, options(model, 16)).await.unwrap();
    let checkers = (load(None, options(model, 1)).await.unwrap(), load(None, options(cheaper, 1)).await.unwrap());
    let mut found = vec![];
    for temperature in TEMPERATURES {
        let asked = (0..ANSWERS).map(|n| plain(FIRST_SEED + n, TOKENS, false, temperature));
        let given = asked.map(|question| give(&honest, question));
        let given: Vec<Given> = stream::iter(given).buffered(AT_ONCE).collect().await;
        found.push(of(&given, temperature, &checkers).await);
    }
    for engine in [honest, checkers.0, checkers.1] {
        engine.shutdown().await;
    }
    json!({ "model": model.file_name().map(|name| name.to_string_lossy().into_owned()), "temperatures": found })
}

/// The surprise of a drawn token is on average the entropy; the difference of its logarithms on average the divergence.
async fn of(given: &[Given], temperature: u32, (right, cheaper): &(LlamaEngine, LlamaEngine)) -> Value {
    let (mut tokens, mut surprise, mut gap, mut certain, mut same) = (0u64, 0i64, 0i64, 0u64, 0u64);
    for Given { question, tokens: said, .. } in given {
        let right = compute_again(right, question, said, None).await;
        let cheaper = compute_again(cheaper, question, said, None).await;
        for (right, cheaper) in right.positions.iter().zip(&cheaper.positions) {
            tokens += 1;
            surprise -= i64::from(right.fingerprint.chosen_16);
            gap += i64::from(right.fingerprint.chosen_16) - i64::from(cheaper.fingerprint.chosen_16);
            certain += u64::from(right.fingerprint.top[0].logprob_16 >= CERTAIN_16);
            same += u64::from(right.expected == cheaper.expected);
        }
    }
    let mean = |sum: i64| sum as f64 / 16.0 / tokens.max(1) as f64;
    let share = |count: u64| count as f64 / tokens.max(1) as f64;
    json!({
        "temperature_milli": temperature,
        "tokens": tokens,
        "surprise_nats": mean(surprise),
        "cheaper_divergence_nats": mean(gap),
        "certain": share(certain),
        "cheaper_draws_the_same": share(same),
    })
}
