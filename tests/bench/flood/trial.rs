// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs one case through the sensor, with each of its tables, and through the yardstick.

use anyhow::Result;
use ibsr_proto::abi::Table;
use ibsr_proto::conservation::Totals;
use ibsr_tests::frames::Frame;

use crate::cases::Case;
use crate::clients::{CLIENTS, Clients, SERVER};
use crate::programs::{Loaded, Programs, Senders, Settings, TABLES, Which};
use crate::schedule::{Schedule, Truth};
use crate::tables::{self, Packets};

/// Words that are handed over at once; a power of two. 4 MiB: what a program that reads a
/// schedule in order has in its cache is the next line.
const CHUNK: u32 = 1 << 20;
/// The sensor's default times ten: a case runs up to so much faster than a flood of a million
/// packets a second would, and the cap is by the second.
const INSERT_CAP: u32 = 200_000;
/// Share of the clients' packets that must be in the tables in the end.
pub const LEAST_ATTRIBUTED: f64 = 0.99;

/// What became of a case.
#[derive(Debug)]
pub struct Outcome {
    /// The case.
    pub case: Case,
    /// What was sent.
    pub truth: Truth,
    /// The sensor with each of its tables.
    pub sensors: Vec<OfSensor>,
    /// The clients' packets that are in the yardstick's table.
    pub yardstick_attributed: u64,
    /// CPU of the yardstick for each packet, schedule included.
    pub yardstick_ns: f64,
}

/// What became of a case in the sensor.
#[derive(Debug)]
pub struct OfSensor {
    /// Its table.
    pub table: Table,
    /// Its totals.
    pub totals: Totals,
    /// Why the books do not balance; `None` when they do.
    pub imbalance: Option<String>,
    /// Packets of entries that are gone: sent, less those in tables, refused and failed.
    pub evicted: u64,
    /// The clients' packets that are in the sensor's tables.
    pub attributed: u64,
    /// CPU of the sensor for each packet, schedule included.
    pub ns: f64,
}

impl Outcome {
    /// Share of the clients' packets that a sensor attributed.
    pub fn share(&self, of: &OfSensor) -> f64 {
        of.attributed as f64 / self.truth.steady as f64
    }

    /// The same of the yardstick.
    pub fn yardstick_share(&self) -> f64 {
        self.yardstick_attributed as f64 / self.truth.steady as f64
    }

    /// Whether a sensor keeps the promise.
    pub fn is_kept_by(&self, of: &OfSensor) -> bool {
        self.share(of) >= LEAST_ATTRIBUTED && of.imbalance.is_none()
    }

    /// Whether the sensor as it is by default does.
    pub fn is_kept(&self) -> bool {
        let mut default = self.sensors.iter().filter(|of| of.table == Table::DEFAULT);
        default.all(|of| self.is_kept_by(of))
    }
}

/// Runs `case`.
///
/// # Errors
/// When the kernel refuses a program or a table cannot be read.
pub fn run(programs: &Programs, clients: &Clients, case: Case) -> Result<Outcome> {
    let (yardstick, truth, yardstick_ns) = play(programs, Which::Yardstick, clients, &case)?;
    let yardstick = tables::of_yardstick(&yardstick)?;
    let sensors = TABLES.into_iter().map(|table| run_sensor(programs, table, clients, &case));
    Ok(Outcome {
        sensors: sensors.collect::<Result<_>>()?,
        yardstick_attributed: of_clients(&yardstick, clients).iter().sum(),
        case,
        truth,
        yardstick_ns,
    })
}

fn run_sensor(
    programs: &Programs,
    table: Table,
    clients: &Clients,
    case: &Case,
) -> Result<OfSensor> {
    let (loaded, truth, ns) = play(programs, Which::Ours(table), clients, case)?;
    let (totals, packets) = (tables::totals(&loaded)?, tables::of_sensor(&loaded)?);
    let (mut imbalance, evicted) = balance(case, &truth, &totals, &packets, clients);
    if table == Table::Sets && totals.evicted != evicted {
        imbalance = Some(format!("{evicted} evicted but {} counted", totals.evicted));
    }
    let attributed = of_clients(&packets, clients).iter().sum();
    Ok(OfSensor { table, totals, imbalance, evicted, attributed, ns })
}

/// The program after the case, what was sent, and nanoseconds a packet.
fn play(
    programs: &Programs,
    which: Which,
    clients: &Clients,
    case: &Case,
) -> Result<(Loaded, Truth, f64)> {
    let senders = Senders::Schedule { words: CHUNK, clients: CLIENTS };
    let (entries, insert_cap) = (case.entries, Some(INSERT_CAP));
    let settings = Settings { entries, insert_cap, ..Settings::new(senders) };
    let loaded = programs.load(which, &settings)?;
    for (number, end) in (0..).zip(clients.ends()) {
        loaded.write_client(number, *end)?;
    }
    // Whom it is from is in the schedule.
    let frame = Frame::v4([0, 0, 0, 0], *SERVER.ip()).ports(0, SERVER.port()).build();
    let mut spent_ns = 0.0;
    let schedule = Schedule::new(case, CHUNK as usize);
    let truth = schedule.play(|words| -> Result<()> {
        let mut even = words.to_vec();
        even.resize(words.len().next_multiple_of(2), 0);
        loaded.write_schedule(&even)?;
        spent_ns += loaded.run(&frame, words.len() as u32)? * words.len() as f64;
        Ok(())
    })?;
    let sent = (truth.steady + truth.flood) as f64;
    Ok((loaded, truth, spent_ns / sent))
}

/// Packets in the table of each client.
fn of_clients(packets: &Packets, clients: &Clients) -> Vec<u64> {
    clients.ends().iter().map(|end| packets.get(end.ip()).copied().unwrap_or(0)).collect()
}

/// Holds totals and tables against what was sent: nothing invented, nothing lost unsaid.
/// Returns what does not add up, and the packets of evicted entries.
fn balance(
    case: &Case,
    truth: &Truth,
    totals: &Totals,
    packets: &Packets,
    clients: &Clients,
) -> (Option<String>, u64) {
    let sent = truth.steady + truth.flood;
    let attributed: u64 = packets.values().sum();
    let accounted = attributed + totals.missed() + totals.insert_failed;
    let evicted = sent.saturating_sub(accounted);
    let in_clients = of_clients(packets, clients);
    let is_client_inflated =
        in_clients.iter().zip(&truth.clients).any(|(in_table, sent)| in_table > sent);
    let most = packets
        .iter()
        .filter(|(address, _)| !address.is_loopback())
        .map(|(_, packets)| *packets)
        .max()
        .unwrap_or(0);
    let imbalance = if let Err(error) = totals.check_classes(0) {
        Some(error.to_string())
    } else if totals.tracked != sent {
        Some(format!("{sent} packets sent but {} tracked", totals.tracked))
    } else if totals.evicted(attributed) != Ok(evicted) {
        Some(format!("{sent} packets sent but {accounted} accounted for"))
    } else if is_client_inflated || most > u64::from(case.repeats) {
        Some("a source has more packets than it sent".to_owned())
    } else {
        None
    };
    (imbalance, evicted)
}
