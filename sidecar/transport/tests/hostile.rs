//! Peers that mean harm, against a real endpoint: floods, streams that never end, recordings played again, entries that name victims.
//! Each costs a bounded amount, is counted, and leaves honest peers answered.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // A test may fail by panicking.

mod common;

use ainonymous_transport::{
    Address, ConnectError, Endpoint, EndpointCounts, EndpointOptions, Frame, FrameError, LinkError, Pool,
    FRAME_BYTES_MAX,
};
use ainonymous_types::*;
use common::*;
use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const FLOOD: usize = 10_000;
/// Where the flooding side floods.
const FLOOD_AT: &str = "AINONYMOUS_TEST_FLOOD_AT";
/// Set for the process that is a provider and nothing else.
const PROVIDE: &str = "AINONYMOUS_TEST_PROVIDE";
/// What a flood may add to the process of a test, the harm and the honest peers in it included.
const GROWTH_BYTES_MAX: usize = 64 << 20;
/// What a flood may add to a provider, at its worst moment.
const PROVIDER_GROWTH_BYTES_MAX: usize = 24 << 20;

/// Bytes of this process in memory.
fn resident() -> usize {
    resident_of(std::process::id())
}

/// Bytes of a process in memory.
fn resident_of(process: u32) -> usize {
    let statm = std::fs::read_to_string(format!("/proc/{process}/statm")).unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4_096
}

fn endpoint_at(ip: Ipv4Addr, seed: u8) -> Endpoint {
    Endpoint::bind(&EndpointOptions { listen: (ip, 0).into(), secret: secret(seed) }).unwrap()
}

/// Asks again and again until told to stop: how often it was answered, and the longest that one took.
struct Honest {
    over: Arc<AtomicBool>,
    asking: tokio::task::JoinHandle<(u32, Duration)>,
}

impl Honest {
    /// On one link that stands before the harm begins, and with a new link each time.
    fn begin(provider: &Endpoint) -> [Self; 2] {
        Self::begin_at(at(provider)[0])
    }

    fn begin_at(provider: Address) -> [Self; 2] {
        [false, true].map(|anew| {
            let over = Arc::new(AtomicBool::new(false));
            let (key, addresses, seen) = (secret(1).public(), [provider], over.clone());
            let asking = tokio::spawn(async move {
                let asker = endpoint_at(Ipv4Addr::new(127, 0, 0, if anew { 2 } else { 3 }), 2);
                let mut pool = Pool::new(asker.clone());
                let (mut answers, mut longest) = (0, Duration::ZERO);
                while !seen.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    if anew {
                        pool = Pool::new(asker.clone());
                    }
                    let link = pool.link(&key, &addresses, || secret(98)).await.expect("honest peers get in");
                    assert_eq!(read_all(&link, "hello").await.expect("an answer"), [0, 1, 2]);
                    (answers, longest) = (answers + 1, longest.max(begun.elapsed()));
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                (answers, longest)
            });
            Self { over, asking }
        })
    }

    async fn end(all: [Self; 2]) {
        for Self { over, asking } in all {
            over.store(true, Ordering::Relaxed);
            let (answers, longest) = asking.await.unwrap();
            println!("honest: {answers} answers meanwhile, the longest took {} ms", longest.as_millis());
            assert!(answers > 3 && longest < Duration::from_secs(5), "{answers} answers, {longest:?}");
        }
    }
}

/// Packets by the connection that they would begin.
type Packets = HashMap<Vec<u8>, Vec<Vec<u8>>>;

/// First packets of connections that nobody will complete, by what QUIC calls the connection.
async fn first_packets(count: usize) -> Vec<Vec<Vec<u8>>> {
    let sink = tokio::net::UdpSocket::bind(LOOPBACK).await.unwrap();
    let to = [Address::Direct(sink.local_addr().unwrap())];
    let flooding = endpoint(66);
    let packets: Arc<Mutex<Packets>> = Arc::default();
    // What comes when a connection is given up would undo it.
    let gathering = Arc::new(AtomicBool::new(false));
    let (seen, gathers) = (packets.clone(), gathering.clone());
    let reading = tokio::spawn(async move {
        let mut packet = vec![0; 2_048];
        while let Ok(len) = sink.recv(&mut packet).await {
            if !gathers.load(Ordering::Relaxed) || len < 1_200 {
                continue;
            }
            let id = packet[6..6 + usize::from(packet[5])].to_vec();
            seen.lock().unwrap().entry(id).or_default().push(packet[..len].to_vec());
        }
    });
    while packets.lock().unwrap().len() < count {
        gathering.store(true, Ordering::Relaxed);
        let mut batch = JoinSet::new();
        for _ in 0..100 {
            let pool = Pool::new(flooding.clone());
            batch.spawn(async move { pool.link(&secret(1).public(), &to, || secret(66)).await });
        }
        tokio::time::sleep(Duration::from_millis(60)).await;
        gathering.store(false, Ordering::Relaxed);
        batch.shutdown().await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    reading.abort();
    let packets = std::mem::take(&mut *packets.lock().unwrap());
    packets.into_values().take(count).collect()
}

/// The nth of many addresses of this machine.
fn source(n: usize) -> Ipv4Addr {
    let [_, b, c, d] = u32::try_from(n + (1 << 16)).unwrap().to_be_bytes();
    Ipv4Addr::new(127, b, c, d)
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_connections_that_nobody_completes_are_bounded_and_honest_peers_answered() {
    let provider = endpoint(1);
    let _keys = serve(&provider, 3, Duration::ZERO);
    let flood = first_packets(FLOOD).await;
    let honest = Honest::begin(&provider);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (before, to) = (resident(), provider.local_addr().unwrap());
    let mut most = EndpointCounts::default();
    for (n, packets) in flood.iter().enumerate() {
        let socket = UdpSocket::bind((source(n), 0)).unwrap();
        for packet in packets {
            let _ = socket.send_to(packet, to);
        }
        if n % 20 == 0 {
            tokio::time::sleep(Duration::from_millis(4)).await;
            let counts = provider.counts();
            most = EndpointCounts { open: most.open.max(counts.open), ..counts };
        }
    }
    let grown = resident().saturating_sub(before);
    println!("{FLOOD} connections that nobody completes: {} MiB more, {most:?}", grown >> 20);
    assert!(grown < GROWTH_BYTES_MAX, "{} MiB more", grown >> 20);
    assert!(most.open <= 260, "without proof of their address they get a quarter of the places: {most:?}");
    assert!(most.challenged > 1_000, "the others must prove their address: {most:?}");
    Honest::end(honest).await;
    let begun = Instant::now();
    while provider.counts().open > 4 {
        assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", provider.counts());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(provider.counts().failed >= 200, "each is counted: {:?}", provider.counts());
}

/// The other side of the next test, in a process of its own: its memory is not the provider's. Alone it does nothing.
#[tokio::test(flavor = "multi_thread")]
async fn the_flooding_side_of_another_test() {
    let Ok(at) = std::env::var(FLOOD_AT) else { return };
    let (flooding, key) = (endpoint_at(Ipv4Addr::new(127, 9, 9, 9), 66), secret(1).public());
    let addresses = [Address::Direct(at.parse().unwrap())];
    let (mut links, mut refused, mut under_way, mut begun) = (Vec::new(), 0, JoinSet::new(), 0);
    while begun < FLOOD || !under_way.is_empty() {
        while begun < FLOOD && under_way.len() < 64 {
            let pool = Pool::new(flooding.clone());
            under_way.spawn(async move { pool.link(&key, &addresses, || secret(66)).await });
            begun += 1;
        }
        match under_way.join_next().await.unwrap().unwrap() {
            Ok(link) => links.push(link),
            Err(ConnectError::Refused { .. } | ConnectError::Silent { .. }) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    println!("flooded {} {refused}", links.len());
}

/// A provider in a process of its own, so that its memory is nobody else's: it counts for each line that it hears, and ends with its
/// standard input. Alone it does nothing.
#[tokio::test(flavor = "multi_thread")]
async fn the_providing_side_of_another_test() {
    if std::env::var_os(PROVIDE).is_none() {
        return;
    }
    let provider = endpoint(1);
    let _keys = serve(&provider, 3, Duration::ZERO);
    println!("provides {}", provider.local_addr().unwrap());
    let count = move || {
        for _ in std::io::stdin().lines() {
            let EndpointCounts { open, refused, .. } = provider.counts();
            println!("counted {open} {refused}");
        }
    };
    tokio::task::spawn_blocking(count).await.unwrap();
}

/// The words that a process of this test says after this one, on one line.
fn said(output: &mut impl BufRead, what: &str) -> Vec<String> {
    for line in output.lines() {
        let line = line.unwrap();
        if let Some((_, words)) = line.split_once(what) {
            return words.split_whitespace().map(str::to_owned).collect();
        }
    }
    panic!("it ended without a word of {what:?}");
}

/// This test's executable, doing nothing but one of the sides.
fn side(name: &str) -> std::process::Command {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_connections_from_one_machine_get_what_one_machine_gets() {
    let mut provider = side("the_providing_side_of_another_test").env(PROVIDE, "1").spawn().unwrap();
    let mut output = std::io::BufReader::new(provider.stdout.take().unwrap());
    let at: SocketAddr = said(&mut output, "provides ")[0].parse().unwrap();
    let honest = Honest::begin_at(Address::Direct(at));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = resident_of(provider.id());
    let mut flooding = tokio::process::Command::from(side("the_flooding_side_of_another_test"));
    let flooding = flooding.env(FLOOD_AT, at.to_string()).kill_on_drop(true).spawn().unwrap();
    let flooded = flooding.wait_with_output();
    tokio::pin!(flooded);
    let (begun, mut most) = (Instant::now(), before);
    let flooded = loop {
        tokio::select! {
            flooded = &mut flooded => break flooded.unwrap(),
            () = tokio::time::sleep(Duration::from_millis(20)) => most = most.max(resident_of(provider.id())),
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "the flood does not end");
    };
    let (grown, after) = (most.max(resident_of(provider.id())) - before, resident_of(provider.id()));
    provider.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    let counted: Vec<usize> = said(&mut output, "counted ").iter().map(|n| n.parse().unwrap()).collect();
    let numbers = said(&mut &flooded.stdout[..], "flooded ");
    let numbers: Vec<usize> = numbers.iter().map(|n| n.parse().unwrap()).collect();
    println!(
        "{FLOOD} connections of one machine: taken and refused {numbers:?}, open and refused there {counted:?}; the provider had {} KiB, \
         at most {} KiB more, in the end {} KiB",
        before >> 10,
        grown >> 10,
        after >> 10
    );
    assert!(numbers[0] <= 32 && numbers[1] == FLOOD - numbers[0], "{numbers:?}");
    assert!(counted[0] <= 34 + 8 && counted[1] > FLOOD * 9 / 10, "{counted:?}");
    assert!(grown < PROVIDER_GROWTH_BYTES_MAX, "{} KiB more", grown >> 10);
    Honest::end(honest).await;
    drop(provider.stdin.take());
    assert!(provider.wait().unwrap().success());
}

/// Questions of a megabyte on each stream, of which the last byte never comes.
#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_never_whole_hold_little() {
    let provider = endpoint(1);
    let _keys = serve(&provider, 3, Duration::ZERO);
    let honest = Honest::begin(&provider);
    let slow = endpoint_at(Ipv4Addr::new(127, 9, 9, 9), 66);
    let mut links = Vec::new();
    let before = resident();
    let mut sending = JoinSet::new();
    for _ in 0..8 {
        let link = Pool::new(slow.clone()).link(&provider.key(), &at(&provider), || secret(66)).await.unwrap();
        links.push(link.clone());
        for _ in 0..64 {
            let mut stream = link.open().await.unwrap();
            sending.spawn(async move {
                let len = u32::try_from(FRAME_BYTES_MAX).unwrap();
                stream.sender.send_part(&len.to_le_bytes()).await;
                for _ in 0..FRAME_BYTES_MAX / 4_096 - 1 {
                    stream.sender.send_part(&[0; 4_096]).await;
                }
                std::future::pending::<()>().await;
            });
        }
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    let grown = resident().saturating_sub(before);
    println!("512 streams that hold back a byte of a megabyte: {} MiB more", grown >> 20);
    // 576 MiB without a bound; what waits unsent on this side is in it too.
    assert!(grown < 2 * GROWTH_BYTES_MAX, "{} MiB more", grown >> 20);
    // A 65th stream has to wait, and the link is not lost for that.
    let one_more = tokio::time::timeout(Duration::from_millis(200), links[0].open()).await;
    assert!(one_more.is_err() && links[0].is_open());
    Honest::end(honest).await;
}

/// Returns to a provider until one is quick enough.
const RETURNS_MAX: usize = 10;

/// Remembers what goes from an asker to a provider, and hands it on.
async fn recorder(to: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<Vec<u8>>>>) {
    let near = Arc::new(tokio::net::UdpSocket::bind(LOOPBACK).await.unwrap());
    let far = Arc::new(tokio::net::UdpSocket::bind(LOOPBACK).await.unwrap());
    let (at, record, asker) =
        (near.local_addr().unwrap(), Arc::<Mutex<Vec<Vec<u8>>>>::default(), Arc::new(Mutex::new(None)));
    tokio::spawn({
        let (near, far, record, asker) = (near.clone(), far.clone(), record.clone(), asker.clone());
        async move {
            let mut packet = vec![0; 65_536];
            while let Ok((len, from)) = near.recv_from(&mut packet).await {
                *asker.lock().unwrap() = Some(from);
                record.lock().unwrap().push(packet[..len].to_vec());
                let _ = far.send_to(&packet[..len], to).await;
            }
        }
    });
    tokio::spawn(async move {
        let mut packet = vec![0; 65_536];
        while let Ok(len) = far.recv(&mut packet).await {
            let to = asker.lock().unwrap().unwrap();
            let _ = near.send_to(&packet[..len], to).await;
        }
    });
    (at, record)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_played_again_makes_no_link_and_asks_nothing() {
    let provider = endpoint(1);
    let (mut keys, early) = serve(&provider, 3, Duration::ZERO);
    let (at, record) = recorder(provider.local_addr().unwrap()).await;
    let (pool, addresses) = (Pool::new(endpoint(2)), [Address::Direct(at)]);
    // A handshake and a question; then a return with a probe in the first packet, if the asker is quicker than the handshake.
    let key = provider.key();
    let link = || pool.link(&key, &addresses, || secret(99));
    read_all(&link().await.unwrap(), "hello").await.unwrap();
    keys.recv().await.unwrap();
    let first = record.lock().unwrap().len();
    for _ in 0..RETURNS_MAX {
        link().await.unwrap().close(ainonymous_transport::CloseReason::Done);
        tokio::time::sleep(Duration::from_millis(500)).await;
        record.lock().unwrap().truncate(first);
        pool.probe(&provider.key(), &addresses, spec(), || unreachable!()).await.unwrap();
        keys.recv().await.unwrap();
        if early.load(Ordering::Relaxed) > 0 {
            break;
        }
    }
    assert_eq!(early.load(Ordering::Relaxed), 1, "it went with the first packet");
    let (taken, record) = (provider.counts().taken, record.lock().unwrap().clone());
    for packets in [&record[..], &record[first..], &record[..first]] {
        let player = tokio::net::UdpSocket::bind(LOOPBACK).await.unwrap();
        for packet in packets {
            player.send_to(packet, provider.local_addr().unwrap()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    println!("{} probes answered early, {:?}", early.load(Ordering::Relaxed), provider.counts());
    assert_eq!(provider.counts().taken, taken, "nobody came");
    assert!(keys.try_recv().is_err());
    // At most the probe was answered again, and that is a few bytes which only the asker of then can read.
    assert!(early.load(Ordering::Relaxed) <= 3);
}

#[tokio::test]
async fn an_entry_that_names_victims_sends_them_little() {
    let asker = endpoint(2);
    let victims: Vec<_> = (0..limits::CAPABILITY_ADDRESSES_MAX).map(|_| UdpSocket::bind(LOOPBACK).unwrap()).collect();
    let addresses: Vec<_> = victims.iter().map(|victim| Address::Direct(victim.local_addr().unwrap())).collect();
    let more = [&addresses[..], &addresses[..], &addresses[..]].concat();
    let silent = Pool::new(asker).link(&secret(7).public(), &more, || secret(99)).await.unwrap_err();
    assert!(matches!(silent, ConnectError::Silent { .. }), "{silent:?}");
    let mut packets = 0;
    for victim in &victims {
        victim.set_nonblocking(true).unwrap();
        let mut of_one = 0;
        while victim.recv(&mut [0; 2_048]).is_ok() {
            of_one += 1;
        }
        assert!(of_one <= 16, "{of_one} packets to one victim");
        packets += of_one;
    }
    println!("{packets} packets to {} victims", victims.len());
}

/// A provider that says what it likes: nonsense, too much, or the same again and again.
#[tokio::test]
async fn a_provider_that_says_anything_is_named_and_the_next_question_goes_on() {
    let (provider, asker) = (endpoint(1), endpoint(2));
    let mut no_text = tokens(0).encode().unwrap();
    let at = no_text.windows(ANSWER.len()).position(|bytes| bytes == ANSWER.as_bytes()).expect("the text stands in it");
    no_text[at..at + 2].copy_from_slice(&[0xff, 0xfe]);
    let load = {
        let mut frame = Frame::Load(ainonymous_transport::Load::default()).encode().unwrap();
        // Queues that nobody can have.
        frame.splice(7..8, [0xff, 0xff, 0xff, 0x7f]);
        let len = u32::try_from(frame.len() - 4).unwrap();
        frame[..4].copy_from_slice(&len.to_le_bytes());
        frame
    };
    let cases = [
        (no_text, FrameError::Malformed),
        (load, FrameError::Bounds("load_questions")),
        ([&1u32.to_le_bytes()[..], &[250]].concat(), FrameError::Malformed),
    ];
    let says: Vec<Vec<u8>> = cases.iter().map(|(bytes, _)| bytes.clone()).collect();
    tokio::spawn({
        let provider = provider.clone();
        async move {
            let (link, _place) = provider.accept().await.unwrap().establish(|_| Default::default()).await.unwrap();
            for bytes in says {
                link.accept().await.unwrap().sender.send_raw(&bytes).await;
            }
            std::future::pending::<()>().await;
        }
    });
    let pool = Pool::new(asker);
    let link = link(&pool, &provider).await.unwrap();
    for (_, error) in cases {
        let mut stream = link.open().await.unwrap();
        stream.sender.send(&Frame::Cancel).await.unwrap();
        assert_eq!(stream.receiver.recv().await.unwrap_err(), LinkError::Frame(error));
        assert!(link.is_open());
    }
}
