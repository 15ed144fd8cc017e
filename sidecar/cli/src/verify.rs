//! Checking the receipt of an answer: first whether the file fits together, then what the model itself says.
//!
//! Neither node nor network is needed. What fits and what follows is decided by `ainonymous_node::receipt_file`; here are files and words.

use crate::args::Verify;
use crate::config::Config;
use crate::error::CliError;
use crate::exit::Exit;
use crate::out::Out;
use crate::{models, settings, up};
use ainonymous_engine::{Engine as _, EngineError, EngineOptions, LlamaEngine};
use ainonymous_models::{parts_of, HashCache, Store};
use ainonymous_node::receipt_file::check::{all_fit, check, Finding, Found};
use ainonymous_node::receipt_file::replay::{replay, Measured, Replayed};
use ainonymous_node::receipt_file::{ReceiptFile, FILE_BYTES_MAX};
use ainonymous_node::{calibration_for, spec_entry, NodeError};
use ainonymous_types::{ModelSpec, Verdict};
use serde_json::json;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// Tokens of context beyond prompt and answer: a replay goes in steps.
const SPARE_TOKENS: u32 = 64;
/// Remembers digests of files that were not pulled, in the folder of models.
const HASHES: &str = "hashes.json";

/// Checks, says what was found, and ends with the verdict.
pub(crate) async fn run(flags: Verify, config: &Config, out: &Out) -> Result<Exit, CliError> {
    let Verify { file, model, no_model, calibration, models: folder } = flags;
    let read = ReceiptFile::parse(&read_file(&file, FILE_BYTES_MAX)?).map_err(|e| not_usable(&file, e.to_string()))?;
    let table = calibration.as_deref().map(|path| table(path, &read)).transpose()?;
    let findings = check(&read, spec_entry);
    let fits = all_fit(&findings);
    let store = models::store(&folder, config)?;
    let path = match model {
        Some(model) => Some(of_hash(settings::find_model(model, &folder, config)?, &read.model, &store)?),
        None if no_model || !fits => None,
        None => find(&store, &read.model),
    };
    let replayed = match path.filter(|_| fits) {
        Some(path) => Some(compute_again(&path, &read, table.as_ref()).await?),
        None => None,
    };
    let verdict = match (&replayed, fits) {
        (_, false) => Verdict::Fail,
        (Some(Ok(replayed)), true) => replayed.verdict,
        (Some(Err(_)), true) => Verdict::Inconclusive,
        (None, true) => Verdict::Pass,
    };
    let level = if matches!(replayed, Some(Ok(_))) { 2 } else { 1 };
    if out.is_json() {
        let (found, not_replayed) = match &replayed {
            Some(Ok(found)) => (Some(found), None),
            Some(Err(e)) => (None, Some(e.to_string())),
            None => (None, None),
        };
        out.object(&json!({ "verdict": verdict, "level": level, "model": named(&read.model), "findings": findings,
            "replay": found, "not_replayed": not_replayed }));
    } else {
        in_words(out, &read, &findings, replayed.as_ref(), no_model || !fits);
        out.line(&conclusion(verdict, level));
    }
    Ok(match verdict {
        Verdict::Pass => Exit::Ok,
        Verdict::Fail => Exit::NotGenuine,
        Verdict::Inconclusive => Exit::Inconclusive,
    })
}

fn in_words(
    out: &Out,
    file: &ReceiptFile,
    findings: &[Finding],
    replayed: Option<&Result<Replayed, EngineError>>,
    on_purpose: bool,
) {
    out.line(&format!("An answer by {} with {}.", file.receipt.receipt.provider, named(&file.model)));
    for Finding { part: _, found, sentence } in findings {
        let mark = match found {
            Found::Fits => "fits",
            Found::DoesNotFit => "DOES NOT FIT",
            Found::Unknown => "not known",
        };
        out.line(&format!("{mark}: {sentence}"));
    }
    match replayed {
        Some(Ok(found)) => replay_in_words(out, found),
        Some(Err(e)) => out.line(&format!("not computed again: {e}. {}", e.hint())),
        None if on_purpose => {}
        None => out.line(&format!(
            "not computed again: no file on this machine has the hash {}. `ainonymous pull` it, or name it with --model.",
            file.model.gguf_hash
        )),
    }
}

fn replay_in_words(out: &Out, found: &Replayed) {
    let Replayed { verdict: _, sentence, same_choice, tokens, margin_mean, margin_max, cut: _, statistics, class } =
        found;
    out.line(&format!("computed again on {class}: {sentence}"));
    out.line(&format!(
        "  {same_choice} of {tokens} tokens are what this model chooses; the others are {margin_max:.3} nats from it at most, \
         {margin_mean:.4} on average over all."
    ));
    if let Some(counted) = statistics {
        let per_token = |sum: u32, unit: f64| f64::from(sum) / unit / (*tokens).max(1) as f64;
        out.line(&format!(
            "  The provider's likelihoods differ from this machine's by {:.4} nats a token, in the worst window by {} 128ths of a nat; \
             at {} of {tokens} places by more than a tenth; {} tokens could hardly have been chosen.",
            per_token(counted.delta_sum, 128.0),
            counted.delta_window,
            counted.tail,
            counted.impossible,
        ));
    }
}

fn conclusion(verdict: Verdict, level: u8) -> String {
    match (verdict, level) {
        (Verdict::Pass, 2) => "pass: the file fits together, and the model says the same.",
        (Verdict::Pass, _) => "pass: the file fits together. Whether the model says the same was not tried.",
        (Verdict::Fail, 2) => "fail: the answer is not what the model says.",
        (Verdict::Fail, _) => "fail: the file does not fit together.",
        (Verdict::Inconclusive, _) => {
            "inconclusive: the file fits together; whether the model wrote the answer remains open."
        }
    }
    .into()
}

fn named(model: &ModelSpec) -> String {
    format!("{}:{}", model.name, model.quantization)
}

/// The answer once more; an error of the engine says why that cannot be.
async fn compute_again(
    path: &Path,
    file: &ReceiptFile,
    table: Option<&Measured>,
) -> Result<Result<Replayed, EngineError>, CliError> {
    let said = &file.receipt.receipt;
    let context = said.prompt_tokens.saturating_add(said.completion_tokens).saturating_add(SPARE_TOKENS);
    let options = EngineOptions {
        context_tokens: Some(context.min(file.model.context_tokens)),
        slots: 1,
        kv_type: file.model.kv_type,
        prefix_cache_bytes: Some(0),
        ..EngineOptions::new(path)
    };
    let engine = match LlamaEngine::load(up::worker()?, options, CancellationToken::new()).await {
        Ok(engine) => engine,
        Err(e) => return Ok(Err(e)),
    };
    let replayed = replay(file, &engine, table).await;
    engine.shutdown().await;
    Ok(replayed)
}

/// A model on this machine with the hash that the spec names; only files of that length are read.
fn find(store: &Store, model: &ModelSpec) -> Option<PathBuf> {
    let mut cache = HashCache::open(&store.root().join(HASHES));
    let fitting = store.list().into_iter().filter(|found| found.bytes == model.gguf_bytes);
    let is_it = |files: &[PathBuf]| cache.hash_files(files).is_ok_and(|hashes| hashes.gguf_hash == model.gguf_hash);
    let mut is_it = is_it;
    fitting.map(|found| found.files).find(|files| is_it(files)).and_then(|files| files.into_iter().next())
}

/// The file, if it is the model's.
fn of_hash(path: PathBuf, model: &ModelSpec, store: &Store) -> Result<PathBuf, CliError> {
    let hashes = HashCache::open(&store.root().join(HASHES)).hash_files(&parts_of(&path)?)?;
    if hashes.gguf_hash == model.gguf_hash {
        return Ok(path);
    }
    let problem =
        format!("it is another model: its SHA-256 is {}, and the receipt names {}", hashes.gguf_hash, model.gguf_hash);
    Err(CliError::Value { value: path.display().to_string(), what: "--model", problem })
}

fn table(path: &Path, file: &ReceiptFile) -> Result<Measured, CliError> {
    calibration_for(path, file).map_err(|e| match e {
        NodeError::Calibration { path, problem } => {
            CliError::Value { value: path.display().to_string(), what: "--calibration", problem }
        }
        e => e.into(),
    })
}

fn read_file(path: &Path, bytes_max: usize) -> Result<Vec<u8>, CliError> {
    let file = |source| CliError::File { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    // One byte more than is allowed tells that there are more.
    let most = bytes_max as u64 + 1;
    fs_err::File::open(path).map_err(file)?.take(most).read_to_end(&mut bytes).map_err(file)?;
    if bytes.len() > bytes_max {
        return Err(not_usable(path, format!("it has more than {} MiB", bytes_max >> 20)));
    }
    Ok(bytes)
}

fn not_usable(path: &Path, problem: String) -> CliError {
    CliError::Value { value: path.display().to_string(), what: "FILE", problem }
}
