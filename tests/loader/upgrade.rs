// SPDX-License-Identifier: MIT OR Apache-2.0
//! L14: another program or other settings behind the same link, while packets flow: every
//! packet arrives and every packet is counted.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ibsr_proto::abi::Evidence;
use ibsr_tests::netns::{HOST_V4, Pair, run};
use test_tag::tag;

use crate::altered::{equivalent_end, loader_with_end};
use crate::world::{World, read_totals};

/// Numbered datagrams from the peer to the host until stopped.
struct Stream {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<u64>,
    receiver: JoinHandle<u64>,
}

const PORT: u16 = 9009;
/// A pace that one CPU carries without its socket buffer ever being full.
const PACE: Duration = Duration::from_micros(200);
const END: Duration = Duration::from_secs(2);

impl Stream {
    fn start(pair: &Pair) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let inbound = pair.host.inside(|| UdpSocket::bind((HOST_V4, PORT)).expect("a free port"));
        inbound.set_read_timeout(Some(END)).expect("a socket");
        let receiver = thread::spawn(move || {
            let mut next = 0;
            let mut number = [0; 8];
            while inbound.recv(&mut number).is_ok() {
                assert_eq!(u64::from_le_bytes(number), next, "lost or reordered");
                next += 1;
            }
            next
        });
        let outbound = pair.peer.inside(|| UdpSocket::bind(("0.0.0.0", 0)).expect("a free port"));
        outbound.connect((HOST_V4, PORT)).expect("a route");
        let stopped = Arc::clone(&stop);
        let sender = thread::spawn(move || {
            let mut sent: u64 = 0;
            while !stopped.load(Ordering::Relaxed) {
                outbound.send(&sent.to_le_bytes()).expect("the wire is up");
                sent += 1;
                thread::sleep(PACE);
            }
            sent
        });
        Self { stop, sender, receiver }
    }

    /// Packets sent, all of them received in order.
    fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.sender.join().expect("sent");
        assert_eq!(self.receiver.join().expect("nothing lost"), sent);
        assert!(sent > 100, "only {sent} packets: too few to mean anything");
        sent
    }
}

/// With other maps a program begins anew: those of exclusive maps, and the set-associative one,
/// in which a source is where the seed of the program put it.
const KEEPS_MAPS: &str = "--table lru --evidence frozen";

/// L14: an equivalent program of another build: same link, same maps, same epoch, new digest;
/// not one packet is lost or uncounted.
#[tag(root)]
#[test]
fn a_new_program_of_the_same_layout_continues_the_counters() {
    let world = World::new();
    let tmp = tempfile::tempdir().expect("a temporary directory");
    let other = loader_with_end(&world.loader, tmp.path(), equivalent_end());
    let _said = world.attach(KEEPS_MAPS);
    let (link, before, own) = (world.link_id(), world.meta(), world.loader.clone());
    let stream = Stream::start(&world.pair);
    let mut world = World { loader: other.clone(), ..world };
    for round in 0..6 {
        world.loader = if round % 2 == 0 { other.clone() } else { own.clone() };
        let _said = world.attach(KEEPS_MAPS).expect_stderr("counters continue");
        assert_eq!(world.link_id(), link);
        world.assert_healthy();
        let meta = world.meta();
        assert_eq!((meta.epoch, meta.attached_boot_ns), (before.epoch, before.attached_boot_ns));
        assert_eq!(meta.program_sha256 == before.program_sha256, round % 2 == 1);
    }
    let sent = stream.finish();
    assert_eq!(world.totals().other_l4, sent, "every packet is counted, once");
    world.assert_detaches();
}

/// L14: maps that are bound to the program before take no other one, so the same link gets
/// new maps with it: no packet is lost, and both epochs together hold every one.
#[tag(root)]
#[test]
fn a_new_program_of_exclusive_maps_begins_a_new_epoch_without_a_gap() {
    let world = World::new();
    let tmp = tempfile::tempdir().expect("a temporary directory");
    let other = loader_with_end(&world.loader, tmp.path(), equivalent_end());
    let _said = world.attach("");
    if world.meta().evidence < Evidence::Exclusive as u32 {
        eprintln!("skipped: this kernel has no exclusive maps");
        return;
    }
    let (link, before, old) = (world.link_id(), world.meta(), world.totals_map());
    let stream = Stream::start(&world.pair);
    let world = World { loader: other, ..world };
    let planned = world.attach("--dry-run");
    assert!(planned.stdout.contains("bound to the program before"), "{}", planned.stdout);
    let _said = world.attach("").expect_stderr("a new epoch begins");
    let _said = world.attach("").expect_stderr("already attached, nothing to do");
    assert_eq!(world.link_id(), link);
    world.assert_healthy();
    assert_ne!(world.meta().epoch, before.epoch);
    let sent = stream.finish();
    let new = world.totals_map();
    assert_eq!(read_totals(&old).other_l4 + read_totals(&new).other_l4, sent);
    world.assert_detaches();
}

/// L14: other settings: same link, new maps, new epoch; the old maps hold everything up to the
/// switch and the new ones everything after it.
#[tag(root)]
#[test]
fn other_settings_begin_a_new_epoch_without_a_gap() {
    let world = World::new();
    let _said = world.attach("");
    let (link, mut epochs) = (world.link_id(), vec![world.meta().epoch]);
    let stream = Stream::start(&world.pair);
    let mut maps = vec![world.totals_map()];
    for args in ["--dst-port 443", "--proof handshake", "--max-sources 5000", "--admit-first", ""] {
        let _said = world.attach(args).expect_stderr("a new epoch begins");
        assert_eq!(world.link_id(), link);
        world.assert_healthy();
        epochs.push(world.meta().epoch);
        maps.push(world.totals_map());
    }
    let sent = stream.finish();
    let counted: Vec<u64> = maps.iter().map(|map| read_totals(map).other_l4).collect();
    assert_eq!(counted.iter().sum::<u64>(), sent, "{counted:?}");
    epochs.sort_unstable();
    epochs.dedup();
    assert_eq!(epochs.len(), 6, "each set of maps has an epoch of its own");
    world.assert_detaches();
}

/// L14: maps that another release laid out are replaced behind the same link, and reported as
/// such until then.
#[tag(root)]
#[test]
fn maps_of_another_release_are_replaced_behind_the_same_link() {
    let world = World::new();
    let _said = world.attach("");
    let link = world.link_id();
    let meta = world.dir().join("meta");
    std::fs::remove_file(&meta).expect("root may");
    run(std::process::Command::new("bpftool")
        .args(["map", "create"])
        .arg(&meta)
        .args("type array key 4 value 8 entries 1 name ibsr_meta".split_whitespace()));
    let (code, scope) = world.status();
    let problem = scope["problems"][0]["problem"].as_str().expect("a problem");
    assert_eq!(code, 1);
    assert!(problem.contains("`meta` holds 8 bytes"), "{problem}");
    let stream = Stream::start(&world.pair);
    let _said = world.attach("").expect_stderr("a new epoch begins");
    assert_eq!(world.link_id(), link);
    world.assert_healthy();
    let _sent = stream.finish();
    world.assert_detaches();
}
