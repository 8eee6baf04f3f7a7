// SPDX-License-Identifier: MIT OR Apache-2.0
//! The two kinds of evidence: about rules on sources, and about a policy of the guard. What both
//! say is asked here, whichever it is.

use ibsr_evidence::{
    EvidenceError, GUARD_POLICY, GUARD_SCHEMA, GuardManifest, Item, Manifest, PublicKey, Verdict,
    check, check_guard,
};
use jiff::Timestamp;
use serde_json::Value;

use super::archive::Files;
use super::{MANIFEST, NAMES, SIGNATURE};

/// Files that no bundle for the guard is without.
const GUARD_NEEDS: [&str; 3] = [MANIFEST, SIGNATURE, GUARD_POLICY];

/// Which kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Rules on sources.
    Report,
    /// A policy of the guard.
    Guard,
}

impl Kind {
    /// That which a manifest says it is; nothing else of it is believed for that.
    #[must_use]
    pub fn of(files: &Files) -> Self {
        let head = files.get(MANIFEST).and_then(|bytes| serde_json::from_slice(bytes).ok());
        let is_guard = |head: Value| head["schema"] == GUARD_SCHEMA;
        if head.is_some_and(is_guard) { Self::Guard } else { Self::Report }
    }

    /// Files without which there is nothing to check.
    #[must_use]
    pub const fn needs(self) -> &'static [&'static str] {
        match self {
            Self::Report => &NAMES,
            Self::Guard => &GUARD_NEEDS,
        }
    }

    /// The claims that one of the `trusted` keys signed and that are good at `now`.
    ///
    /// # Errors
    /// As [`check`].
    pub fn check(
        self,
        manifest: &[u8],
        signature: &str,
        trusted: &[PublicKey],
        now: Timestamp,
    ) -> Result<Signed, EvidenceError> {
        match self {
            Self::Report => check(manifest, signature, trusted, now).map(Signed::from),
            Self::Guard => check_guard(manifest, signature, trusted, now).map(Signed::from),
        }
    }
}

/// Claims whose signature holds.
#[derive(Debug)]
pub enum Signed {
    /// About rules on sources.
    Report(Box<Manifest>),
    /// About a policy of the guard.
    Guard(Box<GuardManifest>),
}

impl From<Manifest> for Signed {
    fn from(manifest: Manifest) -> Self {
        Self::Report(Box::new(manifest))
    }
}

impl From<GuardManifest> for Signed {
    fn from(manifest: GuardManifest) -> Self {
        Self::Guard(Box::new(manifest))
    }
}

macro_rules! both {
    ($($(#[$doc:meta])* $name:ident($self:ident, $it:ident) -> $of:ty = $get:expr;)*) => {
        impl Signed {
            $($(#[$doc])* #[must_use] pub fn $name(&$self) -> $of {
                match $self {
                    Self::Report($it) => $get,
                    Self::Guard($it) => $get,
                }
            })*
        }
    };
}

both! {
    /// Program and version that made it.
    tool(self, it) -> &str = &it.tool;
    /// When it was made.
    created_at(self, it) -> Timestamp = it.created_at;
    /// First second at which it is no longer good.
    expires_at(self, it) -> Timestamp = it.expires_at;
    /// Every segment that was found.
    inputs(self, it) -> &[Item] = &it.inputs;
    /// The end of what was observed, wall clock.
    to_unix_ms(self, it) -> Option<u64> = it.period.to_unix_ms;
    /// The answer.
    verdict(self, it) -> Verdict = it.verdict;
    /// Share to begin with.
    canary_percent(self, it) -> Option<u8> = it.canary_percent;
    /// The other files.
    files(self, it) -> &[Item] = &it.files;
}
