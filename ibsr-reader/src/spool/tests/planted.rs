// SPDX-License-Identifier: MIT OR Apache-2.0
//! Directories that must be refused and files that somebody else put there.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use rustix::fs::{CWD, Mode, mkfifoat};

use super::{Bench, PREFIX, names, scope, sealed_rows, wide};
use crate::spool::{Spool, SpoolError};

fn refusal(root: &Path) -> String {
    match Spool::open(root, &scope(), wide(), None) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("`{}` was not refused", root.display()),
    }
}

/// R5: each is refused with a line that names the path and says what to do.
#[test]
fn a_directory_that_cannot_be_trusted_is_refused() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    fs::create_dir(at("good")).expect("a directory");

    assert!(refusal(&at("absent")).contains("hint: install -d"));
    fs::write(at("file"), "").expect("a file");
    assert!(refusal(&at("file")).contains("is not a directory"));
    symlink(at("good"), at("link")).expect("a link");
    assert!(refusal(&at("link")).contains("is a symlink"));
    assert!(refusal(&at("link/")).contains("is a symlink"), "a trailing slash changes nothing");
    fs::create_dir(at("open")).expect("a directory");
    fs::set_permissions(at("open"), fs::Permissions::from_mode(0o777)).expect("chmod");
    assert!(refusal(&at("open")).contains("writable by everybody (mode 0777)"));

    symlink(place.path(), at("good/xdp-eth0")).expect("a link");
    assert!(refusal(&at("good")).contains("good/xdp-eth0` is a symlink"));
    fs::remove_file(at("good/xdp-eth0")).expect("removed");
    mkfifoat(CWD, at("good/xdp-eth0"), Mode::RWXU).expect("a FIFO");
    assert!(refusal(&at("good")).contains("is not a directory"));
}

/// R5: a planted part file is never opened: not the target of a link, not a FIFO (which
/// would hang), not a hard link to a file elsewhere.
#[test]
fn a_planted_part_is_moved_aside_and_what_it_leads_to_is_untouched() {
    let root = tempfile::tempdir().expect("a directory");
    let dir = root.path().join("xdp-eth0");
    fs::create_dir(&dir).expect("a directory");
    let victim = root.path().join("victim");
    fs::write(&victim, "precious").expect("a file");
    let part = |seq: u64| dir.join(format!(".{PREFIX}{seq:012}.jsonl.part"));
    symlink(&victim, part(1)).expect("a link");
    fs::hard_link(&victim, part(2)).expect("a link");
    mkfifoat(CWD, part(3), Mode::RWXU).expect("a FIFO");
    fs::create_dir(part(4)).expect("a directory");
    Spool::open(root.path(), &scope(), wide(), None).expect("opens");
    assert_eq!(fs::read_to_string(&victim).expect("there"), "precious");
    let found = names(&dir);
    assert_eq!(found.len(), 4);
    assert!(found.iter().all(|name| name.ends_with(".part.damaged")), "{found:?}");
}

/// R5: planted while we run, under the very name that comes next.
#[test]
fn a_link_under_the_next_name_is_moved_aside_not_written_through() {
    let mut bench = Bench::new();
    let victim = bench.root.path().join("victim");
    fs::write(&victim, "precious").expect("a file");
    symlink(&victim, bench.dir().join(format!(".{PREFIX}000000000001.jsonl.part"))).expect("link");
    bench.write_sweep(1, 1);
    let path = bench.spool.seal().expect("seals").expect("a segment");
    sealed_rows(&path);
    assert_eq!(fs::read_to_string(&victim).expect("there"), "precious");
}

/// A sealed name that is taken is never replaced: the open file is lost instead.
#[test]
fn a_file_under_the_sealed_name_is_never_replaced() {
    let mut bench = Bench::new();
    bench.write_sweep(1, 1);
    let taken = bench.dir().join(format!("{PREFIX}000000000001.jsonl"));
    fs::write(&taken, "precious").expect("a file");
    assert!(matches!(bench.spool.seal(), Err(SpoolError::Io { verb: "rename", .. })));
    assert_eq!(fs::read_to_string(&taken).expect("there"), "precious");
    assert_eq!(bench.names().len(), 1, "the lost file is removed");
    assert!(bench.spool.needs_full());
    assert_eq!(bench.spool.next_seq(super::BOOT, 0), 2, "a lost number is not used again");
}

/// R5: removed or moved away while we run. The segment that was open there is lost, says so,
/// and the next one lies where the operator expects it.
#[test]
fn a_directory_that_was_removed_is_made_again() {
    let mut bench = Bench::new();
    bench.write_sweep(1, 1);
    fs::remove_dir_all(bench.dir()).expect("removed");
    bench.spool.seal().expect_err("nowhere to rename to");
    bench.write_sweep(2, 1);
    let path = bench.spool.seal().expect("seals").expect("a segment");
    let rows = sealed_rows(&path);
    let gap = rows.iter().find(|row| row["type"] == "gap").expect("a gap row");
    assert_eq!((&gap["reason"], gap["to_boot_ns"].as_u64()), (&"disk".into(), Some(2_000_000_000)));
}

#[test]
fn foreign_files_in_the_directory_are_left_alone() {
    let bench = Bench::new();
    for name in ["README", ".hidden.part", "other-xdp-eth1-0af3c9d1-000000000001.jsonl", "x.zst"] {
        fs::write(bench.dir().join(name), "foreign").expect("a file");
    }
    let before = bench.names();
    assert_eq!(bench.restart().names(), before);
}
