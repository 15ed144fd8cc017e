//! What every source file looks like: length, opening, printing, marks of unfinished work, paths of one machine.

use super::Source;

/// A file that is longer is a finding.
const LINES_MAX: usize = 800;
/// A file that is longer is mentioned.
const LINES_AIM: usize = 400;

/// Below these, printing is what the code is for.
const MAY_PRINT: &[&str] = &["sidecar/cli/", "sidecar/xtask/"];
/// Words that say that something is not done. In pieces, so that this file does not find itself.
const UNFINISHED: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X:"),
    concat!("to", "do!("),
    concat!("unimplemen", "ted!("),
    concat!("#[ig", "nore"),
    concat!("test", ".only("),
    concat!("test", ".skip("),
    concat!("describe", ".skip("),
];
/// What a pure crate must not touch.
const IMPURE: &[&str] =
    &["std::fs", "std::net", "std::env::var", "std::process", "SystemTime::now", "Instant::now", "std::thread"];
const PURE: &[&str] = &["zomes/types/src/", "zomes/verify/src/", "sidecar/protocol/src/"];

/// Findings in one file.
pub(crate) fn check(source: &Source, forbidden_paths: &[String]) -> Vec<String> {
    let mut findings = Vec::new();
    let Source { path, text } = source;
    let is_code = is_code(path);
    let lines = text.lines().count();
    if is_code && lines > LINES_MAX {
        findings.push(format!("{path}: {lines} lines; {LINES_MAX} at most"));
    }
    if path.ends_with(".rs") && !text.lines().find(|line| !line.trim().is_empty()).is_some_and(|l| l.starts_with("//!"))
    {
        findings.push(format!("{path}: does not open with `//!` saying why it exists"));
    }
    for (number, line) in text.lines().enumerate() {
        let at = format!("{path}:{}", number + 1);
        if is_code {
            findings.extend(UNFINISHED.iter().filter(|mark| line.contains(**mark)).map(|mark| format!("{at}: {mark}")));
        }
        if forbidden_paths.iter().any(|place| names_path(line, place)) {
            findings.push(format!("{at}: names a directory of this machine"));
        }
        if prints(path, line) {
            findings.push(format!("{at}: prints; only the command line does that"));
        }
        if PURE.iter().any(|dir| path.starts_with(dir)) && !is_comment(line) {
            let touched = IMPURE.iter().filter(|word| line.contains(**word));
            findings.extend(touched.map(|word| format!("{at}: {word} in a crate that is pure")));
        }
    }
    findings
}

/// A file that is long, though not yet too long.
pub(crate) fn warn_long(source: &Source) -> Option<String> {
    let lines = source.text.lines().count();
    (is_code(&source.path) && (LINES_AIM + 1..=LINES_MAX).contains(&lines))
        .then(|| format!("{} {lines} lines", source.path))
}

/// Where bounds are judged.
const JUDGES: &[&str] =
    &["zomes/verify/src/", "zomes/integrity/src/", "zomes/coordinator/src/", "sidecar/protocol/src/"];

/// Every bound has a judge: a constant of `types::limits` that none of them names is a finding.
pub(crate) fn unused_limits(sources: &[Source]) -> Vec<String> {
    let Some(limits) = sources.iter().find(|source| source.path == "zomes/types/src/limits.rs") else {
        return vec!["zomes/types/src/limits.rs: not there".into()];
    };
    let is_judge = |source: &&Source| JUDGES.iter().any(|dir| source.path.starts_with(dir));
    let judges: Vec<&Source> = sources.iter().filter(is_judge).collect();
    let names = limits.text.lines().filter_map(|line| line.strip_prefix("pub const ")?.split(':').next());
    names
        .filter(|name| !judges.iter().any(|judge| has_word(&judge.text, name)))
        .map(|name| format!("{}: neither zomes nor protocol judge {name}", limits.path))
        .collect()
}

fn is_code(path: &str) -> bool {
    [".rs", ".ts", ".svelte", ".mjs", ".js", ".py", ".css"].iter().any(|end| path.ends_with(end))
        && !path.contains("/generated/")
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

fn prints(path: &str, line: &str) -> bool {
    let allowed = MAY_PRINT.iter().any(|dir| path.starts_with(dir))
        || ["/bin/", "/tests/", "/examples/", "build.rs"].iter().any(|part| path.contains(part))
        || path.starts_with("tests/");
    let macros = ["println!(", "eprintln!(", "print!(", "eprint!("];
    path.ends_with(".rs") && !allowed && !is_comment(line) && macros.iter().any(|name| line.contains(name))
}

/// `place` as the beginning of a path, not somewhere inside of one.
fn names_path(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-".contains(c)))
}

fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let part_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(part_of_name) && !after.is_some_and(part_of_name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.into() }
    }

    fn findings(path: &str, text: &str) -> usize {
        check(&source(path, text), &["/machine/place/".into()]).len()
    }

    #[test]
    fn a_good_file_has_no_findings() {
        assert_eq!(findings("sidecar/node/src/lib.rs", "//! Why.\nfn f() {}\n"), 0);
    }

    #[test]
    fn each_rule_finds_its_breach() {
        let long = format!("//! Why.\n{}", "\n".repeat(LINES_MAX));
        for (path, text) in [
            ("sidecar/node/src/lib.rs", "fn f() {}\n"),
            ("sidecar/node/src/lib.rs", long.as_str()),
            ("sidecar/node/src/lib.rs", "//! Why.\nfn f() { println!(\"x\"); }\n"),
            ("sidecar/node/src/lib.rs", concat!("//! Why.\n// TO", "DO: later\n")),
            ("sidecar/node/src/lib.rs", concat!("//! Why.\n#[ig", "nore]\n")),
            ("docs/a.md", "see /machine/place/main\n"),
            ("sidecar/protocol/src/lib.rs", "//! Why.\nlet t = Instant::now();\n"),
        ] {
            assert_eq!(findings(path, text), 1, "{path}: {}", &text[..text.len().min(60)]);
        }
    }

    #[test]
    fn the_command_line_and_tests_may_print() {
        for path in ["sidecar/cli/src/main.rs", "sidecar/conductor/src/bin/pack.rs", "tests/e2e/tests/ask.rs"] {
            assert_eq!(findings(path, "//! Why.\nfn f() { println!(\"x\"); }\n"), 0, "{path}");
        }
    }

    #[test]
    fn only_the_beginning_of_a_path_counts() {
        assert_eq!(findings("docs/a.md", "the domain mine/machine/place/v1\n"), 0);
        assert_eq!(findings("docs/a.md", "cd /machine/place/v1\n"), 1);
    }

    #[test]
    fn a_limit_without_a_judge_is_found() {
        let limits = source(
            "zomes/types/src/limits.rs",
            "//! Bounds.\npub const A_MAX: usize = 1;\npub const B_MAX: usize = 1;\n",
        );
        let verify = source("zomes/verify/src/lib.rs", "//! Judges.\nfn f() { A_MAX; NOT_B_MAX; }\n");
        let findings = unused_limits(&[limits, verify]);
        assert_eq!(findings, ["zomes/types/src/limits.rs: neither zomes nor protocol judge B_MAX"]);
    }
}
