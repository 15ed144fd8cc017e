//! A real llama-server beside our own node: found, started with the same settings, ended with us.
//!
//! `AINONYMOUS_PEER_LLAMA` is the command that runs it; without it the one that `tests/e2e/peer-llama setup` has installed is
//! taken, else the `llama-server` on `PATH`.

use crate::ask::Server;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Names the command.
const VARIABLE: &str = "AINONYMOUS_PEER_LLAMA";
const LOAD_PATIENCE: Duration = Duration::from_secs(60);

/// What both servers are started with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) threads: u32,
    pub(crate) slots: u32,
    /// Context of one slot in tokens.
    pub(crate) context: u32,
    /// Everything on the GPU.
    pub(crate) gpu: bool,
}

/// Context that a model was trained with.
pub(crate) fn context_trained(path: &Path) -> u32 {
    let header = ainonymous_models::Header::read(path).expect("a GGUF file");
    let found = header.values.iter().find(|(key, _)| key.ends_with(".context_length"));
    match found {
        Some((_, ainonymous_models::Value::Unsigned(tokens))) => *tokens as u32,
        _ => 8_192,
    }
}

/// A running llama-server.
pub(crate) struct Peer {
    pub(crate) server: Server,
    pub(crate) version: String,
    pub(crate) arguments: String,
    /// What it said while it loaded the model.
    told: String,
    child: Child,
    dir: TempDir,
}

impl Peer {
    /// Starts one and waits until it can answer; or why there is none.
    pub(crate) fn start(model: &Path, settings: Settings) -> Result<Self, String> {
        // One that talks much says what the other is made of.
        let told = Self::launch(model, settings, Some("4"))?.log();
        let mut peer = Self::launch(model, settings, None)?;
        peer.told = told;
        Ok(peer)
    }

    fn launch(model: &Path, settings: Settings, verbosity: Option<&str>) -> Result<Self, String> {
        let prefix = std::env::var(VARIABLE).unwrap_or_else(|_| installed().unwrap_or_else(|| "llama-server".into()));
        let mut words = prefix.split_whitespace().map(str::to_string);
        let program = words.next().ok_or_else(|| format!("{VARIABLE} is empty"))?;
        let prefix: Vec<String> = words.collect();
        let version = version(&program, &prefix)?;
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).map_err(|e| e.to_string())?.port();
        let Settings { threads, slots, context, gpu } = settings;
        // On a processor without flash attention, as our engine; a cache in f16; the rest is what it does by itself.
        let device = if gpu { "-ngl 999 -fa auto" } else { "-fa off" };
        let arguments = format!(
            "-t {threads} -tb {threads} -np {slots} -c {} {device} -ctk f16 -ctv f16 --no-kv-unified -fit off",
            slots * context
        );
        let log = fs_err::File::create(dir.path().join("log")).map_err(|e| e.to_string())?;
        let stderr = log.try_clone().map_err(|e| e.to_string())?;
        let child = Command::new(&program)
            .args(&prefix)
            .arg("-m")
            .arg(model)
            .args(["--host", "127.0.0.1", "--port", &port.to_string(), "--offline"])
            .args(arguments.split(' '))
            .args(verbosity.iter().flat_map(|level| ["-lv", level]))
            .stdin(Stdio::null())
            .stdout(log.into_parts().0)
            .stderr(stderr.into_parts().0)
            .spawn()
            .map_err(|e| format!("{program}: {e}"))?;
        let address = format!("127.0.0.1:{port}");
        let server = Server {
            name: "llama-server",
            processes: vec![child.id()],
            address,
            model: "peer".into(),
            ignores_end: true,
            route: None,
        };
        let mut peer = Self { server, version, arguments, told: String::new(), child, dir };
        peer.wait()?;
        Ok(peer)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + LOAD_PATIENCE;
        while Instant::now() < deadline {
            if health(&self.server.address).is_some_and(|answer| answer.starts_with("HTTP/1.1 200")) {
                return Ok(());
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("llama-server ended with {status}: {}", self.log_tail()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(format!("llama-server was not ready in time: {}", self.log_tail()))
    }

    fn log(&self) -> String {
        fs_err::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn log_tail(&self) -> String {
        self.log().lines().rev().take(3).collect::<Vec<_>>().join(" | ")
    }

    /// Bytes of its key-value cache, as it says; ours has the same shape where a batch is as long (512 tokens).
    pub(crate) fn cache_bytes(&self) -> Option<f64> {
        let sizes =
            self.told.lines().filter_map(|line| line.split_once("KV buffer size =")?.1.trim().strip_suffix("MiB"));
        let sum: f64 = sizes.filter_map(|mib| mib.trim().parse::<f64>().ok()).sum();
        (sum > 0.0).then_some(sum * f64::from(1 << 20))
    }

    /// Which instruction set it chose.
    pub(crate) fn backend(&self) -> Option<String> {
        let line = self.told.lines().find(|l| l.contains("loaded CPU backend"))?;
        Some(line.rsplit('/').next()?.trim().to_string())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command that runs the one installed by our script, if it has.
fn installed() -> Option<String> {
    let script = ainonymous_e2e::root().join("tests/e2e/peer-llama");
    let ready = Command::new(&script).arg("ready").stdin(Stdio::null()).status().ok()?.success();
    ready.then(|| format!("{} run", script.display()))
}

fn version(program: &str, prefix: &[String]) -> Result<String, String> {
    let output = Command::new(program).args(prefix).arg("--version").stdin(Stdio::null()).output();
    let output = output.map_err(|e| format!("no llama-server: {program}: {e}; {VARIABLE} can name one"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let version = text.lines().find(|line| line.starts_with("version")).map(str::to_string);
    version.ok_or_else(|| format!("{program} does not say its version: {}", text.lines().last().unwrap_or_default()))
}

fn health(address: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET /health HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}
