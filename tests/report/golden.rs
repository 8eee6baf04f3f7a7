// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each directory of `tests/golden` holds sealed segments in `in/` and the report that was
//! worked out for them by hand. `IBSR_BLESS=1` writes what the program says; review it.

use std::fs;
use std::path::PathBuf;

use super::{run, say};

#[test]
fn every_golden_case_gives_the_reviewed_report() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut cases: Vec<_> = fs::read_dir(&root)
        .expect("the golden cases are here")
        .map(|entry| entry.expect("a readable entry").path())
        .collect();
    cases.sort();
    assert!(cases.len() >= 2, "{cases:?}");
    for case in cases {
        let out = tempfile::tempdir().expect("a directory");
        let said = say(run(&case.join("in")).arg("--out").arg(out.path()));
        assert!(matches!(said.code, Some(0 | 1)), "{}: {}", case.display(), said.stderr);
        for name in ["report.txt", "report.json"] {
            let found = fs::read_to_string(out.path().join(name)).expect("written");
            let golden = case.join(name);
            if std::env::var_os("IBSR_BLESS").is_some() {
                fs::write(&golden, &found).expect("writable");
            }
            let expected = fs::read_to_string(&golden).expect("a reviewed report");
            assert_eq!(found, expected, "{}", golden.display());
        }
        let text = fs::read_to_string(case.join("report.txt")).expect("reviewed");
        assert_eq!(said.stdout, text, "stdout and report.txt are the same value");
    }
}
