// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arms the guard that is attached, and renews its lease. Everything that evidence claims is
//! compared with what is here before anything is changed.
//!
//! The word that lets the program deny is written last, after the policy, the programs and the
//! bounds are in place: whoever dies before that leaves a rehearsal. Links are switched one
//! after another, each between two packets; until the last one is, and at every point between,
//! both programs count in the same maps and neither denies.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use ibsr_cli::Answer;
use ibsr_evidence::{GuardManifest, Verdict};
use ibsr_guard::dns;
use ibsr_guard::install::{CONTROL, Maps as _, install, read_control, write_control};
use ibsr_policy::{Compiled, Policy, compile};
use ibsr_proto::guard_control::{Control, Evidence, MAX_LEASE_S, Spent};
use tracing::info;

use crate::bundle::{self, Bundle};
use crate::clock;
use crate::generation;
use crate::machine::{Machine, cgroup_mount, read_policy};
use crate::object::with_enforcement;
use crate::pinned::{self, EVIDENCE, Pinned, SPENT, open_attached};
use crate::subject;

/// What to arm with.
#[derive(Debug, Clone)]
pub struct Arming {
    /// The policy.
    pub policy: PathBuf,
    /// The bundle.
    pub evidence: PathBuf,
    /// Public keys.
    pub trust: Vec<PathBuf>,
    /// Share of clients; the largest that the evidence allows when not given.
    pub canary_percent: Option<u8>,
    /// How long it denies without being renewed.
    pub lease: Duration,
    /// What segments call this host.
    pub host: Option<String>,
}

/// Turns the rehearsal below `root` into enforcement.
///
/// # Errors
/// When the evidence is not about exactly this, or the kernel refuses. Then nothing is denied
/// that was not before.
pub fn arm(arming: &Arming, root: &Path, dry_run: bool) -> Result<Answer> {
    let lease_ns = lease_ns(arming.lease)?;
    let policy = read_policy(&arming.policy)?;
    let compiled = compile(&policy, &Machine)?;
    let trusted = bundle::trusted(&arming.trust)?;
    let bundle = bundle::read(&arming.evidence, &trusted, clock::now())?;
    let canary_percent = canary_percent(&bundle.manifest, arming.canary_percent)?;
    let (pinned, _lock) = open_attached(root)?;
    let here = subject::subject(
        &policy,
        cgroup_here(&pinned, &bundle.manifest.subject.cgroup)?,
        arming.host.as_deref(),
    )?;
    let differences = subject::differences(&bundle.manifest.subject, &here);
    ensure!(
        differences.is_empty(),
        "the evidence is not about this: {}\nhint: rehearse this policy here and make a new report",
        differences.join("; ")
    );
    if dry_run {
        info!(canary_percent, evidence = %bundle.manifest_sha256, "would arm");
        return Ok(Answer::Yes);
    }
    let bounds = Bounds { canary_percent, lease_ns };
    let lease_ns = enforce(&pinned, &policy, &compiled, &bundle, bounds)?;
    info!(canary_percent, evidence = %bundle.manifest_sha256, lease_s = clock::seconds(lease_ns), "armed");
    Ok(Answer::Yes)
}

/// Extends the lease of the guard that is armed.
///
/// # Errors
/// When it is not armed, the program has ended the arming, or the evidence has expired since;
/// the lease ends then as it would have.
pub fn renew(root: &Path, lease: Duration) -> Result<Answer> {
    let lease_ns = lease_ns(lease)?;
    let (pinned, _lock) = open_attached(root)?;
    let map = pinned.map(CONTROL)?;
    let control = read_control(&map)?;
    let evidence: Evidence = pinned::only(&pinned, EVIDENCE)?;
    let spent: Spent = pinned::only(&pinned, SPENT)?;
    let now_boot_ns = clock::boot_ns();
    refuse_renewal(&control, &spent, &evidence, now_boot_ns, clock::now().as_second())?;
    let lease_until_boot_ns = (now_boot_ns + lease_ns).min(evidence.expires_boot_ns);
    write_control(&map, &Control { lease_until_boot_ns, ..control })?;
    info!(lease_s = clock::seconds(lease_until_boot_ns - now_boot_ns), "renewed");
    Ok(Answer::Yes)
}

fn refuse_renewal(
    control: &Control,
    spent: &Spent,
    evidence: &Evidence,
    now_boot_ns: u64,
    now_unix_s: i64,
) -> Result<()> {
    const AGAIN: &str = "hint: `ibsr-guard arm` with new evidence";
    if control.is_enforced == 0 {
        bail!("the guard is not armed\n{AGAIN}");
    }
    if spent.tripped_arming == control.arming {
        bail!(
            "the guard has ended enforcing by itself: {} denials to peers were its budget\nhint: see whom with `ibsr-guard status`; then `ibsr-guard arm` with new evidence",
            evidence.budget_denials
        );
    }
    let is_expired = u64::try_from(now_unix_s).is_ok_and(|now| now >= evidence.expires_unix_s);
    if is_expired || now_boot_ns >= evidence.expires_boot_ns {
        bail!("the evidence has expired since the guard was armed\n{AGAIN}");
    }
    Ok(())
}

fn lease_ns(lease: Duration) -> Result<u64> {
    let longest = Duration::from_secs(MAX_LEASE_S.into());
    ensure!(
        lease <= longest,
        "a lease of {} s is too long\nhint: at most {MAX_LEASE_S}s; a timer renews it",
        lease.as_secs()
    );
    Ok(u64::try_from(lease.as_nanos()).expect("at most a minute"))
}

/// The share that is asked for, or the largest that the evidence allows.
fn canary_percent(manifest: &GuardManifest, wanted: Option<u8>) -> Result<u8> {
    let most = match (manifest.verdict, manifest.canary_percent) {
        (Verdict::Ready, _) => 100,
        (Verdict::ReadyCanary, Some(percent)) => percent,
        _ => bail!(
            "the verdict of the evidence is {}, not READY\nhint: its report says which gate failed",
            serde_json::to_string(&manifest.verdict)?
        ),
    };
    let percent = wanted.unwrap_or(most);
    ensure!(
        (1..=most).contains(&percent),
        "a canary of {percent} % is not proven\nhint: `--canary` is 1 to {most} with this evidence"
    );
    Ok(percent)
}

/// The path of the cgroup that the guard is attached to: `signed` when it is that one.
fn cgroup_here(pinned: &Pinned, signed: &str) -> Result<String> {
    let id = pinned::cgroup_id(pinned)?;
    let Some(mount) = cgroup_mount() else { bail!("cgroup v2 is not mounted") };
    let dir = mount.join(signed);
    // Another spelling of the same path is another claim.
    let is_canonical = fs::canonicalize(&dir).is_ok_and(|full| full.as_os_str() == dir);
    let is_same = fs::metadata(&dir).is_ok_and(|meta| meta.ino() == id);
    Ok(if is_canonical && is_same { signed.to_owned() } else { format!("that of id {id}") })
}

/// How much and how long.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    canary_percent: u8,
    lease_ns: u64,
}

/// Makes the guard deny within the bounds; how long without a renewal.
fn enforce(
    pinned: &Pinned,
    policy: &Policy,
    compiled: &Compiled,
    bundle: &Bundle,
    bounds: Bounds,
) -> Result<u64> {
    with_enforcement(&pinned.0, |object| {
        let links = pinned::links(&pinned.0, object)?;
        let map = pinned.map(CONTROL)?;
        let before = read_control(&map)?;
        let spent: Spent = pinned::only(pinned, SPENT)?;
        let budget = bundle.manifest.limits.budget_denials;
        // Nothing is denied while the rest is changed, whatever it was armed with.
        let off = Control {
            is_enforced: 0,
            lease_until_boot_ns: 0,
            arming: before.arming + 1,
            canary_percent: bounds.canary_percent.into(),
            budget_until: spent.denials.saturating_add(budget),
            ..before
        };
        write_control(&map, &off)?;
        pinned::write(pinned, EVIDENCE, &evidence(bundle))?;
        let number = install(pinned, compiled, &policy.protected)?;
        for (mut link, program) in links {
            link.update_prog(&program)
                .context("failed to switch a link to the program that can deny")?;
        }
        dns::switch(object, &pinned.0)?;
        generation::say(pinned, number, policy, pinned::cgroup_id(pinned)?)?;
        let evidence: Evidence = pinned::only(pinned, EVIDENCE)?;
        let now_boot_ns = clock::boot_ns();
        let lease_until_boot_ns = (now_boot_ns + bounds.lease_ns).min(evidence.expires_boot_ns);
        let armed = Control { is_enforced: 1, lease_until_boot_ns, ..read_control(&map)? };
        write_control(&map, &armed)?;
        Ok(lease_until_boot_ns.saturating_sub(now_boot_ns))
    })
    .context("failed to arm the guard: it rehearses")
}

fn evidence(bundle: &Bundle) -> Evidence {
    let (now, now_boot_ns) = (clock::now(), clock::boot_ns());
    let expires = bundle.manifest.expires_at;
    Evidence {
        manifest_sha256: *bundle.manifest_sha256.as_bytes(),
        key_id: bundle.key.id().to_bytes(),
        expires_unix_s: u64::try_from(expires.as_second()).unwrap_or(0),
        expires_boot_ns: clock::boot_ns_at(expires, now, now_boot_ns),
        budget_denials: bundle.manifest.limits.budget_denials,
        armed_at_boot_ns: now_boot_ns,
    }
}

#[cfg(test)]
#[path = "arm_tests.rs"]
mod tests;
