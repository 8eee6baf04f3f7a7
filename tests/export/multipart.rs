// SPDX-License-Identifier: MIT OR Apache-2.0
//! Segments too large for one request. Sent uncompressed, so that 65 MiB are above the
//! threshold of 64 MiB. Parts of unfinished uploads cost money and nobody sees them:
//! whatever happens, none may stay behind.

use std::fs;
use std::path::PathBuf;

use ibsr_tests::process::wait_until;
use ibsr_tests::s3::faults::{Fault, INTERNAL_ERROR, Op, Rule};
use rustix::process::Signal;

use crate::rig::{LIMIT, Rig, large_segment, name_of};

const PLAIN: [&str; 4] = ["--compression", "none", "--retries", "1"];
const BYTES: usize = 65 << 20;

#[track_caller]
fn expect_one_object(rig: &Rig, segment: &PathBuf) {
    let objects = rig.by_name();
    assert_eq!(objects.len(), 1);
    assert!(objects[&name_of(segment)].1 == fs::read(segment).unwrap(), "other bytes");
    assert_eq!(rig.server.leftovers(), Vec::<String>::new());
    assert_eq!(rig.server.stored_count(), 1);
}

fn count(rig: &Rig, op: Op) -> usize {
    rig.server.seen().iter().filter(|seen| seen.op == op).count()
}

#[test]
fn a_large_segment_goes_in_parts_and_arrives_whole() {
    let rig = Rig::new();
    let segment = large_segment(&rig.spool(), BYTES);
    rig.run_with(&PLAIN).expect_code(0);
    assert!(count(&rig, Op::UploadPart) > 1);
    expect_one_object(&rig, &segment);
    let key = rig.server.objects().into_keys().next().unwrap();
    assert_eq!(rig.server.metadata(&key)["ibsr-sha256"].len(), 64);
}

/// E2: a part that will not go: aborted, kept, sent by the next run.
#[test]
fn an_upload_that_fails_is_aborted() {
    let rig = Rig::new();
    let segment = large_segment(&rig.spool(), BYTES);
    rig.server.fail(Rule::refuse(INTERNAL_ERROR).on(Op::UploadPart).skip(2));
    rig.run_with(&PLAIN).expect_code(1);
    assert_eq!(rig.server.leftovers(), Vec::<String>::new());
    rig.expect_untouched(std::slice::from_ref(&segment));
    rig.server.behave();
    rig.run_with(&PLAIN).expect_code(0);
    expect_one_object(&rig, &segment);
}

/// E6: killed in the middle; the next run frees what the dead one left.
#[test]
fn an_upload_that_was_killed_is_aborted_by_the_next_run() {
    let rig = Rig::new();
    let segment = large_segment(&rig.spool(), BYTES);
    rig.server.fail(Rule::new(Fault::Stall).on(Op::UploadPart).skip(2));
    let mut export = rig.start("run", &PLAIN);
    wait_until("the third part", LIMIT, || count(&rig, Op::UploadPart) == 3);
    export.signal(Signal::KILL);
    let _killed = export.wait(LIMIT);
    assert!(!rig.server.leftovers().is_empty());
    rig.server.behave();
    rig.run_with(&PLAIN).expect_code(0);
    expect_one_object(&rig, &segment);
}

/// E3: completed, but nobody heard.
#[test]
fn a_completion_whose_answer_was_lost_is_counted_once() {
    for fault in [Fault::LoseResponse, Fault::CutResponse] {
        let rig = Rig::new();
        let segment = large_segment(&rig.spool(), BYTES);
        rig.server.fail(Rule::new(fault).on(Op::CompleteUpload).times(1));
        rig.run_with(&PLAIN).expect_code(0);
        expect_one_object(&rig, &segment);
    }
}

/// E4: a flipped byte in one part is sent again, not the whole segment.
#[test]
fn a_flipped_byte_costs_one_part() {
    let rig = Rig::new();
    let segment = large_segment(&rig.spool(), BYTES);
    rig.server.fail(Rule::new(Fault::FlipByte).on(Op::UploadPart).skip(1).times(1));
    rig.run_with(&PLAIN).expect_code(0);
    expect_one_object(&rig, &segment);
    assert_eq!(count(&rig, Op::CreateUpload), 1);
}

/// E5: the key is taken.
#[test]
fn a_large_segment_never_overwrites() {
    let rig = Rig::new();
    let segment = large_segment(&rig.spool(), BYTES);
    let key = rig.key_of(&segment);
    let key = key.trim_end_matches(".zst");
    rig.server.put(key, b"somebody else's");
    rig.run_with(&PLAIN).expect_code(3);
    assert_eq!(rig.server.objects()[key], b"somebody else's");
    assert_eq!(rig.server.leftovers(), Vec::<String>::new());
}
