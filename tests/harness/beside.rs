// SPDX-License-Identifier: MIT OR Apache-2.0
//! Segments of a cgroup beside those of an interface: what the second sensor would have
//! recorded, had a socket accepted each handshake that the first one counted. Of recordings
//! that count from their first sweep on.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use ibsr_proto::cgroup_abi::step;
use ibsr_proto::snapshot::cgroup::words::{Direction, Steps};
use ibsr_proto::snapshot::cgroup::{self, Flow};
use ibsr_proto::snapshot::{Header, Row, SegmentName, Source, Sweep};

use crate::flow_segments::{self, SCOPE, flow};
use crate::segments::{rows, seal};

const DAY_MS: u64 = 86_400_000;
/// Sweeps of the interface for each one of the cgroup: flows are cumulative, so few are enough.
const STRIDE: usize = 30;
/// A handshake, a request, a response, a FIN: headers, and what shows that there is more.
const HEADERS_BYTES: u64 = 4 * 52;

/// Writes a segment for each day, and returns its path by the days since 1970. `keep` may change
/// a flow, or leave it out.
pub fn write(
    spool: &Path,
    mut keep: impl FnMut(&mut Flow<'static>) -> bool,
) -> BTreeMap<u64, PathBuf> {
    let mut recording = Recording::default();
    for path in segments(spool) {
        for row in rows(&fs::read(&path).expect("a segment")) {
            recording.take(row, &mut keep);
        }
    }
    recording.finish(spool)
}

/// Segments of interfaces, in the order of their names.
fn segments(spool: &Path) -> Vec<PathBuf> {
    let list = |dir: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(dir).expect("a directory");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    };
    let is_interface = |dir: &PathBuf| {
        dir.is_dir()
            && dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with("xdp-"))
    };
    let mut all: Vec<_> =
        list(spool).into_iter().filter(is_interface).flat_map(|dir| list(&dir)).collect();
    all.sort();
    all
}

#[derive(Default)]
struct Recording {
    header: Option<Header>,
    /// Handshakes of the last row of each entry, with its birth.
    known: HashMap<(String, u16), (u64, u64)>,
    sources: Vec<Source>,
    flows: Vec<Flow<'static>>,
    sockets: u64,
    sweeps: usize,
    last: Option<Sweep>,
    /// Of the sweep before: number and boot clock.
    before: (u64, u64),
    days: BTreeMap<u64, (u64, Vec<u8>)>,
}

impl Recording {
    fn take(&mut self, row: Row, keep: &mut impl FnMut(&mut Flow<'static>) -> bool) {
        match row {
            Row::Header(header) => self.header = Some(*header),
            Row::Source(source) => self.sources.push(source),
            Row::Sweep(sweep) => {
                for source in std::mem::take(&mut self.sources) {
                    self.accept(&source, &sweep, keep);
                }
                self.sweeps += 1;
                let is_new_day = self
                    .last
                    .as_ref()
                    .is_some_and(|last| last.at_unix_ms / DAY_MS < sweep.at_unix_ms / DAY_MS);
                if is_new_day {
                    // What this sweep brought belongs to the new day.
                    let flows = std::mem::take(&mut self.flows);
                    self.close();
                    self.flows = flows;
                }
                self.last = Some(*sweep);
                if self.sweeps.is_multiple_of(STRIDE) {
                    self.close();
                }
            }
            _ => {}
        }
    }

    fn accept(
        &mut self,
        source: &Source,
        sweep: &Sweep,
        keep: &mut impl FnMut(&mut Flow<'static>) -> bool,
    ) {
        let known = self.known.entry((source.src.to_string(), source.dst_port)).or_default();
        let before = if known.0 == source.born_boot_ns { known.1 } else { 0 };
        *known = (source.born_boot_ns, source.handshakes);
        for _ in before..source.handshakes {
            self.sockets += 1;
            let mut flow = Flow {
                direction: Direction(2),
                local_port: source.dst_port,
                remote_addr: Some(source.src),
                remote_port: Some(40_000),
                steps: Steps(step::ESTABLISHED | step::TAKEN | step::CLOSED),
                packets_in: 4,
                bytes_in: HEADERS_BYTES + 400,
                packets_out: 4,
                bytes_out: HEADERS_BYTES + 900,
                born_boot_ns: sweep.at_boot_ns - 2,
                last_boot_ns: sweep.at_boot_ns - 1,
                // There are tens of thousands, and nobody asks whose they are.
                cgroup_path: None,
                owner_key: None,
                owner: None,
                ..flow(self.sockets, "nginx", 1, 0)
            };
            if keep(&mut flow) {
                self.flows.push(flow);
            }
        }
    }

    /// Writes a sweep of the cgroup at the last one of the interface.
    fn close(&mut self) {
        let (Some(last), Some(header)) = (self.last.take(), &self.header) else { return };
        let (_, out) = self.days.entry(last.at_unix_ms / DAY_MS).or_insert_with(|| {
            let header = cgroup::Header {
                host: header.host.clone(),
                boot_id: header.boot_id.clone(),
                attached_boot_ns: header.attached_boot_ns,
                period_ms: header.period_ms * STRIDE as u64,
                ..flow_segments::header()
            };
            let mut out = Vec::new();
            cgroup::RowRef::Header(&header).write_to(&mut out);
            (last.seq, out)
        });
        let flows = std::mem::take(&mut self.flows);
        for flow in &flows {
            cgroup::RowRef::Flow(&Flow { seq: last.seq, ..flow.clone() }).write_to(out);
        }
        let sweep = cgroup::Sweep {
            merged_from_seq: Some(self.before.0 + 1),
            since_boot_ns: self.before.1,
            at_boot_ns: last.at_boot_ns,
            at_unix_ms: last.at_unix_ms,
            ..flow_segments::sweep(last.seq, &flows)
        };
        cgroup::RowRef::Sweep(&sweep).write_to(out);
        self.before = (last.seq, last.at_boot_ns);
    }

    fn finish(mut self, spool: &Path) -> BTreeMap<u64, PathBuf> {
        self.close();
        let header = self.header.expect("a recording");
        let dir = spool.join(SCOPE);
        fs::create_dir_all(&dir).expect("the spool is writable");
        let write = |(day, (first_seq, out)): (u64, (u64, Vec<u8>))| {
            let name = SegmentName {
                host: header.host.clone(),
                scope: SCOPE.into(),
                boot8: header.boot_id.chars().take(8).collect(),
                first_seq,
                merged_to: None,
            };
            let path = dir.join(name.to_string());
            fs::write(&path, seal(out)).expect("the spool is writable");
            (day, path)
        };
        self.days.into_iter().map(write).collect()
    }
}
