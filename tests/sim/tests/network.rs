//! The small networks, quickly: bounds that a worse choice of providers would break.

use ainonymous_sim::{run, Run, LIE_FACTOR};

const REQUESTS: u64 = 12_000;
/// Liars who claim no more than the quickest honest machines have.
const PLAUSIBLE: u32 = 4;

#[test]
fn reads_and_probes_stay_flat_and_the_load_even() {
    for providers in [10, 100, 1_000] {
        let row = run(Run { providers, requests: REQUESTS, seed: 1, lie_factor: LIE_FACTOR, reports: true });
        assert!(row.reads_per_request <= 1.5, "{row:?}");
        assert!(row.probes_per_request <= 4.0, "{row:?}");
        // In the largest of the three, so few requests leave chance some say.
        assert!(row.load_spread <= if providers == 1_000 { 2.2 } else { 1.5 }, "{row:?}");
        assert!(row.nobody <= 0.01 && row.hedged <= 0.05, "{row:?}");
        // A network of ten goes up and down with single machines: there only the order of magnitude is certain.
        let felt_max = if providers == 10 { 2.5 } else { 1.4 };
        assert!(row.felt_over_oracle <= felt_max, "{row:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_figures() {
    let row = |seed| {
        serde_json::to_string(&run(Run { providers: 10, requests: 2_000, seed, lie_factor: LIE_FACTOR, reports: true }))
            .unwrap_or_default()
    };
    assert_eq!(row(7), row(7));
    assert_ne!(row(7), row(8));
}

/// Own experience of strangers finds plausible liars nearly as soon; what is left is that liars gain nothing by reporting.
#[test]
fn what_others_report_helps_no_liar_though_liars_report_too() {
    let row = |reports| run(Run { providers: 1_000, requests: 40_000, seed: 1, lie_factor: PLAUSIBLE, reports });
    let (alone, told) = (row(false), row(true));
    assert!(told.to_liars <= alone.to_liars && alone.to_liars < 0.02, "{alone:?} {told:?}");
    assert!(told.latency_over_oracle < 1.02 * alone.latency_over_oracle, "{alone:?} {told:?}");
}

/// What four probes could reach at best is near the oracle: whatever the protocol misses beyond is its own fault.
#[test]
fn four_true_looks_are_nearly_as_good_as_all() {
    let row = run(Run { providers: 100, requests: REQUESTS, seed: 1, lie_factor: LIE_FACTOR, reports: true });
    assert!(row.best_of_four_over_oracle <= 1.10, "{row:?}");
    assert!(row.latency_over_oracle <= 1.10 && row.latency_over_best_of_four <= 1.05, "{row:?}");
}

/// Whoever claims a hundred times its speed is not taken at its word before it has shown it; whoever claims what others have is found
/// out by its first answer only.
#[test]
fn an_extraordinary_claim_attracts_nobody() {
    let row = |lie_factor| run(Run { providers: 1_000, requests: 60_000, seed: 1, lie_factor, reports: true });
    let (wild, plausible) = (row(LIE_FACTOR), row(PLAUSIBLE));
    assert!(wild.to_liars < 0.002, "{wild:?}");
    assert!(plausible.to_liars > 2.0 * wild.to_liars && plausible.to_liars < 0.01, "{plausible:?}");
    // Neither kind keeps requests from those who are quick and free.
    assert!(wild.latency_over_oracle <= 1.10 && plausible.latency_over_oracle <= 1.10, "{wild:?} {plausible:?}");
}
