// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where numbers and times stand on an axis, and which of them get a label.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::svg::CHAR;

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;
/// Steps from which on a label names the year.
const LONG_MS: u64 = 91 * DAY_MS;
/// Steps of a time axis, all divisors or multiples of a day.
const TIME_STEPS_MS: [u64; 20] = [
    SECOND_MS,
    5 * SECOND_MS,
    10 * SECOND_MS,
    30 * SECOND_MS,
    MINUTE_MS,
    2 * MINUTE_MS,
    5 * MINUTE_MS,
    10 * MINUTE_MS,
    15 * MINUTE_MS,
    30 * MINUTE_MS,
    HOUR_MS,
    3 * HOUR_MS,
    6 * HOUR_MS,
    12 * HOUR_MS,
    DAY_MS,
    2 * DAY_MS,
    7 * DAY_MS,
    28 * DAY_MS,
    LONG_MS,
    364 * DAY_MS,
];

/// A straight scale from numbers to units of the drawing.
#[derive(Debug, Clone, Copy)]
pub struct Linear {
    /// Numbers at both ends.
    pub domain: (f64, f64),
    /// Their places.
    pub range: (f64, f64),
}

impl Linear {
    /// The place of a number; the ends where there is no length.
    pub fn at(&self, value: f64) -> f64 {
        let ((from, to), (start, end)) = (self.domain, self.range);
        if to <= from { start } else { start + (value - from) / (to - from) * (end - start) }
    }
}

/// Shares in thousand millionths on a logarithmic scale; everything below the left end
/// stands at it.
#[derive(Debug, Clone, Copy)]
pub struct Decades {
    low: u32,
    high: u32,
    range: (f64, f64),
}

impl Decades {
    /// Whole decades around the shares, at least one, at most up to 100 %.
    pub fn around(shares_ppb: impl Iterator<Item = u64>, range: (f64, f64)) -> Self {
        let (mut low, mut high) = (9, 0);
        for share in shares_ppb.filter(|share| *share > 0) {
            low = low.min(share.ilog10());
            high = high.max(share.ilog10() + u32::from(10_u64.pow(share.ilog10()) < share));
        }
        let high = high.clamp(1, 9);
        Self { low: low.min(high - 1), high, range }
    }

    /// The place of a share.
    pub fn at(&self, share_ppb: u64) -> f64 {
        let decades = (share_ppb.max(1) as f64).log10().max(f64::from(self.low));
        let domain = (f64::from(self.low), f64::from(self.high));
        Linear { domain, range: self.range }.at(decades)
    }

    /// Whole decades, not more than `most` of them.
    pub fn ticks(&self, most: u32) -> Vec<u64> {
        let step = (self.high - self.low).div_ceil(most.max(1)).max(1);
        let from_high = (0..).map(|number| number * step);
        let mut ticks: Vec<u64> = from_high
            .take_while(|below| *below <= self.high - self.low)
            .map(|below| 10_u64.pow(self.high - below))
            .collect();
        ticks.reverse();
        ticks
    }
}

/// Round numbers from 0 to the first one that is not below `max`: 1, 2 or 5 times a power of
/// ten apart, about `count` of them.
pub fn nice(max: f64, count: u32) -> Vec<f64> {
    if max <= 0.0 || !max.is_finite() {
        return vec![0.0, 1.0];
    }
    let rough = max / f64::from(count.max(1));
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= rough * 0.999_999)
        .unwrap_or(10.0 * power);
    let steps = (max / step - 1e-9).ceil().max(1.0) as u32;
    (0..=steps).map(|number| f64::from(number) * step).collect()
}

/// A round number with a prefix: `0`, `0.5`, `250`, `20 k`, `1.5 M`.
pub fn short(value: f64) -> String {
    let (value, prefix) = match value {
        v if v >= 1e9 => (v / 1e9, " G"),
        v if v >= 1e6 => (v / 1e6, " M"),
        v if v >= 1e4 => (v / 1e3, " k"),
        v => (v, ""),
    };
    let text = format!("{value:.3}");
    format!("{}{prefix}", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A label on a time axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    /// When.
    pub unix_ms: u64,
    /// In UTC.
    pub label: String,
}

/// Times with labels from `from` to `to`, as close as `width` lets them stand side by side.
pub fn times((from, to): (u64, u64), width: f64) -> Vec<Tick> {
    let span = to.saturating_sub(from);
    let most = |step: u64| (width / ((label_length(step) + 2.0) * CHAR)).max(1.0) as u64;
    let step = TIME_STEPS_MS.into_iter().find(|step| span / step <= most(*step));
    let step = step.unwrap_or_else(|| {
        let longest = TIME_STEPS_MS[TIME_STEPS_MS.len() - 1];
        (span / most(longest)).div_ceil(longest).saturating_mul(longest)
    });
    // Steps of several days count from the first midnight, not from 1970.
    let first = from.div_ceil(step.min(DAY_MS)).saturating_mul(step.min(DAY_MS));
    (0..)
        .map_while(|number| first.checked_add(step.checked_mul(number)?))
        .take_while(|at| *at <= to)
        .map(|unix_ms| Tick { unix_ms, label: label(unix_ms, step) })
        .collect()
}

/// In characters.
const fn label_length(step: u64) -> f64 {
    match step {
        0..MINUTE_MS | LONG_MS.. => 8.0,
        _ => 6.0,
    }
}

/// `Nov 22` at midnight and for whole days, `Nov 2026` where these are many, else `14:05` or
/// `14:05:30`. Empty for a number that is no time of this era.
fn label(unix_ms: u64, step: u64) -> String {
    let format = match step {
        LONG_MS.. => "%b %Y",
        _ if unix_ms.is_multiple_of(DAY_MS) => "%b %-d",
        0..MINUTE_MS => "%H:%M:%S",
        _ => "%H:%M",
    };
    let time = i64::try_from(unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    time.map_or_else(String::new, |time| time.to_zoned(TimeZone::UTC).strftime(format).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOV_22: u64 = 1_795_305_600_000;

    fn labels(span_ms: u64, width: f64) -> Vec<String> {
        times((NOV_22, NOV_22 + span_ms), width).into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn numbers_on_an_axis_are_round() {
        assert_eq!(nice(983.0, 4), [0.0, 500.0, 1000.0]);
        assert_eq!(nice(1000.0, 4), [0.0, 500.0, 1000.0]);
        assert_eq!(nice(100.0, 5), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(nice(0.0, 4), [0.0, 1.0]);
        assert_eq!(nice(f64::NAN, 4), [0.0, 1.0]);
        assert!(nice(1.8e19, 4).len() <= 6);
    }

    #[test]
    fn times_on_an_axis_are_round_and_leave_room() {
        assert_eq!(labels(2 * HOUR_MS, 328.0), ["Nov 22", "00:30", "01:00", "01:30", "02:00"]);
        assert_eq!(labels(36 * HOUR_MS, 328.0), ["Nov 22", "12:00", "Nov 23", "12:00"]);
        assert_eq!(labels(14 * DAY_MS, 700.0).len(), 8);
        assert_eq!(labels(14 * DAY_MS, 700.0)[1], "Nov 24");
        assert_eq!(labels(0, 700.0), ["Nov 22"]);
        for span in [1, 999, 12_345, 987_654_321, u64::MAX / 2, u64::MAX] {
            let ticks = times((0, span), 328.0);
            assert!(ticks.len() <= 8, "{span}: {}", ticks.len());
        }
    }

    #[test]
    fn decades_hold_every_share() {
        let scale = Decades::around([0, 998_000, 1_000_000].into_iter(), (0.0, 100.0));
        assert_eq!(scale.ticks(9), [100_000, 1_000_000]);
        assert_eq!((scale.at(0), scale.at(100_000), scale.at(1_000_000)), (0.0, 0.0, 100.0));
        let all = Decades::around([7, 1_000_000_000].into_iter(), (0.0, 90.0));
        assert_eq!(all.ticks(3), [1, 1_000, 1_000_000, 1_000_000_000]);
        assert_eq!(Decades::around(std::iter::empty(), (0.0, 1.0)).ticks(9).len(), 2);
    }
}
