// SPDX-License-Identifier: MIT OR Apache-2.0
//! Source rows read by hand: the twin of [`super::source_text`], for the hundred million
//! rows of a report. Only the spelling that the writer makes is taken, byte for byte;
//! everything else, right or wrong, is left to serde, so the two can never disagree.

use super::v1::Source;
use crate::addr::SourceAddr;

/// Digits that fit into 64 bits whatever they are.
const SAFE_DIGITS: usize = 19;
const GROUPS: usize = 8;

/// The row in `line`, with or without its line feed; `None` unless it is exactly what
/// [`super::source_text::write`] writes for that row. Allocates nothing.
pub(super) fn read(line: &[u8]) -> Option<Source> {
    let mut rest = Rest(line.strip_suffix(b"\n").unwrap_or(line));
    let seq = rest.field(br#"{"type":"source","seq":"#)?;
    rest.literal(br#","src":""#)?;
    let src = rest.address()?;
    let dst_port = rest.field(br#"","dst_port":"#)?.try_into().ok()?;
    let syn = rest.field(br#","syn":"#)?;
    let ack = rest.field(br#","ack":"#)?;
    let handshakes = rest.field(br#","handshakes":"#)?;
    let fin = rest.field(br#","fin":"#)?;
    let rst = rest.field(br#","rst":"#)?;
    let packets = rest.field(br#","packets":"#)?;
    let bytes = rest.field(br#","bytes":"#)?;
    let proven = rest.proven();
    let born_boot_ns = rest.field(br#","born_boot_ns":"#)?;
    let last_boot_ns = rest.field(br#","last_boot_ns":"#)?;
    (rest.0 == b"}").then_some(Source {
        seq,
        src,
        dst_port,
        syn,
        ack,
        handshakes,
        fin,
        rst,
        packets,
        bytes,
        proven,
        born_boot_ns,
        last_boot_ns,
    })
}

/// What is left of a line.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn literal<const LEN: usize>(&mut self, text: &[u8; LEN]) -> Option<()> {
        let (head, tail) = self.0.split_first_chunk::<LEN>()?;
        self.0 = tail;
        (head == text).then_some(())
    }

    fn field<const LEN: usize>(&mut self, name: &[u8; LEN]) -> Option<u64> {
        self.literal(name)?;
        self.number()
    }

    fn proven(&mut self) -> Option<bool> {
        let (value, tail) = match self.0.strip_prefix(br#","proven":true"#) {
            Some(tail) => (true, tail),
            None => (false, self.0.strip_prefix(br#","proven":false"#)?),
        };
        self.0 = tail;
        Some(value)
    }

    /// Digits without a leading zero, at most `u64::MAX`.
    fn number(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        let mut len = 0;
        while let Some(digit) = self.0.get(len).and_then(|&byte| digit(byte)) {
            value = match len < SAFE_DIGITS {
                true => value * 10 + digit,
                false => value.checked_mul(10)?.checked_add(digit)?,
            };
            len += 1;
        }
        let is_spelled_so = len == 1 || (len > 1 && self.0[0] != b'0');
        self.0 = &self.0[len..];
        is_spelled_so.then_some(value)
    }

    fn address(&mut self) -> Option<SourceAddr> {
        let is_v4 = self.0.iter().take(4).any(|&byte| byte == b'.');
        if is_v4 { self.v4() } else { self.v6() }
    }

    fn v4(&mut self) -> Option<SourceAddr> {
        let mut octets = [0; 4];
        for (at, octet) in octets.iter_mut().enumerate() {
            if at > 0 {
                self.literal(b".")?;
            }
            *octet = u8::try_from(self.number()?).ok()?;
        }
        Some(std::net::IpAddr::from(octets).into())
    }

    /// As RFC 5952 has it: lower case, no leading zeros, the first longest run of zero groups
    /// as `::`. A mapped IPv4 address is written as IPv4, so it has no such spelling.
    fn v6(&mut self) -> Option<SourceAddr> {
        let (mut groups, mut count, mut gap) = ([0_u16; GROUPS], 0, None);
        if self.literal_if(b"::") {
            gap = Some(0);
        }
        while self.is_at_group() {
            *groups.get_mut(count)? = self.group()?;
            count += 1;
            if self.literal_if(b"::") {
                if gap.replace(count).is_some() {
                    return None;
                }
            } else if !self.literal_if(b":") {
                break;
            } else if !self.is_at_group() {
                return None;
            }
        }
        let missing = GROUPS - count;
        if let Some(at) = gap {
            groups.copy_within(at..count, at + missing);
            groups[at..at + missing].fill(0);
        }
        let written = gap.map(|at| (at, missing));
        let is_mapped = groups[..5] == [0; 5] && groups[5] == u16::MAX;
        if is_mapped || written != longest_zeros(&groups) || (gap.is_none() && missing > 0) {
            return None;
        }
        Some(std::net::IpAddr::from(groups).into())
    }

    fn literal_if<const LEN: usize>(&mut self, text: &[u8; LEN]) -> bool {
        let tail = self.0.strip_prefix(text);
        self.0 = tail.unwrap_or(self.0);
        tail.is_some()
    }

    fn is_at_group(&self) -> bool {
        self.0.first().is_some_and(|&byte| nibble(byte).is_some())
    }

    /// One to four hexadecimal digits without a leading zero.
    fn group(&mut self) -> Option<u16> {
        let mut value = 0;
        let mut len = 0;
        while let Some(digit) = self.0.get(len).and_then(|&byte| nibble(byte)) {
            value = value << 4 | digit;
            len += 1;
            if len == 4 {
                break;
            }
        }
        let is_spelled_so = len == 1 || (len > 1 && self.0[0] != b'0');
        self.0 = &self.0[len..];
        is_spelled_so.then_some(value)
    }
}

const fn digit(byte: u8) -> Option<u64> {
    let digit = byte.wrapping_sub(b'0');
    if digit < 10 { Some(digit as u64) } else { None }
}

const fn nibble(byte: u8) -> Option<u16> {
    match byte {
        b'0'..=b'9' => Some((byte - b'0') as u16),
        b'a'..=b'f' => Some((byte - b'a' + 10) as u16),
        _ => None,
    }
}

/// Start and length of the first longest run of two zero groups or more.
fn longest_zeros(groups: &[u16; GROUPS]) -> Option<(usize, usize)> {
    let (mut longest, mut run) = ((0, 0), (0, 0));
    for (at, &group) in groups.iter().enumerate() {
        run = match (group, run.1) {
            (0, 0) => (at, 1),
            (0, len) => (run.0, len + 1),
            _ => (0, 0),
        };
        if run.1 > longest.1 {
            longest = run;
        }
    }
    (longest.1 > 1).then_some(longest)
}

#[cfg(test)]
#[path = "source_read_tests.rs"]
mod tests;
