// SPDX-License-Identifier: MIT OR Apache-2.0
//! What docs/fleet.md shows in other engines: the queries run as they stand there and find
//! what the report finds; the table's columns are the fields that are written.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use ibsr_tests::process::{program, say};
use ibsr_tests::segments::{SegmentSpec, Traffic};
use serde_json::Value;

use super::{Cluster, bucket, venv};

/// The fenced code of `language` on the page.
fn fenced(language: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/fleet.md");
    let text = fs::read_to_string(page).expect("the page exists");
    let from = text.split_once(&format!("```{language}\n")).expect("the page has such code").1;
    from.split_once("```").expect("the code ends").0.to_owned()
}

/// `address<tab>SYNs` of the ten sources that the report puts first.
fn top(folder: &Path) -> Vec<String> {
    let mut command = Command::new(program("ibsr-report"));
    let args = ["--top", "10", "--by", "syn", "--format", "json"];
    let said = say(command.arg("sources").arg(folder).args(args)).expect_code(0);
    let json: Value = serde_json::from_str(&said.stdout).expect("JSON");
    let rows = json["sources"].as_array().expect("a list").iter();
    rows.map(|row| format!("{}\t{}", row["src"].as_str().expect("an address"), row["syn"]))
        .collect()
}

#[test]
fn the_documented_queries_find_what_the_report_finds() {
    let (root, _) = bucket();
    let (truth, folder) = (top(root.path()), root.path().to_str().expect("text"));
    assert_eq!(truth.len(), 10);

    let print = "import sys, duckdb\n\
                 for row in duckdb.sql(sys.argv[1]).fetchall(): print(*row, sep='\\t')";
    let query = fenced("sql").replace("FLEET", folder);
    let said = say(Command::new(venv().join("bin/python")).args(["-c", print, &query]));
    assert_eq!(said.expect_code(0).stdout.lines().collect::<Vec<_>>(), truth);

    let script = root.path().join("query.py");
    fs::write(&script, fenced("python").replace("FLEET", folder)).expect("written");
    let cluster = Cluster::new();
    let said = say(cluster.submit("local[2]").arg(script)).expect_code(0);
    let rows: Vec<_> = said.stdout.lines().filter(|line| line.contains('\t')).collect();
    assert_eq!(rows, truth, "{}", said.stderr);
}

/// Athena is not to be had here; a column that no row has would be empty there for ever.
#[test]
fn the_documented_table_has_the_fields_that_are_written() {
    let spec = SegmentSpec::of(17, Traffic::new(1, 3).sweeps(2));
    let mut written = BTreeSet::from(["proven".to_owned()]);
    for line in String::from_utf8(spec.bytes()).expect("text").lines() {
        let Ok(Value::Object(row)) = serde_json::from_str(line) else { panic!("{line}") };
        written.extend(row.keys().cloned());
        if row["type"] == "source" {
            let table = fenced("athena");
            let missing = row.keys().find(|field| !names(&table).contains(*field));
            assert_eq!(missing, None, "a field of a source row is no column");
        }
    }
    let unknown: Vec<_> =
        names(&fenced("athena")).into_iter().filter(|name| !written.contains(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?} are in no row");
}

/// Columns of the table, without those of its partitions.
fn names(table: &str) -> BTreeSet<String> {
    let columns = table.split_once('(').expect("a list").1.split_once(')').expect("it ends").0;
    let names = columns.split(',').filter_map(|column| column.split_whitespace().next());
    names.map(|name| name.trim_matches('`').to_owned()).collect()
}
