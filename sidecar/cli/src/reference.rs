//! The reference of the command line as Markdown, made from the flags themselves.

use crate::args::Cli;
use crate::exit;
use clap::CommandFactory as _;

/// Width of the help texts in it.
const WIDTH: usize = 110;

/// The whole reference.
pub(crate) fn markdown() -> String {
    let mut root = without_values(Cli::command().term_width(WIDTH));
    root.build();
    let mut text = format!("# The command line\n\n```text\n{}\n```\n", trimmed(&root.render_long_help().to_string()));
    let names: Vec<String> =
        root.get_subcommands().filter(|c| !c.is_hide_set()).map(|c| c.get_name().to_owned()).collect();
    for name in names.iter().filter(|name| *name != "help") {
        if let Some(command) = root.find_subcommand_mut(name) {
            let help = command.render_long_help().to_string();
            text.push_str(&format!("\n## {name}\n\n```text\n{}\n```\n", trimmed(&help)));
            for inner in command.get_subcommands_mut().filter(|inner| inner.get_name() != "help") {
                let help = inner.render_long_help().to_string();
                let name = format!("{name} {}", inner.get_name());
                text.push_str(&format!("\n### {name}\n\n```text\n{}\n```\n", trimmed(&help)));
            }
        }
    }
    text.push_str("\n## Exit codes\n\n| code | means |\n|---|---|\n");
    for (exit, meaning) in exit::ALL {
        text.push_str(&format!("| {} | {meaning} |\n", *exit as u8));
    }
    text
}

/// The names of environment variables, not what they hold here.
fn without_values(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| arg.hide_env_values(true)).mut_subcommands(without_values)
}

fn trimmed(help: &str) -> String {
    help.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_visible_subcommand_is_in_it() {
        let text = super::markdown();
        for name in ["up", "serve", "ask", "chat", "status", "models", "doctor", "keys", "bootstrap"] {
            assert!(text.contains(&format!("\n## {name}\n")), "{name}");
        }
        assert!(text.contains("\n### keys create\n") && !text.contains("open-api"));
        assert!(!text.contains("markdown-help") && text.contains("--receipt-interval-ms"));
    }

    #[test]
    fn the_flags_make_sense() {
        use clap::CommandFactory as _;
        crate::args::Cli::command().debug_assert();
    }
}
