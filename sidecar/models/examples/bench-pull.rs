//! How quick a pull is: a server on loopback, a file of made-up bytes, and curl for comparison where it is installed.
//!
//! `cargo run --release -p ainonymous-models --example bench-pull -- 1024` (MiB). Figures are those of this machine.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use ainonymous_models::{Caches, Hub, Manner, ModelName, Patience, Phase, Puller, Store, Watcher};
use std::io::{SeekFrom, Write as _};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Bytes that the server reads and sends at a time.
const PIECE_BYTES: usize = 1 << 20;

fn main() {
    let mebibytes: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(512);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("served.gguf");
    make(&file, mebibytes);
    // The server has a runtime of its own, so that it does not wait for the client.
    let server = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = server.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}/files/served.gguf", listener.local_addr().unwrap());
    let served = file.clone();
    server.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let served = served.clone();
            tokio::spawn(async move {
                let _ = answer(stream, &served).await;
            });
        }
    });
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for parallel in [1, 4] {
        let root = folder.path().join(format!("store-{parallel}"));
        let hub = Hub::new("http://127.0.0.1:1", None, Patience::default()).unwrap();
        let manner = Manner { parallel, ..Manner::default() };
        let puller = Puller::new(Store::new(&root, Caches::default()), hub, manner);
        let name: ModelName = url.parse().unwrap();
        let begun = Instant::now();
        let checking = Arc::new(OnceLock::new());
        let seen = Arc::clone(&checking);
        let watcher: Watcher = Arc::new(move |progress| {
            if progress.phase == Phase::Checking {
                seen.get_or_init(Instant::now);
            }
        });
        client.block_on(puller.pull(&name, watcher, &CancellationToken::new())).unwrap();
        rate(&format!("pull, {parallel} at a time, with SHA-256 and fsync"), mebibytes, begun);
        let checking = checking.get().map_or(0.0, |at| at.elapsed().as_secs_f64());
        println!("  of it SHA-256 {checking:.2} s");
        std::fs::remove_dir_all(&root).unwrap();
    }
    let target = folder.path().join("curl.gguf");
    let begun = Instant::now();
    let curl = std::process::Command::new("curl").arg("-s").arg("-o").arg(&target).arg(&url).status();
    if curl.is_ok_and(|status| status.success()) {
        rate("curl", mebibytes, begun);
        std::fs::File::open(&target).unwrap().sync_all().unwrap();
        rate("curl, then fsync", mebibytes, begun);
    }
}

fn rate(what: &str, mebibytes: u64, begun: Instant) {
    let seconds = begun.elapsed().as_secs_f64();
    println!("{what:<44} {:>6.0} MiB/s  {seconds:.2} s", mebibytes as f64 / seconds);
}

fn make(file: &Path, mebibytes: u64) {
    let mut out = std::fs::File::create(file).unwrap();
    let block: Vec<u8> = (0..1u32 << 18).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    out.write_all(b"GGUF").unwrap();
    out.write_all(&block[4..]).unwrap();
    for _ in 1..mebibytes {
        out.write_all(&block).unwrap();
    }
}

async fn answer(mut stream: TcpStream, path: &Path) -> std::io::Result<()> {
    let mut head = vec![0; 8 << 10];
    let read = stream.read(&mut head).await?;
    let head = String::from_utf8_lossy(&head[..read]).to_lowercase();
    let mut file = tokio::fs::File::open(path).await?;
    let total = file.metadata().await?.len();
    let range = head.lines().find_map(|line| line.strip_prefix("range: bytes=")?.split_once('-'));
    let (from, to, status) = match range.and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?))) {
        Some((from, to)) => (from, to, format!("206 Partial Content\r\nContent-Range: bytes {from}-{to}/{total}")),
        None => (0, total - 1, "200 OK".to_owned()),
    };
    let length: u64 = to + 1 - from;
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await?;
    if !head.starts_with("head") {
        file.seek(SeekFrom::Start(from)).await?;
        file.set_max_buf_size(PIECE_BYTES);
        tokio::io::copy_buf(&mut BufReader::with_capacity(PIECE_BYTES, file.take(length)), &mut stream).await?;
    }
    stream.shutdown().await
}
