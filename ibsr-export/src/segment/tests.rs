// SPDX-License-Identifier: MIT OR Apache-2.0
//! Good segments pass, every kind of damage is found.

use super::*;

const SWEEP: &str = r#"{"type":"sweep","seq":1,"at_unix_ms":1700000000000,"rows":0}"#;

/// A segment with `rows` between header and footer, sealed as the reader seals.
pub(crate) fn sealed(rows: &str) -> Vec<u8> {
    let mut text = format!("{{\"type\":\"header\",\"schema\":\"ibsr/1\"}}\n{rows}").into_bytes();
    let sha256 = hex(&Sha256::digest(&text));
    let lines = text.iter().filter(|byte| **byte == b'\n').count() as u64;
    let footer = Footer { lines, sha256, recovered: false };
    ibsr_proto::snapshot::RowRef::Footer(&footer).write_to(&mut text);
    text
}

fn read(bytes: &[u8]) -> Result<Checked, SegmentError> {
    let file = tempfile::tempfile().expect("a file");
    file.write_all_at(bytes, 0).expect("writes");
    let mut out = Vec::new();
    let checked = read_checked(&file, &mut out)?;
    assert_eq!(out, bytes, "what is sent is what lies in the spool");
    Ok(checked)
}

#[test]
fn a_sealed_segment_is_read_whole_and_dated_by_its_last_sweep() {
    let later = SWEEP.replace("1700000000000", "1700000300000");
    let bytes = sealed(&format!("{SWEEP}\n{later}\n{{\"type\":\"gap\"}}\n"));
    let checked = read(&bytes).expect("good");
    assert_eq!(checked.sha256, <[u8; 32]>::from(Sha256::digest(&bytes)));
    assert_eq!((checked.bytes, checked.last_unix_ms), (bytes.len() as u64, Some(1700000300000)));
}

#[test]
fn a_segment_without_a_sweep_has_no_time() {
    assert_eq!(read(&sealed("{\"type\":\"gap\"}\n")).expect("good").last_unix_ms, None);
}

/// The mark of a sweep row may lie across two chunks, at any byte.
#[test]
fn the_last_sweep_is_found_wherever_chunks_meet() {
    for shift in 0..2 * SWEEP_LINE.len() {
        let filler =
            format!("{{\"type\":\"gap\",\"x\":\"{}\"}}\n", "y".repeat(CHUNK_BYTES - 60 - shift));
        let bytes = sealed(&format!("{SWEEP}\n{filler}"));
        assert_eq!(read(&bytes).expect("good").last_unix_ms, Some(1_700_000_000_000), "{shift}");
    }
}

/// E7: every one-byte change before the footer, and every cut, is found.
#[test]
fn no_damage_passes() {
    let good = sealed(&format!("{SWEEP}\n"));
    for at in 0..good.len() {
        let mut flipped = good.clone();
        flipped[at] ^= 1;
        let read = read(&flipped);
        assert!(read.is_err_and(|error| error.is_damage()), "byte {at}");
        let cut = self::read(&good[..at]);
        assert!(cut.is_err_and(|error| error.is_damage()), "cut to {at}");
    }
}

/// E7: what a crash of the file system leaves.
#[test]
fn a_file_of_nul_bytes_is_damaged() {
    let good = sealed(&format!("{SWEEP}\n"));
    assert!(matches!(read(&vec![0; good.len()]), Err(SegmentError::NoFooter)));
    let mut half = good.clone();
    half[10..40].fill(0);
    assert!(matches!(read(&half), Err(SegmentError::Checksum { .. })));
}

/// E7: a writer that is still at work, seen from between two reads.
#[test]
fn a_file_that_grows_while_it_is_read_is_not_taken() {
    struct Grower<'a>(&'a File, Vec<u8>);
    impl Write for Grower<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let end = self.0.metadata()?.len();
            self.0.write_all_at(&self.1, end)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let file = tempfile::tempfile().expect("a file");
    file.write_all_at(&sealed(&format!("{SWEEP}\n")), 0).expect("writes");
    let more = b"{\"type\":\"gap\"}\n".to_vec();
    let read = read_checked(&file, &mut Grower(&file, more));
    assert!(matches!(read, Err(SegmentError::Changed)));
}
