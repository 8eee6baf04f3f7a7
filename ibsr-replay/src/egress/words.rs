// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sentences, filled by machine.

use crate::judge::words::{percent, percent_up};
use crate::model::{Bound, Plan};

/// The sentence of every report about a policy.
pub(super) fn sentence(destinations: &Bound, days: u64, lost_ppm: Option<u64>) -> String {
    let Bound { k, n, upper_ppb, .. } = *destinations;
    if n == 0 {
        return "No application was seen to use a destination, so nothing is known about what \
                this policy would have taken away."
            .to_owned();
    }
    let lost = lost_ppm.map_or_else(
        || "How many flows were not seen is not known".to_owned(),
        |ppm| format!("Of the flows {} were not seen", percent(ppm.saturating_mul(1000))),
    );
    let ending = if days == 1 { "" } else { "s" };
    format!(
        "In traffic of {days} day{ending}, {k} of {n} destinations in use (an executable and a name or a network, flagged \
         ones counted as legitimate, those without a verdict as lost) would have been lost by this policy. With 95 % \
         confidence the true share is below {}, if future traffic resembles these days. {lost}.",
        percent_up(upper_ppb)
    )
}

/// How long to wait.
pub(super) fn plan(plan: &Plan, limit_ppb: u64) -> String {
    let limit = percent(limit_ppb);
    let missing = plan.needed_clusters.saturating_sub(plan.have_clusters);
    match (plan.more_days_milli, plan.more_whole_days) {
        (None, _) if plan.needed_clusters == u64::MAX => {
            format!("no number of destinations would show {limit} with so many of them lost")
        }
        (None, _) => format!("{missing} more destinations in use are needed to show {limit}"),
        (Some(milli), whole) if milli.div_ceil(1000) >= whole => {
            let tenths = milli.div_ceil(100);
            format!(
                "{missing} more destinations in use are needed to show {limit}; at the present rate that is {}.{} days",
                tenths / 10,
                tenths % 10
            )
        }
        (Some(_), whole) => format!("{whole} more days are needed for a week"),
    }
}
