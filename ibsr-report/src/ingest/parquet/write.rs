// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes segments into one Parquet file. Memory is that of one segment and its pages.

use std::collections::BTreeMap;
use std::io::{Read, Seek, Write};
use std::sync::Arc;

use ibsr_proto::addr::SourceAddr;
use ibsr_proto::snapshot::{Header, Source};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};

use super::table::{Placed, Table};
use super::{Entry, INDEX_KEY, INDEX_SCHEMA, Index, schema, seal};

const TEXT_LEVEL: i32 = 9;

/// A file that is being written.
#[derive(Debug)]
pub struct Writer<W: Write + Send> {
    file: SerializedFileWriter<W>,
    entries: Vec<Entry>,
}

impl<W: Read + Write + Seek + Send> Writer<W> {
    /// Begins an empty file.
    ///
    /// # Errors
    /// What writing said.
    pub fn new(file: W) -> Result<Self, ParquetError> {
        let mut file =
            SerializedFileWriter::new(file, schema::root(), Arc::new(schema::properties()))?;
        file.write_all(&seal::hole())?;
        Ok(Self { file, entries: Vec::new() })
    }

    /// Adds the segment `name`.
    ///
    /// # Errors
    /// What writing said.
    pub fn add(&mut self, name: &str, header: &Header, table: &Table) -> Result<(), ParquetError> {
        if !table.rows.is_empty() {
            let mut group = self.file.next_row_group()?;
            let facts = [name, &header.scope, &header.epoch];
            write_rows(&mut group, &sorted(&table.rows), facts)?;
            group.close()?;
        }
        let text_at = self.file.bytes_written() as u64;
        let packed = zstd::bulk::compress(&table.text, TEXT_LEVEL)?;
        self.file.write_all(&packed)?;
        self.entries.push(Entry {
            name: name.to_owned(),
            rows: table.rows.len() as u64,
            text_at,
            text_bytes: packed.len() as u64,
            text_unpacked_bytes: table.text.len() as u64,
        });
        Ok(())
    }

    /// Ends the file and seals it with its digest. Not synchronised to the disk.
    ///
    /// # Errors
    /// What writing said.
    pub fn finish(mut self) -> Result<W, ParquetError> {
        let index = Index { schema: INDEX_SCHEMA.to_owned(), segments: self.entries };
        let index = serde_json::to_string(&index).expect("names and integers are JSON");
        self.file.append_key_value_metadata(KeyValue::new(INDEX_KEY.to_owned(), index));
        let mut file = self.file.into_inner()?;
        seal::seal(&mut file)?;
        file.flush()?;
        Ok(file)
    }
}

/// By source as text, port and sweep: cumulative counters of one source then ascend.
fn sorted(rows: &[Placed]) -> Vec<(&Placed, ByteArray)> {
    let mut texts = BTreeMap::<SourceAddr, ByteArray>::new();
    for row in rows {
        texts.entry(row.source.src).or_insert_with_key(|src| ByteArray::from(&*src.to_string()));
    }
    let mut rows: Vec<_> = rows.iter().map(|row| (row, texts[&row.source.src].clone())).collect();
    rows.sort_unstable_by(|(a, a_text), (b, b_text)| {
        let key = |row: &Placed| (row.source.dst_port, row.source.seq, row.line);
        a_text.data().cmp(b_text.data()).then_with(|| key(a).cmp(&key(b)))
    });
    rows
}

fn write_rows<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    rows: &[(&Placed, ByteArray)],
    [segment, scope, epoch]: [&str; 3],
) -> Result<(), ParquetError> {
    let constant = |text: &str| vec![ByteArray::from(text); rows.len()];
    column::<ByteArrayType>(group, &constant(segment), None)?;
    column::<Int32Type>(group, &each(rows, |row| row.line.cast_signed()), None)?;
    column::<ByteArrayType>(group, &constant(scope), None)?;
    column::<ByteArrayType>(group, &constant(epoch), None)?;
    counter(group, rows, |row| row.seq)?;
    let at: Vec<i64> =
        rows.iter().filter_map(|(row, _)| Some(row.at_unix_ms?.cast_signed())).collect();
    column::<Int64Type>(group, &at, Some(&each(rows, |row| row.at_unix_ms.is_some().into())))?;
    let texts: Vec<_> = rows.iter().map(|(_, text)| text.clone()).collect();
    column::<ByteArrayType>(group, &texts, None)?;
    column::<Int32Type>(group, &each(rows, |row| row.source.dst_port.into()), None)?;
    counter(group, rows, |row| row.syn)?;
    counter(group, rows, |row| row.ack)?;
    counter(group, rows, |row| row.handshakes)?;
    counter(group, rows, |row| row.fin)?;
    counter(group, rows, |row| row.rst)?;
    counter(group, rows, |row| row.packets)?;
    counter(group, rows, |row| row.bytes)?;
    let proven: Vec<bool> = rows.iter().filter_map(|(row, _)| row.source.proven).collect();
    let is_known = each(rows, |row| row.source.proven.is_some().into());
    column::<BoolType>(group, &proven, Some(&is_known))?;
    counter(group, rows, |row| row.born_boot_ns)?;
    counter(group, rows, |row| row.last_boot_ns)
}

fn each<T>(rows: &[(&Placed, ByteArray)], value: impl Fn(&Placed) -> T) -> Vec<T> {
    rows.iter().map(|(row, _)| value(row)).collect()
}

fn counter<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    rows: &[(&Placed, ByteArray)],
    value: impl Fn(&Source) -> u64,
) -> Result<(), ParquetError> {
    column::<Int64Type>(group, &each(rows, |row| value(&row.source).cast_signed()), None)
}

fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, impl Write + Send>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let mut column = group.next_column()?.ok_or_else(|| {
        ParquetError::General("more columns are written than the schema has".to_owned())
    })?;
    column.typed::<T>().write_batch(values, levels, None)?;
    column.close()
}
