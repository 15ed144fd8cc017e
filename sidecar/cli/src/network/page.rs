//! The same from the node's page: a running node that keeps its passphrase can make, join and invite without being stopped.
//! It must not know HTTP; who may ask is decided before (`ainonymous_api`).

use super::desk::{self, parse_agent, parse_target, Desk, Made, Plan};
use super::file::Member;
use super::{qr, words, NetworkError};
use crate::error::CliError;
use ainonymous_api::{
    InviteWish, MadeInvite, NetworkList, NetworkRefused, NetworkView, Networks, NewNetwork, Revocation,
};
use ainonymous_conductor::Passphrase;
use async_trait::async_trait;
use std::path::PathBuf;
use tokio::sync::Mutex;

const SECOND_US: i64 = 1_000_000;

/// Networks of a running node.
pub(crate) struct PageNetworks {
    /// The node's folder, above those of its networks.
    pub(crate) data_dir: PathBuf,
    /// What opened its keys; none where the conductor is another program's.
    pub(crate) passphrase: Option<Passphrase>,
    /// The network that runs.
    pub(crate) running: Option<String>,
    /// Where nodes find each other, and who forwards: for new networks that do not say.
    pub(crate) servers: (Option<String>, Option<String>),
    /// One change at a time: files are read, changed and written.
    pub(crate) changing: Mutex<()>,
}

impl PageNetworks {
    /// What gives the passphrase; none where there are no keys of our own.
    fn keys(&self) -> Result<impl Fn(bool) -> Result<Passphrase, CliError> + Send + Sync, CliError> {
        let passphrase = self.passphrase.clone().ok_or(NetworkError::Attached)?;
        Ok(move |_| Ok(passphrase.clone()))
    }

    async fn created(&self, wish: NewNetwork) -> Result<NetworkView, CliError> {
        let NewNetwork { name, kind, work_bits, bootstrap } = wish;
        let (keys, _one) = (self.keys()?, self.changing.lock().await);
        let usual = (self.servers.0.as_deref(), self.servers.1.as_deref());
        let (bootstrap, relay) = desk::servers(kind, (bootstrap, None), usual)?;
        let plan = Plan { name, kind, work_bits, bootstrap, relay, founders: Vec::new() };
        words::view(&Desk { data_dir: &self.data_dir, passphrase: &keys }.create(plan).await?)
    }

    async fn joined(&self, invite: &str) -> Result<NetworkView, CliError> {
        let (keys, _one) = (self.keys()?, self.changing.lock().await);
        words::view(&Desk { data_dir: &self.data_dir, passphrase: &keys }.join(invite).await?)
    }

    async fn made(&self, wish: InviteWish) -> Result<MadeInvite, CliError> {
        let InviteWish { network, lasts_s, agent } = wish;
        let agent = agent.map(|text| parse_agent(&text, "agent")).transpose()?;
        let (keys, _one) = (self.keys()?, self.changing.lock().await);
        let member = Member::find(&self.data_dir, Some(&network))?;
        let desk = Desk { data_dir: &self.data_dir, passphrase: &keys };
        let made = desk.invite(member, lasts_s.saturating_mul(SECOND_US), agent).await?;
        let Made { member, text, terms } = made;
        let (key, expires_at) = terms.map(|(key, end)| (key.to_hex(), end)).unwrap_or_default();
        // Upper case takes less room in a QR code, and means the same.
        let qr = qr::rows(&text.to_ascii_uppercase()).unwrap_or_default();
        Ok(MadeInvite { network: member.label, invite: text, key, expires_at, qr })
    }

    async fn revoked(&self, network: &str, whom: &str) -> Result<Revocation, CliError> {
        let target = parse_target(whom)?;
        let (keys, _one) = (self.keys()?, self.changing.lock().await);
        let member = Member::find(&self.data_dir, Some(network))?;
        let state = Desk { data_dir: &self.data_dir, passphrase: &keys }.revoke(&member, &target)?;
        Ok(Revocation { revoked: words::target(&target), state: words::state(&state) })
    }
}

#[async_trait]
impl Networks for PageNetworks {
    fn list(&self) -> Result<NetworkList, NetworkRefused> {
        let views = || Member::all(&self.data_dir)?.iter().map(words::view).collect::<Result<Vec<_>, CliError>>();
        let networks = views().map_err(refused)?;
        Ok(NetworkList { running: self.running.clone(), can_change: self.passphrase.is_some(), networks })
    }

    async fn create(&self, wish: NewNetwork) -> Result<NetworkView, NetworkRefused> {
        self.created(wish).await.map_err(refused)
    }

    async fn invite(&self, wish: InviteWish) -> Result<MadeInvite, NetworkRefused> {
        self.made(wish).await.map_err(refused)
    }

    async fn join(&self, invite: &str) -> Result<NetworkView, NetworkRefused> {
        self.joined(invite).await.map_err(refused)
    }

    async fn revoke(&self, network: &str, whom: &str) -> Result<Revocation, NetworkRefused> {
        self.revoked(network, whom).await.map_err(refused)
    }
}

/// An error as the API says it.
fn refused(error: CliError) -> NetworkRefused {
    let (code, is_ours) = match &error {
        CliError::Value { .. } => ("invalid_value", false),
        CliError::NoBootstrap => ("no_bootstrap", false),
        CliError::Invite(e) => (e.code(), false),
        CliError::Breach(e) => (e.code(), false),
        CliError::Network(e @ NetworkError::Damaged { .. }) => (e.code(), true),
        CliError::Network(e) => (e.code(), false),
        CliError::File { .. } => ("unreadable_file", true),
        CliError::Node(e) => (e.code(), true),
        CliError::Conductor(e) => (e.code(), true),
        // Nothing else is asked for here.
        _ => ("storage", true),
    };
    NetworkRefused { code, problem: error.to_string(), hint: error.hint(), is_ours }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ainonymous_types::NetworkKind;
    use std::path::Path;

    fn networks(data_dir: &Path, passphrase: Option<Passphrase>) -> PageNetworks {
        let servers = (Some("http://b:4000".to_owned()), None);
        PageNetworks { data_dir: data_dir.into(), passphrase, running: None, servers, changing: Mutex::default() }
    }

    fn circle() -> NewNetwork {
        NewNetwork { name: "Reading circle".into(), kind: NetworkKind::Private, work_bits: 0, bootstrap: None }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_network_is_made_invited_to_joined_and_left_without_the_command_line() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let founder = networks(here.path(), Some(Passphrase::cheap("p")));
        let joiner = networks(there.path(), Some(Passphrase::cheap("q")));
        let made = founder.create(circle()).await.unwrap();
        assert_eq!((made.network.as_str(), made.bootstrap.as_str()), ("reading-circle", "http://b:4000"));
        assert!(made.is_founder);
        assert_eq!(founder.create(circle()).await.unwrap_err().code, "network_exists");

        let wish = InviteWish { network: made.network.clone(), lasts_s: 3_600, agent: None };
        let invite = founder.invite(wish.clone()).await.unwrap();
        assert!(invite.qr.len() > 21 && invite.expires_at > words::now_us());
        let joined = joiner.join(&invite.invite).await.unwrap();
        assert_eq!((joined.id.as_str(), joined.is_founder), (made.id.as_str(), false));
        assert_eq!(joined.invite.as_deref(), Some(invite.key.as_str()));
        assert_eq!(joiner.join(&invite.invite).await.unwrap_err().code, "already_member");
        assert_eq!(joiner.join("ainonymous-invite:aaaa").await.unwrap_err().code, "invite_damaged");
        let other = InviteWish { agent: Some("nobody".into()), ..wish.clone() };
        assert_eq!(founder.invite(other).await.unwrap_err().code, "invalid_value");

        let not_founder = joiner.invite(InviteWish { network: joined.network.clone(), ..wish }).await.unwrap_err();
        assert_eq!((not_founder.code, not_founder.is_ours), ("not_a_founder", false));
        let revoked = founder.revoke("reading-circle", &invite.key).await.unwrap();
        assert_eq!((revoked.revoked.as_str(), revoked.state), (invite.key.as_str(), "waiting"));
        assert_eq!(joiner.revoke(&joined.network, &made.agent).await.unwrap_err().code, "not_a_founder");

        let list = founder.list().unwrap();
        assert_eq!((list.can_change, list.networks.len()), (true, 1));
        assert_eq!((list.networks[0].issued.len(), list.networks[0].revoked.len()), (1, 1));
        assert!(!serde_json::to_string(&list).unwrap().contains("ainonymous-invite"), "no secret is listed");
    }

    #[tokio::test]
    async fn without_keys_of_its_own_a_node_can_only_look() {
        let dir = tempfile::tempdir().unwrap();
        let attached = networks(dir.path(), None);
        assert!(!attached.list().unwrap().can_change);
        assert_eq!(attached.create(circle()).await.unwrap_err().code, "network_attached");
        assert_eq!(attached.join("ainonymous-invite:aaaa").await.unwrap_err().code, "network_attached");
    }
}
