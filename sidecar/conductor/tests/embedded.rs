//! One embedded conductor: starts, keeps its key, and names what is wrong with its folder.
#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic)] // A test may fail by panicking.

mod common;

use ainonymous_conductor::{Conductor, JoinStage, Mode, NetworkState, Passphrase};
use ainonymous_types::{PeerSignal, RequestId, SendSignal};
use common::{bare_options, cpu_ms, happ, options, repository, resident_mib, run, with_passphrase, NOWHERE};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What the issue allows for any refusal.
const REFUSAL_MAX: Duration = Duration::from_secs(5);

async fn refusal(what: &str, options: ainonymous_conductor::ConductorOptions) -> ainonymous_conductor::ConductorError {
    let started = Instant::now();
    let error = Conductor::start(options).await.expect_err(what);
    let took = started.elapsed();
    assert!(took < REFUSAL_MAX, "{what}: named only after {took:?}");
    assert!(!error.hint().is_empty());
    error
}

#[test]
fn a_restart_keeps_the_agent_and_wrong_folders_are_named() {
    run(async {
        let (happ, dir) = (happ().await, tempfile::tempdir().unwrap());
        let data_dir = dir.path().join("node");
        let (cold, cpu) = (Instant::now(), cpu_ms());
        let first = Conductor::start(options(&happ, &data_dir, NOWHERE)).await.unwrap();
        println!("cold start {} ms (cpu {}), {} MiB", cold.elapsed().as_millis(), cpu_ms() - cpu, resident_mib());
        let (agent, dna) = (first.agent(), first.dna_hash());
        assert_eq!(dna, ainonymous_conductor::pack::dna_hash(&happ).await.unwrap());
        assert!(matches!(*first.state().borrow(), NetworkState::Joining { .. }), "nobody answers there");

        let error = refusal("two on one folder", options(&happ, &data_dir, NOWHERE)).await;
        assert_eq!(error.code(), "data_dir_in_use");
        first.shutdown().await.unwrap();
        first.shutdown().await.unwrap();
        assert!(matches!(*first.state().borrow(), NetworkState::Offline { .. }));
        assert_eq!(first.get_all_model_specs().await.unwrap_err().code(), "stopped");

        let wrong = with_passphrase(options(&happ, &data_dir, NOWHERE), "wrong");
        assert_eq!(refusal("a wrong passphrase", wrong).await.code(), "wrong_passphrase");
        let mut other = options(&happ, &data_dir, NOWHERE);
        other.network_seed = Some("another network".into());
        let error = refusal("another network", other.clone()).await;
        assert_eq!(error.code(), "data_dir_of_another_network");
        assert!(error.to_string().contains(&dna.to_string()), "{error}");
        // The same if the note about the network is lost: the conductor's own list of apps says it too.
        std::fs::remove_file(data_dir.join("network")).unwrap();
        let error = Conductor::start(other).await.expect_err("another network, no note");
        assert_eq!(error.code(), "data_dir_of_another_network");

        let (warm, cpu) = (Instant::now(), cpu_ms());
        let second = Conductor::start(options(&happ, &data_dir, NOWHERE)).await.unwrap();
        println!("warm start {} ms (cpu {}), {} MiB", warm.elapsed().as_millis(), cpu_ms() - cpu, resident_mib());
        assert_eq!(second.agent(), agent);
        assert_eq!(second.dna_hash(), dna);
        second.shutdown().await.unwrap();
    });
}

#[test]
fn calls_and_their_bounds() {
    run(async {
        let (happ, dir) = (happ().await, tempfile::tempdir().unwrap());
        let node = Conductor::start(options(&happ, dir.path(), NOWHERE)).await.unwrap();
        let (first, cpu) = (Instant::now(), cpu_ms());
        assert_eq!(node.get_my_capability().await.unwrap(), None);
        println!("first call {} ms (cpu {})", first.elapsed().as_millis(), cpu_ms() - cpu);
        let second = Instant::now();
        assert!(node.get_all_model_specs().await.unwrap().is_empty());
        println!("second call {} ms", second.elapsed().as_millis());

        let huge = PeerSignal::Refused {
            id: RequestId([0; 16]),
            reason: ainonymous_types::RefuseReason::Busy,
            detail: "x".repeat(20 << 20),
        };
        let error = node.send_signal(SendSignal { to: vec![node.agent()], signal: huge }).await.unwrap_err();
        assert_eq!(error.code(), "too_large");
        assert!(node.get_all_model_specs().await.unwrap().is_empty(), "the connection is still there");
        let stats = node.dht_stats().await.unwrap();
        assert!(stats.ops > 0 && stats.bytes > 0, "{stats:?}");
        assert_eq!(node.dht_ops().await.unwrap().len() as u64, stats.ops + stats.waiting);
        let state = node.state().borrow().clone();
        assert_ne!(state, NetworkState::Joining { stage: JoinStage::Starting }, "the state moves on");
        node.shutdown().await.unwrap();
    });
}

#[test]
fn what_cannot_be_started_is_named() {
    run(async {
        let (happ, dir) = (happ().await, tempfile::tempdir().unwrap());
        let mut broken = options(&happ, dir.path(), NOWHERE);
        broken.happ.truncate(1_000);
        assert_eq!(refusal("a truncated hApp", broken).await.code(), "invalid_happ");
        for url in ["", "127.0.0.1:80", "ftp://127.0.0.1"] {
            assert_eq!(refusal("a bad address", options(&happ, dir.path(), url)).await.code(), "invalid_url");
        }
        let file = dir.path().join("file");
        std::fs::write(&file, "x").unwrap();
        assert_eq!(refusal("a file for a folder", options(&happ, &file, NOWHERE)).await.code(), "storage");
        let mut readable = options(&happ, dir.path(), NOWHERE);
        if let Mode::Embedded(embedded) = &mut readable.mode {
            embedded.network = ainonymous_conductor::NetworkTuning::Default;
        }
        assert_eq!(refusal("a relay without TLS", readable).await.code(), "invalid_url");
    });
}

/// As people start it: a passphrase that is dear to try. The refusal of a wrong one must still come in time.
#[test]
fn a_real_passphrase_is_not_too_slow() {
    run(async {
        let (happ, dir) = (happ().await, tempfile::tempdir().unwrap());
        let with = |passphrase: &str| {
            let mut options = bare_options(&happ, dir.path(), NOWHERE);
            if let Mode::Embedded(embedded) = &mut options.mode {
                embedded.passphrase = Passphrase::new(passphrase);
            }
            options
        };
        Conductor::start(with("right")).await.unwrap().shutdown().await.unwrap();
        let cpu = cpu_ms();
        assert_eq!(refusal("a wrong passphrase", with("wrong")).await.code(), "wrong_passphrase");
        println!("refused after {} ms of cpu", cpu_ms() - cpu);
        let (warm, cpu) = (Instant::now(), cpu_ms());
        let node = Conductor::start(with("right")).await.unwrap();
        println!("warm start {} ms (cpu {}), {} MiB", warm.elapsed().as_millis(), cpu_ms() - cpu, resident_mib());
        node.shutdown().await.unwrap();
    });
}

/// A file system that is full needs the right to mount one; elsewhere the unit test of the threshold stands alone.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_named() {
    run(async {
        let (happ, dir) = (happ().await, tempfile::tempdir().unwrap());
        let mount = |args: &[&str]| {
            Command::new("mount").args(args).arg(dir.path()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
        };
        if !mount(&["-t", "tmpfs", "-o", "size=1m", "tmpfs"]) {
            println!("skipped: no right to mount");
            return;
        }
        let error = refusal("a full disk", options(&happ, &dir.path().join("node"), NOWHERE)).await;
        let unmounted = Command::new("umount").arg(dir.path()).status().is_ok_and(|s| s.success());
        assert_eq!(error.code(), "disk_full");
        assert!(unmounted);
    });
}

#[test]
fn packing_twice_gives_the_same_bytes() {
    if std::env::var_os("AINONYMOUS_TEST_HAPP").is_some() {
        return;
    }
    let pack = |ui: &Path| {
        let root = tempfile::tempdir().unwrap();
        for file in [
            "dnas/inference/dna.yaml",
            "happ.yaml",
            "workdir/zomes/inference.wasm",
            "workdir/zomes/inference_integrity.wasm",
        ] {
            std::fs::create_dir_all(root.path().join(file).parent().unwrap()).unwrap();
            std::fs::copy(repository(file), root.path().join(file)).unwrap();
        }
        let output = Command::new(env!("CARGO_BIN_EXE_ainonymous-pack"))
            .arg("--root")
            .arg(root.path())
            .arg("--ui")
            .arg(ui)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let bytes = std::fs::read(root.path().join("workdir/ainonymous.webhapp")).unwrap();
        assert_eq!(line["webhapp_bytes"], bytes.len());
        (line, bytes)
    };
    let ui = tempfile::tempdir().unwrap();
    std::fs::write(ui.path().join("index.html"), "<!doctype html>").unwrap();
    assert_eq!(pack(ui.path()), pack(ui.path()));
}
