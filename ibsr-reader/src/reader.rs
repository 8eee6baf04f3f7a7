// SPDX-License-Identifier: MIT OR Apache-2.0
//! From pins to spool: opens an epoch, sweeps it, notices when its pins are replaced or
//! removed, and closes it with a last sweep of the maps that it still holds open.
//!
//! Decides what is swept when; how rows become files is the spool's business.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use ibsr_proto::abi::{Evidence, Meta, XdpMode};
use ibsr_proto::pins::Scope;
use ibsr_proto::ports::PortSet;
use ibsr_proto::snapshot::{Gap, GapReason, Header, SCHEMA, Sweep};
use tracing::{debug, error, info, warn};

use crate::batch::Walker;
use crate::clock::{Moment, boot_ns};
use crate::interface::{Attachment, Change, Place, is_attached, is_link_pinned};
use crate::pinned::{Identity, PinError, Pinned};
use crate::spool::{Limits, Spool};
use crate::sweep::{self, Plan, Reading, Surroundings};
use crate::throttle::Throttle;

/// What the command line asked for, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which sensor.
    pub scope: Scope,
    /// Where the loader pins.
    pub pin_root: PathBuf,
    /// Root of the spool.
    pub spool: PathBuf,
    /// Bounds of segments and spool.
    pub limits: Limits,
    /// The exporter's ledger.
    pub ledger: Option<PathBuf>,
    /// Time between sweeps; 0 for a single one.
    pub period_ns: u64,
    /// Time between full sweeps.
    pub full_every_ns: u64,
    /// Host label.
    pub host: String,
    /// Directory of the interface in sysfs, where it is not the usual one.
    pub net_dir: Option<PathBuf>,
}

/// What is kept while one set of pins is read.
#[derive(Debug)]
struct Epoch {
    pinned: Pinned,
    place: Place,
    attachment: Attachment,
    /// Start of the last sweep that reached the spool.
    swept_boot_ns: Option<u64>,
    /// The same of the last full one.
    full_boot_ns: u64,
    /// `received` of the last sweep.
    received: u64,
    /// Name of the interface when it was last in sight.
    ifname: String,
    /// Its pins are gone: what is swept now is the end of it.
    is_replaced: bool,
}

/// The last moment at which an epoch that ended was seen attached.
#[derive(Debug, Clone, Copy)]
struct Ended {
    last_attached_boot_ns: u64,
    reason: GapReason,
}

/// One scope and its spool.
#[derive(Debug)]
pub struct Reader {
    settings: Settings,
    pins: PathBuf,
    spool: Spool,
    walker: Walker,
    epoch: Option<Epoch>,
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
        let status = self.sweep_or_complain();
        if let Err(error) = self.spool.maintain(boot_ns()) {
            self.complain(&error);
        }
        Ok(status)
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

    fn close_epoch(&mut self, is_gone: bool) {
        // Everything there is: nobody will read these maps again.
        if let Some(epoch) = &mut self.epoch {
            epoch.is_replaced = true;
        }
        self.sweep_or_complain();
        self.write_open_gap();
        if let Err(error) = self.spool.seal() {
            self.complain(&error);
        }
        let Some(epoch) = self.epoch.take() else { return };
        let reason = if is_gone { GapReason::Detached } else { GapReason::Epoch };
        info!(epoch = %epoch.pinned.meta.epoch_text(), "epoch ended");
        self.ended = epoch
            .attachment
            .last_attached_boot_ns()
            .map(|last_attached_boot_ns| Ended { last_attached_boot_ns, reason });
    }

    fn wait_for_pins(&mut self) -> Result<()> {
        if let Some(pinned) = self.open_pins()? {
            self.begin(pinned);
        }
        Ok(())
    }

    /// `None` while they are missing, which is said once.
    fn open_pins(&mut self) -> Result<Option<Pinned>> {
        match Pinned::open(&self.pins) {
            Ok(pinned) => Ok(Some(pinned)),
            Err(error @ PinError::Absent { .. }) => {
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
        if let Some(gap) = self.ended.take().and_then(|ended| uncovered(ended, meta)) {
            self.spool.gap(gap);
        }
        info!(
            scope = %self.settings.scope,
            epoch = %meta.epoch_text(),
            program = %meta.program_sha256_text(),
            "reading"
        );
        self.epoch = Some(Epoch {
            place: Place::new(meta, self.settings.net_dir.as_deref()),
            attachment: Attachment::default(),
            swept_boot_ns: None,
            full_boot_ns: 0,
            received: 0,
            ifname: meta.ifname(),
            is_replaced: false,
            pinned,
        });
    }

    /// The status line of the service.
    fn sweep_or_complain(&mut self) -> String {
        if self.epoch.is_none() {
            return format!("waiting for `{}`", self.pins.display());
        }
        match self.sweep() {
            Ok(sweep) => {
                self.trouble.reset();
                let Sweep { seq, rows, entries, max_entries, .. } = sweep;
                format!("sweep {seq}: {rows} rows, {entries} of {max_entries} entries")
            }
            Err(error) => {
                self.complain(&*error);
                format!("last sweep failed: {error:#}")
            }
        }
    }

    /// One sweep into the spool. What it needs to remember it remembers only once the spool
    /// has it, so a failed sweep is made up for by the next one.
    fn sweep(&mut self) -> Result<Sweep> {
        let Some(epoch) = &mut self.epoch else { bail!("nothing is open") };
        let at = Moment::now();
        let is_full = self.spool.needs_full() || epoch.is_full_due(at, self.settings.full_every_ns);
        let seq = self.spool.next_seq(&epoch.pinned.meta.boot_id_text(), at.boot_ns);
        let since_boot_ns = if is_full { None } else { epoch.swept_boot_ns };
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

impl Epoch {
    fn is_full_due(&self, at: Moment, full_every_ns: u64) -> bool {
        self.is_replaced
            || self.swept_boot_ns.is_none()
            || at.boot_ns.saturating_sub(self.full_boot_ns) >= full_every_ns
    }

    fn look_around(&mut self, pins: &Path, reading: &Reading) -> Surroundings {
        let seen = self.place.look();
        if let Some(seen) = &seen
            && seen.name != self.ifname
        {
            info!(from = self.ifname, to = seen.name, "interface renamed: still counting");
            self.ifname.clone_from(&seen.name);
        }
        // The first sweep has nothing to compare with.
        let has_advanced = self.swept_boot_ns.is_some() && reading.after.received > self.received;
        let is_in_sight = seen.is_some() || !self.place.is_some();
        let attached =
            !self.is_replaced && is_attached(is_link_pinned(pins), is_in_sight, has_advanced);
        Surroundings { attached, rx_packets: seen.and_then(|seen| seen.rx_packets) }
    }

    /// Takes note of a sweep that reached the spool.
    fn note(&mut self, sweep: &Sweep) -> Change {
        self.swept_boot_ns = Some(sweep.at_boot_ns);
        if sweep.since_boot_ns == 0 {
            self.full_boot_ns = sweep.at_boot_ns;
        }
        self.received = sweep.totals.received;
        if self.is_replaced {
            return Change::None;
        }
        self.attachment.observe(sweep.attached, sweep.at_boot_ns)
    }
}

/// The time between the end of one epoch and the start of the next, if any.
fn uncovered(ended: Ended, next: &Meta) -> Option<Gap> {
    let Ended { last_attached_boot_ns: from_boot_ns, reason } = ended;
    let to_boot_ns = next.attached_boot_ns;
    (to_boot_ns > from_boot_ns).then_some(Gap { from_boot_ns, to_boot_ns, reason, segment: None })
}

fn attach_hint(scope: &Scope) -> String {
    match scope.ifname() {
        Some(ifname) => format!("ibsr-loader attach xdp {ifname}"),
        None => "ibsr-loader attach cgroup PATH".to_owned(),
    }
}

/// First line of every segment of these pins.
fn header(settings: &Settings, meta: &Meta) -> Header {
    let ports = PortSet::from_bitmap(meta.dst_ports);
    let ranges = if ports.is_all() { Vec::new() } else { ports.ranges() };
    let (single, wide): (Vec<_>, Vec<_>) =
        ranges.into_iter().partition(|(first, last)| first == last);
    let word = |word: Option<&'static str>| word.unwrap_or_default().to_owned();
    Header {
        schema: SCHEMA.to_owned(),
        tool: concat!("ibsr-reader ", env!("CARGO_PKG_VERSION")).to_owned(),
        host: settings.host.clone(),
        boot_id: meta.boot_id_text(),
        scope: settings.scope.to_string(),
        ifname: meta.ifname(),
        ifindex: meta.ifindex,
        epoch: meta.epoch_text(),
        attached_boot_ns: meta.attached_boot_ns,
        program_sha256: meta.program_sha256_text(),
        evidence: word(Evidence::from_abi(meta.evidence).map(Evidence::as_str)),
        xdp_mode: word(XdpMode::from_abi(meta.xdp_mode).map(XdpMode::as_str)),
        period_ms: settings.period_ns / 1_000_000,
        max_sources: meta.max_sources,
        dst_ports: single.into_iter().map(|(port, _)| port).collect(),
        dst_port_ranges: wide,
    }
}
