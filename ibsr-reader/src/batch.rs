// SPDX-License-Identifier: MIT OR Apache-2.0
//! One walk over a hash map, in batches. Unsafe, for libbpf-rs
//! takes a short batch for the last one and loses the rest, and treats most errors as the
//! end.
//!
//! A batch call copies whole buckets under their lock and no bucket twice, so a walk returns
//! no key twice, ends in bounded time however fast entries come and go, and returns every
//! entry that is there from its start to its end. Nothing here knows what an entry means.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::ptr;

use libbpf_rs::{MapCore as _, MapHandle};

/// Entries a call asks for at first. From 16 on the time per entry is flat; this many keep
/// the buffers of the source table below 400 KiB and the bucket locks short.
const FIRST_BATCH: usize = 4096;
/// The kernel's own "not supported", which it hands to user space as it is.
const ENOTSUPP: i32 = 524;

/// Why a walk ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WalkError {
    /// The map is not one that this walk knows.
    #[error("only hash maps can be walked in batches, not `{0}`")]
    NotAHash(String),
    /// The kernel refused.
    #[error("failed to read the map after {entries} entries: {source}")]
    Kernel {
        /// Entries returned until then.
        entries: u64,
        /// What the kernel said.
        source: io::Error,
    },
    /// Keys went so fast that the walk by key started over again and again.
    #[error("gave up after {steps} steps: entries are replaced faster than they can be read")]
    Unbounded {
        /// Steps done.
        steps: u64,
    },
}

/// Buffers for walks, kept between them.
#[derive(Debug)]
pub struct Walker {
    keys: Vec<u8>,
    values: Vec<u8>,
    first_batch: usize,
    /// The kernel has no batches for this map: every walk goes by key.
    by_key: bool,
}

impl Default for Walker {
    fn default() -> Self {
        Self { keys: Vec::new(), values: Vec::new(), first_batch: FIRST_BATCH, by_key: false }
    }
}

impl Walker {
    /// Calls `each` with the key and the value of every entry and returns how many there
    /// were.
    ///
    /// # Errors
    /// [`WalkError`]; what `each` saw until then stays valid.
    ///
    /// # Cost
    /// One system call for some 4,096 entries; the buffers grow only when a single bucket
    /// holds more than fit.
    pub fn walk(
        &mut self,
        map: &MapHandle,
        mut each: impl FnMut(&[u8], &[u8]),
    ) -> Result<u64, WalkError> {
        if self.by_key {
            return self.walk_by_key(map, each);
        }
        match self.walk_batches(map, &mut each) {
            Err(WalkError::Kernel { entries: 0, source }) if is_unsupported(&source) => {
                self.by_key = true;
                self.walk_by_key(map, each)
            }
            result => result,
        }
    }

    fn walk_batches(
        &mut self,
        map: &MapHandle,
        each: &mut impl FnMut(&[u8], &[u8]),
    ) -> Result<u64, WalkError> {
        if !map.map_type().is_hash_map() {
            return Err(WalkError::NotAHash(format!("{:?}", map.map_type())));
        }
        let (key_size, value_size) = (map.key_size() as usize, map.value_size() as usize);
        self.reserve(map, self.first_batch);
        let mut position = None;
        let mut entries = 0;
        loop {
            let batch = self.next_batch(map, position);
            for (key, value) in self
                .keys
                .chunks_exact(key_size)
                .zip(self.values.chunks_exact(value_size))
                .take(batch.count)
            {
                each(key, value);
            }
            entries += batch.count as u64;
            match batch.end {
                End::More => position = Some(batch.next),
                End::Last => return Ok(entries),
                End::TooSmall if self.can_grow(map) => {
                    let capacity = self.keys.len() / key_size;
                    self.reserve(map, capacity * 2);
                }
                End::TooSmall => {
                    let source = io::Error::from_raw_os_error(libc::ENOSPC);
                    return Err(WalkError::Kernel { entries, source });
                }
                End::Failed(source) => return Err(WalkError::Kernel { entries, source }),
            }
        }
    }

    fn can_grow(&self, map: &MapHandle) -> bool {
        self.keys.len() / (map.key_size() as usize) < map.max_entries() as usize
    }

    fn reserve(&mut self, map: &MapHandle, entries: usize) {
        let grow = |buffer: &mut Vec<u8>, size: u32| {
            let bytes = entries * size as usize;
            buffer.resize(buffer.len().max(bytes), 0);
        };
        grow(&mut self.keys, map.key_size());
        grow(&mut self.values, map.value_size());
    }

    /// One call. `position` is what the call before returned as `next`.
    fn next_batch(&mut self, map: &MapHandle, position: Option<u32>) -> Batch {
        let (key_size, value_size) = (map.key_size() as usize, map.value_size() as usize);
        let capacity = (self.keys.len() / key_size).min(self.values.len() / value_size);
        let mut count = u32::try_from(capacity).unwrap_or(u32::MAX);
        let mut position_in = position.unwrap_or_default();
        let in_batch = match position {
            Some(_) => ptr::from_mut(&mut position_in).cast(),
            None => ptr::null_mut(),
        };
        let mut next = 0_u32;
        // SAFETY: the descriptor is open for as long as `map` is borrowed. The kernel writes
        // at most `count` keys and values, for which the buffers have room by the division
        // above. For the hash maps that the caller let through, a position is a bucket
        // number of four bytes (`__htab_map_lookup_and_delete_batch`), and both pointers
        // lead to a `u32` of this frame. A null `opts` stands for the defaults.
        let result = unsafe {
            libbpf_sys::bpf_map_lookup_batch(
                map.as_fd().as_raw_fd(),
                in_batch,
                ptr::from_mut(&mut next).cast(),
                self.keys.as_mut_ptr().cast(),
                self.values.as_mut_ptr().cast(),
                &raw mut count,
                ptr::null(),
            )
        };
        let end = match -result {
            0 => End::More,
            libc::ENOENT => End::Last,
            libc::ENOSPC => End::TooSmall,
            errno => End::Failed(io::Error::from_raw_os_error(errno)),
        };
        // On the other two the kernel may leave `count` as it came in.
        let is_filled = matches!(end, End::More | End::Last);
        Batch { count: if is_filled { count as usize } else { 0 }, next, end }
    }

    /// The same by get-next-key and lookup: two system calls an entry, for kernels without
    /// batches and for comparison. The kernel starts over when the key it is given is gone,
    /// so seen keys are remembered (about 40 bytes each) and the steps are bounded.
    ///
    /// # Errors
    /// [`WalkError::Unbounded`] after twice as many steps as the map can have entries.
    pub fn walk_by_key(
        &mut self,
        map: &MapHandle,
        mut each: impl FnMut(&[u8], &[u8]),
    ) -> Result<u64, WalkError> {
        let limit = 2 * u64::from(map.max_entries()) + 1;
        let mut seen: HashSet<Box<[u8]>> = HashSet::new();
        let mut key = vec![0; map.key_size() as usize];
        let mut next = key.clone();
        let mut value = vec![0; map.value_size() as usize];
        let kernel = |entries: usize, source| WalkError::Kernel { entries: entries as u64, source };
        for step in 0..limit {
            let has_next = next_key(map, (step > 0).then_some(&*key), &mut next)
                .map_err(|source| kernel(seen.len(), source))?;
            if !has_next {
                return Ok(seen.len() as u64);
            }
            std::mem::swap(&mut key, &mut next);
            // An entry that was evicted between the two calls is not there any more.
            let is_there = map
                .lookup_into(&key, &mut value, libbpf_rs::MapFlags::ANY)
                .map_err(|error| kernel(seen.len(), io::Error::other(error)))?;
            if is_there && seen.insert(key.clone().into_boxed_slice()) {
                each(&key, &value);
            }
        }
        Err(WalkError::Unbounded { steps: limit })
    }
}

/// What one batch call returned.
struct Batch {
    count: usize,
    next: u32,
    end: End,
}

enum End {
    /// Go on at `next`, however short this batch was.
    More,
    /// That was the last bucket.
    Last,
    /// The next bucket alone is larger than the buffers; nothing was returned.
    TooSmall,
    Failed(io::Error),
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | ENOTSUPP))
}

/// Writes the key after `key` to `next`, the first one after `None`; false at the end.
fn next_key(map: &MapHandle, key: Option<&[u8]>, next: &mut [u8]) -> io::Result<bool> {
    let size = map.key_size() as usize;
    assert!(next.len() == size && key.is_none_or(|key| key.len() == size), "keys of this map");
    // SAFETY: the descriptor is open for as long as `map` is borrowed; both buffers hold a
    // key of this map, and a null key asks for the first one.
    let result = unsafe {
        libbpf_sys::bpf_map_get_next_key(
            map.as_fd().as_raw_fd(),
            key.map_or(ptr::null(), <[u8]>::as_ptr).cast(),
            next.as_mut_ptr().cast(),
        )
    };
    match result {
        0 => Ok(true),
        error if error == -libc::ENOENT => Ok(false),
        error => Err(io::Error::from_raw_os_error(-error)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use libbpf_rs::{MapFlags, MapType};
    use test_tag::tag;

    use super::*;

    const ENTRIES: u32 = 2_000;

    /// A hash map that holds every number below [`ENTRIES`] with its square.
    fn squares() -> MapHandle {
        let options = libbpf_sys::bpf_map_create_opts {
            sz: size_of::<libbpf_sys::bpf_map_create_opts>() as libbpf_sys::size_t,
            ..Default::default()
        };
        let map = MapHandle::create(MapType::Hash, Some("ibsr_test"), 4, 8, ENTRIES, &options)
            .expect("root may make maps");
        for number in 0..ENTRIES {
            let square = u64::from(number) * u64::from(number);
            map.update(&number.to_ne_bytes(), &square.to_ne_bytes(), MapFlags::ANY).expect("room");
        }
        map
    }

    type Walk = fn(&mut Walker, &MapHandle, &mut dyn FnMut(&[u8], &[u8])) -> Result<u64, WalkError>;

    #[track_caller]
    fn assert_walks(walker: &mut Walker, map: &MapHandle, walk: Walk) {
        let mut found = BTreeMap::new();
        let count = walk(walker, map, &mut |key, value| {
            let number = u32::from_ne_bytes(key.try_into().expect("four bytes"));
            let square = u64::from_ne_bytes(value.try_into().expect("eight bytes"));
            assert_eq!(found.insert(number, square), None, "{number} twice");
        });
        assert_eq!(count.expect("walked"), u64::from(ENTRIES));
        assert_eq!(found.len(), ENTRIES as usize);
        assert!(found.iter().all(|(&number, &square)| u64::from(number).pow(2) == square));
    }

    /// A bucket that does not fit is asked for again in larger buffers, and none is lost or
    /// returned twice meanwhile.
    #[tag(root)]
    #[test]
    fn a_bucket_larger_than_the_buffers_makes_them_grow() {
        let map = squares();
        let mut walker = Walker { first_batch: 1, ..Walker::default() };
        assert_walks(&mut walker, &map, |walker, map, each| walker.walk(map, each));
        assert!(walker.keys.len() > 4, "some bucket held two");
        assert!(walker.keys.len() < 4 * ENTRIES as usize, "grown by need only");
        assert_walks(&mut walker, &map, |walker, map, each| walker.walk(map, each));
    }

    #[tag(root)]
    #[test]
    fn a_walk_by_key_finds_the_same_entries() {
        let map = squares();
        let mut walker = Walker::default();
        assert_walks(&mut walker, &map, |walker, map, each| walker.walk_by_key(map, each));
        walker.by_key = true;
        assert_walks(&mut walker, &map, |walker, map, each| walker.walk(map, each));
    }

    #[tag(root)]
    #[test]
    fn a_map_whose_positions_are_not_bucket_numbers_is_refused() {
        let options = libbpf_sys::bpf_map_create_opts {
            sz: size_of::<libbpf_sys::bpf_map_create_opts>() as libbpf_sys::size_t,
            ..Default::default()
        };
        let array = MapHandle::create(MapType::Array, Some("ibsr_test"), 4, 8, 1, &options)
            .expect("root may make maps");
        let result = Walker::default().walk(&array, |_key, _value| ());
        assert!(matches!(result, Err(WalkError::NotAHash(_))), "{result:?}");
    }
}
