//! What the program tells its operator about itself, on stderr.

use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// Starts it. Without a filter: warnings; with `-v` what our own parts do, with `-vv` in detail.
pub(crate) fn start(filter: Option<&str>, verbose: u8) {
    let (filter, problem) = match filter.map(EnvFilter::try_new) {
        Some(Ok(filter)) => (filter, None),
        Some(Err(problem)) => (EnvFilter::new(default_filter(verbose)), Some(problem)),
        None => (EnvFilter::new(default_filter(verbose)), None),
    };
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .try_init();
    if let Some(problem) = problem {
        tracing::warn!(%problem, "the log filter is not understood; the default is used");
    }
}

fn default_filter(verbose: u8) -> String {
    const OURS: [&str; 7] = [
        "ainonymous",
        "ainonymous_api",
        "ainonymous_conductor",
        "ainonymous_engine",
        "ainonymous_models",
        "ainonymous_node",
        "ainonymous_protocol",
    ];
    let level = match verbose {
        // Libraries warn of much that is no concern of whoever runs a node, and call a peer that leaves an error.
        0 => return format!("error,kitsune2_transport_iroh=off,{}", OURS.map(|part| format!("{part}=warn")).join(",")),
        1 => "info",
        _ => "debug",
    };
    format!("warn,{}", OURS.map(|part| format!("{part}={level}")).join(","))
}
