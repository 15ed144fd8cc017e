//! What is counted in a run, and the row that becomes of two of them.

use crate::fleet::{Expected, Load};
use crate::requester::Pending;
use crate::world::{Kind, Time, World, CLASSES};
use serde::Serialize;

/// Classes that carry less than this share of what they could are left out of the spread: in them a single request more or
/// less would decide it.
const SPREAD_BUSY_MIN: f64 = 0.10;
/// Providers that were there for less than this share of the time are left out too.
const SPREAD_PRESENT_MIN: f64 = 0.5;

/// Sums over the measured requests of one run.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    searches: u64,
    reads: u64,
    probes: u64,
    candidates: u64,
    probing_us: u64,
    /// Requests that found a provider.
    pub(crate) placed: u64,
    expected: Expected,
    compared: u64,
    ratios: f64,
    answered: u64,
    answered_us: u64,
    /// Requests whose provider was not the first that was asked.
    pub(crate) hedged: u64,
    /// Requests that went to a liar.
    pub(crate) to_liars: u64,
    /// Requests that nobody accepted.
    pub(crate) nobody: u64,
    /// Requests whose provider went away.
    pub(crate) lost: u64,
    /// Requests withdrawn because their first token was overdue; part of those lost.
    pub(crate) overdue: u64,
    /// What each provider had to do.
    pub(crate) loads: Vec<Load>,
}

impl Figures {
    /// Candidates were found and probed.
    pub(crate) fn on_search(&mut self, pending: &Pending, now_us: Time) {
        self.searches += 1;
        self.reads += pending.reads as u64;
        self.probes += pending.probes as u64;
        self.candidates += pending.candidates() as u64;
        self.probing_us += pending.ready_us - now_us;
    }

    /// A provider was chosen, of which this is expected in truth.
    pub(crate) fn on_placed(&mut self, expected: Expected) {
        self.placed += 1;
        self.expected.trips_us += expected.trips_us;
        self.expected.wait_us += expected.wait_us;
        self.expected.prefill_us += expected.prefill_us;
        self.expected.decode_us += expected.decode_us;
    }

    /// The same beside what the best of that moment would have taken.
    pub(crate) fn on_compared(&mut self, expected_us: Time, best_us: Time) {
        self.compared += 1;
        self.ratios += expected_us as f64 / best_us as f64;
    }

    /// An answer is complete, so long after the question.
    pub(crate) fn on_answered(&mut self, took_us: Time) {
        self.answered += 1;
        self.answered_us += took_us;
    }

    fn expected_ms(&self) -> f64 {
        ratio(self.expected.total_us(), self.placed) / 1e3
    }

    /// Round trips, queue, prompt and answer, in milliseconds.
    fn parts_ms(&self) -> [f64; 4] {
        let Expected { trips_us, wait_us, prefill_us, decode_us } = self.expected;
        [trips_us, wait_us, prefill_us, decode_us].map(|us| rounded(ratio(us, self.placed) / 1e3))
    }

    fn answered_ms(&self) -> f64 {
        ratio(self.answered_us, self.answered) / 1e3
    }
}

/// The figures of one size.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Size of the network.
    pub providers: usize,
    /// Seed of the run.
    pub seed: u64,
    /// Buckets read for one request.
    pub reads_per_request: f64,
    /// Probes for one request.
    pub probes_per_request: f64,
    /// Mean expected latency of the chosen provider ÷ that of an oracle who places all requests of the same network.
    pub latency_over_oracle: f64,
    /// Busiest ÷ mean among providers of equal speed, the worst class.
    pub load_spread: f64,
    /// Mean expected latency ÷ that of an ideal with four probes, which knows all but the queues of those that it does not look at.
    pub latency_over_best_of_four: f64,
    /// That ideal ÷ the oracle: what four probes cost even there.
    pub best_of_four_over_oracle: f64,
    /// Mean over requests of chosen ÷ best of all providers at that very moment.
    pub latency_over_best_now: f64,
    /// From question to last token, with probing, queueing and all that went wrong, ÷ the oracle's.
    pub felt_over_oracle: f64,
    /// The oracle's mean expected latency.
    pub oracle_ms: f64,
    /// What the protocol's latency is made of: round trips, queue, prompt, answer.
    pub parts_ms: [f64; 4],
    /// What the oracle's is made of.
    pub oracle_parts_ms: [f64; 4],
    /// What that of the best of four is made of.
    pub best_of_four_parts_ms: [f64; 4],
    /// Candidates that a request knew.
    pub candidates_per_request: f64,
    /// Waiting for replies to probes.
    pub probing_ms: f64,
    /// Busy slots ÷ slots.
    pub utilisation: f64,
    /// Busy slots ÷ slots in each class, slowest first.
    pub utilisation_by_class: Vec<f64>,
    /// Share of requests that went to a liar.
    pub to_liars: f64,
    /// Share of requests whose first choice did not accept in time.
    pub hedged: f64,
    /// Share of requests that nobody accepted.
    pub nobody: f64,
    /// Share of requests whose provider went away before the end.
    pub lost: f64,
    /// Share of requests withdrawn because their first token was overdue; part of those lost.
    pub overdue: f64,
    /// Requests counted.
    pub requests: u64,
}

impl Row {
    /// From a run under the protocol, one under the oracle and one under the best of four.
    pub(crate) fn new(world: &World, seed: u64, protocol: &Figures, oracle: &Figures, four: &Figures) -> Self {
        let classes: Vec<Vec<Load>> = (0..CLASSES.len()).map(|class| loads_of(world, protocol, class)).collect();
        let busy = |loads: &[Load]| mean(loads.iter().map(|l| l.busy));
        let spread = |loads: &&Vec<Load>| max(loads.iter().map(|l| l.load)) / mean(loads.iter().map(|l| l.load));
        let slots = CLASSES.iter().zip(&classes).map(|(c, loads)| f64::from(c.slots) * loads.len() as f64);
        let used = CLASSES.iter().zip(&classes).map(|(c, l)| f64::from(c.slots) * l.len() as f64 * busy(l));
        Self {
            providers: world.providers.len(),
            seed,
            reads_per_request: rounded(ratio(protocol.reads, protocol.searches)),
            probes_per_request: rounded(ratio(protocol.probes, protocol.searches)),
            latency_over_oracle: rounded(protocol.expected_ms() / oracle.expected_ms()),
            load_spread: rounded(max(classes.iter().filter(|l| busy(l) >= SPREAD_BUSY_MIN).map(|l| spread(&l)))),
            latency_over_best_of_four: rounded(protocol.expected_ms() / four.expected_ms()),
            best_of_four_over_oracle: rounded(four.expected_ms() / oracle.expected_ms()),
            latency_over_best_now: rounded(protocol.ratios / protocol.compared.max(1) as f64),
            felt_over_oracle: rounded(protocol.answered_ms() / oracle.answered_ms()),
            oracle_ms: rounded(oracle.expected_ms()),
            parts_ms: protocol.parts_ms(),
            oracle_parts_ms: oracle.parts_ms(),
            best_of_four_parts_ms: four.parts_ms(),
            candidates_per_request: rounded(ratio(protocol.candidates, protocol.searches)),
            probing_ms: rounded(ratio(protocol.probing_us, protocol.searches) / 1e3),
            utilisation: rounded(used.sum::<f64>() / slots.sum::<f64>()),
            utilisation_by_class: classes.iter().map(|loads| rounded(busy(loads))).collect(),
            to_liars: rounded(ratio(protocol.to_liars, protocol.placed)),
            hedged: rounded(ratio(protocol.hedged, protocol.placed)),
            nobody: rounded(ratio(protocol.nobody, protocol.searches)),
            lost: rounded(ratio(protocol.lost, protocol.placed)),
            overdue: rounded(ratio(protocol.overdue, protocol.placed)),
            requests: protocol.placed,
        }
    }
}

fn loads_of(world: &World, figures: &Figures, class: usize) -> Vec<Load> {
    let all = world.providers.iter().zip(&figures.loads);
    let honest =
        all.filter(|(p, load)| p.kind == Kind::Honest && p.class == class && load.present >= SPREAD_PRESENT_MIN);
    honest.map(|(_, load)| *load).collect()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0u32), |(sum, count), value| (sum + value, count + 1));
    if count == 0 {
        0.0
    } else {
        sum / f64::from(count)
    }
}

fn max(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, f64::max)
}

fn ratio(a: u64, b: u64) -> f64 {
    a as f64 / b.max(1) as f64
}

/// Three digits are more than a simulation knows.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
