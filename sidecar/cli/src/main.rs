//! The program `ainonymous`: flags, configuration, words for people. The only place that prints.
//!
//! stdout is data, stderr is talk, colour is not used. It must not decide anything about answers: that is the node's.

mod args;
mod ask;
mod bootstrap;
mod chat;
mod client;
mod config;
mod credits;
mod doctor;
mod error;
mod exit;
mod happ;
mod key_file;
mod keys;
mod logging;
mod meter;
mod models;
mod network;
mod out;
mod passphrase;
mod paths;
mod private;
mod reference;
mod router;
mod settings;
mod show;
mod signals;
mod status;
mod up;
mod verify;

use args::{Cli, Command};
use clap::error::ErrorKind;
use clap::Parser as _;
use config::Config;
use error::CliError;
use exit::Exit;
use out::Out;
use settings::Settings;
use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

/// Compiling the zomes takes a few hundred megabytes once; this allocator gives them back to the system, glibc's does not.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long tasks that are left over may take to end.
const LEFTOVERS_MAX: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    // Before threads, logs or anything else: the worker owns its stdin and stdout.
    if std::env::args_os().nth(1).is_some_and(|name| name == args::WORKER) {
        return ainonymous_engine::run_worker();
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let out = Out::new(cli.global.json, cli.command.speaks_in_events());
    match run(cli, &out) {
        Ok(exit) => exit.into(),
        Err(error) => {
            out.error(&error);
            error.exit().into()
        }
    }
}

fn run(cli: Cli, out: &Out) -> Result<Exit, CliError> {
    let Cli { global, command } = cli;
    let config = Config::load(global.config.as_deref())?;
    logging::start(global.log.as_deref().or(config.log.as_deref()), global.verbose);
    ainonymous_conductor::install_crypto_provider();
    match command {
        Command::Up(flags) => wide(up::run(Settings::resolve(flags, Vec::new(), &config)?, out)),
        Command::Serve(args::Serve { models, flags }) => wide(up::run(Settings::resolve(flags, models, &config)?, out)),
        Command::Bootstrap(flags) => wide(bootstrap::run(&flags, out)),
        Command::Router(flags) => wide(router::run(&flags, out)),
        Command::Ask(flags) => narrow(ask::run(flags, &config, out)),
        Command::Verify(flags) => narrow(verify::run(flags, &config, out)),
        Command::Chat(flags) => narrow(chat::run(flags, &config, out)),
        Command::Status(flags) => narrow(status::status(&flags, &config, out)),
        Command::Models(args::Models { api, command: None }) => narrow(status::models(&api, &config, out)),
        Command::Models(args::Models { api: _, command: Some(command) }) => narrow(models::run(command, &config, out)),
        Command::Pull(flags) => narrow(models::pull(&flags, &config, out)),
        Command::Ps(flags) => narrow(status::ps(&flags, &config, out)),
        Command::Doctor(flags) => wide(doctor::run(flags, &config, out)),
        Command::Keys(flags) => keys::run(flags, &config, out),
        Command::Network(flags) => wide(network::run(flags, &config, out)),
        Command::OpenApi => {
            // Written as people read it: it is kept in the documentation.
            let text = serde_json::to_string_pretty(&ainonymous_api::openapi::document()).unwrap_or_default();
            out.text(&format!("{text}\n"));
            Ok(Exit::Ok)
        }
        Command::MarkdownHelp => {
            out.text(&reference::markdown());
            Ok(Exit::Ok)
        }
    }
}

/// On as many threads as there are cores, with the stack that a conductor needs.
fn wide(future: impl Future<Output = Result<Exit, CliError>>) -> Result<Exit, CliError> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.thread_stack_size(ainonymous_conductor::WORKER_STACK_BYTES);
    block_on(builder, future)
}

/// On this thread: a client only waits.
fn narrow(future: impl Future<Output = Result<Exit, CliError>>) -> Result<Exit, CliError> {
    block_on(tokio::runtime::Builder::new_current_thread(), future)
}

fn block_on(
    mut builder: tokio::runtime::Builder,
    future: impl Future<Output = Result<Exit, CliError>>,
) -> Result<Exit, CliError> {
    let runtime = builder.enable_all().build().map_err(|source| CliError::Runtime { source })?;
    let result = runtime.block_on(future);
    runtime.shutdown_timeout(LEFTOVERS_MAX);
    result
}

/// Help, version, or flags that make no sense.
fn usage(error: &clap::Error) -> ExitCode {
    let wants_json = std::env::args_os().any(|argument| argument == "--json");
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            Out::new(false, false).text(&error.render().to_string());
            Exit::Ok.into()
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Out::new(false, false).talk(error.render().to_string().trim_end());
            Exit::Usage.into()
        }
        _ => {
            let text = error.render().to_string();
            let text = text.split("\n\nFor more information").next().unwrap_or_default();
            let error = CliError::Usage { problem: text.trim().trim_start_matches("error: ").to_owned() };
            Out::new(wants_json, false).error(&error);
            error.exit().into()
        }
    }
}
