//! What the engine would compute on, and how each model would be fitted to this machine. Asks a worker process, which loads
//! no weights: this process stays without the libraries of GPUs, and survives a file that crashes llama.cpp.

use super::Check;
use crate::show::bytes;
use ainonymous_engine::{EngineError, LlamaEngine, Preview};
use ainonymous_node::{ServeOptions, WorkerCommand};

/// What there is to compute on.
pub(super) async fn devices(worker: &WorkerCommand) -> Check {
    const NAME: &str = "engine";
    match LlamaEngine::preview(worker.clone(), None).await {
        Ok(Preview { fit: _, variant, devices }) => {
            let device = |d: &ainonymous_engine::DeviceInfo| match d.is_gpu {
                true => format!("{} {} with {} free", d.backend, d.name, bytes(d.free_bytes)),
                false => match &variant {
                    Some(variant) => format!("{} {}, with the code for {variant}", d.backend, d.name),
                    None => format!("{} {}", d.backend, d.name),
                },
            };
            let found: Vec<String> = devices.iter().map(device).collect();
            Check::ok(NAME, found.join("; "))
        }
        Err(error) => failed(NAME, &error),
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
