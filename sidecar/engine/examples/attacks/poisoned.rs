//! Tables that lie: which of them the rules for calibrations refuse, and what follows from those that they take. Rules can see that a table
//! contradicts itself, and not that its counts were never measured; so what was measured here is judged by each.

use crate::give::Given;
use crate::providers::Audited;
use crate::row::Row;
use crate::score::{judge, median, until_accused, Fair, RUNS};
use ainonymous_types::{Calibration, CalibrationTable, Verdict};
use ainonymous_verify::audit::calibration::{rules, HONEST_PER_FAIL, LLR_MAX, LLR_MIN};
use std::borrow::Cow;

/// Something that is done to a table.
type Poison = fn(&mut Calibration);

/// Tables that contradict themselves, by what is wrong with them.
const CONTRADICTIONS: [(&str, Poison); 14] = [
    ("honest answers fail, and it says so", |c| tables(c, |t| t.fail_bin = 1)),
    ("even the best answer fails", |c| tables(c, |t| t.fail_bin = 0)),
    ("every answer speaks against the provider", |c| tables(c, |t| t.llr.fill(LLR_MAX))),
    ("an answer weighs more than any may", |c| tables(c, |t| t.llr.iter_mut().for_each(|llr| *llr += LLR_MAX))),
    ("a pass weighs more than any may", |c| tables(c, |t| t.llr.iter_mut().for_each(|llr| *llr += 2 * LLR_MIN))),
    ("worse answers weigh less", |c| tables(c, |t| t.llr.reverse())),
    ("too few answers", |c| tables(c, |t| t.honest.iter_mut().for_each(|n| *n /= 10))),
    ("more answers than anybody measures", |c| tables(c, |t| t.honest.fill(u32::MAX))),
    ("bad honest answers left out of one statistic", |c| {
        c.rows[0].tables[0].honest.iter_mut().skip(1).for_each(|n| *n = 0)
    }),
    ("a statistic left out", |c| c.rows.iter_mut().for_each(|row| drop(row.tables.pop()))),
    ("bins that overlap", |c| tables(c, |t| t.cuts.reverse())),
    ("no rows", |c| c.rows.clear()),
    ("for no answers", |c| c.scope.tokens = 0),
    ("for answers hotter than anybody can ask for", |c| c.scope.temperature_milli = u32::MAX),
];

fn tables(calibration: &mut Calibration, poison: impl Fn(&mut CalibrationTable)) {
    calibration.rows.iter_mut().flat_map(|row| &mut row.tables).for_each(poison);
}

fn poisoned(table: &Calibration, poison: impl Fn(&mut CalibrationTable)) -> Calibration {
    let mut poisoned = table.clone();
    tables(&mut poisoned, poison);
    poisoned
}

/// `cheats`: what audits of answers found that are easily told from honest ones.
pub(crate) fn rows(table: &Calibration, honest: &[(Given, Audited)], cheats: &[Audited], fair: &Fair) -> Vec<Row> {
    let honest_outcomes = || honest.iter().map(|(_, audited)| audited);
    let refused = CONTRADICTIONS.iter().filter(|(what, poison)| {
        let mut poisoned = table.clone();
        poison(&mut poisoned);
        let refused = rules(&poisoned).is_err();
        if !refused {
            eprintln!("the rules take a table in which {what}");
        }
        refused
    });
    let refused = refused.count() as u64;

    // Nothing fails and everything speaks for the provider: the loosest that there is.
    let loose = poisoned(table, |t| {
        t.fail_bin = t.honest.len() as u32;
        t.llr.fill(LLR_MIN);
    });
    let let_through = Taken::of(&loose, cheats.iter());

    // As many answers as were measured, all said to be better than the best that there can be.
    let harsh = poisoned(table, |t| {
        let answers = t.honest.iter().sum();
        *t = CalibrationTable { cuts: vec![0], honest: vec![answers, 0], llr: vec![LLR_MIN, LLR_MAX], fail_bin: 1 };
    });
    let hit = Taken::of(&harsh, honest_outcomes());
    let hit_wrongly: Vec<&Audited> =
        honest_outcomes().filter(|audited| hit.taken && judge(&harsh, audited).0 == Verdict::Fail).collect();
    let cleared = hit_wrongly.iter().filter(|audited| judge(table, audited).0 == Verdict::Pass).count() as u64;

    let strict = strictest(table);
    let suspected = Taken::of(&strict, honest_outcomes());

    let row = |attack, tried: u64, found, promised_percent, fair: &Fair, note: Cow<'static, str>| Row {
        attack,
        tried,
        found,
        false_alarms: fair.false_alarms,
        honest_tried: fair.honest_tried,
        false_alarms_for: fair.reasons.clone(),
        note,
        promised_percent,
        ..Row::default()
    };
    vec![
        row(
            "tables that contradict themselves",
            CONTRADICTIONS.len() as u64,
            refused,
            100,
            fair,
            "found means refused by the rules, which take the measured one".into(),
        ),
        Row {
            audits_median: let_through.audits,
            ..row(
                "a table that passes everything",
                let_through.tried,
                if let_through.taken { let_through.failed } else { let_through.tried },
                0,
                &Fair::of(&loose, honest),
                "the rules take it, for they protect the honest only: whoever uses it finds nothing but foreign fingerprints".into(),
            )
        },
        row(
            "a table with invented counts",
            hit.tried,
            if hit.taken { hit.tried - hit.failed } else { hit.tried },
            0,
            &Fair::of(&harsh, honest),
            format!(
                "tried are honest answers, found are those that it lets pass; an honest provider is accused after {} audits by it",
                hit.audits.map_or("no number of".into(), |audits| audits.to_string())
            )
            .into(),
        ),
        row(
            "the same before a jury with tables of its own",
            hit_wrongly.len() as u64,
            cleared,
            99,
            fair,
            "tried are the honest answers that fail by it; found are those that pass by the measured one".into(),
        ),
        row(
            "the strictest table with true counts",
            suspected.tried,
            match (suspected.taken, suspected.audits) {
                (true, Some(_)) => 0,
                (true, None) => suspected.tried - suspected.failed,
                (false, _) => suspected.tried,
            },
            98,
            &Fair::of(&strict, honest),
            "tried are honest answers, found are those that it lets pass, if no honest provider is accused".into(),
        ),
    ]
}

/// What follows where somebody judges by a table.
struct Taken {
    /// The rules take it.
    taken: bool,
    tried: u64,
    failed: u64,
    /// Audits until the evidence accuses, median; none if it never does.
    audits: Option<u64>,
}

impl Taken {
    fn of<'a>(table: &Calibration, outcomes: impl Iterator<Item = &'a Audited>) -> Self {
        let judged: Vec<_> = outcomes.map(|audited| judge(table, audited)).collect();
        let weights: Vec<i16> = judged.iter().map(|(_, llr)| *llr).collect();
        Self {
            taken: rules(table).is_ok(),
            tried: judged.len() as u64,
            failed: judged.iter().filter(|(verdict, _)| *verdict == Verdict::Fail).count() as u64,
            audits: median((0..RUNS).map(|run| until_accused(&weights, run)).collect()),
        }
    }
}

/// The worst that can be done to honest providers without lying about what was counted: all that may fail is spent on the statistic where
/// it reaches furthest, and all weights are as large as the budget allows.
fn strictest(table: &Calibration) -> Calibration {
    let mut strict = poisoned(table, |t| t.fail_bin = t.honest.len() as u32);
    for row in &mut strict.rows {
        let may_fail = row.tables[0].honest.iter().map(|n| u64::from(*n)).sum::<u64>() / HONEST_PER_FAIL;
        let first = |t: &CalibrationTable| {
            let beyond = |bin: usize| t.honest.iter().skip(bin).map(|n| u64::from(*n)).sum::<u64>();
            (1..t.honest.len()).find(|bin| beyond(*bin) <= may_fail).map(|bin| (beyond(bin), bin as u32))
        };
        let furthest = row.tables.iter_mut().filter_map(|t| first(t).map(|(beyond, bin)| (beyond, bin, t)));
        if let Some((_, bin, t)) = furthest.max_by_key(|(beyond, ..)| *beyond) {
            t.fail_bin = bin;
        }
    }
    let raised =
        |by: i16| poisoned(&strict, |t| t.llr.iter_mut().for_each(|llr| *llr = (*llr + by).clamp(LLR_MIN, LLR_MAX)));
    let most = (0..LLR_MAX).rev().map(raised).find(|raised| rules(raised).is_ok());
    most.unwrap_or(strict)
}
