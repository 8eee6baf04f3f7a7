// SPDX-License-Identifier: MIT OR Apache-2.0
//! A sensor with known traffic behind it, spools to write to, and what must hold of every
//! sealed file whatever happened.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use ibsr_proto::abi::hex;
use ibsr_proto::snapshot::{Gap, GapReason, Row, SegmentName, Source, Sweep};
use ibsr_tests::bpffs::PinRoot;
use ibsr_tests::frames::{Frame, flag, send_frames};
use ibsr_tests::netns::{HOST_IF, PEER_IF, Pair};
use ibsr_tests::process::{Running, program, say, wait_until};
use ibsr_tests::segments::{SegmentSpec, Traffic, rows};
use sha2::{Digest as _, Sha256};

/// Frames that the sensor has seen, all from different sources.
pub const FRAMES: u64 = 40;
/// Scope of the sensor.
pub const SCOPE: &str = "xdp-veth-h";
/// Host label of all segments.
pub const HOST: &str = "h1";
/// What a loaded machine may need for a few periods.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// An attached sensor that has counted [`FRAMES`] frames.
#[derive(Debug)]
pub struct Rig {
    pair: Pair,
    pins: PinRoot,
    place: tempfile::TempDir,
}

impl Rig {
    pub fn new() -> Self {
        let (pair, pins) = (Pair::new(), PinRoot::new());
        let place = tempfile::tempdir().expect("a directory");
        let mut loader = pair.host.command(&program("ibsr-loader").to_string_lossy());
        // Each source sends one frame here, and each is to be listed.
        loader.args(["attach", "xdp", HOST_IF, "--admit-first", "--pin-root"]).arg(pins.path());
        let _attached = say(&mut loader).expect_code(0);
        let frames = (0..u8::try_from(FRAMES).expect("few"))
            .map(|number| Frame::v4([10, 77, 1, number], [10, 77, 0, 1]).flags(flag::SYN).build());
        let sent = pair.peer.inside(|| send_frames(PEER_IF, frames));
        assert_eq!(sent as u64, FRAMES);
        Self { pair, pins, place }
    }

    /// A path of this test's own.
    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// An empty spool.
    pub fn spool(&self, name: &str) -> PathBuf {
        let spool = self.path(name);
        fs::create_dir(&spool).expect("a directory");
        spool
    }

    /// A spool with one sealed segment of this boot, whose last sweep is `seq`: the next one
    /// is then `seq + 1`, and the name of its file is known.
    pub fn seeded_spool(&self, name: &str, seq: u64) -> PathBuf {
        let spool = self.spool(name);
        let spec = SegmentSpec {
            host: HOST.into(),
            scope: SCOPE.into(),
            boot: boot_id(),
            ..SegmentSpec::of(seq, Traffic::new(1, 3).sweeps(1))
        };
        spec.write(&spool);
        spool
    }

    /// The reader inside the sensor's namespace, after `prefix` (for example strace).
    pub fn reader(&self, prefix: &[String], command: &str, spool: &Path) -> Command {
        let reader = program("ibsr-reader").to_string_lossy().into_owned();
        let words: Vec<&str> = prefix.iter().map(String::as_str).chain([reader.as_str()]).collect();
        let mut process = self.pair.host.command(words[0]);
        process.args(&words[1..]).args([command, "--scope", SCOPE, "--host", HOST]);
        process.arg("--pin-root").arg(self.pins.path()).arg("--spool").arg(spool);
        process
    }

    /// One full sweep, sealed: everything that was counted is in it.
    #[track_caller]
    pub fn once_has_everything(&self, spool: &Path) {
        let said = say(&mut self.reader(&[], "once", spool)).expect_code(0);
        let sealed = Sealed::read(Path::new(said.stdout.trim()));
        let (sources, sweep) = sealed.last_sweep();
        assert_eq!((sweep.since_boot_ns, sweep.totals.tracked), (0, FRAMES));
        assert_eq!(sources.iter().map(|row| row.packets).sum::<u64>(), FRAMES);
    }

    /// A reader that sweeps and seals often, its stderr in the file `log`.
    pub fn start(&self, prefix: &[String], spool: &Path, more: &[&str], log: &str) -> Running {
        let log = File::create(self.path(log)).expect("a file");
        let mut command = self.reader(prefix, "run", spool);
        command.args(["--period", "40ms", "--segment-age", "100ms"]).args(more);
        Running::start(command.stderr(log).stdout(Stdio::null()))
    }

    /// What a reader has said.
    pub fn said(&self, log: &str) -> String {
        fs::read_to_string(self.path(log)).expect("its stderr")
    }

    /// Waits until the reader has said `text`.
    #[track_caller]
    pub fn wait_for(&self, log: &str, text: &str) {
        wait_until(text, PATIENCE, || self.said(log).contains(text));
    }
}

/// A sealed file, after its digest and its grammar were checked.
#[derive(Debug)]
pub struct Sealed {
    pub name: String,
    pub rows: Vec<Row>,
}

impl Sealed {
    #[track_caller]
    pub fn read(path: &Path) -> Self {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let bytes = fs::read(path).expect("the file");
        assert!(bytes.ends_with(b"\n"), "{name} ends in the middle of a line");
        let rows = rows(&bytes);
        let body = bytes[..bytes.len() - 1].iter().rposition(|&b| b == b'\n').expect("lines") + 1;
        let Some(Row::Footer(footer)) = rows.last() else { panic!("{name} has no footer") };
        assert_eq!(footer.sha256, hex(&Sha256::digest(&bytes[..body])), "{name}");
        assert_eq!(footer.lines, rows.len() as u64 - 1, "{name}");
        assert!(matches!(rows[0], Row::Header(_)), "{name}");
        let sealed = Self { name, rows };
        sealed.check_sweeps();
        sealed
    }

    fn check_sweeps(&self) {
        let mut open = 0;
        for row in &self.rows {
            match row {
                Row::Source(_) => open += 1,
                Row::Sweep(sweep) => assert_eq!(std::mem::take(&mut open), sweep.rows),
                _ => assert_eq!(open, 0, "{} has rows without a sweep", self.name),
            }
        }
    }

    pub fn sweeps(&self) -> impl Iterator<Item = &Sweep> {
        self.rows.iter().filter_map(|row| match row {
            Row::Sweep(sweep) => Some(&**sweep),
            _ => None,
        })
    }

    pub fn gaps(&self) -> impl Iterator<Item = &Gap> {
        self.rows.iter().filter_map(|row| match row {
            Row::Gap(gap) => Some(gap),
            _ => None,
        })
    }

    pub fn is_recovered(&self) -> bool {
        self.rows.iter().any(|row| matches!(row, Row::Footer(footer) if footer.recovered))
    }

    pub fn has_gap(&self, reason: GapReason) -> bool {
        self.gaps().any(|gap| gap.reason == reason)
    }

    fn last_sweep(&self) -> (Vec<Source>, Sweep) {
        let last = self.sweeps().last().expect("a sweep").clone();
        let sources = self.rows.iter().filter_map(|row| match row {
            Row::Source(source) if source.seq == last.seq => Some(*source),
            _ => None,
        });
        (sources.collect(), last)
    }

    pub fn parsed_name(&self) -> SegmentName {
        SegmentName::parse(&self.name, SCOPE).expect("the name of a segment")
    }
}

/// Everything in the scope's directory that has the name of a sealed segment, checked, in the
/// order of the names.
#[track_caller]
pub fn all_sealed(spool: &Path) -> Vec<Sealed> {
    let dir = spool.join(SCOPE);
    let is_segment = |name: &String| SegmentName::parse(name, SCOPE).is_some();
    // What is there now may be merged or removed the next moment.
    let names = names(&dir).into_iter().filter(is_segment);
    names.map(|name| dir.join(name)).filter(|it| it.exists()).map(|it| Sealed::read(&it)).collect()
}

/// No sequence number stands in two sealed files.
#[track_caller]
pub fn no_number_twice(sealed: &[Sealed]) {
    let mut seen = BTreeSet::new();
    for seq in sealed.iter().flat_map(Sealed::sweeps).map(|sweep| sweep.seq) {
        assert!(seen.insert(seq), "sweep {seq} was sealed twice");
    }
}

pub fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Name of the segment that begins with `seq` in this boot.
pub fn segment_name(seq: u64) -> SegmentName {
    SegmentName {
        host: HOST.into(),
        scope: SCOPE.into(),
        boot8: boot_id()[..8].into(),
        first_seq: seq,
        merged_to: None,
    }
}

/// The hidden file of that segment.
pub fn part_path(spool: &Path, seq: u64) -> PathBuf {
    spool.join(SCOPE).join(segment_name(seq).part_name())
}

pub fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("a boot id");
    text.trim().to_owned()
}

/// strace that looks only at calls on these paths, and does `inject` to them.
pub fn strace(paths: &[PathBuf], log: &Path, calls: &str, inject: Option<&str>) -> Vec<String> {
    let mut words: Vec<String> =
        ["strace", "-f", "-o", &log.to_string_lossy()].map(str::to_owned).to_vec();
    for path in paths {
        words.extend(["-P".to_owned(), path.to_string_lossy().into_owned()]);
    }
    words.extend(["-e".to_owned(), format!("trace={calls}")]);
    if let Some(inject) = inject {
        words.extend(["-e".to_owned(), format!("inject={inject}")]);
    }
    words
}
