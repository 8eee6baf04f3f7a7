// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the numbers were made, what they cannot say, and how to check them.

use ibsr_replay::model::Report;

use super::{Block, Section, Style, fact, units};

/// Settings and limits.
pub(super) fn method(report: &Report, style: Style) -> Section {
    let settings = &report.settings;
    let facts = vec![
        fact("Window", units::duration(settings.window_ms)),
        fact("Limit for clusters", units::bound(settings.limit_ppb)),
        fact("Limit for connections", units::bound(settings.connection_limit_ppb)),
        fact("Look at this evidence", style.count(u64::from(settings.look))),
        fact("Error that it may spend", units::share(settings.alpha_ppb)),
        fact("Of this for each rule", units::share(report.surface.clusters.alpha_ppb)),
        fact("Trial done", if settings.is_canary_done { "yes" } else { "no" }),
        fact("Rules (SHA-256)", &settings.rules_sha256),
    ];
    let points = [
        "Nothing was dropped. Recorded counters were replayed against the rules in time order; a \
         decision uses only what was known at its time and acts after the delay that \
         distributing it would take.",
        "The unit of the bound is a cluster of sources (/24, /56), counted once, on days that \
         did not choose the thresholds. The bound is exact (Clopper-Pearson) for this unit.",
        "A source that cannot be called legitimate or abusive counts as legitimate in every \
         bound.",
        "Shares are of what was attributed to a source. The column “at most” adds whatever \
         was not: evicted and unseen packets.",
        "The bound holds if future traffic resembles the held-out days and the labels are right. \
         Nobody knows how a client whose SYN is dropped would have gone on.",
        "Only packets towards the host are seen. Replies are not, and neither is what happened \
         inside a connection.",
    ];
    Section {
        id: "method",
        title: "Method and limits",
        is_summary: false,
        blocks: vec![Block::List(points.map(str::to_owned).to_vec()), Block::Facts(facts)],
    }
}

/// How someone else comes to the same report.
pub(super) fn verify() -> Section {
    let points = [
        "The evidence bundle holds the SHA-256 of every input, the rules, the gates and this \
         page, under one signature. `verify` checks the signature and every hash.",
        "With the inputs it makes the whole report again and compares it byte for byte.",
        "report.json has every number of this page, evidence.csv every affected source.",
    ];
    Section {
        id: "verify",
        title: "How to verify",
        is_summary: false,
        blocks: vec![
            Block::List(points.map(str::to_owned).to_vec()),
            Block::Code(
                "ibsr-report verify BUNDLE --trust KEY\nibsr-report verify BUNDLE --trust KEY --inputs DIR\n"
                    .into(),
            ),
        ],
    }
}
