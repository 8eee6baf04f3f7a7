// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the reader sealed, read back and checked: nothing here accepts a segment that is not
//! whole.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use ibsr_proto::abi::hex;
use ibsr_proto::addr::SourceAddr;
use ibsr_proto::snapshot::{Footer, Gap, Header, Row, Source, Sweep};
use ibsr_tests::segments;
use sha2::{Digest as _, Sha256};

/// Paths of the sealed segments of a scope, in order of their names.
pub fn sealed(spool: &Path, scope: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(spool.join(scope)) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    paths.sort();
    paths
}

/// Sweeps in the files of a scope, sealed or not.
pub fn sweeps_written(spool: &Path, scope: &str) -> usize {
    let entries = fs::read_dir(spool.join(scope)).into_iter().flatten().flatten();
    let texts = entries.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    texts.map(|text| text.matches(r#"{"type":"sweep""#).count()).sum()
}

/// A sealed segment, checked against its own footer.
#[derive(Debug)]
pub struct Sealed {
    pub header: Header,
    /// Each sweep with its rows.
    pub sweeps: Vec<(Sweep, Vec<Source>)>,
    pub gaps: Vec<Gap>,
    pub footer: Footer,
}

impl Sealed {
    /// Reads it; panics on anything that a sealed segment must not be.
    #[track_caller]
    pub fn read(path: &Path) -> Self {
        let bytes = fs::read(path).expect("readable");
        let mut rows = segments::rows(&bytes);
        let Some(Row::Footer(footer)) = rows.pop() else { panic!("{}: no footer", path.display()) };
        let Row::Header(header) = rows.remove(0) else { panic!("{}: no header", path.display()) };
        assert_eq!(footer.lines, rows.len() as u64 + 1, "{}", path.display());
        assert_eq!(footer.sha256, hex(&digest_before_last_line(&bytes)));
        let (mut sweeps, mut sources, mut gaps) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            match row {
                Row::Source(source) => sources.push(source),
                Row::Sweep(sweep) => {
                    let sources = std::mem::take(&mut sources);
                    assert_eq!(sweep.rows, sources.len() as u64);
                    assert!(sources.iter().all(|source| source.seq == sweep.seq));
                    sweeps.push((*sweep, sources));
                }
                Row::Gap(gap) => gaps.push(gap),
                other => panic!("{}: {other:?} in the middle", path.display()),
            }
        }
        assert!(sources.is_empty(), "{}: rows of no sweep", path.display());
        Self { header: *header, sweeps, gaps, footer }
    }
}

/// What all segments of a scope say together.
#[derive(Debug)]
pub struct Story {
    pub segments: Vec<Sealed>,
}

impl Story {
    /// Reads them and checks what must hold across them: `seq` ascends, every sweep obeys the
    /// conservation law, no source is listed twice in one.
    #[track_caller]
    pub fn read(spool: &Path, scope: &str) -> Self {
        let segments: Vec<_> = sealed(spool, scope).iter().map(|path| Sealed::read(path)).collect();
        let story = Self { segments };
        let seqs: Vec<u64> = story.sweeps().map(|(sweep, _)| sweep.seq).collect();
        assert!(seqs.is_sorted_by(|a, b| a < b), "{seqs:?}");
        for (sweep, rows) in story.sweeps() {
            assert!(sweep.conserved, "{sweep:?}");
            let lives = rows.iter().map(|row| (row.src, row.dst_port, row.proven));
            let sources: HashSet<_> = lives.collect();
            assert_eq!(sources.len(), rows.len(), "a source twice in sweep {}", sweep.seq);
        }
        story
    }

    /// Every sweep with its rows, in order.
    pub fn sweeps(&self) -> impl DoubleEndedIterator<Item = &(Sweep, Vec<Source>)> {
        self.segments.iter().flat_map(|segment| &segment.sweeps)
    }

    /// The last sweep.
    #[track_caller]
    pub fn last(&self) -> &Sweep {
        &self.sweeps().next_back().expect("a sweep").0
    }

    /// Gap rows, in order.
    pub fn gaps(&self) -> Vec<&Gap> {
        self.segments.iter().flat_map(|segment| &segment.gaps).collect()
    }

    /// Epochs, in order of their first segment.
    pub fn epochs(&self) -> Vec<&str> {
        let mut epochs: Vec<_> =
            self.segments.iter().map(|segment| &*segment.header.epoch).collect();
        epochs.dedup();
        epochs
    }

    /// Packets of each source as its newest row of `epoch` says.
    pub fn packets(&self, epoch: &str) -> BTreeMap<SourceAddr, u64> {
        let of_epoch = self.segments.iter().filter(|segment| segment.header.epoch == epoch);
        let rows = of_epoch.flat_map(|segment| &segment.sweeps).flat_map(|(_, rows)| rows);
        rows.map(|row| (row.src, row.packets)).collect()
    }
}

fn digest_before_last_line(bytes: &[u8]) -> Vec<u8> {
    let body = bytes.strip_suffix(b"\n").expect("ends with a line feed");
    let end = body.iter().rposition(|&byte| byte == b'\n').expect("two lines") + 1;
    Sha256::digest(&bytes[..end]).to_vec()
}
