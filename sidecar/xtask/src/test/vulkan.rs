//! The engine with layers on a GPU, by Vulkan, tested and measured: the software GPU of Mesa will do. An optional job (`--vulkan`), because
//! llama.cpp's shaders take a quarter of an hour of processor time to compile.
//!
//! The build has a target directory of its own: with other features in the same one, `lib/ainonymous` would belong to whoever
//! was built last.

use super::count::Count;
use super::stages::counted;
use super::{locked, Run, Stage};
use crate::error::Result;
use crate::layout::Layout;
use crate::run::{self, Output};
use crate::setup;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Compiling and running; a run that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(90 * 60);
/// Where drivers of Vulkan say that they are there.
const DRIVERS: [&str; 3] = ["/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d"];

pub(super) const STAGES: [Stage; 2] = [("setup for Vulkan", prepare), ("engine on a software GPU", tests)];

fn prepare(run: &mut Run<'_>) -> Result<Count> {
    run.ready = Some(setup::run(run.layout, setup::For::Vulkan, false)?);
    Ok(Count::default())
}

fn tests(run: &mut Run<'_>) -> Result<Count> {
    let mut cargo = run::cargo(run.layout);
    cargo
        .env("CARGO_TARGET_DIR", target(run.layout))
        .env("AINONYMOUS_TEST_GPU", "vulkan")
        .env("CPLUS_INCLUDE_PATH", headers(&run.layout.root));
    on_software(&mut cargo);
    cargo.args(["test", "--locked", "-p", "ainonymous-engine", "--features", "vulkan", "--test", "gpu"]).args([
        "--",
        "--test-threads=1",
        "--nocapture",
    ]);
    locked(run.layout, || counted(run, "vulkan-tests", &mut cargo, Some(LIMIT)))
}

/// Where everything with Vulkan is built.
fn target(layout: &Layout) -> PathBuf {
    layout.cache.join("vulkan")
}

/// Mesa's software GPU, and no other.
fn on_software(program: &mut Command) {
    // llama.cpp passes software GPUs over unless one is named.
    program.env("GGML_VK_VISIBLE_DEVICES", "0");
    if let Some(driver) = software_driver() {
        program.env("VK_DRIVER_FILES", &driver).env("VK_ICD_FILENAMES", &driver);
    }
}

/// An example of the engine, built with Vulkan and told to compute on the software GPU.
pub(crate) fn example(layout: &Layout, name: &str) -> Result<Command> {
    setup::run(layout, setup::For::Vulkan, false)?;
    let mut cargo = run::cargo(layout);
    cargo.env("CARGO_TARGET_DIR", target(layout)).env("CPLUS_INCLUDE_PATH", headers(&layout.root));
    cargo.args(["build", "--locked", "-p", "ainonymous-engine", "--features", "vulkan", "--example", name]);
    let log = layout.log("vulkan-build");
    locked(layout, || run::run("the build with Vulkan", &mut cargo, Output::Log(&log)))?;
    let mut program = run::command(layout, target(layout).join("debug/examples").join(name));
    on_software(&mut program);
    Ok(program)
}

/// Our addition to headers that are too old, before whatever the caller has.
fn headers(root: &Path) -> std::ffi::OsString {
    let own = root.join("sidecar/engine/vulkan");
    let given = std::env::var_os("CPLUS_INCLUDE_PATH").unwrap_or_default();
    let all = std::iter::once(own.clone()).chain(std::env::split_paths(&given));
    std::env::join_paths(all.filter(|path| !path.as_os_str().is_empty())).unwrap_or_else(|_| own.into())
}

/// Mesa's software GPU, so that the tests are the same on every machine.
pub(crate) fn software_driver() -> Option<PathBuf> {
    DRIVERS.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten().map(|e| e.path()).find(
        |path| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            name.starts_with("lvp_icd") && name.ends_with(".json")
        },
    )
}
