//! A local network of two nodes and one question: the whole product, from nothing but its own binaries.
//!
//! One node serves the tiny model, the other has none and asks. What is shown comes from what the binaries said;
//! nothing here knows Holochain, llama.cpp or HTTP.

mod network;
mod show;

use crate::error::{json, Result};
use crate::layout::Layout;
use crate::run::Output;
use crate::setup::{self, For};
use crate::{pack, stop};
use network::Network;
use serde::{Deserialize, Serialize};
use std::path::Path;
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

/// What the asking node says about one answer: the object that `ainonymous ask --json` prints.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Answer {
    /// The text.
    pub(crate) answer: String,
    /// Agent that answered.
    provider: String,
    /// Action of the batch that carries the receipt.
    receipt: Option<String>,
    /// The asking node fetched it and found it right.
    receipt_checked: bool,
    /// Tokens of the rendered prompt.
    prompt_tokens: u64,
    /// Tokens of the answer.
    completion_tokens: u64,
    /// From asking to the first token, as the asking node saw it. Milliseconds.
    ttft_ms: f64,
    /// From the first to the last token.
    tokens_per_s: f64,
    /// Whatever else it says.
    #[serde(flatten)]
    more: serde_json::Map<String, serde_json::Value>,
}

/// Builds, then shows; without `--once` until somebody stops it.
pub(crate) fn run(layout: &Layout, options: &Options) -> Result<()> {
    build(layout)?;
    let network = Network::start(layout, options.model.as_deref())?;
    let answer = network.ask(&options.question)?;
    if options.json {
        println!("{}", serde_json::to_string(&answer).map_err(json("the answer"))?);
    } else {
        show::block(&options.question, &answer, (!options.once).then_some(&network));
    }
    if options.once || options.json {
        return Ok(());
    }
    loop {
        match stop::pause(Duration::from_millis(200)) {
            Ok(()) => network.check()?,
            // That is how it is meant to end.
            Err(_) => return Ok(()),
        }
    }
}

/// One question on a network that is gone afterwards, with binaries that are built.
pub(crate) fn once(layout: &Layout, question: Option<&str>, model: Option<&Path>) -> Result<Answer> {
    Network::start(layout, model)?.ask(question.unwrap_or(QUESTION))
}

fn build(layout: &Layout) -> Result<()> {
    let ready = setup::run(layout, For::Building, false)?;
    let log = layout.log("demo-build");
    eprintln!("build   (the first time takes a while; output in {})", log.display());
    let built =
        pack::pack(layout, &ready, false, Output::Log(&log)).and_then(|_| pack::binaries(layout, Output::Log(&log)));
    if matches!(built, Err(crate::error::Error::Failed { .. })) {
        eprintln!("{}", crate::run::tail(&log, 40));
    }
    built
}
