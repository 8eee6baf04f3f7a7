// SPDX-License-Identifier: MIT OR Apache-2.0
//! The loader's life: attach, again, upgrade, detach, and every fault of it. The real program
//! on the real kernel, one veth pair and one pin root for each test.

#[path = "loader/altered.rs"]
mod altered;
#[path = "loader/boot.rs"]
mod boot;
#[path = "loader/cgroup.rs"]
mod cgroup;
#[path = "loader/cgroup_crash.rs"]
mod cgroup_crash;
#[path = "loader/cgroup_failed.rs"]
mod cgroup_failed;
#[path = "loader/cgroup_refused.rs"]
mod cgroup_refused;
#[path = "loader/cgroup_settings.rs"]
mod cgroup_settings;
#[path = "loader/cgroup_site.rs"]
mod cgroup_site;
#[path = "loader/cgroup_upgrade.rs"]
mod cgroup_upgrade;
#[path = "loader/crash.rs"]
mod crash;
#[path = "loader/evidence.rs"]
mod evidence;
#[path = "loader/foreign.rs"]
mod foreign;
#[path = "loader/interface.rs"]
mod interface;
#[path = "loader/life.rs"]
mod life;
#[path = "loader/pins.rs"]
mod pins;
#[path = "loader/rights.rs"]
mod rights;
#[path = "loader/table.rs"]
mod table;
#[path = "loader/traffic.rs"]
mod traffic;
#[path = "loader/upgrade.rs"]
mod upgrade;
#[path = "loader/world.rs"]
mod world;
