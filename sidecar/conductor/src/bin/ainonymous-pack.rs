//! Packs `workdir/inference.dna`, `ainonymous.happ` and, with a built page, `ainonymous.webhapp`; prints one line of JSON.
//!
//! A build tool: the program that people run is `ainonymous`.

use ainonymous_conductor::{pack, ConductorError};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: ainonymous-pack [--root DIR] [--ui DIST_DIR]";

struct Args {
    root: PathBuf,
    ui: Option<PathBuf>,
}

#[allow(clippy::print_stdout, clippy::print_stderr)]
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = match parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(problem) => {
            eprintln!("error: {problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match Box::pin(pack_all(&args)).await {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}\nhint: {}", error.hint());
            ExitCode::FAILURE
        }
    }
}

async fn pack_all(args: &Args) -> Result<serde_json::Value, ConductorError> {
    let Args { root, ui } = args;
    let workdir = root.join("workdir");
    let dna_hash = pack::pack_dna(&root.join("dnas/inference/dna.yaml"), &workdir.join("inference.dna")).await?;
    let happ = pack::pack_happ(&root.join("happ.yaml"), &workdir.join("ainonymous.happ")).await?;
    let webhapp = ui.as_deref().map(|ui: &Path| pack::pack_webhapp(&happ, ui, &workdir.join("ainonymous.webhapp")));
    let webhapp_bytes = webhapp.transpose()?.map(|bytes| bytes.len());
    Ok(serde_json::json!({
        "dna_hash": dna_hash.to_string(),
        "happ_bytes": happ.len(),
        "webhapp_bytes": webhapp_bytes,
    }))
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Args, String> {
    let mut parsed = Args { root: PathBuf::from("."), ui: None };
    while let Some(arg) = args.next() {
        let mut value = || args.next().map(PathBuf::from).ok_or(format!("{arg} needs a folder"));
        match arg.as_str() {
            "--root" => parsed.root = value()?,
            "--ui" => parsed.ui = Some(value()?),
            _ => return Err(format!("what is '{arg}'?")),
        }
    }
    Ok(parsed)
}
