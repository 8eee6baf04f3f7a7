// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the loader pins and the reader looks: the one list both sides use.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Default of `--pin-root`.
pub const PIN_ROOT: &str = "/sys/fs/bpf/ibsr";
/// Group that may read the pins.
pub const PIN_GROUP: &str = "ibsr";
/// Mode of the root and of every scope directory.
pub const DIR_MODE: u32 = 0o750;
/// Mode of map pins. The maps are frozen, so no writer is possible; 0640 lets the group read.
pub const MAP_MODE: u32 = 0o640;
/// Mode of the pin of a table that is read by mapping it, which the kernel allows on a
/// descriptor for writing only. The map is frozen, so nobody can write it.
pub const MAPPED_MODE: u32 = 0o660;
/// Mode of link pins: whoever may write one may detach the program.
pub const LINK_MODE: u32 = 0o600;

/// Pin of the attachment.
pub const LINK: &str = "link";
/// Pin of the program, mode [`LINK_MODE`]: it tells which of two directories the link uses.
pub const PROG: &str = "prog";
/// Pin of the one-entry description, [`crate::abi::Meta`].
pub const META: &str = "meta";
/// Pin of the table of proven sources.
pub const PROVEN: &str = "proven";
/// Pin of the table of the other sources.
pub const UNPROVEN: &str = "unproven";
/// Pin of the set-associative table of both.
pub const SETS: &str = "sets";
/// Pin of what stands apart of the sets.
pub const TAGS: &str = "tags";
/// Pin of the totals.
pub const TOTALS: &str = "totals";
/// Pin of what no source is charged with, by port.
pub const LOSSES: &str = "losses";
/// Pin of the SYNs that wait for their ACK.
pub const PENDING: &str = "pending";
/// Pin of the first packets that wait for the second of their source.
pub const DOOR: &str = "door";

/// Pin of the table of flows of a cgroup.
pub const FLOWS: &str = "flows";
/// Pin of the table of their owners.
pub const OWNERS: &str = "owners";
/// Pin of what is kept with each socket, private to the programs.
pub const SOCKETS: &str = "sockets";
/// Map of destinations of applications, of a cgroup.
pub const BEHAVIOUR: &str = "behaviour";
/// Map of applications, of a cgroup.
pub const APP_WINDOW: &str = "app_window";
/// Map of destinations that were there before, of a cgroup.
pub const BASELINE: &str = "baseline";
/// Map of zones of applications, of a cgroup.
pub const ZONES: &str = "zones";
/// Map of the texts of zones, of a cgroup.
pub const ZONE_TEXTS: &str = "zone_texts";
/// Totals of behaviour, of a cgroup.
pub const BEHAVIOUR_TOTALS: &str = "behaviour_totals";
/// Starts the name of the pin of each link of a cgroup, mode [`LINK_MODE`]; the rest is the
/// name of the program without `ibsr_`.
pub const LINK_PREFIX: &str = "link-";
/// Starts the name of the pin of each program of a cgroup, mode [`LINK_MODE`].
pub const PROG_PREFIX: &str = "prog-";

/// Programs of the cgroup sensor without `ibsr_`. All but `adopt`, which is run once, have a link.
pub const CGROUP_PROGS: [&str; 16] = [
    "ingress",
    "egress",
    "create",
    "release",
    "bind4",
    "bind6",
    "bound4",
    "bound6",
    "connect4",
    "connect6",
    "sendmsg4",
    "sendmsg6",
    "peername4",
    "peername6",
    "tcp",
    "adopt",
];

/// Pin of the names of addresses.
pub const NAMES: &str = "names";
/// Pin of the texts of names.
pub const NAME_TEXTS: &str = "texts";
/// Pin of the totals of DNS.
pub const DNS_TOTALS: &str = "dns";
/// Pin of the questions that wait for their answer; private to the programs.
pub const DNS_ASKED: &str = "asked";
/// Pin of the programs' scratch memory.
pub const SCRATCH: &str = "scratch";

/// The scope of the guard, and its directory below the pin root: there is one at most.
pub const GUARD: &str = "guard";
/// Pin of the ring of records of the guard, mode [`MAPPED_MODE`]: to read is to say how far, in a
/// page that is mapped for writing. The page of the records themselves cannot be.
pub const GUARD_RECORDS: &str = "ibsr_g_records";
/// Pin of the counts of the guard.
pub const GUARD_COUNTS: &str = "ibsr_g_counts";
/// Pin of the guard's control word.
pub const GUARD_CONTROL: &str = "ibsr_g_control";
/// Pin of what the guard's generations judge by.
pub const GUARD_GENERATION: &str = "ibsr_g_generation";
/// Empty directory beside the pins of the guard. Who consumes the ring holds its lock: two would
/// tear the records apart. The guard's own directory is locked by whoever changes the guard.
pub const GUARD_CONSUMER: &str = "consumer";

/// Starts the name of a directory that is being prepared.
const NEXT_PREFIX: &str = "next-";

/// A file under a scope directory that is a map: pin name and kernel name.
pub const XDP_MAPS: [(&str, &str); 9] = [
    (META, "ibsr_meta"),
    (PROVEN, "ibsr_proven"),
    (UNPROVEN, "ibsr_unproven"),
    (SETS, "ibsr_sets"),
    (TAGS, "ibsr_tags"),
    (TOTALS, "ibsr_totals"),
    (LOSSES, "ibsr_losses"),
    (PENDING, "ibsr_pending"),
    (DOOR, "ibsr_door"),
];

/// The same for the scope of a cgroup.
pub const CGROUP_MAPS: [(&str, &str); 16] = [
    (META, "ibsr_cg_meta"),
    (FLOWS, "ibsr_flows"),
    (OWNERS, "ibsr_owners"),
    (TOTALS, "ibsr_cg_totals"),
    (SOCKETS, "ibsr_sockets"),
    (NAMES, "ibsr_names"),
    (NAME_TEXTS, "ibsr_name_texts"),
    (DNS_TOTALS, "ibsr_dns_totals"),
    (DNS_ASKED, "ibsr_dns_asked"),
    (SCRATCH, "ibsr_scratch"),
    (BEHAVIOUR, "ibsr_behaviour"),
    (APP_WINDOW, "ibsr_app_window"),
    (BASELINE, "ibsr_baseline"),
    (ZONES, "ibsr_zones"),
    (ZONE_TEXTS, "ibsr_zone_texts"),
    (BEHAVIOUR_TOTALS, "ibsr_bh_totals"),
];

/// What one sensor observes: `xdp-<ifname>`, `cg-<name>` or `guard`. The name of its directory, and
/// the `scope` of its segments.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(String);

/// Why a text is not a scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a scope: use `xdp-<ifname>`, `cg-<name>` or `guard`, letters, digits and `_.:@-` only"
)]
pub struct ScopeError(String);

impl Scope {
    /// The scope of an interface.
    ///
    /// # Errors
    /// When the name holds a character that cannot stand in a file name of ours.
    pub fn xdp(ifname: &str) -> Result<Self, ScopeError> {
        format!("xdp-{ifname}").parse()
    }

    /// The scope of a cgroup.
    ///
    /// # Errors
    /// When the name holds a character that cannot stand in a file name of ours.
    pub fn cgroup(name: &str) -> Result<Self, ScopeError> {
        format!("cg-{name}").parse()
    }

    /// Whether it is that of a cgroup.
    #[must_use]
    pub fn is_cgroup(&self) -> bool {
        self.0.starts_with("cg-")
    }

    /// Whether it is that of the guard.
    #[must_use]
    pub fn is_guard(&self) -> bool {
        self.0 == GUARD
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The interface of an `xdp-` scope.
    #[must_use]
    pub fn ifname(&self) -> Option<&str> {
        self.0.strip_prefix("xdp-")
    }

    /// Directory of the pins: the scope, with `+` for each dot, which bpffs refuses in names.
    #[must_use]
    pub fn dir(&self, pin_root: &Path) -> PathBuf {
        pin_root.join(self.dir_name())
    }

    /// Directory in which the loader prepares what it will move to [`Self::dir`] in one step.
    /// Its name is no scope, so no reader ever looks there.
    #[must_use]
    pub fn next_dir(&self, pin_root: &Path) -> PathBuf {
        pin_root.join(format!("{NEXT_PREFIX}{}", self.dir_name()))
    }

    fn dir_name(&self) -> String {
        self.0.replace('.', "+")
    }

    /// The scope of a directory under the pin root, prepared ones included.
    #[must_use]
    pub fn of_dir_name(name: &str) -> Option<Self> {
        let name = name.strip_prefix(NEXT_PREFIX).unwrap_or(name);
        // The loader asks this of what it finds, and the guard's is none of its.
        if name.contains('.') || name == GUARD {
            return None;
        }
        name.replace('+', ".").parse().ok()
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        if text == GUARD {
            return Ok(Self(text.to_owned()));
        }
        let name = text.strip_prefix("xdp-").or_else(|| text.strip_prefix("cg-"));
        let is_plain = |name: &str| {
            !name.is_empty()
                && name.len() <= 64
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:@-".contains(&byte))
        };
        match name {
            Some(name) if is_plain(name) => Ok(Self(text.to_owned())),
            _ => Err(ScopeError(text.to_owned())),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a pin of this name may stand in the directory of a cgroup.
#[must_use]
pub fn is_cgroup_pin(name: &str) -> bool {
    let prog = name.strip_prefix(LINK_PREFIX).or_else(|| name.strip_prefix(PROG_PREFIX));
    prog.is_some_and(|prog| CGROUP_PROGS.contains(&prog))
        || CGROUP_MAPS.iter().any(|(pin, _)| *pin == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_one_plain_directory_name() {
        let scope = Scope::xdp("eth0.100").expect("a VLAN device");
        assert_eq!(scope.dir(Path::new(PIN_ROOT)), Path::new("/sys/fs/bpf/ibsr/xdp-eth0+100"));
        assert_eq!(scope.ifname(), Some("eth0.100"));
        assert!("guard".parse::<Scope>().is_ok_and(|scope| scope.is_guard()));
        assert_eq!(Scope::of_dir_name("guard"), None);
        for wrong in
            ["eth0", "guard-", "guards", "xdp-", "xdp-a/b", "xdp-a b", "cg-..\n", "../xdp-a"]
        {
            assert!(wrong.parse::<Scope>().is_err(), "{wrong:?}");
        }
    }

    /// bpffs answers EPERM to any name with a dot, and VLAN devices have one.
    #[test]
    fn no_directory_name_has_a_dot_and_each_reads_back() {
        for text in ["xdp-eth0.100", "xdp-eth0", "cg-a.service", "xdp-a.b.c"] {
            let scope: Scope = text.parse().expect("a scope");
            for dir in [scope.dir(Path::new("/r")), scope.next_dir(Path::new("/r"))] {
                let name = dir.file_name().and_then(|name| name.to_str()).expect("a name");
                assert!(!name.contains('.'), "{name}");
                assert_eq!(Scope::of_dir_name(name).as_ref(), Some(&scope));
            }
        }
        assert_eq!(Scope::of_dir_name("maps.debug"), None);
        assert_eq!(Scope::of_dir_name("next-other"), None);
    }
}
