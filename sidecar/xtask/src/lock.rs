//! One heavy build at a time: two at once would take each other's memory.
//!
//! Cargo locks a target directory; this lock covers all of them, and says who is waiting for what.

use crate::claim::claim;
use crate::error::Result;
use crate::layout::Layout;
use crate::stop;
use fs_err::OpenOptions;
use std::fs::{File, TryLockError};
use std::time::Duration;

/// Held while a build runs; the operating system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct BuildLock {
    _file: File,
}

impl BuildLock {
    /// Waits for its turn; then what is compiled is this checkout's.
    pub(crate) fn take(layout: &Layout) -> Result<Self> {
        let path = layout.cache.join("build.lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?.into_parts().0;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => {
                    for target in [&layout.target, &layout.wasm_target] {
                        claim(target, &layout.root)?;
                    }
                    return Ok(Self { _file: file });
                }
                Err(TryLockError::WouldBlock) => {
                    if !told {
                        eprintln!("waiting for another build of AInonymous to end");
                        told = true;
                    }
                    stop::pause(Duration::from_millis(200))?;
                }
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
        }
    }
}
