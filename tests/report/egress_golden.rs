// SPDX-License-Identifier: MIT OR Apache-2.0
//! The report about a policy that was worked out by hand, and the page that describes it.
//! `IBSR_BLESS=1` writes what the program says; review it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use ibsr_proto::snapshot::cgroup::Row;
use ibsr_tests::flow_segments::{behaviour, write_with};
use ibsr_tests::process::say;
use serde_json::Value;

use super::egress_stage::{EVERY_DIMENSION, egress, every_dimension, identities, policy, unknown};

#[test]
fn the_golden_case_gives_the_reviewed_report() {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden-egress");
    let is_blessed = std::env::var_os("IBSR_BLESS").is_some();
    if is_blessed {
        let flows = every_dimension().into_iter().chain(unknown()).collect();
        let _path =
            write_with(&golden.join("in"), &[flows], &[Row::Behaviour(Box::new(behaviour(1, 1)))]);
        let head = "# SPDX-License-Identifier: MIT OR Apache-2.0\n";
        let _path = policy(&golden, &format!("{head}{EVERY_DIMENSION}"));
        let _path = identities(&golden, Some("1048576:99"));
    }
    let out = tempfile::tempdir().expect("a directory");
    let mut command = egress(&golden.join("in"), &golden.join("policy.yaml"));
    command.arg("--identities").arg(golden.join("identities.json"));
    let said = say(command.args(["--intended", "by-user"]).arg("--out").arg(out.path()));
    let said = said.expect_code(1);
    for name in ["report.txt", "report.json", "evidence.csv", "policy.txt"] {
        let found = fs::read_to_string(out.path().join(name)).expect("written");
        if is_blessed {
            fs::write(golden.join(name), &found).expect("writable");
        }
        let expected = fs::read_to_string(golden.join(name)).expect("a reviewed report");
        assert_eq!(found, expected, "{name}");
    }
    let text = fs::read_to_string(golden.join("report.txt")).expect("reviewed");
    assert_eq!(said.stdout, text, "stdout and report.txt are the same value");
    // Every renderer says the one verdict.
    let json: Value =
        serde_json::from_slice(&fs::read(out.path().join("report.json")).expect("there"))
            .expect("JSON");
    assert_eq!(json["decision"]["verdict"], "insufficient_evidence");
    for name in ["report.html", "report.md", "report.txt"] {
        let text = fs::read_to_string(out.path().join(name)).expect("there");
        assert!(text.contains("INSUFFICIENT_EVIDENCE"), "{name}");
        assert!(text.contains("ads.Tracker.example"), "{name}");
    }
}

#[test]
fn the_page_names_every_field() {
    let docs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let page = |name: &str| fs::read_to_string(docs.join(name)).expect("the page exists");
    let (own, others) = (page("egress.md"), page("report-schema.md"));
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden-egress/report.json");
    let report: Value = serde_json::from_slice(&fs::read(golden).expect("there")).expect("JSON");
    let mut names = BTreeSet::new();
    for (field, value) in report.as_object().expect("an object") {
        assert!(own.contains(&format!("`{field}`")), "`{field}` is not in egress.md");
        if !["decision", "input", "period"].contains(&field.as_str()) {
            collect(value, &mut names);
        }
    }
    assert!(names.len() > 60, "{}", names.len());
    let is_bound = |name: &&String| others.contains(&format!("`{name}`"));
    let missing: Vec<_> = names
        .iter()
        .filter(|name| !own.contains(&format!("`{name}`")) && !is_bound(name))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// What the page says that little evidence must be, the report asks for.
#[test]
fn the_page_says_how_many_a_gate_asks_for() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("../docs/egress.md")).expect("the page exists");
    let golden = fs::read(root.join("golden-egress/report.json")).expect("there");
    let report: Value = serde_json::from_slice(&golden).expect("JSON");
    let gates = report["decision"]["gates"].as_array().expect("gates");
    for (name, words) in [("destinations", "348 for 1 %"), ("rehearsed", "3,492 for 0.1 %")] {
        let gate = gates.iter().find(|gate| gate["name"] == name).expect("such a gate");
        let digits: String = words.split(" for ").next().expect("a count").replace(',', "");
        assert_eq!(gate["limit"], digits.parse::<u64>().expect("a number"), "{name}");
        let row = page.lines().find(|line| line.starts_with(&format!("| `{name}`")));
        assert!(row.expect("a row of the table").contains(words), "{name}");
    }
}

fn collect(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                names.insert(name.clone());
                collect(value, names);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, names)),
        _ => {}
    }
}
