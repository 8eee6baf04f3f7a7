// SPDX-License-Identifier: MIT OR Apache-2.0
//! The analysis of behaviour: what was planted is flagged, what is ordinary is not.

use std::net::{Ipv4Addr, SocketAddr};

use ibsr_proto::cgroup_behaviour_abi::{AppWindow, BaselineKey, Behaviour, flag};
use ibsr_tests::actor::{Actor, described};
use ibsr_tests::cgroup::{Cgroup, CgroupSensor};
use ibsr_tests::netns::Namespace;
use ibsr_tests::prog::{Compiled, compilers};
use test_tag::tag;

use crate::addr;

/// The defaults of the sensor.
const LIMIT_CV: f64 = 0.10;
/// What the sketch may be wrong by: three standard errors of 3 %.
const SKETCH_ERROR: f64 = 0.09;

fn sensor(cgroup: &Cgroup, knobs: &[(&str, &[u8])]) -> CgroupSensor {
    sensor_with(cgroup, 4_096, knobs)
}

fn sensor_with(cgroup: &Cgroup, max_rows: u32, knobs: &[(&str, &[u8])]) -> CgroupSensor {
    let compiled = Compiled::new(&compilers().pop().expect("a compiler"), &CgroupSensor::source());
    let mut sensor = CgroupSensor::load_with(&compiled, max_rows, knobs);
    sensor.attach_to(cgroup);
    sensor
}

/// A namespace in which every address of 198.51.100.0/24 (public), 10.9.0.0/16 and fd09::/64
/// (internal) is this host's.
fn world() -> Namespace {
    let namespace = Namespace::new("world");
    for net in ["198.51.100.1/24", "10.9.0.1/16", "fd09::1/64 nodad"] {
        namespace.ip(&format!("address add {net} dev lo"));
    }
    namespace
}

/// The row of one destination.
#[track_caller]
fn row(sensor: &CgroupSensor, to: &str) -> Behaviour {
    let to: SocketAddr = to.parse().expect("an address");
    let found: Vec<Behaviour> = sensor
        .behaviours()
        .into_iter()
        .filter(|(key, _)| (key.remote_addr, key.remote_port) == (addr(to.ip()), to.port()))
        .map(|(_, row)| row)
        .collect();
    let [row] = found[..] else { panic!("one row for {to}: {found:#?}") };
    row
}

/// The one application: actors share an executable.
#[track_caller]
fn app(sensor: &CgroupSensor) -> AppWindow {
    let apps = sensor.apps();
    let [(_, app)] = apps[..] else { panic!("one application: {apps:#?}") };
    app
}

/// Names of flags, for messages that can be read.
fn flags(bits: u32) -> Vec<&'static str> {
    flag::ALL.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect()
}

/// Someone listens at a port of all addresses, beside what is observed.
fn listener(cgroup: &Cgroup, world: &Namespace, name: &str, kind: &str, at: &str) -> Actor {
    let mut server = Actor::start_in(cgroup, world);
    server.socket(name, kind);
    server.act(&format!("bind {name} {at}"));
    server.act(&format!("listen {name}"));
    server
}

/// 30 gaps in milliseconds around 100, evenly spread over +-`percent`, in no order.
fn jittered(percent: i64) -> Vec<i64> {
    (0..30).map(|number| 100 + (number * 7 % 31 - 15) * percent / 15).collect()
}

/// 30 gaps as independent arrivals have them: quantiles of the exponential distribution.
fn random() -> Vec<i64> {
    let quantile = |number: i64| {
        let part = ((number * 11 % 30) as f64 + 0.5) / 30.0;
        (-100.0 * (1.0 - part).ln()) as i64
    };
    (0..30).map(quantile).collect()
}

fn words(gaps_ms: &[i64]) -> String {
    gaps_ms.iter().map(|gap_ms| format!(" {gap_ms}")).collect()
}

/// One application connects to six destinations at the same time.
#[tag(root)]
#[test]
fn regular_intervals_are_flagged_and_ordinary_ones_are_not() {
    const EXACT: &str = "198.51.100.10:443";
    const JITTERED: &str = "198.51.100.11:443";
    const RANDOM: &str = "198.51.100.12:443";
    const HEALTH_CHECK: &str = "10.9.0.10:443";
    const TIME: &str = "198.51.100.13:123";
    const FEW: &str = "198.51.100.14:443";
    let (cgroup, beside, world) = (Cgroup::new(), Cgroup::new(), world());
    let sensor = sensor(&cgroup, &[]);
    let _servers = [EXACT, JITTERED, RANDOM, HEALTH_CHECK, FEW]
        .map(|at| listener(&beside, &world, "l", "tcp4", at));
    let told = [
        ("tcp4", EXACT, jittered(0)),
        ("tcp4", JITTERED, jittered(12)),
        ("tcp4", RANDOM, random()),
        ("tcp4", HEALTH_CHECK, jittered(0)),
        ("udp4", TIME, jittered(0)),
        ("tcp4", FEW, jittered(0)[..20].to_vec()),
    ];
    let mut actors: Vec<Actor> = told.iter().map(|_| Actor::start_in(&cgroup, &world)).collect();
    for (actor, (kind, to, gaps_ms)) in actors.iter_mut().zip(&told) {
        actor.tell(&format!("beat {kind} {to}{}", words(gaps_ms)));
    }
    for (actor, (_, _, gaps_ms)) in actors.iter_mut().zip(&told) {
        assert_eq!(actor.answer(), Ok((gaps_ms.len() + 1).to_string()));
    }
    for (to, expected) in [
        (EXACT, vec!["regular_intervals"]),
        (JITTERED, vec!["regular_intervals"]),
        (RANDOM, vec![]),
        (HEALTH_CHECK, vec![]),
        (TIME, vec![]),
        (FEW, vec![]),
    ] {
        let row = row(&sensor, to);
        let (cv, at) = (row.batch_cv().expect("intervals"), row.flagged_boot_ns);
        assert_eq!(flags(row.flags), expected, "{to}: {cv}, {row:#?}");
        assert_eq!(at > 0, !expected.is_empty(), "{to}");
        assert_eq!(cv > 2.0 * LIMIT_CV, to == RANDOM, "{to}: {cv}");
        assert_eq!(row.connects, row.intervals + 1, "{to}");
        assert_eq!(u64::from(row.batch_count), row.intervals, "{to}: one batch");
        let mean_ms = row.batch_sum as f64 / row.intervals as f64 * 4.194_304;
        assert!((90.0..110.0).contains(&mean_ms), "{to}: {mean_ms} ms");
        assert_eq!((row.failed, row.unsent, row.intervals_long), (0, 0, 0), "{to}");
    }
    assert_eq!(flags(app(&sensor).flags), [""; 0]);
    assert_eq!(app(&sensor).connects, 5 * 31 + 21);
}

/// What the reader would say of `count` internal peers, and the flags.
fn scanned(world: &Namespace, count: u32, seed: u64) -> (AppWindow, CgroupSensor) {
    let cgroup = Cgroup::new();
    let sensor = sensor(&cgroup, &[("ibsr_seed", &seed.to_ne_bytes())]);
    let mut actor = Actor::start_in(&cgroup, world);
    let refused = actor.number(&format!("scan 10.9.0.1:9 {count}"));
    assert_eq!(refused, u64::from(count), "nobody listens");
    (app(&sensor), sensor)
}

#[tag(root)]
#[test]
fn a_scan_of_internal_addresses_is_flagged_and_counted_within_the_bound() {
    let world = world();
    for seed in [1, 0x5eed, u64::MAX] {
        for count in [200, 1_000] {
            let (app, sensor) = scanned(&world, count, seed);
            let wrong = app.internal_peers() / f64::from(count) - 1.0;
            assert!(wrong.abs() <= SKETCH_ERROR, "{count} peers, seed {seed:#x}: {wrong:+.3}");
            assert_eq!(flags(app.flags), ["many_internal_peers", "many_failed_connects"]);
            assert_eq!((app.failed, app.window_failed), (u64::from(count), u64::from(count)));
            let set: u32 = app.peer_bitmap.iter().map(|word| word.count_ones()).sum();
            assert_eq!(app.window_peer_bits, set);
            assert_eq!(row(&sensor, "10.9.0.77:9").failed, 1);
        }
    }
    let (app, _) = scanned(&world, 60, 1);
    assert_eq!(flags(app.flags), [""; 0], "a few neighbours are ordinary");
    assert!((app.internal_peers() / 60.0 - 1.0).abs() <= 0.15, "{}", app.internal_peers());
}

/// Asks the same peer again and again, public ones, and one that is not there.
#[tag(root)]
#[test]
fn many_connections_to_one_peer_or_to_public_ones_are_no_fan_out() {
    let (cgroup, world) = (Cgroup::new(), world());
    let sensor = sensor(&cgroup, &[("ibsr_failed_connects", &1_000_u64.to_ne_bytes())]);
    let mut actor = Actor::start_in(&cgroup, &world);
    for _ in 0..150 {
        actor.act("scan 10.9.0.1:9 1");
    }
    actor.act("scan 198.51.100.1:9 200");
    actor.socket("c", "tcp4");
    assert_eq!(actor.ask("connect c 192.0.2.1:443"), Err(libc::ENETUNREACH));
    actor.act("close c");
    let app = app(&sensor);
    assert_eq!((app.window_peer_bits, flags(app.flags)), (1, vec![]));
    assert_eq!(app.failed, 351, "with the one that no SYN was sent for");
    let unsent = row(&sensor, "192.0.2.1:443");
    assert_eq!((unsent.connects, unsent.failed, unsent.unsent), (1, 0, 1));
}

/// Sends over a connection to each of a public and an internal address.
#[tag(root)]
#[test]
fn volume_is_flagged_for_public_destinations_only() {
    const BYTES: u64 = 4 << 20;
    const LIMIT: u64 = 3 << 20;
    let (beside, world) = (Cgroup::new(), world());
    for (limit, to, kind, expected) in [
        (Some(LIMIT), "198.51.100.1:443", "tcp4", vec!["volume_out"]),
        (Some(LIMIT), "10.9.0.1:443", "tcp4", vec![]),
        (Some(LIMIT), "[fd09::1]:443", "tcp6", vec![]),
        (None, "198.51.100.1:443", "tcp4", vec![]),
    ] {
        let cgroup = Cgroup::new();
        let limit = limit.map(u64::to_ne_bytes);
        let knob = limit.as_ref().map(|limit| ("ibsr_volume_out_bytes", limit.as_slice()));
        let sensor = sensor(&cgroup, knob.as_slice());
        let mut server = listener(&beside, &world, "l", kind, to);
        let mut client = Actor::start_in(&cgroup, &world);
        let socket = client.socket("c", kind);
        client.act(&format!("connect c {to}"));
        server.act("accept l a");
        client.tell(&format!("send c {BYTES}"));
        server.act(&format!("receive a {BYTES}"));
        client.answer().expect("all is sent");
        client.act("close c");
        server.act("close a");
        let ((_, flow), row, app) = (sensor.flow_of(socket), row(&sensor, to), app(&sensor));
        assert_eq!(flags(app.flags), expected, "{to}");
        assert!(flow.bytes_out > BYTES);
        assert_eq!((row.bytes_out, row.bytes_in), (flow.bytes_out, flow.bytes_in), "{to}");
        assert_eq!(app.bytes_out, flow.bytes_out);
        let is_public = to.starts_with("198");
        assert_eq!(app.window_bytes_out, if is_public { flow.bytes_out } else { 0 });
    }
}

/// A flow that does not end is noted while it lasts.
#[tag(root)]
#[test]
fn bytes_of_a_long_flow_are_noted_before_it_ends() {
    let (cgroup, world) = (Cgroup::new(), world());
    let sensor = sensor(&cgroup, &[]);
    let mut actor = Actor::start_in(&cgroup, &world);
    let socket = actor.socket("u", "udp4");
    // Two of the seconds that flows are noted in begin in this time.
    actor.act("spray-for u 198.51.100.1:9 2300");
    let ((_, flow), row) = (sensor.flow_of(socket), row(&sensor, "198.51.100.1:9"));
    assert_eq!(row.connects, 1);
    assert!(row.bytes_out > 0 && row.bytes_out <= flow.bytes_out, "{row:#?}");
    assert_eq!(row.bytes_out, sensor.behaviour_totals().bytes_out);
}

#[tag(root)]
#[test]
fn destinations_outside_of_the_baseline_are_flagged_when_there_is_one() {
    let (cgroup, world) = (Cgroup::new(), world());
    let bare = sensor(&cgroup, &[]);
    let sensor = sensor(&cgroup, &[("ibsr_baseline_entries", &1_u32.to_ne_bytes())]);
    let mut actor = Actor::start_in(&cgroup, &world);
    let owner = described(actor.pid());
    sensor.expect_destination(&BaselineKey {
        prefix_bits: 128 + 96 + 24,
        exe_inode: owner.exe_inode.to_ne_bytes(),
        exe_device: owner.exe_device.to_ne_bytes(),
        remote_port: 443_u16.to_ne_bytes(),
        protocol: 6_u16.to_ne_bytes(),
        remote_addr: addr(Ipv4Addr::new(10, 9, 1, 0).into()),
    });
    for to in ["10.9.1.200:443", "10.9.2.1:443", "10.9.1.200:444"] {
        actor.act(&format!("scan {to} 1"));
        assert_eq!(flags(row(&bare, to).flags), [""; 0], "{to}: no baseline");
    }
    assert_eq!(flags(row(&sensor, "10.9.1.200:443").flags), ["in_baseline"]);
    assert_eq!(flags(row(&sensor, "10.9.2.1:443").flags), ["not_in_baseline"]);
    assert_eq!(flags(row(&sensor, "10.9.1.200:444").flags), ["not_in_baseline"]);
    assert_eq!(row(&sensor, "10.9.1.200:443").flagged_boot_ns, 0, "no finding");
}

/// Four thousand destinations in a table for five hundred.
#[tag(root)]
#[test]
fn what_a_small_table_of_behaviour_evicts_can_be_counted() {
    const PORTS: u64 = 4_000;
    let (cgroup, world) = (Cgroup::new(), world());
    let sensor = sensor_with(&cgroup, 512, &[]);
    let mut actor = Actor::start_in(&cgroup, &world);
    actor.socket("u", "udp4");
    actor.act(&format!("spray u 198.51.100.1:20000 {PORTS}"));
    let (rows, totals) = (sensor.behaviours(), sensor.behaviour_totals());
    let kept: u64 = rows.iter().map(|(_, row)| row.connects).sum();
    assert!(rows.len() <= 512 && kept == rows.len() as u64, "{kept}");
    assert_eq!((totals.connects, totals.no_owner, totals.apps_inserted), (PORTS, 0, 1));
    assert_eq!(totals.connects_lost + totals.rows_inserted, PORTS);
    assert_eq!(app(&sensor).connects, PORTS);
}

/// The same load with the analysis left out.
#[tag(root)]
#[test]
fn nothing_is_kept_when_the_analysis_is_off() {
    let (cgroup, world) = (Cgroup::new(), world());
    let sensor = sensor(&cgroup, &[("ibsr_behaviour_on", &0_u32.to_ne_bytes())]);
    Actor::start_in(&cgroup, &world).act("scan 10.9.0.1:9 20");
    assert!(sensor.behaviours().is_empty() && sensor.apps().is_empty());
    assert_eq!(sensor.totals().connect_failed, 20);
}
