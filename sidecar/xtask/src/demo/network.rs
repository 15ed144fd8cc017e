//! Bootstrap server and two nodes as child processes in a directory that goes away with them.
//!
//! It knows the flags and the JSON lines of `ainonymous`, nothing else of it. Whatever happens here, dropping the network
//! ends every process and removes the directory.

use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::run;
use crate::stop::{self, Group};
use serde::Deserialize;
use std::cell::RefCell;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// From start to ready.
const READY_LIMIT: Duration = Duration::from_secs(120);
/// From asking to the checked receipt.
const ASK_LIMIT: Duration = Duration::from_secs(60);
/// Pause before a question is put again.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(300);
/// Exit codes of `ainonymous ask` that may pass: docs/reference/exit-codes.md.
const NOT_READY: i32 = 3;
const NO_PROVIDER: i32 = 4;
/// Between SIGTERM and SIGKILL.
const PATIENCE: Duration = Duration::from_secs(8);
/// The provider publishes receipts this often.
const RECEIPT_INTERVAL_MS: &str = "300";

/// Two nodes that know each other.
pub(super) struct Network {
    // Dropped in this order: nodes before the server that introduced them, the directory last.
    asking: Process,
    serving: Process,
    _bootstrap: Process,
    _dir: Scratch,
    binary: PathBuf,
    api: String,
    page: String,
}

/// A line of `--json` output, as far as the demo cares.
#[derive(Debug, Default, Deserialize)]
struct Event {
    #[serde(default)]
    event: String,
    url: Option<String>,
    api: Option<String>,
    chat: Option<String>,
    message: Option<String>,
    hint: Option<String>,
}

/// What a program said until it ended.
pub(super) struct Said {
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Network {
    /// Starts everything and waits until both nodes are ready.
    pub(super) fn start(layout: &Layout, model: Option<&Path>) -> Result<Self> {
        let model = model.map_or_else(|| layout.tiny_model(), Path::to_path_buf);
        let binary = layout.binary("ainonymous");
        for path in [&model, &binary] {
            if !path.is_file() {
                return Err(Error::Absent { path: path.clone() });
            }
        }
        let dir = Scratch::new()?;
        let passphrase = dir.passphrase()?;
        let mut bootstrap = Process::start("bootstrap", &binary, &dir, |command| {
            command.args(["bootstrap", "--listen", "127.0.0.1:0", "--json"]);
        })?;
        let url = bootstrap.wait_for("listening", READY_LIMIT)?.url.unwrap_or_default();
        let up = |command: &mut Command, data: &str| {
            command.args(["up", "--json", "--api", "127.0.0.1:0", "--network-tuning", "lan", "--bootstrap", &url]);
            command.args(["--receipt-interval-ms", RECEIPT_INTERVAL_MS]);
            command.arg("--data-dir").arg(dir.0.join(data)).arg("--passphrase-file").arg(&passphrase);
        };
        let mut serving = Process::start("serving node", &binary, &dir, |command| {
            up(command, "serving");
            command.arg("--serve").arg(&model).args(["--threads", "1"]);
        })?;
        let mut asking = Process::start("asking node", &binary, &dir, |command| up(command, "asking"))?;
        serving.wait_for("ready", READY_LIMIT)?;
        let listening = asking.wait_for("listening", READY_LIMIT)?;
        asking.wait_for("ready", READY_LIMIT)?;
        let api = listening.api.unwrap_or_default();
        let page = listening.chat.unwrap_or_else(|| api.clone());
        Ok(Self { asking, serving, _bootstrap: bootstrap, _dir: dir, binary, api, page })
    }

    /// Asks the node that has no model; again while it does not know a provider yet.
    pub(super) fn ask(&self, question: &str, as_json: bool) -> Result<Said> {
        let deadline = Instant::now() + ASK_LIMIT;
        loop {
            let mut process = Process::start("question", &self.binary, &self._dir, |command| {
                command.args(["ask", "--api", &self.api]).args(as_json.then_some("--json")).arg("--").arg(question);
            })?;
            let (status, said) = process.finish(deadline)?;
            match status.code() {
                Some(0) => return Ok(said),
                Some(NOT_READY | NO_PROVIDER) if Instant::now() < deadline => stop::pause(ASK_AGAIN_AFTER)?,
                _ => return Err(process.said_no(&said)),
            }
        }
    }

    /// URL of the asking node's API and of its chat page.
    pub(super) fn addresses(&self) -> (&str, &str) {
        (&self.api, &self.page)
    }

    /// An error when one of the nodes has ended.
    pub(super) fn check(&self) -> Result<()> {
        self.asking.check()?;
        self.serving.check()
    }
}

/// A child whose stdout is JSON lines and whose stderr is kept in a file.
struct Process {
    name: &'static str,
    group: RefCell<Group>,
    lines: Receiver<String>,
    log: PathBuf,
}

impl Process {
    fn start(name: &'static str, binary: &Path, dir: &Scratch, arguments: impl FnOnce(&mut Command)) -> Result<Self> {
        let log = dir.0.join(format!("{}.log", name.replace(' ', "-")));
        let mut command = Command::new(binary);
        arguments(&mut command);
        command.current_dir(&dir.0);
        // What this user configured must not reach the demo.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AINONYMOUS_")) {
            command.env_remove(name);
        }
        command.env("AINONYMOUS_CONFIG", dir.0.join("none.toml"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(fs_err::File::create(&log)?.into_parts().0);
        let mut group = Group::start(&mut command, PATIENCE)?;
        let stdout = group.child().stdout.take();
        let (sender, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines()).map_while(|line| line.ok())
            {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { name, group: RefCell::new(group), lines, log })
    }

    /// The first event of that name.
    fn wait_for(&mut self, wanted: &str, limit: Duration) -> Result<Event> {
        let deadline = Instant::now() + limit;
        loop {
            let line = self.line(deadline)?;
            let event: Event = serde_json::from_str(&line).unwrap_or_default();
            if event.event == wanted {
                return Ok(event);
            }
            if ["error", "model_failed"].contains(&event.event.as_str()) {
                let detail = event.message.unwrap_or_default();
                return Err(Error::Node { node: self.name, detail, hint: event.hint, tail: self.tail() });
            }
        }
    }

    /// The next line of stdout; an error when there is none until the deadline.
    fn line(&mut self, deadline: Instant) -> Result<String> {
        loop {
            stop::check()?;
            match self.lines.recv_timeout(Duration::from_millis(100)) {
                Ok(line) => return Ok(line),
                Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
                Err(RecvTimeoutError::Timeout) => return Err(self.silent("it said nothing more within its time")),
                Err(RecvTimeoutError::Disconnected) => return Err(self.silent("it ended")),
            }
        }
    }

    fn check(&self) -> Result<()> {
        match self.group.borrow_mut().child().try_wait()? {
            None => Ok(()),
            Some(status) => Err(self.silent(&format!("it ended ({status})"))),
        }
    }

    /// Everything until it ends by itself.
    fn finish(&mut self, deadline: Instant) -> Result<(ExitStatus, Said)> {
        let mut stdout = String::new();
        loop {
            match self.lines.recv_timeout(Duration::from_millis(100)) {
                Ok(line) => stdout.push_str(&(line + "\n")),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => stop::check()?,
            }
            if Instant::now() > deadline {
                return Err(self.silent("it did not end within its time"));
            }
        }
        let status = self.group.borrow_mut().child().wait()?;
        Ok((status, Said { stdout, stderr: std::fs::read_to_string(&self.log).unwrap_or_default() }))
    }

    fn silent(&self, detail: &str) -> Error {
        Error::Node { node: self.name, detail: detail.into(), hint: None, tail: self.tail() }
    }

    /// Its own words for what went wrong: `error: …` and `hint: …` on stderr.
    fn said_no(&self, said: &Said) -> Error {
        let after = |start: &str| said.stderr.lines().find_map(|line| line.strip_prefix(start)).map(str::to_owned);
        let detail = after("error: ").unwrap_or_else(|| "it failed without a word".into());
        Error::Node { node: self.name, detail, hint: after("hint: "), tail: String::new() }
    }

    fn tail(&self) -> String {
        run::tail(&self.log, 30)
    }
}

/// A directory that only this user can read, removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("ainonymous-demo-{}", std::process::id()));
        if path.exists() {
            // A demo of an earlier process with this number was killed.
            fs_err::remove_dir_all(&path)?;
        }
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path)?;
        Ok(Self(path))
    }

    /// Made for this one run, from the system's randomness.
    fn passphrase(&self) -> Result<PathBuf> {
        let mut bytes = [0_u8; 24];
        fs_err::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        let path = self.0.join("passphrase");
        fs_err::write(&path, bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())?;
        #[cfg(unix)]
        fs_err::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs_err::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    /// A program that behaves as the lines say.
    fn speaking(dir: &Scratch, script: &str) -> Process {
        let started = Process::start("node", Path::new("sh"), dir, |command| {
            command.args(["-c", script]);
        });
        started.unwrap()
    }

    #[test]
    fn events_errors_and_ends_are_told_apart() {
        let dir = Scratch::new().unwrap();
        let in_time = Duration::from_secs(5);
        let mut good = speaking(&dir, r#"echo '{"event":"x"}'; echo '{"event":"listening","url":"http://u"}'"#);
        assert_eq!(good.wait_for("listening", in_time).unwrap().url.as_deref(), Some("http://u"));

        let mut bad = speaking(&dir, r#"echo '{"event":"error","code":"c","message":"no","hint":"do this"}'; sleep 9"#);
        let error = bad.wait_for("ready", in_time).unwrap_err();
        assert_eq!(error.hint(), "do this");

        let mut gone = speaking(&dir, "echo why >&2; sleep 0.2");
        let error = gone.wait_for("ready", in_time).unwrap_err();
        assert_eq!(error.details(), ["why"]);

        let script = "echo out; echo 'error: no' >&2; echo 'hint: do that' >&2; exit 4";
        let mut no = speaking(&dir, script);
        let (status, said) = no.finish(Instant::now() + in_time).unwrap();
        assert_eq!((status.code(), said.stdout.lines().next()), (Some(NO_PROVIDER), Some("out")));
        assert_eq!(no.said_no(&said).hint(), "do that");

        let path = dir.0.clone();
        drop((good, bad, gone, no, dir));
        assert!(!path.exists());
    }
}
