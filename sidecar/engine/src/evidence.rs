//! From what the engine measures to what audits compare: windows of fingerprints, margins in their unit, impossible tokens.
//!
//! What is compared and what follows is `verify::audit`'s; here units are changed and nothing is judged.

use crate::fingerprint::{Fingerprint, Likely};
use crate::replay::{Replay, Replayed};
use crate::sampler::MARGIN_MILLI_MAX;
use crate::STEPS_PER_NAT;
use ainonymous_types::limits::{FINGERPRINT_SIXTEENTHS_MAX, FINGERPRINT_WINDOW_TOKENS, MARGIN_1024THS_MAX};
use ainonymous_types::{Bytes32, OpenedLeaf, Position, ReplayLeaf};
use ainonymous_verify::audit::{fingerprint, leaf};
use ainonymous_verify::Breach;

/// Id of a place of a fingerprint that no token has: small vocabularies have fewer.
const NO_TOKEN: u32 = u32::MAX;

/// One position of a fingerprint, as audits encode it.
pub fn position(recorded: &Fingerprint) -> Position {
    let listed = recorded.top.iter().filter(|likely| likely.id != NO_TOKEN);
    fingerprint::position(listed.map(likely).collect())
}

fn likely(recorded: &Likely) -> ainonymous_types::Likely {
    let minus_sixteenths = recorded.logprob_16.unsigned_abs().min(FINGERPRINT_SIXTEENTHS_MAX);
    ainonymous_types::Likely { id: recorded.id, minus_sixteenths }
}

/// The leaves of the fingerprint of an answer: what its provider commits to and later opens.
pub fn opened(secret: &Bytes32, tokens: &[u32], recorded: &[Fingerprint]) -> Result<Vec<OpenedLeaf>, Breach> {
    leaf::leaves(secret, tokens, &recorded.iter().map(position).collect::<Vec<_>>())
}

/// The leaves of a replay: what an auditor commits to before it is shown anything.
pub fn replayed(secret: &Bytes32, tokens: &[u32], replay: &Replay) -> Result<Vec<ReplayLeaf>, Breach> {
    let positions: Vec<Fingerprint> = replay.positions.iter().map(|position| position.fingerprint).collect();
    let leaves = opened(secret, tokens, &positions)?;
    let windows = replay.positions.chunks(FINGERPRINT_WINDOW_TOKENS);
    let of = |(leaf, window): (OpenedLeaf, &[Replayed])| ReplayLeaf {
        leaf,
        margins: window.iter().map(margin).collect(),
        impossible: window.iter().rev().fold(0, |bits, found| bits << 1 | u32::from(is_impossible(found))),
    };
    Ok(leaves.into_iter().zip(windows).map(of).collect())
}

/// Thousandths of a nat in 1024ths, clipped.
fn margin(found: &Replayed) -> u16 {
    let in_1024ths = (u64::from(found.margin_milli) * 1_024 + 500) / 1_000;
    u16::try_from(in_1024ths).unwrap_or(MARGIN_1024THS_MAX).min(MARGIN_1024THS_MAX)
}

/// Outside the 64 most likely tokens by more than a nat, and far from what the dice choose: hot questions draw unlikely tokens honestly,
/// whoever asks chooses how hot, and two unlikely ones may be nearly even. Or none could stand there at all.
fn is_impossible(found: &Replayed) -> bool {
    let is_far = found.outside_16 > STEPS_PER_NAT.unsigned_abs() && margin(found) == MARGIN_1024THS_MAX;
    is_far || found.margin_milli >= MARGIN_MILLI_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LOGPROB_16_MIN;
    use ainonymous_types::KvType;
    use ainonymous_types::{Backend, Outcome};
    use ainonymous_verify::audit::statistics;

    fn recorded(shift: i16) -> Fingerprint {
        let top = std::array::from_fn(|i| Likely { id: 10 * i as u32, logprob_16: -5 - shift - 16 * i as i16 });
        Fingerprint { top, chosen_16: -5 }
    }

    fn replay(found: &[Replayed]) -> Replay {
        let class = crate::EngineClass::new(Backend::Cpu, "test", KvType::F16);
        Replay { positions: found.to_vec(), cut: false, prompt_tokens: 3, class }
    }

    fn found(margin_milli: u32, outside_16: u16) -> Replayed {
        Replayed { fingerprint: recorded(0), expected: 0, margin_milli, rank: 0, outside_16 }
    }

    #[test]
    fn units_are_those_of_audits() {
        let few = Fingerprint {
            top: std::array::from_fn(|i| match i {
                0 => Likely { id: 7, logprob_16: 0 },
                1 => Likely { id: 3, logprob_16: LOGPROB_16_MIN },
                _ => Likely { id: NO_TOKEN, logprob_16: LOGPROB_16_MIN },
            }),
            chosen_16: 0,
        };
        let listed: Vec<_> = position(&few).iter().map(|l| (l.id, l.minus_sixteenths)).collect();
        assert_eq!(listed, [(7, 0), (3, FINGERPRINT_SIXTEENTHS_MAX)]);
        let margins: Vec<u16> = [0, 1, 125, 500, 501, u32::MAX].map(|m| margin(&found(m, 0))).into();
        assert_eq!(margins, [0, 1, 128, 512, 512, 512]);
        assert!(!is_impossible(&found(500, 16)) && is_impossible(&found(500, 17)));
        assert!(
            !is_impossible(&found(0, 99)) && !is_impossible(&found(9, 99)),
            "what the dice choose, or nearly, may be rare"
        );
        assert!(is_impossible(&found(MARGIN_MILLI_MAX, 0)));
    }

    #[test]
    fn leaves_hold_each_token_in_its_place() {
        let tokens: Vec<u32> = (0..40).collect();
        let mut positions = vec![found(0, 0); 40];
        positions[3] = found(700, 99);
        positions[33].margin_milli = MARGIN_MILLI_MAX;
        let replayed = replayed(&Bytes32([1; 32]), &tokens, &replay(&positions)).unwrap();
        assert_eq!(replayed.iter().map(|l| l.impossible).collect::<Vec<_>>(), [1 << 3, 1 << 1]);
        assert_eq!(replayed[1].margins.iter().map(|m| u32::from(*m)).sum::<u32>(), u32::from(MARGIN_1024THS_MAX));
        leaf::replay_bounds(&replayed).unwrap();
        let opened = opened(&Bytes32([2; 32]), &tokens, &vec![recorded(3); 40]).unwrap();
        let Outcome::Measured(measured) = statistics::outcome(&opened, &replayed).unwrap() else {
            panic!("a measurement")
        };
        assert_eq!((measured.tokens, measured.delta_sum, measured.impossible), (40, 40 * 8 * 3, 2));
        assert!(super::opened(&Bytes32([2; 32]), &tokens, &[recorded(0)]).is_err(), "a token without its position");
    }
}
