// SPDX-License-Identifier: MIT OR Apache-2.0
//! The programs that the benches of the sensor compare, each behind the same generator of
//! senders: compiled once, loaded for each row with that row's knobs, run and read.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use ibsr_proto::abi::{DEFAULT_MAX_SOURCES, SourceCounts, SourceKey, Table, set_count};
use ibsr_proto::ports::PortSet;
use ibsr_tests::prog::{Compiled, XDP_PASS, compilers};
use libbpf_rs::btf::{Btf, types};
use libbpf_rs::{MapCore as _, MapFlags, Object, OpenObject, ProgramInput, ProgramMut};
use rustix::time::{ClockId, clock_gettime};
use zerocopy::IntoBytes as _;

#[path = "placement.rs"]
mod placement;

/// Name of the program to run in every object.
const ENTRY: &str = "bench_run";
/// The sensor's LRU tables.
pub const LRU_TABLES: [&str; 2] = ["ibsr_proven", "ibsr_unproven"];
/// Its set-associative one.
pub const SETS: &str = "ibsr_sets";
const TAGS: &str = "ibsr_tags";
/// Its ways to keep sources.
pub const TABLES: [Table; 2] = [Table::Lru, Table::Sets];
/// The yardstick's.
pub const YARD_TABLE: &str = "yard_src";
/// Ports that the yardstick can hold.
pub const YARD_MAX_PORTS: usize = 8;

/// Source address of number `number` of the generator; twin of `gen_address`.
#[must_use]
pub fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x1000_0000 | (number.wrapping_mul(0x9e37_79b1) & 0x0fff_ffff))
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Which {
    /// The generator alone; without one, the empty program.
    Floor,
    /// The sensor's parser.
    Parse,
    /// A plain sensor of the publicly known kind.
    Yardstick,
    /// The sensor with one of its tables.
    Ours(Table),
    /// Puts frames on a wire.
    Sender,
}

impl Which {
    const ALL: [Self; 6] = [
        Self::Floor,
        Self::Parse,
        Self::Yardstick,
        Self::Ours(Table::Lru),
        Self::Ours(Table::Sets),
        Self::Sender,
    ];

    const fn file(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Parse => "parse",
            Self::Yardstick => "yardstick",
            Self::Ours(_) => "ours",
            Self::Sender => "sender",
        }
    }
}

/// Who the senders are; twin of `enum gen_kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Senders {
    /// The frame's own.
    Frame,
    /// One of so many, each as likely.
    Uniform(u32),
    /// Never the same twice.
    New,
    /// As the schedule says: words, a power of two, and steady clients.
    Schedule {
        /// Length of the schedule.
        words: u32,
        /// Steady clients.
        clients: u32,
    },
}

impl Senders {
    const fn kind(self) -> u32 {
        match self {
            Self::Frame => 0,
            Self::Uniform(_) => 1,
            Self::New => 2,
            Self::Schedule { .. } => 3,
        }
    }
}

/// What a loaded program is set to.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who the senders are.
    pub senders: Senders,
    /// Ports that are counted.
    pub ports: Vec<u16>,
    /// Entries of the yardstick's table, and of each of the sensor's.
    pub entries: u32,
    /// Interface that [`Which::Sender`] sends through.
    pub ifindex: u32,
    /// Inserts of unproven sources a second, where it is not the sensor's default.
    pub insert_cap: Option<u32>,
}

impl Settings {
    /// Port 443 and the default table.
    #[must_use]
    pub fn new(senders: Senders) -> Self {
        Self {
            senders,
            ports: vec![443],
            entries: DEFAULT_MAX_SOURCES,
            ifindex: 0,
            insert_cap: None,
        }
    }
}

/// Object files of all programs.
#[derive(Debug)]
pub struct Programs(BTreeMap<Which, (Compiled, Btf<'static>)>);

impl Programs {
    /// Compiles them with the newest compiler.
    ///
    /// # Errors
    /// When there is none, or an object has no BTF.
    pub fn compile() -> Result<Self> {
        let clang = compilers().pop().context("no clang")?;
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("bpf/bench");
        let compile = |which: Which| {
            let compiled = Compiled::new(&clang, &dir.join(format!("{}.bpf.c", which.file())));
            let btf = Btf::from_path(compiled.path()).context("failed to read BTF")?;
            Ok((which, (compiled, btf)))
        };
        Which::ALL.into_iter().map(compile).collect::<Result<_>>().map(Self)
    }

    /// Loads one with `settings`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn load(&self, which: Which, settings: &Settings) -> Result<Loaded> {
        let (compiled, btf) = &self.0[&which];
        let mut open = compiled.open();
        for mut program in open.progs_mut() {
            let is_entry = program.name() == ENTRY;
            program.set_autoload(is_entry);
        }
        configure(&mut open, btf, which, settings)?;
        let object = open.load().with_context(|| format!("failed to load `{}`", which.file()))?;
        let loaded = Loaded(object);
        if which == Which::Yardstick {
            loaded.select_yardstick_ports(&settings.ports)?;
        }
        Ok(loaded)
    }
}

fn configure(
    open: &mut OpenObject,
    btf: &Btf<'_>,
    which: Which,
    settings: &Settings,
) -> Result<()> {
    let (table, lru_entries, sets) = match which {
        Which::Ours(Table::Sets) => (Table::Sets, 1, set_count(settings.entries)),
        _ => (Table::Lru, settings.entries, 1),
    };
    let ranges = settings.ports.iter().map(|port| Ok(port.to_string().parse()?));
    let ports = PortSet::from_ranges(&ranges.collect::<Result<Vec<_>>>()?);
    let (distinct, words, clients) = match settings.senders {
        Senders::Uniform(distinct) => (distinct, 2, 1),
        Senders::Schedule { words, clients } => (0, words, clients),
        Senders::Frame | Senders::New => (0, 2, 1),
    };
    ensure!(words.is_power_of_two(), "a schedule of {words} words does not repeat evenly");
    let knobs = [
        ("gen_kind", settings.senders.kind().to_ne_bytes()),
        ("gen_sources", distinct.to_ne_bytes()),
        ("gen_schedule_mask", (words - 1).to_ne_bytes()),
        ("gen_ifindex", settings.ifindex.to_ne_bytes()),
        ("ibsr_table", (table as u32).to_ne_bytes()),
        ("ibsr_set_count", sets.to_ne_bytes()),
    ];
    for mut map in open.maps_mut() {
        let name = map.name().to_string_lossy().into_owned();
        if name.ends_with(".rodata") {
            let bytes = map.initial_value_mut().context("there are no knobs")?;
            for (knob, value) in &knobs {
                set_knob(bytes, btf, knob, value);
            }
            set_knob(bytes, btf, "ibsr_dst_ports", ports.bitmap());
            if let Some(cap) = settings.insert_cap {
                set_knob(bytes, btf, "ibsr_insert_cap", &cap.to_ne_bytes());
            }
        } else if name == "gen_schedule" {
            map.set_max_entries(words / 2)?;
        } else if name == "gen_clients" {
            map.set_max_entries(clients)?;
        } else if name == YARD_TABLE {
            map.set_max_entries(settings.entries)?;
        } else if name == SETS || name == TAGS {
            map.set_max_entries(sets)?;
        } else if LRU_TABLES.contains(&name.as_str()) {
            map.set_max_entries(lru_entries)?;
        }
    }
    Ok(())
}

/// Writes a knob where the object has it.
fn set_knob(rodata: &mut [u8], btf: &Btf<'_>, knob: &str, value: &[u8]) {
    let Some(section) = btf.type_by_name::<types::DataSec<'_>>(".rodata") else { return };
    let at = section.iter().find(|var| {
        btf.type_by_id::<types::Var<'_>>(var.ty)
            .is_some_and(|var| var.name().is_some_and(|name| name == knob))
    });
    if let Some(var) = at {
        rodata[var.offset as usize..][..value.len()].copy_from_slice(value);
    }
}

/// A loaded program and its maps.
#[derive(Debug)]
pub struct Loaded(Object);

impl Loaded {
    /// The program.
    ///
    /// # Panics
    /// Never: every object was compiled from a file that has it.
    #[must_use]
    pub fn program(&self) -> ProgramMut<'_> {
        self.0.progs_mut().find(|found| found.name() == ENTRY).expect("each object has it")
    }

    /// Runs it `repeat` times on `frame`. Returns CPU nanoseconds a run, of the thread: unlike
    /// the kernel's own figure not cut to whole ones, and like it without the time of others.
    ///
    /// # Errors
    /// When the kernel refuses, or the frame is not passed.
    pub fn run(&self, frame: &[u8], repeat: u32) -> Result<f64> {
        let input = ProgramInput { data_in: Some(frame), repeat, ..ProgramInput::default() };
        let program = self.program();
        let before = thread_cpu_ns();
        let output = program.test_run(input).context("failed to run the program")?;
        let spent_ns = thread_cpu_ns() - before;
        ensure!(output.return_value == XDP_PASS, "a packet was not passed");
        Ok(spent_ns as f64 / f64::from(repeat))
    }

    /// Runs it on live frames, which a [`Which::Sender`] sends.
    ///
    /// # Errors
    /// When the kernel refuses: it is older than 5.18.
    pub fn run_live(&self, frame: &[u8], repeat: u32) -> Result<()> {
        let flags = libbpf_rs::libbpf_sys::BPF_F_TEST_XDP_LIVE_FRAMES;
        let input = ProgramInput { data_in: Some(frame), repeat, flags, ..ProgramInput::default() };
        self.program().test_run(input).context("failed to send live frames")?;
        Ok(())
    }

    /// A map, where the object has it.
    #[must_use]
    pub fn map(&self, name: &str) -> Option<libbpf_rs::Map<'_>> {
        self.0.maps().find(|map| map.name() == name)
    }

    /// Writes the schedule from its start; an even number of words.
    ///
    /// # Errors
    /// When it is longer than the map.
    pub fn write_schedule(&self, words: &[u32]) -> Result<()> {
        let map = self.map("gen_schedule").context("there is no schedule")?;
        let slots = (words.len() / 2) as u32;
        ensure!(slots <= map.max_entries(), "the schedule is too long");
        let keys: Vec<u8> = (0..slots).flat_map(u32::to_ne_bytes).collect();
        let (flags, any) = (MapFlags::ANY, MapFlags::ANY);
        map.update_batch(&keys, words.as_bytes(), slots, flags, any)
            .context("failed to write the schedule")
    }

    /// Writes a steady client: the address and port of its end.
    ///
    /// # Errors
    /// When there are fewer clients.
    pub fn write_client(&self, number: u32, end: SocketAddrV4) -> Result<()> {
        let map = self.map("gen_clients").context("there are no clients")?;
        let mut value = end.ip().octets().to_vec();
        value.extend(end.port().to_be_bytes());
        value.extend([0, 0]);
        map.update(&number.to_ne_bytes(), &value, MapFlags::ANY)
            .with_context(|| format!("failed to write client {number}"))
    }

    /// Puts sources into the sensor's table as it does when they are proven: then a packet of
    /// theirs takes the way that all but the first packets of a real client take.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn prove(&self, sources: &[SourceKey]) -> Result<()> {
        let (flags, any) = (MapFlags::ANY, MapFlags::ANY);
        let map = self.map(SETS).context("the sensor has no sets")?;
        if map.max_entries() > 1 {
            let (tags, sets) = placement::filled(sources, map.max_entries())?;
            let keys: Vec<u32> = (0..map.max_entries()).collect();
            let count = map.max_entries();
            map.update_batch(keys.as_bytes(), sets.as_bytes(), count, flags, any)
                .context("failed to write sets")?;
            let map = self.map(TAGS).context("the sensor has no tags")?;
            return map
                .update_batch(keys.as_bytes(), tags.as_bytes(), count, flags, any)
                .context("failed to write tags");
        }
        let map = self.map(LRU_TABLES[0]).context("the sensor has no table of sources")?;
        let empty = vec![SourceCounts::default(); sources.len()];
        let count = sources.len() as u32;
        map.update_batch(sources.as_bytes(), empty.as_bytes(), count, flags, any)
            .context("failed to write sources")
    }

    /// Of the yardstick only; others take their ports as a knob.
    fn select_yardstick_ports(&self, ports: &[u16]) -> Result<()> {
        ensure!(ports.len() <= YARD_MAX_PORTS, "the yardstick takes {YARD_MAX_PORTS} ports");
        let map = self.map("yard_ports").context("the yardstick selects no ports")?;
        for (at, port) in (0_u32..).zip(ports) {
            map.update(&at.to_ne_bytes(), &u32::from(*port).to_ne_bytes(), MapFlags::ANY)?;
        }
        Ok(())
    }
}

fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}
