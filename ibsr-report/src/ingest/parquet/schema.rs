// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table that queries see, and how each column is packed.
//!
//! 64-bit counters are plain signed `INT64`. `UINT_64` would say more, but Athena has no such
//! type and Spark turns it into DECIMAL(20,0), which no longer adds like an integer. The bits
//! are the same either way: a counter beyond 2^63, which takes centuries, shows as negative
//! in SQL and comes out whole here.

use std::sync::{Arc, LazyLock};

use parquet::basic::{Compression, Encoding, Type, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{SchemaDescPtr, SchemaDescriptor, TypePtr};

/// Host and date are in the path.
const MESSAGE: &str = "message source {
    REQUIRED BYTE_ARRAY segment (UTF8);
    REQUIRED INT32 line;
    REQUIRED BYTE_ARRAY scope (UTF8);
    REQUIRED BYTE_ARRAY epoch (UTF8);
    REQUIRED INT64 seq;
    OPTIONAL INT64 at_unix_ms;
    REQUIRED BYTE_ARRAY src (UTF8);
    REQUIRED INT32 dst_port;
    REQUIRED INT64 syn;
    REQUIRED INT64 ack;
    REQUIRED INT64 handshakes;
    REQUIRED INT64 fin;
    REQUIRED INT64 rst;
    REQUIRED INT64 packets;
    REQUIRED INT64 bytes;
    OPTIONAL BOOLEAN proven;
    REQUIRED INT64 born_boot_ns;
    REQUIRED INT64 last_boot_ns;
}";

/// Number of columns.
pub(super) const COLUMNS: usize = 18;

/// Few values in each row group, in long runs once sorted by source.
const DICTIONARY: [&str; 6] = ["segment", "scope", "epoch", "src", "dst_port", "born_boot_ns"];
/// Compaction happens once, queries many times.
const ZSTD_LEVEL: i32 = 9;
/// A page is what a query unpacks at once; the row group of a usual segment is one.
const PAGE_BYTES: usize = 1 << 20;

static SCHEMA: LazyLock<SchemaDescPtr> = LazyLock::new(|| {
    let message = parse_message_type(MESSAGE).expect("the schema is a constant");
    Arc::new(SchemaDescriptor::new(Arc::new(message)))
});

/// The table.
pub(super) fn schema() -> SchemaDescPtr {
    Arc::clone(&SCHEMA)
}

/// The same for a writer.
pub(super) fn root() -> TypePtr {
    SCHEMA.root_schema_ptr()
}

/// Data pages of version 1: read by everything, and with one level of nesting version 2
/// saves nothing.
pub(super) fn properties() -> WriterProperties {
    let level = ZstdLevel::try_new(ZSTD_LEVEL).expect("a level that zstd has");
    let mut builder = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(level))
        .set_dictionary_enabled(false)
        .set_data_page_size_limit(PAGE_BYTES)
        .set_data_page_row_count_limit(usize::MAX)
        .set_max_row_group_row_count(None)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_created_by(concat!("ibsr-report ", env!("CARGO_PKG_VERSION")).to_owned());
    for column in SCHEMA.columns() {
        let (name, path) = (column.name(), column.path().clone());
        builder = if DICTIONARY.contains(&name) {
            builder.set_column_dictionary_enabled(path, true)
        } else if column.physical_type() == Type::BOOLEAN {
            builder
        } else {
            builder.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED)
        };
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_has_the_columns_that_are_written() {
        assert_eq!(schema().num_columns(), COLUMNS);
        assert_eq!(root().get_fields().len(), COLUMNS);
    }
}
