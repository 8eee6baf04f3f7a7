// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lists of addresses and names in files of their own: an entry a line, or the format of
//! `/etc/hosts`.

use std::net::IpAddr;

use crate::error::{PolicyError, Source};

/// Entries of one kind that a policy may have in all.
pub const MAX_ENTRIES: usize = 100_000;
/// Names that every hosts file has for the machine itself.
const OWN_NAMES: [&str; 4] = ["localhost", "localhost.localdomain", "broadcasthost", "local"];

/// The entries of a list with their lines, from 1.
///
/// What follows a `#` is a comment. A line of one word is an entry. A line of several is one of
/// a hosts file: an address, then names; the names are the entries, without those that a hosts
/// file has for the machine itself.
///
/// # Errors
/// When a line of several words does not begin with an address, or there are more than
/// [`MAX_ENTRIES`].
pub fn entries<'text>(
    file: &str,
    text: &'text str,
) -> Result<Vec<(usize, &'text str)>, PolicyError> {
    let source = Source { file, text };
    let mut entries = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let content = line.split('#').next().unwrap_or_default();
        let mut words = content.split_whitespace();
        let Some(first) = words.next() else { continue };
        let mut names = words.peekable();
        if names.peek().is_none() {
            entries.push((at + 1, first));
        } else if first.parse::<IpAddr>().is_ok() {
            let own = |name: &str| OWN_NAMES.contains(&name) || name.starts_with("ip6-");
            entries.extend(names.filter(|name| !own(name)).map(|name| (at + 1, name)));
        } else {
            let message = "a line of several words begins with an address, as in /etc/hosts";
            return Err(source.error((at + 1, 1), message));
        }
        if entries.len() > MAX_ENTRIES {
            return Err(source.error((at + 1, 1), format!("more than {MAX_ENTRIES} entries")));
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_give_their_entries() {
        let text = "# ads\n0.0.0.0 ads.example track.example # both\n127.0.0.1 localhost\nplain.example\n\n10.0.0.0/8\n";
        let entries = entries("l", text).expect("a good list");
        assert_eq!(
            entries,
            [(2, "ads.example"), (2, "track.example"), (4, "plain.example"), (6, "10.0.0.0/8")]
        );
    }

    #[test]
    fn a_line_that_is_neither_is_named() {
        let error = entries("l", "a.example\nb.example c.example\n").expect_err("not hosts");
        assert_eq!((error.line, error.text.as_str()), (2, "b.example c.example"));
    }
}
