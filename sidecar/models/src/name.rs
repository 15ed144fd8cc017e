//! A model's name as people write it: a word of the catalogue, `hf:org/repo:Q4_K_M`, a path, an address.
//!
//! Parsing is pure: it never looks at the disk or the network, so a name means the same on every machine. What a name
//! stands for is found by `Store` (on disk) and `Puller` (elsewhere).

use crate::PullError;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Longest name. Bytes.
pub const NAME_BYTES_MAX: usize = 2_048;
/// Longest organisation, repository, or part of a file's path. Bytes.
pub const PART_BYTES_MAX: usize = 200;
/// Most folders that a file of a repository may lie in.
pub const DEPTH_MAX: usize = 8;
/// Longest label of a quantisation. Bytes.
const QUANT_BYTES_MAX: usize = 32;
/// Hosts whose addresses are names of repositories.
const HUB_HOSTS: &[&str] = &["huggingface.co", "www.huggingface.co", "hf.co"];
/// Names that Windows keeps for devices, whatever follows a dot.
const DEVICES: &[&str] = &["con", "prn", "aux", "nul"];

/// What a person called a model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ModelName {
    /// One word: of the catalogue, or of a file that is there. Perhaps with a quantisation.
    Word {
        /// The word.
        word: String,
        /// `Q4_K_M`.
        quant: Option<String>,
    },
    /// A repository of the hub and which of its files.
    Hub {
        /// `org/repo`.
        repo: Repo,
        /// Which file.
        pick: Pick,
    },
    /// A file on this machine.
    Path(PathBuf),
    /// A file on a server that is no hub. It begins with `http://` or `https://`.
    Url(String),
}

/// A repository of the hub.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Repo {
    org: String,
    name: String,
}

/// Which file of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pick {
    /// The usual one: Q4_K_M, else Q8_0, else the first.
    Usual,
    /// The one with this quantisation.
    Quant(String),
    /// This one.
    File(RepoFile),
}

/// Path of a file inside a repository that is also safe as a path on disk: relative, no `..`, nothing hidden, no device.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoFile(String);

impl ModelName {
    /// Parses a name. Fails on what can be no name; whether there is such a model is another question.
    pub fn parse(text: &str) -> Result<Self, PullError> {
        let wrong = |problem| PullError::InvalidName { name: shortened(text), problem };
        if text.trim().is_empty() {
            return Err(wrong("it is empty"));
        }
        if text.len() > NAME_BYTES_MAX {
            return Err(wrong("it is too long"));
        }
        if text.chars().any(char::is_control) {
            return Err(wrong("it has control characters"));
        }
        if let Some(rest) = text.strip_prefix("hf:") {
            return hub(rest.trim_start_matches("//")).map_err(wrong);
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            return url(text, scheme, rest).map_err(wrong);
        }
        if text.contains(['/', '\\']) || text.starts_with('.') || text.starts_with('~') {
            return Ok(Self::Path(PathBuf::from(text)));
        }
        word(text).map_err(wrong)
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word { word, quant: None } => f.write_str(word),
            Self::Word { word, quant: Some(quant) } => write!(f, "{word}:{quant}"),
            Self::Hub { repo, pick: Pick::Usual } => write!(f, "hf:{repo}"),
            Self::Hub { repo, pick: Pick::Quant(quant) } => write!(f, "hf:{repo}:{quant}"),
            Self::Hub { repo, pick: Pick::File(file) } => write!(f, "hf:{repo}/{file}"),
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Url(url) => f.write_str(url),
        }
    }
}

impl FromStr for ModelName {
    type Err = PullError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl Repo {
    /// `org/repo`, if both are names of the hub.
    pub fn parse(text: &str) -> Option<Self> {
        let (org, name) = text.split_once('/')?;
        (is_slug(org) && is_slug(name)).then(|| Self { org: org.into(), name: name.into() })
    }

    /// Who it belongs to.
    pub fn org(&self) -> &str {
        &self.org
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The hub takes upper and lower case for the same.
    pub fn is(&self, org: &str, name: &str) -> bool {
        self.org.eq_ignore_ascii_case(org) && self.name.eq_ignore_ascii_case(name)
    }
}

impl fmt::Display for Repo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.org, self.name)
    }
}

impl RepoFile {
    /// The path, if it is harmless on every system.
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        (parts.len() <= DEPTH_MAX && parts.iter().all(|part| is_harmless(part))).then(|| Self(text.to_owned()))
    }

    /// The path with `/` between its parts.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path as this system writes it.
    pub fn to_path(&self) -> PathBuf {
        self.0.split('/').collect()
    }

    /// Its last part.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

impl fmt::Display for RepoFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `org/repo`, `org/repo:quant` or `org/repo/file.gguf`.
fn hub(rest: &str) -> Result<ModelName, &'static str> {
    const FORM: &str = "it must be hf:ORG/REPO, hf:ORG/REPO:QUANT or hf:ORG/REPO/FILE.gguf";
    let mut parts = rest.splitn(3, '/');
    let (Some(org), Some(name)) = (parts.next(), parts.next()) else { return Err(FORM) };
    if let Some(file) = parts.next() {
        let repo = Repo::parse(&format!("{org}/{name}")).ok_or(FORM)?;
        let file = RepoFile::parse(file).filter(|file| is_gguf(file.as_str())).ok_or("it must name a .gguf file")?;
        return Ok(ModelName::Hub { repo, pick: Pick::File(file) });
    }
    let (name, pick) = match name.split_once(':') {
        None => (name, Pick::Usual),
        Some((name, quant)) if is_quant(quant) => (name, Pick::Quant(quant.to_owned())),
        Some(_) => return Err("what follows the colon must be a quantisation, for example Q4_K_M"),
    };
    let repo = Repo::parse(&format!("{org}/{name}")).ok_or(FORM)?;
    Ok(ModelName::Hub { repo, pick })
}

/// An address; one of the hub's is the name of a repository or of its file.
fn url(text: &str, scheme: &str, rest: &str) -> Result<ModelName, &'static str> {
    if scheme != "http" && scheme != "https" {
        return Err("addresses begin with https:// or http://");
    }
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    if host.is_empty() || host.contains(['@', ' ']) || text.contains(' ') {
        return Err("it is no address, or has a password in it");
    }
    if !HUB_HOSTS.contains(&host.to_ascii_lowercase().as_str()) {
        return Ok(ModelName::Url(text.to_owned()));
    }
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let parts: Vec<&str> = path.splitn(5, '/').collect();
    match parts.as_slice() {
        [org, repo] => hub(&format!("{org}/{repo}")),
        [org, repo, "tree", ..] => hub(&format!("{org}/{repo}")),
        [org, repo, "resolve" | "blob", "main", file] => hub(&format!("{org}/{repo}/{file}")),
        // Another revision than main has no name here: it is an address like any other.
        [_, _, "resolve", _, _] => Ok(ModelName::Url(text.to_owned())),
        _ => Err("it is no address of a repository or of its file"),
    }
}

fn word(text: &str) -> Result<ModelName, &'static str> {
    match text.rsplit_once(':') {
        None => Ok(ModelName::Word { word: text.to_owned(), quant: None }),
        Some((word, quant)) if !word.is_empty() && !word.contains(':') && is_quant(quant) => {
            Ok(ModelName::Word { word: word.to_owned(), quant: Some(quant.to_owned()) })
        }
        Some(_) => Err("what follows the colon must be a quantisation, for example Q4_K_M"),
    }
}

fn is_slug(text: &str) -> bool {
    is_harmless(text) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn is_quant(text: &str) -> bool {
    (1..=QUANT_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// A part of a path that means the same file name everywhere.
fn is_harmless(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or_default().to_ascii_lowercase();
    (1..=PART_BYTES_MAX).contains(&part.len())
        && !part.starts_with('.')
        && !part.starts_with(' ')
        && !part.ends_with(['.', ' '])
        && !part.chars().any(|c| c.is_control() || r#"\/:*?"<>|"#.contains(c))
        && !DEVICES.contains(&stem.as_str())
}

/// Does the file's name end as a GGUF's does?
pub(crate) fn is_gguf(name: &str) -> bool {
    name.len() > 5 && name.as_bytes()[name.len() - 5..].eq_ignore_ascii_case(b".gguf")
}

/// The beginning of what somebody typed, for an error.
fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> String {
        match ModelName::parse(text).unwrap() {
            ModelName::Word { word, quant } => format!("word {word} {}", quant.unwrap_or_default()),
            ModelName::Hub { repo, pick: Pick::Usual } => format!("hub {repo}"),
            ModelName::Hub { repo, pick: Pick::Quant(quant) } => format!("hub {repo} quant {quant}"),
            ModelName::Hub { repo, pick: Pick::File(file) } => format!("hub {repo} file {file}"),
            ModelName::Path(path) => format!("path {}", path.display()),
            ModelName::Url(url) => format!("url {url}"),
        }
    }

    #[test]
    fn names_as_people_write_them() {
        for (text, means) in [
            ("gemma-4-e4b", "word gemma-4-e4b "),
            ("gemma-4-e4b:Q8_0", "word gemma-4-e4b Q8_0"),
            ("My model.gguf", "word My model.gguf "),
            ("hf:ggml-org/gemma-4-E4B-it-GGUF", "hub ggml-org/gemma-4-E4B-it-GGUF"),
            ("hf://ggml-org/gemma-4-E4B-it-GGUF", "hub ggml-org/gemma-4-E4B-it-GGUF"),
            ("hf:a/b:Q4_K_M", "hub a/b quant Q4_K_M"),
            ("hf:a/b:UD-Q4_K_XL", "hub a/b quant UD-Q4_K_XL"),
            ("hf:a/b/sub/m-Q4_0.gguf", "hub a/b file sub/m-Q4_0.gguf"),
            ("https://huggingface.co/a/b", "hub a/b"),
            ("https://hf.co/a/b/tree/main", "hub a/b"),
            ("https://huggingface.co/a/b/blob/main/m.gguf", "hub a/b file m.gguf"),
            ("https://huggingface.co/a/b/resolve/main/s/m.gguf?download=true", "hub a/b file s/m.gguf"),
            ("https://huggingface.co/a/b/resolve/v2/m.gguf", "url https://huggingface.co/a/b/resolve/v2/m.gguf"),
            ("http://host:8080/m.gguf", "url http://host:8080/m.gguf"),
            ("./m.gguf", "path ./m.gguf"),
            ("/models/m.gguf", "path /models/m.gguf"),
            ("a/b", "path a/b"),
            (r"C:\models\m.gguf", r"path C:\models\m.gguf"),
        ] {
            assert_eq!(shown(text), means, "{text}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "a".repeat(NAME_BYTES_MAX + 1);
        for text in [
            "",
            "  ",
            &long,
            "a\nb",
            "a\u{1b}[2J",
            "hf:",
            "hf:a",
            "hf:a/",
            "hf:/b",
            "hf:../b",
            "hf:a/..",
            "hf:a/.b",
            "hf:a/b:",
            "hf:a/b:Q4 K",
            "hf:a/b/../../x.gguf",
            "hf:a/b//x.gguf",
            "hf:a/b/x.bin",
            "hf:a/b/nul.gguf",
            "hf:a/b/.x.gguf",
            "ftp://h/m.gguf",
            "https://",
            "https://user:word@host/m.gguf",
            "x:y:z",
            ":q",
            "x:",
            "https://huggingface.co/a",
        ] {
            assert_eq!(ModelName::parse(text).unwrap_err().code(), "model_name_invalid", "{text}");
        }
    }

    #[test]
    fn bounds_hold_at_the_bound_and_one_past_it() {
        assert!(RepoFile::parse(&"a".repeat(PART_BYTES_MAX)).is_some());
        assert!(RepoFile::parse(&"a".repeat(PART_BYTES_MAX + 1)).is_none());
        assert!(RepoFile::parse(&["a"; DEPTH_MAX].join("/")).is_some());
        assert!(RepoFile::parse(&["a"; DEPTH_MAX + 1].join("/")).is_none());
        assert!(ModelName::parse(&"a".repeat(NAME_BYTES_MAX)).is_ok());
    }

    proptest! {
        #[test]
        fn nothing_panics_and_what_is_shown_means_the_same(
            text in prop_oneof![
                ".{0,80}",
                "(hf:|https://|http://|https://huggingface\\.co/|)[a-z0-9./:\\\\_~ -]{0,40}(\\.gguf|:Q4_K_M|)",
            ]
        ) {
            if let Ok(name) = ModelName::parse(&text) {
                prop_assert_eq!(ModelName::parse(&name.to_string()), Ok(name));
            }
        }

        #[test]
        fn a_file_of_a_repository_stays_below_its_folder(text in "[a-z./\\\\ :]{0,24}") {
            if let Some(file) = RepoFile::parse(&text) {
                let normal = |part: std::path::Component<'_>| matches!(part, std::path::Component::Normal(_));
                prop_assert!(file.to_path().components().all(normal), "{}", text);
            }
        }
    }
}
