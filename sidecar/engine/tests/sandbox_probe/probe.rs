//! What a worker that was taken over would try: confines itself as a worker does, tries, and prints what came of it.
//!
//! `sandbox-probe MODEL SECRET TCP_PORT UNIX_SOCKET [gpu]` prints the sandbox's report, what it took in microseconds, and
//! the attempts: `null` where one succeeded, else the number of its error. `tests/sandbox.rs` runs it with and without the sandbox.
#![allow(unsafe_code, clippy::unwrap_used, clippy::print_stdout)]

#[cfg(target_os = "linux")]
fn main() {
    attempts::run();
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod attempts {
    use ainonymous_engine::Sandbox;
    use serde_json::{json, Map, Value};
    use std::fs::{self, File, OpenOptions, Permissions};
    use std::io;
    use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::{UnixDatagram, UnixStream};
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::time::Instant;

    pub(crate) fn run() {
        let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
        let [model, secret, port, socket] = &arguments[..4] else { unreachable!() };
        let gpu = arguments.get(4).is_some_and(|word| word == Path::new("gpu"));
        let port: u16 = port.to_str().unwrap().parse().unwrap();
        let began = Instant::now();
        let report = match Sandbox::confine(&[model], gpu) {
            Ok(report) => json!(report),
            Err(error) => {
                println!("{}", json!({ "error": error.code(), "text": error.to_string() }));
                return;
            }
        };
        let confined_us = began.elapsed().as_micros() as u64;
        let mut tried = Map::new();
        let mut attempt = |name: &str, outcome: io::Result<()>| {
            let errno = outcome.err().map(|e| e.raw_os_error().map_or(json!(e.to_string()), Value::from));
            tried.insert(name.into(), errno.unwrap_or(Value::Null));
        };
        network(&mut attempt, port, socket);
        files(&mut attempt, model, secret);
        processes(&mut attempt);
        // What a worker needs; the test expects these to succeed in any case.
        attempt("model", fs::read(model).map(drop));
        attempt("other_part", fs::read(model.with_file_name("model-00002-of-00002.gguf")).map(drop));
        attempt("thread", std::thread::Builder::new().spawn(|| {}).map(|thread| thread.join().unwrap()));
        attempt("own_status", fs::read_to_string("/proc/self/status").map(drop));
        println!("{}", json!({ "report": report, "confined_us": confined_us, "tried": tried }));
    }

    fn network(attempt: &mut impl FnMut(&str, io::Result<()>), port: u16, socket: &Path) {
        attempt("tcp_connect", TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map(drop));
        attempt("tcp_listen", TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map(drop));
        attempt("udp", UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map(drop));
        attempt("unix_connect", UnixStream::connect(socket).map(drop));
        attempt("unix_datagram", UnixDatagram::unbound().map(drop));
        attempt("unix_pair", UnixStream::pair().map(drop));
        attempt("raw_socket", call(libc::SYS_socket, [libc::AF_NETLINK as i64, libc::SOCK_RAW as i64, 0, 0]));
        attempt("io_uring", {
            let mut parameters = [0u8; 256];
            call(libc::SYS_io_uring_setup, [1, parameters.as_mut_ptr() as i64, 0, 0])
        });
    }

    fn files(attempt: &mut impl FnMut(&str, io::Result<()>), model: &Path, secret: &Path) {
        attempt("read_secret", fs::read(secret).map(drop));
        attempt("list_secrets", fs::read_dir(secret.parent().unwrap()).map(drop));
        attempt("read_passwd", fs::read("/etc/passwd").map(drop));
        attempt("read_parents_environment", {
            fs::read(format!("/proc/{}/environ", std::os::unix::process::parent_id())).map(drop)
        });
        attempt("read_beside_model", fs::read(model.with_file_name("beside.gguf")).map(drop));
        attempt("list_models", fs::read_dir(model.parent().unwrap()).map(drop));
        attempt("create", File::create(model.with_file_name("created")).map(drop));
        attempt("write_model", OpenOptions::new().append(true).open(model).map(drop));
        attempt("truncate", {
            let path = std::ffi::CString::new(model.with_file_name("beside.gguf").to_str().unwrap()).unwrap();
            call(libc::SYS_truncate, [path.as_ptr() as i64, 1, 0, 0])
        });
        attempt("chmod", fs::set_permissions(secret, Permissions::from_mode(0o644)));
        attempt("chmod_model", {
            File::open(model).and_then(|file| call(libc::SYS_fchmod, [file.as_raw_fd().into(), 0o644, 0, 0]))
        });
        attempt("link", fs::hard_link(secret, model.with_file_name("linked")));
        attempt("delete", fs::remove_file(model.with_file_name("doomed")));
    }

    fn processes(attempt: &mut impl FnMut(&str, io::Result<()>)) {
        attempt("program", Command::new("/bin/true").status().map(drop));
        attempt("execve", {
            // Replaces this process if it can; so tried in a way that can only fail with ENOENT or sooner.
            let path = c"/no/such/program";
            match call(libc::SYS_execve, [path.as_ptr() as i64, 0, 0, 0]) {
                Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(()),
                other => other,
            }
        });
        attempt("fork", {
            // SAFETY: the child does nothing but end.
            let child = unsafe { libc::fork() };
            if child == 0 {
                // SAFETY: as above.
                unsafe { libc::_exit(0) };
            }
            if child > 0 {
                // SAFETY: waits for the child that was just made.
                unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
            }
            answer(child.into())
        });
        attempt("signal_parent", call(libc::SYS_kill, [std::os::unix::process::parent_id().into(), 0, 0, 0]));
        attempt("signal_self", call(libc::SYS_kill, [std::process::id().into(), 0, 0, 0]));
        attempt("namespace", call(libc::SYS_unshare, [libc::CLONE_NEWUSER.into(), 0, 0, 0]));
        attempt("personality", call(libc::SYS_personality, [0xffff_ffff, 0, 0, 0]));
        attempt("setuid", call(libc::SYS_setresuid, [-1, -1, -1, 0]));
        attempt(
            "newer_call",
            match call(i64::from(u16::MAX), [0; 4]) {
                // Without the sandbox there is no such call either.
                Err(e) if e.raw_os_error() == Some(libc::ENOSYS) => Ok(()),
                other => other,
            },
        );
        // Last: a traced process is not itself any more.
        attempt("ptrace", call(libc::SYS_ptrace, [libc::PTRACE_TRACEME.into(), 0, 0, 0]));
    }

    fn call(number: i64, [a, b, c, d]: [i64; 4]) -> io::Result<()> {
        // SAFETY: every caller passes numbers and pointers that outlive the call and are as large as it expects.
        answer(unsafe { libc::syscall(number, a, b, c, d, 0, 0) })
    }

    fn answer(result: i64) -> io::Result<()> {
        if result < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }
}
