//! What is done with networks of one's own, whoever asks for it: the command line or the node's page. It works on the node's
//! folder and keystore and publishes nothing; it does not talk to people.

use super::error::NetworkError;
use super::file::{to_label, Issued, Member};
use super::words;
use crate::error::CliError;
use ainonymous_conductor::keyring::{self, InviteWish, Keyring};
use ainonymous_conductor::{lan, Passphrase};
use ainonymous_node::revocations::State;
use ainonymous_types::{AgentPubKey, Bytes32, NetworkKind, NetworkProperties, Revoked, TimestampUs, NETWORK_VERSION};
use ainonymous_verify::invite::{self, Invite};
use ainonymous_verify::network::{self, Network};
use std::path::Path;

/// Gives the passphrase when keys are needed; told whether the keystore is new.
pub(super) type AskPassphrase<'a> = dyn Fn(bool) -> Result<Passphrase, CliError> + Send + Sync + 'a;

/// Where networks are, and what opens the keys.
pub(super) struct Desk<'a> {
    pub(super) data_dir: &'a Path,
    pub(super) passphrase: &'a AskPassphrase<'a>,
}

/// What a new network shall be; addresses as they were given.
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) kind: NetworkKind,
    /// Work of every new agent, in a public network.
    pub(super) work_bits: u8,
    pub(super) bootstrap: String,
    pub(super) relay: Option<String>,
    /// Besides this node.
    pub(super) founders: Vec<AgentPubKey>,
}

/// A new invite.
pub(super) struct Made {
    pub(super) member: Member,
    /// What travels. Secret, unless the network is public.
    pub(super) text: String,
    /// Key and end; none in a public network.
    pub(super) terms: Option<(Bytes32, TimestampUs)>,
}

impl Desk<'_> {
    /// Makes a network, whose founder this node is.
    pub(super) async fn create(&self, plan: Plan) -> Result<Member, CliError> {
        let Plan { name, kind, work_bits, bootstrap, relay, founders } = plan;
        if kind == NetworkKind::Lan {
            check_lan(&bootstrap, relay.as_deref())?;
        }
        network::bounds(&network::public(&name))?;
        let label = to_label(&name);
        if Member::all(self.data_dir)?.iter().any(|member| member.label == label) {
            return Err(NetworkError::Exists { name: label }.into());
        }
        let agent = self.keyring().await?.new_agent().await?;
        let founders = match kind {
            NetworkKind::Public => Vec::new(),
            NetworkKind::Private | NetworkKind::Lan => std::iter::once(agent.clone()).chain(founders).collect(),
        };
        let seed = keyring::new_seed();
        let properties = NetworkProperties { version: NETWORK_VERSION, name, kind, founders, work_bits };
        let network = Network::new(properties, &seed)?;
        let (label, folder) = Member::place(self.data_dir, &network)?;
        let (proof, issued) = (None, Vec::new());
        let member = Member { label, folder, network, seed, bootstrap, relay, agent, proof, issued };
        // Nobody could be invited with an address that no invite can hold.
        words::sample(&member).addresses()?;
        member.save()?;
        Ok(member)
    }

    /// Invites to a network: its founders, or anybody to a public one.
    pub(super) async fn invite(
        &self,
        mut member: Member,
        lasts_us: i64,
        agent: Option<AgentPubKey>,
    ) -> Result<Made, CliError> {
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
        Ok(Made { member, text, terms: terms.map(|terms| (terms.key, terms.expires_at)) })
    }

    /// Takes up an invite.
    pub(super) async fn join(&self, text: &str) -> Result<Member, CliError> {
        let Invite { properties, seed, bootstrap, relay, pass } = Invite::from_text(text)?;
        let network = Network::new(properties, &seed)?;
        let (label, folder) = Member::place(self.data_dir, &network)?;
        if network.properties.kind == NetworkKind::Lan {
            check_lan(&bootstrap, relay.as_deref())?;
        }
        let keyring = self.keyring().await?;
        let agent = match pass.as_ref().and_then(|pass| pass.terms.agent.clone()) {
            Some(agent) if keyring.has(&agent).await? => agent,
            Some(agent) => return Err(NetworkError::NotForUs { agent: agent.to_string() }.into()),
            None => match own_founder(&keyring, &network).await? {
                Some(founder) => founder,
                None => keyring.new_agent().await?,
            },
        };
        let now = words::now_us();
        let proof = pass.map(|pass| keyring::accept(&network, &pass, &agent, now)).transpose()?;
        let member = Member { label, folder, network, seed, bootstrap, relay, agent, proof, issued: Vec::new() };
        member.save()?;
        Ok(member)
    }

    /// Notes who shall be shut out; a running node publishes it.
    pub(super) fn revoke(&self, member: &Member, target: &Revoked) -> Result<State, CliError> {
        if member.network.is_open() {
            return Err(NetworkError::Public { name: member.label.clone() }.into());
        }
        if !member.is_founder() {
            return Err(NetworkError::NotFounder { name: member.label.clone() }.into());
        }
        Ok(member.revocations().wish(target)?)
    }

    pub(super) async fn keyring(&self) -> Result<Keyring, CliError> {
        let is_new = !Keyring::folder(self.data_dir).exists();
        let passphrase = (self.passphrase)(is_new)?;
        Ok(Keyring::open(self.data_dir, &passphrase).await?)
    }
}

/// A founder of the network whose key is here, because `network create --founder` named it elsewhere.
async fn own_founder(keyring: &Keyring, network: &Network) -> Result<Option<AgentPubKey>, CliError> {
    for founder in &network.properties.founders {
        if keyring.has(founder).await? {
            return Ok(Some(founder.clone()));
        }
    }
    Ok(None)
}

fn check_lan(bootstrap: &str, relay: Option<&str>) -> Result<(), CliError> {
    lan::check_server("bootstrap", bootstrap)?;
    relay.map_or(Ok(()), |relay| lan::check_server("relay", relay))?;
    Ok(())
}

/// Where the nodes of a new network find each other: as given, or on the LAN, or where it was said for all.
pub(super) fn servers(
    kind: NetworkKind,
    (bootstrap, relay): (Option<String>, Option<String>),
    (usual_bootstrap, usual_relay): (Option<&str>, Option<&str>),
) -> Result<(String, Option<String>), CliError> {
    match (kind, bootstrap) {
        // What was said for all is for networks across the Internet.
        (NetworkKind::Lan, None) if relay.is_none() => Ok((lan::ON_THE_LAN.to_owned(), None)),
        (_, bootstrap) => {
            let bootstrap = bootstrap.or_else(|| usual_bootstrap.map(str::to_owned)).ok_or(CliError::NoBootstrap)?;
            Ok((bootstrap, relay.or_else(|| usual_relay.map(str::to_owned))))
        }
    }
}

pub(super) fn parse_agent(text: &str, what: &'static str) -> Result<AgentPubKey, CliError> {
    AgentPubKey::try_from(text).map_err(|_| CliError::Value {
        value: text.to_owned(),
        what,
        problem: "an agent begins with uhCAk; `ainonymous network agent` prints one".into(),
    })
}

/// An agent, an invite, or the key of one.
pub(super) fn parse_target(text: &str) -> Result<Revoked, CliError> {
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
