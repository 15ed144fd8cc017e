//! The usual folders of a user, as the XDG base directories say; on Windows, the profile's.

use crate::error::CliError;
use std::env;
use std::path::PathBuf;

const NAME: &str = "ainonymous";

/// The node's folder unless the user chooses.
pub(crate) fn data_dir() -> Result<PathBuf, CliError> {
    base("XDG_DATA_HOME", ".local/share", "LOCALAPPDATA").map(|base| base.join(NAME)).ok_or(CliError::NoHome)
}

/// The configuration file unless the user chooses; none if there is no home.
pub(crate) fn config_file() -> Option<PathBuf> {
    base("XDG_CONFIG_HOME", ".config", "APPDATA").map(|base| base.join(NAME).join("config.toml"))
}

fn base(xdg: &str, in_home: &str, windows: &str) -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if cfg!(windows) {
        return absolute(windows);
    }
    absolute(xdg).or_else(|| absolute("HOME").map(|home| home.join(in_home)))
}
