// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether the program is still attached, seen from outside: the pin of the link, the
//! interface in sysfs, and the program's own count.
//!
//! The link itself cannot be asked: its pin is closed to this user, because whoever may
//! open it may detach. And it would not tell: the link of a deleted interface looks healthy.

use std::fs;
use std::path::{Path, PathBuf};

use ibsr_proto::abi::Meta;
use ibsr_proto::pins;

const SYS_CLASS_NET: &str = "/sys/class/net";

/// Where an interface is looked for.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its directory, when the operator named one.
    net_dir: Option<PathBuf>,
    name: String,
    index: u32,
}

/// An interface that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its name now.
    pub name: String,
    /// Its receive counter.
    pub rx_packets: Option<u64>,
}

impl Place {
    /// The interface that `meta` names; `net_dir` replaces `/sys/class/net/<ifname>`.
    #[must_use]
    pub fn new(meta: &Meta, net_dir: Option<&Path>) -> Self {
        Self { net_dir: net_dir.map(Path::to_owned), name: meta.ifname(), index: meta.ifindex }
    }

    /// Whether not seeing the interface means anything. Not for a sensor without one, and
    /// not for a directory that the operator named and that never showed it: the place may
    /// be the wrong one, or a mount of an interface that is gone while its namesake lives.
    #[must_use]
    pub const fn is_telling(&self, was_seen: bool) -> bool {
        self.index != 0 && (was_seen || self.net_dir.is_none())
    }

    /// The interface, when one with the index of the attachment is in sight. A namesake that
    /// was made anew has another index and is not it; a renamed one keeps its index.
    #[must_use]
    pub fn look(&self) -> Option<Seen> {
        let named = match &self.net_dir {
            Some(dir) => dir.clone(),
            None => Path::new(SYS_CLASS_NET).join(&self.name),
        };
        if read_number(&named.join("ifindex")) == Some(u64::from(self.index)) {
            return Some(seen(&named, self.name.clone()));
        }
        if self.net_dir.is_some() {
            return None;
        }
        self.look_everywhere(Path::new(SYS_CLASS_NET))
    }

    fn look_everywhere(&self, class_net: &Path) -> Option<Seen> {
        fs::read_dir(class_net).ok()?.flatten().find_map(|entry| {
            let is_it = read_number(&entry.path().join("ifindex")) == Some(u64::from(self.index));
            is_it.then(|| seen(&entry.path(), entry.file_name().to_string_lossy().into_owned()))
        })
    }
}

fn seen(dir: &Path, name: String) -> Seen {
    Seen { name, rx_packets: read_number(&dir.join("statistics/rx_packets")) }
}

fn read_number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Whether the link is pinned. Needs no right on the pin itself.
#[must_use]
pub fn is_link_pinned(scope_dir: &Path) -> bool {
    fs::symlink_metadata(scope_dir.join(pins::LINK)).is_ok()
}

/// Whether the program is attached: its link must be pinned, and its interface not missing
/// or its count advancing (an interface that moved to another namespace is out of sight).
#[must_use]
pub const fn is_attached(link_pinned: bool, is_missing: bool, count_advanced: bool) -> bool {
    link_pinned && (!is_missing || count_advanced)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// L6: out of sight but counting is attached; in sight without a link is not.
    #[test]
    fn attached_needs_the_link_and_one_sign_of_the_interface() {
        assert!(is_attached(true, false, false));
        assert!(is_attached(true, true, true));
        assert!(!is_attached(true, true, false));
        assert!(!is_attached(false, false, true));
    }

    fn make(dir: &Path, name: &str, index: u32) {
        let at = dir.join(name);
        fs::create_dir_all(at.join("statistics")).expect("a directory");
        fs::write(at.join("ifindex"), format!("{index}\n")).expect("a file");
        fs::write(at.join("statistics/rx_packets"), "77\n").expect("a file");
    }

    fn place(net_dir: Option<PathBuf>) -> Place {
        Place { net_dir, name: "eth0".to_owned(), index: 5 }
    }

    /// L5, L6: the index decides, not the name.
    #[test]
    fn a_namesake_with_another_index_is_not_the_interface() {
        let dir = tempfile::tempdir().expect("a directory");
        make(dir.path(), "eth0", 9);
        make(dir.path(), "wan0", 5);
        assert_eq!(place(Some(dir.path().join("eth0"))).look(), None);
        assert_eq!(place(Some(dir.path().join("absent"))).look(), None);
        assert!(place(None).is_telling(false));
        let seen = Some(Seen { name: "wan0".to_owned(), rx_packets: Some(77) });
        assert_eq!(place(None).look_everywhere(dir.path()), seen);
    }

    /// A unit's mount of a deleted interface must not make its namesake look detached
    /// whenever nobody sends.
    #[test]
    fn a_named_directory_tells_nothing_until_it_showed_the_interface() {
        let named = place(Some(PathBuf::from("/run/ibsr/net")));
        assert!(!named.is_telling(false));
        assert!(named.is_telling(true));
        assert!(!Place { index: 0, ..place(None) }.is_telling(true));
    }
}
