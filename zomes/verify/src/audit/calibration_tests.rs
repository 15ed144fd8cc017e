//! A calibration that is in order, and each way in which one is not.

use super::*;
use crate::audit::scope;
use ainonymous_types::{ActionHash, Bytes32, EntryHash, SpecRef};
use proptest::prelude::*;

const CUTS: [u32; 7] = [10, 20, 40, 80, 160, 320, 640];

/// Honest answers that halve from bin to bin, cheats that are mostly far out.
fn measured_tables() -> Vec<(Vec<u32>, Vec<u32>, Vec<u32>)> {
    let honest = vec![9_000, 800, 150, 40, 9, 1, 0, 0];
    let cheats = vec![10, 20, 50, 100, 300, 900, 2_000, 1_000];
    vec![(CUTS.to_vec(), honest, cheats); Statistic::ALL.len()]
}

fn good() -> Calibration {
    let spec = SpecRef { entry: EntryHash::from_raw_36(vec![1; 36]), action: ActionHash::from_raw_36(vec![2; 36]) };
    let rows = vec![calibrated(1, &measured_tables()).unwrap(), calibrated(100, &measured_tables()).unwrap()];
    Calibration {
        spec,
        prover: "cpu-avx2".into(),
        verifier: "cpu-avx512".into(),
        scope: scope::ALL,
        data: Bytes32([3; 32]),
        rows,
    }
}

fn code(spoil: impl Fn(&mut Calibration)) -> &'static str {
    let mut table = good();
    spoil(&mut table);
    rules(&table).map_or_else(|breach| breach.code(), |()| "ok")
}

#[test]
fn what_is_computed_from_enough_measurements_is_in_order() {
    assert_eq!(rules(&good()), Ok(()));
    let row = &good().rows[0];
    assert!(mean_milli(row) <= MEAN_MILLI_MAX);
    assert_eq!(*row.tables[0].llr.first().unwrap(), LLR_MIN);
    assert!(*row.tables[0].llr.last().unwrap() > NAT, "{:?}", row.tables[0].llr);
    // One in a thousand of 10,000 answers, shared by seven statistics: one each.
    assert!(row.tables.iter().all(|t| t.fail_bin == 5));
    // Answers that are too few for a calibration give none.
    let few: Vec<_> = measured_tables().into_iter().map(|(c, _, x)| (c, vec![100, 5, 0, 0, 0, 0, 0, 0], x)).collect();
    assert_eq!(calibrated(1, &few), None);
}

#[test]
fn what_is_out_of_order_is_refused() {
    assert_eq!(code(|c| c.rows.clear()), "empty");
    assert_eq!(code(|c| c.rows = vec![c.rows[0].clone(); CALIBRATION_ROWS_MAX + 1]), "too_many");
    assert_eq!(code(|c| c.rows.reverse()), "unordered");
    assert_eq!(code(|c| c.prover = "CPU".into()), "charset");
    assert_eq!(code(|c| c.verifier = "x".repeat(CLASS_BYTES_MAX + 1)), "too_long");
    assert_eq!(code(|c| c.rows[0].tables.truncate(6)), "out_of_range");
    assert_eq!(code(|c| c.rows[0].tables[2].cuts.swap(0, 1)), "unordered");
    assert_eq!(code(|c| c.rows[0].tables[2].llr.reverse()), "unordered");
    assert_eq!(code(|c| c.rows[0].tables[2].llr[7] = LLR_MAX + 1), "uncalibrated");
    assert_eq!(code(|c| c.rows[0].tables[2].llr.truncate(7)), "out_of_range");
    assert_eq!(code(|c| c.rows[0].tables[2].honest.truncate(7)), "out_of_range");
    assert_eq!(code(|c| c.rows[0].tables[2].fail_bin = 0), "out_of_range");
    assert_eq!(code(|c| c.rows[0].tables[2].fail_bin = 9), "out_of_range");
    assert_eq!(code(|c| c.rows[0].tables[2].fail_bin = 8), "ok");
    assert_eq!(code(|c| c.rows[0].tables[2].fail_bin = 3), "uncalibrated", "too many honest answers fail");
    assert_eq!(code(|c| c.rows[0].tables[2].honest[0] += 1), "hash_mismatch", "an answer that is in one table only");
    assert_eq!(code(|c| c.rows[0].tables.iter_mut().for_each(|t| t.llr = vec![LLR_MAX; 8])), "uncalibrated");
    let fewer = |c: &mut Calibration| c.rows[0].tables.iter_mut().for_each(|t| t.honest[0] = 1_000);
    assert_eq!(code(fewer), "out_of_range");
}

#[test]
fn the_budget_is_the_mean_of_floating_point() {
    let row = &good().rows[0];
    let e = |llr: i16| (f64::from(llr) / f64::from(NAT)).exp();
    let floor = e(LLR_MIN);
    let mut mean = floor;
    for table in &row.tables {
        let all: u32 = table.honest.iter().sum();
        let mut before = floor;
        for (bin, llr) in table.llr.iter().enumerate() {
            let from: u32 = table.honest[bin..].iter().sum();
            mean += (e(*llr) - before) * f64::from(from + 1) / f64::from(all + 1);
            before = e(*llr);
        }
    }
    let milli = mean_milli(row) as f64;
    assert!((milli - mean * 1_000.0 - 0.5).abs() <= 0.51, "{milli} {mean}");
}

#[test]
fn the_worst_statistic_decides() {
    let table = good();
    let outcome = |spoil: fn(&mut Statistics)| {
        let mut statistics = Statistics { tokens: 128, ..Statistics::default() };
        spoil(&mut statistics);
        judge(Some(&table), &Outcome::Measured(statistics))
    };
    assert_eq!(outcome(|_| ()), (Verdict::Pass, LLR_MIN));
    let heaviest = table.rows[1].tables[0].llr[7];
    assert_eq!(outcome(|s| s.delta_window = 640), (Verdict::Fail, heaviest));
    assert_eq!(outcome(|s| s.margin_window = 640), (Verdict::Fail, heaviest));
    assert_eq!(outcome(|s| s.delta_sum = 640), (Verdict::Fail, heaviest), "640/128 tokens in 128ths");
    assert_eq!(outcome(|s| s.delta_position = 159).0, Verdict::Pass);
    assert_eq!(outcome(|s| s.tail = 128).0, Verdict::Fail);
    assert!(outcome(|s| s.impossible = 100).1 > LLR_MIN);
}

#[test]
fn whoever_is_not_calibrated_is_not_judged() {
    let bad = Outcome::Measured(Statistics { tokens: 128, delta_window: 640, ..Statistics::default() });
    assert_eq!(judge(None, &bad), (Verdict::Inconclusive, 0));
    let mut table = good();
    table.rows.remove(0);
    let short = Outcome::Measured(Statistics { tokens: 99, delta_window: 640, ..Statistics::default() });
    assert_eq!(judge(Some(&table), &short), (Verdict::Inconclusive, 0), "shorter than any row");
    assert_eq!(judge(Some(&table), &bad).0, Verdict::Fail);
    for calibration in [None, Some(&table)] {
        assert_eq!(judge(calibration, &Outcome::Mismatch), (Verdict::Fail, LLR_MAX));
    }
}

#[test]
fn whoever_opens_nothing_is_judged_by_its_tokens_and_passes_by_nothing() {
    let table = good();
    let silent = |margin_window| {
        let found = Statistics { tokens: 128, margin_window, ..Statistics::default() };
        (judge(Some(&table), &Outcome::NotOpened(found)), judge(Some(&table), &Outcome::Measured(found)))
    };
    assert_eq!(silent(0), ((Verdict::Inconclusive, LLR_MIN), (Verdict::Pass, LLR_MIN)));
    let (alone, opened) = silent(640);
    assert_eq!((alone.0, alone), (Verdict::Fail, opened));
    let bad = Outcome::NotOpened(Statistics { tokens: 128, margin_window: 640, ..Statistics::default() });
    assert_eq!(judge(None, &bad), (Verdict::Inconclusive, 0));
    // What does not fail weighs nothing against it, however near it is to failing.
    let (near, opened) = silent(159);
    assert!(opened.0 == Verdict::Pass && opened.1 > 0, "{opened:?}");
    assert_eq!(near, (Verdict::Inconclusive, 0));
}

#[test]
fn a_juror_can_acquit_whoever_is_said_to_have_opened_nothing() {
    let table = good();
    let heard = |calibration, margin_window| {
        let found = Statistics { tokens: 128, margin_window, ..Statistics::default() };
        judge_in_jury(calibration, &Outcome::NotOpened(found))
    };
    assert_eq!(heard(Some(&table), 0), (Verdict::Pass, LLR_MIN));
    assert_eq!(heard(Some(&table), 640).0, Verdict::Fail);
    assert_eq!(heard(None, 0), (Verdict::Inconclusive, 0));
    let measured = Outcome::Measured(Statistics { tokens: 128, ..Statistics::default() });
    for outcome in [measured, Outcome::Mismatch] {
        assert_eq!(judge_in_jury(Some(&table), &outcome), judge(Some(&table), &outcome));
    }
}

#[test]
fn classes_leave_out_what_makes_no_difference() {
    let capability = |backend, detail: &str| Capability {
        roles: vec![],
        sealing_key: Bytes32([1; 32]),
        transport_key: None,
        addresses: vec![],
        backend,
        backend_detail: detail.into(),
        must_be_known: false,
        router: None,
        region: None,
        models: vec![],
    };
    assert_eq!(class(&capability(Backend::Cpu, "avx2, AMD Ryzen 7")), "cpu-avx2");
    assert_eq!(class(&capability(Backend::Cuda, "NVIDIA H100 80GB")), "cuda-nvidia-h100-80gb");
    assert_eq!(class(&capability(Backend::Metal, "")), "metal");
    assert!(class(&capability(Backend::Vulkan, &"x".repeat(64))).len() <= CLASS_BYTES_MAX);
}

proptest! {
    #[test]
    fn no_table_makes_it_panic(
        cuts in prop::collection::vec(any::<u32>(), 0..5), honest in prop::collection::vec(any::<u32>(), 0..5),
        llr in prop::collection::vec(any::<i16>(), 0..5), fail_bin in any::<u32>(), n in any::<[u32; 8]>(),
    ) {
        let table = CalibrationTable { cuts, honest, llr, fail_bin };
        let row = CalibrationRow { tokens_from: n[0], tables: vec![table; (n[1] % 9) as usize] };
        let calibration = Calibration { rows: vec![row.clone()], ..good() };
        let _ = (rules(&calibration), mean_milli(&row));
        let [tokens, delta_sum, delta_window, delta_position, margin_sum, margin_window, tail, impossible] = n;
        let statistics = Statistics {
            tokens, delta_sum, delta_window, delta_position, margin_sum, margin_window, tail, impossible,
        };
        let (_, llr) = judge(Some(&calibration), &Outcome::Measured(statistics));
        prop_assert!((LLR_MIN..=LLR_MAX).contains(&llr));
        // Whoever opens nothing weighs no more than if it had opened, whatever that had been.
        let alone = Statistics { delta_sum: 0, delta_window: 0, delta_position: 0, tail: 0, ..statistics };
        let (verdict, unopened) = judge(Some(&calibration), &Outcome::NotOpened(alone));
        prop_assert!((LLR_MIN..=LLR_MAX).contains(&unopened) && verdict != Verdict::Pass);
        if calibration.rows.iter().flat_map(|row| &row.tables).all(|table| table_rules(table).is_ok()) {
            prop_assert!(unopened <= llr);
        }
    }

    #[test]
    fn whatever_measurements_give_is_in_order_or_nothing(
        honest in prop::collection::vec(0u32..5_000, 8), cheats in prop::collection::vec(0u32..5_000, 8),
    ) {
        let tables = vec![(CUTS.to_vec(), honest, cheats); Statistic::ALL.len()];
        if let Some(row) = calibrated(1, &tables) {
            prop_assert_eq!(rules(&Calibration { rows: vec![row], ..good() }), Ok(()));
        }
    }
}
