//! Runs programs: shown as they go, or into a log file with a sign of life now and then.
//!
//! It knows cargo's environment, and nothing of what the programs are for.

use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::stop::{self, Group};
use std::ffi::OsStr;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How often a silent step says that it lives.
const SIGN_OF_LIFE_EVERY: Duration = Duration::from_secs(30);
/// How long a program gets to end by itself when we are told to stop.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the output of a step goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Output<'a> {
    /// To our stderr, as it comes: stdout is for data.
    Shown,
    /// To this file; a sign of life every half minute.
    Log(&'a Path),
}

/// A command that runs in the checkout, without the variables that cargo set for us alone.
pub(crate) fn command(layout: &Layout, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(&layout.root);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        let ours = ["CARGO", "CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH"].contains(&name.as_ref());
        if ours || name.starts_with("CARGO_PKG_") {
            command.env_remove(name.as_ref());
        }
    }
    command
}

/// Cargo for native builds: target directory in the cache, C++ optimised, as many jobs as there are cores.
pub(crate) fn cargo(layout: &Layout) -> Command {
    cargo_at(layout, "cargo")
}

/// The same with a certain cargo.
pub(crate) fn cargo_at(layout: &Layout, program: &str) -> Command {
    let mut cargo = command(layout, program);
    cargo
        .env("CARGO_TARGET_DIR", &layout.target)
        .env("CARGO_TERM_COLOR", "never")
        .env("LLAMA_LIB_PROFILE", "Release")
        .env("OPENSSL_NO_VENDOR", if system_openssl() { "1" } else { "0" });
    if std::env::var_os("CARGO_BUILD_JOBS").is_none() {
        cargo.env("CARGO_BUILD_JOBS", cores().to_string());
    }
    cargo
}

/// Cores that we may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Whether OpenSSL's headers are installed: then its sources are not built again.
pub(crate) fn system_openssl() -> bool {
    quiet("pkg-config", ["--exists", "openssl"]).is_some()
}

/// First line that a program prints, or nothing when it is not there or fails.
pub(crate) fn quiet<I, S>(program: &str, args: I) -> Option<String>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    output.status.success().then(|| text.lines().next().unwrap_or_default().trim().to_owned())
}

/// Runs to the end; a failure is an error that names `what`.
pub(crate) fn run(what: &str, command: &mut Command, output: Output<'_>) -> Result<()> {
    let status = run_for(what, command, output, None)?;
    if status.success() {
        return Ok(());
    }
    let log = match output {
        Output::Log(path) => Some(path.to_path_buf()),
        Output::Shown => None,
    };
    Err(Error::Failed { what: what.to_owned(), status: describe(status), log })
}

/// Runs to the end and gives back stdout; stderr is shown.
pub(crate) fn capture(what: &str, command: &mut Command) -> Result<Vec<u8>> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut group = Group::start(command, PATIENCE)?;
    let stdout = group.child().stdout.take();
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stdout.map_or(Ok(0), |mut stdout| stdout.read_to_end(&mut bytes)).map(|_| bytes)
    });
    let status = wait(what, &mut group, None, |_| {})?;
    let bytes = reader.join().unwrap_or_else(|_| Ok(Vec::new()))?;
    if status.success() {
        Ok(bytes)
    } else {
        Err(Error::Failed { what: what.to_owned(), status: describe(status), log: None })
    }
}

/// Runs to the end or to the limit; what the exit status means is left to the caller.
pub(crate) fn run_for(
    what: &str,
    command: &mut Command,
    output: Output<'_>,
    limit: Option<Duration>,
) -> Result<ExitStatus> {
    stop::check()?;
    command.stdin(Stdio::null());
    match output {
        Output::Shown => {
            command.stdout(std::io::stderr()).stderr(Stdio::inherit());
        }
        Output::Log(path) => {
            if let Some(dir) = path.parent() {
                fs_err::create_dir_all(dir)?;
            }
            let file = fs_err::File::create(path)?.into_parts().0;
            command.stdout(file.try_clone()?).stderr(file);
        }
    }
    let log = match output {
        Output::Log(path) => Some(path.to_path_buf()),
        Output::Shown => None,
    };
    let mut group = Group::start(command, PATIENCE)?;
    let mut next_sign = SIGN_OF_LIFE_EVERY;
    let waited = wait(what, &mut group, limit, |elapsed| {
        if let Some(log) = log.as_deref().filter(|_| elapsed > next_sign) {
            next_sign += SIGN_OF_LIFE_EVERY;
            eprintln!("        {:>5} s  {}", elapsed.as_secs(), tail(log, 1).trim());
        }
    });
    match waited {
        Err(Error::TooSlow { what, seconds, .. }) => Err(Error::TooSlow { what, seconds, log }),
        other => other,
    }
}

/// Waits for the end, the limit or a wish to stop; dropping the group ends it in the latter cases.
fn wait(what: &str, group: &mut Group, limit: Option<Duration>, mut tick: impl FnMut(Duration)) -> Result<ExitStatus> {
    let started = Instant::now();
    loop {
        if let Some(status) = group.child().try_wait()? {
            return Ok(status);
        }
        let elapsed = started.elapsed();
        if let Some(limit) = limit.filter(|limit| elapsed > *limit) {
            return Err(Error::TooSlow { what: what.to_owned(), seconds: limit.as_secs(), log: None });
        }
        tick(elapsed);
        stop::pause(Duration::from_millis(20))?;
    }
}

/// The last lines of a failed step's log, without those in which cargo says what it is compiling.
pub(crate) fn ending(path: &Path, lines: usize) -> String {
    const PROGRESS: &[&str] = &["Compiling ", "Checking ", "Downloaded ", "Downloading ", "Blocking ", "Locking "];
    let of_interest = |line: &&str| !PROGRESS.iter().any(|word| line.trim_start().starts_with(word));
    let text = tail(path, usize::MAX);
    let all: Vec<&str> = text.lines().filter(of_interest).collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// The last lines of a file, or nothing.
pub(crate) fn tail(path: &Path, lines: usize) -> String {
    const BYTES_MAX: u64 = 64 << 10;
    let read = || -> std::io::Result<String> {
        let mut file = std::fs::File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(BYTES_MAX)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let all: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

fn describe(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("signal {signal}");
    }
    status.code().map_or_else(|| "no exit status".into(), |code| format!("exit status {code}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_step_and_its_log() {
        let log = std::env::temp_dir().join(format!("ainonymous-xtask-run-{}.log", std::process::id()));
        let error = run("say", Command::new("sh").args(["-c", "echo one; echo two >&2; exit 7"]), Output::Log(&log));
        assert!(matches!(error, Err(Error::Failed { ref status, .. }) if status == "exit status 7"));
        assert_eq!(tail(&log, 1), "two");
        assert_eq!(tail(&log, 9), "one\ntwo");
        std::fs::write(&log, "   Compiling a v1\nerror: b\n   Compiling c v1\n").unwrap();
        assert_eq!(ending(&log, 5), "error: b");
        std::fs::remove_file(log).unwrap();
    }

    #[test]
    fn a_limit_ends_the_program() {
        let limit = Some(Duration::from_millis(100));
        let error = run_for("sleep", Command::new("sleep").arg("60"), Output::Shown, limit);
        assert!(matches!(error, Err(Error::TooSlow { .. })));
    }

    #[test]
    fn what_is_not_there_is_none() {
        assert_eq!(quiet("ainonymous-no-such-program", ["--version"]), None);
    }
}
