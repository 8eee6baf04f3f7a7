// SPDX-License-Identifier: MIT OR Apache-2.0
//! One line of a segment.

use ibsr_proto::snapshot::{Row, RowRef};

/// A line means the same in the spelling that is read fast and in any other, and a row that
/// is written is read again as what it was.
///
/// # Panics
/// When that is not so.
pub fn run(data: &[u8]) {
    let read = Row::from_line(data);
    // A space in front is the same JSON, and no line of ours begins with one.
    let spaced = Row::from_line(&[b" ", data].concat());
    match (&read, &spaced) {
        (Ok(read), Ok(spaced)) => assert_eq!(read, spaced),
        (Err(_), Err(_)) => return,
        _ => panic!("{read:?} is not {spaced:?}"),
    }
    let Ok(row) = read else { return };
    let mut written = Vec::new();
    match &row {
        Row::Header(row) => RowRef::Header(row).write_to(&mut written),
        Row::Sweep(row) => RowRef::Sweep(row).write_to(&mut written),
        Row::Source(row) => RowRef::Source(row).write_to(&mut written),
        Row::Gap(row) => RowRef::Gap(row).write_to(&mut written),
        Row::Footer(row) => RowRef::Footer(row).write_to(&mut written),
        Row::Unknown(_) => return,
    }
    let again = Row::from_line(&written).expect("what is written can be read");
    assert_eq!(again, row);
}
