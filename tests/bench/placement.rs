// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the set-associative table keeps a source: twin of `place_of` and `source_hash` in the
//! sensor, for a seed of 0, which is what the benches load it with. A source in another place is
//! not found, and then the rows of known sources cost what new ones do.

use anyhow::{Result, ensure};
use ibsr_proto::abi::{SET_WAYS, Set, SourceKey, Way, WayRare};

/// `MIX_MULTIPLIER`.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
/// `TAG_TAKEN`.
const TAKEN: u8 = 0x80;

fn mix(hash: u64, word: u64) -> u64 {
    let hash = (hash ^ word).wrapping_mul(MULTIPLIER);
    hash ^ hash >> 32
}

fn hash(key: &SourceKey) -> u64 {
    let word = |at: usize| u64::from_ne_bytes(key.addr[at..at + 8].try_into().expect("8 bytes"));
    mix(mix(mix(0, word(0)), word(8)), 1 + u64::from(key.dst_port))
}

/// Sources that may find both their sets full, of a million.
const HOMELESS_PPM: usize = 100;

/// Twin of `struct set_tags`: tags, and a lock that nobody holds.
type Tags = [u64; 2];

/// A table of `count` sets, tags apart, that holds `sources` as proven ones that await nothing, but for the
/// few that find no room.
///
/// # Errors
/// When those are more than a few.
pub fn filled(sources: &[SourceKey], count: u32) -> Result<(Vec<Tags>, Vec<Set>)> {
    let empty = Set { way: [Way::default(); SET_WAYS], rare: [WayRare::default(); SET_WAYS] };
    let mut sets = vec![empty; count as usize];
    let mut tags = vec![Tags::default(); count as usize];
    let mut homeless = 0;
    for key in sources {
        let hash = hash(key);
        let scaled = |part: u64| ((part * u64::from(count)) >> 32) as usize;
        let (home, mut other) = (scaled(hash >> 32), scaled(hash & 0xffff_ffff));
        if other == home {
            other = if home > 0 { home - 1 } else { count as usize - 1 };
        }
        let free = |set: &Set| (0..SET_WAYS).find(|way| !set.way[*way].is_taken());
        let place = [home, other].into_iter().find_map(|at| Some((at, free(&sets[at])?)));
        let Some((at, way)) = place else {
            homeless += 1;
            continue;
        };
        tags[at][0] |= u64::from(hash as u8 | TAKEN) << (way * 8);
        sets[at].way[way] = Way {
            addr: key.addr,
            dst_port: key.dst_port,
            is_proven: 1,
            generation: 2,
            ..Way::default()
        };
    }
    let most = sources.len() * HOMELESS_PPM / 1_000_000;
    ensure!(homeless <= most, "{homeless} sources found both their sets full");
    Ok((tags, sets))
}
