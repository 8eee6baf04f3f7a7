// SPDX-License-Identifier: MIT OR Apache-2.0
//! `rules.toml`: the candidate rules, ready to be read by the next run. What they are worth
//! stands above them, so that the file cannot be taken for a permission.

use ibsr_replay::model::Report;

use super::escape::plain;

/// The candidate rules behind a comment that says what they are.
#[must_use]
pub fn rules(report: &Report) -> String {
    let decision = &report.decision;
    let mut lines = vec![
        format!("Candidate rules, made {} by {}.", report.generated_at, report.tool),
        format!("Verdict: {}. {}", decision.verdict, decision.sentence),
        format!("Searched in the rule set {}.", report.settings.rules_sha256),
    ];
    if report.is_provisional {
        lines
            .push("Provisional: the safest thresholds, none of which was shown to be safe.".into());
    }
    if !decision.verdict.is_ready() {
        lines.push("The verdict does not allow to enforce them.".into());
    }
    if report.candidate.is_empty() {
        lines.push("There is no rule: none may act.".into());
    }
    let mut out = String::new();
    for line in lines {
        out.push_str("# ");
        out.push_str(&plain(&line));
        out.push('\n');
    }
    if !report.candidate.is_empty() {
        out.push('\n');
        out.push_str(&report.candidate);
    }
    out
}
