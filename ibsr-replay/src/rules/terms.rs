// SPDX-License-Identifier: MIT OR Apache-2.0
//! What stands inside the strings of a rule: comparisons, guards, prefixes.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::Range;

use ipnet::IpNet;

use crate::rules::ast::{
    Guard, MAX_EXCEPTED_PORTS, MAX_PREFIXES, MAX_SECONDS, MAX_SHARED, Metric, Op,
};
use crate::rules::fault::{Fault, Located};
use crate::rules::tree::{Quoted, clip};

/// Kinds of guards.
pub(super) const GUARDS: usize = 4;

/// A comparison as it is written.
#[derive(Debug, Clone)]
pub(super) struct Term<'t> {
    pub metric: Metric,
    pub op: Op,
    /// With its place in the string; may be left out where a grid has it.
    pub value: Option<(u64, Range<usize>)>,
    pub quoted: Quoted<'t>,
}

impl<'t> Term<'t> {
    /// Reads `metric op value`.
    pub fn read(quoted: Quoted<'t>) -> Result<Self, Located> {
        let mut scan = quoted.scan();
        let (word, range) = scan.word(|c| !c.is_whitespace() && !is_comparison(c));
        let metric = Metric::from_word(word)
            .ok_or_else(|| quoted.fault(range, Fault::Metric(clip(word))))?;
        let (word, range) = scan.word(is_comparison);
        let op = Op::from_word(word)
            .ok_or_else(|| quoted.fault(range, Fault::Comparison(clip(word))))?;
        let (word, range) = scan.word(|c| !c.is_whitespace());
        let (rest, trailing) = scan.rest();
        if !rest.is_empty() {
            return Err(quoted.fault(trailing, Fault::Trailing(clip(rest))));
        }
        let value = match word {
            "" => None,
            word => {
                let number = number(word, metric.as_str(), op.least(), metric.most());
                let value = number.map_err(|fault| quoted.fault(range.clone(), fault))?;
                Some((value, range))
            }
        };
        Ok(Self { metric, op, value, quoted })
    }
}

const fn is_comparison(c: char) -> bool {
    matches!(c, '<' | '>' | '=' | '!' | '~')
}

/// Digits, with `_` between them as in TOML.
fn number(word: &str, what: &'static str, least: u64, most: u64) -> Result<u64, Fault> {
    let mut groups = word.split('_');
    if !groups.all(|group| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(Fault::Number(clip(word)));
    }
    let number = word.replace('_', "").parse::<u64>().ok();
    number.filter(|n| (least..=most).contains(n)).ok_or(Fault::Range { what, least, most })
}

/// Reads `name` or `name(argument, ...)`.
pub(super) fn guard(quoted: &Quoted<'_>) -> Result<Guard, Located> {
    let mut scan = quoted.scan();
    let (name, range) = scan.word(|c| c.is_ascii_alphanumeric() || c == '_');
    let arguments = Arguments::read(quoted, scan.rest())?;
    match name {
        "allow" => arguments.allow().map(Guard::Allow),
        "established" => {
            let within_s = arguments.one("established", "established(3600)", 1, MAX_SECONDS)?;
            Ok(Guard::Established { within_s })
        }
        "shared" => {
            let at_least = arguments.one("shared", "shared(4)", 2, MAX_SHARED)?;
            Ok(Guard::Shared { at_least })
        }
        "port" => arguments.ports().map(Guard::Port),
        _ if name.is_empty() => Err(quoted.whole(Fault::Guard(clip(quoted.text)))),
        _ => Err(quoted.fault(range, Fault::Guard(clip(name)))),
    }
}

/// What stands in parentheses, with its places in the string.
struct Arguments<'q, 't> {
    quoted: &'q Quoted<'t>,
    words: Option<Vec<(&'t str, Range<usize>)>>,
}

impl<'q, 't> Arguments<'q, 't> {
    fn read(
        quoted: &'q Quoted<'t>,
        (rest, range): (&'t str, Range<usize>),
    ) -> Result<Self, Located> {
        if rest.is_empty() {
            return Ok(Self { quoted, words: None });
        }
        let Some(inside) = rest.strip_prefix('(') else {
            return Err(quoted.fault(range, Fault::Trailing(clip(rest))));
        };
        let Some(inside) = inside.strip_suffix(')') else {
            let end = range.end..range.end;
            return Err(match inside.split_once(')') {
                Some((_, behind)) => {
                    let behind = behind.trim_start();
                    let behind_range = range.end - behind.len()..range.end;
                    quoted.fault(behind_range, Fault::Trailing(clip(behind)))
                }
                None => quoted.fault(end, Fault::Parenthesis("(")),
            });
        };
        if inside.trim().is_empty() {
            return Ok(Self { quoted, words: Some(Vec::new()) });
        }
        let mut words = Vec::new();
        let mut at = range.start + 1;
        for piece in inside.split(',') {
            let word = piece.trim();
            let start = at + piece.len() - piece.trim_start().len();
            words.push((word, start..start + word.len()));
            at += piece.len() + 1;
        }
        Ok(Self { quoted, words: Some(words) })
    }

    fn wrong(&self, guard: &'static str, expected: &'static str, example: &'static str) -> Located {
        self.quoted.whole(Fault::Arguments { guard, expected, example })
    }

    /// The number of a guard with one.
    fn one(
        &self,
        guard: &'static str,
        example: &'static str,
        least: u32,
        most: u32,
    ) -> Result<u32, Located> {
        let Some([(word, range)]) = self.words.as_deref() else {
            return Err(self.wrong(guard, "one number in parentheses", example));
        };
        let number = number(word, guard, u64::from(least), u64::from(most));
        let number = number.map_err(|fault| self.quoted.fault(range.clone(), fault))?;
        Ok(u32::try_from(number).expect("at most a `u32`"))
    }

    fn allow(&self) -> Result<Vec<IpNet>, Located> {
        match self.words.as_deref() {
            None => Ok(Vec::new()),
            Some([]) => Err(self.wrong("allow", "prefixes or no parentheses", "allow")),
            Some(words) => self.set(words, MAX_PREFIXES, "allow", prefix),
        }
    }

    fn ports(&self) -> Result<Vec<u16>, Located> {
        let Some(words) = self.words.as_deref().filter(|words| !words.is_empty()) else {
            return Err(self.wrong("port", "ports in parentheses", "port(22, 443)"));
        };
        self.set(words, MAX_EXCEPTED_PORTS, "port", |word| {
            let port = number(word, "port", 1, u64::from(u16::MAX))?;
            Ok(u16::try_from(port).expect("at most a `u16`"))
        })
    }

    /// Sorted; one argument at least, and none twice.
    fn set<T: Ord>(
        &self,
        words: &[(&'t str, Range<usize>)],
        most: usize,
        key: &'static str,
        read: impl Fn(&str) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Located> {
        if let Some((_, beyond)) = words.get(most) {
            return Err(self.quoted.fault(beyond.clone(), Fault::TooMany { key, most }));
        }
        let mut set = BTreeSet::new();
        for (word, range) in words {
            let value = read(word).map_err(|fault| self.quoted.fault(range.clone(), fault))?;
            if !set.insert(value) {
                return Err(self.quoted.fault(range.clone(), Fault::Same(clip(word))));
            }
        }
        Ok(set.into_iter().collect())
    }
}

/// Reads a prefix in the one form in which it can be compared with sources: IPv4 as IPv4,
/// and no bits behind the prefix.
pub(super) fn prefix(word: &str) -> Result<IpNet, Fault> {
    let form = |reason, meant: String| Fault::PrefixForm { written: clip(word), reason, meant };
    let Ok(prefix) = word.parse::<IpNet>() else {
        return Err(match word.parse::<IpAddr>() {
            Ok(address) => {
                form("it has no length", IpNet::from(address.to_canonical()).to_string())
            }
            Err(_) => Fault::Prefix(clip(word)),
        });
    };
    if let IpNet::V6(v6) = prefix
        && let Some(v4) = v6.addr().to_ipv4_mapped()
        && v6.prefix_len() >= MAPPED_BITS
    {
        let v4 = IpNet::new(v4.into(), v6.prefix_len() - MAPPED_BITS);
        let meant = v4.expect("96 to 128 bits less 96").trunc().to_string();
        return Err(form("sources of IPv4 are compared as IPv4", meant));
    }
    if prefix != prefix.trunc() {
        return Err(form("it has bits behind its length", prefix.trunc().to_string()));
    }
    Ok(prefix)
}

/// Bits of `::ffff:0:0` in front of an IPv4 address (RFC 4291, 2.5.5.2).
const MAPPED_BITS: u8 = 96;
