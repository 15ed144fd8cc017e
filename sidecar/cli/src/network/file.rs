//! The networks that a node has made or joined: one folder each beside the node's own, with what was agreed and later its
//! conductor and receipts. They share the keystore, and nothing else.

use super::error::NetworkError;
use super::words::now_us;
use crate::error::CliError;
use crate::private;
use ainonymous_conductor::{keyring, FoundedNetwork};
use ainonymous_node::revocations::Revocations;
use ainonymous_types::{limits, AgentPubKey, MembershipProof, NetworkKind, NetworkProperties, APP_ID};
use ainonymous_verify::network::Network;
use ainonymous_verify::{text, Breach};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Folder of networks in the node's.
const FOLDER: &str = "networks";
/// What was agreed, in the folder of a network.
const FILE: &str = "network.json";
/// What the conductor writes there once the network has admitted us.
const JOINED: &str = "network";
/// Largest file that is read.
const BYTES_MAX: u64 = 4 << 20;
/// Invites remembered; the oldest are forgotten first. Their texts can still be revoked.
const ISSUED_MAX: usize = 4_096;
/// Digits of a network's identity that tell it from another of the same name.
const ID_DIGITS: usize = 8;

/// A network that this node is in.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// Its name here: the folder's.
    pub(crate) label: String,
    /// Where its conductor and receipts are.
    pub(crate) folder: PathBuf,
    pub(crate) network: Network,
    pub(crate) seed: String,
    pub(crate) bootstrap: String,
    pub(crate) relay: Option<String>,
    /// Who we are in it.
    pub(crate) agent: AgentPubKey,
    /// What admits us; none for founders and in public networks.
    pub(crate) proof: Option<MembershipProof>,
    /// Invites made here.
    pub(crate) issued: Vec<Issued>,
}

/// An invite that was made, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Issued {
    /// Its key, in hexadecimal.
    pub(crate) key: String,
    /// Microseconds since the epoch.
    pub(crate) expires_at: i64,
    /// The only agent that can use it.
    pub(crate) agent: Option<String>,
}

/// The file, as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u16,
    name: String,
    kind: NetworkKind,
    founders: Vec<String>,
    seed: String,
    bootstrap: String,
    relay: Option<String>,
    agent: String,
    proof: Option<String>,
    #[serde(default)]
    issued: Vec<Issued>,
    /// Left out where it is 0: older programs then go on reading the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    work_bits: Option<u8>,
}

impl Member {
    /// All networks of a node, by name.
    pub(crate) fn all(data_dir: &Path) -> Result<Vec<Self>, CliError> {
        labels(data_dir)?.into_iter().map(|label| Self::load(data_dir, label)).collect()
    }

    /// The network of that name, or the only one.
    pub(crate) fn find(data_dir: &Path, name: Option<&str>) -> Result<Self, CliError> {
        let known = labels(data_dir)?;
        let Some(name) = name else {
            return match <[String; 1]>::try_from(known) {
                Ok([only]) => Self::load(data_dir, only),
                Err(known) => Err(NetworkError::Unsaid { known }.into()),
            };
        };
        let label = to_label(name);
        match known.contains(&label) {
            true => Self::load(data_dir, label),
            false => Err(NetworkError::Unknown { name: name.to_owned(), known }.into()),
        }
    }

    /// Chooses a name for a new network: its own, with digits of its identity if another one has that. A membership whose
    /// invite ended before it was used gives way to a new one.
    pub(crate) fn place(data_dir: &Path, network: &Network) -> Result<(String, PathBuf), CliError> {
        let all = Self::all(data_dir)?;
        if let Some(same) = all.iter().find(|member| member.network.id == network.id) {
            return match same.may_start() {
                Ok(()) => Err(NetworkError::AlreadyMember { name: same.label.clone() }.into()),
                Err(_) => Ok((same.label.clone(), same.folder.clone())),
            };
        }
        let mut label = to_label(&network.properties.name);
        if all.iter().any(|member| member.label == label) {
            label.push('-');
            label.push_str(&network.id.to_hex()[..ID_DIGITS]);
        }
        Ok((label.clone(), data_dir.join(FOLDER).join(label)))
    }

    /// Writes it down.
    pub(crate) fn save(&self) -> Result<(), CliError> {
        let Self { label: _, folder, network, seed, bootstrap, relay, agent, proof, issued } = self;
        let NetworkProperties { version, name, kind, founders, work_bits } = &network.properties;
        let stored = Stored {
            version: *version,
            name: name.clone(),
            kind: *kind,
            founders: founders.iter().map(ToString::to_string).collect(),
            seed: seed.clone(),
            bootstrap: bootstrap.clone(),
            relay: relay.clone(),
            agent: agent.to_string(),
            proof: proof.as_ref().map(keyring::proof_to_text),
            issued: issued[issued.len().saturating_sub(ISSUED_MAX)..].to_vec(),
            work_bits: Some(*work_bits).filter(|bits| *bits > 0),
        };
        let path = folder.join(FILE);
        let text = serde_json::to_vec_pretty(&stored).unwrap_or_default();
        private::replace(&path, &text).map_err(|source| CliError::File { path, source })
    }

    /// Refuses a first start after the invite has ended: the network would not admit us.
    pub(crate) fn may_start(&self) -> Result<(), CliError> {
        let ended = self.proof.as_ref().is_some_and(|proof| proof.terms.expires_at <= now_us());
        match ended && !self.folder.join(JOINED).exists() {
            true => Err(Breach::InviteExpired.into()),
            false => Ok(()),
        }
    }

    /// Zero bits of the work that the first start will take; none if there is none to do, or it was done.
    pub(crate) fn work_ahead(&self) -> Option<u8> {
        let asked = Some(self.network.properties.work_bits).filter(|bits| *bits > 0);
        asked.filter(|_| !self.folder.join(JOINED).exists())
    }

    /// Whether this node invites and revokes there.
    pub(crate) fn is_founder(&self) -> bool {
        self.network.is_founder(&self.agent)
    }

    /// For the conductor.
    pub(crate) fn founded(&self) -> FoundedNetwork {
        let properties = self.network.properties.clone();
        FoundedNetwork { properties, agent: Some(self.agent.clone()), proof: self.proof.clone() }
    }

    /// Name of the app in the conductor.
    pub(crate) fn app_id(&self) -> String {
        format!("{APP_ID}-{}", &self.network.id.to_hex()[..2 * ID_DIGITS])
    }

    /// Whom this node wishes to shut out.
    pub(crate) fn revocations(&self) -> Revocations {
        Revocations::of(&self.folder)
    }

    fn load(data_dir: &Path, label: String) -> Result<Self, CliError> {
        let folder = data_dir.join(FOLDER).join(&label);
        let path = folder.join(FILE);
        let file = |source| CliError::File { path: path.clone(), source };
        let damaged = |problem: String| NetworkError::Damaged { path: path.display().to_string(), problem };
        if fs_err::metadata(&path).map_err(file)?.len() > BYTES_MAX {
            return Err(damaged("it is too large".into()).into());
        }
        let text = fs_err::read(&path).map_err(file)?;
        let stored: Stored = serde_json::from_slice(&text).map_err(|e| damaged(e.to_string()))?;
        let Stored { version, name, kind, founders, seed, bootstrap, relay, agent, proof, issued, work_bits } = stored;
        let agent_of = |text: &str| AgentPubKey::try_from(text).map_err(|_| damaged(format!("'{text}' is no agent")));
        let founders = founders.iter().map(|text| agent_of(text)).collect::<Result<_, _>>()?;
        let work_bits = work_bits.unwrap_or(0);
        let network = Network::new(NetworkProperties { version, name, kind, founders, work_bits }, &seed)
            .map_err(|breach| damaged(breach.to_string()))?;
        let agent = agent_of(&agent)?;
        let proof = proof.map(|text| keyring::proof_from_text(&text).ok_or_else(|| damaged("the proof".into())));
        let proof = proof.transpose()?;
        Ok(Self { label, folder, network, seed, bootstrap, relay, agent, proof, issued })
    }
}

/// A name as a folder is called; never empty.
pub(crate) fn to_label(name: &str) -> String {
    let label = text::to_label(name, limits::NETWORK_NAME_BYTES_MAX + 1 + ID_DIGITS);
    // No folder is called like this, or hidden.
    match label.trim_start_matches('.') {
        "" => "network".to_owned(),
        label => label.to_owned(),
    }
}

fn labels(data_dir: &Path) -> Result<Vec<String>, CliError> {
    let folder = data_dir.join(FOLDER);
    let entries = match fs_err::read_dir(&folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(CliError::File { path: folder, source }),
    };
    let with_file = entries.flatten().filter(|entry| entry.path().join(FILE).is_file());
    let mut labels: Vec<_> = with_file.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    labels.sort();
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ainonymous_types::{Bytes32, Bytes64, InviteTerms, NETWORK_VERSION};

    const AGENT: &str = "uhCAkcXFxcXFxcXFxcXFxcXFxcXFxcXFxcXFxcXFxcXFxcXFxhKJJ";

    fn member(data_dir: &Path, name: &str, seed: &str) -> Result<Member, CliError> {
        let agent = AgentPubKey::try_from(AGENT).unwrap();
        let (kind, founders) = (NetworkKind::Private, vec![agent.clone()]);
        let properties =
            NetworkProperties { version: NETWORK_VERSION, name: name.into(), kind, founders, work_bits: 0 };
        let network = Network::new(properties, seed).unwrap();
        let (label, folder) = Member::place(data_dir, &network)?;
        let issued = vec![Issued { key: "ab".into(), expires_at: 7, agent: None }];
        let (seed, bootstrap, relay) = (seed.to_owned(), "http://b".to_owned(), None);
        Ok(Member { label, folder, network, seed, bootstrap, relay, agent, proof: None, issued })
    }

    #[test]
    fn networks_are_found_by_name_or_because_there_is_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let code = |name: Option<&str>| Member::find(dir.path(), name).unwrap_err().code().to_owned();
        assert_eq!(code(None), "network_unsaid");
        let first = member(dir.path(), "Reading circle", "1").unwrap();
        first.save().unwrap();
        let found = Member::find(dir.path(), None).unwrap();
        assert_eq!(
            (&found.label[..], &found.network, &found.issued),
            ("reading-circle", &first.network, &first.issued)
        );
        assert!(found.is_founder() && found.may_start().is_ok());
        for name in ["Reading circle", "reading-circle"] {
            assert_eq!(Member::find(dir.path(), Some(name)).unwrap().network.id, first.network.id);
        }
        let same = member(dir.path(), "Reading circle", "1").unwrap_err();
        assert_eq!(same.code(), "already_member");
        // An invite that was never used and has ended gives way; one that was used does not.
        let mut ended = found.clone();
        let terms = InviteTerms {
            network: found.network.id,
            founder: found.agent.clone(),
            key: Bytes32([1; 32]),
            expires_at: 1,
            agent: None,
        };
        let (founder_signature, joiner_signature) = (Bytes64([1; 64]), Bytes64([2; 64]));
        ended.proof = Some(MembershipProof { terms, founder_signature, joiner_signature });
        ended.save().unwrap();
        assert_eq!(Member::find(dir.path(), None).unwrap().proof, ended.proof);
        assert_eq!(ended.may_start().unwrap_err().code(), "invite_expired");
        assert_eq!(member(dir.path(), "Reading circle", "1").unwrap().label, "reading-circle");
        std::fs::write(ended.folder.join(JOINED), "").unwrap();
        assert_eq!(member(dir.path(), "Reading circle", "1").unwrap_err().code(), "already_member");
        let second = member(dir.path(), "Reading circle", "2").unwrap();
        second.save().unwrap();
        assert!(second.label.starts_with("reading-circle-"), "{}", second.label);
        assert_ne!(first.app_id(), second.app_id());
        assert_eq!(code(None), "network_unsaid", "there are two");
        assert_eq!(code(Some("other")), "network_unknown");
        assert_eq!(Member::all(dir.path()).unwrap().len(), 2);
    }

    #[test]
    fn the_work_that_a_network_asks_for_is_kept_and_files_without_it_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let mut member = member(dir.path(), "Everybody", "1").unwrap();
        let properties = NetworkProperties { work_bits: 20, ..ainonymous_verify::network::public("Everybody") };
        member.network = Network::new(properties, "1").unwrap();
        member.save().unwrap();
        let found = Member::find(dir.path(), None).unwrap();
        assert_eq!((&found.network, found.work_ahead()), (&member.network, Some(20)));
        std::fs::write(found.folder.join(JOINED), "").unwrap();
        assert_eq!(found.work_ahead(), None, "it was done");

        let path = found.folder.join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        let without = text.replace(",\n  \"work_bits\": 20", "");
        assert_ne!(without, text);
        std::fs::write(&path, without).unwrap();
        let cheap = Member::find(dir.path(), None).unwrap();
        assert_eq!(cheap.network.properties, ainonymous_verify::network::public("Everybody"));
        cheap.save().unwrap();
        assert!(!std::fs::read_to_string(&path).unwrap().contains("work_bits"), "as older programs write it");
        std::fs::write(&path, text.replace("20", "41")).unwrap();
        assert_eq!(Member::find(dir.path(), None).unwrap_err().code(), "network_damaged");
    }

    #[test]
    fn a_damaged_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let member = member(dir.path(), "n", "1").unwrap();
        member.save().unwrap();
        for text in ["nonsense", "{}"] {
            std::fs::write(member.folder.join(FILE), text).unwrap();
            assert_eq!(Member::find(dir.path(), Some("n")).unwrap_err().code(), "network_damaged");
        }
    }

    #[test]
    fn names_become_folders() {
        for (name, label) in [("Reading circle", "reading-circle"), ("..", "network"), ("Ünï", "-n-"), (".x", "x")] {
            assert_eq!(to_label(name), label);
        }
        assert!(!to_label("a/../b").contains('/'));
    }
}
