// SPDX-License-Identifier: MIT OR Apache-2.0
//! `make bench-xdp`: what the sensor adds to a packet, beside a program that does nothing.
//!
//! BPF_PROG_TEST_RUN, rounds of every row in turn, so that a slow moment of the machine meets
//! all rows. Absolute figures are this machine's; the ratio to the empty program is the claim.
//! With `JSON=FILE` the rows are written there too.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use comfy_table::Table;
use ibsr_cli::{Answer, finish};
use ibsr_proto::ports::PortSet;
use ibsr_tests::frames::{Frame, ethertype, flag};
use ibsr_tests::prog::{Compiled, Sensor, compilers};
use libbpf_rs::{Object, ProgramInput};
use serde_json::json;

/// Odd, so that the median is a measured value.
const ROUNDS: usize = 31;
const RUNS_PER_ROUND: u32 = 200_000;
const EMPTY: &str = "empty program";
const HOST_V6: [u16; 8] = [0xfd77, 0, 0, 0, 0, 0, 0, 1];
const PEER_V6: [u16; 8] = [0xfd77, 0, 0, 0, 0, 0, 0, 2];

fn main() -> ExitCode {
    finish("bench-xdp", run())
}

#[expect(clippy::print_stdout, reason = "the table is the output")]
fn run() -> Result<Answer> {
    if !rustix::process::geteuid().is_root() {
        bail!("BPF_PROG_TEST_RUN needs root");
    }
    let empty = load_empty()?;
    let sensor = Sensor::load(&PortSet::from_ranges(&["443".parse()?]), 100_000);
    let rows = rows();
    let mut samples: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for _round in 0..ROUNDS {
        samples.entry(EMPTY).or_default().push(cost(&empty, &rows[0].1)?);
        for (name, frame) in &rows {
            samples.entry(name).or_default().push(cost(sensor.object(), frame)?);
        }
    }
    let names: Vec<&str> = std::iter::once(EMPTY).chain(rows.iter().map(|row| row.0)).collect();
    println!("{}", table(&names, &samples));
    if let Some(path) = std::env::var_os("JSON") {
        write_json(Path::new(&path), &names, &samples)?;
    }
    Ok(Answer::Yes)
}

/// Name and frame. The source of each is known after its first run.
fn rows() -> Vec<(&'static str, Vec<u8>)> {
    let v4 = || Frame::v4([10, 77, 0, 2], [10, 77, 0, 1]).flags(flag::ACK);
    let v6 = Frame::v6(PEER_V6, HOST_V6).flags(flag::ACK);
    vec![
        ("known source, IPv4", v4().build()),
        ("known source, IPv6", v6.build()),
        ("known source, 802.1Q", v4().vlan(ethertype::VLAN, 7).build()),
        ("known source, SYN", v4().flags(flag::SYN).build()),
        ("other port", v4().ports(40_000, 80).build()),
        ("UDP", v4().protocol(17).build()),
        ("ARP", v4().ethertype(ethertype::ARP).build()),
    ]
}

fn load_empty() -> Result<Object> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("bpf/empty.bpf.c");
    let clang = compilers().pop().context("no clang")?;
    Ok(Compiled::new(&clang, &source).open().load()?)
}

/// Nanoseconds a run, averaged by the kernel.
fn cost(object: &Object, frame: &[u8]) -> Result<u32> {
    let program = object.progs_mut().next().context("the object has a program")?;
    let input =
        ProgramInput { data_in: Some(frame), repeat: RUNS_PER_ROUND, ..ProgramInput::default() };
    let output = program.test_run(input)?;
    Ok(u32::try_from(output.duration.as_nanos())?)
}

fn median_and_min(samples: &[u32]) -> (u32, u32) {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    (sorted[sorted.len() / 2], sorted[0])
}

fn table(names: &[&str], samples: &BTreeMap<&str, Vec<u32>>) -> Table {
    let (_, floor) = median_and_min(&samples[EMPTY]);
    let mut table = ibsr_cli::table(&["packet", "median ns", "min ns", "min / empty"], &[1, 2, 3]);
    for name in names {
        let (median, min) = median_and_min(&samples[name]);
        let ratio = format!("{:.1}", f64::from(min) / f64::from(floor));
        table.add_row([(*name).to_owned(), median.to_string(), min.to_string(), ratio]);
    }
    table
}

fn write_json(path: &Path, names: &[&str], samples: &BTreeMap<&str, Vec<u32>>) -> Result<()> {
    let (_, floor) = median_and_min(&samples[EMPTY]);
    let rows: Vec<_> = names
        .iter()
        .map(|name| {
            let (median, min) = median_and_min(&samples[name]);
            json!({"name": name, "median": median, "min": min, "ratio": f64::from(min) / f64::from(floor)})
        })
        .collect();
    let text = json!({"bench": "xdp", "unit": "ns", "rows": rows}).to_string();
    std::fs::write(path, text + "\n")
        .with_context(|| format!("failed to write `{}`", path.display()))
}
