//! The rules for links: where each kind may start and end, and who may draw and remove it.

use super::bounds::range;
use super::Known;
use crate::Breach;
use ainonymous_types::{limits, AgentPubKey, AnyLinkableHash, EntryHash, Role};

/// Kinds of link, in the order of the integrity zome's link types. Targets are actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "vectors", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum LinkKind {
    /// From the anchor of all model specs to each.
    AllModelSpecs,
    /// From a bucket of a model spec to capabilities that list it.
    BucketToProvider,
    /// From a bucket of routers to capabilities that offer one.
    BucketToRouter,
    /// From an agent to its capability.
    AgentToCapability,
    /// From an assignee to requests for it.
    AssigneeToRequest,
    /// From a request to its answer.
    RequestToAnswer,
    /// From the anchor of all revocations to each.
    AllRevocations,
    /// From a model spec to its calibrations.
    SpecToCalibration,
    /// From the place of a receipt to what audits say of it: commitments, reports, equivocations.
    ReceiptToAudit,
    /// From a provider to reports about its answers.
    ProviderToReport,
    /// From a provider to accusations of it.
    ProviderToAccusation,
    /// From an accusation to the reports of its jury.
    AccusationToReport,
    /// From a provider to its convictions.
    ProviderToConviction,
    /// From a provider to proofs that it signed two receipts for one question.
    ProviderToEquivocation,
    /// From a provider to its appeals.
    ProviderToAppeal,
    /// From a conviction to the reports of the second jury.
    ConvictionToReport,
}

impl LinkKind {
    /// Its name in texts.
    pub fn name(self) -> &'static str {
        match self {
            Self::AllModelSpecs => "AllModelSpecs",
            Self::BucketToProvider => "BucketToProvider",
            Self::BucketToRouter => "BucketToRouter",
            Self::AgentToCapability => "AgentToCapability",
            Self::AssigneeToRequest => "AssigneeToRequest",
            Self::RequestToAnswer => "RequestToAnswer",
            Self::AllRevocations => "AllRevocations",
            Self::SpecToCalibration => "SpecToCalibration",
            Self::ReceiptToAudit => "ReceiptToAudit",
            Self::ProviderToReport => "ProviderToReport",
            Self::ProviderToAccusation => "ProviderToAccusation",
            Self::AccusationToReport => "AccusationToReport",
            Self::ProviderToConviction => "ProviderToConviction",
            Self::ProviderToEquivocation => "ProviderToEquivocation",
            Self::ProviderToAppeal => "ProviderToAppeal",
            Self::ConvictionToReport => "ConvictionToReport",
        }
    }
}

/// Well-known places to find things from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Anchor {
    /// All model specs.
    ModelSpecs,
    /// All revocations.
    Revocations,
}

impl Anchor {
    /// The path whose hash is the anchor.
    pub fn path(self) -> &'static str {
        match self {
            Self::ModelSpecs => "model_specs",
            Self::Revocations => "revoked",
        }
    }
}

/// Links from buckets carry the bucket's depth, others no tag.
pub fn link_tag(kind: LinkKind, tag: &[u8]) -> Result<(), Breach> {
    let bytes = match kind {
        LinkKind::BucketToProvider | LinkKind::BucketToRouter => limits::BUCKET_TAG_BYTES,
        LinkKind::AllModelSpecs
        | LinkKind::AgentToCapability
        | LinkKind::AssigneeToRequest
        | LinkKind::RequestToAnswer
        | LinkKind::AllRevocations
        | LinkKind::SpecToCalibration
        | LinkKind::ReceiptToAudit
        | LinkKind::ProviderToReport
        | LinkKind::ProviderToAccusation
        | LinkKind::AccusationToReport
        | LinkKind::ProviderToConviction
        | LinkKind::ProviderToEquivocation
        | LinkKind::ProviderToAppeal
        | LinkKind::ConvictionToReport => 0,
    };
    (tag.len() == bytes).then_some(()).ok_or(Breach::LinkTag { link: kind.name(), bytes: bytes as u64 })
}

/// The depth that the tag of a link from a bucket says.
pub fn bucket_depth(tag: &[u8]) -> Result<u8, Breach> {
    let depth = tag.first().copied().unwrap_or_default();
    range("depth", depth.into(), 0, limits::BUCKET_DEPTH_MAX.into(), "levels")?;
    Ok(depth)
}

/// Anchor → a model spec, drawn by anybody who wrote it.
pub fn all_model_specs(
    author: &AgentPubKey,
    base: &AnyLinkableHash,
    anchor: &EntryHash,
    target: &Known,
) -> Result<(), Breach> {
    let link = LinkKind::AllModelSpecs.name();
    starts_at(link, base, anchor, "the anchor of model specs")?;
    target.model_spec().ok_or(Breach::LinkTarget { link, expected: "a model spec" })?;
    own(author, target)
}

/// A bucket of a model spec → the author's own capability, if it lists the spec as a provider. `drawn` are the buckets that the
/// author's lots draw at the link's depth, one for each model that the capability lists.
pub fn bucket_to_provider(
    author: &AgentPubKey,
    base: &AnyLinkableHash,
    drawn: &[EntryHash],
    target: &Known,
) -> Result<(), Breach> {
    let link = LinkKind::BucketToProvider.name();
    let (_, capability) = target.capability().ok_or(Breach::LinkTarget { link, expected: "a capability" })?;
    own(author, target)?;
    if !capability.roles.contains(&Role::Provider) {
        return Err(Breach::NotProvider);
    }
    let expected = "the author's bucket of a model spec that the capability lists";
    drawn.iter().any(|place| is(base, place)).then_some(()).ok_or(Breach::LinkBase { link, expected })
}

/// A bucket of routers → the author's own capability, if it offers a router. `drawn` are the bucket that the author's lot draws at
/// the link's depth, and the place of the router's key.
pub fn bucket_to_router(
    author: &AgentPubKey,
    base: &AnyLinkableHash,
    drawn: &[EntryHash],
    target: &Known,
) -> Result<(), Breach> {
    let link = LinkKind::BucketToRouter.name();
    let (_, capability) = target.capability().ok_or(Breach::LinkTarget { link, expected: "a capability" })?;
    own(author, target)?;
    if !capability.roles.contains(&Role::Router) {
        return Err(Breach::NotRouter);
    }
    let expected = "the author's bucket of routers, or the place of its router's key";
    drawn.iter().any(|place| is(base, place)).then_some(()).ok_or(Breach::LinkBase { link, expected })
}

/// An agent → its own capability.
pub fn agent_to_capability(author: &AgentPubKey, base: &AnyLinkableHash, target: &Known) -> Result<(), Breach> {
    let link = LinkKind::AgentToCapability.name();
    starts_at(link, base, author, "the link's author")?;
    target.capability().ok_or(Breach::LinkTarget { link, expected: "a capability" })?;
    own(author, target)
}

/// An assignee → the author's own request for it.
pub fn assignee_to_request(author: &AgentPubKey, base: &AnyLinkableHash, target: &Known) -> Result<(), Breach> {
    let link = LinkKind::AssigneeToRequest.name();
    let (_, request) = target.request().ok_or(Breach::LinkTarget { link, expected: "a request" })?;
    starts_at(link, base, &request.assignee, "the request's assignee")?;
    own(author, target)
}

/// A request → the author's own answer to it.
pub fn request_to_answer(author: &AgentPubKey, base: &AnyLinkableHash, target: &Known) -> Result<(), Breach> {
    let link = LinkKind::RequestToAnswer.name();
    let (_, answer) = target.answer().ok_or(Breach::LinkTarget { link, expected: "an answer" })?;
    starts_at(link, base, &answer.request, "the answer's request")?;
    own(author, target)
}

/// Anchor → the author's own revocation.
pub fn all_revocations(
    author: &AgentPubKey,
    base: &AnyLinkableHash,
    anchor: &EntryHash,
    target: &Known,
) -> Result<(), Breach> {
    let link = LinkKind::AllRevocations.name();
    starts_at(link, base, anchor, "the anchor of revocations")?;
    target.revocation().ok_or(Breach::LinkTarget { link, expected: "a revocation" })?;
    own(author, target)
}

/// Removing a link: only by whoever drew it, and from where it starts.
pub fn delete_link(
    author: &AgentPubKey,
    base: &AnyLinkableHash,
    drawn_by: &AgentPubKey,
    drawn_from: &AnyLinkableHash,
) -> Result<(), Breach> {
    if author != drawn_by {
        return Err(Breach::NotAuthor { what: "the link" });
    }
    (base == drawn_from).then_some(()).ok_or(Breach::HashMismatch { what: "base_address" })
}

pub(super) fn own(author: &AgentPubKey, target: &Known) -> Result<(), Breach> {
    (target.author == *author).then_some(()).ok_or(Breach::NotAuthor { what: "the target" })
}

pub(super) fn starts_at<H>(
    link: &'static str,
    base: &AnyLinkableHash,
    place: &H,
    expected: &'static str,
) -> Result<(), Breach>
where
    H: Clone + Into<AnyLinkableHash>,
{
    is(base, place).then_some(()).ok_or(Breach::LinkBase { link, expected })
}

pub(super) fn is<H: Clone + Into<AnyLinkableHash>>(base: &AnyLinkableHash, place: &H) -> bool {
    *base == place.clone().into()
}
