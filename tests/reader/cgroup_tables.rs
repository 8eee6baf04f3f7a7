// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names, destinations and applications from the programs to the rows of a segment, by a reader
//! without rights.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::PathBuf;

use ibsr_proto::cgroup_abi::CgroupMeta;
use ibsr_proto::snapshot::cgroup::words::Flags;
use ibsr_proto::snapshot::cgroup::{App, Behaviour, Name, Row, Zone};
use ibsr_tests::actor::{Actor, described};
use ibsr_tests::cgroup::Cgroup;
use ibsr_tests::dns::{A, ASKED, CNAME, Responder, address, asked, attach, record, reply, wire};
use ibsr_tests::netns::Namespace;
use ibsr_tests::process::say;
use tempfile::TempDir;
use test_tag::tag;

use crate::cgroup_stage::{House, Sealed, meta, path_of};

const RESOLVER: &str = "127.0.0.53";
const TTL_S: u32 = 60;
const MAX_FLOWS: u32 = 4_096;
const SCOPE: &str = "cg-tables";

/// A process that resolves and connects, in a namespace of its own, observed and pinned.
struct World {
    client: Actor,
    house: House,
    meta: CgroupMeta,
    _etc: TempDir,
    _responder: Responder,
    _sensor: ibsr_tests::cgroup::CgroupSensor,
    cgroup: Cgroup,
    _namespace: Namespace,
}

impl World {
    fn new(answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> Self {
        let (namespace, cgroup) = (Namespace::new("tables"), Cgroup::new());
        for net in ["198.51.100.1/24", "10.9.0.1/16"] {
            namespace.ip(&format!("address add {net} dev lo"));
        }
        let etc = TempDir::new().expect("a temporary directory");
        let resolver = format!("nameserver {RESOLVER}\noptions timeout:2 attempts:2\n");
        fs::write(etc.path().join("resolv.conf"), resolver).expect("writable");
        fs::write(etc.path().join("nsswitch.conf"), "hosts: dns\n").expect("writable");
        let socket = namespace.inside(|| UdpSocket::bind((RESOLVER, 53)).expect("it is free"));
        let listed: IpAddr = RESOLVER.parse().expect("an address");
        let mut sensor = attach(&cgroup, &[53], &[listed], MAX_FLOWS);
        let house = House::new();
        let meta = CgroupMeta { window_ns: 600_000_000_000, ..meta(&cgroup, MAX_FLOWS) };
        house.pin(&mut sensor, SCOPE, &meta);
        let client = Actor::start_with_etc(&cgroup, &namespace, etc.path());
        let _responder = Responder::start(socket, answer);
        let _namespace = namespace;
        Self { client, house, meta, _etc: etc, _responder, _sensor: sensor, cgroup, _namespace }
    }

    /// One full sweep.
    fn sweep(&self) -> Sealed {
        let said = say(&mut self.house.reader("once", SCOPE)).expect_code(0);
        Sealed::read(&PathBuf::from(said.stdout.trim()))
    }
}

fn names(sealed: &Sealed) -> Vec<&Name<'static>> {
    sealed
        .others
        .iter()
        .filter_map(|row| if let Row::Name(it) = row { Some(&**it) } else { None })
        .collect()
}

/// The row of one destination.
#[track_caller]
fn behaviour<'a>(sealed: &'a Sealed, to: &str, port: u16) -> &'a Behaviour<'static> {
    let rows = sealed.others.iter().filter_map(|row| match row {
        Row::Behaviour(row) => Some(&**row),
        _ => None,
    });
    let to = to.parse().expect("an address");
    let found: Vec<_> =
        rows.filter(|row| (row.remote_addr, row.remote_port) == (to, port)).collect();
    let [row] = found[..] else { panic!("one row for {to}:{port}: {found:#?}") };
    row
}

/// The row of one zone.
#[track_caller]
fn zone<'a>(sealed: &'a Sealed, name: &str) -> &'a Zone<'static> {
    let mut rows = sealed
        .others
        .iter()
        .filter_map(|row| if let Row::Zone(it) = row { Some(&**it) } else { None });
    let found = rows.find(|row| row.zone.as_deref() == Some(name));
    found.unwrap_or_else(|| panic!("a row of `{name}`"))
}

/// The one application: actors share an executable.
#[track_caller]
fn app(sealed: &Sealed) -> &App {
    let apps: Vec<_> = sealed
        .others
        .iter()
        .filter_map(|row| if let Row::App(it) = row { Some(it) } else { None })
        .collect();
    let [app] = apps[..] else { panic!("one application: {apps:#?}") };
    app
}

/// The name that was asked for, also where another one stands at the end of the chain; none for
/// an address that nobody resolved.
#[tag(root)]
#[test]
fn what_a_process_resolved_names_its_connections() {
    let mut world = World::new(|question| match asked(question) {
        (name, A, _) if name == "www.example.test" => {
            let ip = Ipv4Addr::new(198, 51, 100, 7).into();
            let alias = record(&ASKED, CNAME, TTL_S, &wire("edge.cdn.test"));
            reply(question, 0, &[alias, address(&wire("edge.cdn.test"), TTL_S, ip)])
        }
        (name, A, _) if name == "www.example.test.evil" => reply(question, 3, &[]),
        _ => reply(question, 0, &[]),
    });
    let early = world.client.socket("early", "udp4");
    world.client.act("connect early 198.51.100.7:443");
    assert_eq!(world.client.act("resolve www.example.test"), "198.51.100.7");
    let named = world.client.socket("named", "udp4");
    world.client.act("connect named 198.51.100.7:443");
    world.client.ask("resolve www.example.test.evil").expect_err("it does not exist");

    let sealed = world.sweep();
    let (sweep, flows) = &sealed.sweeps[0];
    let name_of = |socket| {
        let flow = flows.iter().find(|flow| flow.socket == socket && flow.remote_addr.is_some());
        flow.expect("a row").name.as_deref()
    };
    assert_eq!((name_of(early), name_of(named)), (None, Some("www.example.test")));
    assert_eq!((sweep.names_missing, sweep.conserved), (0, true));
    let names = names(&sealed);
    let [name] = names[..] else { panic!("{names:#?}") };
    assert_eq!((&*name.name, name.addr.to_string()), ("www.example.test", "198.51.100.7".into()));
    assert_eq!(
        (name.chain, name.resolver.to_string(), name.resolver_port),
        (1, RESOLVER.into(), 53)
    );
    let life_s = (name.expiry_boot_ns - name.learned_boot_ns) / 1_000_000_000;
    assert_eq!(life_s, u64::from(TTL_S));
    assert_eq!((sweep.dns.learned, sweep.dns.nxdomain, sweep.dns.cnames), (1, 1, 1));
    assert_eq!(sweep.dns.questions, sweep.dns.asked);
    assert_eq!(behaviour(&sealed, "198.51.100.7", 443).name.as_deref(), Some("www.example.test"));

    // Both types are asked for at once.
    let example = zone(&sealed, "example.test");
    assert_eq!((example.questions, example.answers, example.nxdomain), (2, 2, 0));
    assert_eq!((example.labels, example.name_bytes, example.window_names), (6, 2 * 18, 1));
    assert_eq!(example.exe_inode, described(world.client.pid()).exe_inode);
    let evil = zone(&sealed, "test.evil");
    assert_eq!((evil.questions, evil.answers, evil.nxdomain), (2, 1, 1));
    assert_eq!(sweep.behaviour.zone_questions, sweep.dns.asked);
    assert_eq!((sweep.zone_evicted, sweep.zones_missing), (0, 0));
}

/// Gaps of one length to one destination, and one packet each to many internal addresses.
#[tag(root)]
#[test]
fn what_was_measured_of_an_application_becomes_rows() {
    let mut world = World::new(|question| reply(question, 0, &[]));
    let gaps = " 50".repeat(30);
    world.client.act(&format!("beat udp4 198.51.100.9:4444{gaps}"));
    world.client.act("scan 10.9.0.1:9 150");
    let sealed = world.sweep();
    let owner = described(world.client.pid());

    let beat = behaviour(&sealed, "198.51.100.9", 4_444);
    assert_eq!((beat.exe_inode, beat.exe_device.0), (owner.exe_inode, owner.exe_device));
    assert_eq!((beat.connects, beat.intervals, beat.batch_intervals), (31, 30, 30));
    assert_eq!(
        serde_json::to_value(beat.flags).expect("words"),
        serde_json::json!(["regular_intervals"])
    );
    assert!((40_000_000..70_000_000).contains(&beat.batch_mean_ns), "{beat:#?}");
    assert!(beat.batch_cv_ppm.expect("many intervals") <= 100_000, "{beat:#?}");
    assert!(beat.flagged_boot_ns >= beat.born_boot_ns && beat.name.is_none());

    let app = app(&sealed);
    assert_eq!((app.exe_inode, app.exe_device.0), (owner.exe_inode, owner.exe_device));
    assert_eq!((app.connects, app.failed, app.window_failed), (181, 150, 150));
    assert!((135..=165).contains(&app.window_internal_peers), "{app:#?}");
    assert_eq!(
        serde_json::to_value(app.flags).expect("words"),
        serde_json::json!(["many_internal_peers", "many_failed_connects"])
    );
    assert_eq!(app.window_boot_ns % world.meta.window_ns, 0);
    let (sweep, _) = &sealed.sweeps[0];
    assert_eq!((sweep.behaviour.connects, sweep.behaviour_evicted), (181, 0));
    assert_eq!(behaviour(&sealed, "10.9.0.5", 9).flags, Flags(0));
    assert_eq!(sealed.header.cgroup_path, path_of(&world.cgroup));
}
