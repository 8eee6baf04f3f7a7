// SPDX-License-Identifier: MIT OR Apache-2.0
//! What kernel and driver can do, and how a refusal of theirs reads. Asked by `attach` before
//! it makes anything, and by `check`.

use std::io;

use anyhow::{Context as _, Result};
use ibsr_cli::hint::{explain_bpf, refused_although_capable, with_hint};
use ibsr_proto::abi::XdpMode;

use crate::kernel;

/// Bit of `enum netdev_xdp_act`, `<linux/netdev.h>`: the driver runs XDP programs.
pub const ACT_BASIC: u64 = 1;
/// The same: the driver hands them frames of several buffers.
pub const ACT_RX_SG: u64 = 1 << 5;

/// Largest MTU that fits one page with XDP's headroom (256), the shared info at its end (320)
/// and an Ethernet header with one VLAN tag (18): 4096 - 256 - 320 - 18. Drivers differ by a
/// few bytes.
pub const SINGLE_BUFFER_MTU: u32 = 3502;

/// Refuses kernels without multi-buffer XDP.
///
/// # Errors
/// Naming the release that runs and the one that is needed.
pub fn require_frags() -> Result<()> {
    match kernel::probe_frags() {
        Ok(()) => Ok(()),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Err(with_hint(
            anyhow::anyhow!("kernel {} has no multi-buffer XDP (`xdp.frags`)", release()),
            "Linux 5.18 or newer is needed",
        )),
        Err(error) => Err(anyhow::Error::new(error))
            .context("failed to load a program of two instructions")
            .map_err(explain_bpf),
    }
}

/// Refuses kernels that the cgroup sensor is too new for. Multi-buffer XDP came with the release
/// that has all it needs, so the same question tells.
///
/// # Errors
/// Naming the release that runs and the one that is needed.
pub fn require_cgroup() -> Result<()> {
    match kernel::probe_frags() {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Err(with_hint(
            anyhow::anyhow!("kernel {} is too old for the cgroup sensor", release()),
            "Linux 5.18 or newer is needed; 6.1 is the oldest that is tested",
        )),
        _ => require_frags().and_then(|()| require_types()),
    }
}

/// The programs find fields of the kernel's structs by its types.
fn require_types() -> Result<()> {
    const PATH: &str = "/sys/kernel/btf/vmlinux";
    if std::path::Path::new(PATH).exists() {
        return Ok(());
    }
    Err(with_hint(
        anyhow::anyhow!("kernel {} has no `{PATH}`", release()),
        "a kernel with CONFIG_DEBUG_INFO_BTF is needed",
    ))
}

/// Release of the running kernel.
#[must_use]
pub fn release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// Whether a refused native attach means that the driver cannot do XDP at all, rather than
/// that it cannot do it now.
#[must_use]
pub fn driver_lacks_xdp(error: &io::Error, features: u64) -> bool {
    error.raw_os_error() == Some(libc::EOPNOTSUPP) && features & ACT_BASIC == 0
}

/// What the operator can do about a refused attach.
#[must_use]
pub fn explain_refusal(
    mtu: u32,
    ifname: &str,
    mode: XdpMode,
    error: &io::Error,
    features: u64,
) -> String {
    let is_single_buffer = features & ACT_RX_SG == 0;
    match (mode, error.raw_os_error()) {
        (_, Some(libc::EPERM)) => refused_although_capable(),
        (XdpMode::Native, Some(libc::EOPNOTSUPP)) if features & ACT_BASIC == 0 => {
            "the driver has no XDP: leave off `--mode native` to attach in the core".to_owned()
        }
        (XdpMode::Native, _) if mtu > SINGLE_BUFFER_MTU && is_single_buffer => format!(
            "the MTU is {mtu} and this driver has no multi-buffer XDP, which ends near {SINGLE_BUFFER_MTU}: \
             lower the MTU, or attach with `--mode generic`"
        ),
        (XdpMode::Native, _) => format!(
            "the driver refuses it now (MTU {mtu}; large receive offload, too few queues and header \
             split are the usual causes): see `dmesg` and `ibsr-loader check {ifname}`, or use `--mode generic`"
        ),
        (XdpMode::Generic, _) => {
            format!("see `dmesg` and `ibsr-loader check {ifname}`")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errno(number: i32) -> io::Error {
        io::Error::from_raw_os_error(number)
    }

    /// L7: a driver that has XDP but refuses now must not silently fall back to generic.
    #[test]
    fn only_a_driver_without_xdp_falls_back() {
        assert!(driver_lacks_xdp(&errno(libc::EOPNOTSUPP), 0));
        assert!(!driver_lacks_xdp(&errno(libc::EOPNOTSUPP), ACT_BASIC));
        assert!(!driver_lacks_xdp(&errno(libc::ERANGE), 0));
        assert!(!driver_lacks_xdp(&errno(libc::EINVAL), ACT_BASIC));
    }

    #[test]
    fn a_large_mtu_on_a_single_buffer_driver_states_the_bound() {
        let hint = explain_refusal(9000, "eth0", XdpMode::Native, &errno(libc::EINVAL), ACT_BASIC);
        assert!(hint.contains("9000") && hint.contains("3502") && hint.contains("--mode generic"));
        let hint = explain_refusal(
            9000,
            "eth0",
            XdpMode::Native,
            &errno(libc::EINVAL),
            ACT_BASIC | ACT_RX_SG,
        );
        assert!(!hint.contains("3502"), "{hint}");
        let hint = explain_refusal(1500, "eth0", XdpMode::Native, &errno(libc::EOPNOTSUPP), 0);
        assert!(hint.contains("no XDP"), "{hint}");
    }
}
