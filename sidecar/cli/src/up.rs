//! A node with its API and its chat page: `up` and `serve`.

use crate::args::{Tuning, WORKER};
use crate::error::CliError;
use crate::exit::Exit;
use crate::happ::{self, Bundle};
use crate::key_file::KeyFile;
use crate::network::{work, Member, PageNetworks};
use crate::out::Out;
use crate::settings::{Network, Settings};
use crate::{passphrase, signals};
use ainonymous_api::{Access, Api, Listener};
use ainonymous_conductor::bootstrap::Bootstrap;
use ainonymous_conductor::keyring::Keyring;
use ainonymous_conductor::lan::Meeting;
use ainonymous_conductor::{
    AttachOptions, ConductorOptions, EmbeddedOptions, Mode, NetworkTuning, Passphrase, CALL_TIMEOUT_DEFAULT,
};
use ainonymous_node::{LocalModelState, Node, NodeOptions, Status, WorkerCommand};
use ainonymous_types::APP_ID;
use ainonymous_verify::network;
use serde_json::json;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Our origin towards a conductor that runs elsewhere.
const ORIGIN: &str = "ainonymous";
/// How often `serve` looks whether there is still something to serve.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// Longest time for the API's last words after the node has stopped.
const LAST_WORDS_MAX: Duration = Duration::from_secs(2);

/// Runs until it is told to stop, or fails.
pub(crate) async fn run(settings: Settings, out: &Out) -> Result<Exit, CliError> {
    let stop = signals::stop_token();
    let keys = KeyFile::of(&settings.data_dir);
    let has_keys = !keys.load()?.keys().is_empty();
    let listener = ainonymous_api::bind(settings.api, has_keys).await?;
    let address = listener.address();
    if settings.network == Network::Unsaid {
        return Err(CliError::NoBootstrap);
    }
    settings.member.as_ref().map_or(Ok(()), Member::may_start)?;
    if let Some(bits) = settings.member.as_ref().and_then(Member::work_ahead) {
        out.talk(&format!("this network asks for work before it lets in somebody new: {}", work(bits)));
    }
    let Bundle { happ, site } = happ::load(settings.happ.as_deref())?;
    let must_serve = settings.must_serve;
    let access = access(&settings, keys, has_keys, out);
    let mut networks = networks(&settings);
    let (options, servers, passphrase) = options(settings, happ, out).await?;
    networks.passphrase = passphrase;
    let node = Node::start(options)?;
    let api = Api::new(Arc::new(node.clone()), address, site, access).with_networks(Arc::new(networks));
    say_where(&api, out);
    let end_of_api = CancellationToken::new();
    let mut server = serve(listener, api, &end_of_api);
    let result = tokio::select! {
        result = live(&node, must_serve, &stop, out) => result,
        end = &mut server => Err(CliError::ApiStopped { problem: end_of(end) }),
    };
    if result.is_ok() {
        out.talk("stopping; once more stops at once");
    }
    node.shutdown().await;
    end_of_api.cancel();
    if tokio::time::timeout(LAST_WORDS_MAX, &mut server).await.is_err() {
        server.abort();
    }
    servers.shutdown().await;
    if result.is_ok() {
        out.event("stopped", json!({}));
    }
    result
}

/// Who may use the API; says so where that is not only this machine's programs.
fn access(settings: &Settings, keys: KeyFile, has_keys: bool, out: &Out) -> Access {
    if !settings.api.ip().is_loopback() {
        out.talk(&format!(
            "warning: other machines reach {}: every request needs an API key; without TLS, keys and prompts can be read \
             on the way",
            settings.api
        ));
    }
    if settings.require_key && !has_keys {
        out.talk("warning: there is no API key yet; make one with `ainonymous keys create NAME`");
    }
    let (require_key, cors_origins) = (settings.require_key, settings.cors_origins.clone());
    Access { keys: Some(Arc::new(keys)), require_key, cors_origins }
}

/// Networks that the page can manage, before it is known what opens the keys.
fn networks(settings: &Settings) -> PageNetworks {
    let servers = match (&settings.network, &settings.member) {
        (_, Some(member)) => (Some(member.bootstrap.clone()), member.relay.clone()),
        (Network::Joined { bootstrap, relay, .. }, None) => (Some(bootstrap.clone()), Some(relay.clone())),
        (Network::Attached { .. } | Network::Lan | Network::Offline | Network::Unsaid, None) => (None, None),
    };
    PageNetworks {
        data_dir: settings.data_dir.clone(),
        passphrase: None,
        running: settings.member.as_ref().map(|member| member.label.clone()),
        // Where there is a server of its own, a relay of the same address need not be named.
        servers: (servers.0.clone(), servers.1.filter(|relay| Some(relay) != servers.0.as_ref())),
        changing: Mutex::default(),
    }
}

/// From the start to the wish to stop.
async fn live(node: &Node, must_serve: bool, stop: &CancellationToken, out: &Out) -> Result<Exit, CliError> {
    let ready = async {
        node.started().await?;
        node.announced().await;
        Ok::<_, CliError>(())
    };
    tokio::select! {
        ready = ready => ready?,
        error = nothing_to_serve(node), if must_serve => return Err(error),
        () = node.end_wanted() => return Ok(Exit::Ok),
        () = stop.cancelled() => return Ok(Exit::Ok),
    }
    say_what(&node.status(), out);
    tokio::select! {
        error = nothing_to_serve(node), if must_serve => Err(error),
        () = node.end_wanted() => Ok(Exit::Ok),
        () = stop.cancelled() => Ok(Exit::Ok),
    }
}

/// Resolves when every model has failed.
async fn nothing_to_serve(node: &Node) -> CliError {
    loop {
        if let Some(error) = every_model_failed(&node.status()) {
            return error;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

fn serve(listener: Listener, api: Api, stop: &CancellationToken) -> JoinHandle<std::io::Result<()>> {
    tokio::spawn(listener.serve(api, stop.clone()))
}

fn end_of(end: Result<std::io::Result<()>, tokio::task::JoinError>) -> String {
    match end {
        Ok(Ok(())) => "its socket was closed".into(),
        Ok(Err(e)) => e.to_string(),
        Err(e) => e.to_string(),
    }
}

/// Servers that run for this node.
#[derive(Debug, Default)]
struct Servers {
    /// One that nobody else knows.
    alone: Option<Bootstrap>,
    /// The network's on the LAN, here or elsewhere.
    meeting: Option<Meeting>,
}

impl Servers {
    async fn shutdown(self) {
        let Self { alone, meeting } = self;
        if let Some(alone) = alone {
            alone.shutdown().await;
        }
        if let Some(meeting) = meeting {
            meeting.shutdown().await;
        }
    }
}

/// Looks for the network's server on the LAN, and begins one if there is none.
async fn meet(settings: &Settings, out: &Out) -> Result<Meeting, CliError> {
    let seed = settings.network_seed.as_deref().unwrap_or_default();
    let id = match &settings.member {
        Some(member) => member.network.id,
        None => network::id(&network::public(network::DEFAULT_NAME), seed),
    };
    out.talk("looking for other nodes on the local network; this machine tells it that one is here");
    Ok(Meeting::start(&id, seed).await?)
}

/// What the node needs, what must run beside it, and what opens its keys.
async fn options(
    settings: Settings,
    happ: Vec<u8>,
    out: &Out,
) -> Result<(NodeOptions, Servers, Option<Passphrase>), CliError> {
    let mut servers = Servers::default();
    // Who types a passphrase first must not be looked for meanwhile.
    let is_new = !Keyring::folder(&settings.data_dir).exists();
    let passphrase = match settings.network {
        Network::Attached { .. } | Network::Unsaid => None,
        Network::Joined { .. } | Network::Lan | Network::Offline => {
            Some(passphrase::read(settings.passphrase_file.as_deref(), is_new, out)?)
        }
    };
    let kept = passphrase.clone();
    if settings.network == Network::Lan {
        servers.meeting = Some(meet(&settings, out).await?);
    }

    let Settings {
        data_dir,
        passphrase_file: _,
        network,
        network_seed,
        member,
        api: _,
        mut quic,
        router,
        require_key: _,
        cors_origins: _,
        models,
        must_serve: _,
        habits,
        happ: _,
    } = settings;
    // Networks share the keystore, and what is known of models; everything else is of one network.
    let hashes = data_dir.join("hashes.json");
    let keystore = member.as_ref().map(|_| Keyring::folder(&data_dir));
    let home = member.as_ref().map_or(data_dir, |member| member.folder.clone());
    let mode = match (network, passphrase) {
        (Network::Attached { admin_url }, _) => Mode::Attach(AttachOptions { admin_url, origin: ORIGIN.into() }),
        (Network::Unsaid, _) | (_, None) => return Err(CliError::NoBootstrap),
        (network @ (Network::Joined { .. } | Network::Lan | Network::Offline), Some(passphrase)) => {
            let (bootstrap_url, relay_url, tuning) = match (network, &servers.meeting) {
                (Network::Joined { bootstrap, relay, tuning }, _) => (bootstrap, relay, tuning),
                (_, Some(meeting)) => {
                    if let Some(quic) = &mut quic {
                        quic.meeting = Some(meeting.place());
                    }
                    (meeting.url(), meeting.url(), Tuning::Lan)
                }
                (_, None) => {
                    let server = servers.alone.insert(Bootstrap::start((Ipv4Addr::LOCALHOST, 0).into()).await?);
                    (server.url().to_owned(), server.url().to_owned(), Tuning::Lan)
                }
            };
            let network = match tuning {
                Tuning::Default => NetworkTuning::Default,
                Tuning::Lan => NetworkTuning::Lan,
            };
            Mode::Embedded(EmbeddedOptions {
                data_dir: home.clone(),
                keystore,
                passphrase,
                bootstrap_url,
                relay_url,
                network,
                self_validation: true,
            })
        }
    };
    let conductor = ConductorOptions {
        mode,
        happ,
        network_seed,
        network: member.as_ref().map(Member::founded),
        app_id: member.as_ref().map_or_else(|| APP_ID.into(), Member::app_id),
        call_timeout: CALL_TIMEOUT_DEFAULT,
    };
    let worker = worker()?;
    Ok((NodeOptions { data_dir: home, hashes, conductor, models, worker, habits, quic, router }, servers, kept))
}

/// How a worker is started: by this program, which is also the worker's. Where cheats are tried a node's worker is another
/// program: a line for it and each of its arguments. A build for release has no word of that.
pub(crate) fn worker() -> Result<WorkerCommand, CliError> {
    #[cfg(debug_assertions)]
    if let Ok(other) = std::env::var("AINONYMOUS_TEST_WORKER") {
        let mut words = other.lines().map(str::to_owned);
        return Ok(WorkerCommand { program: words.next().unwrap_or_default().into(), args: words.collect() });
    }
    let own = std::env::current_exe().map_err(|source| CliError::File { path: "ainonymous".into(), source })?;
    Ok(WorkerCommand { program: own, args: vec![WORKER.into()] })
}

fn say_where(api: &Api, out: &Out) {
    let (url, chat) = (api.url(), api.chat_url());
    out.event("listening", json!({ "api": url, "chat": chat }));
    out.line(&format!("api     {url}/v1"));
    out.line(&format!("chat    {chat}"));
    out.talk("starting; the API answers 503 until the node is ready");
}

fn say_what(status: &Status, out: &Out) {
    let mut ready = Vec::new();
    for model in &status.models {
        match &model.state {
            LocalModelState::Ready { .. } => ready.push(model.id.as_str()),
            LocalModelState::Loading | LocalModelState::Resting => {}
            LocalModelState::Failed { code, problem, hint } => {
                out.talk(&format!("warning: {} is not served: {problem}\nhint: {hint}", model.id));
                let fields = json!({ "model": model.id, "code": code, "message": problem, "hint": hint });
                out.event("model_failed", fields);
            }
        }
    }
    let (agent, dna_hash) = (status.agent.as_deref(), status.dna_hash.as_deref());
    out.event("ready", json!({ "agent": agent, "dna_hash": dna_hash, "models": ready }));
    out.line(&format!("agent   {}", agent.unwrap_or("none")));
    out.line(&format!("network {}", dna_hash.unwrap_or("none")));
    for model in ready {
        out.line(&format!("model   {model}"));
    }
    out.talk("ready; Ctrl-C stops");
}

/// The first model's error, if every model failed.
fn every_model_failed(status: &Status) -> Option<CliError> {
    let mut first = None;
    for model in &status.models {
        let LocalModelState::Failed { code, problem, hint } = &model.state else { return None };
        first.get_or_insert_with(|| CliError::NoModelLoaded {
            id: model.id.clone(),
            code,
            problem: problem.clone(),
            hint: hint.clone(),
        });
    }
    first
}
