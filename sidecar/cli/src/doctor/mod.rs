//! Checks of this machine, its configuration and its node, each with what to do about it. It changes nothing.

mod checks;
mod engine;
mod machine;

pub(crate) use machine::free_memory;

use crate::args::Doctor;
use crate::config::Config;
use crate::error::CliError;
use crate::exit::Exit;
use crate::out::Out;
use crate::settings::Settings;
use crate::up;
use ainonymous_engine::Fit;
use serde::Serialize;

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but not as well as it could.
    Warn,
    /// It does not work.
    Fail,
}

/// One line.
#[derive(Clone, Debug, Serialize)]
struct Check {
    name: &'static str,
    verdict: Verdict,
    found: String,
    hint: Option<String>,
    /// How a model would be loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<Box<Fit>>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, found: found.into(), hint: None, plan: None }
    }

    fn warn(name: &'static str, found: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Warn, found: found.into(), hint: Some(hint.into()), plan: None }
    }

    fn fail(name: &'static str, found: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Fail, found: found.into(), hint: Some(hint.into()), plan: None }
    }
}

/// Checks what `up` with the same flags would need.
pub(crate) async fn run(flags: Doctor, config: &Config, out: &Out) -> Result<Exit, CliError> {
    let settings = Settings::resolve(flags.flags, Vec::new(), config)?;
    let mut all = Vec::new();
    all.extend(machine::processor(&settings));
    all.push(machine::memory(&settings));
    all.push(checks::gpu());
    all.push(checks::data_dir(&settings.data_dir));
    all.push(checks::disk(&settings.data_dir));
    all.push(checks::passphrase(&settings));
    all.push(checks::api(settings.api, &settings.data_dir).await);
    all.push(checks::happ(&settings).await);
    all.push(checks::network(&settings.network).await);
    let worker = up::worker()?;
    all.extend(engine::devices(&worker).await);
    for model in &settings.models {
        let check = checks::model(&model.path);
        let readable = check.verdict != Verdict::Fail;
        all.push(check);
        if readable {
            all.push(engine::plan(&worker, model).await);
        }
    }
    let failed = all.iter().any(|check| check.verdict == Verdict::Fail);
    if out.is_json() {
        out.object(&serde_json::json!({ "ok": !failed, "checks": all }));
    } else {
        all.iter().for_each(|check| show(check, out));
    }
    Ok(if failed { Exit::Other } else { Exit::Ok })
}

fn show(check: &Check, out: &Out) {
    let verdict = match check.verdict {
        Verdict::Ok => "ok",
        Verdict::Warn => "warn",
        Verdict::Fail => "fail",
    };
    out.line(&format!("{verdict:<5} {:<11} {}", check.name, check.found));
    if let Some(hint) = &check.hint {
        out.line(&format!("{:<17} hint: {hint}", ""));
    }
}
