// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is known before one instruction: a value for each register and each 8-byte slot of
//! the stack.

use crate::known::Known;

/// r0 to r10.
pub(crate) const REGISTERS: usize = 11;
/// The frame pointer, which no instruction may write.
pub(crate) const FRAME_POINTER: u8 = 10;
/// `MAX_BPF_STACK` in 8-byte slots.
const SLOTS: usize = 64;
const SLOT_BYTES: i64 = 8;

/// Registers and stack slots. What was never written counts as a number: the verifier
/// allows to read it as nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    registers: [Known; REGISTERS],
    slots: [Known; SLOTS],
}

impl State {
    /// At the entry of a program: the context in r1, the frame pointer in r10.
    pub(crate) const fn entry() -> Self {
        let mut registers = [Known::Number; REGISTERS];
        registers[1] = Known::Context;
        registers[FRAME_POINTER as usize] = Known::Stack(0);
        Self { registers, slots: [Known::Number; SLOTS] }
    }

    /// The value of a register; decoding made sure that it exists.
    pub(crate) const fn get(&self, register: u8) -> Known {
        self.registers[register as usize]
    }

    /// Sets a register; decoding made sure that it exists.
    pub(crate) const fn set(&mut self, register: u8, value: Known) {
        self.registers[register as usize] = value;
    }

    /// After a call: the result in r0, nothing in the argument registers.
    pub(crate) fn returned(&mut self, result: Known) {
        self.registers[0] = result;
        self.registers[1..=5].fill(Known::Number);
    }

    /// What a load of `bytes` at `offset` from the frame pointer gives. A pointer comes back
    /// whole or as a number.
    pub(crate) fn load(&self, offset: i64, bytes: i32) -> Known {
        match whole_slot(offset, bytes) {
            Some(slot) => self.slots[slot],
            None => Known::Number,
        }
    }

    /// Stores `bytes` at `offset` from the frame pointer. A slot that is overwritten in part
    /// holds a number. Offsets outside of the stack are the verifier's to refuse.
    pub(crate) fn store(&mut self, offset: i64, bytes: i32, value: Known) {
        if let Some(slot) = whole_slot(offset, bytes) {
            self.slots[slot] = value;
            return;
        }
        for byte in 0..i64::from(bytes) {
            if let Some(slot) = slot_of(offset.saturating_add(byte)) {
                self.slots[slot] = Known::Number;
            }
        }
    }

    /// Takes in what is known on another path; whether that changed anything.
    pub(crate) fn join(&mut self, other: &Self) -> bool {
        let mut changed = false;
        let mine = self.registers.iter_mut().chain(&mut self.slots);
        for (mine, other) in mine.zip(other.registers.iter().chain(&other.slots)) {
            let joined = mine.join(*other);
            changed |= joined != *mine;
            *mine = joined;
        }
        changed
    }
}

fn slot_of(offset: i64) -> Option<usize> {
    let below = SLOTS.cast_signed() as i64 * SLOT_BYTES;
    usize::try_from((offset.checked_add(below)?).div_euclid(SLOT_BYTES))
        .ok()
        .filter(|&slot| slot < SLOTS)
}

fn whole_slot(offset: i64, bytes: i32) -> Option<usize> {
    (i64::from(bytes) == SLOT_BYTES && offset % SLOT_BYTES == 0).then(|| slot_of(offset))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spilled_pointer_comes_back_whole_or_not_at_all() {
        let mut state = State::entry();
        state.store(-16, 8, Known::Packet);
        assert_eq!(state.load(-16, 8), Known::Packet);
        assert_eq!(state.load(-16, 4), Known::Number);
        assert_eq!(state.load(-8, 8), Known::Number);
        state.store(-12, 4, Known::Number);
        assert_eq!(state.load(-16, 8), Known::Number);
    }

    /// A store across two slots must forget both.
    #[test]
    fn a_store_across_slots_forgets_both() {
        let mut state = State::entry();
        state.store(-16, 8, Known::MapValue);
        state.store(-8, 8, Known::MapValue);
        state.store(-12, 8, Known::Number);
        assert_eq!((state.load(-16, 8), state.load(-8, 8)), (Known::Number, Known::Number));
    }

    /// The verifier refuses these; here they must only not panic.
    #[test]
    fn offsets_outside_of_the_stack_are_ignored() {
        let mut state = State::entry();
        for offset in [0, 8, -513, -520, i64::MIN, i64::MAX] {
            state.store(offset, 8, Known::Packet);
            assert_eq!(state.load(offset, 8), Known::Number, "{offset}");
        }
    }

    #[test]
    fn a_join_says_whether_anything_changed() {
        let mut state = State::entry();
        let mut other = State::entry();
        assert!(!state.join(&other));
        other.store(-8, 8, Known::Packet);
        assert!(state.join(&other));
        assert!(!state.join(&other));
        assert_eq!(state.load(-8, 8), Known::Packet);
    }
}
