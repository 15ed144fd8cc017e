//! Who serves what, as last seen on the DHT: a few providers of each model that was asked for, never all of them. Reads cost
//! a network round trip, so what was seen is kept and renewed in the background; a question never waits for a renewal
//! unless nothing fitting is known.

use crate::buckets::{self, not_before};
use crate::direct::LinkAddress;
use crate::engines::{is_named, model_id};
use crate::members::Verdict;
use crate::node::{lock, Node};
use crate::serving::now_us;
use crate::{AskError, ModelEntry, ModelState};
use ainonymous_conductor::Conductor;
use ainonymous_protocol::buckets::Census;
use ainonymous_protocol::choosing::{Region, CANDIDATES_MAX};
use ainonymous_types::{
    AgentPubKey, EntryHash, ModelSpec, ModelSpecRecord, ProviderRecord, Role, ServedModel, SpecRef, TimestampUs, Topic,
};
use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// What was seen is renewed after this.
const FRESH_FOR: Duration = Duration::from_secs(10);
/// Names of models are read again after this, if those that are known suffice.
const MODELS_FRESH_FOR: Duration = Duration::from_secs(60);
/// Who was found stays known for so long, though a later search of a large network finds others.
const KEPT_FOR: Duration = Duration::from_secs(600);
/// What a node's own people offer is looked up again after this.
const KIN_FRESH_FOR: Duration = Duration::from_secs(60);
/// Most agents of a node's own people that are looked up by their keys.
const KIN_MAX: usize = 16;
/// A fruitless search is not repeated sooner.
const SEARCH_EVERY: Duration = Duration::from_millis(500);
/// A question waits this long for a first provider to be found.
const SEARCH_MAX: Duration = Duration::from_secs(4);
/// Most model specs whose providers are looked for because of one question: those of the wanted name, or any.
const SPECS_MAX: usize = 4;
/// Most model specs whose providers are shown to people.
const LISTED_SPECS_MAX: usize = 64;
/// Most model specs of which providers are remembered; who was not asked for longest is forgotten.
const SHELVES_MAX: usize = 128;

/// Somebody who can answer a question.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) agent: AgentPubKey,
    pub(crate) capability: ainonymous_types::ActionHash,
    pub(crate) spec: SpecRef,
    pub(crate) model_id: String,
    /// Decode speed of one stream, by its own word.
    pub(crate) claimed_tokens_per_s: u32,
    /// Where it stands, by its own word.
    pub(crate) region: Option<Region>,
    /// How its data plane is reached, if it has one.
    pub(crate) link: Option<LinkAddress>,
}

#[derive(Debug, Default)]
struct Seen {
    models: HashMap<EntryHash, ModelSpec>,
    models_at: Option<Instant>,
    shelves: HashMap<EntryHash, Shelf>,
    kin: HashMap<AgentPubKey, (Option<ProviderRecord>, Instant)>,
}

/// What is known of the providers of one model spec.
#[derive(Debug, Default)]
struct Shelf {
    census: Census,
    providers: HashMap<AgentPubKey, Known>,
    at: Option<Instant>,
}

#[derive(Debug)]
struct Known {
    record: ProviderRecord,
    linked_at: TimestampUs,
    read_at: Instant,
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

    /// Reads what is shown to people, if what is known is old: model specs, and some providers of each. Bounded, and paid by
    /// whoever looks; questions do without.
    pub(crate) async fn refresh_listing(&self, node: &Node) {
        self.refresh_models(node, FRESH_FOR).await;
        let mut specs: Vec<EntryHash> = lock(&self.seen).models.keys().cloned().collect();
        specs.sort();
        specs.truncate(LISTED_SPECS_MAX);
        for spec in specs {
            self.refresh_spec(node, &spec, FRESH_FOR).await;
        }
    }

    /// Providers that can answer, in no order. Waits a bounded time for the first.
    pub(crate) async fn candidates(
        &self,
        node: &Node,
        wanted: Option<&str>,
        provider: Option<&AgentPubKey>,
    ) -> Result<Vec<Candidate>, AskError> {
        let conductor = node.conductor().ok_or_else(|| node.not_ready())?;
        let (own, asked_at) = (conductor.agent(), Instant::now());
        loop {
            let mut found = self.matching(node, wanted, provider, &own);
            found.retain(|candidate| node.inner.members.verdict(&candidate.agent) != Verdict::Refused);
            if !found.is_empty() {
                self.refresh_later(node, wanted);
                return Ok(found);
            }
            let looked = lock(&self.seen).models_at.is_some_and(|at| at >= asked_at);
            // Whoever sees models of others sees the network: what is not there now will not be there in a moment.
            if (looked && self.knows_only_others(node, wanted)) || asked_at.elapsed() >= SEARCH_MAX {
                return Err(self.nothing_found(node, wanted));
            }
            if looked {
                tokio::time::sleep(SEARCH_EVERY).await;
            }
            let older_than = asked_at.elapsed().min(SEARCH_EVERY);
            self.refresh_models(node, older_than).await;
            for spec in self.specs(wanted) {
                self.refresh_spec(node, &spec, older_than).await;
            }
            if let Some(provider) = provider {
                self.look_up(&conductor, provider).await;
            }
        }
    }

    /// What is known of a model spec.
    pub(crate) fn model(&self, spec: &EntryHash) -> Option<ModelSpec> {
        lock(&self.seen).models.get(spec).cloned()
    }

    /// The same; if it is not known, names of models are read, unless they were a moment ago: whoever asks for a spec that nobody has
    /// written costs no more than one read in a while.
    pub(crate) async fn find_model(&self, node: &Node, spec: &EntryHash) -> Option<ModelSpec> {
        if self.model(spec).is_none() {
            self.refresh_models(node, FRESH_FOR).await;
        }
        self.model(spec)
    }

    /// Auditors, as far as they were read: those who serve this model spec themselves, and this node's own people.
    pub(crate) async fn auditors(&self, node: &Node, conductor: &Conductor, spec: &EntryHash) -> Vec<ProviderRecord> {
        let mut found = self.kin(node, conductor).await;
        let oldest = not_before(node.inner.habits.link_age);
        if let Some(shelf) = lock(&self.seen).shelves.get(spec) {
            let linked = shelf.providers.values().filter(|known| known.linked_at >= oldest);
            found.extend(linked.map(|known| known.record.clone()));
        }
        found.retain(|record| record.capability.roles.contains(&Role::Auditor));
        found
    }

    /// Own models first, then those of peers.
    pub(crate) fn merge(&self, node: &Node, mut entries: Vec<ModelEntry>) -> Vec<ModelEntry> {
        let own = node.conductor().map(|c| c.agent());
        let oldest = not_before(node.inner.habits.link_age);
        let seen = lock(&self.seen);
        let mut shelves: Vec<(&ModelSpec, &Shelf)> =
            seen.shelves.iter().filter_map(|(spec, shelf)| Some((seen.models.get(spec)?, shelf))).collect();
        shelves.sort_by_key(|(model, _)| (model_id(model), model.gguf_hash.0));
        for (model, shelf) in shelves {
            let linked = shelf.providers.iter().filter(|(_, known)| known.linked_at >= oldest);
            let mut agents: Vec<&AgentPubKey> =
                linked.map(|(agent, _)| agent).filter(|agent| own.as_ref() != Some(agent)).collect();
            agents.sort();
            for agent in agents {
                let (hash, agent) = (model.gguf_hash.to_hex(), agent.to_string());
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

    /// What each peer serves, of what was read of the DHT, with the device that it names; and how long ago models were read.
    pub(crate) fn served_by_peers(
        &self,
        node: &Node,
        own: &AgentPubKey,
    ) -> (Vec<(String, Vec<Candidate>)>, Option<Duration>) {
        let oldest = not_before(node.inner.habits.link_age);
        let seen = lock(&self.seen);
        let mut serving: BTreeMap<AgentPubKey, (String, Vec<Candidate>)> = BTreeMap::new();
        for (spec, shelf) in &seen.shelves {
            let Some(model) = seen.models.get(spec) else { continue };
            for Known { record, linked_at, read_at: _ } in shelf.providers.values() {
                let Some(served) = record.capability.models.iter().find(|m| m.spec.entry == *spec) else { continue };
                if *linked_at < oldest || record.agent == *own {
                    continue;
                }
                let (_, candidates) =
                    serving.entry(record.agent.clone()).or_insert_with(|| (device(record), Vec::new()));
                candidates.push(candidate(record, served, model));
            }
        }
        (serving.into_values().collect(), seen.models_at.map(|at| at.elapsed()))
    }

    fn matching(
        &self,
        node: &Node,
        wanted: Option<&str>,
        provider: Option<&AgentPubKey>,
        own: &AgentPubKey,
    ) -> Vec<Candidate> {
        let oldest = not_before(node.inner.habits.link_age);
        let seen = lock(&self.seen);
        let mut found = Vec::new();
        for (spec, shelf) in &seen.shelves {
            let Some(model) = seen.models.get(spec).filter(|m| wanted.is_none_or(|w| is_named(m, w))) else { continue };
            for Known { record, linked_at, read_at: _ } in shelf.providers.values() {
                let usable =
                    *linked_at >= oldest && record.agent != *own && provider.is_none_or(|p| *p == record.agent);
                let Some(served) = record.capability.models.iter().find(|m| usable && m.spec.entry == *spec) else {
                    continue;
                };
                found.push(candidate(record, served, model));
            }
        }
        found
    }

    /// Model specs of that name, or some if any will do.
    fn specs(&self, wanted: Option<&str>) -> Vec<EntryHash> {
        let seen = lock(&self.seen);
        let named = seen.models.iter().filter(|(_, model)| wanted.is_none_or(|w| is_named(model, w)));
        named.map(|(spec, _)| spec.clone()).take(SPECS_MAX).collect()
    }

    fn knows_only_others(&self, node: &Node, wanted: Option<&str>) -> bool {
        let Some(wanted) = wanted else { return false };
        let own: Vec<ModelSpec> = node.inner.engines.offered().into_iter().map(|(_, model)| model).collect();
        let seen = lock(&self.seen);
        seen.models.values().any(|m| !own.contains(m)) && !seen.models.values().any(|m| is_named(m, wanted))
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

    fn refresh_later(&self, node: &Node, wanted: Option<&str>) {
        let mut old = self.specs(wanted);
        let models_are_old = {
            let seen = lock(&self.seen);
            let read_at = |spec: &EntryHash| seen.shelves.get(spec).and_then(|shelf| shelf.at);
            old.retain(|spec| read_at(spec).is_none_or(|at| at.elapsed() > FRESH_FOR));
            seen.models_at.is_none_or(|at| at.elapsed() > MODELS_FRESH_FOR)
        };
        if models_are_old || !old.is_empty() {
            let node2 = node.clone();
            node.spawn(async move {
                node2.inner.directory.refresh_models(&node2, MODELS_FRESH_FOR).await;
                for spec in old {
                    node2.inner.directory.refresh_spec(&node2, &spec, FRESH_FOR).await;
                }
            });
        }
    }

    async fn refresh_models(&self, node: &Node, older_than: Duration) {
        let _one_at_a_time = self.refreshing.lock().await;
        if lock(&self.seen).models_at.is_some_and(|at| at.elapsed() < older_than) {
            return;
        }
        let Some(conductor) = node.conductor() else { return };
        let models = conductor.get_all_model_specs().await;
        let mut seen = lock(&self.seen);
        seen.models_at = Some(Instant::now());
        match models {
            Ok(models) => {
                let by_entry = |r: ModelSpecRecord| (r.spec.entry, r.model);
                seen.models = models.into_iter().map(by_entry).collect();
            }
            Err(e) => tracing::debug!(error = %e, "model specs could not be read"),
        }
    }

    /// Reads some buckets of a model spec.
    async fn refresh_spec(&self, node: &Node, spec: &EntryHash, older_than: Duration) {
        let _one_at_a_time = self.refreshing.lock().await;
        let mut census = {
            let seen = lock(&self.seen);
            let shelf = seen.shelves.get(spec);
            if shelf.and_then(|shelf| shelf.at).is_some_and(|at| at.elapsed() < older_than) {
                return;
            }
            shelf.map(|shelf| shelf.census).unwrap_or_default()
        };
        let Some(conductor) = node.conductor() else { return };
        let topic = Topic::Providers(spec.clone());
        let found = async {
            let members = buckets::search(&conductor, &topic, node.inner.habits.link_age, &mut census).await?;
            let records = buckets::capabilities(&conductor, &members).await?;
            let linked_at: HashMap<_, _> = members.into_iter().map(|m| (m.agent, m.linked_at)).collect();
            let known = |record: ProviderRecord| Some((*linked_at.get(&record.agent)?, record));
            Ok::<_, ainonymous_conductor::ConductorError>(records.into_iter().filter_map(known).collect::<Vec<_>>())
        }
        .await;
        let kin = self.kin(node, &conductor).await;
        match found {
            Ok(mut found) => {
                found.extend(kin.into_iter().map(|record| (now_us(), record)));
                self.put(spec, census, found);
            }
            Err(e) => {
                tracing::debug!(error = %e, "providers could not be read");
                lock(&self.seen).shelves.entry(spec.clone()).or_default().at = Some(Instant::now());
            }
        }
    }

    /// Takes over what was found; in a network that was read whole, nothing else.
    fn put(&self, spec: &EntryHash, census: Census, found: Vec<(TimestampUs, ProviderRecord)>) {
        let mut seen = lock(&self.seen);
        if seen.shelves.len() >= SHELVES_MAX && !seen.shelves.contains_key(spec) {
            let oldest = seen.shelves.iter().min_by_key(|(_, shelf)| shelf.at).map(|(spec, _)| spec.clone());
            oldest.and_then(|oldest| seen.shelves.remove(&oldest));
        }
        let shelf = seen.shelves.entry(spec.clone()).or_default();
        shelf.census = census;
        shelf.at = Some(Instant::now());
        let all = census.depth() == Some(0);
        shelf.providers.retain(|_, known| !all && known.read_at.elapsed() < KEPT_FOR);
        for (linked_at, record) in found {
            let serves = record.capability.models.iter().any(|m| m.spec.entry == *spec);
            if serves && record.capability.roles.contains(&Role::Provider) {
                let known = Known { linked_at, read_at: Instant::now(), record };
                shelf.providers.insert(known.record.agent.clone(), known);
            }
        }
        while shelf.providers.len() > CANDIDATES_MAX {
            let oldest = shelf.providers.iter().min_by_key(|(_, known)| known.read_at).map(|(agent, _)| agent.clone());
            oldest.and_then(|oldest| shelf.providers.remove(&oldest));
        }
    }

    /// What this node's own people offer: they are candidates wherever their links are.
    async fn kin(&self, node: &Node, conductor: &Conductor) -> Vec<ProviderRecord> {
        let peers = &node.inner.habits.peers;
        let mut found = Vec::new();
        for agent in peers.own.iter().chain(&peers.friends).take(KIN_MAX) {
            let known = lock(&self.seen).kin.get(agent).filter(|(_, at)| at.elapsed() < KIN_FRESH_FOR).cloned();
            let record = match known {
                Some((record, _)) => record,
                None => {
                    let record = conductor.get_provider(agent.clone()).await.ok().flatten();
                    lock(&self.seen).kin.insert(agent.clone(), (record.clone(), Instant::now()));
                    record
                }
            };
            found.extend(record);
        }
        found
    }

    /// Looks one agent up by its key, for whoever asks for it.
    async fn look_up(&self, conductor: &Conductor, agent: &AgentPubKey) {
        let Ok(Some(record)) = conductor.get_provider(agent.clone()).await else { return };
        let mut seen = lock(&self.seen);
        for served in &record.capability.models {
            if seen.models.contains_key(&served.spec.entry) && record.capability.roles.contains(&Role::Provider) {
                let known = Known { record: record.clone(), linked_at: now_us(), read_at: Instant::now() };
                let shelf = seen.shelves.entry(served.spec.entry.clone()).or_default();
                shelf.providers.insert(agent.clone(), known);
            }
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
        region: record.capability.region.as_deref().and_then(Region::parse),
        link: LinkAddress::of(&record.capability),
    }
}

/// What computes there, by its own word.
fn device(record: &ProviderRecord) -> String {
    match record.capability.backend_detail.as_str() {
        "" => format!("{:?}", record.capability.backend).to_lowercase(),
        detail => detail.to_owned(),
    }
}
