//! Package managers: which one is here, what its command looks like, and apt itself.
//!
//! It must not know what the packages are for.

use super::shown;
use crate::error::Result;
use crate::layout::Layout;
use crate::run;
use std::path::Path;

/// Package managers whose package names we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manager {
    /// Debian, Ubuntu.
    Apt,
    /// Fedora.
    Dnf,
    /// Arch.
    Pacman,
    /// macOS.
    Brew,
}

impl Manager {
    /// The command that a person would type.
    pub(crate) fn command(self, packages: &[&str]) -> String {
        let list = packages.join(" ");
        match self {
            Self::Apt => format!("sudo apt-get update && sudo apt-get install -y {list}"),
            Self::Dnf => format!("sudo dnf install -y {list}"),
            Self::Pacman => format!("sudo pacman -S --needed {list}"),
            Self::Brew => format!("brew install {list}"),
        }
    }
}

/// The first manager that is on `PATH`.
pub(crate) fn find() -> Option<Manager> {
    [("apt-get", Manager::Apt), ("dnf", Manager::Dnf), ("pacman", Manager::Pacman), ("brew", Manager::Brew)]
        .into_iter()
        .find(|(program, _)| on_path(program))
        .map(|(_, manager)| manager)
}

/// Whether a program of that name is on `PATH`.
pub(crate) fn on_path(program: &str) -> bool {
    which(program).is_some()
}

/// The first file of that name on `PATH`.
pub(crate) fn which(program: &str) -> Option<std::path::PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(program)).find(|path| path.is_file())
}

/// Whether we may install.
pub(crate) fn am_root() -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        // The owner of a process's own directory is its effective user.
        Path::new("/proc/self").metadata().is_ok_and(|own| own.uid() == 0)
    }
    #[cfg(not(unix))]
    false
}

/// `apt-get update` and `install`, without questions.
pub(crate) fn apt_install(layout: &Layout, packages: &[&str]) -> Result<()> {
    let apt = |args: &[&str]| {
        let mut command = run::command(layout, "apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(args);
        command
    };
    shown("apt-get update", &mut apt(&["-q", "update"]))?;
    let mut args = vec!["-q", "install", "-y", "--no-install-recommends"];
    args.extend(packages);
    shown(&format!("apt-get install {}", packages.join(" ")), &mut apt(&args))
}
