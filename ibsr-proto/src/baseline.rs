// SPDX-License-Identifier: MIT OR Apache-2.0
//! A baseline: destinations that applications had before. `ibsr-report baseline` writes it, the
//! loader gives it to the sensor of a cgroup, which flags what is not in it. JSON.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::abi::hash_text;
use crate::addr::SourceAddr;
use crate::cgroup_behaviour_abi::{BaselineKey, MAX_BASELINE};
use crate::snapshot::cgroup::words::{Device, Protocol};

/// Value of `schema`.
pub const BASELINE_SCHEMA: &str = "ibsr-baseline/1";
/// Bits of an IPv4 address in its mapped form that come before it.
const MAPPED_BITS: u8 = 96;
/// Bits of a key in front of the address: executable, port, protocol.
const APPLICATION_BITS: u32 = 128;

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// [`BASELINE_SCHEMA`].
    pub schema: String,
    /// Program and version that wrote the file.
    pub tool: String,
    /// Destinations, in order and each once.
    pub entries: Vec<Entry>,
}

/// One destination of one application.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Device of the executable.
    pub exe_device: Device,
    /// Inode of the executable. A new release of it is a new file, and another application.
    pub exe_inode: u64,
    /// Protocol above IP.
    pub protocol: Protocol,
    /// Destination port.
    pub remote_port: u16,
    /// Destination.
    pub prefix: Prefix,
    /// Name of the process, for people; the sensor does not look at it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comm: String,
}

/// Addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    addr: SourceAddr,
    /// Of the address in its own family.
    bits: u8,
}

/// Why a file is no baseline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BaselineError {
    /// It is no JSON, or not of this shape; the text names line and column.
    #[error("{0}")]
    Json(String),
    /// Another kind or version of file.
    #[error("its schema is `{0}`, not `{BASELINE_SCHEMA}`")]
    Schema(String),
    /// More than the kernel's table holds.
    #[error("it has {0} entries, the sensor takes {MAX_BASELINE}")]
    TooMany(usize),
}

/// Why a text is no prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no prefix such as `192.0.2.0/24` or `2001:db8::/32`, without bits behind it")]
pub struct PrefixError(String);

impl Prefix {
    /// The first `bits` of `ip`; all of them where it has fewer.
    #[must_use]
    pub fn of(ip: IpAddr, bits: u8) -> Self {
        let width = if ip.is_ipv4() { 32 } else { 128 };
        let bits = bits.min(width);
        let mut octets = SourceAddr::from(ip).to_bytes();
        let kept = usize::from(bits) + usize::from(128 - width);
        for (at, octet) in octets.iter_mut().enumerate() {
            let here = kept.saturating_sub(8 * at).min(8);
            *octet &= !(0xff_u16 >> here) as u8;
        }
        Self { addr: SourceAddr::from_bytes(octets), bits }
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let error = || PrefixError(text.to_owned());
        let (ip, bits) = text.split_once('/').ok_or_else(error)?;
        let (ip, bits) = (ip.parse::<IpAddr>(), bits.parse::<u8>());
        let (Ok(ip), Ok(bits)) = (ip, bits) else { return Err(error()) };
        let prefix = Self::of(ip, bits);
        let is_exact = prefix.bits == bits && prefix.addr == SourceAddr::from(ip);
        is_exact.then_some(prefix).ok_or_else(error)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.bits)
    }
}

impl Serialize for Prefix {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Entry {
    /// Key of the sensor's table.
    #[must_use]
    pub fn key(&self) -> BaselineKey {
        let Prefix { addr, bits } = self.prefix;
        let mapped = if addr.to_ip().is_ipv4() { MAPPED_BITS } else { 0 };
        BaselineKey {
            prefix_bits: APPLICATION_BITS + u32::from(mapped) + u32::from(bits),
            exe_inode: self.exe_inode.to_ne_bytes(),
            exe_device: self.exe_device.0.to_ne_bytes(),
            remote_port: self.remote_port.to_ne_bytes(),
            protocol: self.protocol.0.to_ne_bytes(),
            remote_addr: addr.to_bytes(),
        }
    }
}

impl Baseline {
    /// With these entries, in order and each once.
    #[must_use]
    pub fn new(tool: String, mut entries: Vec<Entry>) -> Self {
        entries.sort();
        entries.dedup();
        Self { schema: BASELINE_SCHEMA.to_owned(), tool, entries }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`BaselineError`].
    pub fn parse(text: &[u8]) -> Result<Self, BaselineError> {
        /// What is asked first: another version may have other fields.
        #[derive(Deserialize)]
        struct Kind {
            schema: String,
        }
        let json = |error: serde_json::Error| BaselineError::Json(error.to_string());
        let Kind { schema } = serde_json::from_slice(text).map_err(json)?;
        if schema != BASELINE_SCHEMA {
            return Err(BaselineError::Schema(schema));
        }
        let baseline: Self = serde_json::from_slice(text).map_err(json)?;
        match baseline.entries.len() {
            count if count > MAX_BASELINE as usize => Err(BaselineError::TooMany(count)),
            _ => Ok(Self::new(baseline.tool, baseline.entries)),
        }
    }

    /// Over the destinations: equal for equal baselines, never 0.
    #[must_use]
    pub fn hash(&self) -> u64 {
        let keys = serde_json::to_vec(&self.entries).expect("entries are plain data");
        hash_text(&keys).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(prefix: &str) -> Entry {
        Entry {
            exe_device: Device(8 << 20 | 1),
            exe_inode: 7,
            protocol: Protocol(6),
            remote_port: 443,
            prefix: prefix.parse().expect("a prefix"),
            comm: "curl".to_owned(),
        }
    }

    #[test]
    fn a_prefix_has_no_bits_behind_it() {
        for text in ["0.0.0.0/0", "192.0.2.0/24", "192.0.2.7/32", "::/0", "2001:db8::/33"] {
            assert_eq!(text.parse::<Prefix>().expect(text).to_string(), text);
        }
        for text in ["192.0.2.1/24", "192.0.2.0/33", "2001:db8::1/32", "192.0.2.0", "x/8", "::/129"]
        {
            assert!(text.parse::<Prefix>().is_err(), "{text}");
        }
        let ip: IpAddr = "192.0.2.77".parse().expect("an address");
        assert_eq!(Prefix::of(ip, 28).to_string(), "192.0.2.64/28");
        assert_eq!(Prefix::of(ip, 64).to_string(), "192.0.2.77/32");
    }

    #[test]
    fn a_key_counts_the_bits_of_the_mapped_address() {
        let bits = |prefix: &str| entry(prefix).key().prefix_bits;
        assert_eq!((bits("10.0.0.0/8"), bits("10.0.0.1/32")), (128 + 96 + 8, 256));
        assert_eq!((bits("2001:db8::/32"), bits("::/0")), (128 + 32, 128));
        assert_eq!(entry("10.0.0.0/8").key().remote_addr[10..14], [0xff, 0xff, 10, 0]);
    }

    #[test]
    fn a_file_reads_back_and_another_is_refused_with_its_place() {
        let entries = vec![entry("10.0.0.0/8"), entry("10.0.0.0/8"), entry("::/0")];
        let baseline = Baseline::new("t".to_owned(), entries);
        assert_eq!(baseline.entries.len(), 2);
        let text = serde_json::to_string_pretty(&baseline).expect("plain data");
        let read = Baseline::parse(text.as_bytes()).expect("reads back");
        assert_eq!((&read, read.hash()), (&baseline, baseline.hash()));
        let error = |text: &str| Baseline::parse(text.as_bytes()).expect_err("no").to_string();
        assert!(error(&text.replace("/1\"", "/2\"")).contains("`ibsr-baseline/2`"));
        let wrong = error(&text.replace("10.0.0.0/8", "10.0.0.1/8"));
        assert!(wrong.contains("10.0.0.1/8") && wrong.contains("line 18"), "{wrong}");
        assert!(error(&text.replace("443", "443,\"x\":1")).contains("unknown field"));
        assert!(error("").contains("line 1"));
        let other = Baseline::new("t".to_owned(), vec![entry("10.0.0.0/8")]);
        assert_ne!(other.hash(), baseline.hash());
    }
}
