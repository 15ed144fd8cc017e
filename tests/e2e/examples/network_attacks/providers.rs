//! Providers that cheat. The node that asked has every answer checked.

use crate::network::{checked, known, Checked, Network};
use crate::row::Row;
use ainonymous_e2e::{Node, NodeSpec};

/// What a provider does, and what has to come of it.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    /// Its name for `attacks cheat`.
    deed: &'static str,
    /// Of the answers whose text is not what the honest provider says to the same question, so many percent have to fail.
    promised_percent: u64,
    pub(crate) quick: bool,
    note: &'static str,
}

const fn attack(
    name: &'static str,
    deed: &'static str,
    promised_percent: u64,
    quick: bool,
    note: &'static str,
) -> Attack {
    Attack { name, deed, promised_percent, quick, note }
}

/// What is no attack: whoever tells false answers tells honest ones. If some differ, or are found, figures of the others say too much: one may, for
/// what a machine has computed before decides about a token once in thousands.
pub(crate) const CONTROL: &str = "no attack";

pub(crate) const ATTACKS: [Attack; 19] = [
    attack(CONTROL, "retold", 0, true, "the honest answer, told as the false ones are"),
    attack("q4_0 served as q8_0", "cheaper", 90, true, "its own fingerprint"),
    attack("q4_0 served as q8_0, laundered", "cheaper-laundered", 30, true, "the right model's fingerprint"),
    attack("q4_0 served as q8_0, opening nothing", "cheaper-unopened", 30, false, "judged by its tokens"),
    attack("q4_0 for one answer in ten", "cheaper-one-in-ten", 0, false, "the first answer is one"),
    attack("another model of the family", "other-model", 90, false, "a smaller one, with the same vocabulary"),
    attack("another model of the family, opening nothing", "other-model-unopened", 80, false, "judged by its tokens"),
    attack("another fine-tune", "tuned", 90, false, "the asked model, trained on"),
    attack("another fine-tune, laundered", "tuned-laundered", 30, false, "the right model's fingerprint"),
    attack("temperature 1.2 for 1", "temperature", 30, false, "with the asked seed"),
    attack("another seed", "seed", 90, false, "with the asked temperature"),
    attack("a cached reply", "cached-reply", 90, false, "to the same words, asked before with another seed"),
    attack("truncation", "truncation", 90, true, "said to have ended by itself"),
    attack("truncation, with an end put to it", "truncation-ended", 80, false, "the right model's fingerprint"),
    attack("padding", "padding", 80, false, "goes on behind its end"),
    attack("one edited token", "edited-token", 80, true, "the second likeliest, the right model's fingerprint"),
    attack("a hidden system prompt", "hidden-prompt", 90, false, "its own fingerprint"),
    attack("a hidden system prompt, laundered", "hidden-prompt-laundered", 30, false, "for the visible prompt"),
    attack("a cache in q8_0 for f16", "quantised-cache", 0, false, "promises nothing"),
];

/// The same where everybody serves what the tests' model may have been rounded from, and a cheat the tests' model.
pub(crate) const OF_FINER: [Attack; 2] = [
    attack("q8_0 served as f16", "cheaper", 90, false, "its own fingerprint"),
    attack("q8_0 served as f16, laundered", "cheaper-laundered", 0, false, "the right model's fingerprint"),
];

/// Each row as it is there. All start before the first is looked at: a node that starts keeps others waiting.
pub(crate) async fn rows(network: &mut Network, attacks: &[&Attack], mut told: impl FnMut(Row)) {
    let start = |attack: &Attack| {
        let spec = NodeSpec::new(&network.url).doing_with(attack.deed, &network.cheaper);
        Node::start(spec.serving(&network.model))
    };
    let mut cheats: Vec<Node> = attacks.iter().map(|attack| start(attack)).collect();
    for (cheat, attack) in cheats.iter_mut().zip(attacks) {
        let bad = cheat.agent();
        known(&network.here, &bad).await;
        told(row(network, attack, &bad).await);
    }
    network.stays.extend(cheats);
}

async fn row(network: &Network, attack: &Attack, bad: &str) -> Row {
    let here = network.here.clone();
    let mut all = Vec::new();
    for n in 0..network.answers {
        all.push(checked(&here, n, bad).await);
    }
    let (found, is_unlike) = (all.iter().filter(|one| one.failed), |n: usize| all[n].text != network.fair[n].text);
    let unlike = (0..all.len()).filter(|n| is_unlike(*n));
    let unlike_found = unlike.clone().filter(|n| all[*n].failed).count() as u64;
    Row {
        attack: attack.name,
        nodes: Some(3),
        tried: all.len() as u64,
        found: found.count() as u64,
        unlike: Some(unlike.count() as u64),
        unlike_found: Some(unlike_found),
        tokens_median: until_found(&all, |one| one.tokens),
        audits_median: until_found(&all, |_| 1),
        false_alarms: network.false_alarms(),
        honest_tried: network.fair.len() as u64,
        note: attack.note.into(),
        unlike_promised_percent: attack.promised_percent,
        ..Row::default()
    }
}

/// So much was audited until the first audit failed, begun at each of the answers; the median.
fn until_found(all: &[Checked], much: impl Fn(&Checked) -> u64) -> Option<u64> {
    let from = |first: usize| {
        let turned = || all.iter().cycle().skip(first).take(all.len());
        let until = turned().position(|one| one.failed)?;
        Some(turned().take(until + 1).map(&much).sum::<u64>())
    };
    let mut runs: Vec<Option<u64>> = (0..all.len()).map(from).collect();
    runs.sort_by_key(|run| run.unwrap_or(u64::MAX));
    runs.get(runs.len() / 2).copied().flatten()
}
