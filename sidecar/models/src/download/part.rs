//! A file that is not complete yet: `FILE.part`, and beside it `FILE.part.json`, which says what of it is there.
//!
//! The note is written after the bytes it speaks of are on the disk: a node that loses power resumes with less, never
//! with holes. It must not know where bytes come from.

use crate::hub::Target;
use crate::PullError;
use fs_err as fs;
use serde::{Deserialize, Serialize};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most chunks of a file; larger files have larger chunks.
const CHUNKS_MAX: u64 = 8_192;
/// Largest note that is read. Bytes.
const NOTE_BYTES_MAX: u64 = 1 << 20;
/// Changed with the format of the note.
const VERSION: u32 = 1;

/// A file that grows.
#[derive(Debug)]
pub(crate) struct Part {
    path: PathBuf,
    note_path: PathBuf,
    file: std::fs::File,
    note: Mutex<Note>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Note {
    version: u32,
    /// Where it comes from, without the query: that may be a secret.
    source: String,
    bytes: u64,
    sha256: Option<String>,
    etag: Option<String>,
    chunk_bytes: u64,
    /// How many bytes from the beginning of each chunk are there.
    done: Vec<u64>,
}

impl Part {
    /// The part of `dest`: the one that is there if it is of the same file, else a new one.
    pub(crate) fn open(dest: &Path, target: &Target, chunk_bytes: u64) -> Result<Self, PullError> {
        let (path, note_path) = (beside(dest, ".part"), beside(dest, ".part.json"));
        let storage = |e: std::io::Error| PullError::storage(&path, &e);
        let mut fresh = Note::new(target, chunk_bytes);
        let kept = read_note(&note_path).filter(|note| note.is_of(&fresh));
        let mut options = std::fs::OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(kept.is_none()).open(&path).map_err(storage)?;
        // Space is claimed as it fills; the length says at once what the file will be.
        let resumes = kept.is_some() && file.metadata().map_err(storage)?.len() == target.bytes;
        file.set_len(target.bytes).map_err(storage)?;
        if let Some(note) = kept.filter(|_| resumes) {
            fresh = note;
        }
        Ok(Self { path, note_path, file, note: Mutex::new(fresh) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that are there.
    pub(crate) fn done(&self) -> u64 {
        self.note().done.iter().sum()
    }

    /// Bytes of a chunk that are there.
    pub(crate) fn done_of(&self, chunk: usize) -> u64 {
        self.note().done[chunk]
    }

    /// Chunks that are not complete.
    pub(crate) fn missing(&self) -> Vec<usize> {
        let note = self.note();
        (0..note.done.len()).filter(|chunk| note.done[*chunk] < note.span(*chunk).1).collect()
    }

    /// Where to go on in a chunk, and where it ends.
    pub(crate) fn gap(&self, chunk: usize) -> (u64, u64) {
        let note = self.note();
        let (start, bytes) = note.span(chunk);
        (start + note.done[chunk].min(bytes), start + bytes)
    }

    /// Writes at the gap of a chunk and moves it.
    pub(crate) fn fill(&self, chunk: usize, bytes: &[u8]) -> Result<(), PullError> {
        let (from, to) = self.gap(chunk);
        let bytes = &bytes[..bytes.len().min(usize::try_from(to - from).unwrap_or(usize::MAX))];
        self.write_at(from, bytes)?;
        self.note().done[chunk] += bytes.len() as u64;
        Ok(())
    }

    /// Writes in order from the beginning; `at` is where.
    pub(crate) fn write_at(&self, at: u64, bytes: &[u8]) -> Result<(), PullError> {
        write_all_at(&self.file, bytes, at).map_err(|e| PullError::storage(&self.path, &e))
    }

    /// Forgets what is there: the server sends everything from the beginning.
    pub(crate) fn restart(&self) {
        self.note().done.fill(0);
    }

    /// Everything up to here is there.
    pub(crate) fn reached(&self, end: u64) {
        let mut note = self.note();
        for chunk in 0..note.done.len() {
            let (start, bytes) = note.span(chunk);
            note.done[chunk] = end.saturating_sub(start).min(bytes);
        }
    }

    /// Writes the note, so that another run can go on.
    pub(crate) fn save(&self) -> Result<(), PullError> {
        let note = self.note().clone();
        self.file.sync_data().map_err(|e| PullError::storage(&self.path, &e))?;
        write_json(&self.note_path, &note)
    }

    /// Bytes reach the disk.
    pub(crate) fn sync(&self) -> Result<(), PullError> {
        self.file.sync_all().map_err(|e| PullError::storage(&self.path, &e))
    }

    /// The part becomes the file; there is no moment at which the name means half of it.
    pub(crate) fn publish(&self, dest: &Path) -> Result<(), PullError> {
        fs::rename(&self.path, dest).map_err(|e| PullError::storage(dest, &e))?;
        let _ = fs::remove_file(&self.note_path);
        #[cfg(unix)]
        if let Some(folder) = dest.parent() {
            let _ = fs::File::open(folder).and_then(|folder| folder.sync_all());
        }
        Ok(())
    }

    /// Deletes what came: it is wrong.
    pub(crate) fn discard(&self) {
        let _ = fs::remove_file(&self.note_path);
        let _ = fs::remove_file(&self.path);
    }

    fn note(&self) -> MutexGuard<'_, Note> {
        // A note is whole after every change: a panic elsewhere does not spoil it.
        self.note.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Note {
    fn new(target: &Target, chunk_bytes: u64) -> Self {
        let chunk_bytes = chunk_bytes.max(1).max(target.bytes.div_ceil(CHUNKS_MAX));
        let mut source = target.origin.clone();
        source.set_query(None);
        Self {
            version: VERSION,
            source: source.into(),
            bytes: target.bytes,
            sha256: target.sha256.clone(),
            etag: target.etag.clone(),
            chunk_bytes,
            done: vec![0; usize::try_from(target.bytes.div_ceil(chunk_bytes)).unwrap_or(0)],
        }
    }

    /// Is it of the same bytes as the other? Without digest and version nobody knows.
    fn is_of(&self, other: &Self) -> bool {
        let same_version = self.etag.is_some() && self.etag == other.etag && self.source == other.source;
        let same_digest = self.sha256.is_some() && self.sha256 == other.sha256;
        let chunks = self.bytes.div_ceil(self.chunk_bytes.max(1));
        self.version == VERSION
            && self.bytes == other.bytes
            && self.chunk_bytes > 0
            && self.done.len() as u64 == chunks
            && (0..self.done.len()).all(|chunk| self.done[chunk] <= self.span(chunk).1)
            && (same_digest || (self.sha256.is_none() && other.sha256.is_none() && same_version))
    }

    /// Beginning and length of a chunk.
    fn span(&self, chunk: usize) -> (u64, u64) {
        let start = chunk as u64 * self.chunk_bytes;
        (start, self.chunk_bytes.min(self.bytes.saturating_sub(start)))
    }
}

/// `FILE` with something at its end.
pub(crate) fn beside(file: &Path, end: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Replaces a small file as a whole.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), PullError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer(&mut file, value)?;
        file.flush()?;
        file.persist(path).map_err(|e| e.error)?;
        Ok(())
    };
    write().map_err(|e| PullError::storage(path, &e))
}

fn read_note(path: &Path) -> Option<Note> {
    let mut text = String::new();
    fs::File::open(path).ok()?.take(NOTE_BYTES_MAX).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(unix)]
fn write_all_at(file: &std::fs::File, bytes: &[u8], at: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(windows)]
fn write_all_at(file: &std::fs::File, mut bytes: &[u8], mut at: u64) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let written = std::os::windows::fs::FileExt::seek_write(file, bytes, at)?;
        if written == 0 {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        (bytes, at) = (&bytes[written..], at + written as u64);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(bytes: u64, sha256: Option<&str>, etag: Option<&str>) -> Target {
        let url = reqwest::Url::parse("http://h/m.gguf?signature=secret").unwrap();
        let own = |text: Option<&str>| text.map(str::to_owned);
        Target { origin: url.clone(), url, bytes, sha256: own(sha256), etag: own(etag) }
    }

    #[test]
    fn a_part_goes_on_where_it_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let dest = folder.path().join("m.gguf");
        let wanted = target(25, Some("aa"), None);
        let part = Part::open(&dest, &wanted, 10).unwrap();
        assert_eq!(part.missing(), [0, 1, 2]);
        part.fill(1, b"0123").unwrap();
        part.fill(2, b"abcdefgh").unwrap();
        assert_eq!((part.gap(1), part.gap(2), part.done()), ((14, 20), (25, 25), 9), "never beyond its chunk");
        part.save().unwrap();
        let note = std::fs::read_to_string(folder.path().join("m.gguf.part.json")).unwrap();
        assert!(!note.contains("secret"), "{note}");

        let again = Part::open(&dest, &wanted, 7).unwrap();
        assert_eq!((again.missing(), again.gap(1)), (vec![0, 1], (14, 20)), "with the chunks that it began with");
        again.reached(12);
        assert_eq!((again.done(), again.gap(1)), (12, (12, 20)));
        again.publish(&dest).unwrap();
        assert_eq!(std::fs::read(&dest).unwrap()[10..14], *b"0123");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn another_file_starts_again() {
        let folder = tempfile::tempdir().unwrap();
        let dest = folder.path().join("m.gguf");
        let keeps = |first: Target, second: Target| {
            let part = Part::open(&dest, &first, 10).unwrap();
            part.fill(0, b"012").unwrap();
            part.save().unwrap();
            let kept = Part::open(&dest, &second, 10).unwrap();
            let done = kept.done();
            kept.discard();
            done > 0
        };
        assert!(keeps(target(25, Some("aa"), None), target(25, Some("aa"), Some("\"v\""))));
        assert!(keeps(target(25, None, Some("\"v\"")), target(25, None, Some("\"v\""))));
        assert!(!keeps(target(25, Some("aa"), None), target(25, Some("bb"), None)));
        assert!(!keeps(target(25, Some("aa"), None), target(26, Some("aa"), None)));
        assert!(!keeps(target(25, None, Some("\"v\"")), target(25, None, Some("\"w\""))));
        assert!(!keeps(target(25, None, None), target(25, None, None)), "nobody knows whether it is the same");
    }

    #[test]
    fn a_broken_note_counts_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let dest = folder.path().join("m.gguf");
        let wanted = target(25, Some("aa"), None);
        for note in [
            "nonsense".to_owned(),
            "{}".to_owned(),
            r#"{"version":1,"source":"s","bytes":25,"sha256":"aa","etag":null,"chunk_bytes":0,"done":[]}"#.to_owned(),
            r#"{"version":1,"source":"s","bytes":25,"sha256":"aa","etag":null,"chunk_bytes":10,"done":[11,0,0]}"#
                .to_owned(),
            r#"{"version":1,"source":"s","bytes":25,"sha256":"aa","etag":null,"chunk_bytes":10,"done":[1]}"#.to_owned(),
        ] {
            std::fs::write(folder.path().join("m.gguf.part"), [0; 25]).unwrap();
            std::fs::write(folder.path().join("m.gguf.part.json"), &note).unwrap();
            assert_eq!(Part::open(&dest, &wanted, 10).unwrap().done(), 0, "{note}");
        }
    }

    #[test]
    fn the_number_of_chunks_is_bounded() {
        let note = Note::new(&target(1 << 40, Some("aa"), None), 1);
        assert_eq!(note.done.len() as u64, CHUNKS_MAX);
        assert_eq!(Note::new(&target(CHUNKS_MAX, None, None), 1).done.len() as u64, CHUNKS_MAX);
    }
}
