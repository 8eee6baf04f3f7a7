// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the tables hold when a flood is over: packets by address, of the sensor and of the
//! yardstick. Nobody writes while they are read.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use ibsr_proto::abi::{CpuTotals, Set, SourceCounts, SourceKey};
use ibsr_proto::conservation::Totals;
use libbpf_rs::{MapCore as _, MapFlags};
use zerocopy::FromBytes as _;

use crate::programs::{LRU_TABLES, Loaded, SETS, YARD_TABLE};

/// Bytes before the packets in the yardstick's value.
const YARD_PACKETS_OFFSET: usize = 16;

/// Packets by IPv4 address. There is one port only.
pub type Packets = HashMap<Ipv4Addr, u64>;

/// Of the sensor, over all its tables: those that it does not use are empty.
///
/// # Errors
/// When one cannot be read.
pub fn of_sensor(loaded: &Loaded) -> Result<Packets> {
    let mut packets = Packets::new();
    let mut add = |key: SourceKey, counts: SourceCounts| {
        let [.., a, b, c, d] = key.addr;
        *packets.entry(Ipv4Addr::new(a, b, c, d)).or_default() += counts.packets;
    };
    let sets = loaded.map(SETS).context("the sensor has no sets")?;
    for at in 0..sets.max_entries() {
        let set = sets.lookup(&at.to_ne_bytes(), MapFlags::ANY)?.context("an array has all")?;
        let set = Set::read_from_bytes(&set).ok().context("another set")?;
        set.sources().for_each(|(key, counts, _)| add(key, counts));
    }
    for map in LRU_TABLES.into_iter().filter_map(|name| loaded.map(name)) {
        for key in map.keys() {
            let value = map.lookup(&key, MapFlags::ANY)?.context("an entry went away")?;
            let key = SourceKey::read_from_bytes(&key).ok().context("another key")?;
            let counts = SourceCounts::read_from_bytes(&value).ok().context("another value")?;
            add(key, counts);
        }
    }
    Ok(packets)
}

/// Of the yardstick.
///
/// # Errors
/// When its table cannot be read.
pub fn of_yardstick(loaded: &Loaded) -> Result<Packets> {
    let map = loaded.map(YARD_TABLE).context("the yardstick has no table")?;
    let mut packets = Packets::new();
    for key in map.keys() {
        let value = map.lookup(&key, MapFlags::ANY)?.context("an entry went away")?;
        let (octets, _) = <[u8; 4]>::read_from_prefix(&key).ok().context("another key")?;
        let (count, _) =
            u32::read_from_prefix(&value[YARD_PACKETS_OFFSET..]).ok().context("another value")?;
        packets.insert(Ipv4Addr::from(octets), u64::from(count));
    }
    Ok(packets)
}

/// The sensor's totals over all CPUs.
///
/// # Errors
/// When they cannot be read.
pub fn totals(loaded: &Loaded) -> Result<Totals> {
    let map = loaded.map("ibsr_totals").context("the sensor has no totals")?;
    let cpus = map.lookup_percpu(&0_u32.to_ne_bytes(), MapFlags::ANY)?.unwrap_or_default();
    let cpus: Option<Vec<CpuTotals>> =
        cpus.iter().map(|cpu| CpuTotals::read_from_bytes(cpu).ok()).collect();
    Ok(Totals::from_cpus(&cpus.context("another layout of the totals")?))
}
