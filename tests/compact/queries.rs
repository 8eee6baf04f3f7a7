// SPDX-License-Identifier: MIT OR Apache-2.0
//! The statements of docs/queries.md, each run by DuckDB over JSON Lines and over Parquet,
//! against the same answers computed here.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ibsr_proto::addr::SourceAddr;
use ibsr_proto::snapshot::{Row, Source};
use ibsr_tests::process::{program, say};
use ibsr_tests::segments::{FIRST_SEQ, SegmentSpec, Traffic, rows};

use super::{compact, directory};

const SCRIPT: &str = "\
import sys, duckdb
answer = None
for statement in sys.argv[1:]:
    answer = duckdb.sql(statement) or answer
for row in answer.fetchall():
    print('\\t'.join(str(value) for value in row))
";

/// The fenced SQL below the heading of this name.
fn sql(heading: &str, number: usize) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/queries.md");
    let text = fs::read_to_string(page).expect("the page exists");
    let section = text.split_once(&format!("\n## {heading}\n")).expect("the heading exists").1;
    let section = section.split("\n## ").next().expect("a section");
    let block = section.split("```sql\n").nth(number + 1).expect("the section has such code");
    block.split("```").next().expect("the code ends").to_owned()
}

/// DuckDB's answer, a row a line.
fn ask(statements: &[String]) -> Vec<String> {
    let python = program("xtask").parent().expect("a folder").join("../fleet-venv/bin/python");
    assert!(python.is_file(), "DuckDB is missing: run `make deps-fleet`");
    let said = say(Command::new(python).args(["-c", SCRIPT]).args(statements)).expect_code(0);
    said.stdout.lines().map(str::to_owned).collect()
}

struct Site {
    spool: tempfile::TempDir,
    parquet: tempfile::TempDir,
    sources: Vec<(u64, String, Source)>,
    paths: Vec<PathBuf>,
}

impl Site {
    /// Two hosts, of which one has sources that never finish a handshake.
    fn new() -> Self {
        let (spool, parquet) = (directory(), directory());
        let (mut sources, mut paths) = (Vec::new(), Vec::new());
        for (host, boot, seed) in [("h1", 'a', 1), ("h2", 'b', 2)] {
            let mut traffic = Traffic::new(seed, 40);
            for number in 0..3 {
                let mut sweeps = traffic.sweeps(10);
                for source in sweeps.iter_mut().flat_map(|sweep| &mut sweep.sources) {
                    let last = source.src.to_bytes()[15];
                    source.handshakes *= u64::from(last > 4);
                }
                let spec = SegmentSpec {
                    host: host.into(),
                    boot: format!("0af3c9d{boot}-5b1e-4c7a-9d30-6f2b8f1c2a44"),
                    ..SegmentSpec::of(FIRST_SEQ + 10 * number, sweeps)
                };
                sources.extend(timed(host, &spec.bytes()));
                paths.push(spec.write(spool.path()));
            }
        }
        compact(spool.path(), parquet.path()).expect_code(0);
        Self { spool, parquet, sources, paths }
    }

    /// The statement over JSON Lines and over Parquet.
    fn both(&self, query: &str) -> [Vec<String>; 2] {
        let open = |number| {
            sql("Opening", number)
                .replace("PARQUET", &self.parquet.path().display().to_string())
                .replace("SPOOL", &self.spool.path().display().to_string())
        };
        [ask(&[open(1), query.to_owned()]), ask(&[open(0), query.to_owned()])]
    }

    /// The newest row of each life.
    fn lives(&self) -> BTreeMap<(&str, SourceAddr, u64), Source> {
        let key = |host, source: &Source| (host, source.src, source.born_boot_ns);
        self.sources.iter().map(|(_, host, source)| (key(host.as_str(), source), *source)).collect()
    }
}

/// Source rows with the wall clock of their sweep.
fn timed(host: &str, segment: &[u8]) -> Vec<(u64, String, Source)> {
    let (mut out, mut open) = (Vec::new(), 0);
    for row in rows(segment) {
        match row {
            Row::Source(source) => out.push((0, host.to_owned(), source)),
            Row::Sweep(sweep) => {
                out[open..].iter_mut().for_each(|(at, ..)| *at = sweep.at_unix_ms);
                open = out.len();
            }
            _ => {}
        }
    }
    out
}

#[test]
fn top_talkers_are_those_of_the_newest_rows() {
    let site = Site::new();
    let mut by_source = BTreeMap::<String, [u64; 3]>::new();
    for source in site.lives().values() {
        let sums = by_source.entry(source.src.to_string()).or_default();
        let counts = [source.packets, source.bytes, source.syn];
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    let mut top: Vec<_> = by_source.into_iter().collect();
    top.sort_by_key(|(src, [packets, ..])| (std::cmp::Reverse(*packets), src.clone()));
    let truth: Vec<_> =
        top[..10].iter().map(|(src, [p, b, s])| format!("{src}\t{p}\t{b}\t{s}")).collect();
    for answer in site.both(&sql("Top talkers", 0)) {
        assert_eq!(answer, truth);
    }
}

#[test]
fn syn_per_minute_are_the_differences_of_rows() {
    let site = Site::new();
    let mut last = BTreeMap::new();
    let mut minutes = BTreeMap::<u64, u64>::new();
    for (at, host, source) in &site.sources {
        let key = (host, source.src, source.born_boot_ns);
        if let Some(before) = last.insert(key, source.syn) {
            *minutes.entry(at / 60_000 * 60_000).or_default() += source.syn - before;
        }
    }
    let truth: Vec<_> = minutes.iter().map(|(at, syn)| format!("{at}\t{syn}")).collect();
    assert!(truth.len() > 4, "{truth:?}");
    for answer in site.both(&sql("SYN per minute", 0)) {
        assert_eq!(answer, truth);
    }
}

#[test]
fn sources_without_a_handshake_are_found() {
    let site = Site::new();
    let mut by_source = BTreeMap::<String, (u64, u64)>::new();
    for source in site.lives().values() {
        let sums = by_source.entry(source.src.to_string()).or_default();
        *sums = (sums.0 + source.handshakes, sums.1 + source.syn);
    }
    let mut dead: Vec<_> =
        by_source.into_iter().filter(|(_, (done, syn))| *done == 0 && *syn >= 20).collect();
    dead.sort_by_key(|(src, (_, syn))| (std::cmp::Reverse(*syn), src.clone()));
    let truth: Vec<_> = dead.iter().map(|(src, (_, syn))| format!("{src}\t{syn}")).collect();
    assert_eq!(truth.len(), 4);
    for answer in site.both(&sql("Sources that never finished a handshake", 0)) {
        assert_eq!(answer, truth);
    }
}

#[test]
fn coverage_is_what_the_sweeps_say() {
    let site = Site::new();
    let mut truth = BTreeMap::<String, Vec<(u64, u64)>>::new();
    for path in &site.paths {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let (stream, _seq) = name.rsplit_once('-').expect("a sequence number");
        for row in rows(&fs::read(path).expect("read")) {
            if let Row::Sweep(sweep) = row {
                let both = (sweep.totals.passed, sweep.rx_packets.expect("known"));
                truth.entry(stream.to_owned()).or_default().push(both);
            }
        }
    }
    let grown = |it: &[(u64, u64)]| (it[it.len() - 1].0 - it[0].0, it[it.len() - 1].1 - it[0].1);
    let truth: Vec<_> = truth
        .into_iter()
        .map(|(stream, it)| format!("{stream}\t{}\t{}", grown(&it).0, grown(&it).1))
        .collect();
    let open = sql("Opening", 1).replace("SPOOL", &site.spool.path().display().to_string());
    assert_eq!(ask(&[open, sql("Coverage", 0)]), truth);
}

/// The table itself: every row, with what the path says of it.
#[test]
fn the_table_holds_every_row_and_the_path_two_columns() {
    let site = Site::new();
    let open = sql("Opening", 0).replace("PARQUET", &site.parquet.path().display().to_string());
    let query = "SELECT host, date, scope, epoch, count(*), count(DISTINCT segment), sum(packets), sum(bytes), \
                 count(DISTINCT (segment, line)) FROM source GROUP BY ALL ORDER BY host";
    let truth: Vec<_> = ["h1", "h2"]
        .map(|host| {
            let of = || site.sources.iter().filter(move |(_, of, _)| of == host).map(|(.., row)| row);
            let sum = |value: fn(&Source) -> u64| of().map(value).sum::<u64>();
            let (rows, packets, bytes) = (of().count(), sum(|row| row.packets), sum(|row| row.bytes));
            format!("{host}\t2026-11-22\txdp-eth0\t00c0ffee00c0ffee\t{rows}\t3\t{packets}\t{bytes}\t{rows}")
        })
        .into();
    assert_eq!(ask(&[open, query.to_owned()]), truth);
}
