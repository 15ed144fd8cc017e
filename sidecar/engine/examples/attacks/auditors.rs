//! What auditors do who do not compute, or who lie: here the provider is honest.

use crate::give::{compute_again, replayed, Given};
use crate::providers::{Audited, Lab};
use crate::row::Row;
use crate::score::{auditor, judge, stated, Fair};
use ainonymous_types::{Calibration, OpenedLeaf, Outcome, ReplayLeaf, Standing, Verdict};
use ainonymous_verify::audit::{evidence, fingerprint, leaf, statistics};

/// Reports of those who slander.
const SLANDERS: usize = 1_000;

pub(crate) async fn rows(
    lab: &Lab,
    table: &Calibration,
    honest: &[(Given, Audited)],
    fair: &Fair,
    answers: u64,
) -> Vec<Row> {
    let some = &honest[..honest.len().min(answers as usize)];
    let (mut lazy, mut copied, mut replays) = (0, 0, Vec::new());
    for (given, _) in some {
        let truth = compute_again(&lab.checker, &given.question, &given.tokens, None).await;
        let truth = replayed(&given.tokens, &truth);
        // Whoever computes nothing has to say something: another computation of the answer refutes it.
        let guessed: Vec<OpenedLeaf> = guess(given).into_iter().map(|leaf| leaf.leaf).collect();
        let refuted = stated(statistics::outcome(&guessed, &truth).unwrap());
        lazy += u64::from(judge(table, &refuted).0 == Verdict::Fail);
        // Whoever copies what the provider opens has committed to something else before: validation refuses that.
        let committed = leaf::replay(&guess(given));
        copied += u64::from(leaf::replay(&copy(given, &truth)) != committed);
        replays.push(truth);
    }
    let row = |attack, tried: usize, found, promised_percent, note: &'static str| Row {
        attack,
        tried: tried as u64,
        found,
        false_alarms: fair.false_alarms,
        honest_tried: fair.honest_tried,
        false_alarms_for: fair.reasons.clone(),
        note: note.into(),
        promised_percent,
        ..Row::default()
    };
    let (two, three) = (accusations(2), accusations(3));
    // The jury computes for itself, and finds the provider honest.
    let jurors = honest.iter().take(3).filter(|(_, audited)| judge(table, audited).0 == Verdict::Fail).count();
    let convicted = u64::from(jurors == 3);
    vec![
        row("a lazy auditor", some.len(), lazy, 90, "commits to guesses; refuted by whoever computes the same answer"),
        row(
            "a copying auditor",
            some.len(),
            copied,
            100,
            "commits before it sees anything: what it shows is not what it promised",
        ),
        row(
            "slander by two auditors",
            2 * SLANDERS,
            if two == 0 { 2 * SLANDERS as u64 } else { 0 },
            100,
            "no single report is refuted; found means that no accusation came of them",
        ),
        row(
            "slander by three auditors",
            3 * SLANDERS,
            if convicted == 0 { 3 * SLANDERS as u64 } else { 0 },
            100,
            if three > 0 {
                "they do accuse; found means that a jury which computes does not convict"
            } else {
                "no accusation"
            },
        ),
    ]
}

/// Leaves in form without any computation: each token as good as certain, whatever.
fn guess(given: &Given) -> Vec<ReplayLeaf> {
    let positions: Vec<_> = given
        .tokens
        .iter()
        .map(|token| {
            let likely =
                |i: u32| ainonymous_types::Likely { id: token.wrapping_add(i), minus_sixteenths: 2 + 24 * i as u16 };
            fingerprint::position((0..8).map(likely).collect())
        })
        .collect();
    let leaves = leaf::leaves(&ainonymous_types::Bytes32([9; 32]), &given.tokens, &positions).unwrap();
    leaves.into_iter().map(|leaf| ReplayLeaf { margins: vec![0; leaf.tokens.len()], impossible: 0, leaf }).collect()
}

/// What the provider opens, passed off as an own replay.
fn copy(given: &Given, truth: &[ReplayLeaf]) -> Vec<ReplayLeaf> {
    let opened = given.opened();
    opened
        .into_iter()
        .zip(truth)
        .map(|(leaf, ours)| ReplayLeaf { margins: vec![0; ours.margins.len()], impossible: 0, leaf })
        .collect()
}

/// How often so many slanderers accuse an honest provider, in so many reports each.
fn accusations(slanderers: usize) -> u64 {
    let (mut standing, mut accused) = (Standing::default(), 0);
    for report in 0..slanderers * SLANDERS {
        let (_, llr) = ainonymous_verify::audit::calibration::judge(None, &Outcome::Mismatch);
        standing = evidence::add(&standing, &auditor(report % slanderers), llr);
        if evidence::is_enough(&standing) {
            (accused, standing) = (accused + 1, Standing::default());
        }
    }
    accused
}
