// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads our Parquet files. The digest of the whole file is checked first and its index is
//! checked against the file's size, so that the decoder sees only what a writer of ours
//! wrote, or what someone forged with care; it still is not trusted to return.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, Read as _, Seek as _, SeekFrom};
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Once};

use ibsr_proto::addr::SourceAddr;
use ibsr_proto::snapshot::Source;
use parquet::basic::{Compression, ZstdLevel};
use parquet::column::reader::{ColumnReader, get_column_reader};
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader,
    ParquetStatisticsPolicy, RowGroupMetaData,
};
use parquet::file::serialized_reader::SerializedPageReader;
use zstd::stream::read::Decoder;

use super::schema::COLUMNS;
use super::table::{Placed, Table};
use super::{
    Entry, INDEX_KEY, INDEX_SCHEMA, Index, MAX_ROWS, MAX_TEXT_BYTES, MIN_ROW_BYTES, schema, seal,
};
use crate::ingest::open::max_unpacked_bytes;

/// Length and magic number at the end of every Parquet file.
const TAIL_BYTES: usize = 8;
/// Of the footer. A row group takes about 1500 bytes of it; a day of sweeps is 300 of them.
const MAX_FOOTER_BYTES: u64 = 64 << 20;
const MAX_NAME_BYTES: usize = 255;

thread_local! {
    static IS_DECODING: Cell<bool> = const { Cell::new(false) };
}

/// One segment of a Parquet file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    entry: Entry,
    /// Where each column lies; empty without rows.
    chunks: Vec<Chunk>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Chunk {
    dictionary_at: Option<u64>,
    data_at: u64,
    bytes: u64,
}

/// Whether a file that starts so is Parquet.
#[must_use]
pub fn is_parquet(head: &[u8]) -> bool {
    head.starts_with(&seal::MAGIC)
}

/// The segments of the file at `path`, in their order. Reads all of the file once.
///
/// # Errors
/// When it cannot be read, is damaged, or was not made by `ibsr-report compact`.
pub fn index(path: &Path) -> io::Result<Vec<Part>> {
    let mut file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let is_ours = seal::is_ours(&mut file)?;
    if !is_ours {
        return Err(invalid("it is not a Parquet file that `ibsr-report compact` made"));
    }
    if !seal::is_whole(&mut file)? {
        return Err(invalid("its bytes do not match the SHA-256 that it carries"));
    }
    check_footer(&mut file)?;
    let file_bytes = file.metadata()?.len();
    let options = ParquetMetaDataOptions::new()
        .with_column_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .with_encoding_stats_policy(ParquetStatisticsPolicy::SkipAll);
    let metadata = guarded(|| {
        ParquetMetaDataReader::new().with_metadata_options(Some(options)).parse_and_finish(&file)
    })?;
    parts(&metadata, file_bytes)
}

fn check_footer(file: &mut File) -> io::Result<()> {
    let mut tail = [0; TAIL_BYTES];
    file.seek(SeekFrom::End(-(TAIL_BYTES as i64)))?;
    file.read_exact(&mut tail)?;
    let [a, b, c, d, magic @ ..] = tail;
    let footer_bytes = u64::from(u32::from_le_bytes([a, b, c, d]));
    let is_sane = magic == seal::MAGIC && footer_bytes <= MAX_FOOTER_BYTES;
    is_sane.then_some(()).ok_or_else(|| invalid("its footer is too large, or none"))
}

fn parts(metadata: &ParquetMetaData, file_bytes: u64) -> io::Result<Vec<Part>> {
    let facts = metadata.file_metadata();
    if facts.schema_descr().root_schema() != schema::schema().root_schema() {
        return Err(invalid("its columns are not those of this version"));
    }
    let index = facts
        .key_value_metadata()
        .and_then(|pairs| pairs.iter().find(|pair| pair.key == INDEX_KEY)?.value.as_deref())
        .and_then(|text| serde_json::from_str::<Index>(text).ok())
        .filter(|index| index.schema == INDEX_SCHEMA)
        .ok_or_else(|| invalid("its list of segments is missing or of another version"))?;
    let mut groups = metadata.row_groups().iter();
    let mut unpacked_bytes = 0_u64;
    let mut parts = Vec::new();
    for entry in index.segments {
        check_entry(&entry, file_bytes)?;
        let rows = entry.rows.saturating_mul(MIN_ROW_BYTES);
        unpacked_bytes = unpacked_bytes.saturating_add(rows + entry.text_unpacked_bytes);
        let chunks = match entry.rows {
            0 => Vec::new(),
            rows => groups
                .next()
                .filter(|group| u64::try_from(group.num_rows()) == Ok(rows))
                .and_then(|group| chunks(group, file_bytes))
                .ok_or_else(|| invalid("its row groups are not those of its list of segments"))?,
        };
        parts.push(Part { entry, chunks });
    }
    if groups.next().is_some() || unpacked_bytes > max_unpacked_bytes(file_bytes) {
        return Err(invalid("it unpacks to more than its size allows"));
    }
    Ok(parts)
}

pub(super) fn check_entry(entry: &Entry, file_bytes: u64) -> io::Result<()> {
    let Entry { name, rows, text_at, text_bytes, text_unpacked_bytes } = entry;
    let is_name = (1..=MAX_NAME_BYTES).contains(&name.len())
        && !name.contains(|c: char| c == '/' || c.is_control());
    let is_inside = text_at.checked_add(*text_bytes).is_some_and(|end| end <= file_bytes);
    let is_bounded = *rows <= MAX_ROWS as u64 && *text_unpacked_bytes <= MAX_TEXT_BYTES as u64;
    (is_name && is_inside && is_bounded)
        .then_some(())
        .ok_or_else(|| invalid("its list of segments says what cannot be"))
}

fn chunks(group: &RowGroupMetaData, file_bytes: u64) -> Option<Vec<Chunk>> {
    let chunk = |column: &ColumnChunkMetaData| {
        let offset = |at: i64| u64::try_from(at).ok();
        let dictionary_at = match column.dictionary_page_offset() {
            Some(at) => Some(offset(at)?),
            None => None,
        };
        let (data_at, bytes) =
            (offset(column.data_page_offset())?, offset(column.compressed_size())?);
        let end = dictionary_at.unwrap_or(data_at).checked_add(bytes)?;
        let is_zstd = matches!(column.compression(), Compression::ZSTD(_));
        (is_zstd && end <= file_bytes).then_some(Chunk { dictionary_at, data_at, bytes })
    };
    let chunks: Vec<_> = group.columns().iter().filter_map(chunk).collect();
    (chunks.len() == COLUMNS).then_some(chunks)
}

impl Part {
    /// Name of the segment.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.entry.name
    }

    /// The segment's bytes, as they were before they were packed. `path` is where
    /// [`index`] found it. Memory: about 120 bytes for each row.
    ///
    /// # Errors
    /// When the file cannot be read or decoded.
    pub fn open(&self, path: &Path) -> io::Result<impl BufRead + use<>> {
        let mut file = File::open(path)?;
        let text = self.text(&mut file)?;
        let rows = match self.chunks.is_empty() {
            true => Vec::new(),
            false => guarded(|| Columns { part: self, file: Arc::new(file) }.rows())?,
        };
        Table { rows, text }.into_segment()
    }

    fn text(&self, file: &mut File) -> io::Result<Vec<u8>> {
        let Entry { text_at, text_bytes, text_unpacked_bytes, .. } = self.entry;
        file.seek(SeekFrom::Start(text_at))?;
        let mut text = Vec::new();
        Decoder::new(file.take(text_bytes))?
            .take(text_unpacked_bytes + 1)
            .read_to_end(&mut text)?;
        match text.len() as u64 == text_unpacked_bytes {
            true => Ok(text),
            false => Err(invalid("its other lines have another length than it says")),
        }
    }
}

/// The columns of one row group.
struct Columns<'a> {
    part: &'a Part,
    file: Arc<File>,
}

impl Columns<'_> {
    fn rows(&self) -> Result<Vec<Placed>, ParquetError> {
        let mut rows = self.sources()?;
        self.int32("line", &mut rows, |row, value| row.line = value.cast_unsigned())?;
        self.int32("dst_port", &mut rows, |row, value| {
            row.source.dst_port = u16::try_from(value).unwrap_or_default();
        })?;
        self.int64("seq", &mut rows, |row, value| row.seq = value)?;
        self.int64("syn", &mut rows, |row, value| row.syn = value)?;
        self.int64("ack", &mut rows, |row, value| row.ack = value)?;
        self.int64("handshakes", &mut rows, |row, value| row.handshakes = value)?;
        self.int64("fin", &mut rows, |row, value| row.fin = value)?;
        self.int64("rst", &mut rows, |row, value| row.rst = value)?;
        self.int64("packets", &mut rows, |row, value| row.packets = value)?;
        self.int64("bytes", &mut rows, |row, value| row.bytes = value)?;
        self.int64("born_boot_ns", &mut rows, |row, value| row.born_boot_ns = value)?;
        self.int64("last_boot_ns", &mut rows, |row, value| row.last_boot_ns = value)?;
        self.proven(&mut rows)?;
        Ok(rows)
    }

    fn reader(&self, name: &str) -> Result<ColumnReader, ParquetError> {
        let schema = schema::schema();
        let at = schema.columns().iter().position(|column| column.name() == name);
        let (Some(at), rows) = (at, self.part.entry.rows) else { return Err(no_column(name)) };
        let Chunk { dictionary_at, data_at, bytes } = self.part.chunks[at];
        let metadata = ColumnChunkMetaData::builder(schema.column(at))
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_num_values(rows.cast_signed())
            .set_dictionary_page_offset(dictionary_at.map(u64::cast_signed))
            .set_data_page_offset(data_at.cast_signed())
            .set_total_compressed_size(bytes.cast_signed())
            .build()?;
        let rows = usize::try_from(rows)?;
        let pages = SerializedPageReader::new(Arc::clone(&self.file), &metadata, rows, None)?;
        Ok(get_column_reader(schema.column(at), Box::new(pages)))
    }

    /// Rows with nothing but their address. One source has its rows in a row.
    fn sources(&self) -> Result<Vec<Placed>, ParquetError> {
        let ColumnReader::ByteArrayColumnReader(mut reader) = self.reader("src")? else {
            return Err(no_column("src"));
        };
        let wanted = usize::try_from(self.part.entry.rows)?;
        let mut texts: Vec<ByteArray> = Vec::new();
        let (read, ..) = reader.read_records(wanted, None, None, &mut texts)?;
        check_count(read, wanted)?;
        let mut rows = Vec::with_capacity(texts.len());
        let mut last: Option<(&ByteArray, SourceAddr)> = None;
        for text in &texts {
            let src = match last {
                Some((before, src)) if before == text => src,
                _ => address(text)?,
            };
            last = Some((text, src));
            rows.push(Placed { line: 0, at_unix_ms: None, source: empty(src) });
        }
        Ok(rows)
    }

    fn int32(
        &self,
        name: &str,
        rows: &mut [Placed],
        set: impl Fn(&mut Placed, i32),
    ) -> Result<(), ParquetError> {
        let ColumnReader::Int32ColumnReader(mut reader) = self.reader(name)? else {
            return Err(no_column(name));
        };
        let mut values = Vec::new();
        let (read, ..) = reader.read_records(rows.len(), None, None, &mut values)?;
        check_count(read, rows.len())?;
        rows.iter_mut().zip(values).for_each(|(row, value)| set(row, value));
        Ok(())
    }

    fn int64(
        &self,
        name: &str,
        rows: &mut [Placed],
        set: impl Fn(&mut Source, u64),
    ) -> Result<(), ParquetError> {
        let ColumnReader::Int64ColumnReader(mut reader) = self.reader(name)? else {
            return Err(no_column(name));
        };
        let mut values = Vec::new();
        let (read, ..) = reader.read_records(rows.len(), None, None, &mut values)?;
        check_count(read, rows.len())?;
        let values = values.into_iter().map(i64::cast_unsigned);
        rows.iter_mut().zip(values).for_each(|(row, value)| set(&mut row.source, value));
        Ok(())
    }

    fn proven(&self, rows: &mut [Placed]) -> Result<(), ParquetError> {
        let ColumnReader::BoolColumnReader(mut reader) = self.reader("proven")? else {
            return Err(no_column("proven"));
        };
        let (mut values, mut levels) = (Vec::new(), Vec::new());
        let (read, ..) = reader.read_records(rows.len(), Some(&mut levels), None, &mut values)?;
        check_count(read.min(levels.len()), rows.len())?;
        let mut values = values.into_iter();
        for (row, level) in rows.iter_mut().zip(levels) {
            row.source.proven = if level > 0 { values.next() } else { None };
        }
        Ok(())
    }
}

fn check_count(read: usize, wanted: usize) -> Result<(), ParquetError> {
    match read == wanted {
        true => Ok(()),
        false => Err(ParquetError::General(format!("a column has {read} of {wanted} values"))),
    }
}

fn no_column(name: &str) -> ParquetError {
    ParquetError::General(format!("`{name}` is no column of its type"))
}

/// Only the spelling that we write: no other can be given back to the byte.
fn address(text: &ByteArray) -> Result<SourceAddr, ParquetError> {
    text.as_utf8()?
        .parse::<SourceAddr>()
        .ok()
        .filter(|src| src.to_string().as_bytes() == text.data())
        .ok_or_else(|| ParquetError::General("a source is no address".to_owned()))
}

const fn empty(src: SourceAddr) -> Source {
    Source {
        seq: 0,
        src,
        dst_port: 0,
        syn: 0,
        ack: 0,
        handshakes: 0,
        fin: 0,
        rst: 0,
        packets: 0,
        bytes: 0,
        proven: None,
        born_boot_ns: 0,
        last_boot_ns: 0,
    }
}

/// Runs the decoder. It checks sizes before it allocates, but a forged page may still trip an
/// assertion in it, and one file of many is no reason to end a run, nor to print a backtrace.
fn guarded<T>(work: impl FnOnce() -> Result<T, ParquetError>) -> io::Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_DECODING.get() {
                before(info);
            }
        }));
    });
    IS_DECODING.set(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    IS_DECODING.set(false);
    match result {
        Ok(result) => result.map_err(|error| invalid(format!("it cannot be decoded: {error}"))),
        Err(_) => Err(invalid("it cannot be decoded")),
    }
}

fn invalid(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}
