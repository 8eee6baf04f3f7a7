// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rows of the scope `guard`, schema `ibsr/1`: the same grammar as [`super::v1`], with `verdict`
//! and `count` rows in place of `source` rows, and with a header and a `sweep` row of its own.
//!
//! A verdict is an event: it is in one sweep only. Counts are cumulative.

pub mod words;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use self::words::{ActionName, HookName, Way};
use super::cgroup::words::{Device, ErrorName, Protocol};
use super::line::{self, TypeOnly};
use super::v1::{Footer, Gap, RowError};
use crate::addr::SourceAddr;

/// First line of a segment: what was recorded, by what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`super::SCHEMA`].
    pub schema: String,
    /// Program and version that wrote the file.
    pub tool: String,
    /// Host label.
    pub host: String,
    /// Boot id, as the kernel prints it.
    pub boot_id: String,
    /// `guard`.
    pub scope: String,
    /// 16 hexadecimal digits: the kernel's id of the ring of records, new for each guard that is
    /// attached within a boot.
    pub epoch: String,
    /// Configured time between sweeps; the real one is in each sweep. 0 for a single sweep.
    pub period_ms: u64,
    /// Bytes of the ring; what does not fit is counted and lost.
    pub ring_bytes: u64,
}

/// Closes a sweep: the verdicts and counts above it, back to the previous `sweep` row, belong to
/// it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {
    /// Number of the sweep. Ascending by one within an epoch; never repeats within a boot.
    pub seq: u64,
    /// First of the sweeps that were merged into this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_from_seq: Option<u64>,
    /// Start of the interval: `at_boot_ns` of the sweep before, 0 for the first one. A verdict
    /// that waited in the ring may be older.
    pub since_boot_ns: u64,
    /// End of the interval: boot clock when the sweep began.
    pub at_boot_ns: u64,
    /// Wall clock at the same moment.
    pub at_unix_ms: u64,
    /// Rows in this sweep: verdicts and counts.
    pub rows: u64,
    /// Verdicts in this sweep.
    pub verdicts: u64,
    /// Records that were read and had another size than this version's; they have no row.
    pub unread: u64,
    /// Records for which the ring had no room, over all hooks, cumulative.
    pub records_lost: u64,
    /// Generation of the policy in use; 0 for none.
    pub generation: u64,
    /// What that policy is; absent where nobody said it, which a guard does once it is in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyInUse>,
    /// Whether the guard was told to deny. It does so only within a lease and a budget.
    pub is_enforced: bool,
    /// End of the lease on the boot clock.
    pub lease_until_boot_ns: u64,
    /// Number of the arming; 0 for none.
    pub arming: u64,
    /// Share of the pairs of executable and address that are denied to, in percent.
    pub canary_percent: u32,
    /// Whether no more verdicts were read than the guard has recorded.
    pub conserved: bool,
    /// Whether the guard was attached.
    pub attached: bool,
    /// Time spent reading the maps.
    pub read_us: u64,
}

/// What a generation of the policy judges by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyInUse {
    /// Since when, on the boot clock.
    pub since_boot_ns: u64,
    /// 64 hexadecimal digits: of its canonical text.
    pub policy_sha256: String,
    /// 64 hexadecimal digits: of what the machine called the executables, users and cgroups that
    /// it names.
    pub identities_sha256: String,
    /// 64 hexadecimal digits: of the object that the programs are from.
    pub object_sha256: String,
    /// Id of the cgroup that the guard is attached to.
    pub cgroup_id: u64,
    /// Its path below the mount point, when it was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup_path: Option<String>,
}

/// One denial, or what would have been one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict<'a> {
    /// Sweep that it is in.
    pub seq: u64,
    /// When, on the boot clock.
    pub at_boot_ns: u64,
    /// Generation of the policy that judged.
    pub generation: u64,
    /// Where it was judged.
    pub hook: HookName,
    /// Who opened.
    pub direction: Way,
    /// Protocol above IP.
    pub protocol: Protocol,
    /// The other end; what a socket binds to for `bind`.
    pub addr: SourceAddr,
    /// Its port.
    pub port: u16,
    /// Device of the owner's executable; `0:0` when nobody knows the owner.
    pub exe_device: Device,
    /// Its inode; 0 likewise.
    pub exe_inode: u64,
    /// User of the owner.
    pub uid: u32,
    /// The owner's cgroup or the nearest one above it that the policy names; 0 for none.
    pub cgroup_id: u64,
    /// Its path, when it was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup_path: Option<Cow<'a, str>>,
    /// Name of the process that asked; absent for packets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comm: Option<Cow<'a, str>>,
    /// The rule, counted from 0; absent for the policy's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<u32>,
    /// What the rule says.
    pub action: ActionName,
    /// Error of the refusal.
    pub error: ErrorName,
    /// Whether it was carried out.
    pub is_denied: bool,
    /// Cookie of the socket.
    pub socket: u64,
}

/// What one hook has counted since the guard was attached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Sweep that it is in.
    pub seq: u64,
    /// Where.
    pub hook: HookName,
    /// All that was seen: the sum of the next five.
    pub judged: u64,
    /// Loopback, protected, a connection that stands, or a socket that is only half there.
    pub exempt: u64,
    /// Allowed by the policy.
    pub allowed: u64,
    /// Denied by the policy and let pass.
    pub would_deny: u64,
    /// Denied.
    pub denied: u64,
    /// Let pass without a verdict.
    pub unjudged: u64,
    /// Records written.
    pub recorded: u64,
    /// Records for which the ring had no room.
    pub records_lost: u64,
}

/// A row to write.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RowRef<'a> {
    /// First line.
    Header(&'a Header),
    /// Closes a sweep.
    Sweep(&'a Sweep),
    /// One denial.
    Verdict(&'a Verdict<'a>),
    /// Counts of one hook.
    Count(&'a Count),
}

impl RowRef<'_> {
    /// Appends the row and a line feed to `out`. Allocates only when `out` must grow.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        line::write(self, out);
    }
}

/// A row that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// First line.
    Header(Box<Header>),
    /// Closes a sweep.
    Sweep(Box<Sweep>),
    /// One denial.
    Verdict(Box<Verdict<'static>>),
    /// Counts of one hook.
    Count(Box<Count>),
    /// A gap.
    Gap(Gap),
    /// Last line.
    Footer(Footer),
    /// A type that this build does not know.
    Unknown(String),
}

impl Row {
    /// Reads one line, with or without its line feed.
    ///
    /// # Errors
    /// [`RowError`] with the column, for the caller to prefix with file and line.
    pub fn from_line(line: &[u8]) -> Result<Self, RowError> {
        let TypeOnly { kind } = serde_json::from_slice(line)?;
        Ok(match kind.as_ref() {
            "header" => Self::Header(serde_json::from_slice(line)?),
            "sweep" => Self::Sweep(serde_json::from_slice(line)?),
            "verdict" => Self::Verdict(serde_json::from_slice(line)?),
            "count" => Self::Count(serde_json::from_slice(line)?),
            "gap" => Self::Gap(serde_json::from_slice(line)?),
            "footer" => Self::Footer(serde_json::from_slice(line)?),
            other => Self::Unknown(other.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::cgroup::tests::documented;

    fn again(row: RowRef<'_>) -> Row {
        let mut line = Vec::new();
        row.write_to(&mut line);
        Row::from_line(&line).expect("a row")
    }

    fn header() -> Header {
        Header { scope: "guard".into(), ring_bytes: 1, ..Header::default() }
    }

    fn sweep() -> Sweep {
        let policy = PolicyInUse { cgroup_path: Some("/a".into()), ..PolicyInUse::default() };
        Sweep {
            merged_from_seq: Some(1),
            records_lost: 3,
            policy: Some(policy),
            ..Sweep::default()
        }
    }

    fn verdict() -> Verdict<'static> {
        Verdict {
            seq: 1,
            at_boot_ns: 2,
            generation: 3,
            hook: HookName(1),
            direction: Way(2),
            protocol: Protocol(17),
            addr: "2001:db8::9".parse().expect("an address"),
            port: 53,
            exe_device: Device(253 << 20 | 1),
            exe_inode: 4,
            uid: 5,
            cgroup_id: 6,
            cgroup_path: Some("/a".into()),
            comm: Some("curl".into()),
            rule: Some(7),
            action: ActionName(2),
            error: ErrorName(111),
            is_denied: true,
            socket: 8,
        }
    }

    fn sorted(mut names: Vec<String>) -> Vec<String> {
        names.sort();
        names
    }

    /// A field that nobody explains is of no use, and one that is explained must exist.
    #[test]
    fn the_documentation_names_every_field_and_no_other() {
        let page = include_str!("../../../../docs/snapshot-format.md");
        let json = |row: RowRef<'_>| serde_json::to_value(row).expect("JSON");
        let close = json(RowRef::Sweep(&sweep()));
        for (heading, row) in [
            ("header of the guard", json(RowRef::Header(&header()))),
            ("verdict", json(RowRef::Verdict(&verdict()))),
            ("policy in use", close["policy"].clone()),
            ("sweep of the guard", close),
            ("count", json(RowRef::Count(&Count::default()))),
        ] {
            let written = row.as_object().expect("an object").keys().cloned();
            let written = written.filter(|name| name != "type").collect();
            assert_eq!(sorted(documented(page, heading)), sorted(written), "{heading}");
        }
    }

    #[test]
    fn every_row_reads_back() {
        let (header, sweep, whole) = (header(), sweep(), verdict());
        assert_eq!(again(RowRef::Header(&header)), Row::Header(Box::new(header.clone())));
        assert_eq!(again(RowRef::Sweep(&sweep)), Row::Sweep(Box::new(sweep.clone())));
        let count = Count { hook: HookName(3), judged: 2, ..Count::default() };
        assert_eq!(again(RowRef::Count(&count)), Row::Count(Box::new(count)));
        let bare = Verdict { cgroup_path: None, comm: None, rule: None, ..whole.clone() };
        for verdict in [whole, bare] {
            assert_eq!(again(RowRef::Verdict(&verdict)), Row::Verdict(Box::new(verdict.clone())));
        }
    }
}
