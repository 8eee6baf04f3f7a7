// SPDX-License-Identifier: MIT OR Apache-2.0
//! L10: how strongly the maps are bound to the program: what `meta` and `status` say, and
//! that it is true.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd};

use ibsr_proto::abi::Evidence;
use ibsr_tests::kernel::strongest_evidence;
use ibsr_tests::netns::HOST_IF;
use ibsr_tests::process::say;
use libbpf_rs::{MapCore as _, MapFlags, MapHandle, MapType};
use libbpf_sys::bpf_insn;
use test_tag::tag;

use crate::world::World;

/// L10: the level is in `meta` and in `status`, and it is true: nobody in user
/// space can write the maps any more, root included.
#[tag(root)]
#[test]
fn frozen_evidence_means_that_root_cannot_write() {
    let world = World::new();
    let _said = world.attach("--evidence frozen");
    assert_eq!(world.meta().evidence, Evidence::Frozen as u32);
    assert_eq!(world.status().1["evidence"], "frozen");
    assert_no_user_space_can_write(&world);
}

/// L10: by default the level is the strongest that the kernel has, and exclusive maps are
/// frozen too.
#[tag(root)]
#[test]
fn evidence_is_as_strong_as_the_kernel_allows() {
    let world = World::new();
    let _said = world.attach("");
    let strongest = strongest_evidence();
    assert_eq!(world.meta().evidence, strongest as u32);
    assert_eq!(world.status().1["evidence"], strongest.as_str());
    assert_no_user_space_can_write(&world);
}

/// Exclusive means that a program of anybody else's cannot even be loaded with our maps;
/// frozen alone leaves that open to who may load programs.
#[tag(root)]
#[test]
fn exclusive_maps_take_no_other_program() {
    for (args, is_taken) in
        [("--evidence frozen", true), ("", strongest_evidence() < Evidence::Exclusive)]
    {
        let world = World::new();
        let _said = world.attach(args);
        let map = world.dir().join("totals");
        let map = MapHandle::from_pinned_path(map).expect("root may open it");
        assert_eq!(load_program_that_uses(&map).is_ok(), is_taken, "{args}");
    }
}

#[track_caller]
fn assert_no_user_space_can_write(world: &World) {
    for pin in ["meta", "proven", "unproven", "sets", "tags", "totals", "losses", "pending", "door"]
    {
        let map = MapHandle::from_pinned_path(world.dir().join(pin)).expect("root may open it");
        let key = vec![0; map.key_size() as usize];
        let is_per_cpu = map.map_type() == MapType::PercpuArray;
        let value = vec![0; map.value_size() as usize];
        let refused = if is_per_cpu {
            let cpus = libbpf_rs::num_possible_cpus().expect("readable");
            map.update_percpu(&key, &vec![value; cpus], MapFlags::ANY).is_err()
        } else {
            map.update(&key, &value, MapFlags::ANY).is_err()
        };
        assert!(refused, "`{pin}` took a write from user space");
    }
}

/// L10: a kernel that cannot freeze maps still gets a sensor with the tables that nobody maps,
/// and the record says `plain`.
#[tag(root)]
#[test]
fn a_kernel_that_cannot_freeze_is_recorded_as_plain() {
    let world = World::new();
    let freeze = freeze_calls(&world);
    let inject = format!("inject=bpf:error=EINVAL:when={}..{}", freeze[0], freeze[7]);
    let wrapper = ["strace", "-f", "-o", "/dev/null", "-e", "trace=bpf", "-e", &inject, "--"];
    let attach = format!("attach xdp {HOST_IF} --table lru");
    let _said = say(&mut world.command_under(&wrapper, &attach)).expect_code(0);
    assert_eq!(world.meta().evidence, Evidence::Plain as u32);
    let (code, scope) = world.status();
    assert_eq!((code, &scope["evidence"]), (0, &"plain".into()));
}

/// Which bpf() calls of an attach freeze the eight maps that the program uses (.rodata comes
/// before, and `meta` last).
pub fn freeze_calls(world: &World) -> Vec<usize> {
    let log = tempfile::NamedTempFile::new().expect("a temporary file");
    let path = log.path().to_str().expect("plain");
    let wrapper = ["strace", "-f", "-o", path, "-e", "trace=bpf", "--"];
    let attach = format!("attach xdp {HOST_IF}");
    let _said = say(&mut world.command_under(&wrapper, &attach)).expect_code(0);
    world.assert_detaches();
    let text = fs::read_to_string(log.path()).expect("strace wrote it");
    let calls = text.lines().filter(|line| line.contains("bpf("));
    let freezes: Vec<usize> = calls
        .enumerate()
        .filter(|(_, line)| line.contains("BPF_MAP_FREEZE"))
        .map(|(at, _)| at + 1)
        .collect();
    assert_eq!(freezes.len(), 10, "rodata, eight maps, meta");
    assert_eq!(freezes[8] - freezes[1], 7, "the eight follow each other");
    freezes[1..9].to_vec()
}

/// Loads `r1 = map; return XDP_PASS`: to name a map is all that an exclusive one refuses.
fn load_program_that_uses(map: &MapHandle) -> io::Result<OwnedFd> {
    const LOAD_MAP: u8 = 0x18;
    const PSEUDO_MAP_FD: u8 = 1;
    let insn = |code, imm| bpf_insn { code, imm, ..Default::default() };
    let mut load = insn(LOAD_MAP, map.as_fd().as_raw_fd());
    load.set_dst_reg(1);
    load.set_src_reg(PSEUDO_MAP_FD);
    let insns = [load, insn(0, 0), insn(0xb7, 2), insn(0x95, 0)];
    // SAFETY: name, licence and instructions live until the call returns.
    let fd = unsafe {
        libbpf_sys::bpf_prog_load(
            libbpf_sys::BPF_PROG_TYPE_XDP,
            c"stranger".as_ptr(),
            c"GPL".as_ptr(),
            insns.as_ptr(),
            insns.len() as libbpf_sys::size_t,
            std::ptr::null_mut(),
        )
    };
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(-fd));
    }
    // SAFETY: a result that is not negative is a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
