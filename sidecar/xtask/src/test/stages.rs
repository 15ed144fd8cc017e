//! The stages of `cargo xtask test`.
//!
//! Native tests, binaries and packer are built from one selection of packages with the same features: another selection
//! would compile a thousand crates again.

use super::count::{self, Count};
use super::{locked, vulkan, Options, Run, Stage};
use crate::error::{Error, Result};
use crate::run::{self, Output};
use crate::setup::{self, For};
use crate::{attacks, clients, demo, gen, pack, pairs, tidy, ui, zomes};
use std::process::Command;
use std::time::Duration;

/// Pure or small: they need neither Holochain nor llama.cpp.
const QUICK_PACKAGES: &[&str] =
    &["ainonymous-types", "ainonymous-verify", "ainonymous-protocol", "ainonymous-models", "ainonymous-sim", "xtask"];
/// A run of native tests that takes longer than this hangs.
const NATIVE_LIMIT: Duration = Duration::from_secs(75 * 60);
/// The same for the browser.
const BROWSER_LIMIT: Duration = Duration::from_secs(10 * 60);

/// The same for attacks on audits.
const ATTACKS_LIMIT: Duration = Duration::from_secs(5 * 60);

/// Tests that may need a second try in one run: more are no accident.
const RETRIED_MAX: u64 = 3;

/// The stages that the flags ask for.
pub(super) fn chosen(options: &Options) -> Vec<Stage> {
    if options.vulkan {
        return vulkan::STAGES.to_vec();
    }
    if options.quick {
        return vec![
            ("rules", rules),
            ("formatting", formatting),
            ("lints, pure crates", quick_lints),
            ("tests, pure crates", quick_tests),
            ("validation and nonsense, natively", apart),
        ];
    }
    let build: [Stage; 5] = [
        ("setup", setup),
        ("official clients", official_clients),
        ("zomes", zome),
        ("app: page and bundles", app),
        ("binaries", binaries),
    ];
    if options.filter.is_some() {
        return build.into_iter().chain([("native tests", native as _)]).collect();
    }
    let mut stages: Vec<Stage> = vec![("rules", rules), ("formatting", formatting)];
    stages.extend(build);
    stages.extend([
        ("generated files", generated as _),
        ("lints", lints),
        ("page: types and unit tests", page),
        ("validation and nonsense, natively", apart),
        ("native tests, unit to end to end", native),
        ("browser tests", browser),
        ("attacks on audits", tried_attacks),
        ("demo", smoke),
    ] as [Stage; 8]);
    if options.slow {
        stages.extend([
            ("reproducible build", reproducible as _),
            ("documentation", documentation),
            ("licences", licences),
        ] as [Stage; 3]);
    }
    stages
}

fn setup(run: &mut Run<'_>) -> Result<Count> {
    run.ready = Some(setup::run(run.layout, For::Testing, false)?);
    Ok(Count::default())
}

fn rules(run: &mut Run<'_>) -> Result<Count> {
    tidy::check(run.layout)?;
    Ok(Count::ONE_PASSED)
}

fn formatting(run: &mut Run<'_>) -> Result<Count> {
    let mut cargo = run::cargo(run.layout);
    cargo.args(["fmt", "--all", "--check"]);
    step(run, "formatting", &mut cargo)?;
    Ok(Count::ONE_PASSED)
}

fn official_clients(run: &mut Run<'_>) -> Result<Count> {
    let log = run.layout.log("clients");
    clients::install(run.layout, ready(run)?, Output::Log(&log))?;
    Ok(Count::default())
}

fn zome(run: &mut Run<'_>) -> Result<Count> {
    let log = run.layout.log("zomes");
    zomes::build(run.layout, &ready(run)?.wasm, true, Output::Log(&log))?;
    Ok(Count::default())
}

fn app(run: &mut Run<'_>) -> Result<Count> {
    let log = run.layout.log("app");
    let dist = ui::build(run.layout, ready(run)?, Output::Log(&log))?;
    pack::bundle(run.layout, &dist, Output::Log(&log))?;
    Ok(Count::default())
}

fn binaries(run: &mut Run<'_>) -> Result<Count> {
    let log = run.layout.log("binaries");
    pack::binaries(run.layout, Output::Log(&log))?;
    Ok(Count::default())
}

fn generated(run: &mut Run<'_>) -> Result<Count> {
    gen::run(run.layout, true, true)?;
    Ok(Count::ONE_PASSED)
}

fn lints(run: &mut Run<'_>) -> Result<Count> {
    let mut cargo = run::cargo(run.layout);
    cargo.args(["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    locked(run.layout, || step(run, "lints", &mut cargo))?;
    Ok(Count::ONE_PASSED)
}

fn page(run: &mut Run<'_>) -> Result<Count> {
    let log = run.layout.log("page");
    run::run("types of the page", &mut ui::npm(run.layout, ready(run)?, &["run", "check"]), Output::Log(&log))?;
    counted(run, "page", &mut ui::npm(run.layout, ready(run)?, &["run", "test"]), None)
}

fn native(run: &mut Run<'_>) -> Result<Count> {
    let filter = run.options.filter.as_deref();
    let mut cargo = run::cargo(run.layout);
    if nextest() {
        cargo.args(["nextest", "run", "--locked", "--color", "never"]).args(filter);
    } else {
        // Without nextest's groups the end-to-end tests would run side by side.
        cargo
            .env("RUST_TEST_THREADS", "1")
            .args(["test", "--locked", "--no-fail-fast", "--lib", "--bins", "--tests"])
            .args(filter);
    }
    cargo.env("AINONYMOUS_BIN", run.layout.binary("ainonymous"));
    cargo.env("AINONYMOUS_CLIENTS_PYTHON", clients::python(run.layout)).env("PATH", ready(run)?.path());
    locked(run.layout, || counted(run, "native-tests", &mut cargo, Some(NATIVE_LIMIT)))
}

fn browser(run: &mut Run<'_>) -> Result<Count> {
    let mut npm = ui::npm(run.layout, ready(run)?, &["run", "e2e"]);
    npm.env("AINONYMOUS_BIN", run.layout.binary("ainonymous"));
    if let Some(chromium) = setup::chromium() {
        npm.env("CHROMIUM", chromium);
    }
    counted(run, "browser-tests", &mut npm, Some(BROWSER_LIMIT))
}

/// Fails if a cheat that has to be found was not, or if the honest were accused.
fn tried_attacks(run: &mut Run<'_>) -> Result<Count> {
    let (tiny, quick) = (pairs::Which::Tiny, attacks::Extent::Quick);
    let alone = Some(attacks::command(run.layout, tiny, quick)?);
    let mut count = Count::default();
    for (what, program) in [("attacks", alone), ("network-attacks", attacks::among_nodes(run.layout, tiny, quick))] {
        let Some(mut program) = program else { continue };
        let log = run.layout.log(what);
        let status = run::run_for(what, &mut program, Output::Log(&log), Some(ATTACKS_LIMIT))?;
        if !status.success() {
            return Err(Error::Failed { what: what.into(), status: status.to_string(), log: Some(log) });
        }
        count.passed += 1;
    }
    Ok(count)
}

fn smoke(run: &mut Run<'_>) -> Result<Count> {
    eprintln!("demo    {}", demo::smoke(run.layout)?);
    Ok(Count::ONE_PASSED)
}

fn reproducible(run: &mut Run<'_>) -> Result<Count> {
    let log = run.layout.log("reproducible");
    pack::check(run.layout, ready(run)?, Output::Log(&log))?;
    Ok(Count::ONE_PASSED)
}

fn documentation(run: &mut Run<'_>) -> Result<Count> {
    let mut cargo = run::cargo(run.layout);
    cargo.env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--locked", "--no-deps", "--document-private-items"]);
    locked(run.layout, || step(run, "documentation", &mut cargo))?;
    Ok(Count::ONE_PASSED)
}

fn licences(run: &mut Run<'_>) -> Result<Count> {
    if run::quiet("cargo-deny", ["--version"]).is_none() {
        eprintln!("without cargo-deny: licences and advisories were not checked (`cargo install cargo-deny`)");
        return Ok(Count::default());
    }
    let mut cargo = run::cargo(run.layout);
    cargo.args(["deny", "--locked", "check"]);
    step(run, "licences", &mut cargo)?;
    Ok(Count::ONE_PASSED)
}

fn quick_lints(run: &mut Run<'_>) -> Result<Count> {
    let mut cargo = quick_cargo(run);
    cargo.args(["clippy", "--locked", "--all-targets"]).args(selected()).args(["--", "-D", "warnings"]);
    step(run, "quick-lints", &mut cargo)?;
    Ok(Count::ONE_PASSED)
}

fn quick_tests(run: &mut Run<'_>) -> Result<Count> {
    let mut cargo = quick_cargo(run);
    cargo.args(runner()).arg("--locked").args(selected());
    counted(run, "quick-tests", &mut cargo, None)
}

/// Zomes and targets of fuzzing are no default members: in the one selection their features would reach everything else.
fn apart(run: &mut Run<'_>) -> Result<Count> {
    let mut cargo = quick_cargo(run);
    cargo.args(runner()).args(["--locked", "-p", "inference_integrity", "-p", "ainonymous-fuzz"]);
    counted(run, "tests-apart", &mut cargo, None)
}

fn runner() -> &'static [&'static str] {
    if nextest() {
        &["nextest", "run", "--color", "never"]
    } else {
        &["test"]
    }
}

/// Its own target directory: this selection has other features than the whole.
fn quick_cargo(run: &Run<'_>) -> Command {
    let mut cargo = run::cargo(run.layout);
    cargo.env("CARGO_TARGET_DIR", run.layout.cache.join("quick"));
    cargo
}

fn selected() -> impl Iterator<Item = &'static str> {
    QUICK_PACKAGES.iter().flat_map(|package| ["-p", package])
}

fn nextest() -> bool {
    run::quiet("cargo-nextest", ["nextest", "--version"]).is_some()
}

fn ready<'a>(run: &'a Run<'_>) -> Result<&'a setup::Ready> {
    run.ready.as_ref().ok_or(Error::Interrupted)
}

/// A step without tests to count.
fn step(run: &Run<'_>, name: &str, command: &mut Command) -> Result<()> {
    run::run(name, command, Output::Log(&run.layout.log(name)))
}

/// A test runner: its count is read from its output, and its failure is never hidden by a count.
pub(super) fn counted(run: &Run<'_>, name: &str, command: &mut Command, limit: Option<Duration>) -> Result<Count> {
    let log = run.layout.log(name);
    let status = run::run_for(name, command, Output::Log(&log), limit)?;
    let output = fs_err::read(&log)?;
    let output = String::from_utf8_lossy(&output);
    let mut count = count::read(&output);
    if count.retried > 0 {
        count::retried(&output).for_each(|test| eprintln!("passed at the second try only: {test}"));
    }
    if count.retried > RETRIED_MAX {
        count.failed = count.failed.max(count.retried);
    }
    if !status.success() || count.failed > 0 {
        count.failed = count.failed.max(1);
        eprintln!("{}", run::ending(&log, super::TAIL_LINES));
    } else if count.total() == 0 && run.options.filter.is_none() {
        let status = "it ended well but counted no test".into();
        return Err(Error::Failed { what: name.to_owned(), status, log: Some(log) });
    }
    Ok(count)
}
