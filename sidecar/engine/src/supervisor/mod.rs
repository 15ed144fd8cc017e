//! The host's side: starts the worker process, hands questions to it, and starts it again when it dies.
//!
//! One task owns the process and every question under way. It never waits for a reader of answers: each question's channel
//! has room for the longest answer that its context allows.

mod environment;
mod ledger;
mod process;

use crate::wire::{ToHost, ToWorker, WireEvent, PROTOCOL};
use crate::worker::classify;
use crate::{
    os, EmbedQuestion, Embeddings, Engine, EngineError, EngineOptions, EngineState, EngineStatus, Event, Generation,
    GpuLayers, Inspect, Inspected, ModelInfo, Preview, Question, Replay, ReplayQuestion, WorkerCommand,
};
use futures::future::{AbortHandle, Abortable, BoxFuture};
use futures::stream::{FuturesUnordered, StreamExt};
use ledger::{Ledger, Reservation};
use process::{Exit, WorkerProcess};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Loading may go on without a sign of progress for so long.
const LOAD_STALL: Duration = Duration::from_secs(60);
/// A worker with questions may give no sign of life for so long: longer than the longest step.
const STEP_STALL: Duration = Duration::from_secs(120);
/// Restarts within [`RESTART_WINDOW`] after which it gives up.
const RESTARTS_MAX: usize = 5;
const RESTART_WINDOW: Duration = Duration::from_secs(60);
/// Wait before the first restart in a window; doubles with each.
const RESTART_WAIT: Duration = Duration::from_millis(50);
/// A question that comes while the worker restarts waits so long before it is refused.
const RESTART_PATIENCE: Duration = Duration::from_secs(4);
/// An orderly shutdown may take so long before the worker is killed.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(3);
/// Events of one answer besides its tokens and changes of its place in the queue.
const EVENTS_BESIDES: usize = 8;

/// llama.cpp in a worker process.
#[derive(Debug)]
pub struct LlamaEngine {
    info: ModelInfo,
    queue_max: u32,
    capacity: u32,
    shared: Arc<Shared>,
    questions: mpsc::Sender<Asked>,
    stop: CancellationToken,
    task: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

/// What the engine's owner and its task both see.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    next_id: AtomicU64,
    /// Questions that have not ended; at most slots and queue together.
    open: AtomicU32,
    /// Those of them that have a slot.
    running: AtomicU32,
    restarts: AtomicU32,
}

#[derive(Debug)]
struct State {
    state: EngineState,
    pid: Option<u32>,
    /// Why questions are refused.
    refuse: Option<EngineError>,
}

/// Something on its way to the worker.
struct Asked {
    id: u64,
    work: Work,
    answer: Answer,
    at: Instant,
    /// A worker had it and died.
    again: bool,
}

#[derive(Clone)]
enum Work {
    Generate(Box<Question>),
    Embed(EmbedQuestion),
    Replay(Box<ReplayQuestion>),
    Inspect(Inspect),
}

/// Where its outcome goes.
#[derive(Clone)]
enum Answer {
    Events(mpsc::Sender<Event>),
    Vectors(mpsc::Sender<Result<Embeddings, EngineError>>),
    Replayed(mpsc::Sender<Result<Replay, EngineError>>),
    Inspected(mpsc::Sender<Result<Inspected, EngineError>>),
}

impl Answer {
    /// Resolves when nobody waits any more.
    async fn closed(&self) {
        match self {
            Self::Events(sender) => sender.closed().await,
            Self::Vectors(sender) => sender.closed().await,
            Self::Replayed(sender) => sender.closed().await,
            Self::Inspected(sender) => sender.closed().await,
        }
    }

    fn is_closed(&self) -> bool {
        match self {
            Self::Events(sender) => sender.is_closed(),
            Self::Vectors(sender) => sender.is_closed(),
            Self::Replayed(sender) => sender.is_closed(),
            Self::Inspected(sender) => sender.is_closed(),
        }
    }

    /// A full channel is impossible by its size, a closed one is noticed by `Supervisor::dropped`.
    fn fail(&self, error: EngineError) {
        match self {
            Self::Events(sender) => drop(sender.try_send(Event::Failed(error))),
            Self::Vectors(sender) => drop(sender.try_send(Err(error))),
            Self::Replayed(sender) => drop(sender.try_send(Err(error))),
            Self::Inspected(sender) => drop(sender.try_send(Err(error))),
        }
    }
}

impl LlamaEngine {
    /// Starts the worker and loads the model; returns when it can answer. Dropping the future or cancelling `cancel` stops
    /// the load.
    pub async fn load(
        worker: WorkerCommand,
        mut options: EngineOptions,
        cancel: CancellationToken,
    ) -> Result<Self, EngineError> {
        let (process, info) = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(EngineError::LoadCancelled),
            loaded = start_or_do_without_gpu(&worker, &mut options) => loaded?,
        };
        // A restarted worker finds other memory free, but what was announced stays.
        options.context_tokens = Some(info.context_tokens);
        options.slots = info.fit.slots;
        let capacity = options.slots.saturating_add(options.queue_max);
        let state = State { state: EngineState::Ready, pid: Some(process.pid), refuse: None };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            next_id: AtomicU64::new(1),
            open: AtomicU32::new(0),
            running: AtomicU32::new(0),
            restarts: AtomicU32::new(0),
        });
        let (questions, asked) = mpsc::channel(capacity.max(1) as usize);
        let stop = CancellationToken::new();
        let queue_max = options.queue_max;
        let supervisor = Supervisor {
            worker,
            options,
            info: info.clone(),
            shared: shared.clone(),
            stop: stop.clone(),
            asked,
            open: HashMap::new(),
            backlog: VecDeque::new(),
            dropped: FuturesUnordered::new(),
            recent_restarts: VecDeque::new(),
        };
        let task = tokio::sync::Mutex::new(Some(tokio::spawn(supervisor.run(process))));
        Ok(Self { info, queue_max, capacity, shared, questions, stop, task })
    }

    /// What loading would do, without doing it; without a model, what there is to compute on.
    pub async fn preview(worker: WorkerCommand, options: Option<EngineOptions>) -> Result<Preview, EngineError> {
        let mut process = WorkerProcess::start(&worker).await?;
        if process.send(&ToWorker::Preview { protocol: PROTOCOL, options }).await.is_err() {
            return Err(failed_load(&process.ended().await));
        }
        match tokio::time::timeout(LOAD_STALL, process.receive()).await {
            Err(_) => Err(EngineError::LoadTimeout { seconds: LOAD_STALL.as_secs() }),
            Ok(Some(ToHost::Preview(preview))) => Ok(*preview),
            Ok(Some(ToHost::LoadFailed(error))) => Err(error),
            Ok(_) => Err(failed_load(&process.ended().await)),
        }
    }
}

impl LlamaEngine {
    /// Hands something to the worker, if there is room for it.
    fn ask(&self, work: Work, answer: Answer) -> Result<(), EngineError> {
        if self.stop.is_cancelled() {
            return Err(EngineError::Draining);
        }
        if let Some(refuse) = self.shared.lock().refuse.clone() {
            return Err(refuse);
        }
        let full = EngineError::QueueFull { queue_max: self.queue_max };
        self.shared.enter(self.capacity).ok_or(full)?;
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        // The channel has room for every question that may be open; it is closed only after a shutdown.
        if self.questions.try_send(Asked { id, work, answer, at: Instant::now(), again: false }).is_err() {
            self.shared.leave();
            return Err(EngineError::Draining);
        }
        Ok(())
    }
}

impl Drop for LlamaEngine {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[async_trait::async_trait]
impl Engine for LlamaEngine {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn generate(&self, question: Question) -> Result<Generation, EngineError> {
        question.check()?;
        if question.has_images() && !self.info.images {
            return Err(EngineError::NoProjector);
        }
        let events_max = self.info.context_tokens as usize + self.capacity as usize + EVENTS_BESIDES;
        let (events, receiver) = mpsc::channel(events_max);
        self.ask(Work::Generate(Box::new(question)), Answer::Events(events))?;
        Ok(Generation { events: receiver })
    }

    async fn embed(&self, question: EmbedQuestion) -> Result<Embeddings, EngineError> {
        question.check()?;
        let (sender, mut receiver) = mpsc::channel(1);
        self.ask(Work::Embed(question), Answer::Vectors(sender))?;
        receiver.recv().await.unwrap_or(Err(EngineError::Draining))
    }

    async fn replay(&self, question: ReplayQuestion) -> Result<Replay, EngineError> {
        question.check()?;
        let (sender, mut receiver) = mpsc::channel(1);
        self.ask(Work::Replay(Box::new(question)), Answer::Replayed(sender))?;
        receiver.recv().await.unwrap_or(Err(EngineError::Draining))
    }

    async fn inspect(&self, question: Inspect) -> Result<Inspected, EngineError> {
        question.check()?;
        let (sender, mut receiver) = mpsc::channel(1);
        self.ask(Work::Inspect(question), Answer::Inspected(sender))?;
        receiver.recv().await.unwrap_or(Err(EngineError::Draining))
    }

    fn status(&self) -> EngineStatus {
        let (state, worker_pid) = {
            let state = self.shared.lock();
            (state.state, state.pid)
        };
        let running = self.shared.running.load(Ordering::Relaxed);
        EngineStatus {
            state,
            running,
            queued: self.shared.open.load(Ordering::Relaxed).saturating_sub(running),
            restarts: self.shared.restarts.load(Ordering::Relaxed),
            worker_pid,
            worker_rss_bytes: worker_pid.and_then(os::resident_bytes),
        }
    }

    async fn shutdown(&self) {
        self.stop.cancel();
        if let Some(task) = self.task.lock().await.take() {
            let _ = task.await;
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: EngineState, pid: Option<u32>, refuse: Option<EngineError>) {
        *self.lock() = State { state, pid, refuse };
    }

    /// Counts a question if there is room for it.
    fn enter(&self, capacity: u32) -> Option<()> {
        let room = |open: u32| (open < capacity).then_some(open + 1);
        self.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, room).ok().map(|_| ())
    }

    fn leave(&self) {
        self.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// As [`start`]; when the GPU was chosen automatically and the worker dies of it, tries again without.
async fn start_or_do_without_gpu(
    worker: &WorkerCommand,
    options: &mut EngineOptions,
) -> Result<(WorkerProcess, ModelInfo), EngineError> {
    const MAY_HAVE_GPU: bool = cfg!(any(feature = "cuda", feature = "vulkan", feature = "metal", feature = "rocm"));
    use EngineError::{LoadTimeout, OutOfMemory, WorkerCrashed};
    match start(worker, options).await {
        Err(error @ (WorkerCrashed { .. } | OutOfMemory | LoadTimeout { .. }))
            if MAY_HAVE_GPU && options.gpu_layers == GpuLayers::Auto =>
        {
            tracing::warn!(code = error.code(), "loading with the GPU failed; trying without");
            options.gpu_layers = GpuLayers::Fixed(0);
            start(worker, options).await
        }
        outcome => outcome,
    }
}

/// Starts a worker and waits until its model is loaded.
async fn start(worker: &WorkerCommand, options: &EngineOptions) -> Result<(WorkerProcess, ModelInfo), EngineError> {
    let mut process = WorkerProcess::start(worker).await?;
    let turn = Ledger::here().turn().await;
    let load = ToWorker::Load { protocol: PROTOCOL, options: options.clone(), reserved: turn.reserved() };
    let mut turn = Some(turn);
    if process.send(&load).await.is_err() {
        return Err(failed_load(&process.ended().await));
    }
    let mut read_bytes = None;
    loop {
        match tokio::time::timeout(LOAD_STALL, process.receive()).await {
            Err(_) => {
                // The first computation reads a model from a slow disk without saying so.
                let now = os::disk_read_bytes(process.pid);
                if now == read_bytes || now.is_none() {
                    return Err(EngineError::LoadTimeout { seconds: LOAD_STALL.as_secs() });
                }
                read_bytes = now;
            }
            Ok(Some(ToHost::Loading { permille })) => tracing::debug!(permille, "loading a model"),
            Ok(Some(ToHost::Planned(planned))) => match (turn.take(), &process.reservation) {
                (Some(turn), _) => process.reservation = Some(turn.reserve(process.pid, planned)),
                (None, Some(reservation)) => reservation.set(planned),
                (None, None) => {}
            },
            Ok(Some(ToHost::Loaded(info))) => {
                process.reservation.iter().for_each(Reservation::loaded);
                return Ok((process, *info));
            }
            Ok(Some(ToHost::LoadFailed(error))) => return Err(error),
            Ok(Some(ToHost::Events(_) | ToHost::Alive | ToHost::Preview(_))) => {}
            Ok(None) => return Err(failed_load(&process.ended().await)),
        }
    }
}

/// A worker that ends while it loads was killed for its memory, said why on standard error, or crashed.
fn failed_load(exit: &Exit) -> EngineError {
    if exit.killed {
        return EngineError::OutOfMemory;
    }
    match classify(&exit.lines) {
        EngineError::InvalidModel { .. } => exit.crashed(),
        known => known,
    }
}

/// The task behind a [`LlamaEngine`].
struct Supervisor {
    worker: WorkerCommand,
    options: EngineOptions,
    info: ModelInfo,
    shared: Arc<Shared>,
    stop: CancellationToken,
    asked: mpsc::Receiver<Asked>,
    open: HashMap<u64, Open>,
    /// Questions that came while there was no worker.
    backlog: VecDeque<Asked>,
    /// Resolves with the id of a question whose reader is gone.
    dropped: FuturesUnordered<Abortable<BoxFuture<'static, u64>>>,
    recent_restarts: VecDeque<Instant>,
}

/// A question that the worker has.
struct Open {
    answer: Answer,
    /// What was asked, as long as nothing was answered: another worker can be asked the same, once.
    unanswered: Option<Work>,
    running: bool,
    /// Ends the watch in `Supervisor::dropped`.
    watch: AbortHandle,
}

/// Why a worker is no longer served.
enum Served {
    Stopped,
    Ended,
    Stuck,
}

/// When a worker was last known to live.
struct Pulse {
    at: Instant,
}

impl Pulse {
    fn new(now: Instant) -> Self {
        Self { at: now }
    }

    /// It gave a sign of life.
    fn beat(&mut self, now: Instant) {
        self.at = now;
    }

    /// It gets a question beside so many others. One that had nothing to do owed no sign of life.
    fn asked(&mut self, others: usize, now: Instant) {
        if others == 0 {
            self.at = now;
        }
    }

    /// From then on it counts as stuck, if it has questions.
    fn stuck_at(&self) -> Instant {
        self.at + STEP_STALL
    }
}

impl Supervisor {
    async fn run(mut self, process: WorkerProcess) {
        let mut process = Some(process);
        while let Some(mut current) = process.take() {
            let served = self.serve(&mut current).await;
            if matches!(served, Served::Stopped) {
                self.stop(current).await;
                break;
            }
            if matches!(served, Served::Stuck) {
                current.kill();
            }
            let mut exit = current.ended().await;
            if matches!(served, Served::Stuck) {
                exit.last_line = format!("it gave no sign of life for {} s", STEP_STALL.as_secs());
            }
            tracing::warn!(exit = exit.how, "the engine's worker process ended");
            process = self.restart(exit).await;
        }
        let refuse = self.shared.lock().refuse.clone().unwrap_or(EngineError::Draining);
        self.asked.close();
        for question in std::mem::take(&mut self.backlog) {
            self.refuse(&question, refuse.clone());
        }
        while let Some(question) = self.asked.recv().await {
            self.refuse(&question, refuse.clone());
        }
    }

    /// Hands questions to a worker and events back, until it ends or is to stop.
    async fn serve(&mut self, process: &mut WorkerProcess) -> Served {
        let stop = self.stop.clone();
        while let Some(question) = self.backlog.pop_front() {
            if self.hand_over(question, process).await.is_err() {
                return Served::Ended;
            }
        }
        let mut pulse = Pulse::new(Instant::now());
        loop {
            let stuck = tokio::time::sleep_until(pulse.stuck_at().into());
            tokio::select! {
                () = stop.cancelled() => return Served::Stopped,
                message = process.receive() => {
                    let Some(message) = message else { return Served::Ended };
                    pulse.beat(Instant::now());
                    if let ToHost::Events(events) = message {
                        events.into_iter().for_each(|(id, event)| self.pass_on(id, event));
                    }
                }
                () = stuck, if !self.open.is_empty() => return Served::Stuck,
                Some(question) = self.asked.recv() => {
                    pulse.asked(self.open.len(), Instant::now());
                    if self.hand_over(question, process).await.is_err() {
                        return Served::Ended;
                    }
                }
                // Also the watch of an answer that has ended: a pattern that leaves it out would leave the others unwatched.
                Some(gone) = self.dropped.next(), if !self.dropped.is_empty() => {
                    let Ok(id) = gone else { continue };
                    if self.open.contains_key(&id) && process.send(&ToWorker::Cancel { id }).await.is_err() {
                        return Served::Ended;
                    }
                }
            }
        }
    }

    /// Gives a question to the worker unless its reader is gone already.
    async fn hand_over(&mut self, asked: Asked, process: &mut WorkerProcess) -> std::io::Result<()> {
        let Asked { id, work, answer, at: _, again } = asked;
        if answer.is_closed() {
            self.shared.leave();
            return Ok(());
        }
        let watched = answer.clone();
        let gone: BoxFuture<'static, u64> = Box::pin(async move {
            watched.closed().await;
            id
        });
        let (watch, registration) = AbortHandle::new_pair();
        self.dropped.push(Abortable::new(gone, registration));
        let unanswered = (!again).then(|| work.clone());
        self.open.insert(id, Open { answer, unanswered, running: false, watch });
        let message = match work {
            Work::Generate(question) => ToWorker::Generate { id, question },
            Work::Embed(question) => ToWorker::Embed { id, question },
            Work::Replay(question) => ToWorker::Replay { id, question },
            Work::Inspect(question) => ToWorker::Inspect { id, question },
        };
        process.send(&message).await
    }

    fn pass_on(&mut self, id: u64, event: WireEvent) {
        let Some(open) = self.open.get_mut(&id) else { return };
        let event = match event {
            WireEvent::Queued { position } => Event::Queued { position },
            WireEvent::Started { prompt_tokens } => {
                open.running = true;
                self.shared.running.fetch_add(1, Ordering::AcqRel);
                Event::Started { prompt_tokens }
            }
            WireEvent::Token { id, text, more } => {
                open.unanswered = None;
                Event::Token { id, text, more }
            }
            WireEvent::Finished(finished) => {
                return self.end(id, |answer| {
                    if let Answer::Events(sender) = answer {
                        let _ = sender.try_send(Event::Finished(finished));
                    }
                })
            }
            WireEvent::Embedded(vectors) => {
                return self.end(id, |answer| {
                    if let Answer::Vectors(sender) = answer {
                        let _ = sender.try_send(Ok(vectors));
                    }
                })
            }
            WireEvent::Replayed(replay) => {
                return self.end(id, |answer| {
                    if let Answer::Replayed(sender) = answer {
                        let _ = sender.try_send(Ok(*replay));
                    }
                })
            }
            WireEvent::Inspected(inspected) => {
                return self.end(id, |answer| {
                    if let Answer::Inspected(sender) = answer {
                        let _ = sender.try_send(Ok(inspected));
                    }
                })
            }
            WireEvent::Failed(error) => return self.end(id, |answer| answer.fail(error)),
        };
        if let Answer::Events(sender) = &open.answer {
            let _ = sender.try_send(event);
        }
    }

    /// Takes a question off the books and says its last word.
    fn end(&mut self, id: u64, last: impl FnOnce(&Answer)) {
        let Some(Open { answer, unanswered: _, running, watch }) = self.open.remove(&id) else { return };
        watch.abort();
        if running {
            self.shared.running.fetch_sub(1, Ordering::AcqRel);
        }
        self.shared.leave();
        last(&answer);
    }

    fn end_all(&mut self, error: &EngineError) {
        let ids: Vec<u64> = self.open.keys().copied().collect();
        ids.into_iter().for_each(|id| self.end(id, |answer| answer.fail(error.clone())));
        self.dropped.clear();
    }

    /// Puts questions without a word of answer before all that wait: the next worker is asked them, once.
    fn ask_again_what_is_unanswered(&mut self) {
        let mut ids: Vec<u64> =
            self.open.iter().filter(|(_, open)| open.unanswered.is_some()).map(|(id, _)| *id).collect();
        ids.sort_unstable();
        for id in ids.into_iter().rev() {
            let Some(Open { answer, unanswered: Some(work), running, watch }) = self.open.remove(&id) else { continue };
            watch.abort();
            if running {
                self.shared.running.fetch_sub(1, Ordering::AcqRel);
            }
            self.backlog.push_front(Asked { id, work, answer, at: Instant::now(), again: true });
        }
    }

    fn refuse(&self, asked: &Asked, error: EngineError) {
        self.shared.leave();
        asked.answer.fail(error);
    }

    /// An orderly end: the worker frees what it holds, or is killed.
    async fn stop(&mut self, mut process: WorkerProcess) {
        self.shared.set(EngineState::Failed, None, Some(EngineError::Draining));
        let orderly = async {
            if process.send(&ToWorker::Shutdown).await.is_ok() {
                while process.receive().await.is_some() {}
            }
        };
        if tokio::time::timeout(SHUTDOWN_PATIENCE, orderly).await.is_err() {
            process.kill();
        }
        process.ended().await;
        self.end_all(&EngineError::Draining);
    }

    /// A new worker after one has ended, unless it is time to stop or to give up.
    async fn restart(&mut self, mut exit: Exit) -> Option<WorkerProcess> {
        self.shared.set(EngineState::Restarting, None, None);
        self.ask_again_what_is_unanswered();
        self.end_all(&exit.crashed());
        loop {
            self.recent_restarts.retain(|at| at.elapsed() < RESTART_WINDOW);
            if self.recent_restarts.len() >= RESTARTS_MAX {
                let restarts = RESTARTS_MAX as u32;
                let error = EngineError::GaveUp { restarts, exit: exit.how, last_line: exit.last_line };
                tracing::error!(hint = error.hint(), "{error}");
                self.shared.set(EngineState::Failed, None, Some(error));
                return None;
            }
            let wait = RESTART_WAIT * 2u32.pow(self.recent_restarts.len() as u32);
            self.recent_restarts.push_back(Instant::now());
            self.shared.restarts.fetch_add(1, Ordering::Relaxed);
            let (worker, options) = (self.worker.clone(), self.options.clone());
            let starting = async move {
                tokio::time::sleep(wait).await;
                start(&worker, &options).await
            };
            match self.wait_for(starting).await? {
                Ok((process, info)) if self.is_same_model(&info) => {
                    self.shared.set(EngineState::Ready, Some(process.pid), None);
                    return Some(process);
                }
                Ok((process, _)) => {
                    process.kill();
                    exit.last_line = "the model file has changed".into();
                    process.ended().await;
                }
                Err(error) => exit.last_line = error.to_string(),
            }
        }
    }

    /// Answers would otherwise be of a model that nobody asked for.
    fn is_same_model(&self, info: &ModelInfo) -> bool {
        let key = |i: &ModelInfo| (i.file_bytes, i.tokenizer_hash, i.template_hash, i.parameters, i.context_tokens);
        key(info) == key(&self.info)
    }

    /// Waits for `starting` while questions wait with bounded patience. `None` means stop.
    async fn wait_for<T>(&mut self, starting: impl std::future::Future<Output = T>) -> Option<T> {
        tokio::pin!(starting);
        let stop = self.stop.clone();
        loop {
            let patience_ends = self.backlog.front().map(|q| q.at + RESTART_PATIENCE);
            let patience = async {
                match patience_ends {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => {
                    self.shared.set(EngineState::Failed, None, Some(EngineError::Draining));
                    return None;
                }
                started = &mut starting => return Some(started),
                Some(question) = self.asked.recv() => self.backlog.push_back(question),
                () = patience => {
                    if let Some(question) = self.backlog.pop_front() {
                        self.refuse(&question, EngineError::Restarting);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_had_nothing_to_do_gets_its_time() {
        let began = Instant::now();
        let later = |seconds| began + Duration::from_secs(seconds);
        let mut pulse = Pulse::new(began);
        pulse.asked(0, later(1_000));
        assert_eq!(pulse.stuck_at(), later(1_000) + STEP_STALL, "however long nobody asked");
        pulse.asked(1, later(1_050));
        assert_eq!(pulse.stuck_at(), later(1_000) + STEP_STALL, "more questions are no sign of life");
        pulse.beat(later(1_060));
        assert_eq!(pulse.stuck_at(), later(1_060) + STEP_STALL);
    }
}
