// SPDX-License-Identifier: MIT OR Apache-2.0
//! A recording that was changed is never ready. Files are sealed by their hash; this is
//! about somebody who seals them again: what he takes away or adds must break the law of
//! conservation, the numbering or the evidence.

use ibsr_proto::snapshot::{Header, Source, Sweep};
use ibsr_replay::model::Verdict;
use ibsr_replay::site::{Class, Preset, SiteSpec};

use super::replay::{Honest, Meddler, fold};
use super::rules;

/// A site that is ready, as small as that can be. Every hour all entries are listed, as by
/// the reader: that is what rows are held against.
fn ready() -> SiteSpec {
    SiteSpec { attach_every_days: 1, ..Preset::Flood.spec(77, 8, 900) }
}

fn verdict(meddler: &mut impl Meddler) -> Verdict {
    let rules = rules();
    fold(&ready(), &rules, meddler).report(&rules).decision.verdict
}

/// Changes every sweep with `seq` from a first to a last one.
struct Change<F>(F, u64);

impl<F: FnMut(&mut Vec<Source>, &mut Sweep) -> bool> Meddler for Change<F> {
    fn sweep(&mut self, rows: &mut Vec<Source>, close: &mut Sweep) -> bool {
        close.seq < self.1 || (self.0)(rows, close)
    }
}

struct Head(fn(&mut Header));

impl Meddler for Head {
    fn header(&mut self, header: &mut Header) {
        (self.0)(header);
    }
}

#[test]
fn a_changed_recording_is_never_ready() {
    assert!(verdict(&mut Honest).is_ready(), "the site that the others are held against");
    let truth = ready().truth();
    let from = |what: &str, change: &mut dyn FnMut(&mut Vec<Source>, &mut Sweep) -> bool| {
        let verdict = verdict(&mut Change(change, 9_000));
        assert!(!verdict.is_ready(), "{what}: {verdict}");
    };
    from("a source is left out", &mut |rows, close| {
        rows.retain(|row| truth[&row.src] != Class::Nat);
        close.rows = rows.len() as u64;
        true
    });
    from("half the sweeps are left out", &mut |_, close| close.seq % 2 == 0);
    from("a source sent less", &mut |rows, _| {
        for row in rows.iter_mut().filter(|row| truth[&row.src] == Class::Nat) {
            row.packets /= 2;
        }
        true
    });
    from("a source is invented", &mut |rows, close| {
        let invented = rows.first().map(|row| Source { dst_port: 9, ..*row });
        rows.extend(invented);
        close.rows = rows.len() as u64;
        true
    });
    from("frames were not seen", &mut |_, close| {
        close.rx_packets = close.rx_packets.map(|frames| frames * 2);
        true
    });
    from("packets were evicted", &mut |_, close| {
        close.totals.tracked *= 2;
        close.totals.received += close.totals.tracked / 2;
        close.totals.passed = close.totals.received;
        close.rx_packets = Some(close.totals.received);
        close.evicted = close.totals.tracked / 2;
        true
    });
    from("the program was detached", &mut |_, close| {
        close.attached = false;
        true
    });
    assert!(!verdict(&mut Head(|header| header.evidence = "plain".into())).is_ready());
    assert!(!verdict(&mut Head(|header| header.program_sha256 = "0".repeat(64))).is_ready());
}
