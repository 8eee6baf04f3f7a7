// SPDX-License-Identifier: MIT OR Apache-2.0
//! Nothing is lost unseen: what a second program counts on the same cgroup is what the totals
//! say, and what the totals say is in the flows, failed or evicted.

use std::path::Path;

use ibsr_tests::actor::Actor;
use ibsr_tests::cgroup::{Cgroup, CgroupSensor};
use ibsr_tests::prog::{Compiled, compilers};
use libbpf_rs::{MapCore as _, MapFlags};
use test_tag::tag;

/// The second opinion.
struct Counter(CgroupSensor);

impl Counter {
    fn attach(cgroup: &Cgroup) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("bpf/count_packets.bpf.c");
        let compiled = Compiled::new(&compilers().pop().expect("a compiler"), &source);
        Self(CgroupSensor::attach_object(&compiled, cgroup, 1))
    }

    fn packets(&self) -> u64 {
        let mut maps = self.0.object().maps();
        let bss = maps.find(|map| map.name().to_string_lossy().ends_with(".bss"));
        let value = bss.expect("a number").lookup(&0_u32.to_ne_bytes(), MapFlags::ANY);
        let value = value.expect("readable").expect("the one entry exists");
        u64::from_ne_bytes(*value.first_chunk().expect("8 bytes"))
    }
}

/// The law, and that the sensor saw what the other program saw.
#[track_caller]
fn assert_conserved(sensor: &CgroupSensor, counter: &Counter) -> u64 {
    assert_eq!(sensor.totals().packets(), counter.packets());
    sensor.evicted()
}

/// Four thousand remote ends in a table for five hundred.
#[tag(root)]
#[test]
fn what_a_small_table_evicts_is_counted_to_the_packet() {
    const ROUNDS: u64 = 3;
    const PORTS: u64 = 4_000;
    let cgroup = Cgroup::new();
    let sensor = CgroupSensor::attach_with(&cgroup, 512);
    let counter = Counter::attach(&cgroup);
    let mut actor = Actor::start(&cgroup);
    let socket = actor.socket("u", "udp4");
    for _ in 0..ROUNDS {
        actor.act(&format!("spray u 127.0.0.1:20000 {PORTS}"));
    }
    let evicted = assert_conserved(&sensor, &counter);
    let flows = sensor.flows_of(socket);
    assert!(flows.len() <= 512, "{} flows", flows.len());
    let kept: u64 = flows.iter().map(|(_, flow)| flow.packets_out).sum();
    assert_eq!(sensor.totals().tracked_out, ROUNDS * PORTS);
    assert_eq!(evicted, ROUNDS * PORTS - kept);
    assert!(evicted > (PORTS - 512) * ROUNDS / 2, "{evicted} evicted");
    // Whatever stayed is whole: a life in the table is counted from its birth.
    for (key, flow) in &flows {
        assert_eq!(flow.bytes_out, flow.packets_out * 29);
        assert_eq!(flow.local_port, actor.address("local u").port());
        assert!((20_000..24_000).contains(&key.remote_port));
    }
}

/// Megabytes in segments that the kernel joins and splits.
#[tag(root)]
#[test]
fn joined_segments_are_counted_as_what_they_are_joined_of() {
    const BYTES: u64 = 8 << 20;
    let cgroup = Cgroup::new();
    let sensor = CgroupSensor::attach(&cgroup);
    let counter = Counter::attach(&cgroup);
    let (mut client, mut server) = (Actor::start(&cgroup), Actor::start(&cgroup));
    let listener = server.socket("l", "tcp4");
    let at = server.address("bind l 127.0.0.1:0");
    server.act("listen l");
    let socket = client.socket("c", "tcp4");
    client.act(&format!("connect c {at}"));
    let accepted = server.number("accept l a");
    client.tell(&format!("send c {BYTES}"));
    server.act(&format!("receive a {BYTES}"));
    client.answer().expect("all is sent");
    client.act("close c");
    server.act("close a");
    let ((_, out), (_, back)) = (sensor.flow_of(socket), sensor.flow_of(accepted));
    let own = sensor.own_row(listener);
    assert_eq!(out.packets_out, back.packets_in + own.packets_in);
    assert_eq!(out.bytes_out, back.bytes_in + own.bytes_in);
    // On a busy machine the last segment may be sent twice.
    let once = BYTES + 8 + 52 * out.packets_out;
    let again = out.bytes_out - once;
    assert!(again <= out.retransmits * 65_483, "{again} bytes for {} again", out.retransmits);
    // A segment on the loopback has at most 65,535 bytes.
    assert!(out.packets_out > BYTES / 65_536, "{} segments", out.packets_out);
    assert_eq!(assert_conserved(&sensor, &counter), 0);
}

/// Many processes at once on all CPUs, in a table that is far too small: what is in no row was
/// evicted, and no count is lost between the two.
#[tag(root)]
#[test]
fn nothing_is_lost_when_many_send_at_once() {
    const ACTORS: u64 = 8;
    const PORTS: u64 = 3_000;
    let cgroup = Cgroup::new();
    let sensor = CgroupSensor::attach_with(&cgroup, 1_024);
    let counter = Counter::attach(&cgroup);
    let mut actors: Vec<Actor> = (0..ACTORS).map(|_| Actor::start(&cgroup)).collect();
    for actor in &mut actors {
        actor.socket("u", "udp6");
        actor.tell(&format!("spray u [::1]:20000 {PORTS}"));
    }
    for actor in &mut actors {
        actor.answer().expect("all is sent");
    }
    let evicted = assert_conserved(&sensor, &counter);
    let totals = sensor.totals();
    assert_eq!(totals.tracked_out, ACTORS * PORTS);
    assert!(evicted > ACTORS * PORTS / 2, "{evicted} evicted");
    // Every actor is one owner, and its parent made none of the sockets.
    assert_eq!(totals.owners_inserted, ACTORS);
}

/// Two CPUs meet at the first packet of a flow, thousands of times: neither wipes what the other
/// counted, and both count.
#[tag(root)]
#[test]
fn no_count_is_lost_when_two_cpus_meet_in_one_flow() {
    const PORTS: usize = 3_000;
    const TIMES: u64 = 3;
    const MANY: u64 = 100_000;
    let cgroup = Cgroup::new();
    let sensor = CgroupSensor::attach_with(&cgroup, 16_384);
    let counter = Counter::attach(&cgroup);
    let mut actor = Actor::start(&cgroup);
    let socket = actor.socket("u", "udp4");
    actor.act(&format!("duel u 127.0.0.1:20000 {PORTS} {TIMES}"));
    let flows = sensor.flows_of(socket);
    assert_eq!(flows.len(), PORTS);
    for (key, flow) in flows {
        assert_eq!(flow.packets_out, 2 * TIMES, "port {}", key.remote_port);
    }
    let socket = actor.socket("v", "udp4");
    actor.act(&format!("duel v 127.0.0.1:9 1 {MANY}"));
    let (_, flow) = sensor.flow_of(socket);
    assert_eq!((flow.packets_out, flow.bytes_out), (2 * MANY, 2 * MANY * 29));
    assert_eq!(assert_conserved(&sensor, &counter), 0);
}
