//! Providers that die before the first word and in the middle of an answer.

use crate::answers::STORY;
use crate::figures::{median, Pair, Report};
use crate::nodes::SOON;
use ainonymous_e2e::{dies_before_the_first_word, dies_in_mid_answer, Bootstrap, Client, Node, NodeSpec, Providers};
use std::time::Duration;
use tokio::runtime::Runtime;

/// What this part measures.
pub(crate) const FIGURES: [&str; 4] = ["failover_ms", "resume_ms", "resume_long_ms", "long_beginning_ms"];

/// Networks in which somebody dies.
const NETWORKS: usize = 3;
/// All but one of them die.
const PROVIDERS: usize = 4;
/// Bytes of the answer when its provider dies: a few words, and most of it.
const SHORT_BYTES: usize = 40;
const LONG_BYTES: usize = 500;

/// Measures both.
pub(crate) fn measure(report: &mut Report, lab: &Runtime) -> Result<(), String> {
    let (mut before, mut midst, mut late, mut beginnings) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..NETWORKS {
        let mut bootstrap = Bootstrap::start();
        let url = bootstrap.url();
        let mut asker = Node::start(NodeSpec::new(&url));
        let mut providers = lab.block_on(Providers::start(&url, PROVIDERS, &[]));
        asker.wait_ready();
        let client = asker.client();
        lab.block_on(client.wait_for_providers(PROVIDERS, SOON));
        midst.push(ms(lab
            .block_on(dies_in_mid_answer(&mut providers, &client, Client::body(STORY), SHORT_BYTES))
            .silence));
        let long = lab.block_on(dies_in_mid_answer(&mut providers, &client, Client::body(STORY), LONG_BYTES));
        late.push(ms(long.silence));
        // What it takes at least to say the beginning again.
        beginnings.push(ms(long.beginning));
        before.push(ms(lab.block_on(dies_before_the_first_word(&mut providers, &client, STORY)).silence));
        eprintln!(
            "a provider died: before the first word {before:?}, early {midst:?}, late {late:?} after {beginnings:?} ms"
        );
    }
    for (name, samples) in FIGURES.into_iter().zip([before, midst, late, beginnings]) {
        report.figure(name, median(&samples), "");
        report.samples(name, &Pair { ours: samples, theirs: Vec::new() });
    }
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
