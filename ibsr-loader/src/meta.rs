// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the loader writes into `meta`: the facts of one attach, put together.

use std::fs;

use anyhow::{Context as _, Result};
use ibsr_proto::abi::{ABI_HASH, ABI_VERSION, Evidence, META_MAGIC, Meta, Sensor, XdpMode};
use ibsr_proto::cgroup_abi::{CGROUP_ABI_HASH, CGROUP_ABI_VERSION, CgroupMeta, PATH_BYTES};
use ibsr_proto::cgroup_dns_abi::DNS_RESOLVERS;
use rustix::time::{ClockId, clock_gettime};

use crate::cgroupfs::Cgroup;
use crate::object::cgroup as cgroup_object;
use crate::object::random;
use crate::object::xdp::Settings;

/// What identifies an epoch: new for new maps, kept with kept maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch {
    /// Random.
    pub id: u64,
    /// Boot clock at its start.
    pub attached_boot_ns: u64,
}

impl Epoch {
    /// Starts now.
    ///
    /// # Errors
    /// When the kernel has no random numbers.
    pub fn begin() -> Result<Self> {
        Ok(Self { id: random()?, attached_boot_ns: boot_ns() })
    }

    /// Goes on, for a cgroup.
    #[must_use]
    pub const fn of_cgroup(meta: &CgroupMeta) -> Self {
        Self { id: meta.epoch, attached_boot_ns: meta.attached_boot_ns }
    }

    /// Goes on.
    #[must_use]
    pub const fn of(meta: &Meta) -> Self {
        Self { id: meta.epoch, attached_boot_ns: meta.attached_boot_ns }
    }
}

/// Where a sensor is attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Interface name.
    pub ifname: String,
    /// Interface index.
    pub ifindex: u32,
}

/// Puts a description together.
///
/// # Errors
/// When the number of possible CPUs or the boot id cannot be read.
pub fn describe(
    target: &Target,
    settings: &Settings,
    epoch: Epoch,
    mode: XdpMode,
    evidence: Evidence,
    program_sha256: [u8; 32],
) -> Result<Meta> {
    let ncpu = libbpf_rs::num_possible_cpus().context("failed to count the possible CPUs")?;
    let mut ifname = [0; 16];
    let bytes = target.ifname.as_bytes();
    let len = bytes.len().min(ifname.len() - 1);
    ifname[..len].copy_from_slice(&bytes[..len]);
    Ok(Meta {
        magic: META_MAGIC,
        abi_version: ABI_VERSION,
        abi_hash: ABI_HASH,
        epoch: epoch.id,
        attached_boot_ns: epoch.attached_boot_ns,
        boot_id: boot_id()?,
        program_sha256,
        sensor: Sensor::Xdp as u32,
        evidence: evidence as u32,
        xdp_mode: mode as u32,
        ifindex: target.ifindex,
        ncpu: u32::try_from(ncpu).context("an absurd number of CPUs")?,
        max_sources: settings.max_sources,
        ifname,
        dst_ports: *settings.ports.bitmap(),
        proof: settings.proof as u32,
        admits_first: settings.admits_first.into(),
        table: settings.table as u32,
        pad: 0,
    })
}

/// Puts the description of a cgroup together.
///
/// # Errors
/// When the number of possible CPUs or the boot id cannot be read.
pub fn describe_cgroup(
    cgroup: &Cgroup,
    settings: &cgroup_object::Settings,
    epoch: Epoch,
    evidence: Evidence,
    seed: u64,
    loaded: &cgroup_object::Loaded<'_>,
) -> Result<CgroupMeta> {
    let ncpu = libbpf_rs::num_possible_cpus().context("failed to count the possible CPUs")?;
    let mut path = [0; PATH_BYTES];
    let len = cgroup.path.len().min(PATH_BYTES - 1);
    path[..len].copy_from_slice(&cgroup.path.as_bytes()[..len]);
    let limits = settings.limits;
    let mut resolvers = [0; 16 * DNS_RESOLVERS];
    for (at, resolver) in resolvers.chunks_exact_mut(16).zip(&settings.resolvers) {
        at.copy_from_slice(&resolver.to_bytes());
    }
    Ok(CgroupMeta {
        magic: META_MAGIC,
        abi_version: CGROUP_ABI_VERSION,
        abi_hash: CGROUP_ABI_HASH,
        epoch: epoch.id,
        attached_boot_ns: epoch.attached_boot_ns,
        boot_id: boot_id()?,
        program_sha256: loaded.digest(),
        sensor: Sensor::Cgroup as u32,
        evidence: evidence as u32,
        missing: loaded.missing(),
        max_flows: settings.max_flows,
        ncpu: u32::try_from(ncpu).context("an absurd number of CPUs")?,
        max_owners: settings.max_owners,
        cgroup_id: cgroup.id,
        seed,
        state_hash: loaded.state_hash(),
        window_ns: limits.window_ns,
        volume_out_bytes: limits.volume_out_bytes,
        failed_connects: limits.failed_connects,
        zone_name_bytes: limits.zone_name_bytes,
        baseline_hash: settings.baseline_hash,
        regular_cv_percent: limits.regular_cv_percent,
        regular_count: limits.regular_count,
        internal_peer_bits: limits.internal_peer_bits,
        zone_name_bits: limits.zone_name_bits,
        nxdomain_zone_bits: limits.nxdomain_zone_bits,
        baseline_entries: settings.baseline_entries,
        max_names: settings.max_names,
        resolver_count: u32::try_from(settings.resolvers.len()).context("too many resolvers")?,
        dns_ports: settings.dns_ports,
        resolvers,
        path,
    })
}

/// CLOCK_BOOTTIME in nanoseconds.
#[must_use]
pub fn boot_ns() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let part = |value: i64| u64::try_from(value).unwrap_or_default();
    part(now.tv_sec) * 1_000_000_000 + part(now.tv_nsec)
}

/// The 16 bytes of this boot's id.
///
/// # Errors
/// When /proc does not tell.
pub fn boot_id() -> Result<[u8; 16]> {
    const PATH: &str = "/proc/sys/kernel/random/boot_id";
    let text = fs::read_to_string(PATH).with_context(|| format!("failed to read `{PATH}`"))?;
    parse_uuid(&text).with_context(|| format!("`{PATH}` does not hold a boot id"))
}

fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> = text
        .trim()
        .chars()
        .filter(|&c| c != '-')
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    (digits.len() == 32).then(|| bytes.try_into().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_id_reads_as_the_kernel_prints_it() {
        let id = parse_uuid("01234567-89ab-cdef-0123-456789abcdef\n").expect("valid");
        assert_eq!(ibsr_proto::abi::hex(&id), "0123456789abcdef0123456789abcdef");
        assert_eq!(parse_uuid("0123"), None);
        assert_eq!(parse_uuid("x1234567-89ab-cdef-0123-456789abcdef"), None);
        assert_eq!(parse_uuid(""), None);
    }
}
