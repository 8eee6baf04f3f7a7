// SPDX-License-Identifier: MIT OR Apache-2.0
//! The scope of a cgroup: flows and their owners, names, behaviour.

mod header;
mod known;
pub mod paths;
mod pinned;
mod sweep;
mod tables;

use std::path::Path;

use ibsr_proto::cgroup_abi::PATH_BYTES;
use ibsr_proto::snapshot::cgroup::Sweep;

use self::known::Known;
use self::paths::Paths;
use self::pinned::Pinned;
use self::sweep::{Memory, Reading};
use crate::batch::Walker;
use crate::pin::{Identity, PinError};
use crate::sensor::{Sensor, Swept};
use crate::settings::Settings;
use crate::spool::{Head, Spool};
use crate::sweep::{Plan, SweepError};

/// Open maps of a cgroup, and what is remembered from sweep to sweep. None of it is needed:
/// after a kill it is asked for again.
#[derive(Debug)]
pub struct Cgroup {
    pinned: Pinned,
    memory: Memory,
    /// Tracked packets at the last sweep; `None` before the first.
    tracked: Option<u64>,
}

impl Cgroup {
    /// Links go with their cgroup, and their pins stay: so the folder is looked for too. Where
    /// it is out of sight, and where packets are counted, it is there.
    fn is_attached(&self, dir: &Path, reading: &Reading) -> bool {
        let meta = &self.pinned.meta;
        let path = meta.path();
        // A path that was cut leads nowhere.
        let is_whole = path.len() < PATH_BYTES - 1;
        let is_there = self.memory.paths.is_there(meta.cgroup_id, &path).filter(|_| is_whole);
        let has_advanced = self.tracked.is_some_and(|before| reading.after.tracked() > before);
        let has_links = pinned::links(dir).is_ok_and(|links| !links.is_empty());
        has_links && (is_there != Some(false) || has_advanced)
    }
}

impl Sensor for Cgroup {
    type Close = Sweep;
    type Left = ();

    fn open(dir: &Path, _settings: &Settings) -> Result<Self, PinError> {
        let pinned = Pinned::open(dir)?;
        let (owners, names, zones) = (Known::owners(), Known::names(), Known::zones());
        let memory = Memory { owners, names, zones, paths: Paths::of_this_process() };
        Ok(Self { pinned, memory, tracked: None })
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
        let reading = sweep::read(&self.pinned, walker, &mut self.memory, plan, |row| {
            spool.cgroup_row(row);
        })?;
        let attached = !plan.is_over && self.is_attached(dir, &reading);
        let (close, broken) = reading.close(plan, attached);
        Ok(Swept { close, broken: broken.map(|broken| broken.to_string()) })
    }

    fn note(&mut self, sweep: &Sweep) {
        self.tracked = Some(sweep.totals.tracked());
    }

    fn leave(&self, _last: Option<&Sweep>) {}

    /// Nobody else counts what the sockets of a cgroup send: there is nothing to compare with.
    fn is_seamless(&self, (): &(), _first: &Sweep) -> bool {
        false
    }
}
