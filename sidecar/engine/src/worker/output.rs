//! The way back to the host: events are collected and written as one frame.
//!
//! While tokens come faster than [`GATHER`] they share a frame; a slower token is never held back. A write that fails means
//! that the host is gone.

use crate::os;
use crate::wire::{write_frame, ToHost, WireEvent, TO_HOST_BYTES_MAX};
use std::fs::File;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Frames follow each other no faster than this while tokens come faster.
const GATHER: Duration = Duration::from_millis(1);
/// Time between two signs of life of a worker that computes.
const ALIVE_EVERY: Duration = Duration::from_secs(1);
/// A frame is written at the latest with so many events.
const EVENTS_MAX: usize = 256;

pub(super) struct Output {
    state: Mutex<State>,
}

struct State {
    to_host: File,
    events: Vec<(u64, WireEvent)>,
    written: Instant,
}

impl Output {
    pub(super) fn new(to_host: File) -> Self {
        Self { state: Mutex::new(State { to_host, events: Vec::new(), written: Instant::now() }) }
    }

    /// Sends a frame now, after the events that were collected before it.
    pub(super) fn send(&self, message: &ToHost) {
        let mut state = self.state();
        state.flush();
        state.write(message);
    }

    /// Collects an event; [`Self::flush`] or [`Self::flush_if_due`] sends it.
    pub(super) fn event(&self, id: u64, event: WireEvent) {
        let mut state = self.state();
        state.events.push((id, event));
        if state.events.len() >= EVENTS_MAX {
            state.flush();
        }
    }

    /// Sends what was collected.
    pub(super) fn flush(&self) {
        self.state().flush();
    }

    /// Sends what was collected unless the next step, which takes about `step`, ends soon enough for both to go together.
    pub(super) fn flush_if_due(&self, step: Duration) {
        let mut state = self.state();
        if state.written.elapsed() + step >= GATHER {
            state.flush();
        }
    }

    /// A sign of life, unless there was one lately.
    pub(super) fn alive(&self) {
        let mut state = self.state();
        if state.written.elapsed() >= ALIVE_EVERY {
            state.write(&ToHost::Alive);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn flush(&mut self) {
        if !self.events.is_empty() {
            let events = std::mem::take(&mut self.events);
            self.write(&ToHost::Events(events));
        }
    }

    fn write(&mut self, message: &ToHost) {
        if write_frame(&mut self.to_host, message, TO_HOST_BYTES_MAX).is_err() {
            os::exit_now(0);
        }
        self.written = Instant::now();
    }
}
