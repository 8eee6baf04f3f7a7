// SPDX-License-Identifier: MIT OR Apache-2.0
//! Addresses as the kernel keys them: 16 bytes in network order, IPv4 as `::ffff:a.b.c.d`.

use std::fmt;
use std::io::Write as _;
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

impl SourceAddr {
    /// Appends the text of [`fmt::Display`]. IPv4, the usual case of a million rows, without
    /// the formatting machinery.
    pub(crate) fn write_text(self, out: &mut Vec<u8>) {
        match self.to_ip() {
            IpAddr::V4(v4) => {
                for (at, octet) in v4.octets().into_iter().enumerate() {
                    if at > 0 {
                        out.push(b'.');
                    }
                    out.extend_from_slice(itoa::Buffer::new().format(octet).as_bytes());
                }
            }
            IpAddr::V6(v6) => write!(out, "{v6}").expect("a vector takes every byte"),
        }
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
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SourceAddr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = SourceAddr;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an IPv4 or IPv6 address as text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<SourceAddr, E> {
                text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Text)
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

    #[test]
    fn json_text_round_trips_and_rejects_names() {
        let addr: SourceAddr = "2001:db8::1".parse().expect("IPv6");
        let text = serde_json::to_string(&addr).expect("serializes");
        assert_eq!(text, "\"2001:db8::1\"");
        assert_eq!(serde_json::from_str::<SourceAddr>(&text).expect("parses"), addr);
        assert!(serde_json::from_str::<SourceAddr>("\"localhost\"").is_err());
    }
}
