//! A bootstrap and relay server for a network of one's own.

use crate::args;
use crate::error::CliError;
use crate::exit::Exit;
use crate::out::Out;
use crate::signals;
use ainonymous_conductor::bootstrap::Bootstrap;
use serde_json::json;

/// Runs until it is told to stop.
pub(crate) async fn run(flags: &args::Bootstrap, out: &Out) -> Result<Exit, CliError> {
    let stop = signals::stop_token();
    let server = Bootstrap::start(flags.listen).await?;
    let url = server.url();
    out.event("listening", json!({ "url": url }));
    out.line(url);
    out.talk(&format!("nodes join with `ainonymous up --bootstrap {url}`; Ctrl-C stops"));
    stop.cancelled().await;
    server.shutdown().await;
    out.event("stopped", json!({}));
    Ok(Exit::Ok)
}
