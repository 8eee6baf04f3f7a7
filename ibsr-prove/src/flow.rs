// SPDX-License-Identifier: MIT OR Apache-2.0
//! The forward data flow: every branch is followed both ways until nothing new is learned.
//! No condition is ever evaluated, so what holds, holds on every path there could be.

use std::collections::BTreeSet;

use crate::decode::{Op, Operand, Place, decode, slots};
use crate::digest::digests;
use crate::insn::Insn;
use crate::insn::MAX_INSNS;
use crate::known::Known;
use crate::policy::{Policy, helper};
use crate::refusal::Refusal;
use crate::state::State;

/// What was proven of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proof {
    /// Reachable exits; each returns the policy's passing constant.
    pub exits: usize,
    /// Helpers that are called, each on the policy's list.
    pub helpers: BTreeSet<u32>,
    /// Instructions of the program.
    pub insns: usize,
    /// SHA-256 over the instructions without map descriptors.
    pub sha256: [u8; 32],
    /// SHA-1 over the same, for the tags of older kernels.
    pub sha1: [u8; 20],
}

/// Proves that `insns` only observe, in the sense of `policy`. They may be taken from an
/// object file or, better, as they are handed to the kernel.
///
/// # Errors
/// The first [`Refusal`] that the flow meets.
pub fn prove(insns: &[Insn], policy: &Policy) -> Result<Proof, Refusal> {
    let mut flow = Flow::new(insns, policy)?;
    while let Some(at) = flow.waiting.pop_first() {
        flow.follow(at)?;
    }
    if flow.exits.is_empty() {
        return Err(Refusal::NoExit);
    }
    let (sha256, sha1) = digests(insns);
    let Flow { exits, helpers, .. } = flow;
    Ok(Proof { exits: exits.len(), helpers, insns: insns.len(), sha256, sha1 })
}

/// The argument of `skb_load_bytes` that says where to. A copy to the stack would change what is
/// known of it, and need its length.
const BUFFER: u8 = 3;

struct Flow<'a> {
    insns: &'a [Insn],
    policy: &'a Policy,
    /// What is known before each instruction; nothing for one that is not reached.
    before: Vec<Option<State>>,
    /// To visit (again), in the order of the program: most of what an instruction is going
    /// to be told has then been told before it is visited.
    waiting: BTreeSet<usize>,
    exits: BTreeSet<usize>,
    helpers: BTreeSet<u32>,
}

impl<'a> Flow<'a> {
    fn new(insns: &'a [Insn], policy: &'a Policy) -> Result<Self, Refusal> {
        if insns.len() > MAX_INSNS {
            return Err(Refusal::TooLong { len: insns.len() });
        }
        let mut flow = Self {
            insns,
            policy,
            before: vec![None; insns.len()],
            waiting: BTreeSet::new(),
            exits: BTreeSet::new(),
            helpers: BTreeSet::new(),
        };
        flow.reach(0, 0, &State::entry())?;
        Ok(flow)
    }

    /// Notes that `to` follows `at` with `state`, and visits it again if that is news.
    fn reach(&mut self, at: usize, to: i64, state: &State) -> Result<(), Refusal> {
        let target = usize::try_from(to).ok();
        let Some((to, before)) = target.and_then(|to| Some((to, self.before.get_mut(to)?))) else {
            return Err(Refusal::Jump { at, to });
        };
        let news = match before {
            Some(known) => known.join(state),
            None => {
                *before = Some(state.clone());
                true
            }
        };
        if news {
            self.waiting.insert(to);
        }
        Ok(())
    }

    fn follow(&mut self, at: usize) -> Result<(), Refusal> {
        let mut state = self.before[at].clone().expect("only reached instructions wait");
        let next = (at + slots(self.insns[at])) as i64;
        match decode(self.insns, at)? {
            Op::Exit => return self.exit(at, state.get(0)),
            Op::Jump { to, or_next } => {
                self.reach(at, to, &state)?;
                if !or_next {
                    return Ok(());
                }
            }
            Op::Call { helper } => self.call(at, helper, &mut state)?,
            op => apply(op, at, self.policy, &mut state)?,
        }
        self.reach(at, next, &state)
    }

    fn exit(&mut self, at: usize, returned: Known) -> Result<(), Refusal> {
        let passing = self.policy.passing;
        let found = match returned {
            Known::Constant(value) if value == passing => {
                self.exits.insert(at);
                return Ok(());
            }
            Known::Constant(value) => Some(value),
            _ => None,
        };
        Err(Refusal::Return { at, found, passing })
    }

    fn call(&mut self, at: usize, helper: u32, state: &mut State) -> Result<(), Refusal> {
        if !self.policy.helpers.contains(&helper) {
            return Err(Refusal::Helper { at, helper });
        }
        let to = state.get(BUFFER);
        if helper == helper::SKB_LOAD_BYTES && to != Known::MapValue {
            return Err(Refusal::Copy { at, helper, to: to.kind() });
        }
        self.helpers.insert(helper);
        state.returned(match helper {
            helper::MAP_LOOKUP_ELEM | helper::SK_STORAGE_GET => Known::MapValue,
            _ => Known::Number,
        });
        Ok(())
    }
}

/// What a plain instruction changes.
fn apply(op: Op, at: usize, policy: &Policy, state: &mut State) -> Result<(), Refusal> {
    match op {
        Op::Move { dst, from } => state.set(dst, read(state, from)),
        Op::MoveLow { dst, from } => state.set(dst, read(state, from).low_half()),
        Op::Add { dst, from } => state.set(dst, state.get(dst).plus(read(state, from))),
        Op::Subtract { dst, from } => state.set(dst, state.get(dst).minus(read(state, from))),
        Op::Set { dst, value } => state.set(dst, value),
        Op::Load { dst, place } => state.set(dst, load(state, place, policy)),
        Op::Store { place, from } => {
            let value = read(state, from);
            store(state, at, place, value)?;
        }
        Op::Atomic { place, old } => {
            let before = load(state, place, policy);
            store(state, at, place, Known::Mixed)?;
            if let Some(old) = old {
                state.set(old, before);
            }
        }
        Op::Jump { .. } | Op::Call { .. } | Op::Exit => {}
    }
    Ok(())
}

const fn read(state: &State, from: Operand) -> Known {
    match from {
        Operand::Register(register) => state.get(register),
        Operand::Immediate(value) => Known::Constant(value),
    }
}

fn load(state: &State, place: Place, policy: &Policy) -> Known {
    match state.get(place.base) {
        Known::Stack(at) => state.load(at.wrapping_add(place.offset.into()), place.bytes),
        Known::Packet | Known::MapValue => Known::Number,
        Known::Context if holds_packet_pointer(policy, place) => Known::Packet,
        Known::Context => Known::Number,
        Known::Map | Known::Mixed | Known::Number | Known::Constant(_) => Known::Mixed,
    }
}

/// Whether a load touches any byte of a packet pointer field.
fn holds_packet_pointer(policy: &Policy, place: Place) -> bool {
    const FIELD_BYTES: i32 = 4;
    let from = i32::from(place.offset);
    policy
        .packet_fields
        .iter()
        .any(|&field| from < field + FIELD_BYTES && field < from + place.bytes)
}

fn store(state: &mut State, at: usize, place: Place, value: Known) -> Result<(), Refusal> {
    match state.get(place.base) {
        Known::Stack(base) => {
            state.store(base.wrapping_add(place.offset.into()), place.bytes, value);
            Ok(())
        }
        Known::MapValue => Ok(()),
        through => Err(Refusal::Store { at, through: through.kind() }),
    }
}

#[cfg(test)]
mod tests;
