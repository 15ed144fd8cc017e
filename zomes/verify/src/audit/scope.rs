//! Which answers a table speaks of: as long, as hot and as strongly penalised for repetition as those that it was made from, and no more.
//!
//! Honest machines differ otherwise where answers are hotter, and a penalty on repetition multiplies logits, and with them what machines differ by.
//! An auditor that judged a hot answer by a cool table would accuse the honest, so validation looks at it wherever the question is shown.

use crate::rules::bounds::range;
use crate::Breach;
use ainonymous_types::limits::{ANSWER_TOKENS_MAX, TEMPERATURE_MILLI_MAX};
use ainonymous_types::{CalibrationScope, ChatInput};

/// A penalty on repetition that changes nothing, in thousandths.
const NO_PENALTY_MILLI: u32 = 1_000;
/// The largest that one thousandth, the least penalty that can be asked for, comes to.
const REPETITION_MILLI_MAX: u32 = NO_PENALTY_MILLI * NO_PENALTY_MILLI;

/// Everything that can be asked for.
pub const ALL: CalibrationScope = CalibrationScope {
    tokens: ANSWER_TOKENS_MAX,
    temperature_milli: TEMPERATURE_MILLI_MAX,
    repetition_milli: REPETITION_MILLI_MAX,
};

/// What every table speaks of: nothing of an answer that was drawn greedily.
pub const NOTHING: CalibrationScope =
    CalibrationScope { tokens: 0, temperature_milli: 0, repetition_milli: NO_PENALTY_MILLI };

/// Of so many tokens of an answer to this, which are judged together.
pub fn of(input: &ChatInput, tokens: u32) -> CalibrationScope {
    let adjust = input.more.as_deref().and_then(|more| more.adjust.as_ref());
    CalibrationScope {
        tokens,
        temperature_milli: input.sampling.temperature_milli,
        repetition_milli: adjust.map_or(NO_PENALTY_MILLI, |adjust| factor_milli(adjust.repetition_milli)),
    }
}

/// What a penalty on repetition multiplies logits by or divides them by, whichever is more: some it does the one to, some the other.
fn factor_milli(repetition_milli: u32) -> u32 {
    match repetition_milli {
        0 => u32::MAX,
        milli => milli.max(REPETITION_MILLI_MAX.div_ceil(milli)),
    }
}

/// Whether a table for so much speaks of such an answer.
pub fn covers(table: &CalibrationScope, answer: &CalibrationScope) -> bool {
    let CalibrationScope { tokens, temperature_milli, repetition_milli } = *answer;
    tokens <= table.tokens && temperature_milli <= table.temperature_milli && repetition_milli <= table.repetition_milli
}

/// The rules for what a table says of itself: some answers, and none that nobody could ask for.
pub fn rules(scope: &CalibrationScope) -> Result<(), Breach> {
    let CalibrationScope { tokens, temperature_milli, repetition_milli } = *scope;
    range("scope.tokens", tokens.into(), 1, ALL.tokens.into(), "tokens")?;
    range("scope.temperature_milli", temperature_milli.into(), 0, ALL.temperature_milli.into(), "thousandths")?;
    let (least, most) = (NO_PENALTY_MILLI.into(), ALL.repetition_milli.into());
    range("scope.repetition_milli", repetition_milli.into(), least, most, "thousandths")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ainonymous_types::{ChatAdjust, ChatMore, Sampling};

    #[test]
    fn a_penalty_on_repetition_stretches_logits_either_way() {
        assert_eq!([1_000, 1_300, 770, 500].map(factor_milli), [1_000, 1_300, 1_299, 2_000]);
        assert_eq!([0, 1, 10_000].map(factor_milli), [u32::MAX, 1_000_000, 10_000]);
    }

    #[test]
    fn a_table_speaks_of_what_it_was_made_from() {
        let table = CalibrationScope { tokens: 256, temperature_milli: 1_000, repetition_milli: 1_300 };
        let asked = |temperature_milli: u32, repetition_milli: Option<u32>| {
            let sampling = Sampling { temperature_milli, ..Sampling::default() };
            let penalty = |repetition_milli| ChatAdjust {
                repetition_milli,
                presence_milli: 0,
                frequency_milli: 0,
                last_tokens: 64,
                bias: vec![],
            };
            let more = repetition_milli
                .map(|milli| Box::new(ChatMore { adjust: Some(penalty(milli)), ..ChatMore::default() }));
            ChatInput { sampling, more, ..ChatInput::default() }
        };
        let speaks = |input: &ChatInput, tokens: u32| covers(&table, &of(input, tokens));
        assert!(
            speaks(&asked(1_000, None), 256) && speaks(&asked(0, Some(1_300)), 1) && speaks(&asked(0, Some(770)), 1)
        );
        assert!(!speaks(&asked(1_000, None), 257) && !speaks(&asked(1_001, None), 1), "longer, hotter");
        assert!(!speaks(&asked(0, Some(1_301)), 1) && !speaks(&asked(0, Some(769)), 1), "with larger differences");
        assert!(covers(&ALL, &of(&asked(TEMPERATURE_MILLI_MAX, Some(1)), ANSWER_TOKENS_MAX)));
        assert!(rules(&table).is_ok() && rules(&ALL).is_ok());
        for spoilt in [
            CalibrationScope { tokens: 0, ..table },
            CalibrationScope { tokens: ANSWER_TOKENS_MAX + 1, ..table },
            CalibrationScope { temperature_milli: TEMPERATURE_MILLI_MAX + 1, ..table },
            CalibrationScope { repetition_milli: 999, ..table },
            CalibrationScope { repetition_milli: REPETITION_MILLI_MAX + 1, ..table },
        ] {
            assert_eq!(rules(&spoilt).unwrap_err().code(), "out_of_range");
        }
    }
}
