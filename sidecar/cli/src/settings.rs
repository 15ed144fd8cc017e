//! What a node is started with: flags and environment, then the configuration file, then defaults.

use crate::args::{Folder, Layers, PortMapping, Tuning, Up};
use crate::config::Config;
use crate::error::CliError;
use crate::network::{Member, NetworkError};
use crate::{models, paths};
use ainonymous_api::DEFAULT_PORT;
use ainonymous_conductor::lan::ON_THE_LAN;
use ainonymous_conductor::{pack, ConductorError};
use ainonymous_engine::QUEUE_MAX_DEFAULT;
use ainonymous_models::{ModelError, ModelName};
use ainonymous_node::{
    Address, AuditHabits, Audits, DraftOptions, GpuLayers, Habits, Library, Peers, Price, QuicOptions, Region,
    RouterOptions, ServeOptions,
};
use ainonymous_types::{limits, AgentPubKey, Bytes32, DnaHash, KvType};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Models in memory at most unless told otherwise, when questions name further ones.
const MODELS_MAX_DEFAULT: u32 = 3;
/// How often open posted requests are looked for.
const POLL_INTERVAL: Duration = Duration::from_secs(15);
/// Most tokens guessed in one step unless told otherwise.
const DRAFT_TOKENS_DEFAULT: u32 = 4;

/// What a node is started with, after flags, environment, file and defaults are merged.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) data_dir: PathBuf,
    pub(crate) passphrase_file: Option<PathBuf>,
    pub(crate) network: Network,
    pub(crate) network_seed: Option<String>,
    /// A network that somebody founded; none in the public one.
    pub(crate) member: Option<Member>,
    pub(crate) api: SocketAddr,
    /// Direct connections, unless they are off.
    pub(crate) quic: Option<QuicOptions>,
    /// A router for others.
    pub(crate) router: Option<RouterOptions>,
    /// Programs of this machine need a key too.
    pub(crate) require_key: bool,
    /// Web pages that may use the API.
    pub(crate) cors_origins: Vec<String>,
    pub(crate) models: Vec<ServeOptions>,
    /// Without a single model there is no point in running.
    pub(crate) must_serve: bool,
    pub(crate) habits: Habits,
    pub(crate) happ: Option<PathBuf>,
}

/// Which conductor, and how its peers are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    /// Another program's conductor.
    Attached { admin_url: String },
    /// Ours, in a network.
    Joined { bootstrap: String, relay: String, tuning: Tuning },
    /// Ours, where nodes find each other on the local network.
    Lan,
    /// Ours, alone.
    Offline,
    /// Nothing was said; only `doctor` goes on with that.
    Unsaid,
}

impl Settings {
    /// Flags and environment, then the file, then defaults. `models` are those of `serve`.
    pub(crate) fn resolve(flags: Up, models: Vec<PathBuf>, config: &Config) -> Result<Self, CliError> {
        let must_serve = !models.is_empty();
        let data_dir = match flags.data_dir.clone().or_else(|| config.data_dir.clone()) {
            Some(path) => path,
            None => paths::data_dir()?,
        };
        let member = flags.network.as_deref().or(config.network.as_deref()).filter(|name| !name.is_empty());
        let member = member.map(|name| Member::find(&data_dir, Some(name))).transpose()?;
        let network = network(&flags, config, member.as_ref());
        if member.is_some() && matches!(network, Network::Attached { .. }) {
            return Err(NetworkError::Attached.into());
        }
        let seed = flags.network_seed.clone().or_else(|| config.network_seed.clone()).filter(|seed| !seed.is_empty());
        let router = router(&flags, config, &network)?;
        let region = region(&flags, config)?;
        let trusted_routers = trusted_routers(&flags, config)?;
        let link_age = link_age(&flags, config);
        let peers = peers(&flags, config)?;
        let files = model_files(models, &flags, config);
        let find = |model| find_model(model, &flags.models, config);
        let no_share = flags.no_share || config.no_share.unwrap_or(false);
        let draft = match flags.draft.clone().or_else(|| config.draft.clone()).map(find).transpose()? {
            Some(model_path) => {
                let tokens_max = flags.draft_tokens.or(config.draft_tokens).unwrap_or(DRAFT_TOKENS_DEFAULT);
                Some(DraftOptions { model_path, tokens_max })
            }
            None => None,
        };
        let mmproj = flags.mmproj.clone().or_else(|| config.mmproj.clone());
        if let Some(file) = mmproj.as_ref().filter(|_| files.len() > 1) {
            return Err(CliError::Value {
                value: file.display().to_string(),
                what: "--mmproj",
                problem: "it belongs to one model, and several are served: put it into the folder of its own".into(),
            });
        }
        let of_model = |path: PathBuf| ServeOptions {
            path,
            share: true,
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
            prefix_cache_bytes: flags.prefix_cache_mib.or(config.prefix_cache_mib).map(|mib| mib << 20),
            draft: draft.clone(),
            mmproj: mmproj.clone(),
        };
        let files: Vec<PathBuf> = files.into_iter().map(find).collect::<Result<_, _>>()?;
        let library = Library {
            store: models::store(&flags.models, config)?,
            serve: ServeOptions { share: false, mmproj: None, ..of_model(PathBuf::new()) },
            loaded_max: flags.models_max.or(config.models_max).unwrap_or(MODELS_MAX_DEFAULT) as usize,
        };
        let models: Vec<ServeOptions> = files.into_iter().map(of_model).collect();
        // Whoever shows an auditor an answer must reach it.
        let audits = flags.audit || config.audit.unwrap_or(false);
        let quic = quic(&flags, config, &network, audits || (!no_share && !models.is_empty()))?;
        let receipt_interval_ms = flags.receipt_interval_ms.or(config.receipt_interval_ms).unwrap_or(5_000);
        Ok(Self {
            data_dir,
            passphrase_file: flags.passphrase_file.or_else(|| config.passphrase_file.clone()),
            network,
            network_seed: member.as_ref().map(|member| member.seed.clone()).or(seed),
            member,
            quic,
            router,
            require_key: flags.require_key || config.require_key.unwrap_or(false),
            cors_origins: origins(if flags.cors_origin.is_empty() { &config.cors_origin } else { &flags.cors_origin })?,
            api: parse_address(flags.api.as_deref().or(config.api.as_deref()))?,
            habits: Habits {
                share: !no_share && !models.is_empty(),
                receipt_interval: Duration::from_millis(receipt_interval_ms),
                poll_interval: POLL_INTERVAL,
                idle_unload: flags.idle_unload_s.or(config.idle_unload_s).map(Duration::from_secs),
                library: Some(library),
                peers,
                link_age,
                region,
                trusted_routers,
                price: flags.price.or(config.price).map_or(Price(0), |credits| credits.0),
                tell_reports: flags.tell_reports || config.tell_reports.unwrap_or(false),
                audit: AuditHabits {
                    not_own: flags.no_self_audit || config.no_self_audit.unwrap_or(false),
                    role: audits,
                    every: flags.audit_every_s.or(config.audit_every_s).map(Duration::from_secs),
                    tables: if flags.calibration.is_empty() { config.calibration.clone() } else { flags.calibration },
                },
                audits_wished: Audits {
                    rate_ppm: flags.audit_rate.or(config.audit_rate).unwrap_or(0),
                    auditors_ppm: flags.auditors_drawn.or(config.auditors_drawn).unwrap_or(limits::PPM_MAX),
                    show_auditors: flags.show_auditors.or(config.show_auditors).map(Into::into).unwrap_or_default(),
                    keep: !(flags.forget_answers || config.forget_answers.unwrap_or(false)),
                },
            },
            models,
            must_serve,
            happ: flags.happ.or_else(|| config.happ.clone()),
        })
    }

    /// The DNA hash that a hApp has with these settings.
    pub(crate) async fn dna_hash(&self, happ: &[u8]) -> Result<DnaHash, ConductorError> {
        let properties = self.member.as_ref().map(|member| &member.network.properties);
        pack::dna_hash_of(happ, self.network_seed.as_deref(), properties).await
    }
}

/// What a network agreed on goes before the file, which is for all networks.
fn network(flags: &Up, config: &Config, member: Option<&Member>) -> Network {
    if let Some(admin_url) = flags.conductor.clone().or_else(|| config.conductor.clone()) {
        return Network::Attached { admin_url };
    }
    let agreed = member.map(|member| member.bootstrap.clone());
    let bootstrap = flags.bootstrap.clone().or(agreed).or_else(|| config.bootstrap.clone());
    if flags.offline || (flags.bootstrap.is_none() && config.offline.unwrap_or(false)) {
        return Network::Offline;
    }
    let by_file = flags.bootstrap.is_none() && member.is_none() && config.lan.unwrap_or(false);
    if flags.lan || by_file || bootstrap.as_deref() == Some(ON_THE_LAN) {
        return Network::Lan;
    }
    let Some(bootstrap) = bootstrap else { return Network::Unsaid };
    let agreed = member.map(|member| member.relay.clone().unwrap_or_else(|| member.bootstrap.clone()));
    let agreed = agreed.filter(|_| flags.bootstrap.is_none());
    let relay = flags.relay.clone().or(agreed).or_else(|| config.relay.clone()).unwrap_or_else(|| bootstrap.clone());
    let tuning = flags.network_tuning.or(config.network_tuning);
    // A relay without TLS works with the tuning for private networks only.
    let fitting = if relay.starts_with("http://") { Tuning::Lan } else { Tuning::Default };
    Network::Joined { bootstrap, relay, tuning: tuning.unwrap_or(fitting) }
}

/// Agents that are not like all others.
fn peers(flags: &Up, config: &Config) -> Result<Peers, CliError> {
    let agents = |what: &'static str, flags: &[String], file: &[String]| {
        let agent = |text: &String| {
            AgentPubKey::try_from(text.as_str()).map_err(|_| CliError::Value {
                value: text.clone(),
                what,
                problem: "it must be an agent key that begins with uhCAk; `ainonymous status` shows a node's own"
                    .into(),
            })
        };
        if flags.is_empty() { file } else { flags }.iter().map(agent).collect::<Result<_, _>>()
    };
    Ok(Peers {
        own: agents("--own", &flags.own, &config.own)?,
        friends: agents("--friend", &flags.friend, &config.friend)?,
        blocked: agents("--block", &flags.block, &config.block)?,
        serve_only: agents("--serve-only", &flags.serve_only, &config.serve_only)?,
    })
}

/// How long links by which nodes are found count.
fn link_age(flags: &Up, config: &Config) -> Duration {
    let default = Duration::from_micros(u64::try_from(limits::LINK_AGE_US_MAX).unwrap_or_default());
    flags.link_age_s.or(config.link_age_s).map_or(default, Duration::from_secs)
}

/// Where this node says it stands.
fn region(flags: &Up, config: &Config) -> Result<Option<Region>, CliError> {
    let text = flags.region.as_ref().or(config.region.as_ref()).filter(|text| !text.is_empty());
    let parse = |text: &String| {
        Region::parse(text).ok_or_else(|| CliError::Value {
            value: text.clone(),
            what: "--region",
            problem: "it must be 1 to 16 of a-z, 0-9 and dashes, for example eu or de".into(),
        })
    };
    text.map(parse).transpose()
}

/// Keys of routers, bare or in their addresses.
fn trusted_routers(flags: &Up, config: &Config) -> Result<Vec<Bytes32>, CliError> {
    let texts = if flags.trust_router.is_empty() { &config.trust_router } else { &flags.trust_router };
    let key = |text: &String| {
        let address = match text.contains("://") {
            true => text.clone(),
            false => format!("quic://127.0.0.1:1/via/{}", text.to_ascii_lowercase()),
        };
        match address.parse::<Address>() {
            Ok(Address::Routed { router, .. }) => Ok(router),
            Ok(Address::Direct(_)) | Err(_) => Err(CliError::Value {
                value: text.clone(),
                what: "--trust-router",
                problem: "it must be a router's key of 64 hexadecimal digits, or its address as the router prints it"
                    .into(),
            }),
        }
    };
    texts.iter().map(key).collect()
}

/// A router that this node runs, and where others reach it.
fn router(flags: &Up, config: &Config, network: &Network) -> Result<Option<RouterOptions>, CliError> {
    let Some(listen) = flags.router.as_ref().or(config.router.as_ref()).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let address = |what: &'static str, text: &String| {
        text.parse::<SocketAddr>().map_err(|_| CliError::Value {
            value: text.clone(),
            what,
            problem: "it must be an address and a port, for example 203.0.113.7:4433".into(),
        })
    };
    let reach = match network {
        Network::Joined { bootstrap, .. } => host_and_port(bootstrap),
        Network::Attached { .. } | Network::Lan | Network::Offline | Network::Unsaid => None,
    };
    let given = if flags.router_address.is_empty() { &config.router_address } else { &flags.router_address };
    let addresses = given.iter().map(|text| address("--router-address", text)).collect::<Result<_, _>>()?;
    Ok(Some(RouterOptions { listen: address("--router", listen)?, addresses, reach }))
}

/// Where direct connections come in, and what peers are told.
fn quic(flags: &Up, config: &Config, network: &Network, serves: bool) -> Result<Option<QuicOptions>, CliError> {
    let text = flags.quic.as_deref().or(config.quic.as_deref());
    let reach = match network {
        Network::Joined { bootstrap, .. } => host_and_port(bootstrap),
        Network::Attached { .. } | Network::Lan => None,
        Network::Offline | Network::Unsaid => return Ok(None),
    };
    let listen = match text {
        Some("off") => return Ok(None),
        Some(address) => Some(address.parse().map_err(|_| CliError::Value {
            value: address.to_owned(),
            what: "--quic",
            problem: "it must be an address and a port, for example 0.0.0.0:4242, or `off`".into(),
        })?),
        None => None,
    };
    let given = if flags.quic_address.is_empty() { &config.quic_address } else { &flags.quic_address };
    let parse = |what: &'static str, texts: &[String]| {
        let address = |text: &String| {
            let invalid = |problem: String| CliError::Value { value: text.clone(), what, problem };
            let address = text.parse::<Address>().map_err(|e| invalid(e.to_string()))?;
            match (what, address) {
                ("--via", Address::Direct(_)) => {
                    Err(invalid("it must be a router's address, as `ainonymous router` prints it, or `auto`".into()))
                }
                _ => Ok(address),
            }
        };
        texts.iter().map(address).collect::<Result<Vec<_>, _>>()
    };
    let addresses = parse("--quic-address", given)?;
    let via = if flags.via.is_empty() { &config.via } else { &flags.via };
    let (auto, named): (Vec<String>, Vec<String>) = via.iter().cloned().partition(|text| text == "auto");
    let via = parse("--via", &named)?;
    let mapping = flags.port_mapping.or(config.port_mapping).unwrap_or_default();
    let map_port = serves && mapping == PortMapping::Auto;
    let find_routers = !auto.is_empty();
    Ok(Some(QuicOptions { listen, addresses, via, find_routers, reach, meeting: None, map_port }))
}

/// `host:port` of an address of the web.
fn host_and_port(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next().filter(|host| !host.is_empty())?;
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let port = if scheme == "https" { 443 } else { 80 };
    Some(if has_port { host.to_owned() } else { format!("{host}:{port}") })
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

/// A path stays one, even of a file that is not there: the node says so and goes on with the others. Every other name is
/// looked up on this machine; nothing is fetched.
pub(crate) fn find_model(model: PathBuf, folder: &Folder, config: &Config) -> Result<PathBuf, CliError> {
    let Some(text) = model.to_str() else { return Ok(model) };
    let name = match ModelName::parse(text) {
        _ if model.is_file() => return Ok(model),
        Ok(ModelName::Path(_)) => return Ok(model),
        name => name.map_err(ModelError::from)?,
    };
    let files = models::store(folder, config)?.resolve(&name)?;
    Ok(files.into_iter().next().unwrap_or(model))
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

/// Origins as browsers spell them. `*` is none: whoever names every page of the web means none of them.
fn origins(texts: &[String]) -> Result<Vec<String>, CliError> {
    let origin = |text: &String| {
        let fits = text.split_once("://").is_some_and(|(scheme, rest)| {
            let of_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
            matches!(scheme, "http" | "https") && !rest.is_empty() && rest.chars().all(of_host)
        });
        match fits {
            true => Ok(text.clone()),
            false => Err(CliError::Value {
                value: text.clone(),
                what: "--cors-origin",
                problem: "it must be an origin without a path, for example https://example.org".into(),
            }),
        }
    };
    texts.iter().map(origin).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use crate::exit::Exit;
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

    fn with_server(bootstrap: &str) -> Config {
        Config { bootstrap: Some(bootstrap.into()), ..Config::default() }
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
        assert_eq!(settings("up --lan", &with_server("http://file")).network, Network::Lan);
        assert_eq!(settings("up --bootstrap lan:", &none).network, Network::Lan);
        let lan = Config { lan: Some(true), ..Config::default() };
        assert_eq!(settings("up", &lan).network, Network::Lan);
        assert!(matches!(settings("up --bootstrap http://flag", &lan).network, Network::Joined { .. }));
        assert!(settings("up --lan", &none).quic.is_some());
        let attached = Network::Attached { admin_url: "ws://127.0.0.1:1".into() };
        assert_eq!(settings("up --conductor ws://127.0.0.1:1", &none).network, attached);
    }

    #[test]
    fn direct_connections_are_on_in_a_network_unless_they_are_off() {
        let none = Config::default();
        let quic = |line: &str| settings(line, &none).quic;
        assert!(quic("up --offline").is_none());
        let joined = quic("up --bootstrap https://b.example/x").unwrap();
        assert_eq!((joined.listen, joined.reach.as_deref()), (None, Some("b.example:443")));
        assert_eq!(quic("up --bootstrap http://[::1]:4000").unwrap().reach.as_deref(), Some("[::1]:4000"));
        assert!(quic("up --bootstrap http://b:1 --quic off").is_none());
        let told =
            quic("up --bootstrap http://b:1 --quic 0.0.0.0:4242 --quic-address quic://203.0.113.7:4242").unwrap();
        assert_eq!(told.listen.unwrap().port(), 4242);
        assert_eq!(told.addresses[0].to_string(), "quic://203.0.113.7:4242");
        assert!(!told.find_routers);
        assert!(quic("up --bootstrap http://b:1 --via auto").unwrap().find_routers);
        let asks = |line: &str| quic(&format!("up --bootstrap http://b:1 {line}")).unwrap().map_port;
        assert!(asks("--serve ./a.gguf") && !asks(""), "whoever serves nothing needs no port");
        assert!(!asks("--serve ./a.gguf --port-mapping off") && !asks("--serve ./a.gguf --no-share"));
        for line in [
            "--quic 4242",
            "--quic-address 203.0.113.7:4242",
            "--quic-address quic://0.0.0.0:1",
            "--via quic://203.0.113.7:4242",
            "--router 4433",
            "--router 0.0.0.0:4433 --router-address quic://203.0.113.7:4433",
            "--trust-router quic://203.0.113.7:4433",
            "--trust-router 0f0f",
            "--region DE",
            "--region a-label-of-17-let",
        ] {
            let line = format!("up --bootstrap http://b:1 {line}");
            let error = Settings::resolve(flags(&line), Vec::new(), &none).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage, "{line}");
        }
    }

    #[test]
    fn a_router_and_what_is_believed_of_others() {
        let none = Config::default();
        assert!(settings("up --bootstrap http://b:1", &none).router.is_none());
        let key = "0f".repeat(32);
        let line = format!(
            "up --bootstrap http://b:1 --router 0.0.0.0:4433 --router-address 203.0.113.7:4433 --region eu --trust-router {key} \
             --trust-router quic://192.0.2.1:1/via/{key} --link-age-s 60"
        );
        let told = settings(&line, &none);
        let router = told.router.unwrap();
        assert_eq!((router.listen.port(), router.reach.as_deref()), (4433, Some("b:1")));
        assert_eq!(router.addresses, ["203.0.113.7:4433".parse::<SocketAddr>().unwrap()]);
        assert_eq!(told.habits.trusted_routers, [Bytes32([0x0f; 32]); 2]);
        assert_eq!(told.habits.region.unwrap().as_str(), "eu");
        assert_eq!(told.habits.link_age, Duration::from_secs(60));
        assert_eq!(settings("up --bootstrap http://b:1", &none).habits.link_age, Duration::from_secs(216_000));
    }

    #[test]
    fn models_of_flags_and_of_serve() {
        let none = Config::default();
        assert!(settings("up", &none).models.is_empty());
        assert!(!settings("up", &none).habits.share, "nothing to share");
        let up = settings("up --serve ./a.gguf --serve ./b.gguf --gpu-layers 7 --context 512 --queue 0", &none);
        assert_eq!(up.models.len(), 2);
        assert!(up.habits.share && !up.must_serve);
        assert_eq!(up.models[1].path, PathBuf::from("./b.gguf"));
        assert_eq!(up.models[0].gpu_layers, GpuLayers::Fixed(7));
        assert_eq!((up.models[0].context_tokens, up.models[0].queue_max), (Some(512), 0));
        assert!(!settings("up --serve ./a.gguf --no-share", &none).habits.share);
        assert!(Settings::resolve(Up::default(), vec!["./a.gguf".into()], &none).unwrap().must_serve);
    }

    #[test]
    fn models_by_their_names() {
        let folder = std::env::temp_dir().join(format!("ainonymous-names-{}", std::process::id()));
        let file = folder.join("org/repo/m-Q8_0.gguf");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "GGUF").unwrap();
        let found = |name: &str| {
            let line = format!("up --models-dir {} --serve {name}", folder.display());
            Settings::resolve(flags(&line), Vec::new(), &Config::default())
                .map(|settings| settings.models[0].path.clone())
        };
        for name in ["hf:org/repo", "hf:org/repo:Q8_0", "hf:org/repo/m-Q8_0.gguf", "m-q8_0", "m:q8_0"] {
            assert_eq!(found(name).unwrap(), file, "{name}");
        }
        let absent = found("hf:org/other:Q4_K_M").unwrap_err();
        assert_eq!((absent.code(), absent.exit()), ("model_not_on_disk", Exit::BadModel));
        assert!(absent.hint().contains("ainonymous pull hf:org/other:Q4_K_M"), "{}", absent.hint());
        assert_eq!(found("hf:nonsense").unwrap_err().exit(), Exit::Usage);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_projector_belongs_to_one_model() {
        let config = Config { mmproj: Some("/p/file.gguf".into()), ..Config::default() };
        let one = settings("up --serve ./m.gguf", &config);
        assert_eq!(one.models[0].mmproj, Some("/p/file.gguf".into()));
        assert_eq!(one.habits.library.unwrap().serve.mmproj, None, "of other models on disk");
        let flag = settings("up --serve ./m.gguf --mmproj p.gguf", &config);
        assert_eq!(flag.models[0].mmproj, Some("p.gguf".into()));
        let line = "up --serve ./m.gguf --serve ./n.gguf --mmproj p.gguf";
        let error = Settings::resolve(flags(line), Vec::new(), &Config::default()).unwrap_err();
        assert_eq!(error.exit(), Exit::Usage);
    }

    #[test]
    fn origins_as_browsers_spell_them() {
        let config = Config { cors_origin: vec!["http://file:1".into()], ..Config::default() };
        assert_eq!(settings("up", &config).cors_origins, ["http://file:1"]);
        let flags_line = "up --cors-origin https://a.example --cors-origin http://localhost:3000";
        assert_eq!(settings(flags_line, &config).cors_origins, ["https://a.example", "http://localhost:3000"]);
        for text in ["*", "example.org", "https://a.example/", "ftp://a", "null"] {
            let line = format!("up --cors-origin {text}");
            let error = Settings::resolve(flags(&line), Vec::new(), &Config::default()).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage, "{text}");
        }
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
