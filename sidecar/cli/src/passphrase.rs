//! The passphrase that opens a node's keys: from a file, the environment, or a terminal. Never a default.

use crate::error::CliError;
use crate::out::Out;
use ainonymous_conductor::Passphrase;
use std::io::IsTerminal as _;
use std::path::Path;
use zeroize::Zeroizing;

/// Holds the passphrase, if no file does.
pub(crate) const VARIABLE: &str = "AINONYMOUS_PASSPHRASE";

/// The passphrase; asked for twice if the folder is new, because a lost one cannot be recovered.
pub(crate) fn read(file: Option<&Path>, folder_is_new: bool, out: &Out) -> Result<Passphrase, CliError> {
    if let Some(path) = file {
        warn_if_others_can_read(path, out);
        let text =
            fs_err::read_to_string(path).map_err(|source| CliError::File { path: path.to_path_buf(), source })?;
        return checked(&Zeroizing::new(text));
    }
    if let Ok(text) = std::env::var(VARIABLE) {
        return checked(&Zeroizing::new(text));
    }
    if !std::io::stdin().is_terminal() {
        return Err(CliError::NoPassphrase);
    }
    let first = prompt(if folder_is_new { "New passphrase for this node: " } else { "Passphrase of this node: " })?;
    if folder_is_new {
        out.talk("It opens the node's keys. Nobody can recover it.");
        if *prompt("The same again: ")? != *first {
            return Err(CliError::PassphrasesDiffer);
        }
    }
    checked(&first)
}

fn prompt(words: &str) -> Result<Zeroizing<String>, CliError> {
    rpassword::prompt_password(words).map(Zeroizing::new).map_err(|e| CliError::Terminal { problem: e.to_string() })
}

/// Without the line end that editors add.
fn checked(text: &str) -> Result<Passphrase, CliError> {
    match text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line)) {
        "" => Err(CliError::EmptyPassphrase),
        passphrase => Ok(Passphrase::new(passphrase.as_bytes())),
    }
}

#[cfg(unix)]
fn warn_if_others_can_read(path: &Path, out: &Out) {
    use std::os::unix::fs::PermissionsExt as _;
    if fs_err::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0) {
        out.talk(&format!("warning: others can read {0}; run `chmod 600 {0}`", path.display()));
    }
}

#[cfg(not(unix))]
fn warn_if_others_can_read(_: &Path, _: &Out) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_passphrase_is_none() {
        for empty in ["", "\n", "\r\n"] {
            assert_eq!(checked(empty).unwrap_err().code(), "empty_passphrase");
        }
        assert!(checked(" \n").is_ok(), "a blank is a character");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let out = Out::new(false, false);
        let error = read(Some(Path::new("/no/such/file")), false, &out).unwrap_err();
        assert!(error.to_string().contains("/no/such/file"));
    }
}
