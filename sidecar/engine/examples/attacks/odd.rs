//! Questions that nobody asks, asked of an honest provider in order to make it look like a cheat: canaries are shown to everybody, and who
//! asks them chooses what they say and how tokens are drawn. Hotter questions than these no table speaks of (`node::auditing::tables`).

use crate::give::{nonsense, plain, question, Given, TEMPERATURE_MILLI_TO};
use crate::providers::{Audited, Lab};
use crate::row::Row;
use crate::score::{convinces, furthest_percent, judge, Fair};
use ainonymous_engine::request::{Adjust, Constraint};
use ainonymous_engine::{Prompt, Question};
use ainonymous_types::{Calibration, Sampling, Verdict};

/// Tokens of each answer,
const TOKENS: u32 = 64;
/// and of those among which one looks for a bad one: of short ones more are computed.
const TOKENS_GROUND: u32 = 16;
/// So many are looked through, for each answer to another attack.
const GROUND_TIMES: u64 = 12;
/// One in a hundred may fail to what tables are not made of; of so many answers or more that is seen, of fewer three may.
const PASSED_PERCENT_MIN: u64 = 98;
const MANY: u64 = 200;
const PASSED_PERCENT_MIN_OF_FEW: u64 = 95;
/// Above the seeds of all others.
const FIRST_SEED: u64 = 4_000_000;
const FIRST_SEED_GROUND: u64 = 5_000_000;
/// Ids of ordinary tokens in any of the tests' models: from, up to.
const IDS: (u64, u64) = (300, 900);

/// A name, and the n-th question for an answer of so many tokens.
type Way = (&'static str, fn(u64, u32) -> Question);

const WAYS: [Way; 9] = [
    ("slander by hot questions", |n, tokens| plain(n, tokens, true, TEMPERATURE_MILLI_TO)),
    ("slander by narrow draws", |n, tokens| {
        drawn(n, tokens, Sampling { top_p_milli: 300, min_p_milli: 300, top_k: 3, ..hot(n) })
    }),
    ("slander by wide draws", |n, tokens| drawn(n, tokens, Sampling { top_p_milli: 999, ..hot(n) })),
    ("slander by nonsense", |n, tokens| Question { prompt: nonsense(n), ..plain(n, tokens, true, 1_000) }),
    ("slander by hot nonsense", |n, tokens| Question { prompt: nonsense(n), ..drawn(n, tokens, hot(n)) }),
    ("slander by biases", |n, tokens| {
        let bias = (0..32).map(|at| (token(n, at), (dice(n, at + 32) % 201) as f32 / 10.0 - 10.0));
        Question { adjust: Adjust { bias: bias.collect(), ..Adjust::default() }, ..drawn(n, tokens, hot(n)) }
    }),
    ("slander by penalties", |n, tokens| {
        let adjust = Adjust { presence: 2.0, frequency: 2.0, last_tokens: 0, ..Adjust::default() };
        Question { adjust, ..drawn(n, tokens, hot(n)) }
    }),
    ("slander by forms", |n, tokens| Question {
        constraint: Some(Constraint::Regex("([a-z]{1,9} ){9,400}".into())),
        ..drawn(n, tokens, hot(n))
    }),
    ("slander by raw prompts", |n, tokens| Question {
        prompt: Prompt::Tokens((0..8 + dice(n, 0) % 200).map(|at| token(n, at)).collect()),
        ..drawn(n, tokens, hot(n))
    }),
];

/// A row for each way; found are honest answers that do not fail. Then one for whoever looks for the worst of many at home.
pub(crate) async fn rows(lab: &Lab, table: &Calibration, answers: u64) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut furthest = Furthest::default();
    for (attack, way) in WAYS {
        let asked = (FIRST_SEED..FIRST_SEED + answers).map(|n| way(n, TOKENS));
        let honest: Vec<(Given, Audited)> = lab.honest_to(asked).await;
        furthest.add(table, &honest);
        rows.push(row(
            attack,
            table,
            &honest,
            "an honest provider is asked what nobody asks; found are its answers that do not fail",
        ));
    }
    let some = answers * GROUND_TIMES / WAYS.len() as u64;
    for (_, way) in WAYS {
        let asked = (FIRST_SEED_GROUND..FIRST_SEED_GROUND + some).map(|n| way(n, TOKENS_GROUND));
        furthest.add(table, &lab.honest_to(asked).await);
    }
    rows.push(furthest.row());
    rows
}

/// What becomes of honest answers.
pub(crate) fn row(attack: &'static str, table: &Calibration, honest: &[(Given, Audited)], note: &'static str) -> Row {
    let of = Fair::of(table, honest);
    let passed = honest.iter().filter(|(_, audited)| judge(table, audited).0 != Verdict::Fail);
    let convincing = honest.iter().filter(|(_, audited)| convinces(table, audited));
    Row {
        attack,
        tried: of.honest_tried,
        found: passed.count() as u64,
        convincing: Some(convincing.count() as u64),
        false_alarms: of.false_alarms,
        false_alarms_for: of.reasons,
        honest_tried: of.honest_tried,
        note: note.into(),
        promised_percent: if of.honest_tried < MANY { PASSED_PERCENT_MIN_OF_FEW } else { PASSED_PERCENT_MIN },
        ..Row::default()
    }
}

/// Whoever has a machine like the provider's computes at home which questions it fails by accident, and asks those.
#[derive(Debug, Default)]
struct Furthest {
    /// How far each is, in percent of what lets an answer fail.
    percents: Vec<u64>,
    convincing: u64,
}

impl Furthest {
    fn add(&mut self, table: &Calibration, honest: &[(Given, Audited)]) {
        let percents = honest.iter().filter_map(|(_, audited)| furthest_percent(table, &audited.outcome));
        self.percents.extend(percents);
        self.convincing += honest.iter().filter(|(_, audited)| convinces(table, audited)).count() as u64;
    }

    fn row(self) -> Row {
        let tried = self.percents.len() as u64;
        let from = |percent: u64| self.percents.iter().filter(|found| **found >= percent).count();
        let note = format!(
            "of so many answers to odd questions {} are at half of a threshold or beyond, {} fail an audit, {} are half as far again, {} twice \
             as far; the furthest at {} percent; found are those by which no juror convicts",
            from(50),
            from(100),
            from(150),
            from(200),
            self.percents.iter().max().copied().unwrap_or_default(),
        );
        Row {
            attack: "slander by ground questions",
            tried,
            found: tried - self.convincing,
            convincing: Some(self.convincing),
            note: note.into(),
            promised_percent: 100,
            ..Row::default()
        }
    }
}

/// Numbers that look thrown.
fn dice(n: u64, at: u64) -> u64 {
    n.wrapping_mul(977).wrapping_add(at).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40
}

fn token(n: u64, at: u64) -> u32 {
    let (from, to) = IDS;
    (from + dice(n, at) % (to - from)) as u32
}

fn hot(n: u64) -> Sampling {
    Sampling { temperature_milli: TEMPERATURE_MILLI_TO, top_p_milli: 1_000, top_k: 0, min_p_milli: 0, seed: n }
}

fn drawn(n: u64, tokens: u32, sampling: Sampling) -> Question {
    Question { sampling, ..question(n, tokens, true) }
}
