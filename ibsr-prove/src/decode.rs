// SPDX-License-Identifier: MIT OR Apache-2.0
//! From an instruction to what it means for the proof. What is not known here is refused,
//! so an instruction set that grows cannot make a proof wrong.

use crate::insn::{Insn, LD_IMM64, alu, atomic, callee, class, jump, mode, pseudo};
use crate::known::Known;
use crate::policy::helper;
use crate::refusal::Refusal;
use crate::state::{FRAME_POINTER, REGISTERS};

/// A register or a sign-extended immediate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operand {
    Register(u8),
    Immediate(u64),
}

/// A place in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) base: u8,
    pub(crate) offset: i16,
    pub(crate) bytes: i32,
}

/// What an instruction does, as far as the proof cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    /// `dst = from`.
    Move { dst: u8, from: Operand },
    /// `dst = the low half of from`.
    MoveLow { dst: u8, from: Operand },
    /// `dst += from`.
    Add { dst: u8, from: Operand },
    /// `dst -= from`.
    Subtract { dst: u8, from: Operand },
    /// `dst` becomes a value that is known beforehand.
    Set { dst: u8, value: Known },
    /// `dst = place`.
    Load { dst: u8, place: Place },
    /// `place = from`.
    Store { place: Place, from: Operand },
    /// Changes `place`; what was there comes back in `old`.
    Atomic { place: Place, old: Option<u8> },
    /// Continues at `to`, and behind itself too when `or_next`.
    Jump { to: i64, or_next: bool },
    /// Calls a helper.
    Call { helper: u32 },
    /// Returns r0.
    Exit,
}

/// Decodes the instruction at `at`, which exists.
pub(crate) fn decode(insns: &[Insn], at: usize) -> Result<Op, Refusal> {
    let insn = insns[at];
    let unknown = Refusal::Unknown { at, code: insn.code };
    if usize::from(insn.dst) >= REGISTERS || usize::from(insn.src) >= REGISTERS {
        return Err(unknown);
    }
    let op = match insn.class() {
        class::LD => return load_wide(insns, at),
        class::LDX => load(insn),
        class::ST | class::STX => store(insn),
        class::ALU => arithmetic_32(insn),
        class::ALU64 => arithmetic_64(insn),
        _ if insn.op() == jump::CALL => return call(insn, at),
        _ => jump(insn, at),
    };
    op.filter(|op| written(*op) != Some(FRAME_POINTER)).ok_or(unknown)
}

/// Slots that an instruction takes.
pub(crate) const fn slots(insn: Insn) -> usize {
    if insn.code == LD_IMM64 { 2 } else { 1 }
}

const fn written(op: Op) -> Option<u8> {
    match op {
        Op::Move { dst, .. }
        | Op::MoveLow { dst, .. }
        | Op::Add { dst, .. }
        | Op::Subtract { dst, .. }
        | Op::Set { dst, .. }
        | Op::Load { dst, .. } => Some(dst),
        Op::Atomic { old, .. } => old,
        Op::Store { .. } | Op::Jump { .. } | Op::Call { .. } | Op::Exit => None,
    }
}

const fn operand(insn: Insn) -> Operand {
    if insn.register_source() {
        Operand::Register(insn.src)
    } else {
        Operand::Immediate((insn.imm as i64).cast_unsigned())
    }
}

fn load_wide(insns: &[Insn], at: usize) -> Result<Op, Refusal> {
    let insn = insns[at];
    if insn.mode() == mode::ABS || insn.mode() == mode::IND {
        return Err(Refusal::LegacyLoad { at });
    }
    let high = insns.get(at + 1).filter(|high| insn.code == LD_IMM64 && high.code == 0);
    let high = high.ok_or(Refusal::Unknown { at, code: insn.code })?;
    let value = match insn.src {
        pseudo::NUMBER => {
            let low = u64::from(insn.imm.cast_unsigned());
            Known::Constant(low | u64::from(high.imm.cast_unsigned()) << 32)
        }
        pseudo::MAP_FD | pseudo::MAP_IDX => Known::Map,
        pseudo::MAP_VALUE | pseudo::MAP_IDX_VALUE => Known::MapValue,
        pseudo::BTF_ID => Known::Mixed,
        pseudo::FUNC => return Err(Refusal::Callback { at }),
        _ => return Err(Refusal::Unknown { at, code: insn.code }),
    };
    match insn.dst {
        FRAME_POINTER => Err(Refusal::Unknown { at, code: insn.code }),
        dst => Ok(Op::Set { dst, value }),
    }
}

fn load(insn: Insn) -> Option<Op> {
    let place = Place { base: insn.src, offset: insn.off, bytes: insn.bytes() };
    match insn.mode() {
        mode::MEM | mode::MEMSX => Some(Op::Load { dst: insn.dst, place }),
        _ => None,
    }
}

fn store(insn: Insn) -> Option<Op> {
    let place = Place { base: insn.dst, offset: insn.off, bytes: insn.bytes() };
    match (insn.class(), insn.mode()) {
        (class::ST, mode::MEM) => {
            let from = Operand::Immediate(i64::from(insn.imm).cast_unsigned());
            Some(Op::Store { place, from })
        }
        (class::STX, mode::MEM) => Some(Op::Store { place, from: Operand::Register(insn.src) }),
        (class::STX, mode::ATOMIC) => atomic(insn, place),
        _ => None,
    }
}

fn atomic(insn: Insn, place: Place) -> Option<Op> {
    let old = match insn.imm {
        atomic::LOAD_ACQUIRE => {
            let place = Place { base: insn.src, ..place };
            return Some(Op::Load { dst: insn.dst, place });
        }
        atomic::STORE_RELEASE => {
            return Some(Op::Store { place, from: Operand::Register(insn.src) });
        }
        atomic::CMPXCHG => Some(0),
        atomic::XCHG => Some(insn.src),
        imm => match imm & !atomic::FETCH {
            atomic::ADD | atomic::OR | atomic::AND | atomic::XOR => {
                (imm & atomic::FETCH != 0).then_some(insn.src)
            }
            _ => return None,
        },
    };
    Some(Op::Atomic { place, old })
}

const fn arithmetic_32(insn: Insn) -> Option<Op> {
    let dst = insn.dst;
    match insn.op() {
        alu::MOV if insn.off == 0 => Some(Op::MoveLow { dst, from: operand(insn) }),
        0..=alu::END => Some(Op::Set { dst, value: Known::Number }),
        _ => None,
    }
}

/// An offset on a move means a sign extension, or 1 a cast between address spaces, which
/// observers have no use for.
const fn arithmetic_64(insn: Insn) -> Option<Op> {
    let (dst, from) = (insn.dst, operand(insn));
    match (insn.op(), insn.off) {
        (alu::MOV, 0) => Some(Op::Move { dst, from }),
        (alu::MOV, 8 | 16 | 32) => Some(Op::Set { dst, value: Known::Number }),
        (alu::MOV, _) => None,
        (alu::ADD, _) => Some(Op::Add { dst, from }),
        (alu::SUB, _) => Some(Op::Subtract { dst, from }),
        (0..=alu::END, _) => Some(Op::Set { dst, value: Known::Number }),
        _ => None,
    }
}

fn call(insn: Insn, at: usize) -> Result<Op, Refusal> {
    if insn.class() != class::JMP || insn.register_source() {
        return Err(Refusal::Unknown { at, code: insn.code });
    }
    match insn.src {
        callee::HELPER if insn.imm.cast_unsigned() == helper::TAIL_CALL => {
            Err(Refusal::TailCall { at })
        }
        callee::HELPER => Ok(Op::Call { helper: insn.imm.cast_unsigned() }),
        callee::SUBPROGRAM => Err(Refusal::Subprogram { at }),
        callee::KFUNC => Err(Refusal::Kfunc { at, btf_id: insn.imm }),
        _ => Err(Refusal::Unknown { at, code: insn.code }),
    }
}

fn jump(insn: Insn, at: usize) -> Option<Op> {
    let behind = i64::try_from(at).ok()?.checked_add(1)?;
    let near = behind.checked_add(i64::from(insn.off))?;
    match (insn.class(), insn.op()) {
        (class::JMP, jump::EXIT) => Some(Op::Exit),
        // Jumping to an address in a register is an indirect jump.
        (_, jump::ALWAYS) if insn.register_source() => None,
        (class::JMP, jump::ALWAYS) => Some(Op::Jump { to: near, or_next: false }),
        (class::JMP32, jump::ALWAYS) => {
            let to = behind.checked_add(i64::from(insn.imm))?;
            Some(Op::Jump { to, or_next: false })
        }
        (class::JMP32, jump::EXIT) | (_, 0xf0) => None,
        (_, ..=jump::COND) => Some(Op::Jump { to: near, or_next: true }),
        _ => None,
    }
}
