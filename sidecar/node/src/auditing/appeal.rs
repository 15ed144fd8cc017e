//! Appeals: a node that was convicted looks at the answers behind it again, and asks for a second jury unless it finds the same.
//!
//! There is one second jury for each accusation, drawn without those who convicted. What it finds is not an entry of its own: whoever
//! wants to know counts the jurors that it believes. A node whose own model finds what the jury found serves something else than it
//! promises, most likely without knowing; it says so to its operator and troubles nobody.

use super::jury::{self, Heard};
use super::{jittered, own, replay};
use crate::node::Node;
use ainonymous_conductor::{Conductor, ConductorError};
use ainonymous_types::{
    ActionHash, AgentPubKey, Appeal, AuditQuery, AuditSubject, Bytes32, Conviction, Evidence, Found, TimestampUs,
    Verdict,
};
use ainonymous_verify::audit::{doubt, scope, statistics};
use ainonymous_verify::rules;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// How often a node looks whether it was convicted.
const EVERY: Duration = Duration::from_secs(60);
/// So often it tries to look at the answers itself; then it appeals without.
const TRIES_MAX: u32 = 16;
/// Convictions that are remembered.
const KNOWN_MAX: usize = 1_024;

/// Looks again and again whether this node was convicted.
pub(crate) async fn run(node: Node) {
    let Some(conductor) = node.conductor_when_running().await else { return };
    let (mut settled, mut tries) = (HashSet::new(), HashMap::new());
    loop {
        tokio::time::sleep(jittered(EVERY)).await;
        if settled.len().max(tries.len()) > KNOWN_MAX {
            (settled, tries) = (HashSet::new(), HashMap::new());
        }
        if let Err(e) = look(&node, &conductor, &mut settled, &mut tries).await {
            tracing::debug!(error = %e, "whether this node was convicted could not be looked up; later again");
        }
    }
}

/// `settled` are the accusations on which nothing is left to do.
async fn look(
    node: &Node,
    conductor: &Conductor,
    settled: &mut HashSet<ActionHash>,
    tries: &mut HashMap<ActionHash, u32>,
) -> Result<(), ConductorError> {
    let about = AuditQuery { subject: AuditSubject::Provider(conductor.agent()), before: None };
    let mut convictions = conductor.get_convictions(about.clone()).await?.found;
    convictions.retain(|found| !settled.contains(&found.entry.accusation));
    if convictions.is_empty() {
        return Ok(());
    }
    let appealed: HashSet<_> =
        conductor.get_appeals(about).await?.found.into_iter().map(|found| found.entry.conviction).collect();
    let of_appealed = convictions.iter().filter(|found| appealed.contains(&found.action));
    settled.extend(of_appealed.map(|found| found.entry.accusation.clone()));
    for convicted in convictions {
        let accusation = &convicted.entry.accusation;
        if settled.contains(accusation) {
            continue;
        }
        let tried = tries.entry(accusation.clone()).or_default();
        *tried += 1;
        match own_view(node, conductor, &convicted.entry).await? {
            View::Guilty => tracing::warn!(
                conviction = %convicted.action,
                hint = "check which file it serves, and the memory of its machine",
                "a jury has convicted this node, and its own model finds the same in the answers: it does not appeal"
            ),
            View::Later(why) if *tried <= TRIES_MAX => {
                tracing::debug!(why, "this node cannot look at the answers behind its conviction yet");
                continue;
            }
            View::NotGuilty | View::Later(_) => {
                conductor.create_appeal(Appeal { conviction: convicted.action.clone() }).await?;
                tracing::warn!(conviction = %convicted.action, "a jury has convicted this node; it asks for a second one");
            }
        }
        settled.insert(accusation.clone());
    }
    Ok(())
}

/// What the convicted finds itself.
enum View {
    /// One of the answers is not its model's.
    Guilty,
    /// None of them is, as far as can be said.
    NotGuilty,
    /// Something is missing that may still come.
    Later(&'static str),
}

/// Computes the answers again by which the jury has convicted.
async fn own_view(node: &Node, conductor: &Conductor, conviction: &Conviction) -> Result<View, ConductorError> {
    let me = conductor.agent();
    let mut confirming = jury::heard(conductor, &conviction.accusation).await?;
    confirming.retain(|heard| conviction.confirmations.contains(&heard.action));
    if confirming.len() < conviction.confirmations.len() {
        return Ok(View::Later("not all reports of the jury are here"));
    }
    let reports = jury::reports_about(conductor, &me).await?;
    let mut looked_at = HashSet::new();
    for Found { entry: juror, .. } in confirming {
        let receipt = &juror.commit.receipt;
        let shown = reports.iter().find(|found| found.entry.shows && found.entry.commit.receipt == *receipt);
        let Some(shown) = shown.filter(|found| looked_at.insert(found.action.clone())) else { continue };
        let Some(Evidence { input, tokens, opened, .. }) = conductor.get_audit_evidence(shown.action.clone()).await?
        else {
            continue;
        };
        let statement = &receipt.receipt;
        let spec = node.inner.directory.model(&statement.spec);
        let Some((spec, loaded)) = spec.and_then(|spec| replay::own_model(node, &spec).map(|loaded| (spec, loaded)))
        else {
            return Ok(View::Later("the model is not loaded here"));
        };
        let table = own::table_of(node, &me, &spec, &scope::of(&input, statement.completion_tokens), &loaded).await;
        let turn = node.inner.auditing.turn.lock().await;
        let salt = Bytes32(rand::random());
        let computed = replay::replay(&loaded, &input, (&tokens, tokens.len()), statement, spec.kv_type, &salt).await;
        drop(turn);
        let Ok(computed) = computed else {
            return Ok(View::Later("the answers cannot be computed again now"));
        };
        let Ok(outcome) = statistics::outcome(&opened, &computed.leaves) else {
            return Ok(View::Later("what was computed again is out of form"));
        };
        let table = table.map(|table| table.entry(own::nowhere()));
        // Where jurors would be in doubt, so is this node.
        if computed.cut || doubt::is_beyond(table.as_ref(), &outcome) {
            return Ok(View::Guilty);
        }
    }
    Ok(View::NotGuilty)
}

/// An appeal, and what the second jury has said so far.
#[derive(Debug)]
pub(super) struct Appealed {
    /// The appeal.
    pub(super) action: ActionHash,
    /// The conviction that it names.
    pub(super) conviction: ActionHash,
    /// By its author's clock. Microseconds since the epoch.
    pub(super) linked_at: TimestampUs,
    /// Reports of the second jury, newest first.
    pub(super) heard: Vec<Heard>,
}

/// What second juries have said, by accusation: however often a provider asks, there is one for each.
pub(super) async fn appeals(
    conductor: &Conductor,
    provider: &AgentPubKey,
    convictions: &[Found<Conviction>],
) -> Result<HashMap<ActionHash, Appealed>, ConductorError> {
    let mut appeals: HashMap<ActionHash, Appealed> = HashMap::new();
    if convictions.is_empty() {
        return Ok(appeals);
    }
    let about = AuditQuery { subject: AuditSubject::Provider(provider.clone()), before: None };
    let mut heard_about = HashSet::new();
    for found in conductor.get_appeals(about).await?.found {
        let conviction = &found.entry.conviction;
        let Some(convicted) = convictions.iter().find(|convicted| convicted.action == *conviction) else { continue };
        if !heard_about.insert(conviction.clone()) {
            continue;
        }
        let heard = jury::heard_again(conductor, conviction).await?;
        let Found { action, linked_at, entry: Appeal { conviction }, .. } = found;
        let one = appeals.entry(convicted.entry.accusation.clone());
        let one = one.or_insert_with(|| Appealed { action, conviction, linked_at, heard: Vec::new() });
        one.heard.extend(heard);
    }
    Ok(appeals)
}

/// Whether a second jury has found otherwise: enough jurors that are `trusted` pass what fell to them, and more than fail it. Each has
/// one word, its first.
pub(super) fn is_overturned(heard: &[Heard], trusted: impl Fn(&AgentPubKey) -> bool) -> bool {
    let mut oldest_first: Vec<_> = heard.iter().filter(|found| trusted(&found.author)).collect();
    oldest_first.sort_by_key(|found| found.linked_at);
    let mut jurors = HashSet::new();
    oldest_first.retain(|found| jurors.insert(&found.author));
    let said = |verdict| oldest_first.iter().filter(|found| found.entry.report.verdict == verdict).count();
    let (passed, failed) = (said(Verdict::Pass), said(Verdict::Fail));
    passed >= rules::CONFIRMATIONS_MIN && passed > failed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auditing::jury::tests::audited;

    fn agent(n: u8) -> AgentPubKey {
        AgentPubKey::from_raw_36(vec![n; 36])
    }

    fn jury(verdicts: &[(u8, Verdict)]) -> Vec<Heard> {
        let said = verdicts.iter().enumerate();
        said.map(|(at, (juror, verdict))| Heard { linked_at: at as i64, ..audited(*juror, 1, 0, *verdict, 0) })
            .collect()
    }

    #[test]
    fn a_second_jury_overturns_by_three_who_are_believed_and_are_more() {
        use Verdict::{Fail, Inconclusive, Pass};
        let all = |verdicts: &[(u8, Verdict)]| is_overturned(&jury(verdicts), |_| true);
        assert!(all(&[(1, Pass), (2, Pass), (3, Pass)]));
        assert!(!all(&[(1, Pass), (2, Pass), (3, Inconclusive)]));
        assert!(!all(&[(1, Pass), (2, Pass), (2, Pass)]), "a juror twice is one juror");
        assert!(
            !all(&[(1, Pass), (2, Pass), (3, Pass), (4, Fail), (5, Fail), (6, Fail)]),
            "a draw leaves it as it was"
        );
        assert!(all(&[(1, Pass), (2, Pass), (3, Pass), (4, Fail), (5, Fail)]));
        assert!(!all(&[(1, Fail), (2, Pass), (3, Pass), (1, Pass)]), "the first word counts");
        let passed = jury(&[(1, Pass), (2, Pass), (3, Pass), (4, Fail)]);
        assert!(!is_overturned(&passed, |juror| *juror != agent(1)), "strangers overturn nothing");
        assert!(is_overturned(&passed, |juror| *juror != agent(4)), "and keep nothing up");
        assert!(!is_overturned(&[], |_| true));
    }
}
