//! `ainonymous network`: makes networks, invites, joins and revokes. It works on the node's folder, whether a node runs or
//! not; nothing here is published before `up`.

pub(crate) mod args;
mod desk;
mod error;
mod file;
mod page;
mod qr;
mod words;

pub(crate) use error::NetworkError;
pub(crate) use file::Member;
pub(crate) use page::PageNetworks;
pub(crate) use words::work;

use crate::config::Config;
use crate::error::CliError;
use crate::exit::Exit;
use crate::out::Out;
use crate::{passphrase, paths};
use ainonymous_conductor::Passphrase;
use ainonymous_node::revocations::State;
use ainonymous_types::NetworkKind;
use desk::{parse_agent, parse_target, AskPassphrase, Desk, Made, Plan};
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
        let args::Create { name, private: _, lan, public, work_bits, bootstrap, relay, founder } = flags;
        let kind = match (lan, public) {
            (true, _) => NetworkKind::Lan,
            (_, true) => NetworkKind::Public,
            _ => NetworkKind::Private,
        };
        let usual = (config.bootstrap.as_deref(), config.relay.as_deref());
        let (bootstrap, relay) = desk::servers(kind, (bootstrap, relay), usual)?;
        let founders = founder.iter().map(|text| parse_agent(text, "--founder")).collect::<Result<Vec<_>, _>>()?;
        let plan = Plan { name, kind, work_bits, bootstrap, relay, founders };
        let member = self.desk(&self.ask_passphrase()).create(plan).await?;
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
        let member = Member::find(&self.data_dir, which.network.as_deref())?;
        let Made { member, text, terms } = self.desk(&self.ask_passphrase()).invite(member, lasts_us, agent).await?;
        if self.out.is_json() {
            let (key, expires_at) = terms.map(|(key, end)| (key.to_hex(), end)).unzip();
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
            false => self.out.talk("the network is public: this says where it is, and is no secret"),
        }
    }

    async fn join(&self, flags: args::Join) -> Result<(), CliError> {
        let text = if flags.invite == "-" { self.read_stdin()? } else { flags.invite };
        let member = self.desk(&self.ask_passphrase()).join(&text).await?;
        self.shown(&member)?;
        self.out.talk(&format!(
            "nothing is published yet: start it with `ainonymous up --network {}` before the invite ends",
            member.label
        ));
        Ok(())
    }

    async fn revoke(&self, flags: args::Revoke) -> Result<(), CliError> {
        let args::Revoke { whom, network, wait_ms } = flags;
        let target = parse_target(&whom)?;
        let member = Member::find(&self.data_dir, network.as_deref())?;
        let mut state = self.desk(&self.ask_passphrase()).revoke(&member, &target)?;
        let revocations = member.revocations();
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
        let agent = self.desk(&self.ask_passphrase()).keyring().await?.new_agent().await?.to_string();
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

    fn desk<'a>(&'a self, passphrase: &'a AskPassphrase<'a>) -> Desk<'a> {
        Desk { data_dir: &self.data_dir, passphrase }
    }

    /// Asks for the passphrase where keys are needed.
    fn ask_passphrase(&self) -> impl Fn(bool) -> Result<Passphrase, CliError> + Send + Sync + '_ {
        |is_new| passphrase::read(self.passphrase_file.as_deref(), is_new, self.out)
    }

    fn read_stdin(&self) -> Result<String, CliError> {
        let mut text = String::new();
        let read = std::io::stdin().take(STDIN_BYTES_MAX).read_to_string(&mut text);
        read.map(|_| text).map_err(|source| CliError::Stdin { source })
    }
}
