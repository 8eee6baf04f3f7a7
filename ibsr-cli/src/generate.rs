// SPDX-License-Identifier: MIT OR Apache-2.0
//! Shell completions and manual pages from the same text as `--help`.

use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context as _, Result};
use clap::{Command, Subcommand};
use clap_complete::Shell;

use crate::finish::Answer;

/// The hidden subcommands that packagers use, flattened into each program's own.
#[derive(Debug, Clone, Subcommand)]
pub enum Generate {
    /// Write shell completions to stdout
    #[command(hide = true)]
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Write the manual pages into a directory
    #[command(hide = true)]
    Man {
        /// Directory, which must exist
        dir: PathBuf,
    },
}

impl Generate {
    /// Does it for the program that `command` describes.
    ///
    /// # Errors
    /// When stdout or a page cannot be written.
    pub fn run(self, command: Command) -> Result<Answer> {
        match self {
            Self::Completions { shell } => completions(shell, command, &mut io::stdout().lock())?,
            Self::Man { dir } => write_man_pages(&dir, command)?,
        }
        Ok(Answer::Yes)
    }
}

fn completions(shell: Shell, mut command: Command, out: &mut dyn io::Write) -> Result<()> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    out.write_all(&script).context("failed to write the completions")
}

fn write_man_pages(dir: &Path, command: Command) -> Result<()> {
    for (name, page) in man_pages(command)? {
        let path = dir.join(name);
        fs::write(&path, page).with_context(|| format!("failed to write `{}`", path.display()))?;
    }
    Ok(())
}

/// The pages of the program and of each subcommand, as (file name, roff text), the program's
/// own first.
fn man_pages(command: Command) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut command = command.disable_help_subcommand(true);
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
            man_pages(tool()).expect("pages").into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["tool.1", "tool-run.1"]);
    }

    #[test]
    fn a_completion_script_names_the_subcommands() {
        let mut script = Vec::new();
        completions(Shell::Bash, tool(), &mut script).expect("script");
        assert!(String::from_utf8(script).expect("text").contains("run"));
    }
}
