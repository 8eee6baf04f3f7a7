// SPDX-License-Identifier: MIT OR Apache-2.0
//! Both recordings of whole sites.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ibsr_proto::addr::SourceAddr;
use ibsr_proto::snapshot::{RowRef, Source, Sweep};

use super::*;

const S: u64 = 1_000_000_000;

/// A site of one or two days with a bit of everything.
fn small(seed: u64) -> SiteSpec {
    let spec = Preset::Mixed.spec(seed, 2, 60);
    SiteSpec { attacks: few_attacks(&spec), ..spec }
}

/// Its first day alone.
fn one_day(seed: u64) -> SiteSpec {
    SiteSpec { days: 1, crowds: vec![Crowd { day: 0, hour: 7, clients: 40 }], ..small(seed) }
}

/// One of each kind, short, so that every packet can be made.
fn few_attacks(spec: &SiteSpec) -> Vec<Attack> {
    let mut kinds = BTreeMap::new();
    for attack in &spec.attacks {
        kinds.entry(attack.kind).or_insert(Attack {
            lasts_s: 40,
            sources: attack.sources.min(300),
            rate_ps: attack.rate_ps.min(100),
            day: 0,
            ..*attack
        });
    }
    kinds.into_values().collect()
}

/// Nobody: for sites of one class.
fn empty_site() -> SiteSpec {
    let quiet = Preset::Quiet.spec(5, 1, 0);
    SiteSpec { steady: Steady::default(), crowds: Vec::new(), mix: Mix::default(), ..quiet }
}

/// Calls `take` with every sweep.
fn each(spec: &SiteSpec, mut take: impl FnMut(&Swept<'_>)) {
    let mut sweeps = Sweeps::new(spec.clone()).expect("a site");
    while let Some(swept) = sweeps.next_sweep() {
        take(&swept);
    }
}

fn bytes(spec: &SiteSpec) -> Vec<u8> {
    let mut out = Vec::new();
    RowRef::Header(Sweeps::new(spec.clone()).expect("a site").header()).write_to(&mut out);
    each(spec, |swept| {
        swept.sources.iter().for_each(|row| RowRef::Source(row).write_to(&mut out));
        RowRef::Sweep(&swept.close).write_to(&mut out);
    });
    out
}

type Key = (SourceAddr, u16);

/// Last row of each source and port, of a site with one set of maps.
fn last_rows(spec: &SiteSpec) -> BTreeMap<Key, Source> {
    let mut rows = BTreeMap::new();
    each(spec, |swept| {
        rows.extend(swept.sources.iter().map(|row| ((row.src, row.dst_port), *row)))
    });
    rows
}

#[test]
fn the_same_seed_makes_the_same_bytes_and_another_one_does_not() {
    let of = |seed| bytes(&one_day(seed));
    let first = of(1);
    assert!(first == of(1) && first != of(2));
}

/// Everything a reader promises of its files.
#[test]
fn every_sweep_obeys_the_law_and_lists_what_it_says() {
    for attach_every_days in [0, 1] {
        let spec = SiteSpec { attach_every_days, ..small(3) };
        let mut before: Option<Sweep> = None;
        let mut known: BTreeMap<Key, Source> = BTreeMap::new();
        let (mut sweeps, mut firsts, mut packets) = (0, 0, 0);
        each(&spec, |swept| {
            let close = &swept.close;
            if swept.is_first {
                known.clear();
                packets = 0;
                firsts += 1;
            }
            let seen: BTreeSet<Key> = swept.sources.iter().map(|s| (s.src, s.dst_port)).collect();
            assert_eq!(close.rows, swept.sources.len() as u64);
            assert_eq!(seen.len(), swept.sources.len(), "a source twice in a sweep");
            let from_ns = before.as_ref().map_or(0, |before| before.at_boot_ns);
            for row in swept.sources {
                let old = known.insert((row.src, row.dst_port), *row);
                packets += row.packets - old.map_or(0, |old| old.packets);
                assert!(old.is_none_or(|old| old.packets <= row.packets && old.bytes <= row.bytes));
                assert!(
                    row.born_boot_ns <= row.last_boot_ns && row.last_boot_ns <= close.at_boot_ns
                );
                assert!(close.since_boot_ns == 0 || row.last_boot_ns > close.since_boot_ns);
                assert!(old.is_some() || row.born_boot_ns > from_ns, "born in a later sweep");
                assert!(old.is_none_or(|old| old.born_boot_ns == row.born_boot_ns));
            }
            assert_eq!(packets, close.attributed, "sweep {}", close.seq);
            assert_eq!(close.totals.check_classes(0), Ok(()));
            assert_eq!(close.totals.evicted(close.attributed), Ok(0));
            assert_eq!((close.entries, close.totals.inserted), (known.len() as u64, close.entries));
            assert!(close.since_boot_ns > 0 || close.rows == close.entries, "a full sweep");
            if let Some(before) = &before {
                assert_eq!(close.seq, before.seq + 1);
                assert!(close.since_boot_ns == 0 || close.since_boot_ns == before.at_boot_ns);
            }
            before = Some(close.clone());
            sweeps += 1;
        });
        assert_eq!((sweeps, firsts), (2 * 8_640, 1 + attach_every_days));
        assert!(!known.is_empty());
    }
}

/// The last sweep of a day is in it: no day's traffic hangs over into the next.
#[test]
fn a_day_has_the_sweeps_of_its_own_traffic() {
    let spec = SiteSpec { attach_every_days: 1, ..small(4) };
    each(&spec, |swept| {
        let day = (swept.close.at_unix_ms - spec.start_unix_ms) / DAY_MS;
        assert_eq!(day, swept.close.seq / 8_640);
    });
}

/// The two recordings are of one site: what the sensor would count of the packets is what
/// the rows say, sweep by sweep.
#[test]
fn packets_add_up_to_the_rows_of_their_sweep() {
    let spec = SiteSpec { full_every: 1, ..one_day(6) };
    let mut wire = Wire::new(spec.clone()).expect("a site");
    let mut sums: BTreeMap<Key, [u64; 5]> = BTreeMap::new();
    // Sequence number that completes the handshake, of connections that wait for it.
    let mut pending = HashMap::new();
    let mut last_ns = 0;
    each(&spec, |swept| {
        let packets = wire.next_packets().expect("as many slots as sweeps");
        for packet in packets {
            assert!(packet.at_ns >= last_ns);
            last_ns = packet.at_ns;
            let has = |flag: u8| packet.flags & flag != 0;
            let (syn, ack) = (has(flag::SYN) && !has(flag::ACK), has(flag::ACK));
            let connection = (packet.src, packet.src_port, packet.dst_port);
            if syn {
                pending.insert(connection, packet.seq.wrapping_add(1));
            }
            let is_next = pending.get(&connection) == Some(&packet.seq);
            let is_completed = ack && !has(flag::RST) && is_next;
            if is_completed {
                pending.remove(&connection);
            }
            let add = [
                1,
                u64::from(packet.frame_len),
                u64::from(syn),
                u64::from(ack),
                u64::from(is_completed),
            ];
            let sum = sums.entry((packet.src, packet.dst_port)).or_default();
            sum.iter_mut().zip(add).for_each(|(sum, add)| *sum += add);
        }
        if swept.close.seq % 7 == 0 {
            let rows: BTreeMap<_, _> = swept
                .sources
                .iter()
                .map(|row| {
                    let sum = [row.packets, row.bytes, row.syn, row.ack, row.handshakes];
                    ((row.src, row.dst_port), sum)
                })
                .collect();
            assert!(rows == sums, "sweep {}", swept.close.seq);
        }
    });
    assert!(wire.next_packets().is_none() && sums.len() > 500);
}

#[test]
fn every_source_has_a_truth_and_every_truth_sends() {
    for (seed, preset) in [(1, Preset::Mixed), (2, Preset::Flood), (3, Preset::Random)] {
        let spec = preset.spec(seed, 3, 80);
        let spec = SiteSpec { attach_every_days: 0, ..spec };
        let truth = spec.truth();
        let sending: BTreeSet<SourceAddr> = last_rows(&spec).keys().map(|key| key.0).collect();
        // A client who comes in the last seconds of the last day may not be seen.
        let silent = truth.keys().filter(|src| !sending.contains(src)).count();
        assert!(silent <= truth.len() / 100, "{preset:?}: {silent} of {}", truth.len());
        assert!(sending.iter().all(|src| truth.contains_key(src)), "{preset:?}");
    }
}

/// Clusters are the unit of the statistics: most new clients bring a new one.
#[test]
fn new_clients_come_from_new_networks_every_day() {
    let spec = SiteSpec { crowds: Vec::new(), ..Preset::Quiet.spec(9, 3, 200) };
    let network = |src: &SourceAddr| -> Vec<u8> {
        let bytes = src.to_bytes();
        let is_v4 = bytes[..12] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
        bytes[..if is_v4 { 15 } else { 7 }].to_vec()
    };
    let truth = spec.truth();
    let networks: BTreeSet<_> = truth.keys().map(network).collect();
    assert!((600..=610).contains(&networks.len()), "{}", networks.len());
    let v6 = truth.keys().filter(|src| src.to_ip().is_ipv6()).count();
    assert!((40..200).contains(&v6), "{v6}");
}

mod classes;
