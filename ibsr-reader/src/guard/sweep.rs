// SPDX-License-Identifier: MIT OR Apache-2.0
//! One pass over the guard's maps: its records, then what it has counted.

use std::borrow::Cow;

use ibsr_proto::abi::hex;
use ibsr_proto::addr::SourceAddr;
use ibsr_proto::guard_abi::DEFAULT_RULE;
use ibsr_proto::guard_control::{Counts, Generation, Hook, Record};
use ibsr_proto::pins;
use ibsr_proto::snapshot::cgroup::words::{Device, ErrorName, Protocol};
use ibsr_proto::snapshot::guard::words::{ActionName, HookName, Way};
use ibsr_proto::snapshot::guard::{Count, PolicyInUse, RowRef, Sweep, Verdict};
use libbpf_rs::RingBufferBuilder;
use zerocopy::FromBytes as _;

use super::pinned::Pinned;
use crate::cgroup::paths::Paths;
use crate::clock::boot_ns;
use crate::pin::PinError;
use crate::sweep::{Plan, SweepError};

/// Records that one sweep takes at most, so that it ends however fast they come; the others
/// wait for the next one. More than the ring holds.
const MAX_RECORDS: usize = 1 << 16;

/// Reads the maps once and calls `each` with every row; the row that closes the sweep, attached
/// or not. `before` is how many records this process has consumed so far.
///
/// A record that was consumed is gone from the ring, whatever becomes of its row: so nothing is
/// read first that could fail later.
///
/// # Errors
/// [`SweepError`]: the rows until then are not a sweep and must be discarded.
pub fn read(
    pinned: &Pinned,
    paths: &mut Paths,
    plan: &Plan,
    before: u64,
    mut each: impl FnMut(RowRef<'_>),
) -> Result<Sweep, SweepError> {
    let start = boot_ns();
    let control = pinned.control()?;
    // Tells whether the counts can be read before anything is consumed.
    pinned.counts(Hook::Connect)?;
    let generation = pinned.generation(control.generation)?;
    paths.begin_sweep();
    let policy = generation.map(|generation| in_use(paths, &generation, start));
    let (mut verdicts, mut unread) = (0, 0);
    consume(pinned, |bytes| match Record::ref_from_prefix(bytes) {
        Ok((record, _)) => {
            verdicts += 1;
            list(paths, plan.seq, record, &mut each);
        }
        Err(_) => unread += 1,
    })?;
    let (mut recorded, mut records_lost) = (0, 0);
    for hook in Hook::ALL {
        let counts = pinned.counts(hook)?;
        recorded += counts.recorded;
        records_lost += counts.records_lost;
        each(RowRef::Count(&count(plan.seq, hook, &counts)));
    }
    Ok(Sweep {
        seq: plan.seq,
        merged_from_seq: None,
        since_boot_ns: plan.since_boot_ns.unwrap_or(0),
        at_boot_ns: plan.at.boot_ns,
        at_unix_ms: plan.at.unix_ms,
        rows: verdicts + Hook::ALL.len() as u64,
        verdicts,
        unread,
        records_lost,
        generation: control.generation,
        policy,
        is_enforced: control.is_enforced != 0,
        lease_until_boot_ns: control.lease_until_boot_ns,
        arming: control.arming,
        canary_percent: control.canary_percent,
        conserved: is_conserved(before + verdicts + unread, recorded),
        attached: false,
        read_us: boot_ns().saturating_sub(start) / 1_000,
    })
}

fn in_use(paths: &mut Paths, generation: &Generation, now_boot_ns: u64) -> PolicyInUse {
    let _known_now = paths.get(generation.cgroup_id, now_boot_ns);
    let place = paths.known(generation.cgroup_id);
    PolicyInUse {
        since_boot_ns: generation.since_boot_ns,
        policy_sha256: hex(&generation.policy_sha256),
        identities_sha256: hex(&generation.identities_sha256),
        object_sha256: hex(&generation.object_sha256),
        cgroup_id: generation.cgroup_id,
        cgroup_path: place.map(|place| place.path.to_string()),
    }
}

/// A program submits a record and then counts it, so one for each CPU may be ahead.
fn is_conserved(consumed: u64, recorded: u64) -> bool {
    let ahead = libbpf_rs::num_possible_cpus().unwrap_or(0) as u64;
    consumed <= recorded.saturating_add(ahead)
}

fn consume(pinned: &Pinned, mut each: impl FnMut(&[u8])) -> Result<(), PinError> {
    let failed = |source| PinError::Read { name: pins::GUARD_RECORDS, source };
    let mut builder = RingBufferBuilder::new();
    let take = |bytes: &[u8]| {
        each(bytes);
        0
    };
    builder.add(&pinned.records, take).map_err(failed)?;
    let ring = builder.build().map_err(failed)?;
    match ring.consume_raw_n(MAX_RECORDS) {
        0.. => Ok(()),
        errno => Err(failed(libbpf_rs::Error::from_raw_os_error(-errno))),
    }
}

fn list(paths: &mut Paths, seq: u64, record: &Record, each: &mut impl FnMut(RowRef<'_>)) {
    let query = &record.query;
    if query.cgroup_id != 0 {
        let _known_now = paths.get(query.cgroup_id, record.at_boot_ns);
    }
    let place = paths.known(query.cgroup_id);
    let end = record.comm.iter().position(|&byte| byte == 0).unwrap_or(record.comm.len());
    let comm = String::from_utf8_lossy(&record.comm[..end]);
    each(RowRef::Verdict(&Verdict {
        seq,
        at_boot_ns: record.at_boot_ns,
        generation: record.generation,
        hook: HookName(record.hook),
        direction: Way(query.direction),
        protocol: Protocol(query.protocol.into()),
        addr: SourceAddr::from_bytes(query.addr),
        port: query.port,
        exe_device: Device(query.exe.device),
        exe_inode: query.exe.inode,
        uid: query.uid,
        cgroup_id: query.cgroup_id,
        cgroup_path: place.map(|place| Cow::Borrowed(&*place.path)),
        comm: (!comm.is_empty()).then_some(comm),
        rule: (record.rule != DEFAULT_RULE).then_some(record.rule),
        action: ActionName(record.action),
        error: ErrorName(record.error),
        is_denied: record.is_denied != 0,
        socket: record.socket,
    }));
}

fn count(seq: u64, hook: Hook, counts: &Counts) -> Count {
    Count {
        seq,
        hook: HookName(hook as u8),
        judged: counts.judged(),
        exempt: counts.exempt,
        allowed: counts.allowed,
        would_deny: counts.would_deny,
        denied: counts.denied,
        unjudged: counts.unjudged,
        recorded: counts.recorded,
        records_lost: counts.records_lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_records_than_were_written_break_the_law() {
        assert!(is_conserved(7, 7) && is_conserved(0, 7));
        assert!(!is_conserved(u64::MAX, 7));
    }
}
