//! A question to peers: one provider after the other until one answers, and another one if it falls silent in the middle.
//!
//! Over a link where there is one, else by signals. The next provider is given the tokens that are there and goes on behind
//! them (docs/adr/0017); the asker notices a change of provider by who signs the receipt, and by whom it says has begun.

use crate::auditing::{self, Consent};
use crate::choosing::{self, Chosen};
use crate::direct::{DirectWay, NoWay};
use crate::directory::Candidate;
use crate::evidence::{self, Said};
use crate::hedging::{self, Opened};
use crate::node::Node;
use crate::receipts::{self, Told};
use crate::routing::{done, events, micros, to_travel, Inbox, Prepared};
use crate::size::Size;
use crate::{opening, routers, AnswerEvent, AnswerHead, AnswerStream, AskError, AskRequest, ChoiceMade, Hiding, Route};
use ainonymous_conductor::Conductor;
use ainonymous_protocol::choosing::Reason;
use ainonymous_protocol::history::Outcome;
use ainonymous_protocol::timing::{DIRECT, SECOND_WAY, SIGNALS};
use ainonymous_protocol::{Effect, Handed, Question};
use ainonymous_transport::Hide;
use ainonymous_types::{AgentPubKey, ChatInput, PeerSignal, RequestId, SendSignal};
use futures::future::BoxFuture;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Parts of an answer that wait for its reader; a slower reader slows the question, not the node.
const OUTBOX: usize = 256;
/// Providers tried before a question fails.
const CANDIDATES_MAX: usize = 3;
/// No further provider is tried after this while nobody has answered: an asker hears within five seconds how it stands.
const SEARCH_MAX: Duration = Duration::from_secs(4);

/// Asks. Returns when a provider has taken the question, or none will.
pub(crate) async fn ask(node: &Node, request: AskRequest) -> Result<AnswerStream, AskError> {
    ask_for(node, request, Purpose::Own).await
}

/// The same for a question of an auditor's own making: who answers cannot tell the difference.
pub(crate) async fn ask_canary(node: &Node, request: AskRequest) -> Result<AnswerStream, AskError> {
    ask_for(node, request, Purpose::Canary).await
}

/// What a question is for. It changes what becomes of the answer here, and nothing that a peer could see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// Somebody wants the answer.
    Own,
    /// It shall be audited and shown.
    Canary,
}

async fn ask_for(node: &Node, request: AskRequest, purpose: Purpose) -> Result<AnswerStream, AskError> {
    let input = to_travel(&request.question)?;
    let conductor = node.conductor().ok_or_else(|| node.not_ready())?;
    let mut found = node.inner.directory.candidates(node, request.model.as_deref(), request.provider.as_ref()).await?;
    if request.demands.no_routers {
        found.iter_mut().filter_map(|c| c.link.as_mut()).for_each(|link| link.hide = Hide::NoRouters);
    }
    let by_invitation = node.inner.members.by_invitation();
    if request.hide != Hiding::No && by_invitation {
        let problem = "members answer only whom they know, and whoever hides is not known";
        return Err(AskError::NoWay { problem: problem.into() });
    }
    let known = request.known || by_invitation;
    found.iter_mut().filter_map(|c| c.link.as_mut()).for_each(|link| link.known = known);
    // Signals tell who asks in any case: whoever names them has said so.
    if !known && request.route != Route::Signals {
        found.retain(|c| c.link.as_ref().is_none_or(|link| !link.must_be_known));
        if found.is_empty() {
            return Err(AskError::MustBeKnown { model: request.model.unwrap_or_else(|| "any model".into()) });
        }
    }
    let found = routers::hide(node, found, request.hide).await?;
    // A signal tells who asks: whoever hides does without.
    let route = if request.hide == Hiding::No { request.route } else { Route::Direct };
    choosing::on_question(node);
    let chosen = choosing::order(node, found, &input, &request.demands, route != Route::Signals).await?;
    if chosen.is_empty() {
        return Err(AskError::NoProvider { model: request.model.unwrap_or_else(|| "any model".into()) });
    }
    let attempts = attempts(chosen, route, node.inner.plane.is_some(), Size::of(&input));
    if attempts.is_empty() && Size::of(&input).by_links_only {
        return Err(AskError::NotThisWay { what: "a question of this size", way: "signals" });
    }
    if attempts.is_empty() {
        return Err(AskError::NoWay { problem: "no provider of the model can be reached directly".into() });
    }
    let (events, receiver) = mpsc::channel(OUTBOX);
    let (taken, was_taken) = oneshot::channel();
    let asker = Asker {
        node: node.clone(),
        conductor,
        input,
        hide: request.hide,
        consent: Consent::of(node, &request),
        purpose,
        started: Instant::now(),
        first_text: None,
        handed: Handed::default(),
        tried_links: false,
        told: None,
        events,
        taken: Some(taken),
    };
    node.spawn_answer(asker.search(attempts));
    match was_taken.await {
        Ok(Ok(head)) => Ok(AnswerStream { head, events: receiver }),
        Ok(Err(e)) => Err(e),
        Err(_) => Err(AskError::Draining),
    }
}

/// One provider by one way.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) candidate: Candidate,
    pub(crate) reason: Reason,
    /// When its first word is slow.
    pub(crate) slow_us: u64,
    pub(crate) by: By,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Link,
    Signals,
}

/// Links first, for they are faster; then the same providers by signals, which go where no link does.
fn attempts(chosen: Vec<Chosen>, route: Route, has_plane: bool, size: Size) -> VecDeque<Attempt> {
    let most = if size.shows_images { usize::MAX } else { CANDIDATES_MAX };
    let mut attempts = VecDeque::new();
    // Where only links are allowed they get a second try: a provider that is very busy may look silent.
    let second = if route == Route::Direct { By::Link } else { By::Signals };
    for by in [By::Link, second] {
        let allowed = match by {
            By::Link => has_plane && route != Route::Signals,
            By::Signals => !size.by_links_only,
        };
        let fitting = |c: &&Chosen| allowed && (by == By::Signals || c.candidate.link.is_some());
        for Chosen { candidate, reason, slow_us } in chosen.iter().filter(fitting).take(most) {
            let candidate = candidate.clone();
            attempts.push_back(Attempt { candidate, reason: *reason, slow_us: *slow_us, by });
        }
    }
    attempts
}

/// Who waits for the answer, and what he has of it.
#[derive(Debug)]
pub(crate) struct Asker {
    pub(crate) node: Node,
    conductor: Conductor,
    input: ChatInput,
    hide: Hiding,
    consent: Consent,
    purpose: Purpose,
    started: Instant,
    first_text: Option<Duration>,
    pub(crate) handed: Handed,
    pub(crate) tried_links: bool,
    /// The id that the asker was told.
    told: Option<RequestId>,
    pub(crate) events: mpsc::Sender<Result<AnswerEvent, AskError>>,
    taken: Option<oneshot::Sender<Result<AnswerHead, AskError>>>,
}

/// How one attempt ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// With an answer.
    Answered,
    /// Nobody waits for it any more.
    Left,
    /// Without, or without the rest.
    Failed(AskError),
}

impl Asker {
    /// One provider after the other.
    async fn search(mut self, mut attempts: VecDeque<Attempt>) {
        let mut last = None;
        while let Some(attempt) = attempts.pop_front() {
            let searching = self.handed.is_empty();
            // Whoever sees no images has said so at once; the time went into showing them.
            let looks = last.as_ref().is_some_and(|e: &AskError| e.code() != "provider_cannot_see");
            // Once somebody has taken it the asker has heard.
            let unheard = self.taken.is_some();
            if searching && unheard && looks && self.started.elapsed() > SEARCH_MAX {
                break;
            }
            let Some(input) = self.handed.rest_of(&self.input) else { break };
            let by = attempt.by;
            if by == By::Signals && Size::of(&input).by_links_only {
                continue;
            }
            match Box::pin(hedging::ask(&mut self, attempt, &mut attempts)).await {
                (_, Ended::Answered | Ended::Left) => return,
                (candidate, Ended::Failed(e)) => {
                    let step = after(&e, self.handed.is_empty());
                    tracing::debug!(code = e.code(), ?by, ?step, "a provider did not answer");
                    if step == Step::GiveUp {
                        return self.fail(e).await;
                    }
                    if is_failure(&e) {
                        self.node.inner.chooser.failed(&candidate);
                    }
                    self.node.inner.counts.retried.fetch_add(1, Ordering::Relaxed);
                    let same_spec = !self.handed.is_empty();
                    attempts.retain(|a| {
                        (step == Step::AnotherWay || a.candidate.agent != candidate.agent)
                            && (!same_spec || a.candidate.spec.entry == candidate.spec.entry)
                    });
                    // The way was the trouble, not the provider: whoever has no way either is asked after that.
                    // In mid-answer the first failure is what happened; those after it are why it could not be mended.
                    if last.is_none() || self.handed.is_empty() {
                        last = Some(e);
                    }
                }
            }
        }
        let e = last.unwrap_or_else(|| AskError::NoProvider { model: "the model".into() });
        self.fail(e).await;
    }

    /// Puts the question on its way to one provider.
    pub(crate) async fn open(&self, attempt: Attempt) -> Result<Opened, Ended> {
        self.opener(attempt).await
    }

    /// The same, owning all it needs, so that others can be listened to meanwhile.
    pub(crate) fn opener(&self, attempt: Attempt) -> BoxFuture<'static, Result<Opened, Ended>> {
        let Self { node, conductor, input, hide, started, tried_links, handed, .. } = self;
        let (node, conductor, tried_links, hide) = (node.clone(), conductor.clone(), *tried_links, *hide);
        // Whoever searches has seen that the beginning fits (`search`); nothing is said twice if it did not.
        let Some(input) = handed.rest_of(input) else {
            let problem = "what is there already is longer than a question can bring".into();
            return Box::pin(std::future::ready(Err(Ended::Failed(AskError::NoWay { problem }))));
        };
        let (bytes, begun_by) = (Size::of(&input).bytes, handed.parts().to_vec());
        let Attempt { candidate, reason, by, .. } = attempt;
        let audits = node.inner.auditing.terms(&node, &candidate.agent);
        let prepared = Prepared { started: *started, ..Prepared::new(input, &audits) };
        Box::pin(async move {
            let (ask, asked) = prepared.ask(&candidate);
            let mut head = AnswerHead {
                id: prepared.id,
                model: candidate.model_id.clone(),
                provider: Some(candidate.agent.to_string()),
                route: Route::Signals,
                reason: Some(reason),
                request: None,
                spec: Some(candidate.spec.clone()),
            };
            let (way, timing) = match (by, &candidate.link) {
                (By::Link, Some(link)) => match DirectWay::begin(&node, link, &ask).await {
                    Ok((way, round_trip)) => {
                        head.route = way.route();
                        (Way::Direct(Box::new(way)), DIRECT.over(micros(round_trip)).carrying(bytes))
                    }
                    Err(NoWay { problem: _, refused: Some((reason, detail)) }) => {
                        let provider = candidate.agent.to_string();
                        return Err(Ended::Failed(AskError::Refused { provider, reason, detail }));
                    }
                    Err(NoWay { problem, refused: None }) => return Err(Ended::Failed(AskError::NoWay { problem })),
                },
                (By::Link | By::Signals, _) => {
                    let inbox = Inbox::open(&node, prepared.id);
                    let signal = PeerSignal::Ask(ask.clone());
                    let to = vec![candidate.agent.clone()];
                    if let Err(e) = conductor.send_signal(SendSignal { to, signal }).await {
                        return Err(Ended::Failed(e.into()));
                    }
                    // Whoever could not be reached by a link has had some time already.
                    let timing = if tried_links { SECOND_WAY } else { SIGNALS };
                    (Way::Signals { conductor: conductor.clone(), inbox }, timing)
                }
            };
            let known = by == By::Signals || candidate.link.as_ref().is_some_and(|link| link.known);
            let kept = prepared.keep(&node, &candidate, hide, known);
            let told = candidate.link.clone().filter(|_| by == By::Link).map_or(Told::BySignal, Told::ByLink);
            Ok(Opened {
                candidate,
                ask,
                id: prepared.id,
                question: Question::new(asked, timing, 0),
                clock: Instant::now(),
                head: Some(head),
                told,
                way,
                queued: None,
                first_word: None,
                begun_by,
                kept,
                said: Said::default(),
            })
        })
    }

    pub(crate) async fn fail(&mut self, error: AskError) {
        match self.taken.take() {
            Some(taken) => {
                let _ = taken.send(Err(error));
            }
            None => {
                let _ = self.events.send(Err(error)).await;
            }
        }
    }
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Nobody else would do better.
    GiveUp,
    /// Another provider may.
    AnotherProvider,
    /// Another provider may, and this one by another way.
    AnotherWay,
}

/// Whether it says something about the provider, and not about the way to it or how busy it is.
pub(crate) fn is_failure(e: &AskError) -> bool {
    matches!(
        e,
        AskError::ProviderSilent { .. }
            | AskError::ProviderGone { .. }
            | AskError::ProviderBroken { .. }
            | AskError::NoWay { .. }
    )
}

fn after(e: &AskError, nothing_handed: bool) -> Step {
    match e {
        AskError::NoWay { .. } => Step::AnotherWay,
        AskError::ProviderSilent { .. } | AskError::ProviderGone { .. } => Step::AnotherWay,
        AskError::Refused { .. } | AskError::ProviderBroken { .. } if !nothing_handed => Step::AnotherProvider,
        _ => match e.code() {
            "provider_busy"
            | "provider_draining"
            | "provider_lost_model"
            | "provider_engine_failed"
            | "provider_cannot_see"
            | "provider_not_admitting"
            | "must_be_known"
            | "provider_broken" => Step::AnotherProvider,
            _ => Step::GiveUp,
        },
    }
}

/// How the parts of one question travel.
#[derive(Debug)]
pub(crate) enum Way {
    Signals { conductor: Conductor, inbox: Inbox },
    Direct(Box<DirectWay>),
}

/// One question on its way to the provider that answers it.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) asker: &'a mut Asker,
    pub(crate) opened: Opened,
}

impl Run<'_> {
    /// Carries the question to its end; begins with what has happened already.
    pub(crate) async fn run(mut self, mut effects: Vec<Effect>) -> Ended {
        let cut = self.asker.node.inner.cut.clone();
        let events = self.asker.events.clone();
        loop {
            if effects.is_empty() {
                effects = tokio::select! {
                    effects = self.opened.next() => effects,
                    () = cut.cancelled() => {
                        self.opened.cancel().await;
                        self.asker.fail(AskError::Draining).await;
                        return Ended::Left;
                    }
                    () = events.closed() => {
                        self.opened.cancel().await;
                        return Ended::Left;
                    }
                };
            }
            for effect in std::mem::take(&mut effects) {
                if let Some(outcome) = self.carry_out(effect).await {
                    return outcome;
                }
            }
        }
    }

    async fn carry_out(&mut self, effect: Effect) -> Option<Ended> {
        match effect {
            Effect::Resend(from_chunk) => {
                self.opened.say(PeerSignal::Resend { id: self.opened.id, from_chunk }).await;
            }
            Effect::AskAgain => self.opened.say(PeerSignal::Ask(self.opened.ask.clone())).await,
            Effect::Queued(position) => {
                self.was_taken();
                if self.asker.handed.is_empty() {
                    self.emit(AnswerEvent::Queued { position }).await;
                }
            }
            Effect::Part(chunk) => {
                self.was_taken();
                let clock = self.opened.clock;
                self.opened.first_word.get_or_insert_with(|| clock.elapsed());
                self.asker.handed.take(&self.opened.candidate.agent, &chunk);
                self.opened.said.push(&chunk);
                let since = self.asker.started;
                self.asker.first_text.get_or_insert_with(|| since.elapsed());
                for event in events(chunk) {
                    self.emit(event).await;
                }
            }
            Effect::Answered(answered) => {
                self.was_taken();
                let first_text = self.asker.first_text.unwrap_or_else(|| self.asker.started.elapsed());
                let route = match self.opened.way {
                    Way::Direct(ref way) => way.route(),
                    Way::Signals { .. } => Route::Signals,
                };
                let begun_by = std::mem::take(&mut self.opened.begun_by);
                let is_own = self.asker.purpose == Purpose::Own;
                let (id, told_id) = (self.opened.id, self.asker.told.unwrap_or(self.opened.id));
                let said = std::mem::take(&mut self.opened.said);
                let tokens = said.tokens.clone();
                self.opened.kept.id = told_id;
                self.opened.kept.answer = Some(evidence::Answered::new(said, answered.receipt.clone(), &begun_by));
                opening::keep(&self.asker.node, &self.opened.kept);
                let done = done(&answered, route, first_text, begun_by, tokens);
                let Asker { node, conductor, input, handed, .. } = &*self.asker;
                let Opened { candidate, told, clock, first_word, .. } = &self.opened;
                let outcome = Outcome::Answered {
                    // What is remembered of a provider is its own time, not that of those who were asked before it.
                    first_token_us: micros(first_word.unwrap_or_else(|| clock.elapsed())),
                    tokens: done.own_tokens().saturating_sub(1),
                    decode_us: done.decode_us,
                };
                let tokens = done.prompt_tokens.saturating_add(done.completion_tokens);
                node.inner.chooser.answered(candidate, outcome, &input.messages, handed.text(), tokens);
                node.inner.chooser.save(&node.inner.store, false);
                node.inner.receipts.keep(id, told_id, answered.receipt);
                if is_own {
                    auditing::on_answered(node, &self.opened.kept, self.asker.consent);
                }
                node.spawn(receipts::remind(node.clone(), conductor.clone(), id, told.clone()));
                self.emit(AnswerEvent::Done(Box::new(done))).await;
                return Some(Ended::Answered);
            }
            Effect::Failed(failure) => {
                return Some(Ended::Failed(self.opened.failed(failure).await));
            }
        }
        None
    }

    fn was_taken(&mut self) {
        let Some(head) = self.opened.head.take() else { return };
        if let (Some(provider), Some(reason)) = (&head.provider, &head.reason) {
            let (provider, why) = (provider.clone(), reason.to_string());
            self.asker.node.inner.chooser.note(ChoiceMade { id: head.id, provider, model: head.model.clone(), why });
        }
        if let Some(taken) = self.asker.taken.take() {
            self.asker.told = Some(head.id);
            let _ = taken.send(Ok(head));
        }
    }

    async fn emit(&mut self, event: AnswerEvent) {
        let _ = self.asker.events.send(Ok(event)).await;
    }
}

impl Way {
    /// What arrives next; none when the way is gone for good. Cancel-safe.
    pub(crate) async fn recv(&mut self, provider: &AgentPubKey, next_chunk: u32) -> Option<(AgentPubKey, PeerSignal)> {
        match self {
            Self::Signals { inbox, .. } => inbox.signals.recv().await,
            // Whoever is at the other end has proved the key that the provider's capability names.
            Self::Direct(way) => way.recv(next_chunk).await.map(|signal| (provider.clone(), signal)),
        }
    }

    pub(crate) async fn send(&mut self, provider: &AgentPubKey, signal: PeerSignal) {
        match self {
            Self::Signals { conductor, .. } => {
                if let Err(e) = conductor.send_signal(SendSignal { to: vec![provider.clone()], signal }).await {
                    tracing::debug!(error = %e, "a signal to a provider could not be sent");
                }
            }
            Self::Direct(way) => way.send(signal).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::direct::LinkAddress;
    use crate::Demands;
    use ainonymous_protocol::{choosing as rules, Speed, RANDOM_BYTES};
    use ainonymous_types::{ActionHash, Bytes32, EntryHash, RefuseReason, SpecRef};

    fn candidate(n: u8, has_link: bool) -> Candidate {
        let hash = || vec![n; 36];
        Candidate {
            agent: AgentPubKey::from_raw_36(hash()),
            capability: ActionHash::from_raw_36(hash()),
            spec: SpecRef { entry: EntryHash::from_raw_36(hash()), action: ActionHash::from_raw_36(hash()) },
            model_id: "m:q8_0".into(),
            claimed_tokens_per_s: 0,
            region: None,
            link: has_link.then(|| LinkAddress {
                key: Bytes32([n; 32]),
                addresses: vec![],
                hide: Hide::No,
                routers: vec![],
                must_be_known: false,
                known: false,
            }),
        }
    }

    fn plan(route: Route, has_plane: bool) -> Vec<(u8, By)> {
        plan_sized(route, has_plane, Size::default())
    }

    fn plan_sized(route: Route, has_plane: bool, size: Size) -> Vec<(u8, By)> {
        let candidates = [candidate(1, false), candidate(2, true), candidate(3, true)];
        let known: Vec<_> =
            candidates.iter().map(|c| rules::Candidate::stranger(&c.agent, Speed::tokens_per_s(9))).collect();
        let need = rules::Need { prompt_tokens: 1, answer_tokens: 1 };
        let reason = rules::choose(need, &Demands::NONE, &known, 0, &[0; RANDOM_BYTES]).unwrap().reasons[0];
        let chosen = candidates.into_iter().map(|candidate| Chosen { candidate, reason, slow_us: 1 }).collect();
        let attempts = attempts(chosen, route, has_plane, size);
        attempts.iter().map(|a| (a.candidate.agent.get_raw_32()[0], a.by)).collect()
    }

    #[test]
    fn links_come_first_and_what_was_demanded_is_not_relaxed() {
        let signals = [(1, By::Signals), (2, By::Signals), (3, By::Signals)];
        assert_eq!(plan(Route::Auto, true), [&[(2, By::Link), (3, By::Link)][..], &signals[..]].concat());
        assert_eq!(plan(Route::Auto, false), signals);
        assert_eq!(plan(Route::Signals, true), signals);
        let links = [(2, By::Link), (3, By::Link)];
        assert_eq!(plan(Route::Direct, true), [links, links].concat());
        assert_eq!(plan(Route::Direct, false), []);
    }

    #[test]
    fn what_does_not_fit_into_a_signal_goes_by_links_alone() {
        let large = Size { by_links_only: true, ..Size::default() };
        assert_eq!(plan_sized(Route::Auto, true, large), [(2, By::Link), (3, By::Link)]);
        assert_eq!(plan_sized(Route::Signals, true, large), []);
    }

    #[test]
    fn only_what_another_can_do_better_is_tried_again() {
        let refused = |reason| AskError::Refused { provider: "p".into(), reason, detail: String::new() };
        let gone = AskError::ProviderGone { provider: "p".into(), tokens: 3 };
        assert_eq!(after(&gone, false), Step::AnotherWay);
        assert_eq!(after(&refused(RefuseReason::Busy), true), Step::AnotherProvider);
        assert_eq!(after(&refused(RefuseReason::CannotSee), true), Step::AnotherProvider);
        assert_eq!(after(&refused(RefuseReason::NotAdmitted), true), Step::AnotherProvider);
        assert_eq!(after(&refused(RefuseReason::PromptTooLong), true), Step::GiveUp);
        assert_eq!(after(&refused(RefuseReason::Malformed), true), Step::GiveUp);
        assert_eq!(after(&AskError::Draining, true), Step::GiveUp);
    }
}
