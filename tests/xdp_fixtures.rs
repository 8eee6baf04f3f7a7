// SPDX-License-Identifier: MIT OR Apache-2.0
//! The sensor on frames, one by one through BPF_PROG_TEST_RUN: malformed ones, tunnels,
//! chains, random damage. Each frame must be passed unchanged and raise exactly the counter
//! that a slow reference parser names.

use ibsr_proto::ports::PortSet;
use ibsr_tests::frames::{Ext, Frame, ethertype, flag, protocol};
use ibsr_tests::prog::Sensor;
use test_tag::tag;

#[path = "xdp_fixtures/bench.rs"]
mod bench;
#[path = "xdp_fixtures/door.rs"]
mod door;
#[path = "xdp_fixtures/handshakes.rs"]
mod handshakes;
#[path = "xdp_fixtures/races.rs"]
mod races;
#[path = "xdp_fixtures/random.rs"]
mod random;
#[path = "xdp_fixtures/reference.rs"]
mod reference;

use bench::{Bench, compile};
use reference::Class;

/// A sensor of some ports, among them those of the frames here.
fn new_bench() -> Bench {
    let ports = ["443", "8000-8100"].map(|ports| ports.parse().expect("a port range"));
    Bench::new(&compile(), PortSet::from_ranges(&ports), true)
}

fn v4() -> Frame {
    Frame::v4([203, 0, 113, 9], [10, 77, 0, 1]).flags(flag::ACK)
}

fn v6() -> Frame {
    let host = |last| [0xfd77, 0, 0, 0, 0, 0, 0, last];
    Frame::v6(host(2), host(1)).flags(flag::ACK)
}

/// A class without what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    NonIp,
    Malformed,
    Fragment,
    OtherL4,
    Tcp,
}

impl From<Class> for Is {
    fn from(class: Class) -> Self {
        match class {
            Class::NonIp => Self::NonIp,
            Class::Malformed => Self::Malformed,
            Class::Fragment => Self::Fragment,
            Class::OtherL4 => Self::OtherL4,
            Class::Tcp(_) => Self::Tcp,
        }
    }
}

/// Runs a table: what the frame is, the frame, its class.
#[track_caller]
fn run<'a>(table: impl IntoIterator<Item = (&'a str, Frame, Is)>) {
    let mut bench = new_bench();
    for (what, frame, expected) in table {
        let class = bench.see(what, &frame.build());
        assert_eq!(Is::from(class), expected, "{what}");
    }
    bench.finish();
}

/// X1: every length of every kind of frame, cut or padded.
#[tag(root)]
#[test]
fn frames_of_every_length_are_passed_and_classed() {
    let mut bench = new_bench();
    let kinds = [
        v4().payload(&[7; 100]),
        v4().ip_options(&[1; 12]).tcp_options(&[1; 20]),
        v4().vlan(ethertype::VLAN, 5),
        v4().vlan(ethertype::QINQ, 5).vlan(ethertype::VLAN, 6),
        v4().vlan(ethertype::QINQ, 4).vlan(ethertype::VLAN, 5).vlan(ethertype::VLAN, 6),
        v6().payload(&[7; 60]),
        v6().vlan(ethertype::QINQ, 5).vlan(ethertype::VLAN, 6),
        v6().ext(Ext::HopByHop(0)).ext(Ext::Auth(4)).ext(Ext::Fragment(0, false)),
        v4().protocol(protocol::UDP).raw(&[0; 8]),
        v4().ethertype(ethertype::ARP),
    ];
    for length in (14..=128).chain([1_500, 3_520, 9_000]) {
        for kind in &kinds {
            bench.see("cut", &kind.clone().cut_to(length).build());
            bench.see("padded", &kind.clone().pad_to(length).build());
        }
    }
    bench.finish();
}

/// X1: a datagram that fills its frame, up to what does not fit into one page.
#[tag(root)]
#[test]
fn long_datagrams_are_tracked_with_all_their_bytes() {
    let long = |frame: Frame, bytes: usize| frame.payload(&vec![7; bytes]);
    run([
        ("1500 bytes", long(v4(), 1_446), Is::Tcp),
        ("9000 bytes of IPv4", long(v4(), 8_946), Is::Tcp),
        ("9000 bytes of IPv6", long(v6(), 8_926), Is::Tcp),
        ("the longest IPv4 datagram", long(v4(), 65_495), Is::Tcp),
        ("BIG TCP without a length", long(v4(), 66_000).ip_length(0), Is::Tcp),
        ("a jumbogram", long(v6(), 66_000).ext(Ext::HopByHop(0)).ip_length(0), Is::Tcp),
    ]);
}

/// X2: header lengths from 0 to 15 words, with the options that they promise or without.
#[tag(root)]
#[test]
fn every_ipv4_header_length_is_judged() {
    run((0..=15).map(|words| {
        let options = vec![1; usize::from(words).saturating_sub(5) * 4];
        let expected = if words < 5 { Is::Malformed } else { Is::Tcp };
        ("options as promised", v4().ip_options(&options).ihl(words), expected)
    }));
    run((6..=15).map(|words| ("options missing", v4().ihl(words), Is::Malformed)));
    run((0..=15).filter(|&version| version != 4).map(|version| {
        ("another version than the EtherType's", v4().ip_version(version), Is::Malformed)
    }));
}

/// X2: total lengths below, at and beyond what is there.
#[tag(root)]
#[test]
fn every_ipv4_total_length_is_judged() {
    run((0..=80).map(|bytes| {
        let expected = if (40..=60).contains(&bytes) { Is::Tcp } else { Is::Malformed };
        ("60 bytes of datagram", v4().payload(&[7; 20]).ip_length(bytes), expected)
    }));
    run([
        ("padding does not belong to the datagram", v4().pad_to(60), Is::Tcp),
        ("options in the padding", v4().doff(6).pad_to(60), Is::Malformed),
        ("a header in the padding", v4().ip_length(20).pad_to(60), Is::Malformed),
        ("no length in a short frame", v4().ip_length(0), Is::Malformed),
        ("UDP of no bytes", v4().protocol(protocol::UDP).raw(&[]), Is::OtherL4),
    ]);
}

/// X2: fragments are never read as TCP; a first one that holds the whole header neither.
#[tag(root)]
#[test]
fn ipv4_fragments_are_a_class_of_their_own() {
    run([
        ("first", v4().fragment(0, true), Is::Fragment),
        ("middle", v4().fragment(100, true), Is::Fragment),
        ("last", v4().fragment(0x1fff, false), Is::Fragment),
        ("of UDP", v4().protocol(protocol::UDP).fragment(1, false), Is::Fragment),
        ("with a lie in its length", v4().fragment(0, true).ip_length(99), Is::Malformed),
    ]);
}

/// X3: chains of one kind and of all, up to the limit and beyond.
#[tag(root)]
#[test]
fn extension_chains_are_followed_to_the_limit() {
    const KINDS: [Ext; 6] = [
        Ext::HopByHop(0),
        Ext::Destination(3),
        Ext::Routing(1),
        Ext::Mobility(0),
        Ext::Auth(4),
        Ext::Fragment(0, false),
    ];
    let chain = |length: usize, kind: &dyn Fn(usize) -> Ext| {
        let frame = (0..length).map(kind).fold(v6(), Frame::ext);
        ("a chain", frame, if length <= 8 { Is::Tcp } else { Is::OtherL4 })
    };
    run((0..=20).map(|length| chain(length, &|at| KINDS[at % 6])));
    for kind in KINDS {
        run((0..=20).map(|length| chain(length, &|_| kind)));
    }
    run([("the longest header", v6().ext(Ext::Destination(255)), Is::Tcp)]);
}

/// X3: 16 KiB of headers do not fit into the first buffer, and the sensor reads no other.
#[tag(root)]
#[test]
fn headers_beyond_the_first_buffer_are_counted_as_cut_short() {
    let sensor = Sensor::load(&PortSet::all(), 1024);
    sensor.see(&(0..8).map(|_| Ext::Destination(255)).fold(v6(), Frame::ext).build());
    assert_eq!(sensor.totals().malformed, 1);
}

/// X3: fragments, authentication, headers that do not fit, lies about the length.
#[tag(root)]
#[test]
fn ipv6_headers_are_judged() {
    let udp = |bytes: &[u8]| v6().protocol(protocol::UDP).raw(bytes);
    run([
        ("first fragment", v6().ext(Ext::Fragment(0, true)), Is::Fragment),
        ("other fragment", v6().ext(Ext::Fragment(9, false)), Is::Fragment),
        ("atomic fragment", v6().ext(Ext::Fragment(0, false)), Is::Tcp),
        ("authenticated", v6().ext(Ext::Auth(4)), Is::Tcp),
        ("AH shorter than itself", v6().ext(Ext::Auth(0)), Is::Malformed),
        ("nothing follows", v6().protocol(protocol::NONE).raw(&[]), Is::OtherL4),
        ("UDP of no bytes", udp(&[]), Is::OtherL4),
        ("an extension of no bytes", v6().protocol(0).raw(&[]), Is::Malformed),
        ("an extension in the padding", v6().protocol(44).raw(&[]).pad_to(80), Is::Malformed),
        ("half an extension", v6().protocol(60).raw(&[6, 0, 0, 0]).pad_to(80), Is::Malformed),
        (
            "options beyond the datagram",
            v6().protocol(60).raw(&[6, 9, 0, 0, 0, 0, 0, 0]),
            Is::Malformed,
        ),
        ("payload length beyond the frame", v6().ip_length(21), Is::Malformed),
        ("payload length below TCP", v6().ip_length(19), Is::Malformed),
        ("payload length 0", v6().ip_length(0), Is::Malformed),
        ("a jumbo claim", v6().ext(Ext::HopByHop(0)).ip_length(0), Is::Malformed),
        ("another version", v6().ip_version(4), Is::Malformed),
    ]);
}

/// X3: payload lengths below, at and beyond what is there.
#[tag(root)]
#[test]
fn every_ipv6_payload_length_is_judged() {
    run((0..=60).map(|bytes| {
        let expected = if (20..=40).contains(&bytes) { Is::Tcp } else { Is::Malformed };
        ("40 bytes of payload", v6().payload(&[7; 20]).ip_length(bytes), expected)
    }));
    run((0..=60).map(|bytes| {
        let frame = v6().ext(Ext::Destination(0)).ext(Ext::Auth(1)).ip_length(bytes);
        ("8 and 12 bytes of headers", frame, if bytes == 40 { Is::Tcp } else { Is::Malformed })
    }));
}

/// X3: only the six kinds that the sensor knows are stepped over: TCP behind any other
/// header, encrypted or experimental, is not looked for.
#[tag(root)]
#[test]
fn every_next_header_is_judged() {
    let tcp = &v6().build()[14 + 40..];
    run((0..=255).map(|kind| {
        let carried = [&[protocol::TCP, 0, 0, 0, 0, 0, 0, 0], tcp].concat();
        let expected = match kind {
            0 | 43 | 44 | 60 | 135 => Is::Tcp,
            // AH says a length of 0 here, below its own fixed part.
            protocol::TCP | 51 => Is::Malformed,
            _ => Is::OtherL4,
        };
        ("TCP behind 8 bytes", v6().protocol(kind).raw(&carried), expected)
    }));
}

/// X4: what carries TCP inside something else is never taken for TCP of the outer sender.
#[tag(root)]
#[test]
fn tags_and_tunnels_have_their_class() {
    let tagged = |tpids: &[u16]| tpids.iter().fold(v4(), |frame, &tpid| frame.vlan(tpid, 7));
    let inner = &v4().build()[14..];
    let gre = [&[0, 0, 8, 0], inner].concat();
    let inner_v6 = &v6().build()[14..];
    let udp_and_vxlan = [0x9c, 0x40, 0x12, 0xb5, 0, 70, 0, 0, 8, 0, 0, 0, 0, 0, 5, 0];
    let vxlan = [&udp_and_vxlan[..], &v4().build()].concat();
    let qinq = || tagged(&[ethertype::QINQ, ethertype::VLAN]);
    run([
        ("802.1Q", tagged(&[ethertype::VLAN]), Is::Tcp),
        ("802.1ad", tagged(&[ethertype::QINQ]), Is::Tcp),
        ("QinQ", tagged(&[ethertype::QINQ, ethertype::VLAN]), Is::Tcp),
        ("802.1Q twice", tagged(&[ethertype::VLAN; 2]), Is::Tcp),
        ("IPv6 in QinQ", v6().vlan(ethertype::QINQ, 1).vlan(ethertype::VLAN, 2), Is::Tcp),
        ("three tags", tagged(&[ethertype::VLAN; 3]), Is::NonIp),
        ("an old QinQ type", tagged(&[0x9100]), Is::NonIp),
        ("PPPoE", v4().ethertype(ethertype::PPPOE), Is::NonIp),
        ("MPLS", v4().ethertype(ethertype::MPLS), Is::NonIp),
        ("ARP", v4().ethertype(ethertype::ARP), Is::NonIp),
        ("an 802.3 length", v4().ethertype(46), Is::NonIp),
        ("no EtherType", v4().ethertype(0), Is::Malformed),
        ("GRE", v4().protocol(protocol::GRE).raw(&gre), Is::OtherL4),
        ("IP in IP", v4().protocol(protocol::IPIP).raw(inner), Is::OtherL4),
        ("IP in IPv6", v6().protocol(protocol::IPIP).raw(inner), Is::OtherL4),
        ("IPv6 in IP", v4().protocol(41).raw(inner_v6), Is::OtherL4),
        ("IPv6 in IPv6", v6().protocol(41).raw(inner_v6), Is::OtherL4),
        ("VXLAN", v4().protocol(protocol::UDP).raw(&vxlan), Is::OtherL4),
        ("MPLS behind a tag", tagged(&[ethertype::VLAN]).ethertype(ethertype::MPLS), Is::NonIp),
        ("PPPoE behind two", qinq().ethertype(ethertype::PPPOE), Is::NonIp),
        ("802.1ad three times", tagged(&[ethertype::QINQ; 3]), Is::NonIp),
        ("IPv4 in three, the last an old type", qinq().vlan(0x9100, 7), Is::NonIp),
        ("IPv6 said, IPv4 carried", v4().ethertype(ethertype::IPV6), Is::Malformed),
    ]);
}

/// X5: every header length of TCP, with the options that it promises or without.
#[tag(root)]
#[test]
fn every_tcp_header_length_is_judged() {
    run((0..=15).map(|words| {
        let options = vec![1; usize::from(words).saturating_sub(5) * 4];
        let expected = if words < 5 { Is::Malformed } else { Is::Tcp };
        ("options as promised", v4().tcp_options(&options).doff(words), expected)
    }));
    run((6..=15).map(|words| ("options missing", v6().doff(words), Is::Malformed)));
}

/// X5: every combination of flags, with and without data, over both versions; the bench
/// compares what each source shows.
#[tag(root)]
#[test]
fn every_combination_of_flags_is_counted() {
    let data: [&[u8]; 2] = [&[], b"data"];
    run((0..=255).flat_map(|flags| {
        data.into_iter().flat_map(move |data| {
            [v4(), v6()].map(|frame| ("flags", frame.flags(flags).payload(data), Is::Tcp))
        })
    }));
}

/// X5: the four bits beside the header length, one of them a flag since RFC 9768, change
/// neither the length nor what the eight flags say.
#[tag(root)]
#[test]
fn flags_beside_the_header_length_change_nothing() {
    let mut bench = new_bench();
    for bits in 0..1 << 12 {
        let [high, low] = u16::to_be_bytes(bits);
        let mut frame = v4().flags(low).build();
        frame[14 + 20 + 12] |= high;
        assert_eq!(Is::from(bench.see("twelve bits", &frame)), Is::Tcp);
    }
    bench.finish();
}

/// X5: ports at the edges of what is selected.
#[tag(root)]
#[test]
fn only_selected_ports_are_tracked() {
    let mut bench = new_bench();
    for port in [0, 442, 443, 444, 7_999, 8_000, 8_050, 8_100, 8_101, u16::MAX] {
        bench.see("a port", &v4().ports(443, port).build());
    }
    assert_eq!((bench.totals().tracked, bench.totals().other_port), (4, 6));
    bench.finish();
}
