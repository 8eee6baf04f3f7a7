// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is known of a register or stack slot, and what is known of it when two paths meet.
//!
//! A value of a pointer kind means "a pointer of this kind, or a number": the verifier
//! refuses to store through a number, so only the kind matters. Hence a number joins into
//! any kind, which is what a pointer that may be null compiles to.

use std::fmt;

/// What a value can point to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Nothing: a number.
    Number,
    /// The program's context.
    Context,
    /// The packet.
    Packet,
    /// The program's own stack.
    Stack,
    /// A map itself.
    Map,
    /// A value inside a map.
    MapValue,
    /// Different things on different paths, or something that was not followed.
    Mixed,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number => "a number",
            Self::Context => "the context",
            Self::Packet => "the packet",
            Self::Stack => "the stack",
            Self::Map => "a map",
            Self::MapValue => "a map value",
            Self::Mixed => "something that depends on the path",
        })
    }
}

/// One point of the lattice: a constant is below every number, a number below every kind,
/// every kind below mixed. Four steps at most, so the flow ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// This very number.
    Constant(u64),
    /// Some number.
    Number,
    /// The context, at its start.
    Context,
    /// Anywhere in the packet, or its end.
    Packet,
    /// The stack at this distance from the frame pointer.
    Stack(i64),
    /// A map.
    Map,
    /// Anywhere in a map value.
    MapValue,
    /// Anything.
    Mixed,
}

impl Known {
    pub(crate) const fn kind(self) -> Kind {
        match self {
            Self::Constant(_) | Self::Number => Kind::Number,
            Self::Context => Kind::Context,
            Self::Packet => Kind::Packet,
            Self::Stack(_) => Kind::Stack,
            Self::Map => Kind::Map,
            Self::MapValue => Kind::MapValue,
            Self::Mixed => Kind::Mixed,
        }
    }

    const fn is_number(self) -> bool {
        matches!(self, Self::Constant(_) | Self::Number)
    }

    /// What is known after either.
    pub(crate) fn join(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (a, b) if a.is_number() && b.is_number() => Self::Number,
            (a, b) if a.is_number() => b,
            (a, b) if b.is_number() => a,
            _ => Self::Mixed,
        }
    }

    /// 64-bit addition.
    pub(crate) const fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Stack(at), Self::Constant(by)) | (Self::Constant(by), Self::Stack(at)) => {
                Self::Stack(at.wrapping_add(by.cast_signed()))
            }
            (a, b) if a.is_number() && b.is_number() => Self::Number,
            (a, b) if b.is_number() => a.moved(),
            (a, b) if a.is_number() => b.moved(),
            _ => Self::Mixed,
        }
    }

    /// 64-bit subtraction. The verifier makes pointer minus pointer a number and refuses
    /// number minus pointer, so the left side decides.
    pub(crate) const fn minus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Stack(at), Self::Constant(by)) => Self::Stack(at.wrapping_sub(by.cast_signed())),
            (a, _) if a.is_number() => Self::Number,
            (a, _) => a.moved(),
        }
    }

    /// A pointer after adding some number. Stack and context are followed by exact offset.
    const fn moved(self) -> Self {
        match self {
            Self::Packet | Self::MapValue => self,
            _ => Self::Mixed,
        }
    }

    /// The low 32 bits, which are never a pointer.
    pub(crate) const fn low_half(self) -> Self {
        match self {
            Self::Constant(value) => Self::Constant(value & 0xffff_ffff),
            _ => Self::Number,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Known; 10] = [
        Known::Constant(0),
        Known::Constant(2),
        Known::Number,
        Known::Context,
        Known::Packet,
        Known::Stack(-8),
        Known::Stack(-16),
        Known::Map,
        Known::MapValue,
        Known::Mixed,
    ];

    /// Without these three laws the answer would depend on the order in which paths are
    /// visited, and the flow might not end.
    #[test]
    fn join_is_idempotent_commutative_and_associative() {
        for a in ALL {
            assert_eq!(a.join(a), a);
            for b in ALL {
                assert_eq!(a.join(b), b.join(a), "{a:?} {b:?}");
                for c in ALL {
                    assert_eq!(a.join(b).join(c), a.join(b.join(c)), "{a:?} {b:?} {c:?}");
                }
            }
        }
    }

    /// Knowing less about an operand must never make the result say more.
    #[test]
    fn arithmetic_is_monotone() {
        let below = |a: Known, b: Known| a.join(b) == b;
        for (a, more) in ALL.into_iter().flat_map(|a| ALL.map(|more| (a, more))) {
            for b in ALL.into_iter().filter(|_| below(a, more)) {
                assert!(below(a.plus(b), more.plus(b)), "{a:?} + {b:?}, {more:?}");
                assert!(below(b.plus(a), b.plus(more)), "{b:?} + {a:?}, {more:?}");
                assert!(below(a.minus(b), more.minus(b)), "{a:?} - {b:?}, {more:?}");
                assert!(below(b.minus(a), b.minus(more)), "{b:?} - {a:?}, {more:?}");
            }
        }
    }

    /// The verifier lets `0 + packet` be a packet pointer, so no sum with one may pass for
    /// a map value.
    #[test]
    fn no_arithmetic_with_the_packet_gives_a_writable_kind() {
        for other in ALL {
            for sum in
                [other.plus(Known::Packet), Known::Packet.plus(other), Known::Packet.minus(other)]
            {
                assert!(matches!(sum, Known::Packet | Known::Mixed), "{other:?}: {sum:?}");
            }
        }
    }
}
