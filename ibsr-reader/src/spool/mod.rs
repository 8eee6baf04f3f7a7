// SPDX-License-Identifier: MIT OR Apache-2.0
//! The spool: sweeps go in, sealed segments lie in `<root>/<scope>/`.
//!
//! A segment is `.<name>.part` while it is written and gets its name by a rename when it is
//! complete and durable, so whatever has a segment's name is whole. A file that met an error
//! is given up, never retried; the counters in the kernel are cumulative, so the next full
//! sweep, in a new file, holds what the lost one held. Memory does not grow meanwhile.
//!
//! Nothing here reads a map, waits, or decides when to sweep.

mod backlog;
mod closing;
mod coarsen;
mod digest;
mod dir;
mod error;
mod guard;
mod part;
mod peek;
mod plan;
mod recover;
mod retain;
mod rows;
mod scan;
mod uploaded;

use std::path::{Path, PathBuf};
use std::time::Duration;

use ibsr_proto::pins::Scope;
use ibsr_proto::snapshot::{Gap, GapReason, RowRef, SegmentName, Source};
use ibsr_proto::snapshot::{cgroup, guard as guard_rows};
use rustix::io::Errno;

use backlog::Backlog;
use closing::Closed;
pub use closing::{Closing, SweepHead};
use dir::Dir;
pub use error::SpoolError;
use part::Part;
use retain::Retention;
pub use rows::Head;
use rows::Line;

/// When to seal, and what the spool may hold.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Seal when a segment has this many bytes.
    pub segment_bytes: u64,
    /// Seal when the first sweep of a segment is this old.
    pub segment_age: Duration,
    /// Bytes of all sealed segments together.
    pub spool_bytes: u64,
    /// Age of the oldest segment.
    pub spool_age: Duration,
    /// How long a segment that the ledger calls uploaded is kept.
    pub keep_uploaded: Duration,
}

/// The spool of one scope. Holds its directory's lock until dropped.
#[derive(Debug)]
pub struct Spool {
    root: PathBuf,
    scope: Scope,
    limits: Limits,
    dir: Dir,
    header: Option<Head>,
    segment: Option<Segment>,
    sweep: Option<OpenSweep>,
    newest: Option<Numbered>,
    backlog: Backlog,
    needs_full: bool,
    sealed_to_boot_ns: Option<u64>,
    retention: Retention,
}

/// The open segment.
#[derive(Debug)]
struct Segment {
    part: Part,
    sweeps: u64,
    first_boot_ns: u64,
    last_boot_ns: u64,
}

/// The sweep between `begin_sweep` and its end.
#[derive(Debug)]
struct OpenSweep {
    /// What `newest` was before.
    before: Option<Numbered>,
    failed: Option<SpoolError>,
}

/// The highest sequence number that was used in a boot.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Numbered {
    boot8: String,
    seq: u64,
}

impl Spool {
    /// Checks the directory, takes its lock and recovers what a crash left. `ledger` is the
    /// exporter's; without it nothing counts as uploaded.
    ///
    /// # Errors
    /// When the directory cannot be trusted, written or locked. A full disk is no error here.
    pub fn open(
        root: &Path,
        scope: &Scope,
        limits: Limits,
        ledger: Option<PathBuf>,
    ) -> Result<Self, SpoolError> {
        let dir = Dir::open(root, scope)?;
        recover::recover(&dir, scope.as_str())?;
        let retention = Retention::new(scope.as_str(), &limits, ledger);
        Ok(Self {
            root: root.to_owned(),
            scope: scope.clone(),
            limits,
            dir,
            header: None,
            segment: None,
            sweep: None,
            newest: None,
            backlog: Backlog::default(),
            needs_full: true,
            sealed_to_boot_ns: None,
            retention,
        })
    }

    /// Number of the next sweep of this boot: one more than any that was used, as far as this
    /// process and the sealed segments know; in a spool without any, milliseconds since boot,
    /// which is beyond every number of a spool that was emptied.
    #[must_use]
    pub fn next_seq(&self, boot_id: &str, at_boot_ns: u64) -> u64 {
        let boot8 = recover::boot8(boot_id);
        let here = self.newest.as_ref().filter(|newest| newest.boot8 == boot8).map(|it| it.seq);
        match here.or_else(|| peek::newest_seq(&self.dir, self.scope.as_str(), &boot8)) {
            Some(newest) => newest + 1,
            None => at_boot_ns / 1_000_000,
        }
    }

    /// Header of what follows. Seals the open segment when its header is another.
    pub fn set_header(&mut self, header: impl Into<Head>) {
        let header = header.into();
        if self.header.as_ref() == Some(&header) {
            return;
        }
        if let Err(error) = self.seal() {
            tracing::error!(%error, "segment lost");
        }
        self.header = Some(header);
    }

    /// Begins the sweep `seq`; opens a segment, named after it, when none is open. An error
    /// shows at the end of the sweep.
    pub fn begin_sweep(&mut self, seq: u64) {
        let opened = self.discard_sweep().and_then(|()| self.ensure_segment(seq));
        let boot8 = self.header.as_ref().map(|header| recover::boot8(header.boot_id()));
        let before = self.newest.clone();
        self.newest = boot8.map(|boot8| Numbered { boot8, seq }).or(self.newest.take());
        self.sweep = Some(OpenSweep { before, failed: opened.err() });
    }

    /// Adds one source row. After an error the rest of the sweep is passed over.
    pub fn source(&mut self, row: &Source) {
        self.counted(RowRef::Source(row));
    }

    /// Adds one row of a table of a cgroup, in the same way.
    pub fn cgroup_row(&mut self, row: cgroup::RowRef<'_>) {
        self.counted(row);
    }

    /// Adds one row of the guard, in the same way.
    pub fn guard_row(&mut self, row: guard_rows::RowRef<'_>) {
        self.counted(row);
    }

    fn counted(&mut self, row: impl Line) {
        let (Some(sweep), Some(segment)) = (&mut self.sweep, &mut self.segment) else { return };
        if sweep.failed.is_none()
            && let Err(error) = segment.part.row(row)
        {
            sweep.failed = Some(self.dir.failed("write", segment.part.part_name(), error));
        }
    }

    /// Closes the sweep that was begun.
    ///
    /// # Errors
    /// The open segment is lost: the next one tells so in a gap row, and the next sweep must
    /// be full. The caller says so, at most once a minute, and goes on.
    pub fn end_sweep(&mut self, sweep: &impl Closing) -> Result<(), SpoolError> {
        let head = sweep.head();
        let open = self.sweep.take();
        let failed = open.and_then(|open| open.failed);
        match failed.map_or_else(|| self.close_sweep(sweep), Err) {
            Ok(()) => {
                self.needs_full &= head.since_boot_ns != 0;
                Ok(())
            }
            Err(error) => Err(self.lose(error, Some(head.at_boot_ns))),
        }
    }

    fn close_sweep(&mut self, sweep: &impl Closing) -> Result<(), SpoolError> {
        let head = sweep.head();
        let Some(segment) = &mut self.segment else { return Err(SpoolError::NoHeader) };
        self.backlog.end_disk_gap(head.at_boot_ns);
        let closed = segment.part.row(Closed(sweep));
        let written = closed.and_then(|()| self.backlog.write(&mut segment.part));
        written.map_err(|error| self.dir.failed("write", segment.part.part_name(), error))?;
        if segment.sweeps == 0 {
            segment.first_boot_ns = head.at_boot_ns;
        }
        segment.sweeps += 1;
        segment.last_boot_ns = head.at_boot_ns;
        Ok(())
    }

    /// Takes back the sweep that was begun, if any; its number may be used again.
    ///
    /// # Errors
    /// The open segment is lost, as in [`Self::end_sweep`].
    pub fn discard_sweep(&mut self) -> Result<(), SpoolError> {
        let Some(open) = self.sweep.take() else { return Ok(()) };
        if let Some(error) = open.failed {
            return Err(self.lose(error, None));
        }
        self.newest = open.before;
        match &mut self.segment {
            Some(segment) if segment.sweeps > 0 => {
                let taken_back = segment.part.roll_back();
                let name = segment.part.part_name();
                let result = taken_back.map_err(|error| self.dir.failed("truncate", name, error));
                result.map_err(|error| self.lose(error, None))
            }
            _ => self.abandon(),
        }
    }

    /// Adds a gap row: now when a segment is open, else with the next sweep.
    pub fn gap(&mut self, gap: Gap) {
        self.backlog.push(gap);
        let Some(segment) = &mut self.segment else { return };
        if self.sweep.is_some() || segment.sweeps == 0 {
            return;
        }
        if let Err(error) = self.backlog.write(&mut segment.part) {
            let error = self.dir.failed("write", segment.part.part_name(), error);
            let error = self.lose(error, None);
            tracing::error!(%error, "segment lost");
        }
    }

    /// Seals the open segment. `None`: there is none, or it has no whole sweep.
    ///
    /// # Errors
    /// The open segment is lost, as in [`Self::end_sweep`].
    pub fn seal(&mut self) -> Result<Option<PathBuf>, SpoolError> {
        self.discard_sweep()?;
        let Some(segment) = self.segment.take() else { return Ok(None) };
        let Segment { part, sweeps, first_boot_ns, last_boot_ns } = segment;
        let part_name = part.part_name().to_owned();
        let bytes = part.whole_bytes();
        match part.seal(&self.dir, false, |_| Ok(())) {
            Ok(name) => {
                let path = self.dir.path_of(&name.to_string());
                tracing::info!(path = %path.display(), sweeps, bytes, "segment sealed");
                self.backlog.sealed();
                self.sealed_to_boot_ns = Some(last_boot_ns);
                self.retention.wake();
                Ok(Some(path))
            }
            Err(error) => {
                self.forget(&part_name, first_boot_ns, last_boot_ns);
                Err(error)
            }
        }
    }

    /// Seals when the open segment is large or old enough, then keeps the spool in its
    /// bounds. For every period, between sweeps.
    ///
    /// # Errors
    /// The open segment is lost, as in [`Self::end_sweep`].
    pub fn maintain(&mut self, now_boot_ns: u64) -> Result<Option<PathBuf>, SpoolError> {
        let is_due = self.segment.as_ref().is_some_and(|segment| {
            let age = Duration::from_nanos(now_boot_ns.saturating_sub(segment.first_boot_ns));
            let is_large = segment.part.whole_bytes() >= self.limits.segment_bytes;
            segment.sweeps > 0 && (is_large || age >= self.limits.segment_age)
        });
        let sealed = if is_due { self.seal() } else { Ok(None) };
        self.keep_bounds(now_boot_ns);
        sealed
    }

    fn keep_bounds(&mut self, now_boot_ns: u64) {
        let boot8 = self.header.as_ref().map(|header| recover::boot8(header.boot_id()));
        for gap in self.retention.run(&self.dir, boot8.as_deref(), now_boot_ns) {
            self.gap(gap);
        }
    }

    /// Whether the next sweep must be full: nothing was written yet, or a file was lost.
    #[must_use]
    pub fn needs_full(&self) -> bool {
        self.needs_full
    }

    fn ensure_segment(&mut self, seq: u64) -> Result<(), SpoolError> {
        if self.segment.is_some() {
            return Ok(());
        }
        let Some(header) = &self.header else { return Err(SpoolError::NoHeader) };
        if !self.dir.is_current() {
            self.dir = Dir::open(&self.root, &self.scope)?;
        }
        let name = SegmentName {
            host: header.host().to_owned(),
            scope: self.scope.to_string(),
            boot8: recover::boot8(header.boot_id()),
            first_seq: seq,
            merged_to: None,
        };
        let mut part = create_part(&self.dir, name)?;
        let begun = part.row(header);
        let part_name = part.part_name().to_owned();
        self.segment = Some(Segment { part, sweeps: 0, first_boot_ns: 0, last_boot_ns: 0 });
        begun.map_err(|error| self.dir.failed("write", &part_name, error))
    }

    /// Gives up the open segment, of which `error` is the reason, and the sweep at
    /// `at_boot_ns` with it.
    fn lose(&mut self, error: SpoolError, at_boot_ns: Option<u64>) -> SpoolError {
        let (name, first, last) = match self.segment.take() {
            Some(Segment { part, sweeps: 0, .. }) => (Some(part), None, None),
            Some(it) => (Some(it.part), Some(it.first_boot_ns), Some(it.last_boot_ns)),
            None => (None, None, None),
        };
        let ends = [first, last, at_boot_ns];
        let from = ends.iter().flatten().min().copied();
        let to = ends.iter().flatten().max().copied();
        if let Some(part) = name {
            self.remove_part(part.part_name());
        }
        self.lost(from, to);
        error
    }

    fn forget(&mut self, part_name: &str, first_boot_ns: u64, last_boot_ns: u64) {
        self.remove_part(part_name);
        self.lost(Some(first_boot_ns), Some(last_boot_ns));
    }

    fn lost(&mut self, from_boot_ns: Option<u64>, to_boot_ns: Option<u64>) {
        self.needs_full = true;
        self.backlog.lost();
        let from = self.sealed_to_boot_ns.or(from_boot_ns);
        if let (Some(from_boot_ns), Some(to_boot_ns)) = (from, to_boot_ns) {
            let reason = GapReason::Disk;
            self.backlog.push(Gap { from_boot_ns, to_boot_ns, reason, segment: None });
        }
    }

    /// Removes the open file, which has no whole sweep.
    fn abandon(&mut self) -> Result<(), SpoolError> {
        if let Some(segment) = self.segment.take() {
            self.dir.remove(segment.part.part_name())?;
        }
        Ok(())
    }

    /// A lost file that cannot be removed either stays hidden under its part name.
    fn remove_part(&self, part_name: &str) {
        if let Err(error) = self.dir.remove(part_name) {
            tracing::debug!(%error, "lost segment stays");
        }
    }
}

/// Creates the file of a segment; what has its name already, whatever it is, is set aside.
fn create_part(dir: &Dir, name: SegmentName) -> Result<Part, SpoolError> {
    match Part::create(dir, name.clone()) {
        Err(SpoolError::Io { cause, .. })
            if cause.raw_os_error() == Some(Errno::EXIST.raw_os_error()) =>
        {
            tracing::warn!(name = name.part_name(), "a file in the way is set aside");
            recover::set_aside(dir, &name.part_name())?;
            Part::create(dir, name)
        }
        created => created,
    }
}

#[cfg(test)]
mod tests;
