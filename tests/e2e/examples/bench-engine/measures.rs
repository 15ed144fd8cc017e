//! What is measured, each on both servers in turn, so that a noisy machine hits both.

use crate::ask::{Question, Seen, Server};
use crate::figures::{median, Pair};
use crate::prompts::Prompts;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Words before a question that make it a new one.
const NEW_WORDS: usize = 4;

/// Both servers; the second may be missing.
pub(crate) struct Bench {
    pub(crate) ours: Server,
    pub(crate) theirs: Option<Server>,
    pub(crate) prompts: Prompts,
    pub(crate) rounds: usize,
    /// A short question whose answer goes on for a while.
    pub(crate) question: String,
}

/// What a long prompt does to others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LongPrompt {
    /// By how much others are slowed down, 0 to 1, against the mean of their speeds before and after it: answers that grow become
    /// slower by themselves.
    pub(crate) slowdown: f64,
    /// The same against their speed before it alone.
    pub(crate) slowdown_before: f64,
    /// Longest silence of a stream while there is no long prompt: what the machine does to it anyway.
    pub(crate) stall_alone_ms: f64,
    /// Longest silence of another stream, in milliseconds.
    pub(crate) stall_ms: f64,
    /// First token of the long prompt, in seconds.
    pub(crate) first_s: f64,
}

impl Bench {
    /// Runs something on both, in turn, so many rounds; every round begins with the other.
    fn pair(&mut self, mut sample: impl FnMut(&Server, usize) -> Result<f64, String>) -> Result<Pair, String> {
        let mut pair = Pair::default();
        for round in 0..self.rounds {
            for ours in [round % 2 == 0, round % 2 == 1] {
                if ours {
                    pair.ours.push(sample(&self.ours, round)?);
                } else if let Some(theirs) = &self.theirs {
                    pair.theirs.push(sample(theirs, round)?);
                }
            }
        }
        Ok(pair)
    }

    /// A question that nobody has asked, as far as its first words tell: what a server keeps of earlier ones is no help.
    fn short(&mut self, max_tokens: u32) -> Question {
        Question { system: None, user: format!("{} {}", self.prompts.words(NEW_WORDS), self.question), max_tokens }
    }

    /// Tokens a second: of one stream after its first, of several all together from the first question to the last
    /// answer. And the processor time of a token in milliseconds, which a busy machine does not change much.
    pub(crate) fn streams(&mut self, clients: usize, tokens: u32) -> Result<(Pair, Pair), String> {
        let all = (0..self.rounds).map(|_| (0..clients).map(|_| self.short(tokens)).collect());
        let rounds: Vec<Vec<Question>> = all.collect();
        let mut costs = Pair::default();
        let ours = self.ours.name;
        let speeds = self.pair(|server, round| {
            let before = server.cpu_s();
            let (took, seen) = server.ask_all(&rounds[round])?;
            let tokens = f64::from(seen.iter().map(|s| s.tokens).sum::<u32>());
            costs.of(server.name == ours).push((server.cpu_s() - before) * 1e3 / tokens);
            Ok(match seen.as_slice() {
                [one] => one.tokens_per_s(),
                _ => tokens / took.as_secs_f64(),
            })
        })?;
        Ok((speeds, costs))
    }

    /// Milliseconds to the first token of a new prompt of so many tokens, tokens of it a second, and the processor time of
    /// one of them in milliseconds.
    pub(crate) fn first_token(&mut self, prompt_tokens: u32) -> Result<(Pair, Pair, Pair), String> {
        let texts: Vec<String> = (0..self.rounds).map(|_| self.prompts.text(prompt_tokens)).collect();
        let (mut speeds, mut costs) = (Pair::default(), Pair::default());
        let ours = self.ours.name;
        let times = self.pair(|server, round| {
            let before = server.cpu_s();
            let seen = server.ask(&Question { system: None, user: texts[round].clone(), max_tokens: 2 })?;
            let first = seen.first().as_secs_f64();
            let tokens = f64::from(seen.prompt_tokens);
            speeds.of(server.name == ours).push(tokens / first);
            costs.of(server.name == ours).push((server.cpu_s() - before) * 1e3 / tokens);
            Ok(first * 1e3)
        })?;
        Ok((times, speeds, costs))
    }

    /// Milliseconds to the first token where a system prompt of so many tokens is new, and where only the question is.
    pub(crate) fn prefix(&mut self, prefix_tokens: u32) -> Result<(Pair, Pair), String> {
        let systems: Vec<String> = (0..self.rounds).map(|_| self.prompts.text(prefix_tokens)).collect();
        let ours = self.ours.name;
        let mut warm = Pair::default();
        let cold = self.pair(|server, round| {
            let ask = |user: &str| {
                let question = Question { system: Some(systems[round].clone()), user: user.into(), max_tokens: 2 };
                server.ask(&question).map(|seen| seen.first().as_secs_f64() * 1e3)
            };
            let cold = ask("Who are you?")?;
            let others = ["What does the cow say?", "What is the capital of France?", "Which day follows Friday?"];
            let again = others.into_iter().map(ask).collect::<Result<Vec<_>, _>>()?;
            warm.of(server.name == ours).extend(median(&again));
            Ok(cold)
        })?;
        Ok((cold, warm))
    }

    /// A long prompt while `others` streams run.
    pub(crate) fn long_prompt(
        &mut self,
        server: &Server,
        prompt_tokens: u32,
        others: usize,
    ) -> Result<LongPrompt, String> {
        let text = self.prompts.text(prompt_tokens);
        let questions: Vec<Question> = (0..others).map(|_| self.short(1_000_000)).collect();
        let stop = AtomicBool::new(false);
        let begun = AtomicU64::new(0);
        let failed = Mutex::new(None);
        let (streams, long) = std::thread::scope(|scope| {
            let stream = |question| {
                let first = AtomicBool::new(true);
                let on_text = || {
                    if first.swap(false, Ordering::Relaxed) {
                        begun.fetch_add(1, Ordering::Relaxed);
                    }
                };
                let seen = server.ask_until(question, &stop, &on_text);
                seen.map_err(|e| *failed.lock().expect("no panic") = Some(e)).ok()
            };
            let streams: Vec<_> = questions.iter().map(|question| scope.spawn(move || stream(question))).collect();
            let deadline = Instant::now() + BEGIN_PATIENCE;
            while begun.load(Ordering::Relaxed) < others as u64 && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
            std::thread::sleep(SETTLE + ALONE);
            let long = server.ask(&Question { system: None, user: text, max_tokens: 1 });
            std::thread::sleep(ALONE);
            stop.store(true, Ordering::Relaxed);
            (streams.into_iter().map(|s| s.join().ok().flatten()).collect::<Option<Vec<Seen>>>(), long)
        });
        let long = long?;
        let streams = streams.ok_or_else(|| failed.into_inner().ok().flatten().unwrap_or_default())?;
        let (asked, first) = (long.asked, long.asked + long.first());
        let alone: f64 = streams.iter().map(|s| speed(s, asked - ALONE, asked)).sum();
        let ended = long.ended;
        let after: f64 = streams.iter().map(|s| speed(s, ended, ended + ALONE)).sum();
        let still = |s: &Seen| stall(s, asked - ALONE, asked).max(stall(s, ended, ended + ALONE));
        let stall_alone = streams.iter().map(still).max().unwrap_or_default();
        let beside: f64 = streams.iter().map(|s| speed(s, asked, first)).sum();
        let stall = streams.iter().map(|s| stall(s, asked, first)).max().unwrap_or_default();
        if streams.iter().any(|s| s.tokens > 0) {
            return Err("an answer ended before the long prompt was computed".into());
        }
        Ok(LongPrompt {
            slowdown: 1.0 - 2.0 * beside / (alone + after),
            slowdown_before: 1.0 - beside / alone,
            stall_alone_ms: stall_alone.as_secs_f64() * 1e3,
            stall_ms: stall.as_secs_f64() * 1e3,
            first_s: long.first().as_secs_f64(),
        })
    }
}

/// Streams get so long to begin, then so long before their speed is taken, for so long.
const BEGIN_PATIENCE: Duration = Duration::from_secs(30);
const SETTLE: Duration = Duration::from_millis(500);
const ALONE: Duration = Duration::from_secs(8);

/// Bytes of text a second between two moments: tokens that are seen in the middle of an answer are not counted for us.
fn speed(seen: &Seen, from: Instant, to: Instant) -> f64 {
    let within = seen.texts.iter().filter(|(at, _)| (from..to).contains(at));
    within.map(|(_, bytes)| *bytes as f64).sum::<f64>() / (to - from).as_secs_f64()
}

/// Longest silence between two moments.
fn stall(seen: &Seen, from: Instant, to: Instant) -> Duration {
    let within = seen.texts.iter().map(|(at, _)| *at).filter(|at| (from..to).contains(at));
    let moments: Vec<Instant> = std::iter::once(from).chain(within).chain([to]).collect();
    moments.windows(2).map(|w| w[1] - w[0]).max().unwrap_or_default()
}
