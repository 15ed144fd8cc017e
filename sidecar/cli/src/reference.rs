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
    sections(&mut root, "", &mut text);
    text.push_str("\n## Exit codes\n\n| code | means |\n|---|---|\n");
    for (exit, meaning) in exit::ALL {
        text.push_str(&format!("| {} | {meaning} |\n", *exit as u8));
    }
    text
}

/// One section for each subcommand, and for each of its own.
fn sections(command: &mut clap::Command, before: &str, text: &mut String) {
    let visible = |c: &&clap::Command| !c.is_hide_set() && c.get_name() != "help";
    let names: Vec<String> = command.get_subcommands().filter(visible).map(|c| c.get_name().to_owned()).collect();
    for name in names {
        if let Some(command) = command.find_subcommand_mut(&name) {
            let (help, full) = (command.render_long_help().to_string(), format!("{before}{name}"));
            text.push_str(&format!("\n## {full}\n\n```text\n{}\n```\n", trimmed(&help)));
            sections(command, &format!("{full} "), text);
        }
    }
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
        for name in ["up", "serve", "ask", "chat", "status", "models", "pull", "ps", "doctor", "keys", "bootstrap"] {
            assert!(text.contains(&format!("\n## {name}\n")), "{name}");
        }
        for name in ["pull", "list", "show", "rm", "catalogue"] {
            assert!(text.contains(&format!("\n## models {name}\n")), "{name}");
        }
        assert!(text.contains("\n## keys create\n") && !text.contains("open-api"));
        assert!(!text.contains("markdown-help") && text.contains("--receipt-interval-ms"));
    }

    #[test]
    fn the_flags_make_sense() {
        use clap::CommandFactory as _;
        crate::args::Cli::command().debug_assert();
    }
}
