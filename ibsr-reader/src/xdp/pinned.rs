// SPDX-License-Identifier: MIT OR Apache-2.0
//! The pins of the scope of an interface, opened and checked before anything is decoded.

use std::collections::BTreeMap;
use std::path::Path;

use ibsr_proto::abi::{
    CpuTotals, Losses, Meta, PORT_CELLS, PortLoss, Set, SourceCounts, SourceKey, Table,
};
use ibsr_proto::conservation::Totals;
use ibsr_proto::pins;
use ibsr_proto::snapshot::LossOfPort;
use libbpf_rs::{MapCore as _, MapHandle, MapType};
use zerocopy::FromBytes as _;

use super::sets::Sets;
use crate::pin::{
    FOR_MAPPING, Identity, PinError, Shape, at_rest, check_cpus, open_map, read_cpus, read_meta,
    settled,
};

const SOURCES_SHAPE: Shape = Shape {
    map_type: MapType::LruHash,
    key_bytes: size_of::<SourceKey>(),
    value_bytes: size_of::<SourceCounts>(),
};
const SETS_SHAPE: Shape =
    Shape { map_type: MapType::Array, key_bytes: size_of::<u32>(), value_bytes: size_of::<Set>() };
const TOTALS_SHAPE: Shape = Shape {
    map_type: MapType::PercpuArray,
    key_bytes: size_of::<u32>(),
    value_bytes: size_of::<CpuTotals>(),
};

const LOSSES_SHAPE: Shape = Shape {
    map_type: MapType::PercpuArray,
    key_bytes: size_of::<u32>(),
    value_bytes: size_of::<Losses>(),
};

const IDENTITY: [&str; 7] =
    [pins::META, pins::PROVEN, pins::UNPROVEN, pins::SETS, pins::TOTALS, pins::LOSSES, pins::LINK];

/// Which files the pins under `dir` are.
///
/// # Errors
/// [`PinError::Absent`] with the first one missing, [`PinError::Open`] otherwise.
pub fn identity(dir: &Path) -> Result<Identity, PinError> {
    Identity::of(dir, IDENTITY)
}

/// The open maps of one scope.
#[derive(Debug)]
pub struct Pinned {
    /// What the scope is.
    pub meta: Box<Meta>,
    /// Its sources.
    pub sources: Sources,
    totals: MapHandle,
    losses: MapHandle,
    identity: Identity,
}

/// Where the sources of a scope are.
#[derive(Debug)]
pub enum Sources {
    /// In two LRU hashes.
    Lru {
        /// Those with a proof.
        proven: MapHandle,
        /// Those without one.
        unproven: MapHandle,
    },
    /// In one set-associative table.
    Sets(Sets),
}

impl Sources {
    fn open(dir: &Path, meta: &Meta) -> Result<Self, PinError> {
        let open = |pin| open_map(&dir.join(pin), SOURCES_SHAPE, libbpf_sys::BPF_F_RDONLY);
        if meta.table != Table::Sets as u32 {
            return Ok(Self::Lru { proven: open(pins::PROVEN)?, unproven: open(pins::UNPROVEN)? });
        }
        let path = dir.join(pins::SETS);
        let map = open_map(&path, SETS_SHAPE, FOR_MAPPING)?;
        Sets::map(map).map(Self::Sets).map_err(|source| PinError::Open { path, source })
    }

    /// How many fit.
    #[must_use]
    pub fn max_entries(&self) -> u64 {
        match self {
            Self::Lru { proven, unproven } => {
                u64::from(proven.max_entries()) + u64::from(unproven.max_entries())
            }
            Self::Sets(sets) => sets.ways(),
        }
    }
}

impl Pinned {
    /// Opens and checks the pins under `dir`.
    ///
    /// # Errors
    /// [`PinError`]; nothing was decoded.
    pub fn open(dir: &Path) -> Result<Self, PinError> {
        settled(dir, || identity(dir), |identity| Self::open_once(dir, identity))
    }

    fn open_once(dir: &Path, identity: Identity) -> Result<Self, PinError> {
        let meta = open_meta(&dir.join(pins::META))?;
        let open = |pin, shape| open_map(&dir.join(pin), shape, libbpf_sys::BPF_F_RDONLY);
        Ok(Self {
            sources: Sources::open(dir, &meta)?,
            meta,
            totals: open(pins::TOTALS, TOTALS_SHAPE)?,
            losses: open(pins::LOSSES, LOSSES_SHAPE)?,
            identity,
        })
    }

    /// Which files these maps were opened from.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The sum over CPUs, and how many frames may have been between two of its counters
    /// while it was read: each CPU may be halted in the middle of a frame too (a virtual one
    /// for long enough that two reads are equal).
    ///
    /// # Errors
    /// [`PinError::Read`].
    pub fn totals(&self) -> Result<(Totals, u64), PinError> {
        let (totals, growth) = at_rest(|| self.totals_once(), |totals| totals.received)?;
        Ok((totals, growth.saturating_add(u64::from(self.meta.ncpu))))
    }

    /// What no source is charged with, by port, the nameless rest first.
    ///
    /// # Errors
    /// [`PinError::Read`].
    pub fn losses(&self) -> Result<Vec<LossOfPort>, PinError> {
        let mut sum = BTreeMap::new();
        for cpu in read_cpus(&self.losses, pins::LOSSES)? {
            let cells = <Losses>::ref_from_bytes(&cpu).expect("the size was checked");
            for (at, cell) in cells.iter().enumerate().filter(|(_, cell)| cell.is_used != 0) {
                let port = u16::try_from(cell.port).ok().filter(|_| at < PORT_CELLS);
                add_cell(sum.entry(port).or_default(), port, cell);
            }
        }
        Ok(sum.into_values().collect())
    }

    fn totals_once(&self) -> Result<Totals, PinError> {
        let cpus: Vec<CpuTotals> = read_cpus(&self.totals, pins::TOTALS)?
            .iter()
            .map(|value| CpuTotals::read_from_bytes(value).expect("the size was checked"))
            .collect();
        Ok(Totals::from_cpus(&cpus))
    }
}

fn add_cell(sum: &mut LossOfPort, dst_port: Option<u16>, of: &PortLoss) {
    sum.dst_port = dst_port;
    sum.syn += of.syn;
    sum.ack += of.ack;
    sum.other += of.other;
    sum.bytes += of.bytes;
}

fn open_meta(path: &Path) -> Result<Box<Meta>, PinError> {
    let bytes = read_meta(path, size_of::<Meta>())?;
    let meta = Meta::from_abi(&bytes)
        .map_err(|source| PinError::Meta { path: path.to_owned(), source })?;
    check_cpus(meta.ncpu)?;
    Ok(Box::new(meta))
}
