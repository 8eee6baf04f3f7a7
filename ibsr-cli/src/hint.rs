// SPDX-License-Identifier: MIT OR Apache-2.0
//! Errors that the operator can fix: one line of what, a second line of what to do.
//!
//! Pure text, except for the two small reads that explain a refused bpf() call.

use std::fmt::Display;
use std::fs;
use std::io;

/// `error` with a last line that says what to do.
#[must_use]
pub fn with_hint(error: anyhow::Error, hint: impl Display) -> anyhow::Error {
    anyhow::anyhow!("{error:#}\nhint: {hint}")
}

/// Adds what usually stands behind an errno of bpf(), when something does.
#[must_use]
pub fn explain_bpf(error: anyhow::Error) -> anyhow::Error {
    let errno = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<io::Error>())
        .and_then(io::Error::raw_os_error);
    match errno {
        Some(libc::EPERM) => with_hint(error, refused_although_capable()),
        Some(libc::ENOMEM) => with_hint(
            error,
            "the memory limit of this cgroup or machine is too small: raise it, or ask for smaller tables",
        ),
        Some(libc::ENOSYS) => with_hint(error, "this kernel was built without CONFIG_BPF_SYSCALL"),
        _ => error,
    }
}

/// The capabilities were there, so something else says no.
#[must_use]
pub fn refused_although_capable() -> String {
    let lockdown = fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uid_map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    why_refused(&lockdown, &status, &uid_map).to_owned()
}

fn why_refused(lockdown: &str, status: &str, uid_map: &str) -> &'static str {
    let has_seccomp = status
        .lines()
        .find_map(|line| line.strip_prefix("Seccomp:"))
        .is_some_and(|mode| mode.trim() == "2");
    let is_initial_userns = uid_map.split_whitespace().eq(["0", "0", "4294967295"]);
    if lockdown.contains("[confidentiality]") {
        "kernel lockdown is in confidentiality mode, which refuses bpf(): boot with lockdown=integrity"
    } else if has_seccomp {
        "a seccomp filter refuses bpf(): allow it, in a unit with `SystemCallFilter=bpf` as the last line"
    } else if !uid_map.is_empty() && !is_initial_userns {
        "this is a user namespace, where CAP_BPF does not count: run in the initial one"
    } else {
        "a security module (SELinux, AppArmor, a bpf LSM) may refuse bpf(): see the audit log"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each cause must win over the vaguer ones below it.
    #[test]
    fn a_refused_call_is_explained_by_its_narrowest_cause() {
        let root = "         0          0 4294967295\n";
        assert!(why_refused("none integrity [confidentiality]", "", root).contains("lockdown"));
        assert!(why_refused("", "Name:\tx\nSeccomp:\t2\n", root).contains("seccomp"));
        assert!(why_refused("", "Seccomp:\t0\n", "0 1000 1\n").contains("user namespace"));
        assert!(why_refused("[none]", "Seccomp:\t0\n", root).contains("security module"));
    }

    #[test]
    fn a_hint_is_the_last_line() {
        let error = anyhow::anyhow!("cause").context("failed to load");
        assert_eq!(format!("{:#}", with_hint(error, "do x")), "failed to load: cause\nhint: do x");
    }
}
