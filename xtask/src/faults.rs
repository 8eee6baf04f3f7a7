// SPDX-License-Identifier: MIT OR Apache-2.0
//! `docs/faults.md`: which test covers which fault. Made from the tests themselves: the doc
//! comment of a test that covers a fault starts with the fault's id.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::step::{files, root};

const PAGE: &str = "docs/faults.md";
const HEAD: &str = "\
<!-- SPDX-License-Identifier: MIT OR Apache-2.0 -->
<!-- made by `cargo xtask faults` from the doc comments of the tests -->
# Faults and their tests

What can go wrong, and the tests that make it go wrong on purpose. Every one asks for the same: one clear
line that names the thing and says what to do, the documented exit code, nothing lost silently, traffic unaffected.
";

/// Id and what goes wrong; the empty note means that the row must have a test.
const FAULTS: [(&str, &str, &str); 58] = [
    ("L1", "loader killed at any system call", ""),
    ("L2", "loader started twice, or twenty at once", ""),
    ("L3", "another program is attached to the interface, or to tc", ""),
    ("L4", "interface missing, misspelt, down, without carrier", ""),
    ("L5", "interface deleted and made again", ""),
    ("L6", "interface renamed, or moved to another network namespace", ""),
    ("L7", "jumbo frames in native mode", ""),
    ("L8", "bpffs missing, read-only, squatted, behind a link", ""),
    ("L9", "reboot", ""),
    ("L10", "kernel without a feature", ""),
    ("L11", "missing capability, refused `bpf()`", ""),
    ("L12", "altered object", ""),
    ("L13", "detach twice, detach what is foreign, detach under a reader", ""),
    ("L14", "upgrade", ""),
    ("X1", "every frame length", ""),
    ("X2", "IPv4 header lengths and total lengths that lie", ""),
    ("X3", "IPv6 extension chains, fragments, jumbograms", ""),
    ("X4", "VLAN, QinQ, a third tag, PPPoE, MPLS, GRE, IP in IP", ""),
    ("X5", "TCP header lengths that lie, every combination of flags", ""),
    ("X6", "the capture corpora of tcpdump and ndpi", ""),
    ("X7", "ten million spoofed sources", ""),
    ("X8", "two CPUs meet the first packet of one source", ""),
    ("R1", "reader killed at any system call", ""),
    ("R2", "power loss", ""),
    ("R3", "no space, no quota, no inodes", ""),
    ("R4", "EIO from write, fsync, close or rename", ""),
    ("R5", "spool removed, read-only, a link, something planted in it", ""),
    ("R6", "pin missing, of another type, size or ABI", ""),
    ("R7", "maps replaced while running", ""),
    ("R8", "wall clock steps, suspend", ""),
    ("R9", "heavy churn during a sweep", ""),
    ("R10", "other user, no group, no capability", ""),
    ("R11", "SIGTERM in the middle of a sweep, a hang", ""),
    ("R12", "a million entries", ""),
    ("E1", "the service refuses: rights, token, clock, region, bucket", ""),
    ("E2", "the service or the way to it fails for a while", ""),
    ("E3", "the answer is lost after the object was stored", ""),
    ("E4", "a byte flips on the way", ""),
    ("E5", "the key holds other content", ""),
    ("E6", "exporter killed at each step", ""),
    ("E7", "a segment vanishes, grows, is cut or zeroed while it is read", ""),
    ("E8", "links, FIFOs, devices and odd names in the spool", ""),
    ("E9", "100,000 waiting segments; two exporters", ""),
    ("E10", "credentials in any output", ""),
    ("P1", "lines that are no rows", ""),
    ("P2", "segments missing, twice, out of order, of two hosts with one name", ""),
    ("P3", "archives that are cut or explode", ""),
    ("P4", "the same inputs, another order, locale, time zone", ""),
    ("P5", "no data, one source, all abusive, all legitimate", ""),
    ("P6", "any bit of a segment or of a bundle flipped", ""),
    ("G1", "no evidence, or not about exactly this, or not ready", ""),
    ("G2", "everything in user space dies while the guard is armed", ""),
    ("G3", "a clock that is set or wrong, suspend", ""),
    ("G4", "an armed guard denies more peers than the evidence allows", ""),
    ("G5", "loopback, the protected list, established connections", ""),
    ("G6", "policy swap under load", ""),
    ("G7", "disarm, detach", ""),
    ("G8", "an unprivileged user at the pins of the guard", ""),
];

/// Writes the page, or with `check` fails when it is not what the tests say.
pub(crate) fn faults(check: bool) -> Result<()> {
    let page = render(&covered()?)?;
    let path = root().join(PAGE);
    if check {
        let there = fs::read_to_string(&path).unwrap_or_default();
        ensure!(there == page, "`{PAGE}` is not what the tests say: run `cargo xtask faults`");
        return Ok(());
    }
    fs::write(&path, page).with_context(|| format!("failed to write `{PAGE}`"))
}

/// By fault id: place and name of each test.
type Covered = BTreeMap<String, Vec<(String, String)>>;

fn covered() -> Result<Covered> {
    let mut covered = Covered::new();
    for path in sources()? {
        let place = path.strip_prefix(root()).unwrap_or(&path);
        let text = fs::read_to_string(&path)
            .with_context(|| format!("failed to read `{}`", path.display()))?;
        collect(place, &text, &mut covered);
    }
    Ok(covered)
}

/// Rust files of every crate. Not of the whole tree: below `target` lie system trees with links
/// that lead anywhere.
fn sources() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root()).context("failed to list the checkout")? {
        let dir = entry?.path();
        if dir.join("Cargo.toml").is_file() {
            found.extend(files(&dir, &[".rs"])?);
        }
    }
    found.sort();
    Ok(found)
}

/// A comment that starts with ids belongs to the next `fn`.
fn collect(place: &Path, text: &str, covered: &mut Covered) {
    let mut ids: Vec<String> = Vec::new();
    for line in text.lines().map(str::trim_start) {
        if let Some((head, _)) = line.strip_prefix("/// ").and_then(|said| said.split_once(':')) {
            let named: Vec<String> = head.split(", ").map(str::to_owned).collect();
            if named.iter().all(|id| is_id(id)) {
                ids = named;
            }
        }
        let Some(name) = line
            .trim_start_matches("pub ")
            .strip_prefix("fn ")
            .and_then(|rest| rest.split('(').next())
        else {
            continue;
        };
        for id in ids.drain(..) {
            let test = (place.display().to_string(), name.to_owned());
            covered.entry(id).or_default().push(test);
        }
    }
}

fn is_id(word: &str) -> bool {
    word.starts_with(['L', 'X', 'R', 'E', 'P', 'G'])
        && word.len() > 1
        && word[1..].bytes().all(|byte| byte.is_ascii_digit())
}

fn render(covered: &Covered) -> Result<String> {
    let mut page = format!("{HEAD}\n| id | fault | tests |\n|---|---|---|\n");
    for (id, fault, note) in FAULTS {
        let tests: Vec<String> = covered
            .get(id)
            .into_iter()
            .flatten()
            .map(|(place, name)| format!("`{place}`: {}", name.replace('_', " ")))
            .collect();
        ensure!(!note.is_empty() || !tests.is_empty(), "no test covers fault {id} ({fault})");
        let open = (!note.is_empty()).then(|| format!("**open**: {note}"));
        let cell: Vec<String> = open.into_iter().chain(tests).collect();
        writeln!(page, "| {id} | {fault} | {} |", cell.join("<br>"))?;
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_with_ids_belongs_to_the_next_function() {
        let text = "/// L5, L6: gone.\n#[test]\nfn a_b() {}\n/// X: no id\nfn c() {}\n";
        let mut covered = Covered::new();
        collect(Path::new("t.rs"), text, &mut covered);
        assert_eq!(covered["L5"], [("t.rs".to_owned(), "a_b".to_owned())]);
        assert_eq!(covered.len(), 2);
    }
}
