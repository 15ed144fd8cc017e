//! From outcomes to a row: how many audits failed, after how many tokens the first, after how many audits the provider is accused.

use crate::give::{hash_of, plain, Given};
use crate::providers::{Attack, Audited};
use crate::row::Row;
use ainonymous_engine::Question;
use ainonymous_types::{
    ActionHash, AgentPubKey, Bytes32, Calibration, CalibrationRow, CalibrationScope, CalibrationTable, EntryHash,
    Outcome, SpecRef, Standing, Verdict,
};
use ainonymous_verify::audit::calibration::{self, Statistic};
use ainonymous_verify::audit::{doubt, evidence, scope};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Auditors that take turns.
const AUDITORS: usize = 5;
/// Audits after which a provider that was not accused is held never to be.
const AUDITS_MAX: usize = 2_000;
/// Runs, each begun at another answer.
pub(crate) const RUNS: usize = 21;

/// What becomes of the honest.
#[derive(Clone, Debug)]
pub(crate) struct Fair {
    pub(crate) false_alarms: u64,
    pub(crate) honest_tried: u64,
    /// What the false alarms were for, by the name of the statistic; one may have several reasons.
    pub(crate) reasons: BTreeMap<String, u64>,
    accused: bool,
}

impl Fair {
    pub(crate) fn of(table: &Calibration, honest: &[(Given, Audited)]) -> Self {
        let judged: Vec<_> = honest.iter().map(|(_, audited)| judge(table, audited)).collect();
        let weights: Vec<i16> = judged.iter().map(|(_, llr)| *llr).collect();
        let mut reasons = BTreeMap::new();
        for reason in honest.iter().flat_map(|(_, audited)| beyond(table, &audited.outcome)) {
            *reasons.entry(format!("{reason:?}")).or_default() += 1;
        }
        Self {
            reasons,
            false_alarms: judged.iter().filter(|(verdict, _)| *verdict == Verdict::Fail).count() as u64,
            honest_tried: judged.len() as u64,
            accused: (0..RUNS).any(|run| until_accused(&weights, run).is_some()),
        }
    }

    /// One in a hundred here: the rules allow one in a thousand of those that the table was made from.
    pub(crate) fn is_fair(&self) -> bool {
        let fair = !self.accused && self.false_alarms * 100 <= self.honest_tried;
        if !fair {
            eprintln!("the honest suffer: {self:?}");
        }
        fair
    }
}

/// What was measured for this model: a table for each highest temperature, the coolest first.
pub(crate) struct Tables(Vec<Calibration>);

impl Tables {
    pub(crate) fn read(path: &Path, model: &Path) -> Self {
        #[derive(Deserialize)]
        struct File {
            gguf_hash: String,
            prover: String,
            verifier: String,
            by_temperature: Vec<Part>,
        }
        #[derive(Deserialize)]
        struct Part {
            temperature_milli_to: u32,
            rows: Vec<CalibrationRow>,
        }
        let File { gguf_hash, prover, verifier, by_temperature } =
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(gguf_hash, hash_of(model), "the table is of another file");
        let table = |Part { temperature_milli_to, rows }: Part| {
            let nothing = || vec![0; 36];
            let (entry, action) = (EntryHash::from_raw_36(nothing()), ActionHash::from_raw_36(nothing()));
            let (spec, data) = (SpecRef { entry, action }, Bytes32([1; 32]));
            let scope = CalibrationScope { temperature_milli: temperature_milli_to, ..scope::ALL };
            let table = Calibration { spec, prover: prover.clone(), verifier: verifier.clone(), scope, data, rows };
            calibration::rules(&table).unwrap();
            table
        };
        let mut tables: Vec<Calibration> = by_temperature.into_iter().map(table).collect();
        tables.sort_by_key(|table| table.scope.temperature_milli);
        Self(tables)
    }

    /// The one for attacks whose questions are no hotter than usual.
    pub(crate) fn ordinary(&self) -> Calibration {
        self.of(&plain(0, 1, true, 1_000)).expect("a table for ordinary answers").clone()
    }

    /// The coolest table that speaks of answers to such a question, if one was measured.
    pub(crate) fn of(&self, question: &Question) -> Option<&Calibration> {
        let asked = question.sampling.temperature_milli;
        self.0.iter().find(|table| asked <= table.scope.temperature_milli)
    }
}

/// The statistics of an answer that lie where a table lets answers fail.
fn beyond(table: &Calibration, outcome: &Outcome) -> Vec<Statistic> {
    let Outcome::Measured(found) = outcome else { return vec![] };
    let Some(row) = table.rows.iter().rfind(|row| row.tokens_from <= found.tokens) else { return vec![] };
    let fails = |(statistic, table): &(Statistic, &CalibrationTable)| {
        table.cuts.partition_point(|cut| *cut <= statistic.of(found)) >= table.fail_bin as usize
    };
    Statistic::ALL.into_iter().zip(&row.tables).filter(fails).map(|(statistic, _)| statistic).collect()
}

/// Verdict and weight of an audit.
pub(crate) fn judge(table: &Calibration, audited: &Audited) -> (Verdict, i16) {
    calibration::judge(Some(table), &audited.outcome)
}

/// Whether a juror would convict by it.
pub(crate) fn convinces(table: &Calibration, audited: &Audited) -> bool {
    doubt::is_beyond(Some(table), &audited.outcome)
}

/// How far an answer is from the auditor's model, in percent of where nothing honest lay that the table was made from, by the distance that comes
/// nearest to that: 300 convinces a juror. None where nothing was measured.
pub(crate) fn furthest_percent(table: &Calibration, outcome: &Outcome) -> Option<u64> {
    let Outcome::Measured(found) = outcome else { return None };
    let row = table.rows.iter().rfind(|row| row.tokens_from <= found.tokens)?;
    let share = |(statistic, table): (Statistic, &CalibrationTable)| {
        let worst = table.honest.iter().rposition(|answers| *answers > 0)?;
        let beyond = *table.cuts.get(worst.max((table.fail_bin as usize).saturating_sub(1)))?;
        Some(u64::from(statistic.of(found)) * 100 / u64::from(beyond.max(1)))
    };
    // Single positions are no distance: where nothing honest has one, the first is infinitely far.
    let is_distance = |(statistic, _): &(Statistic, _)| !matches!(statistic, Statistic::Tail | Statistic::Impossible);
    Statistic::ALL.into_iter().zip(&row.tables).filter(is_distance).filter_map(share).max()
}

pub(crate) fn row(attack: &Attack, table: &Calibration, outcomes: &[Audited], fair: &Fair) -> Row {
    let otherwise = attack.deed.computes_otherwise();
    let unlike = outcomes.iter().filter(|audited| otherwise && audited.unlike);
    let unlike_found = unlike.clone().filter(|audited| judge(table, audited).0 == Verdict::Fail).count() as u64;
    let judged: Vec<(Verdict, i16, u32)> = outcomes
        .iter()
        .map(|audited| {
            let (verdict, llr) = judge(table, audited);
            (verdict, llr, audited.tokens)
        })
        .collect();
    let weights: Vec<i16> = judged.iter().map(|(_, llr, _)| *llr).collect();
    let (promised_percent, unlike_promised_percent) = match attack.deed.shows_in_tokens_only() {
        true => (0, attack.promised_percent),
        false => (attack.promised_percent, 0),
    };
    Row {
        attack: attack.name,
        tried: judged.len() as u64,
        found: judged.iter().filter(|(verdict, ..)| *verdict == Verdict::Fail).count() as u64,
        unlike: otherwise.then(|| unlike.count() as u64),
        unlike_found: otherwise.then_some(unlike_found),
        convincing: Some(outcomes.iter().filter(|audited| convinces(table, audited)).count() as u64),
        tokens_median: median((0..RUNS).map(|run| tokens_until_found(&judged, run)).collect()),
        audits_median: median((0..RUNS).map(|run| until_accused(&weights, run)).collect()),
        false_alarms: fair.false_alarms,
        honest_tried: fair.honest_tried,
        false_alarms_for: fair.reasons.clone(),
        note: attack.note.into(),
        promised_percent,
        unlike_promised_percent,
        ..Row::default()
    }
}

/// Runs that never ended count as longer than all others.
pub(crate) fn median(mut runs: Vec<Option<u64>>) -> Option<u64> {
    runs.sort_by_key(|run| run.unwrap_or(u64::MAX));
    runs.get(runs.len() / 2).copied().flatten()
}

fn tokens_until_found(judged: &[(Verdict, i16, u32)], run: usize) -> Option<u64> {
    let first = run * judged.len() / RUNS;
    let mut tokens = 0;
    for (verdict, _, of) in judged.iter().cycle().skip(first).take(judged.len()) {
        tokens += u64::from(*of);
        if *verdict == Verdict::Fail {
            return Some(tokens);
        }
    }
    None
}

pub(crate) fn until_accused(weights: &[i16], run: usize) -> Option<u64> {
    let first = run * weights.len() / RUNS;
    let mut standing = Standing::default();
    for (audit, llr) in weights.iter().cycle().skip(first).take(AUDITS_MAX).enumerate() {
        standing = evidence::add(&standing, &auditor(audit % AUDITORS), *llr);
        if evidence::is_enough(&standing) {
            return Some(audit as u64 + 1);
        }
    }
    None
}

pub(crate) fn auditor(n: usize) -> AgentPubKey {
    AgentPubKey::from_raw_36(vec![n as u8; 36])
}

/// How an outcome reads that was stated and not measured.
pub(crate) fn stated(outcome: Outcome) -> Audited {
    Audited { outcome, unlike: false, tokens: 0 }
}
