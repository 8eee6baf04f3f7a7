// SPDX-License-Identifier: MIT OR Apache-2.0
//! The sensor, with each of its tables, beside a model of what it must count. Each frame goes
//! through all, and after each the totals must agree; at the end the sources must.

use std::collections::{BTreeMap, HashMap};

use ibsr_proto::abi::{SourceCounts, SourceKey};
use ibsr_proto::conservation::Totals;
use ibsr_proto::ports::PortSet;
use ibsr_tests::prog::{Compiled, Knobs, Sensor, TABLES, compilers};

use super::reference::{Class, Segment, classify};

/// Room enough that nothing is evicted.
const MAX_SOURCES: u32 = 1 << 17;

/// A longer frame does not fit into a mark of the doorkeeper and is admitted at once.
const LONGEST_THAT_WAITS: u64 = 0xffff;

/// Addresses and ports of both ends.
type Connection = ([u8; 16], [u8; 16], u16, u16);

/// The sensor by the newest compiler.
pub fn compile() -> Compiled {
    Compiled::sensor(&compilers().pop().expect("a compiler"))
}

/// The loaded sensors and what each must have counted so far.
pub struct Bench {
    /// The real one, once for each table.
    sensors: [Sensor; TABLES.len()],
    ports: PortSet,
    admits_first: bool,
    totals: Totals,
    sources: BTreeMap<SourceKey, SourceCounts>,
    /// Connections that wait for the ACK of their handshake: its sequence number.
    pub pending: HashMap<Connection, u32>,
}

impl Bench {
    /// Loads the sensors with these ports selected and nothing counted. Without `admits_first`
    /// the first packet of an address waits for its second, as it does by default.
    pub fn new(compiled: &Compiled, ports: PortSet, admits_first: bool) -> Self {
        let admits = [u8::from(admits_first)];
        let knobs: Knobs<'_> = &[("ibsr_admits_first", &admits)];
        let load = |table| Sensor::load_with(compiled, table, &ports, MAX_SOURCES, knobs);
        Self {
            sensors: TABLES.map(load),
            ports,
            admits_first,
            totals: Totals::default(),
            sources: BTreeMap::new(),
            pending: HashMap::new(),
        }
    }

    /// Shows one frame to both; `what` names it when they disagree. Returns its class.
    #[track_caller]
    pub fn see(&mut self, what: &str, frame: &[u8]) -> Class {
        let class = classify(frame);
        self.model(class, frame.len() as u64);
        for sensor in &self.sensors {
            sensor.see(frame);
            let found = sensor.totals();
            // What a frame's class cannot tell: whether an entry was new, what a slot held, who
            // waits. `finish` does, from the sources.
            let expected = Totals {
                inserted: found.inserted,
                pending_lost: found.pending_lost,
                unattributed: found.unattributed,
                resumed: found.resumed,
                ..self.totals
            };
            let head = &frame[..frame.len().min(128)];
            assert_eq!(found, expected, "{what}: {class:?}, {} bytes, {head:02x?}", frame.len());
        }
        class
    }

    fn model(&mut self, class: Class, bytes: u64) {
        let totals = &mut self.totals;
        totals.received += 1;
        totals.passed += 1;
        match class {
            Class::NonIp => totals.non_ip += 1,
            Class::Malformed => totals.malformed += 1,
            Class::Fragment => totals.fragments += 1,
            Class::OtherL4 => totals.other_l4 += 1,
            Class::Tcp(segment) if !self.ports.contains(segment.dst_port) => {
                totals.other_port += 1;
            }
            Class::Tcp(segment) => {
                totals.tracked += 1;
                totals.tracked_bytes += bytes;
                self.count(&segment, bytes);
            }
        }
    }

    fn count(&mut self, segment: &Segment, bytes: u64) {
        let handshake = self.completes_handshake(segment);
        let key = SourceKey { addr: segment.src, dst_port: segment.dst_port, pad: 0 };
        let source = self.sources.entry(key).or_default();
        source.packets += 1;
        source.bytes += bytes;
        source.syn += u64::from(segment.syn && !segment.ack);
        source.ack += u64::from(segment.ack);
        source.handshakes += u64::from(handshake);
        source.fin += u64::from(segment.fin);
        source.rst += u64::from(segment.rst);
    }

    /// The first ACK behind a SYN of the same connection, with the next sequence number.
    fn completes_handshake(&mut self, segment: &Segment) -> bool {
        let connection = (segment.src, segment.dst, segment.src_port, segment.dst_port);
        if segment.rst || segment.syn == segment.ack {
            return false;
        }
        if segment.syn {
            self.pending.insert(connection, segment.seq.wrapping_add(1));
            return false;
        }
        let completes = self.pending.get(&connection) == Some(&segment.seq);
        if completes {
            self.pending.remove(&connection);
        }
        completes
    }

    /// The sources that must have an entry: all, or those of which no packet waits. The hash
    /// of the tests has a fixed seed, so whether three addresses meet in two slots and one is
    /// lost is the same at each run: they do not.
    fn entries(&self) -> BTreeMap<SourceKey, SourceCounts> {
        let mut packets: HashMap<[u8; 16], u64> = HashMap::new();
        for (key, source) in &self.sources {
            *packets.entry(key.addr).or_default() += source.packets;
        }
        let mut entries = self.sources.clone();
        entries.retain(|key, source| {
            self.admits_first || packets[&key.addr] > 1 || source.bytes > LONGEST_THAT_WAITS
        });
        entries
    }

    /// Totals, in which the sensors agree.
    #[track_caller]
    pub fn totals(&self) -> Totals {
        let [lru, sets] = self.sensors.each_ref().map(Sensor::totals);
        assert_eq!(lru, sets);
        lru
    }

    /// Compares every source, and the second line of the law with nothing evicted. Returns
    /// what was counted.
    #[track_caller]
    pub fn finish(&self) -> (Totals, BTreeMap<SourceKey, SourceCounts>) {
        let [lru, sets] = self.sensors.each_ref().map(|sensor| self.finish_one(sensor));
        assert_eq!(lru, sets, "the tables disagree");
        lru
    }

    #[track_caller]
    fn finish_one(&self, sensor: &Sensor) -> (Totals, BTreeMap<SourceKey, SourceCounts>) {
        let totals = sensor.totals();
        let mut found = sensor.sources();
        let attributed = found.values().map(|source| source.packets).sum();
        assert_eq!(totals.evicted(attributed), Ok(0));
        assert_eq!(totals.inserted, found.len() as u64);
        let mut missed = 0;
        for (key, source) in &mut found {
            assert!(source.born_boot_ns > 0 && source.last_boot_ns > 0);
            (source.born_boot_ns, source.last_boot_ns) = (0, 0);
            // A SYN whose slot another took can cost the handshake of its own source only.
            let model = self.sources.get(key).map_or(0, |model| model.handshakes);
            let fewer = model.checked_sub(source.handshakes).expect("no handshake is invented");
            missed += fewer;
            source.handshakes += fewer;
        }
        assert!(missed <= totals.pending_lost, "{missed} handshakes were missed");
        assert_eq!(found, self.entries());
        (totals, found)
    }
}
