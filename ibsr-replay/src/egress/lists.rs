// SPDX-License-Identifier: MIT OR Apache-2.0
//! The report's lists of pairs.

use std::cmp::Reverse;

use ibsr_proto::snapshot::cgroup::words::{Device, Direction, Protocol};

use super::facts::{Counted, Facts, Pair};
use super::model::LossRow;
use super::report::About;
use super::twin::Fate;
use super::units::Flags;
use crate::model::AppName;
use crate::talk::facts::App;

/// Pairs that something happens to, the most completed handshakes first.
pub(super) struct Lists {
    pub(super) losses: Vec<LossRow>,
    pub(super) denials: Vec<LossRow>,
    pub(super) unjudged: Vec<LossRow>,
}

impl Lists {
    pub(super) fn of(about: &About, facts: &Facts, flags: &Flags<'_>) -> Self {
        let mut lists = Self { losses: Vec::new(), denials: Vec::new(), unjudged: Vec::new() };
        let mut all: Vec<(&Pair, &Counted)> = facts.pairs.iter().collect();
        all.sort_by_key(|(pair, counted)| {
            (Reverse(counted.completed), Reverse(counted.tally.connections), *pair)
        });
        for (pair, counted) in all {
            let list = match pair.fate {
                Fate::Exempt | Fate::Allowed(_) => continue,
                Fate::Unjudged(_) => &mut lists.unjudged,
                Fate::Denied(rule) if counted.completed > 0 && !about.is_intended(rule) => {
                    &mut lists.losses
                }
                Fate::Denied(_) => &mut lists.denials,
            };
            list.push(loss_row(about, pair, counted, flags.words(pair)));
        }
        lists
    }
}

fn loss_row(about: &About, pair: &Pair, counted: &Counted, flags: Vec<String>) -> LossRow {
    let (rule, why, is_intended) = match pair.fate {
        Fate::Denied(rule) | Fate::Allowed(rule) => {
            (Some(about.rule_name(rule).to_owned()), None, about.is_intended(rule))
        }
        Fate::Unjudged(why) => (None, Some(why.as_str()), false),
        Fate::Exempt => (None, None, false),
    };
    let tally = &counted.tally;
    LossRow {
        app: app_name(&pair.app),
        direction: Direction(pair.direction).to_string(),
        protocol: Protocol(pair.protocol).to_string(),
        addr: pair.addr,
        name: pair.name.as_deref().map(str::to_owned),
        port: pair.port,
        rule,
        why,
        is_intended,
        flags,
        flows: tally.connections,
        completed: counted.completed,
        failed: tally.failed.values().fold(0, |sum, more| sum.saturating_add(*more)),
        bytes_out: tally.bytes_out,
        bytes_in: tally.bytes_in,
        first_unix_ms: tally.first_unix_ms,
        last_unix_ms: tally.last_unix_ms,
    }
}

fn app_name(app: &App) -> AppName {
    let program = app.program.as_ref();
    AppName {
        host: app.host.clone(),
        comm: program.map(|program| program.comm.clone()),
        uid: program.map(|program| program.uid),
        place: app.place.clone(),
        exe_device: program.map(|program| Device(program.exe_device).to_string()),
        exe_inode: program.map(|program| program.exe_inode),
    }
}
