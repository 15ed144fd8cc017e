//! One network namespace without a name: it lasts as long as it is held, or something runs in it.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};

/// A namespace.
#[derive(Debug)]
pub(super) struct Namespace(File);

impl Namespace {
    /// A new one in which this host speaks to itself only.
    pub(super) fn new() -> io::Result<Self> {
        let made = std::thread::spawn(|| {
            // SAFETY: it changes this thread only, which ends at once.
            #[allow(unsafe_code)]
            let made = unsafe { libc::unshare(libc::CLONE_NEWNET) };
            match made {
                0 => File::open("/proc/thread-self/ns/net"),
                _ => Err(io::Error::last_os_error()),
            }
        });
        let namespace = Self(made.join().expect("no panic")?);
        namespace.ip(&["link set lo up"]);
        Ok(namespace)
    }

    /// Packets for others are passed on.
    pub(super) fn forward(&self) {
        self.enter(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("a switch of the namespace"));
    }

    /// Runs something there, on a thread of its own; inside a runtime what it makes belongs to that runtime.
    pub(super) fn enter<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        let runtime = tokio::runtime::Handle::try_current().ok();
        let inside = || {
            // SAFETY: it changes this thread only, which ends after `what`; the file is a namespace.
            #[allow(unsafe_code)]
            let entered = unsafe { libc::setns(self.0.as_raw_fd(), libc::CLONE_NEWNET) };
            assert_eq!(entered, 0, "{}", io::Error::last_os_error());
            let _runtime = runtime.as_ref().map(tokio::runtime::Handle::enter);
            what()
        };
        std::thread::scope(|scope| match scope.spawn(inside).join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    /// Commands of `ip`.
    pub(super) fn ip(&self, commands: &[&str]) {
        self.feed(Command::new("ip").args(["-batch", "-"]), &commands.join("\n"));
    }

    /// A script of `nft`.
    pub(super) fn nft(&self, script: &str) {
        self.feed(Command::new("nft").args(["-f", "-"]), script);
    }

    /// Where other programs find it while it lasts.
    pub(super) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// The kernel's number of it.
    pub(super) fn number(&self) -> u64 {
        self.0.metadata().expect("an open file").ino()
    }

    fn feed(&self, command: &mut Command, input: &str) {
        let mut child = self.enter(|| {
            let command = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
            command.spawn().expect("`ip` (package iproute2) and `nft` (package nftables): run `cargo xtask setup`")
        });
        let mut stdin = child.stdin.take().expect("stdin is piped");
        stdin.write_all(input.as_bytes()).and_then(|()| stdin.write_all(b"\n")).expect("it reads");
        drop(stdin);
        let done = child.wait_with_output().expect("it ends");
        assert!(done.status.success(), "{input}: {}", String::from_utf8_lossy(&done.stderr));
    }
}
