// SPDX-License-Identifier: MIT OR Apache-2.0
//! The maps of the sensor by the names of their pins.

use std::os::fd::{AsFd as _, BorrowedFd};

use ibsr_proto::pins::{
    APP_WINDOW, BASELINE, BEHAVIOUR, BEHAVIOUR_TOTALS, DNS_ASKED, DNS_TOTALS, FLOWS, META,
    NAME_TEXTS, NAMES, OWNERS, SCRATCH, SOCKETS, TOTALS, ZONE_TEXTS, ZONES,
};
use libbpf_rs::OpenMapMut;

use super::{Loaded, skel};

/// Maps that a new program of the same layout goes on filling.
const KEPT: [&str; 13] = [
    FLOWS,
    OWNERS,
    TOTALS,
    SOCKETS,
    NAMES,
    NAME_TEXTS,
    DNS_TOTALS,
    DNS_ASKED,
    BEHAVIOUR,
    APP_WINDOW,
    BEHAVIOUR_TOTALS,
    ZONES,
    ZONE_TEXTS,
];

/// Pins of the maps that can be kept.
#[must_use]
pub const fn kept_pins() -> &'static [&'static str] {
    &KEPT
}

/// A map of an object that is not loaded.
pub(super) fn open_map<'a, 'obj>(
    skel: &'a mut skel::OpenObserveCgroupSkel<'obj>,
    pin: &str,
) -> &'a mut OpenMapMut<'obj> {
    let maps = &mut skel.maps;
    match pin {
        META => &mut maps.ibsr_cg_meta,
        FLOWS => &mut maps.ibsr_flows,
        OWNERS => &mut maps.ibsr_owners,
        TOTALS => &mut maps.ibsr_cg_totals,
        SOCKETS => &mut maps.ibsr_sockets,
        NAMES => &mut maps.ibsr_names,
        NAME_TEXTS => &mut maps.ibsr_name_texts,
        DNS_TOTALS => &mut maps.ibsr_dns_totals,
        DNS_ASKED => &mut maps.ibsr_dns_asked,
        SCRATCH => &mut maps.ibsr_scratch,
        BEHAVIOUR => &mut maps.ibsr_behaviour,
        APP_WINDOW => &mut maps.ibsr_app_window,
        BASELINE => &mut maps.ibsr_baseline,
        BEHAVIOUR_TOTALS => &mut maps.ibsr_bh_totals,
        ZONES => &mut maps.ibsr_zones,
        ZONE_TEXTS => &mut maps.ibsr_zone_texts,
        other => panic!("no map is pinned as `{other}`"),
    }
}

impl Loaded<'_> {
    /// The map behind a pin name of [`ibsr_proto::pins::CGROUP_MAPS`].
    ///
    /// # Panics
    /// For any other name.
    #[must_use]
    pub fn map(&self, pin: &str) -> BorrowedFd<'_> {
        let maps = &self.skel.maps;
        match pin {
            META => maps.ibsr_cg_meta.as_fd(),
            FLOWS => maps.ibsr_flows.as_fd(),
            OWNERS => maps.ibsr_owners.as_fd(),
            TOTALS => maps.ibsr_cg_totals.as_fd(),
            SOCKETS => maps.ibsr_sockets.as_fd(),
            NAMES => maps.ibsr_names.as_fd(),
            NAME_TEXTS => maps.ibsr_name_texts.as_fd(),
            DNS_TOTALS => maps.ibsr_dns_totals.as_fd(),
            DNS_ASKED => maps.ibsr_dns_asked.as_fd(),
            SCRATCH => maps.ibsr_scratch.as_fd(),
            BEHAVIOUR => maps.ibsr_behaviour.as_fd(),
            APP_WINDOW => maps.ibsr_app_window.as_fd(),
            BASELINE => maps.ibsr_baseline.as_fd(),
            BEHAVIOUR_TOTALS => maps.ibsr_bh_totals.as_fd(),
            ZONES => maps.ibsr_zones.as_fd(),
            ZONE_TEXTS => maps.ibsr_zone_texts.as_fd(),
            other => panic!("no map is pinned as `{other}`"),
        }
    }
}
