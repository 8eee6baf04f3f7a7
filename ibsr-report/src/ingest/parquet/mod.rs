// SPDX-License-Identifier: MIT OR Apache-2.0
//! Parquet as another packing of segments: what comes out of it is, byte for byte, what the
//! reader sealed, so the scan, the footer's SHA-256, line numbers and reports are the same.
//!
//! A file holds many segments of one host, scope, boot, epoch and day. The source rows of a
//! segment are a row group, sorted by source, which is what makes counters pack; `line` says
//! where each stood. The other lines (header, sweeps, gaps, footer, whatever is no row) are
//! a zstd frame behind the row group, where readers of Parquet do not look. Kept in the
//! footer they would be fetched, unpacked, by every query. The footer's key-value metadata
//! says where each frame is.
//!
//! `schema` is the table, `table` one segment of it in memory, `write` and `read` are a file,
//! `seal` is the digest over all of it.

mod read;
mod schema;
mod seal;
mod table;
#[cfg(test)]
mod tests;
mod write;

pub use read::{Part, index, is_parquet};
pub use table::{Table, Unfit};
pub use write::Writer;

use serde::{Deserialize, Serialize};

/// Key of the list of segments in the file's metadata.
const INDEX_KEY: &str = "ibsr.segments";
/// Version of the layout around the table.
const INDEX_SCHEMA: &str = "ibsr-parquet/1";

/// Source rows of one segment. They are held in memory at about 120 bytes each, and no
/// reader seals a segment with a tenth of this.
const MAX_ROWS: usize = 8 << 20;
/// Bytes of one segment's other lines, unpacked. A sweep is about 700 bytes.
const MAX_TEXT_BYTES: usize = 256 << 20;
/// Bytes that a source row has at least in a segment.
const MIN_ROW_BYTES: u64 = 150;

/// Which segments a file holds, in the order of their row groups.
#[derive(Debug, Serialize, Deserialize)]
struct Index {
    schema: String,
    segments: Vec<Entry>,
}

/// One segment of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    name: String,
    /// Source rows; a segment without any has no row group, which some readers refuse.
    rows: u64,
    text_at: u64,
    text_bytes: u64,
    text_unpacked_bytes: u64,
}
