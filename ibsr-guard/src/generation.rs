// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the generation in use judges by, said to whoever reads the records: a report believes a
//! rehearsal only when it knows that it was of the same policy.

use anyhow::{Context as _, Result};
use ibsr_evidence::Digest;
use ibsr_guard::install::Maps;
use ibsr_policy::{Policy, identities_hash, policy_hash};
use ibsr_proto::guard_control::{GENERATIONS, Generation};
use ibsr_proto::pins::GUARD_GENERATION;
use libbpf_rs::{MapCore as _, MapFlags};
use zerocopy::IntoBytes as _;

use crate::clock;
use crate::machine::Machine;
use crate::object::BYTES;

/// Says what generation `number` is, once it judges at every hook. Whoever dies before that
/// leaves one of which nothing is known.
///
/// # Errors
/// When the kernel refuses.
pub fn say(maps: &impl Maps, number: u64, policy: &Policy, cgroup_id: u64) -> Result<()> {
    let generation = Generation {
        number,
        since_boot_ns: clock::boot_ns(),
        cgroup_id,
        policy_sha256: policy_hash(policy),
        identities_sha256: identities_hash(policy, &Machine),
        object_sha256: *Digest::of(BYTES).as_bytes(),
    };
    let slot = u32::try_from(number % u64::from(GENERATIONS)).expect("one bit");
    maps.map(GUARD_GENERATION)?
        .update(&slot.to_ne_bytes(), generation.as_bytes(), MapFlags::ANY)
        .with_context(|| format!("failed to write `{GUARD_GENERATION}`"))
}
