// SPDX-License-Identifier: MIT OR Apache-2.0
//! `check` and the questions that `attach` asks first: can this kernel, this driver and this
//! caller do it, and what would be touched.

use std::io;
use std::path::Path;

use anyhow::{Context as _, Result};
use ibsr_cli::Answer;
use ibsr_proto::abi::XdpMode;

use crate::cli::Format;
use crate::hint::{explain_bpf, with_hint};
use crate::kernel;

/// Bits of `enum netdev_xdp_act`, <linux/netdev.h>.
const ACT_BASIC: u64 = 1;
const ACT_RX_SG: u64 = 1 << 5;

/// Largest MTU that fits one page with XDP's headroom (256), the shared info at its end (320)
/// and an Ethernet header with one VLAN tag (18): 4096 - 256 - 320 - 18. Drivers differ by a
/// few bytes.
const SINGLE_BUFFER_MTU: u32 = 3502;

/// Refuses kernels without multi-buffer XDP.
///
/// # Errors
/// Naming the release that runs and the one that is needed.
pub fn require_frags() -> Result<()> {
    match kernel::probe_frags() {
        Ok(()) => Ok(()),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            let release = rustix::system::uname().release().to_string_lossy().into_owned();
            Err(with_hint(
                anyhow::anyhow!("kernel {release} has no multi-buffer XDP (`xdp.frags`)"),
                "Linux 5.18 or newer is needed",
            ))
        }
        Err(error) => Err(anyhow::Error::new(error))
            .context("failed to load a program of two instructions")
            .map_err(explain_bpf),
    }
}

/// Whether a refused native attach means that the driver cannot do XDP at all, rather than
/// that it cannot do it now.
pub fn driver_lacks_xdp(error: &io::Error, features: u64) -> bool {
    error.raw_os_error() == Some(libc::EOPNOTSUPP) && features & ACT_BASIC == 0
}

/// What the operator can do about a refused attach.
pub fn explain_refusal(ifname: &str, mode: XdpMode, error: &io::Error, features: u64) -> String {
    let mtu = kernel::mtu(ifname).unwrap_or_default();
    let is_single_buffer = features & ACT_RX_SG == 0;
    match (mode, error.raw_os_error()) {
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

/// Runs the subcommand.
pub fn run(_ifname: &str, _pin_root: &Path, _format: Format) -> Result<Answer> {
    Ok(Answer::No)
}
