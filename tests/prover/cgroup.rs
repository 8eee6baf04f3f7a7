// SPDX-License-Identifier: MIT OR Apache-2.0
//! The same for the cgroup sensor: each of its programs is proven by the policy of its hook,
//! and each program of `bpf/cgroup_mutants` is refused for its own reason.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ibsr_prove::{Insn, Kind, Policy, Proof, Refusal, cgroup_policy, kernel_tags, prove};
use ibsr_tests::cgroup::CgroupSensor;
use ibsr_tests::prog::{Compiled, compilers, insn};
use libbpf_rs::ProgramHandle;
use test_tag::tag;

use super::{CALL, EXIT, NOTHING, Reason, with};

/// Every hook that the sensor is on, and the walk over open files.
const HOOKS: usize = 16;
/// A program of an object: name, policy of its hook, instructions.
struct Hooked {
    name: String,
    policy: &'static Policy,
    insns: Vec<Insn>,
}

fn hooked(compiled: &Compiled) -> Vec<Hooked> {
    let object = compiled.open();
    object
        .progs()
        .map(|program| {
            let section = program.section().to_string_lossy().into_owned();
            Hooked {
                name: program.name().to_string_lossy().into_owned(),
                policy: cgroup_policy(&section).unwrap_or_else(|| panic!("`{section}` is known")),
                insns: program.insns().iter().map(insn).collect(),
            }
        })
        .collect()
}

fn for_each_program(mut check: impl FnMut(&Hooked)) {
    for clang in compilers() {
        let programs = hooked(&Compiled::new(&clang, &CgroupSensor::source()));
        assert_eq!(programs.len(), HOOKS);
        programs.iter().for_each(&mut check);
    }
}

#[track_caller]
fn proven(program: &Hooked) -> Proof {
    prove(&program.insns, program.policy)
        .unwrap_or_else(|refusal| panic!("`{}`: {refusal}", program.name))
}

#[test]
fn every_program_is_proven_with_every_compiler() {
    for_each_program(|program| {
        let proof = proven(program);
        assert_eq!(proof.exits, 1, "`{}`", program.name);
        assert_eq!(proof.insns, program.insns.len());
    });
}

/// A helper that no program needs has no business on a list.
#[test]
fn every_listed_helper_is_needed() {
    let mut needed: BTreeSet<(&str, u32)> = BTreeSet::new();
    let mut listed = BTreeSet::new();
    for_each_program(|program| {
        let name = program.policy.name;
        listed.extend(program.policy.helpers.iter().map(|helper| (name, *helper)));
        needed.extend(proven(program).helpers.iter().map(|helper| (name, *helper)));
    });
    assert_eq!(listed, needed);
}

/// `w0 = 1` before the exit, 0 in the walk: any other value is refused and named.
#[test]
fn every_other_verdict_is_refused() {
    for_each_program(|program| {
        let insns = &program.insns;
        let exit = insns.iter().position(|&insn| insn == EXIT).expect("an exit");
        let verdict = exit - 1;
        let passing = u64::from(!program.name.ends_with("adopt"));
        assert_eq!((insns[verdict].dst, insns[verdict].imm as u64), (0, passing));
        for imm in [0, 1, 2, 3, -1, i32::MIN] {
            let found = u64::from(imm.cast_unsigned());
            let mutant = with(insns, verdict, Insn { imm, ..insns[verdict] });
            let refusal = Refusal::Return { at: exit, found: Some(found), passing };
            let expected = if found == passing { Ok(()) } else { Err(refusal) };
            let answer = prove(&mutant, program.policy).map(|_proof| ());
            assert_eq!(answer, expected, "`{}`", program.name);
        }
        let unset = prove(&with(insns, verdict, NOTHING), program.policy);
        assert_eq!(unset, Err(Refusal::Return { at: exit, found: None, passing }));
    });
}

/// Every helper that exists in the place of the first call, and the one that would decide in
/// the place of every call: accepted only if it is listed.
#[test]
fn every_other_helper_is_refused() {
    const LAST_HELPER: u32 = 211;
    const SET_RETVAL: u32 = 187;
    for_each_program(|program| {
        let (insns, policy) = (&program.insns, program.policy);
        let calling = |at: usize, helper: u32| {
            let imm = helper.cast_signed();
            prove(&with(insns, at, Insn { imm, ..insns[at] }), policy)
        };
        let calls: Vec<usize> = (0..insns.len()).filter(|&at| insns[at].code == CALL).collect();
        for &at in &calls {
            let refusal = Refusal::Helper { at, helper: SET_RETVAL };
            assert_eq!(calling(at, SET_RETVAL), Err(refusal), "`{}`", program.name);
        }
        let at = calls[0];
        for helper in (0..=LAST_HELPER).filter(|id| !policy.helpers.contains(id)) {
            let expected = match helper {
                12 => Refusal::TailCall { at },
                _ => Refusal::Helper { at, helper },
            };
            assert_eq!(calling(at, helper), Err(expected), "`{}`", program.name);
        }
    });
}

fn mutant_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bpf/cgroup_mutants")
}

macro_rules! reason {
    ($pattern:pat) => {
        (|refusal| matches!(refusal, $pattern)) as Reason
    };
}

const MUTANTS: [(&str, Reason); 33] = [
    ("bind_privileged", reason!(Refusal::Return { found: Some(3), .. })),
    ("bound_deny", reason!(Refusal::Return { found: Some(0), .. })),
    ("connect_bind", reason!(Refusal::Helper { helper: 64, .. })),
    ("connect_cred_store", reason!(Refusal::Store { through: Kind::Mixed, .. })),
    ("connect_deny", reason!(Refusal::Return { found: None, .. })),
    ("connect_errno", reason!(Refusal::Helper { helper: 187, .. })),
    ("connect_process_store", reason!(Refusal::Store { through: Kind::Number, .. })),
    ("connect_rewrite", reason!(Refusal::Store { through: Kind::Context, .. })),
    ("connect_setsockopt", reason!(Refusal::Helper { helper: 49, .. })),
    ("create_deny", reason!(Refusal::Return { found: None, .. })),
    ("create_device", reason!(Refusal::Store { through: Kind::Context, .. })),
    ("packet_congestion", reason!(Refusal::Return { found: Some(3), .. })),
    ("packet_deadline", reason!(Refusal::Store { through: Kind::Context, .. })),
    ("packet_drop", reason!(Refusal::Return { found: None, .. })),
    ("packet_ecn", reason!(Refusal::Helper { helper: 97, .. })),
    ("packet_hidden_exit", reason!(Refusal::Return { found: Some(0), .. })),
    ("packet_mark", reason!(Refusal::Store { through: Kind::Context, .. })),
    ("packet_other_state", reason!(Refusal::Helper { helper: 108, .. })),
    ("packet_setsockopt", reason!(Refusal::Helper { helper: 49, .. })),
    ("packet_socket_store", reason!(Refusal::Store { through: Kind::Number, .. })),
    ("packet_verdict_copy", reason!(Refusal::Copy { to: Kind::Stack, .. })),
    ("packet_write_bytes", reason!(Refusal::Helper { helper: 9, .. })),
    ("packet_store", reason!(Refusal::Store { through: Kind::Packet, .. })),
    ("peername_rewrite", reason!(Refusal::Store { through: Kind::Context, .. })),
    ("tcp_congestion_control", reason!(Refusal::Helper { helper: 49, .. })),
    ("tcp_hash", reason!(Refusal::Store { through: Kind::Context, .. })),
    ("tcp_header_option", reason!(Refusal::Helper { helper: 144, .. })),
    ("tcp_reply", reason!(Refusal::Store { through: Kind::Context, .. })),
    ("tcp_return_state", reason!(Refusal::Return { found: None, .. })),
    ("tcp_silence", reason!(Refusal::Return { found: Some(0), .. })),
    ("walk_file_store", reason!(Refusal::Store { through: Kind::Number, .. })),
    ("walk_process_memory", reason!(Refusal::Helper { helper: 36, .. })),
    ("walk_signal", reason!(Refusal::Helper { helper: 109, .. })),
];

#[test]
fn every_hostile_program_is_refused_for_its_own_reason() {
    for clang in compilers() {
        for (name, expected) in MUTANTS {
            let source = mutant_dir().join(format!("{name}.bpf.c"));
            let programs = hooked(&Compiled::new(&clang, &source));
            let mutant = programs.iter().find(|program| program.name == "mutant").expect(name);
            let refusal = prove(&mutant.insns, mutant.policy).expect_err(name);
            assert!(expected(&refusal), "`{name}` with {}: {refusal}", clang.display());
        }
    }
}

/// A mutant that is in the folder but not in the table would prove nothing.
#[test]
fn every_hostile_program_is_in_the_table() {
    let files = fs::read_dir(mutant_dir()).expect("the folder exists");
    let names: BTreeSet<String> = files
        .map(|file| file.expect("readable").file_name().to_string_lossy().into_owned())
        .collect();
    let listed = MUTANTS.iter().map(|(name, _)| format!("{name}.bpf.c")).collect();
    assert_eq!(names, listed);
}

/// What the kernel runs is what was proven, after libbpf has found the kernel's fields: no
/// branch is left that only another kernel could take.
#[tag(root)]
#[test]
fn the_kernel_tag_of_every_loaded_program_is_among_the_proven_ones() {
    for clang in compilers() {
        let sensor =
            CgroupSensor::load(&Compiled::new(&clang, &CgroupSensor::source()), 1_024, None);
        for program in sensor.object().progs_mut() {
            let section = program.section().to_string_lossy().into_owned();
            let policy = cgroup_policy(&section).expect("a known hook");
            let insns: Vec<Insn> = program.insns().iter().map(insn).collect();
            let proof =
                prove(&insns, policy).unwrap_or_else(|refusal| panic!("{section}: {refusal}"));
            let tag = ProgramHandle::try_from(&program).expect("the kernel describes it").tag();
            assert!(kernel_tags(&proof).contains(&tag), "{section}: {tag:02x?}");
        }
    }
}
