//! Questions that nobody asks, asked of an honest provider in order to make it look like a cheat: canaries are shown to everybody, and who
//! asks them chooses what they say and how tokens are drawn. Hotter questions than these no table speaks of (`node::auditing::tables`).

use crate::give::{nonsense, plain, question, Given, TEMPERATURE_MILLI_TO};
use crate::providers::{Audited, Lab};
use crate::row::Row;
use crate::score::{judge, Fair};
use ainonymous_engine::Question;
use ainonymous_types::{Calibration, Sampling, Verdict};

/// Tokens of each answer.
const TOKENS: u32 = 64;
/// Above the seeds of all others.
const FIRST_SEED: u64 = 4_000_000;

/// A name, and the n-th question.
type Way = (&'static str, fn(u64) -> Question);

/// A row for each way; found are honest answers that do not fail.
pub(crate) async fn rows(lab: &Lab, table: &Calibration, answers: u64) -> Vec<Row> {
    let ways: [Way; 5] = [
        ("slander by hot questions", |n| plain(n, TOKENS, true, TEMPERATURE_MILLI_TO)),
        ("slander by narrow draws", |n| drawn(n, Sampling { top_p_milli: 300, min_p_milli: 300, top_k: 3, ..hot(n) })),
        ("slander by wide draws", |n| drawn(n, Sampling { top_p_milli: 999, ..hot(n) })),
        ("slander by nonsense", |n| Question { prompt: nonsense(n), ..plain(n, TOKENS, true, 1_000) }),
        ("slander by hot nonsense", |n| Question { prompt: nonsense(n), ..drawn(n, hot(n)) }),
    ];
    let mut rows = Vec::new();
    for (attack, way) in ways {
        let honest: Vec<(Given, Audited)> = lab.honest_to((FIRST_SEED..FIRST_SEED + answers).map(way)).await;
        let of = Fair::of(table, &honest);
        rows.push(Row {
            attack,
            tried: of.honest_tried,
            found: honest.iter().filter(|(_, audited)| judge(table, audited).0 != Verdict::Fail).count() as u64,
            false_alarms: of.false_alarms,
            false_alarms_for: of.reasons,
            honest_tried: of.honest_tried,
            note: "an honest provider is asked what nobody asks; found are its answers that do not fail".into(),
            promised_percent: 99,
            ..Row::default()
        });
    }
    rows
}

fn hot(n: u64) -> Sampling {
    Sampling { temperature_milli: TEMPERATURE_MILLI_TO, top_p_milli: 1_000, top_k: 0, min_p_milli: 0, seed: n }
}

fn drawn(n: u64, sampling: Sampling) -> Question {
    Question { sampling, ..question(n, TOKENS, true) }
}
