//! A requester: what it remembers, and how it decides by the protocol's own code from what it can know.

use crate::dht::{Dht, Found};
use crate::fleet::{need, round_trips_us, Fleet, Request};
use crate::world::{Kind, Time, World};
use ainonymous_protocol::breaker::Breakers;
use ainonymous_protocol::buckets::Census;
use ainonymous_protocol::choosing::{choose, plan, Candidate, Demands, Estimate, Probed, PROBE_WAIT_US};
use ainonymous_protocol::hedge::{overdue_us, Hedge, Hedged, Step};
use ainonymous_protocol::history::{History, Outcome};
use ainonymous_protocol::RANDOM_BYTES;
use rand::Rng;
use std::collections::BTreeMap;

/// A requester remembers so many peers that answered it, those of late.
const KNOWN_MAX: usize = 64;
/// And something of so many peers, good and bad.
const HISTORY_MAX: usize = 512;
/// And the last replies to probes of so many.
const PROBES_KEPT_MAX: usize = 256;

/// One requester.
#[derive(Debug)]
pub(crate) struct Requester {
    number: u32,
    census: Census,
    history: History,
    breakers: Breakers,
    known: Vec<u32>,
    probed: BTreeMap<u32, (Probed, u32)>,
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
            history: History::bounded(HISTORY_MAX),
            breakers: Breakers::default(),
            known: Vec::new(),
            probed: BTreeMap::new(),
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
        let chosen = {
            let views = self.views(world, &request, &candidates, now_us);
            plan(need(&request), &Demands::NONE, &views, now_us, &bytes(dice)).unwrap_or_default()
        };
        let mut ready_us = now_us;
        for at in &chosen {
            ready_us = ready_us.max(now_us + self.probe(world, fleet, candidates[*at], now_us));
        }
        Pending { request, candidates, ready_us, reads, probes: chosen.len() }
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
                (Hedged { candidate: *at, round_trips_us }, (*at, first_token_us))
            })
            .unzip()
        };
        let mut asked = self.race((world, fleet), request, candidates, &order, now_us)?;
        let expected = first_tokens_us.iter().find(|(at, _)| candidates[*at] == asked.provider);
        asked.overdue_us = expected.map(|(_, first_token_us)| overdue_us(*first_token_us));
        self.holder = Some(asked.provider);
        if let Some((_, since)) = self.probed.get_mut(&asked.provider) {
            *since += 1;
        }
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
        let mut hedge = Hedge::new(order.iter().copied());
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
                        self.breakers.on_failure(&world.providers[candidates[at] as usize].agent, now_us)
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
    pub(crate) fn observe(&mut self, world: &World, provider: u32, outcome: Outcome, now_us: Time) {
        let agent = &world.providers[provider as usize].agent;
        self.history.observe(&world.spec, agent, outcome, now_us);
        match outcome {
            Outcome::Failed => self.breakers.on_failure(agent, now_us),
            Outcome::Late { .. } => {}
            Outcome::Answered { .. } => self.breakers.on_success(agent),
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
            let last = self.probed.get(number);
            Candidate {
                own: self.history.of(&world.spec, &provider.agent),
                probed: last.map(|(probed, _)| *probed),
                asked_since: last.map_or(0, |(_, since)| *since),
                breaker: self.breakers.state(&provider.agent, now_us),
                warm: self.is_warm(*number),
                prefix_tokens: if self.is_cached(request, *number) { request.prefix_tokens } else { 0 },
                ..Candidate::stranger(&provider.agent, provider.claimed())
            }
        };
        candidates.iter().map(view).collect()
    }

    /// Sends a probe; how long its reply, or the wait for none, takes.
    fn probe(&mut self, world: &World, fleet: &Fleet, number: u32, now_us: Time) -> Time {
        let provider = &world.providers[number as usize];
        let round_trip_us = round_trips_us(world, number, self.number, true);
        if !reacts(world, fleet, number) {
            self.breakers.on_failure(&provider.agent, now_us);
            return PROBE_WAIT_US;
        }
        let mut probed = fleet.probe(world, number, round_trip_us, now_us);
        if provider.kind == Kind::Liar {
            probed = Probed { queue_depth: 0, slots: 64, free_slots: 64, speed: provider.claimed(), ..probed };
        }
        if self.probed.len() >= PROBES_KEPT_MAX {
            let oldest = self.probed.iter().min_by_key(|(_, (probed, _))| probed.at_us).map(|(n, _)| *n);
            oldest.and_then(|n| self.probed.remove(&n));
        }
        self.probed.insert(number, (probed, 0));
        self.breakers.on_success(&provider.agent);
        round_trip_us
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

fn reacts(world: &World, fleet: &Fleet, number: u32) -> bool {
    fleet.is_online(number) && world.providers[number as usize].kind != Kind::Silent
}

fn bytes(dice: &mut impl Rng) -> [u8; RANDOM_BYTES] {
    let mut random = [0; RANDOM_BYTES];
    dice.fill(&mut random);
    random
}
