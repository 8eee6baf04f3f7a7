// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who would have been hurt. The unit is an executable and a destination: a name, or a cluster of
//! addresses where none is known. Ports, users and containers of one executable are no
//! independent witnesses.
//!
//! A destination is in use, and so counts as legitimate, when a handshake with it was completed,
//! of UDP when datagrams went both ways. What a measurement of behaviour names counts as
//! legitimate too, and so does what has no verdict count as lost: each in the worst way.

use std::collections::{BTreeMap, BTreeSet};

use ibsr_proto::cgroup_abi::Direction as Way;
use ibsr_proto::cgroup_behaviour_abi::flag;
use ipnet::IpNet;

use super::facts::{Counted, Facts, Pair};
use super::twin::Fate;
use crate::judge::cluster::cluster;
use crate::talk::facts::App;
use crate::talk::findings::{Aim, Destination, FindingKey, Findings};

/// Whose: a host and an executable, or where it ran when nobody knows what it was.
pub(super) type Who = (String, Option<(u32, u64)>, String);

/// The other end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum To {
    Name(Box<str>),
    Cluster(IpNet),
}

/// A destination of an executable.
#[derive(Debug, Clone, Default)]
pub(super) struct Unit {
    /// Flows that completed.
    pub(super) completed: u64,
    /// Of these, denied or without a verdict.
    pub(super) lost: u64,
    /// Denied by rules that are meant.
    pub(super) intended: u64,
    /// Whether every pair of it has a measurement against it.
    pub(super) is_flagged: bool,
    /// Rules that take it.
    pub(super) rules: BTreeSet<Option<u32>>,
    /// Completed and lost by day.
    pub(super) days: BTreeMap<u32, (u64, u64)>,
}

/// What counts.
#[derive(Debug, Default)]
pub(super) struct Units {
    /// Where executables went.
    pub(super) out: BTreeMap<(Who, To), Unit>,
    /// Who came to them.
    pub(super) come: BTreeMap<(Who, To), Unit>,
    /// Completed handshakes of what went out, and the lost ones.
    pub(super) connections: (u64, u64),
}

/// Which measurements name a pair.
pub(super) struct Flags<'a>(BTreeMap<(&'a str, u32, u64, Destination), BTreeSet<u32>>);

impl<'a> Flags<'a> {
    pub(super) fn of(findings: &'a Findings) -> Self {
        let mut all: BTreeMap<_, BTreeSet<u32>> = BTreeMap::new();
        for (_, key) in findings.kept.keys() {
            let FindingKey { host, exe_device, exe_inode, flag, to } = key;
            if let Some(Aim::Destination(to)) = to {
                let key = (host.as_str(), *exe_device, *exe_inode, *to);
                all.entry(key).or_default().insert(*flag);
            }
        }
        Self(all)
    }

    /// Words, in the order of the bits.
    pub(super) fn words(&self, pair: &Pair) -> Vec<String> {
        let Some(program) = &pair.app.program else { return Vec::new() };
        let to = Destination { protocol: pair.protocol, port: pair.port, addr: pair.addr };
        let key = (pair.app.host.as_str(), program.exe_device, program.exe_inode, to);
        let is_out = pair.direction != Way::Incoming as u8;
        let found = self.0.get(&key).filter(|_| is_out).into_iter().flatten();
        let word = |bit: &u32| {
            let known = flag::ALL.iter().find(|(of, _)| of == bit);
            known.map_or_else(|| bit.to_string(), |(_, word)| (*word).to_owned())
        };
        found.map(word).collect()
    }
}

/// Adds up. `is_intended` says which rules are meant.
pub(super) fn units(
    facts: &Facts,
    flags: &Flags<'_>,
    is_intended: impl Fn(Option<u32>) -> bool,
) -> Units {
    let mut units = Units::default();
    for (pair, counted) in &facts.pairs {
        // What no rule can reach proves nothing about the rules.
        if counted.completed == 0 || pair.fate == Fate::Exempt {
            continue;
        }
        let (is_lost, is_meant) = match pair.fate {
            Fate::Denied(rule) => (!is_intended(rule), is_intended(rule)),
            Fate::Unjudged(_) => (true, false),
            Fate::Exempt | Fate::Allowed(_) => (false, false),
        };
        let is_incoming = pair.direction == Way::Incoming as u8;
        if !is_incoming {
            units.connections.0 += counted.completed;
            units.connections.1 += if is_lost { counted.completed } else { 0 };
        }
        let all = if is_incoming { &mut units.come } else { &mut units.out };
        let is_flagged = !flags.words(pair).is_empty();
        let unit = all
            .entry((who(&pair.app), to(pair)))
            .or_insert_with(|| Unit { is_flagged: true, ..Unit::default() });
        unit.add(pair, counted, (is_lost, is_meant, is_flagged));
    }
    units
}

impl Unit {
    fn add(
        &mut self,
        pair: &Pair,
        counted: &Counted,
        (is_lost, is_meant, is_flagged): (bool, bool, bool),
    ) {
        let completed = counted.completed;
        self.completed += completed;
        self.is_flagged &= is_flagged;
        self.lost += if is_lost { completed } else { 0 };
        self.intended += if is_meant { completed } else { 0 };
        if let Fate::Denied(rule) = pair.fate {
            self.rules.insert(rule);
        }
        for (day, (_, completed)) in &counted.days {
            let own = self.days.entry(*day).or_default();
            own.0 += completed;
            own.1 += if is_lost { *completed } else { 0 };
        }
    }

    /// Whether what is not meant takes some of it.
    pub(super) const fn is_lost(&self) -> bool {
        self.lost > 0
    }
}

fn who(app: &App) -> Who {
    match &app.program {
        Some(program) => {
            (app.host.clone(), Some((program.exe_device, program.exe_inode)), String::new())
        }
        None => (app.host.clone(), None, app.place.clone()),
    }
}

fn to(pair: &Pair) -> To {
    match &pair.name {
        Some(name) if pair.direction != Way::Incoming as u8 => To::Name(name.clone()),
        _ => To::Cluster(cluster(pair.addr)),
    }
}
