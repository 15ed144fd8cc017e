//! Leaves and roots: how a fingerprint is committed to before anybody knows who will look at it.
//!
//! A leaf covers a window of 32 tokens and has a salt of its own, drawn from one secret of its owner: whoever opens a leaf tells
//! nothing about the others. Provider and auditor commit under different labels, so that neither can pass off the other's.

use super::fingerprint;
use crate::canonical::Encoder;
use crate::{merkle, Breach};
use ainonymous_types::limits::{ANSWER_TOKENS_MAX, FINGERPRINT_WINDOW_TOKENS, MARGIN_1024THS_MAX};
use ainonymous_types::{Bytes32, OpenedLeaf, Position, ReplayLeaf};
use sha2::Sha256;
use std::ops::Range;

/// The salt of a leaf, from the owner's secret and the leaf's place.
pub fn salt(secret: &Bytes32, index: u32) -> Bytes32 {
    Encoder::hash("ainonymous/leaf-salt/v1").bytes32(secret).u32(index).finish()
}

/// The leaves of a fingerprint: one for each window of `tokens`, whose positions are in `positions`.
pub fn leaves(secret: &Bytes32, tokens: &[u32], positions: &[Position]) -> Result<Vec<OpenedLeaf>, Breach> {
    if tokens.len() != positions.len() {
        return Err(Breach::HashMismatch { what: "positions" });
    }
    let windows = tokens.chunks(FINGERPRINT_WINDOW_TOKENS).zip(positions.chunks(FINGERPRINT_WINDOW_TOKENS));
    windows.zip(0u32..).map(|((tokens, positions), index)| window(secret, index, tokens, positions)).collect()
}

/// One leaf of a fingerprint: a window of as many positions as tokens.
pub fn window(secret: &Bytes32, index: u32, tokens: &[u32], positions: &[Position]) -> Result<OpenedLeaf, Breach> {
    Ok(OpenedLeaf { salt: salt(secret, index), tokens: tokens.into(), body: fingerprint::encode(positions)? })
}

/// The hash of a provider's leaf.
pub fn provider(leaf: &OpenedLeaf) -> Bytes32 {
    opened(Encoder::hash("ainonymous/fingerprint-leaf/v1"), leaf).finish()
}

/// The hash of an auditor's leaf.
pub fn auditor(leaf: &ReplayLeaf) -> Bytes32 {
    let ReplayLeaf { leaf, margins, impossible } = leaf;
    let start = opened(Encoder::hash("ainonymous/replay-leaf/v1"), leaf).count(margins.len());
    margins.iter().fold(start, |e, margin| e.u32((*margin).into())).u32(*impossible).finish()
}

fn opened(e: Encoder<Sha256>, leaf: &OpenedLeaf) -> Encoder<Sha256> {
    let OpenedLeaf { salt, tokens, body } = leaf;
    let e = e.bytes32(salt).count(tokens.len());
    tokens.iter().fold(e, |e, token| e.u32(*token)).count(body.len()).raw(body)
}

/// Root over a provider's leaves: what its receipt names. Zeros for an answer without tokens.
pub fn fingerprint(leaves: &[OpenedLeaf]) -> Bytes32 {
    root(leaves.iter().map(provider))
}

/// Root over an auditor's leaves: what it commits to.
pub fn replay(leaves: &[ReplayLeaf]) -> Bytes32 {
    root(leaves.iter().map(auditor))
}

fn root(leaves: impl Iterator<Item = Bytes32>) -> Bytes32 {
    let mut peaks = merkle::Peaks::default();
    leaves.for_each(|leaf| peaks.push(leaf));
    peaks.root().unwrap_or(Bytes32([0; 32]))
}

/// How many leaves an answer of this length has.
pub fn count(tokens: u32) -> u32 {
    tokens.div_ceil(FINGERPRINT_WINDOW_TOKENS as u32)
}

/// So many windows in a row out of all, by a random number. No window, also not the first or the last, is less likely among them than `some`
/// in `all + some − 1`.
pub fn stretch(all: usize, some: usize, random: u32) -> Range<usize> {
    let some = some.max(1);
    if some >= all {
        return 0..all;
    }
    // A stretch that would begin before the answer or end behind it is moved to there.
    let turns = all.saturating_add(some) - 1;
    let from = (random as usize % turns).saturating_sub(some - 1).min(all - some);
    from..from + some
}

/// How many tokens these windows of an answer have.
pub fn tokens_in(windows: &Range<usize>, tokens: u32) -> u32 {
    let until =
        |window: usize| tokens.min(u32::try_from(window.saturating_mul(FINGERPRINT_WINDOW_TOKENS)).unwrap_or(u32::MAX));
    until(windows.end).saturating_sub(until(windows.start))
}

/// Whether an auditor's leaves are in form: windows of the right length, a margin within bounds for each token, and no bits
/// beyond.
pub fn replay_bounds(leaves: &[ReplayLeaf]) -> Result<(), Breach> {
    let what = "replay";
    crate::rules::bounds::at_most(what, leaves.len(), count(ANSWER_TOKENS_MAX) as usize)?;
    for (leaf, at) in leaves.iter().zip(1..) {
        let ReplayLeaf { leaf: OpenedLeaf { salt: _, tokens, body }, margins, impossible } = leaf;
        let length = tokens.len();
        let full = length == FINGERPRINT_WINDOW_TOKENS;
        if length == 0 || length > FINGERPRINT_WINDOW_TOKENS || !full && at < leaves.len() {
            return Err(Breach::HashMismatch { what });
        }
        if fingerprint::decode(body)?.len() != length || margins.len() != length {
            return Err(Breach::HashMismatch { what });
        }
        if margins.iter().any(|margin| *margin > MARGIN_1024THS_MAX) || !full && impossible >> length != 0 {
            return Err(Breach::OutOfRange { what, min: 0, max: MARGIN_1024THS_MAX.into(), unit: "1024ths of a nat" });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ainonymous_types::Likely;

    fn answer(n: u32) -> (Vec<u32>, Vec<Position>) {
        (0..n)
            .map(|t| (t * 7, vec![Likely { id: t * 7, minus_sixteenths: 1 }, Likely { id: 1, minus_sixteenths: 40 }]))
            .unzip()
    }

    fn opened(n: u32) -> Vec<OpenedLeaf> {
        let (tokens, positions) = answer(n);
        leaves(&Bytes32([7; 32]), &tokens, &positions).unwrap()
    }

    fn replayed(n: u32) -> Vec<ReplayLeaf> {
        let leaf = |leaf: OpenedLeaf| ReplayLeaf { margins: vec![0; leaf.tokens.len()], impossible: 0, leaf };
        opened(n).into_iter().map(leaf).collect()
    }

    #[test]
    fn one_leaf_for_each_window() {
        for (tokens, windows) in [(0, 0), (1, 1), (32, 1), (33, 2), (64, 2), (65, 3)] {
            assert_eq!(opened(tokens).len() as u32, windows);
            assert_eq!(count(tokens), windows);
        }
        assert_eq!(fingerprint(&[]), Bytes32([0; 32]));
    }

    #[test]
    fn a_stretch_is_as_likely_at_the_ends() {
        let all: Vec<_> = (0..12).map(|random| stretch(10, 3, random)).collect();
        assert!(all.iter().all(|windows| windows.len() == 3 && windows.end <= 10));
        let seen = |window: usize| all.iter().filter(|windows| windows.contains(&window)).count();
        assert!((0..10).all(|window| seen(window) >= 3), "none is rarer than three times in twelve");
        assert_eq!([stretch(3, 8, 5), stretch(0, 8, 5), stretch(4, 0, 2)], [0..3, 0..0, 2..3]);
        assert_eq!(stretch(usize::MAX, usize::MAX - 1, u32::MAX).len(), usize::MAX - 1);
        let tokens = |windows: Range<usize>| tokens_in(&windows, 100);
        assert_eq!(
            [tokens(0..4), tokens(1..3), tokens(3..4), tokens(4..9), tokens(0..usize::MAX)],
            [100, 64, 4, 0, 100]
        );
    }

    #[test]
    fn every_part_counts() {
        let good = opened(40);
        let root = fingerprint(&good);
        let spoilt = |spoil: fn(&mut OpenedLeaf)| {
            let mut leaves = good.clone();
            spoil(&mut leaves[1]);
            fingerprint(&leaves)
        };
        assert_ne!(root, spoilt(|l| l.salt.0[0] ^= 1));
        assert_ne!(root, spoilt(|l| l.tokens[0] ^= 1));
        assert_ne!(root, spoilt(|l| l.body[2] ^= 1));
        let replay_root = replay(&replayed(40));
        assert_ne!(root, replay_root);
        let spoilt = |spoil: fn(&mut ReplayLeaf)| {
            let mut leaves = replayed(40);
            spoil(&mut leaves[0]);
            replay(&leaves)
        };
        assert_ne!(replay_root, spoilt(|l| l.margins[3] = 1));
        assert_ne!(replay_root, spoilt(|l| l.impossible = 1));
        assert_ne!(salt(&Bytes32([7; 32]), 0), salt(&Bytes32([7; 32]), 1));
    }

    #[test]
    fn a_replay_out_of_form_is_refused() {
        replay_bounds(&replayed(40)).unwrap();
        let code = |spoil: fn(&mut Vec<ReplayLeaf>)| {
            let mut leaves = replayed(40);
            spoil(&mut leaves);
            replay_bounds(&leaves).unwrap_err().code()
        };
        assert_eq!(code(|l| l[1].margins[0] = MARGIN_1024THS_MAX + 1), "out_of_range");
        assert_eq!(code(|l| l[1].impossible = 1 << 8), "out_of_range");
        assert_eq!(code(|l| l[1].margins.push(0)), "hash_mismatch");
        assert_eq!(code(|l| l.reverse()), "hash_mismatch");
        assert_eq!(code(|l| l[0].leaf.body.truncate(1)), "undecodable");
        assert_eq!(code(|l| l[1].leaf.tokens.clear()), "hash_mismatch");
    }
}
