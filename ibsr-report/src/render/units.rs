// SPDX-License-Identifier: MIT OR Apache-2.0
//! Integers as people read them, the same way in every output. Bounds round up, so that what
//! is printed holds too; shares close to all round down, so that nothing looks complete that
//! is not.

use ibsr_replay::model::Unit;

/// Shown where nothing could be measured.
pub const NOTHING: &str = "–";
/// Separates groups of three digits; narrower than a space and never broken at the end of a
/// line.
const THIN: char = '\u{202f}';
const PPB_PER_PERCENT: u64 = 10_000_000;
const NEARLY_ALL_PPB: u64 = 99 * PPB_PER_PERCENT;

/// A share in millionths.
#[must_use]
pub fn ppm(share_ppm: u64) -> String {
    share(share_ppm.saturating_mul(1000))
}

/// A share in thousand millionths: three digits below 1 %, two decimals above, four near all.
#[must_use]
pub fn share(share_ppb: u64) -> String {
    let step = step(share_ppb, 3);
    let half = if share_ppb >= NEARLY_ALL_PPB { 0 } else { step / 2 };
    percent(share_ppb.saturating_add(half) / step * step)
}

/// An upper bound in thousand millionths, with four digits below 1 %, rounded up.
#[must_use]
pub fn bound(upper_ppb: u64) -> String {
    let step = step(upper_ppb, 4);
    percent(upper_ppb.div_ceil(step).saturating_mul(step))
}

/// The last digit that is shown.
const fn step(share_ppb: u64, digits: u32) -> u64 {
    match share_ppb {
        0 => 1,
        1..PPB_PER_PERCENT => 10_u64.pow((share_ppb.ilog10() + 1).saturating_sub(digits)),
        PPB_PER_PERCENT..NEARLY_ALL_PPB => PPB_PER_PERCENT / 100,
        _ => PPB_PER_PERCENT / 10_000,
    }
}

fn percent(share_ppb: u64) -> String {
    let text = format!("{}.{:07}", share_ppb / PPB_PER_PERCENT, share_ppb % PPB_PER_PERCENT);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Digits in groups of three.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 2);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(THIN);
        }
        out.push(digit);
    }
    out
}

/// `1 row`, `2 rows`.
#[must_use]
pub fn plural(number: u64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{ending}")
}

/// Thousandths with at most one decimal: `4.2`, `430`; none from ten thousand on.
#[must_use]
pub fn milli(thousandths: u64) -> String {
    let tenths = thousandths / 100 + u64::from(thousandths % 100 >= 50);
    if tenths.is_multiple_of(10) || tenths >= 100_000 {
        (tenths / 10).to_string()
    } else {
        format!("{}.{}", tenths / 10, tenths % 10)
    }
}

/// A time with its two largest units.
#[must_use]
pub fn duration(ms: u64) -> String {
    const UNITS: [(u64, &str); 5] =
        [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s"), (1, "ms")];
    let at = UNITS.iter().position(|(length, _)| ms >= *length).unwrap_or(UNITS.len() - 1);
    let (length, unit) = UNITS[at];
    let large = format!("{} {unit}", ms / length);
    let small = UNITS.get(at + 1).map(|(less, unit)| (ms % length / less, unit));
    match small {
        Some((count, unit)) if count > 0 => format!("{large} {count} {unit}"),
        _ => large,
    }
}

/// A number of a gate with its unit.
#[must_use]
pub fn amount(value: u64, unit: Unit) -> String {
    match unit {
        Unit::Ppm => ppm(value),
        Unit::Ppb => bound(value),
        Unit::Days => plural(value, "day"),
        Unit::Count => value.to_string(),
    }
}

/// A rule's metric as a unit; one that this version does not know as it is.
#[must_use]
pub fn metric(name: &str) -> &str {
    match name {
        "syn_ps" => "SYN/s",
        "packets_ps" => "packets/s",
        "bytes_ps" => "bytes/s",
        "handshake_ratio_ppm" => "handshakes per million SYN",
        "rst_ratio_ppm" => "RST per million packets",
        "ack_ratio_ppm" => "ACK per million packets",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_has_as_many_digits_as_it_needs() {
        let cases = [
            (0, "0 %"),
            (1, "0.0001 %"),
            (999, "0.0999 %"),
            (1_000, "0.1 %"),
            (123_456, "12.35 %"),
            (500_000, "50 %"),
            (999_000, "99.9 %"),
            (999_999, "99.9999 %"),
            (1_000_000, "100 %"),
            (2_500_000, "250 %"),
        ];
        for (value, expected) in cases {
            assert_eq!(ppm(value), expected);
        }
        assert_eq!(share(999_999_999), "99.9999 %");
        assert_eq!(share(u64::MAX).split('.').next(), Some("1844674407370"));
    }

    /// A printed bound below the true one would be a false promise.
    #[test]
    fn a_bound_rounds_up() {
        let cases = [
            (998_000, "0.0998 %"),
            (998_001, "0.09981 %"),
            (999_999, "0.1 %"),
            (1_000_000, "0.1 %"),
            (1_000_001, "0.1001 %"),
            (7, "0.0000007 %"),
            (12_340_001, "1.24 %"),
            (999_999_999, "100 %"),
            (1_000_000_000, "100 %"),
        ];
        for (value, expected) in cases {
            assert_eq!(bound(value), expected);
        }
    }

    #[test]
    fn numbers_keep_their_unit() {
        assert_eq!(duration(0), "0 ms");
        assert_eq!(duration(10_000), "10 s");
        assert_eq!(duration(90_500), "1 min 30 s");
        assert_eq!(duration(7_260_000), "2 h 1 min");
        assert_eq!(duration(14 * 86_400_000 + 7_200_000), "14 d 2 h");
        assert_eq!(
            (milli(4_200), milli(430_000), milli(49)),
            ("4.2".into(), "430".into(), "0".into())
        );
        assert_eq!((plural(1, "row"), plural(0, "row")), ("1 row".into(), "0 rows".into()));
        assert_eq!(amount(1_000_000, Unit::Ppb), "0.1 %");
        assert_eq!(amount(7, Unit::Days), "7 days");
    }

    #[test]
    fn digits_are_grouped_from_the_right() {
        let cases = [(7, "7"), (999, "999"), (1000, "1 000"), (1_234_567, "1 234 567")];
        for (number, expected) in cases {
            assert_eq!(grouped(number).replace(THIN, " "), expected);
        }
    }
}
