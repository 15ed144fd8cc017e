//! A local network of two nodes and one question: the whole product, from nothing but its own binaries.
//!
//! One node serves the tiny model, the other has none and asks. What is shown comes from what the binaries said;
//! nothing here knows Holochain, llama.cpp or HTTP.

mod network;

use crate::error::{json, Error, Result};
use crate::layout::Layout;
use crate::run::{self, Output};
use crate::setup::{self, For};
use crate::{pack, stop};
use network::{Network, Said};
use serde::Deserialize;
use std::time::Duration;

/// What is asked unless somebody asks something else: the tiny model knows the answer.
const QUESTION: &str = "What is the capital of France?";

/// Flags of `cargo xtask demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Ask, print, stop.
    #[arg(long)]
    once: bool,
    /// One JSON object on stdout instead of the text (implies --once).
    #[arg(long)]
    json: bool,
    /// What to ask.
    #[arg(long, default_value = QUESTION)]
    question: String,
    /// A GGUF file to serve instead of the tiny model.
    #[arg(long)]
    model: Option<std::path::PathBuf>,
}

/// What `ainonymous ask --json` must say about an answer: the demo's promise.
#[derive(Debug, Deserialize)]
struct Answer {
    answer: String,
    provider: String,
    receipt: Option<String>,
    receipt_checked: bool,
    prompt_tokens: u64,
    completion_tokens: u64,
    ttft_ms: f64,
    tokens_per_s: f64,
}

/// Builds, then shows; without `--once` until somebody stops it.
pub(crate) fn run(layout: &Layout, options: &Options) -> Result<()> {
    let Options { once, json, question, model } = options;
    build(layout)?;
    let network = Network::start(layout, model.as_deref())?;
    if *json {
        return ask_in_json(&network, question).map(|line| println!("{line}"));
    }
    println!("you     {question}");
    let Said { stdout, stderr } = network.ask(question, false)?;
    println!("answer  {}", stdout.trim().replace('\n', "\n        "));
    for line in stderr.lines() {
        match line {
            origin if origin.starts_with("from ") => println!("        {origin}"),
            receipt if receipt.starts_with("receipt ") => println!("{receipt}"),
            _ => {}
        }
    }
    if *once {
        return Ok(());
    }
    let (api, page) = network.addresses();
    println!("chat    {page}      api  {api}/v1      Ctrl-C stops both nodes");
    loop {
        match stop::pause(Duration::from_millis(200)) {
            Ok(()) => network.check()?,
            // That is how it is meant to end.
            Err(_) => return Ok(()),
        }
    }
}

/// The smoke test: one question on a network of its own, with binaries that are built. Gives what was answered.
pub(crate) fn smoke(layout: &Layout) -> Result<String> {
    ask_in_json(&Network::start(layout, None)?, QUESTION)
}

/// The line that `ask --json` printed, if it holds everything that the demo promises.
fn ask_in_json(network: &Network, question: &str) -> Result<String> {
    let Said { stdout, stderr } = network.ask(question, true)?;
    let line = stdout.trim().to_owned();
    let answer: Answer = serde_json::from_str(&line).map_err(json("what `ainonymous ask --json` printed"))?;
    match lacks(&answer) {
        None => Ok(line),
        Some(detail) => Err(Error::Node { node: "asking node", detail: detail.into(), hint: None, tail: stderr }),
    }
}

/// What an answer is short of.
fn lacks(answer: &Answer) -> Option<&'static str> {
    let Answer { answer, provider, receipt, receipt_checked, prompt_tokens, completion_tokens, ttft_ms, tokens_per_s } =
        answer;
    [
        (!answer.trim().is_empty(), "the answer is empty"),
        (provider.starts_with("uhCAk"), "nobody is named as the provider"),
        (receipt.as_deref().is_some_and(|action| action.starts_with("uhCkk")), "the receipt was not published in time"),
        (*receipt_checked, "the receipt was not checked"),
        (*prompt_tokens > 0 && *completion_tokens > 0, "no tokens were counted"),
        (*ttft_ms > 0.0 && *tokens_per_s > 0.0, "nothing was timed"),
    ]
    .into_iter()
    .find_map(|(holds, lack)| (!holds).then_some(lack))
}

fn build(layout: &Layout) -> Result<()> {
    let ready = setup::run(layout, For::Building, false)?;
    let log = layout.log("demo-build");
    eprintln!("build   the first time takes a while; output in {}", log.display());
    let built =
        pack::pack(layout, &ready, false, Output::Log(&log)).and_then(|_| pack::binaries(layout, Output::Log(&log)));
    if matches!(built, Err(Error::Failed { .. })) {
        eprintln!("{}", run::ending(&log, 40));
    }
    built
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_a_checked_receipt_is_no_demo() {
        let said = |receipt: &str, checked: bool| {
            format!(
                r#"{{"answer":"Paris.","provider":"uhCAkx","receipt":{receipt},"receipt_checked":{checked},"id":"more",
                    "prompt_tokens":9,"completion_tokens":8,"ttft_ms":41.2,"tokens_per_s":5100.4}}"#
            )
        };
        let lack = |text: String| lacks(&serde_json::from_str(&text).unwrap());
        assert_eq!(lack(said("\"uhCkkx\"", true)), None);
        assert_eq!(lack(said("\"uhCkkx\"", false)), Some("the receipt was not checked"));
        assert_eq!(lack(said("null", false)), Some("the receipt was not published in time"));
    }
}
