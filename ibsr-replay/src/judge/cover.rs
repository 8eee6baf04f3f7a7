// SPDX-License-Identifier: MIT OR Apache-2.0
//! Beside which days of which interfaces the sensor of a cgroup ran, and so which sources are
//! labelled by connections.

use std::collections::BTreeMap;

use super::streams::Units;
use crate::fold::facts::UnitId;
use crate::fold::source_facts::SourceFacts;
use crate::fold::window::Stretch;
use crate::talk::cover::unite;
use crate::talk::lives::TalkFacts;

/// Part of a day's time that may be outside: as much as may be without rates. What happens in
/// it is missing among the connections, and who is missing there is protected.
const MAX_OUTSIDE_PPM: u128 = 10_000;
const PPM: u128 = 1_000_000;
/// Two sensors are attached one after the other, and two readers do not sweep together: three
/// periods of ten seconds, however short the day is, if that is at most half of it.
const EDGES_NS: u64 = 30_000_000_000;

/// Days of cgroup streams.
pub type TalkUnits = BTreeMap<UnitId, TalkFacts>;

/// Which units connections are known of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cover {
    /// Days of streams of interfaces.
    pub units: u64,
    /// Of these, with the sensor of a cgroup beside them.
    pub covered: u64,
    /// By day, hosts with an interface that had none.
    open: BTreeMap<u32, u64>,
}

impl Cover {
    /// Of everything that was folded. Sensors of several cgroups of a host complete each other.
    #[must_use]
    pub fn of(units: &Units, talks: &TalkUnits) -> Self {
        let mut seen: BTreeMap<(&str, &str), Vec<Stretch>> = BTreeMap::new();
        for (id, facts) in talks {
            let boot = (id.stream.host.as_str(), id.stream.boot_id.as_str());
            seen.entry(boot).or_default().extend(&facts.cover);
        }
        let seen: BTreeMap<_, _> = seen.into_iter().map(|(boot, all)| (boot, unite(all))).collect();
        let mut cover = Self { units: units.len() as u64, ..Self::default() };
        for (id, facts) in units {
            let boot = (id.stream.host.as_str(), id.stream.boot_id.as_str());
            let seen = seen.get(&boot).map_or(&[][..], Vec::as_slice);
            if facts.span_boot.is_some_and(|span| is_covered(span, seen)) {
                cover.covered += 1;
            } else {
                *cover.open.entry(id.day).or_default() |= id.stream.host_bit();
            }
        }
        cover
    }

    /// Whether a source is labelled by connections: every interface that may have seen it on
    /// any of its days had the other sensor beside it.
    #[must_use]
    pub fn labels(&self, facts: &SourceFacts) -> bool {
        let is_open = |day: &u32| self.open.get(day).is_some_and(|open| open & facts.hosts != 0);
        self.covered > 0 && !facts.days.iter().any(|(day, _)| is_open(day))
    }
}

/// Whether `span` lies in `seen` but for its edges and a little.
fn is_covered(span: Stretch, seen: &[Stretch]) -> bool {
    let inside = |over: &Stretch| {
        let (from_ns, to_ns) = (over.from_ns.max(span.from_ns), over.to_ns.min(span.to_ns));
        to_ns.saturating_sub(from_ns)
    };
    let inside_ns: u64 = seen.iter().map(inside).sum();
    let outside_ns = span.len_ns().saturating_sub(inside_ns);
    let is_little = u128::from(outside_ns) * PPM <= u128::from(span.len_ns()) * MAX_OUTSIDE_PPM;
    inside_ns > 0 && (is_little || (outside_ns <= EDGES_NS && outside_ns <= inside_ns))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::facts::UnitFacts;
    use crate::fold::id::StreamId;

    const S: u64 = 1_000_000_000;

    fn id(host: &str, scope: &str, boot_id: &str, day: u32) -> UnitId {
        let stream = StreamId {
            host: host.into(),
            scope: scope.into(),
            boot_id: boot_id.into(),
            epoch: "e".into(),
        };
        UnitId { stream, day }
    }

    fn stretch((from_s, to_s): (u64, u64)) -> Stretch {
        Stretch { from_ns: from_s * S, to_ns: to_s * S }
    }

    fn unit(host: &str, day: u32, over: (u64, u64)) -> (UnitId, UnitFacts) {
        let facts = UnitFacts { span_boot: Some(stretch(over)), ..UnitFacts::default() };
        (id(host, "xdp-eth0", "b", day), facts)
    }

    fn talk(host: &str, boot: &str, day: u32, over: (u64, u64)) -> (UnitId, TalkFacts) {
        let facts = TalkFacts { cover: vec![stretch(over)], ..TalkFacts::default() };
        (id(host, "cg-web", boot, day), facts)
    }

    fn cover(units: &[(UnitId, UnitFacts)], talks: &[(UnitId, TalkFacts)]) -> Cover {
        Cover::of(&units.iter().cloned().collect(), &talks.iter().cloned().collect())
    }

    fn source(host: &str, days: &[u32]) -> SourceFacts {
        SourceFacts {
            days: days.iter().map(|day| (*day, 0)).collect(),
            hosts: id(host, "", "", 0).stream.host_bit(),
            ..SourceFacts::default()
        }
    }

    #[test]
    fn a_day_is_covered_but_for_its_edges_and_a_hundredth() {
        let of = |span: (u64, u64), seen: &[(u64, u64)]| {
            is_covered(stretch(span), &seen.iter().copied().map(stretch).collect::<Vec<_>>())
        };
        assert!(of((1_000, 11_000), &[(0, 20_000)]));
        assert!(of((1_000, 11_000), &[(1_050, 5_000), (5_050, 11_000)]), "a hundredth");
        assert!(!of((1_000, 11_000), &[(1_050, 5_000), (5_051, 11_000)]));
        assert!(of((1_000, 1_100), &[(1_030, 1_100)]), "edges of a short day");
        assert!(!of((1_000, 1_100), &[(1_031, 1_100)]));
        assert!(of((1_000, 1_040), &[(1_020, 1_040)]), "half of a very short one");
        assert!(!of((1_000, 1_040), &[(1_021, 1_040)]));
        assert!(!of((1_000, 1_020), &[]));
        assert!(!of((1_000, 1_020), &[(0, 1_000), (1_020, 2_000)]));
    }

    #[test]
    fn a_source_of_an_uncovered_day_of_its_host_is_labelled_by_counters() {
        let units = [
            unit("h1", 1, (0, 86_400)),
            unit("h1", 2, (86_400, 172_800)),
            unit("h2", 2, (0, 86_400)),
        ];
        let one =
            cover(&units, &[talk("h1", "b", 1, (0, 86_400)), talk("h2", "b", 2, (0, 86_400))]);
        assert_eq!((one.units, one.covered), (3, 2));
        assert!(one.labels(&source("h1", &[1])) && one.labels(&source("h2", &[2])));
        assert!(!one.labels(&source("h1", &[2])) && !one.labels(&source("h1", &[1, 2])));
        let mut both = source("h2", &[2]);
        both.hosts |= source("h1", &[]).hosts;
        assert!(!one.labels(&both), "seen by both");
        let all =
            cover(&units, &[talk("h1", "b", 1, (0, 172_800)), talk("h2", "b", 2, (0, 86_400))]);
        assert_eq!(all.covered, 3, "a stretch over midnight stands under one day");
        assert!(all.labels(&source("h1", &[1, 2])));
    }

    #[test]
    fn another_boot_or_host_covers_nothing_and_two_cgroups_cover_together() {
        let units = [unit("h1", 1, (0, 1_000))];
        let others = [talk("h1", "other", 1, (0, 1_000)), talk("h2", "b", 1, (0, 1_000))];
        let none = cover(&units, &others);
        assert_eq!((none.covered, none.labels(&source("h1", &[1]))), (0, false));
        let mut second = talk("h1", "b", 1, (500, 1_000));
        second.0.stream.scope = "cg-db".into();
        let both = cover(&units, &[talk("h1", "b", 1, (0, 500)), second]);
        assert_eq!(both.covered, 1);
        assert_eq!(cover(&units, &[]).covered, 0);
    }

    /// Nothing is known of a source when nothing is covered, also of one without days.
    #[test]
    fn without_cover_no_source_is_labelled_by_connections() {
        assert!(!Cover::default().labels(&source("h1", &[])));
    }
}
