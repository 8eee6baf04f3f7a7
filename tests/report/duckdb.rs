// SPDX-License-Identifier: MIT OR Apache-2.0
//! DuckDB as an oracle: SQL over the same files finds the same counts, windows, labels and
//! acted-on packets as the report, to the last one. `oracle.py` holds the SQL.

#[path = "../fleet/recording.rs"]
mod recording;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use recording::Recording;
use serde_json::{Value, json};

use super::{program, say};

const NOW: &str = "2026-11-22T15:00:00Z";
/// 2026-11-21T00:10:00Z.
const START_UNIX_MS: u64 = 1_795_219_800_000;
const WINDOW_NS: u64 = 10_000_000_000;

/// Four hours of two interfaces of one host; `offset_ns` is how far its sweeps lie behind the
/// edges of windows.
fn recordings(seed: u64, period_ms: u64, offset_ns: u64) -> [Recording; 2] {
    let first = Recording {
        host: "edge-1",
        scope: "xdp-eth0",
        boot8: "0af3c9d1",
        first_seq: 17,
        start_unix_ms: START_UNIX_MS,
        start_boot_ns: 40_000_000_000 + offset_ns,
        period_ms,
        sweeps: 4 * 3_600_000 / period_ms,
        per_segment: 30,
        restarts: vec![300],
        seed,
    };
    let second = Recording { scope: "xdp-eth1", seed: seed + 1, ..first.clone() };
    [first, second]
}

/// A rule in both languages.
struct Rule {
    toml: &'static str,
    sql: Value,
}

fn rules() -> [Rule; 5] {
    let rule = |hit: &str, (k, of, ttl_windows): (u64, u64, u64), guards: Value| {
        let mut sql = json!({
            "hit": hit, "k": k, "of": of, "ttl_windows": ttl_windows,
            "allow": [], "established_s": -1, "shared": 1_000_000, "ports": [],
        });
        let known = sql.as_object_mut().expect("an object");
        known.extend(guards.as_object().expect("an object").clone());
        sql
    };
    [
        Rule {
            toml: r#"
                when = ["syn_ps >= 200", "handshake_ratio_ppm <= 10_000"]
                for = { k = 3, of = 3 }
                then = "drop_all"
                ttl_s = 300"#,
            sql: rule("syn >= 2000 AND handshakes * 1000000 <= 10000 * syn", (3, 3, 30), json!({})),
        },
        Rule {
            toml: r#"
                when = ["ports >= 8", "handshake_ratio_ppm <= 50_000"]
                for = { k = 1, of = 3 }
                then = "drop_syn"
                ttl_s = 95
                unless = ["port(8003, 8009)"]"#,
            sql: rule(
                "ports >= 8 AND syn > 0 AND handshakes * 1000000 <= 50000 * syn",
                (1, 3, 10),
                json!({"ports": [8003, 8009]}),
            ),
        },
        Rule {
            toml: r#"
                when = ["rst_ratio_ppm >= 300_000"]
                for = { k = 2, of = 4 }
                then = "drop_all"
                ttl_s = 20
                unless = ["allow(203.0.113.9/32)"]"#,
            sql: rule(
                "rst * 1000000 >= 300000 * packets",
                (2, 4, 2),
                json!({"allow": ["203.0.113.9"]}),
            ),
        },
        Rule {
            toml: r#"
                when = ["packets_ps >= 1", "bytes_ps <= 1_500"]
                for = { k = 2, of = 5 }
                then = "drop_all"
                ttl_s = 50
                unless = ["established(40)"]"#,
            sql: rule("packets >= 10 AND bytes <= 15000", (2, 5, 5), json!({"established_s": 40})),
        },
        Rule {
            toml: r#"
                when = ["packets_ps >= 50"]
                then = "drop_all"
                ttl_s = 30
                unless = ["shared(21)"]"#,
            sql: rule("packets >= 500", (1, 1, 3), json!({"shared": 21})),
        },
    ]
}

/// What SQL says.
fn oracle(folder: &Path, rule: &Value) -> Value {
    let python = program("xtask").parent().expect("a folder").join("../fleet-venv/bin/python");
    assert!(python.is_file(), "DuckDB is missing: run `make deps-fleet`");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("report/oracle.py");
    let mut command = Command::new(python);
    command.arg(script).arg(folder).arg(WINDOW_NS.to_string()).arg(rule.to_string());
    serde_json::from_str(&say(&mut command).expect_code(0).stdout).expect("JSON")
}

/// What the report says: its JSON, and of `evidence.csv` (SYN, packets, handshakes) acted on.
fn report(folder: &Path, rule: &str) -> (Value, BTreeMap<String, [u64; 3]>) {
    let out = tempfile::tempdir().expect("a directory");
    let rules = out.path().join("one.toml");
    fs::write(&rules, format!("[[rule]]\nname = \"one\"{rule}\n")).expect("written");
    let mut command = Command::new(program("ibsr-report"));
    command.arg("run").arg(folder).args(["--now", NOW, "--format", "json", "--top", "1000"]);
    let said = say(command.arg("--rules").arg(&rules).arg("--out").arg(out.path()));
    assert!(said.code < Some(2), "{}", said.stderr);
    let json = serde_json::from_str(&said.stdout).expect("JSON");
    let csv = fs::read_to_string(out.path().join("evidence.csv")).expect("written");
    (json, csv.lines().skip(1).map(acted).collect())
}

/// A line of `evidence.csv`; texts are quoted, and the last one alone may hold a comma.
fn acted(line: &str) -> (String, [u64; 3]) {
    let fields: Vec<_> = line.split(',').collect();
    let number = |at: usize| fields[at].parse().unwrap_or_else(|_| panic!("{at} of {line}"));
    (fields[0].trim_matches('"').to_owned(), [number(11), number(12), number(13)])
}

/// Compares everything that both know; returns how many sources were acted on.
fn compare(folder: &Path, rule: &Rule) -> usize {
    let (sql, (json, evidence)) = (oracle(folder, &rule.sql), report(folder, rule.toml));
    let mut acted: BTreeMap<String, [u64; 3]> =
        serde_json::from_value(sql["acted"].clone()).expect("three numbers each");
    let count = acted.len();
    let rows = json["sources"].as_array().expect("a list");
    let truth = sql["sources"].as_object().expect("an object");
    assert_eq!(rows.len(), truth.len(), "sources");
    for row in rows {
        let src = row["src"].as_str().expect("an address");
        for (name, value) in truth[src].as_object().expect("an object") {
            assert_eq!(row[name], *value, "`{name}` of {src}");
        }
        let [syn, packets, _] = acted.get(src).copied().unwrap_or_default();
        let by_report = [&row["syn_acted"], &row["packets_acted"]].map(|n| n.as_u64());
        assert_eq!(by_report, [Some(syn), Some(packets)], "acted on {src} by{}", rule.toml);
    }
    // Evidence is about people and attackers; a spoofed address is neither.
    acted.retain(|src, _| truth[src]["label"] != "spoofable");
    assert_eq!(evidence, acted, "evidence of{}", rule.toml);
    count
}

fn agree_on(seed: u64, period_ms: u64, offset_ns: u64) {
    let folder = tempfile::tempdir().expect("a directory");
    for recording in recordings(seed, period_ms, offset_ns) {
        let _paths = recording.write_bucket(folder.path());
    }
    let acted: Vec<_> = rules().iter().map(|rule| compare(folder.path(), rule)).collect();
    assert!(acted.iter().all(|sources| *sources > 0), "each rule meets somebody: {acted:?}");
}

/// Sweeps on the edges of windows: every count belongs to one window.
#[test]
fn sql_finds_the_same_in_whole_windows() {
    agree_on(1, 10_000, 0);
}

/// Sweeps anywhere, as on a real host: counts are spread, to the last packet.
#[test]
fn sql_finds_the_same_where_counts_are_spread() {
    agree_on(2, 10_000, 3_700_000_001);
    agree_on(3, 14_000, 1_234_567_890);
    agree_on(4, 4_000, 999_999_999);
}
