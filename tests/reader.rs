// SPDX-License-Identifier: MIT OR Apache-2.0
//! The reader on real pins: rights, restarts, epochs, churn, a million entries.

#[path = "reader/cgroup.rs"]
mod cgroup;
#[path = "reader/cgroup_faults.rs"]
mod cgroup_faults;
#[path = "reader/cgroup_stage.rs"]
mod cgroup_stage;
#[path = "reader/cgroup_tables.rs"]
mod cgroup_tables;
#[path = "reader/clocks.rs"]
mod clocks;
#[path = "reader/epochs.rs"]
mod epochs;
#[path = "reader/guard_scope.rs"]
mod guard_scope;
#[path = "reader/kill.rs"]
mod kill;
#[allow(dead_code, reason = "tests of the guard use all of it")]
#[path = "guard/loaded.rs"]
mod loaded;
#[path = "reader/refused.rs"]
mod refused;
#[path = "reader/restart.rs"]
mod restart;
#[path = "reader/rights.rs"]
mod rights;
#[path = "reader/scope.rs"]
mod scope;
#[path = "reader/sealed.rs"]
mod sealed;
#[path = "reader/service.rs"]
mod service;
#[path = "reader/size.rs"]
mod size;
#[path = "reader/tables.rs"]
mod tables;
#[path = "reader/wire.rs"]
mod wire;
