// SPDX-License-Identifier: MIT OR Apache-2.0
//! The sensor beside a model of what it must count. Each frame goes through both, and after
//! each the totals must agree; at the end the sources must.

use std::collections::BTreeMap;

use ibsr_proto::abi::{SourceCounts, SourceKey};
use ibsr_proto::conservation::Totals;
use ibsr_proto::ports::PortSet;
use ibsr_tests::prog::Sensor;

use super::reference::{Class, Segment, classify};

/// Ports that the bench selects.
pub const PORTS: [&str; 2] = ["443", "8000-8100"];
/// Room enough that nothing is evicted.
const MAX_SOURCES: u32 = 1 << 17;

/// The loaded sensor and what it must have counted so far.
pub struct Bench {
    /// The real one.
    pub sensor: Sensor,
    ports: PortSet,
    totals: Totals,
    sources: BTreeMap<SourceKey, SourceCounts>,
}

impl Bench {
    /// Loads the sensor with [`PORTS`] and nothing counted.
    pub fn new() -> Self {
        let ports = PORTS.map(|ports| ports.parse().expect("a port range"));
        let ports = PortSet::from_ranges(&ports);
        Self {
            sensor: Sensor::load(&ports, MAX_SOURCES),
            ports,
            totals: Totals::default(),
            sources: BTreeMap::new(),
        }
    }

    /// Shows one frame to both; `what` names it when they disagree. Returns its class.
    #[track_caller]
    pub fn see(&mut self, what: &str, frame: &[u8]) -> Class {
        let class = classify(frame);
        self.model(class, frame.len() as u64);
        self.sensor.see(frame);
        let found = self.sensor.totals();
        // What a frame's class cannot tell: whether an entry was new, what a slot held.
        let expected =
            Totals { inserted: found.inserted, pending_lost: found.pending_lost, ..self.totals };
        let head = &frame[..frame.len().min(128)];
        assert_eq!(found, expected, "{what}: {class:?}, {} bytes, {head:02x?}", frame.len());
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
        let key = SourceKey { addr: segment.src, dst_port: segment.dst_port, pad: 0 };
        let source = self.sources.entry(key).or_default();
        source.packets += 1;
        source.bytes += bytes;
        source.syn += u64::from(segment.syn && !segment.ack);
        source.ack += u64::from(segment.ack);
        source.fin += u64::from(segment.fin);
        source.rst += u64::from(segment.rst);
    }

    /// Compares every source, and the second line of the law with nothing evicted.
    #[track_caller]
    pub fn finish(&self) {
        let totals = self.sensor.totals();
        let mut found = self.sensor.sources();
        let attributed = found.values().map(|source| source.packets).sum();
        assert_eq!(totals.evicted(attributed), Ok(0));
        assert_eq!(totals.inserted, found.len() as u64);
        for source in found.values_mut() {
            assert!(source.born_boot_ns > 0 && source.last_boot_ns > 0);
            (source.born_boot_ns, source.last_boot_ns, source.handshakes) = (0, 0, 0);
        }
        assert_eq!(found, self.sources);
    }
}
