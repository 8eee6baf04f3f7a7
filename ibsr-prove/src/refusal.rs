// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a program was not proven. One line each, with the instruction it is about.

use crate::insn::MAX_INSNS;
use crate::known::Kind;

/// Why a program was refused. `at` is the index of an instruction, as `llvm-objdump -d` and
/// `bpftool prog dump xlated` count them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// An exit that can return something else.
    #[error("instruction {at} returns {} instead of always {passing}", found_text(*.found))]
    Return {
        /// The exit.
        at: usize,
        /// The one constant it returns, where it is one.
        found: Option<u64>,
        /// What the policy demands.
        passing: u64,
    },
    /// A helper that is not on the list.
    #[error("instruction {at} calls helper {helper}, which is not on the list")]
    Helper {
        /// The call.
        at: usize,
        /// Its number in `linux/bpf.h`.
        helper: u32,
    },
    /// A tail call: another program would decide.
    #[error("instruction {at} calls into another program (tail call)")]
    TailCall {
        /// The call.
        at: usize,
    },
    /// A function of the program, or in an object file one that is not linked yet.
    #[error("instruction {at} calls a function that is not inlined")]
    Subprogram {
        /// The call.
        at: usize,
    },
    /// A kernel function.
    #[error("instruction {at} calls kernel function {btf_id}")]
    Kfunc {
        /// The call.
        at: usize,
        /// Its BTF id.
        btf_id: i32,
    },
    /// The address of a function, which something could call later.
    #[error("instruction {at} takes the address of a function")]
    Callback {
        /// The load.
        at: usize,
    },
    /// A store or atomic operation through anything but the stack or a map value.
    #[error("instruction {at} stores through a pointer to {through}")]
    Store {
        /// The store.
        at: usize,
        /// What the pointer points to.
        through: Kind,
    },
    /// A helper that copies to anything but a map value.
    #[error("instruction {at} calls helper {helper}, which copies to {to}")]
    Copy {
        /// The call.
        at: usize,
        /// Its number in `linux/bpf.h`.
        helper: u32,
        /// What its buffer points to.
        to: Kind,
    },
    /// A packet load in the way of classic BPF, which ends the program on a short packet.
    #[error("instruction {at} is a legacy packet load")]
    LegacyLoad {
        /// The load.
        at: usize,
    },
    /// A jump or the end of the program that leads nowhere.
    #[error("instruction {at} leads to instruction {to}, which does not exist")]
    Jump {
        /// The instruction that leads there.
        at: usize,
        /// Where to.
        to: i64,
    },
    /// No exit is ever reached: a loop without end.
    #[error("no exit is reached")]
    NoExit,
    /// Something this proof does not know.
    #[error("instruction {at} is not understood (operation {code:#04x})")]
    Unknown {
        /// The instruction.
        at: usize,
        /// Its operation.
        code: u8,
    },
    /// More instructions than the proof is made for.
    #[error("{len} instructions, but at most {MAX_INSNS} are examined")]
    TooLong {
        /// Instructions in the program.
        len: usize,
    },
}

fn found_text(found: Option<u64>) -> String {
    found.map_or_else(|| "a value that varies".to_owned(), |value| value.to_string())
}
