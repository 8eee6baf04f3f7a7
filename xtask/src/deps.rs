// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who may depend on whom. The table is the architecture: files and pins are the only
//! interfaces between programs, so a program never depends on another one, and the parts
//! with rights or a network stay where they are. A new edge is a decision: add it here.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::step::{cargo, root, say};

/// Each crate of the workspace and the crates of the workspace that it may use.
const OURS: [(&str, &[&str]); 15] = [
    ("ibsr-proto", &[]),
    ("ibsr-prove", &[]),
    ("ibsr-cli", &[]),
    ("ibsr-bpf", &[]),
    ("ibsr-evidence", &[]),
    ("ibsr-replay", &["ibsr-proto"]),
    ("ibsr-s3", &["ibsr-cli"]),
    ("ibsr-loader", &["ibsr-proto", "ibsr-prove", "ibsr-cli", "ibsr-bpf"]),
    ("ibsr-policy", &["ibsr-proto"]),
    ("ibsr-guard", &["ibsr-proto", "ibsr-policy", "ibsr-cli", "ibsr-evidence", "ibsr-bpf"]),
    ("ibsr-reader", &["ibsr-proto", "ibsr-cli"]),
    ("ibsr-export", &["ibsr-proto", "ibsr-cli", "ibsr-s3"]),
    (
        "ibsr-report",
        &["ibsr-proto", "ibsr-cli", "ibsr-s3", "ibsr-evidence", "ibsr-policy", "ibsr-replay"],
    ),
    (
        "ibsr-tests",
        &[
            "ibsr-proto",
            "ibsr-prove",
            "ibsr-cli",
            "ibsr-bpf",
            "ibsr-s3",
            "ibsr-evidence",
            "ibsr-guard",
            "ibsr-policy",
            "ibsr-replay",
        ],
    ),
    ("xtask", &[]),
];

/// Each crate from outside that gives a program reach (kernel, network, runtime), and who may
/// use it. A trailing `*` stands for any ending.
const REACH: [(&str, &[&str]); 8] = [
    ("libbpf-rs", &["ibsr-guard", "ibsr-loader", "ibsr-reader", "ibsr-tests"]),
    ("libbpf-sys", &["ibsr-loader", "ibsr-reader", "ibsr-tests"]),
    ("libbpf-cargo", &["ibsr-bpf"]),
    ("tokio", &["ibsr-s3", "ibsr-export", "ibsr-report", "ibsr-tests"]),
    ("aws-config", &["ibsr-s3"]),
    ("aws-*", &["ibsr-s3", "ibsr-export", "ibsr-report", "ibsr-tests"]),
    ("inotify", &["ibsr-export"]),
    ("parquet", &["ibsr-report"]),
];

/// The types that cross process boundaries stay free of I/O: all that they may use.
const PROTO_USES: [&str; 6] = ["itoa", "proptest", "serde", "serde_json", "thiserror", "zerocopy"];

/// Fails on a dependency that the tables do not hold.
pub(crate) fn deps() -> Result<()> {
    let output = cargo()
        .args(["metadata", "--format-version=1", "--no-deps", "--locked"])
        .current_dir(root())
        .output()
        .context("failed to start `cargo metadata`")?;
    ensure!(
        output.status.success(),
        "`cargo metadata` failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let wrong = new_edges(&edges(&metadata));
    ensure!(
        wrong.is_empty(),
        "dependencies that xtask/src/deps.rs does not allow:\n  {}",
        wrong.join("\n  ")
    );
    say("deps: as in the table");
    Ok(())
}

/// (user, used) for every declared dependency of a workspace crate, of any kind.
fn edges(metadata: &Value) -> Vec<(String, String)> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    list(&metadata["packages"])
        .iter()
        .flat_map(|package| {
            let user = text(&package["name"]);
            list(&package["dependencies"])
                .into_iter()
                .map(move |used| (user.clone(), text(&used["name"])))
        })
        .collect()
}

fn new_edges(edges: &[(String, String)]) -> Vec<String> {
    let is_new = |(user, used): &&(String, String)| !is_allowed(user, used);
    edges.iter().filter(is_new).map(|(user, used)| format!("{user} -> {used}")).collect()
}

fn is_allowed(user: &str, used: &str) -> bool {
    let row = |name: &str| OURS.iter().find(|(own, _)| *own == name);
    let Some((_, may_use)) = row(user) else { return false };
    if row(used).is_some() {
        return may_use.contains(&used);
    }
    if user == "ibsr-proto" && !PROTO_USES.contains(&used) {
        return false;
    }
    let reach = REACH.iter().find(|(pattern, _)| match pattern.strip_suffix('*') {
        Some(start) => used.starts_with(start),
        None => used == *pattern,
    });
    reach.is_none_or(|(_, users)| users.contains(&user))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(user: &str, used: &str) -> bool {
        !new_edges(&[(user.to_owned(), used.to_owned())]).is_empty()
    }

    #[test]
    fn an_edge_of_the_table_passes_and_any_other_is_named() {
        assert!(!refused("ibsr-reader", "ibsr-proto"));
        assert!(!refused("ibsr-s3", "aws-config"));
        assert!(!refused("ibsr-report", "serde_json"));
        assert_eq!(
            new_edges(&[("ibsr-export".into(), "ibsr-reader".into())]),
            ["ibsr-export -> ibsr-reader"]
        );
    }

    /// One per rule: program on program, reader on skeletons, reach, purity, unknown crate.
    #[test]
    fn each_kind_of_new_edge_is_refused() {
        for (user, used) in [
            ("ibsr-report", "ibsr-export"),
            ("ibsr-reader", "ibsr-bpf"),
            ("ibsr-reader", "tokio"),
            ("ibsr-export", "aws-config"),
            ("ibsr-report", "libbpf-rs"),
            ("ibsr-proto", "rustix"),
            ("ibsr-new", "serde"),
        ] {
            assert!(refused(user, used), "{user} -> {used}");
        }
    }

    #[test]
    fn metadata_is_read_as_cargo_writes_it() {
        let metadata = serde_json::json!({
            "packages": [{"name": "a", "dependencies": [{"name": "b", "kind": "dev"}]}]
        });
        assert_eq!(edges(&metadata), [("a".to_owned(), "b".to_owned())]);
    }
}
