//! What can be wrong with a network of this node.

use crate::exit::Exit;

/// Why a network cannot be made, found, joined or used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetworkError {
    /// No network of that name is here.
    #[error("there is no network '{name}' here")]
    Unknown {
        /// As given.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// No name was given where one is needed.
    #[error("it is not said which network")]
    Unsaid {
        /// Those that there are.
        known: Vec<String>,
    },
    /// A network of that name is here already.
    #[error("there is a network '{name}' here already")]
    Exists {
        /// Which.
        name: String,
    },
    /// The invite is to a network that this node is in.
    #[error("this node is in that network already, as '{name}'")]
    AlreadyMember {
        /// Its name here.
        name: String,
    },
    /// The invite is for an agent whose key is not here.
    #[error("the invite is for {agent}, whose key is not in this node's keystore")]
    NotForUs {
        /// Whom the founder named.
        agent: String,
    },
    /// Only founders invite and revoke.
    #[error("this node is no founder of '{name}'")]
    NotFounder {
        /// Which network.
        name: String,
    },
    /// In a public network nobody is shut out.
    #[error("'{name}' is public: everybody is in it, and nobody can be revoked")]
    Public {
        /// Which network.
        name: String,
    },
    /// The rules of the network do not allow the revocation.
    #[error("the revocation is refused: {problem}")]
    RevocationRefused {
        /// Which rule.
        problem: String,
    },
    /// The file about a network makes no sense.
    #[error("{path} is damaged: {problem}")]
    Damaged {
        /// Which file.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A conductor elsewhere has keys of its own.
    #[error("a network of one's own needs the conductor that is built in")]
    Attached,
}

impl NetworkError {
    /// Stable name of the error.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "network_unknown",
            Self::Unsaid { .. } => "network_unsaid",
            Self::Exists { .. } => "network_exists",
            Self::AlreadyMember { .. } => "already_member",
            Self::NotForUs { .. } => "invite_not_for_us",
            Self::NotFounder { .. } => "not_a_founder",
            Self::Public { .. } => "network_public",
            Self::RevocationRefused { .. } => "revocation_refused",
            Self::Damaged { .. } => "network_damaged",
            Self::Attached => "network_attached",
        }
    }

    /// What the caller can do.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::Unknown { known, .. } | Self::Unsaid { known } if known.is_empty() => {
                "make one with `ainonymous network create NAME`, or take up an invite with `ainonymous network join`"
                    .into()
            }
            Self::Unknown { known, .. } | Self::Unsaid { known } => format!("say one of: {}", known.join(", ")),
            Self::Exists { .. } => "choose another name".into(),
            Self::AlreadyMember { name } => format!("start it with `ainonymous up --network {name}`"),
            Self::NotForUs { .. } => {
                "run `ainonymous network agent` here, tell the founder that key, and ask for a new invite".into()
            }
            Self::NotFounder { .. } => "ask a founder; `ainonymous network show` lists them".into(),
            Self::Public { .. } => "make a private network for those whom you trust".into(),
            Self::RevocationRefused { .. } => "only founders revoke, and no founder can be revoked".into(),
            Self::Damaged { .. } => "restore the file from a backup, or delete it and join again".into(),
            Self::Attached => "leave out --conductor".into(),
        }
    }

    /// Exit code.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Damaged { .. } => Exit::DataDir,
            _ => Exit::Usage,
        }
    }
}
