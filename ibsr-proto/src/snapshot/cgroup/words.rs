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
pub struct WordError(String);

macro_rules! words {
    ($(#[$meta:meta])* $name:ident($int:ty) { $( $value:literal $text:literal, )* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
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

/// What happened to a flow: bits of [`crate::cgroup_abi::step`], written as a list of words. A
/// bit without a word is written as its number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Steps(pub u32);

impl Steps {
    /// The words, lowest bit first.
    fn each(self) -> impl Iterator<Item = Step> {
        (0..u32::BITS).map(|bit| 1 << bit).filter(move |bit| self.0 & bit != 0).map(Step)
    }
}

/// One bit.
struct Step(u32);

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match crate::cgroup_abi::step::ALL.iter().find(|(bit, _)| *bit == self.0) {
            Some((_, word)) => f.write_str(word),
            None => write!(f, "{}", self.0),
        }
    }
}

impl FromStr for Step {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        let known = crate::cgroup_abi::step::ALL.iter().find(|(_, word)| *word == text);
        let bit = known.map(|(bit, _)| *bit).or_else(|| text.parse().ok());
        bit.map(Self).ok_or_else(|| WordError(text.to_owned()))
    }
}

text_in_json!(Step);

impl Serialize for Steps {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.each())
    }
}

impl<'de> Deserialize<'de> for Steps {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let steps = Vec::<Step>::deserialize(deserializer)?;
        Ok(Self(steps.iter().fold(0, |all, step| all | step.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup_abi;

    /// A word that meant another number than the ABI's would rewrite history.
    #[test]
    fn words_are_those_of_the_abi() {
        for number in 0..=u8::MAX {
            let direction = cgroup_abi::Direction::from_abi(number.into());
            let learned = cgroup_abi::Learned::from_abi(number.into());
            let word = direction.map_or(number.to_string(), |it| it.as_str().to_owned());
            assert_eq!(Direction(number).to_string(), word);
            let word = learned.map_or(number.to_string(), |it| it.as_str().to_owned());
            assert_eq!(Learned(number).to_string(), word);
        }
    }

    #[test]
    fn every_number_reads_back_whether_it_has_a_word_or_not() {
        for number in 0..=u16::MAX {
            assert_eq!(ErrorName(number).to_string().parse(), Ok(ErrorName(number)));
            assert_eq!(Protocol(number).to_string().parse(), Ok(Protocol(number)));
            assert_eq!(Family(number).to_string().parse(), Ok(Family(number)));
        }
        for number in 0..=u8::MAX {
            assert_eq!(TcpState(number).to_string().parse(), Ok(TcpState(number)));
        }
        assert!("EWHAT".parse::<ErrorName>().is_err());
        assert!("65536".parse::<ErrorName>().is_err());
    }

    #[test]
    fn the_names_of_errors_are_those_of_this_machine() {
        for &(number, name) in ErrorName::WORDS {
            let text = std::io::Error::from_raw_os_error(number.into()).to_string();
            assert!(!text.contains("Unknown error"), "{name}: {text}");
        }
        let refused = std::io::Error::from_raw_os_error(111);
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        assert_eq!(ErrorName(111).to_string(), "ECONNREFUSED");
        assert_eq!(ErrorName(110).to_string(), "ETIMEDOUT");
    }

    #[test]
    fn steps_are_a_list_of_words_and_a_new_bit_is_a_number() {
        let all = cgroup_abi::step::ALL.iter().fold(0, |all, (bit, _)| all | bit);
        for steps in [Steps(0), Steps(all), Steps(all | 1 << 31)] {
            let text = serde_json::to_string(&steps).expect("serializes");
            assert_eq!(serde_json::from_str::<Steps>(&text).expect("parses"), steps, "{text}");
        }
        let text = serde_json::to_string(&Steps(0x24 | 1 << 31)).expect("serializes");
        assert_eq!(text, r#"["listened","established","2147483648"]"#);
        assert!(serde_json::from_str::<Steps>(r#"["flown"]"#).is_err());
    }

    #[test]
    fn keys_and_devices_are_text_of_fixed_meaning() {
        assert_eq!(Hex(0xfeed).to_string(), "000000000000feed");
        assert_eq!("ffffffffffffffff".parse(), Ok(Hex(u64::MAX)));
        assert_eq!(Device(253 << 20 | 1).to_string(), "253:1");
        for device in [0, 1 << 20, u32::MAX] {
            assert_eq!(Device(device).to_string().parse(), Ok(Device(device)));
        }
        assert!("4096:0".parse::<Device>().is_err());
        assert!("1:1048576".parse::<Device>().is_err());
    }
}
