// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a manifest must satisfy in itself, whoever signed it. A program that makes one is
//! held to the same as one that relies on it, so nothing that is signed fails later.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::digest::Digest;
use crate::error::ManifestError;
use crate::item::Item;
use crate::manifest::{FILES, Gate, GateKind, LIFETIME_S, Manifest, SCHEMA, Verdict};
use crate::merkle;

/// What is signed as a manifest, of whichever kind.
pub(crate) trait Claims: Serialize + DeserializeOwned {
    /// The only schema that this version reads.
    const SCHEMA: &'static str;

    /// The schema that it says it has.
    fn schema(&self) -> &str;

    /// When it was made and when it ends.
    fn lifetime(&self) -> (Timestamp, Timestamp);

    /// Checks what only this kind claims.
    fn validate(&self) -> Result<(), ManifestError>;
}

/// Checks all that does not need a clock, a key or a file.
pub(crate) fn validate<C: Claims>(claims: &C) -> Result<(), ManifestError> {
    schema::<C>(claims.schema())?;
    let (from, to) = claims.lifetime();
    let lasts = to.duration_since(from);
    if lasts <= SignedDuration::ZERO || lasts > SignedDuration::from_secs(LIFETIME_S) {
        return Err(ManifestError::Lifetime { from, to });
    }
    claims.validate()
}

/// Whether a schema is that of such claims.
pub(crate) fn schema<C: Claims>(said: &str) -> Result<(), ManifestError> {
    if said == C::SCHEMA {
        return Ok(());
    }
    Err(ManifestError::Schema { said: said.to_owned(), expected: C::SCHEMA })
}

impl Claims for Manifest {
    const SCHEMA: &'static str = SCHEMA;

    fn schema(&self) -> &str {
        &self.schema
    }

    fn lifetime(&self) -> (Timestamp, Timestamp) {
        (self.created_at, self.expires_at)
    }

    fn validate(&self) -> Result<(), ManifestError> {
        inputs(&self.inputs, self.merkle_root)?;
        if !self.hosts.is_sorted() {
            return Err(ManifestError::Order("hosts"));
        }
        rules_and_files(self)?;
        gates(&self.gates, self.verdict)?;
        if self.verdict.is_ready() && self.is_provisional {
            return Err(ManifestError::Provisional);
        }
        canary(self.verdict, self.canary_percent)
    }
}

/// Inputs have one order, and their root is that of their hashes.
pub(crate) fn inputs(inputs: &[Item], said: Digest) -> Result<(), ManifestError> {
    if !inputs.is_sorted() {
        return Err(ManifestError::Order("inputs"));
    }
    let is = merkle::root(inputs.iter().map(|input| input.sha256));
    if is == said { Ok(()) } else { Err(ManifestError::MerkleRoot { said, is }) }
}

fn rules_and_files(manifest: &Manifest) -> Result<(), ManifestError> {
    let is = Digest::of(manifest.settings.rules.as_bytes());
    let said = manifest.searched_rules_sha256;
    if is != said {
        return Err(ManifestError::Rules { said, is });
    }
    let names: Vec<&str> = manifest.files.iter().map(|file| file.name.as_str()).collect();
    if names == FILES { Ok(()) } else { Err(ManifestError::Files(format!("{names:?}"))) }
}

/// Each gate says what its numbers say, and the verdict what the gates say.
pub(crate) fn gates(gates: &[Gate], verdict: Verdict) -> Result<(), ManifestError> {
    gates.iter().try_for_each(|gate| check_gate(gate, verdict))
}

fn check_gate(gate: &Gate, verdict: Verdict) -> Result<(), ManifestError> {
    if gate.is_passed != is_met(gate) {
        return Err(ManifestError::Gate(gate.name.clone()));
    }
    if !gate.is_passed && binds(gate.kind, verdict) {
        return Err(ManifestError::Verdict(gate.name.clone()));
    }
    Ok(())
}

fn is_met(gate: &Gate) -> bool {
    gate.value.is_some_and(
        |value| {
            if gate.is_minimum { value >= gate.limit } else { value <= gate.limit }
        },
    )
}

/// Whether failing a gate of this kind forbids the verdict.
fn binds(kind: GateKind, verdict: Verdict) -> bool {
    match verdict {
        Verdict::Ready => true,
        Verdict::ReadyCanary => kind != GateKind::Trial,
        Verdict::InsufficientEvidence | Verdict::NotReady | Verdict::NoBenefit => false,
    }
}

/// A canary has a share and nothing else has.
pub(crate) fn canary(verdict: Verdict, percent: Option<u8>) -> Result<(), ManifestError> {
    let fits = match percent {
        Some(percent) => verdict == Verdict::ReadyCanary && (1..=100).contains(&percent),
        None => verdict != Verdict::ReadyCanary,
    };
    if fits { Ok(()) } else { Err(ManifestError::Canary) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{gate, manifest};

    fn after(change: impl FnOnce(&mut Manifest)) -> Result<(), ManifestError> {
        let mut manifest = manifest();
        change(&mut manifest);
        validate(&manifest)
    }

    #[test]
    fn the_sample_is_valid() {
        assert_eq!(validate(&manifest()), Ok(()));
    }

    #[test]
    fn another_schema_is_named() {
        let refused = after(|manifest| manifest.schema = "ibsr-evidence/2".to_owned());
        let said = "ibsr-evidence/2".to_owned();
        assert_eq!(refused, Err(ManifestError::Schema { said, expected: SCHEMA }));
    }

    /// One second to 14 days, both ends included.
    #[test]
    fn a_lifetime_has_bounds() {
        for (seconds, is_valid) in
            [(-1, false), (0, false), (1, true), (LIFETIME_S, true), (LIFETIME_S + 1, false)]
        {
            let lasts = SignedDuration::from_secs(seconds);
            let result = after(|manifest| manifest.expires_at = manifest.created_at + lasts);
            let is_refused = matches!(result, Err(ManifestError::Lifetime { .. }));
            assert_eq!(is_refused, !is_valid, "{seconds} s");
        }
    }

    #[test]
    fn lists_have_one_order() {
        let inputs = after(|manifest| manifest.inputs.reverse());
        assert_eq!(inputs, Err(ManifestError::Order("inputs")));
        let hosts = after(|manifest| manifest.hosts.reverse());
        assert_eq!(hosts, Err(ManifestError::Order("hosts")));
    }

    #[test]
    fn hashes_are_those_of_what_they_stand_for() {
        let input = after(|manifest| manifest.inputs[0].sha256 = Digest::of(b"other"));
        assert!(matches!(input, Err(ManifestError::MerkleRoot { .. })));
        let rules = after(|manifest| manifest.settings.rules.push(' '));
        assert!(matches!(rules, Err(ManifestError::Rules { .. })));
    }

    /// No other name: whoever unpacks a bundle writes to these five.
    #[test]
    fn the_files_are_the_five() {
        type Change = fn(&mut Vec<Item>);
        let changes: [Change; 4] = [
            |files| files.reverse(),
            |files| files.truncate(4),
            |files| files.push(Item::of("z", b"")),
            |files| files[0].name = "../evidence.csv".to_owned(),
        ];
        for change in changes {
            let refused = after(|manifest| change(&mut manifest.files));
            assert!(matches!(refused, Err(ManifestError::Files(_))), "{refused:?}");
        }
    }

    #[test]
    fn a_gate_says_what_its_numbers_say() {
        for (value, limit, is_minimum, is_met) in [
            (Some(5), 5, false, true),
            (Some(6), 5, false, false),
            (Some(5), 5, true, true),
            (Some(4), 5, true, false),
            (None, 5, false, false),
            (None, 0, true, false),
        ] {
            for is_passed in [true, false] {
                let gate = Gate { value, limit, is_minimum, is_passed, ..gate("g", true) };
                let result = after(|manifest| {
                    manifest.verdict = Verdict::NotReady;
                    manifest.canary_percent = None;
                    manifest.gates = vec![gate];
                });
                assert_eq!(result.is_ok(), is_passed == is_met, "{value:?} {limit} {is_minimum}");
            }
        }
    }

    /// Ready binds every gate, a canary all but the trial, the others none.
    #[test]
    fn a_ready_verdict_needs_its_gates() {
        use GateKind::{Benefit, Evidence, Safety, Trial};
        for (verdict, kind, is_valid) in [
            (Verdict::Ready, Trial, false),
            (Verdict::Ready, Safety, false),
            (Verdict::ReadyCanary, Trial, true),
            (Verdict::ReadyCanary, Evidence, false),
            (Verdict::ReadyCanary, Benefit, false),
            (Verdict::NotReady, Safety, true),
            (Verdict::InsufficientEvidence, Evidence, true),
        ] {
            let result = after(|manifest| {
                manifest.verdict = verdict;
                manifest.canary_percent = (verdict == Verdict::ReadyCanary).then_some(10);
                manifest.gates = vec![Gate { kind, ..gate("g", false) }];
            });
            let expected = if is_valid { Ok(()) } else { Err(ManifestError::Verdict("g".into())) };
            assert_eq!(result, expected, "{verdict:?} {kind:?}");
        }
    }

    #[test]
    fn a_ready_verdict_is_about_rules_that_were_chosen() {
        assert_eq!(
            after(|manifest| manifest.is_provisional = true),
            Err(ManifestError::Provisional)
        );
        let not_ready = after(|manifest| {
            manifest.is_provisional = true;
            manifest.verdict = Verdict::NotReady;
            manifest.canary_percent = None;
        });
        assert_eq!(not_ready, Ok(()));
    }

    #[test]
    fn a_canary_has_a_share_and_nothing_else_has() {
        for (verdict, percent, is_valid) in [
            (Verdict::ReadyCanary, Some(1), true),
            (Verdict::ReadyCanary, Some(100), true),
            (Verdict::ReadyCanary, Some(0), false),
            (Verdict::ReadyCanary, Some(101), false),
            (Verdict::ReadyCanary, None, false),
            (Verdict::NotReady, None, true),
            (Verdict::NotReady, Some(10), false),
        ] {
            let result = after(|manifest| {
                manifest.verdict = verdict;
                manifest.canary_percent = percent;
            });
            let expected = if is_valid { Ok(()) } else { Err(ManifestError::Canary) };
            assert_eq!(result, expected, "{verdict:?} {percent:?}");
        }
    }
}
