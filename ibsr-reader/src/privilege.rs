// SPDX-License-Identifier: MIT OR Apache-2.0
//! Gives up rights before the first pin is opened: a seccomp filter under which bpf() only
//! reads, then every capability. The filter binds root too; it sees bpf()'s command, which
//! systemd's own filters cannot.
//!
//! CAP_BPF stays only where the kernel refuses to open a pin without it (5.8 to 5.18), and
//! only where the unit gave it.

use std::path::Path;

use anyhow::{Context as _, Result};
use caps::{CapSet, Capability};
use libbpf_rs::{ErrorKind, MapHandle};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};
use tracing::{info, warn};

/// The commands of bpf() that stay allowed: those that read.
const READING: [u32; 5] = [
    libbpf_sys::BPF_MAP_LOOKUP_ELEM,
    libbpf_sys::BPF_MAP_GET_NEXT_KEY,
    libbpf_sys::BPF_OBJ_GET,
    libbpf_sys::BPF_OBJ_GET_INFO_BY_FD,
    libbpf_sys::BPF_MAP_LOOKUP_BATCH,
];
/// Nothing can be there: the root directory is not a place for pins.
const NO_PIN: &str = "/.ibsr-no-pin";

/// Gives up what reading does not need and says what is left.
///
/// # Errors
/// When the filter cannot be installed. Capabilities that cannot be given up are a warning:
/// the unit's filter may forbid giving them up after it took them away.
pub fn confine() -> Result<()> {
    install_filter()?;
    let is_bpf_permitted = has(CapSet::Permitted, Capability::CAP_BPF);
    let needs_bpf = is_bpf_permitted && {
        let _none_left = caps::clear(None, CapSet::Effective);
        is_bpf_refused()
    };
    let keep = needs_bpf.then_some(Capability::CAP_BPF);
    if let Err(error) = keep_only(keep) {
        warn!("failed to give up capabilities: {error}");
    }
    report(keep.is_some());
    Ok(())
}

fn report(is_bpf_kept: bool) {
    let left = left();
    if is_bpf_kept {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        info!("CAP_BPF kept: kernel {release} needs it");
    } else if left.is_empty() {
        info!("reading without capabilities");
    } else {
        warn!("capabilities that are not needed are left: {}", left.join(" "));
    }
}

/// Whether this kernel refuses bpf() to a process without CAP_BPF: it then says so before
/// it looks at the path.
fn is_bpf_refused() -> bool {
    MapHandle::from_pinned_path_with_file_flags(Path::new(NO_PIN), libbpf_sys::BPF_F_RDONLY)
        .is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

/// Empties every set but for `keep`, in the order in which one needs the other. Asks for no
/// system call where nothing is to be done: the unit's filter forbids capset(2).
fn keep_only(keep: Option<Capability>) -> Result<(), caps::errors::CapsError> {
    let kept = || keep.into_iter().collect();
    if has(CapSet::Permitted, Capability::CAP_SETPCAP) {
        caps::raise(None, CapSet::Effective, Capability::CAP_SETPCAP)?;
        caps::clear(None, CapSet::Bounding)?;
    }
    for set in [CapSet::Ambient, CapSet::Inheritable] {
        if !is_empty(set) {
            caps::clear(None, set)?;
        }
    }
    for set in [CapSet::Effective, CapSet::Permitted] {
        if caps::read(None, set)? != kept() {
            caps::set(None, set, &kept())?;
        }
    }
    Ok(())
}

fn has(set: CapSet, capability: Capability) -> bool {
    caps::has_cap(None, set, capability).unwrap_or(false)
}

fn is_empty(set: CapSet) -> bool {
    caps::read(None, set).is_ok_and(|held| held.is_empty())
}

fn left() -> Vec<String> {
    let held = caps::read(None, CapSet::Permitted).unwrap_or_default();
    held.iter().map(ToString::to_string).collect()
}

/// Installs the filter on this thread; later threads inherit it. Also sets no_new_privs.
fn install_filter() -> Result<()> {
    let program = filter().context("failed to build the seccomp filter")?;
    seccompiler::apply_filter(&program).context("failed to install the seccomp filter")
}

/// bpf() with another command than those of [`READING`] fails with EPERM; every other
/// system call is the unit's business.
fn filter() -> Result<BpfProgram> {
    let is_not = |command| {
        SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, u64::from(command))
    };
    let conditions = READING.into_iter().map(is_not).collect::<Result<_, _>>()?;
    let refusal = (libc::SYS_bpf, vec![SeccompRule::new(conditions)?]);
    let filter = SeccompFilter::new(
        [refusal].into_iter().collect(),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM.unsigned_abs()),
        std::env::consts::ARCH.try_into()?,
    )?;
    Ok(filter.try_into()?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use libbpf_rs::{MapCore as _, MapFlags, MapType};
    use test_tag::tag;

    use super::*;

    fn make_map() -> libbpf_rs::Result<MapHandle> {
        let options = libbpf_sys::bpf_map_create_opts {
            sz: size_of::<libbpf_sys::bpf_map_create_opts>() as libbpf_sys::size_t,
            ..Default::default()
        };
        MapHandle::create(MapType::Array, Some("ibsr_test"), 4, 8, 1, &options)
    }

    /// R10: the filter binds a thread that keeps all of root's capabilities. What it could
    /// do a moment before, it can do no more; reading goes on.
    #[tag(root)]
    #[test]
    fn under_the_filter_root_can_read_maps_but_not_make_or_write_them() {
        let map = make_map().expect("root may make maps");
        let key = 0_u32.to_ne_bytes();
        map.update(&key, &7_u64.to_ne_bytes(), MapFlags::ANY).expect("root may write maps");
        std::thread::spawn(move || {
            install_filter().expect("filter");
            let made = make_map().expect_err("BPF_MAP_CREATE is refused");
            assert_eq!(made.kind(), ErrorKind::PermissionDenied);
            let written = map.update(&key, &8_u64.to_ne_bytes(), MapFlags::ANY);
            let written = written.expect_err("BPF_MAP_UPDATE_ELEM is refused");
            assert_eq!(written.kind(), ErrorKind::PermissionDenied);
            let frozen = map.freeze().expect_err("BPF_MAP_FREEZE is refused");
            assert_eq!(frozen.kind(), ErrorKind::PermissionDenied);
            let value = map.lookup(&key, MapFlags::ANY).expect("reading is allowed");
            assert_eq!(value, Some(7_u64.to_ne_bytes().to_vec()));
        })
        .join()
        .expect("the assertions held");
    }

    /// R10: nothing is left in any of the five sets.
    #[tag(root)]
    #[test]
    fn after_confinement_every_capability_set_is_empty() {
        std::thread::spawn(|| {
            confine().expect("confined");
            let status = fs::read_to_string("/proc/thread-self/status").expect("/proc");
            let value = |name: &str| {
                let line = status.lines().find(|line| line.starts_with(name)).expect("a line");
                line.split_whitespace().nth(1).expect("a value").to_owned()
            };
            for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
                assert_eq!(value(set), "0000000000000000", "{set}");
            }
            assert_eq!((value("Seccomp:"), value("NoNewPrivs:")), ("2".into(), "1".into()));
        })
        .join()
        .expect("the assertions held");
    }

    #[test]
    fn a_kernel_that_lets_anyone_read_does_not_refuse_the_probe() {
        // This machine's kernel is newer than 5.18.
        assert!(!is_bpf_refused());
    }
}
