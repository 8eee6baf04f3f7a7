// SPDX-License-Identifier: MIT OR Apache-2.0
//! A process that does with sockets what it is told, one line at a time: `tests/harness/actor.rs`
//! starts it in a cgroup, a namespace, as a user. It answers each line with `ok ...` or with
//! `err ERRNO`. Standard input is read byte by byte, so that a forked child goes on where its
//! parent stopped.

mod dns;
mod errand;
mod fds;
mod load;
mod verbs;

use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;

use crate::verbs::Actor;

/// What became of a line.
#[derive(Debug)]
pub enum Answer {
    /// To be told.
    Ok(String),
    /// Told by somebody else, or nobody.
    Silent,
    /// The end.
    Exit,
}

fn main() -> ExitCode {
    let mut actor = Actor::default();
    while let Some(line) = read_line() {
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match actor.act(&words) {
            Ok(Answer::Ok(text)) => format!("ok {text}\n"),
            Ok(Answer::Silent) => continue,
            Ok(Answer::Exit) => break,
            Err(errno) => format!("err {}\n", errno.raw_os_error()),
        };
        let mut out = io::stdout().lock();
        if out.write_all(answer.as_bytes()).and_then(|()| out.flush()).is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}

/// Nothing at the end of input.
fn read_line() -> Option<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    let mut input = fds::stdin()?;
    loop {
        match input.read(&mut byte) {
            Ok(1) if byte[0] == b'\n' => return String::from_utf8(line).ok(),
            Ok(1) => line.push(byte[0]),
            _ => return None,
        }
    }
}
