// SPDX-License-Identifier: MIT OR Apache-2.0
//! The pins of the guard, opened and checked before anything is decoded. All are opened for
//! reading but the ring: who reads a ring says how far, in a page that is mapped for writing.

use std::fs::{self, File};
use std::path::Path;

use ibsr_proto::guard_control::{Control, Counts, GENERATIONS, Generation, Hook};
use ibsr_proto::pins;
use libbpf_rs::{MapCore as _, MapFlags, MapHandle, MapType};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use zerocopy::FromBytes;

use crate::pin::{FOR_MAPPING, Identity, PinError, Shape, open_error, open_map, settled};

const RECORDS_SHAPE: Shape = Shape { map_type: MapType::RingBuf, key_bytes: 0, value_bytes: 0 };
const COUNTS_SHAPE: Shape = Shape {
    map_type: MapType::PercpuArray,
    key_bytes: size_of::<u32>(),
    value_bytes: size_of::<Counts>(),
};
const CONTROL_SHAPE: Shape = Shape {
    map_type: MapType::Array,
    key_bytes: size_of::<u32>(),
    value_bytes: size_of::<Control>(),
};
const GENERATION_SHAPE: Shape = Shape {
    map_type: MapType::Array,
    key_bytes: size_of::<u32>(),
    value_bytes: size_of::<Generation>(),
};

/// Pins that are read, and the directory whose lock is held. Links are none of them: an arming
/// puts other programs behind them, and the maps go on.
const PINS: [&str; 5] = [
    pins::GUARD_RECORDS,
    pins::GUARD_COUNTS,
    pins::GUARD_CONTROL,
    pins::GUARD_GENERATION,
    pins::GUARD_CONSUMER,
];

/// Which files the pins under `dir` are.
///
/// # Errors
/// [`PinError::Absent`] with the first one missing, [`PinError::Open`] otherwise.
pub fn identity(dir: &Path) -> Result<Identity, PinError> {
    Identity::of(dir, PINS)
}

/// Whether a program is attached: the directory has the pin of a link.
#[must_use]
pub fn has_links(dir: &Path) -> bool {
    let is_link = |entry: fs::DirEntry| {
        entry.file_name().as_encoded_bytes().starts_with(pins::LINK_PREFIX.as_bytes())
    };
    fs::read_dir(dir).is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(is_link)))
}

/// The open maps of the guard.
#[derive(Debug)]
pub struct Pinned {
    /// Its records.
    pub records: MapHandle,
    /// The kernel's id of the ring; no two of a boot have the same one for a long time.
    pub id: u32,
    counts: MapHandle,
    control: MapHandle,
    generation: MapHandle,
    identity: Identity,
    /// Its lock is held for as long as it is open.
    _consumer: File,
}

impl Pinned {
    /// Opens and checks the pins under `dir`, as the only consumer.
    ///
    /// # Errors
    /// [`PinError`]; nothing was consumed. [`PinError::Consumed`] while another one reads.
    pub fn open(dir: &Path) -> Result<Self, PinError> {
        settled(dir, || identity(dir), |identity| Self::open_once(dir, identity))
    }

    fn open_once(dir: &Path, identity: Identity) -> Result<Self, PinError> {
        let read_only = libbpf_sys::BPF_F_RDONLY;
        let records = open_map(&dir.join(pins::GUARD_RECORDS), RECORDS_SHAPE, FOR_MAPPING)?;
        let info = records
            .info()
            .map_err(|source| PinError::Read { name: pins::GUARD_RECORDS, source })?;
        Ok(Self {
            id: info.info.id,
            records,
            counts: open_map(&dir.join(pins::GUARD_COUNTS), COUNTS_SHAPE, read_only)?,
            control: open_map(&dir.join(pins::GUARD_CONTROL), CONTROL_SHAPE, read_only)?,
            generation: open_map(&dir.join(pins::GUARD_GENERATION), GENERATION_SHAPE, read_only)?,
            identity,
            _consumer: lock(&dir.join(pins::GUARD_CONSUMER))?,
        })
    }

    /// Which files these maps were opened from.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What the guard is told.
    ///
    /// # Errors
    /// [`PinError::Read`].
    pub fn control(&self) -> Result<Control, PinError> {
        entry(&self.control, 0, pins::GUARD_CONTROL)
    }

    /// What generation `number` judges by; none when nobody said it, or it is not the latest one
    /// or the one before.
    ///
    /// # Errors
    /// [`PinError::Read`].
    pub fn generation(&self, number: u64) -> Result<Option<Generation>, PinError> {
        let slot = u32::try_from(number % u64::from(GENERATIONS)).expect("a small number");
        let found: Generation = entry(&self.generation, slot, pins::GUARD_GENERATION)?;
        Ok((number != 0 && found.number == number).then_some(found))
    }

    /// Counts of a hook over all CPUs.
    ///
    /// # Errors
    /// [`PinError::Read`].
    pub fn counts(&self, hook: Hook) -> Result<Counts, PinError> {
        let read = self.counts.lookup_percpu(&(hook as u32).to_ne_bytes(), MapFlags::ANY);
        let cpus = read.map_err(|source| PinError::Read { name: pins::GUARD_COUNTS, source })?;
        let cpus = cpus.unwrap_or_default();
        let of_cpu = |bytes: &Vec<u8>| {
            Counts::read_from_bytes(&bytes[..size_of::<Counts>()])
                .expect("the value size was checked")
        };
        Ok(Counts::sum(&cpus.iter().map(of_cpu).collect::<Vec<_>>()))
    }
}

/// An entry of an array.
fn entry<T: FromBytes>(map: &MapHandle, key: u32, name: &'static str) -> Result<T, PinError> {
    let read = map.lookup(&key.to_ne_bytes(), MapFlags::ANY);
    let bytes = read.map_err(|source| PinError::Read { name, source })?;
    let bytes = bytes.expect("every entry of an array exists");
    Ok(T::read_from_bytes(&bytes).expect("the value size was checked"))
}

/// The lock is that of a directory of the guard's: it excludes readers with other spools too.
fn lock(path: &Path) -> Result<File, PinError> {
    let dir = File::open(path).map_err(|source| open_error(path, source))?;
    match flock(&dir, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(dir),
        Err(Errno::WOULDBLOCK) => Err(PinError::Consumed { path: path.to_owned() }),
        Err(errno) => Err(PinError::Open { path: path.to_owned(), source: errno.into() }),
    }
}
