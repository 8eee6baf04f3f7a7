// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every way to tamper with a bundle or with its inputs, and the name under which it comes out.

use std::fs;

use ibsr_evidence::{Item, Manifest, SecretKey, seal};
use ibsr_tests::process::say;
use ibsr_tests::segments::seal as reseal;

use super::{NAMES, NOW, Place, faults, file_name, record, report};

/// P6: positions over every file of a bundle; the unit tests go through every byte of the
/// manifest and of the signature.
#[test]
fn a_flipped_bit_of_any_file_of_a_bundle_names_the_file() {
    let place = Place::new();
    for name in NAMES {
        let path = place.path("bundle").join(name);
        let bytes = fs::read(&path).expect("there");
        for at in [0, 17, bytes.len() / 2, bytes.len() - 1] {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 7);
            fs::write(&path, flipped).expect("written");
            let said = faults(&mut place.verify("bundle"));
            assert!(said.len() == 1 && said[0].contains(name), "{name} {at}: {said:?}");
        }
        fs::write(&path, bytes).expect("written");
    }
    assert_eq!(faults(&mut place.verify("bundle")), <[&str; 0]>::default());
}

/// P6: files of a bundle that are swapped, missing, too much, or no files.
#[test]
fn a_bundle_with_other_files_names_them() {
    let place = Place::new();
    let swap = |a: &str, b: &str| {
        let (a, b) = (place.path("bad").join(a), place.path("bad").join(b));
        let kept = fs::read(&a).expect("there");
        fs::copy(&b, &a).expect("copied");
        fs::write(&b, kept).expect("written");
    };
    place.copy("bundle", "bad");
    swap("report.md", "report.json");
    let said = faults(&mut place.verify("bad"));
    assert!(said[0].starts_with("report.json: ") && said[1].starts_with("report.md: "), "{said:?}");
    swap("report.md", "report.json");
    fs::write(place.path("bad/notes.txt"), "x").expect("written");
    assert_eq!(faults(&mut place.verify("bad")), ["notes.txt: it is no file of a bundle"]);
    fs::remove_file(place.path("bad/notes.txt")).expect("removed");
    fs::rename(place.path("bad/report.md"), place.path("report.md")).expect("moved");
    assert_eq!(faults(&mut place.verify("bad")), ["report.md: it is missing"]);
    std::os::unix::fs::symlink(place.path("report.md"), place.path("bad/report.md"))
        .expect("linked");
    assert_eq!(faults(&mut place.verify("bad")), ["report.md: it is no regular file"]);
    for name in ["manifest.json", "manifest.sig"] {
        fs::remove_file(place.path("bad").join(name)).expect("removed");
        let said = faults(&mut place.verify("bad"));
        assert!(said.contains(&format!("{name}: it is missing")), "{said:?}");
    }
}

/// P6: a good signature beside another good manifest.
#[test]
fn the_signature_of_another_bundle_does_not_fit() {
    let place = Place::new();
    fs::remove_file(&place.segments()[0]).expect("removed");
    let _said = say(&mut place.seal("spool", "other")).expect_code(1);
    fs::copy(place.path("other/manifest.sig"), place.path("bundle/manifest.sig")).expect("copied");
    let said = faults(&mut place.verify("bundle"));
    assert!(said[0].starts_with("manifest.json or manifest.sig: "), "{said:?}");
}

/// P6: whoever is not trusted may have signed it as well as they like.
#[test]
fn another_key_is_named_and_without_any_nobody_vouches() {
    let place = Place::new();
    place.keygen("other").expect_code(0);
    let mut verify = report();
    verify.arg("verify").arg(place.path("bundle")).args(["--now", NOW]);
    let said = say(&mut verify).expect_code(0).expect_stderr("nobody vouches for the key");
    assert!(said.stdout.contains("INTACT, and nobody vouches for the key"), "{}", said.stdout);
    assert!(!said.stdout.contains("\nVALID"), "{}", said.stdout);
    let said = say(verify.arg("--trust").arg(place.path("other.pub"))).expect_code(1);
    let id = place.text("key.pub").split(' ').nth(2).expect("an id").to_owned();
    assert!(said.stdout.contains("NOT VALID") && said.stdout.contains(&id), "{}", said.stdout);
    let said = say(verify.arg("--trust").arg(place.path("key.pub"))).expect_code(0);
    assert!(said.stdout.ends_with("\nVALID\n"), "{}", said.stdout);
}

/// P6: 14 days, and not before it was made.
#[test]
fn evidence_that_is_too_old_or_of_tomorrow_is_not_valid() {
    let place = Place::new();
    for (now, word) in [("2026-12-06T16:00:00Z", "expired"), ("2026-11-22T15:54:00Z", "made at")] {
        let mut verify = report();
        verify.arg("verify").arg(place.path("bundle")).args(["--now", now, "--format", "json"]);
        let said = faults(&mut verify);
        assert!(said.len() == 1 && said[0].contains(word), "{said:?}");
    }
}

/// P6: positions over every segment.
#[test]
fn a_flipped_bit_of_any_input_names_the_segment() {
    let place = Place::new();
    for path in place.segments() {
        let bytes = fs::read(&path).expect("there");
        for at in [1, bytes.len() / 3, bytes.len() - 2] {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            fs::write(&path, flipped).expect("written");
            let said = faults(&mut place.again("bundle", "spool"));
            assert!(said.len() == 1 && said[0].starts_with(&file_name(&path)), "{at}: {said:?}");
        }
        fs::write(&path, bytes).expect("written");
    }
}

/// P6: rows that were changed and sealed again pass their own footer, and not the bundle.
#[test]
fn inputs_that_were_rewritten_left_out_or_added_are_named() {
    let place = Place::new();
    let victim = place.segments()[1].clone();
    let bytes = fs::read(&victim).expect("there");
    let name = file_name(&victim);
    let text = String::from_utf8(bytes.clone()).expect("text");
    let body = &text[..text.trim_end().rfind('\n').expect("lines") + 1];
    let other = body.replacen("\"syn\":", "\"syn\":1", 1);
    fs::write(&victim, reseal(other.into_bytes())).expect("written");
    let said = faults(&mut place.again("bundle", "spool"));
    assert_eq!(said, [format!("{name}: its bytes are not those signed")]);
    fs::remove_file(&victim).expect("removed");
    let said = faults(&mut place.again("bundle", "spool"));
    assert_eq!(said, [format!("{name}: it is missing")]);
    fs::write(&victim, &bytes).expect("written");
    record(&place.path("spool"), "h3", 'c');
    let said = faults(&mut place.again("bundle", "spool"));
    assert!(said.len() == 3 && said[0].contains("h3"), "{said:?}");
    assert!(said[0].ends_with("it is not among the inputs that were signed"), "{said:?}");
}

/// P6: a key that is trusted can sign what is not so; the inputs tell.
#[test]
fn claims_and_reports_that_do_not_follow_from_the_inputs_are_named() {
    let place = Place::new();
    let key = SecretKey::parse(&place.text("key.key")).expect("a key");
    let manifest: Manifest =
        serde_json::from_str(&place.text("bundle/manifest.json")).expect("a manifest");
    let forge = |name: &str, manifest: &Manifest| {
        place.copy("bundle", name);
        let (bytes, signature) = seal(manifest, &key).expect("sealed");
        fs::write(place.path(name).join("manifest.json"), bytes).expect("written");
        fs::write(place.path(name).join("manifest.sig"), signature).expect("written");
    };
    let mut claim = manifest.clone();
    claim.coverage_ppm = Some(999_999);
    forge("claim", &claim);
    assert_eq!(faults(&mut place.verify("claim")), <[&str; 0]>::default());
    let said = faults(&mut place.again("claim", "spool"));
    assert_eq!(said, ["manifest.json: `coverage_ppm` is not what the inputs give"]);

    let mut told = manifest.clone();
    let text = place.text("bundle/report.md").replace("INSUFFICIENT_EVIDENCE", "READY");
    let item = told.files.iter_mut().find(|item| item.name == "report.md").expect("listed");
    *item = Item::of("report.md", text.as_bytes());
    forge("told", &told);
    fs::write(place.path("told/report.md"), text).expect("written");
    assert_eq!(faults(&mut place.verify("told")), <[&str; 0]>::default());
    let said = faults(&mut place.again("told", "spool"));
    assert!(said.len() == 1 && said[0].starts_with("report.md: line "), "{said:?}");
    assert!(said[0].contains("INSUFFICIENT_EVIDENCE"), "{said:?}");

    let mut tool = manifest;
    tool.tool = "ibsr-report 99.0.0".into();
    forge("tool", &tool);
    let said = say(&mut place.again("tool", "spool")).expect_code(2);
    let _said = said.expect_stderr("`ibsr-report 99.0.0` made it").expect_stderr("hint: ");
}
