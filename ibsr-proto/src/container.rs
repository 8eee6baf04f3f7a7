// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which container a cgroup belongs to, from its path alone: each runtime names the cgroups
//! that it makes in its own way. Pure; asks no runtime.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// A container as its cgroup names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container<'a> {
    /// `docker`, `containerd`, `cri-o`, `podman`, `nspawn`, `machined` for what registered with
    /// it, or `kubernetes` where the path tells of a pod and not of the runtime.
    pub runtime: Cow<'a, str>,
    /// Id of the container, or name of the machine; what the runtime's own commands take.
    pub id: Cow<'a, str>,
    /// UID of the pod, with dashes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<Cow<'a, str>>,
}

/// Digits of an id, which is a SHA-256.
const ID_DIGITS: usize = 64;
/// Digits of a UID, without and with its dashes.
const UID_DIGITS: usize = 32;
const UID_BYTES: usize = 36;
const DASH: &str = "\\x2d";

/// How systemd units of containers begin, and whose they are.
const UNITS: [(&str, &str); 4] = [
    ("docker-", "docker"),
    ("cri-containerd-", "containerd"),
    ("crio-", "cri-o"),
    ("libpod-", "podman"),
];

impl<'a> Container<'a> {
    /// The innermost container of the cgroup `path`; `None` where no part of it names one.
    #[must_use]
    pub fn of_path(path: &'a str) -> Option<Self> {
        let pod = path.split('/').rev().find_map(pod_of);
        let mut parent = "";
        let mut found = None;
        for part in path.split('/') {
            found = named(part, parent).or(found);
            parent = part;
        }
        let (runtime, id) = found?;
        let runtime = if pod.is_some() && runtime.is_empty() { "kubernetes" } else { runtime };
        // systemd spells a dash so where a dash would mean something in the name of a unit.
        let id = if id.contains(DASH) { id.replace(DASH, "-").into() } else { id.into() };
        (!runtime.is_empty()).then(|| Self { runtime: runtime.into(), id, pod })
    }
}

impl Container<'_> {
    /// Itself, without what it borrows.
    #[must_use]
    pub fn into_owned(self) -> Container<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Container { runtime: owned(self.runtime), id: owned(self.id), pod: self.pod.map(owned) }
    }

    /// The same, borrowed.
    #[must_use]
    pub fn borrowed(&self) -> Container<'_> {
        Container {
            runtime: Cow::Borrowed(&self.runtime),
            id: Cow::Borrowed(&self.id),
            pod: self.pod.as_deref().map(Cow::Borrowed),
        }
    }
}

/// Runtime and id of one part of a path; the runtime is empty where only a pod can tell.
fn named<'a>(part: &'a str, parent: &str) -> Option<(&'static str, &'a str)> {
    if let Some(unit) = part.strip_suffix(".scope") {
        let runtime = UNITS.iter().find_map(|(prefix, runtime)| {
            unit.strip_prefix(prefix).filter(|id| is_id(id)).map(|id| (*runtime, id))
        });
        return runtime.or_else(|| machine("machined", unit.strip_prefix("machine-")?));
    }
    if let Some(name) =
        part.strip_prefix("systemd-nspawn@").and_then(|it| it.strip_suffix(".service"))
    {
        return machine("nspawn", name);
    }
    if let Some(id) = part.strip_prefix("libpod-").filter(|id| is_id(id)) {
        return Some(("podman", id));
    }
    if !is_id(part) {
        return None;
    }
    // Without systemd a runtime makes a folder of its own, and the id is the name below it.
    Some(match parent {
        "docker" => ("docker", part),
        "libpod_parent" => ("podman", part),
        _ => ("", part),
    })
}

fn machine<'a>(runtime: &'static str, name: &'a str) -> Option<(&'static str, &'a str)> {
    (!name.is_empty()).then_some((runtime, name))
}

fn is_id(text: &str) -> bool {
    text.len() == ID_DIGITS && text.bytes().all(is_digit)
}

fn is_digit(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// UID in `pod<uid>` (cgroupfs) or `kubepods-…-pod<uid>.slice` (systemd, `_` for each dash).
fn pod_of(part: &str) -> Option<Cow<'_, str>> {
    let stem = part.strip_suffix(".slice");
    let uid = match stem {
        Some(stem) => stem.strip_prefix("kubepods")?.rsplit_once("-pod")?.1,
        None => part.strip_prefix("pod")?,
    };
    let digits = uid.bytes().filter(|byte| is_digit(*byte)).count();
    let dashes = uid.bytes().filter(|byte| matches!(byte, b'-' | b'_')).count();
    let is_uid = digits == UID_DIGITS && digits + dashes == uid.len();
    // Pods that are read from a file have a hash without dashes in place of a UID.
    let is_uid = is_uid && (uid.len() == UID_BYTES || dashes == 0);
    is_uid.then(|| if uid.contains('_') { uid.replace('_', "-").into() } else { uid.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4b1e0f3a5c7d9e8b6a2f1c0d3e5f7a9b8c6d4e2f0a1b3c5d7e9f8a6b4c2d0e1f";
    const UID: &str = "0fd1a9ab-2f3c-4f0e-9f0b-5a1c2d3e4f50";

    #[track_caller]
    fn assert_names(path: &str, runtime: &str, id: &str, pod: Option<&str>) {
        let container = Container::of_path(path).unwrap_or_else(|| panic!("`{path}` names one"));
        assert_eq!((&*container.runtime, &*container.id), (runtime, id), "{path}");
        assert_eq!(container.pod.as_deref(), pod, "{path}");
    }

    #[test]
    fn each_runtime_is_known_by_its_names() {
        assert_names(&format!("/system.slice/docker-{ID}.scope"), "docker", ID, None);
        assert_names(&format!("/docker/{ID}"), "docker", ID, None);
        assert_names(&format!("/machine.slice/libpod-{ID}.scope"), "podman", ID, None);
        assert_names(&format!("/machine.slice/libpod-{ID}.scope/container"), "podman", ID, None);
        let rootless = format!(
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container"
        );
        assert_names(&rootless, "podman", ID, None);
        assert_names(&format!("/libpod_parent/libpod-{ID}"), "podman", ID, None);
        assert_names("/machine.slice/systemd-nspawn@web.service/payload", "nspawn", "web", None);
        assert_names("/machine.slice/machine-deb\\x2d12.scope", "machined", "deb-12", None);
    }

    #[test]
    fn a_pod_is_known_with_systemd_and_without() {
        let slice = UID.replace('-', "_");
        let systemd = format!(
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{slice}.slice/"
        );
        for (unit, runtime) in
            [("cri-containerd", "containerd"), ("crio", "cri-o"), ("docker", "docker")]
        {
            assert_names(&format!("{systemd}{unit}-{ID}.scope"), runtime, ID, Some(UID));
        }
        let guaranteed = format!("/kubepods.slice/kubepods-pod{slice}.slice/crio-{ID}.scope");
        assert_names(&guaranteed, "cri-o", ID, Some(UID));
        let plain = format!("/kubepods/besteffort/pod{UID}/{ID}");
        assert_names(&plain, "kubernetes", ID, Some(UID));
        let from_file = format!("/kubepods/pod{}/{ID}", &ID[..32]);
        assert_names(&from_file, "kubernetes", ID, Some(&ID[..32]));
    }

    /// A process of the container may make cgroups of its own below it; a container in a
    /// container is the inner one.
    #[test]
    fn the_innermost_container_counts() {
        let inner = ID.replace('4', "5");
        let path = format!("/system.slice/docker-{ID}.scope/docker/{inner}/init");
        assert_names(&path, "docker", &inner, None);
        assert_names(&format!("/docker/{ID}/system.slice/nginx.service"), "docker", ID, None);
    }

    #[test]
    fn what_only_looks_like_one_is_none() {
        let short = &ID[1..];
        for path in [
            "/".to_owned(),
            String::new(),
            "/system.slice/nginx.service".to_owned(),
            "/system.slice/docker.service".to_owned(),
            format!("/system.slice/docker-{short}.scope"),
            format!("/system.slice/docker-{}.scope", ID.to_uppercase()),
            format!("/{ID}"),
            "/user.slice/user-1000.slice/session-3.scope".to_owned(),
            "/machine.slice/machine-.scope".to_owned(),
            format!("/kubepods/pod{UID}"),
        ] {
            assert_eq!(Container::of_path(&path), None, "{path}");
        }
    }
}
