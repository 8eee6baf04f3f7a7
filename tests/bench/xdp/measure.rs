// SPDX-License-Identifier: MIT OR Apache-2.0
//! Measures one row: loads its programs, fills their tables, runs them in turn.

use anyhow::Result;
use ibsr_proto::abi::Table;

use crate::programs::{Loaded, Programs, Settings, TABLES, Which};
use crate::rows::Row;

/// Odd, so that the median is a measured value.
const ROUNDS: usize = 15;
const RUNS_PER_ROUND: u32 = 200_000;

/// Nanoseconds a packet of one program over all rounds, in ascending order.
#[derive(Debug, Clone)]
pub struct Cost(Vec<f64>);

impl Cost {
    /// The least.
    pub fn min_ns(&self) -> f64 {
        self.0[0]
    }

    /// The middle one.
    pub fn median_ns(&self) -> f64 {
        self.0[self.0.len() / 2]
    }
}

/// A row and what its programs cost.
#[derive(Debug)]
pub struct Measured {
    /// The row.
    pub row: Row,
    /// The program that only picks the sender.
    pub floor: Cost,
    /// The parser.
    pub parse: Cost,
    /// The sensor with the kernel's LRU tables.
    pub lru: Cost,
    /// The sensor with the set-associative table.
    pub sets: Cost,
    /// The yardstick, where it counts such packets.
    pub yardstick: Option<Cost>,
}

impl Measured {
    /// What a program adds to the floor, in nanoseconds.
    pub fn added_ns(&self, cost: &Cost) -> f64 {
        cost.min_ns() - self.floor.min_ns()
    }

    /// What the sensor adds with a table as a share of what the yardstick adds.
    pub fn share(&self, table: Table) -> Option<f64> {
        let yardstick = self.yardstick.as_ref()?;
        Some(self.added_ns(self.ours(table)) / self.added_ns(yardstick))
    }

    /// The sensor with a table.
    pub fn ours(&self, table: Table) -> &Cost {
        match table {
            Table::Lru => &self.lru,
            Table::Sets => &self.sets,
        }
    }
}

/// Measures `row`.
///
/// # Errors
/// When the kernel refuses a program.
pub fn measure(programs: &Programs, row: Row) -> Result<Measured> {
    let mut whiches = vec![Which::Floor, Which::Parse];
    whiches.extend(TABLES.map(Which::Ours));
    if row.is_for_yardstick {
        whiches.push(Which::Yardstick);
    }
    let loaded: Vec<Loaded> =
        whiches.iter().map(|which| prepare(programs, *which, &row)).collect::<Result<_>>()?;
    let mut costs = vec![Vec::new(); loaded.len()];
    for _round in 0..ROUNDS {
        for (program, costs) in loaded.iter().zip(&mut costs) {
            costs.push(program.run(&row.frame, RUNS_PER_ROUND)?);
        }
    }
    let mut costs = costs.into_iter().map(|mut costs| {
        costs.sort_unstable_by(f64::total_cmp);
        Cost(costs)
    });
    let mut next = || costs.next().expect("four programs at least");
    let (floor, parse, lru, sets) = (next(), next(), next(), next());
    Ok(Measured { row, floor, parse, lru, sets, yardstick: costs.next() })
}

fn prepare(programs: &Programs, which: Which, row: &Row) -> Result<Loaded> {
    let settings =
        Settings { ports: row.ports.clone(), entries: row.entries, ..Settings::new(row.senders) };
    let program = programs.load(which, &settings)?;
    if !row.schedule.is_empty() {
        program.write_schedule(&row.schedule)?;
    }
    if matches!(which, Which::Ours(_)) && !row.proven.is_empty() {
        program.prove(&row.proven)?;
    }
    program.run(&row.frame, row.warm_up)?;
    Ok(program)
}
