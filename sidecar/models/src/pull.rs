//! From a name to a file in the store: what to fetch is decided here, how is `download`'s, where from is the hub's.

use crate::catalogue::{self, catalogue};
use crate::choose::{choose, Miss};
use crate::download::{self, beside, blocking, download, Manner, Phase, Progress, Report, Watcher};
use crate::hub::{host, last_part, transient, wait_of, Hub, RemoteFile, Target};
use crate::index::Known;
use crate::name::{ModelName, Pick, Repo, RepoFile};
use crate::store::Store;
use crate::{ModelError, PullError};
use fs_err as fs;
use std::fs::{File, TryLockError};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often a file that another process pulls is looked at.
const LOCK_INTERVAL: Duration = Duration::from_millis(200);

/// Pulls models into a store.
#[derive(Clone, Debug)]
pub struct Puller {
    store: Store,
    hub: Hub,
    manner: Manner,
}

/// A model that is on this machine now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// Its file, or its parts in their order.
    pub files: Vec<PathBuf>,
    /// Their length together.
    pub bytes: u64,
    /// SHA-256 of the file as lower-case hex, if it is one file and its digest is known.
    pub sha256: Option<String>,
    /// Nothing had to be fetched.
    pub was_there: bool,
}

/// One file to fetch.
struct Wanted {
    origin: reqwest::Url,
    dest: PathBuf,
    /// What the listing says; a plain address has none.
    listed: Option<RemoteFile>,
    /// The name that the index keeps.
    source: String,
}

impl Puller {
    /// Pulls from this hub into this store.
    pub fn new(store: Store, hub: Hub, manner: Manner) -> Self {
        Self { store, hub, manner }
    }

    /// Pulls a model, or finds that it is there. What an earlier run left is used. The token keeps what came and stops.
    pub async fn pull(
        &self,
        name: &ModelName,
        watcher: Watcher,
        cancel: &CancellationToken,
    ) -> Result<Pulled, ModelError> {
        let (source, digest) = match name {
            ModelName::Word { word, quant } => match catalogue::entry(word) {
                Some(entry) => {
                    let pinned = entry.sha256.clone().filter(|_| quant.is_none());
                    let source = self.store.catalogued(entry, quant.as_deref());
                    (source.ok_or_else(|| PullError::NotPullable { name: name.to_string() })?, pinned)
                }
                None => return self.there_or_unknown(name, word),
            },
            ModelName::Path(_) => {
                return match self.store.resolve(name) {
                    Ok(files) => Ok(self.was_there(files)),
                    Err(_) => Err(PullError::NotPullable { name: name.to_string() }.into()),
                }
            }
            other => (other.clone(), None),
        };
        Ok(self.fetch_all(&source, digest, watcher, cancel).await?)
    }

    async fn fetch_all(
        &self,
        source: &ModelName,
        digest: Option<String>,
        watcher: Watcher,
        cancel: &CancellationToken,
    ) -> Result<Pulled, PullError> {
        let wanted = match source {
            ModelName::Hub { repo, pick } => {
                let listed = self.patiently(cancel, || self.hub.files(repo)).await;
                match (listed, self.store.resolve(source)) {
                    (Ok(files), _) => self.wanted(repo, pick, files)?,
                    // Without the hub, what is there is what there is.
                    (Err(PullError::Unreachable { .. } | PullError::Stalled { .. }), Ok(files)) => {
                        return Ok(self.was_there(files));
                    }
                    (Err(error), _) => return Err(error),
                }
            }
            ModelName::Url(url) => {
                let origin = reqwest::Url::parse(url);
                let origin =
                    origin.map_err(|_| PullError::InvalidName { name: url.clone(), problem: "it is no address" })?;
                vec![Wanted { origin, dest: self.store.place_of_url(url)?, listed: None, source: url.clone() }]
            }
            other => return Err(PullError::NotPullable { name: other.to_string() }),
        };
        if let Some(there) = self.in_a_cache(source, &wanted) {
            return Ok(there);
        }
        let total: u64 = wanted.iter().filter_map(|one| one.listed.as_ref()).map(|file| file.bytes).sum();
        let (mut before, mut was_there) = (0, true);
        let (mut files, mut digests) = (Vec::new(), Vec::new());
        for mut one in wanted {
            if let (Some(pinned), Some(listed)) = (&digest, &mut one.listed) {
                listed.sha256 = Some(pinned.clone());
            }
            // Progress is of the whole model, not of its parts.
            let (outer, offset) = (Arc::clone(&watcher), before);
            let inner: Watcher = Arc::new(move |progress: Progress| {
                let bytes_total = total.max(progress.bytes_total);
                outer(Progress { bytes_done: offset + progress.bytes_done, bytes_total, ..progress });
            });
            let (known, fetched) = self.one(&one, inner, cancel).await?;
            before += known.bytes;
            was_there &= !fetched;
            files.push(one.dest);
            digests.push(known.sha256);
        }
        let sha256 = digests.pop().filter(|_| digests.is_empty());
        Ok(Pulled { files, bytes: before, sha256, was_there })
    }

    /// One file: under its lock, if it is not there already. Says whether it was fetched.
    async fn one(
        &self,
        wanted: &Wanted,
        watcher: Watcher,
        cancel: &CancellationToken,
    ) -> Result<(Known, bool), PullError> {
        let Wanted { origin, dest, listed, source } = wanted;
        let report = Report { file: last_part(origin), watcher };
        let folder = dest.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(|e| PullError::storage(folder, &e))?;
        let lock_path = beside(dest, ".lock");
        let lock = self.lock(&lock_path, &report, cancel).await?;
        let done = async {
            let promised = listed.as_ref().and_then(|file| file.sha256.clone());
            let target = self.locate(origin, listed.as_ref(), cancel).await?;
            if let Some(known) = self.is_there(dest, &target, source, &report, cancel).await? {
                return Ok((known, false));
            }
            if let Some(known) = self.link(dest, promised.as_deref(), source, &report, cancel).await? {
                return Ok((known, false));
            }
            let sha256 = download(&self.hub, &target, dest, self.manner, &report, cancel).await?;
            Ok((Known { sha256, bytes: target.bytes, source: source.clone() }, true))
        };
        let done = done.await;
        if done.is_ok() || !beside(dest, ".part").exists() {
            // Whoever waits for the lock finds the file, or begins anew: there is nothing to guard.
            let _ = fs::remove_file(&lock_path);
            self.store.prune(dest);
        }
        drop(lock);
        let (known, fetched) = done?;
        self.store.remember(dest, known.clone())?;
        Ok((known, fetched))
    }

    async fn locate(
        &self,
        origin: &reqwest::Url,
        listed: Option<&RemoteFile>,
        cancel: &CancellationToken,
    ) -> Result<Target, PullError> {
        let mut target = self.patiently(cancel, || self.hub.locate(origin)).await?;
        let Some(RemoteFile { file, bytes, sha256 }) = listed else { return Ok(target) };
        if target.bytes != *bytes {
            let (file, host) = (file.to_string(), host(&target.url));
            return Err(PullError::SizeWrong { file, host, expected: *bytes, got: target.bytes });
        }
        match (&target.sha256, sha256) {
            (Some(got), Some(expected)) if got != expected => {
                let (file, expected, got) = (file.to_string(), expected.clone(), got.clone());
                Err(PullError::DigestWrong { file, expected, got })
            }
            (None, Some(expected)) => {
                target.sha256 = Some(expected.clone());
                Ok(target)
            }
            _ => Ok(target),
        }
    }

    /// Is the right file there under its name?
    async fn is_there(
        &self,
        dest: &Path,
        target: &Target,
        source: &str,
        report: &Report,
        cancel: &CancellationToken,
    ) -> Result<Option<Known>, PullError> {
        if !dest.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() == target.bytes) {
            return Ok(None);
        }
        if let Some(known) = self.store.known(dest) {
            let same = target.sha256.as_ref().is_none_or(|expected| *expected == known.sha256);
            return Ok(same.then_some(known));
        }
        let sha256 = digest_of(dest, target.bytes, report, cancel).await?;
        let same = target.sha256.as_ref().is_none_or(|expected| *expected == sha256);
        Ok(same.then(|| Known { sha256, bytes: target.bytes, source: source.to_owned() }))
    }

    /// The same bytes under another name of ours need not be fetched.
    async fn link(
        &self,
        dest: &Path,
        promised: Option<&str>,
        source: &str,
        report: &Report,
        cancel: &CancellationToken,
    ) -> Result<Option<Known>, PullError> {
        let Some(promised) = promised else { return Ok(None) };
        for same in self.store.with_digest(promised) {
            let Ok(bytes) = same.metadata().map(|metadata| metadata.len()) else { continue };
            let other = same != *dest && !dest.exists();
            // The index is advice: what is linked is read first.
            if other && digest_of(&same, bytes, report, cancel).await? == promised && fs::hard_link(&same, dest).is_ok()
            {
                return Ok(Some(Known { sha256: promised.to_owned(), bytes, source: source.to_owned() }));
            }
        }
        Ok(None)
    }

    fn wanted(&self, repo: &Repo, pick: &Pick, files: Vec<RemoteFile>) -> Result<Vec<Wanted>, PullError> {
        let names: Vec<RepoFile> = files.iter().map(|file| file.file.clone()).collect();
        let chosen = choose(&names, pick).map_err(|miss| match miss {
            Miss::NoModel => PullError::NoGguf { repo: repo.to_string() },
            Miss::NoSuch { wanted, there } => PullError::NoSuchFile { repo: repo.to_string(), wanted, there },
            Miss::Parts { file } => PullError::PartsMissing { repo: repo.to_string(), file },
        })?;
        let wanted = |place: usize| {
            let listed = files[place].clone();
            Ok(Wanted {
                origin: self.hub.address(repo, &listed.file)?,
                dest: self.store.place_of(repo, &listed.file),
                source: ModelName::Hub { repo: repo.clone(), pick: Pick::File(listed.file.clone()) }.to_string(),
                listed: Some(listed),
            })
        };
        chosen.into_iter().map(wanted).collect()
    }

    /// Other programs' caches are as good: the same files, by their lengths.
    fn in_a_cache(&self, source: &ModelName, wanted: &[Wanted]) -> Option<Pulled> {
        let ModelName::Hub { repo, .. } = source else { return None };
        let first = wanted.first()?.listed.as_ref()?;
        let exactly = ModelName::Hub { repo: repo.clone(), pick: Pick::File(first.file.clone()) };
        let files = self.store.resolve(&exactly).ok()?;
        let ours = files.iter().any(|file| file.starts_with(self.store.root()));
        let length = |path: &PathBuf| path.metadata().map(|metadata| metadata.len()).ok();
        let same = files.len() == wanted.len()
            && files
                .iter()
                .zip(wanted)
                .all(|(path, one)| length(path) == one.listed.as_ref().map(|listed| listed.bytes));
        (same && !ours).then(|| self.was_there(files))
    }

    fn was_there(&self, files: Vec<PathBuf>) -> Pulled {
        let bytes = files.iter().filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum();
        let sha256 = match files.as_slice() {
            [file] => self.store.known(file).map(|known| known.sha256),
            _ => None,
        };
        Pulled { files, bytes, sha256, was_there: true }
    }

    fn there_or_unknown(&self, name: &ModelName, word: &str) -> Result<Pulled, ModelError> {
        match self.store.resolve(name) {
            Ok(files) => Ok(self.was_there(files)),
            Err(ModelError::UnknownName { .. }) => {
                let there = catalogue().iter().map(|entry| entry.name.clone()).collect();
                Err(ModelError::UnknownName { name: word.to_owned(), there })
            }
            Err(error) => Err(error),
        }
    }

    /// Waits for another process that pulls the same file.
    async fn lock(&self, path: &Path, report: &Report, cancel: &CancellationToken) -> Result<File, PullError> {
        let storage = |e: std::io::Error| PullError::storage(path, &e);
        loop {
            let file = File::create(path).map_err(storage)?;
            match file.try_lock() {
                Ok(()) if is_current(&file, path) => return Ok(file),
                // Whoever had it removed it: its name means another file now, or none.
                Ok(()) => continue,
                Err(TryLockError::Error(e)) => return Err(storage(e)),
                Err(TryLockError::WouldBlock) => report.say(Phase::Waiting, 0, 0),
            }
            tokio::select! {
                () = cancel.cancelled() => return Err(PullError::Cancelled),
                () = tokio::time::sleep(LOCK_INTERVAL) => {}
            }
        }
    }

    /// Asks again after failures that pass.
    async fn patiently<T, F: Future<Output = Result<T, PullError>>>(
        &self,
        cancel: &CancellationToken,
        ask: impl Fn() -> F,
    ) -> Result<T, PullError> {
        let mut failures = 0;
        loop {
            let answer = tokio::select! {
                () = cancel.cancelled() => return Err(PullError::Cancelled),
                answer = ask() => answer,
            };
            failures += 1;
            let error = match answer {
                Err(error) if transient(&error) && failures < self.hub.patience.attempts => error,
                other => return other,
            };
            tokio::select! {
                () = cancel.cancelled() => return Err(PullError::Cancelled),
                () = tokio::time::sleep(wait_of(&error, failures, &self.hub.patience)) => {}
            }
        }
    }
}

/// Is the locked file still the one that the path names?
#[cfg(unix)]
fn is_current(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let same = |a: std::fs::Metadata, b: std::fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    file.metadata().ok().zip(path.metadata().ok()).is_some_and(|(a, b)| same(a, b))
}

/// Windows does not let go of a name while somebody has the file open.
#[cfg(not(unix))]
fn is_current(_: &File, path: &Path) -> bool {
    path.exists()
}

/// SHA-256 of a file that is there.
async fn digest_of(path: &Path, total: u64, report: &Report, cancel: &CancellationToken) -> Result<String, PullError> {
    let (path, report, cancel) = (path.to_owned(), report.clone(), cancel.clone());
    let (digest, _) = blocking(move || {
        download::sha256(&path, &mut |done| {
            report.say(Phase::Checking, done, total);
            !cancel.is_cancelled()
        })
    })
    .await?;
    Ok(digest)
}
