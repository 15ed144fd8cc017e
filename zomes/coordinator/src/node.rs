//! Nodes: model specs and what providers offer.

use crate::bucket::{get_bucket, remove_all};
use crate::find::{anchor, links, me, own_links, refuse, valid, valid_known};
use crate::membership::Gate;
use crate::seal;
use ainonymous_types::{
    limits, AgentPubKey, BucketQuery, Bytes32, Capability, CapabilityInput, EntryHash, ModelSpec, ModelSpecRecord,
    Place, ProviderRecord, Role, ServedModel, SpecRef, Topic,
};
use ainonymous_verify::rules::{self, Anchor};
use ainonymous_verify::Breach;
use hdk::prelude::*;
use inference_integrity::{EntryTypes, LinkTypes, UnitEntryTypes};

/// A model spec as a reference: written if nobody has yet.
#[hdk_extern]
pub fn create_model_spec(model: ModelSpec) -> ExternResult<SpecRef> {
    rules::model_spec(&model).map_err(refuse)?;
    let base = anchor(Anchor::ModelSpecs)?;
    let entry = hash_entry(EntryTypes::ModelSpec(model.clone()))?;
    if let Some(action) = written_spec(&base, &entry)? {
        return Ok(SpecRef { entry, action });
    }
    let action = create_entry(EntryTypes::ModelSpec(model))?;
    create_link(base, action.clone(), LinkTypes::AllModelSpecs, ())?;
    Ok(SpecRef { entry, action })
}

/// Model specs, each once: all of them, or the newest [`limits::MODEL_SPECS_LISTED_MAX`].
#[hdk_extern]
pub fn get_all_model_specs(_: ()) -> ExternResult<Vec<ModelSpecRecord>> {
    let mut specs: Vec<ModelSpecRecord> = Vec::new();
    let links = links(anchor(Anchor::ModelSpecs)?, LinkTypes::AllModelSpecs)?;
    for link in links.into_iter().rev().take(limits::MODEL_SPECS_LISTED_MAX).rev() {
        let Some(action) = link.target.into_action_hash() else { continue };
        let Some(known) = valid_known(&action)? else { continue };
        let Some((entry, model)) = known.model_spec() else { continue };
        if specs.iter().all(|s| s.spec.entry != *entry) {
            specs.push(ModelSpecRecord { spec: SpecRef { entry: entry.clone(), action }, model: model.clone() });
        }
    }
    Ok(specs)
}

/// Says what this node offers. Writes nothing if nothing changed but the speed, and that by no more than a fifth. Where it is
/// found by it is another matter: `put_places`.
#[hdk_extern]
pub fn put_capability(input: CapabilityInput) -> ExternResult<ActionHash> {
    let own = OwnCapability::find()?;
    let sealing_key = own.sealing_key.map_or_else(seal::new_key, Ok)?;
    let capability = with_key(input, sealing_key);
    rules::capability(&capability).map_err(refuse)?;
    let action = match &own.current {
        Some(current) if same(&current.capability, &capability) => return Ok(current.newest.clone()),
        Some(current) => update_entry(current.root.clone(), EntryTypes::Capability(capability.clone()))?,
        None => create_entry(EntryTypes::Capability(capability.clone()))?,
    };
    if own.current.is_none() {
        create_link(me()?, action.clone(), LinkTypes::AgentToCapability, ())?;
    }
    Ok(action)
}

/// What this node offers, as it last said.
#[hdk_extern]
pub fn get_my_capability(_: ()) -> ExternResult<Option<ProviderRecord>> {
    let agent = me()?;
    let current = OwnCapability::find()?.current;
    Ok(current.map(|c| ProviderRecord { agent, action: c.newest, capability: c.capability }))
}

/// Withdraws what this node offers, if it offers anything.
#[hdk_extern]
pub fn delete_my_capability(_: ()) -> ExternResult<()> {
    let Some(current) = OwnCapability::find()?.current else { return Ok(()) };
    delete_entry(current.root)?;
    remove_all(sys_time()?.as_micros().saturating_sub(limits::LINK_AGE_US_MAX))?;
    for link in own_links(me()?, LinkTypes::AgentToCapability)? {
        delete_link(link.create_link_hash, GetOptions::network())?;
    }
    Ok(())
}

/// Whoever offers something, by versions of their capabilities as buckets name them: each with the newest valid word on what it
/// offers; without those under warrant, those who have withdrawn it, and those who are no members or were shut out.
#[hdk_extern]
pub fn get_providers(versions: Vec<ActionHash>) -> ExternResult<Vec<ProviderRecord>> {
    if versions.len() > limits::BUCKET_MEMBERS_MAX {
        let max = limits::BUCKET_MEMBERS_MAX as u64;
        return Err(refuse(Breach::TooMany { what: "capabilities", max }));
    }
    providers(&versions)
}

/// What one agent offers.
#[hdk_extern]
pub fn get_provider(agent: AgentPubKey) -> ExternResult<Option<ProviderRecord>> {
    let links = links(agent.clone(), LinkTypes::AgentToCapability)?;
    let own = links.into_iter().rev().filter(|link| link.author == agent);
    let versions: Vec<ActionHash> = own.filter_map(|link| link.target.into_action_hash()).take(1).collect();
    Ok(providers(&versions)?.into_iter().find(|provider| provider.agent == agent))
}

/// Providers that are linked from the root of a model spec: in a small network everybody, in a large one some that everybody is
/// shown. For people and pages; whoever asks questions reads buckets.
#[hdk_extern]
pub fn get_providers_for_model_spec(spec: EntryHash) -> ExternResult<Vec<ProviderRecord>> {
    let not_before = sys_time()?.as_micros().saturating_sub(limits::LINK_AGE_US_MAX);
    let topic = Topic::Providers(spec.clone());
    let mut members = get_bucket(BucketQuery { topic, place: Place::ROOT, not_before })?;
    // From somewhere else each time: otherwise as many strangers in front would keep everybody behind them unseen.
    let dice = random_bytes(4)?.iter().fold(0usize, |n, byte| n << 8 | usize::from(*byte));
    let start = dice.checked_rem(members.len()).unwrap_or_default();
    members.rotate_left(start);
    let versions = members.into_iter().map(|member| member.capability).take(limits::BUCKET_MEMBERS_MAX);
    let mut found = providers(&versions.collect::<Vec<_>>())?;
    found.retain(|provider| {
        let Capability { roles, models, .. } = &provider.capability;
        roles.contains(&Role::Provider) && models.iter().any(|m| m.spec.entry == spec)
    });
    Ok(found)
}

fn written_spec(base: &EntryHash, entry: &EntryHash) -> ExternResult<Option<ActionHash>> {
    let Some(Details::Entry(details)) = get_details(entry.clone(), GetOptions::network())? else { return Ok(None) };
    let written: HashSet<&ActionHash> = details.actions.iter().map(SignedActionHashed::action_address).collect();
    let linked = links(base.clone(), LinkTypes::AllModelSpecs)?;
    let both = linked.into_iter().filter_map(|link| link.target.into_action_hash()).filter(|a| written.contains(a));
    Ok(both.into_iter().find(|action| valid(action).is_some()))
}

fn providers(versions: &[ActionHash]) -> ExternResult<Vec<ProviderRecord>> {
    let mut gate = Gate::open()?;
    let mut roots: Vec<(AgentPubKey, ActionHash)> = Vec::new();
    for record in versions.iter().filter_map(valid) {
        let agent = record.action().author().clone();
        if roots.iter().all(|(other, _)| *other != agent) {
            roots.push((agent, root_of(record)?));
        }
    }
    let details = details(roots.iter().map(|(_, root)| root))?;
    let mut found = Vec::new();
    for ((agent, root), details) in roots.into_iter().zip(details) {
        let Some(provider) = newest(agent, root, details)? else { continue };
        if !under_warrant(&provider.agent)? && gate.admits(&provider.agent)? {
            found.push(provider);
        }
    }
    Ok(found)
}

/// All at once; if that fails one by one, for one record that cannot be reached must not hide all others.
fn details<'a>(actions: impl Iterator<Item = &'a ActionHash> + Clone) -> ExternResult<Vec<Option<Details>>> {
    let input = |action: &ActionHash| GetInput::new(action.clone().into(), GetOptions::network());
    let all = HDK.with(|h| h.borrow().get_details(actions.clone().map(input).collect()));
    let one = |action: &ActionHash| get_details(action.clone(), GetOptions::network()).ok().flatten();
    Ok(all.unwrap_or_else(|_| actions.map(one).collect()))
}

/// The newest valid version of a capability, if its author has not withdrawn it.
///
/// Details list updates and deletions of anybody, even refused ones: only the author's own count, and only if valid.
fn newest(agent: AgentPubKey, root: ActionHash, details: Option<Details>) -> ExternResult<Option<ProviderRecord>> {
    let Some(Details::Record(details)) = details else { return Ok(None) };
    let by_author = |action: &&SignedActionHashed| *action.action().author() == agent;
    if details.deletes.iter().any(|action| by_author(&action)) {
        return Ok(None);
    }
    let mut updates: Vec<_> = details.updates.iter().filter(by_author).collect();
    updates.sort_by_key(|action| std::cmp::Reverse(action.action().action_seq()));
    let versions = updates.into_iter().map(|action| action.action_address().clone()).chain([root]);
    for action in versions {
        let Some(known) = valid_known(&action)? else { continue };
        if let Some((_, capability)) = known.capability() {
            return Ok(Some(ProviderRecord { agent, action, capability: capability.clone() }));
        }
    }
    Ok(None)
}

/// The first version: this coordinator makes every update from there.
fn root_of(record: Record) -> ExternResult<ActionHash> {
    Ok(match &record.action().data {
        ActionData::Update(update) => update.original_action_address.clone(),
        _ => record.action_address().clone(),
    })
}

fn under_warrant(agent: &AgentPubKey) -> ExternResult<bool> {
    let filter = ChainQueryFilter::new();
    let activity = get_agent_activity(agent.clone(), filter, ActivityRequest::Status, GetOptions::local())?;
    Ok(!activity.warrants.is_empty())
}

/// What this agent's own chain says about its capability.
pub(crate) struct OwnCapability {
    /// Kept when a capability is withdrawn, so that what is still sealed to it can be opened.
    sealing_key: Option<Bytes32>,
    pub(crate) current: Option<CurrentCapability>,
}

pub(crate) struct CurrentCapability {
    root: ActionHash,
    pub(crate) newest: ActionHash,
    /// Everything that was said since it was withdrawn last, the newest included.
    pub(crate) versions: Vec<ActionHash>,
    pub(crate) capability: Capability,
}

impl OwnCapability {
    pub(crate) fn find() -> ExternResult<Self> {
        let kind = EntryType::try_from(UnitEntryTypes::Capability)?;
        let versions = query(ChainQueryFilter::new().entry_type(kind).include_entries(true))?;
        let deleted: HashSet<ActionHash> = query(ChainQueryFilter::new().action_type(ActionType::Delete))?
            .iter()
            .filter_map(|record| deleted_by(record.action()))
            .collect();
        let mut own = Self { sealing_key: None, current: None };
        for record in versions {
            let newest = record.action_address().clone();
            let capability = Capability::try_from(&record)?;
            let root = root_of(record)?;
            own.sealing_key = Some(capability.sealing_key);
            let before = own.current.take().filter(|current: &CurrentCapability| current.root == root);
            let mut versions = before.map(|current| current.versions).unwrap_or_default();
            versions.push(newest.clone());
            own.current =
                (!deleted.contains(&root)).then_some(CurrentCapability { root, newest, versions, capability });
        }
        Ok(own)
    }
}

fn deleted_by(action: &Action) -> Option<ActionHash> {
    match &action.data {
        ActionData::Delete(delete) => Some(delete.deletes_address.clone()),
        _ => None,
    }
}

fn with_key(input: CapabilityInput, sealing_key: Bytes32) -> Capability {
    let CapabilityInput {
        mut roles,
        transport_key,
        addresses,
        must_be_known,
        backend,
        backend_detail,
        models,
        router,
        region,
    } = input;
    roles.sort();
    roles.dedup();
    Capability {
        roles,
        sealing_key,
        transport_key,
        addresses,
        must_be_known,
        backend,
        backend_detail,
        models,
        router,
        region,
    }
}

/// Whether two capabilities say the same, apart from small changes of speed.
fn same(old: &Capability, new: &Capability) -> bool {
    let without_speed = |capability: &Capability| {
        let mut capability = capability.clone();
        capability.models.iter_mut().for_each(|model| model.tokens_per_s = 0);
        capability
    };
    let near = |(a, b): (&ServedModel, &ServedModel)| {
        u64::from(a.tokens_per_s.abs_diff(b.tokens_per_s)) * 5 <= u64::from(a.tokens_per_s)
    };
    without_speed(old) == without_speed(new) && old.models.iter().zip(&new.models).all(near)
}
