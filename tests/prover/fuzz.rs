// SPDX-License-Identifier: MIT OR Apache-2.0
//! The claim itself, tried: a program that the prover accepts and the kernel loads passes
//! every frame unchanged. Thousands of random mutations of a small observer are proven; what
//! is accepted is loaded and run.

use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::Path;

use ibsr_prove::{Insn, XDP_OBSERVER, prove};
use ibsr_tests::frames::Frame;
use ibsr_tests::prog::{Compiled, XDP_PASS, compilers, insn};
use libbpf_rs::libbpf_sys::{self, bpf_insn};
use test_tag::tag;

/// Repeatable random numbers (Knuth's 64-bit linear congruential generator).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
        (self.0 >> 33) as usize % limit
    }
}

/// Changes one instruction: a bit, a register, a small immediate, or takes it from elsewhere.
fn mutate(insns: &mut [Insn], random: &mut Random) {
    let at = random.below(insns.len());
    let from = insns[random.below(insns.len())];
    let small = random.below(16) as u8;
    let changed = &mut insns[at];
    match random.below(7) {
        0 => changed.dst = small % 11,
        1 => changed.src = small % 11,
        2 => changed.off = i16::from(small) - 8,
        3 => changed.imm = i32::from(small) - 4,
        4 => *changed = from,
        5 => changed.code = from.code,
        _ => {
            let mut bytes = changed.to_bytes();
            bytes[random.below(8)] ^= 1 << random.below(8);
            *changed = Insn::from_bytes(bytes);
        }
    }
}

/// Loads a program; nothing when the verifier refuses it.
fn load(insns: &[Insn]) -> Option<OwnedFd> {
    // SAFETY: an instruction is eight bytes of plain integers.
    let raw: Vec<bpf_insn> =
        insns.iter().map(|insn| unsafe { std::mem::transmute(insn.to_bytes()) }).collect();
    let (kind, license) = (libbpf_sys::BPF_PROG_TYPE_XDP, c"GPL");
    // SAFETY: the instructions and the string outlive the call; no options are given.
    let fd = unsafe {
        libbpf_sys::bpf_prog_load(
            kind,
            std::ptr::null(),
            license.as_ptr(),
            raw.as_ptr(),
            raw.len() as libbpf_sys::size_t,
            std::ptr::null_mut(),
        )
    };
    // SAFETY: the descriptor was just made and is owned by nobody else.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Runs it on a frame: the verdict, and the frame afterwards.
fn run(program: &OwnedFd, frame: &[u8]) -> (u32, Vec<u8>) {
    let mut out = vec![0; frame.len() + 256];
    let mut opts = libbpf_sys::bpf_test_run_opts {
        sz: size_of::<libbpf_sys::bpf_test_run_opts>() as libbpf_sys::size_t,
        data_in: frame.as_ptr().cast(),
        data_size_in: frame.len() as u32,
        data_out: out.as_mut_ptr().cast(),
        data_size_out: out.len() as u32,
        ..Default::default()
    };
    // SAFETY: both buffers outlive the call and their sizes are passed.
    let done = unsafe { libbpf_sys::bpf_prog_test_run_opts(program.as_raw_fd(), &mut opts) };
    assert_eq!(done, 0, "the kernel runs what it loaded");
    out.truncate(opts.data_size_out as usize);
    (opts.retval, out)
}

/// What the refused ones did is counted too, so that the claim cannot become empty.
#[tag(root)]
#[test]
fn what_is_proven_and_loaded_passes_every_frame_unchanged() {
    const MUTANTS: u32 = 30_000;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("bpf/small_observer.bpf.c");
    let clang = compilers().pop().expect("a compiler");
    let object = Compiled::new(&clang, &source).open().load().expect("root may load it");
    let original: Vec<Insn> =
        object.progs().next().expect("one program").insns().iter().map(insn).collect();
    let frames = [Frame::v4([203, 0, 113, 9], [10, 77, 0, 1]).build(), vec![0xff; 60]];
    let mut random = Random(0x1b5);
    let (mut proven, mut loaded, mut verdicts, mut changes) = (0, 0, 0, 0);
    for _ in 0..MUTANTS {
        let mut insns = original.clone();
        for _ in 0..=random.below(3) {
            mutate(&mut insns, &mut random);
        }
        let proof = prove(&insns, &XDP_OBSERVER);
        proven += u32::from(proof.is_ok());
        let Some(program) = load(&insns) else { continue };
        loaded += u32::from(proof.is_ok());
        for frame in &frames {
            let (verdict, out) = run(&program, frame);
            let observed = verdict == XDP_PASS && out == *frame;
            assert!(observed || proof.is_err(), "proven, but not an observer: {insns:#?}");
            verdicts += u32::from(verdict != XDP_PASS);
            changes += u32::from(out != *frame);
        }
    }
    println!("{proven} proven, {loaded} of them loaded; {verdicts} verdicts, {changes} changes");
    assert!(loaded > 500, "{loaded} loaded");
    assert!(verdicts > 50 && changes > 10, "{verdicts} other verdicts, {changes} changed frames");
}
