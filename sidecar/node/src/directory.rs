//! Who serves what, as last seen on the DHT. Reads cost a network round trip, so what was seen is kept and renewed in
//! the background; a question never waits for a renewal unless nothing fitting is known.

use crate::direct::LinkAddress;
use crate::engines::{is_named, model_id};
use crate::members::Verdict;
use crate::node::{lock, Node};
use crate::{AskError, ModelEntry, ModelState};
use ainonymous_types::{
    AgentPubKey, EntryHash, ModelSpec, ModelSpecRecord, ProviderRecord, Role, ServedModel, SpecRef,
};
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// What was seen is renewed after this.
const FRESH_FOR: Duration = Duration::from_secs(10);
/// A fruitless search is not repeated sooner.
const SEARCH_EVERY: Duration = Duration::from_millis(500);
/// A question waits this long for a first provider to be found.
const SEARCH_MAX: Duration = Duration::from_secs(4);

/// Somebody who can answer a question.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) agent: AgentPubKey,
    pub(crate) capability: ainonymous_types::ActionHash,
    pub(crate) spec: SpecRef,
    pub(crate) model_id: String,
    /// Decode speed of one stream, by its own word.
    pub(crate) claimed_tokens_per_s: u32,
    /// How its data plane is reached, if it has one.
    pub(crate) link: Option<LinkAddress>,
}

#[derive(Debug, Default)]
struct Seen {
    models: HashMap<EntryHash, ModelSpec>,
    providers: Vec<ProviderRecord>,
    at: Option<Instant>,
}

/// What is known of the network.
#[derive(Debug)]
pub(crate) struct Directory {
    seen: Mutex<Seen>,
    refreshing: tokio::sync::Mutex<()>,
    announced: watch::Sender<bool>,
}

impl Default for Directory {
    fn default() -> Self {
        Self { seen: Mutex::default(), refreshing: tokio::sync::Mutex::default(), announced: watch::Sender::new(false) }
    }
}

impl Directory {
    /// Turns true when this node has told the network what it serves (or has nothing to tell).
    pub(crate) fn announced(&self) -> watch::Receiver<bool> {
        self.announced.subscribe()
    }

    pub(crate) fn set_announced(&self) {
        self.announced.send_replace(true);
    }

    /// Reads the DHT if what is known is old.
    pub(crate) async fn refresh_if_old(&self, node: &Node) {
        self.refresh(node, FRESH_FOR).await;
    }

    /// Providers that can answer, in no order. Waits a bounded time for the first.
    pub(crate) async fn candidates(
        &self,
        node: &Node,
        wanted: Option<&str>,
        provider: Option<&AgentPubKey>,
    ) -> Result<Vec<Candidate>, AskError> {
        let own = node.conductor().ok_or_else(|| node.not_ready())?.agent();
        let asked_at = Instant::now();
        loop {
            let mut found = self.matching(wanted, provider, &own);
            found.retain(|candidate| node.inner.members.verdict(&candidate.agent) != Verdict::Refused);
            if !found.is_empty() {
                self.refresh_later(node);
                return Ok(found);
            }
            // Whoever sees other providers sees the network: what is not there now will not be there in a moment.
            let looked = lock(&self.seen).at.is_some_and(|at| at >= asked_at);
            let others = looked && lock(&self.seen).providers.iter().any(|p| p.agent != own);
            if others || Instant::now() >= asked_at + SEARCH_MAX {
                return Err(self.nothing_found(node, wanted));
            }
            if looked {
                tokio::time::sleep(SEARCH_EVERY).await;
            }
            self.refresh(node, asked_at.elapsed().min(SEARCH_EVERY)).await;
        }
    }

    /// Own models first, then those of peers.
    pub(crate) fn merge(&self, mut entries: Vec<ModelEntry>, own: Option<&AgentPubKey>) -> Vec<ModelEntry> {
        let seen = lock(&self.seen);
        for record in seen.providers.iter().filter(|p| own != Some(&p.agent)) {
            for served in &record.capability.models {
                let Some(model) = seen.models.get(&served.spec.entry) else { continue };
                let (hash, agent) = (model.gguf_hash.to_hex(), record.agent.to_string());
                let same = |e: &&mut ModelEntry| {
                    e.id == model_id(model) && e.gguf_hash.as_ref().is_none_or(|own| *own == hash)
                };
                match entries.iter_mut().find(same) {
                    Some(entry) => entry.providers.push(agent),
                    None => entries.push(ModelEntry {
                        id: model_id(model),
                        local: false,
                        state: ModelState::Loaded,
                        problem: None,
                        providers: vec![agent],
                        context_tokens: model.context_tokens,
                        file_bytes: model.gguf_bytes,
                        gguf_hash: Some(hash),
                        details: None,
                        unloads_in_s: None,
                    }),
                }
            }
        }
        entries
    }

    /// What each peer serves, with the device that it names; and how long ago the DHT was read.
    pub(crate) fn served_by_peers(&self, own: &AgentPubKey) -> (Vec<(String, Vec<Candidate>)>, Option<Duration>) {
        let seen = lock(&self.seen);
        let of = |record: &ProviderRecord| {
            let candidates = record.capability.models.iter().filter_map(|served| {
                let model = seen.models.get(&served.spec.entry)?;
                Some(candidate(record, served, model))
            });
            let device = match record.capability.backend_detail.as_str() {
                "" => format!("{:?}", record.capability.backend).to_lowercase(),
                detail => detail.to_owned(),
            };
            (device, candidates.collect::<Vec<_>>())
        };
        let peers = seen.providers.iter().filter(|record| record.agent != *own).map(of);
        let serving = peers.filter(|(_, candidates)| !candidates.is_empty()).collect();
        (serving, seen.at.map(|at| at.elapsed()))
    }

    fn matching(&self, wanted: Option<&str>, provider: Option<&AgentPubKey>, own: &AgentPubKey) -> Vec<Candidate> {
        let seen = lock(&self.seen);
        let mut found = Vec::new();
        for record in &seen.providers {
            let usable = record.capability.roles.contains(&Role::Provider)
                && record.agent != *own
                && provider.is_none_or(|p| *p == record.agent);
            if !usable {
                continue;
            }
            for served in &record.capability.models {
                let Some(model) = seen.models.get(&served.spec.entry) else { continue };
                if wanted.is_none_or(|w| is_named(model, w)) {
                    found.push(candidate(record, served, model));
                }
            }
        }
        found
    }

    fn nothing_found(&self, node: &Node, wanted: Option<&str>) -> AskError {
        let seen = lock(&self.seen);
        let Some(wanted) = wanted else {
            return AskError::NoProvider { model: "any model".into() };
        };
        if seen.models.values().any(|m| is_named(m, wanted)) {
            return AskError::NoProvider { model: wanted.into() };
        }
        let mut known: Vec<String> = node.inner.engines.offered().iter().map(|(_, model)| model_id(model)).collect();
        known.extend(seen.models.values().map(model_id));
        known.sort();
        known.dedup();
        AskError::UnknownModel { model: wanted.into(), known }
    }

    fn refresh_later(&self, node: &Node) {
        let old = lock(&self.seen).at.is_none_or(|at| at.elapsed() > FRESH_FOR);
        if old {
            let node2 = node.clone();
            node.spawn(async move { node2.inner.directory.refresh(&node2, FRESH_FOR).await });
        }
    }

    async fn refresh(&self, node: &Node, older_than: Duration) {
        let _one_at_a_time = self.refreshing.lock().await;
        if lock(&self.seen).at.is_some_and(|at| at.elapsed() < older_than) {
            return;
        }
        let Some(conductor) = node.conductor() else { return };
        let (models, providers) = tokio::join!(conductor.get_all_model_specs(), conductor.get_all_providers());
        let mut seen = lock(&self.seen);
        seen.at = Some(Instant::now());
        match models {
            Ok(models) => {
                let by_entry = |r: ModelSpecRecord| (r.spec.entry, r.model);
                seen.models = models.into_iter().map(by_entry).collect();
            }
            Err(e) => tracing::debug!(error = %e, "model specs could not be read"),
        }
        match providers {
            Ok(providers) => seen.providers = providers,
            Err(e) => tracing::debug!(error = %e, "providers could not be read"),
        }
    }
}

fn candidate(record: &ProviderRecord, served: &ServedModel, model: &ModelSpec) -> Candidate {
    Candidate {
        agent: record.agent.clone(),
        capability: record.action.clone(),
        spec: served.spec.clone(),
        model_id: model_id(model),
        claimed_tokens_per_s: served.tokens_per_s,
        link: LinkAddress::of(&record.capability),
    }
}
