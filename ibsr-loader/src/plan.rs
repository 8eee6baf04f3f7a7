// SPDX-License-Identifier: MIT OR Apache-2.0
//! What to do, given what is there and what is wanted. Values in, a value out: nothing here
//! asks the kernel.

use std::fmt;

use ibsr_proto::abi::{Evidence, XdpMode};

/// The state of a pinned link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// There is none: an attach that did not get to its end.
    Missing,
    /// Its interface or cgroup was deleted.
    Gone,
    /// It feeds the program there.
    Live {
        /// Number of the link.
        id: u32,
        /// Interface index, or id of the cgroup.
        target: u64,
    },
}

/// A scope that is there, with what an operator chose about its sensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current<S> {
    /// Its link.
    pub link: LinkState,
    /// Its description; `None` when another release wrote it or it is missing.
    pub described: Option<Described<S>>,
}

/// What the description of a scope says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described<S> {
    /// What the operator chose.
    pub settings: S,
    /// How it is attached; `None` where there is only one way.
    pub mode: Option<XdpMode>,
    /// The boot in which it was attached.
    pub boot_id: [u8; 16],
    /// Digest of the program.
    pub digest: [u8; 32],
    /// How strongly the maps are bound.
    pub evidence: Evidence,
    /// Whether every pin is there and is what its name says.
    pub is_whole: bool,
}

/// What `attach` was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted<S> {
    /// Interface index, or id of the cgroup.
    pub target: u64,
    /// What the operator chose.
    pub settings: S,
    /// `--evidence`.
    pub evidence: Evidence,
    /// `--mode`.
    pub mode: Option<XdpMode>,
    /// This boot.
    pub boot_id: [u8; 16],
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// Nothing is there: attach.
    Fresh,
    /// What is there cannot go on: remove it, attach.
    Replace(Why),
    /// Same settings: keep the maps. Nothing to do when the program is the same too.
    SameMaps,
    /// The link stays, the program gets new maps and a new epoch.
    NewMaps(Why),
    /// The scope observes another interface or cgroup.
    OtherTarget(u64),
}

/// The reason for replacing something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// No link was pinned.
    Unfinished,
    /// The interface or the cgroup of the link was deleted.
    TargetDeleted,
    /// The description names another boot.
    OtherBoot,
    /// `--mode` asks for another one; a link cannot change it.
    OtherMode,
    /// Ports, table, capacity, proof or admission differ.
    OtherSettings,
    /// The maps are of another release, or a pin is missing.
    OtherLayout,
    /// The maps are exclusive, or depend on the seed, and the program is another one.
    Bound,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unfinished => "an attach did not get to its end",
            Self::TargetDeleted => "what it was attached to was deleted",
            Self::OtherBoot => "it was attached in another boot",
            Self::OtherMode => "it is attached in the other mode",
            Self::OtherSettings => "the settings differ",
            Self::Bound => "its maps are bound to the program before",
            Self::OtherLayout => "its maps are of another release or incomplete",
        })
    }
}

/// Chooses. Whether [`Course::SameMaps`] changes anything depends on the program's digest,
/// which is only known once the new program is prepared on those maps.
#[must_use]
pub fn choose<S: PartialEq>(current: Option<&Current<S>>, wanted: &Wanted<S>) -> Course {
    let Some(current) = current else { return Course::Fresh };
    let target = match current.link {
        LinkState::Missing => return Course::Replace(Why::Unfinished),
        LinkState::Gone => return Course::Replace(Why::TargetDeleted),
        LinkState::Live { target, .. } => target,
    };
    if target != wanted.target {
        return Course::OtherTarget(target);
    }
    let Some(described) = &current.described else { return Course::NewMaps(Why::OtherLayout) };
    if described.boot_id != wanted.boot_id {
        return Course::Replace(Why::OtherBoot);
    }
    if wanted.mode.is_some() && wanted.mode != described.mode {
        return Course::Replace(Why::OtherMode);
    }
    if !described.is_whole {
        return Course::NewMaps(Why::OtherLayout);
    }
    if described.settings != wanted.settings {
        return Course::NewMaps(Why::OtherSettings);
    }
    Course::SameMaps
}

/// What a prepared directory beside the published one means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leftover {
    /// The link feeds its program: an upgrade died before the swap. Swap, then remove.
    Swap,
    /// It counts nothing: remove it.
    Remove,
}

/// Decides over a prepared directory from the program that the link feeds and the program
/// that the prepared directory pins.
#[must_use]
pub fn leftover(link_prog_id: Option<u32>, prepared_prog_id: Option<u32>) -> Leftover {
    match (link_prog_id, prepared_prog_id) {
        (Some(fed), Some(prepared)) if fed == prepared => Leftover::Swap,
        _ => Leftover::Remove,
    }
}

#[cfg(test)]
mod tests {
    use ibsr_proto::ports::PortSet;

    use ibsr_proto::abi::{ProofKind, Table};

    use super::*;
    use crate::object::xdp::Settings;

    fn settings() -> Settings {
        Settings {
            ports: PortSet::all(),
            table: Table::Lru,
            max_sources: 1000,
            proof: ProofKind::Socket,
            admits_first: false,
        }
    }

    fn wanted() -> Wanted<Settings> {
        Wanted {
            target: 5,
            settings: settings(),
            evidence: Evidence::Exclusive,
            mode: None,
            boot_id: [1; 16],
        }
    }

    fn current() -> Current<Settings> {
        Current {
            link: LinkState::Live { id: 9, target: 5 },
            described: Some(Described {
                settings: settings(),
                mode: Some(XdpMode::Native),
                boot_id: [1; 16],
                digest: [7; 32],
                evidence: Evidence::Frozen,
                is_whole: true,
            }),
        }
    }

    fn changed(change: impl FnOnce(&mut Described<Settings>)) -> Current<Settings> {
        let mut current = current();
        change(current.described.as_mut().expect("described"));
        current
    }

    #[test]
    fn nothing_there_is_a_first_attach() {
        assert_eq!(choose(None, &wanted()), Course::Fresh);
    }

    #[test]
    fn the_same_settings_keep_the_maps() {
        assert_eq!(choose(Some(&current()), &wanted()), Course::SameMaps);
        let native = Wanted { mode: Some(XdpMode::Native), ..wanted() };
        assert_eq!(choose(Some(&current()), &native), Course::SameMaps);
    }

    #[test]
    fn what_counts_nothing_is_replaced() {
        let unfinished = Current { link: LinkState::Missing, ..current() };
        assert_eq!(choose(Some(&unfinished), &wanted()), Course::Replace(Why::Unfinished));
        let gone = Current { link: LinkState::Gone, ..current() };
        assert_eq!(choose(Some(&gone), &wanted()), Course::Replace(Why::TargetDeleted));
    }

    /// L9: bpffs does not outlive a boot, but a description of another one must never be
    /// continued: the boot clock started anew.
    #[test]
    fn a_description_of_another_boot_is_never_continued() {
        let other = changed(|described| described.boot_id = [2; 16]);
        assert_eq!(choose(Some(&other), &wanted()), Course::Replace(Why::OtherBoot));
    }

    #[test]
    fn other_settings_or_another_release_keep_the_link_and_get_new_maps() {
        let ports = changed(|described| described.settings.max_sources = 1);
        assert_eq!(choose(Some(&ports), &wanted()), Course::NewMaps(Why::OtherSettings));
        let broken = changed(|described| described.is_whole = false);
        assert_eq!(choose(Some(&broken), &wanted()), Course::NewMaps(Why::OtherLayout));
        let foreign = Current { described: None, ..current() };
        assert_eq!(choose(Some(&foreign), &wanted()), Course::NewMaps(Why::OtherLayout));
    }

    /// A renamed interface keeps its link under the old scope; a new interface of the old
    /// name must not take that link's place.
    #[test]
    fn a_link_to_another_interface_is_left_alone() {
        let other = Wanted { target: 6, ..wanted() };
        assert_eq!(choose(Some(&current()), &other), Course::OtherTarget(5));
    }

    #[test]
    fn another_mode_needs_another_link() {
        let generic = Wanted { mode: Some(XdpMode::Generic), ..wanted() };
        assert_eq!(choose(Some(&current()), &generic), Course::Replace(Why::OtherMode));
    }

    #[test]
    fn a_prepared_directory_is_swapped_in_only_when_the_link_feeds_it() {
        assert_eq!(leftover(Some(4), Some(4)), Leftover::Swap);
        assert_eq!(leftover(Some(4), Some(5)), Leftover::Remove);
        assert_eq!(leftover(None, None), Leftover::Remove);
        assert_eq!(leftover(None, Some(5)), Leftover::Remove);
        assert_eq!(leftover(Some(4), None), Leftover::Remove);
    }
}
