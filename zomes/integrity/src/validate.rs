//! From an operation to its verdict. Every operation of every kind is named here: there is no case for "the rest".

use crate::network::network;
use crate::records::{known, without_entry};
use crate::{EntryTypes, LinkTypes, UnitEntryTypes};
use ainonymous_types::{Bytes32, Place, Topic};
use ainonymous_verify::buckets;
use ainonymous_verify::judge::{self, Header, NewLink, Records, Refusal};
use ainonymous_verify::network::Network;
use ainonymous_verify::rules::{self, Anchor, AppEntry, Kind, Known};
use ainonymous_verify::Breach;
use hdi::prelude::*;

/// A rule was broken, or the host could not fetch something.
type Verdict = Result<(), Refusal<WasmError>>;

const KEY_CHANGES: Breach = Breach::Unsupported { what: "key changes" };
const PRIVATE_ENTRIES: Breach = Breach::Unsupported { what: "private entries" };
const COUNTERSIGNED: Breach = Breach::Unsupported { what: "countersigned entries" };
const FOREIGN: Breach = Breach::Unsupported { what: "entries and links of other zomes" };

/// The verdict in Holochain's terms. A breach is final; whatever the host could not do is asked again by the host.
pub(crate) fn verdict(op: &Op) -> ExternResult<ValidateCallbackResult> {
    in_words(judge_op(op))
}

fn in_words(verdict: Verdict) -> ExternResult<ValidateCallbackResult> {
    match verdict {
        Ok(()) => Ok(ValidateCallbackResult::Valid),
        Err(Refusal::Breach(breach)) => Ok(ValidateCallbackResult::Invalid(format!("{}: {breach}", breach.code()))),
        Err(Refusal::Records(error)) => Err(error),
    }
}

/// Whether an agent may join, in Holochain's terms.
pub(crate) fn admission(data: &GenesisSelfCheckData) -> ExternResult<ValidateCallbackResult> {
    in_words(membership(&data.agent_key, None, data.membrane_proof.as_ref()))
}

fn judge_op(op: &Op) -> Verdict {
    let bytes = entry_bytes(op);
    match flatten(op)? {
        FlatOp::CreateRecord(record) => judge_record(record, bytes),
        FlatOp::CreateEntry(entry) => judge_entry_op(entry, bytes),
        FlatOp::AgentActivity(activity) => judge_activity(activity),
        FlatOp::Link(OpLink::CreateLink { link_type, action }) => new_link(link_type, &action),
        FlatOp::Link(OpLink::DeleteLink { original_action, link_type: _, action }) => Ok(rules::delete_link(
            action.author(),
            &action.data.base_address,
            original_action.author(),
            &original_action.data.base_address,
        )?),
        FlatOp::Update(update) => match update {
            OpUpdate::Entry { app_entry, action } => updated_entry(app_entry, &action, bytes),
            OpUpdate::PrivateEntry { .. } => Err(PRIVATE_ENTRIES.into()),
            OpUpdate::Agent { .. } => Err(KEY_CHANGES.into()),
            OpUpdate::CapClaim { .. } | OpUpdate::CapGrant { .. } => Ok(()),
        },
        FlatOp::Delete(OpDelete { action }) => deletion(&action),
    }
}

/// What does not decode is a breach, not a fault of the host: it would be asked about for ever.
fn flatten(op: &Op) -> Result<FlatOp<EntryTypes, LinkTypes>, Refusal<WasmError>> {
    op.flattened::<EntryTypes, LinkTypes>().map_err(|error| match error.error {
        WasmErrorInner::Guest(_) | WasmErrorInner::Serialize(_) | WasmErrorInner::Deserialize(_) => {
            Breach::Undecodable { what: "the operation" }.into()
        }
        _ => Refusal::Records(error),
    })
}

fn judge_record(record: OpRecord<EntryTypes, LinkTypes>, bytes: Option<&Entry>) -> Verdict {
    match record {
        OpRecord::CreateEntry { app_entry, action } => created_entry(app_entry, &action.header, bytes),
        OpRecord::UpdateEntry { app_entry, action } => updated_entry(app_entry, &action, bytes),
        OpRecord::DeleteEntry { action } => deletion(&action),
        OpRecord::CreateLink { link_type, action } => new_link(link_type, &action),
        OpRecord::DeleteLink { action } => removed_link(&action),
        OpRecord::CreatePrivateEntry { .. } | OpRecord::UpdatePrivateEntry { .. } => Err(PRIVATE_ENTRIES.into()),
        OpRecord::UpdateAgent { .. } => Err(KEY_CHANGES.into()),
        OpRecord::AgentValidationPkg { membrane_proof, action } => joined(membrane_proof.as_ref(), &action.header),
        OpRecord::CreateAgent { .. }
        | OpRecord::CreateCapClaim { .. }
        | OpRecord::CreateCapGrant { .. }
        | OpRecord::UpdateCapClaim { .. }
        | OpRecord::UpdateCapGrant { .. }
        | OpRecord::Dna { .. }
        | OpRecord::OpenChain { .. }
        | OpRecord::CloseChain { .. }
        | OpRecord::InitZomesComplete { .. } => Ok(()),
    }
}

fn judge_entry_op(entry: OpEntry<EntryTypes>, bytes: Option<&Entry>) -> Verdict {
    match entry {
        OpEntry::CreateEntry { app_entry, action } => created_entry(app_entry, &action.header, bytes),
        OpEntry::UpdateEntry { app_entry, action } => updated_entry(app_entry, &action, bytes),
        OpEntry::UpdateAgent { .. } => Err(KEY_CHANGES.into()),
        OpEntry::CreateAgent { .. }
        | OpEntry::CreateCapClaim { .. }
        | OpEntry::CreateCapGrant { .. }
        | OpEntry::UpdateCapClaim { .. }
        | OpEntry::UpdateCapGrant { .. } => Ok(()),
    }
}

/// The author's chain carries actions without their entries: everything but what the entries say is judged here too.
fn judge_activity(activity: OpActivity<UnitEntryTypes, LinkTypes>) -> Verdict {
    match activity {
        OpActivity::CreateEntry { app_entry_type, action: _ } => own_kind(app_entry_type).map(|_| ()),
        OpActivity::UpdateEntry { app_entry_type, action } => updated(own_kind(app_entry_type)?, &action),
        OpActivity::DeleteEntry { action } => deletion(&action),
        OpActivity::CreateLink { link_type, action } => new_link(link_type.ok_or(Refusal::Breach(FOREIGN))?, &action),
        OpActivity::DeleteLink { action } => removed_link(&action),
        OpActivity::CreatePrivateEntry { .. } | OpActivity::UpdatePrivateEntry { .. } => Err(PRIVATE_ENTRIES.into()),
        OpActivity::UpdateAgent { .. } => Err(KEY_CHANGES.into()),
        OpActivity::AgentValidationPkg { membrane_proof, action } => joined(membrane_proof.as_ref(), &action.header),
        OpActivity::CreateAgent { .. }
        | OpActivity::CreateCapClaim { .. }
        | OpActivity::CreateCapGrant { .. }
        | OpActivity::UpdateCapClaim { .. }
        | OpActivity::UpdateCapGrant { .. }
        | OpActivity::Dna { .. }
        | OpActivity::OpenChain { .. }
        | OpActivity::CloseChain { .. }
        | OpActivity::InitZomesComplete { .. } => Ok(()),
    }
}

fn created_entry(entry: EntryTypes, header: &ActionHeader, bytes: Option<&Entry>) -> Verdict {
    encoding(&entry, bytes)?;
    let header = Header { author: &header.author, timestamp: header.timestamp.as_micros() };
    judge::entry(header, &AppEntry::from(entry), &HostRecords)
}

fn updated_entry(entry: EntryTypes, action: &TypedAction<UpdateData>, bytes: Option<&Entry>) -> Verdict {
    updated(kind(entry.to_unit()), action)?;
    created_entry(entry, &action.header, bytes)
}

fn updated(kind: Kind, action: &TypedAction<UpdateData>) -> Verdict {
    judge::update(action.author(), kind, &action.data.original_action_address, &HostRecords)
}

fn deletion(action: &TypedAction<DeleteData>) -> Verdict {
    judge::delete(action.author(), &action.data.deletes_address, &HostRecords)
}

fn new_link(link_type: LinkTypes, action: &TypedAction<CreateLinkData>) -> Verdict {
    let CreateLinkData { base_address, target_address, zome_index: _, link_type: _, tag } = &action.data;
    let link = NewLink { kind: link_type.into(), base: base_address, target: target_address, tag: &tag.0 };
    judge::link(action.author(), link, &HostRecords)
}

fn removed_link(action: &TypedAction<DeleteLinkData>) -> Verdict {
    let drawn = must_get_action(action.data.link_add_address.clone()).map_err(Refusal::Records)?;
    let ActionData::CreateLink(link) = &drawn.action().data else {
        return Err(Breach::WrongReference { what: "link_add_address", expected: "link" }.into());
    };
    let drawn_by = drawn.action().author();
    Ok(rules::delete_link(action.author(), &action.data.base_address, drawn_by, &link.base_address)?)
}

fn encoding(entry: &EntryTypes, bytes: Option<&Entry>) -> Verdict {
    match bytes {
        Some(Entry::App(bytes)) => {
            let again = AppEntryBytes::try_from(entry).map_err(Refusal::Records)?;
            Ok(rules::entry_encoding(bytes.bytes(), again.bytes())?)
        }
        Some(Entry::CounterSign(..)) => Err(COUNTERSIGNED.into()),
        _ => Err(Breach::Undecodable { what: "the entry" }.into()),
    }
}

fn joined(proof: Option<&MembraneProof>, header: &ActionHeader) -> Verdict {
    membership(&header.author, Some(header.timestamp), proof)
}

fn membership(agent: &AgentPubKey, joined_at: Option<Timestamp>, proof: Option<&MembraneProof>) -> Verdict {
    let proof = proof.map(|proof| proof.bytes().as_slice());
    rules::membership(&HostRecords.network()?, agent, joined_at.map(|at| at.as_micros()), proof)?;
    Ok(())
}

fn entry_bytes(op: &Op) -> Option<&Entry> {
    match op {
        Op::CreateRecord(CreateRecord { record }) => record.entry().as_option(),
        Op::CreateEntry(CreateEntry { entry, .. }) => Some(entry),
        Op::Update(Update { new_entry, .. }) => new_entry.as_ref(),
        Op::AgentActivity(_) | Op::CreateLink(_) | Op::DeleteLink(_) | Op::Delete(_) => None,
    }
}

fn own_kind(unit: Option<UnitEntryTypes>) -> Result<Kind, Refusal<WasmError>> {
    Ok(kind(unit.ok_or(Refusal::Breach(FOREIGN))?))
}

fn kind(unit: UnitEntryTypes) -> Kind {
    match unit {
        UnitEntryTypes::ModelSpec => Kind::ModelSpec,
        UnitEntryTypes::Capability => Kind::Capability,
        UnitEntryTypes::Request => Kind::Request,
        UnitEntryTypes::Answer => Kind::Answer,
        UnitEntryTypes::ReceiptBatch => Kind::ReceiptBatch,
        UnitEntryTypes::Revocation => Kind::Revocation,
        UnitEntryTypes::Calibration => Kind::Calibration,
        UnitEntryTypes::AuditCommit => Kind::AuditCommit,
        UnitEntryTypes::AuditReport => Kind::AuditReport,
        UnitEntryTypes::Accusation => Kind::Accusation,
        UnitEntryTypes::Conviction => Kind::Conviction,
        UnitEntryTypes::Appeal => Kind::Appeal,
        UnitEntryTypes::Equivocation => Kind::Equivocation,
    }
}

/// What the conductor can fetch. A record that is missing ends the validation and is asked for again by the host.
#[derive(Debug)]
struct HostRecords;

impl Records for HostRecords {
    type Error = WasmError;

    fn valid(&self, action: &ActionHash) -> Result<Known, WasmError> {
        known(&must_get_valid_record(action.clone())?)
    }

    fn deleted(&self, action: &ActionHash) -> Result<Known, WasmError> {
        let found = must_get_action(action.clone())?;
        match found.action().entry_type() {
            Some(EntryType::App(_)) => self.valid(action),
            _ => without_entry(found.action()),
        }
    }

    fn anchor(&self, anchor: Anchor) -> Result<EntryHash, WasmError> {
        Path::from(anchor.path()).path_entry_hash()
    }

    fn bucket(&self, topic: &Topic, place: Place) -> Result<EntryHash, WasmError> {
        Path::from(buckets::path(topic, place)).path_entry_hash()
    }

    fn receipt(&self, leaf: &Bytes32) -> Result<EntryHash, WasmError> {
        Path::from(rules::receipt_path(leaf)).path_entry_hash()
    }

    fn network(&self) -> Result<Network, Refusal<WasmError>> {
        Ok(network().map_err(Refusal::Records)??)
    }
}
