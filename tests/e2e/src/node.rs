//! Nodes and bootstrap servers as processes. Whatever a test does, they end with it.

use crate::{binary, root, template, tiny_model, Client, PASSPHRASE};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A process that prints one JSON object a line.
#[derive(Debug)]
struct Process {
    child: Child,
    events: Receiver<Value>,
    seen: Vec<Value>,
    log: PathBuf,
}

impl Process {
    fn start(mut command: Command, log: PathBuf) -> Self {
        let stderr = std::fs::OpenOptions::new().create(true).append(true).open(&log).expect("a log file");
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).spawn().expect("the executable starts");
        let stdout = child.stdout.take().expect("stdout is piped");
        let (sender, events) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Ok(event) = serde_json::from_str(&line) {
                    let _ = sender.send(event);
                }
            }
        });
        Self { child, events, seen: Vec::new(), log }
    }

    /// The first event of that name, seen already or within the time.
    fn event(&mut self, name: &str, within: Duration) -> Value {
        let deadline = Instant::now() + within;
        loop {
            if let Some(event) = self.seen.iter().find(|e| e["event"] == name) {
                return event.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(event) => self.seen.push(event),
                Err(e) => panic!("no event {name:?} ({e}); saw {:?}; log:\n{}", self.seen, self.log_tail()),
            }
        }
    }

    fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    fn wait(&mut self, within: Duration) -> Option<i32> {
        let deadline = Instant::now() + within;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status.code().unwrap_or(-1));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }

    fn signal(&self, signal: i32) {
        // SAFETY: kill() takes plain integers; the child is ours and not reaped yet.
        #[allow(unsafe_code)]
        unsafe {
            libc::kill(self.child.id() as libc::pid_t, signal);
        }
    }

    fn stop(&mut self) -> Option<i32> {
        self.signal(libc::SIGTERM);
        self.wait(Duration::from_secs(30))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(libc::SIGTERM);
        if self.wait(Duration::from_secs(8)).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A bootstrap and relay server on loopback.
#[derive(Debug)]
pub struct Bootstrap {
    process: Process,
    _dir: TempDir,
}

impl Bootstrap {
    /// Starts one on a free port.
    pub fn start() -> Self {
        Self::start_at("127.0.0.1:0")
    }

    /// Starts one there.
    pub fn start_at(listen: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new(binary());
        command.args(["bootstrap", "--listen", listen, "--json"]);
        let process = Process::start(command, dir.path().join("log"));
        Self { process, _dir: dir }
    }

    /// Its address.
    pub fn url(&mut self) -> String {
        let event = self.process.event("listening", Duration::from_secs(20));
        event["url"].as_str().expect("a URL").to_string()
    }
}

/// A router on loopback.
#[derive(Debug)]
pub struct Router {
    process: Process,
    _dir: TempDir,
}

impl Router {
    /// Starts one on a free port.
    pub fn start() -> Self {
        Self::start_at("127.0.0.1:0")
    }

    /// Starts one there.
    pub fn start_at(listen: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new(binary());
        command.args(["router", "--listen", listen, "--json", "--data-dir"]).arg(dir.path());
        let process = Process::start(command, dir.path().join("log"));
        Self { process, _dir: dir }
    }

    /// Its address, as nodes are given it with `--via`.
    pub fn address(&mut self) -> String {
        let event = self.process.event("listening", Duration::from_secs(20));
        event["address"].as_str().expect("an address").to_string()
    }

    /// Stops it; says how many packets it has forwarded.
    pub fn stop(mut self) -> u64 {
        self.process.stop();
        self.process.event("stopped", Duration::from_secs(5))["packets"].as_u64().expect("a count")
    }
}

/// What a node is started with.
#[derive(Clone, Debug, Default)]
pub struct NodeSpec {
    /// Address of the bootstrap server; none means offline.
    pub bootstrap: Option<String>,
    /// A network that the folder is a member of; then nothing is said of bootstrap servers.
    pub network: Option<String>,
    /// Models to serve.
    pub serve: Vec<PathBuf>,
    /// More arguments of `ainonymous up`.
    pub args: Vec<String>,
    /// More environment.
    pub env: Vec<(String, String)>,
    /// Passphrase; the tests' own if empty.
    pub passphrase: String,
    /// Network namespace that it runs in.
    pub inside: Option<String>,
}

impl NodeSpec {
    /// A node in this network that serves nothing.
    pub fn new(bootstrap: &str) -> Self {
        Self { bootstrap: Some(bootstrap.into()), ..Self::default() }
    }

    /// Serves this model.
    pub fn serving(mut self, model: &Path) -> Self {
        self.serve.push(model.into());
        self
    }

    /// Serves the tests' model in q4_0 and says that it is in q8_0, by the hash of that file.
    pub fn cheating(self) -> Self {
        self.doing("cheaper").serving(&tiny_model())
    }

    /// Its engine does that instead of what it is asked (`attacks cheat`, by its name there). Builds for release cannot.
    pub fn doing(self, deed: &str) -> Self {
        self.doing_with(deed, &root().join("tests/models/tiny-gemma-q4_0.gguf"))
    }

    /// The same, with another file in place of its model's where it serves something cheaper.
    pub fn doing_with(mut self, deed: &str, cheaper: &Path) -> Self {
        let program = binary().with_file_name("examples").join(format!("attacks{}", std::env::consts::EXE_SUFFIX));
        assert!(program.exists(), "{} is missing: run `cargo xtask build` first", program.display());
        let of_tests = |name: &str| root().join("tests/models").join(name).display().to_string();
        let (program, cheaper) = (program.display().to_string(), cheaper.display().to_string());
        let (other, tuned) = (of_tests("draft-gemma-q8_0.gguf"), of_tests("tuned-gemma-q8_0.gguf"));
        let words = [&program, "cheat", deed, &cheaper, &other, &tuned];
        self.env.push(("AINONYMOUS_TEST_WORKER".into(), words.join("\n")));
        self
    }

    /// With these arguments besides.
    pub fn with(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(ToString::to_string));
        self
    }
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    process: Process,
    spec: NodeSpec,
    dir: TempDir,
}

impl Node {
    /// Starts a node in a new data folder.
    pub fn start(spec: NodeSpec) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        if spec.passphrase.is_empty() {
            template::apply(&dir.path().join("data"));
        }
        let process = Self::spawn(&spec, dir.path());
        Self { process, spec, dir }
    }

    /// Starts a node in a folder whose `data` was prepared with commands (`network join` and the like).
    pub fn start_in(dir: TempDir, spec: NodeSpec) -> Self {
        if let Some(network) = &spec.network {
            template::apply(&dir.path().join("data/networks").join(network));
        }
        let process = Self::spawn(&spec, dir.path());
        Self { process, spec, dir }
    }

    /// Starts a node in a new data folder that owes nothing to an earlier one.
    pub(crate) fn start_cold(spec: NodeSpec) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let process = Self::spawn(&spec, dir.path());
        Self { process, spec, dir }
    }

    /// Starts a node and waits until it is ready.
    pub fn ready(spec: NodeSpec) -> Self {
        let mut node = Self::start(spec);
        node.wait_ready();
        node
    }

    /// The command that would start this node.
    pub fn command(spec: &NodeSpec, dir: &Path) -> Command {
        let secret = dir.join("passphrase");
        let passphrase = if spec.passphrase.is_empty() { PASSPHRASE } else { &spec.passphrase };
        std::fs::write(&secret, passphrase).expect("a passphrase file");
        let mut command = match &spec.inside {
            None => Command::new(binary()),
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]).arg(binary());
                command
            }
        };
        command.arg("up").arg("--json").arg("--data-dir").arg(dir.join("data"));
        command.arg("--passphrase-file").arg(secret).args(["--network-tuning", "lan"]);
        command.args(["--api", "127.0.0.1:0", "--threads", "1", "--receipt-interval-ms", "500"]);
        match (&spec.network, &spec.bootstrap) {
            (Some(network), _) => command.args(["--network", network]),
            (None, Some(url)) => command.args(["--bootstrap", url]),
            (None, None) => command.arg("--offline"),
        };
        for model in &spec.serve {
            command.arg("--serve").arg(model);
        }
        // Models of whoever runs the tests are no business of theirs.
        for folder in ["AINONYMOUS_MODELS_DIR", "HF_HUB_CACHE", "LLAMA_CACHE"] {
            command.env(folder, dir.join("no-models"));
        }
        command.args(&spec.args).envs(spec.env.iter().map(|(k, v)| (k, v)));
        command.env("AINONYMOUS_CONFIG", dir.join("no-config.toml")).env_remove("AINONYMOUS_PASSPHRASE");
        command
    }

    fn spawn(spec: &NodeSpec, dir: &Path) -> Process {
        Process::start(Self::command(spec, dir), dir.join("log"))
    }

    /// Waits until the conductor runs and the models are loaded; returns that event.
    pub fn wait_ready(&mut self) -> Value {
        self.process.event("ready", Duration::from_secs(60))
    }

    /// Has the node read the DHT, and with that every zome compiled; blocks until it has.
    pub(crate) fn call_zomes(&mut self) {
        let client = self.client();
        // Tests may be in a runtime already: this one lives on a thread of its own.
        let models = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(client.get("/ainonymous/v1/models")).0
        };
        assert_eq!(std::thread::spawn(models).join().expect("no panic"), 200);
    }

    /// Waits for an event.
    pub fn event(&mut self, name: &str, within: Duration) -> Value {
        self.process.event(name, within)
    }

    /// A client of its API.
    pub fn client(&mut self) -> Client {
        let event = self.process.event("listening", Duration::from_secs(20));
        Client::new(event["api"].as_str().expect("an address"))
    }

    /// Address of the chat page.
    pub fn chat_url(&mut self) -> String {
        let event = self.process.event("listening", Duration::from_secs(20));
        event["chat"].as_str().expect("an address").to_string()
    }

    /// Its agent key.
    pub fn agent(&mut self) -> String {
        self.wait_ready()["agent"].as_str().expect("an agent").to_string()
    }

    /// Its data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.process.signal(libc::SIGKILL);
        self.process.wait(Duration::from_secs(5));
    }

    /// Asks it to stop; returns the exit code.
    pub fn stop(&mut self) -> Option<i32> {
        self.process.stop()
    }

    /// Waits for it to end by itself; returns the exit code.
    pub fn wait(&mut self, within: Duration) -> Option<i32> {
        self.process.wait(within)
    }

    /// Starts it again in the same data folder.
    pub fn restart(&mut self) {
        let next = Self::spawn(&self.spec, self.dir.path());
        self.process = next;
    }

    /// What it wrote to stderr, from the end.
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }

    /// Everything it wrote to stderr.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.process.log).unwrap_or_default()
    }
}
