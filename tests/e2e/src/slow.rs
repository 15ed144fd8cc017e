//! A provider that computes slowly or not at all: its worker process is held again and again, or for good.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

/// Slows a process down until it is dropped.
#[derive(Debug)]
pub struct Slow {
    pid: i32,
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Slow {
    /// Lets the process run for `running` of each `running + resting`.
    pub fn down(pid: u64, running: Duration, resting: Duration) -> Self {
        let pid = i32::try_from(pid).expect("a process id");
        let over = Arc::new(AtomicBool::new(false));
        let seen = over.clone();
        let thread = std::thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                signal(pid, libc::SIGSTOP);
                std::thread::sleep(resting);
                signal(pid, libc::SIGCONT);
                std::thread::sleep(running);
            }
        });
        Self { pid, over, thread: Some(thread) }
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        signal(self.pid, libc::SIGCONT);
    }
}

/// Holds a process until it is dropped.
#[derive(Debug)]
pub struct Held(i32);

impl Held {
    /// Holds it.
    pub fn hold(pid: u64) -> Self {
        let pid = i32::try_from(pid).expect("a process id");
        signal(pid, libc::SIGSTOP);
        Self(pid)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        signal(self.0, libc::SIGCONT);
    }
}

fn signal(pid: i32, signal: i32) {
    // SAFETY: plain integers; the process is a worker of our own child, or gone.
    #[allow(unsafe_code)]
    unsafe {
        libc::kill(pid, signal);
    }
}
