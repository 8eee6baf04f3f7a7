// SPDX-License-Identifier: MIT OR Apache-2.0
//! The set-associative table, read by mapping it: no system call, no copy of what is empty.
//!
//! The program writes while this reads. Each number is read at once, so it is never torn, and
//! counters only grow. A way that is given to another source meanwhile is noticed by its
//! generation and read again.

use std::hint;
use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering, fence};

use ibsr_proto::abi::{SET_WAYS, Set, SourceCounts, SourceKey, Way, WayRare};
use libbpf_rs::{MapCore as _, MapHandle};
use zerocopy::{FromBytes, IntoBytes as _};

/// How often a way is read again. The program needs about 100 ns to give one away, and only a
/// CPU that is halted in the midst of it needs more.
const TRIES: u32 = 10_000;
const WORD_BYTES: usize = size_of::<u64>();
const SET_WORDS: usize = size_of::<Set>() / WORD_BYTES;
const WAY_WORDS: usize = size_of::<Way>() / WORD_BYTES;
const RARE_WORDS: usize = size_of::<WayRare>() / WORD_BYTES;

/// What a walk found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Walked {
    /// Sources.
    pub entries: u64,
    /// Ways that were being given away all the time. Who gets one sent something after the walk
    /// began, so the next one lists it.
    pub unsettled: u64,
}

/// The mapped table; unmapped on drop.
#[derive(Debug)]
pub struct Sets {
    at: NonNull<AtomicU64>,
    bytes: usize,
    count: usize,
    /// The descriptor stays open: the mapping must not outlive what it is checked against.
    _map: MapHandle,
}

impl Sets {
    /// Maps `map`, an array of [`Set`] for mapping, of which the shape was checked.
    ///
    /// # Errors
    /// What the kernel says: EPERM for a descriptor that may not write, which the kernel asks
    /// for although nothing is written.
    pub fn map(map: MapHandle) -> io::Result<Self> {
        let count = map.max_entries() as usize;
        let bytes = count * size_of::<Set>();
        // SAFETY: a new mapping at an address of the kernel's choice; `map` is open.
        let at = unsafe {
            libc::mmap(
                ptr::null_mut(),
                bytes,
                libc::PROT_READ,
                libc::MAP_SHARED,
                map.as_fd().as_raw_fd(),
                0,
            )
        };
        match NonNull::new(at) {
            Some(at) if at.as_ptr() != libc::MAP_FAILED => {
                Ok(Self { at: at.cast(), bytes, count, _map: map })
            }
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Ways: how many sources fit.
    #[must_use]
    pub const fn ways(&self) -> u64 {
        (self.count * SET_WAYS) as u64
    }

    fn words(&self) -> &[AtomicU64] {
        // SAFETY: `at` is page-aligned and mapped for `bytes`, whole words, until the drop. The
        // program changes them, which atomic loads allow.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.bytes / WORD_BYTES) }
    }

    /// Calls `each` with every source, and whether it is proven.
    pub fn walk(&self, mut each: impl FnMut(SourceKey, &SourceCounts, bool)) -> Walked {
        let mut walked = Walked::default();
        for set in self.words().chunks_exact(SET_WORDS) {
            let (ways, rares) = set.split_at(SET_WAYS * WAY_WORDS);
            for (way, rare) in ways.chunks_exact(WAY_WORDS).zip(rares.chunks_exact(RARE_WORDS)) {
                if generation(way) == 0 {
                    continue;
                }
                let Some((way, rare)) = read_way(way, rare) else {
                    walked.unsettled += 1;
                    continue;
                };
                walked.entries += 1;
                each(way.key(), &way.counts(&rare), way.is_proven != 0);
            }
        }
        walked
    }
}

impl Drop for Sets {
    fn drop(&mut self) {
        // SAFETY: mapped in `map` with these bounds, and nothing borrows it any more.
        unsafe { libc::munmap(self.at.as_ptr().cast(), self.bytes) };
    }
}

/// Word of a way that holds its generation.
const GENERATION_WORD: usize = offset_of!(Way, generation) / WORD_BYTES;
const _: () = assert!(offset_of!(Way, generation).is_multiple_of(WORD_BYTES));

/// `None` when it changed hands all the time.
fn read_way(way: &[AtomicU64], rare: &[AtomicU64]) -> Option<(Way, WayRare)> {
    for _ in 0..TRIES {
        let before = generation(way);
        fence(Ordering::Acquire);
        let copies = (load::<Way, WAY_WORDS>(way), load::<WayRare, RARE_WORDS>(rare));
        fence(Ordering::Acquire);
        if generation(way) == before && before.is_multiple_of(2) {
            return Some(copies);
        }
        hint::spin_loop();
    }
    None
}

fn generation(way: &[AtomicU64]) -> u32 {
    let word = way[GENERATION_WORD].load(Ordering::Relaxed).to_ne_bytes();
    u32::from_ne_bytes([word[0], word[1], word[2], word[3]])
}

fn load<T: FromBytes, const WORDS: usize>(words: &[AtomicU64]) -> T {
    let mut copy = [0_u64; WORDS];
    for (copy, word) in copy.iter_mut().zip(words) {
        *copy = word.load(Ordering::Relaxed);
    }
    T::read_from_bytes(copy.as_bytes()).expect("as many words as it has")
}
