// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a ledger remembers across crashes, other destinations and its own rewriting.

use super::*;

const SHA: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn entry(event: Event, name: &str) -> Entry {
    Entry {
        v: 1,
        event,
        scope: "xdp-eth0".into(),
        name: name.into(),
        sha256: SHA.into(),
        bytes: 9,
        bucket: "bucket".into(),
        key: format!("p/host=h/{name}"),
        unix_ms: 5,
    }
}

fn filter() -> Filter {
    Filter { bucket: Some("bucket".into()), key_root: "p/host=".into() }
}

fn open(dir: &Path) -> Ledger {
    Ledger::open(dir, &filter()).expect("opens")
}

#[test]
fn the_last_word_counts_and_survives_reopening() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut ledger = open(dir.path());
    ledger.append(&entry(Event::Attempted, "a"), true).expect("appends");
    assert!(ledger.records().get("xdp-eth0", "a").expect("known").was_attempted(SHA));
    ledger.append(&entry(Event::Uploaded, "a"), false).expect("appends");
    let again = open(dir.path());
    let record = again.records().get("xdp-eth0", "a").expect("known");
    assert_eq!((record.event, record.bytes), (Event::Uploaded, 9));
    assert!(!record.was_attempted(SHA));
    assert!(again.records().get("xdp-eth0", "b").is_none());
}

/// E6: killed in the middle of an append.
#[test]
fn a_torn_line_costs_itself_only() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join(FILE_NAME);
    let line = serde_json::to_string(&entry(Event::Uploaded, "a")).expect("JSON");
    std::fs::write(&path, format!("{line}\n{}", &line[..40])).expect("writes");
    open(dir.path()).append(&entry(Event::Uploaded, "b"), false).expect("appends");
    let records = Records::load(dir.path(), &filter()).expect("loads");
    assert!(records.get("xdp-eth0", "a").is_some());
    assert!(records.get("xdp-eth0", "b").is_some());
}

#[test]
fn what_is_no_ledger_at_all_is_an_empty_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut noise = vec![0xff; 200_000];
    noise.extend_from_slice(b"\n[]\n{}\n");
    std::fs::write(dir.path().join(FILE_NAME), noise).expect("writes");
    assert!(open(dir.path()).records().by_path.is_empty());
}

/// An upload to one bucket says nothing about another.
#[test]
fn another_destination_is_another_matter() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut ledger = open(dir.path());
    ledger.append(&entry(Event::Uploaded, "a"), false).expect("appends");
    for (bucket, key_root) in [("other", "p/host="), ("bucket", "q/host=")] {
        let filter = Filter { bucket: Some(bucket.into()), key_root: key_root.into() };
        let records = Records::load(dir.path(), &filter).expect("loads");
        assert!(records.get("xdp-eth0", "a").is_none(), "{bucket} {key_root}");
    }
    let any = Records::load(dir.path(), &Filter::default()).expect("loads");
    assert!(any.get("xdp-eth0", "a").is_some());
}

#[test]
fn compaction_keeps_the_last_word_on_live_segments_for_every_bucket() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut ledger = open(dir.path());
    let mut elsewhere = entry(Event::Uploaded, "live");
    elsewhere.bucket = "other".into();
    ledger.append(&elsewhere, false).expect("appends");
    for _ in 0..=SLACK_LINES {
        ledger.append(&entry(Event::Attempted, "live"), false).expect("appends");
    }
    ledger.append(&entry(Event::Uploaded, "gone"), false).expect("appends");
    ledger.append(&entry(Event::Uploaded, "live"), false).expect("appends");
    assert!(ledger.is_bloated(1) && !ledger.is_bloated(SLACK_LINES));
    ledger.compact(&HashSet::from(["xdp-eth0/live".to_owned()])).expect("compacts");
    ledger.append(&entry(Event::Conflict, "new"), false).expect("appends");

    let text = std::fs::read_to_string(dir.path().join(FILE_NAME)).expect("reads");
    let read: Vec<_> =
        entries(&text).map(|entry| (entry.bucket, entry.name, entry.event)).collect();
    let say = |bucket: &str, name: &str, event| (bucket.to_owned(), name.to_owned(), event);
    assert_eq!(
        read,
        [
            say("other", "live", Event::Uploaded),
            say("bucket", "live", Event::Uploaded),
            say("bucket", "new", Event::Conflict),
        ]
    );
}
