// SPDX-License-Identifier: MIT OR Apache-2.0
//! Scripts of connections: what each kind of client sends, packet by packet.

use super::flow::{Step, flag};
use super::random::Random;

const MS: u64 = 1_000_000;
const S: u64 = 1_000 * MS;
/// TCP's first wait for an answer to a SYN (RFC 6298), which then doubles.
const RETRY_NS: u64 = S;
/// Largest data of one segment on Ethernet, with timestamps.
const MSS: u16 = 1448;

/// A kind of connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Handshake, one request, a few ACKs, FIN.
    Http,
    /// Like it, and the first SYN is lost: the server has too much to do.
    HttpRetried,
    /// Handshake, a request now and then, FIN.
    KeepAlive,
    /// Handshake, one request, thousands of ACKs, FIN.
    Bulk,
    /// Long round trips; SYN and data are sent again.
    Lossy,
    /// SYN, sent again with TCP's back-off, never answered.
    Unanswered,
    /// One SYN.
    SynOnly,
    /// SYN, and RST to the answer.
    HalfOpen,
    /// Handshake, then RST.
    Touch,
    /// One RST.
    Rst,
}

impl Shape {
    /// A connection of this kind, with the lengths that `random` gives it.
    #[must_use]
    pub fn script(self, random: &mut Random) -> Vec<Step> {
        let rtt_ns = random.between((5 * MS, 120 * MS));
        match self {
            Self::Http => http(rtt_ns, 0, random),
            Self::HttpRetried => http(rtt_ns, RETRY_NS, random),
            Self::KeepAlive => keep_alive(rtt_ns, random),
            Self::Bulk => bulk(rtt_ns, random),
            Self::Lossy => lossy(random),
            Self::Unanswered => syns(&[0, 1, 3, 7, 15, 31]),
            Self::SynOnly => syns(&[0]),
            Self::HalfOpen => vec![one(0, flag::SYN, 0), one(rtt_ns, flag::RST, 1)],
            Self::Touch => vec![
                one(0, flag::SYN, 0),
                one(rtt_ns, flag::ACK, 1),
                one(rtt_ns + MS, flag::RST | flag::ACK, 1),
            ],
            Self::Rst => vec![one(0, flag::RST, 1)],
        }
    }
}

const fn one(after_ns: u64, flags: u8, seq: u32) -> Step {
    Step { after_ns, flags, payload: 0, seq, times: 1, every_ns: 0 }
}

const fn data(after_ns: u64, payload: u16, seq: u32) -> Step {
    Step { payload, ..one(after_ns, flag::PSH | flag::ACK, seq) }
}

fn syns(after_s: &[u64]) -> Vec<Step> {
    after_s.iter().map(|s| one(s * S, flag::SYN, 0)).collect()
}

fn request(random: &mut Random) -> u16 {
    random.between((120, 1_400)) as u16
}

/// `first_wait_ns`: after this a lost SYN is sent again; 0: it was not lost.
fn http(rtt_ns: u64, first_wait_ns: u64, random: &mut Random) -> Vec<Step> {
    let bytes = request(random);
    let mut script = vec![one(0, flag::SYN, 0)];
    if first_wait_ns > 0 {
        script.push(one(first_wait_ns, flag::SYN, 0));
    }
    let at = first_wait_ns + rtt_ns;
    let sent = 1 + u32::from(bytes);
    script.extend([
        one(at, flag::ACK, 1),
        data(at + MS, bytes, 1),
        one(at + rtt_ns + 2 * MS, flag::ACK, sent),
        one(at + rtt_ns + 3 * MS, flag::ACK, sent),
        one(at + 2 * rtt_ns + 4 * MS, flag::FIN | flag::ACK, sent),
        one(at + 3 * rtt_ns + 5 * MS, flag::ACK, sent + 1),
    ]);
    script
}

fn keep_alive(rtt_ns: u64, random: &mut Random) -> Vec<Step> {
    let bytes = request(random);
    let times = random.between((10, 120)) as u32;
    let every_ns = random.between((5 * S, 30 * S));
    let after_ns = rtt_ns + MS;
    let sent = 1 + times * u32::from(bytes);
    let end_ns = after_ns + u64::from(times) * every_ns;
    vec![
        one(0, flag::SYN, 0),
        one(rtt_ns, flag::ACK, 1),
        Step { times, every_ns, ..data(after_ns, bytes, 1) },
        Step { times, every_ns, ..one(after_ns + rtt_ns + MS, flag::ACK, 1 + u32::from(bytes)) },
        one(end_ns + rtt_ns, flag::FIN | flag::ACK, sent),
        one(end_ns + 2 * rtt_ns, flag::ACK, sent + 1),
    ]
}

fn bulk(rtt_ns: u64, random: &mut Random) -> Vec<Step> {
    let bytes = request(random);
    let sent = 1 + u32::from(bytes);
    let times = random.between((2_000, 20_000)) as u32;
    let every_ns = random.between((MS, 4 * MS));
    let after_ns = 2 * rtt_ns + 2 * MS;
    let end_ns = after_ns + u64::from(times) * every_ns;
    vec![
        one(0, flag::SYN, 0),
        one(rtt_ns, flag::ACK, 1),
        data(rtt_ns + MS, bytes, 1),
        Step { times, every_ns, ..one(after_ns, flag::ACK, sent) },
        one(end_ns + MS, flag::FIN | flag::ACK, sent),
        one(end_ns + rtt_ns + MS, flag::ACK, sent + 1),
    ]
}

fn lossy(random: &mut Random) -> Vec<Step> {
    let rtt_ns = random.between((200 * MS, 800 * MS));
    let lost = random.between((1, 2));
    let mut script = syns(if lost == 1 { &[0, 1] } else { &[0, 1, 3] });
    let bytes = random.between((400, u64::from(MSS))) as u16;
    let at = (if lost == 1 { 1 } else { 3 }) * S + rtt_ns;
    let sent = 1 + u32::from(bytes);
    script.extend([
        one(at, flag::ACK, 1),
        data(at + MS, bytes, 1),
        // The same bytes again.
        data(at + 2 * rtt_ns, bytes, 1),
        Step { times: 8, every_ns: rtt_ns, ..one(at + 3 * rtt_ns, flag::ACK, sent) },
        one(at + 12 * rtt_ns, flag::FIN | flag::ACK, sent),
        one(at + 13 * rtt_ns, flag::ACK, sent + 1),
    ]);
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Shape; 10] = [
        Shape::Http,
        Shape::HttpRetried,
        Shape::KeepAlive,
        Shape::Bulk,
        Shape::Lossy,
        Shape::Unanswered,
        Shape::SynOnly,
        Shape::HalfOpen,
        Shape::Touch,
        Shape::Rst,
    ];

    fn first_ns(script: &[Step]) -> Vec<u64> {
        script.iter().map(|step| step.after_ns).collect()
    }

    /// The closed forms need it, and a receiver would find anything else odd.
    #[test]
    fn scripts_are_in_order_and_begin_at_zero() {
        for (number, shape) in ALL.into_iter().enumerate() {
            let script = shape.script(&mut Random::new(number as u64));
            assert_eq!(script[0].after_ns, 0, "{shape:?}");
            assert!(first_ns(&script).is_sorted(), "{shape:?}");
            assert!(script.iter().all(|step| step.times > 0), "{shape:?}");
        }
    }

    #[test]
    fn a_lost_syn_is_sent_again_with_the_same_number_and_data_too() {
        let script = Shape::Lossy.script(&mut Random::new(5));
        let syns: Vec<&Step> = script.iter().filter(|step| step.flags == flag::SYN).collect();
        assert!(syns.len() >= 2 && syns.iter().all(|syn| syn.seq == 0));
        let data: Vec<&Step> = script.iter().filter(|step| step.payload > 0).collect();
        assert_eq!((data.len(), data[0].seq), (2, data[1].seq));
    }

    #[test]
    fn retries_wait_twice_as_long_each_time() {
        let waits = first_ns(&Shape::Unanswered.script(&mut Random::new(1)));
        let gaps: Vec<u64> = waits.windows(2).map(|pair| (pair[1] - pair[0]) / S).collect();
        assert_eq!(gaps, [1, 2, 4, 8, 16]);
    }
}
