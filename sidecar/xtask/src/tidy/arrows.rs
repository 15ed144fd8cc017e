//! Who may use whom. The table is the picture in ARCHITECTURE.md; a dependency that is not in it is a finding.

use serde::Deserialize;

/// What `cargo metadata` prints, as far as it matters here.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    /// Members of the workspace.
    pub(crate) packages: Vec<Package>,
}

/// A member of the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    /// Set for members of the workspace.
    path: Option<String>,
}

/// For each package the packages of ours that it may use.
const ARROWS: &[(&str, &[&str])] = &[
    ("ainonymous-types", &[]),
    ("ainonymous-verify", &["ainonymous-types"]),
    ("inference_integrity", &["ainonymous-types", "ainonymous-verify"]),
    ("inference", &["ainonymous-types", "ainonymous-verify", "inference_integrity"]),
    ("ainonymous-protocol", &["ainonymous-types", "ainonymous-verify"]),
    ("ainonymous-engine", &["ainonymous-types", "ainonymous-verify"]),
    ("ainonymous-models", &["ainonymous-types", "ainonymous-verify"]),
    ("ainonymous-transport", &["ainonymous-types", "ainonymous-verify"]),
    ("ainonymous-conductor", &["ainonymous-types", "ainonymous-verify"]),
    (
        "ainonymous-node",
        &[
            "ainonymous-types",
            "ainonymous-verify",
            "ainonymous-protocol",
            "ainonymous-engine",
            "ainonymous-models",
            "ainonymous-transport",
            "ainonymous-conductor",
        ],
    ),
    ("ainonymous-api", &["ainonymous-types", "ainonymous-verify", "ainonymous-node"]),
    // The binary opens the conductor, the engine's worker and the models, and hands them to the node.
    (
        "ainonymous",
        &[
            "ainonymous-types",
            "ainonymous-verify",
            "ainonymous-engine",
            "ainonymous-models",
            "ainonymous-transport",
            "ainonymous-conductor",
            "ainonymous-node",
            "ainonymous-api",
        ],
    ),
    ("xtask", &[]),
    // Tests stand outside: they use the parts as a caller does.
    ("rogue", &["ainonymous-types", "ainonymous-verify", "inference_integrity"]),
    ("ainonymous-sim", &["ainonymous-types", "ainonymous-verify", "ainonymous-protocol"]),
    ("ainonymous-fuzz", &["ainonymous-types", "ainonymous-verify", "ainonymous-models", "ainonymous-transport"]),
    (
        "ainonymous-e2e",
        &[
            "ainonymous-types",
            "ainonymous-verify",
            "ainonymous-protocol",
            "ainonymous-engine",
            "ainonymous-models",
            "ainonymous-transport",
            "ainonymous-conductor",
            "ainonymous-node",
            "ainonymous-api",
        ],
    ),
];

/// Names of foreign crates (a `*` at the end stands for anything) and the only packages that may use them.
/// The first line that fits decides.
const OWNERS: &[(&str, &[&str])] = &[
    ("holo_hash", &["ainonymous-types", "ainonymous-verify", "ainonymous-conductor", "ainonymous-e2e"]),
    (
        "holochain_serialized_bytes",
        &[
            "ainonymous-types",
            "ainonymous-verify",
            "inference_integrity",
            "inference",
            "rogue",
            "ainonymous-conductor",
            "ainonymous-fuzz",
        ],
    ),
    ("hdi", &["ainonymous-types", "inference_integrity", "rogue"]),
    ("hdk", &["inference", "rogue"]),
    ("holochain*", &["ainonymous-conductor"]),
    ("lair*", &["ainonymous-conductor"]),
    ("kitsune2*", &["ainonymous-conductor"]),
    ("mr_bundle", &["ainonymous-conductor"]),
    ("mdns-sd", &["ainonymous-conductor"]),
    ("llama*", &["ainonymous-engine"]),
    ("quinn*", &["ainonymous-transport"]),
    ("portmapper", &["ainonymous-transport"]),
    ("axum*", &["ainonymous-api"]),
    ("tower*", &["ainonymous-api"]),
    ("redb", &["ainonymous-node"]),
    ("clap*", &["ainonymous", "xtask"]),
];

/// What `types`, `verify` and `protocol` may use beside each other: nothing that has a clock, dice or a socket.
const PURE: &[&str] = &["ainonymous-types", "ainonymous-verify", "ainonymous-protocol"];
const PURE_DENIES: &[&str] =
    &["tokio*", "futures*", "rand*", "getrandom", "fs-err", "reqwest", "chrono", "time", "tracing"];

/// One finding for each dependency that is not allowed.
pub(crate) fn check(packages: &[Package]) -> Vec<String> {
    packages.iter().flat_map(|package| package.dependencies.iter().filter_map(|used| judge(package, used))).collect()
}

fn judge(package: &Package, used: &Dependency) -> Option<String> {
    let Package { name, .. } = package;
    let Dependency { name: used, path } = used;
    if path.is_some() {
        return match ARROWS.iter().find(|(from, _)| from == name) {
            None => Some(format!("{name}: not in the table of arrows (sidecar/xtask/src/tidy/arrows.rs)")),
            // A crate may name itself for its own tests, with other features.
            Some(_) if used == name => None,
            Some((_, to)) if to.contains(&used.as_str()) => None,
            Some(_) => Some(format!("{name} -> {used}: this arrow is not in ARCHITECTURE.md")),
        };
    }
    let owners = OWNERS.iter().find(|(pattern, _)| fits(pattern, used)).map(|(_, owners)| *owners);
    if let Some(owners) = owners.filter(|owners| !owners.contains(&name.as_str())) {
        return Some(format!("{name} -> {used}: only {} may use it", owners.join(", ")));
    }
    let impure = PURE.contains(&name.as_str()) && PURE_DENIES.iter().any(|pattern| fits(pattern, used));
    impure.then(|| format!("{name} -> {used}: this crate is pure (no clock, no dice, no I/O)"))
}

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, own: &[&str], foreign: &[&str]) -> Package {
        let dependency = |name: &&str, path: Option<String>| Dependency { name: (*name).to_owned(), path };
        let own = own.iter().map(|name| dependency(name, Some("somewhere".into())));
        let foreign = foreign.iter().map(|name| dependency(name, None));
        Package { name: name.into(), dependencies: own.chain(foreign).collect() }
    }

    #[test]
    fn listed_arrows_pass() {
        let node = package("ainonymous-node", &["ainonymous-conductor", "ainonymous-engine"], &["tokio", "redb"]);
        let conductor = package("ainonymous-conductor", &["ainonymous-types"], &["holochain", "lair_keystore_api"]);
        let types = package("ainonymous-types", &[], &["holo_hash", "hdi", "holochain_serialized_bytes"]);
        assert!(check(&[node, conductor, types]).is_empty());
    }

    #[test]
    fn siblings_must_not_see_each_other() {
        let findings = check(&[package("ainonymous-engine", &["ainonymous-conductor"], &[])]);
        assert_eq!(findings, ["ainonymous-engine -> ainonymous-conductor: this arrow is not in ARCHITECTURE.md"]);
    }

    #[test]
    fn no_arrow_points_upwards() {
        assert_eq!(check(&[package("ainonymous-verify", &["ainonymous-node"], &[])]).len(), 1);
        assert_eq!(check(&[package("ainonymous-api", &["ainonymous-conductor"], &[])]).len(), 1);
    }

    #[test]
    fn a_package_that_nobody_placed_is_found() {
        assert_eq!(check(&[package("ainonymous-new", &["ainonymous-types"], &[])]).len(), 1);
    }

    #[test]
    fn foreign_crates_stay_with_their_owner() {
        for (name, foreign) in [
            ("ainonymous-node", "holochain_client"),
            ("ainonymous-node", "llama-cpp-sys-2"),
            ("ainonymous", "axum"),
            ("ainonymous-api", "clap"),
            ("inference_integrity", "hdk"),
            ("ainonymous-verify", "hdi"),
            ("ainonymous-conductor", "quinn"),
        ] {
            assert_eq!(check(&[package(name, &[], &[foreign])]).len(), 1, "{name} -> {foreign}");
        }
    }

    #[test]
    fn pure_crates_stay_pure() {
        for foreign in ["rand", "tokio", "tokio-util", "fs-err"] {
            assert_eq!(check(&[package("ainonymous-protocol", &[], &[foreign])]).len(), 1, "{foreign}");
        }
    }
}
