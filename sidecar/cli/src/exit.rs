//! Exit codes: one list, the same in the code and in docs/reference/exit-codes.md (a test compares them).

use std::process::ExitCode;

/// Why the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    Ok = 0,
    /// Something else failed.
    Other = 1,
    /// Flags, configuration or the question make no sense.
    Usage = 2,
    /// No node answers, or it is not ready.
    NotReady = 3,
    /// Nobody can answer: no such model, or no provider (any more).
    NoProvider = 4,
    /// The passphrase is wrong or missing.
    Passphrase = 5,
    /// The data folder cannot be used.
    DataDir = 6,
    /// Another program listens on the address.
    PortInUse = 7,
    /// No model file could be found, read or loaded.
    BadModel = 8,
    /// The conductor does not start or cannot be reached.
    Conductor = 9,
    /// `verify`: something does not fit, or the answer is not what the model says.
    NotGenuine = 10,
    /// `verify`: nothing follows from what was found.
    Inconclusive = 11,
    /// Stopped at once by a second signal; a pull by the first.
    Interrupted = 130,
}

/// All of them, with what they mean.
pub(crate) const ALL: &[(Exit, &str)] = &[
    (Exit::Ok, "done"),
    (Exit::Other, "something else failed; `doctor`: a check failed"),
    (Exit::Usage, "flags, configuration or the question make no sense"),
    (Exit::NotReady, "no node answers, or it is not ready"),
    (Exit::NoProvider, "nobody can answer: no such model, or no provider (any more)"),
    (Exit::Passphrase, "the passphrase is wrong or missing"),
    (Exit::DataDir, "the data folder cannot be used: another process, another network, the disk"),
    (Exit::PortInUse, "another program listens on the address"),
    (Exit::BadModel, "no model file could be found, read or loaded"),
    (Exit::Conductor, "the conductor does not start or cannot be reached"),
    (Exit::NotGenuine, "`verify`: something does not fit, or the answer is not what the model says"),
    (Exit::Inconclusive, "`verify`: nothing follows from what was found"),
    (Exit::Interrupted, "stopped at once by a second Ctrl-C; `pull`: by the first"),
];

impl Exit {
    /// The exit code of an error of node, conductor, engine or API, by its stable name.
    pub(crate) fn of_code(code: &str) -> Self {
        match code {
            "wrong_passphrase" => Self::Passphrase,
            "data_dir_in_use"
            | "data_dir_of_another_network"
            | "keystore_damaged"
            | "keystore_failed"
            | "storage"
            | "disk_full"
            | "database"
            | "models_disk_full"
            | "models_unwritable" => Self::DataDir,
            "port_in_use" | "transport_bind" => Self::PortInUse,
            "not_loopback" | "invalid_url" | "model_name_invalid" | "model_not_pullable" | "model_not_ours" => {
                Self::Usage
            }
            "hub_not_found" | "hub_no_gguf" | "hub_no_such_file" | "hub_parts_missing" => Self::NoProvider,
            "model_not_on_disk" => Self::BadModel,
            "pull_cancelled" => Self::Interrupted,
            "not_ready" | "draining" | "model_loading" => Self::NotReady,
            "model_not_found" | "no_provider" | "demands_unmet" | "no_link" | "answer_pending" | "answer_not_found" => {
                Self::NoProvider
            }
            code if code.starts_with("provider_") => Self::NoProvider,
            "no_conductor"
            | "origin_refused"
            | "conductor_too_old"
            | "conductor_start_failed"
            | "embedded_unavailable"
            | "app_not_installed"
            | "app_not_enabled"
            | "app_of_another_network"
            | "admin_refused"
            | "invalid_happ"
            | "disconnected"
            | "stopped"
            | "call_timeout" => Self::Conductor,
            _ => Self::Other,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::{Exit, ALL};

    #[test]
    fn the_reference_says_the_same() {
        let reference = include_str!("../../../docs/reference/exit-codes.md");
        for (exit, meaning) in ALL {
            let line = format!("| {} | {meaning} |", *exit as u8);
            assert!(reference.contains(&line), "docs/reference/exit-codes.md lacks: {line}");
        }
        assert_eq!(reference.lines().filter(|line| line.starts_with("| ")).count(), ALL.len() + 1, "and nothing else");
    }

    #[test]
    fn codes_of_errors() {
        for (code, exit) in [
            ("wrong_passphrase", Exit::Passphrase),
            ("data_dir_in_use", Exit::DataDir),
            ("disk_full", Exit::DataDir),
            ("port_in_use", Exit::PortInUse),
            ("provider_gone", Exit::NoProvider),
            ("not_ready", Exit::NotReady),
            ("no_conductor", Exit::Conductor),
            ("hub_not_found", Exit::NoProvider),
            ("models_disk_full", Exit::DataDir),
            ("pull_cancelled", Exit::Interrupted),
            ("anything", Exit::Other),
        ] {
            assert_eq!(Exit::of_code(code), exit, "{code}");
        }
    }
}
