//! The worker process: loads one model, answers questions until its host tells it to stop or is gone.
//!
//! Four threads: the reader takes frames and can always cancel; the preparer renders templates and splits text into tokens,
//! so that a long prompt does not hold up running answers; the main thread computes; nobody waits in a loop.

mod draft;
mod embed;
mod images;
mod load;
mod output;
mod plan;
mod prefixes;
mod prompt;
mod replay;
mod said;
mod scheduler;
mod sequences;
mod slot;
mod stand_in;

pub(crate) use load::classify;
pub use stand_in::run_stand_in;

use crate::fit::Reserved;
use crate::llama::{AbortSwitch, Token};
use crate::wire::{read_frame, ToHost, ToWorker, WireEvent, PROTOCOL, TO_WORKER_BYTES_MAX};
use crate::{os, sandbox, EngineError, EngineOptions, Inspect, Question, ReplayQuestion, Sandbox, SandboxReport};
use embed::{Embedder, Embedding};
use images::Images;
use output::Output;
use prompt::Prompter;
use replay::{Replayer, Replaying};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Body of the hidden subcommand: serves the host at the other end of stdin and stdout. Ends when the host does.
pub fn run_worker() -> ExitCode {
    os::die_with_parent();
    let Ok(frames) = os::take_stdout() else { return ExitCode::FAILURE };
    let output = Arc::new(Output::new(frames));
    match read_frame(&mut io::stdin(), TO_WORKER_BYTES_MAX) {
        Ok(Some(ToWorker::Load { protocol: PROTOCOL, options, reserved })) => serve(&options, reserved, &output),
        Ok(Some(ToWorker::Preview { protocol: PROTOCOL, options })) => {
            let confined = confine(options.as_ref());
            output.send(&match confined.and_then(|sandbox| plan::preview(options.as_ref(), sandbox)) {
                Ok(preview) => ToHost::Preview(Box::new(preview)),
                Err(error) => ToHost::LoadFailed(error),
            });
            ExitCode::SUCCESS
        }
        Ok(Some(ToWorker::Load { protocol, .. } | ToWorker::Preview { protocol, .. })) => {
            output.send(&ToHost::LoadFailed(EngineError::WorkerMismatch { worker: PROTOCOL, host: protocol }));
            ExitCode::FAILURE
        }
        Ok(None) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Gives up what a worker does not need: before there are threads, and before a byte of the model is read. Only our own
/// libraries are loaded before that, for afterwards nothing but the models can be opened.
/// Without a model it is as for one whose layers may go to a GPU.
fn confine(options: Option<&EngineOptions>) -> Result<SandboxReport, EngineError> {
    // What is wrong with them is said when they are needed.
    let _ = crate::llama::backends();
    let model = options.map(|options| options.model_path.as_path());
    let draft = options.and_then(|options| options.draft.as_ref()).map(|draft| draft.model_path.as_path());
    let projector = options.and_then(|options| options.projector.as_ref()).map(|projector| projector.path.as_path());
    let models: Vec<&Path> = model.into_iter().chain(draft).chain(projector).collect();
    Sandbox::confine(&models, options.map_or_else(|| sandbox::needs_gpu(&EngineOptions::new("")), sandbox::needs_gpu))
}

fn serve(options: &EngineOptions, reserved: Reserved, output: &Arc<Output>) -> ExitCode {
    let sandbox = match confine(Some(options)) {
        Ok(sandbox) => sandbox,
        Err(error) => {
            output.send(&ToHost::LoadFailed(error));
            return ExitCode::FAILURE;
        }
    };
    let shared = Arc::new(Shared::default());
    let readers = shared.clone();
    if std::thread::Builder::new().name("reader".into()).spawn(move || read_all(&readers)).is_err() {
        return ExitCode::FAILURE;
    }
    let loaded = match load::load(options, reserved, sandbox, shared.abort.clone(), output) {
        Ok(loaded) => loaded,
        Err(error) => {
            output.send(&ToHost::LoadFailed(error));
            return ExitCode::FAILURE;
        }
    };
    let load::Loaded { model, shape, context, drafter, projector, template, info } = loaded;
    let (context_tokens, info_threads, slots) = (info.context_tokens, info.threads, info.fit.slots);
    let chunk_tokens = info.fit.batch_tokens;
    let prefix_cache_bytes = usize::try_from(info.fit.prefix_cache_bytes).unwrap_or(usize::MAX);
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    let prompter = Prompter::new(model.clone(), template, context_tokens, projector.map(Images::new));
    let markers = prompter.markers();
    let preparer =
        Preparer { shared: shared.clone(), output: output.clone(), prompter, markers: markers.clone(), seed };
    if std::thread::Builder::new().name("preparer".into()).spawn(move || preparer.run()).is_err() {
        return ExitCode::FAILURE;
    }
    let replayer = Replayer::new(model.clone(), shape, &info, shared.abort.clone());
    output.send(&ToHost::Loaded(Box::new(info)));
    let parts = scheduler::Parts {
        replayer,
        embedder: Embedder::new(model.clone(), info_threads, shared.abort.clone()),
        sequences: sequences::Sequences::new(slots, prefix_cache_bytes),
        model,
        context,
        drafter,
        markers,
        chunk_tokens,
    };
    scheduler::Scheduler::new(shared, output.clone(), parts).run();
    ExitCode::SUCCESS
}

/// What the threads share.
#[derive(Default)]
struct Shared {
    inbox: Mutex<Inbox>,
    /// Something to prepare, or shutdown.
    to_prepare: Condvar,
    /// Something to compute or to cancel, or shutdown.
    to_compute: Condvar,
    abort: Arc<AbortSwitch>,
}

#[derive(Default)]
struct Inbox {
    /// Questions as they came.
    asked: VecDeque<Asked>,
    /// Questions that wait for a slot.
    ready: VecDeque<Prepared>,
    /// Texts to be embedded.
    embeds: VecDeque<Embedding>,
    /// Answers to be computed again.
    replays: VecDeque<Replaying>,
    /// Every question that has not ended.
    cancelled: HashMap<u64, Arc<AtomicBool>>,
    /// A question was cancelled since the scheduler looked.
    any_cancelled: bool,
    shutdown: bool,
}

struct Asked {
    id: u64,
    work: ToPrepare,
    cancelled: Arc<AtomicBool>,
    at: Instant,
}

/// What the preparer gets.
enum ToPrepare {
    /// To be computed then.
    Question(Box<Question>),
    /// To be computed then, beside the others.
    Replay(Box<ReplayQuestion>),
    /// Its own affair.
    Inspect(Inspect),
}

/// A question that can be computed.
struct Prepared {
    id: u64,
    ready: prompt::Ready,
    question: Box<Question>,
    cancelled: Arc<AtomicBool>,
    at: Instant,
    /// Position in the queue that was reported last.
    reported: u32,
}

impl Shared {
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes something in for the preparer.
    fn prepare(&self, id: u64, work: ToPrepare) {
        let cancelled = Arc::new(AtomicBool::new(false));
        let mut inbox = self.inbox();
        inbox.cancelled.insert(id, cancelled.clone());
        inbox.asked.push_back(Asked { id, work, cancelled, at: Instant::now() });
        self.to_prepare.notify_one();
    }

    /// Forgets a question that has ended.
    fn ended(&self, id: u64) {
        self.inbox().cancelled.remove(&id);
    }
}

/// The reader thread. It never waits for anything but the host.
fn read_all(shared: &Shared) {
    let mut stdin = io::stdin().lock();
    loop {
        match read_frame(&mut stdin, TO_WORKER_BYTES_MAX) {
            Ok(Some(ToWorker::Generate { id, question })) => shared.prepare(id, ToPrepare::Question(question)),
            Ok(Some(ToWorker::Replay { id, question })) => shared.prepare(id, ToPrepare::Replay(question)),
            Ok(Some(ToWorker::Inspect { id, question })) => shared.prepare(id, ToPrepare::Inspect(question)),
            Ok(Some(ToWorker::Embed { id, question })) => {
                let cancelled = Arc::new(AtomicBool::new(false));
                let mut inbox = shared.inbox();
                inbox.cancelled.insert(id, cancelled.clone());
                inbox.embeds.push_back(Embedding::new(id, question, cancelled));
                shared.to_compute.notify_one();
            }
            Ok(Some(ToWorker::Cancel { id })) => {
                let mut inbox = shared.inbox();
                if let Some(flag) = inbox.cancelled.get(&id) {
                    flag.store(true, Ordering::Release);
                    inbox.any_cancelled = true;
                    shared.abort.stop(id);
                    shared.to_compute.notify_one();
                }
            }
            Ok(Some(ToWorker::Shutdown)) => {
                shared.inbox().shutdown = true;
                shared.abort.stop_everything();
                shared.to_prepare.notify_one();
                shared.to_compute.notify_one();
            }
            Ok(Some(ToWorker::Load { .. } | ToWorker::Preview { .. })) | Err(_) => os::exit_now(1),
            // The host is gone: nobody is left to answer.
            Ok(None) => os::exit_now(0),
        }
    }
}

/// The thread that makes tokens of questions.
struct Preparer {
    shared: Arc<Shared>,
    output: Arc<Output>,
    prompter: Prompter,
    /// Special tokens that answers show.
    markers: Vec<Token>,
    /// Makes the ids of tool calls differ from those of an earlier worker.
    seed: u64,
}

impl Preparer {
    fn run(mut self) {
        while let Some(asked) = self.next() {
            let Asked { id, work, cancelled, at } = asked;
            if cancelled.load(Ordering::Acquire) {
                self.shared.ended(id);
                self.output.event(id, slot::cancelled_before_start(at));
                self.output.flush();
                continue;
            }
            let question = match work {
                ToPrepare::Question(question) => question,
                ToPrepare::Replay(question) => {
                    match Replaying::prepare(&mut self.prompter, id, *question, cancelled) {
                        Ok(replaying) => {
                            self.shared.inbox().replays.push_back(replaying);
                            self.shared.to_compute.notify_one();
                        }
                        Err(error) => {
                            self.shared.ended(id);
                            self.output.event(id, WireEvent::Failed(error));
                            self.output.flush();
                        }
                    }
                    continue;
                }
                ToPrepare::Inspect(question) => {
                    let answer = self.prompter.inspect(&question).map_or_else(WireEvent::Failed, WireEvent::Inspected);
                    self.shared.ended(id);
                    self.output.event(id, answer);
                    self.output.flush();
                    continue;
                }
            };
            // Many images take long: the host hears that this goes on, and what nobody waits for any more is not computed.
            let goes_on = || {
                self.output.alive();
                !cancelled.load(Ordering::Acquire)
            };
            match self.prompter.prepare(&question, (self.seed ^ id, &self.markers), &goes_on) {
                Ok(ready) => {
                    if let Some(finish) = ready.ended {
                        self.shared.ended(id);
                        self.output.event(id, slot::complete_before_start(at, finish, &ready));
                        self.output.flush();
                        continue;
                    }
                    let mut inbox = self.shared.inbox();
                    inbox.ready.push_back(Prepared { id, ready, question, cancelled, at, reported: 0 });
                    self.shared.to_compute.notify_one();
                }
                Err(error) => {
                    self.shared.ended(id);
                    let cancelled = cancelled.load(Ordering::Acquire);
                    let ended = || slot::cancelled_before_start(at);
                    self.output.event(id, if cancelled { ended() } else { WireEvent::Failed(error) });
                    self.output.flush();
                }
            }
        }
    }

    /// Waits for a question; `None` means shutdown.
    fn next(&self) -> Option<Asked> {
        let mut inbox = self.shared.inbox();
        loop {
            if inbox.shutdown {
                return None;
            }
            if let Some(asked) = inbox.asked.pop_front() {
                return Some(asked);
            }
            inbox = self.shared.to_prepare.wait(inbox).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
