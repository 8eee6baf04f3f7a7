// SPDX-License-Identifier: MIT OR Apache-2.0
//! The policy with its lists, whom it names, and the tables that follow from both. The same from
//! files and from what a report has kept of them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use ibsr_evidence::Digest;
use ibsr_policy::{Policy, Resolve, Rule, canonical_text, compile};
use ibsr_proto::guard_abi::ExeKey;
use ibsr_replay::egress::model::{EgressSettings, Identity, PolicyFile};
use ibsr_replay::egress::report::RuleName;
use ibsr_replay::egress::twin::{Strangers, Twin};

/// Bits of the minor number in the kernel's own device numbers, <linux/kdev_t.h>.
const MINOR_BITS: u32 = 20;
/// Device of executables that nobody looked up: larger than any that the kernel gives.
const STRANGE_DEVICE: u32 = u32::MAX;
/// Largest number of a user that nobody looked up; (uid_t)-1 is none.
const STRANGE_USER: u32 = u32::MAX - 1;
const POLICY: &str = "policy";
const HERE: &str = "here";

/// Everything about a policy.
#[derive(Debug)]
pub struct Loaded {
    /// The policy.
    pub policy: Policy,
    /// It, its lists.
    pub files: Vec<PolicyFile>,
    /// Whom it names.
    pub known: Known,
    /// Its verdict.
    pub twin: Twin,
}

/// What those are whom a policy names.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Whether anybody looked.
    pub is_identified: bool,
    /// All of them, sorted.
    pub identities: Vec<Identity>,
    exes: BTreeMap<String, Option<ExeKey>>,
    users: BTreeMap<String, Option<u32>>,
    cgroups: BTreeMap<String, Option<u64>>,
    strangers: Strangers,
    unresolved: Vec<String>,
}

impl Resolve for Known {
    fn exe(&self, path: &str) -> Option<ExeKey> {
        self.exes.get(path).copied().flatten()
    }

    fn user(&self, name: &str) -> Option<u32> {
        self.users.get(name).copied().flatten()
    }

    fn cgroup(&self, path: &str) -> Option<u64> {
        self.cgroups.get(path).copied().flatten()
    }
}

impl Loaded {
    /// From files.
    ///
    /// # Errors
    /// When one cannot be read, or what is wrong in it.
    pub fn open(path: &Path, identities: Option<&PathBuf>) -> anyhow::Result<Self> {
        let shown = path.display().to_string();
        let text = fs::read_to_string(path).with_context(|| format!("failed to read `{shown}`"))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let lists = RefCell::new(BTreeMap::new());
        let read = |name: &str| {
            let text = fs::read_to_string(folder.join(name)).map_err(|error| error.to_string())?;
            lists.borrow_mut().insert(name.to_owned(), text.clone());
            Ok(text)
        };
        let policy = ibsr_policy::parse(&shown, &text, &read)?;
        let mut files = vec![PolicyFile { name: POLICY.to_owned(), text }];
        let lists = lists.into_inner().into_iter();
        files.extend(lists.map(|(name, text)| PolicyFile { name, text }));
        let known = match identities {
            None => Known::nobody(&policy),
            Some(here) if here.as_os_str() == HERE => Known::here(&policy),
            Some(path) => Known::of(&policy, &read_identities(path)?)?,
        };
        Self::new(policy, files, known)
    }

    /// From what a report has kept.
    ///
    /// # Errors
    /// When it is no policy.
    pub fn again(settings: &EgressSettings) -> anyhow::Result<Self> {
        let files = &settings.policy;
        let (Some(first), rest) = (files.first(), files.get(1..).unwrap_or_default()) else {
            bail!("the report holds no policy")
        };
        let read = |name: &str| {
            let list = rest.iter().find(|file| file.name == name);
            list.map(|file| file.text.clone()).ok_or_else(|| "the report has no such list".into())
        };
        let policy = ibsr_policy::parse(POLICY, &first.text, &read)?;
        let known = if settings.is_identified {
            Known::of(&policy, &settings.identities)?
        } else {
            Known::nobody(&policy)
        };
        Self::new(policy, files.clone(), known)
    }

    fn new(policy: Policy, files: Vec<PolicyFile>, known: Known) -> anyhow::Result<Self> {
        let compiled = compile(&policy, &known)?;
        let protected = policy.protected.iter().map(|prefix| (prefix.bits(), prefix.addr()));
        let cgroups = known.cgroups.iter().filter_map(|(path, id)| Some((path.clone(), (*id)?)));
        let twin = Twin::new(
            compiled.tables,
            protected.collect(),
            cgroups,
            known.strangers.clone(),
            policy.keep_established,
        );
        Ok(Self { policy, files, known, twin })
    }

    /// The canonical text, of which evidence has the hash.
    #[must_use]
    pub fn text(&self) -> String {
        canonical_text(&self.policy)
    }

    /// SHA-256 of what a machine calls those whom it names, as far as somebody looked it up.
    #[must_use]
    pub fn identities_sha256(&self) -> Digest {
        ibsr_policy::identities_hash(&self.policy, &self.known).into()
    }

    /// Its rules as reports name them.
    #[must_use]
    pub fn rules(&self) -> Vec<RuleName> {
        let name = |rule: &Rule| RuleName {
            line: rule.origin.line as u64,
            name: rule.origin.name.clone(),
            action: rule.verdict.action.as_str().to_owned(),
        };
        self.policy.rules.iter().map(name).collect()
    }

    /// What nobody looked up, sorted.
    #[must_use]
    pub fn unresolved(&self) -> Vec<String> {
        self.known.unresolved.clone()
    }
}

fn read_identities(path: &Path) -> anyhow::Result<Vec<Identity>> {
    let what = || format!("failed to read the identities `{}`", path.display());
    let text = fs::read_to_string(path).with_context(what)?;
    serde_json::from_str(&text).with_context(what)
}

/// Each value of a field, once.
fn named(policy: &Policy, of: fn(&Rule) -> &Vec<String>) -> BTreeSet<&String> {
    policy.rules.iter().flat_map(of).collect()
}

impl Known {
    /// Numbers mean themselves, and cgroups are known by their paths; anybody may be the rest.
    fn nobody(policy: &Policy) -> Self {
        let mut known = Self::default();
        for (at, path) in (0..).zip(named(policy, |rule| &rule.exes)) {
            let key = ExeKey { inode: u64::MAX - at, device: STRANGE_DEVICE, pad: 0 };
            known.strangers.exes.push(key);
            known.exes.insert(path.clone(), Some(key));
            known.unresolved.push(format!("exe {path}"));
        }
        for (at, name) in (0..).zip(named(policy, |rule| &rule.users)) {
            let number = name.parse().ok();
            if number.is_none() {
                known.strangers.users.push(STRANGE_USER - at);
                known.unresolved.push(format!("user {name}"));
            }
            known.users.insert(name.clone(), number.or(Some(STRANGE_USER - at)));
        }
        for (at, path) in (1..).zip(named(policy, |rule| &rule.cgroups)) {
            known.cgroups.insert(path.clone(), Some(at));
        }
        known
    }

    /// As this machine calls them.
    fn here(policy: &Policy) -> Self {
        let row = |kind: &str, name: &String, value| Identity {
            kind: kind.to_owned(),
            name: name.clone(),
            value,
        };
        let mut all = Vec::new();
        for path in named(policy, |rule| &rule.exes) {
            all.push(row("exe", path, exe_here(path)));
        }
        for name in named(policy, |rule| &rule.users) {
            all.push(row("user", name, user_here(name)));
        }
        for path in named(policy, |rule| &rule.cgroups) {
            all.push(row("cgroup", path, cgroup_here(path)));
        }
        Self::of(policy, &all).expect("everything that the policy names was looked up")
    }

    /// As a list says.
    fn of(policy: &Policy, list: &[Identity]) -> anyhow::Result<Self> {
        let mut known = Self { is_identified: true, ..Self::default() };
        let find = |kind: &str, name: &str| {
            let row = list.iter().find(|row| row.kind == kind && row.name == name);
            row.with_context(|| {
                format!("the identities do not hold {kind} `{name}`, which the policy names\nhint: make them anew with `--identities here` on the machine")
            })
        };
        for path in named(policy, |rule| &rule.exes) {
            let row = find("exe", path)?;
            known.exes.insert(path.clone(), row.value.as_deref().map(parse_exe).transpose()?);
            known.identities.push(row.clone());
        }
        for name in named(policy, |rule| &rule.users) {
            let row = find("user", name)?;
            let number = row.value.as_deref().map(str::parse::<u32>).transpose();
            known.users.insert(name.clone(), number.context("a user is a number")?);
            known.identities.push(row.clone());
        }
        for (at, path) in (1..).zip(named(policy, |rule| &rule.cgroups)) {
            let row = find("cgroup", path)?;
            // Its number is another one after each start of its service; the path says which.
            known.cgroups.insert(path.clone(), row.value.as_ref().map(|_| at));
            known.identities.push(row.clone());
        }
        known.identities.sort();
        Ok(known)
    }
}

fn parse_exe(text: &str) -> anyhow::Result<ExeKey> {
    let wrong = || format!("`{text}` is no executable: DEVICE:INODE, both decimal");
    let (device, inode) = text.split_once(':').with_context(wrong)?;
    let key = ExeKey {
        inode: inode.parse().with_context(wrong)?,
        device: device.parse().with_context(wrong)?,
        pad: 0,
    };
    ensure!(key.device != STRANGE_DEVICE, wrong());
    Ok(key)
}

fn exe_here(path: &str) -> Option<String> {
    let meta = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let (major, minor) = numbers(meta.dev());
    Some(format!("{}:{}", major << MINOR_BITS | minor, meta.ino()))
}

/// Major and minor number of a device as stat(2) gives it: 12 bits and 8 bits where they were
/// at first, the rest above (makedev(3)).
fn numbers(device: u64) -> (u64, u64) {
    let major = device >> 8 & 0xfff | device >> 32 & 0xffff_f000;
    let minor = device & 0xff | device >> 12 & 0xffff_ff00;
    (major, minor)
}

fn user_here(name: &str) -> Option<String> {
    if name.parse::<u32>().is_ok() {
        return Some(name.to_owned());
    }
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let mut lines = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let number = lines.find(|fields| fields[0] == name)?.get(2)?.parse::<u32>().ok()?;
    Some(number.to_string())
}

fn cgroup_here(path: &str) -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mut fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let mount = fields.find(|fields| fields.get(2) == Some(&"cgroup2"))?[1].to_owned();
    let meta = fs::metadata(Path::new(&mount).join(path.trim_start_matches('/'))).ok()?;
    meta.is_dir().then(|| meta.ino().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel keeps 12 and 20 bits; stat(2) spreads them.
    #[test]
    fn a_device_has_the_numbers_of_the_kernel() {
        assert_eq!(numbers(0x0803), (8, 3));
        let (major, minor) = (0x123_u64, 0x4_5678_u64);
        let device = (minor & 0xff) | (major & 0xfff) << 8 | (minor & !0xff) << 12;
        assert_eq!(numbers(device), (major, minor));
    }
}
