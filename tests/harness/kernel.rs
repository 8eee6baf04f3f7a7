// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which kernel runs, for tests whose expectation depends on it.

use ibsr_proto::abi::Evidence;

/// A kernel release without what distributions append to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    /// The first number.
    pub major: u32,
    /// The second.
    pub minor: u32,
}

/// The first one with multi-buffer XDP, which the sensor asks for.
pub const OLDEST: Release = Release { major: 5, minor: 18 };
/// The first one whose maps can be bound to one program.
const EXCLUSIVE_MAPS: Release = Release { major: 6, minor: 18 };

/// How strongly the running kernel can bind maps to a program.
#[must_use]
pub fn strongest_evidence() -> Evidence {
    if Release::running() < EXCLUSIVE_MAPS { Evidence::Frozen } else { Evidence::Exclusive }
}

impl Release {
    /// The running one.
    #[must_use]
    pub fn running() -> Self {
        let name = rustix::system::uname();
        let name = name.release().to_string_lossy();
        Self::parse(&name).unwrap_or_else(|| panic!("`{name}` is no kernel release"))
    }

    /// From the text that `uname -r` prints.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(|digit: char| !digit.is_ascii_digit());
        Some(Self { major: numbers.next()?.parse().ok()?, minor: numbers.next()?.parse().ok()? })
    }
}

impl std::fmt::Display for Release {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_ordered_by_number_not_by_text() {
        let parse = |text| Release::parse(text).expect("a release");
        assert_eq!(parse("6.12.107+deb13-amd64"), Release { major: 6, minor: 12 });
        assert!(parse("6.1.0-50-amd64") < parse("6.12"));
        assert!(parse("5.10.223") < OLDEST);
        assert_eq!(Release::parse("unknown"), None);
        assert_eq!(parse("7.3.4").to_string(), "7.3");
    }
}
