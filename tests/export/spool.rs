// SPDX-License-Identifier: MIT OR Apache-2.0
//! E8: whoever can write the spool must not be able to make the exporter upload another
//! file, wait forever or trip over a name. Each trap lies beside one good segment; the good
//! one arrives, the trap is named, and the run ends.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use ibsr_tests::process::{Said, say};
use ibsr_tests::segments::SegmentSpec;
use test_tag::tag;

use crate::rig::{Rig, name_of};

/// A name that the exporter would take.
fn trap_name() -> String {
    SegmentSpec { first_seq: 99, ..SegmentSpec::default() }.name().to_string()
}

/// Sets a trap below the scope's directory, runs, and expects only the good segment to
/// arrive. Returns what was said.
#[track_caller]
fn spring(set: impl FnOnce(&Path)) -> Said {
    let rig = Rig::new();
    let segments = rig.segments(1);
    set(&rig.spool().join("xdp-eth0"));
    let said = rig.run();
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    rig.expect_uploaded(&segments);
    said
}

#[track_caller]
fn expect_warned(said: &Said, name: &str, reason: &str) {
    let is_named = |line: &str| line.contains(name) && line.contains(reason);
    let warned = said.stderr.lines().filter(|line| is_named(line)).count();
    assert_eq!(warned, 1, "{name}: {reason}\n{}", said.stderr);
}

/// E8: a link to a file that the exporter may read and its author may not.
#[test]
fn a_symbolic_link_is_not_followed() {
    let said = spring(|dir| symlink("/etc/passwd", dir.join(trap_name())).unwrap());
    expect_warned(&said, &trap_name(), "not a regular file");
}

/// E8: the same through the directory of a scope.
#[test]
fn a_linked_scope_directory_is_not_entered() {
    let elsewhere = tempfile::tempdir().unwrap();
    SegmentSpec { scope: "xdp-eth9".into(), ..SegmentSpec::default() }.write(elsewhere.path());
    let said = spring(|dir| {
        symlink(elsewhere.path().join("xdp-eth9"), dir.with_file_name("xdp-eth9")).unwrap();
    });
    expect_warned(&said, "xdp-eth9", "not a regular file");
}

/// E8: opening one for reading waits for a writer that never comes.
#[test]
fn a_fifo_does_not_hang_it() {
    let said = spring(|dir| {
        let status = std::process::Command::new("mkfifo").arg(dir.join(trap_name())).status();
        assert!(status.unwrap().success());
    });
    expect_warned(&said, &trap_name(), "not a regular file");
}

/// E8: opening a device can do anything; this one would never end.
#[tag(root)]
#[test]
fn a_device_is_not_opened() {
    let said = spring(|dir| {
        let mut mknod = std::process::Command::new("mknod");
        assert!(mknod.arg(dir.join(trap_name())).args(["c", "1", "5"]).status().unwrap().success());
    });
    expect_warned(&said, &trap_name(), "not a regular file");
}

#[test]
fn a_directory_is_not_a_segment() {
    let said = spring(|dir| fs::create_dir(dir.join(trap_name())).unwrap());
    expect_warned(&said, &trap_name(), "not a regular file");
}

/// E8: a second name for a file of someone else's.
#[test]
fn a_hard_link_is_not_uploaded() {
    let said = spring(|dir| {
        let outside = dir.parent().unwrap().with_file_name("outside");
        fs::write(&outside, SegmentSpec::default().bytes()).unwrap();
        fs::hard_link(&outside, dir.join(trap_name())).unwrap();
    });
    expect_warned(&said, &trap_name(), "2 links");
}

/// E8: a file that the reader did not write.
#[tag(root)]
#[test]
fn a_file_of_another_user_is_not_uploaded() {
    let said = spring(|dir| {
        let spec = SegmentSpec { first_seq: 99, ..SegmentSpec::default() };
        let path = spec.write(dir.parent().unwrap());
        std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
    });
    expect_warned(&said, &trap_name(), "belongs to user 65534");
}

/// E8: names that break terminals, parsers and lines.
#[test]
fn odd_names_are_skipped_and_shown_harmlessly() {
    let names: [&[u8]; 8] = [
        b"new\nline.jsonl",
        b"\xff\xfe.jsonl",
        b"\x1b[31mred.jsonl",
        b"h1-xdp-eth0-0af3c9d1-17.jsonl",
        b"h1-xdp-eth0-0af3c9d1-000000000099.jsonl.zst",
        b"h1-xdp-eth1-0af3c9d1-000000000099.jsonl",
        b"-rf",
        &[b'x'; 255],
    ];
    let said = spring(|dir| {
        for name in names {
            fs::write(dir.join(OsStr::from_bytes(name)), "x").unwrap();
        }
    });
    let warned = said.stderr.lines().filter(|line| line.contains("skipped in the spool"));
    assert_eq!(warned.count(), names.len(), "{}", said.stderr);
    assert!(said.stderr.bytes().all(|byte| byte == b'\n' || byte >= b' '), "{:?}", said.stderr);
}

/// What is being written is nobody's business yet; not even a warning.
#[test]
fn a_part_file_is_passed_over_in_silence() {
    let said = spring(|dir| {
        let spec = SegmentSpec { first_seq: 99, ..SegmentSpec::default() };
        fs::write(dir.join(spec.name().part_name()), spec.bytes()).unwrap();
    });
    assert!(!said.stderr.contains("skipped in the spool"), "{}", said.stderr);
}

/// E8: the spool itself is a link.
#[test]
fn a_linked_spool_is_refused() {
    let rig = Rig::new();
    let _segments = rig.segments(1);
    let link = rig.spool().with_file_name("link");
    symlink(rig.spool(), &link).unwrap();
    let said = say(rig.command("status").env("IBSR_SPOOL", &link));
    assert_eq!(said.code, Some(1), "the flag wins: {}", said.stderr);
    let mut run = rig.command("run");
    let spool = rig.spool();
    let args: Vec<_> = run
        .get_args()
        .map(|arg| if arg == spool { link.as_os_str() } else { arg }.to_owned())
        .collect();
    let mut linked = std::process::Command::new(run.get_program());
    rig.server.credentials(&mut linked).args(args).env("IBSR_ENDPOINT_URL", rig.server.endpoint());
    say(&mut linked).expect_code(2).expect_stderr(&name_of(&link));
    say(&mut run).expect_code(0);
}
