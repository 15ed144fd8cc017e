//! A node that says what it is told to.

use crate::{
    Backend, InviteWish, IssuedInvite, MadeInvite, NetworkList, NetworkRefused, NetworkView, Networks, NewNetwork,
    Revocation,
};
use ainonymous_node::request::Chat;
use ainonymous_node::{
    AnswerAudit, AnswerDone, AnswerEvent, AnswerHead, AnswerStream, AskError, AskRequest, AuditMade, AuditRefused,
    AuditState, AuditStatus, AuditWhy, Counters, EmbedQuestion, Embeddings, Findings, Heard, Inspect, Inspected,
    KeepAlive, KnownPeers, LocalModel, LocalModelState, ModelDetails, ModelEntry, ModelState, More, NetworkState,
    NodeError, Offer, Peer, PeerModel, Phase, Prompt, Published, Pull, PullRefused, PullState, ReceiptState,
    ReportFound, Roster, RosterEntry, Route, Sample, Standing, Status, Timeline, TokenLogprob, TokenLogprobs,
    ToolCallPart, UiCredentials, UiKeyPair,
};
use ainonymous_types::{
    ActionHash, AgentPubKey, AuditTerms, BatchProof, Bytes32, Bytes64, EntryHash, FinishReason, NetworkKind,
    PostedAnswer, Receipt, RequestId, SignedReceipt, SpecRef, Verdict,
};
use async_trait::async_trait;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, Notify};

/// What the node does when it is asked.
pub(super) enum Script {
    /// These events, then the end.
    Events(Vec<Result<AnswerEvent, AskError>>),
    /// No answer.
    Refuse(AskError),
    /// One piece of text, then nothing until the question is cancelled.
    Hang,
    /// The first question gets these, the next the next ones, and so on.
    Each(Mutex<std::collections::VecDeque<Vec<Result<AnswerEvent, AskError>>>>),
}

pub(super) struct Scripted {
    pub(super) status: Status,
    pub(super) script: Script,
    pub(super) asked: Mutex<Vec<AskRequest>>,
    pub(super) embedded: Mutex<Vec<EmbedQuestion>>,
    pub(super) models: Vec<ModelEntry>,
    /// What was done with models: `load tiny`, `keep tiny 0s`.
    pub(super) done: Mutex<Vec<String>>,
    pub(super) route: Route,
    pub(super) cancelled: Arc<Notify>,
    pub(super) ui_ready: bool,
}

pub(super) const ID: RequestId = RequestId([0xab; 16]);
pub(super) const ID_HEX: &str = "abababababababababababababababab";

pub(super) fn provider() -> AgentPubKey {
    AgentPubKey::from_raw_32(vec![7; 32])
}

pub(super) fn request_action() -> ActionHash {
    ActionHash::from_raw_32(vec![9; 32])
}

impl Scripted {
    /// A node that runs and answers "Paris." in two pieces.
    pub(super) fn new() -> Self {
        Self::with(Script::Events(vec![text("Par"), text("is."), done(FinishReason::Stop)]))
    }

    pub(super) fn with(script: Script) -> Self {
        Self {
            status: status(Phase::Running),
            script,
            asked: Mutex::default(),
            embedded: Mutex::default(),
            models: vec![of_peer()],
            done: Mutex::default(),
            route: Route::Signals,
            cancelled: Arc::default(),
            ui_ready: true,
        }
    }

    /// A node that answers itself, and has models in every state.
    pub(super) fn with_models() -> Self {
        let of = |id: &str, state| ModelEntry { id: id.into(), state, ..of_this_node() };
        let failed = ModelEntry { problem: Some("it is broken".into()), ..of("broken:q8_0", ModelState::Failed) };
        let models = vec![
            of_this_node(),
            of("second:q4_0", ModelState::Unloaded),
            of("third:q4_0", ModelState::Loading),
            failed,
            ModelEntry { id: "tiny-gemma:q8_0".into(), ..of_peer() },
            ModelEntry { id: "large:q8_0".into(), ..of_peer() },
        ];
        Self { models, route: Route::Local, ..Self::new() }
    }

    fn note(&self, what: String) {
        self.done.lock().unwrap().push(what);
    }

    /// The id of one of its models.
    fn own(&self, wanted: &str) -> Result<String, AskError> {
        let known: Vec<String> = self.models.iter().map(|model| model.id.clone()).collect();
        let found = known.iter().find(|id| id.split(':').next() == wanted.split(':').next()).cloned();
        found.ok_or(AskError::UnknownModel { model: wanted.into(), known })
    }

    pub(super) fn failing(error: AskError) -> Arc<Self> {
        Arc::new(Self::with(Script::Refuse(error)))
    }

    pub(super) fn in_phase(mut self, phase: Phase) -> Self {
        self.status.phase = phase;
        self
    }

    /// A node that answers with these events.
    pub(super) fn saying(events: Vec<Result<AnswerEvent, AskError>>) -> Arc<Self> {
        Arc::new(Self::with(Script::Events(events)))
    }

    /// A node that answers each question with its own events.
    pub(super) fn saying_each(scripts: Vec<Vec<Result<AnswerEvent, AskError>>>) -> Arc<Self> {
        Arc::new(Self::with(Script::Each(Mutex::new(scripts.into()))))
    }

    /// The only question that was asked.
    pub(super) fn question(&self) -> AskRequest {
        let asked = self.asked.lock().unwrap();
        assert_eq!(asked.len(), 1);
        asked[0].clone()
    }
}

/// A model that a peer serves.
pub(super) fn of_peer() -> ModelEntry {
    ModelEntry {
        id: "tiny-gemma:q8_0".into(),
        local: false,
        state: ModelState::Loaded,
        problem: None,
        providers: vec![provider().to_string()],
        context_tokens: 4_096,
        file_bytes: 3_000_000,
        gguf_hash: Some("00".repeat(32)),
        details: None,
        unloads_in_s: None,
    }
}

/// The same model on this node.
fn of_this_node() -> ModelEntry {
    let details = ModelDetails {
        architecture: "gemma3".into(),
        parameters: 1_234_567,
        context_trained: 32_768,
        layers: 4,
        tools: false,
        thinking: true,
        embedding: false,
    };
    ModelEntry { local: true, providers: vec![], details: Some(details), unloads_in_s: Some(60), ..of_peer() }
}

/// The conversation that was asked about.
pub(super) fn chat_of(node: &Scripted) -> Chat {
    match node.question().question.prompt {
        Prompt::Chat(chat) => chat,
        Prompt::Text(_) | Prompt::Tokens(_) => panic!("a chat"),
    }
}

/// An answer with a thought, words and a call, and what comes then.
pub(super) fn busy(then: Vec<Result<AnswerEvent, AskError>>) -> Arc<Scripted> {
    let begin = vec![
        thought("Hm."),
        text("Let me "),
        text("see."),
        call(0, Some(("call_1", "weather")), "{\"city\":"),
        call(0, None, "\"Rome\"}"),
    ];
    Scripted::saying(begin.into_iter().chain(then).chain([done(FinishReason::Stop)]).collect())
}

pub(super) fn status(phase: Phase) -> Status {
    Status {
        version: "0.1.0",
        phase,
        network: Some(NetworkState::Ready { peers: 1 }),
        agent: Some(provider().to_string()),
        dna_hash: None,
        work_bits: 0,
        share: true,
        audits: AuditStatus::default(),
        paused: false,
        models: vec![LocalModel { id: "tiny-gemma:q8_0".into(), state: LocalModelState::Loading }],
        quic: None,
        router: None,
        region: None,
        choices: vec![],
        zome_calls: Default::default(),
        counters: Counters::default(),
        uptime_s: 1,
        rss_bytes: None,
    }
}

pub(super) fn text(text: &str) -> Result<AnswerEvent, AskError> {
    Ok(AnswerEvent::Text { text: text.into(), tokens: 1, more: None })
}

/// A piece with reasoning, tool calls or log-probabilities.
pub(super) fn more(text: &str, more: More) -> Result<AnswerEvent, AskError> {
    Ok(AnswerEvent::Text { text: text.into(), tokens: 1, more: Some(Box::new(more)) })
}

pub(super) fn thought(text: &str) -> Result<AnswerEvent, AskError> {
    more("", More { reasoning: text.into(), ..More::default() })
}

/// The next piece of a tool call; with its id and name if it begins.
pub(super) fn call(index: u32, begins: Option<(&str, &str)>, arguments: &str) -> Result<AnswerEvent, AskError> {
    let begins = begins.map(|(id, name)| (id.to_owned(), name.to_owned()));
    let part = ToolCallPart { index, begins, arguments: arguments.into() };
    more("", More { tool_calls: vec![part], ..More::default() })
}

pub(super) fn token(text: &str, logprob: f32, top: &[(&str, f32)]) -> Result<AnswerEvent, AskError> {
    let one = |(text, logprob): (&str, f32)| TokenLogprob { id: 1, bytes: text.as_bytes().to_vec(), logprob };
    let logprobs = TokenLogprobs { chosen: one((text, logprob)), top: top.iter().copied().map(one).collect() };
    more(text, More { logprobs: Some(logprobs), ..More::default() })
}

/// An end with a word about what ended it.
pub(super) fn stopped_by(index: u32) -> Result<AnswerEvent, AskError> {
    match done(FinishReason::Stop) {
        Ok(AnswerEvent::Done(mut done)) => {
            done.stopped_by = Some(index);
            Ok(AnswerEvent::Done(done))
        }
        other => other,
    }
}

pub(super) fn done(finish: FinishReason) -> Result<AnswerEvent, AskError> {
    Ok(AnswerEvent::Done(Box::new(AnswerDone {
        finish,
        prompt_tokens: 12,
        cached_tokens: 4,
        stopped_by: None,
        completion_tokens: 3,
        begun_by: vec![],
        first_token_us: 41_000,
        decode_us: 2_000,
        provider_first_token_us: 30_500,
        route: Route::Signals,
        receipt: Some(signed_receipt()),
        tokens: vec![1, 2, 3],
        agreement: None,
    })))
}

pub(super) fn signed_receipt() -> SignedReceipt {
    let receipt = Receipt {
        provider: provider(),
        spec: EntryHash::from_raw_32(vec![1; 32]),
        session_key: Bytes32([2; 32]),
        input: Bytes32([3; 32]),
        output: Bytes32([4; 32]),
        fingerprint: Bytes32([0; 32]),
        prompt_tokens: 12,
        completion_tokens: 3,
        finish: FinishReason::Stop,
        finished_at: 1_700_000_000_000_000,
        audit: AuditTerms::default(),
    };
    SignedReceipt { receipt, signature: Bytes64([5; 64]) }
}

#[async_trait]
impl Backend for Scripted {
    fn status(&self) -> Status {
        self.status.clone()
    }

    async fn models(&self) -> Vec<ModelEntry> {
        self.models.clone()
    }

    async fn inspect(&self, model: Option<&str>, question: Inspect) -> Result<(String, Inspected), AskError> {
        if let Script::Refuse(error) = &self.script {
            return Err(error.clone());
        }
        let inspected = match question {
            Inspect::Count(Prompt::Chat(chat)) => {
                Inspected::Count(10 * (chat.messages.len() + chat.tools.len()) as u32)
            }
            Inspect::Count(_) => panic!("a chat"),
            Inspect::Tokenize { text, add_special, parse_special } => {
                let begin = add_special.then(|| (2, b"<bos>".to_vec()));
                let odd = (!parse_special).then(|| (3, vec![0xe2, 0x98]));
                let words = (10..).zip(text.split_inclusive(' ').map(|word| word.as_bytes().to_vec()));
                Inspected::Tokens(begin.into_iter().chain(words).chain(odd).collect())
            }
            Inspect::Detokenize(tokens) => Inspected::Text(format!("{tokens:?}")),
            Inspect::Render(chat) => Inspected::Text(format!("<turn>{}", chat.messages[0].content)),
        };
        Ok((self.own(model.unwrap_or("tiny-gemma")).unwrap_or_default(), inspected))
    }

    async fn load(&self, model: &str) -> Result<String, AskError> {
        let id = self.own(model)?;
        if id.starts_with("broken") {
            let (problem, hint) = ("it is broken".into(), "take another".into());
            return Err(AskError::LoadFailed { code: "invalid_model", problem, hint });
        }
        self.note(format!("load {id}"));
        Ok(id)
    }

    async fn unload(&self, model: &str) -> Result<String, AskError> {
        let id = self.own(model)?;
        self.note(format!("unload {id}"));
        Ok(id)
    }

    async fn keep(&self, model: &str, keep: KeepAlive) -> Result<String, AskError> {
        let id = self.own(model)?;
        self.note(match keep {
            KeepAlive::For(time) => format!("keep {id} {time:?}"),
            KeepAlive::Forever => format!("keep {id} forever"),
        });
        Ok(id)
    }

    async fn embed(&self, _: Option<&str>, question: EmbedQuestion) -> Result<(String, Embeddings), AskError> {
        if let Script::Refuse(error) = &self.script {
            return Err(error.clone());
        }
        self.embedded.lock().unwrap().push(question.clone());
        let vectors = question.inputs.iter().map(|_| vec![0.6, 0.8]).collect();
        Ok(("tiny-gemma:q8_0".into(), Embeddings { vectors, prompt_tokens: 3 }))
    }

    async fn ask(&self, request: AskRequest) -> Result<AnswerStream, AskError> {
        self.asked.lock().unwrap().push(request);
        let head = AnswerHead {
            request: None,
            id: ID,
            model: "tiny-gemma:q8_0".into(),
            provider: Some(provider().to_string()),
            reason: None,
            route: self.route,
            spec: Some(SpecRef { entry: EntryHash::from_raw_32(vec![1; 32]), action: request_action() }),
        };
        let (sender, events) = mpsc::channel(8);
        match &self.script {
            Script::Refuse(error) => return Err(error.clone()),
            Script::Events(script) => {
                let script = script.clone();
                tokio::spawn(async move {
                    for event in script {
                        if sender.send(event).await.is_err() {
                            break;
                        }
                    }
                });
            }
            Script::Each(scripts) => {
                let script = scripts.lock().unwrap().pop_front().unwrap_or_default();
                script.into_iter().for_each(|event| sender.try_send(event).unwrap());
            }
            Script::Hang => {
                let cancelled = Arc::clone(&self.cancelled);
                tokio::spawn(async move {
                    sender.send(text("Wait")).await.unwrap();
                    sender.closed().await;
                    cancelled.notify_one();
                });
            }
        }
        Ok(AnswerStream { head, events })
    }

    async fn receipt(&self, id: RequestId, wait: Duration) -> Option<ReceiptState> {
        let checked = wait >= Duration::from_secs(1);
        (id == ID).then(|| ReceiptState { id, batch: Some(request_action()), checked, problem: None })
    }

    fn audit_state(&self, _: RequestId) -> AnswerAudit {
        AnswerAudit { state: AuditState::Disputed, why: Some(AuditWhy::CutOff) }
    }

    async fn audit(&self, id: RequestId) -> Result<AuditMade, AuditRefused> {
        if id != ID {
            return Err(AuditRefused::ModelNotHere { model: "tiny:q8_0".into() });
        }
        Ok(AuditMade {
            provider: provider().to_string(),
            model: "tiny:q8_0".into(),
            mode: "own",
            auditor: None,
            verdict: Verdict::Fail,
            why: AuditWhy::CutOff,
            tokens: 3,
            statistics: None,
            report: None,
        })
    }

    async fn findings(&self, provider: AgentPubKey) -> Result<Findings, NodeError> {
        let published = |author: u8| Published {
            action: request_action().to_string(),
            author: AgentPubKey::from_raw_32(vec![author; 32]).to_string(),
            at_s: 1_700_000_000,
        };
        let report = ReportFound {
            published: published(5),
            canary: true,
            verdict: Verdict::Fail,
            why: AuditWhy::NotAsHonest,
            score: 512,
            statistics: None,
        };
        Ok(Findings { provider: provider.to_string(), reports: vec![report], more: true, ..Findings::default() })
    }

    async fn receipt_file(&self, id: RequestId, open: bool) -> Option<(String, Option<&'static str>)> {
        let known = id == RequestId([0xab; 16]);
        known.then(|| ("{ \"format\": \"a file\" }".to_owned(), open.then_some("audit_window_closed")))
    }

    async fn fetch_answer(&self, request: ActionHash) -> Result<Option<PostedAnswer>, AskError> {
        Ok((request == request_action()).then(|| PostedAnswer {
            text: "Paris.".into(),
            tokens: vec![1, 2, 3],
            more: None,
            receipt: signed_receipt(),
            proof: BatchProof { batch: request_action(), index: 4, path: vec![] },
        }))
    }

    async fn peers(&self) -> KnownPeers {
        let heard = Heard { ago_s: 7, round_trip_ms: 1.5, queued: 2, slots: 4, free_slots: 0, milli_price: Some(0) };
        let model = PeerModel {
            id: "tiny-gemma:q8_0".into(),
            claimed_tokens_per_s: 100,
            measured_tokens_per_s: None,
            heard: Some(heard),
        };
        let peer = Peer {
            agent: provider().to_string(),
            kinship: "friend",
            device: "avx2".into(),
            route: "direct",
            failing: false,
            models: vec![model],
        };
        KnownPeers { read_ago_s: Some(3), peers: vec![peer] }
    }

    async fn roster(&self) -> Roster {
        let member = |agent: AgentPubKey, is_self, standing, invite: Option<&str>| RosterEntry {
            agent: agent.to_string(),
            is_self,
            is_online: standing == Standing::Member,
            standing,
            invite: invite.map(str::to_owned),
        };
        let guest = AgentPubKey::from_raw_32(vec![8; 32]);
        let members = vec![
            member(provider(), true, Standing::Member, None),
            member(guest, false, Standing::Refused, Some("0f0f")),
        ];
        Roster { by_invitation: true, members }
    }

    fn timeline(&self) -> Timeline {
        Timeline { every_s: 20, samples: vec![Sample { at_s: 1, asked: 2, answered: 3, refused: 4 }] }
    }

    async fn catalogue(&self) -> Vec<Offer> {
        let (name, note, licence) = ("gemma-4-e4b".into(), "for everything".into(), "apache-2.0".into());
        vec![Offer { name, about_bytes: 5, memory_bytes: 6, note, licence, is_there: false }]
    }

    fn pulls(&self) -> Vec<Pull> {
        vec![]
    }

    fn pull(&self, model: &str) -> Result<Pull, PullRefused> {
        if model == "full" {
            return Err(PullRefused::TooMany);
        }
        self.note(format!("pull {model}"));
        let (state, phase) = (PullState::Running, "waiting");
        let model = model.to_owned();
        Ok(Pull { id: 1, model, state, phase, bytes_done: 0, bytes_total: 0, code: None, problem: None, hint: None })
    }

    fn cancel_pull(&self, id: u64) -> Result<(), PullRefused> {
        self.note(format!("cancel {id}"));
        if id == 1 {
            Ok(())
        } else {
            Err(PullRefused::Unknown { id })
        }
    }

    fn set_paused(&self, paused: bool) {
        self.note(format!("pause {paused}"));
    }

    fn want_end(&self) {
        self.note("stop".into());
    }

    async fn ui_credentials(&self, origin: &str) -> Result<UiCredentials, NodeError> {
        if !self.ui_ready {
            return Err(NodeError::NotReady);
        }
        assert_eq!(origin, "http://127.0.0.1:11435");
        Ok(UiCredentials {
            app_port: 45_678,
            installed_app_id: "</script><script>".into(),
            token: vec![1, 2, 3],
            cell_id: (vec![4; 39], vec![5; 39]),
            cap_secret: vec![6; 64],
            signing_key: vec![7; 39],
            key_pair: UiKeyPair { public: vec![8; 32], secret: vec![9; 64] },
        })
    }
}

/// The network that a scripted node is in.
pub(super) fn circle() -> NetworkView {
    NetworkView {
        network: "circle".into(),
        name: "Circle".into(),
        kind: NetworkKind::Private,
        work_bits: 0,
        id: "0f".repeat(32),
        agent: provider().to_string(),
        is_founder: true,
        founders: vec![provider().to_string()],
        bootstrap: "http://b:4000".into(),
        relay: None,
        invite: None,
        issued: vec![IssuedInvite { key: "0e".repeat(32), expires_at: 7, agent: None }],
        revoked: vec![],
    }
}

#[async_trait]
impl Networks for Scripted {
    fn list(&self) -> Result<NetworkList, NetworkRefused> {
        Ok(NetworkList { running: Some("circle".into()), can_change: true, networks: vec![circle()] })
    }

    async fn create(&self, wish: NewNetwork) -> Result<NetworkView, NetworkRefused> {
        let NewNetwork { name, kind, work_bits, bootstrap } = wish;
        self.note(format!("create {name} {kind:?} {work_bits} {}", bootstrap.unwrap_or_default()));
        Ok(circle())
    }

    async fn invite(&self, wish: InviteWish) -> Result<MadeInvite, NetworkRefused> {
        let InviteWish { network, lasts_s, agent } = wish;
        if network != "circle" {
            let (problem, hint) = (format!("there is no network '{network}' here"), "say one of: circle".into());
            return Err(NetworkRefused { code: "network_unknown", problem, hint, is_ours: false });
        }
        self.note(format!("invite {network} {lasts_s} {}", agent.unwrap_or_default()));
        let (invite, key) = ("ainonymous-invite:aeaa".into(), "0d".repeat(32));
        Ok(MadeInvite { network, invite, key, expires_at: 9, qr: vec!["10".into(), "01".into()] })
    }

    async fn join(&self, invite: &str) -> Result<NetworkView, NetworkRefused> {
        self.note(format!("join {} bytes", invite.len()));
        Ok(circle())
    }

    async fn revoke(&self, network: &str, whom: &str) -> Result<Revocation, NetworkRefused> {
        if whom == "broken" {
            let (problem, hint) = ("the keystore fails".into(), "look at it".into());
            return Err(NetworkRefused { code: "keystore_failed", problem, hint, is_ours: true });
        }
        self.note(format!("revoke {network} {whom}"));
        Ok(Revocation { revoked: whom.into(), state: "waiting" })
    }
}
