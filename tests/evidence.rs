// SPDX-License-Identifier: MIT OR Apache-2.0
//! Evidence by the real program: sealed, verified, computed again, and every way to tamper
//! with it named.

#[path = "evidence/tamper.rs"]
mod tamper;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use ibsr_tests::beside;
use ibsr_tests::process::{Said, program, say};
use ibsr_tests::segments::{FIRST_SEQ, SegmentSpec, Traffic};
use serde_json::Value;
use tempfile::TempDir;

const NOW: &str = "2026-11-22T16:00:00Z";
const NAMES: [&str; 7] = [
    "evidence.csv",
    "manifest.json",
    "manifest.sig",
    "report.html",
    "report.json",
    "report.md",
    "rules.toml",
];

/// A spool, a pair of keys and a bundle of the spool.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let place = Self { dir };
        for (host, boot) in [("h1", 'a'), ("h2", 'b')] {
            record(&place.path("spool"), host, boot);
        }
        place.keygen("key").expect_code(0);
        let _said = say(&mut place.seal("spool", "bundle")).expect_code(1);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a text")
    }

    fn keygen(&self, name: &str) -> Said {
        say(report().arg("keygen").arg("--out").arg(self.path(name)))
    }

    /// `run` that seals what is in `spool`.
    fn seal(&self, spool: &str, bundle: &str) -> Command {
        let mut command = report();
        command.arg("run").arg(self.path(spool)).args(["--now", NOW]);
        command.arg("--bundle").arg(self.path(bundle)).arg("--key").arg(self.path("key.key"));
        command
    }

    /// `verify` by the key that signed.
    fn verify(&self, bundle: &str) -> Command {
        let mut command = report();
        command.arg("verify").arg(self.path(bundle)).args(["--now", NOW, "--format", "json"]);
        command.arg("--trust").arg(self.path("key.pub"));
        command
    }

    /// The same with the inputs in `spool`.
    fn again(&self, bundle: &str, spool: &str) -> Command {
        let mut command = self.verify(bundle);
        command.arg("--inputs").arg(self.path(spool));
        command
    }

    fn copy(&self, from: &str, to: &str) {
        fs::create_dir_all(self.path(to)).expect("made");
        for entry in fs::read_dir(self.path(from)).expect("listed") {
            let entry = entry.expect("an entry");
            let to = self.path(to).join(entry.file_name());
            fs::copy(entry.path(), to).expect("copied");
        }
    }

    /// Segments of the spool, sorted.
    fn segments(&self) -> Vec<PathBuf> {
        let list = fs::read_dir(self.path("spool/xdp-eth0")).expect("listed");
        let mut paths: Vec<_> = list.map(|entry| entry.expect("an entry").path()).collect();
        paths.sort();
        paths
    }
}

fn report() -> Command {
    Command::new(program("ibsr-report"))
}

fn spec(host: &str, boot: char, first_seq: u64) -> SegmentSpec {
    SegmentSpec {
        host: host.into(),
        boot: format!("0af3c9d{boot}-5b1e-4c7a-9d30-6f2b8f1c2a44"),
        first_seq,
        ..SegmentSpec::default()
    }
}

/// Three segments of a host.
fn record(spool: &Path, host: &str, boot: char) {
    let mut traffic = Traffic::new(u64::from(boot), 20);
    for number in 0..3 {
        let sweeps = traffic.sweeps(4);
        SegmentSpec { sweeps, ..spec(host, boot, FIRST_SEQ + 4 * number) }.write(spool);
    }
}

/// Name and reason of each fault, one a line; empty when it is valid.
#[track_caller]
fn faults(command: &mut Command) -> Vec<String> {
    let said = say(command);
    let answer: Value = serde_json::from_str(&said.stdout)
        .unwrap_or_else(|error| panic!("{error}\n{}\n{}", said.stdout, said.stderr));
    let list = answer["faults"].as_array().expect("a list");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let lines: Vec<String> = list
        .iter()
        .map(|fault| format!("{}: {}", text(&fault["name"]), text(&fault["reason"])))
        .collect();
    assert_eq!(answer["is_valid"], Value::Bool(lines.is_empty()), "{lines:?}");
    assert_eq!(said.code, Some(i32::from(!lines.is_empty())), "{lines:?}\n{}", said.stderr);
    lines
}

fn file_name(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

#[test]
fn a_bundle_is_valid_as_directory_and_as_archive_and_comes_out_of_its_inputs() {
    let place = Place::new();
    for bundle in ["bundle", "bundle.tar.zst"] {
        assert_eq!(faults(&mut place.verify(bundle)), <[&str; 0]>::default());
        assert_eq!(faults(&mut place.again(bundle, "spool")), <[&str; 0]>::default());
    }
    let mut listed: Vec<_> = fs::read_dir(place.path("bundle"))
        .expect("listed")
        .map(|entry| file_name(&entry.expect("an entry").path()))
        .collect();
    listed.sort();
    assert_eq!(listed, NAMES);
}

/// What anybody can do with the archive: their own tools unpack it to the same files.
#[test]
fn other_tools_unpack_the_archive_to_the_same_files() {
    let place = Place::new();
    let tar = zstd::decode_all(fs::File::open(place.path("bundle.tar.zst")).expect("there"));
    fs::write(place.path("bundle.tar"), tar.expect("unpacks")).expect("written");
    fs::create_dir(place.path("out")).expect("made");
    let mut command = Command::new("tar");
    command.arg("-xf").arg(place.path("bundle.tar")).arg("-C").arg(place.path("out"));
    let _said = say(&mut command).expect_code(0);
    for name in NAMES {
        let (one, two) = (place.path("bundle").join(name), place.path("out").join(name));
        assert_eq!(fs::read(one).expect("there"), fs::read(two).expect("there"), "{name}");
    }
}

#[test]
fn the_same_inputs_key_and_time_give_the_same_bundle() {
    let place = Place::new();
    let _said = say(place.seal("spool", "again").args(["--threads", "1"])).expect_code(1);
    let packed = |name: &str| fs::read(place.path(name)).expect("there");
    assert_eq!(packed("bundle.tar.zst"), packed("again.tar.zst"));
    assert_eq!(place.text("bundle/manifest.sig"), place.text("again/manifest.sig"));
}

/// Evidence is about bytes, not about how they are kept.
#[test]
fn packed_copies_of_the_inputs_give_the_same_evidence() {
    let place = Place::new();
    for (dir, extension) in [("gz", "gz"), ("zst", "zst")] {
        let dir = place.path(dir);
        fs::create_dir(&dir).expect("made");
        for path in place.segments() {
            let bytes = match extension {
                "gz" => Command::new("gzip").arg("-c").arg(&path).output().expect("gzip").stdout,
                _ => zstd::encode_all(fs::File::open(&path).expect("there"), 1).expect("packs"),
            };
            let name = format!("{}.{extension}", file_name(&path));
            fs::write(dir.join(name), bytes).expect("written");
        }
        assert_eq!(faults(&mut place.again("bundle", extension)), <[&str; 0]>::default());
    }
}

/// Hosts folded apart give the bundle that one process gives.
#[test]
fn a_merge_seals_the_same_bundle_as_a_run() {
    let place = Place::new();
    let mut merge = report();
    merge.arg("merge");
    for host in ["h1", "h2"] {
        let (partial, own) = (place.path(&format!("{host}.partial")), place.path(host));
        fs::create_dir(&own).expect("made");
        for path in place.segments().iter().filter(|path| file_name(path).starts_with(host)) {
            fs::copy(path, own.join(file_name(path))).expect("copied");
        }
        let _said = say(report().arg("fold").arg(own).arg("-o").arg(&partial)).expect_code(0);
        merge.arg(partial);
    }
    merge.args(["--now", NOW]).arg("--bundle").arg(place.path("merged"));
    let _said = say(merge.arg("--key").arg(place.path("key.key"))).expect_code(1);
    assert_eq!(place.text("bundle/manifest.json"), place.text("merged/manifest.json"));
    assert_eq!(faults(&mut place.again("merged", "spool")), <[&str; 0]>::default());
}

/// A spool that went on is still the spool of the report.
#[test]
fn segments_that_came_later_do_not_matter() {
    let place = Place::new();
    let mut traffic = Traffic::new(u64::from('a'), 20);
    let _known = traffic.sweeps(12);
    let sweeps = traffic.sweeps(4);
    SegmentSpec { sweeps, ..spec("h1", 'a', FIRST_SEQ + 12) }.write(&place.path("spool"));
    let said = say(&mut place.again("bundle", "spool")).expect_code(0);
    let answer: Value = serde_json::from_str(&said.stdout).expect("JSON");
    assert_eq!(answer["inputs_found"], 6);
    assert_eq!(answer["inputs_later"], 1);
    assert_eq!(answer["is_computed_again"], true);
}

#[test]
fn a_bundle_is_never_written_over_anything() {
    let place = Place::new();
    let before = place.text("bundle/manifest.json");
    let _said = say(&mut place.seal("spool", "bundle")).expect_code(2).expect_stderr("it exists");
    fs::remove_dir_all(place.path("bundle")).expect("removed");
    let said = say(&mut place.seal("spool", "bundle")).expect_code(2);
    let _said = said.expect_stderr("bundle.tar.zst").expect_stderr("hint: ");
    assert!(!place.path("bundle").exists());
    fs::remove_file(place.path("bundle.tar.zst")).expect("removed");
    let _said = say(&mut place.seal("spool", "bundle")).expect_code(1);
    assert_eq!(place.text("bundle/manifest.json"), before);
    let left: Vec<_> = fs::read_dir(place.dir.path())
        .expect("listed")
        .map(|entry| file_name(&entry.expect("an entry").path()))
        .filter(|name| name.starts_with('.'))
        .collect();
    assert_eq!(left, <[&str; 0]>::default(), "nothing half-written is left");
}

#[test]
fn a_secret_key_is_its_owners_alone_and_is_never_overwritten() {
    let place = Place::new();
    let (secret, public) = (place.path("key.key"), place.path("key.pub"));
    let mode = |path: &Path| fs::metadata(path).expect("there").mode() & 0o777;
    assert_eq!((mode(&secret), mode(&public)), (0o600, 0o644));
    let before = place.text("key.key");
    let _said = place.keygen("key").expect_code(2).expect_stderr("key.pub");
    fs::remove_file(&public).expect("removed");
    let _said = place.keygen("key").expect_code(2).expect_stderr("key.key");
    assert_eq!(place.text("key.key"), before);
    assert!(!public.exists(), "no half of a pair");

    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).expect("changed");
    let said = say(&mut place.seal("spool", "open")).expect_code(2);
    let said =
        said.expect_stderr("everyone on this machine may open it").expect_stderr("chmod 600");
    assert_eq!(said.stdout, "", "refused before the work");
    assert!(!place.path("open").exists());
}

#[test]
fn wrong_keys_and_missing_bundles_are_errors_that_name_the_file() {
    let place = Place::new();
    let mut run = place.seal("spool", "x");
    let said = say(run.arg("--quiet")).expect_code(1);
    assert!(!said.stdout.is_empty());
    let mut verify = report();
    verify.arg("verify").arg(place.path("bundle")).arg("--trust").arg(place.path("key.key"));
    let _said = say(&mut verify).expect_code(2).expect_stderr("key.key");
    let _said = say(report().arg("verify").arg(place.path("none")))
        .expect_code(2)
        .expect_stderr("failed to open the bundle");
    let mut half = report();
    half.arg("run").arg(place.path("spool")).arg("--bundle").arg(place.path("half"));
    let _said = say(&mut half).expect_code(2).expect_stderr("--key");
    fs::write(place.path("junk.tar.zst"), b"not an archive").expect("written");
    let said = faults(&mut place.verify("junk.tar.zst"));
    assert!(said[0].starts_with("the archive: failed to unpack it"), "{said:?}");
}

/// Of two days that are there one was folded: the manifest says which, of either sensor.
#[test]
fn a_bundle_of_some_days_comes_out_of_all_inputs() {
    let place = Place::new();
    let (site, partial) = (place.path("site"), place.path("day.partial"));
    let mut simulate = report();
    simulate.arg("simulate").args(["--days", "2", "--clients", "5", "--out"]).arg(&site);
    let _said = say(&mut simulate).expect_code(0);
    let _flows = beside::write(&site, |_| true);
    let mut fold = report();
    fold.arg("fold").arg(&site).args(["--day", "2026-01-06", "-o"]).arg(&partial);
    let _said = say(&mut fold).expect_code(0);
    let mut merge = report();
    merge.arg("merge").arg(partial).args(["--now", NOW]).arg("--bundle").arg(place.path("day"));
    let _said = say(merge.arg("--key").arg(place.path("key.key"))).expect_code(1);
    let manifest: Value = serde_json::from_str(&place.text("day/manifest.json")).expect("JSON");
    let hosts = manifest["hosts"].as_array().expect("a list");
    let scopes: Vec<_> = hosts.iter().map(|host| (&host["scope"], &host["days"])).collect();
    let days = serde_json::json!(["2026-01-06"]);
    assert_eq!(scopes, [(&"cg-web".into(), &days), (&"xdp-sim0".into(), &days)]);
    let proof = hosts[0]["proof"].as_str().expect("text");
    assert!(
        proof.starts_with("every exit of the program returns the value that allows"),
        "{proof}"
    );
    let labels = manifest["label_definition"].as_str().expect("text");
    assert!(labels.starts_with("by connections"), "{labels}");
    assert_eq!(faults(&mut place.again("day", "site")), <[&str; 0]>::default());
}
