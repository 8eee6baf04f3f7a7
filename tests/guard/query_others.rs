// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs of others on the same interface, and the ways on and off it.

use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};

use ibsr_guard::dns::{attach_clsact, attach_tcx, attached, find, release, switch, switch_filter};
use ibsr_tests::bpffs::PinRoot;
use ibsr_tests::kernel::Release;
use ibsr_tests::netns::{HOST_IF, Namespace, PEER_V4, PEER_V6, run};
use ibsr_tests::process::{program, say};
use ibsr_tests::prog::{Compiled, compilers};
use libbpf_rs::{MapCore as _, MapFlags, Object, TC_EGRESS, TcHookBuilder};
use tempfile::TempDir;
use test_tag::tag;

use crate::loaded::Guard;
use crate::resolver::{LOCAL_V4, POLICY, World};

/// The first kernel with links on interfaces.
const TCX: Release = Release { major: 6, minor: 6 };

/// Lets everything pass, for good.
const OPERATORS: &str = r#"#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
__u64 op_seen;
SEC("tcx/egress") int op_count(struct __sk_buff *skb)
{
	__sync_fetch_and_add(&op_seen, 1);
	return 0;
}
char LICENSE[] SEC("license") = "GPL";
"#;

/// A program of an operator that counts what it sees of an interface.
struct Operators {
    object: Object,
    _link: Option<OwnedFd>,
}

impl Operators {
    #[track_caller]
    fn attach(space: &Namespace, is_tcx: bool) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let source = dir.path().join("op.bpf.c");
        fs::write(&source, OPERATORS).expect("writable");
        let compiled = Compiled::new(&compilers().pop().expect("a compiler"), &source);
        let object = compiled.open().load().expect("root may load it");
        let program = object.progs().next().expect("there is one");
        let fd = program.as_fd();
        let _link = space.inside(|| {
            let found = find(&[HOST_IF.into()]).expect("it is there").remove(0);
            if is_tcx {
                return Some(attach_tcx(fd, &found).expect("root may attach"));
            }
            let index = i32::try_from(found.index).expect("it is small");
            let mut hook = TcHookBuilder::new(fd).ifindex(index).hook(TC_EGRESS);
            hook.create().expect("root may");
            hook.attach().expect("root may");
            None
        });
        Self { object, _link }
    }

    fn seen(&self) -> u64 {
        let map = self.object.maps().find(|map| map.name().to_string_lossy().ends_with(".bss"));
        let value = map.expect("it has one").lookup(&0_u32.to_ne_bytes(), MapFlags::ANY);
        let bytes = value.expect("readable").expect("the one entry exists");
        u64::from_ne_bytes(bytes.try_into().expect("eight bytes"))
    }
}

/// Programs behind ours see what passes, and not what is answered: by a link that was there
/// before, and by a filter.
#[tag(root)]
#[test]
fn an_operators_program_behind_sees_what_passes() {
    for is_tcx in [true, false] {
        if is_tcx && Release::running() < TCX {
            continue;
        }
        let mut world = World::new(true);
        world.guard.leave_interfaces(&world.pair.host);
        let operators = Operators::attach(&world.pair.host, is_tcx);
        world.guard.judge_queries(&world.pair.host, HOST_IF);
        for _ in 0..3 {
            for server in [PEER_V4, PEER_V6] {
                assert_eq!(world.dig(&format!("@{server} other.test")).status, "NOERROR");
                assert_eq!(world.dig(&format!("@{server} denied.test")).status, "NXDOMAIN");
            }
        }
        assert_eq!(operators.seen(), 6, "by a link: {is_tcx}");
    }
}

/// As on kernels without tcx: beside an operator's filter, which outlives ours.
#[tag(root)]
#[test]
fn a_clsact_filter_answers_and_goes_without_the_operators() {
    let mut world = World::new(true);
    world.guard.leave_interfaces(&world.pair.host);
    let dig = |world: &World, name: &str| world.dig(&format!("@{PEER_V4} {name}"));
    assert_eq!(dig(&world, "denied.test").answers.len(), 1);
    let operators = Operators::attach(&world.pair.host, false);
    let show = || {
        let mut tc = world.pair.host.command("tc");
        run(tc.args(["filter", "show", "dev", HOST_IF, "egress"])).stdout
    };
    let before = show();
    let pins = PinRoot::new();
    fs::create_dir(pins.path()).expect("bpffs is writable");
    let rehearsing = Guard::attach(&world.cgroup, false);
    rehearsing.on_interface(&world.pair.host, HOST_IF, |program, found| {
        attach_clsact(program, pins.path(), found).expect("root may attach");
    });
    let here = || world.pair.host.inside(|| attached(pins.path()).expect("listable").there);
    assert_eq!(here(), [HOST_IF]);
    assert_eq!(dig(&world, "denied.test").answers.len(), 1);
    assert_eq!(operators.seen(), 1);
    let pin = fs::read_dir(pins.path()).expect("listable").next().expect("one pin");
    let pin = pin.expect("listable").path();
    world.guard.on_interface(&world.pair.host, HOST_IF, |program, _| {
        switch_filter(program, &pin).expect("root may");
    });
    assert_eq!(here(), [HOST_IF]);
    assert_eq!(dig(&world, "denied.test").status, "NXDOMAIN");
    assert_eq!(operators.seen(), 1);
    assert_eq!(dig(&world, "other.test").answers.len(), 1);
    assert_eq!(operators.seen(), 2);
    // Twice: what is not there any more is nobody's.
    for _ in 0..2 {
        world.pair.host.inside(|| release(&pin).expect("it goes"));
        assert_eq!(show(), before);
    }
    fs::remove_file(&pin).expect("removable");
    assert_eq!(dig(&world, "denied.test").answers.len(), 1);
    assert_eq!(operators.seen(), 3);
}

/// L6: as on kernels without tcx, a filter is known by its program, whatever its interface is called
/// by now, and one that went with its interface is passed over.
#[tag(root)]
#[test]
fn a_filter_of_an_interface_that_was_renamed_or_deleted_is_told_apart() {
    const RENAMED: &str = "veth-x";
    let mut world = World::new(true);
    world.guard.leave_interfaces(&world.pair.host);
    let pins = PinRoot::new();
    fs::create_dir(pins.path()).expect("bpffs is writable");
    let host = &world.pair.host;
    let attach = |name: &str| {
        world.guard.on_interface(host, name, |program, found| {
            attach_clsact(program, pins.path(), found).expect("root may attach");
        });
        let pin = fs::read_dir(pins.path()).expect("listable").next().expect("one pin");
        pin.expect("listable").path()
    };
    let now = || host.inside(|| attached(pins.path()).expect("listable"));
    let filters = |name: &str| {
        let said = run(host.command("tc").args(["filter", "show", "dev", name, "egress"])).stdout;
        String::from_utf8(said).expect("text")
    };
    let rename = |from: &str, to: &str| {
        host.ip_batch(&format!("link set {from} down\nlink set {from} name {to}\n"));
    };

    let pin = attach(HOST_IF);
    rename(HOST_IF, RENAMED);
    assert_eq!((now().there, now().gone), (vec![HOST_IF.to_owned()], vec![]));
    assert!(filters(RENAMED).contains("ibsr_g_query"), "{}", filters(RENAMED));
    host.inside(|| release(&pin).expect("it goes"));
    assert_eq!(filters(RENAMED), "");
    assert_eq!((now().there, now().gone), (vec![], vec![HOST_IF.to_owned()]));
    fs::remove_file(&pin).expect("removable");

    rename(RENAMED, HOST_IF);
    let pin = attach(HOST_IF);
    host.ip(&format!("link del {HOST_IF}"));
    assert_eq!((now().there, now().gone), (vec![], vec![HOST_IF.to_owned()]));
    switch(world.guard.maps().0, pins.path()).expect("it is passed over");
    host.inside(|| release(&pin).expect("nothing is there"));
}

/// The program as an operator runs it: names, counts, and nothing left.
#[tag(root)]
#[test]
fn a_rehearsal_with_interfaces_names_them_and_leaves_nothing() {
    let mut world = World::new(false);
    world.guard.leave_interfaces(&world.pair.host);
    let (pins, dir) = (PinRoot::new(), TempDir::new().expect("a directory"));
    let policy = dir.path().join("policy.yaml");
    fs::write(&policy, POLICY).expect("writable");
    let root = pins.path().to_str().expect("text");
    let guard = |words: &[&str]| {
        let mut command = world.pair.host.command(program("ibsr-guard").to_str().expect("text"));
        say(command.args(words).args(["--pin-root", root]))
    };
    let (policy, cgroup) = (policy.to_str().expect("text"), world.cgroup.path());
    let rehearse = ["rehearse", policy, "--cgroup", cgroup.to_str().expect("text")];
    let with = |names: &[&'static str]| {
        let names = names.iter().flat_map(|name| ["--dns-interface", name]);
        rehearse.into_iter().chain(names).collect::<Vec<_>>()
    };
    let _said = guard(&with(&["no-such"])).expect_code(2).expect_stderr("`no-such`");
    assert!(!pins.path().join("guard").exists(), "nothing of a refusal is left");
    let _said = guard(&with(&[HOST_IF, "lo"])).expect_code(0);
    for server in [PEER_V4, PEER_V6, LOCAL_V4] {
        assert_eq!(world.dig(&format!("@{server} denied.test")).answers.len(), 1);
    }
    let said = guard(&["status", "--format", "json"]).expect_code(0);
    let value: serde_json::Value = serde_json::from_str(&said.stdout).expect("JSON");
    assert_eq!(value["dns_interfaces"], serde_json::json!(["lo", HOST_IF]));
    assert_eq!(value["hooks"]["query"]["would_deny"], 3);
    assert_eq!(guard(&["status"]).stdout.lines().nth(1), Some("queries at lo, veth-h"));
    let _said = guard(&["disarm"]).expect_code(0);
    assert!(!pins.path().join("guard").exists(), "the pins are gone");
}
