// SPDX-License-Identifier: MIT OR Apache-2.0
//! One BPF instruction as it is handed to the kernel, and the numbers of its fields.
//! A type of our own, so that the proof depends on no loading library.

/// Longest program that is examined: bounds memory to about 20 MB. Ours have under 1,000.
pub const MAX_INSNS: usize = 16_384;

/// One 8-byte instruction, `struct bpf_insn`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Insn {
    /// Operation: class in the low three bits.
    pub code: u8,
    /// Destination register.
    pub dst: u8,
    /// Source register, or what kind of immediate this is.
    pub src: u8,
    /// Offset of a memory access or jump.
    pub off: i16,
    /// Immediate.
    pub imm: i32,
}

impl Insn {
    /// From memory in the machine's byte order.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        let [code, registers, off_0, off_1, imm_0, imm_1, imm_2, imm_3] = bytes;
        let (low, high) = (registers & 0xf, registers >> 4);
        let (dst, src) = if cfg!(target_endian = "little") { (low, high) } else { (high, low) };
        let off = i16::from_ne_bytes([off_0, off_1]);
        let imm = i32::from_ne_bytes([imm_0, imm_1, imm_2, imm_3]);
        Self { code, dst, src, off, imm }
    }

    /// To memory in the machine's byte order.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        let [off_0, off_1] = self.off.to_ne_bytes();
        let [imm_0, imm_1, imm_2, imm_3] = self.imm.to_ne_bytes();
        let (low, high) = if cfg!(target_endian = "little") {
            (self.dst, self.src)
        } else {
            (self.src, self.dst)
        };
        [self.code, low & 0xf | high << 4, off_0, off_1, imm_0, imm_1, imm_2, imm_3]
    }

    /// Class of the operation.
    pub(crate) const fn class(self) -> u8 {
        self.code & 0x07
    }

    /// Operation of an arithmetic or jump instruction.
    pub(crate) const fn op(self) -> u8 {
        self.code & 0xf0
    }

    /// Mode of a memory instruction.
    pub(crate) const fn mode(self) -> u8 {
        self.code & 0xe0
    }

    /// Whether the second operand is a register.
    pub(crate) const fn register_source(self) -> bool {
        self.code & 0x08 != 0
    }

    /// Bytes that a memory instruction touches.
    pub(crate) const fn bytes(self) -> i32 {
        match self.code & 0x18 {
            0x00 => 4,
            0x08 => 2,
            0x10 => 1,
            _ => 8,
        }
    }
}

/// Instruction classes.
pub(crate) mod class {
    pub(crate) const LD: u8 = 0x00;
    pub(crate) const LDX: u8 = 0x01;
    pub(crate) const ST: u8 = 0x02;
    pub(crate) const STX: u8 = 0x03;
    pub(crate) const ALU: u8 = 0x04;
    pub(crate) const JMP: u8 = 0x05;
    pub(crate) const JMP32: u8 = 0x06;
    pub(crate) const ALU64: u8 = 0x07;
}

/// Modes of memory instructions.
pub(crate) mod mode {
    pub(crate) const ABS: u8 = 0x20;
    pub(crate) const IND: u8 = 0x40;
    pub(crate) const MEM: u8 = 0x60;
    pub(crate) const MEMSX: u8 = 0x80;
    pub(crate) const ATOMIC: u8 = 0xc0;
}

/// Arithmetic operations that keep a pointer a pointer.
pub(crate) mod alu {
    pub(crate) const ADD: u8 = 0x00;
    pub(crate) const SUB: u8 = 0x10;
    pub(crate) const MOV: u8 = 0xb0;
    /// The last one that exists: byte swaps.
    pub(crate) const END: u8 = 0xd0;
}

/// Jump operations that are not plain conditions.
pub(crate) mod jump {
    pub(crate) const ALWAYS: u8 = 0x00;
    pub(crate) const CALL: u8 = 0x80;
    pub(crate) const EXIT: u8 = 0x90;
    /// `may_goto`, the last one that exists: both ways are possible.
    pub(crate) const COND: u8 = 0xe0;
}

/// `BPF_LD | BPF_IMM | BPF_DW`: a 64-bit immediate in two slots.
pub(crate) const LD_IMM64: u8 = 0x18;

/// What the immediate of an [`LD_IMM64`] means, in its source field.
pub(crate) mod pseudo {
    pub(crate) const NUMBER: u8 = 0;
    pub(crate) const MAP_FD: u8 = 1;
    pub(crate) const MAP_VALUE: u8 = 2;
    pub(crate) const BTF_ID: u8 = 3;
    pub(crate) const FUNC: u8 = 4;
    pub(crate) const MAP_IDX: u8 = 5;
    pub(crate) const MAP_IDX_VALUE: u8 = 6;
}

/// What a call calls, in its source field.
pub(crate) mod callee {
    pub(crate) const HELPER: u8 = 0;
    pub(crate) const SUBPROGRAM: u8 = 1;
    pub(crate) const KFUNC: u8 = 2;
}

/// Atomic operations, in the immediate.
pub(crate) mod atomic {
    pub(crate) const FETCH: i32 = 0x01;
    pub(crate) const ADD: i32 = 0x00;
    pub(crate) const OR: i32 = 0x40;
    pub(crate) const AND: i32 = 0x50;
    pub(crate) const XOR: i32 = 0xa0;
    pub(crate) const XCHG: i32 = 0xe1;
    pub(crate) const CMPXCHG: i32 = 0xf1;
    pub(crate) const LOAD_ACQUIRE: i32 = 0x100;
    pub(crate) const STORE_RELEASE: i32 = 0x110;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `if w1 == 0x8 goto +0x21`, as clang wrote it on a little-endian machine.
    #[test]
    #[cfg(target_endian = "little")]
    fn an_instruction_reads_as_the_kernel_reads_it() {
        let bytes = [0x16, 0x01, 0x21, 0x00, 0x08, 0x00, 0x00, 0x00];
        let insn = Insn::from_bytes(bytes);
        assert_eq!(insn, Insn { code: 0x16, dst: 1, src: 0, off: 0x21, imm: 8 });
        assert_eq!(insn.to_bytes(), bytes);
    }

    #[test]
    fn every_field_survives_the_round_trip() {
        let insn = Insn { code: 0xdb, dst: 10, src: 9, off: -104, imm: i32::MIN + 1 };
        assert_eq!(Insn::from_bytes(insn.to_bytes()), insn);
    }
}
