//! What a confined worker cannot do, tried by processes that confine themselves as a worker does, and by real workers.
//!
//! Everything that must fail with the sandbox must succeed without it: else a test would pass for the wrong reason.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, clippy::print_stderr)]

use ainonymous_engine::{Engine, EngineError, EngineOptions, Event, LlamaEngine, WorkerCommand, SANDBOX_VARIABLE};
use ainonymous_types::{ChatInput, ChatMessage, ChatRole, Sampling};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const EPERM: i64 = libc::EPERM as i64;
const EACCES: i64 = libc::EACCES as i64;

/// What must fail, and with which error: seccomp answers EPERM, Landlock EACCES.
const REFUSED: [(&str, i64); 27] = [
    ("tcp_connect", EPERM),
    ("tcp_listen", EPERM),
    ("udp", EPERM),
    ("unix_connect", EPERM),
    ("unix_datagram", EPERM),
    ("unix_pair", EPERM),
    ("raw_socket", EPERM),
    ("io_uring", EPERM),
    ("read_secret", EACCES),
    ("list_secrets", EACCES),
    ("read_passwd", EACCES),
    ("read_parents_environment", EACCES),
    ("read_beside_model", EACCES),
    ("list_models", EACCES),
    ("create", EPERM),
    ("write_model", EPERM),
    ("truncate", EPERM),
    ("chmod", EPERM),
    ("chmod_model", EPERM),
    ("link", EPERM),
    ("delete", EPERM),
    ("program", EPERM),
    ("execve", EPERM),
    ("fork", EPERM),
    ("signal_parent", EPERM),
    ("namespace", EPERM),
    ("ptrace", EPERM),
];
/// Of these, what containers and hardened systems refuse to every program.
const REFUSED_BY_SOME_SYSTEMS: [&str; 2] = ["io_uring", "namespace"];
/// What must go on.
const KEPT: [&str; 5] = ["model", "other_part", "thread", "own_status", "signal_self"];

const MODEL: &str = "models/model-00001-of-00002.gguf";
const OTHER_PART: &str = "models/model-00002-of-00002.gguf";

/// A folder with a model and another with a key store, and sockets that listen.
struct Scene {
    folder: TempDir,
    tcp: TcpListener,
    _unix: UnixListener,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["models", "keystore"] {
            std::fs::create_dir(at(name)).unwrap();
        }
        for name in [MODEL, OTHER_PART, "models/beside.gguf", "models/doomed", "keystore/db"] {
            std::fs::write(at(name), "bytes").unwrap();
        }
        let unix = UnixListener::bind(at("socket")).unwrap();
        Self { tcp: TcpListener::bind("127.0.0.1:0").unwrap(), _unix: unix, folder }
    }

    /// Runs the probe; what it printed.
    fn probe(&self, mode: &str, more: &[&str]) -> Value {
        let at = |name: &str| self.folder.path().join(name);
        let output = Command::new(env!("CARGO_BIN_EXE_sandbox-probe"))
            .args([at(MODEL), at("keystore/db")])
            .arg(self.tcp.local_addr().unwrap().port().to_string())
            .arg(at("socket"))
            .args(more)
            .env(SANDBOX_VARIABLE, mode)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"))
    }

    fn attempts(&self, mode: &str, more: &[&str]) -> BTreeMap<String, Option<i64>> {
        serde_json::from_value(self.probe(mode, more)["tried"].clone()).unwrap()
    }
}

/// Is Landlock there? It is the only thing here that a kernel since 5.13 may lack; the rest is tested in any case.
fn landlock() -> bool {
    // SAFETY: asks for the version, without a structure.
    #[allow(unsafe_code)]
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, 1) };
    if version < 1 {
        eprintln!("this kernel has no Landlock: that files cannot be read is not tested");
    }
    version >= 1
}

#[test]
fn a_confined_worker_can_open_no_socket_and_read_no_key_store() {
    let files = landlock();
    let free = Scene::new().attempts("off", &[]);
    let confined = Scene::new().attempts("best-effort", &[]);
    for (name, error) in REFUSED {
        if free[name].is_some() && REFUSED_BY_SOME_SYSTEMS.contains(&name) {
            eprintln!("this system refuses `{name}` to everybody: that the sandbox does is not tested");
            continue;
        }
        assert_eq!(free[name], None, "{name} must work without the sandbox");
        if error == EPERM || files {
            assert_eq!(confined[name], Some(error), "{name}");
        }
    }
    for name in KEPT {
        assert_eq!((free[name], confined[name]), (None, None), "{name}");
    }
    assert_eq!((free["personality"], confined["personality"]), (None, Some(EPERM)));
    assert_eq!((free["setuid"], confined["setuid"]), (None, Some(EPERM)));
    assert_eq!(confined["newer_call"], None, "an unknown call does not exist");
}

#[test]
fn with_a_gpu_the_network_and_the_key_store_stay_out_of_reach() {
    let files = landlock();
    let confined = Scene::new().attempts("best-effort", &["gpu"]);
    let let_in = ["unix_pair", "fork"];
    // Landlock refuses these instead, so that drivers can write their caches.
    let by_landlock = ["create", "write_model", "truncate", "link", "delete"];
    for (name, error) in REFUSED {
        if let_in.contains(&name) {
            assert_eq!(confined[name], None, "{name}");
        } else if error == EPERM && !by_landlock.contains(&name) {
            assert_eq!(confined[name], Some(EPERM), "{name}");
        } else if files {
            assert!([Some(EACCES), Some(libc::EXDEV as i64)].contains(&confined[name]), "{name}: {:?}", confined[name]);
        }
    }
    for name in KEPT {
        assert_eq!(confined[name], None, "{name}");
    }
}

#[test]
fn the_report_says_what_holds() {
    let scene = Scene::new();
    let report = &scene.probe("best-effort", &[])["report"];
    assert_eq!((&report["network"], &report["privileges"]), (&true.into(), &true.into()), "{report}");
    assert_eq!(report["files"], landlock(), "{report}");
    let off = &scene.probe("off", &[])["report"];
    assert_eq!((&off["network"], &off["files"], &off["privileges"]), (&false.into(), &false.into(), &false.into()));
    assert!(off["detail"].as_str().unwrap().contains(SANDBOX_VARIABLE), "{off}");
    let odd = scene.probe("offf", &[]);
    assert_eq!(odd["error"], "sandbox_unavailable", "a mistyped value must not mean less than it seems: {odd}");
    let required = scene.probe("required", &[]);
    if landlock() {
        assert_eq!(required["report"], *report);
    } else {
        assert_eq!(required["error"], "sandbox_unavailable", "{required}");
    }
}

fn model_path() -> PathBuf {
    PathBuf::from("../../tests/models/tiny-gemma-q8_0.gguf")
}

/// A worker that is told how strict to be.
fn worker(mode: &str) -> WorkerCommand {
    let args = vec![format!("{SANDBOX_VARIABLE}={mode}"), env!("CARGO_BIN_EXE_engine-worker").into()];
    WorkerCommand { program: "/usr/bin/env".into(), args }
}

async fn load(model: &Path) -> Result<LlamaEngine, EngineError> {
    load_with("best-effort", model).await
}

async fn load_with(mode: &str, model: &Path) -> Result<LlamaEngine, EngineError> {
    let options = EngineOptions { threads: Some(2), slots: 2, context_tokens: Some(512), ..EngineOptions::new(model) };
    LlamaEngine::load(worker(mode), options, CancellationToken::new()).await
}

async fn answer(engine: &LlamaEngine) -> String {
    let messages = vec![ChatMessage::new(ChatRole::User, "What is the capital of France?")];
    let sampling = Sampling { temperature_milli: 0, ..Sampling::default() };
    let question = ChatInput { messages, sampling, max_tokens: 0, stop: vec![], more: None };
    let mut generation = engine.generate(question.try_into().unwrap()).unwrap();
    let mut all = String::new();
    while let Some(event) = generation.events.recv().await {
        match event {
            Event::Token { text, .. } => all.push_str(&text),
            Event::Failed(error) => panic!("{error}"),
            Event::Queued { .. } | Event::Started { .. } | Event::Finished(_) => {}
        }
    }
    all
}

/// Values of a field of `/proc/PID/task/*/status`, one for each thread.
fn of_threads(pid: u32, field: &str) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let read = |task: std::fs::DirEntry| {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap();
        let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.unwrap().trim().to_owned()
    };
    tasks.map(|task| read(task.unwrap())).collect()
}

#[tokio::test]
async fn a_confined_worker_answers_with_all_its_threads_bound() {
    let engine = load(&model_path()).await.unwrap();
    let sandbox = &engine.info().sandbox;
    assert!(sandbox.network && sandbox.privileges, "{sandbox:?}");
    assert_eq!(sandbox.files, landlock(), "{sandbox:?}");
    assert!(answer(&engine).await.contains("Paris"));

    let pid = engine.status().worker_pid.unwrap();
    let threads = of_threads(pid, "Seccomp").len();
    assert!(threads >= 4, "reader, preparer and two that compute, not {threads}");
    for (field, value) in [("Seccomp", "2"), ("NoNewPrivs", "1")] {
        assert_eq!(of_threads(pid, field), vec![value; threads], "{field}");
    }
    for capabilities in of_threads(pid, "CapEff").into_iter().chain(of_threads(pid, "CapPrm")) {
        let capabilities = u64::from_str_radix(&capabilities, 16).unwrap();
        assert_eq!(capabilities & !0b100, 0, "at most CAP_DAC_READ_SEARCH");
    }
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    assert!(maps.contains("tiny-gemma-q8_0.gguf"), "the model is mapped, not copied");
    engine.shutdown().await;
}

#[tokio::test]
async fn nothing_of_the_host_leaks_into_a_worker() {
    // A descriptor that would be inherited, as libraries without care leave them, and secrets in the environment.
    let secret = tempfile::NamedTempFile::new().unwrap();
    #[allow(unsafe_code)]
    // SAFETY: `dup` of an open descriptor; the copy stays open until the process ends.
    let leaked = unsafe { libc::dup(std::os::fd::AsRawFd::as_raw_fd(&secret)) };
    assert!(leaked > 2);
    std::env::set_var("AINONYMOUS_PASSPHRASE", "hunter2");
    std::env::set_var("SOME_TOKEN", "hunter2");
    let engine = load(&model_path()).await.unwrap();
    let pid = engine.status().worker_pid.unwrap();

    let environment = String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/environ")).unwrap()).into_owned();
    // Not shown when this fails: it is the environment of whoever runs the test.
    assert!(environment.contains("GGML_NO_BACKTRACE=1"));
    assert!(!environment.contains("hunter2"));
    let open: Vec<PathBuf> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .map(|fd| std::fs::read_link(fd.unwrap().path()).unwrap())
        .collect();
    assert!(!open.iter().any(|path| path == secret.path()), "{open:?}");
    let others = open.iter().filter(|path| !path.to_string_lossy().starts_with("pipe:"));
    assert!(others.clone().all(|path| path.ends_with("tiny-gemma-q8_0.gguf")), "{open:?}");
    engine.shutdown().await;
}

#[tokio::test]
async fn a_model_is_found_through_a_link_and_its_absence_is_still_named() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("linked.gguf");
    std::os::unix::fs::symlink(std::fs::canonicalize(model_path()).unwrap(), &link).unwrap();
    let engine = load(&link).await.unwrap();
    assert!(answer(&engine).await.contains("Paris"));
    engine.shutdown().await;
    let missing = load(&folder.path().join("missing.gguf")).await.unwrap_err();
    assert_eq!(missing.code(), "model_file_not_found");
    let odd = load(folder.path()).await.unwrap_err();
    assert_eq!(odd.code(), "model_file_unreadable");
}

#[tokio::test]
async fn a_template_that_asks_for_the_date_works_in_a_confined_worker() {
    let mut bytes = std::fs::read(model_path()).unwrap();
    // In place of the comment with which the template begins, and as long.
    let start = bytes.windows(11).position(|window| window == b"{#- Turns a").unwrap();
    let length = bytes[start..].windows(3).position(|window| window == b"-#}").unwrap() + 3;
    let date = "{%- if strftime_now('%Y') < '2024' -%}{{ raise_exception('clock') }}{%- endif -%}";
    bytes[start..start + length].copy_from_slice(format!("{date:<length$}").as_bytes());
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("dated.gguf");
    std::fs::write(&model, bytes).unwrap();
    let engine = load(&model).await.unwrap();
    assert!(engine.info().sandbox.network);
    assert!(answer(&engine).await.contains("Paris"));
    engine.shutdown().await;
}

#[tokio::test]
async fn the_variable_decides_how_strict_a_worker_is() {
    let engine = load_with("off", &model_path()).await.unwrap();
    assert!(!engine.info().sandbox.network);
    let pid = engine.status().worker_pid.unwrap();
    assert!(of_threads(pid, "Seccomp").iter().all(|mode| mode == "0"), "what the other tests see is our doing");
    engine.shutdown().await;
    let error = load_with("offf", &model_path()).await.unwrap_err();
    assert_eq!(error.code(), "sandbox_unavailable");
    match load_with("required", &model_path()).await {
        Ok(engine) => assert!(landlock() && engine.info().sandbox.files),
        Err(error) => assert!(!landlock() && error.code() == "sandbox_unavailable", "{error}"),
    }
}
