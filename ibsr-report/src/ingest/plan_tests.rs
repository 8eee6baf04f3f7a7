// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a plan keeps, orders and refuses.

use std::path::PathBuf;

use ibsr_proto::snapshot::{Footer, Header, SCHEMA};

use super::*;
use crate::ingest::scan::Contents;

fn header(boot: &str, epoch: &str) -> Header {
    Header {
        schema: SCHEMA.into(),
        tool: String::new(),
        host: "h1".into(),
        boot_id: boot.into(),
        scope: "xdp-eth0".into(),
        ifname: "eth0".into(),
        ifindex: 2,
        epoch: epoch.into(),
        attached_boot_ns: 1,
        program_sha256: "aa".into(),
        evidence: "frozen".into(),
        xdp_mode: "native".into(),
        period_ms: 10_000,
        max_sources: 10,
        table: String::new(),
        proof: String::new(),
        admits_first: false,
        dst_ports: Vec::new(),
        dst_port_ranges: Vec::new(),
    }
}

/// A segment of boot `b` with these (first, last) sequence numbers, one sweep a second.
fn segment(spans: &[(u64, u64)]) -> Segment {
    let sweeps: Vec<_> = spans
        .iter()
        .map(|&(first_seq, seq)| SweepSpan {
            first_seq,
            seq,
            at_boot_ns: seq * 1_000_000_000,
            at_unix_ms: seq * 1000,
            entries: 0,
            inserted: 0,
        })
        .collect();
    let name = format!("{spans:?}");
    let footer = Footer { lines: 0, sha256: name.clone(), recovered: false };
    let contents =
        Contents { header: header("b", "e"), sweeps, footer, bytes: 0, sha256: name.clone() };
    Segment { origin: name.clone(), place: PathBuf::new().into(), name, contents }
}

fn of_boot(boot: &str, spans: &[(u64, u64)]) -> Segment {
    let mut segment = segment(spans);
    segment.contents.header.boot_id = boot.into();
    segment.contents.sha256 += boot;
    segment
}

fn kept(segments: Vec<Segment>) -> Vec<String> {
    let plan = plan(segments, 0).expect("a plan");
    let of = |unit: &Unit| unit.segments.clone();
    plan.units.iter().flat_map(of).map(|at| plan.segments[at].name.clone()).collect()
}

/// P2: files come in any order, also from several inputs.
#[test]
fn segments_are_put_in_order_whatever_the_order_of_files() {
    let all = [segment(&[(1, 1), (2, 2)]), segment(&[(3, 3)]), segment(&[(10, 10)])];
    let [a, b, c] = &all;
    let names: Vec<_> = all.iter().map(|segment| segment.name.clone()).collect();
    assert_eq!(kept(vec![c.clone(), a.clone(), b.clone()]), names);
    assert_eq!(kept(vec![b.clone(), c.clone(), a.clone()]), names);
}

#[test]
fn a_copy_is_dropped() {
    assert_eq!(kept(vec![segment(&[(1, 1)]), segment(&[(1, 1)])]).len(), 1);
}

/// A day is folded with the hours before it, and with nothing else.
#[test]
fn each_day_has_its_own_segments_and_those_just_before_it() {
    let day_s = DAY_MS / 1000;
    let at = |s: u64| segment(&[(s, s)]);
    let all = vec![at(10), at(day_s - 100), at(day_s - 5), at(day_s), at(2 * day_s + 7)];
    let plan = plan(all, 50_000).expect("a plan");
    let days: Vec<_> =
        plan.units.iter().map(|unit| (unit.id.day, unit.segments.clone(), unit.is_first)).collect();
    let expected = [(0, vec![0, 1, 2], true), (1, vec![2, 3], false), (2, vec![4], false)];
    assert_eq!(days, expected);
}

/// The reader merges sweeps when its spool is full; the bucket may hold the originals.
#[test]
fn a_merged_segment_is_dropped_only_when_all_its_originals_are_here() {
    let merged = || segment(&[(1, 3)]);
    let originals = vec![segment(&[(1, 1), (2, 2)]), segment(&[(3, 3)])];
    let all = [originals.clone(), vec![merged()]].concat();
    assert_eq!(kept(all), kept(originals));
    let some = vec![segment(&[(1, 1), (2, 2)]), merged()];
    assert_eq!(kept(some.clone()).len(), 2);
}

/// A hostile span must not be walked number by number.
#[test]
fn a_merged_span_of_any_length_is_looked_at_in_no_time() {
    assert_eq!(kept(vec![segment(&[(0, u64::MAX / 1_000_000_000)]), segment(&[(1, 1)])]).len(), 2);
}

#[test]
fn boots_and_hosts_are_units_of_their_own() {
    let mut other = of_boot("b2", &[(1, 1), (200, 200)]);
    other.contents.header.host = "h2".into();
    let after = of_boot("b3", &[(190, 190), (400, 400)]);
    let plan = plan(vec![of_boot("b1", &[(1, 1), (200, 200)]), other, after], 0).expect("a plan");
    let boots: Vec<_> = plan.units.iter().map(|unit| unit.id.stream.boot_id.as_str()).collect();
    assert_eq!(boots, ["b1", "b3", "b2"]);
}

/// P2: a cloned virtual machine has the boot id of its origin.
#[test]
fn two_files_that_disagree_about_a_sweep_are_refused() {
    let mut other = segment(&[(1, 1), (2, 2)]);
    other.contents.sweeps[1].at_boot_ns += 1;
    other.contents.sha256 += "x";
    let error = plan(vec![segment(&[(2, 2)]), other], 0).expect_err("refused");
    assert!(error.to_string().contains("sweep 2"), "{error}");
}

#[test]
fn two_files_that_disagree_about_the_maps_are_refused() {
    let mut other = segment(&[(2, 2)]);
    other.contents.header.attached_boot_ns += 1;
    let error = plan(vec![segment(&[(1, 1)]), other], 0).expect_err("refused");
    assert!(error.to_string().contains("the maps"), "{error}");
}

/// An upgrade may put another program onto the same maps.
#[test]
fn another_program_of_the_same_epoch_is_no_conflict() {
    let mut other = segment(&[(2, 2)]);
    other.contents.header.program_sha256 = "bb".into();
    assert_eq!(kept(vec![segment(&[(1, 1)]), other]).len(), 2);
}

#[test]
fn nothing_is_a_plan_of_nothing() {
    assert!(plan(Vec::new(), 0).expect("a plan").units.is_empty());
    assert!(kept(vec![segment(&[])]).is_empty());
}
