// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guard on the real kernel: its verdict beside its twin's, and what processes in a cgroup
//! and namespaces of the test's own meet.

#[path = "guard/arming.rs"]
mod arming;
#[path = "guard/arming_names.rs"]
mod arming_names;
#[path = "guard/budget.rs"]
mod budget;
#[path = "guard/bypass.rs"]
mod bypass;
#[path = "guard/differential.rs"]
mod differential;
#[path = "guard/egress.rs"]
mod egress;
#[path = "guard/lab.rs"]
mod lab;
#[path = "guard/lease.rs"]
mod lease;
#[path = "guard/live.rs"]
mod live;
#[path = "guard/loaded.rs"]
mod loaded;
#[path = "guard/modes.rs"]
mod modes;
#[path = "guard/names.rs"]
mod names;
#[path = "guard/owner.rs"]
mod owner;
#[path = "guard/program.rs"]
mod program;
#[path = "guard/query.rs"]
mod query;
#[path = "guard/query_clients.rs"]
mod query_clients;
#[path = "guard/query_others.rs"]
mod query_others;
#[path = "guard/resolver.rs"]
mod resolver;
#[path = "guard/rights.rs"]
mod rights;
#[path = "guard/scene.rs"]
mod scene;
