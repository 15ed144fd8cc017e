//! Nodes: model specs and what providers offer.

use crate::find::{anchor, links, me, own_links, refuse, valid, valid_known};
use crate::membership::Gate;
use crate::seal;
use ainonymous_types::{
    AgentPubKey, AnyLinkableHash, Bytes32, Capability, CapabilityInput, EntryHash, ModelSpec, ModelSpecRecord,
    ProviderRecord, Role, ServedModel, SpecRef,
};
use ainonymous_verify::rules::{self, Anchor};
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

/// All model specs, each once.
#[hdk_extern]
pub fn get_all_model_specs(_: ()) -> ExternResult<Vec<ModelSpecRecord>> {
    let mut specs: Vec<ModelSpecRecord> = Vec::new();
    for link in links(anchor(Anchor::ModelSpecs)?, LinkTypes::AllModelSpecs)? {
        let Some(action) = link.target.into_action_hash() else { continue };
        let Some(known) = valid_known(&action)? else { continue };
        let Some((entry, model)) = known.model_spec() else { continue };
        if specs.iter().all(|s| s.spec.entry != *entry) {
            specs.push(ModelSpecRecord { spec: SpecRef { entry: entry.clone(), action }, model: model.clone() });
        }
    }
    Ok(specs)
}

/// Says what this node offers, and where to find it. Writes nothing if nothing changed but the speed, and that by
/// no more than a fifth.
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
    let before = own.current.map(|current| current.capability);
    relink(places(before.as_ref())?, places(Some(&capability))?, &action)?;
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
    places(Some(&current.capability))?.into_iter().try_for_each(|(base, kind)| unlink(base, kind))
}

/// All providers, each with the newest valid word on what it offers; without those under warrant, and those who are no
/// members or were shut out.
#[hdk_extern]
pub fn get_all_providers(_: ()) -> ExternResult<Vec<ProviderRecord>> {
    providers(anchor(Anchor::Providers)?, LinkTypes::AllProviders)
}

/// The providers of one model spec.
#[hdk_extern]
pub fn get_providers_for_model_spec(spec: EntryHash) -> ExternResult<Vec<ProviderRecord>> {
    let mut found = providers(spec.clone(), LinkTypes::SpecToCapability)?;
    found.retain(|provider| provider.capability.models.iter().any(|m| m.spec.entry == spec));
    Ok(found)
}

fn written_spec(base: &EntryHash, entry: &EntryHash) -> ExternResult<Option<ActionHash>> {
    let Some(Details::Entry(details)) = get_details(entry.clone(), GetOptions::network())? else { return Ok(None) };
    let written: HashSet<&ActionHash> = details.actions.iter().map(SignedActionHashed::action_address).collect();
    let linked = links(base.clone(), LinkTypes::AllModelSpecs)?;
    let both = linked.into_iter().filter_map(|link| link.target.into_action_hash()).filter(|a| written.contains(a));
    Ok(both.into_iter().find(|action| valid(action).is_some()))
}

fn providers(base: EntryHash, kind: LinkTypes) -> ExternResult<Vec<ProviderRecord>> {
    let gate = Gate::open()?;
    let mut seen: HashSet<AgentPubKey> = HashSet::new();
    let mut found = Vec::new();
    for link in links(base, kind)? {
        if seen.contains(&link.author) {
            continue;
        }
        let Some(action) = link.target.into_action_hash() else { continue };
        let Some(provider) = newest(&action)? else { continue };
        if seen.insert(provider.agent.clone())
            && provider.capability.roles.contains(&Role::Provider)
            && !under_warrant(&provider.agent)?
            && gate.admits(&provider.agent)?
        {
            found.push(provider);
        }
    }
    Ok(found)
}

/// The newest valid version of a capability, if its author has not withdrawn it.
///
/// Details list updates and deletions of anybody, even refused ones: only the author's own count, and only if valid.
fn newest(version: &ActionHash) -> ExternResult<Option<ProviderRecord>> {
    let Some(first) = valid(version) else { return Ok(None) };
    let agent = first.action().author().clone();
    let root = root_of(first)?;
    // One record that cannot be reached must not hide all others.
    let Ok(Some(Details::Record(details))) = get_details(root.clone(), GetOptions::network()) else { return Ok(None) };
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
struct OwnCapability {
    /// Kept when a capability is withdrawn, so that what is still sealed to it can be opened.
    sealing_key: Option<Bytes32>,
    current: Option<CurrentCapability>,
}

struct CurrentCapability {
    root: ActionHash,
    newest: ActionHash,
    capability: Capability,
}

impl OwnCapability {
    fn find() -> ExternResult<Self> {
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
            own.current = (!deleted.contains(&root)).then_some(CurrentCapability { root, newest, capability });
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
    let CapabilityInput { mut roles, transport_key, addresses, must_be_known, backend, backend_detail, models } = input;
    roles.sort();
    roles.dedup();
    Capability { roles, sealing_key, transport_key, addresses, must_be_known, backend, backend_detail, models }
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

type Place = (AnyLinkableHash, LinkTypes);

/// Where a capability is to be found.
fn places(capability: Option<&Capability>) -> ExternResult<Vec<Place>> {
    let Some(capability) = capability else { return Ok(Vec::new()) };
    let mut places = vec![(me()?.into(), LinkTypes::AgentToCapability)];
    if capability.roles.contains(&Role::Provider) {
        places.push((anchor(Anchor::Providers)?.into(), LinkTypes::AllProviders));
    }
    let specs = capability.models.iter().map(|m| m.spec.entry.clone().into());
    places.extend(specs.map(|spec| (spec, LinkTypes::SpecToCapability)));
    Ok(places)
}

/// Links what is new and unlinks what is gone; links that stay lead to an older version, which says where newer ones are.
fn relink(before: Vec<Place>, after: Vec<Place>, action: &ActionHash) -> ExternResult<()> {
    for (base, kind) in before.iter().filter(|place| !after.contains(place)) {
        unlink(base.clone(), *kind)?;
    }
    for (base, kind) in after.into_iter().filter(|place| !before.contains(place)) {
        create_link(base, action.clone(), kind, ())?;
    }
    Ok(())
}

fn unlink(base: AnyLinkableHash, kind: LinkTypes) -> ExternResult<()> {
    for link in own_links(base, kind)? {
        delete_link(link.create_link_hash, GetOptions::network())?;
    }
    Ok(())
}
