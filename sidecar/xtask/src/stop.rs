//! SIGINT and SIGTERM as a flag, and the end of whole process groups, so that nothing that was started outlives us.
//!
//! It knows processes, not what they do.

use crate::error::{Error, Result};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

static STOP: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on SIGINT and SIGTERM are noted instead of ending this process. Call once, early.
pub(crate) fn watch() -> Result<()> {
    let flag = STOP.get_or_init(Arc::default);
    #[cfg(unix)]
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(flag))?;
    }
    #[cfg(not(unix))]
    let _ = flag;
    Ok(())
}

/// An error as soon as somebody wants us to stop.
pub(crate) fn check() -> Result<()> {
    if STOP.get().is_some_and(|flag| flag.load(Ordering::Relaxed)) {
        return Err(Error::Interrupted);
    }
    Ok(())
}

/// Sleeps, and is an error as soon as somebody wants us to stop. There is no async runtime here to be held up.
#[allow(clippy::disallowed_methods, reason = "plain threads")]
pub(crate) fn pause(time: Duration) -> Result<()> {
    std::thread::sleep(time);
    check()
}

/// A child in a process group of its own. Dropping it ends the group: politely first, then not.
#[derive(Debug)]
pub(crate) struct Group {
    child: Child,
    patience: Duration,
}

impl Group {
    /// Starts `command`; `patience` is how long it gets between SIGTERM and SIGKILL.
    pub(crate) fn start(command: &mut Command, patience: Duration) -> Result<Self> {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().map_err(|source| Error::Start { program, source })?;
        Ok(Self { child, patience })
    }

    /// The child itself, to wait for it or to take its pipes.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Ends the group and waits for the child.
    pub(crate) fn end(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            // What the child left behind must not stay either.
            self.signal(true);
            return;
        }
        self.signal(false);
        let deadline = Instant::now() + self.patience;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                break;
            }
            // Also when we are being stopped: the child still gets its time.
            let _ = pause(Duration::from_millis(20));
        }
        self.signal(true);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    #[cfg(unix)]
    fn signal(&self, kill: bool) {
        use nix::sys::signal::{killpg, Signal};
        let signal = if kill { Signal::SIGKILL } else { Signal::SIGTERM };
        if let Ok(id) = i32::try_from(self.child.id()) {
            // The group may be gone already: that is what was wanted.
            let _ = killpg(nix::unistd::Pid::from_raw(id), signal);
        }
    }

    #[cfg(not(unix))]
    fn signal(&self, _kill: bool) {}
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::process::Stdio;

    #[test]
    fn a_dropped_group_takes_its_grandchildren_along() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 60 & echo $!; wait"]).stdout(Stdio::piped());
        let mut group = Group::start(&mut command, Duration::from_secs(2)).unwrap();
        let mut line = String::new();
        let out = group.child().stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
        let grandchild = nix::unistd::Pid::from_raw(line.trim().parse().unwrap());
        assert!(nix::sys::signal::kill(grandchild, None).is_ok());
        drop(group);
        let deadline = Instant::now() + Duration::from_secs(5);
        let gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{grandchild}/stat")).unwrap_or_default();
            nix::sys::signal::kill(grandchild, None).is_err() || stat.contains(") Z ")
        };
        while !gone() {
            assert!(Instant::now() < deadline, "the grandchild lives");
            let _ = pause(Duration::from_millis(10));
        }
    }
}
