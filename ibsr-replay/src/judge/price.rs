// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a choice of thresholds would have done: to whom, to how much, and how soon.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::cluster::{cluster, network};
use super::gather::{Gathered, Labelled, felt};
use super::label::Label;
use super::streams::{Units, ppm};
use super::words;
use crate::fold::compiled::Compiled;
use crate::fold::facts::{BUCKET_MS, Load};
use crate::fold::source_facts::{Booked, SourceFacts, TTL_GRID_S};
use crate::fold::vector::{Choice, Vector};
use crate::model::{
    AffectedRow, BucketRow, Capture, Impact, MAX_LISTED, PortRow, PrefixRow, Share, SourceRow,
    TtlRow,
};
use crate::rules::ast::Action;

const HOUR_MS: u64 = 3_600_000;
const MPS: u64 = 1_000_000;
/// Share of the longest action's capture that a shorter one must reach.
const ENOUGH_PERCENT: u64 = 95;

/// Prices one choice.
#[derive(Debug, Clone, Copy)]
pub struct Pricer<'a> {
    /// The rules.
    pub rules: &'a Compiled,
    /// What is known of the sources.
    pub gathered: &'a Gathered,
    /// What is known of the days.
    pub units: &'a Units,
    /// Share of packets that belong to nobody knows whom.
    pub uncertain_ppm: u64,
    /// Length of a window.
    pub window_ms: u64,
}

/// What was acted on, of one source or of many.
#[derive(Debug, Clone, Copy, Default)]
pub struct Taken {
    /// While rules act.
    pub sent: Booked,
    /// Frames that the actions take away.
    pub dropped: u64,
}

impl<'a> Pricer<'a> {
    /// What `choice` would have acted on of one source.
    #[must_use]
    pub fn taken(&self, facts: &SourceFacts, choice: &Choice) -> Taken {
        let mut taken = Taken::default();
        let Some(acted) = &facts.acted else { return taken };
        for ((_, vector), booked) in acted.by.iter().filter(|((_, v), _)| choice.acts(*v)) {
            taken.sent.add(booked);
            taken.dropped = taken.dropped.saturating_add(self.dropped(*vector, booked, choice));
        }
        taken
    }

    fn dropped(&self, vector: Vector, booked: &Booked, choice: &Choice) -> u64 {
        let acting = vector.rules().filter(|(rule, _)| choice.acts_by(*rule, vector));
        let of = |(rule, _): (usize, u8)| match self.rules.set().rules[rule].then {
            Action::DropAll => booked.packets,
            Action::DropSyn => booked.syn,
            Action::Limit(_) => booked.excess,
        };
        acting.map(of).max().unwrap_or(0)
    }

    /// Whether `choice` takes anything away from the source.
    #[must_use]
    pub fn is_hurt(&self, facts: &SourceFacts, choice: &Choice) -> bool {
        let by = facts.acted.iter().flat_map(|acted| &acted.by);
        by.into_iter().any(|((_, v), booked)| choice.acts(felt(self.rules, *v, booked)))
    }

    fn hurt(&self, choice: &Choice) -> impl Iterator<Item = &'a Labelled> {
        self.gathered.acted.iter().filter(|source| self.is_hurt(&source.facts, choice))
    }

    /// A share with what it could be at most.
    #[must_use]
    pub fn share(&self, part: u64, whole: u64) -> Share {
        let share = ppm(part, whole);
        let at_most = share.map(|share| share.saturating_add(self.uncertain_ppm).min(MPS));
        Share { part, whole, ppm: share, at_most_ppm: at_most }
    }

    /// What would have been acted on, whoever sent it.
    #[must_use]
    pub fn impact(&self, choice: &Choice) -> Impact {
        let mut all = Taken::default();
        for source in &self.gathered.acted {
            all.sent.add(&self.taken(&source.facts, choice).sent);
        }
        let whole = &self.gathered.population.counts;
        let series = self.series(choice);
        let (worst, worst_at) = self.worst_hour(&series);
        Impact {
            packets: self.share(all.sent.packets, whole.packets),
            bytes: self.share(all.sent.bytes, whole.bytes),
            syn: self.share(all.sent.syn, whole.syn),
            handshakes: self.share(all.sent.handshakes, whole.handshakes),
            worst_hour_packets: worst,
            worst_hour_unix_ms: worst_at,
            ports: self.ports(choice),
            prefixes: self.prefixes(choice),
            series,
            bucket_ms: BUCKET_MS,
        }
    }

    fn series(&self, choice: &Choice) -> Vec<BucketRow> {
        let mut by_time: BTreeMap<u64, BucketRow> = BTreeMap::new();
        for (at, bucket) in self.units.values().flat_map(|unit| &unit.buckets) {
            let row = by_time.entry(*at).or_default();
            row.at_unix_ms = at.saturating_mul(BUCKET_MS);
            row.syn = row.syn.saturating_add(bucket.all.syn);
            row.packets = row.packets.saturating_add(bucket.all.packets);
            for (_, load) in bucket.acted.iter().filter(|(vector, _)| choice.acts(**vector)) {
                row.syn_acted = row.syn_acted.saturating_add(load.syn);
                row.packets_acted = row.packets_acted.saturating_add(load.packets);
            }
        }
        by_time.into_values().filter(|row| row.packets > 0).collect()
    }

    fn worst_hour(&self, series: &[BucketRow]) -> (Share, Option<u64>) {
        let mut hours: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        for row in series {
            let hour = hours.entry(row.at_unix_ms / HOUR_MS).or_default();
            *hour = (hour.0.saturating_add(row.packets_acted), hour.1.saturating_add(row.packets));
        }
        let worst = hours
            .into_iter()
            .max_by_key(|(at, (acted, all))| (ppm(*acted, *all), Reverse(*at)))
            .filter(|(_, (acted, _))| *acted > 0);
        match worst {
            Some((at, (acted, all))) => (self.share(acted, all), Some(at.saturating_mul(HOUR_MS))),
            None => (Share::default(), None),
        }
    }

    fn ports(&self, choice: &Choice) -> Vec<PortRow> {
        let mut by_port: BTreeMap<u16, Load> = BTreeMap::new();
        for unit in self.units.values() {
            for ((port, _), load) in unit.ports.iter().filter(|((_, v), _)| choice.acts(*v)) {
                by_port.entry(*port).or_default().add(*load);
            }
        }
        let row = |(port, load): (u16, Load)| PortRow {
            port,
            syn_acted: load.syn,
            packets_acted: load.packets,
        };
        let mut rows: Vec<_> = by_port.into_iter().map(row).collect();
        rows.sort_by_key(|row| (Reverse((row.syn_acted, row.packets_acted)), row.port));
        rows.truncate(MAX_LISTED);
        rows
    }

    fn prefixes(&self, choice: &Choice) -> Vec<PrefixRow> {
        let mut by_net: BTreeMap<_, PrefixRow> = BTreeMap::new();
        for source in &self.gathered.acted {
            let taken = self.taken(&source.facts, choice);
            if taken.sent.packets == 0 && taken.dropped == 0 {
                continue;
            }
            let net = cluster(source.addr);
            let row = by_net.entry(net).or_insert_with(|| PrefixRow {
                prefix: net.to_string(),
                sources: self.cluster_size(net).0,
                sources_acted: 0,
                legitimate_acted: 0,
                packets_acted: 0,
            });
            row.sources_acted += 1;
            row.legitimate_acted += u64::from(source.label.is_protected());
            row.packets_acted = row.packets_acted.saturating_add(taken.sent.packets);
        }
        let mut rows: Vec<_> = by_net.into_values().collect();
        rows.sort_by(|a, b| (b.packets_acted, &a.prefix).cmp(&(a.packets_acted, &b.prefix)));
        rows.truncate(MAX_LISTED);
        rows
    }

    /// (sources, protected sources) of a cluster.
    fn cluster_size(&self, net: ipnet::IpNet) -> (u64, u64) {
        let clusters = &self.gathered.clusters;
        let at = clusters.binary_search_by_key(&net, |(known, ..)| *known);
        at.map_or((0, 0), |at| (clusters[at].1, clusters[at].2))
    }

    /// Whom it would have caught.
    #[must_use]
    pub fn capture(&self, choice: &Choice, series: &[BucketRow]) -> Capture {
        let mut capture = Capture { sources: self.gathered.abusive.0, ..Capture::default() };
        let mut all = Taken::default();
        let mut delays = Vec::new();
        let mut caught = Vec::new();
        for source in self.gathered.acted.iter().filter(|s| s.label == Label::Abusive) {
            let taken = self.taken(&source.facts, choice);
            if taken.sent.packets == 0 {
                continue;
            }
            all.sent.add(&taken.sent);
            all.dropped = all.dropped.saturating_add(taken.dropped);
            delays.extend(self.delay_ms(&source.facts, choice));
            caught.push(source);
        }
        delays.sort_unstable();
        let rank = |percent: usize| delays.get((delays.len() * percent).div_ceil(100).max(1) - 1);
        capture.sources_acted = caught.len() as u64;
        capture.packets = self.share(all.sent.packets, self.gathered.abusive.1);
        capture.packets_dropped = self.share(all.dropped, self.gathered.abusive.1);
        capture.time_to_act_median_ms = rank(50).copied();
        capture.time_to_act_p95_ms = rank(95).copied();
        let peak = |of: fn(&BucketRow) -> u64| {
            series.iter().map(of).max().map(|syn| syn.saturating_mul(MPS) / BUCKET_MS)
        };
        capture.peak_syn_before_mps = peak(|row| row.syn);
        capture.peak_syn_after_mps = peak(|row| row.syn.saturating_sub(row.syn_acted));
        caught.sort_by_key(|source| (Reverse(source.facts.counts.syn), source.addr));
        capture.top =
            caught.iter().take(MAX_LISTED).map(|s| self.affected_row(s, choice)).collect();
        capture
    }

    fn delay_ms(&self, facts: &SourceFacts, choice: &Choice) -> Option<u64> {
        let marks = facts.acted.as_ref()?.marks.iter();
        let is_ours = |rule: u8, level: u8| choice.needs(usize::from(rule)) == Some(level);
        let delays = marks.filter(|((rule, level), _)| is_ours(*rule, *level));
        delays.map(|(_, mark)| mark.delay_ms).filter(|delay| *delay < u64::MAX).min()
    }

    /// Protected sources that would have been hurt, most handshakes first.
    #[must_use]
    pub fn affected(&self, choice: &Choice) -> Vec<&'a Labelled> {
        let mut all: Vec<_> = self.hurt(choice).filter(|s| s.label.is_protected()).collect();
        all.sort_by_key(|source| (Reverse(source.facts.counts.handshakes), source.addr));
        all
    }

    /// Protected sources in the clusters of those that a drop would have hurt.
    #[must_use]
    pub fn blast_radius(&self, choice: &Choice) -> u64 {
        let mut nets: Vec<_> = self.hurt(choice).map(|source| cluster(source.addr)).collect();
        nets.sort_unstable();
        nets.dedup();
        nets.into_iter().map(|net| self.cluster_size(net).1).sum()
    }

    /// The network with the most affected sources, and their share.
    #[must_use]
    pub fn largest_network(&self, affected: &[&Labelled]) -> Option<(String, u64)> {
        let mut by_net: BTreeMap<_, u64> = BTreeMap::new();
        for source in affected {
            *by_net.entry(network(source.addr)).or_default() += 1;
        }
        let (net, count) = by_net.into_iter().max_by_key(|(net, count)| (*count, Reverse(*net)))?;
        Some((net.to_string(), ppm(count, affected.len() as u64)?))
    }

    /// Sources of the operator's list that would have been hurt.
    #[must_use]
    pub fn allow_listed(&self, choice: &Choice) -> u64 {
        let allow = &self.rules.set().allow;
        let is_listed = |source: &&Labelled| {
            let ip = source.addr.to_ip();
            allow.iter().any(|prefix| prefix.contains(&ip))
        };
        self.hurt(choice).filter(is_listed).count() as u64
    }

    /// A source that would have been acted on, in words.
    #[must_use]
    pub fn affected_row(&self, source: &Labelled, choice: &Choice) -> AffectedRow {
        let taken = self.taken(&source.facts, choice);
        let by = source.facts.acted.iter().flat_map(|acted| &acted.by);
        let mut rules = Vec::new();
        let mut days = Vec::new();
        for ((day, vector), _) in by.filter(|((_, v), _)| choice.acts(*v)) {
            days.push(words::date(*day));
            rules.extend(vector.rules().map(|(r, _)| r).filter(|r| choice.acts_by(*r, *vector)));
        }
        rules.sort_unstable();
        rules.dedup();
        days.dedup();
        let names: Vec<String> =
            rules.into_iter().map(|rule| self.rules.set().rules[rule].name.clone()).collect();
        AffectedRow {
            src: source.addr,
            label: source.label,
            counts: source.facts.counts,
            why: words::why(source, &names, &taken, self.window_ms),
            rules: names,
            days,
            syn_acted: taken.sent.syn,
            packets_acted: taken.sent.packets,
            handshakes_acted: taken.sent.handshakes,
            peak_window_syn: source.facts.peak.map(|peak| peak.syn),
        }
    }

    /// A source as the report lists it.
    #[must_use]
    pub fn source_row(&self, source: &Labelled, choice: &Choice) -> SourceRow {
        let taken = self.taken(&source.facts, choice);
        let facts = &source.facts;
        SourceRow {
            src: source.addr,
            label: source.label,
            counts: facts.counts,
            ports: facts.ports,
            untimed_syn: facts.untimed_syn,
            peak_window_syn: facts.peak.map(|peak| peak.syn),
            peak_syn_ps: facts.peak.map(|peak| peak.syn.saturating_mul(1000) / self.window_ms),
            peak_at_unix_ms: facts.peak.map(|peak| peak.at_unix_ms),
            syn_acted: taken.sent.syn,
            packets_acted: taken.sent.packets,
        }
    }

    /// Abusive sources' frames while `choice` acts on them, of all their frames.
    #[must_use]
    pub fn capture_ppm(&self, choice: &Choice) -> Option<u64> {
        let abusive = self.gathered.acted.iter().filter(|source| source.label == Label::Abusive);
        let packets = abusive.map(|source| self.taken(&source.facts, choice).sent.packets);
        ppm(packets.fold(0, u64::saturating_add), self.gathered.abusive.1)
    }

    /// What rule `rule` would have achieved at `level`, had it acted longer or shorter.
    #[must_use]
    pub fn ttl(&self, rule: usize, level: u8) -> Vec<TtlRow> {
        let choice = Choice::default().with(rule, Some(0), usize::from(level));
        let mut packets = [0_u64; TTL_GRID_S.len()];
        let mut again = [0_u64; TTL_GRID_S.len()];
        let mut sources = 0_u64;
        for source in &self.gathered.acted {
            let marks = source.facts.acted.iter().flat_map(|acted| &acted.marks);
            let ours = |(of, at): (u8, u8)| usize::from(of) == rule && at == level;
            let Some((_, mark)) = marks.into_iter().find(|(key, _)| ours(*key)) else { continue };
            sources += 1;
            let is_back = comes_back(&source.facts, &choice);
            for (at, ttl) in TTL_GRID_S.iter().enumerate() {
                again[at] += u64::from(is_back || mark.again_s >= *ttl);
            }
            if source.label == Label::Abusive {
                let mut sum = 0_u64;
                for (own, by_age) in packets.iter_mut().zip(mark.packets_by_age) {
                    sum = sum.saturating_add(by_age);
                    *own = own.saturating_add(sum);
                }
            }
        }
        if sources == 0 {
            return Vec::new();
        }
        let row = |(at, ttl): (usize, &u64)| TtlRow {
            ttl_s: *ttl,
            capture_ppm: ppm(packets[at], self.gathered.abusive.1),
            again_ppm: ppm(again[at], sources),
        };
        TTL_GRID_S.iter().enumerate().map(row).collect()
    }
}

/// Acted on again on the day behind one on which it was acted on.
fn comes_back(facts: &SourceFacts, choice: &Choice) -> bool {
    let by = facts.acted.iter().flat_map(|acted| &acted.by);
    let mut days: Vec<u32> =
        by.filter(|((_, v), _)| choice.acts(*v)).map(|((day, _), _)| *day).collect();
    days.dedup();
    days.windows(2).any(|pair| pair[1] == pair[0] + 1)
}

/// Shortest time with nearly all of the capture of the longest.
#[must_use]
pub fn shortest_ttl_s(rows: &[TtlRow]) -> Option<u64> {
    let most = rows.last()?.capture_ppm?;
    let is_enough = |row: &&TtlRow| {
        row.capture_ppm
            .is_some_and(|c| c.saturating_mul(100) >= most.saturating_mul(ENOUGH_PERCENT))
    };
    rows.iter().find(is_enough).map(|row| row.ttl_s)
}
