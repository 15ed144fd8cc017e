//! Why this node: each factor with its estimate, fit for one line.

use super::candidate::{Kinship, Price};
use super::estimate::Estimate;
use serde::Serialize;
use std::fmt;

/// Why a candidate was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// Whose it is.
    pub kinship: Kinship,
    /// What is expected of it.
    pub expected: Estimate,
    /// Tokens of the prompt that it has cached and whose saving counted.
    pub prefix_tokens: u32,
    /// What it wants, if it told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// How many others have reported of it; what that counted is `expected.reported_permille`.
    pub reporters: usize,
    /// By how many thousandths failed audits made it look worse.
    pub distrusted_permille: u64,
    /// How many met the demands.
    pub candidates: usize,
    /// How many of them had just replied to a probe.
    pub probed: usize,
    /// Among how many about equally good ones it was drawn, itself included.
    pub near_equals: usize,
    /// It failed lately, and nobody else was there.
    pub last_resort: bool,
    /// It was asked beside an earlier candidate that was slow to its first word, and was quicker.
    pub hedged: bool,
}

impl Reason {
    /// The same for whoever won after the first choice was too slow. Estimates are those of the winner.
    pub fn hedged(self) -> Self {
        Self { hedged: true, ..self }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kinship,
            expected,
            prefix_tokens,
            price,
            reporters,
            distrusted_permille,
            candidates,
            probed,
            near_equals,
            last_resort,
            hedged,
        } = self;
        let Estimate { first_token_us, wait_us, speed, basis, reported_permille, .. } = expected;
        write!(
            f,
            "{}; first token in {} ms, {speed} ({})",
            kinship.name(),
            first_token_us.div_ceil(1_000),
            basis.name()
        )?;
        if *wait_us > 0 {
            write!(f, "; {} ms of it in the queue", wait_us.div_ceil(1_000))?;
        }
        if *prefix_tokens > 0 {
            write!(f, "; has {prefix_tokens} tokens of the prompt")?;
        }
        match reported_permille / 10 {
            0 => {}
            worse @ 1.. => write!(f, "; counted {worse} % worse by {reporters} reports")?,
            better => write!(f, "; counted {} % better by {reporters} reports", -better)?,
        }
        if *distrusted_permille > 0 {
            write!(f, "; counted {} % worse by failed audits", distrusted_permille.div_ceil(10))?;
        }
        if let Some(price) = price {
            write!(f, "; {price}")?;
        }
        match (*candidates, *near_equals) {
            (1, _) => f.write_str("; the only candidate")?,
            (_, 1) => write!(f, "; best of {candidates}, {probed} probed")?,
            (_, near) => write!(f, "; drawn from {near} near-equals of {candidates}, {probed} probed")?,
        }
        if *last_resort {
            f.write_str("; failed lately, nobody else is there")?;
        }
        if *hedged {
            f.write_str("; quicker to its first word than one that was asked before")?;
        }
        Ok(())
    }
}
