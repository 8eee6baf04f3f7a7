// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tables beside that of flows: names of addresses, destinations of applications, the
//! applications, and the zones that they ask in.

use std::borrow::Cow;

use ibsr_proto::addr::SourceAddr;
use ibsr_proto::cgroup_behaviour_abi::{
    AppKey, AppWindow, Behaviour, BehaviourKey, INTERVAL_SHIFT,
};
use ibsr_proto::cgroup_dns_abi::AddressName;
use ibsr_proto::cgroup_zone_abi::{Zone, ZoneKey};
use ibsr_proto::pins;
use ibsr_proto::snapshot::cgroup::words::{Device, Flags, Hex, Protocol};
use ibsr_proto::snapshot::cgroup::{self, App, BehaviourTotals, Name, RowRef};
use libbpf_rs::{MapCore as _, MapFlags};
use zerocopy::FromBytes as _;

use super::known::Known;
use super::pinned::Pinned;
use crate::batch::Walker;
use crate::pin::PinError;
use crate::sweep::{Plan, SweepError};

/// Millionths of one.
const PPM: f64 = 1e6;

/// What a walk over the destinations found.
#[derive(Debug, Clone, Copy, Default)]
pub struct Behaviours {
    /// Rows listed.
    pub rows: u64,
    connects: u64,
}

impl Behaviours {
    /// Connections that are in no row, though one was made for them.
    #[must_use]
    pub const fn evicted(&self, totals: &BehaviourTotals) -> u64 {
        totals.connects.saturating_sub(totals.connects_lost).saturating_sub(self.connects)
    }
}

/// What a walk over the zones found.
#[derive(Debug, Clone, Copy, Default)]
pub struct Zones {
    /// Rows listed.
    pub rows: u64,
    /// Of those, without a text.
    pub missing: u64,
    questions: u64,
}

impl Zones {
    /// Questions that are in no row, though one was made for them.
    #[must_use]
    pub const fn evicted(&self, totals: &BehaviourTotals) -> u64 {
        totals.zone_questions.saturating_sub(totals.zone_lost).saturating_sub(self.questions)
    }
}

/// What a walk over the names found.
#[derive(Debug, Clone, Copy, Default)]
pub struct Names {
    /// Rows listed.
    pub rows: u64,
    /// Left out: the text was evicted, so there is nothing to say.
    pub missing: u64,
}

/// Lists what was resolved since the sweep before.
///
/// # Errors
/// [`SweepError`].
pub fn names(
    pinned: &Pinned,
    walker: &mut Walker,
    texts: &mut Known<String>,
    plan: &Plan,
    each: &mut impl FnMut(RowRef<'_>),
) -> Result<Names, SweepError> {
    let (mut found, mut failed) = (Names::default(), None);
    walker.walk(&pinned.names, |key, value| {
        let value = AddressName::read_from_bytes(value).expect("the value size was checked");
        if !plan.lists(value.learned_boot_ns) {
            return;
        }
        match texts.get(&pinned.name_texts, value.name) {
            Ok(None) => found.missing += 1,
            Ok(Some(text)) => {
                found.rows += 1;
                each(RowRef::Name(&name_row(plan.seq, address(key), &value, text)));
            }
            Err(error) => failed = Some(error),
        }
    })?;
    failed.map_or(Ok(found), |error| Err(error.into()))
}

/// Lists the destinations that anything happened to since the sweep before.
///
/// # Errors
/// [`SweepError`].
pub fn behaviours(
    pinned: &Pinned,
    walker: &mut Walker,
    texts: &mut Known<String>,
    plan: &Plan,
    each: &mut impl FnMut(RowRef<'_>),
) -> Result<Behaviours, SweepError> {
    let (mut found, mut failed) = (Behaviours::default(), None);
    walker.walk(&pinned.behaviours, |key, value| {
        let key = BehaviourKey::read_from_bytes(key).expect("the key size was checked");
        let value = Behaviour::read_from_bytes(value).expect("the value size was checked");
        found.connects = found.connects.saturating_add(value.connects);
        if !plan.lists(value.last_boot_ns) {
            return;
        }
        match name_now(pinned, texts, &key.remote_addr) {
            Ok(name) => {
                let name = name.map(|name| Cow::Borrowed(&**name));
                let row = cgroup::Behaviour { name, ..behaviour_row(plan.seq, &key, &value) };
                found.rows += 1;
                each(RowRef::Behaviour(&row));
            }
            Err(error) => failed = Some(error),
        }
    })?;
    failed.map_or(Ok(found), |error| Err(error.into()))
}

/// Lists the applications that did anything since the sweep before; how many.
///
/// # Errors
/// [`SweepError`].
pub fn apps(
    pinned: &Pinned,
    walker: &mut Walker,
    plan: &Plan,
    each: &mut impl FnMut(RowRef<'_>),
) -> Result<u64, SweepError> {
    let mut rows = 0;
    walker.walk(&pinned.apps, |key, value| {
        let key = AppKey::read_from_bytes(key).expect("the key size was checked");
        let value = AppWindow::read_from_bytes(value).expect("the value size was checked");
        if plan.lists(value.last_boot_ns) {
            rows += 1;
            each(RowRef::App(&app_row(plan.seq, &key, &value, pinned.meta.window_ns)));
        }
    })?;
    Ok(rows)
}

/// Lists the zones of applications that anything happened in since the sweep before.
///
/// # Errors
/// [`SweepError`].
pub fn zones(
    pinned: &Pinned,
    walker: &mut Walker,
    texts: &mut Known<String>,
    plan: &Plan,
    each: &mut impl FnMut(RowRef<'_>),
) -> Result<Zones, SweepError> {
    let (mut found, mut failed) = (Zones::default(), None);
    walker.walk(&pinned.zones, |key, value| {
        let key = ZoneKey::read_from_bytes(key).expect("the key size was checked");
        let value = Zone::read_from_bytes(value).expect("the value size was checked");
        found.questions = found.questions.saturating_add(value.questions);
        if !plan.lists(value.last_boot_ns) {
            return;
        }
        match texts.get(&pinned.zone_texts, key.zone) {
            Ok(text) => {
                let zone = text.map(|text| Cow::Borrowed(&**text));
                found.missing += u64::from(zone.is_none());
                found.rows += 1;
                let row = zone_row(plan.seq, &key, &value, pinned.meta.window_ns);
                each(RowRef::Zone(&cgroup::Zone { zone, ..row }));
            }
            Err(error) => failed = Some(error),
        }
    })?;
    failed.map_or(Ok(found), |error| Err(error.into()))
}

/// The name that an address has now.
fn name_now<'a>(
    pinned: &Pinned,
    texts: &'a mut Known<String>,
    addr: &[u8; 16],
) -> Result<Option<&'a String>, PinError> {
    let mut value = [0; size_of::<AddressName>()];
    let is_there = pinned
        .names
        .lookup_into(addr, &mut value, MapFlags::ANY)
        .map_err(|source| PinError::Read { name: pins::NAMES, source })?;
    if !is_there {
        return Ok(None);
    }
    let named = AddressName::read_from_bytes(&value).expect("the size was checked");
    texts.get(&pinned.name_texts, named.name)
}

fn address(key: &[u8]) -> SourceAddr {
    SourceAddr::from_bytes(key.try_into().expect("the key size was checked"))
}

fn name_row<'a>(seq: u64, addr: SourceAddr, value: &AddressName, text: &'a str) -> Name<'a> {
    Name {
        seq,
        addr,
        name: Cow::Borrowed(text),
        learned_boot_ns: value.learned_boot_ns,
        expiry_boot_ns: value.expiry_boot_ns,
        resolver: SourceAddr::from_bytes(value.resolver),
        resolver_port: value.resolver_port,
        chain: value.chain,
    }
}

/// The row without a name.
fn behaviour_row(seq: u64, key: &BehaviourKey, value: &Behaviour) -> cgroup::Behaviour<'static> {
    let ns = |units: u64| units << INTERVAL_SHIFT;
    let count = u64::from(value.batch_count);
    cgroup::Behaviour {
        seq,
        exe_device: Device(key.exe_device),
        exe_inode: key.exe_inode,
        remote_addr: SourceAddr::from_bytes(key.remote_addr),
        remote_port: key.remote_port,
        protocol: Protocol(key.protocol),
        name: None,
        flags: Flags(value.flags),
        born_boot_ns: value.born_boot_ns,
        last_boot_ns: value.last_boot_ns,
        last_connect_boot_ns: value.last_connect_boot_ns,
        flagged_boot_ns: value.flagged_boot_ns,
        connects: value.connects,
        failed: value.failed,
        unsent: value.unsent,
        bytes_out: value.bytes_out,
        bytes_in: value.bytes_in,
        intervals: value.intervals,
        intervals_long: value.intervals_long,
        batch_intervals: value.batch_count,
        batch_mean_ns: ns(value.batch_sum).checked_div(count).unwrap_or_default(),
        batch_min_ns: ns(value.batch_min.into()),
        batch_max_ns: ns(value.batch_max.into()),
        batch_cv_ppm: value.batch_cv().map(|cv| (cv * PPM).round() as u64),
    }
}

fn app_row(seq: u64, key: &AppKey, value: &AppWindow, window_ns: u64) -> App {
    App {
        seq,
        exe_device: Device(key.exe_device),
        exe_inode: key.exe_inode,
        flags: Flags(value.flags),
        last_boot_ns: value.last_boot_ns,
        flagged_boot_ns: value.flagged_boot_ns,
        connects: value.connects,
        failed: value.failed,
        bytes_out: value.bytes_out,
        window_boot_ns: value.window.saturating_mul(window_ns),
        window_bytes_out: value.window_bytes_out,
        window_failed: value.window_failed,
        window_internal_peers: value.internal_peers().round() as u32,
        nxdomain: value.nxdomain,
        window_nxdomain_zones: value.nxdomain_zones().round() as u32,
    }
}

/// The row without its text.
fn zone_row(seq: u64, key: &ZoneKey, value: &Zone, window_ns: u64) -> cgroup::Zone<'static> {
    cgroup::Zone {
        seq,
        exe_device: Device(key.exe_device),
        exe_inode: key.exe_inode,
        zone: None,
        zone_key: Hex(key.zone),
        flags: Flags(value.flags),
        born_boot_ns: value.born_boot_ns,
        last_boot_ns: value.last_boot_ns,
        flagged_boot_ns: value.flagged_boot_ns,
        questions: value.questions,
        answers: value.answers,
        nxdomain: value.nxdomain,
        name_bytes: value.name_bytes,
        labels: value.labels,
        bytes_out: value.bytes_out,
        bytes_in: value.bytes_in,
        window_boot_ns: value.window.saturating_mul(window_ns),
        window_names: value.names().round() as u32,
        window_name_bytes: value.window_name_bytes,
        window_bytes_out: value.window_bytes_out,
    }
}

#[cfg(test)]
#[path = "tables_tests.rs"]
mod tests;
