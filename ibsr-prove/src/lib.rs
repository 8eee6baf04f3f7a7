// SPDX-License-Identifier: MIT OR Apache-2.0
//! Proves on the instructions of a BPF program that it observes and nothing else: every
//! reachable exit returns the passing constant, only listed helpers are called, nothing is
//! stored through a packet or context pointer.
//!
//! The proof adds to the verifier's, it does not repeat it. The verifier keeps memory safe
//! and knows the type of every pointer on every path, but does not care what is returned or
//! whether the packet is written. So the proof holds for a program that the kernel loaded,
//! and it may refuse programs that the kernel would take: in doubt it refuses.
//!
//! Nothing here does I/O.

#![forbid(unsafe_code)]

mod cgroup;
mod decode;
mod digest;
mod flow;
mod insn;
mod known;
mod policy;
mod refusal;
mod state;

pub use cgroup::{
    CGROUP_SKB_OBSERVER, CGROUP_SOCK_ADDR_OBSERVER, CGROUP_SOCK_OBSERVER, FILE_WALK_OBSERVER,
    SOCK_OPS_OBSERVER, cgroup_policy,
};
pub use digest::{digest_of, kernel_tags};
pub use flow::{Proof, prove};
pub use insn::{Insn, MAX_INSNS};
pub use known::Kind;
pub use policy::{Policy, XDP_OBSERVER};
pub use refusal::Refusal;
