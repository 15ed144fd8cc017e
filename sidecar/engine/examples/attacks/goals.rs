//! What was set as a goal: how much of a cheat one audit of an answer of so many tokens finds, drawn at one temperature and from all
//! tokens. A goal that is missed is a row like any other.

use crate::deeds::Deed;
use crate::give::{plain, Given};
use crate::providers::{Attack, Audited, Lab};
use crate::row::Row;
use crate::score::{row, Fair};
use ainonymous_types::Calibration;

/// Answers for each row, and honest ones for each length and temperature.
const ANSWERS: u64 = 150;
const TEMPERATURES: [u32; 2] = [1_000, 700];
/// Below the seeds of honest answers, above those of other attacks.
const FIRST_SEED: u64 = 2_000_000;
const FIRST_SEED_HONEST: u64 = 3_000_000;

/// What is done, and the tokens of each answer.
const GOALS: [(&str, Deed, u32); 6] = [
    ("q4_0 served as q8_0", Deed::CheaperQuantisation, 32),
    ("another model of the family", Deed::OtherModel, 64),
    ("temperature a fifth higher", Deed::Temperature, 64),
    ("another seed", Deed::Seed, 64),
    ("q4_0 served as q8_0, laundered", Deed::CheaperLaundered, 64),
    ("q4_0 served as q8_0, laundered", Deed::CheaperLaundered, 256),
];

/// A row for each goal and temperature, told when it is measured.
pub(crate) async fn rows(lab: &Lab, table: &Calibration, mut tell: impl FnMut(Row)) {
    for temperature in TEMPERATURES {
        let mut fair: Option<(u32, Fair)> = None;
        for (name, deed, tokens) in GOALS {
            let asked = |first: u64| (first..first + ANSWERS).map(move |n| plain(n, tokens, true, temperature));
            let fair = match &fair {
                Some((of, fair)) if *of == tokens => fair,
                _ => {
                    let honest: Vec<(Given, Audited)> = lab.honest_to(asked(FIRST_SEED_HONEST)).await;
                    &fair.insert((tokens, Fair::of(table, &honest))).1
                }
            };
            let attack = Attack { name, deed, promised_percent: 0, note: "" };
            let outcomes = lab.attack_on(deed, asked(FIRST_SEED)).await;
            let found = row(&attack, table, &outcomes, fair);
            tell(Row { answer_tokens: Some(tokens), temperature_milli: Some(temperature), ..found });
        }
    }
}
