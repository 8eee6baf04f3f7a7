// SPDX-License-Identifier: MIT OR Apache-2.0
//! What stands in the way of a cgroup scope: each with one line of what and one of how, and
//! nothing left behind.

use std::fs;
use std::process::Command;

use ibsr_proto::cgroup_abi::missing;
use ibsr_tests::process::{program, say};
use test_tag::tag;

use crate::cgroup_site::{Site, all_pins};
use crate::world::operator_object;

#[tag(root)]
#[test]
fn what_is_no_cgroup_is_named_with_where_they_are() {
    let site = Site::new();
    let tmp = tempfile::tempdir().expect("a temporary directory");
    let file = site.cgroup.path().join("cgroup.procs");
    let missing = site.cgroup.path().join("missing");
    for (path, text) in [
        (tmp.path(), "is not the directory of a cgroup"),
        (file.as_path(), "is not the directory of a cgroup"),
        (missing.as_path(), "failed to open the cgroup"),
    ] {
        let said = site.run(&format!("attach cgroup {}", path.display())).expect_code(2);
        let said = said.expect_stderr(text).expect_stderr("hint: ");
        let _said = said.expect_stderr("cgroup v2 is mounted");
        let check = site.run(&format!("check --cgroup {}", path.display())).expect_code(1);
        assert!(check.stdout.contains("STOPS  cgroup"), "{}", check.stdout);
    }
    assert!(!site.pins.path().exists());
}

#[test]
fn the_guard_is_not_the_loaders() {
    for command in ["detach", "status"] {
        let mut loader = Command::new(program("ibsr-loader"));
        let said = say(loader.args([command, "guard"])).expect_code(2);
        let _said = said.expect_stderr("`ibsr-guard disarm`");
    }
}

#[tag(root)]
#[test]
fn the_topmost_cgroup_and_odd_names_need_a_name() {
    let site = Site::new();
    let top = ibsr_tests::cgroup::mount_point();
    let said = site.run(&format!("attach cgroup {} --dry-run", top.display())).expect_code(2);
    let _said = said.expect_stderr("topmost cgroup has no name").expect_stderr("--name");
    let odd = site.cgroup.child("a\\x2db");
    let said = site.run(&format!("attach cgroup {}", odd.path().display())).expect_code(2);
    let _said = said.expect_stderr("is not a scope").expect_stderr("hint: ");
    let named = format!("attach cgroup {} --name odd --dry-run", odd.path().display());
    let _said = site.run(&named).expect_code(0);
    assert!(!site.pins.path().exists());
}

/// Nothing is mounted in a namespace of its own from which it was unmounted.
#[tag(root)]
#[test]
fn a_machine_without_cgroup_v2_is_told_how_to_mount_it() {
    let site = Site::new();
    let mount = ibsr_tests::cgroup::mount_point();
    let script = format!("umount -l {}; exec \"$@\"", mount.display());
    let wrapper = ["unshare", "--mount", "sh", "-c", &script, "sh"];
    let said = say(&mut site.command_under(&wrapper, &site.attach_args("")));
    let said = said.expect_code(2).expect_stderr("failed to open the cgroup");
    let _said = said.expect_stderr("hint: cgroup v2 is not mounted: `mount -t cgroup2");
}

#[tag(root)]
#[test]
fn a_missing_capability_is_named() {
    let site = Site::new();
    let wrapper = ["setpriv", "--bounding-set=-all,+bpf,+perfmon", "--"];
    let said = say(&mut site.command_under(&wrapper, &site.attach_args("")));
    let _said = said.expect_code(2).expect_stderr("missing CAP_NET_ADMIN").expect_stderr("hint: ");
    let enough = ["setpriv", "--bounding-set=-all,+bpf,+net_admin,+perfmon", "--"];
    let _said = say(&mut site.command_under(&enough, &site.attach_args(""))).expect_code(0);
    site.assert_healthy();
    site.assert_detaches();
}

/// A program that has a hook of the cgroup above for itself: the attachment fails in the middle,
/// and takes back what it did before.
#[tag(root)]
#[test]
fn a_hook_that_is_taken_is_named_and_nothing_stays() {
    let site = Site::new();
    let inner = site.cgroup.child("inner");
    let tmp = tempfile::tempdir().expect("a temporary directory");
    let head = "SEC(\"cgroup/connect4\") int operators(struct bpf_sock_addr *ctx)";
    let object = operator_object(tmp.path(), "operators", head, "return 1;");
    fs::create_dir(site.pins.path()).expect("bpffs is writable");
    let pin = site.pins.path().join("operators");
    let tool = |args: &[&str], path: &std::path::Path, rest: &[&std::ffi::OsStr]| {
        let mut command = Command::new("bpftool");
        let _said = say(command.args(args).arg(path).args(rest)).expect_code(0);
    };
    tool(&["prog", "load"], &object, &[pin.as_os_str()]);
    let attach = ["connect4", "pinned"].map(std::ffi::OsStr::new);
    tool(&["cgroup", "attach"], site.cgroup.path(), &[attach[0], attach[1], pin.as_os_str()]);
    let refused = format!("attach cgroup {} --name site", inner.path().display());
    let said = site.run(&refused).expect_code(2);
    let said = said.expect_stderr("failed to attach `connect4`").expect_stderr("hint: ");
    let _said = said.expect_stderr("for itself");
    assert_eq!(crate::world::names(site.pins.path()), ["operators"]);
    let of = |path: &std::path::Path| {
        say(Command::new("bpftool").args(["-j", "cgroup", "show"]).arg(path)).stdout
    };
    ibsr_tests::process::wait_until("nothing stays", crate::world::SOON, || {
        !of(inner.path()).contains("ibsr_")
    });
    tool(&["cgroup", "detach"], site.cgroup.path(), &[attach[0], attach[1], pin.as_os_str()]);
    let _said = site.run(&refused).expect_code(0);
    site.assert_healthy();
    drop(inner);
}

/// L10: what a kernel refuses, and the sensor can do without, is left out: attached, healthy, and
/// stated with what it means. The refusal is put in the kernel's mouth at the very call.
#[tag(root)]
#[test]
fn a_program_that_the_kernel_refuses_is_left_out_and_stated() {
    let site = Site::new();
    let tmp = tempfile::tempdir().expect("a temporary directory");
    let log = tmp.path().join("strace").display().to_string();
    let attach = site.attach_args("--max-flows 100");
    let trace = ["strace", "-f", "-e", "trace=bpf", "-o", &log, "--"];
    let _said = say(&mut site.command_under(&trace, &attach)).expect_code(0);
    site.assert_detaches();
    let calls = fs::read_to_string(&log).expect("strace wrote it");
    let is_walk = |call: &str| call.contains("BPF_PROG_LOAD") && call.contains("\"ibsr_adopt\"");
    let at = 1 + calls.lines().position(is_walk).expect("the walk is loaded");
    // libbpf asks a second time, for the verifier's log.
    let inject = format!("inject=bpf:error=EINVAL:when={at}..{}", at + 1);
    let refuse = ["strace", "-f", "-e", "trace=bpf", "-e", &inject, "-o", &log, "--"];
    let said = say(&mut site.command_under(&refuse, &attach)).expect_code(0);
    let meaning = "sockets that are older than the attachment have no owner";
    let _said = said.expect_stderr("does not take `seed`").expect_stderr(meaning);
    assert!(!site.pins().contains(&"prog-adopt".to_owned()));
    site.assert_healthy();
    assert_eq!(site.meta().missing, missing::SEED);
    let (_, scope) = site.status();
    assert_eq!(scope["missing"][0]["program"], "seed", "{scope:#}");
    assert_eq!(scope["missing"][0]["meaning"], meaning, "{scope:#}");
    let text = site.run("status").expect_code(0).stdout;
    assert!(text.contains(meaning), "{text}");
    let _said = site.attach("--max-flows 100").expect_stderr("nothing to do");
}

/// Pins under our names that another tool made are named and left alone.
#[tag(root)]
#[test]
fn a_foreign_pin_stops_attach_and_detach() {
    let site = Site::new();
    let _said = site.attach("--max-flows 100");
    let flows = site.dir().join("flows");
    fs::remove_file(&flows).expect("root may");
    let _said = say(Command::new("bpftool")
        .args(["map", "create"])
        .arg(&flows)
        .args("type array key 4 value 8 entries 1 name theirs".split_whitespace()))
    .expect_code(0);
    for args in [site.attach_args("--max-flows 100"), "detach".to_owned()] {
        let said = site.run(&args).expect_code(2).expect_stderr("`theirs`");
        let _said = said.expect_stderr("is not ours");
    }
    assert_eq!(site.pins(), all_pins());
    fs::remove_file(&flows).expect("root may");
    let (code, scope) = site.status();
    assert_eq!(code, 1, "{scope:#}");
    let _said = site.attach("--max-flows 100").expect_stderr("a new epoch begins");
    site.assert_healthy();
    site.assert_detaches();
}
