//! Audits: dice, fingerprints, statistics, verdicts, evidence, draws and rates.

use super::fixtures::{agent, b32, receipt, spec_ref, with, ALICE, BOB, MALLORY};
use super::{computed, stated};
use ainonymous_types::*;
use ainonymous_verify::audit::{calibration, leaf, scope};
use ainonymous_verify::vectors::audit::{
    DrawCase, EvidenceCase, JudgeCase, NoiseCase, OutcomeCase, RateCase, SaltCase,
};
use ainonymous_verify::vectors::{Case, File};
use serde_bytes::ByteBuf;

pub(crate) fn cases() -> File {
    let mut cases = dice();
    cases.extend(fingerprints());
    cases.extend(outcomes());
    cases.extend(verdicts());
    cases.extend(scores());
    cases.extend(draws());
    File { about: "Audits: what is compared, what follows, who looks.".into(), records: serde_json::Value::Null, cases }
}

fn dice() -> Vec<Case> {
    let noise = |name: &str, seed, position, id| computed(name, "gumbel.noise", &NoiseCase { seed, position, id });
    vec![
        noise("the first token", 42, 0, 0),
        noise("another position", 42, 3, 0),
        noise("another token", 42, 3, 262_143),
        noise("another seed", 0, 0, 0),
        noise("the largest numbers", limits::SEED_MAX, u32::MAX, u32::MAX),
    ]
}

/// Eight tokens, each a nat less likely than the one before.
pub(crate) fn position(shift: u16) -> Position {
    (0..8).map(|i| Likely { id: 1_000 * i, minus_sixteenths: 5 + shift + 16 * i as u16 }).collect()
}

fn fingerprints() -> Vec<Case> {
    let encode = |name: &str, window: Vec<Position>| computed(name, "fingerprint.encode", &window);
    let refused =
        |name: &str, window: Vec<Position>, expected: &str| stated(name, "fingerprint.encode", &window, expected);
    let decode = |name: &str, bytes: &[u8]| computed(name, "fingerprint.decode", &ByteBuf::from(bytes));
    let undecodable =
        |name: &str, bytes: &[u8], expected: &str| stated(name, "fingerprint.decode", &ByteBuf::from(bytes), expected);
    let one = |id, minus_sixteenths| vec![Likely { id, minus_sixteenths }];
    vec![
        encode("one certain token", vec![one(5, 0)]),
        encode("eight tokens at two positions", vec![position(0), position(3)]),
        encode("the largest id, the least likely", vec![one(u32::MAX, limits::FINGERPRINT_SIXTEENTHS_MAX)]),
        refused("no positions", vec![], "empty"),
        refused("a position without tokens", vec![vec![]], "empty"),
        refused("more positions than a window has", vec![one(1, 1); 33], "too_many"),
        refused("less likely than the bound", vec![one(1, limits::FINGERPRINT_SIXTEENTHS_MAX + 1)], "out_of_range"),
        refused("out of order", vec![[one(1, 2), one(2, 1)].concat()], "unordered"),
        refused("a token twice", vec![[one(1, 1), one(1, 2)].concat()], "repeated"),
        decode("a window", &[0, 3, 0b0000_0100, 0b1010_0000]),
        undecodable("ids wider than need be", &[0, 4, 0b0000_0100, 0b0101_0000], "not_canonical"),
        undecodable("something after the end", &[0, 3, 0b0000_0100, 0b1010_0000, 0], "not_canonical"),
        undecodable("cut short", &[0, 3, 0b0000_0100], "undecodable"),
        undecodable("nothing", &[], "undecodable"),
        computed("the salt of a leaf", "leaf.salt", &SaltCase { secret: b32(7), index: 3 }),
        computed("a fingerprint of two leaves", "leaf.fingerprint", &opened(40, 0)),
        computed("no leaves", "leaf.fingerprint", &Vec::<OpenedLeaf>::new()),
        computed("a replay of two leaves", "leaf.replay", &replayed(40, 0)),
    ]
}

/// A provider's leaves over so many tokens.
pub(crate) fn opened(tokens: u32, shift: u16) -> Vec<OpenedLeaf> {
    let said: Vec<u32> = (0..tokens).collect();
    leaf::leaves(&b32(7), &said, &vec![position(shift); tokens as usize]).unwrap()
}

/// An auditor's.
pub(crate) fn replayed(tokens: u32, shift: u16) -> Vec<ReplayLeaf> {
    let of = |leaf: OpenedLeaf| ReplayLeaf { margins: vec![1; leaf.tokens.len()], impossible: 0, leaf };
    opened(tokens, shift).into_iter().map(of).collect()
}

fn outcomes() -> Vec<Case> {
    let case = |name: &str, opened: Vec<OpenedLeaf>, replay: Vec<ReplayLeaf>| {
        computed(name, "statistics.outcome", &OutcomeCase { opened, replay })
    };
    let bad = with(replayed(40, 0), |r| r[0].margins[0] = limits::MARGIN_1024THS_MAX + 1);
    vec![
        case("the same fingerprint", opened(40, 0), replayed(40, 0)),
        case("three sixteenths apart", opened(40, 3), replayed(40, 0)),
        case("an impossible token", opened(40, 0), with(replayed(40, 0), |r| r[1].impossible = 4)),
        case("another token", with(opened(40, 0), |o| o[0].tokens[3] = 99), replayed(40, 0)),
        case("a shorter answer", opened(32, 0), replayed(40, 0)),
        case("nothing opened", vec![], replayed(40, 0)),
        stated(
            "a replay past its bounds",
            "statistics.outcome",
            &OutcomeCase { opened: opened(40, 0), replay: bad },
            "out_of_range",
        ),
    ]
}

/// From CPU to CPU, out of 10,000 honest answers.
pub(crate) fn table() -> Calibration {
    let (honest, cheats) = (vec![9_000, 900, 95, 5, 0, 0], vec![10, 20, 50, 300, 900, 2_000]);
    let tables = vec![(vec![10, 20, 40, 80, 160], honest, cheats); calibration::Statistic::ALL.len()];
    Calibration {
        spec: spec_ref(),
        prover: "cpu-avx2".into(),
        verifier: "cpu-avx2".into(),
        scope: scope::ALL,
        data: b32(0x71),
        rows: vec![calibration::calibrated(8, &tables).unwrap()],
    }
}

fn verdicts() -> Vec<Case> {
    let rules = |name: &str, table: Calibration, expected: &str| stated(name, "calibration.rules", &table, expected);
    let judge = |name: &str, calibration: Option<Calibration>, outcome: Outcome| {
        computed(name, "calibration.judge", &JudgeCase { calibration, outcome })
    };
    let found = |tokens, delta_window| {
        Outcome::Measured(Statistics {
            tokens,
            delta_sum: delta_window,
            delta_window,
            delta_position: 5,
            ..Statistics::default()
        })
    };
    let silent = |margin_window| {
        Outcome::NotOpened(Statistics { tokens: 32, margin_sum: margin_window, margin_window, ..Statistics::default() })
    };
    vec![
        rules("a calibration", table(), "ok"),
        rules("no rows", with(table(), |t| t.rows.clear()), "empty"),
        rules("of no answers", with(table(), |t| t.scope.tokens = 0), "out_of_range"),
        rules("hotter than can be asked", with(table(), |t| t.scope.temperature_milli += 1), "out_of_range"),
        rules("another answer in one table", with(table(), |t| t.rows[0].tables[1].honest[0] += 1), "hash_mismatch"),
        rules("too many honest answers fail", with(table(), |t| t.rows[0].tables[1].fail_bin = 1), "uncalibrated"),
        rules("too heavy", with(table(), |t| t.rows[0].tables[1].llr = vec![768; 6]), "uncalibrated"),
        rules("weights that fall", with(table(), |t| t.rows[0].tables[1].llr.reverse()), "unordered"),
        judge("as honest answers are", Some(table()), found(32, 9)),
        judge("not as honest answers are", Some(table()), found(32, 160)),
        judge("shorter than is calibrated", Some(table()), found(7, 160)),
        judge("not calibrated", None, found(32, 160)),
        judge("a fingerprint of something else", None, Outcome::Mismatch),
        judge("silence about good tokens", Some(table()), silent(9)),
        judge("silence about other tokens", Some(table()), silent(160)),
        judge("silence, not calibrated", None, silent(160)),
    ]
}

fn scores() -> Vec<Case> {
    let add = |name: &str, standing: Standing, auditor: u8, llr: i16| {
        computed(name, "evidence.add", &EvidenceCase { standing, auditor: agent(auditor), llr })
    };
    let share = |auditor: u8, llr| Share { auditor: agent(auditor), llr };
    let two = || Standing { score: 2_500, shares: vec![share(ALICE, 2_200), share(BOB, 300)] };
    vec![
        add("the first report", Standing::default(), ALICE, 768),
        add("an honest one", Standing::default(), ALICE, -128),
        add("another auditor", two(), MALLORY, 100),
        add("up to the cap of one auditor", two(), ALICE, 768),
        add("an honest one after bad ones", two(), BOB, -128),
        add("back to nothing", Standing { score: 100, shares: vec![share(ALICE, 300)] }, BOB, -128),
    ]
}

fn draws() -> Vec<Case> {
    let draw = |name: &str, spoil: &dyn Fn(&mut DrawCase)| {
        let case = DrawCase { receipt: receipt(1).receipt, secret: b32(0x54), agent: agent(ALICE), cases: 9 };
        computed(name, "draw.all", &with(case, |c| spoil(c)))
    };
    let rate = |name: &str, spoil: &dyn Fn(&mut RateCase)| {
        let case =
            RateCase { ok: 0, bad: 0, floor_ppm: 10_000, gain_milli: 0, loss_milli: 0, detection_ppm: 1_000_000 };
        computed(name, "rate.ppm", &with(case, |c| spoil(c)))
    };
    let agreement = |name: &str, answers: &[&[u32]]| {
        computed(name, "agreement.compare", &answers.iter().map(|tokens| tokens.to_vec()).collect::<Vec<_>>())
    };
    vec![
        draw("a draw", &|_| ()),
        draw("another secret", &|c| c.secret = b32(0x55)),
        draw("another auditor", &|c| c.agent = agent(MALLORY)),
        draw("another receipt", &|c| c.receipt.output = b32(9)),
        draw("everybody", &|c| (c.receipt.audit.rate_ppm, c.receipt.audit.auditors_ppm) = (1_000_000, 1_000_000)),
        draw("nobody", &|c| (c.receipt.audit.rate_ppm, c.receipt.audit.auditors_ppm) = (0, 0)),
        rate("a newcomer", &|_| ()),
        rate("ten clean audits", &|c| c.ok = 10),
        rate("three hundred", &|c| c.ok = 300),
        rate("a thousand and one bad", &|c| (c.ok, c.bad) = (1_000, 1)),
        rate("too many bad", &|c| c.bad = 65),
        rate("long honest", &|c| c.ok = 1_000_000),
        rate("little to lose", &|c| (c.ok, c.gain_milli, c.loss_milli) = (1_000_000, 420, 1_000)),
        agreement("all agree", &[&[1, 2, 3], &[1, 2, 3], &[1, 2, 3]]),
        agreement("one dissents", &[&[1, 2, 3], &[1, 9, 3], &[1, 2, 3]]),
        agreement("no majority", &[&[1, 2, 3], &[1, 9, 3]]),
    ]
}
