// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the captures come from: Debian's source packages, taken from its mirror with apt,
//! which checks the archive's signature and each file's sum. Kept in the target directory;
//! no capture is part of this tree.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use ibsr_tests::netns::run;
use ibsr_tests::process::{Said, say};
use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

/// The suite is stable, so that every run sees the same captures.
const SUITE: &str = "bookworm";
const MIRROR: &str = "http://deb.debian.org/debian";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Source packages whose own tests are captures.
const PACKAGES: [&str; 2] = ["tcpdump", "ndpi"];
/// Names of captures in both.
const PATTERNS: [&str; 2] = ["*.pcap", "*.pcapng"];

/// Files of the captures of one of the packages, sorted; fetched when none are kept: 130 MB,
/// of which 150 MB of captures stay.
///
/// # Errors
/// Why there are none: the reason to skip a test.
pub(crate) fn captures(package: &str) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    list(&kept()?.join(package), &mut found);
    found.sort();
    Ok(found)
}

fn list(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("it was unpacked") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            list(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn kept() -> Result<PathBuf, String> {
    let test = std::env::current_exe().expect("a test knows its own path");
    let target = test.ancestors().nth(3).expect("tests lie in target/PROFILE/deps");
    let cache = target.join("captures");
    fs::create_dir_all(&cache).expect("the target directory is writable");
    let lock = File::create(cache.join("lock")).expect("the cache is ours");
    flock(&lock, FlockOperation::LockExclusive).expect("a lock on our own file");
    let (captures, stamp) = (cache.join("files"), cache.join("recipe"));
    let recipe = format!("{SUITE} {PACKAGES:?} {PATTERNS:?}\n");
    if !captures.is_dir() || fs::read_to_string(&stamp).unwrap_or_default() != recipe {
        let _old = fs::remove_file(&stamp);
        let _old = fs::remove_dir_all(&captures);
        fetch(&cache, &captures)?;
        fs::write(&stamp, recipe).expect("the cache is ours");
    }
    Ok(captures)
}

/// Only a mirror that cannot be reached is a reason to skip. Once its signed index is here,
/// everything that goes wrong is a failure.
fn fetch(cache: &Path, captures: &Path) -> Result<(), String> {
    if !Path::new(KEYRING).is_file() {
        return Err(format!("not a Debian: `{KEYRING}` is missing"));
    }
    let apt = Apt::new(cache);
    let update = say(apt.command().arg("update"));
    if update.code != Some(0) {
        return Err(format!("`{MIRROR}` cannot be reached: {}", complaint(&update)));
    }
    let source = say(apt.command().args(["source", "--tar-only"]).args(PACKAGES));
    assert_eq!(source.code, Some(0), "failed to fetch the sources: {}", complaint(&source));
    for package in PACKAGES {
        let into = captures.join(package);
        fs::create_dir_all(&into).expect("the cache is ours");
        for archive in apt.archives(package) {
            let mut tar = Command::new("tar");
            tar.arg("--extract").arg("--file").arg(archive).arg("--directory").arg(&into);
            run(tar.args(["--no-same-owner", "--wildcards"]).args(PATTERNS));
        }
    }
    Ok(())
}

/// Apt with lists, caches and sources of its own: nothing of the machine's is changed.
struct Apt(TempDir);

impl Apt {
    fn new(cache: &Path) -> Self {
        let apt = Self(tempfile::tempdir_in(cache).expect("the cache is ours"));
        for dir in ["lists/partial", "cache/archives/partial", "files"] {
            fs::create_dir_all(apt.0.path().join(dir)).expect("the directory is ours");
        }
        let sources = format!("deb-src [signed-by={KEYRING}] {MIRROR} {SUITE} main\n");
        fs::write(apt.0.path().join("sources.list"), sources).expect("the directory is ours");
        apt
    }

    /// Reads the machine's settings too: they say how to reach a mirror from here.
    fn command(&self) -> Command {
        let dir = self.0.path().display();
        let mut command = Command::new("apt-get");
        for option in [
            format!("Dir::Etc::SourceList={dir}/sources.list"),
            "Dir::Etc::SourceParts=/dev/null".to_owned(),
            format!("Dir::State::Lists={dir}/lists"),
            format!("Dir::Cache={dir}/cache"),
            "APT::Sandbox::User=root".to_owned(),
            "APT::Update::Error-Mode=any".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Acquire::Retries=1".to_owned(),
            "Acquire::http::Timeout=10".to_owned(),
        ] {
            command.arg("--option").arg(option);
        }
        command.arg("--quiet=2").env("LC_ALL", "C").current_dir(self.0.path().join("files"));
        command
    }

    fn archives(&self, package: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.0.path().join("files")).expect("the directory is ours");
        let start = format!("{package}_");
        let archives: Vec<PathBuf> = entries
            .map(|entry| entry.expect("readable").path())
            .filter(|path| {
                path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&start))
            })
            .collect();
        assert!(!archives.is_empty(), "apt fetched no archive of `{package}`");
        archives
    }
}

/// The first line in which apt says what is wrong.
fn complaint(said: &Said) -> String {
    let wrong = said.stderr.lines().find(|line| line.starts_with("E:") || line.starts_with("W:"));
    wrong.unwrap_or("apt gave no reason").to_owned()
}
