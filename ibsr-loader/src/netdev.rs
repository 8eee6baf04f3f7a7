// SPDX-License-Identifier: MIT OR Apache-2.0
//! Interfaces of this network namespace: whether one is there, its state, and which XDP
//! programs it has. Reads only; needs no capability, except for the names of programs.

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use ibsr_cli::hint::with_hint;
use ibsr_proto::abi::hex;
use rustix::net::netdevice::{index_to_name, name_to_index};
use tracing::info;

use crate::hint::missing_interface;
use crate::installed::xdp::PROGRAM_NAME;
use crate::kernel;

/// How often `--wait` looks.
const POLL: Duration = Duration::from_millis(200);

/// A program that is on an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occupant {
    /// Number of the program.
    pub id: u32,
    /// `native`, `generic` or `offload`.
    pub mode: &'static str,
    /// Name and tag; `None` without CAP_SYS_ADMIN.
    pub described: Option<(String, String)>,
}

impl Occupant {
    /// Whether it is a sensor by its name, or could not be asked.
    #[must_use]
    pub fn may_be_ours(&self) -> bool {
        self.described.as_ref().is_none_or(|(name, _)| name == PROGRAM_NAME)
    }
}

impl fmt::Display for Occupant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "program id {} ({})", self.id, self.mode)?;
        match &self.described {
            Some((name, tag)) => write!(f, ", name `{name}`, tag {tag}"),
            None => write!(f, ", name and tag with `bpftool prog show id {}` as root", self.id),
        }
    }
}

/// Index of an interface; polls for it as long as `wait` says.
///
/// # Errors
/// When there is none of that name; names what is like it.
pub fn find(ifname: &str, wait: Option<Duration>) -> Result<u32> {
    let start = Instant::now();
    let mut is_told = false;
    loop {
        let error = match index_of(ifname) {
            Ok(ifindex) => return Ok(ifindex),
            Err(error) => error,
        };
        if error.raw_os_error() != Some(libc::ENODEV) {
            return Err(error).with_context(|| format!("failed to look up interface `{ifname}`"));
        }
        if wait.is_none_or(|wait| start.elapsed() >= wait) {
            return Err(missing(ifname, wait));
        }
        if !is_told {
            info!(ifname, "waiting for the interface");
            is_told = true;
        }
        sleep(POLL);
    }
}

fn index_of(ifname: &str) -> io::Result<u32> {
    Ok(name_to_index(kernel::ioctl_socket()?, ifname)?)
}

/// Name of an interface of this network namespace.
#[must_use]
pub fn name_of(ifindex: u32) -> Option<String> {
    index_to_name(kernel::ioctl_socket().ok()?, ifindex).ok()
}

fn missing(ifname: &str, wait: Option<Duration>) -> anyhow::Error {
    let after = wait.map_or(String::new(), |wait| format!(" after waiting {wait:?}"));
    with_hint(
        anyhow::anyhow!("there is no interface `{ifname}` in this network namespace{after}"),
        missing_interface(ifname, &names()),
    )
}

/// Names of all interfaces of this network namespace.
#[must_use]
pub fn names() -> Vec<String> {
    // Not /sys/class/net: that shows the namespace of whoever mounted /sys.
    let table = fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    table
        .lines()
        .skip(2)
        .filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()))
        .collect()
}

/// The XDP programs on an interface, with names where the caller may ask for them.
///
/// # Errors
/// When netlink does not answer.
pub fn occupants(ifindex: u32) -> Result<Vec<Occupant>> {
    let state = kernel::query_xdp(ifindex)
        .with_context(|| format!("failed to ask which XDP program interface {ifindex} has"))?;
    let by_mode =
        [("native", state.native_id), ("generic", state.generic_id), ("offload", state.offload_id)];
    Ok(by_mode
        .into_iter()
        .filter(|(_, id)| *id != 0)
        .map(|(mode, id)| Occupant { id, mode, described: describe(id) })
        .collect())
}

fn describe(id: u32) -> Option<(String, String)> {
    let prog = kernel::prog_by_id(id).ok()?;
    let info = kernel::prog_info(prog.as_fd()).ok()?;
    Some((info.name, hex(&info.tag)))
}

/// What makes an interface silent, if anything: down, or without carrier.
#[must_use]
pub fn silence(ifname: &str) -> Option<&'static str> {
    let flags = kernel::flags(ifname).ok()?;
    if flags & libc::IFF_UP == 0 {
        Some("down")
    } else if flags & libc::IFF_RUNNING == 0 {
        Some("without carrier")
    } else {
        None
    }
}
