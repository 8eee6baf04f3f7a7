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
            "the memory limit of this cgroup or machine is too small: raise it or lower --max-sources",
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

/// The names nearest to `wanted`, best first, at most three.
#[must_use]
pub fn near_misses(wanted: &str, names: &[String]) -> Vec<String> {
    /// One slip of the finger counts 1, two swapped neighbours 2.
    const MAX_DISTANCE: usize = 2;
    let mut near: Vec<(usize, &String)> = names
        .iter()
        .map(|name| (distance(wanted.as_bytes(), name.as_bytes()), name))
        .filter(|(distance, name)| {
            *distance <= MAX_DISTANCE || name.starts_with(wanted) && !wanted.is_empty()
        })
        .collect();
    near.sort();
    near.into_iter().take(3).map(|(_, name)| name.clone()).collect()
}

/// Levenshtein distance, one row at a time. Interface names are at most 15 bytes.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, &from) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &to) in b.iter().enumerate() {
            let replace = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// `did you mean` and `the interfaces here are`, for a name that does not exist.
#[must_use]
pub fn missing_interface(wanted: &str, names: &[String]) -> String {
    match near_misses(wanted, names).as_slice() {
        [] => format!("the interfaces here are {}", names.join(", ")),
        near => format!("did you mean `{}`?", near.join("`, `")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_the_interface() {
        let names = ["lo", "eth0", "enp3s0", "wlan0"].map(str::to_owned);
        assert_eq!(near_misses("eht0", &names), ["eth0"]);
        assert_eq!(near_misses("enp3", &names), ["enp3s0"]);
        assert!(near_misses("dummy7", &names).is_empty());
        assert!(missing_interface("dummy7", &names).contains("wlan0"));
    }

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
