//! A requester: what it remembers, and how it decides by the protocol's own code from what it can know.

use crate::dht::{Dht, Found};
use crate::fleet::{need, round_trips_us, Fleet, Request};
use crate::memory::{Memory, Peer};
use crate::world::{Kind, Time, World};
use ainonymous_protocol::breaker::Breakers;
use ainonymous_protocol::buckets::Census;
use ainonymous_protocol::choosing::{
    choose, plan, probe_patience_us, Candidate, Demands, Estimate, Kinship, Probed, PROBE_WAIT_US,
};
use ainonymous_protocol::hedge::{overdue_us, patience_us, Hedge, Hedged, Step};
use ainonymous_protocol::history::Outcome;
use ainonymous_protocol::reports::{to_tell, Report, Standing, Word};
use ainonymous_protocol::timing::SIGNALS;
use ainonymous_protocol::RANDOM_BYTES;
use rand::Rng;

/// A requester remembers so many peers that answered it, those of late.
const KNOWN_MAX: usize = 64;

/// One requester.
#[derive(Debug)]
pub(crate) struct Requester {
    number: u32,
    census: Census,
    memory: Memory,
    breakers: Breakers<u32>,
    known: Vec<u32>,
    /// Who answered last in the session.
    holder: Option<u32>,
}

/// A request between probing and asking.
#[derive(Debug)]
pub(crate) struct Pending {
    /// What is asked.
    pub(crate) request: Request,
    /// Who might answer.
    candidates: Vec<u32>,
    /// When the replies are in.
    pub(crate) ready_us: Time,
    /// Bucket reads.
    pub(crate) reads: usize,
    /// Probes sent.
    pub(crate) probes: usize,
    /// Who replied in time.
    pub(crate) heard: Vec<u32>,
}

impl Pending {
    /// How many might answer.
    pub(crate) fn candidates(&self) -> usize {
        self.candidates.len()
    }
}

/// Whom a request went to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// Who accepted.
    pub(crate) provider: u32,
    /// When it was asked.
    pub(crate) asked_us: Time,
    /// Whether it had the prefix.
    pub(crate) cached: bool,
    /// How long after that its first token is overdue, for those who give up.
    pub(crate) overdue_us: Option<Time>,
    /// Whether somebody else was asked before.
    pub(crate) hedged: bool,
}

impl Requester {
    /// Knows nothing.
    pub(crate) fn new(number: u32) -> Self {
        Self {
            number,
            census: Census::default(),
            memory: Memory::default(),
            breakers: Breakers::default(),
            known: Vec::new(),
            holder: None,
        }
    }

    /// Finds candidates and probes some of them.
    pub(crate) fn begin(
        &mut self,
        (world, fleet, dht): (&World, &Fleet, &mut Dht),
        request: Request,
        now_us: Time,
        dice: &mut impl Rng,
    ) -> Pending {
        let Found { providers, reads } = dht.search(world, &mut self.census, dice);
        let mut candidates = self.known.clone();
        candidates.extend(providers.into_iter().filter(|n| !self.known.contains(n)));
        // Who has a conversation's beginning is known, however little else is.
        let holder = self.holder_for(&request).filter(|n| !candidates.contains(n));
        candidates.extend(holder);
        let chosen = {
            let views = self.views(world, &request, &candidates, now_us);
            plan(need(&request), &Demands::NONE, &views, now_us, &bytes(dice)).unwrap_or_default()
        };
        let replies = chosen.iter().map(|at| self.replies_after(world, fleet, candidates[*at]));
        let mut replies: Vec<(Time, u32)> = replies.zip(&chosen).map(|(us, at)| (us, candidates[*at])).collect();
        replies.sort_unstable();
        let (mut patience_us, mut heard) = (PROBE_WAIT_US, Vec::new());
        for (reply_us, number) in &replies {
            if *reply_us > patience_us || *reply_us >= PROBE_WAIT_US {
                break;
            }
            let probed = said(world, fleet, *number, *reply_us, now_us);
            patience_us = patience_us.min(probe_patience_us(*reply_us, &probed));
            self.memory.probed(*number, probed);
            self.breakers.on_success(number);
            heard.push(*number);
        }
        // If all have replied, nobody waits on.
        let ready_us = now_us + replies.last().map_or(0, |(last_us, _)| *last_us).min(patience_us);
        for (_, number) in replies.iter().filter(|(_, number)| !reacts(world, fleet, *number)) {
            self.breakers.on_failure(number, now_us);
        }
        Pending { request, candidates, ready_us, reads, probes: chosen.len(), heard }
    }

    /// What this requester tells whoever asks one of its own providers.
    pub(crate) fn tells(&self, dice: &mut impl Rng) -> Vec<Report<u32>> {
        to_tell(self.memory.seen(), dice.random::<u32>() as usize)
    }

    /// Whether somebody who was probed is asked what it saw of others.
    pub(crate) fn asks_reports(&mut self, world: &World, of: u32, now_us: Time) -> bool {
        let own = self.memory.of(of).and_then(Peer::own);
        let counts = Standing::of(Kinship::Public, world.providers[of as usize].claimed(), own).is_some();
        counts && self.memory.may_ask_reports(of, now_us)
    }

    /// Somebody who was probed tells of others.
    pub(crate) fn hear(&mut self, world: &World, by: u32, told: &[Report<u32>], now_us: Time) {
        let own = self.memory.of(by).and_then(Peer::own);
        let claimed = world.providers[by as usize].claimed();
        let Some(standing) = Standing::of(Kinship::Public, claimed, own) else { return };
        for Report { agent, speed, troubled_permille } in told.iter().filter(|report| report.agent != by) {
            let word = Word { standing, speed: *speed, troubled_permille: *troubled_permille };
            self.memory.told(*agent, by, word, now_us);
        }
    }

    /// Chooses and asks; nobody if nobody accepts.
    pub(crate) fn ask(
        &mut self,
        (world, fleet): (&World, &Fleet),
        pending: &Pending,
        now_us: Time,
        dice: &mut impl Rng,
    ) -> Option<Asked> {
        let Pending { request, candidates, .. } = pending;
        let (order, first_tokens_us): (Vec<Hedged>, Vec<(usize, Time)>) = {
            let views = self.views(world, request, candidates, now_us);
            let choice = choose(need(request), &Demands::NONE, &views, now_us, &bytes(dice)).ok()?;
            let all = choice.order.iter().zip(&choice.reasons);
            all.map(|(at, why)| {
                let Estimate { round_trips_us, first_token_us, .. } = why.expected;
                (Hedged { candidate: *at, patience_us: patience_us(round_trips_us) }, (*at, first_token_us))
            })
            .unzip()
        };
        let mut asked = self.race((world, fleet), request, candidates, &order, now_us)?;
        let expected = first_tokens_us.iter().find(|(at, _)| candidates[*at] == asked.provider);
        asked.overdue_us = expected.map(|(_, first_token_us)| overdue_us(*first_token_us));
        self.holder = Some(asked.provider);
        self.memory.asked(asked.provider);
        Some(asked)
    }

    /// The hedge's own story: those who are there accept after their round trips, the others never do.
    fn race(
        &mut self,
        (world, fleet): (&World, &Fleet),
        request: &Request,
        candidates: &[u32],
        order: &[Hedged],
        mut now_us: Time,
    ) -> Option<Asked> {
        let mut hedge = Hedge::new(order.iter().copied(), SIGNALS.silence_us);
        let mut accepts: Vec<(Time, usize, Time)> = Vec::new();
        let mut steps = hedge.start(now_us);
        loop {
            for step in steps {
                match step {
                    Step::Ask(at) if reacts(world, fleet, candidates[at]) => {
                        let trips_us = round_trips_us(world, candidates[at], self.number, self.is_warm(candidates[at]));
                        accepts.push((now_us + trips_us, at, now_us));
                    }
                    Step::Ask(at) | Step::Cancel(at) => {
                        // Whoever was told to stop may accept after that: nobody listens.
                        accepts.retain(|(_, accepting, _)| *accepting != at);
                        self.breakers.on_failure(&candidates[at], now_us)
                    }
                    Step::Won { candidate, hedged } => {
                        let asked_us = accepts.iter().find(|(_, at, _)| *at == candidate).map_or(now_us, |a| a.2);
                        let provider = candidates[candidate];
                        let cached = self.is_cached(request, provider);
                        return Some(Asked { provider, asked_us, cached, hedged, overdue_us: None });
                    }
                    Step::Exhausted => return None,
                }
            }
            let accepted = accepts.iter().min().copied();
            let tick_us = hedge.next_tick_us();
            steps = match (accepted, tick_us) {
                (Some((at_us, at, _)), tick) if tick.is_none_or(|tick| at_us <= tick) => {
                    now_us = at_us;
                    hedge.on_accepted(at).into_iter().filter(|step| !matches!(step, Step::Cancel(_))).collect()
                }
                (_, Some(tick)) => {
                    now_us = tick;
                    hedge.on_tick(tick)
                }
                (_, None) => return None,
            };
        }
    }

    /// A request ended.
    pub(crate) fn observe(&mut self, provider: u32, outcome: Outcome, now_us: Time) {
        self.memory.observe(provider, outcome, now_us);
        match outcome {
            Outcome::Failed => self.breakers.on_failure(&provider, now_us),
            Outcome::Late { .. } => {}
            Outcome::Answered { .. } => self.breakers.on_success(&provider),
        }
        self.known.retain(|n| *n != provider);
        if self.known.len() == KNOWN_MAX {
            self.known.remove(0);
        }
        self.known.push(provider);
    }

    fn views<'a>(
        &'a self,
        world: &'a World,
        request: &Request,
        candidates: &[u32],
        now_us: Time,
    ) -> Vec<Candidate<'a>> {
        let view = |number: &u32| {
            let provider = &world.providers[*number as usize];
            let peer = self.memory.of(*number);
            Candidate {
                own: peer.and_then(Peer::own),
                reported: self.memory.words(*number, now_us),
                probed: peer.and_then(|peer| peer.probed),
                asked_since: peer.map_or(0, |peer| peer.asked_since),
                breaker: self.breakers.state(number, now_us),
                warm: self.is_warm(*number),
                prefix_tokens: if self.is_cached(request, *number) { request.prefix_tokens } else { 0 },
                ..Candidate::stranger(&provider.agent, provider.claimed())
            }
        };
        candidates.iter().map(view).collect()
    }

    /// How long the reply to a probe takes, or the wait for none.
    fn replies_after(&self, world: &World, fleet: &Fleet, number: u32) -> Time {
        if reacts(world, fleet, number) {
            round_trips_us(world, number, self.number, true)
        } else {
            PROBE_WAIT_US
        }
    }

    fn is_warm(&self, provider: u32) -> bool {
        self.holder == Some(provider)
    }

    fn is_cached(&self, request: &Request, provider: u32) -> bool {
        request.prefix_tokens > 0 && self.holder == Some(provider)
    }

    /// Who answered last in the session that this request continues.
    pub(crate) fn holder_for(&self, request: &Request) -> Option<u32> {
        self.holder.filter(|_| request.prefix_tokens > 0)
    }

    /// The session went on there: for a policy that decides elsewhere.
    pub(crate) fn hold(&mut self, provider: u32) {
        self.holder = Some(provider);
    }
}

/// What a reply says: what was true when the probe arrived there, except what liars say.
fn said(world: &World, fleet: &Fleet, number: u32, round_trip_us: Time, now_us: Time) -> Probed {
    let provider = &world.providers[number as usize];
    let probed = fleet.probe(world, number, round_trip_us, now_us);
    match provider.kind {
        Kind::Liar => Probed { queue_depth: 0, slots: 64, free_slots: 64, speed: provider.claimed(), ..probed },
        Kind::Honest | Kind::Silent => probed,
    }
}

fn reacts(world: &World, fleet: &Fleet, number: u32) -> bool {
    fleet.is_online(number) && world.providers[number as usize].kind != Kind::Silent
}

fn bytes(dice: &mut impl Rng) -> [u8; RANDOM_BYTES] {
    let mut random = [0; RANDOM_BYTES];
    dice.fill(&mut random);
    random
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever accepts after it was told to stop is not waited for: that once went on for ever, in networks so large that most are strangers.
    #[test]
    fn a_race_ends_though_the_first_accepts_after_it_was_told_to_stop() {
        let world = World::new(100, 1, 1, 0);
        let mut fleet = Fleet::new(100);
        (0..100).for_each(|provider| drop(fleet.toggle(provider, 0)));
        let candidates: Vec<u32> =
            (0..100).filter(|n| world.providers[*n as usize].kind == Kind::Honest).take(4).collect();
        let order: Vec<Hedged> = (0..4).map(|candidate| Hedged { candidate, patience_us: 1 }).collect();
        let request = Request {
            requester: 0,
            prompt_tokens: 10,
            prefix_tokens: 0,
            answer_tokens: 10,
            arrived_us: 0,
            measured: true,
            again: false,
        };
        let asked = Requester::new(0).race((&world, &fleet), &request, &candidates, &order, 0);
        let asked = asked.expect("the last two are still asked");
        assert!(candidates[2..].contains(&asked.provider) && asked.hedged);
    }
}
