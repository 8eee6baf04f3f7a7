// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the id of a cgroup to its path and its container. An id is the inode of a folder below
//! the mount of cgroup2, and no call without rights leads from one to the other, so the folders
//! are walked: when an id is met that is not known, and twice a sweep at most.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use ibsr_proto::container::Container;

use crate::clock::boot_ns;

/// Ids that are remembered, the dead ones too: with paths of 100 bytes some 12 MiB. More than
/// that and all are forgotten; a walk knows no more either.
const MAX_KNOWN: usize = 1 << 16;
/// Longest path that is walked into (PATH_MAX).
const MAX_PATH_BYTES: usize = 4096;
/// A cgroup that was made during the first walk of a sweep is found by the second.
const WALKS_PER_SWEEP: u32 = 2;
/// Id of the topmost cgroup, where it is in sight: the first inode of the file system.
const ROOT_ID: u64 = 1;

/// What is known of a cgroup.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    /// Path below the mount, with a slash in front.
    pub path: Box<str>,
    container: Option<Container<'static>>,
}

impl Place {
    fn new(path: &str) -> Self {
        let container = Container::of_path(path).map(Container::into_owned);
        Self { path: path.into(), container }
    }

    /// The container that the path names.
    #[must_use]
    pub fn container(&self) -> Option<Container<'_>> {
        self.container.as_ref().map(Container::borrowed)
    }
}

/// Paths of cgroups.
#[derive(Debug)]
pub struct Paths {
    /// Where cgroup2 is mounted; `None`: nowhere in sight.
    mount: Option<PathBuf>,
    /// `None`: looked for and gone.
    known: HashMap<u64, Option<Place>>,
    /// When the last walk began.
    walked_boot_ns: Option<u64>,
    walks_left: u32,
}

impl Paths {
    /// Below the mount of cgroup2 that this process sees.
    #[must_use]
    pub fn of_this_process() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        Self::below(mount_point(&mounts))
    }

    fn below(mount: Option<PathBuf>) -> Self {
        Self { mount, known: HashMap::new(), walked_boot_ns: None, walks_left: WALKS_PER_SWEEP }
    }

    /// A sweep begins.
    pub fn begin_sweep(&mut self) {
        self.walks_left = WALKS_PER_SWEEP;
    }

    /// The cgroup `id`, which somebody was in at `seen_boot_ns`; `None` when it was gone before
    /// it was looked for, or is out of sight.
    pub fn get(&mut self, id: u64, seen_boot_ns: u64) -> Option<&Place> {
        if id != 0 && !self.known.contains_key(&id) {
            self.look_for(id, seen_boot_ns);
        }
        self.known(id)
    }

    /// The cgroup `id` as far as it is known by now.
    #[must_use]
    pub fn known(&self, id: u64) -> Option<&Place> {
        self.known.get(&id)?.as_ref()
    }

    /// An id that was in use before a walk began, and that the walk did not find, is dead: ids
    /// are not used twice. So the dead cost no further walk.
    fn look_for(&mut self, id: u64, seen_boot_ns: u64) {
        let was_walked = |walked: Option<u64>| walked.is_some_and(|walked| seen_boot_ns < walked);
        if !was_walked(self.walked_boot_ns) && self.walks_left > 0 {
            self.walks_left -= 1;
            self.walk();
        }
        if was_walked(self.walked_boot_ns) && self.known.len() < MAX_KNOWN {
            self.known.entry(id).or_insert(None);
        }
    }

    fn walk(&mut self) {
        self.walked_boot_ns = Some(boot_ns());
        let Some(mount) = &self.mount else { return };
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        let Ok(root) = fs::metadata(mount) else { return };
        self.known.insert(root.ino(), Some(Place::new("/")));
        // Paths to look into, relative to the mount; what vanishes meanwhile is passed over.
        let mut waiting = vec![String::new()];
        while let Some(path) = waiting.pop() {
            let Ok(entries) = fs::read_dir(mount.join(path.trim_start_matches('/'))) else {
                continue;
            };
            for entry in entries.flatten() {
                let is_cgroup = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if !is_cgroup || self.known.len() >= MAX_KNOWN {
                    continue;
                }
                let path = format!("{path}/{}", entry.file_name().to_string_lossy());
                self.known.entry(entry.ino()).or_insert_with(|| Some(Place::new(&path)));
                if path.len() < MAX_PATH_BYTES {
                    waiting.push(path);
                }
            }
        }
    }

    /// Whether the cgroup `id` at `path` exists; `None` when that cannot be told from here.
    #[must_use]
    pub fn is_there(&self, id: u64, path: &str) -> Option<bool> {
        let mount = self.mount.as_ref()?;
        let inode = |path: &Path| fs::metadata(path).ok().map(|it| it.ino());
        let found = inode(&mount.join(path.trim_start_matches('/'))) == Some(id);
        // From inside of a cgroup namespace a path leads elsewhere.
        (found || inode(mount) == Some(ROOT_ID)).then_some(found)
    }
}

/// Where cgroup2 is mounted, from `/proc/self/mountinfo`: the first mount of the whole, or else
/// the first.
fn mount_point(mounts: &str) -> Option<PathBuf> {
    let cgroup2 = || {
        mounts.lines().filter_map(|line| {
            let (mount, file_system) = line.split_once(" - ")?;
            let mut fields = mount.split(' ').skip(3);
            let (root, at) = (fields.next()?, fields.next()?);
            (file_system.split(' ').next() == Some("cgroup2")).then_some((root, at))
        })
    };
    let whole = cgroup2().find(|(root, _)| *root == "/");
    whole.or_else(|| cgroup2().next()).map(|(_, at)| PathBuf::from(unescaped(at)))
}

/// The kernel writes blanks, tabs, line feeds and backslashes in octal.
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4b1e0f3a5c7d9e8b6a2f1c0d3e5f7a9b8c6d4e2f0a1b3c5d7e9f8a6b4c2d0e1f";

    fn inode(path: &Path) -> u64 {
        fs::metadata(path).expect("it exists").ino()
    }

    /// Any file system has inodes: a folder stands for the mount.
    fn mount() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        let scope = dir.path().join(format!("system.slice/docker-{ID}.scope"));
        fs::create_dir_all(scope).expect("made");
        fs::write(dir.path().join("system.slice/cgroup.procs"), "").expect("written");
        dir
    }

    #[test]
    fn an_id_becomes_a_path_and_a_container() {
        let dir = mount();
        let mut paths = Paths::below(Some(dir.path().to_owned()));
        let (top, slice) = (inode(dir.path()), inode(&dir.path().join("system.slice")));
        assert_eq!(&*paths.get(slice, 0).expect("found").path, "/system.slice");
        assert_eq!(&*paths.get(top, 0).expect("found").path, "/");
        let scope = inode(&dir.path().join(format!("system.slice/docker-{ID}.scope")));
        let container = paths.get(scope, 0).and_then(Place::container).expect("a container");
        assert_eq!((&*container.runtime, &*container.id), ("docker", ID));
        assert_eq!(paths.walks_left, WALKS_PER_SWEEP - 1, "one walk found them all");
        let file = inode(&dir.path().join("system.slice/cgroup.procs"));
        assert_eq!(paths.get(file, 0), None, "a file is no cgroup");
        assert_eq!(paths.get(0, 0), None);
    }

    /// Hosts that start a container a second have many rows of dead cgroups.
    #[test]
    fn the_dead_cost_no_walk_and_the_new_are_found_in_the_same_sweep() {
        let dir = mount();
        let mut paths = Paths::below(Some(dir.path().to_owned()));
        for dead in 1..100 {
            assert_eq!(paths.get(u64::MAX - dead, 0), None);
        }
        assert_eq!(paths.walks_left, WALKS_PER_SWEEP - 1);
        let young = dir.path().join("young");
        fs::create_dir(&young).expect("made");
        assert_eq!(&*paths.get(inode(&young), boot_ns()).expect("found").path, "/young");
        assert_eq!(paths.walks_left, WALKS_PER_SWEEP - 2);
        let later = dir.path().join("later");
        fs::create_dir(&later).expect("made");
        assert_eq!(paths.get(inode(&later), boot_ns()), None, "not more walks than that");
        paths.begin_sweep();
        assert_eq!(&*paths.get(inode(&later), boot_ns()).expect("found").path, "/later");
    }

    /// A cgroup that is gone is still known by its name in the rows that come after.
    #[test]
    fn a_path_that_was_found_outlives_its_cgroup() {
        let dir = mount();
        let mut paths = Paths::below(Some(dir.path().to_owned()));
        let brief = dir.path().join("brief");
        fs::create_dir(&brief).expect("made");
        let id = inode(&brief);
        assert!(paths.get(id, 0).is_some());
        assert_eq!(paths.is_there(id, "/brief"), Some(true));
        fs::remove_dir(&brief).expect("removed");
        paths.begin_sweep();
        assert_eq!(&*paths.get(id, boot_ns()).expect("known").path, "/brief");
        assert_eq!(paths.is_there(id, "/brief"), None, "this folder is not the whole");
    }

    #[test]
    fn the_mount_of_the_whole_is_preferred() {
        let hybrid = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                      32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                      41 31 0:38 /docker/x /mnt/a\\040b rw,relatime shared:9 - cgroup2 cgroup2 rw\n";
        assert_eq!(mount_point(hybrid), Some("/mnt/a b".into()));
        let whole = format!("{hybrid}42 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 none rw\n");
        assert_eq!(mount_point(&whole), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(mount_point("31 23 0:28 / / rw - tmpfs tmpfs rw\n\n"), None);
    }
}
