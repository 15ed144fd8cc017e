//! `ainonymous network`: makes networks, invites, joins and revokes. It works on the node's folder, whether a node runs or
//! not; nothing here is published before `up`.

pub(crate) mod args;
mod error;
mod file;
mod qr;
mod words;

pub(crate) use error::NetworkError;
pub(crate) use file::Member;

use crate::config::Config;
use crate::error::CliError;
use crate::exit::Exit;
use crate::out::Out;
use crate::{passphrase, paths};
use ainonymous_conductor::keyring::{self, InviteWish, Keyring};
use ainonymous_conductor::lan;
use ainonymous_node::revocations::State;
use ainonymous_types::{AgentPubKey, NetworkKind, NetworkProperties, Revoked, NETWORK_VERSION};
use ainonymous_verify::invite::{self, Invite};
use ainonymous_verify::network::{self, Network};
use file::Issued;
use serde_json::json;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often it is looked whether a running node has published a revocation.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Most bytes of an invite that are read from stdin.
const STDIN_BYTES_MAX: u64 = 16 << 10;

/// Does what the flags say.
pub(crate) async fn run(flags: args::Network, config: &Config, out: &Out) -> Result<Exit, CliError> {
    let args::Network { place: args::Place { data_dir, passphrase_file }, command } = flags;
    let data_dir = match data_dir.or_else(|| config.data_dir.clone()) {
        Some(path) => path,
        None => paths::data_dir()?,
    };
    let passphrase_file = passphrase_file.or_else(|| config.passphrase_file.clone());
    let home = Home { data_dir, passphrase_file, out };
    match command {
        args::NetworkDo::Create(flags) => home.create(flags, config).await?,
        args::NetworkDo::List => home.list()?,
        args::NetworkDo::Show(which) => home.show(&which)?,
        args::NetworkDo::Invite(flags) => home.invite(flags).await?,
        args::NetworkDo::Join(flags) => home.join(flags).await?,
        args::NetworkDo::Revoke(flags) => home.revoke(flags).await?,
        args::NetworkDo::Agent => home.agent().await?,
    }
    Ok(Exit::Ok)
}

/// Where networks are, what opens the keys, and where words go.
struct Home<'a> {
    data_dir: PathBuf,
    passphrase_file: Option<PathBuf>,
    out: &'a Out,
}

impl Home<'_> {
    async fn create(&self, flags: args::Create, config: &Config) -> Result<(), CliError> {
        let args::Create { name, private: _, lan, public, bootstrap, relay, founder } = flags;
        let kind = match (lan, public) {
            (true, _) => NetworkKind::Lan,
            (_, true) => NetworkKind::Public,
            _ => NetworkKind::Private,
        };
        // What the file names is for networks across the Internet.
        let (bootstrap, relay) = match (kind, bootstrap) {
            (NetworkKind::Lan, None) if relay.is_none() => (lan::ON_THE_LAN.to_owned(), None),
            (_, bootstrap) => {
                let bootstrap = bootstrap.or_else(|| config.bootstrap.clone()).ok_or(CliError::NoBootstrap)?;
                (bootstrap, relay.or_else(|| config.relay.clone()))
            }
        };
        if kind == NetworkKind::Lan {
            lan::check_server("bootstrap", &bootstrap)?;
            relay.as_deref().map_or(Ok(()), |relay| lan::check_server("relay", relay))?;
        }
        let others = founder.iter().map(|text| parse_agent(text, "--founder")).collect::<Result<Vec<_>, _>>()?;
        network::bounds(&network::public(&name))?;
        let label = file::to_label(&name);
        if Member::all(&self.data_dir)?.iter().any(|member| member.label == label) {
            return Err(NetworkError::Exists { name: label }.into());
        }
        let agent = self.keyring().await?.new_agent().await?;
        let founders = match kind {
            NetworkKind::Public => Vec::new(),
            NetworkKind::Private | NetworkKind::Lan => std::iter::once(agent.clone()).chain(others).collect(),
        };
        let seed = keyring::new_seed();
        let network = Network::new(NetworkProperties { version: NETWORK_VERSION, name, kind, founders }, &seed)?;
        let (label, folder) = Member::place(&self.data_dir, &network)?;
        let (proof, issued) = (None, Vec::new());
        let member = Member { label, folder, network, seed, bootstrap, relay, agent, proof, issued };
        // Nobody could be invited with an address that no invite can hold.
        words::sample(&member).addresses()?;
        member.save()?;
        self.shown(&member)?;
        self.out.talk(&format!(
            "nothing is published yet: start it with `ainonymous up --network {0}`, invite with `ainonymous network invite {0}`",
            member.label
        ));
        Ok(())
    }

    fn list(&self) -> Result<(), CliError> {
        let all = Member::all(&self.data_dir)?;
        if self.out.is_json() {
            let networks = all.iter().map(words::object).collect::<Result<Vec<_>, _>>()?;
            self.out.object(&json!({ "networks": networks }));
        } else if all.is_empty() {
            self.out.talk("there is no network; make one with `ainonymous network create NAME`");
        } else {
            all.iter().for_each(|member| self.out.line(&words::line(member)));
        }
        Ok(())
    }

    fn show(&self, which: &args::Which) -> Result<(), CliError> {
        self.shown(&Member::find(&self.data_dir, which.network.as_deref())?)
    }

    async fn invite(&self, flags: args::Invite) -> Result<(), CliError> {
        let args::Invite { which, expires, agent, qr } = flags;
        let lasts_us = words::duration_us(&expires)?;
        let agent = agent.map(|text| parse_agent(&text, "--for")).transpose()?;
        let mut member = Member::find(&self.data_dir, which.network.as_deref())?;
        let pass = match member.network.is_open() {
            true => None,
            false if !member.is_founder() => return Err(NetworkError::NotFounder { name: member.label }.into()),
            false => {
                let (network, founder) = (member.network.id, member.agent.clone());
                let expires_at = words::now_us().saturating_add(lasts_us);
                let wish = InviteWish { network, founder, expires_at, agent };
                Some(self.keyring().await?.invite(wish).await?)
            }
        };
        let terms = pass.as_ref().map(|pass| pass.terms.clone());
        let text = Invite { pass, ..words::sample(&member) }.to_text()?;
        if let Some(terms) = &terms {
            let agent = terms.agent.as_ref().map(ToString::to_string);
            member.issued.push(Issued { key: terms.key.to_hex(), expires_at: terms.expires_at, agent });
            member.save()?;
        }
        if self.out.is_json() {
            let (key, expires_at) = (terms.as_ref().map(|t| t.key.to_hex()), terms.as_ref().map(|t| t.expires_at));
            self.out.object(&json!({ "network": member.label, "invite": text, "key": key, "expires_at": expires_at }));
        } else {
            self.out.line(&text);
        }
        self.talk_of_invite(&text, terms.is_some(), qr);
        Ok(())
    }

    fn talk_of_invite(&self, text: &str, is_secret: bool, qr: bool) {
        if qr || (!self.out.is_json() && self.out.talks_to_a_terminal()) {
            // Upper case takes less room in a QR code, and means the same.
            match qr::draw(&text.to_ascii_uppercase()) {
                Some(code) => self.out.talk(&code),
                None => self.out.talk("the invite is too long for a QR code"),
            }
        }
        match is_secret {
            true => self.out.talk("whoever has this text can join: send it on a way that only its receiver reads"),
            false => self.out.talk("the network is public: this says where it is, and admits everybody"),
        }
    }

    async fn join(&self, flags: args::Join) -> Result<(), CliError> {
        let text = if flags.invite == "-" { self.read_stdin()? } else { flags.invite };
        let Invite { properties, seed, bootstrap, relay, pass } = Invite::from_text(&text)?;
        let network = Network::new(properties, &seed)?;
        let (label, folder) = Member::place(&self.data_dir, &network)?;
        if network.properties.kind == NetworkKind::Lan {
            lan::check_server("bootstrap", &bootstrap)?;
            relay.as_deref().map_or(Ok(()), |relay| lan::check_server("relay", relay))?;
        }
        let keyring = self.keyring().await?;
        let agent = match pass.as_ref().and_then(|pass| pass.terms.agent.clone()) {
            Some(agent) if keyring.has(&agent).await? => agent,
            Some(agent) => return Err(NetworkError::NotForUs { agent: agent.to_string() }.into()),
            None => match self.own_founder(&keyring, &network).await? {
                Some(founder) => founder,
                None => keyring.new_agent().await?,
            },
        };
        let now = words::now_us();
        let proof = pass.map(|pass| keyring::accept(&network, &pass, &agent, now)).transpose()?;
        let member = Member { label, folder, network, seed, bootstrap, relay, agent, proof, issued: Vec::new() };
        member.save()?;
        self.shown(&member)?;
        self.out.talk(&format!(
            "nothing is published yet: start it with `ainonymous up --network {}` before the invite ends",
            member.label
        ));
        Ok(())
    }

    /// A founder of the network whose key is here, because `network create --founder` named it elsewhere.
    async fn own_founder(&self, keyring: &Keyring, network: &Network) -> Result<Option<AgentPubKey>, CliError> {
        for founder in &network.properties.founders {
            if keyring.has(founder).await? {
                return Ok(Some(founder.clone()));
            }
        }
        Ok(None)
    }

    async fn revoke(&self, flags: args::Revoke) -> Result<(), CliError> {
        let args::Revoke { whom, network, wait_ms } = flags;
        let target = parse_target(&whom)?;
        let member = Member::find(&self.data_dir, network.as_deref())?;
        if member.network.is_open() {
            return Err(NetworkError::Public { name: member.label }.into());
        }
        if !member.is_founder() {
            return Err(NetworkError::NotFounder { name: member.label }.into());
        }
        let revocations = member.revocations();
        let mut state = revocations.wish(&target)?;
        let until = Instant::now() + Duration::from_millis(wait_ms);
        while state == State::Waiting && Instant::now() < until {
            tokio::time::sleep(LOOK_EVERY).await;
            state = revocations.get(&target)?.unwrap_or(State::Waiting);
        }
        if let State::Refused { problem } = state {
            return Err(NetworkError::RevocationRefused { problem }.into());
        }
        match self.out.is_json() {
            true => self.out.object(&json!({ "revoked": words::target(&target), "state": words::state(&state) })),
            false => self.out.line(&format!("{} {}", words::state(&state), words::target(&target))),
        }
        if state == State::Waiting {
            let name = &member.label;
            self.out.talk(&format!("it is published as soon as a node runs with `ainonymous up --network {name}`"));
        }
        Ok(())
    }

    async fn agent(&self) -> Result<(), CliError> {
        let agent = self.keyring().await?.new_agent().await?.to_string();
        match self.out.is_json() {
            true => self.out.object(&json!({ "agent": agent })),
            false => self.out.line(&agent),
        }
        Ok(())
    }

    fn shown(&self, member: &Member) -> Result<(), CliError> {
        match self.out.is_json() {
            true => self.out.object(&words::object(member)?),
            false => words::lines(member)?.iter().for_each(|line| self.out.line(line)),
        }
        Ok(())
    }

    async fn keyring(&self) -> Result<Keyring, CliError> {
        let is_new = !Keyring::folder(&self.data_dir).exists();
        let passphrase = passphrase::read(self.passphrase_file.as_deref(), is_new, self.out)?;
        Ok(Keyring::open(&self.data_dir, &passphrase).await?)
    }

    fn read_stdin(&self) -> Result<String, CliError> {
        let mut text = String::new();
        let read = std::io::stdin().take(STDIN_BYTES_MAX).read_to_string(&mut text);
        read.map(|_| text).map_err(|source| CliError::Stdin { source })
    }
}

fn parse_agent(text: &str, what: &'static str) -> Result<AgentPubKey, CliError> {
    AgentPubKey::try_from(text).map_err(|_| CliError::Value {
        value: text.to_owned(),
        what,
        problem: "an agent begins with uhCAk; `ainonymous network agent` prints one".into(),
    })
}

/// An agent, an invite, or the key of one.
fn parse_target(text: &str) -> Result<Revoked, CliError> {
    if text.to_ascii_lowercase().starts_with(invite::PREFIX) {
        let pass = Invite::from_text(text)?.pass;
        return pass.map(|pass| Revoked::Invite(pass.terms.key)).ok_or_else(|| CliError::Value {
            value: "this invite".into(),
            what: "AGENT|INVITE",
            problem: "it is to a public network".into(),
        });
    }
    match words::parse_key(text) {
        Some(key) => Ok(Revoked::Invite(key)),
        None => parse_agent(text, "AGENT|INVITE").map(Revoked::Agent),
    }
}
