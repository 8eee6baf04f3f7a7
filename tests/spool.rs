// SPDX-License-Identifier: MIT OR Apache-2.0
//! The spool under faults: full disk, failing calls, kills, power loss, planted files. The
//! real reader on real pins; system calls are made to fail by strace, which counts only those
//! that touch the spool.

#[path = "spool/bounds.rs"]
mod bounds;
#[path = "spool/failing.rs"]
mod failing;
#[path = "spool/full.rs"]
mod full;
#[path = "spool/killed.rs"]
mod killed;
#[path = "spool/power.rs"]
mod power;
#[path = "spool/refused.rs"]
mod refused;
#[path = "spool/rig.rs"]
mod rig;
