// SPDX-License-Identifier: MIT OR Apache-2.0
//! What may lie in a spool, and what becomes of it.

use std::os::unix::fs::symlink;

use rustix::fs::mknodat;

use super::*;

const NAME: &str = "h-xdp-eth0-0af3c9d1-000000000001.jsonl";

fn name(seq: u32) -> String {
    format!("h-xdp-eth0-0af3c9d1-{seq:012}.jsonl")
}

fn spool() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let scope = dir.path().join("xdp-eth0");
    std::fs::create_dir(&scope).expect("a scope");
    std::fs::write(scope.join(NAME), "x").expect("a segment");
    (dir, scope)
}

fn found(dir: &tempfile::TempDir) -> Vec<String> {
    let mut spool = Spool::open(dir.path()).expect("opens");
    spool.scan().expect("lists").into_iter().map(|found| found.name.into()).collect()
}

/// E8: only the one plain file is a segment; nothing hangs on the FIFO.
#[test]
fn links_fifos_directories_and_odd_names_are_no_segments() {
    let (dir, scope) = spool();
    let outside = dir.path().join("outside.jsonl");
    std::fs::write(&outside, "secret").expect("a file");
    symlink(&outside, scope.join(name(2))).expect("a symlink");
    std::fs::hard_link(&outside, scope.join(name(3))).expect("a hard link");
    let fifo = scope.join(name(4));
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR, 0).expect("a FIFO");
    std::fs::create_dir(scope.join(name(5))).expect("a directory");
    std::fs::write(scope.join("notes.txt"), "x").expect("a file");
    std::fs::write(scope.join(format!(".{NAME}.part")), "x").expect("an unsealed segment");
    symlink(&scope, dir.path().join("xdp-eth1")).expect("a linked scope");
    std::fs::create_dir(dir.path().join("lost+found")).expect("a directory");
    assert_eq!(found(&dir), [NAME]);
}

/// E8: what was a file when it was listed may be a FIFO or a link when it is opened.
#[test]
fn what_was_swapped_after_the_listing_is_not_opened() {
    let (dir, scope) = spool();
    let mut spool = Spool::open(dir.path()).expect("opens");
    let listed = spool.scan().expect("lists").remove(0);
    assert!(spool.open_segment(&listed).is_ok());

    std::fs::remove_file(scope.join(NAME)).expect("removed");
    assert!(matches!(spool.open_segment(&listed), Err(Unfit::Vanished)));

    mknodat(CWD, scope.join(NAME), FileType::Fifo, Mode::RUSR, 0).expect("a FIFO");
    assert!(matches!(spool.open_segment(&listed), Err(Unfit::Kind)));

    std::fs::remove_file(scope.join(NAME)).expect("removed");
    symlink("/etc/hostname", scope.join(NAME)).expect("a symlink");
    assert!(matches!(spool.open_segment(&listed), Err(Unfit::Kind)));
}

#[test]
fn a_spool_that_is_a_link_is_refused() {
    let (dir, _) = spool();
    let link = dir.path().with_extension("link");
    symlink(dir.path(), &link).expect("a symlink");
    assert!(Spool::open(&link).is_err());
    std::fs::remove_file(link).expect("removed");
}

#[test]
fn a_spool_that_was_made_again_is_seen_anew() {
    let (dir, _) = spool();
    let path = dir.path().join("spool");
    std::fs::create_dir(&path).expect("a directory");
    let mut spool = Spool::open(&path).expect("opens");
    assert!(spool.scan().expect("lists").is_empty());
    std::fs::remove_dir(&path).expect("removed");
    assert!(spool.scan().is_err(), "a spool that is gone is no empty spool");
    std::fs::create_dir_all(path.join("xdp-eth0")).expect("a directory");
    std::fs::write(path.join("xdp-eth0").join(NAME), "x").expect("a segment");
    assert_eq!(spool.scan().expect("lists").len(), 1);
}
