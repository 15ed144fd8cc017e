//! Everything that can end the program, with a stable code, a hint and an exit code.

use crate::exit::Exit;
use crate::network::NetworkError;
use ainonymous_api::keys::KeyError;
use ainonymous_api::{ListenError, SiteError};
use ainonymous_conductor::ConductorError;
use ainonymous_models::{ModelError, PullError};
use ainonymous_node::NodeError;
use ainonymous_transport::ConnectError;
use ainonymous_verify::invite::InviteTextError;
use ainonymous_verify::Breach;
use serde_json::{json, Value};
use std::path::PathBuf;

/// Why the program ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// Flags.
    #[error("{problem}")]
    Usage {
        /// What clap says.
        problem: String,
    },
    /// A file cannot be read; the reason names it.
    #[error("{source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The configuration file makes no sense.
    #[error("{path}: {problem}")]
    Config {
        /// Which.
        path: PathBuf,
        /// Which key, which line.
        problem: String,
    },
    /// A router cannot listen, or its key cannot be used.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A value makes no sense.
    #[error("'{value}' cannot be used as {what}: {problem}")]
    Value {
        /// As given.
        value: String,
        /// Which flag.
        what: &'static str,
        /// Why.
        problem: String,
    },
    /// No folder for data is known.
    #[error("no folder for data is known: HOME is not set")]
    NoHome,
    /// Nobody can be found without it.
    #[error("no bootstrap server is given")]
    NoBootstrap,
    /// The program was built without it.
    #[error("this program was built without the hApp")]
    NoHapp,
    /// No passphrase, and nobody to ask.
    #[error("no passphrase is given, and there is no terminal to ask on")]
    NoPassphrase,
    /// The passphrase has no characters.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// Typed differently the second time.
    #[error("the two passphrases differ")]
    PassphrasesDiffer,
    /// The address of the API.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// API keys.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The text of an invite.
    #[error(transparent)]
    Invite(#[from] InviteTextError),
    /// A rule of networks, invites or entries.
    #[error(transparent)]
    Breach(#[from] Breach),
    /// A network of this node.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The chat page.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// The node.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// Conductor, bundle or bootstrap server.
    #[error(transparent)]
    Conductor(#[from] ConductorError),
    /// No model file of that name, or it cannot be pulled.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The API stopped serving.
    #[error("the API stopped: {problem}")]
    ApiStopped {
        /// Why.
        problem: String,
    },
    /// `serve`, and nothing to serve.
    #[error("no model could be loaded; {id}: {problem}")]
    NoModelLoaded {
        /// The first one.
        id: String,
        /// Its code.
        code: &'static str,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// Nothing listens there.
    #[error("no node answers at {url}")]
    NoNode {
        /// Where.
        url: String,
    },
    /// Something listens there that is no node.
    #[error("what answers at {url} is no node: {problem}")]
    NotANode {
        /// Where.
        url: String,
        /// What it said.
        problem: String,
    },
    /// The connection broke.
    #[error("the connection to {url} broke: {problem}")]
    Broken {
        /// Where.
        url: String,
        /// How.
        problem: String,
    },
    /// The node says no.
    #[error("{message}")]
    Api {
        /// HTTP status, or 200 in the middle of an answer.
        status: u16,
        /// Its code.
        code: String,
        /// Its words.
        message: String,
        /// Its hint.
        hint: String,
    },
    /// The question cannot be read.
    #[error("cannot read the question from stdin: {source}")]
    Stdin {
        /// Why.
        source: std::io::Error,
    },
    /// The terminal fails.
    #[error("the terminal cannot be used: {problem}")]
    Terminal {
        /// Why.
        problem: String,
    },
    /// The operating system gives no threads.
    #[error("cannot start: {source}")]
    Runtime {
        /// Why.
        source: std::io::Error,
    },
}

impl CliError {
    /// Stable name of the error.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::Usage { .. } => "usage",
            Self::File { .. } => "unreadable_file",
            Self::Config { .. } => "invalid_config",
            Self::Value { .. } => "invalid_value",
            Self::NoHome => "no_home",
            Self::NoBootstrap => "no_bootstrap",
            Self::NoHapp => "no_happ",
            Self::NoPassphrase => "no_passphrase",
            Self::EmptyPassphrase => "empty_passphrase",
            Self::PassphrasesDiffer => "passphrases_differ",
            Self::Listen(e) => e.code(),
            Self::Key(e) => e.code(),
            Self::Invite(e) => e.code(),
            Self::Breach(e) => e.code(),
            Self::Network(e) => e.code(),
            Self::Site(e) => e.code(),
            Self::Node(e) => e.code(),
            Self::Connect(e) => e.code(),
            Self::Conductor(e) => e.code(),
            Self::Model(e) => e.code(),
            Self::ApiStopped { .. } => "api_stopped",
            Self::NoModelLoaded { code, .. } => code,
            Self::NoNode { .. } => "no_node",
            Self::NotANode { .. } => "not_a_node",
            Self::Broken { .. } => "connection_broken",
            Self::Api { code, .. } => code,
            Self::Stdin { .. } => "unreadable_stdin",
            Self::Terminal { .. } => "terminal",
            Self::Runtime { .. } => "no_runtime",
        }
    }

    /// What the caller can do.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::Usage { .. } => "`ainonymous --help` lists subcommands and flags".into(),
            Self::File { path, .. } => format!("check that {} exists and that you may read it", path.display()),
            Self::Config { .. } => "correct the file; `ainonymous up --help` lists the values".into(),
            Self::Value { what, .. } => format!("correct {what}"),
            Self::NoHome => "say where with --data-dir".into(),
            Self::NoBootstrap => {
                "run `ainonymous bootstrap` on a machine that all nodes reach and give its address with --bootstrap URL, \
                 find them on the local network with --lan, or try it alone with --offline"
                    .into()
            }
            Self::NoHapp => "run `cargo xtask build`, or give one with --happ FILE".into(),
            Self::NoPassphrase => "give one with --passphrase-file FILE or in AINONYMOUS_PASSPHRASE".into(),
            Self::EmptyPassphrase => "choose one that nobody guesses".into(),
            Self::PassphrasesDiffer => "start again and type the same one twice".into(),
            Self::Listen(e) => e.hint(),
            Self::Key(e) => e.hint(),
            Self::Invite(e) => e.hint().into(),
            Self::Breach(e) => e.hint().into(),
            Self::Network(e) => e.hint(),
            Self::Site(e) => e.hint().into(),
            Self::Node(e) => e.hint(),
            Self::Connect(e) => e.hint().into(),
            Self::Conductor(e) => e.hint(),
            Self::Model(e) => e.hint(),
            Self::ApiStopped { .. } => "start the node again".into(),
            Self::NoModelLoaded { hint, .. } => hint.clone(),
            Self::NoNode { .. } => "start one with `ainonymous up`, or say where it is with --api URL".into(),
            Self::NotANode { .. } => "say where the node is with --api URL".into(),
            Self::Broken { .. } => "ask again; `ainonymous status` says whether the node still runs".into(),
            Self::Api { hint, .. } => hint.clone(),
            Self::Stdin { .. } => "send UTF-8 text".into(),
            Self::Terminal { .. } => "use `ainonymous ask` in scripts".into(),
            Self::Runtime { .. } => "free some memory or threads, then start again".into(),
        }
    }

    /// Exit code.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage { .. } | Self::File { .. } | Self::Config { .. } | Self::Value { .. } | Self::NoBootstrap => {
                Exit::Usage
            }
            Self::Invite(_) | Self::Breach(_) => Exit::Usage,
            Self::Network(e) => e.exit(),
            Self::NoHome => Exit::DataDir,
            Self::NoPassphrase | Self::EmptyPassphrase | Self::PassphrasesDiffer => Exit::Passphrase,
            Self::Listen(e) => Exit::of_code(e.code()),
            Self::Key(KeyError::Damaged { .. }) => Exit::DataDir,
            Self::Key(_) => Exit::Usage,
            Self::Node(NodeError::Conductor(e)) | Self::Conductor(e) => match Exit::of_code(e.code()) {
                Exit::Other => Exit::Conductor,
                exit => exit,
            },
            Self::Node(e) => Exit::of_code(e.code()),
            Self::Connect(e) => Exit::of_code(e.code()),
            Self::Model(ModelError::Pull(e)) => Exit::of_code(e.code()),
            Self::NoModelLoaded { .. } | Self::Model(_) => Exit::BadModel,
            Self::NoNode { .. } | Self::NotANode { .. } | Self::Broken { .. } => Exit::NotReady,
            Self::Api { status: 400 | 413, .. } => Exit::Usage,
            Self::Api { code, status, .. } => match (Exit::of_code(code), status) {
                (Exit::Other | Exit::Conductor, 503) => Exit::NotReady,
                (exit, _) => exit,
            },
            Self::NoHapp | Self::Site(_) | Self::ApiStopped { .. } | Self::Stdin { .. } => Exit::Other,
            Self::Terminal { .. } | Self::Runtime { .. } => Exit::Other,
        }
    }

    /// The error as an object.
    pub(crate) fn to_json(&self) -> Value {
        json!({ "code": self.code(), "message": self.to_string(), "hint": self.hint() })
    }
}

impl From<PullError> for CliError {
    fn from(error: PullError) -> Self {
        Self::Model(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_their_exit_codes() {
        let api =
            |status, code: &str| CliError::Api { status, code: code.into(), message: "m".into(), hint: "h".into() };
        let wrong = ConductorError::WrongPassphrase { data_dir: "d".into() };
        let cases = [
            (CliError::NoBootstrap, Exit::Usage),
            (CliError::NoPassphrase, Exit::Passphrase),
            (CliError::NoNode { url: "u".into() }, Exit::NotReady),
            (CliError::Node(NodeError::DataDirInUse { path: "d".into() }), Exit::DataDir),
            (CliError::Node(NodeError::Conductor(wrong)), Exit::Passphrase),
            (CliError::Conductor(ConductorError::NotReady), Exit::NotReady),
            (CliError::Conductor(ConductorError::StartFailed { problem: "p".into() }), Exit::Conductor),
            (CliError::Listen(ListenError::PortInUse { address: ([127, 0, 0, 1], 1).into() }), Exit::PortInUse),
            (PullError::NotOnDisk { name: "n".into() }.into(), Exit::BadModel),
            (PullError::NoGguf { repo: "r".into() }.into(), Exit::NoProvider),
            (PullError::Stalled { host: "h".into(), seconds: 1 }.into(), Exit::Other),
            (api(404, "model_not_found"), Exit::NoProvider),
            (api(504, "provider_silent"), Exit::NoProvider),
            (api(400, "empty_prompt"), Exit::Usage),
            (api(413, "prompt_too_large"), Exit::Usage),
            (api(503, "not_ready"), Exit::NotReady),
            (api(500, "worker_crashed"), Exit::Other),
        ];
        for (error, exit) in cases {
            assert_eq!(error.exit(), exit, "{error}");
            assert!(!error.hint().is_empty());
        }
    }
}
