// SPDX-License-Identifier: MIT OR Apache-2.0
//! E10: credentials are in nothing that the exporter says or writes, at any log level, on
//! good days and bad ones.

use std::fs;
use std::path::Path;

use ibsr_tests::process::{Said, say};
use ibsr_tests::s3::SECRET_KEY;
use ibsr_tests::s3::faults::{ACCESS_DENIED, EXPIRED_TOKEN, Fault, Op, Rule, SLOW_DOWN};

use crate::rig::Rig;

const TOKEN: &str = "IQoJb3JpZ2luX2VjSESSION-TOKEN-NEVER-IN-A-LOG";

/// Runs with a session token and the most talkative settings there are.
fn talkative(rig: &Rig, level: &str, flags: &[&str]) -> Said {
    let mut command = rig.command("run");
    command.args(flags).env("IBSR_LOG", level).env("AWS_SESSION_TOKEN", TOKEN);
    say(&mut command)
}

#[track_caller]
fn expect_secretless(what: &str, text: &str) {
    for secret in [SECRET_KEY, TOKEN] {
        // A piece is as bad as the whole.
        let piece = &secret[4..24];
        if let Some(at) = text.find(piece) {
            panic!("{what} holds a secret: {}", &text[at.saturating_sub(200)..at]);
        }
    }
}

#[track_caller]
fn expect_secretless_files(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            expect_secretless_files(&path);
        } else {
            let text = fs::read(&path).unwrap();
            expect_secretless(&path.display().to_string(), &String::from_utf8_lossy(&text));
        }
    }
}

/// E10: everything the program can be made to say.
#[test]
fn no_log_level_prints_a_credential() {
    let faults = [
        None,
        Some(Fault::Refuse(ACCESS_DENIED)),
        Some(Fault::Refuse(EXPIRED_TOKEN)),
        Some(Fault::Refuse(SLOW_DOWN)),
        Some(Fault::ResetMidBody),
        Some(Fault::LoseResponse),
    ];
    for fault in faults {
        for level in ["debug", "trace"] {
            let rig = Rig::new();
            let _segments = rig.segments(2);
            if let Some(fault) = fault {
                rig.server.fail(Rule::new(fault).on(Op::Put).times(3));
            }
            let said = talkative(&rig, level, &["-vv", "--retries", "1"]);
            assert!(said.stderr.len() > 200, "it was to talk: {}", said.stderr);
            expect_secretless(&format!("{fault:?} at {level}"), &said.stderr);
            expect_secretless("stdout", &said.stdout);
            expect_secretless_files(&rig.state());
        }
    }
}

/// E10: the same in JSON, and without IBSR_LOG.
#[test]
fn no_log_format_prints_a_credential() {
    let rig = Rig::new();
    let _segments = rig.segments(2);
    let said = talkative(&rig, "trace", &["--log-format", "json"]);
    expect_secretless("json", &said.stderr);
    let mut command = rig.command("run");
    let said = say(command.args(["-vvv"]).env("AWS_SESSION_TOKEN", TOKEN));
    expect_secretless("-vvv", &said.stderr);
}

/// E10: a profile file that cannot be read as one is not quoted.
#[test]
fn a_broken_profile_file_is_not_quoted() {
    let rig = Rig::new();
    let _segments = rig.segments(1);
    let file = rig.spool().with_file_name("credentials");
    fs::write(&file, format!("[default]\naws_access_key_id AKIA\n{SECRET_KEY}\n{TOKEN}\n"))
        .unwrap();
    let mut command = rig.command("run");
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    command.env("AWS_SHARED_CREDENTIALS_FILE", &file).env("IBSR_LOG", "trace");
    let said = say(&mut command).expect_code(2);
    expect_secretless("a broken profile", &said.stderr);
}
