//! Flags and subcommands. Values that a configuration file can give are optional here; `config` fills them in.

use crate::credits::Credits;
use ainonymous_node::ShowAuditors;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Name of the hidden subcommand that runs a model.
pub(crate) const WORKER: &str = "worker";

/// Run open language models with the GPUs of your peers.
///
/// Flags go before environment variables, those before the configuration file, that before the defaults.
#[derive(Debug, Parser)]
#[command(
    name = "ainonymous",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every subcommand.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct Global {
    /// Configuration file [default: ainonymous/config.toml in the folder for configuration].
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// JSON on stdout instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// What is logged to stderr, for example `info` or `warn,ainonymous_node=debug`.
    #[arg(long, global = true, env = "AINONYMOUS_LOG", value_name = "FILTER")]
    pub(crate) log: Option<String>,
    /// Say more on stderr; twice for even more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// What to do.
#[derive(Debug, Subcommand)]
#[command(args_override_self = true)]
pub(crate) enum Command {
    /// Start a node: conductor, models, API and chat page.
    Up(Up),
    /// Start a node that serves models to its peers.
    Serve(Serve),
    /// Ask one question.
    Ask(Ask),
    /// Check the receipt of an answer, here and without a node.
    Verify(Verify),
    /// Talk, line by line.
    Chat(Chat),
    /// What the running node is doing.
    Status(Status),
    /// Models that can be asked; with a subcommand, models on this machine.
    Models(Models),
    /// Fetch a model: the same as `models pull`.
    Pull(Pull),
    /// Models that the running node has loaded.
    Ps(Api),
    /// Check this machine, its configuration and its node.
    Doctor(Doctor),
    /// Make, list and revoke keys of the API.
    Keys(Keys),
    /// Networks of one's own: make them, invite, join, revoke.
    Network(crate::network::args::Network),
    /// Run a bootstrap and relay server for a network of one's own.
    Bootstrap(Bootstrap),
    /// Forward sealed direct connections between nodes that cannot reach each other, or do not want to show their address.
    Router(Router),
    /// This help, as Markdown.
    #[command(hide = true)]
    MarkdownHelp,
    /// The API as an OpenAPI document.
    #[command(hide = true)]
    OpenApi,
}

impl Command {
    /// Whether `--json` means one JSON object a line as things happen, not one object at the end.
    pub(crate) fn speaks_in_events(&self) -> bool {
        matches!(self, Self::Up(_) | Self::Serve(_) | Self::Bootstrap(_) | Self::Router(_))
    }
}

/// Flags of `up` and `serve`.
#[derive(Clone, Debug, Default, Args)]
#[command(args_override_self = true)]
pub(crate) struct Up {
    /// Folder of this node: keys, databases, receipts [default: ainonymous in the folder for data].
    #[arg(long, env = "AINONYMOUS_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// File with the passphrase that opens the node's keys. Otherwise AINONYMOUS_PASSPHRASE, otherwise you are asked.
    #[arg(long, env = "AINONYMOUS_PASSPHRASE_FILE", value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Admin interface of a conductor that runs already, ws://HOST:PORT, instead of the one built in.
    #[arg(long, env = "AINONYMOUS_CONDUCTOR", value_name = "URL")]
    pub(crate) conductor: Option<String>,
    /// Server where nodes of the network find each other.
    #[arg(long, env = "AINONYMOUS_BOOTSTRAP", value_name = "URL")]
    pub(crate) bootstrap: Option<String>,
    /// Server that forwards what cannot go directly [default: the bootstrap server].
    #[arg(long, env = "AINONYMOUS_RELAY", value_name = "URL")]
    pub(crate) relay: Option<String>,
    /// A network of this machine alone: nobody is looked for, whatever else says where.
    #[arg(long)]
    pub(crate) offline: bool,
    /// Find the other nodes on the local network, with no server named: the first node runs one and tells of it by multicast
    /// DNS. Networks made with `network create --lan` do so by themselves.
    #[arg(long, conflicts_with_all = ["bootstrap", "relay", "offline", "conductor"])]
    pub(crate) lan: bool,
    /// One of the networks that `network list` shows [default: the public network].
    #[arg(long, env = "AINONYMOUS_NETWORK", value_name = "NAME")]
    pub(crate) network: Option<String>,
    /// Another public network: nodes with another seed are in another one.
    #[arg(long, env = "AINONYMOUS_NETWORK_SEED", value_name = "TEXT")]
    pub(crate) network_seed: Option<String>,
    /// Pace of gossip; `lan` also allows a relay without TLS [default: lan if the relay is http://, else default].
    #[arg(long, env = "AINONYMOUS_NETWORK_TUNING", value_name = "PACE")]
    pub(crate) network_tuning: Option<Tuning>,
    /// Address of the API and the chat page; port 0 takes a free one. An address that other machines reach needs a
    /// key (`ainonymous keys create`) [default: 127.0.0.1:11435].
    #[arg(long, env = "AINONYMOUS_API", value_name = "ADDRESS")]
    pub(crate) api: Option<String>,
    /// Address (UDP) of direct connections, or `off` [default: a free port, and the same one next time].
    #[arg(long, env = "AINONYMOUS_QUIC", value_name = "ADDRESS|off")]
    pub(crate) quic: Option<String>,
    /// Where peers reach this node's direct connections, for example quic://203.0.113.7:4242, if that is not where it
    /// listens; can be given again [default: the address by which this machine reaches the bootstrap server].
    #[arg(long, value_name = "ADDRESS", action = clap::ArgAction::Append)]
    pub(crate) quic_address: Vec<String>,
    /// Whether a node that serves asks the home router for a port in front of it (PCP, NAT-PMP, UPnP) if it has no address
    /// that others reach [default: auto].
    #[arg(long, env = "AINONYMOUS_PORT_MAPPING", value_name = "MODE")]
    pub(crate) port_mapping: Option<PortMapping>,
    /// A router that leads to this node, as `ainonymous router` prints it, or `auto` for some that the node finds by itself; can
    /// be given again. For nodes that nobody reaches directly.
    #[arg(long, value_name = "ADDRESS|auto", action = clap::ArgAction::Append)]
    pub(crate) via: Vec<String>,
    /// Be a router for others, at this address (UDP), for example 0.0.0.0:4433: sealed traffic between nodes that cannot reach each
    /// other, or do not want to show their address.
    #[arg(long, env = "AINONYMOUS_ROUTER", value_name = "ADDRESS")]
    pub(crate) router: Option<String>,
    /// Where others reach the router, for example 203.0.113.7:4433, if that is not where it listens; can be given again
    /// [default: the address by which this machine reaches the bootstrap server].
    #[arg(long, value_name = "ADDRESS", action = clap::ArgAction::Append)]
    pub(crate) router_address: Vec<String>,
    /// A router that you trust, by its key of 64 hexadecimal digits or its whole address; can be given again. Questions that hide
    /// then go first through one of these, or one of your own or of friends, or not at all.
    #[arg(long, value_name = "KEY", action = clap::ArgAction::Append)]
    pub(crate) trust_router: Vec<String>,
    /// Where this node stands, told to everybody: a coarse label such as eu or de [default: not told].
    #[arg(long, env = "AINONYMOUS_REGION", value_name = "LABEL")]
    pub(crate) region: Option<String>,
    /// Links on the DHT by which nodes are found count for so long; this node draws its own anew after two fifths of that. The same
    /// in all nodes of a network [default: 216000, two and a half days].
    #[arg(long, env = "AINONYMOUS_LINK_AGE_S", value_name = "S", value_parser = clap::value_parser!(u64).range(5..=31_536_000))]
    pub(crate) link_age_s: Option<u64>,
    /// Programs of this machine need an API key too.
    #[arg(long)]
    pub(crate) require_key: bool,
    /// Web pages of this origin may use the API, for example https://example.org; can be given again.
    #[arg(long, value_name = "ORIGIN", action = clap::ArgAction::Append)]
    pub(crate) cors_origin: Vec<String>,
    /// A model to serve, as `pull` names it, or a GGUF file; can be given again. AINONYMOUS_SERVE holds a list like PATH
    /// does, so no names with colons.
    #[arg(long, value_name = "MODEL", action = clap::ArgAction::Append)]
    pub(crate) serve: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) models: Folder,
    /// Keep the models for this node: peers cannot use them.
    #[arg(long)]
    pub(crate) no_share: bool,
    /// An agent (uhCAk…) whose machine is yours: it is asked before all others; can be given again.
    #[arg(long, value_name = "AGENT", action = clap::ArgAction::Append)]
    pub(crate) own: Vec<String>,
    /// An agent whom you know: it is asked before strangers; can be given again.
    #[arg(long, value_name = "AGENT", action = clap::ArgAction::Append)]
    pub(crate) friend: Vec<String>,
    /// An agent that is neither asked nor served; can be given again.
    #[arg(long, value_name = "AGENT", action = clap::ArgAction::Append)]
    pub(crate) block: Vec<String>,
    /// Serve this agent and nobody whom you do not name; can be given again. It must show who it is (`ask --known`).
    #[arg(long, value_name = "AGENT", action = clap::ArgAction::Append)]
    pub(crate) serve_only: Vec<String>,
    /// What this node wants for its work, in credits for a million parameter-tokens. Nobody is charged yet; whoever asks for a lower price
    /// is not answered here [default: 0, a gift].
    #[arg(long, env = "AINONYMOUS_PRICE", value_name = "CREDITS")]
    pub(crate) price: Option<Credits>,
    /// Tell peers that ask how quick and reliable other providers were to this node. It shows whom this node has asked lately.
    #[arg(long)]
    pub(crate) tell_reports: bool,
    /// Audit others: ask providers of models that this node has questions of its own making, compute the answers again, and publish
    /// what comes of it, question and answer included.
    #[arg(long)]
    pub(crate) audit: bool,
    /// How often such a question is asked, on average, in seconds [default: 600].
    #[arg(long, env = "AINONYMOUS_AUDIT_EVERY", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=604_800))]
    pub(crate) audit_every_s: Option<u64>,
    /// Do not compute answers of peers again, though this node has the model.
    #[arg(long)]
    pub(crate) no_self_audit: bool,
    /// File of a calibration, by which audits are judged; can be given several times.
    #[arg(long, env = "AINONYMOUS_CALIBRATION", value_name = "FILE", value_delimiter = ',')]
    pub(crate) calibration: Vec<PathBuf>,
    /// How likely an audit of an answer to this node shall be, in millionths: providers sign that they know. Who audits sees question
    /// and answer, if this node shows them [default: 0, none but one's own].
    #[arg(long, env = "AINONYMOUS_AUDIT_RATE", value_name = "PPM", value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) audit_rate: Option<u32>,
    /// How likely each auditor shall be drawn for such an audit, or five for two into a jury, in millionths [default: 1000000,
    /// which is all].
    #[arg(long, env = "AINONYMOUS_AUDITORS_DRAWN", value_name = "PPM", value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) auditors_drawn: Option<u32>,
    /// Which auditors may see question and answer, if the dice draw them, unless a question says otherwise. They do not learn who asks; what
    /// they find everybody can read, without question and answer [default: none].
    #[arg(long, env = "AINONYMOUS_SHOW_AUDITORS", value_name = "WHICH")]
    pub(crate) show_auditors: Option<ShownAuditors>,
    /// Do not keep what was asked and answered. Otherwise it is kept for a week, sealed, so that answers can be checked.
    #[arg(long)]
    pub(crate) forget_answers: bool,
    /// Compute threads of each model [default: the physical cores].
    #[arg(long, env = "AINONYMOUS_THREADS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) threads: Option<u32>,
    /// Layers on the GPU: a number, or `auto` for as many as fit [default: auto].
    #[arg(long, env = "AINONYMOUS_GPU_LAYERS", value_name = "N|auto")]
    pub(crate) gpu_layers: Option<Layers>,
    /// Context of each question in tokens [default: what the model was trained with, at most 8192].
    #[arg(long, env = "AINONYMOUS_CONTEXT", value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(32..=16_777_216))]
    pub(crate) context: Option<u32>,
    /// Questions that a model answers at once [default: 4].
    #[arg(long, env = "AINONYMOUS_SLOTS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) slots: Option<u32>,
    /// Questions that may wait for a model [default: 64].
    #[arg(long, env = "AINONYMOUS_QUEUE", value_name = "N", value_parser = clap::value_parser!(u32).range(0..=65_536))]
    pub(crate) queue: Option<u32>,
    /// Memory for computed beginnings of prompts, for each model [default: a sixteenth of the machine's, at most 4096].
    #[arg(long, env = "AINONYMOUS_PREFIX_CACHE_MIB", value_name = "MIB", value_parser = clap::value_parser!(u64).range(0..=1_048_576))]
    pub(crate) prefix_cache_mib: Option<u64>,
    /// A small model with the same tokenizer that guesses ahead, named like those to serve; answers stay the same.
    #[arg(long, env = "AINONYMOUS_DRAFT", value_name = "FILE")]
    pub(crate) draft: Option<PathBuf>,
    /// The projector of the model, a GGUF file by which it sees images [default: `mmproj*.gguf` beside the model].
    #[arg(long, env = "AINONYMOUS_MMPROJ", value_name = "FILE")]
    pub(crate) mmproj: Option<PathBuf>,
    /// Most tokens guessed in one step [default: 4].
    #[arg(long, env = "AINONYMOUS_DRAFT_TOKENS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16))]
    pub(crate) draft_tokens: Option<u32>,
    /// Models in memory at most when questions of this node name further ones that are on disk [default: 3].
    #[arg(long, env = "AINONYMOUS_MODELS_MAX", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) models_max: Option<u32>,
    /// Takes models out of memory that nobody has asked for so many seconds; a question loads them again [default: never].
    #[arg(long, env = "AINONYMOUS_IDLE_UNLOAD_S", value_name = "S", value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    pub(crate) idle_unload_s: Option<u64>,
    /// Longest time that a receipt waits to be published with others [default: 5000].
    #[arg(long, env = "AINONYMOUS_RECEIPT_INTERVAL_MS", value_name = "MS", value_parser = clap::value_parser!(u64).range(10..=86_400_000))]
    pub(crate) receipt_interval_ms: Option<u64>,
    /// A .happ or .webhapp instead of the one built in. Another hApp is another network.
    #[arg(long, env = "AINONYMOUS_HAPP", value_name = "FILE")]
    pub(crate) happ: Option<PathBuf>,
}

/// Flags of `serve`.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct Serve {
    /// Models, as `pull` names them, or GGUF files.
    #[arg(required = true, value_name = "MODEL")]
    pub(crate) models: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) flags: Up,
}

/// Where the running node is.
#[derive(Debug, Default, Args)]
#[command(args_override_self = true)]
pub(crate) struct Api {
    /// Address of the running node's API [default: http://127.0.0.1:11435].
    #[arg(long, env = "AINONYMOUS_API", value_name = "URL")]
    pub(crate) api: Option<String>,
    /// Key of the API, where one is needed.
    #[arg(long, env = "AINONYMOUS_API_KEY", value_name = "KEY", hide_env_values = true)]
    pub(crate) api_key: Option<String>,
}

/// Where models are kept.
#[derive(Clone, Debug, Default, Args)]
#[command(args_override_self = true)]
pub(crate) struct Folder {
    /// Folder of models [default: ainonymous/models in the folder for data].
    #[arg(long, env = "AINONYMOUS_MODELS_DIR", value_name = "DIR")]
    pub(crate) models_dir: Option<PathBuf>,
}

/// Flags of `models`.
#[derive(Debug, Default, Args)]
#[command(args_override_self = true)]
pub(crate) struct Models {
    #[command(flatten)]
    pub(crate) api: Api,
    #[command(subcommand)]
    pub(crate) command: Option<OnDisk>,
}

/// What to do with models on this machine.
#[derive(Debug, Subcommand)]
#[command(args_override_self = true)]
pub(crate) enum OnDisk {
    /// Fetch a model. A pull that was stopped goes on where it was.
    Pull(Pull),
    /// Models on this machine: pulled ones, and those in the caches of Hugging Face's tools and of llama.cpp.
    List(Folder),
    /// What a model's file says of itself.
    Show(Named),
    /// Delete a model that was pulled. Files of other programs are left alone.
    Rm(Named),
    /// Good models by the memory that they need.
    Catalogue(Folder),
}

/// Flags of `pull`.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct Pull {
    #[command(flatten)]
    pub(crate) named: Named,
    /// Connections at a time.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=16))]
    pub(crate) parallel: u16,
}

/// Which model, and where models are.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct Named {
    /// A name of the catalogue, hf:ORG/REPO, hf:ORG/REPO:QUANT, hf:ORG/REPO/FILE.gguf, a path, or an address.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) folder: Folder,
}

/// Whom to ask, and how.
#[derive(Debug, Default, Args)]
#[command(args_override_self = true)]
pub(crate) struct Whom {
    #[command(flatten)]
    pub(crate) api: Api,
    /// Name of the model [default: whatever there is].
    #[arg(long, env = "AINONYMOUS_MODEL", value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// Which way the question goes [default: auto].
    #[arg(long, env = "AINONYMOUS_ROUTE", value_name = "ROUTE")]
    pub(crate) route: Option<Route>,
    /// Only this peer.
    #[arg(long, value_name = "uhCAk…")]
    pub(crate) provider: Option<String>,
    /// Only peers as close as this; if there are none, the question is refused.
    #[arg(long, value_name = "WHO")]
    pub(crate) only: Option<Only>,
    /// No peer that is reached only through a router.
    #[arg(long)]
    pub(crate) no_routers: bool,
    /// Through routers only, one or two in a row: the provider does not learn this machine's address, nor who asks.
    #[arg(long, conflicts_with = "no_routers", value_name = "ROUTERS", num_args = 0..=1, require_equals = true,
        default_missing_value = "1", value_parser = clap::value_parser!(u8).range(1..=2))]
    pub(crate) hide: Option<u8>,
    /// Only peers that say they stand there, for example eu; if there are none, the question is refused.
    #[arg(long, value_name = "LABEL")]
    pub(crate) region: Option<String>,
    /// Peers may know which agent asks: those that answer only whom they know are asked too. In a network by invitation
    /// members always know.
    #[arg(long, conflicts_with = "hide")]
    pub(crate) known: bool,
    /// Which auditors may see this question and its answer, if the dice draw them [default: as the node was started].
    #[arg(long, value_name = "WHICH")]
    pub(crate) show_auditors: Option<ShownAuditors>,
    /// Only peers that want no more than so many credits for a million parameter-tokens.
    #[arg(long, value_name = "CREDITS")]
    pub(crate) max_price: Option<Credits>,
    /// Most tokens to answer with [default: as many as fit].
    #[arg(long, value_name = "N")]
    pub(crate) max_tokens: Option<u32>,
    /// 0 takes the most likely word each time; more is freer [default: 1].
    #[arg(long, value_name = "T")]
    pub(crate) temperature: Option<f64>,
    /// The same seed gives the same answer on the same build [default: random].
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Instructions for the model.
    #[arg(long, value_name = "TEXT")]
    pub(crate) system: Option<String>,
}

/// Flags of `ask`.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct Ask {
    #[command(flatten)]
    pub(crate) whom: Whom,
    /// Write the question to the DHT, sealed for one provider, who need not be online now.
    #[arg(long, conflicts_with = "route")]
    pub(crate) posted: bool,
    /// Fetch the answer to an earlier posted question instead of asking.
    #[arg(long, value_name = "uhCkk…", conflicts_with_all = ["text", "posted", "route", "provider"])]
    pub(crate) fetch: Option<String>,
    /// Longest time to wait for the receipt to be published and checked; 0 does not wait.
    #[arg(long, value_name = "MS", default_value_t = 15_000, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub(crate) receipt_wait_ms: u64,
    /// Ask so many providers of one model at once, with the same seed, and show what more than half of them say and who says otherwise.
    /// All of them see the question.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(2..=16), conflicts_with_all = ["posted", "fetch", "provider"])]
    pub(crate) critical: Option<u32>,
    /// Write question, answer and receipt into this file, which `ainonymous verify` checks anywhere. It contains the whole question.
    #[arg(long, value_name = "FILE")]
    pub(crate) receipt: Option<PathBuf>,
    /// An image to ask about, a PNG or JPEG file; can be given again. Peers are not shown images: this node answers.
    #[arg(long, value_name = "FILE", action = clap::ArgAction::Append, conflicts_with_all = ["fetch", "posted"])]
    pub(crate) image: Vec<PathBuf>,
    /// The question; `-` reads it from stdin.
    #[arg(required_unless_present = "fetch", value_name = "TEXT")]
    pub(crate) text: Vec<String>,
}

/// Flags of `verify`.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct Verify {
    /// The receipt file, as `ask --receipt` writes it.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The model file, or its name in the folder of models [default: whichever there has the hash that the receipt names].
    #[arg(long, value_name = "FILE", conflicts_with = "no_model")]
    pub(crate) model: Option<PathBuf>,
    /// Check signatures and commitments only.
    #[arg(long)]
    pub(crate) no_model: bool,
    /// What honest machines differ by: a table that `cargo xtask calibrate` has measured.
    #[arg(long, value_name = "FILE")]
    pub(crate) calibration: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) models: Folder,
}

/// Flags of `chat`.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct Chat {
    #[command(flatten)]
    pub(crate) whom: Whom,
}

/// Flags of `status`.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) api: Api,
    /// Say of the last questions why which peer was asked.
    #[arg(long)]
    pub(crate) why: bool,
}

/// Flags of `doctor`: what `up` would be started with.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) flags: Up,
}

/// Flags of `keys`.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct Keys {
    /// Folder of the node [default: ainonymous in the folder for data].
    #[arg(long, global = true, env = "AINONYMOUS_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: KeysDo,
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysDo {
    /// Make a key; it is shown once.
    Create {
        /// Whose it is, for you.
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        limits: KeyLimits,
    },
    /// List the keys, without the keys themselves.
    List,
    /// Take a key away; a running node refuses it from then on.
    Revoke {
        /// Which.
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// What a key may do.
#[derive(Debug, Args)]
pub(crate) struct KeyLimits {
    /// Most requests in any minute [default: no limit].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) requests_per_minute: Option<u32>,
    /// Most requests at once [default: no limit].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) concurrent: Option<u32>,
    /// Days until it ends [default: never].
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub(crate) expires_days: Option<u32>,
}

/// Flags of `router`.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct Router {
    /// Where to listen (UDP); port 0 takes a free one.
    #[arg(long, env = "AINONYMOUS_ROUTER_LISTEN", value_name = "ADDRESS", default_value = "0.0.0.0:4243")]
    pub(crate) listen: std::net::SocketAddr,
    /// The address by which other machines reach this one, if it is not the one listened on.
    #[arg(long, value_name = "IP")]
    pub(crate) public_ip: Option<std::net::IpAddr>,
    /// Folder of the router's key [default: ainonymous in the folder for data].
    #[arg(long, env = "AINONYMOUS_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Most nodes that are reached here at once.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) nodes: u32,
    /// Most that one peer may send through, in MiB a second.
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) mib_per_s: u32,
}

/// Flags of `bootstrap`.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct Bootstrap {
    /// Where to listen, without TLS; port 0 takes a free one.
    #[arg(long, env = "AINONYMOUS_BOOTSTRAP_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:4000")]
    pub(crate) listen: std::net::SocketAddr,
}

/// Pace of gossip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Tuning {
    /// Across the Internet.
    Default,
    /// Loopback and private networks.
    Lan,
}

/// Whether the home router is asked for a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PortMapping {
    /// If the node serves and has no address that others reach.
    #[default]
    Auto,
    /// Never.
    Off,
}

/// Which way a question goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Route {
    /// The node's own model if it has it, else a peer: over a direct connection, else by signals.
    Auto,
    /// Only the node's own model.
    Local,
    /// A peer, over a connection between the nodes.
    Direct,
    /// A peer, by remote signals.
    Signals,
    /// A peer, by a sealed entry on the DHT.
    Posted,
}

impl Route {
    /// As the API spells it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Local => "local",
            Self::Direct => "direct",
            Self::Signals => "signals",
            Self::Posted => "posted",
        }
    }
}

/// How close a peer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Only {
    /// Own machines (`up --own`).
    Own,
    /// These and friends' (`up --friend`).
    Friends,
    /// These and machines on the local network.
    Lan,
}

impl Only {
    /// As the API spells it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Friends => "friends",
            Self::Lan => "lan",
        }
    }
}

/// Auditors that may see a question and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ShownAuditors {
    /// None.
    None,
    /// Those of friends (`up --friend`), and one's own (`up --own`).
    Friends,
    /// Anybody's.
    All,
}

impl ShownAuditors {
    /// As the API spells it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Friends => "friends",
            Self::All => "all",
        }
    }
}

impl From<ShownAuditors> for ShowAuditors {
    fn from(which: ShownAuditors) -> Self {
        match which {
            ShownAuditors::None => Self::None,
            ShownAuditors::Friends => Self::Friends,
            ShownAuditors::All => Self::All,
        }
    }
}

/// Layers on the GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layers {
    /// As many as fit.
    Auto,
    /// So many.
    Fixed(u32),
}

impl std::str::FromStr for Layers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            number => number.parse().map(Self::Fixed).map_err(|_| "it must be a number or `auto`".into()),
        }
    }
}

impl<'de> serde::Deserialize<'de> for Layers {
    /// A number, or the text `auto`.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged, expecting = "a number or \"auto\"")]
        enum Either {
            Number(u32),
            Text(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Number(number) => Ok(Self::Fixed(number)),
            Either::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}
