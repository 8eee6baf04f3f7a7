// SPDX-License-Identifier: MIT OR Apache-2.0
//! From cumulative rows to increments.

use std::collections::BTreeMap;

use ibsr_proto::abi::TICK_BOUND_NS;
use ibsr_proto::addr::SourceAddr;

use super::tally::Tally;
use super::timing::Placed;

/// What one row adds to the row of its entry before.
#[derive(Debug)]
pub struct Increment {
    /// Which sweep of the unit.
    pub sweep: usize,
    /// Who.
    pub src: SourceAddr,
    /// Where to.
    pub port: u16,
    /// How much.
    pub tally: Tally,
    /// Whether it happened in the sweep's interval and nowhere else.
    pub is_timed: bool,
}

struct Entry {
    born_ns: i128,
    tally: Tally,
    sweep: usize,
    is_refused_since: bool,
}

/// All increments of a unit, in the order of rows.
pub fn increments(placed: &[Placed<'_>]) -> Vec<Increment> {
    let mut found = Vec::new();
    let mut entries: BTreeMap<(SourceAddr, u16), Entry> = BTreeMap::new();
    let mut last_break = 0;
    // What a life counted before the first sweep belongs to a past that the unit does not
    // hold, unless the epoch itself is young enough.
    let past_ns = placed.first().filter(|at| !at.is_from_zero).map(|at| at.to_ns);
    let is_born_since = |born_ns: i128, ns: i128| born_ns >= ns - i128::from(TICK_BOUND_NS);
    for (sweep, at) in placed.iter().enumerate() {
        if at.is_break {
            last_break = sweep;
        }
        for row in at.rows {
            let key = (row.src, row.dst_port);
            let now = Tally::of(row);
            let born_ns = i128::from(row.born_boot_ns);
            let is_born_here = is_born_since(born_ns, at.from_ns);
            let is_known = entries.get(&key).is_some_and(|entry| entry.born_ns == born_ns);
            let (tally, is_based) = match entries.get_mut(&key) {
                Some(entry) if born_ns < entry.born_ns => {
                    entry.is_refused_since = true;
                    continue;
                }
                Some(entry) if born_ns == entry.born_ns => match now.since(&entry.tally) {
                    Some(tally) => {
                        let is_listed = entry.sweep >= last_break && !entry.is_refused_since;
                        (tally, is_listed || is_born_here)
                    }
                    None => {
                        entry.is_refused_since = true;
                        continue;
                    }
                },
                _ => (now, is_born_here),
            };
            entries.insert(key, Entry { born_ns, tally: now, sweep, is_refused_since: false });
            let is_old = past_ns.is_some_and(|past_ns| !is_born_since(born_ns, past_ns));
            if !is_old || is_known {
                let is_timed = at.is_timed && is_based;
                found.push(Increment { sweep, src: row.src, port: row.dst_port, tally, is_timed });
            }
        }
    }
    found
}
