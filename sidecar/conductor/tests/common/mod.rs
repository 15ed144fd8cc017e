//! Real conductors for the tests: our hApp, a bootstrap server on loopback, nodes in temporary folders.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ainonymous_conductor::bootstrap::Bootstrap;
use ainonymous_conductor::{
    pack, Conductor, ConductorOptions, EmbeddedOptions, Mode, NetworkState, NetworkTuning, Passphrase,
    WORKER_STACK_BYTES,
};
use ainonymous_types::{OwnPlaces, PlacesInput, SpecRef, Topic, TopicDepth, APP_ID};
use std::future::Future;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Longest wait for anything in these tests.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a test on a runtime as the program has it.
pub fn run(test: impl Future<Output = ()>) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "off".into());
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.enable_all().thread_stack_size(WORKER_STACK_BYTES);
    runtime.build().unwrap().block_on(test);
}

/// The hApp: as packed, else packed here from the built zomes.
pub async fn happ() -> Vec<u8> {
    if let Some(path) = std::env::var_os("AINONYMOUS_TEST_HAPP") {
        return std::fs::read(path).unwrap();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    assert!(root.join("workdir/zomes/inference.wasm").exists(), "build the zomes first: cargo xtask zomes");
    let out = tempfile::tempdir().unwrap();
    // Beside the manifests, for their paths are relative; but not in workdir, for tests run side by side.
    let copy = out.path();
    for file in [
        "dnas/inference/dna.yaml",
        "happ.yaml",
        "workdir/zomes/inference.wasm",
        "workdir/zomes/inference_integrity.wasm",
    ] {
        std::fs::create_dir_all(copy.join(file).parent().unwrap()).unwrap();
        std::fs::copy(root.join(file), copy.join(file)).unwrap();
    }
    pack::pack_dna(&copy.join("dnas/inference/dna.yaml"), &copy.join("workdir/inference.dna")).await.unwrap();
    pack::pack_happ(&copy.join("happ.yaml"), &copy.join("workdir/ainonymous.happ")).await.unwrap()
}

/// Links what a node offers for a model spec from the buckets of a small network.
pub async fn place(node: &Conductor, spec: &SpecRef) -> OwnPlaces {
    let topic = Topic::Providers(spec.entry.clone());
    node.put_places(PlacesInput { topics: vec![TopicDepth { topic, depth: 0 }], renew_before: 0, not_before: 0 })
        .await
        .unwrap()
}

/// A bootstrap and relay server on a free port.
pub async fn bootstrap() -> Bootstrap {
    Bootstrap::start((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap()
}

/// What a test node is started with. A new folder gets the zomes compiled already: that is what takes longest.
pub fn options(happ: &[u8], data_dir: &Path, url: &str) -> ConductorOptions {
    if !data_dir.join("conductor").exists() {
        give_compiled_zomes(happ, data_dir);
    }
    bare_options(happ, data_dir, url)
}

/// The same with nothing compiled: what another passphrase protects cannot be shared.
pub fn bare_options(happ: &[u8], data_dir: &Path, url: &str) -> ConductorOptions {
    ConductorOptions {
        mode: Mode::Embedded(EmbeddedOptions {
            data_dir: data_dir.to_path_buf(),
            keystore: None,
            passphrase: Passphrase::cheap("correct horse"),
            bootstrap_url: url.into(),
            relay_url: url.into(),
            network: NetworkTuning::Lan,
            self_validation: true,
        }),
        happ: happ.to_vec(),
        network_seed: None,
        network: None,
        app_id: APP_ID.into(),
        call_timeout: Duration::from_secs(30),
    }
}

/// Files that hold compiled zomes, and the key to them (wrapped by the passphrase of these tests).
const COMPILED: [&str; 2] = ["wasm.db", "db.key"];

/// Compiles the zomes once for each hApp and keeps them beside the test's own build products.
fn give_compiled_zomes(happ: &[u8], data_dir: &Path) {
    use std::hash::{Hash, Hasher};
    let mut hash = std::collections::hash_map::DefaultHasher::new();
    happ.hash(&mut hash);
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("compiled-{:016x}", hash.finish()));
    if !kept.is_dir() && compile(happ, &kept).is_err() {
        return;
    }
    let to = data_dir.join("conductor/databases");
    let copied = std::fs::create_dir_all(&to)
        .and_then(|()| COMPILED.iter().try_for_each(|file| std::fs::copy(kept.join(file), to.join(file)).map(drop)));
    if copied.is_err() {
        // No room, or no folder: what the test is about will say so.
        let _ = std::fs::remove_dir_all(data_dir.join("conductor"));
    }
}

fn compile(happ: &[u8], kept: &Path) -> std::io::Result<()> {
    let dir = tempfile::tempdir()?;
    let (options, from) = (bare_options(happ, dir.path(), NOWHERE), dir.path().join("conductor/databases"));
    // On a thread of its own, for the test has a runtime already.
    let compiled = std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.enable_all().thread_stack_size(WORKER_STACK_BYTES).build().unwrap();
        runtime.block_on(async {
            let node = Conductor::start(options).await.ok()?;
            node.get_all_model_specs().await.ok()?;
            node.shutdown().await.ok()
        })
    });
    compiled.join().ok().flatten().ok_or_else(|| std::io::Error::other("the zomes could not be compiled"))?;
    let unfinished = kept.with_extension("unfinished");
    std::fs::create_dir_all(&unfinished)?;
    for file in COMPILED {
        std::fs::copy(from.join(file), unfinished.join(file))?;
    }
    std::fs::rename(unfinished, kept)
}

/// The same with another passphrase.
pub fn with_passphrase(mut options: ConductorOptions, passphrase: &str) -> ConductorOptions {
    if let Mode::Embedded(embedded) = &mut options.mode {
        embedded.passphrase = Passphrase::cheap(passphrase);
    }
    options
}

/// A bootstrap address where nobody answers: for tests that need no peer.
pub const NOWHERE: &str = "http://127.0.0.1:9";

/// Waits until the state is as wanted.
pub async fn until(conductor: &Conductor, what: &str, wanted: impl FnMut(&NetworkState) -> bool) {
    let mut state = conductor.state();
    let waited = tokio::time::timeout(PATIENCE, state.wait_for(wanted)).await;
    assert!(waited.is_ok(), "not {what} within {PATIENCE:?}: {}", *conductor.state().borrow());
}

/// Repeats until there is something.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut attempt: impl FnMut() -> F) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = attempt().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "no {what} within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Memory of this process in MiB; 0 where it cannot be read.
pub fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmRSS"));
    line.and_then(|l| l.split_whitespace().nth(1)).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// Processor time that this process has used, in ms; 0 where it cannot be read. On a busy machine it says more than a clock.
pub fn cpu_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
    (ticks(11) + ticks(12)) * 10
}

/// A file or folder of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new("../..").join(path)
}
