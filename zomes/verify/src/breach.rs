//! What can be wrong with something a peer or a user sent: one case per kind of rule, each with a stable code.

/// The rule that was broken. `what` names the field or thing, in the words of `ainonymous_types`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Breach {
    /// A text, list or payload that must hold something holds nothing.
    #[error("{what} is empty")]
    Empty {
        /// Field.
        what: &'static str,
    },
    /// Over its bound in bytes.
    #[error("{what} is longer than {max} bytes")]
    TooLong {
        /// Field.
        what: &'static str,
        /// Bound in bytes.
        max: u64,
    },
    /// Under its bound in bytes.
    #[error("{what} is shorter than {min} bytes")]
    TooShort {
        /// Field.
        what: &'static str,
        /// Bound in bytes.
        min: u64,
    },
    /// Over its bound in items.
    #[error("there are more than {max} {what}")]
    TooMany {
        /// Field, in the plural.
        what: &'static str,
        /// Bound in items.
        max: u64,
    },
    /// A number outside its range.
    #[error("{what} is not within {min}..={max} {unit}")]
    OutOfRange {
        /// Field.
        what: &'static str,
        /// Smallest allowed.
        min: u64,
        /// Largest allowed.
        max: u64,
        /// What is counted.
        unit: &'static str,
    },
    /// A character that the field does not allow.
    #[error("{what} has a character that is not {allowed}")]
    Charset {
        /// Field.
        what: &'static str,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A list that must be sorted without repetition is not.
    #[error("{what} are not in order, each once")]
    Unordered {
        /// Field, in the plural.
        what: &'static str,
    },
    /// A list that must not repeat itself does.
    #[error("{what} are repeated")]
    Repeated {
        /// Field, in the plural.
        what: &'static str,
    },
    /// A key of zeros opens nothing.
    #[error("{what} is all zeros")]
    ZeroKey {
        /// Field.
        what: &'static str,
    },
    /// Models listed by an agent that is no provider.
    #[error("a capability without the provider role lists models")]
    ModelsWithoutProvider,
    /// The capability that is relied on has no provider role.
    #[error("the capability does not have the provider role")]
    NotProvider,
    /// A router without its role, or the role without a router.
    #[error("the router role and a router do not come without each other")]
    RouterAndRole,
    /// The capability that is relied on has no router.
    #[error("the capability does not have the router role")]
    NotRouter,
    /// The capability that is relied on does not have the auditor role.
    #[error("the capability does not have the auditor role")]
    NotAuditor,
    /// Too little to go on.
    #[error("{what} is not enough")]
    NotEnough {
        /// What there is too little of.
        what: &'static str,
    },
    /// The capability that is relied on does not list the model spec.
    #[error("the capability does not list the model spec")]
    SpecNotListed,
    /// A reference leads to something else than it must.
    #[error("{what} does not lead to any {expected}")]
    WrongReference {
        /// Field.
        what: &'static str,
        /// Kind of entry that it must lead to.
        expected: &'static str,
    },
    /// Two hashes that must name the same thing do not.
    #[error("{what} is not the hash of what it refers to")]
    HashMismatch {
        /// Field.
        what: &'static str,
    },
    /// Somebody else's thing.
    #[error("{what} is not by the author of this action")]
    NotAuthor {
        /// What should have been the author's own.
        what: &'static str,
    },
    /// The agent that answers, or whose capability is relied on, is not the assignee.
    #[error("{what} is not by the assignee")]
    NotAssignee {
        /// What should have been the assignee's.
        what: &'static str,
    },
    /// Expired before it was written.
    #[error("expires_at is not after the action's own time")]
    Expired,
    /// Open for too long.
    #[error("expires_at is more than {max_us} microseconds after the action's own time")]
    OpenTooLong {
        /// Bound in microseconds.
        max_us: i64,
    },
    /// A sum that its parts cannot reach.
    #[error("{what} is more than {count} receipts can hold")]
    SumTooLarge {
        /// Field.
        what: &'static str,
        /// Number of receipts.
        count: u32,
    },
    /// An update of something that never changes.
    #[error("no {what} can be updated")]
    Immutable {
        /// Kind of entry.
        what: &'static str,
    },
    /// A deletion of something that stays.
    #[error("no {what} can be deleted")]
    Undeletable {
        /// Kind of entry.
        what: &'static str,
    },
    /// A tag of another length than its kind of link has.
    #[error("the tag of the link {link} does not have {bytes} bytes")]
    LinkTag {
        /// Kind of link.
        link: &'static str,
        /// Its length in bytes.
        bytes: u64,
    },
    /// A link that starts where it must not.
    #[error("the base of the link {link} is not {expected}")]
    LinkBase {
        /// Kind of link.
        link: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A link that ends where it must not.
    #[error("the target of the link {link} is not {expected}")]
    LinkTarget {
        /// Kind of link.
        link: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// The bytes of an entry or signal are not those that its content has: something was added, or spelt differently.
    #[error("{what} is not in its canonical encoding")]
    NotCanonical {
        /// What.
        what: &'static str,
    },
    /// Bytes that are no entry or signal at all.
    #[error("{what} cannot be decoded")]
    Undecodable {
        /// What.
        what: &'static str,
    },
    /// This network knows no private entries, countersigned entries or key changes.
    #[error("{what} are not part of this network")]
    Unsupported {
        /// What, in the plural.
        what: &'static str,
    },
    /// A commitment that is not to what was sent with it.
    #[error("the commitment is not to this {what}")]
    CommitmentMismatch {
        /// Question or answer.
        what: &'static str,
    },
    /// A signature that is not by the key it must be by, or not over what it must be over.
    #[error("the signature on {what} is not good")]
    Signature {
        /// What is signed.
        what: &'static str,
    },
    /// Joining a network by invitation without an invite.
    #[error("this network is by invitation, and no invite was shown")]
    NotInvited,
    /// An invite to somewhere else.
    #[error("the invite is to another network")]
    OtherNetwork,
    /// An invite that names somebody else.
    #[error("the invite is for another agent")]
    InvitedOther,
    /// An invite that ended before it was used.
    #[error("the invite had expired when the agent joined")]
    InviteExpired,
    /// Joining a network that asks for work without having done any.
    #[error("this network asks for {bits} bits of work from every new agent, and none was shown")]
    WorkMissing {
        /// Zero bits that are asked for.
        bits: u8,
    },
    /// Work that is less than what is asked for, or was done for another agent or network.
    #[error("the proof of work does not begin with {bits} zero bits for this agent in this network")]
    WorkTooLittle {
        /// Zero bits that are asked for.
        bits: u8,
    },
    /// Only founders can do that.
    #[error("{what} is not by a founder of this network")]
    NotFounder {
        /// What a founder should have written.
        what: &'static str,
    },
    /// Founders cannot be shut out: their keys are part of what the network is.
    #[error("a founder cannot be revoked")]
    FounderRevoked,
    /// A Merkle proof that does not lead to the root.
    #[error("the path does not lead from the leaf to the root")]
    ProofMismatch,
    /// Numbers that nothing can have given.
    #[error("{what} contradict themselves")]
    Impossible {
        /// Which.
        what: &'static str,
    },
    /// A calibration that would accuse too many who are honest.
    #[error("{what} goes beyond what its honest answers allow")]
    Uncalibrated {
        /// Field.
        what: &'static str,
    },
    /// A calibration that was not made from such answers.
    #[error("the calibration does not speak of answers as long, as hot or as strongly penalised as this one")]
    OutOfScope,
    /// A number that does not follow from the others.
    #[error("{what} does not follow from what it is computed from")]
    Arithmetic {
        /// Field.
        what: &'static str,
    },
    /// An audit of oneself.
    #[error("the auditor is the provider")]
    AuditsItself,
    /// An audit that the dice gave to nobody, or to somebody else.
    #[error("the draw did not fall on {what}")]
    NotDrawn {
        /// The answer, the auditor or the juror.
        what: &'static str,
    },
}

impl Breach {
    /// Stable name of the kind of rule.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty { .. } => "empty",
            Self::TooLong { .. } => "too_long",
            Self::TooShort { .. } => "too_short",
            Self::TooMany { .. } => "too_many",
            Self::OutOfRange { .. } => "out_of_range",
            Self::Charset { .. } => "charset",
            Self::Unordered { .. } => "unordered",
            Self::Repeated { .. } => "repeated",
            Self::ZeroKey { .. } => "zero_key",
            Self::ModelsWithoutProvider => "models_without_provider",
            Self::NotProvider => "not_provider",
            Self::RouterAndRole => "router_and_role",
            Self::NotRouter => "not_router",
            Self::NotAuditor => "not_auditor",
            Self::NotEnough { .. } => "not_enough",
            Self::SpecNotListed => "spec_not_listed",
            Self::WrongReference { .. } => "wrong_reference",
            Self::HashMismatch { .. } => "hash_mismatch",
            Self::NotAuthor { .. } => "not_author",
            Self::NotAssignee { .. } => "not_assignee",
            Self::Expired => "expired",
            Self::OpenTooLong { .. } => "open_too_long",
            Self::SumTooLarge { .. } => "sum_too_large",
            Self::Immutable { .. } => "immutable",
            Self::Undeletable { .. } => "undeletable",
            Self::LinkTag { .. } => "link_tag",
            Self::LinkBase { .. } => "link_base",
            Self::LinkTarget { .. } => "link_target",
            Self::NotCanonical { .. } => "not_canonical",
            Self::Undecodable { .. } => "undecodable",
            Self::Unsupported { .. } => "unsupported",
            Self::CommitmentMismatch { .. } => "commitment_mismatch",
            Self::Signature { .. } => "signature",
            Self::NotInvited => "not_invited",
            Self::OtherNetwork => "other_network",
            Self::InvitedOther => "invited_other",
            Self::InviteExpired => "invite_expired",
            Self::WorkMissing { .. } => "work_missing",
            Self::WorkTooLittle { .. } => "work_too_little",
            Self::NotFounder { .. } => "not_founder",
            Self::FounderRevoked => "founder_revoked",
            Self::ProofMismatch => "proof_mismatch",
            Self::Impossible { .. } => "impossible",
            Self::Uncalibrated { .. } => "uncalibrated",
            Self::OutOfScope => "out_of_scope",
            Self::Arithmetic { .. } => "arithmetic",
            Self::AuditsItself => "audits_itself",
            Self::NotDrawn { .. } => "not_drawn",
        }
    }

    /// What whoever sent it can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Empty { .. } | Self::TooShort { .. } => "fill it in",
            Self::TooLong { .. } | Self::TooMany { .. } => "send less, or split it",
            Self::OutOfRange { .. } | Self::SumTooLarge { .. } => "choose a value within the bound",
            Self::Charset { .. } => "use the allowed characters only",
            Self::Unordered { .. } | Self::Repeated { .. } => "sort the list and remove repetitions",
            Self::ZeroKey { .. } => "make a key pair first",
            Self::ModelsWithoutProvider | Self::NotProvider => "take the provider role, or list no models",
            Self::RouterAndRole | Self::NotRouter => "take the router role and say where the router is, or do neither",
            Self::NotAuditor => "take the auditor role first",
            Self::NotEnough { .. } => "wait until there is more",
            Self::SpecNotListed => "choose a provider that serves this model spec",
            Self::WrongReference { .. } | Self::HashMismatch { .. } => "refer to a valid record of the right kind",
            Self::NotAuthor { .. } | Self::NotAssignee { .. } => "only the agent that it belongs to can do this",
            Self::Expired => "choose a later moment",
            Self::OpenTooLong { .. } => "choose an earlier moment, and post again if need be",
            Self::Immutable { .. } => "write a new entry instead",
            Self::Undeletable { .. } => "leave it: others rely on it",
            Self::LinkTag { .. } | Self::LinkBase { .. } | Self::LinkTarget { .. } => "use the coordinator's functions",
            Self::NotCanonical { .. } | Self::Undecodable { .. } => "encode it with the published types",
            Self::Unsupported { .. } => "do without it",
            Self::CommitmentMismatch { .. } => "commit to exactly what is sent, with the salt that is sent",
            Self::Signature { .. } => "sign exactly what is sent, with the key that is named",
            Self::NotInvited => "ask a founder of the network for an invite",
            Self::OtherNetwork => "use the invite to this network, or join the network that it is for",
            Self::InvitedOther => "ask the founder for an invite for your own agent, or for one that names nobody",
            Self::InviteExpired => "ask the founder for a new invite, and use it before it ends",
            Self::WorkMissing { .. } | Self::WorkTooLittle { .. } => "do the work for this agent in this network",
            Self::NotFounder { .. } => "ask a founder of the network to do it",
            Self::FounderRevoked => "make a new network without that founder, and invite the others to it",
            Self::ProofMismatch => "ask the provider for the proof again",
            Self::Impossible { .. } | Self::Arithmetic { .. } => "compute it again with the published functions",
            Self::OutOfScope => "judge it by a table that was made from such answers, or say that nothing follows",
            Self::Uncalibrated { .. } => "measure more honest answers, or weigh less",
            Self::AuditsItself => "leave it to others",
            Self::NotDrawn { .. } => "wait for a draw that falls on you",
        }
    }
}
