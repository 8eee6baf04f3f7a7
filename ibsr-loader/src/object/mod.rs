// SPDX-License-Identifier: MIT OR Apache-2.0
//! From an embedded object to loaded programs: configure, prepare, prove, load, compare,
//! describe, freeze.
//!
//! What is proven is what is handed to the kernel: the instructions after relocation, read
//! back from libbpf. What the kernel took is compared with the proof by its own tag.
//! Nothing here attaches or pins.

pub mod cgroup;
pub mod xdp;

use std::mem::MaybeUninit;

use anyhow::{Context as _, Result};
use ibsr_prove::{Insn, Proof, kernel_tags};
use libbpf_rs::OpenObject;
use rustix::rand::{GetRandomFlags, getrandom};

use crate::kernel::ProgInfo;

/// What to do about a program that is not proven.
const DAMAGED: &str =
    "the program file is damaged or altered: install it again; nothing was loaded";

/// Where libbpf keeps the object while the borrowing types below live.
pub type Storage = MaybeUninit<OpenObject>;

/// A random number from the kernel.
///
/// # Errors
/// Before the kernel's pool is ready, which waits instead of failing.
pub fn random() -> Result<u64> {
    let mut bytes = [0; 8];
    getrandom(&mut bytes, GetRandomFlags::empty()).context("failed to draw a random number")?;
    Ok(u64::from_ne_bytes(bytes))
}

/// The instructions as they are now: relocated once the object is prepared.
fn insns_of(insns: &[libbpf_sys::bpf_insn]) -> Vec<Insn> {
    let of = |insn: &libbpf_sys::bpf_insn| Insn {
        code: insn.code,
        dst: insn.dst_reg(),
        src: insn.src_reg(),
        off: insn.off,
        imm: insn.imm,
    };
    insns.iter().map(of).collect()
}

/// Refuses what the kernel loaded when it is not what was proven.
fn compare(proof: &Proof, info: &ProgInfo) -> Result<()> {
    let expected = kernel_tags(proof);
    anyhow::ensure!(
        expected.contains(&info.tag),
        "the kernel loaded other instructions than were proven: `{}` has tag {:02x?}, expected {:02x?}",
        info.name,
        info.tag,
        expected
    );
    Ok(())
}

/// libbpf-rs keeps the errno in its kind only; the first line of the verifier's log went to
/// the bridged messages.
fn errno(error: &libbpf_rs::Error) -> i32 {
    use libbpf_rs::ErrorKind;
    match error.kind() {
        ErrorKind::PermissionDenied => libc::EPERM,
        ErrorKind::OutOfMemory => libc::ENOMEM,
        _ => libc::EINVAL,
    }
}
