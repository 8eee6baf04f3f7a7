// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers of the kernel as words. One column of a table has one type, so a number without a
//! word is text too. Each reads back as the number that it was.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is no word of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a known word nor a number that fits")]
pub struct WordError(pub(crate) String);

macro_rules! words {
    ($(#[$meta:meta])* $name:ident($int:ty) { $( $value:literal $text:literal, )* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $int);

        impl $name {
            /// Every number that has a word.
            pub const WORDS: &'static [($int, &'static str)] = &[$( ($value, $text), )*];

            /// Whether it stands for nothing.
            #[must_use]
            pub const fn is_zero(&self) -> bool {
                self.0 == 0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 {
                    $( $value => f.write_str($text), )*
                    other => write!(f, "{other}"),
                }
            }
        }

        impl FromStr for $name {
            type Err = WordError;

            fn from_str(text: &str) -> Result<Self, WordError> {
                match text {
                    $( $text => Ok(Self($value)), )*
                    other => other.parse().map(Self).map_err(|_no_number| WordError(other.to_owned())),
                }
            }
        }

        text_in_json!($name);
    };
}
pub(crate) use words;

macro_rules! text_in_json {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!(stringify!($name), " as text"))
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}
pub(crate) use text_in_json;

words! {
    /// How a flow began, as [`crate::cgroup_abi::Direction`] numbers it.
    Direction(u8) { 0 "unknown", 1 "outgoing", 2 "incoming", 3 "own", }
}

words! {
    /// Where an owner was learned, as [`crate::cgroup_abi::Learned`] numbers it.
    Learned(u8) {
        0 "nowhere", 1 "listener", 2 "seeded", 3 "create", 4 "bind", 5 "listen", 6 "connect",
        7 "send", 8 "accept",
    }
}

words! {
    /// Protocol above IP, as IANA numbers it.
    Protocol(u16) { 6 "tcp", 17 "udp", }
}

words! {
    /// Address family of a socket, as Linux numbers it.
    Family(u16) { 2 "inet", 10 "inet6", }
}

words! {
    /// State of a TCP socket, as `BPF_TCP_*` of `linux/bpf.h` numbers it; 0 for UDP.
    TcpState(u8) {
        1 "established", 2 "syn_sent", 3 "syn_recv", 4 "fin_wait1", 5 "fin_wait2", 6 "time_wait",
        7 "close", 8 "close_wait", 9 "last_ack", 10 "listen", 11 "closing", 12 "new_syn_recv",
        13 "bound_inactive",
    }
}

words! {
    /// An errno that a socket can end with, as `asm-generic/errno.h` numbers it; 0 for none.
    ErrorName(u16) {
        1 "EPERM", 2 "ENOENT", 4 "EINTR", 5 "EIO", 9 "EBADF", 11 "EAGAIN", 12 "ENOMEM",
        13 "EACCES", 14 "EFAULT", 16 "EBUSY", 17 "EEXIST", 19 "ENODEV", 22 "EINVAL", 23 "ENFILE",
        24 "EMFILE", 28 "ENOSPC", 32 "EPIPE", 61 "ENODATA", 62 "ETIME", 64 "ENONET",
        71 "EPROTO", 74 "EBADMSG", 75 "EOVERFLOW", 88 "ENOTSOCK", 89 "EDESTADDRREQ",
        90 "EMSGSIZE", 91 "EPROTOTYPE", 92 "ENOPROTOOPT", 93 "EPROTONOSUPPORT",
        94 "ESOCKTNOSUPPORT", 95 "EOPNOTSUPP", 96 "EPFNOSUPPORT", 97 "EAFNOSUPPORT",
        98 "EADDRINUSE", 99 "EADDRNOTAVAIL", 100 "ENETDOWN", 101 "ENETUNREACH", 102 "ENETRESET",
        103 "ECONNABORTED", 104 "ECONNRESET", 105 "ENOBUFS", 106 "EISCONN", 107 "ENOTCONN",
        108 "ESHUTDOWN", 110 "ETIMEDOUT", 111 "ECONNREFUSED", 112 "EHOSTDOWN",
        113 "EHOSTUNREACH", 114 "EALREADY", 115 "EINPROGRESS", 125 "ECANCELED",
    }
}

/// 64 bits as 16 hexadecimal digits: many readers of JSON keep only 53 bits of a number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hex(pub u64);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Hex {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        u64::from_str_radix(text, 16).map(Self).map_err(|_no_number| WordError(text.to_owned()))
    }
}

text_in_json!(Hex);

/// A device as `major:minor`, from the kernel's `major << 20 | minor`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device(pub u32);

const MINOR_BITS: u32 = 20;
const MINOR_MASK: u32 = (1 << MINOR_BITS) - 1;

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0 >> MINOR_BITS, self.0 & MINOR_MASK)
    }
}

impl FromStr for Device {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        let parts = text.split_once(':').and_then(|(major, minor)| {
            Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
        });
        match parts {
            Some((major, minor)) if major <= u32::MAX >> MINOR_BITS && minor <= MINOR_MASK => {
                Ok(Self(major << MINOR_BITS | minor))
            }
            _ => Err(WordError(text.to_owned())),
        }
    }
}

text_in_json!(Device);

macro_rules! bits {
    ($(#[$meta:meta])* $name:ident, $bit:ident, $all:path) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $name {
            /// The words, lowest bit first.
            fn each(self) -> impl Iterator<Item = $bit> {
                (0..u32::BITS).map(|bit| 1 << bit).filter(move |bit| self.0 & bit != 0).map($bit)
            }

            /// Whether no bit is set.
            #[must_use]
            pub const fn is_empty(&self) -> bool {
                self.0 == 0
            }
        }

        /// One bit.
        struct $bit(u32);

        impl fmt::Display for $bit {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match $all.iter().find(|(bit, _)| *bit == self.0) {
                    Some((_, word)) => f.write_str(word),
                    None => write!(f, "{}", self.0),
                }
            }
        }

        impl FromStr for $bit {
            type Err = WordError;

            fn from_str(text: &str) -> Result<Self, WordError> {
                let known = $all.iter().find(|(_, word)| *word == text);
                let bit = known.map(|(bit, _)| *bit).or_else(|| text.parse().ok());
                bit.map(Self).ok_or_else(|| WordError(text.to_owned()))
            }
        }

        text_in_json!($bit);

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(self.each())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let bits = Vec::<$bit>::deserialize(deserializer)?;
                Ok(Self(bits.iter().fold(0, |all, bit| all | bit.0)))
            }
        }
    };
}

bits! {
    /// What happened to a flow: bits of [`crate::cgroup_abi::step`], written as a list of words.
    /// A bit without a word is written as its number.
    Steps, Step, crate::cgroup_abi::step::ALL
}

bits! {
    /// What was measured of behaviour: bits of [`crate::cgroup_behaviour_abi::flag`], in the same
    /// way.
    Flags, Flag, crate::cgroup_behaviour_abi::flag::ALL
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
