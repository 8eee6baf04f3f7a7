// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a service manager sees: readiness, signs of life that stop when the reader hangs,
//! and an orderly end in the middle of anything.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use ibsr_tests::process::{Running, wait_until};
use rustix::process::Signal;
use test_tag::tag;

use crate::scope::{Design, Made, SCOPE, reader, spool};
use crate::sealed::{Story, sealed};
use crate::wire::SOON;

const WATCHDOG: Duration = Duration::from_millis(400);

/// A service manager that listens.
struct Manager {
    socket: UnixDatagram,
    dir: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let socket = UnixDatagram::bind(dir.path().join("notify")).expect("a socket");
        Self { socket, dir }
    }

    fn manage<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("NOTIFY_SOCKET", self.dir.path().join("notify"))
            .env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string())
            .env_remove("WATCHDOG_PID")
    }

    /// The next message, `None` when there is none within `limit`.
    fn message(&self, limit: Duration) -> Option<String> {
        let mut buffer = [0; 1024];
        self.socket.set_read_timeout(Some(limit)).expect("a timeout");
        let length = self.socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    #[track_caller]
    fn wait_for(&self, text: &str) -> String {
        let start = Instant::now();
        loop {
            let message = self.message(SOON).unwrap_or_else(|| panic!("no `{text}`"));
            if message.contains(text) {
                return message;
            }
            assert!(start.elapsed() < SOON, "no `{text}`, last `{message}`");
        }
    }

    /// Whether a sign of life comes within `limit`, after what is queued was thrown away.
    fn is_alive_within(&self, limit: Duration) -> bool {
        while self.message(Duration::from_millis(1)).is_some() {}
        let start = Instant::now();
        while let Some(left) = limit.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) {
            if self.message(left).is_some_and(|message| message.contains("WATCHDOG=1")) {
                return true;
            }
        }
        false
    }
}

fn start(manager: &Manager, pin_root: &Path, spool: &Path) -> Running {
    let mut command = reader("run", SCOPE, pin_root, spool);
    Running::start(manager.manage(command.args(["--period", "1h"])))
}

/// R11: signs of life come far more often than sweeps, and stop when the process hangs.
#[tag(root)]
#[test]
fn the_watchdog_is_fed_between_sweeps_and_starves_when_the_reader_hangs() {
    let (made, spool, manager) = (Made::new(&Design::default()), spool(), Manager::new());
    made.fill(10);
    let mut running = start(&manager, made.root.path(), spool.path());
    manager.wait_for("READY=1");
    let status = manager.wait_for("STATUS=sweep");
    assert!(status.contains("10 rows, 10 of 8192 entries"), "{status}");
    for _ in 0..4 {
        assert!(manager.is_alive_within(SOON));
    }
    running.signal(Signal::STOP);
    assert!(!manager.is_alive_within(WATCHDOG * 4), "a hanging process gives no sign");
    running.signal(Signal::CONT);
    assert!(manager.is_alive_within(SOON));
    running.signal(Signal::TERM);
    manager.wait_for("STOPPING=1");
    assert!(running.wait(SOON).success());
}

/// A host may boot without the interface: the unit starts, says what it waits for, lives,
/// and reads as soon as there is something to read.
#[tag(root)]
#[test]
fn without_pins_the_service_is_ready_waits_and_lives() {
    let (made, spool, manager) = (Made::new(&Design::default()), spool(), Manager::new());
    let away = made.root.path().join("away");
    std::fs::rename(&made.dir, &away).expect("bpffs renames");
    let mut command = reader("run", SCOPE, made.root.path(), spool.path());
    let mut running = Running::start(manager.manage(command.args(["--period", "50ms"])));
    manager.wait_for("READY=1");
    manager.wait_for("STATUS=waiting for");
    assert!(manager.is_alive_within(SOON) && manager.is_alive_within(SOON));
    std::fs::rename(&away, &made.dir).expect("bpffs renames");
    manager.wait_for("STATUS=sweep");
    for signal in [Signal::HUP, Signal::INT] {
        running.signal(signal);
    }
    assert!(running.wait(SOON).success());
    assert!(!Story::read(spool.path(), SCOPE).segments.is_empty());
}

/// R11: SIGTERM in the middle of a sweep: exit 0, and what is sealed is whole.
#[tag(root)]
#[test]
fn sigterm_in_the_middle_of_a_sweep_seals_whole_sweeps() {
    const ENTRIES: u32 = 200_000;
    let mut design = Design::default();
    design.proven.entries = ENTRIES + ENTRIES / 10 + 4096;
    let (made, spool) = (Made::new(&design), spool());
    made.fill(ENTRIES);
    let mut command = reader("run", SCOPE, made.root.path(), spool.path());
    let mut running = Running::start(command.args(["--period", "1h", "--segment-bytes", "1GiB"]));
    let dir = spool.path().join(SCOPE);
    wait_until("rows are being written", SOON, || {
        let entries = std::fs::read_dir(&dir).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.metadata().ok()).any(|file| file.len() > 1 << 20)
    });
    running.signal(Signal::TERM);
    assert!(running.wait(SOON).success());
    assert_eq!(sealed(spool.path(), SCOPE).len(), 1);
    let story = Story::read(spool.path(), SCOPE);
    assert_eq!(story.sweeps().next().expect("a sweep").0.rows, u64::from(ENTRIES));
    assert!(!story.segments[0].footer.recovered);
}
