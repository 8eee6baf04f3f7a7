// SPDX-License-Identifier: MIT OR Apache-2.0
//! Addresses that meet at the doorkeeper.

use ibsr_proto::abi::Table;
use ibsr_proto::ports::PortSet;
use ibsr_tests::frames::{Frame, flag};
use ibsr_tests::prog::{Compiled, Sensor, compilers};
use test_tag::tag;

/// Of 8,000 addresses in 262,144 buckets of two slots, some 130 pairs share a bucket and four
/// times three do.
const ADDRESSES: u32 = 8_000;
/// What four threes can cost, with room for another hash.
const LOST_AT_MOST: u64 = 40;

/// X7: steady sources that wait in one place do not keep each other out: the two slots are
/// what admits both of a pair with their second packets.
#[tag(root)]
#[test]
fn two_addresses_that_share_a_bucket_are_both_admitted() {
    let compiled = Compiled::sensor(&compilers().pop().expect("a compiler"));
    let sensor = Sensor::load_with(&compiled, Table::Lru, &PortSet::all(), 1 << 16, &[]);
    for _round in 0..2 {
        for number in 0..ADDRESSES {
            // Scattered: neighbours differ in few bits, which a product spreads evenly.
            let square = number.wrapping_mul(number).wrapping_mul(0x85eb_ca6b);
            let address = (square ^ square >> 13).wrapping_mul(0xc2b2_ae35) ^ number << 12;
            let source = Frame::v4(address, [10, 77, 0, 1]).flags(flag::ACK);
            sensor.see(&source.build());
        }
    }
    let (totals, sources) = (sensor.totals(), sensor.sources());
    assert!(totals.missed() <= LOST_AT_MOST, "{totals:?}");
    assert_eq!(2 * u64::from(ADDRESSES), totals.tracked);
    let attributed = sources.values().map(|source| source.packets).sum();
    assert_eq!(totals.evicted(attributed), Ok(0));
}
