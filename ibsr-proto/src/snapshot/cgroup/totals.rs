// SPDX-License-Identifier: MIT OR Apache-2.0
//! Totals of a cgroup scope over all CPUs, and the law that they obey.

use serde::{Deserialize, Serialize};

use crate::cgroup_abi::CgroupTotals;
use crate::{cgroup_behaviour_abi, cgroup_dns_abi};

macro_rules! totals {
    ($(#[$doc:meta])* $name:ident of $abi:ty { $( $(#[$meta:meta])* $field:ident, )* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $name { $( $(#[$meta])* pub $field: u64, )* }

        impl From<&$abi> for $name {
            fn from(sum: &$abi) -> Self {
                Self { $( $field: sum.$field, )* }
            }
        }
    };
}

totals! {
    /// Since the epoch began, over all CPUs. Packets are segments, each with its headers from IP
    /// on.
    Totals of CgroupTotals {
        /// Segments of TCP and UDP towards sockets.
        tracked_in,
        /// Segments of TCP and UDP from sockets.
        tracked_out,
        /// Bytes of `tracked_in`.
        tracked_bytes_in,
        /// Bytes of `tracked_out`.
        tracked_bytes_out,
        /// Tracked, but no entry could be had.
        insert_failed,
        /// Bytes of those.
        insert_failed_bytes,
        /// Packets without a full socket.
        no_socket,
        /// Packets whose socket's state the kernel had no memory for.
        no_storage,
        /// UDP whose headers could not be read.
        unreadable,
        /// Packets of ICMP and ICMPv6 sockets.
        icmp,
        /// Packets of all other sockets.
        other_l4,
        /// Flows made.
        flows_inserted,
        /// Owners made.
        owners_inserted,
        /// Owners for which no entry could be had.
        owners_failed,
        /// TCP and UDP sockets made by socket(2).
        created,
        /// IP sockets of other protocols.
        created_other,
        /// Sockets met later than at socket(2).
        adopted,
        /// TCP and UDP sockets whose last descriptor is gone.
        released,
        /// Calls of bind(2).
        binds,
        /// Of those, successful.
        bound,
        /// Calls of listen(2).
        listens,
        /// Calls of connect(2).
        connects,
        /// Of those, TCP that got as far as a SYN.
        syn_sent,
        /// Of those, completed.
        established,
        /// Of `syn_sent`, given up or refused.
        connect_failed,
        /// Connections that came in and were completed.
        accepted,
        /// Of those, with a process that asked for the peer's address.
        taken,
        /// Sockets used by another owner than before.
        handovers,
        /// TCP segments sent again.
        retransmits,
        /// Sockets that got their owner from the walk over open files.
        #[serde(default)]
        seeded,
    }
}

totals! {
    /// DNS since the epoch began, over all CPUs. Each question and each answer has one outcome.
    DnsTotals of cgroup_dns_abi::DnsTotals {
        /// UDP to a port of DNS.
        questions,
        /// Of those, remembered.
        asked,
        /// Joined by the kernel: not read.
        question_joined,
        /// Malformed, or too long.
        question_malformed,
        /// Not one question.
        question_count,
        /// An answer, or another operation than a query.
        question_other,
        /// No scratch memory.
        question_no_slot,
        /// No entry could be had.
        question_no_entry,
        /// UDP from a port of DNS.
        answers,
        /// Of those, NOERROR to a question that waited.
        answered,
        /// NXDOMAIN to a question that waited.
        nxdomain,
        /// SERVFAIL to a question that waited.
        servfail,
        /// Another error to a question that waited.
        other_rcode,
        /// Cut: the client asks again over TCP.
        truncated,
        /// Joined by the kernel: not read.
        answer_joined,
        /// Not from a listed resolver.
        unlisted,
        /// Longer than [`cgroup_dns_abi::DNS_MESSAGE_MAX`].
        answer_too_long,
        /// Malformed.
        answer_malformed,
        /// Not one question.
        answer_count,
        /// A question, or another operation than a query.
        answer_other,
        /// Nobody asked that.
        unasked,
        /// Asked longer ago than [`cgroup_dns_abi::DNS_PATIENCE_S`].
        late,
        /// Answered before.
        repeated,
        /// More than [`cgroup_dns_abi::DNS_STEPS`].
        answer_too_deep,
        /// No scratch memory.
        answer_no_slot,
        /// Addresses learned.
        learned,
        /// Of those, known under another name before.
        renamed,
        /// Addresses for which no entry could be had.
        learn_failed,
        /// Names made.
        names_inserted,
        /// Names for which no entry could be had.
        names_failed,
        /// CNAMEs followed.
        cnames,
        /// Records that are not part of what was asked.
        records_foreign,
        /// Records behind the last that is read.
        records_unread,
        /// Flows that began with a name.
        flows_named,
        /// Flows to an address whose name had expired.
        flows_expired,
    }
}

totals! {
    /// Connections that went out since the epoch began, over all CPUs.
    BehaviourTotals of cgroup_behaviour_abi::BehaviourTotals {
        /// Connections of known applications.
        connects,
        /// Of those, without an entry.
        connects_lost,
        /// Connections of unknown applications.
        no_owner,
        /// Bytes sent, as noted.
        bytes_out,
        /// Bytes received, as noted.
        bytes_in,
        /// Noted bytes, both ways, whose row was evicted before.
        bytes_lost,
        /// Rows of behaviour made.
        rows_inserted,
        /// Applications made.
        apps_inserted,
        /// Questions of DNS, of known applications.
        zone_questions,
        /// Of those, without an entry.
        zone_lost,
        /// Questions of unknown applications.
        zone_no_owner,
        /// Noted bytes, both ways, of a name whose text was evicted before.
        zone_bytes_lost,
        /// Rows of zones made.
        zones_inserted,
    }
}

/// How the law is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("flows and failed inserts hold {accounted} {unit} but only {tracked} were tracked")]
pub struct LawError {
    /// `packets` or `bytes`.
    pub unit: &'static str,
    /// Tracked.
    pub tracked: u64,
    /// In flows and failed inserts.
    pub accounted: u64,
}

impl Totals {
    /// Tracked packets, both ways.
    #[must_use]
    pub const fn tracked(&self) -> u64 {
        self.tracked_in.saturating_add(self.tracked_out)
    }

    /// Packets of flows that the kernel evicted, when `attributed` are in the table.
    ///
    /// # Errors
    /// When that is less than none.
    pub fn evicted(&self, attributed: u64) -> Result<u64, LawError> {
        remainder("packets", self.tracked(), attributed.saturating_add(self.insert_failed))
    }

    /// The same for bytes.
    ///
    /// # Errors
    /// When that is less than none.
    pub fn evicted_bytes(&self, attributed_bytes: u64) -> Result<u64, LawError> {
        let tracked = self.tracked_bytes_in.saturating_add(self.tracked_bytes_out);
        remainder("bytes", tracked, attributed_bytes.saturating_add(self.insert_failed_bytes))
    }
}

fn remainder(unit: &'static str, tracked: u64, accounted: u64) -> Result<u64, LawError> {
    tracked.checked_sub(accounted).ok_or(LawError { unit, tracked, accounted })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_neither_in_a_flow_nor_failed_was_evicted() {
        let totals = Totals {
            tracked_in: 6,
            tracked_out: 4,
            tracked_bytes_in: 600,
            insert_failed: 1,
            insert_failed_bytes: 60,
            ..Totals::default()
        };
        assert_eq!((totals.evicted(7), totals.evicted(9)), (Ok(2), Ok(0)));
        let broken = LawError { unit: "packets", tracked: 10, accounted: 11 };
        assert_eq!(totals.evicted(10), Err(broken));
        assert_eq!(totals.evicted_bytes(500), Ok(40));
        let broken = LawError { unit: "bytes", tracked: 600, accounted: 601 };
        assert_eq!(totals.evicted_bytes(541), Err(broken));
    }
}
