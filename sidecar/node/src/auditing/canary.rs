//! Canaries: questions that an auditor asks itself, in order to show everything of them.
//!
//! The order is what makes a report worth something: the answer is computed again and promised on the DHT before the provider is asked to open
//! its fingerprint, and the report that it builds on is named before the outcome is known. Anybody can check the reckoning, and anybody
//! who has the model the replay.

use super::own::{self, Case, Opening};
use super::{replay, reporting};
use crate::asking;
use crate::directory::Candidate;
use crate::engines::Loaded;
use crate::evidence::Answered;
use crate::node::{lock, Node};
use crate::{AnswerEvent, AskRequest, Demands, Hiding, Route, ShowAuditors};
use ainonymous_conductor::{Conductor, ConductorError};
use ainonymous_engine::request::{Chat, Message, Role as Speaker};
use ainonymous_engine::{Event, Prompt, Question};
use ainonymous_protocol::canaries;
use ainonymous_types::{
    limits, AgentPubKey, AuditCommit, AuditMode, BatchProof, Bytes32, ChatInput, ChatRole, Evidence, OpenedLeaf,
    ProviderRecord, ReplayLeaf, RequestId, Role, Sampling,
};
use ainonymous_verify::audit::{leaf, scope, statistics};
use std::time::Duration;

/// How often a canary is asked, on average, unless it is said otherwise.
const EVERY: Duration = Duration::from_secs(600);
/// Longest wait for the own model to put a question into its words.
const REWORDED_MAX: Duration = Duration::from_secs(60);
/// Longest wait for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(300);
/// Longest wait until its receipt stands on the DHT.
const PUBLISHED_MAX: Duration = Duration::from_secs(120);

/// Why no report came of a canary.
enum Nothing {
    /// There was nobody to ask, or no answer that can be shown.
    ToAudit(&'static str),
    /// The network did not take it.
    Conductor(ConductorError),
}

impl From<ConductorError> for Nothing {
    fn from(e: ConductorError) -> Self {
        Self::Conductor(e)
    }
}

/// Why nothing came of an answer that the engine could not replay.
const NOT_COMPUTED: Nothing = Nothing::ToAudit("the answer cannot be computed again now");

/// Asks, audits and reports, again and again.
pub(crate) async fn run(node: Node) {
    let Some(conductor) = node.conductor_when_running().await else { return };
    loop {
        tokio::time::sleep(next_wait(every(&node))).await;
        match once(&node, &conductor).await {
            Ok(()) => {}
            Err(Nothing::ToAudit(why)) => tracing::debug!(why, "no canary now"),
            Err(Nothing::Conductor(e)) => {
                tracing::warn!(error = %e, hint = e.hint(), "an audit could not be written down")
            }
        }
    }
}

/// How often this node asks one, on average.
pub(super) fn every(node: &Node) -> Duration {
    node.inner.auditing.habits.every.unwrap_or(EVERY)
}

/// A wait that nobody can foretell.
fn next_wait(every: Duration) -> Duration {
    let every_us = u64::try_from(every.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(canaries::wait_us(every_us, rand::random()))
}

async fn once(node: &Node, conductor: &Conductor) -> Result<(), Nothing> {
    let offer = conductor.get_my_capability().await?;
    let is_auditor = |offer: &ProviderRecord| offer.capability.roles.contains(&Role::Auditor);
    let offer =
        offer.filter(is_auditor).ok_or(Nothing::ToAudit("the network does not know yet that this node audits"))?;
    node.inner.directory.refresh_listing(node).await;
    let candidate =
        drawn(node, &conductor.agent()).ok_or(Nothing::ToAudit("nobody serves a model that this node has"))?;
    let id = ask(node, &candidate).await?;
    audit(node, conductor, &offer, id).await
}

/// Whom to audit: by dice, those of whom less is known more often.
fn drawn(node: &Node, me: &AgentPubKey) -> Option<Candidate> {
    let (peers, _) = node.inner.directory.served_by_peers(node, me);
    let served = peers.into_iter().flat_map(|(_, candidates)| candidates);
    let checkable = served.filter(|candidate| {
        let spec = node.inner.directory.model(&candidate.spec.entry);
        spec.is_some_and(|spec| replay::own_model(node, &spec).is_some())
    });
    let weighed: Vec<(Candidate, u64)> = checkable
        .map(|candidate| {
            let rate = node.inner.auditing.reputation(node, &candidate.agent).rate_ppm();
            (candidate, u64::from(rate))
        })
        .collect();
    let all: u64 = weighed.iter().map(|(_, weight)| weight).sum();
    let mut left = rand::random::<u64>().checked_rem(all)?;
    weighed.into_iter().find_map(|(candidate, weight)| match left.checked_sub(weight) {
        Some(rest) => {
            left = rest;
            None
        }
        None => Some(candidate),
    })
}

/// Asks as anybody would, and waits for the whole answer; returns the question's id.
async fn ask(node: &Node, candidate: &Candidate) -> Result<RequestId, Nothing> {
    let input = canaries::question(&lock(&node.inner.auditing.shapes), &rand::random());
    let input = reworded(node, candidate, input).await;
    let question = Question::try_from(input).map_err(|_| Nothing::ToAudit("a question that is none"))?;
    let request = AskRequest {
        model: Some(candidate.model_id.clone()),
        question,
        route: Route::Auto,
        provider: Some(candidate.agent.clone()),
        demands: Demands::NONE,
        hide: Hiding::No,
        known: false,
        show_auditors: Some(ShowAuditors::None),
    };
    let stream = asking::ask_canary(node, request)
        .await
        .map_err(|_| Nothing::ToAudit("the provider does not take a question"))?;
    let (id, mut events) = (stream.head.id, stream.events);
    let whole = async {
        while let Some(event) = events.recv().await {
            if matches!(event, Ok(AnswerEvent::Done(_))) {
                return true;
            }
        }
        false
    };
    let done = tokio::time::timeout(ANSWER_MAX, whole).await;
    done.is_ok_and(|done| done).then_some(id).ok_or(Nothing::ToAudit("the provider did not answer"))
}

/// The question as this node's own model puts it, for a list of questions could be told by whoever has it; as it is where the model says
/// nothing of use, or has other work.
async fn reworded(node: &Node, candidate: &Candidate, mut input: ChatInput) -> ChatInput {
    let spec = node.inner.directory.model(&candidate.spec.entry);
    let Some(loaded) = spec.and_then(|spec| replay::own_model(node, &spec)) else { return input };
    let mut before: Vec<Message> = Vec::new();
    for message in &mut input.messages {
        let (own, speaker) = match message.role {
            ChatRole::Assistant => {
                let said = say(&loaded, before.clone(), canaries::REPLY_TOKENS_MAX).await;
                (canaries::reply(&said), Speaker::Assistant)
            }
            ChatRole::User | ChatRole::System | ChatRole::Tool => {
                let wish = Message::new(Speaker::User, canaries::wish(&message.content));
                let asked = before.iter().cloned().chain([wish]).collect();
                let said = say(&loaded, asked, canaries::OWN_WORDS_TOKENS_MAX).await;
                (canaries::in_own_words(&said), Speaker::User)
            }
        };
        if let Some(own) = own {
            message.content = own;
        }
        before.push(Message::new(speaker, message.content.as_str()));
    }
    input
}

/// What the own model says behind this; as far as it comes in time.
async fn say(loaded: &Loaded, messages: Vec<Message>, max_tokens: u32) -> String {
    let chat = Chat { messages, ..Chat::default() };
    let sampling = Sampling { seed: rand::random::<u64>() & limits::SEED_MAX, ..Sampling::default() };
    let question = Question { sampling, max_tokens, ..Question::new(Prompt::Chat(chat)) };
    let Ok(mut generation) = loaded.engine.generate(question) else { return String::new() };
    let said = async {
        let mut said = String::new();
        while let Some(event) = generation.events.recv().await {
            match event {
                Event::Token { text, .. } => said.push_str(&text),
                Event::Queued { .. } | Event::Started { .. } | Event::Finished(_) => {}
                Event::Failed(_) => break,
            }
        }
        said
    };
    tokio::time::timeout(REWORDED_MAX, said).await.unwrap_or_default()
}

async fn audit(node: &Node, conductor: &Conductor, offer: &ProviderRecord, id: RequestId) -> Result<(), Nothing> {
    let case = Case::of(node, id).map_err(|_| Nothing::ToAudit("an answer that cannot be computed again"))?;
    let Answered { said, receipt: signed, .. } = &case.answered;
    let statement = &signed.receipt;
    if said.tokens.len() > limits::EVIDENCE_TOKENS_MAX {
        // Nobody who asks without a bound knows before how long it will be: then what is found is for this node alone.
        if node.inner.auditing.habits.not_own {
            return Err(Nothing::ToAudit("an answer that is too long to be shown"));
        }
        own::run(node, &case).await.map_err(|_| NOT_COMPUTED)?;
        return Ok(());
    }
    let shows = !said.tokens.is_empty()
        && statement.completion_tokens as usize == said.tokens.len()
        && said.text.len() <= limits::EVIDENCE_TEXT_BYTES_MAX
        && said.more.is_none();
    if !shows {
        return Err(Nothing::ToAudit("an answer that cannot be shown"));
    }
    let computed = own::compute(node, &case, said.tokens.len(), &Bytes32(rand::random())).await;
    let computed = computed.map_err(|_| NOT_COMPUTED)?;
    let proof = published(node, id).await.ok_or(Nothing::ToAudit("the receipt has not been published"))?;

    let promise = |previous| AuditCommit {
        capability: offer.action.clone(),
        receipt: signed.clone(),
        proof,
        secret: case.asked.secrets.audit,
        mode: AuditMode::Canary,
        previous,
        replay: leaf::replay(&computed.leaves),
    };
    let promised = reporting::promise(conductor, case.provider(), promise).await?;
    let opening = own::open(node, &case).await;
    let scope = scope::of(&case.asked.input, statement.completion_tokens);
    let table = own::table_of(node, case.provider(), &case.spec, &scope, &case.loaded).await;
    let compare = |opened: &[OpenedLeaf]| statistics::outcome(opened, &computed.leaves);
    let judged = own::judge(case.root(), &opening, computed.cut, table.as_ref(), compare);
    let table = reporting::calibration(conductor, &case.asked.spec, table).await?;
    let evidence = Some(shown(&case, opening, computed.leaves));
    let reported = reporting::report(conductor, promised, table, judged.outcome, evidence).await?;
    let made = own::made(&case, &judged, "canary", Some(&reported.action));
    node.inner.auditing.record(node, case.provider(), case.leaf(), made);
    Ok(reported.accuse(conductor, case.provider()).await?)
}

/// Where the receipt stands, as soon as that was checked.
async fn published(node: &Node, id: RequestId) -> Option<BatchProof> {
    node.inner.receipts.proof(id, PUBLISHED_MAX).await
}

/// What everybody can check: what was not opened as it was signed counts as not opened.
fn shown(case: &Case, opening: Opening, replay: Vec<ReplayLeaf>) -> Evidence {
    let opened = match opening {
        Opening::Opened(opened) => opened,
        Opening::DoesNotFit | Opening::Silent => Vec::new(),
    };
    Evidence {
        input: case.asked.input.clone(),
        salt: case.asked.salt,
        tokens: case.answered.said.tokens.clone(),
        text: case.answered.said.text.clone(),
        opened,
        replay,
    }
}
