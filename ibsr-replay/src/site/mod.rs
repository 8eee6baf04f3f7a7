// SPDX-License-Identifier: MIT OR Apache-2.0
//! Synthetic sites: recordings whose truth is known.
//!
//! A [`SiteSpec`] says who talks to a host: honest clients of many kinds, attackers of many
//! kinds, when and how much. [`Sweeps`] is what the reader would have written of it,
//! [`Wire`] is the same traffic packet by packet, [`SiteSpec::truth`] says who is who. All
//! three follow from the spec alone, by integer arithmetic, on every platform.

mod actor;
mod address;
mod class;
mod flow;
mod preset;
mod random;
mod roster;
mod schedule;
mod shape;
mod spec;
mod sweeps;
mod truth;
mod wire;

pub use class::Class;
pub use flow::{Packet, flag};
pub use preset::Preset;
pub use random::Random;
pub use spec::{Attack, AttackKind, Crowd, DAY_MS, Mix, SiteSpec, SpecError, Stampede, Steady};
pub use sweeps::{Sweeps, Swept};
pub use wire::Wire;

#[cfg(test)]
mod tests;
