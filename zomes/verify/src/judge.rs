//! Which rules an operation has to pass, and which records have to be fetched for them.
//!
//! It does not fetch: whoever asks for a verdict brings [`Records`]. In a conductor that is `must_get_valid_record`,
//! so that a record still missing means "ask again" and a record found invalid means "no"; in tests it is a map.

mod audit;

use crate::buckets;
use crate::network::Network;
use crate::rules::{self, Anchor, AppEntry, Kind, Known, LinkKind};
use crate::Breach;
use ainonymous_types::{
    ActionHash, AgentPubKey, AnyLinkableHash, Bytes32, EntryHash, Place, SpecRef, TimestampUs, Topic,
};

/// Where valid records and anchors come from.
pub trait Records {
    /// Why there is none (yet).
    type Error;
    /// The valid record at an action.
    fn valid(&self, action: &ActionHash) -> Result<Known, Self::Error>;
    /// The record that a deletion names: valid if it is one of this network's entries, merely known if it is a grant.
    fn deleted(&self, action: &ActionHash) -> Result<Known, Self::Error> {
        self.valid(action)
    }
    /// The hash of an anchor.
    fn anchor(&self, anchor: Anchor) -> Result<EntryHash, Self::Error>;
    /// The hash of the path of a bucket.
    fn bucket(&self, topic: &Topic, place: Place) -> Result<EntryHash, Self::Error>;
    /// The hash of the path from which is linked what is about a receipt, by its leaf (`rules::receipt_path`).
    fn receipt(&self, leaf: &Bytes32) -> Result<EntryHash, Self::Error>;
    /// The network that all of this happens in.
    fn network(&self) -> Result<Network, Refusal<Self::Error>>;
}

/// Why an operation is not held valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal<E> {
    /// A rule was broken: a verdict.
    Breach(Breach),
    /// Something could not be fetched: no verdict.
    Records(E),
}

impl<E> From<Breach> for Refusal<E> {
    fn from(breach: Breach) -> Self {
        Self::Breach(breach)
    }
}

/// Who acts, and when, by the action's header.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// Author.
    pub author: &'a AgentPubKey,
    /// Microseconds since the epoch.
    pub timestamp: TimestampUs,
}

/// A link that is drawn.
#[derive(Clone, Copy, Debug)]
pub struct NewLink<'a> {
    /// Its kind.
    pub kind: LinkKind,
    /// Where it starts.
    pub base: &'a AnyLinkableHash,
    /// Where it ends.
    pub target: &'a AnyLinkableHash,
    /// What is written on it.
    pub tag: &'a [u8],
}

/// An entry that is created, or that an update puts in place of another.
pub fn entry<R: Records>(header: Header<'_>, entry: &AppEntry, records: &R) -> Result<(), Refusal<R::Error>> {
    match entry {
        AppEntry::ModelSpec(spec) => Ok(rules::model_spec(spec)?),
        AppEntry::Capability(capability) => {
            rules::capability(capability)?;
            capability.models.iter().try_for_each(|model| spec_ref(&model.spec, records).map(|_| ()))
        }
        AppEntry::Request(request) => {
            rules::request(request)?;
            rules::request_time(request, header.timestamp)?;
            spec_ref(&request.spec, records)?;
            Ok(rules::request_capability(request, &valid(&request.capability, records)?)?)
        }
        AppEntry::Answer(answer) => {
            rules::answer(answer)?;
            Ok(rules::answer_request(header.author, &valid(&answer.request, records)?)?)
        }
        AppEntry::ReceiptBatch(batch) => {
            rules::receipt_batch(batch)?;
            rules::receipt_batch_sums(batch, &spec_ref(&batch.spec, records)?)?;
            Ok(rules::receipt_batch_capability(batch, header.author, &valid(&batch.capability, records)?)?)
        }
        AppEntry::Revocation(revocation) => Ok(rules::revocation(&records.network()?, header.author, revocation)?),
        AppEntry::Calibration(table) => audit::calibration(table, records),
        AppEntry::AuditCommit(commit) => audit::commit(header, commit, records),
        AppEntry::AuditReport(report) => audit::report(header, report, records),
        AppEntry::Accusation(accusation) => audit::accusation(accusation, records),
        AppEntry::Conviction(conviction) => audit::conviction(conviction, records),
        AppEntry::Equivocation(equivocation) => Ok(rules::equivocation(equivocation)?),
        AppEntry::Appeal(appeal) => audit::appeal(header, appeal, records),
    }
}

/// An update, apart from what the new entry says (see [`entry`]).
pub fn update<R: Records>(
    author: &AgentPubKey,
    kind: Kind,
    original: &ActionHash,
    records: &R,
) -> Result<(), Refusal<R::Error>> {
    if kind != Kind::Capability {
        return Err(Breach::Immutable { what: kind.name() }.into());
    }
    Ok(rules::update(kind, author, &valid(original, records)?)?)
}

/// A deletion.
pub fn delete<R: Records>(author: &AgentPubKey, original: &ActionHash, records: &R) -> Result<(), Refusal<R::Error>> {
    Ok(rules::delete(author, &records.deleted(original).map_err(Refusal::Records)?)?)
}

/// A link that is drawn.
pub fn link<R: Records>(author: &AgentPubKey, link: NewLink<'_>, records: &R) -> Result<(), Refusal<R::Error>> {
    let NewLink { kind, base, target, tag } = link;
    rules::link_tag(kind, tag)?;
    let action =
        target.clone().into_action_hash().ok_or(Breach::LinkTarget { link: kind.name(), expected: "an action" })?;
    let target = valid(&action, records)?;
    let anchor = |a| records.anchor(a).map_err(Refusal::Records);
    let beside = || rules::beside(&target).map(|action| valid(action, records)).transpose();
    match kind {
        LinkKind::AllModelSpecs => rules::all_model_specs(author, base, &anchor(Anchor::ModelSpecs)?, &target)?,
        LinkKind::BucketToProvider => {
            rules::bucket_to_provider(author, base, &drawn(author, kind, tag, &target, records)?, &target)?
        }
        LinkKind::BucketToRouter => {
            rules::bucket_to_router(author, base, &drawn(author, kind, tag, &target, records)?, &target)?
        }
        LinkKind::AgentToCapability => rules::agent_to_capability(author, base, &target)?,
        LinkKind::AssigneeToRequest => rules::assignee_to_request(author, base, &target)?,
        LinkKind::RequestToAnswer => rules::request_to_answer(author, base, &target)?,
        LinkKind::AllRevocations => rules::all_revocations(author, base, &anchor(Anchor::Revocations)?, &target)?,
        LinkKind::SpecToCalibration => rules::spec_to_calibration(author, base, &target)?,
        LinkKind::ReceiptToAudit => {
            let leaves = rules::receipts_of(&target, beside()?.as_ref())?;
            let place = |leaf: &Bytes32| records.receipt(leaf).map_err(Refusal::Records);
            let places = leaves.iter().map(place).collect::<Result<Vec<_>, _>>()?;
            rules::receipt_to_audit(author, base, &places, &target)?
        }
        LinkKind::ProviderToReport => rules::provider_to_report(author, base, &target, beside()?.as_ref())?,
        LinkKind::ProviderToAccusation => rules::provider_to_accusation(author, base, &target)?,
        LinkKind::AccusationToReport => rules::accusation_to_report(author, base, &target, beside()?.as_ref())?,
        LinkKind::ProviderToConviction => rules::provider_to_conviction(author, base, &target, beside()?.as_ref())?,
        LinkKind::ProviderToEquivocation => rules::provider_to_equivocation(author, base, &target)?,
        LinkKind::ProviderToAppeal => rules::provider_to_appeal(author, base, &target)?,
        LinkKind::ConvictionToReport => rules::conviction_to_report(author, base, &target, beside()?.as_ref())?,
    }
    Ok(())
}

/// The buckets from which the author may link this target at the depth that the tag says.
fn drawn<R: Records>(
    author: &AgentPubKey,
    kind: LinkKind,
    tag: &[u8],
    target: &Known,
    records: &R,
) -> Result<Vec<EntryHash>, Refusal<R::Error>> {
    let depth = rules::bucket_depth(tag)?;
    let Some((_, capability)) = target.capability() else { return Ok(Vec::new()) };
    let topics = buckets::topics(capability).into_iter().filter(|topic| buckets::link_kind(topic) == kind);
    let places = topics.filter_map(|topic| buckets::place(&topic, author, depth).map(|place| (topic, place)));
    places.map(|(topic, place)| records.bucket(&topic, place).map_err(Refusal::Records)).collect()
}

fn spec_ref<R: Records>(spec: &SpecRef, records: &R) -> Result<Known, Refusal<R::Error>> {
    let known = valid(&spec.action, records)?;
    rules::spec_ref(spec, &known)?;
    Ok(known)
}

fn valid<R: Records>(action: &ActionHash, records: &R) -> Result<Known, Refusal<R::Error>> {
    records.valid(action).map_err(Refusal::Records)
}
