// SPDX-License-Identifier: MIT OR Apache-2.0
//! `make bench-veth`: real packets over a veth pair between two namespaces, end to end: how
//! many arrive a second, and what a received packet costs, without a program, with one that
//! does nothing, with the sensor and with the yardstick.
//!
//! The kernel sends live frames as fast as it can on one CPU; the receiving side's NAPI runs
//! as a thread of its own on another, so its CPU time is all that receiving costs: the ring,
//! XDP, the packet buffer, GRO and IP, which finds that the packet is for another host. That
//! is the shortest way there is: whatever a real packet does beyond it makes the sensor's
//! share smaller. A flood meets a server too, whose kernel answers each SYN: that is the way
//! from end to end, and has the bound. Rows run in turn. Ends with 1 when a bound is missed. With `JSON=FILE` the
//! rows are written there too.

use std::process::ExitCode;
use std::sync::mpsc::sync_channel;
use std::thread;

use anyhow::{Result, bail};
use ibsr_cli::{Answer, finish};
use ibsr_tests::bench::write_where_asked;
use ibsr_tests::netns::Pair;

#[path = "veth/output.rs"]
mod output;
#[path = "programs.rs"]
#[expect(dead_code, reason = "shared with the other benches of the sensor")]
mod programs;
#[path = "veth/receiver.rs"]
mod receiver;
#[path = "veth/sender.rs"]
mod sender;

fn main() -> ExitCode {
    finish("bench-veth", run())
}

#[expect(clippy::print_stdout, reason = "the table is the output")]
fn run() -> Result<Answer> {
    if !rustix::process::geteuid().is_root() {
        bail!("network namespaces need root");
    }
    let pair = Pair::new();
    // Each side answers before the other goes on.
    let (orders, to_sender) = sync_channel(0);
    let (ready, from_sender) = sync_channel(0);
    let (sent, received) = thread::scope(|scope| {
        let sender = scope.spawn(|| pair.peer.inside(move || sender::run(&to_sender, &ready)));
        // Moved in, so that the sender ends when the receiver does.
        let host = &pair.host;
        let received = host.inside(move || receiver::run(host, &orders, &from_sender));
        (sender.join().expect("the sender does not panic"), received)
    });
    sent?;
    let rows = received?;
    println!("{}", output::table(&rows));
    write_where_asked("JSON", || output::json(&rows))?;
    Ok(if output::is_kept(&rows) { Answer::Yes } else { Answer::No })
}
