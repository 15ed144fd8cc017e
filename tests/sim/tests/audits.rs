//! Honest providers are left alone and cheats are found, in the simulation that is small enough for every day.

use ainonymous_sim::audits::{detection, hazard, honest, simulated, Cell, Cheat, Text};

#[test]
fn an_honest_provider_is_accused_once_in_a_million_years_at_most() {
    for row in honest(20_000_000, 1) {
        println!("{row:?}");
        assert!((row.mean - 0.8).abs() < 1e-9, "{row:?}");
        assert!(row.exact_year <= row.bound_year && row.bound_year <= 1e-6, "{row:?}");
        assert_eq!(row.accused, 0, "{row:?}");
    }
}

/// Where the bound is low enough for accusations to be counted, as many are counted as the chain of scores foretells.
#[test]
fn the_simulation_sees_accusations_where_there_are_some() {
    let (reports, bound) = (20_000_000u64, 8 * 256);
    for cell in Cell::all() {
        let each = hazard(&cell, bound);
        let found = simulated(&cell, bound, reports, 7).accused as f64;
        let foretold = each * reports as f64;
        println!("{}: {found} accusations, {foretold} foretold", cell.name);
        // The chain has settled to the worst; runs that begin at nothing again are a little rarer.
        assert!(found <= foretold * 1.2 + 20.0 && found >= foretold * 0.7 - 20.0, "{}: {found} {foretold}", cell.name);
    }
}

#[test]
fn cheats_are_found_and_honest_answers_pass() {
    let rows = detection(Text::Chat, 0.02, 64, 3_000, 3);
    let of = |cheat: Cheat| rows.iter().find(|row| row.cheat == cheat);
    for row in &rows {
        println!("{row:?}");
    }
    assert!(of(Cheat::Honest).is_some_and(|row| row.fails <= 0.02 && row.audits.is_none()));
    assert!(of(Cheat::Coarser(0.28)).is_some_and(|row| row.fails >= 0.999 && row.audits.is_some_and(|n| n <= 12.0)));
    assert!(of(Cheat::OtherSeed).is_some_and(|row| row.fails >= 0.999 && row.audits.is_some_and(|n| n <= 12.0)));
    assert!(of(Cheat::Laundered(0.28)).is_some_and(|row| row.fails >= 0.3 && row.audits.is_some_and(|n| n <= 60.0)));
}
