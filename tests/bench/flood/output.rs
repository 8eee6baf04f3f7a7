// SPDX-License-Identifier: MIT OR Apache-2.0
//! What became of the cases, as a table and as JSON.

use comfy_table::Table;
use serde_json::json;

use crate::trial::{LEAST_ATTRIBUTED, OfSensor, Outcome};

/// A line for each case.
pub fn table(outcomes: &[Outcome]) -> Table {
    let bound = format!("clients' packets attributed, >= {:.0} %", LEAST_ATTRIBUTED * 100.0);
    let names = [
        "flood",
        "table",
        "packets",
        &bound,
        "yardstick",
        "unattributed",
        "evicted",
        "conserved",
        "M packets/s",
        "yardstick",
        "",
    ];
    let mut table = ibsr_cli::table(&names, &[2, 3, 4, 5, 6, 8, 9]);
    let rate = |ns: f64| format!("{:.1}", 1_000.0 / ns);
    for (outcome, of) in of_sensors(outcomes) {
        table.add_row([
            outcome.case.name.clone(),
            of.table.as_str().to_owned(),
            outcome.truth.flood.to_string(),
            format!("{:.2} %", outcome.share(of) * 100.0),
            format!("{:.2} %", outcome.yardstick_share() * 100.0),
            of.totals.missed().to_string(),
            of.evicted.to_string(),
            of.imbalance.clone().unwrap_or_else(|| "exactly".to_owned()),
            rate(of.ns),
            rate(outcome.yardstick_ns),
            if outcome.is_kept_by(of) { "kept".into() } else { "MISSED".to_owned() },
        ]);
    }
    table
}

fn of_sensors(outcomes: &[Outcome]) -> impl Iterator<Item = (&Outcome, &OfSensor)> {
    outcomes.iter().flat_map(|outcome| outcome.sensors.iter().map(move |of| (outcome, of)))
}

/// All cases. `ratio` is the share of the clients' packets that the sensor attributed.
pub fn json(outcomes: &[Outcome]) -> String {
    let rows: Vec<_> = of_sensors(outcomes)
        .map(|(outcome, of)| {
            json!({
                "name": outcome.case.name,
                "table": of.table.as_str(),
                "entries": outcome.case.entries,
                "flood_packets": outcome.truth.flood,
                "steady_packets": outcome.truth.steady,
                "ratio": outcome.share(of),
                "yardstick_ratio": outcome.yardstick_share(),
                "unattributed": of.totals.missed(),
                "insert_failed": of.totals.insert_failed,
                "inserted": of.totals.inserted,
                "evicted": of.evicted,
                "imbalance": of.imbalance,
                "ns": of.ns,
                "yardstick_ns": outcome.yardstick_ns,
                "limit": LEAST_ATTRIBUTED,
                "is_kept": outcome.is_kept_by(of),
            })
        })
        .collect();
    format!("{:#}", json!({"bench": "flood", "unit": "share", "rows": rows}))
}
