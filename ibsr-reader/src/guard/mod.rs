// SPDX-License-Identifier: MIT OR Apache-2.0
//! The scope of the guard: what it denied or would have, and what it counts.

mod pinned;
mod sweep;

use std::fs;
use std::path::Path;

use ibsr_proto::snapshot::SCHEMA;
use ibsr_proto::snapshot::guard::{Header, Sweep};
use libbpf_rs::MapCore as _;

use self::pinned::Pinned;
use crate::batch::Walker;
use crate::cgroup::paths::Paths;
use crate::clock::boot_ns;
use crate::pin::{Identity, PinError, open_error};
use crate::sensor::{Sensor, Swept};
use crate::settings::Settings;
use crate::spool::{Head, Spool};
use crate::sweep::{Plan, SweepError};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Open maps of the guard, and what is remembered from sweep to sweep.
#[derive(Debug)]
pub struct Guard {
    pinned: Pinned,
    paths: Paths,
    boot_id: String,
    opened_boot_ns: u64,
    /// Records that were taken from the ring.
    consumed: u64,
}

impl Sensor for Guard {
    type Close = Sweep;
    type Left = ();

    fn open(dir: &Path, _settings: &Settings) -> Result<Self, PinError> {
        let boot_id =
            fs::read_to_string(BOOT_ID).map_err(|source| open_error(Path::new(BOOT_ID), source))?;
        Ok(Self {
            pinned: Pinned::open(dir)?,
            paths: Paths::of_this_process(),
            boot_id: boot_id.trim().to_owned(),
            opened_boot_ns: boot_ns(),
            consumed: 0,
        })
    }

    fn identity_of(dir: &Path) -> Result<Identity, PinError> {
        pinned::identity(dir)
    }

    fn identity(&self) -> &Identity {
        self.pinned.identity()
    }

    fn epoch(&self) -> u64 {
        self.pinned.id.into()
    }

    fn boot_id(&self) -> String {
        self.boot_id.clone()
    }

    /// The guard does not say when it was attached: not later than it was opened here.
    fn attached_boot_ns(&self) -> u64 {
        self.opened_boot_ns
    }

    /// The guard does not say what was loaded.
    fn program(&self) -> String {
        "unknown".to_owned()
    }

    fn header(&self, settings: &Settings) -> Head {
        Header {
            schema: SCHEMA.to_owned(),
            tool: concat!("ibsr-reader ", env!("CARGO_PKG_VERSION")).to_owned(),
            host: settings.host.clone(),
            boot_id: self.boot_id.clone(),
            scope: settings.scope.to_string(),
            epoch: format!("{:016x}", self.epoch()),
            period_ms: settings.period_ns / 1_000_000,
            ring_bytes: self.pinned.records.max_entries().into(),
        }
        .into()
    }

    fn replace(&mut self, next: Self) {
        self.pinned = next.pinned;
    }

    fn sweep(
        &mut self,
        _walker: &mut Walker,
        plan: &Plan,
        dir: &Path,
        spool: &mut Spool,
    ) -> Result<Swept<Sweep>, SweepError> {
        let (pinned, paths) = (&self.pinned, &mut self.paths);
        let mut close =
            sweep::read(pinned, paths, plan, self.consumed, |row| spool.guard_row(row))?;
        self.consumed += close.verdicts + close.unread;
        close.attached = !plan.is_over && pinned::has_links(dir);
        let broken = (!close.conserved).then(|| "more records were read than written".to_owned());
        Ok(Swept { close, broken })
    }

    fn note(&mut self, _sweep: &Sweep) {}

    fn leave(&self, _last: Option<&Sweep>) {}

    /// Nobody else records what the guard judges: there is nothing to compare with.
    fn is_seamless(&self, (): &(), _first: &Sweep) -> bool {
        false
    }
}
