// SPDX-License-Identifier: MIT OR Apache-2.0
//! From what lies in the spool and what the ledger says to a list of work. Pure.

use ibsr_proto::ledger::Event;

use crate::ledger::{Record, Records};
use crate::segments::Found;

/// What is known about a segment before anything is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Must be uploaded.
    Waiting,
    /// Is in the bucket.
    Uploaded,
    /// The key held other content; asked again each time, in case it was moved away.
    Conflict,
    /// Damaged, and the same file as when that was found.
    Quarantined,
}

/// Segments, sorted into what is to be done about them.
#[derive(Debug, Default)]
pub struct Plan {
    /// To upload, oldest first.
    pub waiting: Vec<Found>,
    /// To ask about again, oldest first.
    pub conflicts: Vec<Found>,
    /// Damaged.
    pub quarantined: Vec<Found>,
    /// Nothing to do.
    pub uploaded: Vec<Found>,
}

/// Sorts what was found. The oldest go first, so that what a full spool would drop next is
/// in the bucket by then.
pub fn plan(found: Vec<Found>, records: &Records) -> Plan {
    let mut plan = Plan::default();
    for segment in found {
        let list = match classify(&segment, records.get(&segment.scope, &segment.name)) {
            Class::Waiting => &mut plan.waiting,
            Class::Conflict => &mut plan.conflicts,
            Class::Quarantined => &mut plan.quarantined,
            Class::Uploaded => &mut plan.uploaded,
        };
        list.push(segment);
    }
    plan.waiting.sort_unstable_by(by_age);
    plan.conflicts.sort_unstable_by(by_age);
    plan
}

/// A sealed file never changes, so one of another size than the ledger remembers is news.
pub fn classify(found: &Found, record: Option<&Record>) -> Class {
    match record {
        Some(record) if record.bytes == found.bytes => match record.event {
            Event::Uploaded => Class::Uploaded,
            Event::Conflict => Class::Conflict,
            Event::Quarantined if found.changed_ms <= record.unix_ms => Class::Quarantined,
            _ => Class::Waiting,
        },
        _ => Class::Waiting,
    }
}

fn by_age(a: &Found, b: &Found) -> std::cmp::Ordering {
    (a.modified_ms, &a.scope, &a.name).cmp(&(b.modified_ms, &b.scope, &b.name))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn found(name: &str, modified_ms: u64) -> Found {
        let scope = Arc::from("xdp-eth0");
        Found { scope, name: name.into(), bytes: 9, modified_ms, changed_ms: modified_ms }
    }

    fn record(event: Event) -> Record {
        Record { event, bytes: 9, sha256_head: 1, unix_ms: 100 }
    }

    #[test]
    fn each_last_word_leads_to_one_class() {
        let segment = found("a", 50);
        let class = |event| classify(&segment, Some(&record(event)));
        assert_eq!(classify(&segment, None), Class::Waiting);
        assert_eq!(class(Event::Attempted), Class::Waiting);
        assert_eq!(class(Event::Uploaded), Class::Uploaded);
        assert_eq!(class(Event::Conflict), Class::Conflict);
        assert_eq!(class(Event::Quarantined), Class::Quarantined);
        assert_eq!(class(Event::Unknown), Class::Waiting);
    }

    /// E7: a quarantined file is looked at again only when it changed.
    #[test]
    fn a_changed_file_is_news() {
        let later = found("a", 101);
        assert_eq!(classify(&later, Some(&record(Event::Quarantined))), Class::Waiting);
        let longer = Found { bytes: 10, ..found("a", 50) };
        for event in [Event::Uploaded, Event::Conflict, Event::Quarantined] {
            assert_eq!(classify(&longer, Some(&record(event))), Class::Waiting);
        }
    }

    #[test]
    fn the_oldest_go_first() {
        let plan = plan(vec![found("c", 2), found("b", 1), found("a", 2)], &Records::default());
        let order: Vec<_> = plan.waiting.iter().map(|found| &*found.name).collect();
        assert_eq!(order, ["b", "a", "c"]);
    }
}
