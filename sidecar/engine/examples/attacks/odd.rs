//! Questions that nobody asks, asked of an honest provider in order to make it look like a cheat: canaries are shown to everybody, and who
//! asks them chooses what they say and how tokens are drawn.

use crate::give::{biases, form, nonsense, penalties, plain, question, raw, repetition, Given, TEMPERATURES_MILLI_TO};
use crate::providers::{Audited, Lab};
use crate::row::Row;
use crate::score::{convinces, furthest_percent, judge, Fair, Tables};
use ainonymous_engine::request::Constraint;
use ainonymous_engine::Question;
use ainonymous_types::{Calibration, Sampling, Verdict};
use serde_json::json;

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
/// As hot as OpenAI's API takes it, and as hot as can be, in thousandths.
const HOT_MILLI: u32 = TEMPERATURES_MILLI_TO[1];
const HOTTEST_MILLI: u32 = TEMPERATURES_MILLI_TO[2];
/// Above the seeds of all others.
const FIRST_SEED: u64 = 4_000_000;
const FIRST_SEED_GROUND: u64 = 5_000_000;

/// A name, and the n-th question for an answer of so many tokens.
type Way = (&'static str, fn(u64, u32) -> Question);

const WAYS: [Way; 15] = [
    ("slander by hot questions", |n, tokens| plain(n, tokens, true, HOT_MILLI)),
    ("slander by the hottest questions", |n, tokens| plain(n, tokens, true, HOTTEST_MILLI)),
    ("slander by narrow draws", |n, tokens| {
        drawn(n, tokens, Sampling { top_p_milli: 300, min_p_milli: 300, top_k: 3, ..hot(n) })
    }),
    ("slander by wide draws", |n, tokens| drawn(n, tokens, Sampling { top_p_milli: 999, ..hot(n) })),
    ("slander by nonsense", |n, tokens| Question { prompt: nonsense(n), ..plain(n, tokens, true, 1_000) }),
    ("slander by greedy nonsense", |n, tokens| Question { prompt: nonsense(n), ..plain(n, tokens, true, 0) }),
    ("slander by hot nonsense", |n, tokens| Question { prompt: nonsense(n), ..drawn(n, tokens, hot(n)) }),
    ("slander by biases", |n, tokens| Question { adjust: biases(n), ..drawn(n, tokens, hot(n)) }),
    ("slander by penalties", |n, tokens| Question { adjust: penalties(), ..drawn(n, tokens, hot(n)) }),
    ("slander by repetition", |n, tokens| Question { adjust: repetition(), ..drawn(n, tokens, hot(n)) }),
    ("slander by forms", |n, tokens| Question { constraint: Some(form()), ..drawn(n, tokens, hot(n)) }),
    ("slander by raw prompts", |n, tokens| Question { prompt: raw(n), ..drawn(n, tokens, hot(n)) }),
    ("slander by cool forms", |n, tokens| Question { constraint: Some(form()), ..question(n, tokens, true) }),
    ("slander by cool raw prompts", |n, tokens| Question { prompt: raw(n), ..question(n, tokens, true) }),
    ("honest answers in JSON", |n, tokens| Question { constraint: Some(people()), ..question(n, tokens, false) }),
];

/// A row for each way; found are honest answers that do not fail. Then one for whoever looks for the worst of many at home.
pub(crate) async fn rows(lab: &Lab, tables: &Tables, answers: u64) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut furthest = Furthest::default();
    for (attack, way) in WAYS {
        let Some(table) = tables.of(&way(FIRST_SEED, TOKENS)) else {
            eprintln!("{attack}: no table speaks of answers as hot as this");
            continue;
        };
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
        let Some(table) = tables.of(&way(FIRST_SEED, TOKENS)) else { continue };
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
    /// How far each is, in percent of where nothing honest was measured.
    percents: Vec<u64>,
    failed: u64,
    convincing: u64,
}

impl Furthest {
    fn add(&mut self, table: &Calibration, honest: &[(Given, Audited)]) {
        let percents = honest.iter().filter_map(|(_, audited)| furthest_percent(table, &audited.outcome));
        self.percents.extend(percents);
        self.failed += honest.iter().filter(|(_, audited)| judge(table, audited).0 == Verdict::Fail).count() as u64;
        self.convincing += honest.iter().filter(|(_, audited)| convinces(table, audited)).count() as u64;
    }

    fn row(self) -> Row {
        let tried = self.percents.len() as u64;
        let from = |percent: u64| self.percents.iter().filter(|found| **found >= percent).count();
        let note = format!(
            "of so many answers to odd questions {} fail an audit; {} come at least half as far as where nothing honest was measured, {} as far, {} twice \
             as far; the furthest to {} percent; found are those by which no juror convicts",
            self.failed,
            from(50),
            from(100),
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

/// What programs ask for.
fn people() -> Constraint {
    Constraint::JsonSchema(json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "maxLength": 12 },
            "age": { "type": "integer", "minimum": 0, "maximum": 120 },
            "likes": { "type": "array", "items": { "enum": ["dogs", "cows", "the sea", "stories"] }, "maxItems": 3 },
        },
        "required": ["name", "age", "likes"],
        "additionalProperties": false,
    }))
}

fn hot(n: u64) -> Sampling {
    Sampling { temperature_milli: HOT_MILLI, top_p_milli: 1_000, top_k: 0, min_p_milli: 0, seed: n }
}

fn drawn(n: u64, tokens: u32, sampling: Sampling) -> Question {
    Question { sampling, ..question(n, tokens, true) }
}
