//! What it costs a provider to answer somebody else rather than its owner: fingerprints recorded while decoding, answers sealed and kept, receipts
//! signed and published, and the link. An owner's own answer needs none of that, so the same question is asked both ways, in turn.

use crate::answers::{in_turns, STORY};
use crate::ask::{Question, Server};
use crate::figures::{median, Pair, Report};
use crate::machine;
use crate::nodes::Two;
use crate::peer::{self, Settings};
use crate::Options;
use std::time::Duration;
use tokio::runtime::Runtime;

/// What this part measures.
pub(crate) const FIGURES: [&str; 2] = ["recording_cpu_ratio", "serving_cpu_ratio"];

/// Of each answer.
const TOKENS: u32 = 256;
const CONTEXT: u32 = 2_048;
/// Pause after an answer, for either alike.
const AFTERWARDS: Duration = Duration::from_secs(1);

/// Processor time of the worker, where recording is, and of the whole provider, as ratios of answers to others and to its owner: medians of rounds.
pub(crate) fn measure(report: &mut Report, options: &Options, lab: &Runtime) -> Result<(), String> {
    let path = options.model();
    let context = peer::context_trained(&path).min(CONTEXT);
    let mut two = Two::start(lab, &path, Settings { threads: options.threads, slots: 1, context, gpu: false }, &[]);
    two.remote.ignores_end = two.remote.honours_ignore_eos();
    two.own.ignores_end = two.remote.ignores_end;
    let [_, (_, provider), (_, worker)] = two.processes();
    let (mut recording, mut serving) = (Pair::default(), Pair::default());
    let question = Question { system: None, user: STORY.into(), max_tokens: TOKENS };
    // What is cached of the question is so for both.
    two.own.ask(&question)?;
    in_turns(options.rounds, &two.remote, Some(&two.own), |server: &Server, remote| {
        let spent = || Some((machine::cpu_s(worker)?, machine::cpu_s(provider)?));
        let before = spent().ok_or("this system does not say what processes take")?;
        let seen = server.ask(&question)?;
        // Whatever is published and kept comes after the last word.
        std::thread::sleep(AFTERWARDS);
        let after = spent().ok_or("a process is gone")?;
        let each = |s: f64| s * 1e3 / f64::from(seen.tokens.max(1));
        recording.of(remote).push(each(after.0 - before.0));
        serving.of(remote).push(each(after.0 - before.0 + after.1 - before.1));
        Ok(())
    })?;
    report.figure(FIGURES[0], recording.ratio(), "");
    report.figure(FIGURES[1], serving.ratio(), "");
    let pairs: Vec<f64> = recording.ours.iter().zip(&recording.theirs).map(|(ours, theirs)| ours / theirs).collect();
    report.note("recording_cpu_ratio_of_pairs", median(&pairs));
    report.samples("recording_cpu_ms_per_token", &recording);
    report.samples("serving_cpu_ms_per_token", &serving);
    eprintln!(
        "recording: {:?} of an unrecorded answer's processor time; the whole provider {:?}",
        recording.ratio(),
        serving.ratio()
    );
    Ok(())
}
