// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who may touch what the guard leaves behind.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use ibsr_proto::pins;
use ibsr_tests::bpffs::PinRoot;
use ibsr_tests::cgroup::Cgroup;
use ibsr_tests::process::{program, say};
use test_tag::tag;

/// A user that owns nothing here.
const NOBODY: u32 = 65_534;
/// What another user tries on a pin: to write it, to remove it, to put something beside it, to
/// move it away.
const TRIALS: &str = r#"
test -w "$0" && echo "$0 may be written"
test -r "$0" && echo "$0 may be read"
rm -f "$0" 2>/dev/null && echo "$0 was removed"
mv "$0" "$0.away" 2>/dev/null && echo "$0 was moved"
mkdir "$(dirname "$0")/more" 2>/dev/null && echo "something stands beside $0"
exit 0
"#;

/// A folder and all that is below it.
fn all(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![path.to_owned()];
    if path.is_dir() {
        let entries = fs::read_dir(path).expect("root may read it");
        found.extend(entries.flat_map(|entry| all(&entry.expect("an entry").path())));
    }
    found
}

/// G8: neither the maps nor the links, and with a policy of its own neither the folder.
#[tag(root)]
#[test]
fn no_pin_of_the_guard_can_be_written_by_another_user() {
    let (pins, cgroup) = (PinRoot::new(), Cgroup::new());
    let dir = tempfile::tempdir().expect("a directory");
    let policy = dir.path().join("policy.yaml");
    fs::write(&policy, "network_policy: {policy: deny}\n").expect("writable");
    let mut rehearse = Command::new(program("ibsr-guard"));
    rehearse.arg("rehearse").arg(&policy).arg("--cgroup").arg(cgroup.path());
    say(rehearse.arg("--pin-root").arg(pins.path())).expect_code(0);
    let pinned = all(&pins.path().join("guard"));
    let count =
        |word: &str| pinned.iter().filter(|path| path.to_string_lossy().contains(word)).count();
    assert!(count("link") >= 9 && count("ibsr_g_") >= 20, "{pinned:?}");
    for path in &pinned {
        let meta = fs::symlink_metadata(path).expect("it is there");
        assert_eq!(meta.uid(), 0, "{}", path.display());
        // To read the ring is to say how far; its records cannot be written by anybody.
        let is_ring = path.ends_with(pins::GUARD_RECORDS);
        let writable = if is_ring { 0o002 } else { 0o022 };
        assert_eq!(meta.permissions().mode() & writable, 0, "{}", path.display());
        // Whether or not the folder above lets another user come so far.
        let mut tried = Command::new("sh");
        tried.arg("-c").arg(TRIALS).arg(path).uid(NOBODY).gid(NOBODY);
        let said = say(&mut tried).expect_code(0);
        assert_eq!(said.stdout, "", "{}", path.display());
        assert!(path.exists());
    }
    let mut disarm = Command::new(program("ibsr-guard"));
    say(disarm.args(["disarm", "--pin-root"]).arg(pins.path())).expect_code(0);
}
