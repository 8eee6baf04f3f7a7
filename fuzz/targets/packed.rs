// SPDX-License-Identifier: MIT OR Apache-2.0
//! A file as the report finds it: plain, gzip, zstd or Parquet. `ibsr-report` is a program
//! and has no library to link, so its own source is compiled in here.
#![no_main]
#![allow(dead_code, unused_imports, reason = "only what reads is used")]

use std::io::{BufRead as _, Read as _, Write as _};
use std::path::Path;

use ibsr_proto::abi::hex;
use ibsr_proto::snapshot::{Footer, RowRef};
use sha2::{Digest as _, Sha256};

use ingest::open::Place;
use ingest::scan::scan;

#[path = "../../ibsr-report/src/ingest"]
mod ingest {
    pub mod lines;
    pub mod open;
    pub mod parquet;
    pub mod scan;
}

/// Unpacked bytes that are read of one input.
const MAX_READ_BYTES: u64 = 4 << 20;
/// Where a Parquet file of ours carries its digest.
const DIGEST: std::ops::Range<usize> = 12..44;

// The reader of Parquet catches panics of the decoder behind it; the fuzzer's own hook would
// end the process at the first.
libfuzzer_sys::fuzz_target!(init: std::panic::set_hook(Box::new(|_| {})), |data: &[u8]| {
    if data.starts_with(b"PAR1") {
        parquet(data);
    } else {
        let path = written(data, ".jsonl");
        let place = Place::from(path.path().to_owned());
        if let Ok(reader) = place.open() {
            let _ = scan(reader.take(MAX_READ_BYTES));
        }
        let _ = scan(sealed(data).as_slice());
    }
});

fn written(data: &[u8], suffix: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(suffix).tempfile().expect("room for a file");
    file.write_all(data).expect("room for a file");
    file
}

/// A digest that fits, or nothing behind it would ever be reached.
fn parquet(data: &[u8]) {
    let mut data = data.to_vec();
    if data.len() >= DIGEST.end {
        data[DIGEST].fill(0);
        let digest = Sha256::digest(&data);
        data[DIGEST].copy_from_slice(&digest);
    }
    let file = written(&data, ".parquet");
    for part in index(file.path()) {
        if let Ok(reader) = part.open(file.path()) {
            let _ = scan(reader.take(MAX_READ_BYTES));
        }
    }
}

fn index(path: &Path) -> Vec<ingest::parquet::Part> {
    ingest::parquet::index(path).unwrap_or_default()
}

/// The same with a footer that fits, for the same reason.
fn sealed(data: &[u8]) -> Vec<u8> {
    let mut text = data.to_vec();
    let footer = Footer {
        lines: data.split_inclusive(|byte| *byte == b'\n').count() as u64,
        sha256: hex(&Sha256::digest(data)),
        recovered: false,
    };
    RowRef::Footer(&footer).write_to(&mut text);
    text
}
