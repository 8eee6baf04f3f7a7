// SPDX-License-Identifier: MIT OR Apache-2.0
//! Other programs or other settings behind the same links, while connections come and go: each
//! has its row, and each packet is counted once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ibsr_proto::cgroup_abi::step;
use test_tag::tag;

use crate::altered::loader_with;
use crate::cgroup_site::{Site, Talk, all_pins, flows_of, totals_of};
use crate::world::names;

/// `w0 = 1` and `exit`, as clang writes the end of a program, and `r0 = 1` instead.
const END: [u8; 16] = [0xb4, 0, 0, 0, 1, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];
const EQUIVALENT: [u8; 16] = [0xb7, 0, 0, 0, 1, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];
const DENY: [u8; 16] = [0xb4, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];

/// Connections without pause while `during` runs; the cookies of all of them.
fn while_connecting(mut talk: Talk, during: impl FnOnce()) -> Vec<u64> {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let load = thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            talk.connect_once();
        }
        talk.sockets
    });
    during();
    stop.store(true, Ordering::Relaxed);
    let sockets = load.join().expect("every connection came about");
    assert!(sockets.len() > 50, "only {} connections", sockets.len());
    sockets
}

/// Programs of another build keep the maps and the epoch: every connection is one row with all
/// its steps, and the law holds over all of it.
#[tag(root)]
#[test]
fn other_programs_of_the_same_layout_continue_the_counters() {
    let site = Site::new();
    let tmp = tempfile::tempdir().expect("a temporary directory");
    let other = loader_with(&site.loader, tmp.path(), &END, &EQUIVALENT);
    let own = site.loader.clone();
    let _said = site.attach("");
    let before = site.meta();
    let talk = Talk::start(&site.cgroup);
    let mut site = site;
    let sockets = while_connecting(talk, || {
        for round in 0..4 {
            site.loader = if round % 2 == 0 { other.clone() } else { own.clone() };
            let _said = site.attach("").expect_stderr("counters continue");
            site.assert_healthy();
            let meta = site.meta();
            let same = (before.epoch, before.attached_boot_ns, before.seed);
            assert_eq!((meta.epoch, meta.attached_boot_ns, meta.seed), same);
            assert_eq!(meta.program_sha256 == before.program_sha256, round % 2 == 1);
        }
    });
    let flows = flows_of(&site.flows_map());
    for socket in &sockets {
        let rows: Vec<_> = flows
            .iter()
            .filter(|(key, _)| key.socket == *socket && key.remote_addr != [0; 16])
            .collect();
        let [(_, flow)] = rows[..] else { panic!("one row of socket {socket}: {rows:#?}") };
        let all = step::CONNECTED | step::SYN_SENT | step::ESTABLISHED | step::RELEASED;
        assert_eq!(flow.steps & all, all, "{flow:#?}");
        assert!(flow.owner != 0 && flow.packets_out > 3 && flow.packets_in > 3, "{flow:#?}");
    }
    let packets = flows.iter().map(|(_, flow)| flow.packets_in + flow.packets_out).sum();
    assert_eq!(totals_of(&site.totals_map()).evicted(packets), Some(0), "the law");
    assert_eq!((names(site.pins.path()), site.pins()), (vec!["cg-site".to_owned()], all_pins()));
    site.assert_detaches();
}

/// Other settings begin a new epoch with new maps; the old and the new ones together have every
/// connection.
#[tag(root)]
#[test]
fn other_settings_begin_a_new_epoch_without_a_lost_connection() {
    let site = Site::new();
    let _said = site.attach("");
    let mut epochs = BTreeSet::from([site.meta().epoch]);
    let mut maps = vec![(site.flows_map(), site.totals_map())];
    let talk = Talk::start(&site.cgroup);
    let sockets = while_connecting(talk, || {
        for args in ["--max-flows 50000", "--max-owners 5000", "--max-flows 60000", ""] {
            let _said = site.attach(args).expect_stderr("a new epoch begins");
            site.assert_healthy();
            epochs.insert(site.meta().epoch);
            maps.push((site.flows_map(), site.totals_map()));
        }
    });
    assert_eq!(epochs.len(), 5, "each set of maps has an epoch of its own");
    let listed: BTreeSet<u64> = maps
        .iter()
        .flat_map(|(flows, _)| flows_of(flows))
        .filter(|(key, _)| key.remote_addr != [0; 16])
        .map(|(key, _)| key.socket)
        .collect();
    let lost: Vec<&u64> = sockets.iter().filter(|socket| !listed.contains(socket)).collect();
    assert!(lost.is_empty(), "{} of {} have no row", lost.len(), sockets.len());
    for (flows, totals) in &maps {
        let packets = flows_of(flows).iter().map(|(_, f)| f.packets_in + f.packets_out).sum();
        assert_eq!(totals_of(totals).evicted(packets), Some(0), "the law, in each epoch");
    }
    site.assert_detaches();
}

/// A program that could deny is refused before anything is loaded, and does not replace a good
/// one either.
#[tag(root)]
#[test]
fn a_program_that_could_deny_is_refused() {
    let site = Site::new();
    let tmp = tempfile::tempdir().expect("a temporary directory");
    let altered = loader_with(&site.loader, tmp.path(), &END, &DENY);
    let own = site.loader.clone();
    let mut site = Site { loader: altered.clone(), ..site };
    let refused = |site: &Site| {
        let said = site.run(&site.attach_args("--max-flows 99")).expect_code(2);
        let said = said.expect_stderr("is not proven to allow everything");
        let _said = said.expect_stderr("hint: the program file is damaged or altered");
    };
    refused(&site);
    assert!(!site.pins.path().exists() && site.programs() == 0);
    site.loader = own.clone();
    let _said = site.attach("");
    let before = site.meta();
    site.loader = altered;
    refused(&site);
    site.loader = own;
    assert_eq!(site.meta(), before);
    site.assert_healthy();
}
