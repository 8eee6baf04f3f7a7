// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is attached, whether it denies and why not, and what it has counted.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use ibsr_cli::{Answer, Format};
use ibsr_evidence::{Digest, KeyId};
use ibsr_guard::dns::{self, Attached};
use ibsr_guard::install::{CONTROL, Maps as _, read_control};
use ibsr_proto::cgroup_dns_abi::DnsTotals;
use ibsr_proto::guard_control::{Control, Counts, Evidence, Hook, MAX_LEASE_S, Spent};
use jiff::Timestamp;
use libbpf_rs::{MapCore as _, MapFlags};
use serde_json::{Value, json};
use zerocopy::FromBytes as _;

use crate::clock;
use crate::pinned::{DIR, EVIDENCE, Pinned, SPENT, is_attached, only};

/// Prints the status of the guard below `root`.
///
/// # Errors
/// When a pin cannot be read or stdout cannot be written.
pub fn run(root: &Path, format: Format) -> Result<Answer> {
    let is_attached = is_attached(root)?;
    let text = match (is_attached, format) {
        (false, Format::Text) => "not attached".to_owned(),
        (false, Format::Json) => json!({"schema": "ibsr-guard-status/1"}).to_string(),
        (true, _) => {
            let pinned = Pinned(root.join(DIR));
            let state = State {
                control: read_control(&pinned.map(CONTROL)?)?,
                spent: only(&pinned, SPENT)?,
                evidence: only(&pinned, EVIDENCE)?,
                now_boot_ns: clock::boot_ns(),
                now_unix_s: u64::try_from(clock::now().as_second()).unwrap_or(0),
            };
            let (counts, names) = (counts(&pinned)?, names(&pinned)?);
            let interfaces = dns::attached(&pinned.0)?;
            match format {
                Format::Text => {
                    let text = as_text(&state, &counts, &interfaces);
                    format!("{text}{}", names_text(&names))
                }
                Format::Json => {
                    let mut value = as_json(&state, &counts, &interfaces);
                    value["names"] = names_json(&names);
                    value.to_string()
                }
            }
        }
    };
    writeln!(io::stdout().lock(), "{}", text.trim_end())?;
    Ok(if is_attached { Answer::Yes } else { Answer::No })
}

/// All that the mode follows from.
#[derive(Debug, Clone, Copy)]
struct State {
    control: Control,
    spent: Spent,
    evidence: Evidence,
    now_boot_ns: u64,
    now_unix_s: u64,
}

impl State {
    /// The mode, and why an armed guard denies nothing. As the program decides it, in its order.
    fn mode(&self) -> (&'static str, Option<String>) {
        let Self { control, spent, evidence, now_boot_ns, now_unix_s } = self;
        if control.is_enforced == 0 {
            return ("rehearsal", None);
        }
        let shadow = |why: String| ("shadow", Some(why));
        if spent.tripped_arming == control.arming {
            let ago_s = clock::seconds(now_boot_ns.saturating_sub(spent.tripped_at_boot_ns));
            return shadow(format!(
                "the budget of {} denials to peers was spent {ago_s} s ago",
                evidence.budget_denials
            ));
        }
        if control.has_lease(*now_boot_ns) {
            return ("enforcing", None);
        }
        let until = control.lease_until_boot_ns;
        if until > *now_boot_ns {
            return shadow(format!("the lease is longer than {MAX_LEASE_S} s"));
        }
        let ago_s = clock::seconds(now_boot_ns - until);
        let is_expired =
            *now_boot_ns >= evidence.expires_boot_ns || *now_unix_s >= evidence.expires_unix_s;
        let why = if is_expired { "the evidence has expired" } else { "nobody renewed it" };
        shadow(format!("the lease ended {ago_s} s ago: {why}"))
    }

    fn lease_left_ms(&self) -> u64 {
        match self.mode() {
            ("enforcing", _) => (self.control.lease_until_boot_ns - self.now_boot_ns) / 1_000_000,
            _ => 0,
        }
    }

    /// Denials to peers that this arming has tried, at most its budget.
    fn used(&self) -> u64 {
        let budget = self.evidence.budget_denials;
        let begun = self.control.budget_until.saturating_sub(budget);
        self.spent.denials.saturating_sub(begun).min(budget)
    }

    fn expires_at(&self) -> String {
        let seconds = i64::try_from(self.evidence.expires_unix_s).unwrap_or(i64::MAX);
        Timestamp::from_second(seconds).map_or_else(|_| "never".to_owned(), |at| at.to_string())
    }
}

fn counts(pinned: &Pinned) -> Result<Vec<(Hook, Counts)>> {
    let map = pinned.map("ibsr_g_counts")?;
    Hook::ALL
        .into_iter()
        .map(|hook| {
            let cpus = map.lookup_percpu(&(hook as u32).to_ne_bytes(), MapFlags::ANY)?;
            let cpus: Option<Vec<Counts>> = cpus
                .context("a hook has no counts")?
                .iter()
                .map(|bytes| Counts::read_from_bytes(bytes).ok())
                .collect();
            Ok((hook, Counts::sum(&cpus.context("the counts are of another version")?)))
        })
        .collect()
}

/// What was asked of listed resolvers and what was learned.
fn names(pinned: &Pinned) -> Result<DnsTotals> {
    let cpus = pinned.map("ibsr_g_dns")?.lookup_percpu(&0_u32.to_ne_bytes(), MapFlags::ANY)?;
    let cpus: Option<Vec<DnsTotals>> = cpus
        .context("names have no counts")?
        .iter()
        .map(|bytes| DnsTotals::read_from_bytes(bytes).ok())
        .collect();
    Ok(DnsTotals::sum(&cpus.context("the counts of names are of another version")?))
}

fn as_text(state: &State, counts: &[(Hook, Counts)], interfaces: &Attached) -> String {
    let (mode, why) = state.mode();
    let mut text = format!("{mode}, policy generation {}\n", state.control.generation);
    if let Some(why) = why {
        let _infallible = writeln!(text, "because {why}");
    }
    if state.control.is_enforced != 0 {
        let evidence = &state.evidence;
        let _infallible = writeln!(
            text,
            "lease {} s, canary {} %, budget {} of {} denials to peers\nevidence {} by key {} until {}",
            state.lease_left_ms() / 1_000,
            state.control.canary_percent,
            state.used(),
            evidence.budget_denials,
            Digest::from(evidence.manifest_sha256),
            KeyId::from(evidence.key_id),
            state.expires_at(),
        );
    }
    let Attached { there, gone } = interfaces;
    if !there.is_empty() {
        let _infallible = writeln!(text, "queries at {}", there.join(", "));
    }
    if !gone.is_empty() {
        let names = gone.join(", ");
        let _infallible = writeln!(
            text,
            "no queries at {names}: deleted since; `disarm` and `rehearse` to judge there again"
        );
    }
    for (hook, counts) in counts {
        let _infallible = writeln!(
            text,
            "{:8} judged {} allowed {} would_deny {} denied {} exempt {} unjudged {} records_lost {}",
            hook.as_str(),
            counts.judged(),
            counts.allowed,
            counts.would_deny,
            counts.denied,
            counts.exempt,
            counts.unjudged,
            counts.records_lost,
        );
    }
    text
}

fn names_text(names: &DnsTotals) -> String {
    let DnsTotals { asked, answered, unasked, unlisted, learned, names_inserted, .. } = names;
    format!(
        "names    asked {asked} answered {answered} unasked {unasked} unlisted {unlisted} learned {learned} inserted {names_inserted}"
    )
}

fn names_json(names: &DnsTotals) -> Value {
    json!({
        "asked": names.asked,
        "answered": names.answered,
        "unasked": names.unasked,
        "late": names.late,
        "repeated": names.repeated,
        "unlisted": names.unlisted,
        "malformed": names.answer_malformed,
        "learned": names.learned,
        "inserted": names.names_inserted,
        "renamed": names.renamed,
        "failed": names.learn_failed,
    })
}

fn as_json(state: &State, counts: &[(Hook, Counts)], interfaces: &Attached) -> Value {
    let (mode, why) = state.mode();
    let hooks: serde_json::Map<_, _> = counts
        .iter()
        .map(|(hook, counts)| (hook.as_str().to_owned(), counts_json(counts)))
        .collect();
    let mut value = json!({
        "schema": "ibsr-guard-status/1",
        "mode": mode,
        "generation": state.control.generation,
        "dns_interfaces": interfaces.there,
        "dns_interfaces_gone": interfaces.gone,
        "hooks": hooks,
    });
    if state.control.is_enforced != 0 {
        value["arming"] = json!({
            "why_shadow": why,
            "lease_left_ms": state.lease_left_ms(),
            "canary_percent": state.control.canary_percent,
            "budget_denials": state.evidence.budget_denials,
            "budget_used": state.used(),
            "evidence_sha256": Digest::from(state.evidence.manifest_sha256).to_string(),
            "key": KeyId::from(state.evidence.key_id).to_string(),
            "expires_at": state.expires_at(),
        });
    }
    value
}

fn counts_json(counts: &Counts) -> Value {
    json!({
        "judged": counts.judged(),
        "allowed": counts.allowed,
        "would_deny": counts.would_deny,
        "denied": counts.denied,
        "exempt": counts.exempt,
        "unjudged": counts.unjudged,
        "recorded": counts.recorded,
        "records_lost": counts.records_lost,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn armed() -> State {
        State {
            control: Control {
                generation: 1,
                lease_until_boot_ns: 130 * S,
                arming: 3,
                budget_until: 17,
                is_enforced: 1,
                canary_percent: 10,
                ..Control::default()
            },
            spent: Spent { denials: 14, tripped_arming: 2, tripped_at_boot_ns: S },
            evidence: Evidence {
                expires_unix_s: 2_000,
                expires_boot_ns: 1_000 * S,
                budget_denials: 5,
                ..Evidence::default()
            },
            now_boot_ns: 100 * S,
            now_unix_s: 1_000,
        }
    }

    #[test]
    fn an_armed_guard_says_how_long_and_how_much_is_left() {
        let state = armed();
        assert_eq!(state.mode(), ("enforcing", None));
        assert_eq!((state.lease_left_ms(), state.used()), (30_000, 2));
        let text = as_text(&state, &[], &Attached::default());
        assert!(text.contains("lease 30 s, canary 10 %, budget 2 of 5 denials"), "{text}");
    }

    #[test]
    fn each_reason_for_shadow_is_named() {
        type Change = fn(&mut State);
        let cases: [(Change, &str); 5] = [
            (|state| state.spent.tripped_arming = 3, "budget of 5 denials to peers was spent 99 s"),
            (|state| state.control.lease_until_boot_ns = 90 * S, "ended 10 s ago: nobody renewed"),
            (|state| state.control.lease_until_boot_ns = 161 * S, "longer than 60 s"),
            (
                |state| {
                    state.control.lease_until_boot_ns = 90 * S;
                    state.now_unix_s = 2_000;
                },
                "the evidence has expired",
            ),
            (|state| (state.now_boot_ns, state.now_unix_s) = (1_000 * S, 0), "has expired"),
        ];
        for (change, expected) in cases {
            let mut state = armed();
            change(&mut state);
            let (mode, why) = state.mode();
            assert_eq!(mode, "shadow");
            assert!(why.as_ref().is_some_and(|why| why.contains(expected)), "{why:?}: {expected}");
            assert_eq!(state.lease_left_ms(), 0);
            assert!(as_json(&state, &[], &Attached::default()).to_string().contains(expected));
        }
        let mut state = armed();
        state.control.is_enforced = 0;
        assert_eq!(state.mode(), ("rehearsal", None));
    }
}
