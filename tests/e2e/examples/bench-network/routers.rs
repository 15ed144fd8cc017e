//! Answers through a router: the transport's own measurement, `router`, which is built beside this one.

use crate::figures::Report;
use serde_json::Value;
use std::process::{Command, Stdio};

/// What this part measures.
pub(crate) const FIGURES: [&str; 3] = ["router_ratio", "two_routers_ratio", "router_bulk_ratio"];

/// Runs it and takes its figures over.
pub(crate) fn measure(report: &mut Report) -> Result<(), String> {
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let program = own.with_file_name(format!("router{}", std::env::consts::EXE_SUFFIX));
    let output = Command::new(&program).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|e| format!("{}: {e}; `cargo xtask bench network` builds it", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().unwrap_or_default();
    let figures: Value = serde_json::from_str(last).map_err(|e| format!("{} said {last:?}: {e}", program.display()))?;
    for name in FIGURES {
        report.figure(name, figures[name].as_f64(), "the transport's measurement has no such figure");
    }
    eprintln!("routers: {figures}");
    Ok(())
}
