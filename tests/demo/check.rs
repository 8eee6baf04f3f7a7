// SPDX-License-Identifier: MIT OR Apache-2.0
//! The comparison: for every client, what it sent and what the report says.

use std::net::IpAddr;

use anyhow::{Context as _, Result, bail, ensure};
use comfy_table::Table;
use ibsr_cli::table;
use serde_json::Value;

use crate::capture::{Sent, Truth};
use crate::world::CLIENTS;

/// A table for people when every number is equal; an error that names the first that is not.
pub fn compare(truth: &Truth, report: &Value) -> Result<Table> {
    let names = ["client", "source", "SYN", "handshakes", "packets", "bytes", "sent = reported"];
    let mut table = table(&names, &[2, 3, 4, 5]);
    for client in &CLIENTS {
        let address: IpAddr = client.address.parse().context("a client's address")?;
        let sent = truth.get(&address).with_context(|| format!("{} sent nothing", client.name))?;
        let reported = reported(report, client.address)?;
        ensure!(
            *sent == reported,
            "{} ({}): sent {sent:?} but the report says {reported:?}",
            client.name,
            client.address
        );
        let numbers = [sent.syn, sent.handshakes, sent.packets, sent.bytes].map(|n| n.to_string());
        let [syn, handshakes, packets, bytes] = numbers;
        let row = [client.name, client.address, &syn, &handshakes, &packets, &bytes, "yes"];
        table.add_row(row);
    }
    ensure!(
        truth.len() == source_rows(report)?.len(),
        "{} sources sent TCP but the report lists {}",
        truth.len(),
        source_rows(report)?.len()
    );
    Ok(table)
}

fn source_rows(report: &Value) -> Result<&Vec<Value>> {
    report["sources"].as_array().context("the report has no `sources`")
}

fn reported(report: &Value, address: &str) -> Result<Sent> {
    let row = source_rows(report)?.iter().find(|row| row["src"] == address);
    let Some(row) = row else { bail!("the report does not list {address}") };
    let number = |field: &str| {
        row[field].as_u64().with_context(|| format!("{address}: `{field}` is missing"))
    };
    Ok(Sent {
        syn: number("syn")?,
        handshakes: number("handshakes")?,
        packets: number("packets")?,
        bytes: number("bytes")?,
    })
}
