//! Links in the documents lead somewhere.

use super::Source;

/// One finding for each relative link of a Markdown file to something that is not there.
pub(crate) fn dead_links(sources: &[Source], exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut findings = Vec::new();
    for Source { path, text } in sources.iter().filter(|source| source.path.ends_with(".md")) {
        let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
        for target in targets(text) {
            if !exists(&resolve(dir, target)) {
                findings.push(format!("{path}: the link to {target} leads nowhere"));
            }
        }
    }
    findings
}

/// What stands in `](…)`, without anchors, addresses and links within the page.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter_map(|target| {
        let file = target.split('#').next().unwrap_or_default();
        (!file.is_empty() && !file.contains("://") && !file.starts_with("mailto:")).then_some(file)
    })
}

fn resolve(dir: &str, target: &str) -> String {
    let mut parts: Vec<&str> = dir.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_nothing_is_found() {
        let page = Source {
            path: "docs/guides/a.md".into(),
            text: "[x](../b.md) [y](c.md#part) [z](https://example.org) [self](#here)".into(),
        };
        assert!(dead_links(std::slice::from_ref(&page), |path| ["docs/b.md", "docs/guides/c.md"].contains(&path))
            .is_empty());
        assert_eq!(
            dead_links(&[page], |path| path == "docs/b.md"),
            ["docs/guides/a.md: the link to c.md leads nowhere"]
        );
    }
}
