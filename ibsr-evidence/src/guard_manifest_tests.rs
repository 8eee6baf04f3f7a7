// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;
use crate::canonical::canonical;
use crate::check::{check, check_guard, seal_guard};
use crate::error::EvidenceError;
use crate::key::SecretKey;
use crate::sample::{self, created_at, gate, guard_manifest};
use crate::signature::Signature;
use crate::validate::validate;

fn after(change: impl FnOnce(&mut GuardManifest)) -> Result<(), ManifestError> {
    let mut manifest = guard_manifest();
    change(&mut manifest);
    validate(&manifest)
}

#[test]
fn what_was_sealed_is_what_is_read() {
    let key = SecretKey::generate().unwrap();
    let (bytes, signature) = seal_guard(&guard_manifest(), &key).unwrap();
    let read = check_guard(&bytes, &signature, &[key.public()], created_at()).unwrap();
    assert_eq!(read, guard_manifest());
}

/// One key may sign both kinds: each is read as what it is only.
#[test]
fn neither_kind_of_manifest_passes_for_the_other() {
    let key = SecretKey::generate().unwrap();
    let trusted = [key.public()];
    let (bytes, signature) = seal_guard(&guard_manifest(), &key).unwrap();
    let checked = check(&bytes, &signature, &trusted, created_at());
    assert!(matches!(checked, Err(EvidenceError::Manifest(ManifestError::Schema { .. }))));
    let bytes = canonical(&sample::manifest()).unwrap();
    let signature = Signature::sign(&bytes, &key).to_text();
    let checked = check_guard(&bytes, &signature, &trusted, created_at());
    assert!(matches!(checked, Err(EvidenceError::Manifest(ManifestError::Schema { .. }))));
}

#[test]
fn an_unknown_field_of_the_subject_is_refused() {
    let key = SecretKey::generate().unwrap();
    let text = String::from_utf8(canonical(&guard_manifest()).unwrap()).unwrap();
    let more = text.replacen("\"cgroup\":", "\"agreed\":true,\"cgroup\":", 1);
    assert_ne!(more, text);
    let signature = Signature::sign(more.as_bytes(), &key).to_text();
    let checked = check_guard(more.as_bytes(), &signature, &[key.public()], created_at());
    assert!(matches!(checked, Err(EvidenceError::Json(_))), "{checked:?}");
}

#[test]
fn the_files_are_known_ordered_and_hold_the_policy() {
    type Change = fn(&mut Vec<Item>);
    let changes: [Change; 5] = [
        |files| files.reverse(),
        |files| files.clear(),
        |files| files.push(Item::of("z", b"")),
        |files| files.insert(0, files[0].clone()),
        |files| files.retain(|file| file.name != GUARD_POLICY),
    ];
    for change in changes {
        let refused = after(|manifest| change(&mut manifest.files));
        assert!(matches!(refused, Err(ManifestError::GuardFiles(_))), "{refused:?}");
    }
    let without_page = after(|manifest| manifest.files.retain(|file| file.name != "report.html"));
    assert_eq!(without_page, Ok(()));
    let other = after(|manifest| manifest.subject.policy_sha256 = Digest::of(b"other"));
    assert!(matches!(other, Err(ManifestError::Policy { .. })), "{other:?}");
}

/// What both kinds share is asked for here too.
#[test]
fn the_common_rules_hold() {
    let root = after(|manifest| manifest.merkle_root = Digest::of(b"other"));
    assert!(matches!(root, Err(ManifestError::MerkleRoot { .. })), "{root:?}");
    let order = after(|manifest| manifest.inputs.reverse());
    assert_eq!(order, Err(ManifestError::Order("inputs")));
    let lifetime = after(|manifest| manifest.expires_at = manifest.created_at);
    assert!(matches!(lifetime, Err(ManifestError::Lifetime { .. })), "{lifetime:?}");
    let failed = after(|manifest| manifest.gates.push(gate("g", false)));
    assert_eq!(failed, Err(ManifestError::Verdict("g".to_owned())));
    let canary = after(|manifest| manifest.canary_percent = None);
    assert_eq!(canary, Err(ManifestError::Canary));
}

#[test]
fn a_ready_verdict_rests_on_something() {
    type Change = fn(&mut GuardManifest);
    let changes: [(&str, Change); 3] = [
        ("gates", |manifest| manifest.gates.clear()),
        ("inputs", |manifest| {
            manifest.inputs.clear();
            manifest.merkle_root = crate::root([]);
        }),
        ("judged", |manifest| (manifest.judged, manifest.would_deny) = (0, 0)),
    ];
    for (name, change) in changes {
        assert_eq!(after(change), Err(ManifestError::Nothing(name)));
        let not_ready = after(|manifest| {
            change(manifest);
            manifest.verdict = Verdict::InsufficientEvidence;
            manifest.canary_percent = None;
        });
        assert_eq!(not_ready, Ok(()), "{name}");
    }
}

#[test]
fn no_more_is_denied_than_judged() {
    assert_eq!(after(|manifest| manifest.would_deny = manifest.judged), Ok(()));
    let refused = after(|manifest| manifest.would_deny = manifest.judged + 1);
    assert_eq!(refused, Err(ManifestError::Counts));
}
