// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one spelling of a value: RFC 8785, without fractions and without integers that a
//! reader with floating-point numbers would round.
//!
//! RFC 8785 writes every number as the nearest double, so an integer beyond 2^53 - 1 comes
//! out as another one. It is refused here: what is signed must be what was meant.

use serde::Serialize;
use serde_json::{Number, Value};

use crate::error::CanonicalError;

/// Largest integer that every JSON reader reads exactly: 2^53 - 1 (RFC 7493, 2.2).
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

/// The canonical JSON of `value` (RFC 8785).
///
/// # Errors
/// A number with a fraction or beyond [`MAX_INTEGER`]; a value that JSON has no form for.
pub fn canonical(value: &impl Serialize) -> Result<Vec<u8>, CanonicalError> {
    let value = serde_json::to_value(value).map_err(CanonicalError::NotJson)?;
    check_numbers(&value)?;
    serde_jcs::to_vec(&value).map_err(CanonicalError::NotJson)
}

fn check_numbers(value: &Value) -> Result<(), CanonicalError> {
    match value {
        Value::Number(number) if !is_exact(number) => {
            Err(CanonicalError::Number(number.to_string()))
        }
        Value::Array(list) => list.iter().try_for_each(check_numbers),
        Value::Object(map) => map.values().try_for_each(check_numbers),
        _ => Ok(()),
    }
}

fn is_exact(number: &Number) -> bool {
    let magnitude = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
    magnitude.is_some_and(|magnitude| magnitude <= MAX_INTEGER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &str) -> String {
        let value: Value = serde_json::from_str(json).unwrap();
        String::from_utf8(canonical(&value).unwrap()).unwrap()
    }

    /// RFC 8785, 3.2.2 and 3.2.3: the strings and literals of its sample, in its order.
    #[test]
    fn strings_and_literals_are_written_as_the_rfc_writes_them() {
        let input = r#"{"string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
            "literals": [null, true, false]}"#;
        let expected =
            "{\"literals\":[null,true,false],\"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
        assert_eq!(text(input), expected);
    }

    /// RFC 8785, 3.2.3: names are ordered by UTF-16 code units, not by their bytes.
    #[test]
    fn names_are_ordered_by_utf16() {
        let input = r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet
            With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control",
            "\u00f6":"Latin Small Letter O With Diaeresis"}"#;
        let input = input.replace("\n            ", " ");
        let expected = "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\
            \"ö\":\"Latin Small Letter O With Diaeresis\",\"€\":\"Euro Sign\",\
            \"😀\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}";
        assert_eq!(text(&input), expected);
    }

    /// RFC 8785, 3.2.2, the numbers of its sample: the library below is the scheme itself,
    /// whatever of it we allow.
    #[test]
    fn the_library_writes_numbers_as_the_rfc_does() {
        let value: Value = serde_json::from_str(
            "[333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001]",
        )
        .unwrap();
        assert_eq!(
            serde_jcs::to_string(&value).unwrap(),
            "[333333333.3333333,1e+30,4.5,0.002,1e-27]"
        );
    }

    #[test]
    fn integers_are_exact_or_refused() {
        let largest = MAX_INTEGER.to_string();
        assert_eq!(text(&largest), "9007199254740991");
        assert_eq!(text("[-9007199254740991, 0]"), "[-9007199254740991,0]");
        for wrong in ["9007199254740992", "[-9007199254740992]", "1.5", r#"{"a":[1.0]}"#] {
            let value: Value = serde_json::from_str(wrong).unwrap();
            let refused = canonical(&value);
            assert!(matches!(refused, Err(CanonicalError::Number(_))), "{wrong}: {refused:?}");
        }
    }
}
