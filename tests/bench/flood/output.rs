// SPDX-License-Identifier: MIT OR Apache-2.0
//! What became of the cases, as a table and as JSON.

use comfy_table::Table;
use serde_json::json;

use crate::trial::{LEAST_ATTRIBUTED, Outcome};

/// A line for each case.
pub fn table(outcomes: &[Outcome]) -> Table {
    let bound = format!("clients' packets attributed, >= {:.0} %", LEAST_ATTRIBUTED * 100.0);
    let names = [
        "flood",
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
    let mut table = ibsr_cli::table(&names, &[1, 2, 3, 4, 5, 7, 8]);
    for outcome in outcomes {
        let rate = |ns: f64| format!("{:.1}", 1_000.0 / ns);
        table.add_row([
            outcome.case.name.clone(),
            outcome.truth.flood.to_string(),
            format!("{:.2} %", outcome.share() * 100.0),
            format!("{:.2} %", outcome.yardstick_share() * 100.0),
            outcome.totals.missed().to_string(),
            outcome.evicted.to_string(),
            outcome.imbalance.clone().unwrap_or_else(|| "exactly".to_owned()),
            rate(outcome.ours_ns),
            rate(outcome.yardstick_ns),
            if outcome.is_kept() { "kept".into() } else { "MISSED".to_owned() },
        ]);
    }
    table
}

/// All cases. `ratio` is the share of the clients' packets that the sensor attributed.
pub fn json(outcomes: &[Outcome]) -> String {
    let rows: Vec<_> = outcomes
        .iter()
        .map(|outcome| {
            json!({
                "name": outcome.case.name,
                "entries": outcome.case.entries,
                "flood_packets": outcome.truth.flood,
                "steady_packets": outcome.truth.steady,
                "ratio": outcome.share(),
                "yardstick_ratio": outcome.yardstick_share(),
                "unattributed": outcome.totals.missed(),
                "insert_failed": outcome.totals.insert_failed,
                "inserted": outcome.totals.inserted,
                "evicted": outcome.evicted,
                "imbalance": outcome.imbalance,
                "ns": outcome.ours_ns,
                "yardstick_ns": outcome.yardstick_ns,
                "limit": LEAST_ATTRIBUTED,
                "is_kept": outcome.is_kept(),
            })
        })
        .collect();
    format!("{:#}", json!({"bench": "flood", "unit": "share", "rows": rows}))
}
