// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a Rust test program prints, as values. Pure.

use std::collections::BTreeMap;

/// What the line of one test says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// `ok`.
    Passed,
    /// `FAILED`.
    Failed,
    /// `ignored`.
    Ignored,
}

/// Names of the tests in the output of `--list --format terse`.
pub fn parse_list(output: &str) -> Vec<String> {
    output.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}

/// The verdict of each test in the output of a run. A test without one was never finished.
pub fn parse_run(output: &str) -> BTreeMap<String, Verdict> {
    let verdict = |line: &str| {
        let (name, said) = line.strip_prefix("test ")?.split_once(" ... ")?;
        let verdict = match said.split(',').next()? {
            "ok" => Verdict::Passed,
            "FAILED" => Verdict::Failed,
            "ignored" => Verdict::Ignored,
            _ => return None,
        };
        Some((name.to_owned(), verdict))
    };
    output.lines().filter_map(verdict).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_line_with_a_verdict_counts() {
        let output = "\nrunning 4 tests\ntest a::b::root::test ... ok\n\
            test c has been running for over 60 seconds\ntest c ... FAILED\n\
            test d ... ignored, needs a disk\ntest e ... \n\nfailures:\n    c\n\n\
            test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out\n";
        let verdicts = parse_run(output);
        let expected = [
            ("a::b::root::test", Verdict::Passed),
            ("c", Verdict::Failed),
            ("d", Verdict::Ignored),
        ];
        assert_eq!(verdicts, expected.map(|(name, it)| (name.to_owned(), it)).into());
    }

    #[test]
    fn a_list_holds_tests_and_no_benchmarks() {
        assert_eq!(parse_list("a::b: test\nc: benchmark\n\nd: test\n"), ["a::b", "d"]);
    }
}
