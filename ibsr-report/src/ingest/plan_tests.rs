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
        })
        .collect();
    let name = format!("{spans:?}");
    let footer = Footer { lines: 0, sha256: name.clone(), recovered: false };
    let contents = Contents { header: header("b", "e"), sweeps, footer, bytes: 0 };
    Segment { place: PathBuf::new().into(), name, contents }
}

fn of_boot(boot: &str, spans: &[(u64, u64)]) -> Segment {
    let mut segment = segment(spans);
    segment.contents.header.boot_id = boot.into();
    segment.contents.footer.sha256 += boot;
    segment
}

fn kept(segments: Vec<Segment>) -> Vec<String> {
    let plan = plan(segments).expect("a plan");
    plan.streams.into_iter().flat_map(|s| s.segments).map(|segment| segment.name).collect()
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
fn a_copy_is_dropped_and_counted() {
    let plan = plan(vec![segment(&[(1, 1)]), segment(&[(1, 1)])]).expect("a plan");
    assert_eq!((plan.streams[0].segments.len(), plan.copies), (1, 1));
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

/// P2: two hosts with one name must not be added up as if they were one.
#[test]
fn two_boots_of_one_host_at_the_same_time_are_refused() {
    let first = of_boot("b1", &[(1, 1), (200, 200)]);
    let second = of_boot("b2", &[(100, 100), (300, 300)]);
    let error = plan(vec![second, first]).expect_err("refused");
    let text = error.to_string();
    assert!(text.contains("`h1`") && text.contains("b1") && text.contains("b2"), "{text}");
    assert!(text.contains("hint:"), "{text}");
}

#[test]
fn a_long_boot_that_spans_two_others_is_refused_with_the_later_one_too() {
    let long = of_boot("b1", &[(1, 1), (1000, 1000)]);
    let short = of_boot("b2", &[(2, 2), (3, 3)]);
    let late = of_boot("b3", &[(500, 500), (700, 700)]);
    assert!(plan(vec![long.clone(), short.clone()]).is_ok(), "within the slack");
    assert!(plan(vec![long, short, late]).is_err());
}

#[test]
fn a_reboot_and_other_hosts_are_no_conflict() {
    let mut other = of_boot("b2", &[(1, 1), (200, 200)]);
    other.contents.header.host = "h2".into();
    let after = of_boot("b3", &[(190, 190), (400, 400)]);
    let plan = plan(vec![of_boot("b1", &[(1, 1), (200, 200)]), other, after]).expect("a plan");
    let boots: Vec<_> = plan.streams.iter().map(|stream| stream.id.boot_id.as_str()).collect();
    assert_eq!(boots, ["b1", "b3", "b2"], "by host, then by time");
}

/// P2: a cloned virtual machine has the boot id of its origin.
#[test]
fn two_files_that_disagree_about_a_sweep_are_refused() {
    let mut other = segment(&[(1, 1), (2, 2)]);
    other.contents.sweeps[1].at_boot_ns += 1;
    other.contents.footer.sha256 += "x";
    let error = plan(vec![segment(&[(2, 2)]), other]).expect_err("refused");
    assert!(error.to_string().contains("sweep 2"), "{error}");
}

#[test]
fn two_files_that_disagree_about_the_maps_are_refused() {
    let mut other = segment(&[(2, 2)]);
    other.contents.header.attached_boot_ns += 1;
    let error = plan(vec![segment(&[(1, 1)]), other]).expect_err("refused");
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
    assert!(plan(Vec::new()).expect("a plan").streams.is_empty());
    assert_eq!(kept(vec![segment(&[])]).len(), 1);
}
