//! How far a download is, on stderr: one line that changes on a terminal, a line now and then elsewhere.

use crate::out::Out;
use crate::show::bytes;
use ainonymous_models::{Phase, Progress, Watcher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Pause between lines where they cannot be written over.
const LINE_INTERVAL: Duration = Duration::from_secs(10);
/// Shorter than this, a rate says nothing.
const RATE_AFTER: Duration = Duration::from_millis(500);

/// Shows progress.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    out: Out,
    terminal: bool,
    shown: Arc<Mutex<Shown>>,
}

#[derive(Debug, Default)]
struct Shown {
    /// What is being done, since when, and where it began.
    began: Option<(Phase, Instant, u64)>,
    line_at: Option<Instant>,
}

impl Meter {
    pub(crate) fn new(out: &Out) -> Self {
        Self { out: *out, terminal: out.talks_to_a_terminal(), shown: Arc::default() }
    }

    /// What a pull reports to.
    pub(crate) fn watcher(&self) -> Watcher {
        let meter = self.clone();
        Arc::new(move |progress| meter.show(&progress, Instant::now()))
    }

    /// Takes the line away, so that what comes next stands alone.
    pub(crate) fn end(&self) {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if self.terminal && shown.began.is_some() {
            self.out.talk_over("");
        }
    }

    fn show(&self, progress: &Progress, now: Instant) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(line) = shown.line(progress, now, self.terminal) else { return };
        match self.terminal {
            true => self.out.talk_over(&line),
            false => self.out.talk(&line),
        }
    }
}

impl Shown {
    /// The line, unless it is too early for another.
    fn line(&mut self, progress: &Progress, now: Instant, terminal: bool) -> Option<String> {
        let (began, from) = match self.began {
            Some((phase, began, from)) if phase == progress.phase && from <= progress.bytes_done => (began, from),
            _ => {
                self.began = Some((progress.phase, now, progress.bytes_done));
                self.line_at = None;
                (now, progress.bytes_done)
            }
        };
        if !terminal && self.line_at.is_some_and(|at| now.duration_since(at) < LINE_INTERVAL) {
            return None;
        }
        self.line_at = Some(now);
        Some(line(progress, progress.bytes_done - from, now.duration_since(began)))
    }
}

fn line(progress: &Progress, came: u64, took: Duration) -> String {
    let Progress { file, phase, bytes_done, bytes_total } = progress;
    let doing = match phase {
        Phase::Waiting => return format!("waiting   {file}: another process pulls it"),
        Phase::Downloading => "pulling  ",
        Phase::Checking => "checking ",
    };
    let percent = bytes_done.saturating_mul(100).checked_div(*bytes_total).unwrap_or(0);
    let mut line = format!("{doing} {file} {percent:>3} % of {}", bytes(*bytes_total));
    if took >= RATE_AFTER && came > 0 {
        let rate = came as f64 / took.as_secs_f64();
        let left = bytes_total.saturating_sub(*bytes_done) as f64 / rate;
        line.push_str(&format!("  {}/s  {} left", bytes(rate as u64), duration(left)));
    }
    line
}

fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(phase: Phase, bytes_done: u64) -> Progress {
        Progress { file: "m.gguf".into(), phase, bytes_done, bytes_total: 100 << 20 }
    }

    #[test]
    fn a_line_says_how_far_how_quick_and_how_long() {
        let mut shown = Shown::default();
        let now = Instant::now();
        let first = shown.line(&progress(Phase::Downloading, 20 << 20), now, true).unwrap();
        assert_eq!(first, "pulling   m.gguf  20 % of 100 MiB");
        // What an earlier run left does not make this one quicker.
        let later = shown.line(&progress(Phase::Downloading, 40 << 20), now + Duration::from_secs(2), true).unwrap();
        assert_eq!(later, "pulling   m.gguf  40 % of 100 MiB  10 MiB/s  6 s left");
        let checking = shown.line(&progress(Phase::Checking, 0), now, true).unwrap();
        assert_eq!(checking, "checking  m.gguf   0 % of 100 MiB");
    }

    #[test]
    fn lines_that_stay_are_few() {
        let mut shown = Shown::default();
        let now = Instant::now();
        let lines = (0..100).filter(|tick| {
            let at = now + Duration::from_millis(200 * tick);
            shown.line(&progress(Phase::Downloading, tick << 20), at, false).is_some()
        });
        assert_eq!(lines.count(), 2);
        assert!(shown.line(&progress(Phase::Checking, 0), now + Duration::from_secs(20), false).is_some());
        assert_eq!(
            (duration(59.4), duration(61.0), duration(7_260.0)),
            ("59 s".into(), "1 min 1 s".into(), "2 h 1 min".into())
        );
    }
}
