//! Telling the network what this node offers: its model specs, then one capability, then the links by which it is found.

use crate::engines::{model_id, Announced, Loaded};
use crate::node::Node;
use crate::placing::Placing;
use crate::slot::Slot;
use ainonymous_conductor::{Conductor, ConductorError};
use ainonymous_engine::{Event, Question};
use ainonymous_transport::Address;
use ainonymous_types::{
    limits, Backend, CapabilityInput, ChatInput, ChatMessage, ChatRole, ModelSpec, Role, RouterOffer, Sampling,
    ServedModel, Topic,
};
use std::collections::hash_map::Entry;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Tokens of the question that measures a model's speed.
const MEASURE_TOKENS: u32 = 24;
/// How often it is looked whether this machine still has the address that peers were told.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// First pause after a failed announcement; doubles up to [`RETRY_MAX`].
const RETRY_FIRST: Duration = Duration::from_millis(500);
/// Longest pause after a failed announcement.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// What the network is told.
#[derive(Clone, Debug, PartialEq)]
struct Offer {
    models: Vec<String>,
    addresses: Vec<Address>,
    router: Option<RouterOffer>,
}

/// Waits for models and conductor, then announces until it has worked, and again whenever what is offered has changed. Links are
/// looked after at their own pace.
pub(crate) async fn run(node: Node) {
    let mut changes = node.inner.engines.changes();
    let mut routers = node.inner.places.changes();
    let mut told = None;
    let mut placing = Placing::new(node.inner.habits.link_age);
    let mut topics: Vec<Topic> = Vec::new();
    let mut speeds: HashMap<String, u32> = HashMap::new();
    loop {
        node.inner.engines.settled().await;
        changes.borrow_and_update();
        routers.borrow_and_update();
        let offered = node.inner.engines.shared();
        let ids: Vec<String> = offered.iter().map(|(_, model)| model_id(model)).collect();
        let addresses = match &node.inner.plane {
            Some(plane) => plane.addresses().await,
            None => vec![],
        };
        let router = match &node.inner.router {
            Some(router) => router.offer().await,
            None => None,
        };
        let offer = Offer { models: ids, addresses, router };
        if told.as_ref() != Some(&offer) {
            for loaded in node.inner.engines.loaded() {
                if let Entry::Vacant(unknown) = speeds.entry(model_id(&loaded.model)) {
                    unknown.insert(measure(&loaded).await);
                }
            }
            let Some(conductor) = node.conductor_when_running().await else { return };
            let mut pause = RETRY_FIRST;
            let announced = loop {
                let announced = async {
                    let topics = announce(&node, &conductor, &offered, &speeds, &offer).await?;
                    placing.place(&conductor, &topics, true).await?;
                    Ok::<_, ConductorError>(topics)
                };
                match announced.await {
                    Ok(topics) => break topics,
                    Err(e) => {
                        tracing::warn!(error = %e, "the network could not be told what is served here; trying again")
                    }
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(RETRY_MAX);
            };
            topics = announced;
            told = Some(offer);
            node.inner.directory.set_announced();
            node.inner.directory.refresh_listing(&node).await;
        } else if let Some(conductor) = node.conductor() {
            if let Err(e) = placing.place(&conductor, &topics, false).await {
                tracing::debug!(error = %e, "links could not be looked after; later again");
            }
        }
        // This machine may have moved to another network, or lost a router.
        let wait = LOOK_EVERY.min(placing.every());
        let changed = async {
            tokio::select! { changed = changes.changed() => changed, changed = routers.changed() => changed }
        };
        if let Ok(Err(_)) = tokio::time::timeout(wait, changed).await {
            return;
        }
    }
}

async fn announce(
    node: &Node,
    conductor: &Conductor,
    offered: &[(Arc<Slot>, ModelSpec)],
    speeds: &HashMap<String, u32>,
    offer: &Offer,
) -> Result<Vec<Topic>, ConductorError> {
    let Offer { models: _, addresses, router } = offer;
    let loaded = node.inner.engines.loaded();
    let first = loaded.first().map(|loaded| loaded.engine.info().clone());
    let info = first.clone().filter(|_| node.inner.habits.share);
    // Whoever audits names what computes: verdicts depend on it.
    let audits = first.filter(|_| node.inner.auditing.has_role());
    let mut roles = Vec::new();
    roles.extend(info.as_ref().map(|_| Role::Provider));
    roles.extend(router.as_ref().map(|_| Role::Router));
    roles.extend(audits.as_ref().map(|_| Role::Auditor));
    if roles.is_empty() {
        withdraw(conductor).await;
        return Ok(vec![]);
    }
    let (backend, backend_detail) = info
        .as_ref()
        .or(audits.as_ref())
        .map_or((Backend::Cpu, String::new()), |info| (info.backend, info.backend_detail.clone()));
    let mut served = Vec::new();
    for (slot, model) in offered.iter().take(limits::CAPABILITY_MODELS_MAX).filter(|_| info.is_some()) {
        let spec = conductor.create_model_spec(model.clone()).await?;
        let tokens_per_s = speeds.get(&model_id(model)).copied().unwrap_or(0);
        served.push((slot, ServedModel { spec, tokens_per_s }));
    }
    let capability = conductor
        .put_capability(CapabilityInput {
            roles,
            transport_key: node.inner.plane.as_ref().filter(|_| !addresses.is_empty()).map(|plane| plane.key()),
            addresses: addresses.iter().take(limits::CAPABILITY_ADDRESSES_MAX).map(ToString::to_string).collect(),
            must_be_known: node.must_know(),
            backend,
            backend_detail,
            models: served.iter().map(|(_, served)| served.clone()).collect(),
            router: router.clone(),
            region: node.inner.habits.region.as_ref().map(ToString::to_string),
        })
        .await?;
    let mut topics: Vec<Topic> = served.iter().map(|(_, served)| Topic::Providers(served.spec.entry.clone())).collect();
    topics.extend(router.iter().flat_map(|router| [Topic::Routers, Topic::Router(router.key)]));
    for (slot, served) in served {
        let ServedModel { spec, tokens_per_s } = served;
        let announced = Announced { spec, capability: Some(capability.clone()), tokens_per_s };
        node.inner.engines.set_announced(slot, Some(announced));
    }
    Ok(topics)
}

/// Takes back what an earlier start of this node announced: peers need not ask in vain.
async fn withdraw(conductor: &Conductor) {
    if let Err(e) = conductor.delete_my_capability().await {
        tracing::debug!(error = %e, "an earlier announcement could not be taken back");
    }
}

/// Decode speed of one stream in tokens a second; 0 if the model says too little to tell. Warms the engine as well.
async fn measure(loaded: &Loaded) -> u32 {
    let input = ChatInput {
        messages: vec![ChatMessage::new(ChatRole::User, "Tell me a story.")],
        sampling: Sampling { temperature_milli: 0, ..Sampling::default() },
        max_tokens: MEASURE_TOKENS,
        stop: Vec::new(),
        more: None,
    };
    let Ok(question) = Question::try_from(input) else { return 0 };
    let Ok(mut generation) = loaded.engine.generate(question) else { return 0 };
    while let Some(event) = generation.events.recv().await {
        if let Event::Finished(f) = event {
            let tokens = f64::from(f.completion_tokens.saturating_sub(1));
            let speed = if f.decode_us == 0 { 0.0 } else { tokens * 1e6 / f.decode_us as f64 };
            return (speed as u32).min(ainonymous_types::limits::TOKENS_PER_S_MAX);
        }
    }
    0
}
