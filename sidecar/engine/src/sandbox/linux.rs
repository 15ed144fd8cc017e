//! Linux: no new privileges and no capabilities, Landlock for files, seccomp for system calls.
//!
//! Each layer holds without the others, so that an old kernel or a container loses one and not all. The order matters: nothing
//! of this can be taken back, and each step needs what the later ones forbid.

use super::{files, syscalls, Outcome};
use crate::os;
use std::path::PathBuf;

pub(super) fn confine(model_files: &[PathBuf], gpu: bool) -> Outcome {
    let mut outcome = Outcome::default();
    let mut unprivileged = true;
    for (what, done) in [
        ("no new privileges", os::no_new_privileges()),
        ("no capabilities", os::drop_capabilities()),
        ("no core dumps", os::no_core_dumps()),
    ] {
        match done {
            Ok(()) => outcome.means.push(what.into()),
            Err(e) => {
                unprivileged = false;
                outcome.missing.push(format!("{what} ({e})"));
            }
        }
    }
    match files::confine(model_files, gpu) {
        Ok(means) => {
            outcome.files = true;
            outcome.means.push(means);
        }
        Err(why) if gpu => outcome.missing.push(format!("files ({why})")),
        Err(why) => outcome.missing.push(format!("reading files ({why}); none can be written")),
    }
    match syscalls::confine(gpu) {
        Ok(()) => {
            outcome.network = true;
            outcome.privileges = unprivileged;
            outcome.means.push("seccomp".into());
        }
        Err(why) => outcome.missing.push(format!("network and privileges ({why})")),
    }
    outcome
}
