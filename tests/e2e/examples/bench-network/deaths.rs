//! Providers that die before the first word and in the middle of an answer.

use crate::answers::STORY;
use crate::figures::{median, Pair, Report};
use crate::nodes::SOON;
use ainonymous_e2e::{dies_before_the_first_word, dies_in_mid_answer, Bootstrap, Node, NodeSpec, Providers};
use std::time::Duration;
use tokio::runtime::Runtime;

/// What this part measures.
pub(crate) const FIGURES: [&str; 2] = ["failover_ms", "resume_ms"];

/// Networks in which somebody dies.
const NETWORKS: usize = 3;
/// Two of them die.
const PROVIDERS: usize = 3;

/// Measures both.
pub(crate) fn measure(report: &mut Report, lab: &Runtime) -> Result<(), String> {
    let (mut before, mut midst) = (Vec::new(), Vec::new());
    for _ in 0..NETWORKS {
        let mut bootstrap = Bootstrap::start();
        let url = bootstrap.url();
        let mut asker = Node::start(NodeSpec::new(&url));
        let mut providers = lab.block_on(Providers::start(&url, PROVIDERS, &[]));
        asker.wait_ready();
        let client = asker.client();
        lab.block_on(client.wait_for_providers(PROVIDERS, SOON));
        midst.push(ms(lab.block_on(dies_in_mid_answer(&mut providers, &client, STORY)).silence));
        before.push(ms(lab.block_on(dies_before_the_first_word(&mut providers, &client, STORY)).silence));
        eprintln!("a provider died: before the first word {before:?}, in mid-answer {midst:?} ms");
    }
    for (name, samples) in FIGURES.into_iter().zip([before, midst]) {
        report.figure(name, median(&samples), "");
        report.samples(name, &Pair { ours: samples, theirs: Vec::new() });
    }
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
