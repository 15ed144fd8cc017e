//! A new node compiles the zomes to machine code, which costs more than everything else that a test does. So the first
//! node of a build does it, and the others find its compiled code in their data folders; keys and data are always new.

use crate::node::{Node, NodeSpec};
use crate::{binary, happ};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// Compiled zomes, and the key that the conductor reads its databases with (wrapped by the passphrase of the tests).
const FILES: [&str; 2] = ["wasm.db", "db.key"];
const FOLDER: &str = "conductor/databases";

/// Puts compiled zomes into a data folder that does not exist yet.
pub(crate) fn apply(data_dir: &Path) {
    let template = template();
    if !template.join(FILES[0]).exists() {
        make(&template);
    }
    let target = data_dir.join(FOLDER);
    fs::create_dir_all(&target).expect("a data folder");
    for file in FILES {
        fs::copy(template.join(file), target.join(file)).expect("a copy of compiled zomes");
    }
}

/// One folder for each build of executable and hApp.
fn template() -> PathBuf {
    let built = fs::metadata(binary()).and_then(|m| m.modified()).expect("the executable");
    let built = built.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis();
    let folder = binary().parent().expect("a folder").join("e2e-template");
    folder.join(format!("{built}-{}", happ().len()))
}

fn make(template: &Path) {
    if let Some(old) = template.parent() {
        let _ = fs::remove_dir_all(old);
    }
    let mut node = Node::start_cold(NodeSpec::default());
    node.wait_ready();
    node.call_zomes();
    assert_eq!(node.stop(), Some(0), "a clean stop leaves whole databases: {}", node.log_tail());
    // Tests may run side by side: whoever is first has made it for all.
    let unfinished =
        template.with_extension(format!("unfinished-{}-{:?}", std::process::id(), std::thread::current().id()));
    fs::create_dir_all(&unfinished).expect("a folder");
    for file in FILES {
        fs::copy(node.data_dir().join(FOLDER).join(file), unfinished.join(file)).expect("compiled zomes");
    }
    if fs::rename(&unfinished, template).is_err() {
        assert!(template.is_dir(), "a folder renamed");
        let _ = fs::remove_dir_all(&unfinished);
    }
}
