// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was measured as a table and as JSON, and whether the bound is kept.

use comfy_table::Table;
use ibsr_proto::abi;
use serde_json::json;

use crate::programs::Which;
use crate::receiver::{Row, Turn};
use crate::sender::Traffic;

/// What the sensor may cost under flood, as a multiple of the program that does nothing.
const FLOOD_LIMIT: f64 = 1.25;

fn name(program: Option<Which>) -> &'static str {
    match program {
        None => "no program",
        Some(Which::Floor) => "a program that does nothing",
        Some(Which::Yardstick) => "the yardstick",
        Some(Which::Ours(abi::Table::Lru)) => "the sensor, lru",
        Some(Which::Ours(abi::Table::Sets)) => "the sensor, set-assoc",
        Some(Which::Parse | Which::Sender) => unreachable!("is never attached"),
    }
}

/// Least and median of a value over all turns.
fn min_and_median(row: &Row, of: impl Fn(&Turn) -> f64) -> (f64, f64) {
    let mut values: Vec<f64> = row.turns.iter().map(of).collect();
    values.sort_unstable_by(f64::total_cmp);
    (values[0], values[values.len() / 2])
}

/// CPU for each packet as a multiple of the program that does nothing, under the same traffic.
fn ratio(rows: &[Row], row: &Row) -> f64 {
    let is_base = |base: &&Row| base.traffic == row.traffic && base.program == Some(Which::Floor);
    let base = rows.iter().find(is_base).expect("it is always measured");
    min_and_median(row, |turn| turn.cpu_ns).0 / min_and_median(base, |turn| turn.cpu_ns).0
}

fn limit(row: &Row) -> Option<f64> {
    let is_promised =
        row.traffic == Traffic::Attack && row.program == Some(Which::Ours(abi::Table::DEFAULT));
    is_promised.then_some(FLOOD_LIMIT)
}

/// Whether the promise holds.
pub fn is_kept(rows: &[Row]) -> bool {
    rows.iter().all(|row| limit(row).is_none_or(|limit| ratio(rows, row) <= limit))
}

/// A line for each row.
pub fn table(rows: &[Row]) -> Table {
    let names = ["traffic", "program", "CPU ns a packet", "of nothing", "M packets/s", "bound"];
    let mut table = ibsr_cli::table(&names, &[2, 3, 4]);
    for row in rows {
        let ratio = ratio(rows, row);
        let bound = match limit(row) {
            None => String::new(),
            Some(limit) if ratio <= limit => format!("{limit} x: kept"),
            Some(limit) => format!("{limit} x: MISSED"),
        };
        table.add_row([
            row.traffic.name().to_owned(),
            name(row.program).to_owned(),
            format!("{:.0}", min_and_median(row, |turn| turn.cpu_ns).0),
            format!("{ratio:.2} x"),
            format!("{:.2}", min_and_median(row, |turn| turn.rate).1 / 1e6),
            bound,
        ]);
    }
    table
}

/// All rows: CPU nanoseconds a packet of the receiving thread, and packets a second.
pub fn json(rows: &[Row]) -> String {
    let json_rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let (min, median) = min_and_median(row, |turn| turn.cpu_ns);
            let (_, rate) = min_and_median(row, |turn| turn.rate);
            json!({
                "name": format!("{}, {}", row.traffic.name(), name(row.program)),
                "median": median, "min": min, "ratio": ratio(rows, row),
                "packets_per_second": rate, "limit": limit(row),
            })
        })
        .collect();
    format!("{:#}", json!({"bench": "veth", "unit": "ns", "rows": json_rows}))
}
