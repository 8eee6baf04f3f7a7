// SPDX-License-Identifier: MIT OR Apache-2.0
//! The file of a baseline: which destinations each executable of one host went to before.
//! `ibsr-report baseline` writes it, the loader reads it.
//!
//! JSON with one entry on a line, so that two baselines can be compared line by line and an
//! error names the line. Executables are inodes, so a baseline holds for one host, and for a
//! program only until it is replaced.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::abi::hash_text;
use crate::addr::SourceAddr;
use crate::cgroup_behaviour_abi::{BaselineKey, MAX_BASELINE};
use crate::snapshot::cgroup::words::{Device, Protocol};

/// Schema of the file.
pub const SCHEMA: &str = "ibsr-baseline/1";
/// Entries that the kernel's table takes.
pub const MAX_ENTRIES: usize = MAX_BASELINE as usize;

/// Bits in front of an IPv4 address in its mapped form.
const MAPPED_BITS: u8 = 96;
/// Bits of a key of the kernel's table in front of the address: executable, port, protocol.
const APPLICATION_BITS: u32 = 128;

/// The first bits of an address; all others are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    addr: SourceAddr,
    bits: u8,
}

/// Why a text is no prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no prefix, for example `192.0.2.0/24`, with zeros behind its bits")]
pub struct PrefixError(String);

impl Prefix {
    /// The prefix of `len` bits of `addr`, counted in its own family; more than it has are all.
    #[must_use]
    pub fn of(addr: SourceAddr, len: u8) -> Self {
        let bits = match addr.to_ip() {
            IpAddr::V4(_) => MAPPED_BITS + len.min(32),
            IpAddr::V6(_) => len.min(128),
        };
        let mask = u128::MAX.checked_shl(u32::from(128 - bits)).unwrap_or(0);
        let masked = u128::from_be_bytes(addr.to_bytes()) & mask;
        Self { addr: SourceAddr::from_bytes(masked.to_be_bytes()), bits }
    }

    /// The address, IPv4 in its mapped form.
    #[must_use]
    pub const fn addr(self) -> SourceAddr {
        self.addr
    }

    /// Bits of the mapped form, 0 to 128: what the kernel's table counts.
    #[must_use]
    pub const fn mapped_bits(self) -> u8 {
        self.bits
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.addr.to_ip() {
            IpAddr::V4(addr) => write!(f, "{addr}/{}", self.bits - MAPPED_BITS),
            IpAddr::V6(addr) => write!(f, "{addr}/{}", self.bits),
        }
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let wrong = || PrefixError(text.to_owned());
        let (addr, len) = text.split_once('/').ok_or_else(wrong)?;
        let addr: IpAddr = addr.parse().map_err(|_no_address| wrong())?;
        let len: u8 = len.parse().map_err(|_no_number| wrong())?;
        let prefix = Self::of(addr.into(), len);
        // One way of writing each: no bits behind the length, no length beyond the family.
        if prefix.to_string() == text { Ok(prefix) } else { Err(wrong()) }
    }
}

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// An executable and where it went.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Device of the executable, `major << 20 | minor`, written as `major:minor`.
    #[serde(with = "device")]
    pub exe_device: u32,
    /// Inode of the executable.
    pub exe_inode: u64,
    /// `tcp`, `udp` or a number, as IANA numbers it.
    #[serde(with = "protocol")]
    pub protocol: u16,
    /// Port of the destination.
    pub port: u16,
    /// Its address, or a prefix of it.
    pub prefix: Prefix,
}

impl Entry {
    /// Key of the sensor's table.
    #[must_use]
    pub fn key(&self) -> BaselineKey {
        BaselineKey {
            prefix_bits: APPLICATION_BITS + u32::from(self.prefix.mapped_bits()),
            exe_inode: self.exe_inode.to_ne_bytes(),
            exe_device: self.exe_device.to_ne_bytes(),
            remote_port: self.port.to_ne_bytes(),
            protocol: self.protocol.to_ne_bytes(),
            remote_addr: self.prefix.addr().to_bytes(),
        }
    }
}

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// [`SCHEMA`].
    pub schema: String,
    /// Program and version that wrote it.
    pub tool: String,
    /// Host label of the segments that it was made of.
    pub host: String,
    /// Wall clock of their first sweep.
    pub from_unix_ms: u64,
    /// Wall clock of their last sweep.
    pub to_unix_ms: u64,
    /// Ascending, none twice.
    pub entries: Vec<Entry>,
}

/// Why a text is no baseline.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BaselineError {
    /// It is no JSON of this form; says the line.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// Written by a version that this one does not know.
    #[error("its schema is `{0}`, this program reads `{SCHEMA}`")]
    Schema(String),
    /// More than the kernel's table takes.
    #[error("it has {0} entries, the table takes {MAX_ENTRIES}")]
    TooMany(usize),
}

impl Baseline {
    /// Reads a file.
    ///
    /// # Errors
    /// [`BaselineError`]: nothing of it may be used.
    pub fn parse(text: &str) -> Result<Self, BaselineError> {
        let baseline: Self = serde_json::from_str(text)?;
        if baseline.schema != SCHEMA {
            return Err(BaselineError::Schema(baseline.schema));
        }
        let len = baseline.entries.len();
        if len > MAX_ENTRIES { Err(BaselineError::TooMany(len)) } else { Ok(baseline) }
    }

    /// Over the entries, in any order: equal for equal destinations, never 0.
    #[must_use]
    pub fn hash(&self) -> u64 {
        let mut entries: Vec<&Entry> = self.entries.iter().collect();
        entries.sort();
        hash_text(json(&entries).as_bytes()).max(1)
    }

    /// The file, one entry on a line.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = format!(
            "{{\"schema\":{},\"tool\":{},\"host\":{},\"from_unix_ms\":{},\"to_unix_ms\":{},\"entries\":[",
            json(&self.schema),
            json(&self.tool),
            json(&self.host),
            self.from_unix_ms,
            self.to_unix_ms
        );
        for (entry, number) in self.entries.iter().zip(0_u64..) {
            out += if number == 0 { "\n" } else { ",\n" };
            out += &json(entry);
        }
        out + "\n]}\n"
    }
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("it holds only what JSON can hold")
}

mod device {
    use super::{Deserialize as _, Deserializer, Device, Serialize as _, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(device: &u32, to: S) -> Result<S::Ok, S::Error> {
        Device(*device).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
        Device::deserialize(from).map(|device| device.0)
    }
}

mod protocol {
    use super::{Deserialize as _, Deserializer, Protocol, Serialize as _, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(protocol: &u16, to: S) -> Result<S::Ok, S::Error> {
        Protocol(*protocol).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u16, D::Error> {
        Protocol::deserialize(from).map(|protocol| protocol.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline() -> Baseline {
        let entry = |prefix: &str| Entry {
            exe_device: 253 << 20 | 1,
            exe_inode: 131_842,
            protocol: 6,
            port: 443,
            prefix: prefix.parse().expect("a prefix"),
        };
        Baseline {
            schema: SCHEMA.into(),
            tool: "t \"1\"".into(),
            host: "h".into(),
            from_unix_ms: 1,
            to_unix_ms: 2,
            entries: ["192.0.2.0/24", "198.51.100.7/32", "2001:db8::/56"].map(entry).to_vec(),
        }
    }

    #[test]
    fn a_baseline_reads_back_and_has_one_entry_on_a_line() {
        let text = baseline().to_text();
        assert_eq!(Baseline::parse(&text).expect("read"), baseline());
        assert_eq!(text.lines().count(), 5, "{text}");
        assert!(text.contains(r#""exe_device":"253:1","exe_inode":131842,"protocol":"tcp""#));
    }

    #[test]
    fn an_error_names_its_line_and_nothing_unknown_is_taken() {
        let text = baseline().to_text();
        let error = |from: &str, to: &str| {
            Baseline::parse(&text.replacen(from, to, 1)).expect_err("refused").to_string()
        };
        assert!(error("192.0.2.0/24", "192.0.2.1/24").contains("line 2"));
        assert!(error("\"port\":", "\"pert\":").contains("line 2"));
        assert!(error("\"host\"", "\"hast\"").contains("line 1"));
        assert!(error("baseline/1", "baseline/2").contains("`ibsr-baseline/2`"));
    }

    #[test]
    fn a_key_counts_the_bits_of_the_mapped_address() {
        let keys: Vec<_> = baseline().entries.iter().map(Entry::key).collect();
        let bits: Vec<u32> = keys.iter().map(|key| key.prefix_bits).collect();
        assert_eq!(bits, [128 + 96 + 24, 256, 128 + 56]);
        assert_eq!(keys[0].remote_addr[10..15], [0xff, 0xff, 192, 0, 2]);
        assert_eq!(keys[0].remote_port, 443_u16.to_ne_bytes());
        let mut other = baseline();
        other.entries.reverse();
        assert_eq!(other.hash(), baseline().hash());
        other.entries[0].port = 80;
        assert_ne!(other.hash(), baseline().hash());
    }

    #[test]
    fn a_prefix_has_one_way_of_writing_it() {
        for text in ["0.0.0.0/0", "10.0.0.0/8", "10.1.2.3/32", "::/0", "2001:db8::1/128"] {
            assert_eq!(text.parse::<Prefix>().expect("a prefix").to_string(), text);
        }
        for wrong in
            ["10.0.0.1/8", "10.0.0.0", "10.0.0.0/33", "::1/0", "::/129", "x/8", "1.2.3.4/+32"]
        {
            assert!(wrong.parse::<Prefix>().is_err(), "{wrong}");
        }
        let all: Prefix = "0.0.0.0/0".parse().expect("a prefix");
        assert_eq!(all.mapped_bits(), 96);
    }
}
