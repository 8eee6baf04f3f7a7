// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sentences, filled by machine.

use jiff::civil::Date;

use super::gather::Labelled;
use super::price::Taken;
use crate::model::{Bound, Gate, Plan, Unit};

/// A day since 1970 as a date.
#[must_use]
pub fn date(day: u32) -> String {
    let date = Date::constant(1970, 1, 1);
    let days = jiff::Span::new().try_days(day);
    let date = days.ok().and_then(|days| date.checked_add(days).ok());
    date.map_or_else(|| format!("day {day}"), |date| date.to_string())
}

/// Parts per thousand million as a percentage with four digits that matter.
#[must_use]
pub fn percent(ppb: u64) -> String {
    let digits = match ppb {
        0 => 0,
        1..1_000_000 => 5,
        1_000_000..100_000_000 => 3,
        _ => 1,
    };
    // Decimal places of a percentage in thousand-millionths: 10^7 of them are one per cent.
    let (whole, part) = (ppb / 10_000_000, ppb % 10_000_000);
    let part = format!("{part:07}");
    if digits == 0 { format!("{whole} %") } else { format!("{whole}.{} %", &part[..digits]) }
}

/// The same, rounded up: a bound that is rounded down is none.
#[must_use]
pub fn percent_up(ppb: u64) -> String {
    let step = match ppb {
        0..1_000_000 => 100,
        1_000_000..100_000_000 => 10_000,
        _ => 1_000_000,
    };
    percent(ppb.div_ceil(step) * step)
}

/// The sentence of every report.
#[must_use]
pub fn sentence(clusters: &Bound, held_out_days: u64, coverage_ppm: Option<u64>) -> String {
    let Bound { k, n, upper_ppb, .. } = *clusters;
    if n == 0 {
        return "No legitimate source cluster was seen on a held-out day, so nothing is known \
                about whom these rules would have affected."
            .to_owned();
    }
    let coverage = coverage_ppm.map_or_else(|| "unknown".to_owned(), |ppm| percent(ppm * 1000));
    format!(
        "On held-out traffic of {held_out_days} days, {k} of {n} legitimate source clusters (UNKNOWN counted as \
         legitimate) would have been affected by this rule set. With 95 % confidence the true share is below {}, \
         if future traffic resembles the held-out days and the labels are right. Coverage was {coverage}.",
        percent_up(upper_ppb)
    )
}

/// Why a gate failed.
#[must_use]
pub fn failed(gate: &Gate) -> String {
    let value =
        gate.value.map_or_else(|| "nothing was measured".to_owned(), |v| number(v, gate.unit));
    let side = if gate.is_minimum { "at least" } else { "at most" };
    format!("{}: {value}, {side} {} is needed", gate.asks, number(gate.limit, gate.unit))
}

fn number(value: u64, unit: Unit) -> String {
    match unit {
        Unit::Ppm => percent(value.saturating_mul(1000)),
        Unit::Ppb => percent(value),
        Unit::Days => format!("{value} days"),
        Unit::Count => value.to_string(),
    }
}

/// How long to wait.
#[must_use]
pub fn plan(plan: &Plan, limit_ppb: u64) -> String {
    let limit = percent(limit_ppb);
    let rate = format!(
        "{}.{}",
        plan.clusters_per_day_milli / 1000,
        plan.clusters_per_day_milli % 1000 / 100
    );
    let days = |milli: u64| {
        let tenths = milli.div_ceil(100);
        format!("{}.{}", tenths / 10, tenths % 10)
    };
    let whole = plan.more_whole_days;
    match plan.more_days_milli {
        None if plan.needed_clusters == u64::MAX => {
            format!("no number of clusters would show {limit} with so many of them affected")
        }
        // Before the second day nothing is held out, so nobody knows how fast they come.
        None if whole > 0 => format!(
            "{whole} more days are needed for a hold-out of a week, and in them {} legitimate clusters to show {limit}",
            plan.needed_clusters.saturating_sub(plan.have_clusters)
        ),
        None => format!(
            "{} legitimate clusters are needed to show {limit}, there are {}, and no new ones come",
            plan.needed_clusters, plan.have_clusters
        ),
        Some(milli) if milli.div_ceil(1000) >= whole => format!(
            "at {rate} new legitimate clusters a day, {} more days are needed to show {limit}",
            days(milli)
        ),
        Some(_) => format!("{whole} more days are needed for a hold-out of a week"),
    }
}

/// Why a source would have been acted on, in one sentence.
#[must_use]
pub fn why(source: &Labelled, rules: &[String], taken: &Taken, window_ms: u64) -> String {
    let counts = &source.facts.counts;
    let peak = source.facts.peak.map_or(0, |peak| peak.syn);
    let per_second = u128::from(peak) * 10_000 / u128::from(window_ms.max(1));
    format!(
        "{} acted while it sent {} SYN and completed {} handshakes; over all time it completed {} of {} SYN, \
         and sent {}.{} SYN a second at its busiest",
        if rules.is_empty() { "a rule".to_owned() } else { rules.join(", ") },
        taken.sent.syn,
        taken.sent.handshakes,
        counts.handshakes,
        counts.syn,
        per_second / 10,
        per_second % 10,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_shares_keep_the_digits_that_matter() {
        assert_eq!(percent(0), "0 %");
        assert_eq!(percent(998_765), "0.09987 %");
        assert_eq!(percent(1_000_000), "0.100 %");
        assert_eq!(percent(999_000_000), "99.9 %");
        assert_eq!(percent(1_000_000_000), "100.0 %");
    }

    /// After one day, and after a week in which nobody came.
    #[test]
    fn a_plan_without_a_rate_names_what_is_known() {
        let missing = |more_whole_days| Plan {
            needed_clusters: 2995,
            have_clusters: 0,
            clusters_per_day_milli: 0,
            more_days_milli: None,
            more_whole_days,
            sentence: String::new(),
        };
        let first_day = plan(&missing(6), 1_000_000);
        assert!(first_day.starts_with("6 more days") && first_day.contains("2995"), "{first_day}");
        let week = plan(&missing(0), 1_000_000);
        assert!(week.contains("there are 0, and no new ones come"), "{week}");
    }

    #[test]
    fn a_bound_is_never_shown_smaller_than_it_is() {
        assert_eq!(percent_up(465_001), "0.04651 %");
        assert_eq!(percent_up(465_000), "0.04650 %");
        assert_eq!(percent_up(999_999), "0.100 %");
        assert_eq!(percent_up(12_345_678), "1.235 %");
        assert_eq!(percent_up(999_999_999), "100.0 %");
    }

    #[test]
    fn a_day_is_a_date() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(20_779), "2026-11-22");
        assert_eq!(date(u32::MAX), format!("day {}", u32::MAX));
    }
}
