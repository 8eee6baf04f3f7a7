// SPDX-License-Identifier: MIT OR Apache-2.0
//! What every test here starts from: a server, a spool, a state directory, the command line,
//! and the check that the bucket holds what the spool holds.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use ibsr_tests::process::{Running, Said, program, say};
use ibsr_tests::s3::{BUCKET, Server, scratch_dir};
use ibsr_tests::segments::{SegmentSpec, Traffic, write_many};
use tempfile::TempDir;

/// No step of these tests takes longer unless something hangs.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A server with an empty bucket and an exporter's two directories.
pub struct Rig {
    pub server: Server,
    home: TempDir,
}

impl Rig {
    pub fn new() -> Self {
        let home = scratch_dir();
        fs::create_dir(home.path().join("spool")).unwrap();
        Self { server: Server::start(), home }
    }

    pub fn spool(&self) -> PathBuf {
        self.home.path().join("spool")
    }

    pub fn state(&self) -> PathBuf {
        self.home.path().join("state")
    }

    /// `count` small segments.
    pub fn segments(&self, count: u64) -> Vec<PathBuf> {
        write_many(&self.spool(), count, 1)
    }

    /// `ibsr-export s3 WHAT` with the bucket's address and credentials.
    pub fn command(&self, what: &str) -> Command {
        self.wrapped(Command::new(program("ibsr-export")), what)
    }

    /// The same behind another program, which runs what follows on its command line.
    pub fn command_under(&self, wrapper: &str, args: &[&str], what: &str) -> Command {
        let mut command = Command::new(wrapper);
        command.args(args).arg(program("ibsr-export"));
        self.wrapped(command, what)
    }

    fn wrapped(&self, mut command: Command, what: &str) -> Command {
        command.args(["s3", what]).arg("--spool").arg(self.spool());
        command.arg("--state").arg(self.state());
        if what != "status" {
            command.args(["--bucket", BUCKET, "--prefix", "p", "--force-path-style"]);
            command.env("IBSR_ENDPOINT_URL", self.server.endpoint());
        }
        self.server.credentials(&mut command);
        command
    }

    /// One pass to its end.
    pub fn run(&self) -> Said {
        self.run_with(&[])
    }

    /// One pass to its end, with more flags; killed, so a failure, where it hangs.
    pub fn run_with(&self, flags: &[&str]) -> Said {
        say(self.command_under("timeout", &["-s", "KILL", "120"], "run").args(flags))
    }

    /// A pass in the background; its output is not looked at.
    pub fn start(&self, what: &str, flags: &[&str]) -> Running {
        Running::start(quiet(self.command(what).args(flags)))
    }

    /// Objects by the name of their segment; two objects of one segment are a failure.
    pub fn by_name(&self) -> BTreeMap<String, (String, Vec<u8>)> {
        let mut by_name = BTreeMap::new();
        for (key, bytes) in self.server.objects() {
            let name = key.rsplit('/').next().unwrap().trim_end_matches(".zst").to_owned();
            let twin = by_name.insert(name, (key, bytes));
            assert!(twin.is_none(), "two objects of one segment: {twin:?}");
        }
        by_name
    }

    /// The bucket holds these segments, byte for byte, and nothing else; each was stored once.
    #[track_caller]
    pub fn expect_uploaded(&self, segments: &[PathBuf]) {
        let objects = self.by_name();
        assert_eq!(objects.len(), segments.len(), "objects and segments");
        for segment in segments {
            let (_, bytes) = &objects[&name_of(segment)];
            let bytes = zstd::decode_all(&**bytes).expect("zstd");
            assert!(bytes == fs::read(segment).unwrap(), "{} differs", segment.display());
        }
        let mut stored = self.server.stored();
        // A probe of what the server can do may be refused; it never counts as stored.
        stored.sort();
        stored.dedup();
        assert_eq!(self.server.stored().len(), stored.len(), "stored more than once");
    }

    /// Nothing came into the bucket and nothing left the spool.
    #[track_caller]
    pub fn expect_untouched(&self, segments: &[PathBuf]) {
        assert_eq!(self.server.objects().len(), 0, "objects");
        for segment in segments {
            assert!(segment.is_file(), "{} is gone", segment.display());
        }
    }

    /// Key of a segment under this rig's prefix, as a first upload would choose it.
    pub fn key_of(&self, segment: &Path) -> String {
        let lines = say(self.command("run").arg("--dry-run")).expect_code(0).stdout;
        let line = lines.lines().find(|line| line.contains(&name_of(segment))).expect("planned");
        line.split_once(&format!("{BUCKET}/")).expect("an s3:// address").1.to_owned()
    }
}

/// File name.
pub fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// Sends both streams away.
pub fn quiet(command: &mut Command) -> &mut Command {
    command.stdout(Stdio::null()).stderr(Stdio::null())
}

/// One segment of at least `bytes` bytes.
pub fn large_segment(spool: &Path, bytes: usize) -> PathBuf {
    let mut traffic = Traffic::new(9, 2_000);
    let mut spec = SegmentSpec::default();
    let mut size = 0;
    while size < bytes {
        let sweep = traffic.sweep();
        // A row is about 240 bytes; 200 is on the safe side.
        size += sweep.sources.len() * 200;
        spec.sweeps.push(sweep);
    }
    spec.write(spool)
}
