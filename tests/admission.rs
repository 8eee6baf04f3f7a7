// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who gets an entry, and in which table: the doorkeeper, the proof, and the law that says
//! where each packet went. The real sensor, frames one by one through BPF_PROG_TEST_RUN; proven
//! sources have real connections, over the loopback of a namespace of the test's own.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};

use ibsr_proto::abi::{Losses, PORT_CELLS, ProofKind, SourceCounts, SourceKey, Table};
use ibsr_proto::ports::PortSet;
use ibsr_tests::frames::{Frame, flag};
use ibsr_tests::netns::Namespace;
use ibsr_tests::prog::{Compiled, Knobs, Sensor, TABLES, compilers};
use libbpf_rs::{MapCore as _, MapFlags};
use test_tag::tag;
use zerocopy::FromBytes as _;

const HOST: [u8; 4] = [127, 0, 0, 1];
const SYN: u8 = flag::SYN;
const ACK: u8 = flag::ACK;
const PROVEN: bool = true;
const UNPROVEN: bool = false;
const PORT: u16 = 443;

/// Loads the sensor with one table and these knobs.
type Load<'a> = &'a (dyn Fn(Knobs<'_>) -> Sensor + Sync);

fn with_each_table(check: impl Fn(Load<'_>)) {
    TABLES.into_iter().for_each(|table| with(table, &check));
}

fn with(table: Table, check: impl Fn(Load<'_>)) {
    let compiled = Compiled::sensor(&compilers().pop().expect("a compiler"));
    check(&|knobs| Sensor::load_with(&compiled, table, &PortSet::all(), 10_000, knobs));
}

fn key(source: [u8; 4], dst_port: u16) -> SourceKey {
    let [a, b, c, d] = source;
    SourceKey { addr: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d], dst_port, pad: 0 }
}

fn frame(source: [u8; 4], port: u16, flags: u8) -> Vec<u8> {
    Frame::v4(source, HOST).ports(40_000, port).flags(flags).build()
}

fn counts(entry: SourceCounts) -> [u64; 5] {
    let SourceCounts { packets, bytes, syn, ack, handshakes, .. } = entry;
    [packets, bytes, syn, ack, handshakes]
}

/// Packets of each used cell: port (none for the last), SYN, ACK, other, bytes.
fn losses(sensor: &Sensor) -> Vec<(Option<u16>, [u64; 4])> {
    let map = sensor.map("ibsr_losses");
    let cpus = map.lookup_percpu(&0_u32.to_ne_bytes(), MapFlags::ANY).expect("readable");
    let mut sum = BTreeMap::<_, [u64; 4]>::new();
    for cpu in cpus.expect("entry 0 of an array exists") {
        let cells = <Losses>::ref_from_bytes(&cpu).expect("the ABI");
        for (at, of) in cells.iter().enumerate().filter(|(_, of)| of.is_used != 0) {
            let port = u16::try_from(of.port).ok().filter(|_| at < PORT_CELLS);
            let sum = sum.entry(port).or_default();
            *sum = [sum[0] + of.syn, sum[1] + of.ack, sum[2] + of.other, sum[3] + of.bytes];
        }
    }
    sum.into_iter().collect()
}

/// Everything tracked is in an entry, waits, or is in a cell.
#[track_caller]
fn assert_conserved(sensor: &Sensor) {
    let totals = sensor.totals();
    let entries: u64 = sensor.entries().iter().map(|(.., entry)| entry.packets).sum();
    assert_eq!(totals.evicted(entries), Ok(0), "{totals:?}, {entries} in entries");
    let lost: u64 = losses(sensor).iter().map(|(_, [syn, ack, other, _])| syn + ack + other).sum();
    assert!(lost <= totals.missed(), "{lost} lost of {} missed", totals.missed());
}

#[tag(root)]
#[test]
fn the_first_packet_waits_and_the_second_brings_it_along() {
    with_each_table(|sensor| {
        let (sensor, peer) = (sensor(&[]), [10, 1, 2, 3]);
        let (syn, ack) = (frame(peer, PORT, SYN), frame(peer, PORT, ACK));
        sensor.see(&syn);
        assert_eq!((sensor.sources().len(), sensor.totals().unattributed), (0, 1));
        assert_conserved(&sensor);
        sensor.see(&ack);
        let entry = sensor.source_of(&key(peer, PORT), UNPROVEN).expect("admitted");
        assert_eq!(counts(entry), [2, (syn.len() + ack.len()) as u64, 1, 1, 0]);
        let totals = sensor.totals();
        assert_eq!((totals.unattributed, totals.resumed, totals.inserted), (1, 1, 1));
        assert_conserved(&sensor);
        assert_eq!(losses(&sensor), []);
    });
}

/// A scan sends one packet to each port: the address is what waits, so no port of it does.
#[tag(root)]
#[test]
fn a_scan_of_many_ports_waits_once() {
    with_each_table(|sensor| {
        let (sensor, peer) = (sensor(&[]), [10, 1, 2, 3]);
        for port in 1..=100 {
            sensor.see(&frame(peer, port, SYN));
        }
        assert_eq!(sensor.sources().len(), 100);
        assert!(sensor.sources().values().all(|entry| entry.packets == 1 && entry.syn == 1));
        assert_eq!(sensor.totals().missed(), 0);
        assert_conserved(&sensor);
    });
}

/// Each flag that waits comes back as it was.
#[tag(root)]
#[test]
fn what_waited_is_counted_as_it_was() {
    with_each_table(|sensor| {
        let sensor = sensor(&[]);
        for flags in 0..64_u8 {
            let peer = [10, 1, 2, flags];
            let waited = Frame::v4(peer, HOST).ports(1, PORT).flags(flags).pad_to(900).build();
            sensor.see(&waited);
            sensor.see(&frame(peer, 80, SYN));
            let entry = sensor.source(&key(peer, PORT)).expect("resumed");
            let has = |bit: u8| u64::from(flags & bit != 0);
            assert_eq!((entry.packets, entry.bytes), (1, 900));
            assert_eq!(
                (entry.ack, entry.fin, entry.rst),
                (has(ACK), has(flag::FIN), has(flag::RST))
            );
            assert_eq!(entry.syn, u64::from(flags & SYN != 0 && flags & ACK == 0));
        }
    });
}

/// X7: a flood of addresses that send one packet each makes no entry, evicts nobody, and every
/// packet of it is in a cell or waits. A client with a connection keeps each of its counts.
/// (`make bench-flood` does the same with ten million.)
#[tag(root)]
#[test]
fn a_flood_of_new_addresses_makes_no_entry_and_costs_a_client_nothing() {
    with_each_table(|sensor| {
        inside_a_namespace(|| {
            let (listener, sensor) = (listen(), sensor(&[]));
            let client = Client::connect(&listener);
            let (flood, every) = (200_000_u32, 1000);
            for number in 0..flood {
                let [_, b, c, d] = number.to_be_bytes();
                sensor.see(&frame([20 + b, c, d, 1], 8000 + (number % 3) as u16, SYN));
                if number % every == 0 {
                    sensor.see(&client.frame(ACK));
                }
            }
            let entry = sensor.source_of(&client.key(), PROVEN).expect("still there");
            assert_eq!(entry.packets, u64::from(flood / every));
            let totals = sensor.totals();
            // Of 2^45 pairs one is taken for the other; there are 2^34 pairs here.
            assert!(sensor.entries().len() <= 3, "{} entries", sensor.entries().len());
            assert!(totals.missed() >= u64::from(flood) - 4);
            assert_conserved(&sensor);
            let lost = losses(&sensor);
            assert!(lost.iter().all(|(port, _)| matches!(port, Some(8000..=8002))), "{lost:?}");
            let lost_packets: u64 = lost.iter().map(|(_, [syn, ..])| syn).sum();
            // The door has room for a million: these displace one in about twelve.
            assert!((1_000..100_000).contains(&lost_packets), "{lost_packets}");
        });
    });
}

/// Ports 256 apart share a cell: the first keeps it, the others are counted without a name.
#[tag(root)]
#[test]
fn ports_that_share_a_cell_are_never_mixed_up() {
    with_each_table(|sensor| {
        let sensor = sensor(&[("ibsr_insert_cap", &[0; 4])]);
        for (port, times) in [(443, 3), (443 + 256, 5)] {
            for _ in 0..times {
                sensor.see(&frame([10, 0, 0, 1], port, ACK));
            }
        }
        let lost = losses(&sensor);
        let packets =
            |of: Option<u16>| lost.iter().find(|(port, _)| *port == of).map(|(_, c)| c[1]);
        // Nothing may be inserted, so what waited is lost as well.
        assert_eq!((packets(Some(443)), packets(None)), (Some(3), Some(5)), "{lost:?}");
        assert_eq!(sensor.totals().missed(), 8);
        assert_conserved(&sensor);
    });
}

/// The cap bounds what a flood that knocks twice can make the sensor insert.
#[tag(root)]
#[test]
fn inserts_of_unproven_sources_are_capped() {
    with_each_table(|sensor| {
        let cap = 50_u32;
        let sensor = sensor(&[("ibsr_insert_cap", &cap.to_ne_bytes())]);
        for number in 0..1000_u32 {
            let [_, b, c, d] = number.to_be_bytes();
            for _ in 0..2 {
                sensor.see(&frame([30 + b, c, d, 1], PORT, SYN));
            }
        }
        let totals = sensor.totals();
        // The run may cross from one second into the next, or into a third on a busy machine.
        assert!((50..=150).contains(&totals.inserted), "{} inserts", totals.inserted);
        assert_eq!(totals.missed(), 2 * (1000 - totals.inserted));
        assert_conserved(&sensor);
    });
}

/// A real connection over loopback, and frames of its client.
struct Client {
    _streams: [TcpStream; 2],
    from: SocketAddrV4,
    to: SocketAddrV4,
}

impl Client {
    fn connect(listener: &TcpListener) -> Self {
        let SocketAddr::V4(to) = listener.local_addr().expect("bound") else { panic!("IPv4") };
        let stream = TcpStream::connect(to).expect("somebody listens");
        let SocketAddr::V4(from) = stream.local_addr().expect("connected") else { panic!("IPv4") };
        let (accepted, _) = listener.accept().expect("it connected");
        Self { _streams: [stream, accepted], from, to }
    }

    fn frame(&self, flags: u8) -> Vec<u8> {
        let (from, to) = (self.from.ip().octets(), self.to.ip().octets());
        Frame::v4(from, to).ports(self.from.port(), self.to.port()).flags(flags).build()
    }

    fn key(&self) -> SourceKey {
        key(self.from.ip().octets(), self.to.port())
    }
}

fn listen() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback is up")
}

fn inside_a_namespace(test: impl FnOnce() + Send) {
    Namespace::new("admission").inside(test);
}

#[tag(root)]
#[test]
fn an_established_connection_proves_its_source_at_its_second_packet() {
    with_each_table(|sensor| {
        inside_a_namespace(|| {
            let (listener, sensor) = (listen(), sensor(&[]));
            let client = Client::connect(&listener);
            sensor.see(&client.frame(ACK));
            assert_eq!(sensor.entries().len(), 0, "nobody is asked about a first packet");
            sensor.see(&client.frame(ACK));
            let entry = sensor.source_of(&client.key(), PROVEN).expect("proven by its socket");
            assert_eq!((entry.packets, entry.ack), (2, 2));
            assert_eq!(sensor.totals().promoted, 1);
            assert_conserved(&sensor);
        });
    });
}

/// What a spoofer can send finds the listener at most, and a listener proves nothing.
#[tag(root)]
#[test]
fn neither_a_listener_nor_a_reset_proves_a_source() {
    with_each_table(|sensor| {
        inside_a_namespace(|| {
            let (listener, sensor) = (listen(), sensor(&[]));
            let client = Client::connect(&listener);
            let stranger = Client { from: SocketAddrV4::new([127, 9, 9, 9].into(), 4), ..client };
            for flags in [SYN, ACK, ACK | SYN, flag::RST, flag::RST | ACK, 0] {
                (0..20).for_each(|_| sensor.see(&stranger.frame(flags)));
            }
            assert_eq!(sensor.source_of(&stranger.key(), PROVEN), None);
            assert!(sensor.source_of(&stranger.key(), UNPROVEN).is_some());
            assert_conserved(&sensor);
        });
    });
}

/// The first life of a source stays as it was; what it sends from then on is in the second.
#[tag(root)]
#[test]
fn a_source_that_becomes_proven_goes_on_in_a_second_life() {
    with(Table::Lru, |sensor| {
        inside_a_namespace(|| {
            let (listener, sensor) = (listen(), sensor(&[]));
            let client = Client::connect(&listener);
            (0..3).for_each(|_| sensor.see(&client.frame(SYN)));
            let first = sensor.source_of(&client.key(), UNPROVEN).expect("admitted");
            (0..5).for_each(|_| sensor.see(&client.frame(ACK)));
            let second = sensor.source_of(&client.key(), PROVEN).expect("proven");
            assert_eq!(sensor.source_of(&client.key(), UNPROVEN), Some(first));
            assert_eq!((first.packets, second.packets, second.ack), (3, 5, 5));
            assert!(second.born_boot_ns > first.born_boot_ns);
            assert_conserved(&sensor);
        });
    });
}

/// In the set-associative table its entry becomes a proven one and keeps its counts.
#[tag(root)]
#[test]
fn a_source_that_becomes_proven_keeps_its_entry_in_the_set_associative_table() {
    with(Table::Sets, |sensor| {
        inside_a_namespace(|| {
            let (listener, sensor) = (listen(), sensor(&[]));
            let client = Client::connect(&listener);
            (0..3).for_each(|_| sensor.see(&client.frame(SYN)));
            let first = sensor.source_of(&client.key(), UNPROVEN).expect("admitted");
            (0..5).for_each(|_| sensor.see(&client.frame(ACK)));
            let second = sensor.source_of(&client.key(), PROVEN).expect("proven");
            assert_eq!(sensor.source_of(&client.key(), UNPROVEN), None);
            assert_eq!((first.packets, second.packets, second.ack), (3, 8, 5));
            assert_eq!(second.born_boot_ns, first.born_boot_ns);
            assert_eq!((sensor.totals().promoted, sensor.totals().inserted), (1, 1));
            assert_conserved(&sensor);
        });
    });
}

/// On a host that forwards there is no socket: with this knob a handshake seen is the proof.
#[tag(root)]
#[test]
fn a_handshake_proves_a_source_where_that_is_the_proof() {
    with_each_table(|sensor| {
        let proof = (ProofKind::Handshake as u32).to_ne_bytes();
        let (sensor, peer) = (sensor(&[("ibsr_proof", &proof)]), [10, 1, 2, 3]);
        sensor.see(&Frame::v4(peer, HOST).ports(5, PORT).flags(SYN).seq(7).build());
        sensor.see(&Frame::v4(peer, HOST).ports(5, PORT).flags(ACK).seq(8).build());
        let entry = sensor.source_of(&key(peer, PORT), PROVEN).expect("proven");
        assert_eq!((entry.packets, entry.syn, entry.ack, entry.handshakes), (2, 1, 1, 1));
        assert_eq!(sensor.totals().missed(), 0, "its SYN waited and came along");
        assert_conserved(&sensor);
    });
}
