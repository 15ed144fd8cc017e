//! Routers that others run, as found on the DHT, and the ways through them for whoever hides. Which of them may be used is decided
//! by `protocol::routers`.

use crate::buckets;
use crate::directory::Candidate;
use crate::node::{lock, Node};
use crate::{AskError, Hiding};
use ainonymous_protocol::buckets::Census;
use ainonymous_protocol::routers::{first_routers, may_be_only, SeenRouter, Trust};
use ainonymous_transport::{Address, Hide, RouterEntry};
use ainonymous_types::{AgentPubKey, Bytes32, Capability, Place, ProviderRecord, Role, Topic};
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What was seen of routers is read again after this.
const FRESH_FOR: Duration = Duration::from_secs(60);
/// The same where what was seen does not suffice.
const NOT_ENOUGH_FRESH_FOR: Duration = Duration::from_secs(3);
/// Routers looked up by their keys that are remembered.
const BY_KEY_MAX: usize = 1_024;
/// Most that claim one key which are looked at: whoever has the key proves it when it is used.
const CLAIMS_MAX: usize = 4;
/// Providers for whom a question that hides looks up ways.
const PROVIDERS_MAX: usize = 8;
/// Most routers of one provider that are looked up.
const ROUTERS_MAX: usize = 4;

/// What was seen of routers.
#[derive(Debug, Default)]
pub(crate) struct Routers {
    census: Mutex<Census>,
    by_key: Mutex<HashMap<Bytes32, (Instant, Vec<SeenRouter>)>>,
}

/// Some routers of the network, drawn at random.
pub(crate) async fn discover(node: &Node) -> Vec<SeenRouter> {
    let routers = &node.inner.routers;
    let Some(conductor) = node.conductor() else { return vec![] };
    let mut census = *lock(&routers.census);
    let records = async {
        let members = buckets::search(&conductor, &Topic::Routers, node.inner.habits.link_age, &mut census).await?;
        buckets::capabilities(&conductor, &members).await
    }
    .await;
    let records = records.unwrap_or_else(|e| {
        tracing::debug!(error = %e, "routers could not be read");
        vec![]
    });
    *lock(&routers.census) = census;
    records.iter().filter_map(seen).collect()
}

/// Whoever says that he runs the router of this key.
async fn by_key(node: &Node, key: &Bytes32, fresh_for: Duration) -> Vec<SeenRouter> {
    let routers = &node.inner.routers;
    let known = lock(&routers.by_key).get(key).cloned();
    if let Some((_, found)) = known.filter(|(at, _)| at.elapsed() < fresh_for) {
        return found;
    }
    let Some(conductor) = node.conductor() else { return vec![] };
    let records = async {
        let topic = Topic::Router(*key);
        let mut members = buckets::read(&conductor, &topic, Place::ROOT, node.inner.habits.link_age).await?;
        members.truncate(CLAIMS_MAX);
        buckets::capabilities(&conductor, &members).await
    }
    .await
    .unwrap_or_default();
    let found: Vec<SeenRouter> = records.iter().filter_map(seen).filter(|router| router.key == *key).collect();
    let mut by_key = lock(&routers.by_key);
    if by_key.len() >= BY_KEY_MAX {
        by_key.clear();
    }
    by_key.insert(*key, (Instant::now(), found.clone()));
    found
}

/// Gives the candidates the ways that the question allows, and drops those that have none.
pub(crate) async fn hide(node: &Node, found: Vec<Candidate>, hiding: Hiding) -> Result<Vec<Candidate>, AskError> {
    let demand = match hiding {
        Hiding::No => return Ok(found),
        Hiding::OneRouter => Hide::OneRouter,
        Hiding::TwoRouters => Hide::TwoRouters,
    };
    let peers = &node.inner.habits.peers;
    let named_any = !node.inner.habits.trusted_routers.is_empty();
    let kin: Vec<AgentPubKey> = peers.own.iter().chain(&peers.friends).cloned().collect();
    let trust = Trust { named: &node.inner.habits.trusted_routers, kin: &kin };
    let mut hidden = ways(node, found.clone(), hiding, demand, trust, FRESH_FOR).await;
    if hidden.is_empty() {
        hidden = ways(node, found, hiding, demand, trust, NOT_ENOUGH_FRESH_FOR).await;
    }
    if hidden.is_empty() {
        let problem = match (hiding, named_any) {
            (Hiding::TwoRouters, false) => {
                "no provider of the model can be reached through two routers in a row of which the first is a friend's, or \
                 stands in another network than the second"
            }
            (Hiding::TwoRouters, true) => {
                "no provider of the model can be reached through two routers in a row of which the first is one that you trust"
            }
            (_, false) => "no provider of the model can be reached through a router that is not its own",
            (_, true) => "no provider of the model can be reached through a router that you trust",
        };
        return Err(AskError::RoutersUnmet { problem: problem.into() });
    }
    Ok(hidden)
}

/// The candidates that can be reached as demanded, each with its ways and no others.
async fn ways(
    node: &Node,
    found: Vec<Candidate>,
    hiding: Hiding,
    demand: Hide,
    trust: Trust<'_>,
    fresh_for: Duration,
) -> Vec<Candidate> {
    let mut hidden = Vec::new();
    for mut candidate in found {
        if hidden.len() >= PROVIDERS_MAX {
            break;
        }
        let Some(link) = &mut candidate.link else { continue };
        let mut routers = Vec::new();
        let mut allowed = Vec::new();
        let routed: Vec<Address> =
            link.addresses.iter().filter(|a| matches!(a, Address::Routed { .. })).copied().collect();
        for address in routed.into_iter().take(ROUTERS_MAX) {
            let Address::Routed { router, .. } = address else { continue };
            let owners = by_key(node, &router, fresh_for).await;
            match hiding {
                Hiding::No => {}
                Hiding::OneRouter => {
                    let of_provider = owners.iter().find(|owner| owner.agent == candidate.agent);
                    let owner = of_provider.or(owners.first()).map(|owner| &owner.agent);
                    if may_be_only(&router, owner, &candidate.agent, trust) {
                        allowed.push(address);
                    }
                }
                Hiding::TwoRouters => {
                    for second in &owners {
                        let entry = first_of(node, second, &candidate.agent, trust, fresh_for).await;
                        if !entry.addresses.is_empty() {
                            allowed.push(address);
                            routers.push(entry);
                        }
                    }
                }
            }
        }
        if !allowed.is_empty() {
            link.addresses = allowed;
            link.routers = routers;
            link.hide = demand;
            hidden.push(candidate);
        }
    }
    hidden
}

/// The first routers through which a second one may be reached.
async fn first_of(
    node: &Node,
    second: &SeenRouter,
    provider: &AgentPubKey,
    trust: Trust<'_>,
    fresh_for: Duration,
) -> RouterEntry {
    let mut known = Vec::new();
    for (_, key) in second.behind.iter().take(ROUTERS_MAX) {
        known.extend(by_key(node, key, fresh_for).await);
    }
    let hops = first_routers(second, &known, provider, trust, &rand::random());
    let addresses = hops.into_iter().map(|(at, router)| Address::Routed { at, router }).collect();
    RouterEntry { router: second.key, addresses }
}

/// A router out of its owner's capability; addresses that cannot be read are passed over.
fn seen(record: &ProviderRecord) -> Option<SeenRouter> {
    let Capability { roles, router, .. } = &record.capability;
    let router = router.as_ref().filter(|_| roles.contains(&Role::Router))?;
    let (mut at, mut behind) = (Vec::new(), Vec::new());
    for address in router.addresses.iter().filter_map(|text| text.parse::<Address>().ok()) {
        match address {
            Address::Direct(direct) => at.push(direct),
            Address::Routed { at, router } => behind.push((at, router)),
        }
    }
    Some(SeenRouter { agent: record.agent.clone(), key: router.key, at, behind })
}
