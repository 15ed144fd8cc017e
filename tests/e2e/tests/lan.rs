//! A network on a LAN that is cut off from everything else, where nobody types an address: two machines (network namespaces,
//! joined by a cable) find each other by multicast DNS, and go on when the one that had the server is gone.

#![cfg(target_os = "linux")]
#![allow(clippy::expect_used, clippy::print_stdout, clippy::print_stderr)] // A test may fail by panicking.
#![allow(clippy::disallowed_methods)] // Nobody else is on this thread.

use ainonymous_e2e::{binary, tiny_model, Node, NodeSpec, PASSPHRASE};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest time until two machines that were just switched on have asked each other something.
const MET_WITHIN: Duration = Duration::from_secs(60);
/// Longest time until another machine has the server in place of one that is gone.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(20);

/// Two machines and a cable. They are gone when it is dropped.
struct Lan {
    machines: [String; 2],
}

impl Lan {
    /// None where this is not permitted; in CI that is a failure.
    fn new() -> Option<Self> {
        let machines = ["a", "b"].map(|name| format!("ain-{}-{name}", std::process::id()));
        let lan = Self { machines };
        let [a, b] = &lan.machines;
        let cable = format!("ain{}", std::process::id());
        let (ours, theirs) = (format!("{cable}a"), format!("{cable}b"));
        let mut laid = ip(&["netns", "add", a]) && ip(&["netns", "add", b]);
        laid = laid && ip(&["link", "add", &ours, "type", "veth", "peer", "name", &theirs]);
        for (machine, end, address) in [(a, &ours, "10.77.1.1/24"), (b, &theirs, "10.77.1.2/24")] {
            laid = laid
                && ip(&["link", "set", end, "netns", machine])
                && ip(&["-n", machine, "addr", "add", address, "dev", end])
                && ip(&["-n", machine, "link", "set", end, "up"])
                && ip(&["-n", machine, "link", "set", "lo", "up"]);
        }
        if laid {
            return Some(lan);
        }
        let why = "network namespaces or multicast cannot be had here: run it as root on Linux, with iproute2";
        assert!(std::env::var_os("CI").is_none(), "{why}");
        eprintln!("NOT TESTED: {why}");
        None
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        for machine in &self.machines {
            ip(&["netns", "del", machine]);
        }
    }
}

fn ip(args: &[&str]) -> bool {
    Command::new("ip").args(args).output().is_ok_and(|output| output.status.success())
}

fn network(home: &Path, args: &[&str]) -> Value {
    let mut command = Command::new(binary());
    command.arg("network").args(args).arg("--json").arg("--data-dir").arg(home.join("data"));
    command.env("AINONYMOUS_CONFIG", home.join("no-config.toml")).env("AINONYMOUS_PASSPHRASE", PASSPHRASE);
    let output = command.output().expect("the executable starts");
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one object")
}

fn up(home: TempDir, machine: &str, serves: bool) -> Node {
    let spec = NodeSpec { network: Some("home".into()), inside: Some(machine.into()), ..NodeSpec::default() };
    let spec = spec.with(&["--verbose"]);
    Node::start_in(home, if serves { spec.serving(&tiny_model()) } else { spec })
}

/// Asks on that machine until somebody answers.
fn ask(machine: &str, node: &mut Node, within: Duration) -> Value {
    let api = node.event("listening", Duration::from_secs(30))["api"].as_str().expect("an address").to_owned();
    let deadline = Instant::now() + within;
    loop {
        let Output { status, stdout, stderr } = Command::new("ip")
            .args(["netns", "exec", machine])
            .arg(binary())
            .args(["ask", "--json", "--temperature", "0", "--api", &api, "What is the capital of France?"])
            .env("AINONYMOUS_CONFIG", "/nonexistent/ainonymous.toml")
            .output()
            .expect("the executable starts");
        if status.success() {
            return serde_json::from_slice(&stdout).expect("one object");
        }
        let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert!(Instant::now() < deadline, "nobody answers: {stdout} {stderr}\n{}", node.log_tail());
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Whether a machine's node has said something in its log.
fn has_said(node: &Node, what: &str) -> bool {
    node.log().contains(what)
}

#[test]
fn two_machines_on_a_cable_meet_and_another_takes_over() {
    let Some(lan) = Lan::new() else { return };
    let [a, b] = &lan.machines;
    let [alice, bob, carol] = [(); 3].map(|()| tempfile::tempdir().expect("a folder"));

    // Made and joined: the invite names no server either.
    let made = network(alice.path(), &["create", "Home", "--lan"]);
    assert_eq!((made["kind"].as_str(), made["bootstrap"].as_str()), (Some("lan"), Some("lan:")));
    let invite = network(alice.path(), &["invite"])["invite"].as_str().expect("an invite").to_owned();
    for home in [&bob, &carol] {
        assert_eq!(network(home.path(), &["join", &invite])["id"], made["id"]);
    }

    let begun = Instant::now();
    let mut first = up(alice, a, false);
    first.wait_ready();
    assert!(has_said(&first, "this node has the network's server"), "{}", first.log_tail());
    let mut provider = up(bob, b, true);
    provider.wait_ready();
    let answer = ask(a, &mut first, MET_WITHIN);
    assert!(answer["answer"].as_str().is_some_and(|text| text.contains("Paris")), "{answer}");
    println!("two machines met and asked {:.1} s after the first was switched on", begun.elapsed().as_secs_f64());
    assert!(!has_said(&provider, "this node has the network's server"), "one is enough");

    // The machine with the server loses its power.
    let gone = Instant::now();
    first.kill();
    while !has_said(&provider, "this node has the network's server") {
        assert!(gone.elapsed() < TAKEN_OVER_WITHIN, "nobody took over: {}", provider.log_tail());
        std::thread::sleep(Duration::from_millis(100));
    }
    println!("another had the server after {:.1} s", gone.elapsed().as_secs_f64());
    let mut newcomer = up(carol, a, false);
    newcomer.wait_ready();
    let answer = ask(a, &mut newcomer, MET_WITHIN);
    assert!(answer["answer"].as_str().is_some_and(|text| text.contains("Paris")), "{answer}");
    println!("a newcomer had an answer {:.1} s after the first machine was gone", gone.elapsed().as_secs_f64());
    // Nodes first, then their machines.
    drop((first, provider, newcomer));
}
