// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bundles of strangers, in memory: what of them is refused, and under which name.

use std::io::Cursor;

use ibsr_evidence::{Item, SecretKey, seal};
use ibsr_replay::fold::compiled::Compiled;
use ibsr_replay::judge::gather::By;
use ibsr_replay::judge::report::{CONNECTION_LIMIT_PPB, LIMIT_PPB, Wanted};
use ibsr_replay::rules::{family, text::to_toml};
use jiff::{SignedDuration, Timestamp};
use tar::{Builder, EntryType, Header};

use super::archive::{self, Files};
use super::claims::{Basis, manifest};
use super::files::Found;
use super::inspect::{Inspected, inspect};
use super::seal::of_report;
use super::{MANIFEST, MAX_BUNDLE_BYTES, NAMES, SIGNATURE};
use crate::partial::{Facts, Partial, Terms};
use crate::run::judge;

const WINDOW_NS: u64 = 10_000_000_000;

fn now() -> Timestamp {
    "2026-11-22T14:00:00Z".parse().unwrap()
}

/// A bundle about nothing: the smallest that there is.
fn bundle(key: &SecretKey) -> Files {
    let rules = Compiled::new(family::family(), WINDOW_NS);
    let facts = Facts::new(Terms { window_ns: WINDOW_NS, rules: to_toml(rules.set()) });
    let wanted = Wanted {
        tool: "t".into(),
        now: now(),
        top: 1,
        by: By::Syn,
        look: 1,
        limit_ppb: LIMIT_PPB,
        connection_limit_ppb: CONNECTION_LIMIT_PPB,
    };
    let basis = Basis::of(&facts).unwrap();
    let report = judge(Partial { facts, runs: Vec::new() }, &rules, &wanted).unwrap();
    let mut files = of_report(&report);
    let items = files.iter().map(|(name, bytes)| Item::of(*name, bytes)).collect();
    let (bytes, signature) = seal(&manifest(&report, &wanted, basis, items).unwrap(), key).unwrap();
    files.insert(MANIFEST, bytes);
    files.insert(SIGNATURE, signature.into_bytes());
    files
}

fn of_dir(files: Files, key: &SecretKey) -> Inspected {
    inspect(Found { files, ..Found::default() }, &[key.public()], now())
}

fn of_tar(tar: Vec<u8>, key: &SecretKey) -> Inspected {
    let (files, faults) = archive::list(&tar);
    inspect(Found { files, tar: Some(tar), faults }, &[key.public()], now())
}

fn names(inspected: &Inspected) -> Vec<&str> {
    inspected.faults.iter().map(|fault| fault.name.as_str()).collect()
}

#[test]
fn a_bundle_holds_exactly_its_files_and_is_valid() {
    let key = SecretKey::generate().unwrap();
    let files = bundle(&key);
    assert_eq!(files.keys().copied().collect::<Vec<_>>(), NAMES);
    let tar = archive::tar(&files, now()).unwrap();
    for seen in [of_dir(files.clone(), &key), of_tar(tar, &key)] {
        assert_eq!(names(&seen), <[&str; 0]>::default());
        assert!(seen.is_key_trusted && seen.manifest.is_some());
    }
    let stranger = inspect(Found { files, ..Found::default() }, &[], now());
    assert!(stranger.faults.is_empty() && !stranger.is_key_trusted);
    assert_eq!(stranger.key, Some(key.public().id()));
}

/// P6: every byte of the manifest and of the signature.
#[test]
fn a_flipped_bit_of_what_is_signed_or_signs_names_it() {
    let key = SecretKey::generate().unwrap();
    let files = bundle(&key);
    for name in [MANIFEST, SIGNATURE] {
        for at in 0..files[name].len() {
            let mut flipped = files.clone();
            flipped.get_mut(name).unwrap()[at] ^= 1 << (at % 8);
            let seen = of_dir(flipped, &key);
            assert!(seen.manifest.is_none(), "{name} {at}");
            assert!(names(&seen).iter().any(|fault| fault.contains(name)), "{name} {at}");
        }
    }
}

/// P6: positions over the other files, with the first and the last byte.
#[test]
fn a_flipped_bit_of_any_other_file_names_that_file_alone() {
    let key = SecretKey::generate().unwrap();
    let files = bundle(&key);
    for name in NAMES.into_iter().filter(|name| ![MANIFEST, SIGNATURE].contains(name)) {
        let last = files[name].len() - 1;
        for at in (0..last).step_by(last / 40 + 1).chain([last]) {
            let mut flipped = files.clone();
            flipped.get_mut(name).unwrap()[at] ^= 1 << (at % 8);
            assert_eq!(names(&of_dir(flipped, &key)), [name], "{at}");
        }
    }
}

/// P6: the tar around the files, its headers and its padding too.
#[test]
fn a_flipped_bit_anywhere_in_the_archive_is_noticed() {
    let key = SecretKey::generate().unwrap();
    let tar = archive::tar(&bundle(&key), now()).unwrap();
    for at in (0..tar.len()).step_by(97) {
        let mut flipped = tar.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(!of_tar(flipped, &key).faults.is_empty(), "byte {at}");
    }
    // The first header, byte by byte.
    for at in 0..512 {
        let mut flipped = tar.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(!of_tar(flipped, &key).faults.is_empty(), "byte {at}");
    }
}

/// What unpacks to the same says the same; everything else fails.
#[test]
fn a_flipped_bit_of_the_packing_fails_or_changes_nothing() {
    let key = SecretKey::generate().unwrap();
    let tar = archive::tar(&bundle(&key), now()).unwrap();
    let packed = archive::pack(&tar).unwrap();
    assert_eq!(archive::unpack(Cursor::new(&packed)).unwrap(), tar);
    for at in (0..packed.len()).step_by(61).chain(0..16) {
        let mut flipped = packed.clone();
        flipped[at] ^= 1 << (at % 8);
        if let Ok(unpacked) = archive::unpack(Cursor::new(flipped)) {
            assert!(unpacked == tar, "byte {at}");
        }
    }
}

#[test]
fn bytes_behind_an_archive_and_a_cut_one_are_refused() {
    let packed = archive::pack(&archive::tar(&Files::new(), now()).unwrap()).unwrap();
    for other in [[&packed[..], b"x"].concat(), [&packed[..], &packed[..]].concat()] {
        assert!(archive::unpack(Cursor::new(other)).is_err());
    }
    assert!(archive::unpack(Cursor::new(&packed[..packed.len() - 1])).is_err());
    assert!(archive::unpack(Cursor::new(b"")).is_err());
}

/// A thousand times smaller than what it unpacks to.
#[test]
fn a_bomb_is_left_before_it_fills_the_memory() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    let piece = vec![0; 1 << 20];
    for _ in 0..=MAX_BUNDLE_BYTES >> 20 {
        std::io::Write::write_all(&mut encoder, &piece).unwrap();
    }
    let error = archive::unpack(Cursor::new(encoder.finish().unwrap())).unwrap_err();
    assert!(error.to_string().contains("unpacks to more"), "{error}");
}

/// An entry as no sealer writes it, behind the files of a good bundle.
fn with_entry(files: &Files, path: &[u8], kind: EntryType, link: &str, bytes: &[u8]) -> Vec<u8> {
    let mut builder = Builder::new(archive::tar(files, now()).unwrap());
    let mut header = Header::new_ustar();
    header.as_mut_bytes()[..path.len()].copy_from_slice(path);
    header.set_entry_type(kind);
    if !link.is_empty() {
        header.set_link_name(link).unwrap();
    }
    header.set_size(bytes.len() as u64);
    header.set_cksum();
    // In front: a tar ends with its first two empty blocks.
    let tar = std::mem::take(builder.get_mut());
    builder.append(&header, bytes).unwrap();
    let mut head = std::mem::take(builder.get_mut());
    head.extend(tar);
    head
}

#[test]
fn an_archive_holds_no_path_no_link_nothing_twice_and_no_stranger() {
    let key = SecretKey::generate().unwrap();
    let files = bundle(&key);
    let mut rest = files.clone();
    rest.remove("report.md");
    let entry = |files: &Files, path: &[u8], kind, link, bytes: &[u8]| {
        let seen = of_tar(with_entry(files, path, kind, link, bytes), &key);
        seen.faults.iter().map(|fault| format!("{}: {}", fault.name, fault.reason)).collect()
    };
    type Said = Vec<String>;
    let outside: Said = entry(&files, b"../report.md", EntryType::Regular, "", b"x");
    assert_eq!(outside[0], "../report.md: it is no file of a bundle");
    let absolute: Said = entry(&files, b"/report.md", EntryType::Regular, "", b"x");
    assert_eq!(absolute[0], "/report.md: it is no file of a bundle");
    let link: Said = entry(&rest, b"report.md", EntryType::Symlink, "/etc/passwd", b"");
    assert_eq!(link[0], "report.md: it is no regular file");
    let hard: Said = entry(&rest, b"report.md", EntryType::Link, "rules.toml", b"");
    assert_eq!(hard[0], "report.md: it is no regular file");
    let twice: Said = entry(&files, b"report.md", EntryType::Regular, "", &files["report.md"]);
    assert_eq!(twice[0], "report.md: it is there twice");
    let pax: Said = entry(&files, b"report.md", EntryType::XHeader, "", b"19 path=rules.toml\n");
    assert_eq!(pax[0], "report.md: it is no regular file");
    let empty: Said = entry(&files, b"", EntryType::Regular, "", b"");
    assert!(empty[0].contains("no file of a bundle"), "{empty:?}");
}

#[test]
fn an_archive_that_says_the_same_in_another_tar_is_refused() {
    let key = SecretKey::generate().unwrap();
    let files = bundle(&key);
    let later = archive::tar(&files, now() + SignedDuration::from_secs(1)).unwrap();
    assert_eq!(names(&of_tar(later, &key)), ["the archive"]);
    let mut longer = archive::tar(&files, now()).unwrap();
    longer.extend([0; 512]);
    assert_eq!(names(&of_tar(longer, &key)), ["the archive"]);
}

#[test]
fn other_keys_and_other_times_are_named_and_hide_nothing_else() {
    let (key, other) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
    let mut files = bundle(&key);
    let seen = of_dir(files.clone(), &other);
    assert_eq!(names(&seen), [SIGNATURE]);
    assert!(seen.faults[0].reason.contains(&key.public().id().to_string()));
    files.get_mut("report.md").unwrap().push(b' ');
    for (days, word) in [(14, "expired"), (-1, "made at")] {
        let at = now() + SignedDuration::from_hours(24 * days);
        let found = Found { files: files.clone(), ..Found::default() };
        let seen = inspect(found, &[key.public()], at);
        assert_eq!(names(&seen), [MANIFEST, "report.md"], "{days}");
        assert!(seen.faults[0].reason.contains(word), "{:?}", seen.faults);
    }
}
