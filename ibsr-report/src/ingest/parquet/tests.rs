// SPDX-License-Identifier: MIT OR Apache-2.0

use std::fs;
use std::io::{Cursor, Read as _};
use std::path::PathBuf;

use ibsr_proto::snapshot::{Header, Row, RowRef, SCHEMA, Source};

use super::*;

/// splitmix64: the same rows in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

fn header() -> Header {
    Header {
        schema: SCHEMA.into(),
        tool: "t".into(),
        host: "h1".into(),
        boot_id: "0af3c9d1".into(),
        scope: "xdp-eth0".into(),
        ifname: "eth0".into(),
        ifindex: 2,
        epoch: "00c0ffee00c0ffee".into(),
        attached_boot_ns: 1,
        program_sha256: String::new(),
        evidence: "frozen".into(),
        xdp_mode: "native".into(),
        period_ms: 10_000,
        max_sources: 1000,
        table: String::new(),
        proof: String::new(),
        admits_first: false,
        dst_ports: vec![443],
        dst_port_ranges: Vec::new(),
    }
}

fn source(random: &mut Random, seq: u64, number: u64) -> Source {
    let src = match number % 3 {
        0 => format!("2001:db8::{number:x}"),
        _ => format!("203.0.{}.{}", number / 256 % 256, number % 256),
    };
    Source {
        seq,
        src: src.parse().expect("an address"),
        dst_port: if number.is_multiple_of(5) { 65_535 } else { 443 },
        syn: seq * number,
        ack: u64::MAX - random.below(2),
        handshakes: 0,
        fin: random.below(u64::MAX),
        rst: 1 << 63,
        packets: seq * 7,
        bytes: seq * 700,
        proven: [None, Some(true), Some(false)][usize::try_from(random.below(3)).expect("small")],
        born_boot_ns: number,
        last_boot_ns: seq,
    }
}

/// Sources in no order, lines of every other kind between them, no sweep behind the last.
fn segment(rows: u64, seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let mut out = Vec::new();
    RowRef::Header(&header()).write_to(&mut out);
    for line in 0..rows {
        let number = random.below(50);
        RowRef::Source(&source(&mut random, line / 40, number)).write_to(&mut out);
        out.extend_from_slice(match random.below(30) {
            0 => b"\n".as_slice(),
            1 => b"not JSON \xff\n",
            2 => b"{\"type\":\"flow\"}\n",
            3 => b"{\"type\":\"gap\",\"from_boot_ns\":1,\"to_boot_ns\":2,\"reason\":\"disk\"}\n",
            _ => b"",
        });
    }
    out.extend_from_slice(b"{\"type\":\"footer\",\"lines\":0,\"sha256\":\"\"}\n");
    out
}

fn pack(segments: &[Vec<u8>]) -> Vec<u8> {
    let mut writer = Writer::new(Cursor::new(Vec::new())).expect("begins");
    for (number, segment) in segments.iter().enumerate() {
        let table = Table::of(segment.as_slice()).expect("fits");
        writer.add(&format!("s{number}.jsonl"), &header(), &table).expect("added");
    }
    writer.finish().expect("ends").into_inner()
}

struct Packed {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

fn write(bytes: &[u8]) -> Packed {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("x.parquet");
    fs::write(&path, bytes).expect("written");
    Packed { _dir: dir, path }
}

impl Packed {
    fn unpack(&self) -> std::io::Result<Vec<Vec<u8>>> {
        let unpack = |part: &Part| {
            let mut segment = Vec::new();
            part.open(&self.path)?.read_to_end(&mut segment)?;
            Ok(segment)
        };
        index(&self.path)?.iter().map(unpack).collect()
    }
}

/// The whole point: nothing of a segment is lost, whatever its lines are.
#[test]
fn every_byte_of_every_segment_comes_back() {
    let segments: Vec<_> = [(900, 1), (1, 2), (0, 3), (3000, 4), (40, 5)]
        .map(|(rows, seed)| segment(rows, seed))
        .into();
    let packed = write(&pack(&segments));
    assert_eq!(packed.unpack().expect("unpacks"), segments);
    let names: Vec<_> =
        index(&packed.path).expect("reads").iter().map(|part| part.name().to_owned()).collect();
    assert_eq!(names, ["s0.jsonl", "s1.jsonl", "s2.jsonl", "s3.jsonl", "s4.jsonl"]);
}

#[test]
fn a_file_without_segments_is_one() {
    assert_eq!(write(&pack(&[])).unpack().expect("unpacks"), Vec::<Vec<u8>>::new());
}

/// A row in other words would come back in ours, and the footer's hash would be wrong.
#[test]
fn a_source_row_in_another_spelling_is_refused_by_its_line() {
    let text = String::from_utf8_lossy(&segment(3, 1)).replacen("\"syn\":", "\"syn\": ", 1);
    let error = Table::of(text.as_bytes()).expect_err("refused");
    assert!(matches!(error, Unfit::Spelling(2)), "{error}");
    assert!(error.to_string().contains("line 2"), "{error}");
}

/// P6: not a byte of the file is beyond the digest, also those that only queries read.
#[test]
fn a_flipped_bit_anywhere_is_refused() {
    let good = pack(&[segment(30, 1), segment(2, 2)]);
    for at in 0..good.len() {
        let mut flipped = good.clone();
        flipped[at] ^= 1 << (at % 8);
        let error = write(&flipped).unpack().expect_err("refused").to_string();
        assert!(error.contains("SHA-256") || error.contains("`ibsr-report compact`"), "{error}");
    }
}

#[test]
fn a_cut_or_grown_file_is_refused() {
    let good = pack(&[segment(30, 1)]);
    for cut in [0, 3, 4, 11, 12, 43, 44, good.len() / 2, good.len() - 1] {
        let _error = write(&good[..cut]).unpack().expect_err("refused");
    }
    let _error = write(&[good, vec![0]].concat()).unpack().expect_err("refused");
}

/// Behind a right digest, any bytes at all: an answer, never a wrong one by accident, never
/// a panic that leaves this module, never memory without bound.
#[test]
fn forged_files_end_in_an_error_or_in_a_segment() {
    let good = pack(&[segment(300, 1), segment(5, 2)]);
    let mut random = Random(7);
    let mut readable = 0;
    for _ in 0..600 {
        let mut forged = good.clone();
        for _ in 0..=random.below(3) {
            // Half of the changes in the last part: pages at the front, structure at the end.
            let from = if random.below(2) == 0 { 44 } else { good.len() - 1500 };
            let at =
                from + usize::try_from(random.below((good.len() - from) as u64)).expect("fits");
            forged[at] = match random.below(3) {
                0 => forged[at] ^ (1 << random.below(8)),
                1 => 0xff,
                _ => u8::try_from(random.below(256)).expect("a byte"),
            };
        }
        let mut file = Cursor::new(forged);
        seal::seal(&mut file).expect("sealed");
        readable += u32::from(write(file.get_ref()).unpack().is_ok());
    }
    assert!(readable > 0, "some changes hit what nothing reads");
}

#[test]
fn another_parquet_file_is_told_from_ours() {
    let schema = schema::root();
    let file = parquet::file::writer::SerializedFileWriter::new(
        Vec::new(),
        schema,
        std::sync::Arc::default(),
    );
    let bytes = file.and_then(|file| file.into_inner()).expect("written");
    assert!(is_parquet(&bytes));
    let error = write(&bytes).unpack().expect_err("refused").to_string();
    assert!(error.contains("`ibsr-report compact`"), "{error}");
}

/// The list of segments is text that anyone can write.
#[test]
fn a_list_of_segments_that_cannot_be_is_refused() {
    let good = Entry {
        name: "a.jsonl".into(),
        rows: 1,
        text_at: 100,
        text_bytes: 10,
        text_unpacked_bytes: 10,
    };
    assert!(read::check_entry(&good, 200).is_ok());
    let wrong: [fn(&mut Entry); 8] = [
        |entry| entry.name.clear(),
        |entry| entry.name = "../a".into(),
        |entry| entry.name = "a\n".into(),
        |entry| entry.name = "a".repeat(256),
        |entry| entry.rows = MAX_ROWS as u64 + 1,
        |entry| entry.text_at = 191,
        |entry| entry.text_bytes = u64::MAX,
        |entry| entry.text_unpacked_bytes = MAX_TEXT_BYTES as u64 + 1,
    ];
    for change in wrong {
        let mut entry = good.clone();
        change(&mut entry);
        assert!(read::check_entry(&entry, 200).is_err(), "{entry:?}");
    }
}

/// Rows know the wall clock of the sweep that closed them, and of none other.
#[test]
fn a_row_has_the_time_of_its_own_sweep() {
    let mut text = Vec::new();
    let mut random = Random(1);
    for (seq, at) in [(1, 1000), (2, 2000)] {
        RowRef::Source(&source(&mut random, seq, 1)).write_to(&mut text);
        let sweep = format!(
            concat!(
                r#"{{"type":"sweep","seq":{},"since_boot_ns":0,"at_boot_ns":1,"at_unix_ms":{},"rows":1,"#,
                r#""entries":1,"max_entries":1,"attributed":1,"evicted":0,"during_read":0,"conserved":true,"#,
                r#""totals":{},"rx_packets":null,"attached":true,"read_us":1}}"#,
                "\n"
            ),
            seq,
            at,
            serde_json::to_string(&ibsr_proto::conservation::Totals::default()).expect("JSON"),
        );
        assert!(matches!(Row::from_line(sweep.as_bytes()), Ok(Row::Sweep(_))));
        text.extend_from_slice(sweep.as_bytes());
    }
    RowRef::Source(&source(&mut random, 3, 1)).write_to(&mut text);
    let table = Table::of(text.as_slice()).expect("fits");
    let times: Vec<_> = table.rows.iter().map(|row| (row.line, row.at_unix_ms)).collect();
    assert_eq!(times, [(1, Some(1000)), (3, Some(2000)), (5, None)]);
}
