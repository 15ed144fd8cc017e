//! One worker process and its pipes.
//!
//! A thread of its own starts the process and stays until it has ended. The operating system ties the worker's life to the
//! thread that started it, so this must not be a thread of a pool that comes and goes.

use super::environment;
use super::ledger::Reservation;
use crate::error::clip;
use crate::wire::{self, ToHost, ToWorker, TO_HOST_BYTES_MAX, TO_WORKER_BYTES_MAX};
use crate::{EngineError, WorkerCommand};
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::oneshot;

/// Lines of standard error that are kept.
const STDERR_LINES_MAX: usize = 20;
/// Longest line of standard error that is looked at.
const STDERR_LINE_BYTES_MAX: u64 = 4 << 10;
/// The worker's reader does nothing but read: if it does not, the process is stuck.
const SEND_PATIENCE: Duration = Duration::from_secs(30);
/// How often a process that has closed its pipes is asked whether it has ended.
const REAP_EVERY: Duration = Duration::from_millis(5);
/// How long such a process may go on before it is killed.
const REAP_AFTER: Duration = Duration::from_secs(2);

/// A running worker process.
pub(super) struct WorkerProcess {
    pub(super) pid: u32,
    /// Memory that it was promised.
    pub(super) reservation: Option<Reservation>,
    stdin: ChildStdin,
    stdout: ChildStdout,
    received: Vec<u8>,
    child: Killed,
    stderr: Arc<Mutex<VecDeque<String>>>,
    exit: oneshot::Receiver<Option<ExitStatus>>,
}

/// How a worker process ended.
#[derive(Clone, Debug)]
pub(super) struct Exit {
    /// Signal or exit code, for people.
    pub(super) how: String,
    /// Killed by the system or a person: mostly for lack of memory.
    pub(super) killed: bool,
    /// Last line of its standard error.
    pub(super) last_line: String,
    /// What it said on standard error.
    pub(super) lines: Vec<String>,
}

impl Exit {
    pub(super) fn crashed(&self) -> EngineError {
        EngineError::WorkerCrashed { exit: self.how.clone(), last_line: self.last_line.clone() }
    }
}

impl WorkerProcess {
    pub(super) async fn start(command: &WorkerCommand) -> Result<Self, EngineError> {
        let spawn_error = |e: io::Error| EngineError::WorkerSpawn { reason: clip(&e.to_string()) };
        let (started, wait_started) = oneshot::channel();
        let (exited, exit) = oneshot::channel();
        let stderr = Arc::new(Mutex::new(VecDeque::new()));
        let (lines, command) = (stderr.clone(), command.clone());
        let keeper = move || keep(&command, started, &lines, exited);
        std::thread::Builder::new().name("engine-keeper".into()).spawn(keeper).map_err(spawn_error)?;
        let gone = || spawn_error(io::Error::other("its thread ended"));
        let child = wait_started.await.map_err(|_| gone())?.map_err(spawn_error)?;
        let (pid, stdin, stdout) = {
            let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
            (child.id(), child.stdin.take(), child.stdout.take())
        };
        let (Some(stdin), Some(stdout)) = (stdin, stdout) else { return Err(gone()) };
        let stdin = ChildStdin::from_std(stdin).map_err(spawn_error)?;
        let stdout = ChildStdout::from_std(stdout).map_err(spawn_error)?;
        Ok(Self { pid, reservation: None, stdin, stdout, received: Vec::new(), child: Killed(child), stderr, exit })
    }

    /// Sends a frame. An error means that the process is ending, or is killed because it does not listen.
    pub(super) async fn send(&mut self, message: &ToWorker) -> io::Result<()> {
        let mut bytes = Vec::new();
        wire::encode(message, TO_WORKER_BYTES_MAX, &mut bytes)?;
        let sending = async {
            self.stdin.write_all(&bytes).await?;
            self.stdin.flush().await
        };
        match tokio::time::timeout(SEND_PATIENCE, sending).await {
            Ok(sent) => sent,
            Err(_) => {
                self.kill();
                Err(io::ErrorKind::TimedOut.into())
            }
        }
    }

    /// The next frame; `None` when the process has closed its pipe or speaks nonsense. Cancel safe.
    pub(super) async fn receive(&mut self) -> Option<ToHost> {
        loop {
            match wire::take_frame(&mut self.received, TO_HOST_BYTES_MAX) {
                Ok(Some(message)) => return Some(message),
                Ok(None) => {}
                Err(_) => return None,
            }
            match self.stdout.read_buf(&mut self.received).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Kills the process unless it has ended.
    pub(super) fn kill(&self) {
        self.child.kill();
    }

    /// Waits until the process has ended, which it is about to, or else is killed.
    pub(super) async fn ended(self) -> Exit {
        let Self { pid: _, reservation: _, stdin, stdout, received: _, child, stderr, mut exit } = self;
        drop((stdin, stdout));
        let status = match tokio::time::timeout(REAP_AFTER, &mut exit).await {
            Ok(status) => status.ok().flatten(),
            Err(_) => {
                child.kill();
                exit.await.ok().flatten()
            }
        };
        let lines: Vec<String> = stderr.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        let last_line = lines.last().cloned().unwrap_or_default();
        Exit { how: how(status), killed: was_killed(status), last_line, lines }
    }
}

/// A process that is killed, unless it has ended, when nobody needs it any more.
struct Killed(Arc<Mutex<Child>>);

impl Killed {
    fn kill(&self) {
        // A process that was reaped is not signalled: the standard library remembers.
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).kill();
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        self.kill();
    }
}

type Started = oneshot::Sender<io::Result<Arc<Mutex<Child>>>>;

/// The keeper's thread: starts the process, collects what it says, and reaps it.
fn keep(
    command: &WorkerCommand,
    started: Started,
    lines: &Mutex<VecDeque<String>>,
    exited: oneshot::Sender<Option<ExitStatus>>,
) {
    let pipes = || (Stdio::piped(), Stdio::piped(), Stdio::piped());
    let (stdin, stdout, stderr) = pipes();
    let child = Command::new(&command.program)
        .args(&command.args)
        .env_clear()
        .envs(environment::of_worker(std::env::vars_os()))
        // ggml would otherwise attach a debugger to itself before it aborts.
        .env("GGML_NO_BACKTRACE", "1")
        .stdin(stdin)
        .stdout(stdout)
        .stderr(stderr)
        .spawn();
    let (child, stderr) = match child {
        Ok(mut child) => {
            let stderr = child.stderr.take();
            (Arc::new(Mutex::new(child)), stderr)
        }
        Err(e) => {
            let _ = started.send(Err(e));
            return;
        }
    };
    let _ = started.send(Ok(child.clone()));
    if let Some(stderr) = stderr {
        collect_lines(stderr, lines);
    }
    let _ = exited.send(reap(&child));
}

fn collect_lines(stderr: impl Read, lines: &Mutex<VecDeque<String>>) {
    let mut stderr = BufReader::new(stderr);
    loop {
        let mut line = Vec::new();
        match stderr.by_ref().take(STDERR_LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let line = clip(without_folder(&String::from_utf8_lossy(&line)));
        if line.is_empty() {
            continue;
        }
        tracing::debug!(target: "ainonymous::engine::worker", "{line}");
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == STDERR_LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

/// `/where/it/was/built/ggml.c:12: message` without the folder.
fn without_folder(line: &str) -> &str {
    let (path, _) = line.split_once(':').unwrap_or((line, ""));
    match path.rfind('/') {
        Some(slash) if path.starts_with('/') => &line[slash + 1..],
        _ => line,
    }
}

/// Waits for the end without holding the lock, so that the process can be killed meanwhile.
fn reap(child: &Mutex<Child>) -> Option<ExitStatus> {
    loop {
        match child.lock().unwrap_or_else(PoisonError::into_inner).try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) => {}
            Err(_) => return None,
        }
        // The keeper's own thread: no runtime waits for it.
        #[allow(clippy::disallowed_methods)]
        std::thread::sleep(REAP_EVERY);
    }
}

fn how(status: Option<ExitStatus>) -> String {
    status.map_or_else(|| "unknown".into(), |status| status.to_string())
}

fn was_killed(status: Option<ExitStatus>) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        status.and_then(|s| s.signal()) == Some(libc::SIGKILL)
    }
    #[cfg(not(unix))]
    {
        let _ = status;
        false
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn where_it_was_built_is_nobodys_business() {
        assert_eq!(
            super::without_folder("/a/b/ggml.c:12: GGML_ASSERT(x) failed: /y"),
            "ggml.c:12: GGML_ASSERT(x) failed: /y"
        );
        assert_eq!(super::without_folder("plain: a/b"), "plain: a/b");
        assert_eq!(super::without_folder("no colon"), "no colon");
    }
}
