//! Events in the order of their time: requests arrive, are placed, run and end; machines come and go.

use crate::dht::Dht;
use crate::figures::Figures;
use crate::fleet::{expected, prefill_us, round_trips_us, Fleet, Job, Request, Started};
use crate::oracle::{best_now, BestOfFour, Oracle};
use crate::requester::{Asked, Pending, Requester};
use crate::world::{exponential, online_at_first, until_change_us, Kind, Time, World};
use ainonymous_protocol::history::Outcome;
use ainonymous_protocol::reports::{Report, REPORTS_MAX};
use ainonymous_protocol::Speed;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// An answer has so many tokens on average, in the same proportions as many small and few large ones have.
const ANSWER_TOKENS_MEAN: f64 = ainonymous_protocol::choosing::ANSWER_TOKENS_TYPICAL as f64;
/// New words in a prompt.
const NEW_TOKENS: std::ops::Range<u32> = 50..400;
/// What liars say of their kind, in tokens a second,
const PRAISE: u32 = 1_000;
/// and of all others.
const SLANDER: u32 = 1;
/// Half of all requests continue a session,
const CONTINUES: f64 = 0.5;
/// until it has so many tokens.
const SESSION_TOKENS_MAX: u32 = 3_000;

/// Who places requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// The protocol, each requester by what it knows.
    Protocol,
    /// The oracle, every request.
    Oracle,
    /// Whoever sees four queues a request and knows everything else.
    BestOfFour,
}

/// How much is simulated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Requests in all.
    pub(crate) requests: u64,
    /// Of these, the first so many only let everybody learn.
    pub(crate) warm_up: u64,
    /// Requests a second.
    pub(crate) rate_per_s: f64,
    /// Providers tell what their owners saw of others.
    pub(crate) reports: bool,
    /// One in so many is compared with the best provider of its moment.
    pub(crate) compare_every: u64,
}

enum Event {
    Arrive,
    Decide(Box<Pending>),
    Reach(u32, Job),
    Finish(Started),
    Overdue(u32, u64),
    Toggle(u32),
}

struct Scheduled(Reverse<(Time, u64)>, Event);

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

/// One run of a network under one policy.
pub(crate) struct Simulation<'a> {
    world: &'a World,
    dht: &'a mut Dht,
    policy: Policy,
    plan: Plan,
    fleet: Fleet,
    oracle: Oracle,
    best_of_four: BestOfFour,
    requesters: Vec<Requester>,
    sessions: Vec<u32>,
    events: BinaryHeap<Scheduled>,
    scheduled: u64,
    arrived: u64,
    now_us: Time,
    arrivals: ChaCha8Rng,
    churn: ChaCha8Rng,
    decisions: ChaCha8Rng,
    figures: Figures,
}

impl std::fmt::Debug for Simulation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Simulation({:?}, {} µs)", self.policy, self.now_us)
    }
}

impl<'a> Simulation<'a> {
    /// A network in which nothing has been asked yet. Under every policy the same requests come at the same times, and
    /// the same machines come and go.
    pub(crate) fn new(world: &'a World, dht: &'a mut Dht, policy: Policy, plan: Plan, seed: u64) -> Self {
        let stream = |number: u64| {
            let mut dice = ChaCha8Rng::seed_from_u64(seed);
            dice.set_stream(number);
            dice
        };
        let requesters = world.requesters.len();
        let mut simulation = Self {
            world,
            dht,
            policy,
            plan,
            fleet: Fleet::new(world.providers.len()),
            oracle: Oracle::new(world.providers.len()),
            best_of_four: BestOfFour::new(world),
            requesters: (0..requesters as u32).map(Requester::new).collect(),
            sessions: vec![0; requesters],
            events: BinaryHeap::new(),
            scheduled: 0,
            arrived: 0,
            now_us: 0,
            arrivals: stream(1),
            churn: stream(2),
            decisions: stream(3),
            figures: Figures::default(),
        };
        for provider in 0..world.providers.len() as u32 {
            if online_at_first(&mut simulation.churn) {
                simulation.fleet.toggle(provider, 0);
                simulation.changed(provider);
            }
            simulation.schedule_toggle(provider);
        }
        simulation.schedule(0, Event::Arrive);
        simulation
    }

    /// Runs until all requests have ended, and says how it went.
    pub(crate) fn run(mut self) -> Figures {
        while let Some(Scheduled(Reverse((now_us, _)), event)) = self.events.pop() {
            self.now_us = now_us;
            match event {
                Event::Arrive => self.arrive(),
                Event::Decide(pending) => self.decide(&pending),
                Event::Reach(provider, job) => self.reach(provider, job),
                Event::Finish(started) => self.finish(started),
                Event::Overdue(provider, job) => self.overdue(provider, job),
                Event::Toggle(provider) => self.toggle(provider),
            }
            if self.arrived >= self.plan.requests {
                break;
            }
        }
        self.figures.loads = self.fleet.loads(self.world, self.now_us);
        self.figures
    }

    fn arrive(&mut self) {
        let number = self.arrivals.random_range(0..self.world.requesters.len());
        let continues = self.arrivals.random_bool(CONTINUES);
        let new_tokens = self.arrivals.random_range(NEW_TOKENS);
        let answer_tokens = exponential(ANSWER_TOKENS_MEAN, &mut self.arrivals) as u32 + 1;
        let wait_us = exponential(1e6 / self.plan.rate_per_s, &mut self.arrivals) as Time;
        self.schedule(self.now_us + wait_us, Event::Arrive);
        if self.arrived == self.plan.warm_up {
            self.fleet.measure_from(self.now_us);
        }
        let session = &mut self.sessions[number];
        let prefix_tokens = if continues && *session < SESSION_TOKENS_MAX { *session } else { 0 };
        let prompt_tokens = prefix_tokens + new_tokens;
        *session = prompt_tokens + answer_tokens;
        let request = Request {
            requester: number as u32,
            prompt_tokens,
            prefix_tokens,
            answer_tokens,
            arrived_us: self.now_us,
            measured: self.arrived >= self.plan.warm_up,
            again: false,
        };
        self.arrived += 1;
        self.place(request);
    }

    fn place(&mut self, request: Request) {
        let now_us = self.now_us;
        let Self { world, fleet, dht, .. } = self;
        let requester = &mut self.requesters[request.requester as usize];
        match self.policy {
            Policy::Protocol => {
                let pending = requester.begin((world, fleet, dht), request, now_us, &mut self.decisions);
                self.report(request.requester, &pending.heard);
                if request.measured && !request.again {
                    self.figures.on_search(&pending, now_us);
                }
                self.schedule(pending.ready_us, Event::Decide(Box::new(pending)));
            }
            Policy::Oracle | Policy::BestOfFour => {
                let holder = requester.holder_for(&request);
                let best = match self.policy {
                    Policy::BestOfFour => self.best_of_four.best((world, fleet), &request, holder, &mut self.decisions),
                    _ => self.oracle.best(world, fleet, &request, holder),
                };
                let Some((_, provider)) = best else { return };
                let cached = holder == Some(provider);
                requester.hold(provider);
                if request.measured && !request.again {
                    self.figures.on_placed(expected(world, fleet, provider, &request, cached));
                }
                self.send(request, Asked { provider, asked_us: self.now_us, cached, hedged: false, overdue_us: None });
            }
        }
    }

    /// Those who replied tell what they saw of others: every provider belongs to a requester and tells what that one saw, but
    /// liars say that others are bad and their kind is good.
    fn report(&mut self, to: u32, heard: &[u32]) {
        let requesters = self.requesters.len();
        for by in heard.iter().filter(|_| self.plan.reports) {
            if !self.requesters[to as usize].asks_reports(self.world, *by, self.now_us) {
                continue;
            }
            let told = match self.world.providers[*by as usize].kind {
                Kind::Liar => lies(self.world, &mut self.decisions),
                Kind::Honest | Kind::Silent => self.requesters[*by as usize % requesters].tells(&mut self.decisions),
            };
            self.requesters[to as usize].hear(self.world, *by, &told, self.now_us);
        }
    }

    fn decide(&mut self, pending: &Pending) {
        let Self { world, fleet, now_us, .. } = self;
        let requester = &mut self.requesters[pending.request.requester as usize];
        let holder = requester.holder_for(&pending.request);
        let Some(asked) = requester.ask((world, fleet), pending, *now_us, &mut self.decisions) else {
            self.figures.nobody += u64::from(pending.request.measured && !pending.request.again);
            return;
        };
        if pending.request.measured && !pending.request.again {
            let parts = expected(world, fleet, asked.provider, &pending.request, asked.cached);
            let true_us = parts.total_us();
            self.figures.on_placed(parts);
            self.figures.hedged += u64::from(asked.hedged);
            self.figures.to_liars += u64::from(world.providers[asked.provider as usize].kind == Kind::Liar);
            if self.figures.placed.is_multiple_of(self.plan.compare_every) {
                let best = best_now(world, fleet, &pending.request, holder);
                best.into_iter().for_each(|(best_us, _)| self.figures.on_compared(true_us, best_us));
            }
        }
        self.send(pending.request, asked);
    }

    fn send(&mut self, request: Request, asked: Asked) {
        let Asked { provider, asked_us, cached, overdue_us, .. } = asked;
        let trips_us = round_trips_us(self.world, provider, request.requester, cached);
        let decode_us = self.world.providers[provider as usize].us_for(u64::from(request.answer_tokens));
        let prefill_us = prefill_us(self.world, provider, &request, cached);
        let job = Job { id: self.scheduled, request, asked_us, trips_us, prefill_us, decode_us, started_us: 0 };
        if let Some(overdue_us) = overdue_us {
            self.schedule(asked_us + overdue_us, Event::Overdue(provider, job.id));
        }
        self.schedule((asked_us + trips_us / 2).max(self.now_us), Event::Reach(provider, job));
    }

    fn reach(&mut self, provider: u32, job: Job) {
        if !self.fleet.is_online(provider) {
            return self.lost(provider, job, Outcome::Failed);
        }
        let started = self.fleet.enqueue(self.world, provider, job, self.now_us);
        self.changed(provider);
        started.into_iter().for_each(|s| self.schedule(s.ends_us, Event::Finish(s)));
    }

    fn finish(&mut self, started: Started) {
        let Some((job, next)) = self.fleet.finish(self.world, started, self.now_us) else { return };
        self.changed(started.provider);
        next.into_iter().for_each(|s| self.schedule(s.ends_us, Event::Finish(s)));
        let Job { request, asked_us, trips_us, prefill_us, decode_us, started_us, .. } = job;
        if request.measured {
            self.figures.on_answered(self.now_us + trips_us / 2 - request.arrived_us);
        }
        if self.policy == Policy::Protocol {
            let first_token_us = started_us + prefill_us + trips_us / 2 - asked_us;
            let outcome = Outcome::Answered { first_token_us, tokens: request.answer_tokens, decode_us };
            let requester = &mut self.requesters[request.requester as usize];
            requester.observe(started.provider, outcome, self.now_us);
        }
    }

    fn toggle(&mut self, provider: u32) {
        let lost = self.fleet.toggle(provider, self.now_us);
        self.changed(provider);
        self.schedule_toggle(provider);
        lost.into_iter().for_each(|job| self.lost(provider, job, Outcome::Failed));
    }

    /// The requester gives up on whoever promised more than it holds.
    fn overdue(&mut self, provider: u32, job: u64) {
        if let Some(job) = self.fleet.withdraw(provider, job, self.now_us) {
            self.changed(provider);
            self.figures.overdue += u64::from(job.request.measured);
            let waited_us = self.now_us - job.asked_us;
            self.lost(provider, job, Outcome::Late { waited_us });
        }
    }

    /// The requester notices, and asks somebody else.
    fn lost(&mut self, provider: u32, job: Job, outcome: Outcome) {
        if self.policy == Policy::Protocol {
            let requester = &mut self.requesters[job.request.requester as usize];
            requester.observe(provider, outcome, self.now_us);
        }
        self.figures.lost += u64::from(job.request.measured);
        self.place(Request { again: true, ..job.request });
    }

    fn changed(&mut self, provider: u32) {
        if self.policy == Policy::Oracle {
            self.oracle.update(self.world, &self.fleet, provider);
        }
    }

    fn schedule_toggle(&mut self, provider: u32) {
        let wait_us = until_change_us(self.fleet.is_online(provider), &mut self.churn);
        self.schedule(self.now_us + wait_us, Event::Toggle(provider));
    }

    fn schedule(&mut self, at_us: Time, event: Event) {
        self.scheduled += 1;
        self.events.push(Scheduled(Reverse((at_us, self.scheduled)), event));
    }
}

/// What a liar says of others.
fn lies(world: &World, dice: &mut impl Rng) -> Vec<Report<u32>> {
    let about = |_| {
        let number = dice.random_range(0..world.providers.len());
        let praise = world.providers[number].kind == Kind::Liar;
        let (speed, troubled_permille) = if praise { (PRAISE, 0) } else { (SLANDER, 1_000) };
        Report { agent: number as u32, speed: Speed::tokens_per_s(speed), troubled_permille }
    };
    (0..REPORTS_MAX).map(about).collect()
}
