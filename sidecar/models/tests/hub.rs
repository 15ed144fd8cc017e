//! Pulling from a server that speaks the hub's API and misbehaves in every way that servers do.
#![allow(clippy::unwrap_used)]

mod server;

use ainonymous_models::{
    Caches, Hub, Manner, ModelError, ModelName, Patience, Phase, Progress, Pulled, Puller, Store, Watcher,
};
use server::{answer, digest, Mood, Server};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const REPO: &str = "org/tiny-GGUF";
const FILE: &str = "tiny-Q4_K_M.gguf";
const NAME: &str = "hf:org/tiny-GGUF:Q4_K_M";
const TOKEN: &str = "hf_secret";

/// A server with the tiny model, and a store to pull it into.
struct Bench {
    server: Server,
    folder: TempDir,
    model: Vec<u8>,
}

impl Bench {
    async fn new() -> Self {
        let server = Server::start().await;
        let model = std::fs::read("../../tests/models/tiny-gemma-q8_0.gguf").unwrap();
        server.add(REPO, FILE, &model);
        Self { server, folder: TempDir::new().unwrap(), model }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("models")
    }

    fn store(&self) -> Store {
        Store::new(self.root(), Caches::default())
    }

    fn puller(&self) -> Puller {
        let hub = Hub::new(&self.server.hub, Some(TOKEN), patience()).unwrap();
        Puller::new(self.store(), hub, Manner { parallel: 3, chunk_bytes: 200_000 })
    }

    async fn pull(&self, name: &str) -> Result<Pulled, ModelError> {
        self.puller().pull(&name.parse().unwrap(), quiet(), &CancellationToken::new()).await
    }

    async fn code(&self, name: &str) -> &'static str {
        self.pull(name).await.unwrap_err().code()
    }

    fn dest(&self) -> PathBuf {
        self.root().join(REPO).join(FILE)
    }

    fn part(&self) -> PathBuf {
        self.root().join(REPO).join(format!("{FILE}.part"))
    }
}

fn patience() -> Patience {
    Patience {
        connect: Duration::from_secs(2),
        stall: Duration::from_millis(400),
        attempts: 3,
        backoff: Duration::from_millis(10),
    }
}

fn quiet() -> Watcher {
    Arc::new(|_| {})
}

/// GGUF files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => all.extend(files(&path)),
            path => all.push(path),
        }
    }
    all
}

#[tokio::test]
async fn a_model_comes_in_chunks_from_the_storage_and_the_token_stays_at_the_hub() {
    let bench = Bench::new().await;
    let heard: Arc<Mutex<Vec<Progress>>> = Arc::default();
    let ear = Arc::clone(&heard);
    let watcher: Watcher = Arc::new(move |progress| ear.lock().unwrap().push(progress));
    let name: ModelName = NAME.parse().unwrap();
    let pulled = bench.puller().pull(&name, watcher, &CancellationToken::new()).await.unwrap();
    assert_eq!(pulled.files, [bench.dest()]);
    assert_eq!(std::fs::read(bench.dest()).unwrap(), bench.model);
    assert_eq!(pulled.sha256, Some(digest(&bench.model)));
    assert!(!pulled.was_there && pulled.bytes == bench.model.len() as u64);

    let hub = bench.server.state.seen_by_hub.lock().unwrap().clone();
    assert!(hub.iter().all(|seen| seen.token.as_deref() == Some("Bearer hf_secret")), "{hub:?}");
    let storage = bench.server.state.seen_by_storage.lock().unwrap().clone();
    assert_eq!(storage.len(), bench.model.len().div_ceil(200_000), "{storage:?}");
    assert!(storage.iter().all(|seen| seen.token.is_none() && seen.range.is_some()), "{storage:?}");
    assert_eq!(bench.server.take_sent(), bench.model.len(), "not a byte twice");

    let heard = heard.lock().unwrap().clone();
    let last = heard.last().unwrap();
    assert_eq!((last.phase, last.bytes_done, last.bytes_total), (Phase::Checking, pulled.bytes, pulled.bytes));
    assert!(heard.iter().any(|progress| progress.phase == Phase::Downloading && progress.file == FILE));

    // What is left: the file and the index.
    let left = files(&bench.root());
    assert_eq!(left.len(), 3, "{left:?}");
    for path in [bench.dest(), bench.root().join("index.json"), bench.root().join("index.lock")] {
        assert!(left.contains(&path), "{left:?}");
    }
    let again = bench.pull(NAME).await.unwrap();
    assert!(again.was_there && again.sha256 == pulled.sha256);
    assert_eq!(bench.server.take_sent(), 0);
    let listed = bench.store().list();
    assert_eq!((listed.len(), listed[0].name.as_str()), (1, "hf:org/tiny-GGUF/tiny-Q4_K_M.gguf"));
    assert_eq!(listed[0].sha256, pulled.sha256);
}

#[tokio::test]
async fn a_connection_that_drops_goes_on_where_it_was() {
    let bench = Bench::new().await;
    bench.server.mood(Mood { drop_after: Some(70_000), ..Mood::default() });
    bench.pull(NAME).await.unwrap();
    assert_eq!(std::fs::read(bench.dest()).unwrap(), bench.model);
    assert_eq!(bench.server.take_sent(), bench.model.len(), "nothing is asked for twice");
}

#[tokio::test]
async fn another_run_goes_on_where_the_last_one_stopped() {
    let bench = Bench::new().await;
    // 30 kB are no progress: after three attempts in a row it gives up.
    bench.server.mood(Mood { drop_after: Some(30_000), ..Mood::default() });
    assert_eq!(bench.code(NAME).await, "download_broken");
    assert!(bench.part().exists() && !bench.dest().exists());
    assert!(bench.store().list().is_empty(), "a part is no model");
    let first = bench.server.take_sent();
    assert!(first >= 60_000, "{first}");
    bench.server.mood(Mood::default());
    bench.pull(NAME).await.unwrap();
    assert_eq!(std::fs::read(bench.dest()).unwrap(), bench.model);
    let second = bench.server.take_sent();
    // Others may have been in the middle of a piece when the first gave up.
    assert!(first + second <= bench.model.len() + 2 * 30_000, "{first} + {second}");
    assert!(second < bench.model.len(), "{second}");
}

#[tokio::test]
async fn a_server_without_ranges_sends_it_in_one() {
    let bench = Bench::new().await;
    bench.server.mood(Mood { no_ranges: true, ..Mood::default() });
    bench.pull(NAME).await.unwrap();
    assert_eq!(std::fs::read(bench.dest()).unwrap(), bench.model);
    assert_eq!(bench.server.take_sent(), bench.model.len());
    assert_eq!(bench.server.state.seen_by_storage.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_server_without_ranges_that_drops_is_given_up() {
    let bench = Bench::new().await;
    bench.server.mood(Mood { no_ranges: true, drop_after: Some(500_000), ..Mood::default() });
    assert_eq!(bench.code(NAME).await, "download_broken");
    assert_eq!(bench.server.take_sent(), 3 * 500_000, "as often as patience says");
    assert!(!bench.dest().exists());
}

#[tokio::test]
async fn lies_about_lengths_are_named() {
    let lies = [
        Mood { lie: 1, ..Mood::default() },
        Mood { lie: -1, ..Mood::default() },
        Mood { no_ranges: true, lie: 1, ..Mood::default() },
        Mood { no_ranges: true, lie: -1, ..Mood::default() },
        Mood { surplus: 9, ..Mood::default() },
    ];
    for mood in lies {
        let bench = Bench::new().await;
        bench.server.mood(mood.clone());
        assert_eq!(bench.code(NAME).await, "download_size_wrong", "{mood:?}");
        assert!(!bench.dest().exists(), "{mood:?}");
    }
}

#[tokio::test]
async fn a_lie_about_the_digest_leaves_nothing() {
    let bench = Bench::new().await;
    bench.server.mood(Mood { corrupt: true, ..Mood::default() });
    let error = bench.pull(NAME).await.unwrap_err();
    assert_eq!(error.code(), "download_digest_wrong");
    assert!(error.to_string().contains(&digest(&bench.model)), "{error}");
    assert!(files(&bench.root()).is_empty(), "{:?}", files(&bench.root()));
    bench.server.mood(Mood::default());
    bench.pull(NAME).await.unwrap();
}

#[tokio::test]
async fn refusals_have_names_and_hints() {
    let bench = Bench::new().await;
    assert_eq!(bench.code("hf:org/other").await, "hub_not_found");
    assert_eq!(bench.code("hf:org/tiny-GGUF:Q5_K_M").await, "hub_no_such_file");
    let api = "/api/models/org/tiny-GGUF";
    bench.server.can(api, &[&answer("401 Unauthorized", "", "{}")]);
    let error = bench.pull(NAME).await.unwrap_err();
    assert!(error.code() == "hub_unauthorized" && error.hint().contains("HF_TOKEN"), "{error}");
    bench.server.can(api, &[&answer("401 Unauthorized", "X-Error-Code: RepoNotFound\r\n", "{}")]);
    assert_eq!(bench.code(NAME).await, "hub_not_found");
    bench.server.can(api, &[&answer("429 Too Many Requests", "Retry-After: 3600\r\n", "")]);
    let error = bench.pull(NAME).await.unwrap_err();
    assert!(error.code() == "hub_rate_limited" && error.to_string().contains("3600"), "{error}");
    bench.server.can(api, &[&answer("418 I'm a teapot", "", "")]);
    assert_eq!(bench.code(NAME).await, "hub_status");
    assert!(files(&bench.root()).is_empty());
    let away = Hub::new("http://127.0.0.1:9", None, patience()).unwrap();
    let puller = Puller::new(bench.store(), away, Manner::default());
    let error = puller.pull(&NAME.parse().unwrap(), quiet(), &CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.code(), "hub_unreachable");
}

#[tokio::test]
async fn a_busy_hub_is_asked_again_when_it_says() {
    let bench = Bench::new().await;
    let busy = answer("429 Too Many Requests", "Retry-After: 1\r\n", "");
    bench.server.can("/api/models", &[&busy, &answer("503 Service Unavailable", "", "")]);
    let begun = Instant::now();
    bench.pull(NAME).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn silence_ends_and_slowness_does_not() {
    let bench = Bench::new().await;
    bench.server.mood(Mood { stall_after: Some(50_000), ..Mood::default() });
    let begun = Instant::now();
    assert_eq!(bench.code(NAME).await, "download_stalled");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(bench.part().exists() && !bench.dest().exists());
    // Longer in all than the stall is long, but never silent so long.
    bench.server.mood(Mood { trickle: Some((50_000, Duration::from_millis(100))), ..Mood::default() });
    let begun = Instant::now();
    bench.pull(NAME).await.unwrap();
    assert!(begun.elapsed() > patience().stall, "{:?}", begun.elapsed());
    assert_eq!(std::fs::read(bench.dest()).unwrap(), bench.model);
}

#[tokio::test]
async fn answers_of_the_api_are_bounded() {
    let bench = Bench::new().await;
    let huge = answer("200 OK", "", &format!("[{}", " ".repeat(9 << 20)));
    let endless = answer("200 OK", &format!("Link: <{}/api/models/again>; rel=\"next\"\r\n", bench.server.hub), "[]");
    let nowhere = answer("302 Found", "Location: /api/models/org/tiny-GGUF/tree/main\r\n", "");
    for bad in [huge.as_str(), &answer("200 OK", "", "<html>")] {
        bench.server.can("/api/models", &[bad]);
        assert_eq!(bench.code(NAME).await, "hub_bad_answer");
    }
    bench.server.can("/api/models", &[endless.as_str(); 30]);
    assert_eq!(bench.code(NAME).await, "hub_bad_answer", "pages without end");
    bench.server.state.canned.lock().unwrap().clear();
    bench.server.can("/api/models", &[nowhere.as_str(); 30]);
    assert_eq!(bench.code(NAME).await, "hub_bad_answer", "redirects without end");
    bench.server.state.canned.lock().unwrap().clear();
    bench.pull(NAME).await.unwrap();
}

#[tokio::test]
async fn the_second_page_of_a_listing_counts_and_a_strange_one_does_not() {
    let bench = Bench::new().await;
    let next = |url: &str| answer("200 OK", &format!("Link: <{url}>; rel=\"next\"\r\n"), "[]");
    let second = format!("{}/api/models/org/tiny-GGUF/tree/main?cursor=2", bench.server.hub);
    bench.server.can("/api/models", &[&next(&second)]);
    bench.pull(NAME).await.unwrap();
    let strange = format!("{}/api/models/org/tiny-GGUF/tree/main", bench.server.storage);
    bench.server.can("/api/models", &[&next(&strange)]);
    assert_eq!(bench.code(NAME).await, "hub_no_gguf", "another host has no say");
}

#[tokio::test]
async fn unsafe_names_condemn_a_repository() {
    for (number, name) in ["../../../evil.gguf", "/etc/evil.gguf", "a/../evil.gguf", "C:\\evil.gguf", ".hidden.gguf"]
        .into_iter()
        .chain([format!("{}.gguf", "x".repeat(300)).as_str()])
        .enumerate()
    {
        let bench = Bench::new().await;
        bench.server.add("org/evil", "fine-Q4_K_M.gguf", &bench.model);
        bench.server.add("org/evil", name, &bench.model);
        assert_eq!(bench.code("hf:org/evil").await, "hub_unsafe_file_name", "{number}: {name}");
        assert!(files(bench.folder.path()).is_empty());
    }
}

#[tokio::test]
async fn a_pull_that_is_stopped_keeps_what_came() {
    let bench = Bench::new().await;
    bench.server.mood(Mood { trickle: Some((20_000, Duration::from_millis(30))), ..Mood::default() });
    let (puller, cancel) = (bench.puller(), CancellationToken::new());
    let stop = cancel.clone();
    let watcher: Watcher = Arc::new(move |progress| {
        if progress.bytes_done > 100_000 {
            stop.cancel();
        }
    });
    let begun = Instant::now();
    let error = puller.pull(&NAME.parse().unwrap(), watcher, &cancel).await.unwrap_err();
    assert_eq!(error.code(), "pull_cancelled");
    assert!(begun.elapsed() < Duration::from_secs(3) && bench.part().exists() && !bench.dest().exists());
    let first = bench.server.take_sent();
    bench.server.mood(Mood::default());
    bench.pull(NAME).await.unwrap();
    let second = bench.server.take_sent();
    assert!(second <= bench.model.len() - 80_000, "{first} were there, {second} came again");
    assert_eq!(std::fs::read(bench.dest()).unwrap(), bench.model);
}

#[tokio::test]
async fn two_that_pull_the_same_file_fetch_it_once() {
    let bench = Bench::new().await;
    bench.server.mood(Mood { trickle: Some((100_000, Duration::from_millis(20))), ..Mood::default() });
    let (one, two) = tokio::join!(bench.pull(NAME), bench.pull(NAME));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert!(one.was_there != two.was_there, "{one:?} {two:?}");
    assert_eq!(bench.server.take_sent(), bench.model.len());
}

#[tokio::test]
async fn all_parts_come_and_projectors_do_not() {
    let bench = Bench::new().await;
    for file in ["big-Q8_0-00001-of-00002.gguf", "big-Q8_0-00002-of-00002.gguf", "mmproj-big-Q8_0.gguf"] {
        bench.server.add("org/big", file, format!("GGUF{file}").as_bytes());
    }
    let pulled = bench.pull("hf:org/big").await.unwrap();
    assert_eq!(pulled.files.len(), 2);
    assert!(pulled.files.iter().all(|file| file.is_file()) && pulled.sha256.is_none());
    let listed = bench.store().list();
    assert_eq!((listed.len(), &listed[0].files), (1, &pulled.files));
    assert_eq!(bench.store().resolve(&"hf:org/big:q8_0".parse().unwrap()).unwrap(), pulled.files);
    assert_eq!(bench.store().remove(&"hf:org/big".parse().unwrap()).unwrap(), pulled.files);
    assert!(!bench.root().join("org").exists(), "empty folders go as well");
}

#[tokio::test]
async fn an_address_that_expires_is_asked_for_again() {
    let bench = Bench::new().await;
    bench.server.mood(Mood { signature: Some("1".into()), drop_after: Some(70_000), ..Mood::default() });
    let state = Arc::clone(&bench.server.state);
    let watcher: Watcher = Arc::new(move |progress| {
        if progress.bytes_done > 0 {
            state.mood.lock().unwrap().signature = Some("2".into());
        }
    });
    bench.server.state.mood.lock().unwrap().trickle = Some((10_000, Duration::from_millis(10)));
    bench.puller().pull(&NAME.parse().unwrap(), watcher, &CancellationToken::new()).await.unwrap();
    assert_eq!(std::fs::read(bench.dest()).unwrap(), bench.model);
    let seen = bench.server.state.seen_by_storage.lock().unwrap().clone();
    assert!(seen.iter().any(|seen| seen.path.ends_with("=1")) && seen.iter().any(|seen| seen.path.ends_with("=2")));
}

#[tokio::test]
async fn a_plain_address_works_and_a_page_is_no_model() {
    let bench = Bench::new().await;
    // The storage refuses HEAD, and says its length with the first byte.
    let url = format!("{}/{REPO}/{FILE}", bench.server.storage);
    let pulled = bench.pull(&url).await.unwrap();
    assert_eq!(std::fs::read(&pulled.files[0]).unwrap(), bench.model);
    let below = pulled.files[0].strip_prefix(bench.root()).unwrap().to_owned();
    assert!(below.starts_with(bench.server.storage.trim_start_matches("http://").replace(':', "_")), "{below:?}");
    let name: ModelName = url.parse().unwrap();
    assert_eq!(bench.store().resolve(&name).unwrap(), pulled.files);
    assert_eq!(bench.store().list()[0].name, url);
    assert!(bench.server.state.seen_by_storage.lock().unwrap().iter().all(|seen| seen.token.is_none()));

    bench.server.add("org/page", "page.gguf", b"<html>sign in first</html>");
    let page = format!("{}/org/page/page.gguf", bench.server.storage);
    assert_eq!(bench.code(&page).await, "download_not_gguf");
    assert!(bench.store().resolve(&page.parse().unwrap()).is_err());
    assert_eq!(bench.code("http://127.0.0.1:9/").await, "model_name_invalid");
}

#[tokio::test]
async fn the_same_bytes_under_another_name_are_linked() {
    let bench = Bench::new().await;
    bench.pull(NAME).await.unwrap();
    bench.server.take_sent();
    bench.server.add("other/mirror", "mirror.gguf", &bench.model);
    let pulled = bench.pull("hf:other/mirror").await.unwrap();
    assert_eq!((bench.server.take_sent(), pulled.was_there), (0, true));
    bench.store().remove(&NAME.parse().unwrap()).unwrap();
    assert_eq!(std::fs::read(&pulled.files[0]).unwrap(), bench.model, "each name has its own life");
    // A file that changed since is not linked: its bytes are read, not believed.
    std::fs::write(&pulled.files[0], vec![0; bench.model.len()]).unwrap();
    bench.pull(NAME).await.unwrap();
    assert_eq!(bench.server.take_sent(), bench.model.len());
}

#[tokio::test]
async fn caches_of_other_programs_are_read_and_left_alone() {
    let bench = Bench::new().await;
    let (hub, llama) = (bench.folder.path().join("hf"), bench.folder.path().join("llama"));
    let repo = hub.join("models--org--tiny-GGUF");
    std::fs::create_dir_all(repo.join("snapshots/abc")).unwrap();
    std::fs::create_dir_all(repo.join("blobs")).unwrap();
    std::fs::create_dir_all(&llama).unwrap();
    std::fs::write(repo.join("blobs").join(digest(&bench.model)), &bench.model).unwrap();
    let snapshot = repo.join("snapshots/abc").join(FILE);
    #[cfg(unix)]
    std::os::unix::fs::symlink(format!("../../blobs/{}", digest(&bench.model)), &snapshot).unwrap();
    #[cfg(not(unix))]
    std::fs::copy(repo.join("blobs").join(digest(&bench.model)), &snapshot).unwrap();
    let flat = llama.join("ggml-org_small-GGUF_small-Q8_0.gguf");
    std::fs::write(&flat, &bench.model).unwrap();

    let caches = Caches { huggingface: vec![hub, llama.clone()], llama_cpp: vec![llama] };
    let store = Store::new(bench.root(), caches);
    let resolved = |name: &str| store.resolve(&name.parse().unwrap());
    assert_eq!(resolved(NAME).unwrap(), std::slice::from_ref(&snapshot));
    assert_eq!(resolved("hf:ORG/Tiny-gguf").unwrap(), std::slice::from_ref(&snapshot), "the hub knows no case");
    assert_eq!(resolved("hf:ggml-org/small-GGUF:Q8_0").unwrap(), [flat]);
    assert_eq!(resolved("tiny").unwrap(), std::slice::from_ref(&snapshot));
    assert_eq!(resolved("hf:org/absent").unwrap_err().code(), "model_not_on_disk");
    assert_eq!(store.list().len(), 2);
    #[cfg(unix)]
    assert_eq!(store.list()[0].sha256, Some(digest(&bench.model)));

    let puller = Puller::new(store.clone(), Hub::new(&bench.server.hub, None, patience()).unwrap(), Manner::default());
    let pulled = puller.pull(&NAME.parse().unwrap(), quiet(), &CancellationToken::new()).await.unwrap();
    assert_eq!((pulled.files, pulled.was_there, bench.server.take_sent()), (vec![snapshot.clone()], true, 0));
    for name in [NAME, "hf:ggml-org/small-GGUF", snapshot.to_str().unwrap()] {
        let error = store.remove(&name.parse().unwrap()).unwrap_err();
        assert_eq!(error.code(), "model_not_ours", "{error}");
    }
    assert!(snapshot.is_file());
}

#[tokio::test]
async fn words_mean_files_or_the_catalogue() {
    let bench = Bench::new().await;
    bench.server.add("ggml-org/gemma-4-E4B-it-GGUF", "gemma-4-E4B-it-Q4_K_M.gguf", &bench.model);
    let word: ModelName = "gemma-4-e4b".parse().unwrap();
    assert_eq!(bench.store().resolve(&word).unwrap_err().hint(), "`ainonymous pull gemma-4-e4b` fetches it");
    let pulled = bench.pull("gemma-4-e4b").await.unwrap();
    assert_eq!(bench.store().resolve(&word).unwrap(), pulled.files);
    assert_eq!(bench.store().resolve(&"gemma-4-e4b-it-q4_k_m".parse().unwrap()).unwrap(), pulled.files);
    assert_eq!(bench.code("gemma-4-e4b:Q2_K").await, "hub_no_such_file");
    let error = bench.pull("gemma-9").await.unwrap_err();
    assert!(error.code() == "model_name_unknown" && error.to_string().contains("gemma-4-e4b"), "{error}");
    assert_eq!(bench.code("no/such/file.gguf").await, "model_not_pullable");
    let own = bench.root().join("mine.gguf");
    std::fs::write(&own, &bench.model).unwrap();
    assert_eq!(bench.store().resolve(&"mine".parse().unwrap()).unwrap(), std::slice::from_ref(&own));
    assert_eq!(bench.store().remove(&"mine.gguf".parse().unwrap()).unwrap(), [own]);
}

#[test]
fn a_token_is_never_shown() {
    let hub = Hub::new("https://example.org", Some(TOKEN), patience()).unwrap();
    assert!(!format!("{hub:?}").contains(TOKEN));
    assert_eq!(Hub::new("example.org", None, patience()).unwrap_err().code(), "hub_bad_answer");
    assert_eq!(Hub::new("https://example.org", Some("a\nb"), patience()).unwrap_err().code(), "hub_bad_answer");
}
