//! One question under way to one provider, and a second provider beside it when the first is slow to its first word or nothing is heard
//! of it.
//!
//! Who is asked when, and who has won, `protocol::hedge` decides; this asks, listens to both and tells the loser to stop.

use crate::asking::{is_failure, Asker, Attempt, By, Ended, Run, Way};
use crate::choosing;
use crate::directory::Candidate;
use crate::evidence::{Asked, Said};
use crate::receipts::Told;
use crate::routing::{ask_error, micros};
use crate::{AnswerHead, AskError};
use ainonymous_protocol::hedge::{Hedge, Hedged, Step, HEDGE_ASKS_MAX};
use ainonymous_protocol::timing::DIRECT;
use ainonymous_protocol::{Effect, Failure, HandedPart, Question};
use ainonymous_types::{Ask, PeerSignal, RequestId};
use futures::future::BoxFuture;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A question that a provider has been asked.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) candidate: Candidate,
    pub(crate) ask: Ask,
    pub(crate) id: RequestId,
    pub(crate) question: Question,
    pub(crate) clock: Instant,
    pub(crate) head: Option<AnswerHead>,
    pub(crate) told: Told,
    pub(crate) way: Way,
    /// How many were before it when the provider last said so.
    pub(crate) queued: Option<u32>,
    /// From asking this provider to its first word.
    pub(crate) first_word: Option<Duration>,
    /// Who has said what was there before.
    pub(crate) begun_by: Vec<HandedPart>,
    /// What is kept of the question when it is answered.
    pub(crate) kept: Asked,
    /// What the provider has said.
    pub(crate) said: Said,
}

/// Whoever waits for an answer hears after this long whose it will be: if neither of two has said a word, the shorter queue decides.
const SETTLE: Duration = Duration::from_secs(10);

impl Opened {
    /// What happens next. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Vec<Effect> {
        let now = micros(self.clock.elapsed());
        let tick = Duration::from_micros(self.question.next_tick_us().saturating_sub(now));
        let next_chunk = self.question.next_chunk();
        tokio::select! {
            arrived = self.way.recv(&self.candidate.agent, next_chunk) => match arrived {
                Some((from, signal)) => self.question.on_signal(&from, signal, micros(self.clock.elapsed())),
                None => self.question.on_lost(),
            },
            () = tokio::time::sleep(tick) => self.question.on_tick(micros(self.clock.elapsed())),
        }
    }

    /// Says something to the provider.
    pub(crate) async fn say(&mut self, signal: PeerSignal) {
        self.way.send(&self.candidate.agent, signal).await;
    }

    /// Tells the provider that nobody waits any more.
    pub(crate) async fn cancel(&mut self) {
        if let Some(cancel) = self.question.cancel() {
            self.say(cancel).await;
        }
    }

    /// The question has failed: a provider that still speaks is told to stop.
    pub(crate) async fn failed(&mut self, failure: Failure) -> AskError {
        if failure != Failure::Silent {
            self.say(PeerSignal::Cancel { id: self.id }).await;
        }
        ask_error(failure, &self.candidate.agent)
    }
}

/// What some effects of a question mean for the race.
enum News {
    /// No word yet.
    Nothing,
    /// The first word, or the whole answer: these effects are still to be carried out.
    Word(Vec<Effect>),
    /// There will be none.
    Failed(AskError),
}

/// Asks a provider; and, over links only, the next ones as well if this one is slow to its first word, or nothing is heard of it. Says
/// whose end it was.
pub(crate) async fn ask(asker: &mut Asker, attempt: Attempt, rest: &mut VecDeque<Attempt>) -> (Candidate, Ended) {
    choosing::asks(&asker.node, &attempt.candidate);
    let may_hedge = attempt.by == By::Link && asker.handed.is_empty();
    asker.tried_links |= attempt.by == By::Link;
    let waiting = if may_hedge { beside(&attempt.candidate, rest) } else { VecDeque::new() };
    if !waiting.is_empty() {
        let mut race = Race::begin(asker, attempt, waiting);
        let ended = Box::pin(race.run(asker)).await;
        race.give_back(rest);
        return ended;
    }
    let candidate = attempt.candidate.clone();
    match asker.open(attempt).await {
        Ok(opened) => (candidate, Run { asker, opened }.run(vec![]).await),
        Err(ended) => (candidate, ended),
    }
}

/// Takes those out of the line who are somebody else and can be reached by a link, as many as may be asked for one question.
fn beside(first: &Candidate, rest: &mut VecDeque<Attempt>) -> VecDeque<Attempt> {
    let mut beside: VecDeque<Attempt> = VecDeque::new();
    let mut left = VecDeque::new();
    for attempt in rest.drain(..) {
        let new = |a: &Attempt| a.candidate.agent != attempt.candidate.agent;
        let fits = attempt.by == By::Link && attempt.candidate.agent != first.agent && beside.iter().all(new);
        if fits && beside.len() + 1 < HEDGE_ASKS_MAX {
            beside.push_back(attempt);
        } else {
            left.push_back(attempt);
        }
    }
    *rest = left;
    beside
}

/// Somebody who has been asked in a race.
struct Racer {
    number: usize,
    attempt: Attempt,
    state: State,
    begun: Instant,
    /// When it was last noticed that nothing is heard of it.
    noticed: Option<Instant>,
}

enum State {
    /// A link to it is sought.
    Opening(BoxFuture<'static, Result<Opened, Ended>>),
    Asked(Box<Opened>),
}

#[allow(clippy::large_enum_variant)] // Short-lived, one at a time.
enum Happened {
    Opened(Result<Opened, Ended>),
    Effects(Vec<Effect>),
}

impl Racer {
    /// What happens next. Cancel-safe.
    async fn next(&mut self) -> Happened {
        match &mut self.state {
            State::Opening(opening) => Happened::Opened(opening.await),
            State::Asked(opened) => Happened::Effects(opened.next().await),
        }
    }

    /// When it is unusually quiet, for the first time or again.
    fn quiet_at(&self) -> Instant {
        let quiet_us = match &self.state {
            State::Opening(_) => DIRECT.quiet_us(),
            State::Asked(opened) => opened.question.quiet_at_us(),
        };
        let since = match &self.state {
            State::Opening(_) => self.begun,
            State::Asked(opened) => opened.clock,
        };
        let at = since + Duration::from_micros(quiet_us);
        self.noticed.map_or(at, |noticed| at.max(noticed + Duration::from_micros(DIRECT.quiet_us())))
    }

    fn queued(&self) -> u32 {
        match &self.state {
            State::Opening(_) => u32::MAX,
            State::Asked(opened) => opened.queued.unwrap_or(0),
        }
    }

    async fn cancel(&mut self) {
        if let State::Asked(opened) = &mut self.state {
            opened.cancel().await;
        }
    }
}

/// The same question to one, two or, where those are quiet, some more, until one says a word.
struct Race {
    hedge: Hedge,
    /// Who is asked now, the earlier one first.
    asked: Vec<Racer>,
    /// Who may still be, by number.
    waiting: VecDeque<(usize, Attempt)>,
    /// Those who were told to stop though nobody had said a word: they are there to be asked again.
    again: Vec<Attempt>,
    /// Who was asked first.
    chosen: Candidate,
    clock: Instant,
}

/// What came of one thing that happened in a race.
#[allow(clippy::large_enum_variant)] // Short-lived, one at a time.
enum Turn {
    /// It goes on.
    On,
    /// One has won, with these effects still to be carried out.
    Won(Box<Opened>, Vec<Effect>),
    /// Nobody is left.
    Over(Candidate, Ended),
}

impl Race {
    fn begin(asker: &Asker, first: Attempt, waiting: VecDeque<Attempt>) -> Self {
        let mut order = vec![Hedged { candidate: 0, patience_us: first.slow_us }];
        // Only the first is hurried: whoever computes beside it is not stopped for a third.
        order.extend((1..=waiting.len()).map(|candidate| Hedged { candidate, patience_us: u64::MAX }));
        // Silence is judged by each question itself.
        let mut hedge = Hedge::new(order, u64::MAX);
        hedge.start(0);
        let (clock, chosen) = (Instant::now(), first.candidate.clone());
        let state = State::Opening(asker.opener(first.clone()));
        let asked = vec![Racer { number: 0, attempt: first, state, begun: clock, noticed: None }];
        let waiting = waiting.into_iter().enumerate().map(|(at, attempt)| (at + 1, attempt)).collect();
        Self { hedge, asked, waiting, again: Vec::new(), chosen, clock }
    }

    /// Whoever was not asked, or may be asked again, is in line as before.
    fn give_back(self, rest: &mut VecDeque<Attempt>) {
        let Self { waiting, again, .. } = self;
        for attempt in again.into_iter().chain(waiting.into_iter().map(|(_, attempt)| attempt)).rev() {
            rest.push_front(attempt);
        }
    }

    async fn run(&mut self, asker: &mut Asker) -> (Candidate, Ended) {
        let (cut, events) = (asker.node.inner.cut.clone(), asker.events.clone());
        loop {
            if let Some(opened) = self.only_one() {
                return Box::pin(run(asker, *opened, vec![])).await;
            }
            let due = self.due();
            let first = 1.min(self.asked.len());
            let (one, others) = self.asked.split_at_mut(first);
            let (who, happened) = tokio::select! {
                happened = next_of(one.first_mut()) => (0, happened),
                happened = next_of(others.first_mut()) => (1, happened),
                () = sleep_until(due) => {
                    if let Some(opened) = self.settle(asker).await {
                        return Box::pin(run(asker, *opened, vec![])).await;
                    }
                    self.hurry(asker).await;
                    continue;
                }
                () = cut.cancelled() => {
                    let left = self.leave().await;
                    asker.fail(AskError::Draining).await;
                    return left;
                }
                () = events.closed() => return self.leave().await,
            };
            match self.take(asker, who, happened).await {
                Turn::On => {}
                Turn::Won(opened, effects) => return Box::pin(run(asker, *opened, effects)).await,
                Turn::Over(candidate, ended) => return (candidate, ended),
            }
        }
    }

    /// The one who is left, if it is asked and nobody else may be.
    fn only_one(&mut self) -> Option<Box<Opened>> {
        let alone = self.asked.len() == 1 && !self.hedge.may_ask();
        match self.asked.pop_if(|racer| alone && matches!(racer.state, State::Asked(_)))?.state {
            State::Asked(opened) => Some(opened),
            State::Opening(_) => None,
        }
    }

    /// When there is something to do though nothing happens.
    fn due(&self) -> Option<Instant> {
        let settle = self.both_compute().then(|| self.clock + SETTLE);
        let quiet = self.asked.iter().map(Racer::quiet_at).min();
        let slow = self.hedge.next_tick_us().and_then(|us| self.clock.checked_add(Duration::from_micros(us)));
        let hurry = [quiet, slow].into_iter().flatten().min().filter(|_| self.hedge.may_ask());
        [settle, hurry].into_iter().flatten().min()
    }

    /// Asks the next where the first is slow, or one of them is quiet, and there is a budget for it.
    async fn hurry(&mut self, asker: &Asker) {
        let (now, now_us) = (Instant::now(), micros(self.clock.elapsed()));
        let quiet = self.asked.iter_mut().find(|racer| racer.quiet_at() <= now);
        let quiet = quiet.map(|racer| {
            racer.noticed = Some(now);
            racer.number
        });
        if quiet.is_none() && self.hedge.next_tick_us().is_none_or(|due_us| now_us < due_us) {
            return;
        }
        if !choosing::may_hedge(&asker.node) {
            return self.hedge.ask_no_more();
        }
        let steps = match quiet {
            Some(number) => self.hedge.on_quiet(number, now_us),
            None => self.hedge.on_tick(now_us),
        };
        self.carry_out(asker, steps).await;
    }

    async fn carry_out(&mut self, asker: &Asker, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Ask(number) => self.ask(asker, number),
                Step::Cancel(number) => {
                    let Some(at) = self.asked.iter().position(|racer| racer.number == number) else { continue };
                    let mut racer = self.asked.remove(at);
                    racer.cancel().await;
                    count_wasted(asker, &racer);
                    // It has made room because nothing was heard of it.
                    let candidate = &racer.attempt.candidate;
                    note_failure(asker, candidate, &ask_error(Failure::Silent, &candidate.agent));
                }
                Step::Won { .. } | Step::Exhausted => {}
            }
        }
    }

    fn ask(&mut self, asker: &Asker, number: usize) {
        let Some(at) = self.waiting.iter().position(|(waiting, _)| *waiting == number) else { return };
        let Some((_, attempt)) = self.waiting.remove(at) else { return };
        asker.node.inner.counts.hedged.fetch_add(1, Ordering::Relaxed);
        choosing::asks(&asker.node, &attempt.candidate);
        let opening = asker.opener(Attempt { reason: attempt.reason.hedged(), ..attempt.clone() });
        let (state, begun) = (State::Opening(opening), Instant::now());
        self.asked.push(Racer { number, attempt, state, begun, noticed: None });
    }

    async fn take(&mut self, asker: &Asker, who: usize, happened: Happened) -> Turn {
        let mut racer = self.asked.remove(who);
        let failed = match (happened, &mut racer.state) {
            (Happened::Opened(Ok(opened)), _) => {
                racer.state = State::Asked(Box::new(opened));
                self.asked.insert(who, racer);
                return Turn::On;
            }
            (Happened::Opened(Err(ended)), _) => ended,
            // Only whoever has been asked has effects.
            (Happened::Effects(_), State::Opening(_)) => return Turn::On,
            (Happened::Effects(effects), State::Asked(opened)) => match news(opened, effects).await {
                News::Nothing => {
                    self.asked.insert(who, racer);
                    return Turn::On;
                }
                News::Word(effects) => {
                    self.hedge.on_accepted(racer.number);
                    self.end(asker, racer.number).await;
                    let State::Asked(opened) = racer.state else { return Turn::On };
                    return Turn::Won(opened, effects);
                }
                News::Failed(e) => Ended::Failed(e),
            },
        };
        let candidate = racer.attempt.candidate;
        if self.asked.is_empty() {
            return Turn::Over(candidate, failed);
        }
        // Another one is asked already: it is waited for, and hurried as if it had been the first.
        if let Ended::Failed(e) = failed {
            note_failure(asker, &candidate, &e);
        }
        let steps = self.hedge.on_failed(racer.number, micros(self.clock.elapsed()));
        if steps.iter().any(|step| matches!(step, Step::Ask(_))) && !choosing::may_hedge(&asker.node) {
            self.hedge.ask_no_more();
        } else {
            self.carry_out(asker, steps).await;
        }
        Turn::On
    }

    fn both_compute(&self) -> bool {
        self.asked.len() == 2 && self.asked.iter().all(|racer| matches!(racer.state, State::Asked(_)))
    }

    /// Two compute and neither has said a word for long: the shorter queue decides; if none is, the later one, for the first has taken
    /// longer than it should.
    async fn settle(&mut self, asker: &Asker) -> Option<Box<Opened>> {
        if !self.both_compute() || self.clock.elapsed() < SETTLE {
            return None;
        }
        let who = usize::from(self.asked.first()?.queued() >= self.asked.get(1)?.queued());
        let racer = self.asked.remove(who);
        self.again.extend(self.asked.iter().map(|loser| loser.attempt.clone()));
        self.end(asker, racer.number).await;
        match racer.state {
            State::Asked(opened) => Some(opened),
            State::Opening(_) => None,
        }
    }

    /// The race is over: whoever else is asked is told to stop, and what it did for nothing is counted. Being second is no failure; of
    /// whoever was asked before the winner it is remembered that its word came later than it should.
    async fn end(&mut self, asker: &Asker, winner: usize) {
        let losers: Vec<Racer> = self.asked.drain(..).collect();
        if winner > 0 {
            asker.node.inner.counts.hedges_won.fetch_add(1, Ordering::Relaxed);
        }
        for mut loser in losers {
            loser.cancel().await;
            let waited_us = count_wasted(asker, &loser);
            if loser.number < winner {
                asker.node.inner.chooser.late(&loser.attempt.candidate, waited_us);
            }
        }
    }

    /// Nobody waits any more: whoever was asked is told to stop.
    async fn leave(&mut self) -> (Candidate, Ended) {
        for racer in &mut self.asked {
            racer.cancel().await;
        }
        (self.chosen.clone(), Ended::Left)
    }
}

fn count_wasted(asker: &Asker, racer: &Racer) -> u64 {
    let waited_us = micros(racer.begun.elapsed());
    asker.node.inner.counts.hedge_wasted_us.fetch_add(waited_us, Ordering::Relaxed);
    waited_us
}

async fn run(asker: &mut Asker, opened: Opened, effects: Vec<Effect>) -> (Candidate, Ended) {
    let candidate = opened.candidate.clone();
    let queued = opened.queued.map(Effect::Queued).into_iter();
    (candidate, Run { asker, opened }.run(queued.chain(effects).collect()).await)
}

fn note_failure(asker: &Asker, candidate: &Candidate, e: &AskError) {
    tracing::debug!(code = e.code(), "one of those asked for the same did not answer");
    if is_failure(e) {
        asker.node.inner.chooser.failed(candidate);
    }
    asker.node.inner.counts.retried.fetch_add(1, Ordering::Relaxed);
}

/// What has happened, as far as the race goes; what a question needs to go on is done at once.
async fn news(opened: &mut Opened, effects: Vec<Effect>) -> News {
    let mut effects = effects.into_iter();
    while let Some(effect) = effects.next() {
        match effect {
            Effect::Resend(from_chunk) => opened.say(PeerSignal::Resend { id: opened.id, from_chunk }).await,
            Effect::AskAgain => opened.say(PeerSignal::Ask(opened.ask.clone())).await,
            // Whoever waits in a queue has not won: the asker is told of the queue when it is clear whose it is.
            Effect::Queued(position) => opened.queued = Some(position),
            Effect::Part(_) | Effect::Answered(_) => {
                return News::Word(std::iter::once(effect).chain(effects).collect())
            }
            Effect::Failed(failure) => return News::Failed(opened.failed(failure).await),
        }
    }
    News::Nothing
}

async fn next_of(racer: Option<&mut Racer>) -> Happened {
    match racer {
        Some(racer) => racer.next().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
