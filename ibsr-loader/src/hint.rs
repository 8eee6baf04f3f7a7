// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an operator may have meant. Pure text.

/// The names nearest to `wanted`, best first, at most three.
#[must_use]
pub fn near_misses(wanted: &str, names: &[String]) -> Vec<String> {
    /// One slip of the finger counts 1, two swapped neighbours 2.
    const MAX_DISTANCE: usize = 2;
    let mut near: Vec<(usize, &String)> = names
        .iter()
        .map(|name| (distance(wanted.as_bytes(), name.as_bytes()), name))
        .filter(|(distance, name)| {
            *distance <= MAX_DISTANCE || name.starts_with(wanted) && !wanted.is_empty()
        })
        .collect();
    near.sort();
    near.into_iter().take(3).map(|(_, name)| name.clone()).collect()
}

/// Levenshtein distance, one row at a time. Interface names are at most 15 bytes.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, &from) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &to) in b.iter().enumerate() {
            let replace = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// `did you mean` and `the interfaces here are`, for a name that does not exist.
#[must_use]
pub fn missing_interface(wanted: &str, names: &[String]) -> String {
    match near_misses(wanted, names).as_slice() {
        [] => format!("the interfaces here are {}", names.join(", ")),
        near => format!("did you mean `{}`?", near.join("`, `")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_the_interface() {
        let names = ["lo", "eth0", "enp3s0", "wlan0"].map(str::to_owned);
        assert_eq!(near_misses("eht0", &names), ["eth0"]);
        assert_eq!(near_misses("enp3", &names), ["enp3s0"]);
        assert!(near_misses("dummy7", &names).is_empty());
        assert!(missing_interface("dummy7", &names).contains("wlan0"));
    }
}
