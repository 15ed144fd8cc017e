//! Flags of `network`.

use ainonymous_types::limits::WORK_BITS_MAX;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Flags of `network`.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct Network {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(subcommand)]
    pub(crate) command: NetworkDo,
}

/// Whose networks, and what opens the keys.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Folder of the node [default: ainonymous in the folder for data].
    #[arg(long, global = true, env = "AINONYMOUS_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// File with the passphrase that opens the node's keys. Otherwise AINONYMOUS_PASSPHRASE, otherwise you are asked.
    #[arg(long, global = true, env = "AINONYMOUS_PASSPHRASE_FILE", value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

/// What to do with networks.
#[derive(Debug, Subcommand)]
pub(crate) enum NetworkDo {
    /// Make a network; you are its founder. Nothing is published before `up --network NAME`.
    Create(Create),
    /// The networks of this node.
    List,
    /// One of them.
    Show(Which),
    /// Invite somebody; prints the text to send, and a QR code on a terminal.
    Invite(Invite),
    /// Take up an invite.
    Join(Join),
    /// Shut somebody out, for ever.
    Revoke(Revoke),
    /// Make an agent key, to be named by a founder in `invite --for` or `create --founder`.
    Agent,
}

/// Flags of `network create`.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct Create {
    /// Name as people write it; every member sees it.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// By invitation [default].
    #[arg(long, conflicts_with_all = ["lan", "public"])]
    pub(crate) private: bool,
    /// By invitation, and nodes look for each other at private addresses only.
    #[arg(long, conflicts_with = "public")]
    pub(crate) lan: bool,
    /// For everybody who knows of it.
    #[arg(long)]
    pub(crate) public: bool,
    /// Proof of work that every new agent has to do once, in zero bits: what a new name costs there. Each bit doubles it.
    #[arg(long, value_name = "BITS", default_value_t = 0, requires = "public",
          value_parser = clap::value_parser!(u8).range(0..=i64::from(WORK_BITS_MAX)))]
    pub(crate) work_bits: u8,
    /// Server where its nodes find each other [default with --lan: none; they find each other on the local network].
    #[arg(long, env = "AINONYMOUS_BOOTSTRAP", value_name = "URL")]
    pub(crate) bootstrap: Option<String>,
    /// Server that forwards what cannot go directly [default: the bootstrap server].
    #[arg(long, env = "AINONYMOUS_RELAY", value_name = "URL")]
    pub(crate) relay: Option<String>,
    /// Another founder, by the key that `network agent` printed there; can be given again.
    #[arg(long, value_name = "uhCAk…", action = clap::ArgAction::Append, conflicts_with = "public")]
    pub(crate) founder: Vec<String>,
}

/// Which network.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Name of the network [default: the only one].
    #[arg(value_name = "NAME")]
    pub(crate) network: Option<String>,
}

/// Flags of `network invite`.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct Invite {
    #[command(flatten)]
    pub(crate) which: Which,
    /// How long it can be taken up: a number of minutes, hours or days, for example 30m, 12h or 7d.
    #[arg(long, value_name = "TIME", default_value = "7d")]
    pub(crate) expires: String,
    /// The only agent that can use it, by the key that `network agent` printed there.
    #[arg(long = "for", value_name = "uhCAk…")]
    pub(crate) agent: Option<String>,
    /// The QR code even if stderr is no terminal.
    #[arg(long)]
    pub(crate) qr: bool,
}

/// Flags of `network join`.
#[derive(Debug, Args)]
pub(crate) struct Join {
    /// The text that begins with ainonymous-invite:, or `-` to read it from stdin. Other users of this machine can see
    /// arguments.
    #[arg(value_name = "INVITE")]
    pub(crate) invite: String,
}

/// Flags of `network revoke`.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct Revoke {
    /// An agent, an invite's text, or an invite's key as `network show` lists it. An invite shuts out everybody who
    /// joined with it.
    #[arg(value_name = "AGENT|INVITE")]
    pub(crate) whom: String,
    /// Name of the network [default: the only one].
    #[arg(long, value_name = "NAME")]
    pub(crate) network: Option<String>,
    /// Longest time to wait for a running node to publish it.
    #[arg(long, value_name = "MS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(0..=600_000))]
    pub(crate) wait_ms: u64,
}
