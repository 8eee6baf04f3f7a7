// SPDX-License-Identifier: MIT OR Apache-2.0
//! Manual pages and shell completions: each program writes its own, from the text of its
//! `--help`. This only knows which programs there are and where the files go.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::step::program_dir;

const PROGRAMS: [&str; 5] =
    ["ibsr-loader", "ibsr-reader", "ibsr-export", "ibsr-report", "ibsr-guard"];
/// Shell, folder under `share/`, and what stands before and after the program in a file's name.
const SHELLS: [(&str, &str, [&str; 2]); 3] = [
    ("bash", "bash-completion/completions", ["", ""]),
    ("fish", "fish/vendor_completions.d", ["", ".fish"]),
    ("zsh", "zsh/site-functions", ["_", ""]),
];

/// Writes section 1 pages into `dir`.
pub(crate) fn man(dir: &Path) -> Result<()> {
    make_dir(dir)?;
    PROGRAMS.iter().try_for_each(|program| {
        output(program, &["man", &dir.display().to_string()]).map(|_page_names| ())
    })
}

/// Writes completion scripts into the folders below `dir` where each shell looks.
pub(crate) fn completions(dir: &Path) -> Result<()> {
    for (shell, folder, [before, after]) in SHELLS {
        let folder = dir.join(folder);
        make_dir(&folder)?;
        for program in PROGRAMS {
            let path = folder.join(format!("{before}{program}{after}"));
            fs::write(&path, output(program, &["completions", shell])?)
                .with_context(|| format!("failed to write `{}`", path.display()))?;
        }
    }
    Ok(())
}

fn make_dir(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("failed to create `{}`", dir.display()))
}

fn output(program: &str, args: &[&str]) -> Result<Vec<u8>> {
    let path = program_dir()?.join(program);
    let output = Command::new(&path).args(args).output().with_context(|| {
        format!("failed to start `{}`: build the workspace first", path.display())
    })?;
    ensure!(
        output.status.success(),
        "`{program} {}` failed: {}",
        args.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}
