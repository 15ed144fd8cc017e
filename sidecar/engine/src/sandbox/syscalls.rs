//! Which system calls a confined worker cannot make, by seccomp. It must not know files or models.
//!
//! A list of what is refused, not of what is let through: an answer must not fail because a library or driver of tomorrow uses
//! a call that nobody thought of. Calls that are newer than this list, and those of other architectures, do not exist. A refused
//! call fails with EPERM, so that a library that merely tries can go on.

use seccompiler::{
    apply_filter_all_threads, sock_filter, BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp,
    SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};
use std::collections::BTreeMap;

/// Refused always: other programs and processes, privileges, the kernel's inside, changed owners and modes (which Landlock does
/// not see), and the ways to another end of a socket.
const REFUSED: &[i64] = &[
    // Programs and processes.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_kcmp,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_tkill,
    // Privileges.
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_personality,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // File systems.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_mount_setattr,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    // The kernel.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
    libc::SYS_vhangup,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    // Owners, modes and dates.
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    FCHMODAT2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    // Sockets.
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
];

/// Refused unless drivers of a GPU need it: every socket, memory shared with other programs, and changes to files (of which
/// Landlock lets drivers make those in their caches; on a kernel without it, this list still keeps all files as they are).
const REFUSED_WITHOUT_GPU: &[i64] = &[
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_semctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    libc::SYS_truncate,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_unlinkat,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
];

/// Calls that only this architecture has; the second list is for workers without a GPU.
#[cfg(target_arch = "x86_64")]
const OF_ARCHITECTURE: (&[i64], &[i64]) = (
    &[
        libc::SYS_kexec_file_load,
        libc::SYS_iopl,
        libc::SYS_ioperm,
        libc::SYS_modify_ldt,
        libc::SYS_chmod,
        libc::SYS_chown,
        libc::SYS_lchown,
        libc::SYS_utime,
        libc::SYS_utimes,
        libc::SYS_futimesat,
    ],
    &[
        libc::SYS_fork,
        libc::SYS_vfork,
        libc::SYS_creat,
        libc::SYS_mkdir,
        libc::SYS_mknod,
        libc::SYS_rmdir,
        libc::SYS_unlink,
        libc::SYS_link,
        libc::SYS_symlink,
        libc::SYS_rename,
    ],
);
#[cfg(not(target_arch = "x86_64"))]
const OF_ARCHITECTURE: (&[i64], &[i64]) = (&[libc::SYS_kexec_file_load], &[]);

/// Not in `libc` for every architecture, but the same number on all.
const FCHMODAT2: i64 = 452;
/// The first call that is newer than this list (`setxattrat`). Above are also those of the x32 architecture.
const FIRST_UNKNOWN: u32 = 463;

/// `TIOCSTI` and `TIOCLINUX`, whose type differs between C libraries.
const TYPING: [u64; 2] = [0x5412, 0x541c];

/// `CLONE_NEW*`: a new namespace of any kind.
const NEW_NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// Refuses what this module lists, for all threads and for good; or says why not.
pub(super) fn confine(gpu: bool) -> Result<(), String> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH).map_err(|e| e.to_string())?;
    let failed = |e: seccompiler::Error| e.to_string();
    let refused = refused(gpu, std::process::id(), architecture).map_err(|e| e.to_string())?;
    apply_filter_all_threads(&missing(gpu)).map_err(failed)?;
    apply_filter_all_threads(&refused).map_err(failed)
}

/// The program that refuses.
fn refused(gpu: bool, own_pid: u32, architecture: TargetArch) -> Result<BpfProgram, BackendError> {
    let (of_architecture, of_architecture_without_gpu) = OF_ARCHITECTURE;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        REFUSED.iter().chain(of_architecture).map(|call| (*call, Vec::new())).collect();
    if !gpu {
        rules.extend(REFUSED_WITHOUT_GPU.iter().chain(of_architecture_without_gpu).map(|call| (*call, Vec::new())));
    }
    rules.extend(conditional(gpu, own_pid)?);
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, architecture)?.try_into()
}

/// Calls that are refused with some arguments only.
fn conditional(gpu: bool, own_pid: u32) -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    use SeccompCmpOp::{Eq, MaskedEq, Ne};
    let when = |argument: u8, operator: SeccompCmpOp, value: u64| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
    };
    let rule = |argument, operator, value| SeccompRule::new(vec![when(argument, operator, value)?]);
    let has = |argument: u8, flag: libc::c_int| {
        let flag = u64::from(flag as u32);
        rule(argument, MaskedEq(flag), flag)
    };
    let own_pid = u64::from(own_pid);
    let mut rules = BTreeMap::new();

    let mut clone = NEW_NAMESPACES.iter().map(|flag| has(0, *flag)).collect::<Result<Vec<_>, _>>()?;
    if !gpu {
        clone.push(rule(0, MaskedEq(libc::CLONE_THREAD as u64), 0)?);
    }
    rules.insert(libc::SYS_clone, clone);
    // Signals and limits of this process only: `abort` needs them.
    rules.insert(libc::SYS_kill, vec![rule(0, Ne, own_pid)?]);
    rules.insert(libc::SYS_tgkill, vec![rule(0, Ne, own_pid)?]);
    rules.insert(libc::SYS_prlimit64, vec![SeccompRule::new(vec![when(0, Ne, 0)?, when(0, Ne, own_pid)?])?]);
    // Typing on a terminal that was left open.
    let ioctl = TYPING.into_iter().map(|request| rule(1, Eq, request));
    rules.insert(libc::SYS_ioctl, ioctl.collect::<Result<Vec<_>, _>>()?);

    if gpu {
        // Unix sockets between a driver's own threads. Those for datagrams could reach others without being connected.
        let other_families = || rule(0, Ne, libc::AF_UNIX as u64);
        let kind = |kind: libc::c_int| rule(1, MaskedEq(0xf), kind as u64);
        for call in [libc::SYS_socket, libc::SYS_socketpair] {
            rules.insert(call, vec![other_families()?, kind(libc::SOCK_DGRAM)?, kind(libc::SOCK_RAW)?]);
        }
    } else {
        let to_write = |flags: u8| {
            let access = u64::from(libc::O_ACCMODE as u32);
            let modes = [libc::O_WRONLY, libc::O_RDWR, libc::O_ACCMODE];
            let mut rules =
                modes.into_iter().map(|mode| rule(flags, MaskedEq(access), mode as u64)).collect::<Vec<_>>();
            rules.extend([has(flags, libc::O_CREAT), has(flags, libc::O_TRUNC)]);
            rules.into_iter().collect::<Result<Vec<_>, _>>()
        };
        rules.insert(libc::SYS_openat, to_write(2)?);
        #[cfg(target_arch = "x86_64")]
        rules.insert(libc::SYS_open, to_write(1)?);
    }
    Ok(rules)
}

/// The program after which some calls do not exist, so that libraries take their older relatives, whose arguments can be seen.
fn missing(gpu: bool) -> BpfProgram {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const IS: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const FROM: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, k, jt| sock_filter { code, jt, jf: 0, k };
    // With a GPU, files may be opened for writing, and how they are opened need not be seen.
    let no_openat2 = if gpu { 0 } else { 1 };
    vec![
        // The number of the call is the first field of what a filter sees.
        step(LOAD, 0, 0),
        step(FROM, FIRST_UNKNOWN, 3),
        step(IS, libc::SYS_clone3 as u32, 2),
        step(IS, libc::SYS_openat2 as u32, no_openat2),
        step(RETURN, libc::SECCOMP_RET_ALLOW, 0),
        step(RETURN, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32, 0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_compile_for_every_architecture_and_fit() {
        for architecture in [TargetArch::x86_64, TargetArch::aarch64] {
            for gpu in [false, true] {
                let length = refused(gpu, 7, architecture).unwrap().len();
                assert!((200..4_096).contains(&length), "{length}");
            }
        }
    }

    #[test]
    fn nothing_is_listed_that_is_missing_anyway() {
        let (always, without_gpu) = OF_ARCHITECTURE;
        for call in REFUSED.iter().chain(REFUSED_WITHOUT_GPU).chain(always).chain(without_gpu) {
            assert!(u32::try_from(*call).unwrap() < FIRST_UNKNOWN, "{call}");
        }
    }
}
