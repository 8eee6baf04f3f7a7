// SPDX-License-Identifier: MIT OR Apache-2.0
//! Twin of `bpf/include/ibsr_cgroup_dns_abi.h`, made and compared like [`crate::abi`]; version
//! and hash are those of [`crate::cgroup_abi`].

#![expect(
    missing_debug_implementations,
    reason = "zerocopy's derives make helper types without; each type written here has it"
)]

use std::fmt::Write as _;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::abi::{Field, Layout, sum_words};

/// `IBSR_NAME_BYTES`: bytes of a name that are kept.
pub const NAME_BYTES: usize = 128;
/// `IBSR_DNS_PORTS`: ports that can be listed.
pub const DNS_PORTS: usize = 8;
/// `IBSR_DNS_RESOLVERS`: addresses of resolvers that can be listed.
pub const DNS_RESOLVERS: usize = 16;
/// `IBSR_DNS_RECORDS`: records of an answer that are read.
pub const DNS_RECORDS: usize = 16;
/// `IBSR_DNS_STEPS`: labels, pointers, ends of names and headers of records in one answer.
pub const DNS_STEPS: usize = 80;
/// `IBSR_DNS_MESSAGE_MAX`: bytes of the longest message that is read.
pub const DNS_MESSAGE_MAX: usize = 1_472;
/// `IBSR_DNS_PATIENCE_S`: seconds for which an answer is believed.
pub const DNS_PATIENCE_S: u64 = 30;
/// `IBSR_NAME_TTL_MIN_S`: seconds that a name lives at least.
pub const NAME_TTL_MIN_S: u32 = 1;
/// `IBSR_NAME_TTL_MAX_S`: seconds that a name lives at most.
pub const NAME_TTL_MAX_S: u32 = 86_400;
/// `IBSR_DEFAULT_MAX_NAMES`.
pub const DEFAULT_MAX_NAMES: u32 = 32_768;

abi_struct! {
    /// Value of the table of addresses: the name that one was last resolved from. The key is the
    /// address.
    #[derive(Default)]
    "ibsr_address_name" => AddressName {
        /// Key in the table of names.
        name: u64,
        /// Boot clock at the answer.
        learned_boot_ns: u64,
        /// Boot clock at its end: the smallest TTL on the way, clamped.
        expiry_boot_ns: u64,
        /// Flows that began with this name; a race may lose some.
        hits: u64,
        /// Who said so.
        resolver: [u8; 16],
        /// The resolver's port, host order.
        resolver_port: u16,
        /// CNAMEs between the name and the address.
        chain: u8,
        /// Zero.
        pad: [u8; 5],
    }
}

abi_struct! {
    /// Value of the table of names: one as it is on the wire, in lower case. The key is a hash
    /// over the whole name.
    "ibsr_name_text" => NameText {
        /// Boot clock when this row was made.
        met_boot_ns: u64,
        /// Key of the zone it is in; 0 where behaviour is not analysed.
        zone: u64,
        /// Bytes of the whole name, with the root's zero.
        wire_bytes: u16,
        /// Zero.
        pad: [u8; 6],
        /// Labels, each behind its length; zero behind the name.
        wire: [u8; NAME_BYTES],
    }
}

abi_struct! {
    /// Outcomes of one CPU. Each question and each answer has one.
    #[derive(Default)]
    "ibsr_dns_totals" => DnsTotals {
        /// UDP to a port of DNS.
        questions: u64,
        /// Of those, remembered.
        asked: u64,
        /// Joined by the kernel: not read.
        question_joined: u64,
        /// Malformed, or too long.
        question_malformed: u64,
        /// Not one question.
        question_count: u64,
        /// An answer, or another operation than a query.
        question_other: u64,
        /// No scratch memory.
        question_no_slot: u64,
        /// No entry could be had.
        question_no_entry: u64,
        /// UDP from a port of DNS.
        answers: u64,
        /// Of those, NOERROR to a question that waited.
        answered: u64,
        /// NXDOMAIN to a question that waited.
        nxdomain: u64,
        /// SERVFAIL to a question that waited.
        servfail: u64,
        /// Another error to a question that waited.
        other_rcode: u64,
        /// Cut: the client asks again over TCP.
        truncated: u64,
        /// Joined by the kernel: not read.
        answer_joined: u64,
        /// Not from a listed resolver.
        unlisted: u64,
        /// Longer than [`DNS_MESSAGE_MAX`].
        answer_too_long: u64,
        /// Malformed.
        answer_malformed: u64,
        /// Not one question.
        answer_count: u64,
        /// A question, or another operation than a query.
        answer_other: u64,
        /// Nobody asked that.
        unasked: u64,
        /// Asked longer ago than [`DNS_PATIENCE_S`].
        late: u64,
        /// Answered before.
        repeated: u64,
        /// More than [`DNS_STEPS`].
        answer_too_deep: u64,
        /// No scratch memory.
        answer_no_slot: u64,
        /// Addresses learned.
        learned: u64,
        /// Of those, known under another name before.
        renamed: u64,
        /// Addresses for which no entry could be had.
        learn_failed: u64,
        /// Names made.
        names_inserted: u64,
        /// Names for which no entry could be had.
        names_failed: u64,
        /// CNAMEs followed.
        cnames: u64,
        /// Records that are not part of what was asked.
        records_foreign: u64,
        /// Records behind the last that is read.
        records_unread: u64,
        /// Flows that began with a name.
        flows_named: u64,
        /// Flows to an address whose name had expired.
        flows_expired: u64,
    }
}

const WORDS: usize = size_of::<DnsTotals>() / size_of::<u64>();
/// Words of the struct: the questions' outcomes, then the answers'.
const OUTCOMES: [std::ops::Range<usize>; 2] = [1..8, 9..25];

impl DnsTotals {
    fn words(self) -> [u64; WORDS] {
        zerocopy::transmute!(self)
    }

    /// Sum over CPUs.
    #[must_use]
    pub fn sum(cpus: &[Self]) -> Self {
        zerocopy::transmute!(sum_words(cpus.iter().map(|cpu| cpu.words())))
    }

    /// Whether each question and each answer has one outcome, in counters that stand still.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        let words = self.words();
        let [questions, answers] = OUTCOMES.map(|range| words[range].iter().sum::<u64>());
        (questions, answers) == (self.questions, self.answers)
    }
}

impl NameText {
    /// Whether only the beginning of the name was kept.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.wire_bytes as usize > NAME_BYTES
    }

    /// The name in the form of zone files (RFC 1035, 5.1; RFC 4343): a dot or backslash inside of
    /// a label stands behind a backslash, what is not printable is `\DDD`. Without the dot at the
    /// end; the root is `.`. Of a name that was cut, the labels that are there, then `...`.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut rest = &self.wire[..];
        while let Some((&bytes, behind)) = rest.split_first() {
            if bytes == 0 {
                break;
            }
            let label = &behind[..behind.len().min(bytes.into())];
            if !text.is_empty() {
                text.push('.');
            }
            label.iter().for_each(|&byte| push_byte(&mut text, byte));
            rest = &behind[label.len()..];
        }
        match (self.is_cut(), text.is_empty()) {
            (true, _) => text.push_str("..."),
            (false, true) => text.push('.'),
            (false, false) => {}
        }
        text
    }
}

fn push_byte(text: &mut String, byte: u8) {
    match byte {
        b'.' | b'\\' => text.extend(['\\', byte.into()]),
        0x21..=0x7e => text.push(byte.into()),
        _ => write!(text, "\\{byte:03}").expect("a string takes any text"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(labels: &[&[u8]]) -> NameText {
        let mut wire: Vec<u8> = Vec::new();
        for label in labels {
            wire.push(label.len() as u8);
            wire.extend(*label);
        }
        wire.push(0);
        let wire_bytes = wire.len() as u16;
        wire.resize(NAME_BYTES.max(wire.len()), 0);
        let wire = wire[..NAME_BYTES].try_into().expect("so many");
        NameText { met_boot_ns: 1, zone: 0, wire_bytes, pad: [0; 6], wire }
    }

    #[test]
    fn a_name_reads_as_in_a_zone_file() {
        assert_eq!(named(&[b"www", b"example", b"org"]).text(), "www.example.org");
        assert_eq!(named(&[]).text(), ".");
        assert_eq!(named(&[b"a.b\\", b" \x00\xff"]).text(), r"a\.b\\.\032\000\255");
    }

    /// Cut inside of a label: what is there is there.
    #[test]
    fn of_a_long_name_the_beginning_is_told_and_that_it_is_not_all() {
        let long = named(&[&[b'a'; 63], &[b'b'; 63], b"org"]);
        assert!(long.is_cut());
        assert_eq!(long.text(), format!("{}.{}...", "a".repeat(63), "b".repeat(63)));
        let fits = named(&[&[b'a'; 63], &[b'b'; 62]]);
        assert_eq!((fits.is_cut(), fits.wire_bytes), (false, 128));
        assert_eq!(fits.text(), format!("{}.{}", "a".repeat(63), "b".repeat(62)));
        let no_end = NameText { wire: [0xff; NAME_BYTES], ..fits };
        assert!(no_end.text().len() > NAME_BYTES);
    }

    /// An outcome that nobody counted, or counted twice, is noticed.
    #[test]
    fn outcomes_add_up() {
        let good = DnsTotals {
            questions: 3,
            asked: 2,
            question_no_entry: 1,
            answers: 5,
            answered: 1,
            answer_no_slot: 4,
            learned: 7,
            ..DnsTotals::default()
        };
        assert!(DnsTotals::sum(&[good, DnsTotals::default(), good]).adds_up());
        assert!(!DnsTotals { questions: 4, ..good }.adds_up());
        assert!(!DnsTotals { late: 1, ..good }.adds_up());
        assert!(!DnsTotals { question_joined: 1, ..good }.adds_up());
    }
}
