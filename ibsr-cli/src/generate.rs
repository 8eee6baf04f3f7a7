// SPDX-License-Identifier: MIT OR Apache-2.0
//! Shell completions and manual pages from the same text as `--help`.

use std::io;

use clap::Command;
pub use clap_complete::Shell;

/// Writes the completion script of `command` for `shell`.
///
/// # Errors
/// When `out` cannot be written.
pub fn completions(shell: Shell, command: &mut Command, out: &mut dyn io::Write) -> io::Result<()> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, command, name, &mut script);
    out.write_all(&script)
}

/// The manual pages of `command` and of each subcommand, as (file name, roff text), the
/// program's own page first.
///
/// # Errors
/// When a page cannot be rendered.
pub fn man_pages(command: &Command) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut command = command.clone().disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    add_page(&command, command.get_name(), &mut pages)?;
    Ok(pages)
}

fn add_page(command: &Command, name: &str, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone().display_name(name.to_owned())).render(&mut text)?;
    pages.push((format!("{name}.1"), text));
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        add_page(sub, &format!("{name}-{}", sub.get_name()), pages)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool() -> Command {
        Command::new("tool")
            .about("Does a thing")
            .subcommand(Command::new("run").about("Runs it"))
            .subcommand(Command::new("secret").hide(true))
    }

    #[test]
    fn every_visible_subcommand_has_a_page_of_its_own() {
        let names: Vec<_> =
            man_pages(&tool()).expect("pages").into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["tool.1", "tool-run.1"]);
    }

    #[test]
    fn a_completion_script_names_the_subcommands() {
        let mut script = Vec::new();
        completions(Shell::Bash, &mut tool(), &mut script).expect("script");
        assert!(String::from_utf8(script).expect("text").contains("run"));
    }
}
