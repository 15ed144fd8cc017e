//! Whom the person at this node wishes to shut out: one small file each, in the node's folder.
//!
//! The command line writes a wish whether the node runs or not; a running node publishes it and notes that here. It does
//! not decide who may revoke: validation does.

use crate::NodeError;
use ainonymous_types::{AgentPubKey, Bytes32, Revoked};
use serde::{Deserialize, Serialize};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// Name of the folder in the node's.
const FOLDER: &str = "revocations";
const AGENT: &str = "agent-";
const INVITE: &str = "invite-";
const ENDING: &str = ".json";
/// Largest file that is read.
const BYTES_MAX: u64 = 4_096;

/// The wishes of one node.
#[derive(Clone, Debug)]
pub struct Revocations {
    folder: PathBuf,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Who shall be shut out.
    pub target: Revoked,
    /// How far it is.
    pub state: State,
}

/// How far a wish is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// A running node will publish it.
    Waiting,
    /// It stands on the DHT.
    Published {
        /// Where.
        action: String,
    },
    /// The network's rules do not allow it.
    Refused {
        /// Why.
        problem: String,
    },
}

impl Revocations {
    /// Those of the node in this folder; there need not be any.
    pub fn of(data_dir: &Path) -> Self {
        Self { folder: data_dir.join(FOLDER) }
    }

    /// Notes a wish; one that is published already stays so.
    pub fn wish(&self, target: &Revoked) -> Result<State, NodeError> {
        match self.get(target)? {
            Some(state @ State::Published { .. }) => Ok(state),
            _ => self.set(target, &State::Waiting).map(|()| State::Waiting),
        }
    }

    /// How far a wish is; none if there is no such wish.
    pub fn get(&self, target: &Revoked) -> Result<Option<State>, NodeError> {
        self.read(&self.folder.join(name(target)))
    }

    /// All wishes, in the order of their names.
    pub fn list(&self) -> Result<Vec<Wish>, NodeError> {
        let files = match fs_err::read_dir(&self.folder) {
            Ok(files) => files,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(NodeError::Storage { path: self.folder.clone(), source }),
        };
        let mut names: Vec<_> = files.flatten().map(|file| file.file_name()).collect();
        names.sort();
        let mut wishes = Vec::new();
        for name in names {
            let Some(target) = name.to_str().and_then(target) else { continue };
            if let Some(state) = self.read(&self.folder.join(&name))? {
                wishes.push(Wish { target, state });
            }
        }
        Ok(wishes)
    }

    /// Notes how far a wish is: beside the file, then in its place.
    pub(crate) fn set(&self, target: &Revoked, state: &State) -> Result<(), NodeError> {
        let path = self.folder.join(name(target));
        let write = || {
            fs_err::create_dir_all(&self.folder)?;
            let beside = path.with_extension(format!("{}.new", std::process::id()));
            let mut file = fs_err::File::create(&beside)?;
            file.write_all(&serde_json::to_vec(state)?)?;
            file.sync_all()?;
            fs_err::rename(&beside, &path)
        };
        write().map_err(|source| NodeError::Storage { path: path.clone(), source })
    }

    fn read(&self, path: &Path) -> Result<Option<State>, NodeError> {
        let failed = |source| NodeError::Storage { path: path.to_path_buf(), source };
        match fs_err::metadata(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed(source)),
            Ok(metadata) if metadata.len() > BYTES_MAX => return Err(failed(ErrorKind::FileTooLarge.into())),
            Ok(_) => {}
        }
        let bytes = fs_err::read(path).map_err(failed)?;
        serde_json::from_slice(&bytes).map(Some).map_err(|e| failed(e.into()))
    }
}

fn name(target: &Revoked) -> String {
    match target {
        Revoked::Agent(agent) => format!("{AGENT}{agent}{ENDING}"),
        Revoked::Invite(key) => format!("{INVITE}{key}{ENDING}"),
    }
}

fn target(name: &str) -> Option<Revoked> {
    let name = name.strip_suffix(ENDING)?;
    if let Some(agent) = name.strip_prefix(AGENT) {
        return AgentPubKey::try_from(agent).ok().map(Revoked::Agent);
    }
    let mut key = Bytes32([0; 32]);
    hex::decode_to_slice(name.strip_prefix(INVITE)?, &mut key.0).ok()?;
    Some(Revoked::Invite(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_kept_until_it_is_published_and_then_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let revocations = Revocations::of(dir.path());
        assert_eq!(revocations.list().unwrap(), vec![]);
        let agent = Revoked::Agent(AgentPubKey::try_from(AGENT_KEY).unwrap());
        let invite = Revoked::Invite(Bytes32([7; 32]));
        for target in [&agent, &invite] {
            assert_eq!(revocations.wish(target).unwrap(), State::Waiting);
        }
        let published = State::Published { action: "uhCkk".into() };
        revocations.set(&agent, &published).unwrap();
        assert_eq!(revocations.wish(&agent).unwrap(), published);
        revocations.set(&invite, &State::Refused { problem: "not_founder".into() }).unwrap();
        assert_eq!(revocations.wish(&invite).unwrap(), State::Waiting, "it may be tried again");
        std::fs::write(dir.path().join(FOLDER).join("note.txt"), "x").unwrap();
        let wishes = revocations.list().unwrap();
        assert_eq!(wishes, [Wish { target: agent, state: published }, Wish { target: invite, state: State::Waiting }]);
    }

    #[test]
    fn a_damaged_wish_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let revocations = Revocations::of(dir.path());
        let target = Revoked::Invite(Bytes32([7; 32]));
        revocations.wish(&target).unwrap();
        let path = dir.path().join(FOLDER).join(name(&target));
        std::fs::write(&path, "nonsense").unwrap();
        assert_eq!(revocations.list().unwrap_err().code(), "storage");
        std::fs::write(&path, vec![b' '; BYTES_MAX as usize + 1]).unwrap();
        assert_eq!(revocations.get(&target).unwrap_err().code(), "storage");
    }

    const AGENT_KEY: &str = "uhCAkcXFxcXFxcXFxcXFxcXFxcXFxcXFxcXFxcXFxcXFxcXFxhKJJ";
}
