// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cgroup sensor pinned as a scope, a reader without rights beside it, and what the reader
//! sealed.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::net::IpAddr;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use ibsr_proto::abi::{META_MAGIC, Sensor};
use ibsr_proto::addr::SourceAddr;
use ibsr_proto::cgroup_abi::{
    CGROUP_ABI_HASH, CGROUP_ABI_VERSION, CgroupMeta, Flow as Entry, FlowKey,
};
use ibsr_proto::pins::{self, Scope};
use ibsr_proto::snapshot::cgroup::{Flow, Header, Row, Sweep};
use ibsr_proto::snapshot::{Footer, Gap};
use ibsr_tests::bpffs::PinRoot;
use ibsr_tests::cgroup::{Cgroup, CgroupSensor, mount_point};
use sha2::{Digest as _, Sha256};
use zerocopy::FromBytes as _;

use crate::rights::{NOBODY, PIN_GID, public_program};
use crate::scope::spool;
use crate::sealed::sealed;

/// What readers of all scopes share.
pub struct House {
    pub pins: PinRoot,
    pub spool: tempfile::TempDir,
    bin: tempfile::TempDir,
}

impl House {
    pub fn new() -> Self {
        let pins = PinRoot::new();
        fs::create_dir(pins.path()).expect("bpffs is writable");
        give(pins.path(), pins::DIR_MODE);
        let spool = spool();
        chown(spool.path(), Some(NOBODY), Some(NOBODY)).expect("root may");
        let bin = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o755))
            .tempdir()
            .expect("a directory");
        let _copy = public_program(bin.path());
        Self { pins, spool, bin }
    }

    /// `ibsr-reader SUBCOMMAND` as nobody, in the group of the pins, without any capability.
    pub fn reader(&self, subcommand: &str, scope: &str) -> Command {
        let mut command = Command::new("setpriv");
        command
            .args([&format!("--reuid={NOBODY}"), &format!("--regid={PIN_GID}"), "--clear-groups"])
            .args(["--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all"])
            .arg(self.bin.path().join("ibsr-reader"))
            .args([subcommand, "--scope", scope, "--pin-root"])
            .arg(self.pins.path())
            .arg("--spool")
            .arg(self.spool.path());
        command
    }

    /// Directory of the pins of a scope.
    pub fn dir(&self, scope: &str) -> PathBuf {
        scope.parse::<Scope>().expect("a scope").dir(self.pins.path())
    }

    /// Pins a sensor as the loader would.
    pub fn pin(&self, sensor: &mut CgroupSensor, scope: &str, meta: &CgroupMeta) {
        let dir = self.dir(scope);
        fs::create_dir(&dir).expect("bpffs is writable");
        sensor.pin(&dir, meta);
        give(&dir, pins::DIR_MODE);
        for entry in fs::read_dir(&dir).expect("a directory").flatten() {
            let is_link = entry.file_name().to_string_lossy().starts_with(pins::LINK_PREFIX);
            give(&entry.path(), if is_link { pins::LINK_MODE } else { pins::MAP_MODE });
        }
    }
}

fn give(path: &Path, mode: u32) {
    chown(path, None, Some(PIN_GID)).expect("root may");
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("root may");
}

/// A `meta` that this release's loader could have written.
pub fn meta(cgroup: &Cgroup, max_flows: u32) -> CgroupMeta {
    let mut meta = CgroupMeta {
        magic: META_MAGIC,
        abi_version: CGROUP_ABI_VERSION,
        abi_hash: CGROUP_ABI_HASH,
        epoch: cgroup.id(),
        attached_boot_ns: 1,
        boot_id: [0x0a; 16],
        sensor: Sensor::Cgroup as u32,
        ncpu: libbpf_rs::num_possible_cpus().expect("CPUs") as u32,
        max_flows,
        max_owners: max_flows,
        cgroup_id: cgroup.id(),
        ..CgroupMeta::read_from_bytes(&[0; size_of::<CgroupMeta>()]).expect("zeroes")
    };
    let path = path_of(cgroup);
    let path = path.trim_start_matches('/').as_bytes();
    meta.path[..path.len()].copy_from_slice(path);
    meta
}

/// Path of a cgroup as rows write it.
pub fn path_of(cgroup: &Cgroup) -> String {
    let path = cgroup.path().strip_prefix(mount_point()).expect("it lies below the mount");
    format!("/{}", path.display())
}

/// A sensor on a cgroup of its own, pinned.
pub fn attached(house: &House, scope: &str, max_flows: u32) -> (Cgroup, CgroupSensor) {
    let cgroup = Cgroup::new();
    let mut sensor = CgroupSensor::attach_with(&cgroup, max_flows);
    house.pin(&mut sensor, scope, &meta(&cgroup, max_flows));
    (cgroup, sensor)
}

/// A sealed segment of a cgroup, checked against its own footer.
pub struct Sealed {
    pub header: Header,
    pub sweeps: Vec<(Sweep, Vec<Flow<'static>>)>,
    /// Rows of names, destinations and applications, of all sweeps.
    pub others: Vec<Row>,
    pub gaps: Vec<Gap>,
}

impl Sealed {
    #[track_caller]
    pub fn read(path: &Path) -> Self {
        let bytes = fs::read(path).expect("readable");
        let mut lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
        let last = lines.pop().expect("a footer");
        let Ok(Row::Footer(Footer { lines: count, sha256, .. })) = Row::from_line(last) else {
            panic!("{}: no footer", path.display())
        };
        let digest = Sha256::digest(lines.concat());
        assert_eq!((count, sha256), (lines.len() as u64, ibsr_proto::abi::hex(&digest)));
        let mut rows = lines.iter().map(|line| Row::from_line(line).expect("a row"));
        let Some(Row::Header(header)) = rows.next() else { panic!("no header") };
        let (mut sweeps, mut flows, mut gaps) = (Vec::new(), Vec::new(), Vec::new());
        let (mut others, mut closed) = (Vec::new(), 0);
        for row in rows {
            match row {
                Row::Flow(flow) => flows.push(*flow),
                row @ (Row::Name(_) | Row::Behaviour(_) | Row::App(_) | Row::Zone(_)) => {
                    others.push(row);
                }
                Row::Sweep(sweep) => {
                    let flows = std::mem::take(&mut flows);
                    assert_eq!(sweep.rows, (flows.len() + others.len() - closed) as u64);
                    closed = others.len();
                    assert!(flows.iter().all(|flow| flow.seq == sweep.seq));
                    sweeps.push((*sweep, flows));
                }
                Row::Gap(gap) => gaps.push(gap),
                other => panic!("{}: {other:?} in the middle", path.display()),
            }
        }
        assert!(flows.is_empty(), "{}: rows of no sweep", path.display());
        Self { header: *header, sweeps, others, gaps }
    }
}

/// What identifies a flow in the map.
pub type Key = (u64, Option<SourceAddr>, Option<u16>, u16, u32);

/// The newest row of each flow, and all sweeps, after checking what must hold across segments:
/// `seq` ascends, every sweep obeys the law.
#[track_caller]
pub fn newest(spool: &Path, scope: &str) -> (BTreeMap<Key, Flow<'static>>, Vec<Sweep>) {
    let (mut rows, mut sweeps) = (BTreeMap::new(), Vec::new());
    for path in sealed(spool, scope) {
        for (sweep, flows) in Sealed::read(&path).sweeps {
            assert!(sweep.conserved, "{sweep:?}");
            for flow in flows {
                rows.insert(key_of_row(&flow), flow);
            }
            sweeps.push(sweep);
        }
    }
    assert!(sweeps.is_sorted_by(|a, b| a.seq < b.seq), "{sweeps:?}");
    (rows, sweeps)
}

fn key_of_row(row: &Flow<'_>) -> Key {
    (row.socket, row.remote_addr, row.remote_port, row.protocol.0, row.holder)
}

/// The key of an entry, as its row should have it.
pub fn key_of_entry(key: &FlowKey) -> Key {
    let has_peer = key.remote_addr != [0; 16];
    let remote: IpAddr = std::net::Ipv6Addr::from(key.remote_addr).to_canonical();
    let remote_addr = has_peer.then(|| remote.into());
    (key.socket, remote_addr, has_peer.then_some(key.remote_port), key.protocol, key.holder)
}

/// Checks a row against the entry of the map that it is about.
#[track_caller]
pub fn assert_is(row: &Flow<'_>, entry: &Entry) {
    let counters = (row.packets_in, row.bytes_in, row.packets_out, row.bytes_out);
    assert_eq!(counters, (entry.packets_in, entry.bytes_in, entry.packets_out, entry.bytes_out));
    assert_eq!((row.retransmits, row.steps.0), (entry.retransmits, entry.steps), "{row:?}");
    assert_eq!((row.born_boot_ns, row.last_boot_ns), (entry.born_boot_ns, entry.last_boot_ns));
    assert_eq!(row.closed_boot_ns, entry.closed_boot_ns, "{row:?}");
    assert_eq!((row.local_port, row.cgroup_id), (entry.local_port, entry.cgroup_id));
    assert_eq!(row.owner_key.map(|key| key.0).unwrap_or_default(), entry.owner);
    assert_eq!((row.learned.0, row.direction.0), (entry.learned, entry.direction));
}
