// SPDX-License-Identifier: MIT OR Apache-2.0
//! From pins to spool: opens an epoch, sweeps it, notices when its pins are replaced or
//! removed, and closes it with a last sweep of the maps that it still holds open.
//!
//! Decides what is swept when; how rows become files is the spool's business.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use tracing::{debug, error, info, warn};

use crate::attachment::Change;
use crate::batch::Walker;
use crate::clock::{Moment, boot_ns};
use crate::epoch::{Ended, Epoch};
use crate::pin::{self, PinError};
use crate::sensor::{Sensor, Swept, attach_hint};
use crate::settings::Settings;
use crate::spool::{Closing as _, Spool, SweepHead};
use crate::sweep::Plan;
use crate::throttle::Throttle;

/// One scope and its spool.
#[derive(Debug)]
pub struct Reader<S: Sensor> {
    settings: Settings,
    pins: PathBuf,
    spool: Spool,
    walker: Walker,
    epoch: Option<Epoch<S>>,
    /// The epoch before, until the first sweep of the next one tells what lies between.
    ended: Option<Ended<S>>,
    is_waiting: bool,
    law: Throttle,
    trouble: Throttle,
}

impl<S: Sensor> Reader<S> {
    /// Takes the spool. The pins need not be there yet.
    ///
    /// # Errors
    /// When the spool cannot be used.
    pub fn open(settings: Settings) -> Result<Self> {
        let Settings { spool, scope, limits, ledger, .. } = &settings;
        let spool = Spool::open(spool, scope, limits.clone(), ledger.clone())
            .with_context(|| format!("failed to open the spool `{}`", spool.display()))?;
        Ok(Self {
            pins: settings.scope.dir(&settings.pin_root),
            settings,
            spool,
            walker: Walker::default(),
            epoch: None,
            ended: None,
            is_waiting: false,
            law: Throttle::default(),
            trouble: Throttle::default(),
        })
    }

    /// One period: follows the pins, sweeps, seals what is due. Returns a line of status.
    ///
    /// # Errors
    /// When the pins are there and cannot be read by this program. Trouble that may pass
    /// (missing pins, a full disk) is logged, and the next turn tries again.
    pub fn turn(&mut self) -> Result<String> {
        if self.is_epoch_over() {
            self.follow()?;
        } else if self.epoch.is_none() {
            self.wait_for_pins()?;
        }
        let status = self.sweep_or_complain().map(|close| status_of(&close.head()));
        if let Err(error) = self.spool.maintain(boot_ns()) {
            self.complain(&error);
        }
        Ok(status.unwrap_or_else(|| match self.epoch {
            Some(_) => "the last sweep failed".to_owned(),
            None => format!("waiting for `{}`", self.pins.display()),
        }))
    }

    /// The single sweep of `once`, sealed.
    ///
    /// # Errors
    /// When the pins are missing or cannot be read, or the segment cannot be written.
    pub fn once(mut self) -> Result<PathBuf> {
        let sensor = S::open(&self.pins, &self.settings).map_err(|error| match error {
            PinError::Absent { .. } => anyhow::anyhow!(
                "{error}: nothing is attached in `{}`\nhint: {}",
                self.settings.scope,
                attach_hint(&self.settings.scope)
            ),
            other => other.into(),
        })?;
        self.begin(sensor);
        self.sweep().context("failed to sweep")?;
        let sealed = self.spool.seal().context("failed to seal the segment")?;
        sealed.context("the sweep left no segment")
    }

    /// A last sweep of what is open, then seals.
    ///
    /// # Errors
    /// When the open segment cannot be sealed; the next start recovers it.
    pub fn finish(mut self) -> Result<()> {
        self.sweep_or_complain();
        self.write_open_gap();
        self.spool.seal().context("failed to seal the open segment")?;
        Ok(())
    }

    fn is_epoch_over(&self) -> bool {
        self.epoch.as_ref().is_some_and(|epoch| {
            !S::identity_of(&self.pins).is_ok_and(|now| now == *epoch.sensor.identity())
        })
    }

    /// The pins were replaced or removed. New pins of the same epoch (another program on
    /// the same maps) are read on without a seam; otherwise the old maps, which live for as
    /// long as they are open here, give their last counts.
    fn follow(&mut self) -> Result<()> {
        let opened = self.open_pins();
        if let (Ok(Some(sensor)), Some(epoch)) = (&opened, &self.epoch)
            && sensor.epoch() == epoch.sensor.epoch()
        {
            return self.go_on(opened?);
        }
        self.close_epoch(matches!(opened, Ok(None)));
        if let Some(sensor) = opened? {
            self.begin(sensor);
        }
        Ok(())
    }

    fn go_on(&mut self, opened: Option<S>) -> Result<()> {
        if let (Some(sensor), Some(epoch)) = (opened, &mut self.epoch) {
            info!(program = %sensor.program(), "same maps, other program");
            self.spool.set_header(sensor.header(&self.settings));
            epoch.sensor.replace(sensor);
        }
        Ok(())
    }

    /// A last sweep, of everything, because nobody will read these maps again; then seals.
    fn close_epoch(&mut self, is_gone: bool) {
        let Some(epoch) = &mut self.epoch else { return };
        epoch.end();
        info!(epoch = %epoch_text(&epoch.sensor), "epoch ended");
        let last = self.sweep_or_complain();
        self.ended = self.epoch.take().map(|epoch| epoch.ended(is_gone, last.as_ref()));
        if let Err(error) = self.spool.seal() {
            self.complain(&error);
        }
    }

    fn wait_for_pins(&mut self) -> Result<()> {
        if let Some(sensor) = self.open_pins()? {
            self.begin(sensor);
        }
        Ok(())
    }

    /// `None` while they are missing, which is said once. Ends the program where they can
    /// never appear: the unit starts it again with a fresh view.
    fn open_pins(&mut self) -> Result<Option<S>> {
        match S::open(&self.pins, &self.settings) {
            Ok(sensor) => Ok(Some(sensor)),
            Err(error @ PinError::Absent { .. }) => {
                pin::check_root(&self.settings.pin_root)?;
                if !std::mem::replace(&mut self.is_waiting, true) {
                    let hint = attach_hint(&self.settings.scope);
                    warn!("{error}: waiting until `{hint}`");
                }
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn begin(&mut self, sensor: S) {
        self.is_waiting = false;
        self.spool.set_header(sensor.header(&self.settings));
        info!(
            scope = %self.settings.scope,
            epoch = %epoch_text(&sensor),
            program = %sensor.program(),
            "reading"
        );
        self.epoch = Some(Epoch::new(sensor));
    }

    /// `None` when nothing is open, or when it failed, which is said.
    fn sweep_or_complain(&mut self) -> Option<S::Close> {
        self.epoch.as_ref()?;
        match self.sweep() {
            Ok(close) => {
                self.trouble.reset();
                Some(close)
            }
            Err(error) => {
                self.complain(&*error);
                None
            }
        }
    }

    /// One sweep into the spool. What it needs to remember it remembers only once the spool
    /// has it, so a failed sweep is made up for by the next one.
    fn sweep(&mut self) -> Result<S::Close> {
        let Some(epoch) = &mut self.epoch else { bail!("nothing is open") };
        let at = Moment::now();
        let seq = self.spool.next_seq(&epoch.sensor.boot_id(), at.boot_ns);
        let since_boot_ns =
            epoch.since(at, self.settings.full_every_ns).filter(|_| !self.spool.needs_full());
        let plan = Plan { seq, since_boot_ns, at, is_over: epoch.is_over() };
        self.spool.begin_sweep(seq);
        let read = epoch.sensor.sweep(&mut self.walker, &plan, &self.pins, &mut self.spool);
        let Swept { close, broken } = match read {
            Ok(swept) => swept,
            Err(error) => {
                self.spool.discard_sweep()?;
                return Err(error.into());
            }
        };
        self.spool.end_sweep(&close)?;
        let change = epoch.note(&close);
        if let Some(gap) = self.ended.take().and_then(|ended| ended.gap(&epoch.sensor, &close)) {
            self.spool.gap(gap);
        }
        self.report(change);
        if let Some(broken) = broken
            && let Some(unsaid) = self.law.say(at.boot_ns)
        {
            error!(seq, unsaid, "the conservation law is broken: {broken}");
        }
        let SweepHead { rows, entries, read_us, .. } = close.head();
        debug!(seq, rows, entries, read_us, "swept");
        Ok(close)
    }

    fn report(&mut self, change: Change) {
        match change {
            Change::None => {}
            Change::Lost => {
                let hint = attach_hint(&self.settings.scope);
                warn!("detached: no link, or what it was on is gone; attach again with `{hint}`");
            }
            Change::Back(gap) => {
                info!(gap_ms = (gap.to_boot_ns - gap.from_boot_ns) / 1_000_000, "attached again");
                self.spool.gap(gap);
            }
        }
    }

    fn write_open_gap(&mut self) {
        let now = boot_ns();
        if let Some(gap) = self.epoch.as_ref().and_then(|epoch| epoch.attachment.gap_until(now)) {
            self.spool.gap(gap);
        }
    }

    /// Says what went wrong, once a minute.
    fn complain(&mut self, error: &(dyn std::error::Error + 'static)) {
        if let Some(unsaid) = self.trouble.say(boot_ns()) {
            error!(unsaid, error, "sweep or segment lost: trying again each period");
        }
    }
}

/// For the service manager's status line.
fn status_of(sweep: &SweepHead) -> String {
    let SweepHead { seq, rows, entries, max_entries, .. } = sweep;
    format!("sweep {seq}: {rows} rows, {entries} of {max_entries} entries")
}

fn epoch_text(sensor: &impl Sensor) -> String {
    format!("{:016x}", sensor.epoch())
}
