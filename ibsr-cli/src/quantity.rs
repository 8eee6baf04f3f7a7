// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sizes as `64MiB` and durations as `10s`, the way flags take them.

use std::time::Duration;

/// Why a size or duration could not be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuantityError {
    /// The text does not start with a whole number.
    #[error("`{0}` does not start with a whole number, for example `{1}`")]
    NoNumber(String, &'static str),
    /// The unit behind the number is unknown.
    #[error("unknown unit `{0}`: use {1}")]
    UnknownUnit(String, &'static str),
    /// The value does not fit.
    #[error("`{0}` is too large")]
    TooLarge(String),
    /// Zero makes no sense here.
    #[error("`{0}` must be more than zero")]
    Zero(String),
}

const SIZE_UNITS: [(&str, u64); 9] = [
    ("", 1),
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];
const DURATION_UNITS_MS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Parses a size in bytes: a whole number and one of B, KiB, MiB, GiB, TiB, kB, MB, GB.
///
/// # Errors
/// [`QuantityError`] that names the text and what is accepted.
pub fn parse_size(text: &str) -> Result<u64, QuantityError> {
    scaled(text, &SIZE_UNITS, "64MiB", "B, KiB, MiB, GiB, TiB, kB, MB or GB")
}

/// Parses a duration above zero: a whole number and one of ms, s, m, h, d.
///
/// # Errors
/// [`QuantityError`] that names the text and what is accepted.
pub fn parse_duration(text: &str) -> Result<Duration, QuantityError> {
    match scaled(text, &DURATION_UNITS_MS, "10s", "ms, s, m, h or d")? {
        0 => Err(QuantityError::Zero(text.to_owned())),
        millis => Ok(Duration::from_millis(millis)),
    }
}

fn scaled(
    text: &str,
    units: &[(&str, u64)],
    example: &'static str,
    accepted: &'static str,
) -> Result<u64, QuantityError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(QuantityError::NoNumber(text.to_owned(), example));
    }
    let factor = units
        .iter()
        .find_map(|(name, factor)| (*name == unit).then_some(*factor))
        .ok_or_else(|| QuantityError::UnknownUnit(unit.to_owned(), accepted))?;
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| QuantityError::TooLarge(text.to_owned()))
}

/// A size for people, in binary units with one decimal: `1.5 MiB`.
#[must_use]
pub fn format_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut tenths = bytes.saturating_mul(10) / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_read_as_written() {
        assert_eq!(parse_size("64MiB"), Ok(64 << 20));
        assert_eq!(parse_size("4096"), Ok(4096));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("5m"), Ok(Duration::from_secs(300)));
    }

    #[test]
    fn a_wrong_text_is_named_in_its_error() {
        assert!(parse_size("MiB").is_err_and(|error| error.to_string().contains("64MiB")));
        assert!(parse_size("1XiB").is_err_and(|error| error.to_string().contains("XiB")));
        assert!(parse_duration("10").is_err());
        assert!(parse_duration("0s").is_err());
        assert!(parse_size("99999999999TiB").is_err());
    }

    #[test]
    fn sizes_for_people_keep_one_decimal() {
        assert_eq!(format_bytes(1023), "1023 B");
        assert_eq!(format_bytes(1536), "1.5 KiB");
        assert_eq!(format_bytes(5 << 30), "5.0 GiB");
    }
}
