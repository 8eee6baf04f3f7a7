// SPDX-License-Identifier: MIT OR Apache-2.0
//! The scope of an interface: sources.

mod header;
mod interface;
mod pinned;
mod sets;
mod sweep;
pub mod walk;
mod wire;

use std::path::Path;

use ibsr_proto::snapshot::Sweep;
use tracing::info;

use self::interface::{Place, is_attached, is_link_pinned};
use self::pinned::Pinned;
use self::sweep::{Reading, Surroundings};
use self::wire::Wire;
use crate::batch::Walker;
use crate::pin::{Identity, PinError};
use crate::sensor::{Sensor, Swept};
use crate::settings::Settings;
use crate::spool::{Head, Spool};
use crate::sweep::{Plan, SweepError};

/// Open maps of an interface, and what was seen of it.
#[derive(Debug)]
pub struct Xdp {
    pinned: Pinned,
    place: Place,
    /// `received` of the last sweep; `None` before the first.
    received: Option<u64>,
    /// The last pair of the interface's own counter and `received`.
    wire: Option<Wire>,
    /// Name of the interface when it was last in sight.
    ifname: String,
    was_seen: bool,
}

impl Xdp {
    /// What there is to see beside the maps. When its pins are gone the interface belongs to
    /// others, and its counter says nothing about this program.
    fn look_around(&mut self, dir: &Path, reading: &Reading, is_over: bool) -> Surroundings {
        if is_over {
            return Surroundings { attached: false, rx_packets: None };
        }
        let seen = self.place.look();
        if let Some(seen) = &seen
            && seen.name != self.ifname
        {
            info!(from = self.ifname, to = seen.name, "interface renamed: still counting");
            self.ifname.clone_from(&seen.name);
        }
        // The first sweep has nothing to compare with.
        let has_advanced = self.received.is_some_and(|before| reading.after.received > before);
        self.was_seen |= seen.is_some();
        let is_missing = seen.is_none() && self.place.is_telling(self.was_seen);
        let attached = is_attached(is_link_pinned(dir), is_missing, has_advanced);
        Surroundings { attached, rx_packets: seen.and_then(|seen| seen.rx_packets) }
    }
}

impl Sensor for Xdp {
    type Close = Sweep;
    type Left = Option<Wire>;

    fn open(dir: &Path, settings: &Settings) -> Result<Self, PinError> {
        let pinned = Pinned::open(dir)?;
        let place = Place::new(&pinned.meta, settings.net_dir.as_deref());
        let ifname = pinned.meta.ifname();
        Ok(Self { pinned, place, received: None, wire: None, ifname, was_seen: false })
    }

    fn identity_of(dir: &Path) -> Result<Identity, PinError> {
        pinned::identity(dir)
    }

    fn identity(&self) -> &Identity {
        self.pinned.identity()
    }

    fn epoch(&self) -> u64 {
        self.pinned.meta.epoch
    }

    fn boot_id(&self) -> String {
        self.pinned.meta.boot_id_text()
    }

    fn attached_boot_ns(&self) -> u64 {
        self.pinned.meta.attached_boot_ns
    }

    fn program(&self) -> String {
        self.pinned.meta.program_sha256_text()
    }

    fn header(&self, settings: &Settings) -> Head {
        header::header(settings, &self.pinned.meta).into()
    }

    fn replace(&mut self, next: Self) {
        self.pinned = next.pinned;
    }

    fn sweep(
        &mut self,
        walker: &mut Walker,
        plan: &Plan,
        dir: &Path,
        spool: &mut Spool,
    ) -> Result<Swept<Sweep>, SweepError> {
        let reading = sweep::read(&self.pinned, walker, plan, |row| spool.source(row))?;
        let around = self.look_around(dir, &reading, plan.is_over);
        let (close, broken) = reading.close(plan, around);
        Ok(Swept { close, broken: broken.map(|broken| broken.to_string()) })
    }

    fn note(&mut self, sweep: &Sweep) {
        self.received = Some(sweep.totals.received);
        self.wire = Wire::of(sweep).or(self.wire);
    }

    fn leave(&self, last: Option<&Sweep>) -> Option<Wire> {
        self.wire.zip(last).map(|(wire, last)| wire.until(last))
    }

    fn is_seamless(&self, left: &Option<Wire>, first: &Sweep) -> bool {
        left.is_some_and(|wire| wire.is_seamless(first, self.pinned.meta.ncpu))
    }
}
