//! A node with its API and its chat page: `up` and `serve`.

use crate::args::{Layers, Tuning, Up, WORKER};
use crate::config::Config;
use crate::error::CliError;
use crate::exit::Exit;
use crate::happ::{self, Bundle};
use crate::out::Out;
use crate::{passphrase, paths, signals};
use ainonymous_api::{Api, Listener, DEFAULT_PORT};
use ainonymous_conductor::bootstrap::Bootstrap;
use ainonymous_conductor::{
    AttachOptions, ConductorOptions, EmbeddedOptions, Mode, NetworkTuning, CALL_TIMEOUT_DEFAULT,
};
use ainonymous_engine::QUEUE_MAX_DEFAULT;
use ainonymous_models::ModelError;
use ainonymous_node::{GpuLayers, LocalModelState, Node, NodeOptions, ServeOptions, Status, WorkerCommand};
use ainonymous_types::{KvType, APP_ID};
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Our origin towards a conductor that runs elsewhere.
const ORIGIN: &str = "ainonymous";
/// How often open posted requests are looked for.
const POLL_INTERVAL: Duration = Duration::from_secs(15);
/// How often `serve` looks whether there is still something to serve.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// Longest time for the API's last words after the node has stopped.
const LAST_WORDS_MAX: Duration = Duration::from_secs(2);

/// What a node is started with, after flags, environment, file and defaults are merged.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) data_dir: PathBuf,
    pub(crate) passphrase_file: Option<PathBuf>,
    pub(crate) network: Network,
    pub(crate) network_seed: Option<String>,
    pub(crate) api: SocketAddr,
    pub(crate) models: Vec<ServeOptions>,
    pub(crate) share: bool,
    /// Without a single model there is no point in running.
    pub(crate) must_serve: bool,
    pub(crate) receipt_interval: Duration,
    pub(crate) happ: Option<PathBuf>,
}

/// Which conductor, and how its peers are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    /// Another program's conductor.
    Attached { admin_url: String },
    /// Ours, in a network.
    Joined { bootstrap: String, relay: String, tuning: Tuning },
    /// Ours, alone.
    Offline,
    /// Nothing was said; only `doctor` goes on with that.
    Unsaid,
}

impl Settings {
    /// Flags and environment, then the file, then defaults. `models` are those of `serve`.
    pub(crate) fn resolve(flags: Up, models: Vec<PathBuf>, config: &Config) -> Result<Self, CliError> {
        let must_serve = !models.is_empty();
        let network = network(&flags, config);
        let files = model_files(models, &flags, config);
        let no_share = flags.no_share || config.no_share.unwrap_or(false);
        let of_model = |path: PathBuf| ServeOptions {
            path,
            name: None,
            threads: flags.threads.or(config.threads),
            gpu_layers: match flags.gpu_layers.or(config.gpu_layers) {
                None | Some(Layers::Auto) => GpuLayers::Auto,
                Some(Layers::Fixed(layers)) => GpuLayers::Fixed(layers),
            },
            context_tokens: flags.context.or(config.context),
            slots: flags.slots.or(config.slots).unwrap_or(4),
            queue_max: flags.queue.or(config.queue).unwrap_or(QUEUE_MAX_DEFAULT),
            kv_type: KvType::F16,
        };
        let files: Vec<PathBuf> = files.into_iter().map(find_model).collect::<Result<_, _>>()?;
        let models: Vec<ServeOptions> = files.into_iter().map(of_model).collect();
        let receipt_interval_ms = flags.receipt_interval_ms.or(config.receipt_interval_ms).unwrap_or(5_000);
        Ok(Self {
            data_dir: match flags.data_dir.or_else(|| config.data_dir.clone()) {
                Some(path) => path,
                None => paths::data_dir()?,
            },
            passphrase_file: flags.passphrase_file.or_else(|| config.passphrase_file.clone()),
            network,
            network_seed: flags.network_seed.or_else(|| config.network_seed.clone()).filter(|seed| !seed.is_empty()),
            api: parse_address(flags.api.as_deref().or(config.api.as_deref()))?,
            share: !no_share && !models.is_empty(),
            models,
            must_serve,
            receipt_interval: Duration::from_millis(receipt_interval_ms),
            happ: flags.happ.or_else(|| config.happ.clone()),
        })
    }
}

fn network(flags: &Up, config: &Config) -> Network {
    if let Some(admin_url) = flags.conductor.clone().or_else(|| config.conductor.clone()) {
        return Network::Attached { admin_url };
    }
    let bootstrap = flags.bootstrap.clone().or_else(|| config.bootstrap.clone());
    if flags.offline || (flags.bootstrap.is_none() && config.offline.unwrap_or(false)) {
        return Network::Offline;
    }
    let Some(bootstrap) = bootstrap else { return Network::Unsaid };
    let relay = flags.relay.clone().or_else(|| config.relay.clone()).unwrap_or_else(|| bootstrap.clone());
    let tuning = flags.network_tuning.or(config.network_tuning);
    // A relay without TLS works with the tuning for private networks only.
    let fitting = if relay.starts_with("http://") { Tuning::Lan } else { Tuning::Default };
    Network::Joined { bootstrap, relay, tuning: tuning.unwrap_or(fitting) }
}

/// Those of `serve` and of flags, else of the environment, else of the file.
fn model_files(mut models: Vec<PathBuf>, flags: &Up, config: &Config) -> Vec<PathBuf> {
    models.extend(flags.serve.iter().cloned());
    if models.is_empty() {
        let listed = std::env::var_os("AINONYMOUS_SERVE").unwrap_or_default();
        models = std::env::split_paths(&listed).filter(|path| !path.as_os_str().is_empty()).collect();
    }
    if models.is_empty() {
        models.clone_from(&config.serve);
    }
    models
}

/// A path stays one, even of a file that is not there: the node says so and goes on with the others. A name is looked
/// up in the folder for models.
fn find_model(model: PathBuf) -> Result<PathBuf, CliError> {
    let folder = paths::data_dir().map(|data| data.join("models"));
    let Some(name) = model.to_str() else { return Ok(model) };
    match ainonymous_models::resolve(name, &Vec::from_iter(folder)) {
        Ok(path) => Ok(path),
        Err(ModelError::NotFound { .. }) => Ok(model),
        Err(error) => Err(error.into()),
    }
}

/// `ADDRESS:PORT`, with or without the `http://` and path that clients of the same variable write.
fn parse_address(text: Option<&str>) -> Result<SocketAddr, CliError> {
    let Some(text) = text else { return Ok((IpAddr::V4(Ipv4Addr::LOCALHOST), DEFAULT_PORT).into()) };
    let bare = text.strip_prefix("http://").unwrap_or(text);
    let bare = bare.split('/').next().unwrap_or_default().replace("localhost:", "127.0.0.1:");
    bare.parse().map_err(|_| CliError::Value {
        value: text.to_owned(),
        what: "--api",
        problem: "it must be an address and a port, for example 127.0.0.1:11435".into(),
    })
}

/// Runs until it is told to stop, or fails.
pub(crate) async fn run(settings: Settings, out: &Out) -> Result<Exit, CliError> {
    let stop = signals::stop_token();
    let listener = ainonymous_api::bind(settings.api).await?;
    let address = listener.address();
    if settings.network == Network::Unsaid {
        return Err(CliError::NoBootstrap);
    }
    let Bundle { happ, site } = happ::load(settings.happ.as_deref())?;
    let must_serve = settings.must_serve;
    let (options, alone) = options(settings, happ, out).await?;
    let node = Node::start(options)?;
    let api = Api::new(Arc::new(node.clone()), address, site);
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
    if let Some(alone) = alone {
        alone.shutdown().await;
    }
    if result.is_ok() {
        out.event("stopped", json!({}));
    }
    result
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
        () = stop.cancelled() => return Ok(Exit::Ok),
    }
    say_what(&node.status(), out);
    tokio::select! {
        error = nothing_to_serve(node), if must_serve => Err(error),
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

/// What the node needs; alone, also a bootstrap server that nobody else knows.
async fn options(settings: Settings, happ: Vec<u8>, out: &Out) -> Result<(NodeOptions, Option<Bootstrap>), CliError> {
    let Settings {
        data_dir,
        passphrase_file,
        network,
        network_seed,
        api: _,
        models,
        share,
        must_serve: _,
        receipt_interval,
        happ: _,
    } = settings;
    let mut alone = None;
    let mode = match network {
        Network::Attached { admin_url } => Mode::Attach(AttachOptions { admin_url, origin: ORIGIN.into() }),
        Network::Unsaid => return Err(CliError::NoBootstrap),
        Network::Joined { .. } | Network::Offline => {
            let is_new = !data_dir.join("keystore").exists();
            let passphrase = passphrase::read(passphrase_file.as_deref(), is_new, out)?;
            let (bootstrap_url, relay_url, tuning) = match network {
                Network::Joined { bootstrap, relay, tuning } => (bootstrap, relay, tuning),
                _ => {
                    let server = alone.insert(Bootstrap::start((Ipv4Addr::LOCALHOST, 0).into()).await?);
                    (server.url().to_owned(), server.url().to_owned(), Tuning::Lan)
                }
            };
            let network = match tuning {
                Tuning::Default => NetworkTuning::Default,
                Tuning::Lan => NetworkTuning::Lan,
            };
            Mode::Embedded(EmbeddedOptions {
                data_dir: data_dir.clone(),
                passphrase,
                bootstrap_url,
                relay_url,
                network,
                self_validation: true,
            })
        }
    };
    let conductor =
        ConductorOptions { mode, happ, network_seed, app_id: APP_ID.into(), call_timeout: CALL_TIMEOUT_DEFAULT };
    let worker = WorkerCommand { program: own_program()?, args: vec![WORKER.into()] };
    let poll_interval = POLL_INTERVAL;
    Ok((NodeOptions { data_dir, conductor, models, share, worker, receipt_interval, poll_interval }, alone))
}

/// This program, which is also the worker's.
fn own_program() -> Result<PathBuf, CliError> {
    std::env::current_exe().map_err(|source| CliError::File { path: "ainonymous".into(), source })
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
            LocalModelState::Loading => {}
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser as _;

    fn flags(line: &str) -> Up {
        match Cli::try_parse_from(std::iter::once("ainonymous").chain(line.split_whitespace())).unwrap().command {
            Command::Up(flags) => flags,
            other => panic!("{other:?}"),
        }
    }

    fn settings(line: &str, config: &Config) -> Settings {
        Settings::resolve(flags(line), Vec::new(), config).unwrap()
    }

    #[test]
    fn flag_before_environment_before_file_before_default() {
        let config = Config { slots: Some(3), ..Config::default() };
        let slots = |line: &str, config: &Config| settings(&format!("{line} --serve ./m.gguf"), config).models[0].slots;
        assert_eq!(slots("up", &Config::default()), 4);
        assert_eq!(slots("up", &config), 3);
        // No other test reads this variable.
        std::env::set_var("AINONYMOUS_SLOTS", "2");
        assert_eq!(slots("up", &config), 2);
        assert_eq!(slots("up --slots 1", &config), 1);
        std::env::remove_var("AINONYMOUS_SLOTS");
        assert_eq!(slots("up --slots 1 --slots 5", &config), 5, "the last one counts");
    }

    #[test]
    fn the_network_is_said_or_an_error() {
        let none = Config::default();
        assert_eq!(settings("up", &none).network, Network::Unsaid);
        assert_eq!(settings("up --offline --bootstrap http://b", &none).network, Network::Offline);
        let joined = |bootstrap: &str, relay: &str, tuning| Network::Joined {
            bootstrap: bootstrap.into(),
            relay: relay.into(),
            tuning,
        };
        assert_eq!(
            settings("up --bootstrap http://b:1", &none).network,
            joined("http://b:1", "http://b:1", Tuning::Lan)
        );
        assert_eq!(
            settings("up --bootstrap https://b --relay https://r", &none).network,
            joined("https://b", "https://r", Tuning::Default)
        );
        assert_eq!(
            settings("up --bootstrap http://b --network-tuning default", &none).network,
            joined("http://b", "http://b", Tuning::Default)
        );
        let offline = Config { offline: Some(true), bootstrap: Some("http://file".into()), ..Config::default() };
        assert_eq!(settings("up", &offline).network, Network::Offline);
        assert!(matches!(settings("up --bootstrap http://flag", &offline).network, Network::Joined { .. }));
        let attached = Network::Attached { admin_url: "ws://127.0.0.1:1".into() };
        assert_eq!(settings("up --conductor ws://127.0.0.1:1", &none).network, attached);
    }

    #[test]
    fn models_of_flags_and_of_serve() {
        let none = Config::default();
        assert!(settings("up", &none).models.is_empty());
        assert!(!settings("up", &none).share, "nothing to share");
        let up = settings("up --serve ./a.gguf --serve ./b.gguf --gpu-layers 7 --context 512 --queue 0", &none);
        assert_eq!(up.models.len(), 2);
        assert!(up.share && !up.must_serve);
        assert_eq!(up.models[1].path, PathBuf::from("./b.gguf"));
        assert_eq!(up.models[0].gpu_layers, GpuLayers::Fixed(7));
        assert_eq!((up.models[0].context_tokens, up.models[0].queue_max), (Some(512), 0));
        assert!(!settings("up --serve ./a.gguf --no-share", &none).share);
        assert!(Settings::resolve(Up::default(), vec!["./a.gguf".into()], &none).unwrap().must_serve);
    }

    #[test]
    fn addresses_as_people_write_them() {
        let address = |text: &str| parse_address(Some(text)).map(|a| a.to_string());
        assert_eq!(parse_address(None).unwrap().to_string(), "127.0.0.1:11435");
        for text in ["127.0.0.1:80", "http://127.0.0.1:80", "http://localhost:80/v1", "localhost:80"] {
            assert_eq!(address(text).unwrap(), "127.0.0.1:80", "{text}");
        }
        for text in ["", "11435", "127.0.0.1", "example.com:80"] {
            assert_eq!(address(text).unwrap_err().exit(), Exit::Usage, "{text}");
        }
    }
}
