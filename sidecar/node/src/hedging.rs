//! One question under way to one provider, and a second provider beside it when the first is slow to its first word.
//!
//! Who is asked when, and who has won, `protocol::hedge` decides; this asks, listens to both and tells the loser to stop.

use crate::asking::{is_failure, Asker, Attempt, By, Ended, Run, Way};
use crate::choosing;
use crate::directory::Candidate;
use crate::evidence::{Asked, Said};
use crate::receipts::Told;
use crate::routing::{ask_error, micros};
use crate::{AnswerHead, AskError};
use ainonymous_protocol::hedge::{Hedge, Hedged, Step};
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
/// The first is the one that was chosen, the second is asked beside it.
const FIRST: usize = 0;
const SECOND: usize = 1;

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

/// Asks a provider; and, over links only, the next one as well if this one is slow to its first word. Says whose end it was.
pub(crate) async fn ask(asker: &mut Asker, attempt: Attempt, rest: &mut VecDeque<Attempt>) -> (Candidate, Ended) {
    let candidate = attempt.candidate.clone();
    choosing::asks(&asker.node, &candidate);
    let may_hedge = attempt.by == By::Link && asker.handed.is_empty() && beside(&candidate, rest).is_some();
    asker.tried_links |= attempt.by == By::Link;
    let again = attempt.clone();
    let opened = match asker.open(attempt).await {
        Ok(opened) => opened,
        Err(ended) => return (candidate, ended),
    };
    if may_hedge {
        Box::pin(race(asker, opened, again, rest)).await
    } else {
        (candidate, Run { asker, opened }.run(vec![]).await)
    }
}

/// The next in line who is somebody else and can be reached by a link.
fn beside(first: &Candidate, rest: &VecDeque<Attempt>) -> Option<usize> {
    rest.iter().position(|a| a.by == By::Link && a.candidate.agent != first.agent)
}

async fn race(asker: &mut Asker, first: Opened, attempt: Attempt, rest: &mut VecDeque<Attempt>) -> (Candidate, Ended) {
    let order = [
        Hedged { candidate: FIRST, patience_us: attempt.slow_us },
        Hedged { candidate: SECOND, patience_us: u64::MAX },
    ];
    // Silence is judged by each question itself.
    let mut hedge = Hedge::new(order, u64::MAX);
    let clock = first.clock;
    hedge.start(micros(clock.elapsed()));
    let chosen = first.candidate.clone();
    let mut asked = [Some(first), None];
    // Whoever is told to stop though nobody has said a word is there to be asked again.
    let mut attempts = [Some(attempt), None];
    let mut opening: Option<BoxFuture<'static, (Candidate, Result<Opened, Ended>)>> = None;
    let (cut, events) = (asker.node.inner.cut.clone(), asker.events.clone());
    loop {
        let both = asked.iter().all(Option::is_some);
        let due = if both { Some(SETTLE) } else { hedge.next_tick_us().map(Duration::from_micros) };
        let due = due.filter(|_| opening.is_none()).map(|due| due.saturating_sub(clock.elapsed()));
        let [one, two] = &mut asked;
        let (who, effects) = tokio::select! {
            effects = next_of(one) => (FIRST, effects),
            effects = next_of(two) => (SECOND, effects),
            (candidate, opened) = opened_of(&mut opening) => {
                opening = None;
                match opened {
                    Ok(opened) => asked[SECOND] = Some(opened),
                    Err(ended) => {
                        // The second cannot be reached: the first is waited for as if nothing had been.
                        let Some(opened) = asked[FIRST].take() else { return (candidate, ended) };
                        if let Ended::Failed(e) = ended {
                            note_failure(asker, &candidate, &e);
                        }
                        return run(asker, opened, vec![]).await;
                    }
                }
                continue;
            }
            () = sleep_for(due), if both => {
                let who = shorter(&asked);
                let (winner, loser) = (asked[who].take(), asked[1 - who].take());
                finish_race(asker, who, loser, true).await;
                if let Some(again) = attempts[1 - who].take() {
                    rest.push_front(again);
                }
                let Some(opened) = winner else { continue };
                return run(asker, opened, vec![]).await;
            }
            () = sleep_for(due), if !both => {
                let steps = hedge.on_tick(micros(clock.elapsed()));
                if steps.contains(&Step::Ask(SECOND)) {
                    let next = asked[FIRST].as_ref().and_then(|first| beside(&first.candidate, rest));
                    match next.filter(|_| choosing::may_hedge(&asker.node)).and_then(|at| rest.remove(at)) {
                        Some(attempt) => {
                            asker.node.inner.counts.hedged.fetch_add(1, Ordering::Relaxed);
                            choosing::asks(&asker.node, &attempt.candidate);
                            let candidate = attempt.candidate.clone();
                            attempts[SECOND] = Some(attempt.clone());
                            let open = asker.opener(Attempt { reason: attempt.reason.hedged(), ..attempt });
                            opening = Some(Box::pin(async move { (candidate, open.await) }));
                        }
                        // Nobody may be asked beside it: it is the only one from now on.
                        None => {
                            if let Some(opened) = asked[FIRST].take() {
                                return run(asker, opened, vec![]).await;
                            }
                        }
                    }
                }
                continue;
            }
            () = cut.cancelled() => {
                leave(&mut asked).await;
                asker.fail(AskError::Draining).await;
                return (chosen, Ended::Left);
            }
            () = events.closed() => {
                leave(&mut asked).await;
                return (chosen, Ended::Left);
            }
        };
        let Some(mut opened) = asked[who].take() else { continue };
        match news(&mut opened, effects).await {
            News::Nothing => asked[who] = Some(opened),
            News::Word(effects) => {
                let hedged = !matches!((&asked[FIRST], &asked[SECOND], &opening), (None, None, None));
                hedge.on_accepted(who);
                let loser = asked[1 - who].take();
                finish_race(asker, who, loser, hedged).await;
                return run(asker, opened, effects).await;
            }
            News::Failed(e) => {
                let candidate = opened.candidate;
                hedge.on_failed(who, micros(clock.elapsed()));
                if let Some(other) = asked[1 - who].take() {
                    note_failure(asker, &candidate, &e);
                    return run(asker, other, vec![]).await;
                }
                if let Some(opening) = opening.take() {
                    note_failure(asker, &candidate, &e);
                    return match opening.await {
                        (_, Ok(opened)) => run(asker, opened, vec![]).await,
                        (candidate, Err(ended)) => (candidate, ended),
                    };
                }
                return (candidate, Ended::Failed(e));
            }
        }
    }
}

async fn run(asker: &mut Asker, opened: Opened, effects: Vec<Effect>) -> (Candidate, Ended) {
    let candidate = opened.candidate.clone();
    let queued = opened.queued.map(Effect::Queued).into_iter();
    (candidate, Run { asker, opened }.run(queued.chain(effects).collect()).await)
}

/// Who of two is sooner to have its turn; if neither is, the second, for the first has taken longer than it should.
fn shorter(asked: &[Option<Opened>; 2]) -> usize {
    let queue = |who: usize| asked[who].as_ref().map_or(u32::MAX, |opened| opened.queued.unwrap_or(0));
    if queue(FIRST) < queue(SECOND) {
        FIRST
    } else {
        SECOND
    }
}

/// The race is over: the loser is told to stop, and what it did for nothing is counted. Being second is no failure; of the first it is
/// remembered that its word came later than it should.
async fn finish_race(asker: &Asker, winner: usize, loser: Option<Opened>, hedged: bool) {
    let counts = &asker.node.inner.counts;
    if hedged && winner == SECOND {
        counts.hedges_won.fetch_add(1, Ordering::Relaxed);
    }
    let Some(mut loser) = loser else { return };
    loser.cancel().await;
    let waited_us = micros(loser.clock.elapsed());
    counts.hedge_wasted_us.fetch_add(waited_us, Ordering::Relaxed);
    if winner == SECOND {
        asker.node.inner.chooser.late(&loser.candidate, waited_us);
    }
}

fn note_failure(asker: &Asker, candidate: &Candidate, e: &AskError) {
    tracing::debug!(code = e.code(), "one of two providers asked for the same did not answer");
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

async fn next_of(opened: &mut Option<Opened>) -> Vec<Effect> {
    match opened {
        Some(opened) => opened.next().await,
        None => std::future::pending().await,
    }
}

async fn opened_of<T>(opening: &mut Option<BoxFuture<'static, T>>) -> T {
    match opening {
        Some(opening) => opening.await,
        None => std::future::pending().await,
    }
}

async fn sleep_for(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

/// Nobody waits any more: whoever was asked is told to stop.
async fn leave(asked: &mut [Option<Opened>; 2]) {
    for opened in asked.iter_mut().flatten() {
        opened.cancel().await;
    }
}
