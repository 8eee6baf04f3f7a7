// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which segments go into which file. Pure; nothing here does I/O.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ibsr_proto::snapshot::Header;
use ibsr_proto::snapshot::name::host_label;
use jiff::Timestamp;
use jiff::civil::Date;

use crate::ingest::scan::Segment;

/// The segments of one host, scope, boot and epoch that begin on one day.
#[derive(Debug)]
pub struct Day {
    /// Path of the file below the directory.
    pub path: PathBuf,
    /// At least one, by sequence, copies left out.
    pub segments: Vec<Segment>,
}

/// Splits segments by the day, in UTC, on which the first sweep of each ended: a segment that
/// crosses midnight stays whole, because its hash covers all of it. The order in which they
/// come changes nothing.
#[must_use]
pub fn split(segments: Vec<Segment>) -> Vec<Day> {
    let mut days = BTreeMap::<_, Vec<Segment>>::new();
    for segment in segments {
        let Header { host, scope, boot_id, epoch, .. } = segment.contents.header.clone();
        days.entry((host, scope, boot_id, epoch, date(&segment))).or_default().push(segment);
    }
    days.into_iter()
        .map(|((.., date), mut segments)| {
            segments.sort_by(|a, b| (first_seq(a), &a.name).cmp(&(first_seq(b), &b.name)));
            without_copies(&mut segments);
            Day { path: path(date, &segments), segments }
        })
        .collect()
}

fn first_seq(segment: &Segment) -> Option<u64> {
    segment.contents.sweeps.first().map(|sweep| sweep.first_seq)
}

/// Of files with the same bytes, whose names may differ, the first.
fn without_copies(segments: &mut Vec<Segment>) {
    let is_copy = |at: usize| {
        let before = segments[..at].iter().rev();
        let mut alike = before.take_while(|other| first_seq(other) == first_seq(&segments[at]));
        alike.any(|other| other.contents == segments[at].contents)
    };
    let copies: Vec<bool> = (0..segments.len()).map(is_copy).collect();
    let mut is_copy = copies.into_iter();
    segments.retain(|_| !is_copy.next().unwrap_or_default());
}

/// Like the exporter's keys: a segment without a sweep, or from beyond the calendar, is of
/// the first day of the clock.
fn date(segment: &Segment) -> Date {
    let first = segment.contents.sweeps.first();
    first
        .and_then(|sweep| Timestamp::from_millisecond(i64::try_from(sweep.at_unix_ms).ok()?).ok())
        .unwrap_or_default()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date()
}

/// `seq` never repeats within a boot, so the first one names the file; without a sweep, the
/// epoch does.
fn path(date: Date, segments: &[Segment]) -> PathBuf {
    let header = &segments[0].contents.header;
    let first = segments.iter().find_map(first_seq);
    let first = first.map_or_else(|| plain(&header.epoch), |seq| format!("{seq:012}"));
    let boot8: String = header.boot_id.chars().take(8).collect();
    let name = format!("{}-{}-{first}.parquet", plain(&header.scope), plain(&boot8));
    [format!("host={}", host_label(&header.host)), format!("date={date}"), name].iter().collect()
}

/// A header is text that anyone can write: no `/`, nothing hidden.
fn plain(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._@:+-".contains(c) { c } else { '-' };
    text.chars().take(64).map(plain).collect::<String>().trim_start_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_header_says_cannot_leave_the_directory() {
        assert_eq!(plain("xdp-eth0.100"), "xdp-eth0.100");
        assert_eq!(plain("../../etc/x y"), "-..-etc-x-y");
        assert_eq!(plain(".."), "");
    }
}
