//! The configuration file: what a user would otherwise say with every flag. Unknown keys are errors, not silence.

use crate::args::{Layers, PortMapping, Route, ShownAuditors, Tuning};
use crate::credits::Credits;
use crate::error::CliError;
use crate::paths;
use ainonymous_models::ModelName;
use ainonymous_types::limits;
use serde::Deserialize;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Names the configuration file, if no flag does.
const VARIABLE: &str = "AINONYMOUS_CONFIG";

/// Values of the file. Each has a flag of the same name, which says what it means.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) passphrase_file: Option<PathBuf>,
    pub(crate) conductor: Option<String>,
    pub(crate) bootstrap: Option<String>,
    pub(crate) relay: Option<String>,
    pub(crate) offline: Option<bool>,
    pub(crate) lan: Option<bool>,
    pub(crate) network: Option<String>,
    pub(crate) network_seed: Option<String>,
    pub(crate) network_tuning: Option<Tuning>,
    pub(crate) api: Option<String>,
    pub(crate) quic: Option<String>,
    #[serde(default)]
    pub(crate) quic_address: Vec<String>,
    pub(crate) port_mapping: Option<PortMapping>,
    #[serde(default)]
    pub(crate) via: Vec<String>,
    pub(crate) router: Option<String>,
    #[serde(default)]
    pub(crate) router_address: Vec<String>,
    #[serde(default)]
    pub(crate) trust_router: Vec<String>,
    pub(crate) region: Option<String>,
    pub(crate) link_age_s: Option<u64>,
    pub(crate) require_key: Option<bool>,
    #[serde(default)]
    pub(crate) cors_origin: Vec<String>,
    /// Names as `pull` takes them, or paths; relative ones are relative to the file.
    #[serde(default)]
    pub(crate) serve: Vec<PathBuf>,
    pub(crate) models_dir: Option<PathBuf>,
    pub(crate) no_share: Option<bool>,
    #[serde(default)]
    pub(crate) own: Vec<String>,
    #[serde(default)]
    pub(crate) friend: Vec<String>,
    #[serde(default)]
    pub(crate) block: Vec<String>,
    #[serde(default)]
    pub(crate) serve_only: Vec<String>,
    pub(crate) price: Option<Credits>,
    pub(crate) tell_reports: Option<bool>,
    pub(crate) audit: Option<bool>,
    pub(crate) audit_every_s: Option<u64>,
    pub(crate) no_self_audit: Option<bool>,
    #[serde(default)]
    pub(crate) calibration: Vec<PathBuf>,
    pub(crate) audit_rate: Option<u32>,
    pub(crate) auditors_drawn: Option<u32>,
    pub(crate) show_auditors: Option<ShownAuditors>,
    pub(crate) forget_answers: Option<bool>,
    pub(crate) threads: Option<u32>,
    pub(crate) gpu_layers: Option<Layers>,
    pub(crate) context: Option<u32>,
    pub(crate) slots: Option<u32>,
    pub(crate) queue: Option<u32>,
    pub(crate) prefix_cache_mib: Option<u64>,
    pub(crate) draft: Option<PathBuf>,
    pub(crate) draft_tokens: Option<u32>,
    pub(crate) mmproj: Option<PathBuf>,
    pub(crate) models_max: Option<u32>,
    pub(crate) idle_unload_s: Option<u64>,
    pub(crate) receipt_interval_ms: Option<u64>,
    pub(crate) happ: Option<PathBuf>,
    pub(crate) model: Option<String>,
    pub(crate) route: Option<Route>,
    pub(crate) log: Option<String>,
}

impl Config {
    /// Reads the file: the one named by the flag must be there, others need not be.
    pub(crate) fn load(flag: Option<&Path>) -> Result<Self, CliError> {
        let variable = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
        let Some(path) = flag.map(Path::to_path_buf).or(variable).or_else(paths::config_file) else {
            return Ok(Self::default());
        };
        match fs_err::read_to_string(&path) {
            Ok(text) => Self::parse(&path, &text),
            Err(e) if flag.is_none() && e.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(CliError::File { path, source }),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, CliError> {
        let mut config: Self = toml::from_str(text)
            .map_err(|e| CliError::Config { path: path.to_path_buf(), problem: e.to_string().trim_end().to_owned() })?;
        config.check().map_err(|problem| CliError::Config { path: path.to_path_buf(), problem })?;
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let Config { data_dir, passphrase_file, happ, models_dir, mmproj, .. } = &mut config;
        let paths = [data_dir, passphrase_file, happ, models_dir, mmproj];
        for relative in paths.into_iter().flatten() {
            *relative = folder.join(&*relative);
        }
        for table in &mut config.calibration {
            *table = folder.join(&*table);
        }
        for model in config.serve.iter_mut().chain(&mut config.draft).filter(|model| is_path(model)) {
            *model = folder.join(&*model);
        }
        Ok(config)
    }

    /// The bounds that flags have too.
    fn check(&self) -> Result<(), String> {
        let within = |name: &str, value: Option<u64>, min: u64, max: u64| match value {
            Some(value) if !(min..=max).contains(&value) => {
                Err(format!("{name} must be from {min} to {max}, not {value}"))
            }
            _ => Ok(()),
        };
        within("audit_rate", self.audit_rate.map(u64::from), 0, limits::PPM_MAX.into())?;
        within("auditors_drawn", self.auditors_drawn.map(u64::from), 0, limits::PPM_MAX.into())?;
        within("audit_every_s", self.audit_every_s, 1, 604_800)?;
        within("threads", self.threads.map(u64::from), 1, 1_024)?;
        within("context", self.context.map(u64::from), 32, 16_777_216)?;
        within("slots", self.slots.map(u64::from), 1, 64)?;
        within("queue", self.queue.map(u64::from), 0, 65_536)?;
        within("prefix_cache_mib", self.prefix_cache_mib, 0, 1_048_576)?;
        within("draft_tokens", self.draft_tokens.map(u64::from), 1, 16)?;
        within("models_max", self.models_max.map(u64::from), 1, 64)?;
        within("idle_unload_s", self.idle_unload_s, 1, 31_536_000)?;
        within("link_age_s", self.link_age_s, 5, 31_536_000)?;
        within("receipt_interval_ms", self.receipt_interval_ms, 10, 86_400_000)
    }
}

/// A path or the name of a file, in contrast to what only `pull` understands.
fn is_path(model: &Path) -> bool {
    let is_file = model.extension().is_some_and(|end| end.eq_ignore_ascii_case("gguf"));
    match model.to_str().map(ModelName::parse) {
        Some(Ok(ModelName::Word { .. })) => is_file,
        Some(Ok(ModelName::Hub { .. } | ModelName::Url(_))) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, CliError> {
        Config::parse(Path::new("/etc/ainonymous/config.toml"), text)
    }

    #[test]
    fn every_key() {
        let config = parse(
            "data_dir = \"/d\"\npassphrase_file = \"secret\"\nbootstrap = \"http://b\"\nnetwork_tuning = \"lan\"\n\
             api = \"127.0.0.1:1\"\nserve = [\"a.gguf\", \"/b.gguf\"]\ngpu_layers = \"auto\"\nslots = 2\nroute = \"posted\"\n",
        )
        .unwrap();
        assert_eq!(config.data_dir, Some("/d".into()));
        assert_eq!(config.passphrase_file, Some("/etc/ainonymous/secret".into()), "relative to the file");
        assert_eq!(config.serve, [PathBuf::from("/etc/ainonymous/a.gguf"), "/b.gguf".into()]);
        assert_eq!((config.network_tuning, config.gpu_layers), (Some(Tuning::Lan), Some(Layers::Auto)));
        assert_eq!((config.slots, config.route), (Some(2), Some(Route::Posted)));
        assert_eq!(parse("price = 0.25").unwrap().price.map(|credits| credits.0 .0), Some(250));
        assert_eq!(parse("gpu_layers = 12").unwrap().gpu_layers, Some(Layers::Fixed(12)));
        assert_eq!(parse("").unwrap(), Config::default());
        let names =
            parse("serve = [\"gemma-4-e4b\", \"hf:a/b:Q4_K_M\", \"a/b.gguf\"]\ndraft = \"d.gguf\"\nmodels_dir = \"m\"");
        let names = names.unwrap();
        assert_eq!(names.serve[..2], [PathBuf::from("gemma-4-e4b"), "hf:a/b:Q4_K_M".into()], "names stay names");
        assert_eq!(names.serve[2], PathBuf::from("/etc/ainonymous/a/b.gguf"));
        assert_eq!(names.draft, Some("/etc/ainonymous/d.gguf".into()));
        assert_eq!(names.models_dir, Some("/etc/ainonymous/m".into()));
    }

    #[test]
    fn the_reference_lists_the_same_keys() {
        let reference = include_str!("../../../docs/reference/configuration.md");
        // An unknown key makes the parser list the known ones.
        let known = parse("no_such_key = 1").unwrap_err().to_string();
        let known: Vec<&str> = known.split("expected one of").nth(1).unwrap().split('`').skip(1).step_by(2).collect();
        assert_eq!(known.len(), 55);
        for key in &known {
            assert!(reference.contains(&format!("\n| `{key}`")), "{key}");
        }
        assert_eq!(reference.matches("\n| `").count(), known.len(), "and nothing else");
    }

    #[test]
    fn mistakes_are_named() {
        for (text, named) in [
            ("data_dri = \"/d\"", "data_dri"),
            ("slots = \"four\"", "slots"),
            ("slots = 0", "slots"),
            ("audit_rate = 1000001", "audit_rate"),
            ("gpu_layers = \"many\"", "gpu_layers"),
            ("price = 1000.5", "credits"),
            ("route = \"pigeon\"", "route"),
            ("passphrase = \"hunter2\"", "passphrase"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.code(), "invalid_config");
            assert!(error.to_string().contains(named), "{error}");
            assert!(error.to_string().contains("/etc/ainonymous/config.toml"), "{error}");
        }
    }

    #[test]
    fn only_a_file_named_by_the_flag_must_be_there() {
        let error = Config::load(Some(Path::new("/no/such/config.toml"))).unwrap_err();
        assert_eq!(error.code(), "unreadable_file");
    }
}
