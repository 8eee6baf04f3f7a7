// SPDX-License-Identifier: MIT OR Apache-2.0
//! A rehearsal is about the code that will act: over the same packets and the same requests both
//! modes come to the same verdicts, one by one.

use std::cell::RefCell;
use std::net::IpAddr;

use ibsr_guard::install::Maps as _;
use ibsr_policy::{CompileError, compile};
use ibsr_proto::guard_control::{Hook, Record};
use ibsr_tests::actor::Actor;
use ibsr_tests::cgroup::Cgroup;
use ibsr_tests::netns::Pair;
use libbpf_rs::RingBufferBuilder;
use test_tag::tag;
use zerocopy::FromBytes as _;

use crate::differential::{CGROUPS, Draws};
use crate::loaded::{Guard, Numbers, read};

const SEED: u64 = 0x1b5e_0066;
const PACKETS: usize = 1_000_000;
/// Denials of so many packets fit into the ring.
const CHUNK: usize = 2_000;
/// Packets for each policy.
const OF_ONE_POLICY: usize = 50_000;

/// What a record says besides when, by which generation, of which socket, and in which mode.
type Told = ([u8; 48], u32, u16, u8, u8);

/// What stands in the ring, and whether it was carried out.
fn told(guard: &Guard) -> Vec<(Told, bool)> {
    use zerocopy::IntoBytes as _;

    let map = guard.maps().map("ibsr_g_records").expect("it exists");
    let all = RefCell::new(Vec::new());
    let mut builder = RingBufferBuilder::new();
    builder
        .add(&map, |bytes| {
            let record = Record::read_from_bytes(bytes).expect("the ABI");
            let query = record.query.as_bytes().try_into().expect("48 bytes");
            let what = (query, record.rule, record.error, record.action, record.hook);
            all.borrow_mut().push((what, record.is_denied != 0));
            0
        })
        .expect("the map is a ring");
    let ring = builder.build().expect("one ring");
    ring.consume().expect("readable");
    drop(ring);
    all.into_inner()
}

/// A packet with the Ethernet header that a test run strips: TCP, UDP or another protocol.
fn packet(draws: &mut Draws) -> Vec<u8> {
    let protocol: u8 = draws.of(&[1, 6, 17, 47]);
    let [src_port, dst_port] =
        [draws.port(), draws.port()].map(|port| u16::try_from(port).expect("a port").to_be_bytes());
    let l4 = [&src_port[..], &dst_port, &[0; 16]].concat();
    let length = u16::try_from(l4.len()).expect("short");
    match draws.addr() {
        IpAddr::V4(to) => {
            let mut ip = vec![0x45, 0];
            ip.extend((length + 20).to_be_bytes());
            ip.extend([0, 0, 0, 0, 64, protocol, 0, 0, 10, 77, 0, 1]);
            ip.extend(to.octets());
            [&[0; 12][..], &[8, 0], &ip, &l4].concat()
        }
        IpAddr::V6(to) => {
            let mut ip = vec![0x60, 0, 0, 0];
            ip.extend(length.to_be_bytes());
            ip.extend([protocol, 64]);
            ip.extend([0x20; 16]);
            ip.extend(to.octets());
            [&[0; 12][..], &[0x86, 0xdd], &ip, &l4].concat()
        }
    }
}

/// Both modes, on cgroups that nobody is in.
fn both() -> [(Cgroup, Guard); 2] {
    [false, true].map(|may_enforce| {
        let cgroup = Cgroup::new();
        let guard = Guard::attach(&cgroup, may_enforce);
        guard.enforce_until(u64::MAX);
        (cgroup, guard)
    })
}

/// A million packets of seeded policies through the egress program of each mode.
#[tag(root)]
#[test]
fn rehearsal_and_enforcement_judge_a_million_packets_alike() {
    let machine = Numbers {
        cgroups: CGROUPS.iter().zip(1..).map(|(path, id)| ((*path).to_owned(), id)).collect(),
    };
    let [(_, rehearsal), (_, enforcement)] = &both();
    let mut draws = Draws(SEED);
    let (mut judged, mut denials) = (0, 0);
    while judged < PACKETS {
        let policy = read(&draws.policy());
        let compiled = match compile(&policy, &machine) {
            Err(CompileError::TooManyLeaves { .. }) => continue,
            compiled => compiled.expect("that is the only reason"),
        };
        rehearsal.apply_compiled(&policy, &compiled);
        enforcement.apply_compiled(&policy, &compiled);
        for _ in 0..OF_ONE_POLICY / CHUNK {
            let packets: Vec<Vec<u8>> = (0..CHUNK).map(|_| packet(&mut draws)).collect();
            let passed = |guard: &Guard| guard.run("ibsr_g_egress", &packets);
            assert!(passed(rehearsal).iter().all(|passed| *passed == 1), "a rehearsal passes all");
            let dropped = passed(enforcement).iter().filter(|passed| **passed == 0).count();
            let (would, did) = (told(rehearsal), told(enforcement));
            assert_eq!(did.len(), dropped, "each drop is recorded");
            assert!(would.iter().all(|(_, is_denied)| !is_denied));
            assert!(did.iter().all(|(_, is_denied)| *is_denied));
            let verdicts = |told: &[(Told, bool)]| -> Vec<Told> {
                told.iter().map(|(what, _)| *what).collect()
            };
            assert_eq!(verdicts(&would), verdicts(&did));
            judged += CHUNK;
            denials += dropped;
        }
    }
    assert!(denials > judged / 20 && denials < judged * 19 / 20, "{denials} of {judged}");
    let [a, b] = [rehearsal, enforcement].map(|guard| guard.counts(Hook::Egress));
    assert_eq!(a.judged(), judged as u64, "each packet comes to one end");
    assert_eq!((a.allowed, a.exempt, a.unjudged), (b.allowed, b.exempt, b.unjudged));
    assert_eq!((a.would_deny, a.denied), (b.denied, b.would_deny));
    assert_eq!((a.records_lost, b.records_lost), (0, 0));
}

/// Connects, binds and datagrams of a process, in each mode.
#[tag(root)]
#[test]
fn rehearsal_and_enforcement_judge_what_a_process_asks_alike() {
    const ASKED: usize = 3_000;
    let pair = Pair::new();
    let run = |may_enforce| {
        let cgroup = Cgroup::new();
        let guard = Guard::attach(&cgroup, may_enforce);
        let mut draws = Draws(SEED);
        guard.apply("default: {out: allow}\nrules:\n  - {action: deny, ports: [0-1023, 8080]}\n  - {action: allow, cidr: 10.77.0.2, ports: 443}\n  - {action: {reject: ECONNREFUSED}, cidr: 'fd77::/120', protocol: udp}\n  - {action: deny, direction: bind, ports: 8080}\n");
        guard.enforce_until(u64::MAX);
        let mut actor = Actor::start_in(&cgroup, &pair.host);
        let mut all = Vec::new();
        for number in 0..ASKED {
            let (kind, any) = draws.of(&[("udp4", "0.0.0.0"), ("udp6", "[::]")]);
            let host = draws.below(200) + 2;
            let to = if kind == "udp4" {
                format!("10.77.0.{host}")
            } else {
                format!("[fd77::{host:x}]")
            };
            let port = draws.port().max(1);
            actor.socket("u", kind);
            let _said = match draws.below(3) {
                0 => actor.ask(&format!("connect u {to}:{port}")),
                1 => actor.ask(&format!("bind u {any}:{port}")),
                _ => actor.ask(&format!("sendto u {to}:{port} 10")),
            };
            actor.act("close u");
            if number % 500 == 499 {
                all.extend(told(&guard));
            }
        }
        let counts = [Hook::Connect, Hook::Sendmsg, Hook::Bind].map(|hook| guard.counts(hook));
        // What is let pass at sendmsg is judged again as a packet.
        let asked = |what: &Told| what.4 < Hook::Egress as u8;
        let asked: Vec<_> = all.into_iter().filter(|(what, _)| asked(what)).collect();
        (asked, counts)
    };
    let ((would, a), (did, b)) = (run(false), run(true));
    assert_eq!(
        would.iter().map(|(what, _)| without_owner(*what)).collect::<Vec<_>>(),
        did.iter().map(|(what, _)| without_owner(*what)).collect::<Vec<_>>()
    );
    assert!(did.len() > ASKED / 10, "{} of {ASKED} denied", did.len());
    assert!(did.iter().all(|(_, is_denied)| *is_denied));
    for (a, b) in a.iter().zip(b) {
        assert!(b.denied > 0 && b.would_deny == 0 && a.denied == 0);
        assert_eq!((a.judged(), a.allowed, a.would_deny), (b.judged(), b.allowed, b.denied));
    }
}

/// The two processes are in two cgroups; all else of them is the same.
fn without_owner(mut what: Told) -> Told {
    what.0[32..40].fill(0);
    what
}
