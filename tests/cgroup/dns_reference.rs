// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the sensor should make of a DNS message, written from RFC 1035 and the sensor's own
//! limits: slow, with names as lists of labels, and nothing in common with the kernel's side but
//! the limits.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ibsr_proto::cgroup_dns_abi::{
    DNS_MESSAGE_MAX, DNS_RECORDS, DNS_STEPS, NAME_TTL_MAX_S, NAME_TTL_MIN_S,
};
use ibsr_tests::dns::{A, AAAA, CNAME, IN};

/// Labels in lower case.
pub type Name = Vec<Vec<u8>>;

/// Question of a message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    pub id: u16,
    pub name: Name,
    pub kind: u16,
    pub class: u16,
}

/// What becomes of a message that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Malformed,
    TooLong,
    /// Not what was expected here: a question among answers, or the reverse, or no query.
    Other,
    /// Not one question.
    Count,
    /// A question.
    Asks(Question),
    /// An answer.
    Says(Question, Said),
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    Truncated,
    Error(u16),
    Malformed,
    TooDeep,
    Addresses(Found),
}

/// What an answer without error has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Each with the seconds that it lives.
    pub addresses: Vec<(IpAddr, u32)>,
    pub cnames: u64,
    pub foreign: u64,
    pub unread: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Stop {
    Malformed,
    TooDeep,
}

/// The name of a record.
#[derive(Debug, PartialEq, Eq)]
enum Owner {
    /// By a pointer to where it stands.
    Pointed,
    Spelled(Name),
}

struct Walk<'a> {
    message: &'a [u8],
    steps: usize,
}

impl Walk<'_> {
    fn step(&mut self) -> Result<(), Stop> {
        if self.steps == DNS_STEPS {
            return Err(Stop::TooDeep);
        }
        self.steps += 1;
        Ok(())
    }

    fn byte(&self, at: usize) -> Result<u8, Stop> {
        self.message.get(at).copied().ok_or(Stop::Malformed)
    }

    fn two(&self, at: usize) -> Result<u16, Stop> {
        Ok(u16::from_be_bytes([self.byte(at)?, self.byte(at + 1)?]))
    }

    /// The name at `at`, and what follows it.
    fn name(&mut self, at: usize, known_at: Option<usize>) -> Result<(Owner, usize), Stop> {
        let (mut labels, mut bytes, mut here, mut below, mut end) = (Name::new(), 1, at, at, None);
        loop {
            self.step()?;
            match self.byte(here)? {
                0 => return Ok((Owner::Spelled(labels), end.unwrap_or(here + 1))),
                len @ 1..=63 => {
                    let next = here + 1 + usize::from(len);
                    let label = self.message.get(here + 1..next).ok_or(Stop::Malformed)?;
                    bytes += 1 + label.len();
                    if bytes > 255 {
                        return Err(Stop::Malformed);
                    }
                    labels.push(label.to_ascii_lowercase());
                    here = next;
                }
                0xc0..=0xff => {
                    let to = usize::from(self.two(here)? & 0x3fff);
                    if to < 12 || to >= below {
                        return Err(Stop::Malformed);
                    }
                    let end = *end.get_or_insert(here + 2);
                    if labels.is_empty() && known_at == Some(to) {
                        return Ok((Owner::Pointed, end));
                    }
                    (here, below) = (to, to);
                }
                _ => return Err(Stop::Malformed),
            }
        }
    }

    fn answers(&mut self, at: usize, question: &Question, count: usize) -> Result<Found, Stop> {
        let mut found =
            Found { unread: count.saturating_sub(DNS_RECORDS) as u64, ..Found::default() };
        let (mut at, mut wanted, mut wanted_at) = (at, question.name.clone(), 12);
        let mut chain_ttl_s = NAME_TTL_MAX_S;
        for _ in 0..count.min(DNS_RECORDS) {
            let (owner, header) = self.name(at, Some(wanted_at))?;
            self.step()?;
            let (kind, class) = (self.two(header)?, self.two(header + 2)?);
            let ttl_s = u32::from(self.two(header + 4)?) << 16 | u32::from(self.two(header + 6)?);
            let ttl_s = if ttl_s >= 1 << 31 { 0 } else { ttl_s };
            let data_at = header + 10;
            let end = data_at + usize::from(self.two(header + 8)?);
            let data = self.message.get(data_at..end).ok_or(Stop::Malformed)?;
            at = end;
            let is_wanted = owner == Owner::Pointed || owner == Owner::Spelled(wanted.clone());
            let is_asked = kind == question.kind || question.kind == 255;
            match kind {
                _ if !is_wanted || class != IN => found.foreign += 1,
                CNAME => {
                    let (Owner::Spelled(target), behind) = self.name(data_at, None)? else {
                        unreachable!("no position was given");
                    };
                    if behind != end {
                        return Err(Stop::Malformed);
                    }
                    chain_ttl_s = chain_ttl_s.min(ttl_s);
                    (wanted, wanted_at) = (target, data_at);
                    found.cnames += 1;
                }
                A if is_asked => {
                    let ip: [u8; 4] = data.try_into().map_err(|_length| Stop::Malformed)?;
                    found.addresses.push((Ipv4Addr::from(ip).into(), ttl_s));
                }
                AAAA if is_asked => {
                    let ip: [u8; 16] = data.try_into().map_err(|_length| Stop::Malformed)?;
                    found.addresses.push((Ipv6Addr::from(ip).into(), ttl_s));
                }
                _ => found.foreign += 1,
            }
        }
        for (_, ttl_s) in &mut found.addresses {
            *ttl_s = (*ttl_s).min(chain_ttl_s).max(NAME_TTL_MIN_S);
        }
        Ok(found)
    }
}

/// Reads a datagram of a question, or of an answer.
pub fn read(message: &[u8], is_answer: bool) -> Verdict {
    if message.len() > DNS_MESSAGE_MAX {
        return Verdict::TooLong;
    }
    let Some(header) = message.first_chunk::<12>() else { return Verdict::Malformed };
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let flags = word(2);
    if (flags >> 15 == 1) != is_answer || flags >> 11 & 0xf != 0 {
        return Verdict::Other;
    }
    if word(4) != 1 {
        return Verdict::Count;
    }
    let Some((question, at)) = read_question(message, word(0)) else { return Verdict::Malformed };
    if !is_answer {
        return Verdict::Asks(question);
    }
    let said = match flags & 0xf {
        _ if flags & 0x200 != 0 => Said::Truncated,
        0 => {
            let mut walk = Walk { message, steps: 0 };
            match walk.answers(at, &question, word(6).into()) {
                Ok(found) => Said::Addresses(found),
                Err(Stop::Malformed) => Said::Malformed,
                Err(Stop::TooDeep) => Said::TooDeep,
            }
        }
        rcode => Said::Error(rcode),
    };
    Verdict::Says(question, said)
}

/// No pointers, and no limit but that of the name.
fn read_question(message: &[u8], id: u16) -> Option<(Question, usize)> {
    let (mut name, mut at) = (Name::new(), 12);
    loop {
        let len = usize::from(*message.get(at)?);
        let label = message.get(at + 1..at + 1 + len)?;
        at += 1 + len;
        match len {
            0 => break,
            1..=63 => name.push(label.to_ascii_lowercase()),
            _ => return None,
        }
    }
    if at - 12 > 255 {
        return None;
    }
    let kind = u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?);
    let class = u16::from_be_bytes(message.get(at + 2..at + 4)?.try_into().ok()?);
    Some((Question { id, name, kind, class }, at + 4))
}
