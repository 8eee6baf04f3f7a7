// SPDX-License-Identifier: MIT OR Apache-2.0
//! The pins of the scope of a cgroup, opened and checked before anything is decoded.

use std::fs;
use std::path::Path;

use ibsr_proto::cgroup_abi::{CgroupMeta, CgroupTotals, Flow, FlowKey, Owner};
use ibsr_proto::cgroup_behaviour_abi::{
    AppKey, AppWindow, Behaviour, BehaviourKey, BehaviourTotals,
};
use ibsr_proto::cgroup_dns_abi::{AddressName, DnsTotals, NameText};
use ibsr_proto::cgroup_zone_abi::{Zone, ZoneKey};
use ibsr_proto::pins;
use ibsr_proto::snapshot::cgroup::{self, Totals};
use libbpf_rs::{MapHandle, MapType};
use zerocopy::FromBytes;

use crate::pin::{
    Identity, PinError, Shape, at_rest, check_cpus, open_error, open_map, read_cpus, read_meta,
    settled,
};

const FLOWS_SHAPE: Shape = table::<FlowKey, Flow>();
const OWNERS_SHAPE: Shape = table::<u64, Owner>();
const TOTALS_SHAPE: Shape = counters::<CgroupTotals>();
const NAMES_SHAPE: Shape = table::<[u8; 16], AddressName>();
const NAME_TEXTS_SHAPE: Shape = table::<u64, NameText>();
const DNS_SHAPE: Shape = counters::<DnsTotals>();
const BEHAVIOUR_SHAPE: Shape = table::<BehaviourKey, Behaviour>();
const APPS_SHAPE: Shape = table::<AppKey, AppWindow>();
const ZONES_SHAPE: Shape = table::<ZoneKey, Zone>();
const BEHAVIOUR_TOTALS_SHAPE: Shape = counters::<BehaviourTotals>();

const fn table<K, V>() -> Shape {
    Shape { map_type: MapType::LruHash, key_bytes: size_of::<K>(), value_bytes: size_of::<V>() }
}

const fn counters<T>() -> Shape {
    Shape {
        map_type: MapType::PercpuArray,
        key_bytes: size_of::<u32>(),
        value_bytes: size_of::<T>(),
    }
}

/// Pins that are read.
const MAPS: [&str; 12] = [
    pins::META,
    pins::FLOWS,
    pins::OWNERS,
    pins::TOTALS,
    pins::NAMES,
    pins::NAME_TEXTS,
    pins::DNS_TOTALS,
    pins::BEHAVIOUR,
    pins::APP_WINDOW,
    pins::BEHAVIOUR_TOTALS,
    pins::ZONES,
    pins::ZONE_TEXTS,
];

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
    Identity::of(dir, MAPS.into_iter().chain(links.iter().map(String::as_str)))
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
    /// Names of addresses.
    pub names: MapHandle,
    /// Their texts.
    pub name_texts: MapHandle,
    /// Destinations of applications.
    pub behaviours: MapHandle,
    /// Applications.
    pub apps: MapHandle,
    /// Zones of applications.
    pub zones: MapHandle,
    /// Their texts.
    pub zone_texts: MapHandle,
    totals: MapHandle,
    dns: MapHandle,
    behaviour_totals: MapHandle,
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
            names: open(pins::NAMES, NAMES_SHAPE)?,
            name_texts: open(pins::NAME_TEXTS, NAME_TEXTS_SHAPE)?,
            behaviours: open(pins::BEHAVIOUR, BEHAVIOUR_SHAPE)?,
            apps: open(pins::APP_WINDOW, APPS_SHAPE)?,
            zones: open(pins::ZONES, ZONES_SHAPE)?,
            zone_texts: open(pins::ZONE_TEXTS, NAME_TEXTS_SHAPE)?,
            totals: open(pins::TOTALS, TOTALS_SHAPE)?,
            dns: open(pins::DNS_TOTALS, DNS_SHAPE)?,
            behaviour_totals: open(pins::BEHAVIOUR_TOTALS, BEHAVIOUR_TOTALS_SHAPE)?,
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
        let cpus = counted::<CgroupTotals>(&self.totals, pins::TOTALS)?;
        Ok(Totals::from(&CgroupTotals::sum(&cpus)))
    }

    /// Totals of DNS.
    ///
    /// # Errors
    /// [`PinError::Read`].
    pub fn dns(&self) -> Result<cgroup::DnsTotals, PinError> {
        let cpus = counted::<DnsTotals>(&self.dns, pins::DNS_TOTALS)?;
        Ok(cgroup::DnsTotals::from(&DnsTotals::sum(&cpus)))
    }

    /// Totals of behaviour.
    ///
    /// # Errors
    /// [`PinError::Read`].
    pub fn behaviour(&self) -> Result<cgroup::BehaviourTotals, PinError> {
        let cpus = counted::<BehaviourTotals>(&self.behaviour_totals, pins::BEHAVIOUR_TOTALS)?;
        Ok(cgroup::BehaviourTotals::from(&BehaviourTotals::sum(&cpus)))
    }
}

/// The counters of each CPU.
fn counted<T: FromBytes>(map: &MapHandle, name: &'static str) -> Result<Vec<T>, PinError> {
    let read = |value: &Vec<u8>| T::read_from_bytes(value).expect("the size was checked");
    Ok(read_cpus(map, name)?.iter().map(read).collect())
}

fn open_meta(path: &Path) -> Result<Box<CgroupMeta>, PinError> {
    let bytes = read_meta(path, size_of::<CgroupMeta>())?;
    let meta = CgroupMeta::from_abi(&bytes)
        .map_err(|source| PinError::Meta { path: path.to_owned(), source })?;
    check_cpus(meta.ncpu)?;
    Ok(Box::new(meta))
}
