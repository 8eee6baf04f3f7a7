// SPDX-License-Identifier: MIT OR Apache-2.0
//! A set of TCP ports, as flags (`443`, `8000-8100`) and as the bitmap that the program reads.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::abi::PORT_BYTES;

/// One `--dst-port` value: a port or a range with both ends included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRange(RangeInclusive<u16>);

/// Why a port or range could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PortError {
    /// Not a number from 0 to 65535.
    #[error("`{0}` is not a port from 0 to 65535")]
    NotAPort(String),
    /// The first port is above the last.
    #[error("the range `{0}` ends before it starts")]
    Backwards(String),
}

impl FromStr for PortRange {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        let port =
            |part: &str| part.parse::<u16>().map_err(|_| PortError::NotAPort(part.to_owned()));
        let (first, last) = match text.split_once('-') {
            Some((first, last)) => (port(first)?, port(last)?),
            None => (port(text)?, port(text)?),
        };
        if first > last {
            return Err(PortError::Backwards(text.to_owned()));
        }
        Ok(Self(first..=last))
    }
}

/// Any set of ports.
#[derive(Clone, PartialEq, Eq)]
pub struct PortSet([u8; PORT_BYTES]);

impl PortSet {
    /// Every port.
    #[must_use]
    pub const fn all() -> Self {
        Self([0xff; PORT_BYTES])
    }

    /// The union of `ranges`; every port when there is none.
    #[must_use]
    pub fn from_ranges(ranges: &[PortRange]) -> Self {
        if ranges.is_empty() {
            return Self::all();
        }
        let mut bits = [0; PORT_BYTES];
        for port in ranges.iter().flat_map(|range| range.0.clone()) {
            bits[usize::from(port) / 8] |= 1 << (port % 8);
        }
        Self(bits)
    }

    /// From the bitmap in `meta`.
    #[must_use]
    pub const fn from_bitmap(bits: [u8; PORT_BYTES]) -> Self {
        Self(bits)
    }

    /// The bitmap: bit `port % 8` of byte `port / 8`.
    #[must_use]
    pub const fn bitmap(&self) -> &[u8; PORT_BYTES] {
        &self.0
    }

    /// Whether `port` is in the set.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        self.0[usize::from(port) / 8] & (1 << (port % 8)) != 0
    }

    /// Whether every port is in the set.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::all()
    }

    /// Maximal runs of ports, ascending.
    #[must_use]
    pub fn ranges(&self) -> Vec<(u16, u16)> {
        let mut runs: Vec<(u16, u16)> = Vec::new();
        for port in (0..=u16::MAX).filter(|&port| self.contains(port)) {
            match runs.last_mut() {
                Some((_, last)) if u32::from(*last) + 1 == u32::from(port) => *last = port,
                _ => runs.push((port, port)),
            }
        }
        runs
    }
}

impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all() {
            return f.write_str("all");
        }
        for (at, (first, last)) in self.ranges().into_iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PortSet({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(texts: &[&str]) -> PortSet {
        let ranges: Vec<PortRange> = texts.iter().map(|text| text.parse().expect("port")).collect();
        PortSet::from_ranges(&ranges)
    }

    #[test]
    fn no_flag_selects_every_port() {
        assert!(set(&[]).is_all());
        assert_eq!(set(&[]).to_string(), "all");
        assert_eq!(set(&[]).ranges(), [(0, 65535)]);
    }

    #[test]
    fn overlapping_and_touching_ranges_become_one() {
        let ports = set(&["443", "8000-8100", "8101", "8050-8200", "0"]);
        assert_eq!(ports.to_string(), "0,443,8000-8200");
        assert!(ports.contains(8200) && !ports.contains(8201) && ports.contains(0));
        assert_eq!(PortSet::from_bitmap(*ports.bitmap()), ports);
    }

    #[test]
    fn a_wrong_port_is_named() {
        assert_eq!("65536".parse::<PortRange>(), Err(PortError::NotAPort("65536".into())));
        assert_eq!("9-1".parse::<PortRange>(), Err(PortError::Backwards("9-1".into())));
        assert!("".parse::<PortRange>().is_err());
        assert!("1-".parse::<PortRange>().is_err());
    }
}
