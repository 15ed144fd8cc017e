//! What the running node says about itself: `status`, `models` and `ps`.

use crate::args::{Api, Status};
use crate::client::Client;
use crate::config::Config;
use crate::error::CliError;
use crate::exit::Exit;
use crate::out::Out;
use crate::show::{bytes, confinement, count, thousands};
use serde_json::{json, Value};

/// `ainonymous status`.
pub(crate) async fn status(flags: &Status, config: &Config, out: &Out) -> Result<Exit, CliError> {
    let client = Client::new(&flags.api, config)?;
    let status = client.get("/ainonymous/v1/status").await?;
    if out.is_json() {
        out.object(&status);
        return Ok(Exit::Ok);
    }
    if flags.why {
        let choices = status["choices"].as_array().map(Vec::as_slice).unwrap_or_default();
        if choices.is_empty() {
            out.talk("this node has asked no peer yet");
        }
        for line in choices.iter().map(why_line) {
            out.line(&line);
        }
        return Ok(Exit::Ok);
    }
    out.line(&format!("node     {}", client.base()));
    for line in status_lines(&status) {
        out.line(&line);
    }
    Ok(Exit::Ok)
}

/// `ainonymous models`.
pub(crate) async fn models(flags: &Api, config: &Config, out: &Out) -> Result<Exit, CliError> {
    let answer = Client::new(flags, config)?.get("/ainonymous/v1/models").await?;
    if out.is_json() {
        out.object(&answer);
        return Ok(Exit::Ok);
    }
    let models = answer["models"].as_array().map(Vec::as_slice).unwrap_or_default();
    if models.is_empty() {
        out.talk("no model is known; serve one with `ainonymous serve MODEL`, or wait for a provider");
    }
    for line in models.iter().map(model_line) {
        out.line(&line);
    }
    Ok(Exit::Ok)
}

/// `ainonymous ps`.
pub(crate) async fn ps(flags: &Api, config: &Config, out: &Out) -> Result<Exit, CliError> {
    let status = Client::new(flags, config)?.get("/ainonymous/v1/status").await?;
    let models = status["models"].as_array().cloned().unwrap_or_default();
    if out.is_json() {
        out.object(&json!({ "models": models }));
        return Ok(Exit::Ok);
    }
    if models.is_empty() {
        out.talk("the node has no model of its own; start it with --serve MODEL");
    }
    for line in models.iter().map(loaded_line) {
        out.line(&line);
    }
    Ok(Exit::Ok)
}

fn why_line(choice: &Value) -> String {
    let short: String = text(&choice["provider"]).chars().take(12).collect();
    format!("{short}…  {}  {}", text(&choice["model"]), text(&choice["why"]))
}

fn loaded_line(model: &Value) -> String {
    let (info, engine) = (&model["info"], &model["engine"]);
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let mut line = format!("{:<32} {:<8}", text(&model["id"]), text(&model["state"]));
    if info.is_object() {
        let memory = engine["worker_rss_bytes"].as_u64().or(info["file_bytes"].as_u64()).unwrap_or_default();
        let context = thousands(info["context_tokens"].as_f64().unwrap_or_default());
        let (running, queued) = (number(&engine["running"]), number(&engine["queued"]));
        line.push_str(&format!(" {:>8}  context {context:>7}  ", bytes(memory)));
        line.push_str(&format!("{}, {running} running, {queued} waiting", text(&info["backend"])));
    }
    if let Some(problem) = model["problem"].as_str() {
        line.push_str(&format!(" {problem}"));
    }
    line
}

fn model_line(model: &Value) -> String {
    let providers = model["providers"].as_array().map_or(0, Vec::len) as u64;
    let here = match model["state"].as_str() {
        None | Some("loaded") => "here".to_owned(),
        Some(state) => format!("here, {state}"),
    };
    let place = match (model["local"].as_bool().unwrap_or(false), providers) {
        (true, 0) => here,
        (true, peers) => format!("{here}, and {}", count(peers, "peer")),
        (false, peers) => count(peers, "peer"),
    };
    format!(
        "{:<32} {:>8}  context {:>7}  {place}",
        text(&model["id"]),
        bytes(model["file_bytes"].as_u64().unwrap_or_default()),
        thousands(model["context_tokens"].as_f64().unwrap_or_default()),
    )
}

fn status_lines(status: &Value) -> Vec<String> {
    let phase = &status["phase"];
    let mut lines = vec![format!("phase    {}", text(&phase["phase"]))];
    if let Some(problem) = phase["problem"].as_str() {
        lines.push(format!("         {problem}"));
        lines.push(format!("         hint: {}", text(&phase["hint"])));
    }
    lines.push(format!("network  {}", network(&status["network"])));
    if let Some(bits) = status["work_bits"].as_u64().filter(|bits| *bits > 0) {
        lines.push(format!("work     {bits} bits from every new agent"));
    }
    lines.push(format!("dna      {}", status["dna_hash"].as_str().unwrap_or("not known yet")));
    lines.push(format!("agent    {}", status["agent"].as_str().unwrap_or("not known yet")));
    if let Some(quic) = status["quic"].as_object() {
        let told: Vec<&str> = quic["announced"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let told = if told.is_empty() { "told to nobody".to_owned() } else { format!("told as {}", told.join(", ")) };
        lines.push(format!("direct   {}, {told}", text(&quic["listens"])));
        if let Some(mapping) = quic["port_mapping"].as_str() {
            lines.push(format!("         {mapping}"));
        }
    }
    if let Some(router) = status["router"].as_object() {
        let nodes = thousands(router["registrations"].as_f64().unwrap_or_default());
        let bytes = bytes(router["forwarded_bytes"].as_u64().unwrap_or_default());
        lines.push(format!("router   {}, {nodes} nodes registered, {bytes} forwarded", text(&router["listens"])));
    }
    if let Some(region) = status["region"].as_str() {
        lines.push(format!("region   {region}"));
    }
    for model in status["models"].as_array().into_iter().flatten() {
        let shared = if status["share"].as_bool().unwrap_or(false) { ", shared" } else { "" };
        lines.push(format!("model    {} {}{shared}", text(&model["id"]), text(&model["state"])));
        if let Some(problem) = model["problem"].as_str() {
            lines.push(format!("         {problem}"));
            lines.push(format!("         hint: {}", text(&model["hint"])));
        }
        let sandbox = &model["info"]["sandbox"];
        if sandbox.is_object() {
            let confined = ["network", "files", "privileges"].map(|what| sandbox[what].as_bool().unwrap_or(false));
            lines.push(format!("         worker {}", confinement(confined, text(&sandbox["detail"]))));
        }
    }
    lines.extend(audit_lines(&status["audits"]));
    let counter = |name: &str| thousands(status["counters"][name].as_f64().unwrap_or_default());
    lines.push(format!("asked    {}, answered {} for peers", counter("asked"), counter("answered")));
    lines.push(format!(
        "receipts {} published, {} of others checked",
        counter("receipts_published"),
        counter("receipts_checked")
    ));
    let memory = status["rss_bytes"].as_u64().map(|rss| format!(", {} memory", bytes(rss))).unwrap_or_default();
    let uptime = status["uptime_s"].as_u64().unwrap_or_default();
    lines.push(format!("up       {}{memory}, version {}", count(uptime, "second"), text(&status["version"])));
    lines
}

/// A line for each provider whose answers were audited, and one if this node audits for all.
fn audit_lines(audits: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    if audits["role"].as_bool().unwrap_or(false) {
        let tables = audits["tables"].as_array().map_or(0, Vec::len) as u64;
        lines.push(format!("auditor  asks and checks by {}", count(tables, "calibration")));
    }
    match audits["show_auditors"].as_str() {
        Some("friends") => lines.push("shows    answers to auditors of friends, if dice draw them".into()),
        Some("all") => lines.push("shows    answers to auditors, if dice draw them".into()),
        Some(_) | None => {}
    }
    for of in audits["providers"].as_array().into_iter().flatten() {
        let number = |name: &str| of[name].as_u64().unwrap_or_default();
        let short: String = text(&of["provider"]).chars().take(12).collect();
        let convicted = if of["convicted"].as_bool().unwrap_or(false) { ", convicted: not asked any more" } else { "" };
        lines.push(format!(
            "audits   {short}…  {} passed, {} failed, {} inconclusive; {:.0} % of its answers are audited{convicted}",
            number("passed"),
            number("failed"),
            number("inconclusive"),
            of["rate_percent"].as_f64().unwrap_or_default(),
        ));
    }
    lines
}

fn network(network: &Value) -> String {
    match network["state"].as_str() {
        Some("ready") => format!("ready, {}", count(network["peers"].as_u64().unwrap_or_default(), "peer")),
        Some("joining") => format!("joining: {}", text(&network["stage"])),
        Some("offline") => format!("offline: {}", text(&network["reason"])),
        _ => "starting".to_owned(),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_for_people() {
        let lines = status_lines(&json!({
            "version": "0.1.0", "share": true, "uptime_s": 1, "rss_bytes": 200 << 20, "agent": "uhCAkX", "dna_hash": "uhC0kX",
            "phase": { "phase": "degraded", "problem": "the file is not a GGUF", "hint": "give a GGUF file" },
            "network": { "state": "ready", "peers": 2 }, "work_bits": 24,
            "models": [{ "id": "tiny-gemma:q8_0", "state": "ready", "info": { "sandbox":
                { "network": true, "files": false, "privileges": true, "detail": "seccomp; not enforced: files (no Landlock)" } } }, { "id": "x", "state": "failed", "problem": "p", "hint": "h" }],
            "counters": { "asked": 1234 },
            "audits": { "role": true, "show_auditors": "friends", "tables": ["a"], "providers": [{ "provider": "uhCAk0123456789", "passed": 3, "failed": 1,
                "inconclusive": 2, "convicted": true, "rate_percent": 41.5 }] },
        }));
        let all = lines.join("\n");
        for wanted in [
            "phase    degraded\n         the file is not a GGUF\n         hint: give a GGUF file",
            "network  ready, 2 peers",
            "work     24 bits from every new agent",
            "dna      uhC0kX",
            "model    tiny-gemma:q8_0 ready, shared\n         worker cannot use network, privileges; could use files (seccomp; not \
             enforced: files (no Landlock))",
            "asked    1,234",
            "auditor  asks and checks by 1 calibration",
            "shows    answers to auditors of friends, if dice draw them",
            "audits   uhCAk0123456…  3 passed, 1 failed, 2 inconclusive; 42 % of its answers are audited, convicted",
            "1 second, 200 MiB memory",
        ] {
            assert!(all.contains(wanted), "{wanted}\n{all}");
        }
    }

    #[test]
    fn loaded_models_for_people() {
        let ready = json!({ "id": "tiny-gemma:q8_0", "state": "ready",
            "info": { "context_tokens": 4096, "file_bytes": 3 << 20, "backend": "cpu" },
            "engine": { "running": 1, "queued": 2, "worker_rss_bytes": 50 << 20 } });
        let line = loaded_line(&ready);
        for wanted in ["tiny-gemma:q8_0 ", "ready", "50 MiB", "context   4,096", "cpu, 1 running, 2 waiting"] {
            assert!(line.contains(wanted), "{line}");
        }
        let failed = json!({ "id": "x", "state": "failed", "problem": "no GGUF", "hint": "h" });
        assert!(loaded_line(&failed).ends_with("failed   no GGUF"), "{}", loaded_line(&failed));
    }

    #[test]
    fn models_for_people() {
        let line = model_line(&json!({ "id": "tiny-gemma:q8_0", "local": true, "providers": ["a", "b"],
            "context_tokens": 4096, "file_bytes": 3 << 20 }));
        assert!(
            line.starts_with("tiny-gemma:q8_0 ") && line.contains("3 MiB") && line.ends_with("here, and 2 peers"),
            "{line}"
        );
        let on_disk = model_line(&json!({ "id": "x:q4_0", "local": true, "state": "unloaded", "providers": [] }));
        assert!(on_disk.ends_with("here, unloaded"), "{on_disk}");
    }
}
