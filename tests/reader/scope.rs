// SPDX-License-Identifier: MIT OR Apache-2.0
//! A scope whose maps the test made and filled itself, for what no loader would pin and for
//! counts that no traffic could make exact; and the reader's command line.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use ibsr_proto::abi::{
    ABI_HASH, ABI_VERSION, CpuTotals, Losses, META_MAGIC, Meta, PORT_BYTES, Sensor, Set,
    SourceCounts, SourceKey, XdpMode,
};
use ibsr_proto::pins;
use ibsr_tests::bpffs::PinRoot;
use ibsr_tests::process::program;
use libbpf_rs::{MapCore as _, MapFlags, MapHandle, MapType};
use zerocopy::{FromBytes as _, IntoBytes as _};

/// Scope of every hand-made set of pins.
pub const SCOPE: &str = "xdp-made0";

/// What a map is made as.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub map_type: MapType,
    pub key: usize,
    pub value: usize,
    pub entries: u32,
}

impl Shape {
    fn make(self) -> MapHandle {
        // A reader maps the one array that holds more than it copies; the others do not mind.
        let is_array = matches!(self.map_type, MapType::Array);
        let options = libbpf_sys::bpf_map_create_opts {
            sz: size_of::<libbpf_sys::bpf_map_create_opts>() as libbpf_sys::size_t,
            map_flags: if is_array { libbpf_sys::BPF_F_MMAPABLE } else { 0 },
            ..Default::default()
        };
        let Self { map_type, key, value, entries } = self;
        MapHandle::create(map_type, None::<&str>, key as u32, value as u32, entries, &options)
            .expect("root may make maps")
    }
}

/// An array of one entry.
const fn array(map_type: MapType, value: usize) -> Shape {
    Shape { map_type, key: 4, value, entries: 1 }
}

/// What a scope is made of. The default is what the loader makes.
#[derive(Debug, Clone)]
pub struct Design {
    pub meta: Meta,
    pub meta_shape: Shape,
    pub proven: Shape,
    pub sets: Shape,
    pub totals: Shape,
    pub without: Option<&'static str>,
}

impl Default for Design {
    fn default() -> Self {
        Self {
            meta: meta(),
            meta_shape: array(MapType::Array, size_of::<Meta>()),
            proven: Shape {
                map_type: MapType::LruHash,
                key: size_of::<SourceKey>(),
                value: size_of::<SourceCounts>(),
                entries: 4096,
            },
            sets: array(MapType::Array, size_of::<Set>()),
            totals: array(MapType::PercpuArray, size_of::<CpuTotals>()),
            without: None,
        }
    }
}

/// A `meta` that this release's loader could have written.
pub fn meta() -> Meta {
    let mut ifname = [0; 16];
    ifname[..5].copy_from_slice(b"made0");
    Meta {
        magic: META_MAGIC,
        abi_version: ABI_VERSION,
        abi_hash: ABI_HASH,
        epoch: 0x00c0_ffee,
        attached_boot_ns: 1,
        boot_id: [0x0a; 16],
        sensor: Sensor::Xdp as u32,
        xdp_mode: XdpMode::Native as u32,
        ifindex: 4_000_000,
        ncpu: libbpf_rs::num_possible_cpus().expect("CPUs") as u32,
        max_sources: 4096,
        ifname,
        dst_ports: [0xff; PORT_BYTES],
        ..Meta::read_from_bytes(&[0; size_of::<Meta>()]).expect("zeroes")
    }
}

fn make_meta(shape: Shape, meta: &Meta) -> MapHandle {
    let map = shape.make();
    let mut value = vec![0; shape.value];
    let length = value.len().min(meta.as_bytes().len());
    value[..length].copy_from_slice(&meta.as_bytes()[..length]);
    map.update(&0_u32.to_ne_bytes(), &value, MapFlags::ANY).expect("writable");
    map
}

/// Pins that the test made. Removed on drop.
#[derive(Debug)]
pub struct Made {
    pub root: PinRoot,
    pub dir: PathBuf,
    pub proven: MapHandle,
    pub unproven: MapHandle,
    pub sets: MapHandle,
    pub totals: MapHandle,
    pub losses: MapHandle,
    meta_shape: Shape,
}

impl Made {
    /// Makes, writes and pins the maps.
    pub fn new(design: &Design) -> Self {
        let root = PinRoot::new();
        let dir = root.path().join(SCOPE);
        fs::create_dir_all(&dir).expect("bpffs is writable");
        let meta = make_meta(design.meta_shape, &design.meta);
        let mut made = Self {
            root,
            dir,
            proven: design.proven.make(),
            unproven: Shape { entries: 4096, ..design.proven }.make(),
            sets: design.sets.make(),
            totals: design.totals.make(),
            losses: array(MapType::PercpuArray, size_of::<Losses>()).make(),
            meta_shape: design.meta_shape,
        };
        made.pin(&made.dir.clone(), meta, design.without);
        made
    }

    fn pin(&mut self, dir: &Path, mut meta: MapHandle, without: Option<&str>) {
        let maps = [
            (pins::META, &mut meta),
            (pins::PROVEN, &mut self.proven),
            (pins::UNPROVEN, &mut self.unproven),
            (pins::SETS, &mut self.sets),
            (pins::TOTALS, &mut self.totals),
            (pins::LOSSES, &mut self.losses),
        ];
        for (name, map) in maps {
            if without != Some(name) {
                map.pin(dir.join(name)).expect("bpffs is writable");
            }
        }
        // The reader only asks whether the link's pin is there.
        if without != Some(pins::LINK) {
            meta.pin(dir.join(pins::LINK)).expect("bpffs is writable");
        }
    }

    /// Pins the same maps under another directory, described by another `meta`.
    pub fn pin_again(&mut self, dir: &Path, meta: &Meta) {
        fs::create_dir(dir).expect("bpffs is writable");
        self.pin(dir, make_meta(self.meta_shape, meta), None);
    }

    /// Gives the pins to a group, with the modes that the loader sets.
    pub fn give_to_group(&self, gid: u32) {
        for dir in [self.root.path(), &self.dir] {
            chown(dir, None, Some(gid)).expect("root may");
            fs::set_permissions(dir, Permissions::from_mode(pins::DIR_MODE)).expect("root may");
        }
        for entry in fs::read_dir(&self.dir).expect("a directory").flatten() {
            chown(entry.path(), None, Some(gid)).expect("root may");
            let mode = match entry.file_name().to_str() {
                Some(pins::LINK) => pins::LINK_MODE,
                Some(pins::SETS) => pins::MAPPED_MODE,
                _ => pins::MAP_MODE,
            };
            fs::set_permissions(entry.path(), Permissions::from_mode(mode)).expect("root may");
        }
    }

    /// Fills the table with [`entry`] 0 to `count`, and the totals with what they add up to.
    pub fn fill(&self, count: u32) {
        const BATCH: u32 = 10_000;
        let mut packets = 0;
        for first in (0..count).step_by(BATCH as usize) {
            let entries: Vec<_> = (first..count.min(first + BATCH)).map(entry).collect();
            packets += entries.iter().map(|(_, counts)| counts.packets).sum::<u64>();
            let keys: Vec<u8> =
                entries.iter().flat_map(|(key, _)| key.as_bytes().to_vec()).collect();
            let values: Vec<u8> =
                entries.iter().flat_map(|(_, counts)| counts.as_bytes().to_vec()).collect();
            let count = entries.len() as u32;
            self.proven
                .update_batch(&keys, &values, count, MapFlags::ANY, MapFlags::ANY)
                .expect("room for every entry");
        }
        self.set_tracked(packets);
    }

    /// Totals that hold `packets` tracked packets, spread over the CPUs, and nothing else.
    pub fn set_tracked(&self, packets: u64) {
        let cpus = libbpf_rs::num_possible_cpus().expect("CPUs") as u64;
        let values: Vec<Vec<u8>> = (0..cpus)
            .map(|cpu| {
                let share = packets / cpus + if cpu == 0 { packets % cpus } else { 0 };
                let totals = CpuTotals {
                    received: share,
                    passed: share,
                    tracked: share,
                    ..CpuTotals::default()
                };
                totals.as_bytes().to_vec()
            })
            .collect();
        self.totals.update_percpu(&0_u32.to_ne_bytes(), &values, MapFlags::ANY).expect("writable");
    }
}

/// Entry `number` of [`Made::fill`]: each has another address and other counts.
pub fn entry(number: u32) -> (SourceKey, SourceCounts) {
    let [a, b, c, d] = number.to_be_bytes();
    let addr = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10 | a, b, c, d];
    let number = u64::from(number);
    let counts = SourceCounts {
        syn: number % 7,
        packets: 1 + number % 1000,
        bytes: 60 * (1 + number % 1000),
        born_boot_ns: number,
        last_boot_ns: number + 1,
        ..SourceCounts::default()
    };
    (SourceKey { addr, dst_port: 443, pad: 0 }, counts)
}

/// A spool root of the test's own.
pub fn spool() -> tempfile::TempDir {
    tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o750))
        .tempdir()
        .expect("a directory")
}

/// `ibsr-reader SUBCOMMAND` on `scope` with its pins and spool.
pub fn reader(subcommand: &str, scope: &str, pin_root: &Path, spool: &Path) -> Command {
    let mut command = Command::new(program("ibsr-reader"));
    command
        .args([subcommand, "--scope", scope, "--pin-root"])
        .arg(pin_root)
        .arg("--spool")
        .arg(spool);
    command
}
