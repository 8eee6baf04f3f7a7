// SPDX-License-Identifier: MIT OR Apache-2.0
//! The sensor without an interface: compiled, opened, loaded, run on frames one by one, and
//! its maps read. Loading needs root, the rest does not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ibsr_proto::abi::{CpuTotals, Set, SourceCounts, SourceKey, Table, set_count};
use ibsr_proto::conservation::Totals;
use ibsr_proto::ports::PortSet;
use ibsr_prove::Insn;
use libbpf_rs::btf::{Btf, types};
use libbpf_rs::{MapCore as _, MapFlags, Object, ObjectBuilder, OpenObject, ProgramInput};
use tempfile::TempDir;
use zerocopy::{FromBytes as _, IntoBytes as _};

/// Name of the sensor's program.
pub const SENSOR: &str = "ibsr_observe";
/// Its LRU tables of sources, with whether those in it are proven.
const LRU_TABLES: [(&str, bool); 2] = [("ibsr_unproven", false), ("ibsr_proven", true)];
/// Its set-associative one.
const SETS: &str = "ibsr_sets";
const TAGS: &str = "ibsr_tags";
/// Where the lock is in a value of it.
const LOCK_OFFSET: usize = 8;
/// The ways to keep sources.
pub const TABLES: [Table; 2] = [Table::Lru, Table::Sets];
/// What every frame gets.
pub const XDP_PASS: u32 = 2;

/// The compilers that objects are tried with, of those that this machine has.
#[must_use]
pub fn compilers() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let found = |name: &str| dirs.iter().map(|dir| dir.join(name)).find(|file| file.is_file());
    let mut compilers: Vec<PathBuf> =
        ["clang-14", "clang-19"].into_iter().filter_map(found).collect();
    if compilers.is_empty() {
        compilers.push(ibsr_bpf::clang());
    }
    compilers
}

/// Names a folder of objects that were compiled ahead, for places where clang is slow. What is
/// not in it is compiled.
const OBJECTS: &str = "IBSR_OBJECTS";

/// Where an object lies in such a folder.
#[must_use]
pub fn compiled_ahead(folder: &Path, clang: &Path, source: &Path) -> PathBuf {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_owned();
    folder.join(name(clang)).join(name(source)).with_extension("o")
}

/// An object file, removed on drop where it was compiled for the test.
#[derive(Debug)]
pub struct Compiled {
    _dir: Option<TempDir>,
    path: PathBuf,
}

impl Compiled {
    /// Compiles any BPF C file.
    #[must_use]
    pub fn new(clang: &Path, source: &Path) -> Self {
        if let Some(folder) = std::env::var_os(OBJECTS) {
            let path = compiled_ahead(Path::new(&folder), clang, source);
            if path.is_file() {
                return Self { _dir: None, path };
            }
        }
        let dir = TempDir::new().expect("a temporary directory");
        let path = dir.path().join("compiled.bpf.o");
        ibsr_bpf::compile_with(clang, source, &path).unwrap_or_else(|error| panic!("{error:?}"));
        Self { _dir: Some(dir), path }
    }

    /// Compiles the sensor.
    #[must_use]
    pub fn sensor(clang: &Path) -> Self {
        Self::new(clang, &ibsr_bpf::source_dir().join("observe_xdp.bpf.c"))
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opened, not loaded.
    #[must_use]
    pub fn open(&self) -> OpenObject {
        ObjectBuilder::default().open_file(&self.path).expect("clang wrote a good object")
    }

    /// Instructions of one program as they stand in the file.
    #[must_use]
    pub fn insns(&self, program: &str) -> Vec<Insn> {
        let object = self.open();
        let program = object.progs().find(|found| found.name() == program);
        program.expect("the program is in the object").insns().iter().map(insn).collect()
    }

    /// Bytes from the start of `.rodata` to a knob; `None` where the object has no such.
    #[must_use]
    pub fn knob_offset(&self, knob: &str) -> Option<usize> {
        let btf = Btf::from_path(&self.path).expect("the object has BTF");
        let rodata: types::DataSec<'_> = btf.type_by_name(".rodata")?;
        let var = rodata.iter().find(|var| {
            btf.type_by_id::<types::Var<'_>>(var.ty)
                .is_some_and(|var| var.name().is_some_and(|name| name == knob))
        });
        Some(var?.offset as usize)
    }
}

/// The same instruction in the prover's type.
#[must_use]
pub fn insn(insn: &libbpf_rs::libbpf_sys::bpf_insn) -> Insn {
    Insn { code: insn.code, dst: insn.dst_reg(), src: insn.src_reg(), off: insn.off, imm: insn.imm }
}

/// Names of knobs, each with the bytes of its value.
pub type Knobs<'a> = &'a [(&'a str, &'a [u8])];

/// The loaded sensor.
#[derive(Debug)]
pub struct Sensor {
    object: Object,
    table: Table,
}

impl Sensor {
    /// Loads the sensor from the newest compiler's object.
    #[must_use]
    pub fn load(ports: &PortSet, max_sources: u32) -> Self {
        let clang = compilers().pop().expect("a compiler");
        Self::load_from(&Compiled::sensor(&clang), ports, max_sources)
    }

    /// Loads the sensor from `compiled`, so that every source gets an entry with its first
    /// packet.
    #[must_use]
    pub fn load_from(compiled: &Compiled, ports: &PortSet, max_sources: u32) -> Self {
        let knobs: Knobs<'_> = &[("ibsr_admits_first", &[1])];
        Self::load_with(compiled, Table::Lru, ports, max_sources, knobs)
    }

    /// Loads the sensor with one of the tables and with other knobs than its defaults, each as
    /// the bytes of its value.
    #[must_use]
    pub fn load_with(
        compiled: &Compiled,
        table: Table,
        ports: &PortSet,
        max_sources: u32,
        knobs: Knobs<'_>,
    ) -> Self {
        let mut open = compiled.open();
        let (lru_entries, sets) = match table {
            Table::Lru => (max_sources, 1),
            Table::Sets => (1, set_count(max_sources)),
        };
        let [kind, sets_knob] = [table as u32, sets].map(u32::to_ne_bytes);
        let own: [(&str, &[u8]); 3] = [
            ("ibsr_dst_ports", ports.bitmap().as_slice()),
            ("ibsr_table", &kind),
            ("ibsr_set_count", &sets_knob),
        ];
        let knobs: Vec<(usize, &[u8])> = own
            .iter()
            .chain(knobs)
            .map(|(knob, value)| (compiled.knob_offset(knob).expect("the knob exists"), *value))
            .collect();
        for mut map in open.maps_mut() {
            let name = map.name().to_string_lossy().into_owned();
            if name.ends_with(".rodata") {
                let bytes = map.initial_value_mut().expect("there are knobs");
                for (at, value) in &knobs {
                    bytes[*at..][..value.len()].copy_from_slice(value);
                }
            } else if name == SETS || name == TAGS {
                map.set_max_entries(sets).expect("not loaded yet");
            } else if LRU_TABLES.iter().any(|(table, _)| *table == name) {
                map.set_max_entries(lru_entries).expect("not loaded yet");
            }
        }
        Self { object: open.load().expect("root may load the sensor"), table }
    }

    /// The loaded object.
    #[must_use]
    pub const fn object(&self) -> &Object {
        &self.object
    }

    /// Runs the program on one frame and checks what must hold of any: it is passed, and no
    /// byte of it is changed.
    #[track_caller]
    pub fn see(&self, frame: &[u8]) {
        let mut out = vec![0; frame.len()];
        let input = ProgramInput {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ..ProgramInput::default()
        };
        let program = self.object.progs_mut().next().expect("one program");
        let output = program.test_run(input).expect("the kernel runs it");
        assert_eq!(output.return_value, XDP_PASS, "verdict");
        assert_eq!(output.data.expect("the frame comes back"), frame, "the frame was changed");
    }

    /// Totals of each possible CPU.
    #[must_use]
    pub fn cpu_totals(&self) -> Vec<CpuTotals> {
        let map = self.map("ibsr_totals");
        let values = map.lookup_percpu(&0_u32.to_ne_bytes(), MapFlags::ANY).expect("readable");
        let values = values.expect("the one entry exists");
        values.iter().map(|value| CpuTotals::read_from_bytes(value).expect("the ABI")).collect()
    }

    /// Totals over all CPUs, after checking that their classes add up.
    #[must_use]
    #[track_caller]
    pub fn totals(&self) -> Totals {
        let totals = Totals::from_cpus(&self.cpu_totals());
        totals.check_classes(0).expect("the conservation law");
        totals
    }

    /// One source: its proven life where it has one.
    #[must_use]
    pub fn source(&self, key: &SourceKey) -> Option<SourceCounts> {
        self.source_of(key, true).or_else(|| self.source_of(key, false))
    }

    /// One source, if it has an entry as a proven one, or as another.
    #[must_use]
    pub fn source_of(&self, key: &SourceKey, is_proven: bool) -> Option<SourceCounts> {
        let entry = match self.table {
            Table::Lru => {
                let (table, _) = LRU_TABLES[usize::from(is_proven)];
                let found = self.map(table).lookup(key.as_bytes(), MapFlags::ANY);
                let found = found.expect("readable");
                found.map(|value| SourceCounts::read_from_bytes(&value).expect("the ABI"))
            }
            Table::Sets => {
                let mut sources = self.in_sets().into_iter();
                let is_it = |of: &(bool, SourceKey, _)| of.0 == is_proven && of.1 == *key;
                sources.find(is_it).map(|(.., counts)| counts)
            }
        };
        entry.map(public)
    }

    /// Every entry: whether it is proven, its key, its counts. For tables that nobody writes to.
    #[must_use]
    pub fn entries(&self) -> Vec<(bool, SourceKey, SourceCounts)> {
        if self.table == Table::Sets {
            let mut entries = self.in_sets();
            entries.iter_mut().for_each(|(.., counts)| *counts = public(*counts));
            return entries;
        }
        let of_table = |(table, is_proven): (&str, bool)| {
            let keys: Vec<Vec<u8>> = self.map(table).keys().collect();
            let entry = |key: Vec<u8>| {
                let key = SourceKey::read_from_bytes(&key).expect("the ABI");
                Some((is_proven, key, self.source_of(&key, is_proven)?))
            };
            keys.into_iter().filter_map(entry).collect::<Vec<_>>()
        };
        LRU_TABLES.into_iter().flat_map(of_table).collect()
    }

    fn in_sets(&self) -> Vec<(bool, SourceKey, SourceCounts)> {
        let sets = self.map(SETS);
        let mut found = Vec::new();
        for at in 0..sets.max_entries() {
            let set = sets.lookup(&at.to_ne_bytes(), MapFlags::ANY).expect("readable");
            let set = Set::read_from_bytes(&set.expect("an array has all")).expect("the ABI");
            let tags = self.map(TAGS).lookup(&at.to_ne_bytes(), MapFlags::ANY).expect("readable");
            let lock = &tags.expect("an array has all")[LOCK_OFFSET..][..4];
            assert_eq!(lock, [0; 4], "a lock was left behind");
            found.extend(set.sources().map(|(key, counts, is_proven)| (is_proven, key, counts)));
        }
        found
    }

    /// Every source, its proven life where it has one. For tables that nobody writes to.
    #[must_use]
    pub fn sources(&self) -> BTreeMap<SourceKey, SourceCounts> {
        // Proven lives come last and so are the ones that stay.
        let mut entries = self.entries();
        entries.sort_by_key(|(is_proven, ..)| *is_proven);
        entries.into_iter().map(|(_, key, counts)| (key, counts)).collect()
    }

    /// A map of the sensor.
    #[must_use]
    pub fn map(&self, name: &str) -> libbpf_rs::Map<'_> {
        self.object.maps().find(|map| map.name() == name).expect("the map exists")
    }
}

/// Without what the program remembers for itself, which is no count.
fn public(counts: SourceCounts) -> SourceCounts {
    SourceCounts { awaited: 0, ..counts }
}
