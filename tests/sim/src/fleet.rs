//! The providers at work: slots, queues, who is there; and how long a request would truly take.

use crate::world::{Time, World};
use ainonymous_protocol::choosing::{Need, Probed, ANSWER_TOKENS_TYPICAL, PREFILL_FACTOR};
use std::collections::VecDeque;

/// A request, as it truly is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// Who asks.
    pub(crate) requester: u32,
    /// Tokens of the prompt.
    pub(crate) prompt_tokens: u32,
    /// Of these, said before in the same session.
    pub(crate) prefix_tokens: u32,
    /// Tokens of the answer; nobody knows them before.
    pub(crate) answer_tokens: u32,
    /// When its user asked.
    pub(crate) arrived_us: Time,
    /// Counts in the figures.
    pub(crate) measured: bool,
    /// Was asked before and lost: its answer counts, its further choices do not.
    pub(crate) again: bool,
}

/// A request at a provider.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    /// Its number in this run.
    pub(crate) id: u64,
    /// What.
    pub(crate) request: Request,
    /// When it was asked.
    pub(crate) asked_us: Time,
    /// Round trips before it was taken.
    pub(crate) trips_us: Time,
    /// Slot time that it takes before the first token.
    pub(crate) prefill_us: Time,
    /// Slot time from the first token to the last.
    pub(crate) decode_us: Time,
    /// When it got a slot.
    pub(crate) started_us: Time,
}

#[derive(Debug, Default)]
struct State {
    online: bool,
    /// Rises when it goes, so that what was to finish there does not.
    life: u32,
    running: Vec<Job>,
    waiting: VecDeque<Job>,
    /// Integrals over the measured time.
    load_us: u64,
    busy_us: u64,
    online_us: u64,
    counted_to: Time,
}

/// What the slots are to finish, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Started {
    /// At the provider,
    pub(crate) provider: u32,
    /// in this life of its,
    pub(crate) life: u32,
    /// this job
    pub(crate) job: u64,
    /// ends then.
    pub(crate) ends_us: Time,
}

/// How much one provider had to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Running and waiting requests per slot, averaged over the time that it was there.
    pub(crate) load: f64,
    /// Busy slots, averaged.
    pub(crate) busy: f64,
    /// Share of the measured time that it was there.
    pub(crate) present: f64,
}

/// All providers at work.
#[derive(Debug)]
pub(crate) struct Fleet {
    states: Vec<State>,
    measured_from: Time,
}

impl Fleet {
    /// Nobody is there yet.
    pub(crate) fn new(providers: usize) -> Self {
        Self { states: (0..providers).map(|_| State::default()).collect(), measured_from: Time::MAX }
    }

    /// From now on, loads count.
    pub(crate) fn measure_from(&mut self, now_us: Time) {
        self.measured_from = now_us;
        self.states.iter_mut().for_each(|state| state.counted_to = now_us);
    }

    /// Whether it is there.
    pub(crate) fn is_online(&self, provider: u32) -> bool {
        self.states[provider as usize].online
    }

    /// It comes or goes; what it had is lost and given back.
    pub(crate) fn toggle(&mut self, provider: u32, now_us: Time) -> Vec<Job> {
        self.count(provider, now_us);
        let state = &mut self.states[provider as usize];
        state.online = !state.online;
        state.life += 1;
        state.running.drain(..).chain(state.waiting.drain(..)).collect()
    }

    /// A request arrives. If a slot is free it starts.
    pub(crate) fn enqueue(&mut self, world: &World, provider: u32, job: Job, now_us: Time) -> Option<Started> {
        self.count(provider, now_us);
        self.states[provider as usize].waiting.push_back(job);
        self.start(world, provider, now_us)
    }

    /// A job ends, unless its provider went before; the next may start.
    pub(crate) fn finish(&mut self, world: &World, started: Started, now_us: Time) -> Option<(Job, Option<Started>)> {
        let state = &mut self.states[started.provider as usize];
        if state.life != started.life {
            return None;
        }
        let at = state.running.iter().position(|job| job.id == started.job)?;
        self.count(started.provider, now_us);
        let job = self.states[started.provider as usize].running.swap_remove(at);
        Some((job, self.start(world, started.provider, now_us)))
    }

    /// Takes a job back that still waits.
    pub(crate) fn withdraw(&mut self, provider: u32, job: u64, now_us: Time) -> Option<Job> {
        let at = self.states[provider as usize].waiting.iter().position(|waiting| waiting.id == job)?;
        self.count(provider, now_us);
        self.states[provider as usize].waiting.remove(at)
    }

    /// What it would truthfully reply to a probe.
    pub(crate) fn probe(&self, world: &World, provider: u32, round_trip_us: Time, now_us: Time) -> Probed {
        let (state, truth) = (&self.states[provider as usize], &world.providers[provider as usize]);
        Probed {
            at_us: now_us,
            round_trip_us,
            queue_depth: state.waiting.len() as u32,
            slots: truth.slots(),
            free_slots: truth.slots() - state.running.len() as u32,
            speed: truth.speed(),
            price: None,
        }
    }

    /// How long a newcomer truly waits for a slot, by what is known before answers have ended.
    pub(crate) fn wait_us(&self, world: &World, provider: u32) -> Time {
        let state = &self.states[provider as usize];
        let truth = &world.providers[provider as usize];
        let behind = (state.running.len() + state.waiting.len() + 1) as u64;
        let behind = behind.saturating_sub(u64::from(truth.slots()));
        truth.us_for(ANSWER_TOKENS_TYPICAL) * behind / u64::from(truth.slots())
    }

    /// How much each provider had to do since measuring began.
    pub(crate) fn loads(&mut self, world: &World, now_us: Time) -> Vec<Load> {
        (0..self.states.len() as u32).for_each(|provider| self.count(provider, now_us));
        let span = now_us.saturating_sub(self.measured_from).max(1) as f64;
        let load = |(state, provider): (&State, &crate::world::Provider)| {
            let slot_time = (state.online_us.max(1) * u64::from(provider.slots())) as f64;
            let present = state.online_us as f64 / span;
            Load { load: state.load_us as f64 / slot_time, busy: state.busy_us as f64 / slot_time, present }
        };
        self.states.iter().zip(&world.providers).map(load).collect()
    }

    fn start(&mut self, world: &World, provider: u32, now_us: Time) -> Option<Started> {
        let state = &mut self.states[provider as usize];
        if state.running.len() >= world.providers[provider as usize].slots() as usize {
            return None;
        }
        let mut job = state.waiting.pop_front()?;
        job.started_us = now_us;
        state.running.push(job);
        let ends_us = now_us + job.prefill_us + job.decode_us;
        Some(Started { provider, life: state.life, job: job.id, ends_us })
    }

    fn count(&mut self, provider: u32, now_us: Time) {
        let state = &mut self.states[provider as usize];
        if now_us < self.measured_from {
            return;
        }
        let passed_us = now_us.saturating_sub(state.counted_to);
        state.counted_to = now_us;
        if state.online {
            state.online_us += passed_us;
            state.busy_us += passed_us * state.running.len() as u64;
            state.load_us += passed_us * (state.running.len() + state.waiting.len()) as u64;
        }
    }
}

/// How long a request truly takes on a provider, expected before its answer's length is known: the protocol's own model, on the truth.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Expected {
    /// Round trips.
    pub(crate) trips_us: Time,
    /// In the queue.
    pub(crate) wait_us: Time,
    /// Of the prompt.
    pub(crate) prefill_us: Time,
    /// Of the answer.
    pub(crate) decode_us: Time,
}

impl Expected {
    /// All of it.
    pub(crate) fn total_us(self) -> Time {
        self.trips_us + self.wait_us + self.prefill_us + self.decode_us
    }
}

/// What is truly to be expected there.
pub(crate) fn expected(world: &World, fleet: &Fleet, provider: u32, request: &Request, cached: bool) -> Expected {
    Expected {
        trips_us: round_trips_us(world, provider, request.requester, cached),
        wait_us: fleet.wait_us(world, provider),
        prefill_us: prefill_us(world, provider, request, cached),
        decode_us: world.providers[provider as usize].us_for(ANSWER_TOKENS_TYPICAL),
    }
}

/// The same in all.
pub(crate) fn expected_us(world: &World, fleet: &Fleet, provider: u32, request: &Request, cached: bool) -> Time {
    expected(world, fleet, provider, request, cached).total_us()
}

/// One round trip to whoever answered last in the session, two to all others.
pub(crate) fn round_trips_us(world: &World, provider: u32, requester: u32, warm: bool) -> Time {
    let there = world.providers[provider as usize].at;
    world.requesters[requester as usize].round_trip_us(there) * if warm { 1 } else { 2 }
}

/// Of what is not cached.
pub(crate) fn prefill_us(world: &World, provider: u32, request: &Request, cached: bool) -> Time {
    let tokens = request.prompt_tokens - if cached { request.prefix_tokens } else { 0 };
    world.providers[provider as usize].us_for(u64::from(tokens)) / PREFILL_FACTOR
}

/// What the protocol is told of a request.
pub(crate) fn need(request: &Request) -> Need {
    Need { prompt_tokens: request.prompt_tokens, answer_tokens: ANSWER_TOKENS_TYPICAL as u32 }
}
