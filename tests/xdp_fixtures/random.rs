// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames that nobody wrote down: good ones damaged at random, and ones that are put together
//! at random, header by header. The same at each run.

use ibsr_tests::frames::{Ext, Frame, ethertype, flag, protocol};
use test_tag::tag;

use super::{Is, new_bench, v4, v6};

/// Knuth's 64-bit linear congruence (TAOCP 2, 3.3.4), of which the upper half is used.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
        (self.0 >> 33) as usize % limit
    }

    fn one_in(&mut self, rate: usize) -> bool {
        self.below(rate) == 0
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    fn byte(&mut self) -> u8 {
        self.below(256) as u8
    }
}

fn whole_frames() -> [Vec<u8>; 8] {
    let inner = v4().build().split_off(14);
    [
        v4().payload(&[7; 30]),
        v4().ip_options(&[1; 8]).tcp_options(&[1; 4]).vlan(ethertype::VLAN, 1),
        v4().ports(1, 8_080).flags(flag::SYN).pad_to(60),
        v4().vlan(ethertype::VLAN, 1).vlan(ethertype::VLAN, 2).vlan(ethertype::VLAN, 3),
        v4().protocol(protocol::IPIP).raw(&inner),
        v6().payload(&[7; 30]).vlan(ethertype::QINQ, 1).vlan(ethertype::VLAN, 2),
        v6().ext(Ext::HopByHop(0)).ext(Ext::Fragment(0, false)).ext(Ext::Auth(4)),
        v6().ext(Ext::Destination(1)).ext(Ext::Mobility(0)).ext(Ext::Routing(2)).payload(&[1; 9]),
    ]
    .map(|frame| frame.build())
}

/// One to four bytes of the headers change; some frames lose or gain bytes.
fn damage(frame: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = 12 + random.below(frame.len().min(110) - 12);
        match random.below(8) {
            0 => _ = frame.remove(at),
            1 => frame.insert(at, random.byte()),
            2 | 3 => frame[at] = random.byte(),
            4 => frame[at] ^= 1 << random.below(8),
            // A length or a count is off by one.
            5 => frame[at] = frame[at].wrapping_add(random.of(&[1, 255])),
            _ => frame[at] = random.of(&[0, 4, 6, 17, 43, 44, 50, 51, 59, 60, 135, 139, 255]),
        }
    }
    if random.one_in(8) {
        frame.truncate(14 + random.below(frame.len() - 13));
    }
}

/// X1, X2, X3, X4, X5: 120,000 frames damaged at random: in the headers, by cutting, by
/// shifting what follows.
#[tag(root)]
#[test]
fn damaged_frames_are_judged_as_the_reference_judges_them() {
    let whole = whole_frames();
    let mut random = Random(0x1b5);
    let mut bench = new_bench();
    let mut seen = [0_u32; 5];
    for number in 0..120_000 {
        let mut frame = whole[number % whole.len()].clone();
        damage(&mut frame, &mut random);
        seen[Is::from(bench.see("damaged", &frame)) as usize] += 1;
    }
    bench.finish();
    assert!(seen.iter().all(|&count| count > 1_000), "every class must be tried: {seen:?}");
}

/// A header length of an extension that is as long as it says.
fn ext(random: &mut Random) -> Ext {
    let length = if random.one_in(20) { random.byte() / 8 } else { random.below(3) as u8 };
    match random.below(6) {
        0 => Ext::HopByHop(length),
        1 => Ext::Destination(length),
        2 => Ext::Routing(length),
        3 => Ext::Mobility(length),
        4 => Ext::Auth(length),
        _ if random.one_in(4) => Ext::Fragment(random.below(4) as u16, random.one_in(2)),
        _ => Ext::Fragment(0, false),
    }
}

/// Headers in any order and number, most of them true. Few sources, ports and sequence
/// numbers, so that entries are met again and handshakes complete.
fn assemble(random: &mut Random) -> Vec<u8> {
    let is_v4 = random.one_in(2);
    let last = random.below(40) as u8;
    let mut frame = if is_v4 {
        Frame::v4([203, 0, 113, last], [10, 77, 0, 1]).ip_options(&vec![1; random.below(11) * 4])
    } else {
        let host = |last| [0xfd77, 0, 0, 0, 0, 0, 0, last];
        let start = Frame::v6(host(u16::from(last)), host(1));
        (0..random.of(&[0, 0, 1, 2, 3, 7, 8, 9, 20])).fold(start, |frame, _| frame.ext(ext(random)))
    };
    frame = frame.ports(40_000 + random.below(3) as u16, random.of(&[442, 443, 8_000, 8_101]));
    frame = frame.flags(random.byte()).seq(random.below(3) as u32);
    frame = frame.tcp_options(&vec![1; random.below(11) * 4]).payload(&vec![7; random.below(60)]);
    for _ in 0..random.of(&[0, 0, 0, 1, 1, 2, 3]) {
        frame = frame.vlan(random.of(&[ethertype::VLAN, ethertype::QINQ, 0x9100]), 7);
    }
    frame = lie(frame, random);
    if random.one_in(3) { frame.pad_to(random.below(200)).build() } else { frame.build() }
}

/// One frame in four says something that is not so, or carries something else.
fn lie(frame: Frame, random: &mut Random) -> Frame {
    match random.below(40) {
        0 => frame.ihl(random.below(16) as u8),
        1 => frame.doff(random.below(16) as u8),
        2 | 3 => frame.ip_length(random.below(200) as u16),
        4 => frame.ip_version(random.below(16) as u8),
        5 => frame.fragment(random.of(&[0, 1, 0x1fff]), random.one_in(2)),
        6 => frame.protocol(random.byte()),
        7 => frame.ethertype(random.of(&[0, ethertype::IPV4, ethertype::IPV6, ethertype::PPPOE])),
        8 => frame.cut_to(14 + random.below(200)),
        9 => frame.raw(&vec![random.byte(); random.below(40)]),
        _ => frame,
    }
}

/// X1, X2, X3, X4, X5: 100,000 frames put together at random, from 40 sources of each
/// version, so that counts of several frames and handshakes are compared too.
#[tag(root)]
#[test]
fn assembled_frames_are_judged_as_the_reference_judges_them() {
    let mut random = Random(0x5eed);
    let mut bench = new_bench();
    let mut seen = [0_u32; 5];
    for _ in 0..100_000 {
        seen[Is::from(bench.see("assembled", &assemble(&mut random))) as usize] += 1;
    }
    let (_, sources) = bench.finish();
    assert!(seen.iter().all(|&count| count > 1_000), "every class must be tried: {seen:?}");
    let handshakes: u64 = sources.values().map(|source| source.handshakes).sum();
    assert!(handshakes > 100, "{handshakes} handshakes");
}
