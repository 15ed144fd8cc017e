//! Telling the network what this node serves: its model specs, then one capability.

use crate::engines::{Announced, Loaded};
use crate::node::Node;
use ainonymous_conductor::{Conductor, ConductorError};
use ainonymous_engine::Event;
use ainonymous_types::{CapabilityInput, ChatInput, ChatMessage, ChatRole, Role, Sampling, ServedModel};
use std::time::Duration;

/// Tokens of the question that measures a model's speed.
const MEASURE_TOKENS: u32 = 24;
/// First pause after a failed announcement; doubles up to [`RETRY_MAX`].
const RETRY_FIRST: Duration = Duration::from_millis(500);
/// Longest pause after a failed announcement.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Waits for models and conductor, then announces until it has worked.
pub(crate) async fn run(node: Node) {
    node.inner.engines.settled().await;
    let loaded = node.inner.engines.loaded();
    if !loaded.is_empty() {
        let mut speeds = Vec::new();
        for (_, model) in &loaded {
            speeds.push(measure(model).await);
        }
        let Some(conductor) = node.conductor_when_running().await else { return };
        let mut pause = RETRY_FIRST;
        while let Err(e) = announce(&node, &conductor, &loaded, &speeds).await {
            tracing::warn!(error = %e, "the network could not be told what is served here; trying again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
    } else {
        let Some(conductor) = node.conductor_when_running().await else { return };
        withdraw(&conductor).await;
    }
    node.inner.directory.set_announced();
    node.inner.directory.refresh_if_old(&node).await;
}

async fn announce(
    node: &Node,
    conductor: &Conductor,
    loaded: &[(usize, Loaded)],
    speeds: &[u32],
) -> Result<(), ConductorError> {
    if !node.inner.share {
        withdraw(conductor).await;
        return Ok(());
    }
    let mut served = Vec::new();
    for ((_, model), speed) in loaded.iter().zip(speeds) {
        let spec = conductor.create_model_spec(model.model.clone()).await?;
        served.push(ServedModel { spec, tokens_per_s: *speed });
    }
    let info = loaded[0].1.engine.info();
    let capability = conductor
        .put_capability(CapabilityInput {
            roles: vec![Role::Provider],
            transport_key: None,
            addresses: Vec::new(),
            backend: info.backend,
            backend_detail: info.backend_detail.clone(),
            models: served.clone(),
        })
        .await?;
    for ((index, _), served) in loaded.iter().zip(served) {
        let announced = Announced { spec: served.spec, capability: Some(capability.clone()) };
        node.inner.engines.set_announced(*index, announced);
    }
    Ok(())
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
        messages: vec![ChatMessage { role: ChatRole::User, content: "Tell me a story.".into() }],
        sampling: Sampling { temperature_milli: 0, ..Sampling::default() },
        max_tokens: MEASURE_TOKENS,
        stop: Vec::new(),
    };
    let Ok(mut generation) = loaded.engine.generate(input.into()) else { return 0 };
    while let Some(event) = generation.events.recv().await {
        if let Event::Finished(f) = event {
            let tokens = f64::from(f.completion_tokens.saturating_sub(1));
            let speed = if f.decode_us == 0 { 0.0 } else { tokens * 1e6 / f.decode_us as f64 };
            return (speed as u32).min(ainonymous_types::limits::TOKENS_PER_S_MAX);
        }
    }
    0
}
