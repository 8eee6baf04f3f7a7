// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel's verifier says about every program: how much it had to look at, how much
//! stack it found, how long the result is. Kernels and compilers differ, so there is a figure
//! for each; one that grows by more than a tenth fails here before it fails to load somewhere.
//!
//! `tests/baseline/verifier.json` holds them by kernel, compiler and program, measured with the
//! knobs as they stand in the object, and once more where a knob leaves another program. With
//! `IBSR_BLESS=1` the file is written instead.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::{env, fs};

use ibsr_proto::abi::Table;
use ibsr_tests::kernel::Release;
use ibsr_tests::prog::{Compiled, compilers};
use libbpf_rs::query::{ProgInfoIter, ProgInfoQueryOptions};
use libbpf_rs::{AsRawLibbpf as _, MapType, OpenObject, ProgramHandle};
use serde::{Deserialize, Serialize};
use test_tag::tag;

/// A guest has its own copy, because it sees the tree read-only.
const OWN_BASELINE: &str = "IBSR_BASELINE";
const BLESS: &str = "IBSR_BLESS";
/// `BPF_LOG_STATS` of `<linux/bpf_verifier.h>`: a summary after the program, no trace.
const LOG_STATS: u32 = 4;
/// A summary is a few lines.
const LOG_BYTES: usize = 64 << 10;
/// No table has to be large to be verified.
const MAX_ENTRIES: u32 = 4_096;

/// What one load gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Figures {
    /// Instructions that the verifier walked, over all paths.
    verified_insns: u64,
    /// Deepest stack.
    stack_bytes: u64,
    /// The program after the verifier's rewriting.
    xlated_bytes: u64,
    /// The machine code.
    jited_bytes: u64,
}

impl Figures {
    fn named(&self) -> [(&'static str, u64); 4] {
        [
            ("verified_insns", self.verified_insns),
            ("stack_bytes", self.stack_bytes),
            ("xlated_bytes", self.xlated_bytes),
            ("jited_bytes", self.jited_bytes),
        ]
    }

    /// The larger one of each.
    fn max(self, other: Self) -> Self {
        Self {
            verified_insns: self.verified_insns.max(other.verified_insns),
            stack_bytes: self.stack_bytes.max(other.stack_bytes),
            xlated_bytes: self.xlated_bytes.max(other.xlated_bytes),
            jited_bytes: self.jited_bytes.max(other.jited_bytes),
        }
    }
}

/// Program, then its figures.
type Programs = BTreeMap<String, Figures>;
/// Compiler, then programs.
type Compilers = BTreeMap<String, Programs>;
/// Kernel, then compilers.
type Baseline = BTreeMap<String, Compilers>;

fn baseline_path() -> PathBuf {
    let in_tree = || Path::new(env!("CARGO_MANIFEST_DIR")).join("baseline/verifier.json");
    env::var_os(OWN_BASELINE).map_or_else(in_tree, PathBuf::from)
}

/// Every program that is shipped, with every compiler that is here.
fn measure() -> Compilers {
    compilers()
        .iter()
        .map(|clang| {
            let name = clang.file_name().expect("a program has a name").to_string_lossy();
            let mut programs = Programs::new();
            for source in sources() {
                for variant in &VARIANTS {
                    programs.extend(measure_object(clang, &source, variant));
                }
            }
            (name.into_owned(), programs)
        })
        .collect()
}

fn sources() -> Vec<PathBuf> {
    let entries = fs::read_dir(ibsr_bpf::source_dir()).expect("the sources are here");
    let mut sources: Vec<PathBuf> = entries.map(|entry| entry.expect("listable").path()).collect();
    sources.retain(|path| path.to_string_lossy().ends_with(".bpf.c"));
    sources.sort();
    sources
}

/// A knob that leaves another program, and what it is called behind the name of each.
struct Variant {
    suffix: &'static str,
    knob: Option<(&'static str, u32)>,
}

const VARIANTS: [Variant; 3] = [
    Variant { suffix: "", knob: None },
    Variant { suffix: ", set-assoc", knob: Some(("ibsr_table", Table::Sets as u32)) },
    Variant { suffix: ", enforcing", knob: Some(("ibsr_may_enforce", 1)) },
];

/// None where the object has no such knob.
fn measure_object(clang: &Path, source: &Path, variant: &Variant) -> Vec<(String, Figures)> {
    let compiled = Compiled::new(clang, source);
    let mut open = compiled.open();
    if let Some((knob, value)) = variant.knob {
        let Some(at) = compiled.knob_offset(knob) else { return Vec::new() };
        let mut maps = open.maps_mut();
        let mut rodata = maps
            .find(|map| map.name().to_string_lossy().ends_with(".rodata"))
            .expect("there are knobs");
        let bytes = rodata.initial_value_mut().expect("there are knobs");
        bytes[at..][..4].copy_from_slice(&value.to_ne_bytes());
    }
    for mut map in open.maps_mut() {
        if map.map_type() != MapType::Array && map.max_entries() > MAX_ENTRIES {
            map.set_max_entries(MAX_ENTRIES).expect("not loaded yet");
        }
    }
    let mut logs = collect_logs(&mut open);
    let object = open.load().unwrap_or_else(|error| panic!("{error}\n{}", reasons(&logs)));
    object
        .progs_mut()
        .map(|program| {
            let name = program.name().to_string_lossy().into_owned();
            let id = ProgramHandle::try_from(&program).expect("the kernel describes it").id();
            let info = ProgInfoIter::with_query_opts(ProgInfoQueryOptions::default().include_all())
                .find(|info| info.id == id)
                .expect("it is loaded");
            let log = logs.remove(&name).expect("each program has one");
            let log =
                CStr::from_bytes_until_nul(&log).expect("text").to_string_lossy().into_owned();
            let figures = Figures {
                verified_insns: u64::from(info.verified_insns),
                stack_bytes: stack_bytes(&log).unwrap_or_else(|| panic!("no stack in {log:?}")),
                xlated_bytes: info.xlated_prog_insns.len() as u64,
                jited_bytes: info.jited_prog_insns.len() as u64,
            };
            (format!("{name}{}", variant.suffix), figures)
        })
        .collect()
}

/// What the verifier says of each program that it met.
fn reasons(logs: &BTreeMap<String, Vec<u8>>) -> String {
    let told = logs.iter().filter(|(_, log)| log[0] != 0).map(|(name, log)| {
        let log = CStr::from_bytes_until_nul(log).expect("text").to_string_lossy();
        format!("`{name}`: {log}")
    });
    told.collect()
}

/// Has the verifier write its summary of each program to a buffer of its own.
fn collect_logs(open: &mut OpenObject) -> BTreeMap<String, Vec<u8>> {
    let mut logs = BTreeMap::new();
    for mut program in open.progs_mut() {
        program.set_log_level(LOG_STATS);
        let mut log = vec![0_u8; LOG_BYTES];
        // SAFETY: the vector's heap memory stays where it is, is as long as stated, and lives
        // until after the load, the only time when libbpf writes to it.
        let code = unsafe {
            libbpf_sys::bpf_program__set_log_buf(
                program.as_libbpf_object().as_ptr(),
                log.as_mut_ptr().cast(),
                LOG_BYTES as libbpf_sys::size_t,
            )
        };
        assert_eq!(code, 0, "libbpf takes the buffer");
        logs.insert(program.name().to_string_lossy().into_owned(), log);
    }
    logs
}

/// The sum over a program's frames, that stand as `stack depth 88` or `stack depth 88+16`;
/// newer kernels say the deepest chain of them, `stack depth max 104`.
fn stack_bytes(log: &str) -> Option<u64> {
    let depths = log.lines().find_map(|line| line.strip_prefix("stack depth "))?;
    let depths = depths.strip_prefix("max ").unwrap_or(depths);
    depths.split('+').map(|depth| depth.trim().parse::<u64>().ok()).sum()
}

/// What is expected of this kernel. One that the file does not hold is measured against the
/// worst of those that it does; in a guest every kernel must be in it.
fn expected(baseline: &Baseline, kernel: &str) -> Compilers {
    if baseline.contains_key(kernel) || env::var_os(OWN_BASELINE).is_some() {
        return baseline.get(kernel).cloned().unwrap_or_default();
    }
    let mut worst = Compilers::new();
    for (clang, programs) in baseline.values().flatten() {
        let known = worst.entry(clang.clone()).or_default();
        for (name, &figures) in programs {
            let entry = known.entry(name.clone()).or_insert(figures);
            *entry = entry.max(figures);
        }
    }
    worst
}

/// One line for each figure that is missing or has grown by more than a tenth.
fn excesses(found: &Compilers, expected: &Compilers) -> Vec<String> {
    let mut lines = Vec::new();
    for (clang, programs) in found {
        for (name, figures) in programs {
            let known = expected.get(clang).and_then(|programs| programs.get(name));
            let Some(known) = known else {
                lines.push(format!("`{name}` with {clang}: no figures yet, found {figures:?}"));
                continue;
            };
            for ((figure, now), (_, then)) in figures.named().into_iter().zip(known.named()) {
                if now * 10 > then * 11 {
                    lines.push(format!("`{name}` with {clang}: {figure} {then} -> {now}"));
                }
            }
        }
    }
    lines
}

/// L10: no figure grows by more than a tenth unseen, on this kernel, with each compiler.
#[tag(root)]
#[test]
fn no_program_grows_by_a_tenth_unseen() {
    let (path, kernel) = (baseline_path(), Release::running().to_string());
    let text = fs::read_to_string(&path).expect("the baseline is in the tree");
    let mut baseline: Baseline = serde_json::from_str(&text).expect("the baseline is JSON");
    let found = measure();
    if env::var_os(BLESS).is_some() {
        baseline.entry(kernel).or_default().extend(found);
        let text = serde_json::to_string_pretty(&baseline).expect("plain values");
        fs::write(&path, text + "\n").expect("the baseline can be written");
        return;
    }
    let excesses = excesses(&found, &expected(&baseline, &kernel));
    assert!(
        excesses.is_empty(),
        "on Linux {kernel}:\n  {}\nIBSR_BLESS=1 with this test, or with `make vm-test`, writes the \
         figures of the kernels that run; say in the commit why they grow",
        excesses.join("\n  ")
    );
}

/// A program that no compiler here builds would leave the table without a word.
#[test]
fn every_program_is_in_the_baseline_of_every_kernel() {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("baseline/verifier.json"));
    let baseline: Baseline = serde_json::from_str(&text.expect("in the tree")).expect("JSON");
    let mut programs: Vec<String> = Vec::new();
    for source in sources() {
        let clang = compilers().pop().expect("a compiler");
        let open = Compiled::new(&clang, &source).open();
        programs.extend(open.progs().map(|it| it.name().to_string_lossy().into_owned()));
    }
    assert!(!programs.is_empty());
    for kernel in ["6.1", "6.12"] {
        assert!(baseline.contains_key(kernel), "no figures for {kernel}");
    }
    for (kernel, compilers) in &baseline {
        for clang in ["clang-14", "clang-19"] {
            // One figure with the knobs as they stand, and one more for each other table.
            let figures = compilers.get(clang).into_iter().flat_map(BTreeMap::keys);
            let known: BTreeSet<&str> = figures.filter_map(|name| name.split(',').next()).collect();
            let programs: BTreeSet<&str> = programs.iter().map(String::as_str).collect();
            assert_eq!(known, programs, "{kernel}, {clang}");
        }
    }
}

#[test]
fn a_figure_may_grow_by_a_tenth_and_no_more() {
    let of = |verified_insns, stack_bytes| {
        let figures = Figures { verified_insns, stack_bytes, xlated_bytes: 8, jited_bytes: 8 };
        Compilers::from([("clang".to_owned(), Programs::from([("p".to_owned(), figures)]))])
    };
    let known = of(1_000, 80);
    assert!(excesses(&of(1_100, 88), &known).is_empty());
    assert_eq!(excesses(&of(1_101, 80), &known), ["`p` with clang: verified_insns 1000 -> 1101"]);
    assert_eq!(excesses(&of(900, 96), &known), ["`p` with clang: stack_bytes 80 -> 96"]);
    assert_eq!(excesses(&known, &Compilers::new()).len(), 1, "a figure that lacks is an excess");
}

#[test]
fn the_stack_of_all_frames_counts() {
    let log = "verification time 7 usec\nstack depth 88+16+0\nprocessed 5 insns (limit 1000000)\n";
    assert_eq!(stack_bytes(log), Some(104));
    assert_eq!(stack_bytes("stack depth max 192\nsubprog 0 (main) stack 192\n"), Some(192));
    assert_eq!(stack_bytes("processed 5 insns\n"), None);
}
