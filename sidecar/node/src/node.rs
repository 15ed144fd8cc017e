//! The node itself: what it owns, how it starts, what runs beside it, how it stops.

use crate::auditing::{self, Auditing};
use crate::choosing::Chooser;
use crate::directory::Directory;
use crate::engines::Engines;
use crate::evidence::Asked;
use crate::members::{self, Members};
use crate::places::{self, PlaceChanges, Side};
use crate::plane::DataPlane;
use crate::receipt_file::ReceiptFile;
use crate::receipts::Receipts;
use crate::revocations::Revocations;
use crate::router::OwnRouter;
use crate::routers::Routers;
use crate::serving::Serving;
use crate::slot::Slot;
use crate::store::Store;
use crate::{
    announce, library, local, opening, plane, posted, publishing, pulls, routing, timeline, AnswerAudit, AnswerStream,
    AskError, AskRequest, AuditMade, AuditRefused, Counters, Findings, Habits, Hiding, KeepAlive, ModelEntry,
    NodeError, NodeOptions, OpenError, Opened, Phase, ReceiptState, Status,
};
use ainonymous_conductor::{Conductor, ConductorOptions, DhtStats, UiCredentials};
use ainonymous_engine::{EmbedQuestion, Embeddings, Inspect, Inspected};
use ainonymous_types::{ActionHash, AgentPubKey, NetworkKind, OpenGrant, PostedAnswer, RequestId, SignedReceipt};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{watch, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Longest time that a shutdown waits for answers in progress.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// Pieces of work caused by signals of peers, at once.
const SIGNAL_WORK_MAX: usize = 32;
/// Longest time for telling peers that this node leaves.
const GOODBYE_MAX: Duration = Duration::from_secs(1);
/// Longest time that a part gets to stop.
const STOP_MAX: Duration = Duration::from_secs(10);

/// A running node. Clones are handles to the same node.
#[derive(Clone, Debug)]
pub struct Node {
    pub(crate) inner: Arc<Inner>,
}

/// What all parts of a node share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) habits: Habits,
    pub(crate) shelf: library::Shelf,
    pub(crate) started_at: Instant,
    pub(crate) draining: CancellationToken,
    pub(crate) stop: CancellationToken,
    /// Fires shortly before `stop`: answers in progress say goodbye.
    pub(crate) cut: CancellationToken,
    pub(crate) tasks: TaskTracker,
    /// Answers in progress, for ourselves and for posted requests: a shutdown waits for them.
    pub(crate) answers: TaskTracker,
    /// Work that peers can cause with a few bytes: what finds no permit is dropped, and repeated by its sender or a poll.
    pub(crate) signal_work: Arc<Semaphore>,
    /// Fingerprints that are being shown.
    pub(crate) showing: Arc<Semaphore>,
    /// Auditors whose commitments are waited for, before they are shown one.
    pub(crate) awaited: opening::Awaited,
    /// Held while receipts become a batch, so that none stands in two.
    pub(crate) publishing: tokio::sync::Mutex<()>,
    /// Counts batches of receipts, for whoever waits for one.
    pub(crate) batches: watch::Sender<u64>,
    pub(crate) conductor: watch::Sender<ConductorSlot>,
    start_error: Mutex<Option<NodeError>>,
    pub(crate) engines: Engines,
    pub(crate) directory: Directory,
    pub(crate) members: Members,
    /// What the network asks of every new agent, in zero bits.
    work_bits: u8,
    pub(crate) revocations: Revocations,
    pub(crate) routing: routing::Questions,
    pub(crate) serving: Serving,
    pub(crate) posted: posted::Posted,
    pub(crate) receipts: Receipts,
    /// Direct connections; none if they are off.
    pub(crate) plane: Option<DataPlane>,
    /// A router for others, if this node runs one.
    pub(crate) router: Option<OwnRouter>,
    /// Says when places at routers were won or lost.
    pub(crate) places: PlaceChanges,
    /// Routers of others.
    pub(crate) routers: Routers,
    pub(crate) chooser: Chooser,
    pub(crate) auditing: Auditing,
    pub(crate) store: Store,
    pub(crate) counts: Counts,
    pub(crate) notes: timeline::Notes,
    pub(crate) pulls: pulls::Pulls,
    /// Questions of peers are refused for now.
    pub(crate) paused: AtomicBool,
    /// Somebody who may has asked for the end.
    wanted_end: CancellationToken,
}

/// How far the conductor is.
#[derive(Clone, Debug)]
pub(crate) enum ConductorSlot {
    /// Not there yet.
    Starting,
    /// Running.
    Running(Conductor),
    /// Could not start.
    Failed { code: &'static str, problem: String, hint: String },
}

/// Live counters behind [`Counters`].
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) asked: AtomicU64,
    pub(crate) answered: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) retried: AtomicU64,
    pub(crate) hedged: AtomicU64,
    pub(crate) hedges_won: AtomicU64,
    pub(crate) hedge_wasted_us: AtomicU64,
    pub(crate) rejected_signals: AtomicU64,
    pub(crate) receipts_published: AtomicU64,
    pub(crate) receipts_checked: AtomicU64,
}

impl Node {
    /// Creates the data folder, takes it for this process and returns at once; conductor and models start in the
    /// background. Must be called inside a tokio runtime.
    pub fn start(options: NodeOptions) -> Result<Self, NodeError> {
        let NodeOptions { data_dir, hashes, conductor, models, worker, habits, quic, router } = options;
        create_private_dir(&data_dir)?;
        let store = Store::open(&data_dir.join("node.redb"))?;
        let properties = conductor.network.as_ref().map(|network| &network.properties);
        let by_invitation = properties.is_some_and(|properties| properties.kind != NetworkKind::Public);
        let work_bits = properties.map_or(0, |properties| properties.work_bits);
        let finds_routers = quic.as_ref().is_some_and(|quic| quic.find_routers);
        let router = router.map(|options| OwnRouter::open(options, &store)).transpose()?;
        let plane = quic.map(|options| DataPlane::open(options, &store)).transpose()?;
        let auditing = Auditing::open(habits.audit.clone(), &store)?;
        let stop = CancellationToken::new();
        let inner = Arc::new(Inner {
            habits,
            shelf: library::Shelf::default(),
            started_at: Instant::now(),
            draining: stop.child_token(),
            cut: stop.child_token(),
            tasks: TaskTracker::new(),
            answers: TaskTracker::new(),
            signal_work: Arc::new(Semaphore::new(SIGNAL_WORK_MAX)),
            showing: Arc::new(Semaphore::new(opening::SHOWING_MAX)),
            awaited: opening::Awaited::default(),
            publishing: tokio::sync::Mutex::default(),
            batches: watch::Sender::new(0),
            conductor: watch::Sender::new(ConductorSlot::Starting),
            start_error: Mutex::new(None),
            engines: Engines::new(worker, hashes, models),
            directory: Directory::default(),
            members: Members::new(by_invitation),
            work_bits,
            revocations: Revocations::of(&data_dir),
            routing: routing::Questions::default(),
            serving: Serving::default(),
            posted: posted::Posted::default(),
            receipts: Receipts::default(),
            plane,
            router,
            places: PlaceChanges::default(),
            routers: Routers::default(),
            chooser: Chooser::new(&store),
            auditing,
            store,
            counts: Counts::default(),
            notes: timeline::Notes::default(),
            pulls: pulls::Pulls::default(),
            paused: AtomicBool::new(false),
            wanted_end: CancellationToken::new(),
            stop,
        });
        let node = Self { inner };
        node.spawn(Self::run_conductor(node.clone(), conductor));
        for slot in node.inner.engines.slots() {
            node.spawn_load(slot);
        }
        node.spawn(local::rest_when_idle(node.clone()));
        node.spawn(announce::run(node.clone()));
        node.spawn(timeline::run(node.clone()));
        node.spawn(opening::forget_old(node.clone()));
        if let Some(plane) = &node.inner.plane {
            node.spawn(plane::listen(node.clone(), plane.endpoint.clone()));
        }
        node.spawn(auditing::appeal(node.clone()));
        if node.inner.auditing.has_role() {
            node.spawn(auditing::play(node.clone()));
            node.spawn(auditing::sit(node.clone()));
        }
        if finds_routers {
            node.spawn(places::keep(node.clone(), Side::Provider));
        }
        if node.inner.router.is_some() {
            node.spawn(places::keep(node.clone(), Side::Router));
        }
        Ok(node)
    }

    /// Resolves when the conductor runs, or with the reason why it does not (once; later calls say `NotReady`).
    pub async fn started(&self) -> Result<(), NodeError> {
        let mut slot = self.inner.conductor.subscribe();
        let settled = slot.wait_for(|s| !matches!(s, ConductorSlot::Starting)).await;
        match settled.as_deref() {
            Ok(ConductorSlot::Running(_)) => Ok(()),
            _ => Err(lock(&self.inner.start_error).take().unwrap_or(NodeError::NotReady)),
        }
    }

    /// Resolves when every model is loaded or has failed, and (if shared) the network was told.
    pub async fn announced(&self) {
        self.inner.engines.settled().await;
        let mut announced = self.inner.directory.announced();
        let _ = announced.wait_for(|done| *done).await;
    }

    /// What the node is doing.
    pub fn status(&self) -> Status {
        let inner = &self.inner;
        let conductor = self.conductor();
        Status {
            version: env!("CARGO_PKG_VERSION"),
            phase: self.phase(),
            network: conductor.as_ref().map(|c| c.state().borrow().clone()),
            agent: conductor.as_ref().map(|c| c.agent().to_string()),
            dna_hash: conductor.as_ref().map(|c| c.dna_hash().to_string()),
            work_bits: inner.work_bits,
            share: inner.habits.share,
            paused: inner.paused.load(Ordering::Relaxed),
            quic: inner.plane.as_ref().map(DataPlane::status),
            router: inner.router.as_ref().map(OwnRouter::status),
            region: inner.habits.region.map(|region| region.to_string()),
            models: inner.engines.status(),
            choices: inner.chooser.made(),
            audits: inner.auditing.status(self),
            zome_calls: conductor.as_ref().map(Conductor::calls).unwrap_or_default(),
            counters: self.counters(),
            uptime_s: inner.started_at.elapsed().as_secs(),
            rss_bytes: crate::status::resident_bytes(),
        }
    }

    /// Models that a question can name: those of this node, loaded or on disk, then those that peers serve.
    pub async fn models(&self) -> Vec<ModelEntry> {
        self.inner.directory.refresh_listing(self).await;
        self.inner.directory.merge(self, library::entries(self).await)
    }

    /// Asks. Returns as soon as somebody has taken the question.
    pub async fn ask(&self, request: AskRequest) -> Result<AnswerStream, AskError> {
        self.inner.counts.asked.fetch_add(1, Ordering::Relaxed);
        routing::ask(self, request).await
    }

    /// Makes vectors of texts with a model of this node; returns its id as well.
    pub async fn embed(&self, model: Option<&str>, question: EmbedQuestion) -> Result<(String, Embeddings), AskError> {
        local::embed(self, model, question).await
    }

    /// Asks the tokeniser or the template of a model of this node; returns the model's id as well.
    pub async fn inspect(&self, model: Option<&str>, question: Inspect) -> Result<(String, Inspected), AskError> {
        local::inspect(self, model, question).await
    }

    /// Loads a model of this node or of its library, also one that has failed before; resolves when it is ready or has
    /// failed. Returns its id.
    pub async fn load_model(&self, model: &str) -> Result<String, AskError> {
        local::load(self, model).await
    }

    /// Takes a model of this node out of memory. It rests: a question for it loads it again.
    pub async fn unload_model(&self, model: &str) -> Result<String, AskError> {
        local::unload(self, model).await
    }

    /// Says how long a model of this node stays in memory that nobody asks; at once if that is not at all. Counts until it
    /// leaves memory.
    pub async fn keep_model(&self, model: &str, keep: KeepAlive) -> Result<String, AskError> {
        local::keep(self, model, keep).await
    }

    /// Where the receipt of an earlier question stands; waits at most `wait` for it to be published and checked.
    /// None if this node asked no such question, or long ago.
    pub async fn receipt(&self, id: RequestId, wait: Duration) -> Option<ReceiptState> {
        self.inner.receipts.wait_for(id, wait).await
    }

    /// Asks the provider of a receipt to open it: for who was granted that by whoever asked the question, over a link that shows this
    /// node's agent. What comes back fits the receipt. The grants of one's own questions are in [`Node::asked`].
    pub async fn open(&self, receipt: &SignedReceipt, grant: &OpenGrant) -> Result<Opened, OpenError> {
        opening::ask(self, receipt, grant, Hiding::No, true).await
    }

    /// The same for a question of this node, the way that the question went; kept with it.
    pub async fn open_own(&self, id: RequestId) -> Result<Opened, OpenError> {
        opening::own(self, id).await
    }

    /// The receipt file about a question of this node. `open`: asks the provider for the fingerprint first; if that does not succeed the
    /// file is without, and the error says why.
    pub async fn receipt_file(&self, id: RequestId, open: bool) -> Result<(ReceiptFile, Option<OpenError>), OpenError> {
        opening::file(self, id, open).await
    }

    /// Where the answer to a question of this node stands with its audits.
    pub fn audit_state(&self, id: RequestId) -> AnswerAudit {
        auditing::state(self, id)
    }

    /// Computes the answer to a question of this node again and compares it with what its provider thought likely.
    pub async fn audit(&self, id: RequestId) -> Result<AuditMade, AuditRefused> {
        auditing::verify(self, id).await
    }

    /// What is published about a provider: reports, accusations, convictions and what they rest on.
    pub async fn findings(&self, provider: AgentPubKey) -> Result<Findings, NodeError> {
        auditing::findings(self, provider).await
    }

    /// What this node has asked a peer and was answered: all of it, its secrets too. None if that is not kept, or not any more.
    pub fn asked(&self, id: RequestId) -> Option<Asked> {
        self.inner.store.asked(id).ok().flatten()
    }

    /// The answer to a posted request of this node, if it is there.
    pub async fn fetch_answer(&self, request: ActionHash) -> Result<Option<PostedAnswer>, AskError> {
        posted::fetch(self, request).await
    }

    /// Credentials for the chat page that a browser shows under `origin` (`http://host:port`).
    pub async fn ui_credentials(&self, origin: &str) -> Result<UiCredentials, NodeError> {
        let conductor = self.conductor().ok_or(NodeError::NotReady)?;
        Ok(conductor.ui_credentials(origin).await?)
    }

    /// Counts since the start.
    pub(crate) fn counters(&self) -> Counters {
        self.inner.counts.snapshot()
    }

    /// Whether questions of peers are refused for now. Answers under way are finished; the owner can go on asking.
    pub fn set_paused(&self, paused: bool) {
        self.inner.paused.store(paused, Ordering::Relaxed);
    }

    /// Asks whoever runs this node to end it (`Node::end_wanted`).
    pub fn want_end(&self) {
        self.inner.wanted_end.cancel();
    }

    /// Resolves when the end was asked for.
    pub async fn end_wanted(&self) {
        self.inner.wanted_end.cancelled().await;
    }

    /// Whether a question of a peer is refused because of what this node is about.
    pub(crate) fn refuses_peers(&self) -> bool {
        self.inner.draining.is_cancelled() || self.inner.paused.load(Ordering::Relaxed)
    }

    /// What this node's conductor stores.
    pub async fn dht_stats(&self) -> Result<DhtStats, NodeError> {
        let conductor = self.conductor().ok_or(NodeError::NotReady)?;
        Ok(conductor.dht_stats().await?)
    }

    /// Refuses what is new, finishes what runs (bounded), publishes the receipts, stops everything.
    pub async fn shutdown(&self) {
        let inner = &self.inner;
        inner.draining.cancel();
        inner.answers.close();
        let idle = async { tokio::join!(inner.serving.idle(), inner.answers.wait()) };
        let _ = tokio::time::timeout(DRAIN_MAX, idle).await;
        inner.cut.cancel();
        if let Some(conductor) = self.conductor() {
            publishing::publish_last(self, &conductor).await;
        }
        if let Some(plane) = &inner.plane {
            let _ = tokio::time::timeout(GOODBYE_MAX, plane.close()).await;
        }
        if let Some(router) = &inner.router {
            let _ = tokio::time::timeout(GOODBYE_MAX, router.close()).await;
        }
        inner.chooser.save(&inner.store, true);
        inner.stop.cancel();
        inner.tasks.close();
        let _ = tokio::time::timeout(STOP_MAX, inner.tasks.wait()).await;
        inner.engines.shutdown().await;
        if let Some(conductor) = self.conductor() {
            if let Ok(Err(e)) = tokio::time::timeout(STOP_MAX, conductor.shutdown()).await {
                tracing::warn!(error = %e, "the conductor did not stop cleanly");
            }
        }
    }

    /// Whether questions of peers are answered only if it is known who asks.
    pub(crate) fn must_know(&self) -> bool {
        self.inner.members.by_invitation() || !self.inner.habits.peers.serve_only.is_empty()
    }

    /// The conductor, if it runs.
    pub(crate) fn conductor(&self) -> Option<Conductor> {
        match &*self.inner.conductor.borrow() {
            ConductorSlot::Running(conductor) => Some(conductor.clone()),
            ConductorSlot::Starting | ConductorSlot::Failed { .. } => None,
        }
    }

    /// Waits for the conductor; none if it cannot start or the node stops.
    pub(crate) async fn conductor_when_running(&self) -> Option<Conductor> {
        let mut slot = self.inner.conductor.subscribe();
        tokio::select! {
            () = self.inner.stop.cancelled() => None,
            settled = slot.wait_for(|s| !matches!(s, ConductorSlot::Starting)) => match settled.as_deref() {
                Ok(ConductorSlot::Running(conductor)) => Some(conductor.clone()),
                _ => None,
            },
        }
    }

    /// Why a question cannot leave this node now.
    pub(crate) fn not_ready(&self) -> AskError {
        match &*self.inner.conductor.borrow() {
            ConductorSlot::Failed { code, problem, hint } => {
                AskError::Conductor { code, problem: problem.clone(), hint: hint.clone() }
            }
            ConductorSlot::Starting | ConductorSlot::Running(_) => {
                AskError::NotReady { state: "the conductor is starting".into() }
            }
        }
    }

    /// Loads a model that rests, unless that is under way.
    pub(crate) fn load(&self, slot: &Arc<Slot>) {
        if self.inner.engines.wake(slot) {
            self.spawn_load(slot.clone());
        }
    }

    /// Loads a model whose state is `Loading`.
    pub(crate) fn spawn_load(&self, slot: Arc<Slot>) {
        let node = self.clone();
        self.spawn(async move { node.inner.engines.load(&slot, &node.inner.stop).await });
    }

    /// Runs a task that ends with the node.
    pub(crate) fn spawn<F>(&self, task: F)
    where
        F: std::future::Future<Output = ()> + Send + 'static,
    {
        let stop = self.inner.stop.clone();
        self.inner.tasks.spawn(async move {
            tokio::select! { () = stop.cancelled() => {}, () = task => {} }
        });
    }

    /// Runs an answer: it ends with the node, and a shutdown waits for it a while.
    pub(crate) fn spawn_answer<F>(&self, answer: F)
    where
        F: std::future::Future<Output = ()> + Send + 'static,
    {
        self.spawn(self.inner.answers.track_future(answer));
    }

    /// Runs something that a peer asked for with a signal; false if too much of that runs already.
    pub(crate) fn spawn_signal_work<F>(&self, work: F) -> bool
    where
        F: std::future::Future<Output = ()> + Send + 'static,
    {
        let Ok(permit) = Arc::clone(&self.inner.signal_work).try_acquire_owned() else {
            self.inner.counts.rejected_signals.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        self.spawn(async move {
            let _permit = permit;
            work.await;
        });
        true
    }

    async fn run_conductor(node: Self, options: ConductorOptions) {
        match Conductor::start(options).await {
            Ok(conductor) => {
                let signals = conductor.signals();
                node.inner.conductor.send_replace(ConductorSlot::Running(conductor.clone()));
                node.spawn(routing::listen(node.clone(), signals));
                node.spawn(publishing::run(node.clone(), conductor.clone()));
                node.spawn(members::watch(node.clone(), conductor.clone()));
                node.spawn(auditing::read(node.clone(), conductor.clone()));
                node.spawn(posted::poll(node.clone(), conductor));
            }
            Err(e) => {
                let (code, problem, hint) = (e.code(), e.to_string(), e.hint());
                *lock(&node.inner.start_error) = Some(e.into());
                node.inner.conductor.send_replace(ConductorSlot::Failed { code, problem, hint });
            }
        }
    }

    fn phase(&self) -> Phase {
        if self.inner.draining.is_cancelled() {
            return Phase::Draining;
        }
        match &*self.inner.conductor.borrow() {
            ConductorSlot::Failed { code, problem, hint } => {
                Phase::Degraded { code, problem: problem.clone(), hint: hint.clone() }
            }
            ConductorSlot::Starting => Phase::Starting,
            ConductorSlot::Running(_) => self.inner.engines.phase(),
        }
    }
}

impl Counts {
    fn snapshot(&self) -> Counters {
        let Self {
            asked,
            answered,
            refused,
            retried,
            hedged,
            hedges_won,
            hedge_wasted_us,
            rejected_signals,
            receipts_published,
            receipts_checked,
        } = self;
        let get = |c: &AtomicU64| c.load(Ordering::Relaxed);
        Counters {
            asked: get(asked),
            answered: get(answered),
            refused: get(refused),
            retried: get(retried),
            hedged: get(hedged),
            hedges_won: get(hedges_won),
            hedge_wasted_ms: get(hedge_wasted_us) / 1_000,
            rejected_signals: get(rejected_signals),
            receipts_published: get(receipts_published),
            receipts_checked: get(receipts_checked),
        }
    }
}

/// A lock whose holders never panic while holding it; if one did, the data is still whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn create_private_dir(path: &std::path::Path) -> Result<(), NodeError> {
    let storage = |source| NodeError::Storage { path: path.to_path_buf(), source };
    fs_err::create_dir_all(path).map_err(storage)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(storage)?;
    }
    Ok(())
}
