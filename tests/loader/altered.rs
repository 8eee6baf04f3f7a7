// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs that were changed after the build: refused when they could drop, accepted as an
//! upgrade when they are equivalent.

use std::fs;
use std::io::BufRead as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use ibsr_tests::netns::{HOST_IF, run};
use test_tag::tag;

use crate::world::World;

/// `w0 = 2` and `exit`, as clang writes the end of the sensor.
const END: [u8; 16] = [0xb4, 0, 0, 0, 2, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];

/// A copy of the loader whose embedded sensor ends in `end`.
pub fn loader_with_end(loader: &Path, dir: &Path, end: [u8; 16]) -> PathBuf {
    let mut bytes = fs::read(loader).expect("built");
    let sensor = find(&bytes, b"\x7fELF", 1).expect("an object inside the program");
    let at = find(&bytes[sensor..], &END, 0).expect("the sensor ends in XDP_PASS") + sensor;
    assert!(find(&bytes[at + END.len()..], &END, 0).is_none(), "the end is there once");
    bytes[at..at + end.len()].copy_from_slice(&end);
    write_copy(dir, &bytes)
}

/// A copy of the loader in which the first `old` is `new`.
pub fn loader_with(loader: &Path, dir: &Path, old: &[u8], new: &[u8]) -> PathBuf {
    let mut bytes = fs::read(loader).expect("built");
    let at = find(&bytes, old, 0).expect("the loader holds it");
    bytes[at..at + new.len()].copy_from_slice(new);
    write_copy(dir, &bytes)
}

fn write_copy(dir: &Path, bytes: &[u8]) -> PathBuf {
    let (altered, copy) = (dir.join("altered"), dir.join("ibsr-loader"));
    fs::write(&altered, bytes).expect("a temporary directory is writable");
    // By a process of its own: a fork of another test may hold what this one has open for
    // writing, and then nothing can be executed from it (ETXTBSY).
    run(std::process::Command::new("cp").arg(&altered).arg(&copy));
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("ours");
    copy
}

/// By the library's search for one byte: a program of 26 MB is long for code without
/// optimisation.
fn find(bytes: &[u8], what: &[u8], from: usize) -> Option<usize> {
    let mut rest = &bytes[from..];
    while rest.skip_until(what[0]).expect("memory can be read") > 0 {
        let at = bytes.len() - rest.len() - 1;
        if bytes[at..].starts_with(what) {
            return Some(at);
        }
    }
    None
}

/// The same program in other instructions: `r0 = 2` instead of `w0 = 2`.
pub fn equivalent_end() -> [u8; 16] {
    let mut end = END;
    end[0] = 0xb7;
    end
}

/// L12: an altered object is refused before it is loaded, whatever was altered; nothing is
/// attached and no map stays.
#[tag(root)]
#[test]
fn a_program_that_could_drop_is_refused_before_load() {
    let drop_instead = {
        let mut end = END;
        end[4] = 1;
        end
    };
    let abort_instead = {
        let mut end = END;
        end[4] = 0;
        end
    };
    let redirect = {
        let mut end = END;
        end[4] = 4;
        end
    };
    // exit without a constant: whatever r0 holds
    let unknown = {
        let mut end = END;
        end[..8].copy_from_slice(&[0x05, 0, 0, 0, 0, 0, 0, 0]);
        end
    };
    for end in [drop_instead, abort_instead, redirect, unknown] {
        let world = World::new();
        let tmp = tempfile::tempdir().expect("a temporary directory");
        let log = tmp.path().join("strace");
        let altered = loader_with_end(&world.loader, tmp.path(), end);
        let world = World { loader: altered, ..world };
        let log = log.to_str().expect("plain");
        let wrapper = ["strace", "-f", "-o", log, "-e", "trace=bpf", "--"];
        let attach = format!("attach xdp {HOST_IF}");
        let said = ibsr_tests::process::say(&mut world.command_under(&wrapper, &attach));
        let said = said.expect_code(2).expect_stderr("not proven to pass every packet");
        let _said = said.expect_stderr("hint: the program file is damaged or altered");
        let calls = fs::read_to_string(log).expect("strace wrote it");
        assert!(!calls.contains("ibsr_observe"), "it was handed to the kernel");
        assert!(!world.pins.path().exists() && world.xdp_id().is_none());
    }
}

/// L12: an altered loader cannot replace a running sensor either.
#[tag(root)]
#[test]
fn a_program_that_could_drop_does_not_replace_a_good_one() {
    let world = World::new();
    let _said = world.attach("");
    let before = (world.link_id(), world.xdp_id(), world.meta());
    let tmp = tempfile::tempdir().expect("a temporary directory");
    let mut end = END;
    end[4] = 1;
    let altered = loader_with_end(&world.loader, tmp.path(), end);
    let mut command = world.pair.host.command(altered.to_str().expect("plain"));
    let attach = format!("attach xdp {HOST_IF} --group 0 --dst-port 1");
    command.args(attach.split_whitespace()).arg("--pin-root").arg(world.pins.path());
    let _said = ibsr_tests::process::say(&mut command).expect_code(2);
    assert_eq!((world.link_id(), world.xdp_id(), world.meta()), before);
    world.assert_healthy();
}
