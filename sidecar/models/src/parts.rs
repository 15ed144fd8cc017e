//! Models that were split over several files: which files they are. A model is its parts one after the other, in the order of
//! their numbers; its hashes are those of all these bytes, its length theirs together.

use crate::choose::Part;
use crate::gguf::Header;
use crate::ModelError;
use std::path::{Path, PathBuf};

/// The files of a model: itself, or all its parts if its header says that it was split. `path` is the first part.
pub fn parts_of(path: &Path) -> Result<Vec<PathBuf>, ModelError> {
    Ok(read(path)?.into_iter().map(|(path, _)| path).collect())
}

/// The same with their headers.
pub(crate) fn read(path: &Path) -> Result<Vec<(PathBuf, Header)>, ModelError> {
    let first = Header::read(path)?;
    let Some(count) = first.number("split.count").filter(|count| *count > 1) else {
        return Ok(vec![(path.to_owned(), first)]);
    };
    let not_the_first = || ModelError::Split { path: path.into(), parts: count };
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(not_the_first)?;
    // llama.cpp finds the others by this name.
    let part = Part::of(name).filter(|part| part.number == 1 && u64::from(part.count) == count);
    let part = part.filter(|_| first.number("split.no") == Some(0)).ok_or_else(not_the_first)?;
    let mut all = vec![(path.to_owned(), first)];
    for number in 2..=part.count {
        let file = path.with_file_name(format!("{}-{number:05}-of-{:05}.gguf", part.stem, part.count));
        if !file.is_file() {
            return Err(ModelError::PartMissing { path: file, parts: count });
        }
        let header = Header::read(&file)?;
        let says = (header.number("split.no"), header.number("split.count"));
        if says != (Some(u64::from(number) - 1), Some(count)) {
            return Err(ModelError::Malformed { path: file, what: "it is another part than its name says" });
        }
        all.push((file, header));
    }
    Ok(all)
}
