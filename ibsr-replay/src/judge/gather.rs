// SPDX-License-Identifier: MIT OR Apache-2.0
//! One pass over all sources, in the order of addresses. What it keeps is small: counts,
//! the busiest sources, and those that some rule at some threshold would have acted on.

use std::cmp::Reverse;

use ibsr_proto::addr::SourceAddr;
use ipnet::IpNet;

use super::cluster::cluster;
use super::cover::Cover;
use super::holdout::HoldOut;
use super::label::{Basis, COMPLETED_PERCENT, Label};
use crate::fold::compiled::Compiled;
use crate::fold::source_facts::{Booked, SourceFacts};
use crate::fold::vector::Vector;
use crate::model::{LabelBasis, MAX_ROWS, Population};

/// Cut-offs of the label that the report compares.
pub const CUTS_PERCENT: [u64; 3] = [30, COMPLETED_PERCENT, 70];
/// Definitions of legitimate: each cut-off without and with unknown sources.
const DEFINITIONS: usize = 2 * CUTS_PERCENT.len();

/// Order of sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// SYN without ACK.
    Syn,
    /// Frames.
    Packets,
    /// Frame bytes.
    Bytes,
    /// Completed handshakes.
    Handshakes,
}

/// A source with its label.
#[derive(Debug, Clone)]
pub struct Labelled {
    /// Which.
    pub addr: SourceAddr,
    /// What it probably is.
    pub label: Label,
    /// What is known of it.
    pub facts: SourceFacts,
}

/// What the sources come to.
#[derive(Debug)]
pub struct Gathered {
    /// Days that were observed, ascending.
    pub days: Vec<u32>,
    /// All together.
    pub population: Population,
    /// What their labels rest on.
    pub label_basis: LabelBasis,
    /// Packets without a rate.
    pub untimed_packets: u64,
    /// The busiest, in order.
    pub busiest: Vec<Labelled>,
    /// Those that some rule would have acted on, by address.
    pub acted: Vec<Labelled>,
    /// Clusters, by [`Gathered::table`].
    tables: [HoldOut; DEFINITIONS],
    /// Sources seen on each day.
    pub sources_on: Vec<u64>,
    /// Packets and bytes of protected sources.
    pub protected: (u64, u64),
    /// Handshakes that protected sources completed on held-out days.
    pub connections: u64,
    /// Abusive sources and their packets.
    pub abusive: (u64, u64),
    /// (sources, protected ones) of each cluster with a source acted on, sorted.
    pub clusters: Vec<(IpNet, u64, u64)>,
}

/// Gathers.
#[derive(Debug)]
pub struct Gatherer<'a> {
    rules: &'a Compiled,
    cover: Cover,
    by: By,
    keep: usize,
    all: Gathered,
    open: Option<Open>,
}

/// The cluster that is being read.
#[derive(Debug)]
struct Open {
    net: IpNet,
    sources: u64,
    protected: u64,
    is_acted: bool,
    definitions: [Definition; DEFINITIONS],
}

/// What one definition of legitimate makes of a cluster.
#[derive(Debug, Clone, Default)]
struct Definition {
    days: Vec<usize>,
    hurt: Vec<(usize, Vector)>,
}

impl<'a> Gatherer<'a> {
    /// Over `days`, ascending. At least `top` sources are listed.
    #[must_use]
    pub fn new(rules: &'a Compiled, days: Vec<u32>, cover: Cover, by: By, top: usize) -> Self {
        let count = days.len();
        let label_basis = LabelBasis {
            stream_days: cover.units,
            stream_days_covered: cover.covered,
            ..LabelBasis::default()
        };
        let all = Gathered {
            days,
            population: Population::default(),
            label_basis,
            untimed_packets: 0,
            busiest: Vec::new(),
            acted: Vec::new(),
            tables: std::array::from_fn(|_| HoldOut::new(count)),
            sources_on: vec![0; count],
            protected: (0, 0),
            connections: 0,
            abusive: (0, 0),
            clusters: Vec::new(),
        };
        Self { rules, cover, by, keep: top.max(MAX_ROWS), all, open: None }
    }

    /// Takes a source. They come in the order of their addresses, each once. One that no
    /// interface saw is none of the report's.
    pub fn add(&mut self, addr: SourceAddr, facts: SourceFacts) {
        if !facts.is_seen() {
            return;
        }
        let ip = addr.to_ip();
        let is_allowed = self.rules.set().allow.iter().any(|prefix| prefix.contains(&ip));
        let is_covered = self.cover.labels(&facts);
        let basis = if is_covered { Basis::Connections } else { Basis::Counters };
        let label_at = |percent| Label::of(&facts, basis, is_allowed, percent);
        let label = label_at(COMPLETED_PERCENT);
        if is_covered {
            self.all.label_basis.add(&facts);
        }
        self.count(label, &facts);
        self.add_to_cluster(addr, &facts, label, CUTS_PERCENT.map(label_at));
        let source = Labelled { addr, label, facts };
        if source.facts.acted.is_some() {
            self.all.acted.push(source.clone());
        }
        self.all.busiest.push(source);
        if self.all.busiest.len() >= self.keep.saturating_mul(2) {
            self.prune();
        }
    }

    fn count(&mut self, label: Label, facts: &SourceFacts) {
        let all = &mut self.all;
        let population = &mut all.population;
        population.count += 1;
        population.counts = population.counts.plus(facts.counts);
        *match label {
            Label::Legitimate => &mut population.legitimate,
            Label::Abusive => &mut population.abusive,
            Label::Spoofable => &mut population.spoofable,
            Label::Unknown => &mut population.unknown,
        } += 1;
        all.untimed_packets = all.untimed_packets.saturating_add(facts.untimed_packets);
        let held_out_from = all.days.get(1).copied().unwrap_or(u32::MAX);
        if label.is_protected() {
            all.protected.0 = all.protected.0.saturating_add(facts.counts.packets);
            all.protected.1 = all.protected.1.saturating_add(facts.counts.bytes);
            let held = facts.days.iter().filter(|(day, _)| *day >= held_out_from);
            let held = held.map(|(_, handshakes)| *handshakes);
            all.connections = held.fold(all.connections, u64::saturating_add);
        }
        if label == Label::Abusive {
            all.abusive.0 += 1;
            all.abusive.1 = all.abusive.1.saturating_add(facts.counts.packets);
        }
        for (day, _) in &facts.days {
            if let Ok(at) = all.days.binary_search(day) {
                all.sources_on[at] += 1;
            }
        }
    }

    fn add_to_cluster(
        &mut self,
        addr: SourceAddr,
        facts: &SourceFacts,
        label: Label,
        at_cuts: [Label; CUTS_PERCENT.len()],
    ) {
        let net = cluster(addr);
        if self.open.as_ref().is_none_or(|open| open.net != net) {
            self.close_cluster();
            self.open = Some(Open::new(net));
        }
        let Some(open) = &mut self.open else { return };
        open.sources += 1;
        open.protected += u64::from(label.is_protected());
        open.is_acted |= facts.acted.is_some();
        let index = |day: &u32| self.all.days.binary_search(day).ok();
        let days: Vec<usize> = facts.days.iter().filter_map(|(day, _)| index(day)).collect();
        let hurt = hurt(self.rules, facts, index);
        for (at, label) in at_cuts.into_iter().enumerate() {
            let [known, with_unknown] = &mut open.definitions[2 * at..][..2] else { continue };
            if label == Label::Legitimate {
                known.add(&days, &hurt);
            }
            if label.is_protected() {
                with_unknown.add(&days, &hurt);
            }
        }
    }

    fn close_cluster(&mut self) {
        let Some(open) = self.open.take() else { return };
        for (table, mut definition) in self.all.tables.iter_mut().zip(open.definitions) {
            definition.days.sort_unstable();
            definition.days.dedup();
            table.add(&definition.days, &definition.hurt);
        }
        if open.is_acted {
            self.all.clusters.push((open.net, open.sources, open.protected));
        }
    }

    fn prune(&mut self) {
        let by = self.by;
        let key = move |source: &Labelled| (Reverse(busy(&source.facts, by)), source.addr);
        let busiest = &mut self.all.busiest;
        if busiest.len() > self.keep {
            busiest.select_nth_unstable_by_key(self.keep, key);
            busiest.truncate(self.keep);
        }
    }

    /// Ends the pass.
    #[must_use]
    pub fn finish(mut self) -> Gathered {
        self.close_cluster();
        self.prune();
        self.all.clusters.sort_unstable();
        let by = self.by;
        self.all.busiest.sort_unstable_by_key(|s| (Reverse(busy(&s.facts, by)), s.addr));
        self.all
    }
}

impl Gathered {
    /// Clusters by the definition with `cut` (an index of [`CUTS_PERCENT`]).
    #[must_use]
    pub const fn table(&self, cut: usize, is_unknown_included: bool) -> &HoldOut {
        &self.tables[2 * cut + is_unknown_included as usize]
    }

    /// The clusters that every gate looks at: unknown sources count as legitimate.
    #[must_use]
    pub const fn clusters_held(&self) -> &HoldOut {
        self.table(1, true)
    }

    /// Index of a day.
    #[must_use]
    pub fn day_index(&self, day: u32) -> Option<usize> {
        self.days.binary_search(&day).ok()
    }
}

impl Open {
    fn new(net: IpNet) -> Self {
        Self {
            net,
            sources: 0,
            protected: 0,
            is_acted: false,
            definitions: std::array::from_fn(|_| Definition::default()),
        }
    }
}

impl Definition {
    fn add(&mut self, days: &[usize], hurt: &[(usize, Vector)]) {
        for day in days {
            if !self.days.contains(day) {
                self.days.push(*day);
            }
        }
        self.hurt.extend(hurt);
    }
}

/// What took something away from a source, by day: a drop that met a packet, a limit that
/// was exceeded.
fn hurt(
    rules: &Compiled,
    facts: &SourceFacts,
    index: impl Fn(&u32) -> Option<usize>,
) -> Vec<(usize, Vector)> {
    let Some(acted) = &facts.acted else { return Vec::new() };
    let of = |((day, vector), booked): &((u32, Vector), Booked)| {
        let felt = felt(rules, *vector, booked);
        index(day).filter(|_| !felt.is_none()).map(|day| (day, felt))
    };
    acted.by.iter().filter_map(of).collect()
}

/// `vector` without the rules that took nothing away.
#[must_use]
pub fn felt(rules: &Compiled, vector: Vector, booked: &Booked) -> Vector {
    vector.rules().fold(vector, |felt, (rule, _)| {
        let is_limit = rules.rules()[rule].limit.is_some();
        let is_felt = if is_limit { booked.excess > 0 } else { booked.packets > 0 };
        if is_felt { felt } else { felt.with(rule, 0) }
    })
}

const fn busy(facts: &SourceFacts, by: By) -> u64 {
    let counts = &facts.counts;
    match by {
        By::Syn => counts.syn,
        By::Packets => counts.packets,
        By::Bytes => counts.bytes,
        By::Handshakes => counts.handshakes,
    }
}
