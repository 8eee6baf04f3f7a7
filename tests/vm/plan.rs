// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which tests run in a guest, and which do not, and why. Data.

use ibsr_tests::kernel::{OLDEST, Release};

/// The one that runs on every kernel, also where the sensor cannot.
const EVERYWHERE: [&str; 1] = ["kernels"];
/// Those whose subject is what the kernel does.
const SUPPORTED: [&str; 6] = ["kernels", "verifier", "prover", "xdp_fixtures", "reader", "loader"];

/// Test programs for a kernel.
pub fn tests_for(release: Release) -> &'static [&'static str] {
    if release < OLDEST { &EVERYWHERE } else { &SUPPORTED }
}

/// A test that does not run in a guest.
#[derive(Debug, Clone, Copy)]
pub struct Skip {
    /// Test program.
    pub program: &'static str,
    /// Name of the test without what the root tag appends.
    pub test: &'static str,
    /// Kernels before this one skip it; `None` for all.
    pub before: Option<Release>,
    /// For the reader of the results.
    pub reason: &'static str,
}

/// All of them. A row that names no test is an error, so none outlives its test.
pub const SKIPS: [Skip; 0] = [];

/// Why `test`, as the program names it, does not run on `release`.
pub fn skipped(program: &str, test: &str, release: Release) -> Option<&'static Skip> {
    SKIPS.iter().find(|skip| {
        skip.program == program
            && is_named(test, skip.test)
            && skip.before.is_none_or(|first| release < first)
    })
}

/// Rows about `program` that name none of its `tests`.
pub fn stale<'a>(program: &'a str, tests: &'a [String]) -> impl Iterator<Item = &'static str> + 'a {
    SKIPS
        .iter()
        .filter(move |skip| skip.program == program)
        .filter(|skip| !tests.iter().any(|test| is_named(test, skip.test)))
        .map(|skip| skip.test)
}

/// `tag(root)` makes a module of each test: `name::root::test`.
fn is_named(test: &str, name: &str) -> bool {
    test.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::root"))
}
