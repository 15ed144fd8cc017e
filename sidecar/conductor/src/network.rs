//! Every setting of Holochain that we do not leave at its default, in one place.
//!
//! Knows nothing of keys, apps or calls.

use crate::{ConductorError, EmbeddedOptions, NetworkTuning};
use holochain_conductor_api::conductor::{ConductorConfig, ConductorTuningParams, NetworkConfig};
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use url2::Url2;

/// Longest round trip to a peer on a private network. Seconds.
const LAN_REQUEST_TIMEOUT_S: u64 = 10;
/// Longest round trip to a peer across the Internet. Seconds.
const WAN_REQUEST_TIMEOUT_S: u64 = 30;

/// Holochain's configuration for our own conductor: no admin interface, for it is driven from inside the process.
pub(crate) fn conductor_config(
    options: &EmbeddedOptions,
    conductor_dir: &Path,
) -> Result<ConductorConfig, ConductorError> {
    let lan = options.network == NetworkTuning::Lan;
    Ok(ConductorConfig {
        data_root_path: Some(conductor_dir.to_path_buf().into()),
        admin_interfaces: None,
        network: NetworkConfig {
            bootstrap_url: parse_url("bootstrap", &options.bootstrap_url)?,
            relay_url: relay_url(options)?,
            request_timeout_s: if lan { LAN_REQUEST_TIMEOUT_S } else { WAN_REQUEST_TIMEOUT_S },
            advanced: lan.then(lan_settings),
            ..NetworkConfig::default()
        },
        tuning_params: Some(tuning(lan, options.self_validation)),
        ..ConductorConfig::default()
    })
}

/// Kitsune2's settings for a network of a few milliseconds: look for peers and missing data every second.
fn lan_settings() -> serde_json::Value {
    json!({
        "irohTransport": { "relayAllowPlainText": true },
        "k2Gossip": {
            "initialInitiateIntervalMs": 500,
            "initiateIntervalMs": 1_000,
            "minInitiateIntervalMs": 900,
            "initiateJitterMs": 100,
            "roundTimeoutMs": 10_000,
        },
        "coreBootstrap": { "backoffMinMs": 500, "backoffMaxMs": 3_000 },
    })
}

/// On a private network what is missing arrives within a second, so ask again after one instead of ten.
fn tuning(lan: bool, self_validation: bool) -> ConductorTuningParams {
    ConductorTuningParams {
        sys_validation_retry_delay: Some(Duration::from_secs(if lan { 1 } else { 10 })),
        min_publish_interval: lan.then_some(Duration::from_secs(5)),
        disable_self_validation: !self_validation,
        ..ConductorTuningParams::new()
    }
}

fn relay_url(options: &EmbeddedOptions) -> Result<Url2, ConductorError> {
    let url = parse_url("relay", &options.relay_url)?;
    if url.scheme() == "http" && options.network == NetworkTuning::Default {
        return Err(invalid("relay", &options.relay_url, "without TLS it is for private networks only (tuning `lan`)"));
    }
    Ok(url)
}

fn parse_url(what: &'static str, url: &str) -> Result<Url2, ConductorError> {
    let parsed = Url2::try_parse(url).map_err(|_| invalid(what, url, "it is not a URL"))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(invalid(what, url, "it must begin with http:// or https://"));
    }
    if parsed.host_str().is_none_or(str::is_empty) {
        return Err(invalid(what, url, "it has no host"));
    }
    Ok(parsed)
}

fn invalid(what: &'static str, url: &str, problem: &'static str) -> ConductorError {
    ConductorError::InvalidUrl { what, url: url.to_string(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Passphrase;

    fn options(bootstrap: &str, relay: &str, network: NetworkTuning) -> EmbeddedOptions {
        EmbeddedOptions {
            data_dir: "d".into(),
            keystore: None,
            passphrase: Passphrase::cheap("p"),
            bootstrap_url: bootstrap.into(),
            relay_url: relay.into(),
            network,
            self_validation: true,
        }
    }

    #[test]
    fn bad_addresses_are_named() {
        let code =
            |b: &str, r: &str, n| conductor_config(&options(b, r, n), Path::new("d")).map_err(|e| e.code()).err();
        let good = "http://127.0.0.1:1";
        assert_eq!(code(good, good, NetworkTuning::Lan), None);
        assert_eq!(code("https://b.example", "https://r.example", NetworkTuning::Default), None);
        for bad in ["", "nonsense", "ftp://x", "http://"] {
            assert_eq!(code(bad, good, NetworkTuning::Lan), Some("invalid_url"), "{bad}");
            assert_eq!(code(good, bad, NetworkTuning::Lan), Some("invalid_url"), "{bad}");
        }
        assert_eq!(code(good, good, NetworkTuning::Default), Some("invalid_url"), "a relay without TLS");
    }

    #[test]
    fn the_conductor_opens_no_admin_port_and_validates_itself() {
        let config =
            conductor_config(&options("http://127.0.0.1:1", "http://127.0.0.1:1", NetworkTuning::Lan), Path::new("d"))
                .unwrap();
        assert!(config.admin_interfaces.is_none());
        assert!(!config.tuning_params.unwrap().disable_self_validation);
        config.network.to_k2_config().unwrap();
    }
}
