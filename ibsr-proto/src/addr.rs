// SPDX-License-Identifier: MIT OR Apache-2.0
//! Addresses as the kernel keys them: 16 bytes in network order, IPv4 as `::ffff:a.b.c.d`.

use std::fmt::{self, Write as _};
use std::net::{AddrParseError, IpAddr, Ipv6Addr};
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A remote address. As text it is plain IPv4 or IPv6; the mapped form is never shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceAddr([u8; 16]);

impl SourceAddr {
    /// From a map key's bytes, in network order.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// A map key's bytes, in network order.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// The address in its own family.
    #[must_use]
    pub const fn to_ip(self) -> IpAddr {
        Ipv6Addr::from_octets(self.0).to_canonical()
    }
}

impl From<IpAddr> for SourceAddr {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self(v4.to_ipv6_mapped().octets()),
            IpAddr::V6(v6) => Self(v6.octets()),
        }
    }
}

impl FromStr for SourceAddr {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<IpAddr>().map(Self::from)
    }
}

impl fmt::Display for SourceAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_ip().fmt(f)
    }
}

impl fmt::Debug for SourceAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for SourceAddr {
    /// Through a buffer on the stack: `collect_str` hands every octet to the serializer's
    /// escaping alone, which costs more than the rest of a row.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = Text { bytes: [0; LONGEST], len: 0 };
        match self.to_ip() {
            IpAddr::V4(v4) => text.push_octets(v4.octets()),
            IpAddr::V6(v6) => write!(text, "{v6}").expect("the longest address fits"),
        }
        serializer.serialize_str(text.as_str())
    }
}

/// Eight groups of four digits and seven colons.
const LONGEST: usize = 39;

/// An address as text, without the heap.
struct Text {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Text {
    fn push(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    fn push_octets(&mut self, octets: [u8; 4]) {
        for (at, octet) in octets.into_iter().enumerate() {
            if at > 0 {
                self.push(b'.');
            }
            if octet >= 100 {
                self.push(b'0' + octet / 100);
            }
            if octet >= 10 {
                self.push(b'0' + octet / 10 % 10);
            }
            self.push(b'0' + octet % 10);
        }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).expect("only ASCII is pushed")
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = self.bytes[self.len..].get_mut(..part.len()).ok_or(fmt::Error)?;
        room.copy_from_slice(part.as_bytes());
        self.len += part.len();
        Ok(())
    }
}

impl<'de> Deserialize<'de> for SourceAddr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AddressText;
        impl Visitor<'_> for AddressText {
            type Value = SourceAddr;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an IPv4 or IPv6 address as text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<SourceAddr, E> {
                text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(AddressText)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One remote host must have one spelling, whichever family the frame had.
    #[test]
    fn ipv4_is_mapped_in_the_key_and_plain_in_text() {
        let addr: SourceAddr = "203.0.113.9".parse().expect("IPv4");
        assert_eq!(&addr.to_bytes()[10..], &[0xff, 0xff, 203, 0, 113, 9]);
        assert_eq!(addr.to_string(), "203.0.113.9");
        assert_eq!("::ffff:203.0.113.9".parse::<SourceAddr>().expect("mapped"), addr);
    }

    /// The written form must be the one that `Display` gives, for every octet.
    #[test]
    fn every_octet_and_the_longest_address_are_written_as_displayed() {
        for octet in 0..=u8::MAX {
            let addr = SourceAddr::from(IpAddr::from([octet, 0, octet, 9]));
            let text = serde_json::to_string(&addr).expect("serializes");
            assert_eq!(text, format!("\"{addr}\""));
        }
        let longest = SourceAddr::from_bytes([0xfe; 16]);
        let text = serde_json::to_string(&longest).expect("serializes");
        assert_eq!(text, format!("\"{longest}\""));
    }

    #[test]
    fn json_text_round_trips_and_rejects_names() {
        let addr: SourceAddr = "2001:db8::1".parse().expect("IPv6");
        let text = serde_json::to_string(&addr).expect("serializes");
        assert_eq!(text, "\"2001:db8::1\"");
        assert_eq!(serde_json::from_str::<SourceAddr>(&text).expect("parses"), addr);
        assert!(serde_json::from_str::<SourceAddr>("\"localhost\"").is_err());
    }
}
