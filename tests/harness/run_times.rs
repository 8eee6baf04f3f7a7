// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long programs ran, as the kernel measured it. Programs are found by their names: no other
//! one of that name may be loaded.

use std::collections::BTreeMap;
use std::os::fd::{FromRawFd as _, OwnedFd};

use anyhow::{Result, ensure};
use libbpf_rs::query::ProgInfoIter;

/// Has the kernel measure as long as the descriptor is open.
///
/// # Errors
/// When it refuses.
pub fn enable() -> Result<OwnedFd> {
    // SAFETY: the call takes a plain number.
    let fd = unsafe { libbpf_sys::bpf_enable_stats(libbpf_sys::BPF_STATS_RUN_TIME) };
    ensure!(fd >= 0, "failed to enable the kernel's statistics of programs");
    // SAFETY: the descriptor was just made and is owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Nanoseconds and runs of each of these programs so far.
#[must_use]
pub fn so_far(programs: &[&str]) -> BTreeMap<String, (u64, u64)> {
    ProgInfoIter::default()
        .map(|info| (info.name.to_string_lossy().into_owned(), (info.run_time_ns, info.run_cnt)))
        .filter(|(name, _)| programs.contains(&name.as_str()))
        .collect()
}

/// Mean nanoseconds of a run of each of `programs` while `load` is under way, the middle of
/// `rounds` after one that warms up. Each must run `least` times a round.
///
/// # Errors
/// When a program ran less often.
pub fn middle_ns(
    programs: &[&str],
    rounds: usize,
    least: u64,
    mut load: impl FnMut(),
) -> Result<BTreeMap<String, f64>> {
    let _enabled = enable()?;
    let mut found: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for round in 0..=rounds {
        let before = so_far(programs);
        load();
        let after = so_far(programs);
        for program in programs {
            let (then, now) = (before[*program], after[*program]);
            ensure!(now.1 >= then.1 + least, "`{program}` did not run");
            if round > 0 {
                let ns = (now.0 - then.0) as f64 / (now.1 - then.1) as f64;
                found.entry((*program).to_owned()).or_default().push(ns);
            }
        }
    }
    Ok(found.into_iter().map(|(program, mut all)| (program, median(&mut all))).collect())
}

/// The middle one.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
