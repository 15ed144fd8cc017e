//! What the engine would compute on, and how each model would be fitted to this machine. Asks a worker process, which loads
//! no weights: this process stays without the libraries of GPUs, and survives a file that crashes llama.cpp.

use super::Check;
use crate::show::{bytes, confinement};
use ainonymous_engine::{EngineError, LlamaEngine, Preview, SandboxReport, SANDBOX_VARIABLE};
use ainonymous_node::{ServeOptions, WorkerCommand};

/// What there is to compute on, and what a worker process cannot do.
pub(super) async fn devices(worker: &WorkerCommand) -> Vec<Check> {
    const NAME: &str = "engine";
    match LlamaEngine::preview(worker.clone(), None).await {
        Ok(Preview { fit: _, variant, devices, sandbox: report }) => {
            let device = |d: &ainonymous_engine::DeviceInfo| match d.is_gpu {
                true => format!("{} {} with {} free", d.backend, d.name, bytes(d.free_bytes)),
                false => match &variant {
                    Some(variant) => format!("{} {}, with the code for {variant}", d.backend, d.name),
                    None => format!("{} {}", d.backend, d.name),
                },
            };
            let found: Vec<String> = devices.iter().map(device).collect();
            vec![Check::ok(NAME, found.join("; ")), sandbox(&report)]
        }
        Err(error) => vec![failed(NAME, &error)],
    }
}

/// As the worker process itself says after it was confined.
fn sandbox(SandboxReport { network, files, privileges, detail }: &SandboxReport) -> Check {
    const NAME: &str = "sandbox";
    let found = confinement([*network, *files, *privileges], detail);
    match network & files & privileges {
        true => Check::ok(NAME, found),
        false => {
            let hint = format!(
                "models from strangers are safest on Linux 5.13 or newer with Landlock and seccomp; {SANDBOX_VARIABLE}=required \
                 loads none without"
            );
            Check::warn(NAME, found, hint)
        }
    }
}

/// The plan for a model.
pub(super) async fn plan(worker: &WorkerCommand, model: &ServeOptions) -> Check {
    const NAME: &str = "fit";
    match LlamaEngine::preview(worker.clone(), Some(model.engine_options())).await {
        Ok(Preview { fit: Some(fit), .. }) => {
            let found = fit.explain().join("; ");
            let check = match fit.degraded.is_empty() {
                true => Check::ok(NAME, found),
                false => Check::warn(NAME, found, "it works with less; a smaller model or quantisation leaves more"),
            };
            Check { plan: Some(Box::new(fit)), ..check }
        }
        Ok(Preview { fit: None, .. }) => Check::ok(NAME, "not known"),
        Err(error) => failed(NAME, &error),
    }
}

fn failed(name: &'static str, error: &EngineError) -> Check {
    Check::fail(name, error.to_string(), error.hint())
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn what_is_not_confined_is_a_warning_that_says_so() {
        let all = SandboxReport { network: true, files: true, privileges: true, detail: "seccomp".into() };
        assert_eq!(sandbox(&all).verdict, Verdict::Ok);
        assert_eq!(sandbox(&all).found, "cannot use network, files, privileges (seccomp)");
        let some = SandboxReport { files: false, detail: "seccomp; not enforced: files (no Landlock)".into(), ..all };
        let check = sandbox(&some);
        assert_eq!(check.verdict, Verdict::Warn);
        assert!(check.found.contains("could use files") && check.found.contains("no Landlock"), "{}", check.found);
        assert!(check.hint.unwrap().contains("AINONYMOUS_SANDBOX=required"));
    }
}
