// SPDX-License-Identifier: MIT OR Apache-2.0
//! From pins to spool: opens an epoch, sweeps it, notices when its pins are replaced or
//! removed, and closes it with a last sweep of the maps that it still holds open.
//!
//! Decides what is swept when; how rows become files is the spool's business.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use ibsr_proto::pins::Scope;
use ibsr_proto::snapshot::Sweep;
use tracing::{debug, error, info, warn};

use crate::batch::Walker;
use crate::clock::{Moment, boot_ns};
use crate::epoch::{Ended, Epoch};
use crate::header::header;
use crate::interface::Change;
use crate::pinned::{self, Identity, PinError, Pinned};
use crate::settings::Settings;
use crate::spool::Spool;
use crate::sweep::{self, Plan};
use crate::throttle::Throttle;

/// One scope and its spool.
#[derive(Debug)]
pub struct Reader {
    settings: Settings,
    pins: PathBuf,
    spool: Spool,
    walker: Walker,
    epoch: Option<Epoch>,
    /// The epoch before, until the first sweep of the next one tells what lies between.
    ended: Option<Ended>,
    is_waiting: bool,
    law: Throttle,
    trouble: Throttle,
}

impl Reader {
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
        let status = self.sweep_or_complain().map(|sweep| status_of(&sweep));
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
        let pinned = Pinned::open(&self.pins).map_err(|error| match error {
            PinError::Absent { .. } => anyhow::anyhow!(
                "{error}: nothing is attached in `{}`\nhint: {}",
                self.settings.scope,
                attach_hint(&self.settings.scope)
            ),
            other => other.into(),
        })?;
        self.begin(pinned);
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
            !Identity::of(&self.pins).is_ok_and(|now| now == epoch.pinned.identity())
        })
    }

    /// The pins were replaced or removed. New pins of the same epoch (another program on
    /// the same maps) are read on without a seam; otherwise the old maps, which live for as
    /// long as they are open here, give their last counts.
    fn follow(&mut self) -> Result<()> {
        let opened = self.open_pins();
        if let (Ok(Some(pinned)), Some(epoch)) = (&opened, &self.epoch)
            && pinned.meta.epoch == epoch.pinned.meta.epoch
        {
            return self.go_on(opened?);
        }
        self.close_epoch(matches!(opened, Ok(None)));
        if let Some(pinned) = opened? {
            self.begin(pinned);
        }
        Ok(())
    }

    fn go_on(&mut self, opened: Option<Pinned>) -> Result<()> {
        if let (Some(pinned), Some(epoch)) = (opened, &mut self.epoch) {
            info!(program = %pinned.meta.program_sha256_text(), "same maps, other program");
            self.spool.set_header(header(&self.settings, &pinned.meta));
            epoch.pinned = pinned;
        }
        Ok(())
    }

    /// A last sweep, of everything, because nobody will read these maps again; then seals.
    fn close_epoch(&mut self, is_gone: bool) {
        let Some(epoch) = &mut self.epoch else { return };
        let ended = epoch.end(is_gone);
        info!(epoch = %epoch.pinned.meta.epoch_text(), "epoch ended");
        let last = self.sweep_or_complain();
        self.ended = Some(ended.after(last.as_ref()));
        self.epoch = None;
        if let Err(error) = self.spool.seal() {
            self.complain(&error);
        }
    }

    fn wait_for_pins(&mut self) -> Result<()> {
        if let Some(pinned) = self.open_pins()? {
            self.begin(pinned);
        }
        Ok(())
    }

    /// `None` while they are missing, which is said once. Ends the program where they can
    /// never appear: the unit starts it again with a fresh view.
    fn open_pins(&mut self) -> Result<Option<Pinned>> {
        match Pinned::open(&self.pins) {
            Ok(pinned) => Ok(Some(pinned)),
            Err(error @ PinError::Absent { .. }) => {
                pinned::check_root(&self.settings.pin_root)?;
                if !std::mem::replace(&mut self.is_waiting, true) {
                    let hint = attach_hint(&self.settings.scope);
                    warn!("{error}: waiting until `{hint}`");
                }
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn begin(&mut self, pinned: Pinned) {
        let meta = &pinned.meta;
        self.is_waiting = false;
        self.spool.set_header(header(&self.settings, meta));
        info!(
            scope = %self.settings.scope,
            epoch = %meta.epoch_text(),
            program = %meta.program_sha256_text(),
            "reading"
        );
        self.epoch = Some(Epoch::new(pinned, self.settings.net_dir.as_deref()));
    }

    /// `None` when nothing is open, or when it failed, which is said.
    fn sweep_or_complain(&mut self) -> Option<Sweep> {
        self.epoch.as_ref()?;
        match self.sweep() {
            Ok(sweep) => {
                self.trouble.reset();
                Some(sweep)
            }
            Err(error) => {
                self.complain(&*error);
                None
            }
        }
    }

    /// One sweep into the spool. What it needs to remember it remembers only once the spool
    /// has it, so a failed sweep is made up for by the next one.
    fn sweep(&mut self) -> Result<Sweep> {
        let Some(epoch) = &mut self.epoch else { bail!("nothing is open") };
        let at = Moment::now();
        let seq = self.spool.next_seq(&epoch.pinned.meta.boot_id_text(), at.boot_ns);
        let since_boot_ns =
            epoch.since(at, self.settings.full_every_ns).filter(|_| !self.spool.needs_full());
        let plan = Plan { seq, since_boot_ns, at };
        self.spool.begin_sweep(seq);
        let spool = &mut self.spool;
        let read = sweep::read(&epoch.pinned, &mut self.walker, &plan, |row| spool.source(row));
        let reading = match read {
            Ok(reading) => reading,
            Err(error) => {
                self.spool.discard_sweep()?;
                return Err(error.into());
            }
        };
        let around = epoch.look_around(&self.pins, &reading);
        let (sweep, broken) = reading.close(&plan, around);
        self.spool.end_sweep(&sweep)?;
        let change = epoch.note(&sweep);
        if let Some(gap) = self.ended.take().and_then(|ended| ended.gap(&epoch.pinned.meta, &sweep))
        {
            self.spool.gap(gap);
        }
        self.report(change);
        if let Some(broken) = broken
            && let Some(unsaid) = self.law.say(at.boot_ns)
        {
            error!(seq, unsaid, "the conservation law is broken: {broken}");
        }
        debug!(seq, rows = sweep.rows, entries = sweep.entries, read_us = sweep.read_us, "swept");
        Ok(sweep)
    }

    fn report(&mut self, change: Change) {
        match change {
            Change::None => {}
            Change::Lost => {
                let hint = attach_hint(&self.settings.scope);
                warn!("detached: no link or no interface; attach again with `{hint}`");
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
fn status_of(sweep: &Sweep) -> String {
    let Sweep { seq, rows, entries, max_entries, .. } = sweep;
    format!("sweep {seq}: {rows} rows, {entries} of {max_entries} entries")
}

fn attach_hint(scope: &Scope) -> String {
    match scope.ifname() {
        Some(ifname) => format!("ibsr-loader attach xdp {ifname}"),
        None => "ibsr-loader attach cgroup PATH".to_owned(),
    }
}
