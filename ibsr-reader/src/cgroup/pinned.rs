// SPDX-License-Identifier: MIT OR Apache-2.0
//! The pins of the scope of a cgroup, opened and checked before anything is decoded.

use std::fs;
use std::path::Path;

use ibsr_proto::cgroup_abi::{CgroupMeta, CgroupTotals, Flow, FlowKey, Owner};
use ibsr_proto::pins;
use ibsr_proto::snapshot::cgroup::Totals;
use libbpf_rs::{MapHandle, MapType};
use zerocopy::FromBytes as _;

use crate::pin::{
    Identity, PinError, Shape, at_rest, check_cpus, open_error, open_map, read_cpus, read_meta,
    settled,
};

const FLOWS_SHAPE: Shape = Shape {
    map_type: MapType::LruHash,
    key_bytes: size_of::<FlowKey>(),
    value_bytes: size_of::<Flow>(),
};
const OWNERS_SHAPE: Shape = Shape {
    map_type: MapType::LruHash,
    key_bytes: size_of::<u64>(),
    value_bytes: size_of::<Owner>(),
};
const TOTALS_SHAPE: Shape = Shape {
    map_type: MapType::PercpuArray,
    key_bytes: size_of::<u32>(),
    value_bytes: size_of::<CgroupTotals>(),
};

/// Names of the pins of links, sorted. Empty when nothing is attached.
///
/// # Errors
/// When the directory is missing or cannot be listed.
pub fn links(dir: &Path) -> Result<Vec<String>, PinError> {
    let entries = fs::read_dir(dir).map_err(|source| open_error(dir, source))?;
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut links: Vec<String> = names.filter(|name| name.starts_with(pins::LINK_PREFIX)).collect();
    links.sort();
    Ok(links)
}

/// Which files the pins under `dir` are. Every link counts: each hook that goes changes what
/// is seen.
///
/// # Errors
/// [`PinError::Absent`] with the first one missing, [`PinError::Open`] otherwise.
pub fn identity(dir: &Path) -> Result<Identity, PinError> {
    let links = links(dir)?;
    if links.is_empty() {
        return Err(PinError::Absent { path: dir.join(format!("{}*", pins::LINK_PREFIX)) });
    }
    let maps = [pins::META, pins::FLOWS, pins::OWNERS, pins::TOTALS];
    Identity::of(dir, maps.into_iter().chain(links.iter().map(String::as_str)))
}

/// The open maps of one scope.
#[derive(Debug)]
pub struct Pinned {
    /// What the scope is.
    pub meta: Box<CgroupMeta>,
    /// Its flows.
    pub flows: MapHandle,
    /// Their owners.
    pub owners: MapHandle,
    totals: MapHandle,
    identity: Identity,
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
            meta,
            flows: open(pins::FLOWS, FLOWS_SHAPE)?,
            owners: open(pins::OWNERS, OWNERS_SHAPE)?,
            totals: open(pins::TOTALS, TOTALS_SHAPE)?,
            identity,
        })
    }

    /// Which files these maps were opened from.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The sum over CPUs, and how many packets may have been between two of its counters while
    /// it was read.
    ///
    /// # Errors
    /// [`PinError::Read`].
    pub fn totals(&self) -> Result<(Totals, u64), PinError> {
        at_rest(|| self.totals_once(), Totals::tracked)
    }

    fn totals_once(&self) -> Result<Totals, PinError> {
        let cpus: Vec<CgroupTotals> = read_cpus(&self.totals, pins::TOTALS)?
            .iter()
            .map(|value| CgroupTotals::read_from_bytes(value).expect("the size was checked"))
            .collect();
        Ok(Totals::from(&CgroupTotals::sum(&cpus)))
    }
}

fn open_meta(path: &Path) -> Result<Box<CgroupMeta>, PinError> {
    let bytes = read_meta(path, size_of::<CgroupMeta>())?;
    let meta = CgroupMeta::from_abi(&bytes)
        .map_err(|source| PinError::Meta { path: path.to_owned(), source })?;
    check_cpus(meta.ncpu)?;
    Ok(Box::new(meta))
}
