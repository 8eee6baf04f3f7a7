// SPDX-License-Identifier: MIT OR Apache-2.0
//! What differs from sensor to sensor: which pins, which rows, what tells that it is attached.

use std::fmt::Debug;
use std::path::Path;

use ibsr_proto::pins::Scope;

use crate::batch::Walker;
use crate::pin::{Identity, PinError};
use crate::settings::Settings;
use crate::spool::{Closing, Head, Spool};
use crate::sweep::{Plan, SweepError};

/// A sweep that was read.
#[derive(Debug)]
pub struct Swept<C> {
    /// The row that closes it.
    pub close: C,
    /// How the law is broken, if it is.
    pub broken: Option<String>,
}

/// The open maps of one scope.
pub trait Sensor: Sized + Debug {
    /// The row that closes a sweep.
    type Close: Closing;
    /// What an epoch leaves for the next one to compare with.
    type Left: Debug;

    /// Opens and checks the pins under `dir`.
    ///
    /// # Errors
    /// [`PinError`]; nothing was decoded.
    fn open(dir: &Path, settings: &Settings) -> Result<Self, PinError>;

    /// Which files the pins under `dir` are now.
    ///
    /// # Errors
    /// [`PinError::Absent`] when not all of them are there.
    fn identity_of(dir: &Path) -> Result<Identity, PinError>;

    /// Which files these maps were opened from.
    fn identity(&self) -> &Identity;

    /// Number of this set of maps.
    fn epoch(&self) -> u64;

    /// Boot id, as the kernel prints it.
    fn boot_id(&self) -> String;

    /// Boot clock at the start of the epoch.
    fn attached_boot_ns(&self) -> u64;

    /// Digest of what was loaded, hexadecimal.
    fn program(&self) -> String;

    /// First line of every segment of these pins.
    fn header(&self, settings: &Settings) -> Head;

    /// Goes on with the pins of `next`: the same maps, other programs.
    fn replace(&mut self, next: Self);

    /// Reads the maps once and gives the spool every row that `plan` lists. `dir` is where the
    /// pins are or were.
    ///
    /// # Errors
    /// [`SweepError`]: the rows until then are not a sweep and must be discarded.
    fn sweep(
        &mut self,
        walker: &mut Walker,
        plan: &Plan,
        dir: &Path,
        spool: &mut Spool,
    ) -> Result<Swept<Self::Close>, SweepError>;

    /// Takes note of a sweep that reached the spool.
    fn note(&mut self, close: &Self::Close);

    /// What is left after the `last` sweep; `None` when that failed.
    fn leave(&self, last: Option<&Self::Close>) -> Self::Left;

    /// Whether these maps, of which `first` is the first sweep, go on where those before ended.
    fn is_seamless(&self, left: &Self::Left, first: &Self::Close) -> bool;
}

/// What to type where nothing is attached.
#[must_use]
pub fn attach_hint(scope: &Scope) -> String {
    match scope.ifname() {
        Some(ifname) => format!("ibsr-loader attach xdp {ifname}"),
        None if scope.is_guard() => "ibsr-guard rehearse POLICY --cgroup PATH".to_owned(),
        None => "ibsr-loader attach cgroup PATH".to_owned(),
    }
}
