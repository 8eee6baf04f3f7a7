// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was measured as tables and as JSON, and whether the bounds are kept.

use ibsr_proto::abi::Table;
use serde_json::{Value, json};

use crate::measure::{Cost, Measured};
use crate::rows::{Group, Promise};

/// What is promised is promised of the sensor as it is by default.
const PROMISED: Table = Table::DEFAULT;

/// Between the least and the greatest cost of a group whose rows differ in the number of
/// selected ports only. Two neighbouring lines of a cache may meet or not; a loop over eight
/// ports costs more than this.
const PORTS_SPREAD_NS: f64 = 4.0;

/// A promise beside what was measured.
#[derive(Debug)]
pub struct Bound {
    /// Of what.
    pub name: String,
    /// Measured.
    pub value: f64,
    /// Promised at most.
    pub limit: f64,
    /// Of both.
    pub unit: &'static str,
}

impl Bound {
    /// Whether the promise holds.
    pub fn is_kept(&self) -> bool {
        self.value <= self.limit
    }
}

/// Every promise.
pub fn bounds(measured: &[Measured]) -> Vec<Bound> {
    let of_rows = measured.iter().filter_map(|measured| {
        let (value, limit, unit) = match measured.row.promise {
            Promise::None => return None,
            Promise::Share(limit) => (measured.share(PROMISED)?, limit, "x the yardstick"),
            Promise::AddedNs(limit) => (measured.added_ns(measured.ours(PROMISED)), limit, "ns"),
        };
        Some(Bound { name: measured.row.name.clone(), value, limit, unit })
    });
    let groups = [
        (Group::Known, "1 source: 1, 8 and 1,000 ports differ by"),
        (Group::OtherPort, "another port: 1, 8 and 1,000 ports differ by"),
    ];
    let of_groups = groups.into_iter().filter_map(|(group, name)| {
        let value = spread_ns(measured, group)?;
        Some(Bound { name: name.to_owned(), value, limit: PORTS_SPREAD_NS, unit: "ns" })
    });
    of_rows.chain(of_groups).collect()
}

/// `None` when no row of the group was measured.
fn spread_ns(measured: &[Measured], group: Group) -> Option<f64> {
    let in_group = measured.iter().filter(|measured| measured.row.group == group);
    let added_ns: Vec<f64> =
        in_group.map(|measured| measured.added_ns(measured.ours(PROMISED))).collect();
    let least = added_ns.iter().copied().reduce(f64::min)?;
    Some(added_ns.iter().copied().fold(least, f64::max) - least)
}

/// A line for each row.
pub fn table(measured: &[Measured]) -> comfy_table::Table {
    let names = [
        "ns a packet",
        "floor",
        "parser +",
        "yardstick +",
        "lru +",
        "set-assoc +",
        "lru / yardstick",
        "set-assoc / yardstick",
    ];
    let mut table = ibsr_cli::table(&names, &[1, 2, 3, 4, 5, 6, 7]);
    for row in measured {
        let added = |cost: &Cost| format!("{:.1}", row.added_ns(cost));
        table.add_row([
            row.row.name.clone(),
            format!("{:.1}", row.floor.min_ns()),
            added(&row.parse),
            row.yardstick.as_ref().map_or_else(|| "not counted".into(), added),
            added(&row.lru),
            added(&row.sets),
            share(row, Table::Lru),
            share(row, Table::Sets),
        ]);
    }
    table
}

fn share(row: &Measured, table: Table) -> String {
    row.share(table).map_or_else(String::new, |share| format!("{share:.2} x"))
}

/// A line for each promise.
pub fn bounds_table(bounds: &[Bound]) -> comfy_table::Table {
    let mut table = ibsr_cli::table(&["bound", "measured", "at most", ""], &[1, 2]);
    for bound in bounds {
        table.add_row([
            bound.name.clone(),
            format!("{:.2} {}", bound.value, bound.unit),
            format!("{:.2}", bound.limit),
            if bound.is_kept() { "kept".into() } else { "MISSED".to_owned() },
        ]);
    }
    table
}

/// Rows and bounds.
pub fn json(measured: &[Measured], bounds: &[Bound]) -> String {
    let rows: Vec<Value> = measured.iter().map(row_json).collect();
    let bounds: Vec<Value> = bounds
        .iter()
        .map(|bound| {
            json!({
                "name": bound.name, "value": bound.value, "limit": bound.limit,
                "unit": bound.unit, "is_kept": bound.is_kept(),
            })
        })
        .collect();
    format!("{:#}", json!({"bench": "xdp", "unit": "ns", "rows": rows, "bounds": bounds}))
}

/// `median` and `min` are the sensor's, `ratio` is against the yardstick.
fn row_json(measured: &Measured) -> Value {
    let cost = |cost: &Cost| {
        json!({
            "median": cost.median_ns(), "min": cost.min_ns(), "added": measured.added_ns(cost),
        })
    };
    json!({
        "name": measured.row.name,
        "median": measured.ours(PROMISED).median_ns(),
        "min": measured.ours(PROMISED).min_ns(),
        "ratio": measured.share(PROMISED),
        "floor": cost(&measured.floor),
        "parse": cost(&measured.parse),
        "yardstick": measured.yardstick.as_ref().map(cost),
        "lru": cost(&measured.lru),
        "set-assoc": cost(&measured.sets),
    })
}
