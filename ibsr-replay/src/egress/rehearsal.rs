// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a guard said of the same flows: its records, of one policy, beside what was predicted.
//!
//! A guard records at several hooks, and of a flow without a peer each packet. So flows are
//! compared and not records: by socket and other end where the flow goes out; by other end and
//! local port where it comes in, because there the socket that is recorded is the listener's. Only
//! flows that began while the guard judged by this policy are compared. What is recorded about no
//! flow is counted apart: what was never established, or really denied, is none.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ibsr_proto::addr::SourceAddr;
use ibsr_proto::guard_abi::{Direction, STRICT_RULE};
use ibsr_proto::guard_control::Hook;
use ibsr_proto::snapshot::guard::{Header, PolicyInUse, Sweep, Verdict};

use super::below::is_below;
use super::model::Rehearsal;
use super::twin::{Ask, Fate};
use crate::fold::window::Stretch;
use crate::talk::cover::unite;

/// Things that are recorded and held: some 100 bytes each.
pub const MAX_SAID: usize = 1 << 22;
/// A handshake may begin so long before its flow: what began earlier than that after a policy was
/// put into use is not compared.
const EDGE_NS: u64 = 1_000_000_000;

/// More records than are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the guard recorded verdicts about more than {MAX_SAID} flows\nhint: name fewer segments")]
pub struct TooManyRecords;

/// What a rehearsal has to be of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Host label.
    pub host: String,
    /// Cgroup whose processes are judged, below the mount point.
    pub cgroup: String,
    /// SHA-256 of the canonical text of the policy.
    pub policy_sha256: String,
    /// SHA-256 of what the machine calls those whom it names.
    pub identities_sha256: String,
}

impl Wanted {
    fn is(&self, policy: &PolicyInUse) -> bool {
        policy.policy_sha256 == self.policy_sha256
            && policy.identities_sha256 == self.identities_sha256
            && policy.cgroup_path.as_deref().is_some_and(|path| is_below(&self.cgroup, path))
    }
}

/// One guard that was attached, by boot and ring.
type GuardId = (String, String);

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum About {
    Out { socket: u64, addr: SourceAddr, protocol: u16, port: u16 },
    In { addr: SourceAddr, protocol: u16, port: u16 },
}

/// All that was said about it by one generation.
#[derive(Debug, Clone, Default)]
struct Said {
    records: u64,
    rules: BTreeSet<Option<u32>>,
    is_denied: bool,
}

/// One sweep's end, for what the ring lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct End {
    at_boot_ns: u64,
    /// For which the ring had no room, until then.
    lost: u64,
    /// That could not be read, in this sweep.
    unread: u64,
    is_wanted: bool,
}

/// Folds the segments of guards, in any order.
#[derive(Debug)]
pub struct RehearsalFold {
    wanted: Wanted,
    now: GuardId,
    is_host: bool,
    said: HashMap<(GuardId, u64), HashMap<About, Said>>,
    known: BTreeSet<(GuardId, u64)>,
    cover: BTreeMap<String, Vec<Stretch>>,
    ends: BTreeMap<GuardId, BTreeSet<End>>,
    objects: BTreeSet<String>,
    held: usize,
    rejected: u64,
    apart: u64,
    records: u64,
}

impl RehearsalFold {
    /// Of one policy.
    #[must_use]
    pub fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            now: GuardId::default(),
            is_host: false,
            said: HashMap::new(),
            known: BTreeSet::new(),
            cover: BTreeMap::new(),
            ends: BTreeMap::new(),
            objects: BTreeSet::new(),
            held: 0,
            rejected: 0,
            apart: 0,
            records: 0,
        }
    }

    /// Begins a segment.
    pub fn begin(&mut self, header: &Header) {
        self.now = (header.boot_id.clone(), header.epoch.clone());
        self.is_host = header.host == self.wanted.host;
    }

    /// Takes a record.
    ///
    /// # Errors
    /// [`TooManyRecords`].
    pub fn verdict(&mut self, row: &Verdict<'_>) -> Result<(), TooManyRecords> {
        if !self.is_host {
            return Ok(());
        }
        self.records += 1;
        let Some(about) = about(row) else {
            self.apart += 1;
            return Ok(());
        };
        let of = self.said.entry((self.now.clone(), row.generation)).or_default();
        let before = of.len();
        let said = of.entry(about).or_default();
        said.records += 1;
        said.rules.insert(row.rule);
        said.is_denied |= row.is_denied;
        self.held += of.len() - before;
        if self.held > MAX_SAID { Err(TooManyRecords) } else { Ok(()) }
    }

    /// Takes what a sweep says of itself.
    pub fn sweep(&mut self, sweep: &Sweep) {
        if !self.is_host {
            return;
        }
        let policy = sweep.policy.as_ref().filter(|policy| self.wanted.is(policy));
        let end = End {
            at_boot_ns: sweep.at_boot_ns,
            lost: sweep.records_lost,
            unread: sweep.unread,
            is_wanted: policy.is_some(),
        };
        self.ends.entry(self.now.clone()).or_default().insert(end);
        let Some(policy) = policy else { return };
        self.known.insert((self.now.clone(), sweep.generation));
        self.objects.insert(policy.object_sha256.clone());
        let from_ns = sweep.since_boot_ns.max(policy.since_boot_ns);
        if from_ns < sweep.at_boot_ns {
            let seen = Stretch { from_ns, to_ns: sweep.at_boot_ns };
            self.cover.entry(self.now.0.clone()).or_default().push(seen);
        }
    }

    /// Counts a row that cannot be read.
    pub fn reject(&mut self) {
        self.rejected += u64::from(self.is_host);
    }

    /// What is known; none when no guard judged by this policy.
    #[must_use]
    pub fn finish(self) -> Option<Rehearsed> {
        let mut rehearsed = Rehearsed {
            apart: self.apart,
            objects: self.objects,
            lost: self.ends.values().map(lost).sum::<u64>() + self.rejected,
            ..Rehearsed::default()
        };
        for (id, said) in self.said {
            if !self.known.contains(&id) {
                rehearsed.other += said.values().map(|said| said.records).sum::<u64>();
                continue;
            }
            let boot = rehearsed.boots.entry(id.0.0).or_default();
            for (about, more) in said {
                let own = boot.said.entry(about).or_default();
                own.records += more.records;
                own.rules.extend(more.rules);
                own.is_denied |= more.is_denied;
            }
        }
        rehearsed.records = self.records;
        for (boot, cover) in self.cover {
            rehearsed.boots.entry(boot).or_default().cover = unite(cover);
        }
        (!self.known.is_empty()).then_some(rehearsed)
    }
}

/// What a record is about; none where that is no flow: a bind, a question, DNS in disguise.
fn about(row: &Verdict<'_>) -> Option<About> {
    let is_apart = [Hook::Bind, Hook::Query].iter().any(|hook| row.hook.0 == *hook as u8);
    if is_apart || row.rule == Some(STRICT_RULE) {
        return None;
    }
    let (addr, protocol, port) = (row.addr, row.protocol.0, row.port);
    match row.direction.0 {
        way if way == Direction::Out as u8 => {
            Some(About::Out { socket: row.socket, addr, protocol, port })
        }
        way if way == Direction::In as u8 => Some(About::In { addr, protocol, port }),
        _ => None,
    }
}

/// What a ring lost while the policy was in use.
fn lost(ends: &BTreeSet<End>) -> u64 {
    let mut before = 0;
    let lost = ends.iter().map(|end| {
        let more = end.lost.saturating_sub(before).saturating_add(end.unread);
        before = before.max(end.lost);
        if end.is_wanted { more } else { 0 }
    });
    lost.sum()
}

/// What guards said that judged by one policy.
#[derive(Debug, Clone, Default)]
pub struct Rehearsed {
    boots: HashMap<String, Boot>,
    objects: BTreeSet<String>,
    records: u64,
    lost: u64,
    other: u64,
    apart: u64,
}

#[derive(Debug, Clone, Default)]
struct Boot {
    cover: Vec<Stretch>,
    said: HashMap<About, Said>,
}

/// One flow, for what was said of it.
#[derive(Debug, Clone, Copy)]
pub struct FlowId<'a> {
    /// Boot that it is of.
    pub boot_id: &'a str,
    /// Cookie of its socket.
    pub socket: u64,
    /// The other end.
    pub addr: SourceAddr,
    /// As IANA numbers it.
    pub protocol: u16,
    /// When it began, on the boot clock.
    pub born_boot_ns: u64,
    /// What the guard is asked about it.
    pub asks: &'a [Ask],
}

/// Flows that were compared. Adding is commutative.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    flows: u64,
    recorded: u64,
    predicted: u64,
    only_predicted: u64,
    only_recorded: u64,
    other_rule: u64,
    found: BTreeSet<(String, About)>,
}

impl Compared {
    /// Compares one flow with its prediction; one without is left out, as it is counted elsewhere.
    pub fn flow(&mut self, rehearsed: &Rehearsed, flow: FlowId<'_>, fate: Fate) {
        let Some(boot) = rehearsed.boots.get(flow.boot_id) else { return };
        let mut rules: BTreeSet<Option<u32>> = BTreeSet::new();
        for about in flow.asks.iter().map(|ask| flow.about(*ask)) {
            if let Some(said) = boot.said.get(&about) {
                rules.extend(&said.rules);
                self.found.insert((flow.boot_id.to_owned(), about));
            }
        }
        let is_covered = |over: &Stretch| {
            (over.from_ns.saturating_add(EDGE_NS)..=over.to_ns).contains(&flow.born_boot_ns)
        };
        if matches!(fate, Fate::Unjudged(_)) || !boot.cover.iter().any(is_covered) {
            return;
        }
        self.flows += 1;
        self.recorded += u64::from(!rules.is_empty());
        match fate {
            Fate::Denied(rule) => {
                self.predicted += 1;
                self.only_predicted += u64::from(rules.is_empty());
                self.other_rule += u64::from(!rules.is_empty() && !rules.contains(&rule));
            }
            _ => self.only_recorded += u64::from(!rules.is_empty()),
        }
    }

    /// Adds another.
    pub fn join(&mut self, other: Self) {
        self.flows += other.flows;
        self.recorded += other.recorded;
        self.predicted += other.predicted;
        self.only_predicted += other.only_predicted;
        self.only_recorded += other.only_recorded;
        self.other_rule += other.other_rule;
        self.found.extend(other.found);
    }
}

impl FlowId<'_> {
    fn about(&self, ask: Ask) -> About {
        let Self { socket, addr, protocol, .. } = *self;
        match ask.direction {
            Direction::In => About::In { addr, protocol, port: ask.port },
            _ => About::Out { socket, addr, protocol, port: ask.port },
        }
    }
}

impl Rehearsed {
    /// With what was `compared`, for the report.
    #[must_use]
    pub fn told(&self, compared: &Compared) -> Rehearsal {
        let said = || self.boots.values().flat_map(|boot| boot.said.values());
        let cover = self.boots.values().flat_map(|boot| &boot.cover);
        let about = said().count() as u64;
        Rehearsal {
            object_sha256: self.objects.iter().cloned().collect(),
            covered_ms: cover.map(|over| over.len_ns()).sum::<u64>() / 1_000_000,
            records: self.records,
            records_lost: self.lost,
            records_other: self.other,
            records_apart: self.apart,
            flows: compared.flows,
            recorded: compared.recorded,
            predicted: compared.predicted,
            only_predicted: compared.only_predicted,
            only_recorded: compared.only_recorded,
            other_rule: compared.other_rule,
            without_flow: about.saturating_sub(compared.found.len() as u64),
            denied: said().filter(|said| said.is_denied).count() as u64,
        }
    }
}

#[cfg(test)]
#[path = "rehearsal_tests.rs"]
mod tests;
