// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every way past the DNS rules that is known: what becomes of it, written down where operators
//! read it. `IBSR_BLESS=1` writes the table of docs/safety.md; review it.

use std::fmt::Write as _;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs};

use ibsr_proto::guard_control::Hook;
use ibsr_tests::dns::{
    A, ASKED, IN, Responder, address, header, hex, mapped, question, reply, wire,
};

use ibsr_tests::frames::{Ext, Frame, protocol};
use ibsr_tests::netns::{HOST_IF, HOST_MAC, HOST_V4, HOST_V6, PEER_MAC, PEER_V4, PEER_V6};
use libbpf_rs::MapCore as _;
use test_tag::tag;

use crate::scene::{Scene, ip};

const BEGIN: &str = "<!-- bypass: begin, written by tests/guard/bypass.rs -->\n";
const END: &str = "<!-- bypass: end -->\n";
/// What is denied. As long as [`OTHER`]: segments of one send are of one length.
const DENIED: &str = "denied.test";
const OTHER: &str = "allows.test";
/// What the resolver answers to everything.
const ANSWER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 99, 0, 1));
/// What is on the way arrives within that.
const PATIENCE: Duration = Duration::from_millis(300);
const NO_MORE: Duration = Duration::from_secs(20);

/// Says the denied name in its own way; an errno when the sender was told.
type Send = fn(&mut Scene) -> Result<(), i32>;

const WAYS: [(&str, Send); 12] = [
    ("UDP", |scene| say(scene, &asks(DENIED))),
    ("UDP, in mixed case", |scene| say(scene, &asks("dEnIeD.TeSt"))),
    ("UDP, two datagrams in one send (`UDP_SEGMENT`)", in_one_send),
    ("UDP, two questions in one message", |scene| say(scene, &two_questions())),
    ("UDP, the name behind a pointer", |scene| say(scene, &behind_a_pointer())),
    ("UDP, in a packet of the process's own making (`IP_HDRINCL`)", own_packet),
    ("the same in fragments", fragments),
    ("the same behind an IPv6 extension header", extension_header),
    ("TCP, one message a segment", |scene| over_tcp(scene, &[tcp(&asks(DENIED))])),
    ("TCP, two messages in one segment", |scene| {
        over_tcp(scene, &[[tcp(&asks(OTHER)), tcp(&asks(DENIED))].concat()])
    }),
    ("TCP, a message in two segments", |scene| {
        let message = tcp(&asks(DENIED));
        over_tcp(scene, &[message[..16].to_vec(), message[16..].to_vec()])
    }),
    ("a frame of the process's own making (`AF_PACKET`)", frame),
];

fn asks(name: &str) -> Vec<u8> {
    question(0x77, &wire(name), A)
}

fn say(scene: &mut Scene, message: &[u8]) -> Result<(), i32> {
    scene.client.socket("c", "udp4");
    scene.client.act(&format!("connect c {PEER_V4}:53"));
    scene.client.ask(&format!("say c {}", hex(message))).map(drop)
}

fn in_one_send(scene: &mut Scene) -> Result<(), i32> {
    let both = [asks(OTHER), asks(DENIED)];
    scene.client.socket("c", "udp4");
    scene.client.act(&format!("split c {}", both[0].len()));
    scene.client.ask(&format!("sayto c {PEER_V4}:53 {}", hex(&both.concat()))).map(drop)
}

fn two_questions() -> Vec<u8> {
    let mut message = asks(OTHER);
    message[5] = 2;
    message.extend(&asks(DENIED)[12..]);
    message
}

/// A resolver that follows it finds the name behind the question.
fn behind_a_pointer() -> Vec<u8> {
    let mut message = header(0x77, 0x0100, 0);
    message.extend([0xc0, 18]);
    message.extend([A, IN].map(u16::to_be_bytes).concat());
    message.extend(wire(DENIED));
    message
}

/// UDP from a port that nobody has; without a checksum, which IPv4 allows.
fn datagram(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len() + 8).expect("it is short");
    let header = [4_000, 53, length, 0].map(u16::to_be_bytes).concat();
    [&header, message].concat()
}

fn v4(payload: &[u8], offset: u16, more: bool) -> Vec<u8> {
    let addr = |text: &str| text.parse::<Ipv4Addr>().expect("an address");
    let frame = Frame::v4(addr(HOST_V4), addr(PEER_V4)).protocol(protocol::UDP);
    frame.fragment(offset, more).raw(payload).build()
}

/// A frame without what stands before its IP header.
fn own(scene: &mut Scene, packets: &[Vec<u8>]) -> Result<(), i32> {
    scene.client.socket("c", "raw4");
    for packet in packets {
        scene.client.ask(&format!("sayto c {PEER_V4}:0 {}", hex(&packet[14..])))?;
    }
    Ok(())
}

fn own_packet(scene: &mut Scene) -> Result<(), i32> {
    own(scene, &[v4(&datagram(&asks(DENIED)), 0, false)])
}

/// The first has the port, and not all of the name.
fn fragments(scene: &mut Scene) -> Result<(), i32> {
    let datagram = datagram(&asks(DENIED));
    own(scene, &[v4(&datagram[..24], 0, true), v4(&datagram[24..], 3, false)])
}

fn extension_header(scene: &mut Scene) -> Result<(), i32> {
    let addr = |text: &str| text.parse::<std::net::Ipv6Addr>().expect("an address");
    let (from, to) = (addr(HOST_V6), addr(PEER_V6));
    let mut datagram = datagram(&asks(DENIED));
    let length = u32::try_from(datagram.len()).expect("it is short").to_be_bytes();
    let pseudo = [&from.octets()[..], &to.octets(), &length, &[0, 0, 0, 17], &datagram].concat();
    let sum = ibsr_tests::frames::checksum(&pseudo);
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    let frame = Frame::v6(from, to).ext(Ext::Destination(0)).protocol(protocol::UDP);
    scene.client.socket("c", "raw6");
    let packet = frame.raw(&datagram).build();
    scene.client.ask(&format!("sayto c [{PEER_V6}]:0 {}", hex(&packet[14..]))).map(drop)
}

fn tcp(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("it is short").to_be_bytes();
    [&length, message].concat()
}

/// Each part is a segment.
fn over_tcp(scene: &mut Scene, parts: &[Vec<u8>]) -> Result<(), i32> {
    scene.client.socket("c", "tcp4");
    scene.client.act("nodelay c");
    scene.client.ask(&format!("connect c {PEER_V4}:53"))?;
    for part in parts {
        scene.client.ask(&format!("say c {}", hex(part)))?;
    }
    Ok(())
}

fn frame(scene: &mut Scene) -> Result<(), i32> {
    let mut frame = v4(&datagram(&asks(DENIED)), 0, false);
    frame[..12].copy_from_slice(&[PEER_MAC, HOST_MAC].concat());
    scene.client.ask(&format!("frame {HOST_IF} {}", hex(&frame))).map(drop)
}

/// A resolver of UDP and TCP that counts how often it was asked for what is denied.
struct Resolver {
    asked: Arc<AtomicU64>,
    _udp: [Responder; 2],
}

impl Resolver {
    fn start(scene: &Scene) -> Self {
        let asked = Arc::new(AtomicU64::new(0));
        let udp = [PEER_V4, PEER_V6].map(|at| {
            let counted = Arc::clone(&asked);
            Responder::start(scene.resolver(at), move |message| note(&counted, message))
        });
        let listener =
            scene.pair.peer.inside(|| TcpListener::bind((PEER_V4, 53)).expect("it is free"));
        let counted = Arc::clone(&asked);
        // It ends with the process: nobody can wake an accept.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counted = Arc::clone(&counted);
                std::thread::spawn(move || read_messages(stream, &counted));
            }
        });
        Self { asked, _udp: udp }
    }

    /// Whether it was asked, or will be by what is on the way.
    fn was_asked(&self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if self.asked.load(Ordering::Relaxed) > 0 {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }
}

/// Counts and answers a message. Another resolver would follow a pointer; this one only sees it.
fn note(asked: &AtomicU64, message: &[u8]) -> Vec<u8> {
    let lower = message.to_ascii_lowercase();
    if lower.windows(7).any(|bytes| bytes == b"\x06denied") {
        asked.fetch_add(1, Ordering::Relaxed);
    }
    let is_plain = message[12] < 64;
    if is_plain { reply(message, 0, &[address(&ASKED, 60, ANSWER)]) } else { Vec::new() }
}

fn read_messages(mut stream: TcpStream, asked: &AtomicU64) {
    let mut length = [0; 2];
    stream.set_read_timeout(Some(NO_MORE)).expect("a socket takes that");
    while stream.read_exact(&mut length).is_ok() {
        let mut message = vec![0; u16::from_be_bytes(length).into()];
        if stream.read_exact(&mut message).is_err() {
            break;
        }
        note(asked, &message);
    }
}

/// What becomes of each way, one after the other.
fn outcomes(is_strict: bool) -> Vec<String> {
    let mut scene = Scene::new(&format!(
        "resolvers: [10.77.0.2, 'fd77::2']\nstrict: {is_strict}\nrules:\n  - {{action: nxdomain, domain: {DENIED}}}\n"
    ));
    let resolver = Resolver::start(&scene);
    WAYS.map(|(_, send)| outcome(&mut scene, &resolver, send)).to_vec()
}

fn outcome(scene: &mut Scene, resolver: &Resolver, send: Send) -> String {
    let denied = |scene: &Scene, hook| scene.guard.counts(hook).denied;
    let [dropped_before, answered_before] =
        [Hook::Egress, Hook::Query].map(|hook| denied(scene, hook));
    resolver.asked.store(0, Ordering::Relaxed);
    let told = send(scene);
    let is_asked = resolver.was_asked();
    let dropped = denied(scene, Hook::Egress) - dropped_before;
    let answered = denied(scene, Hook::Query) - answered_before;
    // What was denied was counted, and only that.
    assert_eq!(dropped + answered > 0, !is_asked, "{dropped} and {answered}, asked: {is_asked}");
    let is_open = scene.tried(ANSWER).is_ok();
    // The next way begins without what this one has left: segments that are sent again, a name.
    let _frame_has_none = scene.client.ask("reset c");
    let _not_learned = scene.learned().delete(&mapped(ANSWER));
    match (told, is_asked) {
        (Err(libc::EPERM), false) => "denied, `EPERM`".to_owned(),
        (Ok(()), false) if answered > 0 => "answered: there is no such name".to_owned(),
        (Ok(()), false) => "denied, the sender waits".to_owned(),
        (Ok(()), true) if is_open => "**asked**; the address is open".to_owned(),
        (Ok(()), true) => "**asked**; the address is denied".to_owned(),
        other => panic!("what is {other:?}?"),
    }
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/safety.md")
}

#[tag(root)]
#[test]
fn each_way_past_the_dns_rules_ends_as_the_documentation_says() {
    let mut table =
        "| a denied name asked for by | strict | not strict |\n|---|---|---|\n".to_owned();
    let [strict, lax] = [true, false].map(outcomes);
    for (((way, _), strict), lax) in WAYS.iter().zip(strict).zip(lax) {
        writeln!(table, "| {way} | {strict} | {lax} |").expect("a string takes any text");
    }
    let text = fs::read_to_string(page()).expect("the page exists");
    let (before, rest) = text.split_once(BEGIN).expect("the table begins");
    let (written, after) = rest.split_once(END).expect("the table ends");
    // A guest blesses other figures, and sees the tree read-only.
    if written != table && env::var_os("IBSR_BLESS").is_some() {
        fs::write(page(), [before, BEGIN, &table, END, after].concat()).expect("writable");
    } else {
        assert_eq!(written, table, "IBSR_BLESS=1 writes it");
    }
}

/// Strictness is for DNS that leaves, and not where nothing is ever denied.
#[tag(root)]
#[test]
fn strictness_leaves_alone_what_is_protected_and_what_is_no_dns() {
    let mut scene = Scene::new(&format!(
        "protected: [10.77.0.2]\nrules:\n  - {{action: deny, domain: {DENIED}}}\n"
    ));
    let resolver = scene.resolver(PEER_V4);
    in_one_send(&mut scene).expect("protected");
    assert_eq!(resolver.recv(&mut [0; 512]).expect("it was sent"), asks(OTHER).len());
    scene.guard.apply(&format!("rules:\n  - {{action: deny, domain: {DENIED}}}\n"));
    assert_eq!(in_one_send(&mut scene), Err(libc::EPERM));
    // The same to another port, and without a rule about names.
    let sink: UdpSocket = scene.pair.peer.inside(|| UdpSocket::bind((PEER_V4, 54)).expect("free"));
    scene.client.ask(&format!("sayto c {PEER_V4}:54 {}", hex(&two_questions()))).expect("no DNS");
    assert!(sink.recv(&mut [0; 512]).is_ok());
    scene.guard.apply("rules:\n  - {action: deny, ports: 1}\n");
    in_one_send(&mut scene).expect("nobody asks for names");
    let counts = scene.guard.counts(Hook::Egress);
    assert_eq!((counts.denied, counts.recorded), (1, 1));
}

/// A rehearsal counts what strictness would deny and lets it pass.
#[tag(root)]
#[test]
fn a_rehearsal_of_strictness_denies_nothing() {
    let mut scene = Scene::new(&format!("rules:\n  - {{action: deny, domain: {DENIED}}}\n"));
    scene.guard.enforce_until(0);
    let resolver = scene.resolver(PEER_V4);
    say(&mut scene, &two_questions()).expect("it passes");
    assert_eq!(resolver.recv(&mut [0; 512]).expect("it was sent"), two_questions().len());
    let counts = scene.guard.counts(Hook::Egress);
    assert_eq!((counts.denied, counts.would_deny), (0, 1));
    assert_eq!(scene.tried(ip("10.77.0.2")), Ok(()));
}
