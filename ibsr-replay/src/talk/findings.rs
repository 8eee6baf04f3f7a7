// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the sensor measured of applications, as far as a limit was passed. Of each measurement
//! the newest row counts, so parts merge to the same in any order.

use std::collections::BTreeMap;

use ibsr_proto::addr::SourceAddr;
use ibsr_proto::cgroup_behaviour_abi::flag;
use ibsr_proto::snapshot::cgroup::words::Flags;
use ibsr_proto::snapshot::cgroup::{App, Behaviour, Zone};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::lives::{SweepTime, unix_ms};

/// Findings that are kept, those with the smallest hashes: some 2 MiB.
pub const MAX_FINDINGS: usize = 4_096;

/// What was measured, and of whom.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FindingKey {
    /// Host label.
    pub host: String,
    /// Device of the executable, `major << 20 | minor`.
    pub exe_device: u32,
    /// Inode of the executable.
    pub exe_inode: u64,
    /// One bit of [`flag`].
    pub flag: u32,
    /// Where to, or where it asks; none for what is of the application as a whole.
    pub to: Option<Aim>,
}

/// What an application has to do with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Aim {
    /// An address and port.
    Destination(Destination),
    /// A DNS zone; `#` and its key where the kernel evicted its text.
    Zone(Box<str>),
}

/// A destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Destination {
    /// As IANA numbers it.
    pub protocol: u16,
    /// Port of the service.
    pub port: u16,
    /// Address.
    pub addr: SourceAddr,
}

/// The newest row with that flag. The order of the fields decides which is newest.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// Wall clock at the last change of the row.
    pub last_unix_ms: u64,
    /// Wall clock when the row's last new flag was set.
    pub flagged_unix_ms: u64,
    /// Name of the destination.
    pub name: Option<Box<str>>,
    /// Connections begun.
    pub connections: u64,
    /// TCP connections that came to nothing.
    pub failed: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Mean of the intervals of the batch under way.
    pub interval_mean_ns: u64,
    /// Their coefficient of variation in millionths.
    pub interval_cv_ppm: Option<u64>,
    /// Bytes sent in the window to public addresses.
    pub window_bytes_out: u64,
    /// TCP connections that came to nothing in the window.
    pub window_failed: u64,
    /// Internal peers of the window, estimated.
    pub window_internal_peers: u32,
    /// Questions asked.
    pub questions: u64,
    /// Names of the window, estimated.
    pub window_names: u32,
    /// Their bytes in front of the zone.
    pub window_name_bytes: u64,
    /// Zones of the window in which a name did not exist, estimated.
    pub window_nxdomain_zones: u32,
    /// File that holds the row.
    pub file: String,
    /// Its line there, from 1.
    pub line: u64,
}

/// All findings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// At most [`MAX_FINDINGS`].
    pub kept: BTreeMap<(u64, FindingKey), Finding>,
    /// Whether there are more.
    pub is_cut: bool,
}

/// Where a row stands.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Host label.
    pub host: &'a str,
    /// File.
    pub file: &'a str,
    /// Line, from 1.
    pub line: u64,
}

impl Findings {
    /// Takes a row about a destination.
    pub fn behaviour(&mut self, row: &Behaviour<'_>, time: SweepTime, place: Place<'_>) {
        if !has_finding(row.flags) {
            return;
        }
        let (protocol, port, addr) = (row.protocol.0, row.remote_port, row.remote_addr);
        let to = Aim::Destination(Destination { protocol, port, addr });
        let finding = Finding {
            last_unix_ms: unix_ms(row.last_boot_ns, time),
            flagged_unix_ms: unix_ms(row.flagged_boot_ns, time),
            name: row.name.as_deref().map(Box::from),
            connections: row.connects,
            failed: row.failed.saturating_add(row.unsent),
            bytes_out: row.bytes_out,
            interval_mean_ns: row.batch_mean_ns,
            interval_cv_ppm: row.batch_cv_ppm,
            file: place.file.to_owned(),
            line: place.line,
            ..Finding::default()
        };
        self.add_each(row.flags.0, (row.exe_device.0, row.exe_inode), Some(to), place, &finding);
    }

    /// Takes a row about an application.
    pub fn app(&mut self, row: &App, time: SweepTime, place: Place<'_>) {
        if !has_finding(row.flags) {
            return;
        }
        let finding = Finding {
            last_unix_ms: unix_ms(row.last_boot_ns, time),
            flagged_unix_ms: unix_ms(row.flagged_boot_ns, time),
            connections: row.connects,
            failed: row.failed,
            bytes_out: row.bytes_out,
            window_bytes_out: row.window_bytes_out,
            window_failed: row.window_failed,
            window_internal_peers: row.window_internal_peers,
            window_nxdomain_zones: row.window_nxdomain_zones,
            file: place.file.to_owned(),
            line: place.line,
            ..Finding::default()
        };
        self.add_each(row.flags.0, (row.exe_device.0, row.exe_inode), None, place, &finding);
    }

    /// Takes a row about a zone.
    pub fn zone(&mut self, row: &Zone<'_>, time: SweepTime, place: Place<'_>) {
        if !has_finding(row.flags) {
            return;
        }
        let zone = row.zone.as_deref().map_or_else(|| format!("#{}", row.zone_key), str::to_owned);
        let finding = Finding {
            last_unix_ms: unix_ms(row.last_boot_ns, time),
            flagged_unix_ms: unix_ms(row.flagged_boot_ns, time),
            bytes_out: row.bytes_out,
            window_bytes_out: row.window_bytes_out,
            questions: row.questions,
            window_names: row.window_names,
            window_name_bytes: row.window_name_bytes,
            file: place.file.to_owned(),
            line: place.line,
            ..Finding::default()
        };
        let to = Some(Aim::Zone(zone.into()));
        self.add_each(row.flags.0, (row.exe_device.0, row.exe_inode), to, place, &finding);
    }

    fn add_each(
        &mut self,
        flags: u32,
        (exe_device, exe_inode): (u32, u64),
        to: Option<Aim>,
        place: Place<'_>,
        finding: &Finding,
    ) {
        for (bit, _) in
            flag::ALL.into_iter().filter(|(bit, _)| flags & !flag::IN_BASELINE & bit != 0)
        {
            let host = place.host.to_owned();
            let to = to.clone();
            let key = FindingKey { host, exe_device, exe_inode, flag: bit, to };
            self.add((hash(&key), key), finding);
        }
    }

    fn add(&mut self, key: (u64, FindingKey), finding: &Finding) {
        let known = self.kept.entry(key).or_default();
        if *known < *finding {
            known.clone_from(finding);
        }
        while self.kept.len() > MAX_FINDINGS {
            self.is_cut |= self.kept.pop_last().is_some();
        }
    }

    /// Adds others.
    pub fn join(&mut self, other: &Self) {
        for (key, finding) in &other.kept {
            self.add(key.clone(), finding);
        }
        self.is_cut |= other.is_cut;
    }
}

/// Most rows have none: then nothing is copied.
const fn has_finding(flags: Flags) -> bool {
    flags.0 & !flag::IN_BASELINE != 0
}

fn hash(key: &FindingKey) -> u64 {
    let mut hash = Sha256::new();
    hash.update(&key.host);
    hash.update(key.exe_device.to_le_bytes());
    hash.update(key.exe_inode.to_le_bytes());
    hash.update(key.flag.to_le_bytes());
    match &key.to {
        None => {}
        Some(Aim::Destination(to)) => {
            hash.update(to.protocol.to_le_bytes());
            hash.update(to.port.to_le_bytes());
            hash.update(to.addr.to_bytes());
        }
        Some(Aim::Zone(zone)) => hash.update(zone.as_bytes()),
    }
    super::facts::first(hash)
}
