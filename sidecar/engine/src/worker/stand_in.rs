//! A worker whose answers come from any [`Engine`] instead of from llama.cpp: whole nodes are tried with engines that do not say what their
//! model does. The host cannot tell it from another, and no program that people get calls it.

use super::output::Output;
use super::slot;
use crate::wire::{read_frame, ToHost, ToWorker, WireEvent, PROTOCOL, TO_WORKER_BYTES_MAX};
use crate::{os, Engine, EngineError, EngineOptions, Event, Question};
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

/// Frames of the host that wait.
const FRAMES_MAX: usize = 64;
/// Time between two signs of life.
const ALIVE_EVERY: Duration = Duration::from_secs(1);

/// Serves the host at the other end of stdin and stdout with what `load` makes of its options; ends when the host does. The first thing that a
/// process does: it must have opened nothing, and have no other threads.
pub fn run_stand_in<E, F>(load: impl FnOnce(EngineOptions) -> F) -> ExitCode
where
    E: Engine + 'static,
    F: Future<Output = Result<E, EngineError>>,
{
    os::die_with_parent();
    let Ok(frames) = os::take_stdout() else { return ExitCode::FAILURE };
    let output = Arc::new(Output::new(frames));
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return ExitCode::FAILURE;
    };
    match read_frame(&mut io::stdin(), TO_WORKER_BYTES_MAX) {
        Ok(Some(ToWorker::Load { protocol: PROTOCOL, options, reserved: _ })) => {
            runtime.block_on(async { serve(load(options).await, &output).await })
        }
        Ok(None) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

async fn serve(loaded: Result<impl Engine + 'static, EngineError>, output: &Arc<Output>) -> ExitCode {
    let engine: Arc<dyn Engine> = match loaded {
        Ok(engine) => Arc::new(engine),
        Err(error) => {
            output.send(&ToHost::LoadFailed(error));
            return ExitCode::FAILURE;
        }
    };
    output.send(&ToHost::Loaded(Box::new(engine.info().clone())));
    let mut frames = frames();
    let (mut tasks, mut under_way) = (JoinSet::new(), HashMap::<u64, (AbortHandle, Instant)>::new());
    let mut alive = tokio::time::interval(ALIVE_EVERY);
    loop {
        let frame = tokio::select! {
            frame = frames.recv() => frame,
            _ = alive.tick() => {
                output.alive();
                continue;
            }
            Some(ended) = tasks.join_next() => {
                under_way.retain(|_, (task, _)| !task.is_finished());
                // Whoever waits for what a panic has ended shall not wait for ever.
                if ended.is_err_and(|error| error.is_panic()) {
                    return ExitCode::FAILURE;
                }
                continue;
            }
        };
        let (engine, out) = (engine.clone(), output.clone());
        let (id, task) = match frame {
            None | Some(ToWorker::Shutdown) => break,
            Some(ToWorker::Load { .. } | ToWorker::Preview { .. }) => return ExitCode::FAILURE,
            Some(ToWorker::Cancel { id }) => {
                if let Some((task, asked)) = under_way.remove(&id) {
                    task.abort();
                    tell(&out, id, slot::cancelled_before_start(asked));
                }
                continue;
            }
            Some(ToWorker::Generate { id, question }) => (id, tasks.spawn(answer(engine, out, id, question))),
            Some(ToWorker::Embed { id, question }) => {
                let embed = async move { tell(&out, id, or_failed(engine.embed(question).await, WireEvent::Embedded)) };
                (id, tasks.spawn(embed))
            }
            Some(ToWorker::Replay { id, question }) => {
                let replayed = |replay| WireEvent::Replayed(Box::new(replay));
                (id, tasks.spawn(async move { tell(&out, id, or_failed(engine.replay(*question).await, replayed)) }))
            }
            Some(ToWorker::Inspect { id, question }) => {
                let told = WireEvent::Inspected;
                (id, tasks.spawn(async move { tell(&out, id, or_failed(engine.inspect(question).await, told)) }))
            }
        };
        under_way.insert(id, (task, Instant::now()));
    }
    engine.shutdown().await;
    ExitCode::SUCCESS
}

/// What the host says, read on a thread of its own: a read of stdin cannot be given up.
fn frames() -> mpsc::Receiver<ToWorker> {
    let (sender, frames) = mpsc::channel(FRAMES_MAX);
    std::thread::spawn(move || {
        while let Ok(Some(frame)) = read_frame(&mut io::stdin(), TO_WORKER_BYTES_MAX) {
            if sender.blocking_send(frame).is_err() {
                break;
            }
        }
    });
    frames
}

async fn answer(engine: Arc<dyn Engine>, output: Arc<Output>, id: u64, question: Box<Question>) {
    let mut generation = match engine.generate(*question) {
        Ok(generation) => generation,
        Err(error) => return tell(&output, id, WireEvent::Failed(error)),
    };
    let mut has_ended = false;
    while let Some(event) = generation.events.recv().await {
        has_ended = matches!(event, Event::Finished(_) | Event::Failed(_));
        tell(&output, id, wire(event));
    }
    if !has_ended {
        tell(&output, id, WireEvent::Failed(EngineError::Draining));
    }
}

fn tell(output: &Output, id: u64, event: WireEvent) {
    output.event(id, event);
    output.flush();
}

fn or_failed<T>(outcome: Result<T, EngineError>, event: impl FnOnce(T) -> WireEvent) -> WireEvent {
    outcome.map_or_else(WireEvent::Failed, event)
}

fn wire(event: Event) -> WireEvent {
    match event {
        Event::Queued { position } => WireEvent::Queued { position },
        Event::Started { prompt_tokens } => WireEvent::Started { prompt_tokens },
        Event::Token { id, text, more } => WireEvent::Token { id, text, more },
        Event::Finished(finished) => WireEvent::Finished(finished),
        Event::Failed(error) => WireEvent::Failed(error),
    }
}
