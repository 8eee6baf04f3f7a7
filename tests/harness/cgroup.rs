// SPDX-License-Identifier: MIT OR Apache-2.0
//! A cgroup of the test's own, and the cgroup sensor attached to it. Nothing is ever attached
//! to the root cgroup.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use ibsr_proto::cgroup_abi::{CgroupMeta, CgroupTotals, Flow, FlowKey, Owner};
use ibsr_proto::cgroup_behaviour_abi::{
    AppKey, AppWindow, BaselineKey, Behaviour, BehaviourKey, BehaviourTotals,
};
use ibsr_proto::cgroup_dns_abi::NameText;
use ibsr_proto::cgroup_zone_abi::{Zone, ZoneKey};
use ibsr_proto::pins;
use libbpf_rs::{Iter, Link, MapCore as _, MapFlags, Object};
use zerocopy::{FromBytes, IntoBytes as _};

use crate::prog::{Compiled, Knobs, compilers};

/// Section of the program that walks open files.
const SEED: &str = "iter/task_file";
/// Tables whose size a test may choose.
const TABLES: [&str; 5] =
    ["ibsr_flows", "ibsr_owners", "ibsr_behaviour", "ibsr_zones", "ibsr_zone_texts"];

/// A cgroup, removed on drop with those below it; whoever is still in one is ended.
#[derive(Debug)]
pub struct Cgroup(PathBuf);

/// Where version 2 is mounted: `/sys/fs/cgroup`, or a folder in it where version 1 is too.
#[must_use]
pub fn mount_point() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("/proc is mounted");
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let mut version_2 = fields.filter(|fields| fields.get(2) == Some(&"cgroup2"));
    version_2.next().expect("cgroup v2 is mounted")[1].into()
}

impl Cgroup {
    /// Makes one at the top.
    #[must_use]
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::make(mount_point().join(format!("ibsr-test-{}-{number}", std::process::id())))
    }

    /// Makes one below this one, which must outlive it.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        Self::make(self.0.join(name))
    }

    fn make(path: PathBuf) -> Self {
        fs::create_dir(&path)
            .unwrap_or_else(|error| panic!("failed to make `{}`: {error}", path.display()));
        Self(path)
    }

    /// Its folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Its id: the inode of its folder.
    #[must_use]
    pub fn id(&self) -> u64 {
        fs::metadata(&self.0).expect("the cgroup exists").ino()
    }
}

impl Default for Cgroup {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _killed = fs::write(self.0.join("cgroup.kill"), "1");
        for _ in 0..200 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            // The processes need a moment to end.
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

/// The cgroup sensor, attached; detached on drop.
#[derive(Debug)]
pub struct CgroupSensor {
    // Links go before the object that they are about.
    links: Vec<Link>,
    object: Object,
}

impl CgroupSensor {
    /// The sensor's source.
    #[must_use]
    pub fn source() -> PathBuf {
        ibsr_bpf::source_dir().join("observe_cgroup.bpf.c")
    }

    /// Attaches the newest compiler's object to `cgroup`, with room for 4,096 flows.
    #[must_use]
    pub fn attach(cgroup: &Cgroup) -> Self {
        Self::attach_with(cgroup, 4_096)
    }

    /// The same with room for `max_flows`.
    #[must_use]
    pub fn attach_with(cgroup: &Cgroup, max_flows: u32) -> Self {
        let clang = compilers().pop().expect("a compiler");
        Self::attach_object(&Compiled::new(&clang, &Self::source()), cgroup, max_flows)
    }

    /// Attaches `compiled`, of which every program belongs to a cgroup.
    #[must_use]
    pub fn attach_object(compiled: &Compiled, cgroup: &Cgroup, max_flows: u32) -> Self {
        let mut sensor = Self::load(compiled, max_flows, None);
        sensor.attach_to(cgroup);
        sensor
    }

    /// Attaches the sensor and takes over the sockets that `cgroup` has already.
    #[must_use]
    pub fn attach_and_seed(cgroup: &Cgroup) -> Self {
        let clang = compilers().pop().expect("a compiler");
        let compiled = Compiled::new(&clang, &Self::source());
        let mut sensor = Self::load(&compiled, 4_096, Some(cgroup));
        sensor.attach_to(cgroup);
        sensor.seed();
        sensor
    }

    /// Loads `compiled` without attaching it; `seeded` is the cgroup of [`Self::seed`].
    #[must_use]
    pub fn load(compiled: &Compiled, max_flows: u32, seeded: Option<&Cgroup>) -> Self {
        let id = seeded.map(|cgroup| cgroup.id().to_ne_bytes());
        let knobs = id.as_ref().map(|id| ("ibsr_cgroup_id", id.as_slice()));
        Self::load_with(compiled, max_flows, knobs.as_slice())
    }

    /// Loads `compiled` with these knobs without attaching it.
    #[must_use]
    pub fn load_with(compiled: &Compiled, max_flows: u32, knobs: Knobs<'_>) -> Self {
        let mut open = compiled.open();
        for mut map in open.maps_mut() {
            let name = map.name().to_string_lossy().into_owned();
            if TABLES.contains(&name.as_str()) {
                map.set_max_entries(max_flows).expect("not loaded yet");
            } else if name.ends_with(".rodata") && !knobs.is_empty() {
                let bytes = map.initial_value_mut().expect("there are knobs");
                for (knob, value) in knobs {
                    let at = compiled.knob_offset(knob).expect("the knob exists");
                    bytes[at..][..value.len()].copy_from_slice(value);
                }
            }
        }
        let object = open.load().expect("root may load the sensor");
        Self { links: Vec::new(), object }
    }

    /// Attaches every program that belongs to a cgroup.
    pub fn attach_to(&mut self, cgroup: &Cgroup) {
        let dir = File::open(cgroup.path()).expect("the cgroup exists");
        for program in self.object.progs_mut() {
            if program.section() == SEED {
                continue;
            }
            let link = program.attach_cgroup(dir.as_raw_fd()).expect("root may attach");
            self.links.push(link);
        }
    }

    /// Has the kernel walk all open files once.
    pub fn seed(&self) {
        let mut programs = self.object.progs_mut();
        let program = programs.find(|program| program.section() == SEED).expect("it is there");
        let link = program.attach().expect("root may");
        let mut files = Iter::new(&link).expect("the kernel makes an iterator");
        let mut said = Vec::new();
        files.read_to_end(&mut said).expect("the walk ends");
        assert!(said.is_empty(), "it says nothing");
    }

    /// Pins maps and links under `dir`, which exists, as the loader does, described by `meta`.
    pub fn pin(&mut self, dir: &Path, meta: &CgroupMeta) {
        for mut map in self.object.maps_mut() {
            let kernel_name = map.name().to_string_lossy().into_owned();
            let pin = pins::CGROUP_MAPS.iter().find(|(_, name)| *name == kernel_name);
            let Some((pin, _)) = pin else { continue };
            if *pin == pins::META {
                map.update(&0_u32.to_ne_bytes(), meta.as_bytes(), MapFlags::ANY).expect("writable");
            }
            map.pin(dir.join(pin)).expect("bpffs is writable");
        }
        for (number, link) in self.links.iter_mut().enumerate() {
            let name = format!("{}{number}", pins::LINK_PREFIX);
            link.pin(dir.join(name)).expect("bpffs is writable");
        }
    }

    /// Detaches every program; what the maps hold stays.
    pub fn detach(&mut self) {
        self.links.clear();
    }

    /// The loaded object.
    #[must_use]
    pub const fn object(&self) -> &Object {
        &self.object
    }

    fn map(&self, name: &str) -> libbpf_rs::Map<'_> {
        self.object.maps().find(|map| map.name() == name).expect("the map exists")
    }

    /// Every flow, in the order of its key.
    #[must_use]
    pub fn flows(&self) -> Vec<(FlowKey, Flow)> {
        self.rows("ibsr_flows")
    }

    fn rows<K: FromBytes + Ord, V: FromBytes>(&self, name: &str) -> Vec<(K, V)> {
        let map = self.map(name);
        let mut rows: Vec<(K, V)> = map
            .keys()
            .filter_map(|key| {
                let value = map.lookup(&key, MapFlags::ANY).expect("readable")?;
                let key = K::read_from_bytes(&key).expect("the ABI");
                Some((key, V::read_from_bytes(&value).expect("the ABI")))
            })
            .collect();
        rows.sort_by(|(a, _), (b, _)| a.cmp(b));
        rows
    }

    /// Every destination of every application.
    #[must_use]
    pub fn behaviours(&self) -> Vec<(BehaviourKey, Behaviour)> {
        self.rows("ibsr_behaviour")
    }

    /// Every application.
    #[must_use]
    pub fn apps(&self) -> Vec<(AppKey, AppWindow)> {
        self.rows("ibsr_app_window")
    }

    /// Every zone of every application.
    #[must_use]
    pub fn zones(&self) -> Vec<(ZoneKey, Zone)> {
        self.rows("ibsr_zones")
    }

    /// The text of a zone; nothing where there is none.
    #[must_use]
    pub fn zone_text(&self, zone: u64) -> Option<NameText> {
        let value = self.map("ibsr_zone_texts").lookup(zone.as_bytes(), MapFlags::ANY);
        Some(NameText::read_from_bytes(&value.expect("readable")?).expect("the ABI"))
    }

    /// Totals of behaviour over all CPUs.
    #[must_use]
    pub fn behaviour_totals(&self) -> BehaviourTotals {
        let map = self.map("ibsr_bh_totals");
        let values = map.lookup_percpu(&0_u32.to_ne_bytes(), MapFlags::ANY).expect("readable");
        let cpus: Vec<BehaviourTotals> = values
            .expect("the one entry exists")
            .iter()
            .map(|value| BehaviourTotals::read_from_bytes(value).expect("the ABI"))
            .collect();
        BehaviourTotals::sum(&cpus)
    }

    /// Puts a destination into the baseline.
    pub fn expect_destination(&self, key: &BaselineKey) {
        let map = self.map("ibsr_baseline");
        map.update(key.as_bytes(), &1_u32.to_ne_bytes(), MapFlags::ANY).expect("there is room");
    }

    /// The flows of one socket.
    #[must_use]
    pub fn flows_of(&self, socket: u64) -> Vec<(FlowKey, Flow)> {
        self.flows().into_iter().filter(|(key, _)| key.socket == socket).collect()
    }

    /// The one flow of a socket besides its own row.
    #[must_use]
    #[track_caller]
    pub fn flow_of(&self, socket: u64) -> (FlowKey, Flow) {
        let flows: Vec<_> = self
            .flows_of(socket)
            .into_iter()
            .filter(|(key, _)| key.remote_addr != [0; 16])
            .collect();
        let [flow] = flows[..] else { panic!("one flow of socket {socket}: {flows:#?}") };
        flow
    }

    /// A socket's own row.
    #[must_use]
    #[track_caller]
    pub fn own_row(&self, socket: u64) -> Flow {
        let mut rows = self.flows_of(socket).into_iter();
        let own = rows.find(|(key, _)| key.remote_addr == [0; 16]);
        own.unwrap_or_else(|| panic!("socket {socket} has a row of its own")).1
    }

    /// An owner by its key.
    #[must_use]
    #[track_caller]
    pub fn owner(&self, key: u64) -> Owner {
        let value = self.map("ibsr_owners").lookup(key.as_bytes(), MapFlags::ANY);
        let value = value.expect("readable").unwrap_or_else(|| panic!("owner {key:#x} has a row"));
        Owner::read_from_bytes(&value).expect("the ABI")
    }

    /// Totals over all CPUs.
    #[must_use]
    pub fn totals(&self) -> CgroupTotals {
        let map = self.map("ibsr_cg_totals");
        let values = map.lookup_percpu(&0_u32.to_ne_bytes(), MapFlags::ANY).expect("readable");
        let cpus: Vec<CgroupTotals> = values
            .expect("the one entry exists")
            .iter()
            .map(|value| CgroupTotals::read_from_bytes(value).expect("the ABI"))
            .collect();
        CgroupTotals::sum(&cpus)
    }

    /// Packets of flows that the kernel evicted, after checking the law; for a sensor that sees
    /// no packets now.
    #[must_use]
    #[track_caller]
    pub fn evicted(&self) -> u64 {
        let totals = self.totals();
        let (mut packets, mut bytes) = (0, 0);
        for (_, flow) in self.flows() {
            packets += flow.packets_in + flow.packets_out;
            bytes += flow.bytes_in + flow.bytes_out;
        }
        let attributed = bytes + totals.insert_failed_bytes;
        assert!(attributed <= totals.tracked_bytes(), "more bytes in flows than were tracked");
        totals.evicted(packets).expect("not more packets in flows than were tracked")
    }
}
