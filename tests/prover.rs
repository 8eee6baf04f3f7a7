// SPDX-License-Identifier: MIT OR Apache-2.0
//! The prover on real objects: the sensor is proven with every compiler, and each program of
//! `bpf/mutants` and each mutation of the sensor's instructions is refused for its own reason.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ibsr_proto::ports::PortSet;
use ibsr_prove::{Insn, Kind, Policy, Proof, Refusal, XDP_OBSERVER, kernel_tags, prove};
use ibsr_tests::prog::{Compiled, SENSOR, Sensor, compilers, insn};
use libbpf_rs::ProgramHandle;
use libbpf_rs::query::ProgInfoIter;
use test_tag::tag;

#[path = "prover/cgroup.rs"]
mod cgroup;
#[path = "prover/fuzz.rs"]
mod fuzz;

const EXIT: Insn = Insn { code: 0x95, dst: 0, src: 0, off: 0, imm: 0 };
const NOTHING: Insn = Insn { code: 0x05, dst: 0, src: 0, off: 0, imm: 0 };
const CALL: u8 = 0x85;

fn proof(insns: &[Insn]) -> Result<Proof, Refusal> {
    prove(insns, &XDP_OBSERVER)
}

/// The sensor's instructions, once for each compiler.
fn sensors() -> Vec<Vec<Insn>> {
    compilers().iter().map(|clang| Compiled::sensor(clang).insns(SENSOR)).collect()
}

/// `insns` with one instruction replaced.
fn with(insns: &[Insn], at: usize, insn: Insn) -> Vec<Insn> {
    let mut mutant = insns.to_vec();
    mutant[at] = insn;
    mutant
}

#[test]
fn the_sensor_is_proven_with_every_compiler() {
    for insns in sensors() {
        let proof = proof(&insns).expect("the sensor only observes");
        assert_eq!(proof.exits, 1);
        assert_eq!(proof.insns, insns.len());
        assert_eq!(proof.helpers, BTreeSet::from([1, 2, 86, 99, 118, 125, 188]));
    }
}

/// A list without one of the sensor's helpers must refuse it, so the list is what decides.
#[test]
fn a_shorter_list_of_helpers_refuses_the_sensor() {
    let policy = Policy { helpers: &[1, 2, 118, 125], ..XDP_OBSERVER };
    for insns in sensors() {
        let refusal = prove(&insns, &policy).expect_err("188 is not on this list");
        assert!(matches!(refusal, Refusal::Helper { helper: 188, .. }), "{refusal}");
    }
}

fn mutant_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bpf/mutants")
}

type Reason = fn(&Refusal) -> bool;

macro_rules! reason {
    ($pattern:pat) => {
        (|refusal| matches!(refusal, $pattern)) as Reason
    };
}

const MUTANTS: [(&str, Reason); 26] = [
    ("adjust_head", reason!(Refusal::Helper { helper: 44, .. })),
    ("adjust_meta", reason!(Refusal::Helper { helper: 54, .. })),
    ("adjust_tail", reason!(Refusal::Helper { helper: 65, .. })),
    ("alu32_return", reason!(Refusal::Return { found: None, .. })),
    ("always_aborted", reason!(Refusal::Return { found: Some(0), .. })),
    ("always_tx", reason!(Refusal::Return { found: Some(3), .. })),
    ("context_store", reason!(Refusal::Store { through: Kind::Context, .. })),
    ("drop_rare_value", reason!(Refusal::Return { .. })),
    ("hidden_exit", reason!(Refusal::Return { found: Some(1), .. })),
    // Linking decides what these two call; in the file both call something not inlined.
    ("kfunc", reason!(Refusal::Subprogram { .. })),
    ("subprogram", reason!(Refusal::Subprogram { .. })),
    ("legacy_load", reason!(Refusal::LegacyLoad { .. })),
    ("loop_callback", reason!(Refusal::Helper { helper: 181, .. })),
    ("loop_return", reason!(Refusal::Return { found: None, .. })),
    ("packet_atomic", reason!(Refusal::Store { through: Kind::Packet, .. })),
    ("packet_or_map_store", reason!(Refusal::Store { through: Kind::Mixed, .. })),
    ("packet_store", reason!(Refusal::Store { through: Kind::Packet, .. })),
    ("packet_store_spilled", reason!(Refusal::Store { through: Kind::Packet, .. })),
    ("print", reason!(Refusal::Helper { helper: 6, .. })),
    ("redirect", reason!(Refusal::Helper { helper: 23, .. })),
    ("redirect_map", reason!(Refusal::Helper { helper: 51, .. })),
    ("return_context", reason!(Refusal::Return { found: None, .. })),
    ("return_map_value", reason!(Refusal::Return { found: None, .. })),
    ("stack_return", reason!(Refusal::Return { found: None, .. })),
    ("store_bytes", reason!(Refusal::Helper { helper: 190, .. })),
    ("tail_call", reason!(Refusal::TailCall { .. })),
];

#[test]
fn every_hostile_program_is_refused_for_its_own_reason() {
    for clang in compilers() {
        for (name, expected) in MUTANTS {
            let source = mutant_dir().join(format!("{name}.bpf.c"));
            let refusal = proof(&Compiled::new(&clang, &source).insns("mutant"));
            let refusal = refusal.expect_err(name);
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

/// `w0 = 2` before the exit: any other verdict is refused and named.
#[test]
fn every_other_verdict_of_the_sensor_is_refused() {
    for insns in sensors() {
        let exit = insns.iter().position(|&insn| insn == EXIT).expect("an exit");
        let verdict = exit - 1;
        assert_eq!((insns[verdict].dst, insns[verdict].imm), (0, 2), "w0 = 2");
        for imm in [0, 1, 3, 4, 5, -1, 258, i32::MIN] {
            let refusal = proof(&with(&insns, verdict, Insn { imm, ..insns[verdict] }));
            let found = Some(u64::from(imm.cast_unsigned()));
            assert_eq!(refusal, Err(Refusal::Return { at: exit, found, passing: 2 }));
        }
        let unset = proof(&with(&insns, verdict, NOTHING));
        assert_eq!(unset, Err(Refusal::Return { at: exit, found: None, passing: 2 }));
    }
}

/// How far a constant in r0 may be from where it is set.
const NEAR: usize = 12;

/// `w0 = 2` or `r0 = 2`.
const fn is_two(insn: Insn) -> bool {
    (insn.code == 0xb4 || insn.code == 0xb7) && insn.dst == 0 && insn.imm == 2
}

/// An exit anywhere else returns something else, and without its exit the sensor has none. Where
/// the program happens to keep a 2 in r0 an exit would pass the packet, as it should.
#[test]
fn an_exit_in_any_other_place_is_refused() {
    for insns in sensors() {
        for at in 0..insns.len() {
            if insns[at] == EXIT {
                let refusal = proof(&with(&insns, at, NOTHING)).expect_err("no exit");
                assert!(matches!(refusal, Refusal::NoExit | Refusal::Jump { .. }), "{refusal}");
                continue;
            }
            let Err(refusal) = proof(&with(&insns, at, EXIT)) else {
                let before = &insns[at.saturating_sub(NEAR)..at];
                assert!(before.iter().any(|&insn| is_two(insn)), "instruction {at}: accepted");
                continue;
            };
            let of_two = at > 0 && insns[at - 1].code == 0x18;
            let named = matches!(refusal, Refusal::Return { at: found, .. } if found == at);
            assert!(named || of_two, "instruction {at}: {refusal}");
        }
    }
}

/// Every helper that exists, in the place of every call: accepted only if it is listed.
#[test]
fn every_other_helper_is_refused_at_every_call() {
    const LAST_HELPER: u32 = 211;
    for insns in sensors() {
        let calls = (0..insns.len()).filter(|&at| insns[at].code == CALL);
        for at in calls {
            let unlisted = (0..=LAST_HELPER).filter(|id| !XDP_OBSERVER.helpers.contains(id));
            for helper in unlisted {
                let imm = helper.cast_signed();
                let refusal = proof(&with(&insns, at, Insn { imm, ..insns[at] }));
                match helper {
                    12 => assert_eq!(refusal, Err(Refusal::TailCall { at })),
                    _ => assert_eq!(refusal, Err(Refusal::Helper { at, helper })),
                }
            }
            let subprogram = proof(&with(&insns, at, Insn { src: 1, ..insns[at] }));
            assert_eq!(subprogram, Err(Refusal::Subprogram { at }));
            let kfunc = proof(&with(&insns, at, Insn { src: 2, ..insns[at] }));
            assert_eq!(kfunc, Err(Refusal::Kfunc { at, btf_id: insns[at].imm }));
        }
    }
}

/// A store into the packet or the context, put in the place of any instruction that runs
/// while a register holds such a pointer for certain: the first ones of the program.
#[test]
fn a_store_through_the_context_is_refused_in_front_of_the_sensor() {
    for insns in sensors() {
        let load = Insn { code: 0x61, dst: 3, src: 1, off: 0, imm: 0 };
        for code in [0x62, 0x6a, 0x72, 0x7a, 0x63, 0x6b, 0x73, 0x7b, 0xc3, 0xdb] {
            let context = Insn { code, dst: 1, src: 2, off: 16, imm: 0 };
            let refusal = proof(&[&[context], &insns[..]].concat());
            assert_eq!(refusal, Err(Refusal::Store { at: 0, through: Kind::Context }));
            let packet = Insn { dst: 3, ..context };
            let refusal = proof(&[&[load, packet], &insns[..]].concat());
            assert_eq!(refusal, Err(Refusal::Store { at: 1, through: Kind::Packet }));
        }
    }
}

/// Two thousand programs damaged in one bit: an answer, never a panic, and a proof only of a
/// program that still has its verdict.
#[test]
fn a_damaged_program_gets_an_answer() {
    let mut random = 0x1b5_0000_0001_u64;
    let mut next = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) as usize % below
    };
    let insns = sensors().pop().expect("a compiler");
    let mut refused = 0;
    for _ in 0..2_000 {
        let at = next(insns.len());
        let mut bytes = insns[at].to_bytes();
        bytes[next(8)] ^= 1 << next(8);
        match proof(&with(&insns, at, Insn::from_bytes(bytes))) {
            Ok(proof) => assert_eq!(proof.exits, 1),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 100, "{refused} refused");
}

/// What the kernel says it runs is what was proven, although map descriptors are in it.
#[tag(root)]
#[test]
fn the_kernel_tag_of_the_loaded_sensor_is_among_the_proven_ones() {
    for clang in compilers() {
        let sensor = Sensor::load_from(&Compiled::sensor(&clang), &PortSet::all(), 1024);
        let program = sensor.object().progs_mut().next().expect("one program");
        let insns: Vec<Insn> = program.insns().iter().map(insn).collect();
        let linked = proof(&insns).expect("the linked sensor is proven too");
        let tag = ProgramHandle::try_from(&program).expect("the kernel describes it").tag();
        assert!(kernel_tags(&linked).contains(&tag), "{tag:02x?} {:02x?}", kernel_tags(&linked));
        let other = proof(&[&[NOTHING], &insns[..]].concat()).expect("it still passes");
        assert!(!kernel_tags(&other).contains(&tag), "another program has another tag");
    }
}

/// The verifier gives up at a million instructions, and kernels differ in how many they need:
/// a tenth of it here leaves room.
#[tag(root)]
#[test]
fn the_verifier_needs_less_than_a_tenth_of_its_budget() {
    const BUDGET: u32 = 1_000_000;
    for clang in compilers() {
        let sensor = Sensor::load_from(&Compiled::sensor(&clang), &PortSet::all(), 1024);
        let program = sensor.object().progs_mut().next().expect("one program");
        let id = ProgramHandle::try_from(&program).expect("the kernel describes it").id();
        let info = ProgInfoIter::default().find(|info| info.id == id).expect("it is loaded");
        let visited = info.verified_insns;
        assert!((1_000..BUDGET / 10).contains(&visited), "{visited} with {}", clang.display());
    }
}
