//! Answers over a path that takes its time, and over one whose address changes in the middle of an answer.

use crate::answers::{in_turns, STORY};
use crate::ask::{Question, Seen, Server};
use crate::figures::{median, Pair, Report};
use crate::nodes::Two;
use crate::peer::Settings;
use crate::prompts::Prompts;
use ainonymous_e2e::{tiny_model, NetworkPath, Slow, Weather};
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// There and back, the first one to compare with.
const ROUND_TRIPS_MS: [u64; 4] = [0, 20, 50, 100];
/// Each distance is visited so often, each time with a new link.
const VISITS: usize = 3;
/// Questions on an open link at each visit: for the first token, and for the speed.
const WARM_QUESTIONS: usize = 4;
const SPEED_QUESTIONS: usize = 3;
const SPEED_TOKENS: u32 = 400;
const WORDS: usize = 8;
/// Longer than a link lives of which nothing is heard (`transport::config`).
const LINK_DIES_AFTER: Duration = Duration::from_secs(17);
const SETTINGS: Settings = Settings { threads: 1, slots: 4, context: 2_048, gpu: false };

/// Round trip while addresses change.
const MIGRATION_RTT_MS: u64 = 50;
const MIGRATIONS: usize = 5;
/// The address changes after so many pieces of text.
const CHANGES_AFTER: usize = 8;
/// The worker rests most of the time, so that an answer lasts long enough.
const RUNNING: Duration = Duration::from_millis(2);
const RESTING: Duration = Duration::from_millis(25);

/// What is known of the migration figures.
pub(crate) const MIGRATION_FIGURES: [&str; 2] = ["migration_ms", "migration_old_address_lost_ms"];

/// Names of the figures at all distances.
pub(crate) fn figures() -> Vec<String> {
    let kinds = ["speed_ratio", "first_token_cold_ms", "first_token_new_link_ms", "first_token_warm_ms"];
    ROUND_TRIPS_MS.iter().flat_map(|rtt| kinds.map(|kind| format!("rtt_{rtt}_{kind}"))).collect()
}

/// Two nodes with the path between them.
fn apart(lab: &Runtime) -> (NetworkPath, Two) {
    let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|s| s.local_addr()).expect("a socket").port();
    let path = lab.block_on(NetworkPath::to((Ipv4Addr::LOCALHOST, port).into(), Weather::default()));
    let (listens, told) = (format!("127.0.0.1:{port}"), format!("quic://{}", path.address()));
    let two = Two::start(lab, &tiny_model(), SETTINGS, &["--quic", &listens, "--quic-address", &told]);
    (path, two)
}

fn weather(round_trip_ms: u64) -> Weather {
    Weather { delay: Duration::from_millis(round_trip_ms) / 2, lost_per_mille: 0 }
}

/// What was seen at one distance.
#[derive(Default)]
struct Distance {
    /// The first question of a process.
    cold: Vec<f64>,
    /// The first question on a link of a process that has asked before.
    new_link: Vec<f64>,
    warm: Pair,
    speeds: Vec<f64>,
}

/// Speed and first token at all distances.
pub(crate) fn measure(report: &mut Report, lab: &Runtime) -> Result<(), String> {
    let (path, mut two) = apart(lab);
    let mut prompts = Prompts::new(&two.own)?;
    let mut at: [Distance; ROUND_TRIPS_MS.len()] = Default::default();
    for _ in 0..VISITS {
        for (rtt, seen) in ROUND_TRIPS_MS.into_iter().zip(&mut at) {
            path.becomes(weather(rtt));
            two.restart_asker(lab);
            visit(&two, &mut prompts, seen)?;
            path.becomes(Weather { lost_per_mille: 1_000, ..weather(rtt) });
            std::thread::sleep(LINK_DIES_AFTER);
            path.becomes(weather(rtt));
            seen.new_link.push(first(&two.remote, &mut prompts)?);
        }
    }
    let still = median(&at[0].speeds);
    for (rtt, seen) in ROUND_TRIPS_MS.into_iter().zip(&at) {
        let own = median(&seen.warm.theirs);
        let beyond = |samples: &[f64]| median(samples).zip(own).map(|(first, own)| first - own);
        let (cold, new_link) = (beyond(&seen.cold), beyond(&seen.new_link));
        let speed = median(&seen.speeds);
        let ratio = speed.zip(still).map(|(speed, still)| speed / still);
        report.figure(&format!("rtt_{rtt}_speed_ratio"), ratio, "");
        report.figure(&format!("rtt_{rtt}_first_token_cold_ms"), cold, "");
        report.figure(&format!("rtt_{rtt}_first_token_new_link_ms"), new_link, "");
        report.figure(&format!("rtt_{rtt}_first_token_warm_ms"), seen.warm.difference(), "");
        report.samples(&format!("rtt_{rtt}_first_token_warm_ms"), &seen.warm);
        report.samples(&format!("rtt_{rtt}_first_token_cold_ms"), &one(&seen.cold));
        report.samples(&format!("rtt_{rtt}_first_token_new_link_ms"), &one(&seen.new_link));
        report.samples(&format!("rtt_{rtt}_tokens_per_s"), &one(&seen.speeds));
        eprintln!(
            "{rtt} ms: cold {cold:?}, new link {new_link:?}, warm {:?}, speed {speed:?}, ratio {ratio:?}",
            seen.warm.difference()
        );
    }
    Ok(())
}

/// A first question without a link, then others on the same link.
fn visit(two: &Two, prompts: &mut Prompts, seen: &mut Distance) -> Result<(), String> {
    seen.cold.push(first(&two.remote, prompts)?);
    in_turns(WARM_QUESTIONS, &two.remote, Some(&two.own), |server, remote| {
        seen.warm.of(remote).push(first(server, prompts)?);
        Ok(())
    })?;
    for _ in 0..SPEED_QUESTIONS {
        let user = format!("{} {STORY}", prompts.words(WORDS));
        let question = Question { system: None, user, max_tokens: SPEED_TOKENS };
        seen.speeds.push(two.remote.ask(&question)?.tokens_per_s());
    }
    Ok(())
}

/// Milliseconds from a question to its first token.
fn first(server: &Server, prompts: &mut Prompts) -> Result<f64, String> {
    let asked = server.ask(&Question { system: None, user: prompts.words(WORDS), max_tokens: 2 })?;
    Ok(asked.first().as_secs_f64() * 1e3)
}

/// How long an answer is silent when the asker's address changes: while the old address still works, and when it is lost.
pub(crate) fn migration(report: &mut Report, lab: &Runtime) -> Result<(), String> {
    let (path, two) = apart(lab);
    path.becomes(weather(MIGRATION_RTT_MS));
    two.remote.ask(&Question { system: None, user: STORY.into(), max_tokens: 2 })?;
    let _slow = Slow::down(two.worker.into(), RUNNING, RESTING);
    report.note("migration_rtt_ms", MIGRATION_RTT_MS);
    let ways: [fn(&NetworkPath); 2] = [NetworkPath::change_address, NetworkPath::lose_address];
    for (name, change) in MIGRATION_FIGURES.into_iter().zip(ways) {
        let (mut silences, mut usual) = (Vec::new(), Vec::new());
        for _ in 0..MIGRATIONS {
            let (seen, changed) = answer_during(&two.remote, || change(&path))?;
            let (before, after) = gaps(&seen, changed)?;
            let gap = median(&before).ok_or("no text before the change")?;
            silences.push(after - gap);
            usual.push(gap);
        }
        report.figure(name, median(&silences), "");
        // Beside the silence: the gap that is usual in these answers and was taken off.
        report.samples(name, &Pair { ours: silences, theirs: usual });
        eprintln!("{name} at {MIGRATION_RTT_MS} ms there and back: done");
    }
    Ok(())
}

/// An answer, and when in its midst the address was changed.
fn answer_during(server: &Server, change: impl Fn()) -> Result<(Seen, Instant), String> {
    let (texts, changed) = (AtomicUsize::new(0), std::cell::Cell::new(None));
    let on_text = || {
        if texts.fetch_add(1, Ordering::Relaxed) + 1 == CHANGES_AFTER {
            change();
            changed.set(Some(Instant::now()));
        }
    };
    let question = Question { system: None, user: STORY.into(), max_tokens: SPEED_TOKENS };
    let seen = server.ask_until(&question, &AtomicBool::new(false), &on_text)?;
    Ok((seen, changed.get().ok_or("the answer was too short to change an address in its midst")?))
}

/// Gaps between texts before a moment, and the longest that ended after it, in milliseconds.
fn gaps(seen: &Seen, moment: Instant) -> Result<(Vec<f64>, f64), String> {
    let ms = |pair: &[(Instant, usize)]| (pair[1].0 - pair[0].0).as_secs_f64() * 1e3;
    let (after, before): (Vec<_>, Vec<_>) = seen.texts.windows(2).partition(|pair| pair[1].0 > moment);
    let longest = after.iter().map(|pair| ms(pair)).reduce(f64::max).ok_or("no text after the change")?;
    Ok((before.iter().map(|pair| ms(pair)).collect(), longest))
}

fn one(samples: &[f64]) -> Pair {
    Pair { ours: samples.to_vec(), theirs: Vec::new() }
}
