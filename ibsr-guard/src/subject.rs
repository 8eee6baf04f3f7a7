// SPDX-License-Identifier: MIT OR Apache-2.0
//! What evidence for the guard has to be about: this machine, this object, a policy and a
//! cgroup. Printed for a report, and compared when the guard is armed.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use ibsr_cli::Answer;
use ibsr_evidence::{Digest, Hasher, Subject};
use ibsr_policy::{Policy, identities_hash, policy_hash};
use ibsr_proto::snapshot::name::host_label;

use crate::machine::{Machine, cgroup_mount, read_policy};
use crate::object::BYTES;

/// Where the id of the machine is, machine-id(5).
const MACHINE_ID: &str = "/etc/machine-id";
/// What makes the digest of the id one of ours: two programs' digests of it must not match.
const MACHINE_CONTEXT: &[u8] = b"ibsr-guard machine\0";

/// Prints the subject of `policy` on the cgroup at `cgroup`, as one line of JSON.
///
/// # Errors
/// When the policy is wrong, the cgroup is none, the machine has no id, or stdout fails.
pub fn run(policy: &Path, cgroup: &Path, host: Option<&str>) -> Result<Answer> {
    let subject = subject(&read_policy(policy)?, path_below(cgroup)?, host)?;
    let text = serde_json::to_string(&subject).context("failed to write JSON")?;
    writeln!(io::stdout().lock(), "{text}")?;
    Ok(Answer::Yes)
}

/// That of `policy` here, on the cgroup of that path below the mount point.
///
/// # Errors
/// When the machine has no id.
pub fn subject(policy: &Policy, cgroup: String, host: Option<&str>) -> Result<Subject> {
    let own = || rustix::system::uname().nodename().to_string_lossy().into_owned();
    Ok(Subject {
        host: host_label(&host.map_or_else(own, str::to_owned)),
        machine_sha256: machine()?,
        cgroup,
        policy_sha256: policy_hash(policy).into(),
        identities_sha256: identities_hash(policy, &Machine).into(),
        object_sha256: Digest::of(BYTES),
    })
}

/// The number that tells this machine's canary from another's.
///
/// # Errors
/// When the machine has no id.
pub fn seed() -> Result<u32> {
    let [a, b, c, d, ..] = *machine()?.as_bytes();
    Ok(u32::from_be_bytes([a, b, c, d]))
}

fn machine() -> Result<Digest> {
    let what = || {
        format!(
            "failed to read the id of this machine, `{MACHINE_ID}`\nhint: `systemd-machine-id-setup` makes one"
        )
    };
    let text = fs::read_to_string(MACHINE_ID).with_context(what)?;
    let id = text.trim_end();
    ensure!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), what());
    let mut hasher = Hasher::default();
    hasher.update(MACHINE_CONTEXT);
    hasher.update(id.as_bytes());
    Ok(hasher.finish().0)
}

/// The path of a cgroup below the mount point.
fn path_below(cgroup: &Path) -> Result<String> {
    let what = || format!("failed to open the cgroup `{}`", cgroup.display());
    let full = fs::canonicalize(cgroup).with_context(what)?;
    let mount = cgroup_mount().context("cgroup v2 is not mounted")?;
    let below = full.strip_prefix(&mount);
    let below = below.with_context(|| {
        format!("`{}` is not below `{}`, where cgroup v2 is", full.display(), mount.display())
    })?;
    Ok(below.to_str().context("the path of the cgroup is no text")?.to_owned())
}

/// What of the `signed` subject is another one `here`, each in words.
pub fn differences(signed: &Subject, here: &Subject) -> Vec<String> {
    // Taken apart, so that a new field cannot be forgotten here.
    let Subject { host, machine_sha256, cgroup, policy_sha256, identities_sha256, object_sha256 } =
        signed;
    let pairs = [
        ("host", host.clone(), here.host.clone()),
        ("machine", machine_sha256.to_string(), here.machine_sha256.to_string()),
        ("cgroup", cgroup.clone(), here.cgroup.clone()),
        ("policy", policy_sha256.to_string(), here.policy_sha256.to_string()),
        (
            "executables, users and cgroups of the policy",
            identities_sha256.to_string(),
            here.identities_sha256.to_string(),
        ),
        ("program of the guard", object_sha256.to_string(), here.object_sha256.to_string()),
    ];
    pairs
        .into_iter()
        .filter(|(_, signed, here)| signed != here)
        .map(|(what, signed, here)| format!("the {what}: proven `{signed}`, here `{here}`"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Subject {
        Subject {
            host: "a".to_owned(),
            machine_sha256: Digest::of(b"1"),
            cgroup: "b".to_owned(),
            policy_sha256: Digest::of(b"2"),
            identities_sha256: Digest::of(b"3"),
            object_sha256: Digest::of(b"4"),
        }
    }

    #[test]
    fn each_field_that_differs_is_named() {
        type Change = fn(&mut Subject);
        let changes: [(&str, Change); 6] = [
            ("host", |subject| subject.host.push('x')),
            ("machine", |subject| subject.machine_sha256 = Digest::of(b"x")),
            ("cgroup", |subject| subject.cgroup.push('x')),
            ("policy", |subject| subject.policy_sha256 = Digest::of(b"x")),
            ("executables", |subject| subject.identities_sha256 = Digest::of(b"x")),
            ("program", |subject| subject.object_sha256 = Digest::of(b"x")),
        ];
        assert_eq!(differences(&sample(), &sample()), Vec::<String>::new());
        for (name, change) in changes {
            let mut other = sample();
            change(&mut other);
            let found = differences(&sample(), &other);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with(&format!("the {name}")), "{found:?}");
        }
    }
}
