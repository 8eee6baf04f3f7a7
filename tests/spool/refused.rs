// SPDX-License-Identifier: MIT OR Apache-2.0
//! Spools that the reader refuses to use, each with one line and exit code 2.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;

use ibsr_tests::process::{Said, say};
use rustix::fs::{CWD, Mode, mkfifoat};

use crate::rig::{Rig, SCOPE, all_sealed, names, part_path};

const NOBODY: u32 = 65_534;

#[track_caller]
fn refused(rig: &Rig, prefix: &[String], spool: &Path, why: &str) {
    let said: Said = say(&mut rig.reader(prefix, "once", spool)).expect_code(2);
    let said = said.expect_stderr(why).expect_stderr(&spool.display().to_string());
    assert_eq!(said.stdout, "");
}

/// R5: removed, read-only, a link, of another owner, open to everybody, not a directory.
#[test_tag::tag(root)]
#[test]
fn a_spool_that_cannot_be_trusted_is_refused_with_one_line() {
    let rig = Rig::new();
    refused(&rig, &[], &rig.path("absent"), "hint: install -d");
    let good = rig.spool("good");
    symlink(&good, rig.path("link")).expect("a link");
    refused(&rig, &[], &rig.path("link"), "is a symlink");
    fs::write(rig.path("file"), "").expect("a file");
    refused(&rig, &[], &rig.path("file"), "is not a directory");
    let open = rig.spool("open");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("chmod");
    refused(&rig, &[], &open, "is writable by everybody");
    let foreign = rig.spool("foreign");
    chown(&foreign, Some(NOBODY), None).expect("chown");
    refused(&rig, &[], &foreign, "belongs to uid 65534");
    fs::create_dir(good.join(SCOPE)).expect("a directory");
    let script = format!(
        "mount --bind {0} {0} && mount -o remount,bind,ro {0} && exec \"$@\"",
        good.display()
    );
    let read_only = ["unshare", "-m", "sh", "-c", &script, "sh"].map(str::to_owned);
    refused(&rig, &read_only, &good, "read-only file system");
    chown(good.join(SCOPE), Some(NOBODY), None).expect("chown");
    refused(&rig, &[], &good, "belongs to uid 65534");
}

/// R5: what is planted under names of ours is neither opened nor followed, and nothing is
/// lost by it.
#[test_tag::tag(root)]
#[test]
fn planted_links_and_fifos_are_moved_aside_and_lead_nowhere() {
    let rig = Rig::new();
    let spool = rig.seeded_spool("spool", 17);
    let victim = rig.path("victim");
    fs::write(&victim, "precious").expect("a file");
    symlink(&victim, part_path(&spool, 18)).expect("a link");
    fs::hard_link(&victim, part_path(&spool, 19)).expect("a link");
    mkfifoat(CWD, part_path(&spool, 20), Mode::RWXU).expect("a FIFO");
    rig.once_has_everything(&spool);
    assert_eq!(fs::read_to_string(&victim).expect("there"), "precious");
    assert_eq!(all_sealed(&spool).len(), 2);
    let aside = names(&spool.join(SCOPE)).into_iter().filter(|name| name.ends_with(".damaged"));
    assert_eq!(aside.count(), 3);
}

/// Two readers of one scope would interleave their numbers.
#[test_tag::tag(root)]
#[test]
fn a_second_reader_of_one_scope_is_refused() {
    let rig = Rig::new();
    let spool = rig.spool("spool");
    let _first = rig.start(&[], &spool, &[], "log");
    rig.wait_for("log", "segment sealed");
    refused(&rig, &[], &spool, "another reader writes to");
}
