// SPDX-License-Identifier: MIT OR Apache-2.0
//! The records of a real guard as rows: all of them, once, by one reader without rights.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ibsr_guard::install::Maps as _;
use ibsr_proto::guard_control::Hook;
use ibsr_proto::pins;
use ibsr_proto::snapshot::cgroup::words::{ErrorName, Protocol};
use ibsr_proto::snapshot::guard::words::{ActionName, HookName, Way};
use ibsr_proto::snapshot::guard::{Count, Header, Row, Sweep, Verdict};
use ibsr_tests::actor::Actor;
use ibsr_tests::cgroup::Cgroup;
use ibsr_tests::netns::{PEER_V4, Pair};
use ibsr_tests::process::{Running, program, say, wait_until};
use rustix::process::Signal;
use test_tag::tag;

use crate::cgroup_stage::House;
use crate::loaded::Guard;
use crate::rights::{NOBODY, PIN_GID};
use crate::scope::spool;
use crate::sealed::{sealed, sweeps_written};

const SCOPE: &str = "guard";
const POLICY: &str = "rules:
  - {action: allow, ports: 999}
  - {action: deny, ports: 1000}
  - {action: {reject: ECONNREFUSED}, ports: 1001}
";

/// A sweep with its rows.
type Swept = (Sweep, Vec<Verdict<'static>>, Vec<Count>);

/// Reads a sealed segment of the guard.
#[track_caller]
fn read(path: &Path) -> (Header, Vec<Swept>) {
    let text = fs::read_to_string(path).expect("readable");
    let (mut header, mut sweeps) = (None, Vec::new());
    let (mut verdicts, mut counts) = (Vec::new(), Vec::new());
    for line in text.lines() {
        match Row::from_line(line.as_bytes()).expect("a row of the guard") {
            Row::Header(row) => header = Some(*row),
            Row::Verdict(row) => verdicts.push(*row),
            Row::Count(row) => counts.push(*row),
            Row::Sweep(sweep) => {
                let (verdicts, counts) =
                    (std::mem::take(&mut verdicts), std::mem::take(&mut counts));
                assert_eq!(sweep.rows, (verdicts.len() + counts.len()) as u64);
                assert_eq!(sweep.verdicts, verdicts.len() as u64);
                assert!(sweep.conserved && sweep.unread == 0, "{sweep:?}");
                assert!(verdicts.iter().all(|row| row.seq == sweep.seq));
                sweeps.push((*sweep, verdicts, counts));
            }
            Row::Footer(_) | Row::Gap(_) => {}
            Row::Unknown(kind) => panic!("a row `{kind}`"),
        }
    }
    (header.expect("a header"), sweeps)
}

/// The wire, a process under the guard, and a place for readers.
struct Stage {
    house: House,
    pair: Pair,
    cgroup: Cgroup,
    actor: Actor,
}

impl Stage {
    /// Nothing is attached.
    fn new() -> Self {
        let (house, pair, cgroup) = (House::new(), Pair::new(), Cgroup::new());
        let actor = Actor::start_in(&cgroup, &pair.host);
        Self { house, pair, cgroup, actor }
    }

    /// The program `ibsr-guard` rehearses.
    fn rehearse(&self) {
        let dir = tempfile::tempdir().expect("a directory");
        let policy = dir.path().join("policy.yaml");
        fs::write(&policy, POLICY).expect("writable");
        let mut command = Command::new(program("ibsr-guard"));
        command.arg("rehearse").arg(&policy).arg("--cgroup").arg(self.cgroup.path());
        command.arg("--pin-root").arg(self.house.pins.path()).gid(PIN_GID);
        say(&mut command).expect_code(0);
    }

    fn disarm(&self) {
        let mut command = Command::new(program("ibsr-guard"));
        command.args(["disarm", "--pin-root"]).arg(self.house.pins.path());
        say(&mut command).expect_code(0);
        assert!(!self.house.pins.path().join(SCOPE).exists());
    }

    /// A guard that may deny, and the pins that the reader looks for.
    fn enforce(&self) -> Guard {
        let guard = Guard::attach(&self.cgroup, true);
        guard.apply(POLICY);
        guard.enforce_until(u64::MAX);
        let dir = self.house.pins.path().join(SCOPE);
        let consumer = dir.join(pins::GUARD_CONSUMER);
        for path in [&dir, &consumer] {
            fs::create_dir(path).expect("bpffs is writable");
            own(path, pins::DIR_MODE);
        }
        for (name, mode) in [
            (pins::GUARD_RECORDS, pins::MAPPED_MODE),
            (pins::GUARD_COUNTS, pins::MAP_MODE),
            (pins::GUARD_CONTROL, pins::MAP_MODE),
            (pins::GUARD_GENERATION, pins::MAP_MODE),
        ] {
            let path = dir.join(name);
            guard.maps().map(name).expect("it exists").pin(&path).expect("bpffs is writable");
            own(&path, mode);
        }
        guard
    }

    /// One sweep by a user of the group, without any capability.
    #[track_caller]
    fn once(&self) -> (Header, Swept) {
        let said = say(&mut self.house.reader("once", SCOPE))
            .expect_code(0)
            .expect_stderr("reading without capabilities");
        let (header, mut sweeps) = read(Path::new(said.stdout.trim()));
        assert_eq!(sweeps.len(), 1);
        (header, sweeps.remove(0))
    }

    /// `times` sends to a port from a socket that nobody sees again.
    fn send(&mut self, times: usize, port: u16, expected: Result<(), i32>) {
        self.actor.socket("s", "udp4");
        for _ in 0..times {
            let asked = self.actor.ask(&format!("sendto s {PEER_V4}:{port} 10"));
            assert_eq!(asked.map(drop), expected);
        }
        self.actor.act("close s");
    }
}

fn own(path: &Path, mode: u32) {
    chown(path, None, Some(PIN_GID)).expect("root may");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("root may");
}

fn of_hook(verdicts: &[Verdict<'static>], hook: Hook) -> Vec<Verdict<'static>> {
    let hook = HookName(hook as u8);
    verdicts.iter().filter(|row| row.hook == hook).cloned().collect()
}

fn count(counts: &[Count], hook: Hook) -> Count {
    *counts.iter().find(|row| row.hook == HookName(hook as u8)).expect("every hook has a row")
}

/// What was done is what is there, and what was there is not there again.
#[tag(root)]
#[test]
fn a_rehearsal_is_recorded_as_it_was_done_and_once() {
    let mut stage = Stage::new();
    let outside = Cgroup::new();
    let mut server = Actor::start_in(&outside, &stage.pair.peer);
    server.socket("s", "udp4");
    server.act(&format!("bind s {PEER_V4}:1000"));
    // Connected before there was a guard: its packets are what is judged.
    stage.actor.socket("u", "udp4");
    stage.actor.act(&format!("connect u {PEER_V4}:1000"));
    stage.rehearse();
    for _ in 0..5 {
        stage.actor.act("send u 10");
    }
    for _ in 0..3 {
        stage.actor.socket("t", "tcp4");
        // Nobody listens: the other end's own refusal.
        assert_eq!(stage.actor.ask("connect t 10.77.0.2:1001"), Err(libc::ECONNREFUSED));
        stage.actor.act("close t");
    }
    stage.send(4, 1000, Ok(()));
    stage.send(2, 999, Ok(()));
    let (header, (sweep, verdicts, counts)) = stage.once();
    assert_eq!((header.scope.as_str(), header.ring_bytes), ("guard", 256 << 10));
    assert!(sweep.attached && !sweep.is_enforced && sweep.generation == 1, "{sweep:?}");
    assert_eq!((counts.len(), sweep.records_lost), (Hook::ALL.len(), 0));
    for row in &counts {
        let outcomes = row.exempt + row.allowed + row.would_deny + row.denied + row.unjudged;
        assert_eq!((row.judged, row.denied), (outcomes, 0), "{row:?}");
        let rows = verdicts.iter().filter(|verdict| verdict.hook == row.hook).count();
        assert_eq!(row.recorded, rows as u64, "{row:?}");
    }
    let connects = of_hook(&verdicts, Hook::Connect);
    assert_eq!((connects.len(), count(&counts, Hook::Connect).would_deny), (3, 3));
    for row in connects {
        assert_eq!((row.protocol, row.port, row.rule), (Protocol(6), 1001, Some(2)));
        assert_eq!((row.action, row.error), (ActionName(2), ErrorName(111)));
        assert_eq!((row.direction, row.is_denied, row.uid), (Way(0), false, 0));
        assert_eq!(row.addr, PEER_V4.parse().expect("an address"));
        assert_eq!(row.comm.as_deref(), Some("ibsr-actor"));
        assert!(row.exe_inode != 0 && row.socket != 0 && row.at_boot_ns <= sweep.at_boot_ns);
    }
    let sends = of_hook(&verdicts, Hook::Sendmsg);
    assert_eq!((sends.len(), count(&counts, Hook::Sendmsg).would_deny), (4, 4));
    assert!(sends.iter().all(|row| (row.port, row.rule) == (1000, Some(1))));
    assert_eq!(count(&counts, Hook::Sendmsg).allowed, 2);
    // A kept verdict of a connected socket is recorded once and counted each time.
    let packets = of_hook(&verdicts, Hook::Egress);
    let connected: Vec<_> = packets.iter().filter(|row| row.socket != sends[0].socket).collect();
    assert!(count(&counts, Hook::Egress).would_deny >= 5);
    assert!(connected.iter().any(|row| row.port == 1000 && row.comm.is_none()), "{packets:?}");

    stage.send(1, 1000, Ok(()));
    let (_, (second, verdicts, counts)) = stage.once();
    assert_eq!(second.seq, sweep.seq + 1);
    assert!(verdicts.iter().all(|row| row.at_boot_ns > sweep.at_boot_ns));
    assert_eq!(of_hook(&verdicts, Hook::Sendmsg).len(), 1);
    assert_eq!(of_hook(&verdicts, Hook::Connect).len(), 0);
    assert_eq!(count(&counts, Hook::Sendmsg).would_deny, 5, "counts are cumulative");
    stage.disarm();
    say(&mut stage.house.reader("once", SCOPE))
        .expect_code(2)
        .expect_stderr("hint: ibsr-guard rehearse POLICY --cgroup PATH");
}

/// More than the ring holds: what is missing is counted, to the record.
#[tag(root)]
#[test]
fn denials_that_found_no_room_are_counted_exactly() {
    const DENIALS: usize = 3_000;
    let mut stage = Stage::new();
    let guard = stage.enforce();
    stage.send(DENIALS, 1000, Err(libc::EPERM));
    let (_, (sweep, verdicts, counts)) = stage.once();
    let sends = count(&counts, Hook::Sendmsg);
    let of_guard = guard.counts(Hook::Sendmsg);
    assert_eq!((sends.denied, of_guard.denied), (DENIALS as u64, DENIALS as u64));
    assert_eq!(sends.recorded + sends.records_lost, DENIALS as u64);
    assert!(sends.records_lost > 0 && sweep.records_lost == of_guard.records_lost, "{sends:?}");
    assert_eq!(verdicts.len() as u64, sends.recorded);
    assert!(verdicts.iter().all(|row| row.is_denied && row.error == ErrorName(1)));
    assert!(sweep.is_enforced && sweep.arming == 1 && !sweep.attached, "{sweep:?}");
    assert!(sweep.lease_until_boot_ns > sweep.at_boot_ns);
    // There is room again.
    stage.send(7, 1000, Err(libc::EPERM));
    let (_, (second, verdicts, _)) = stage.once();
    assert_eq!((verdicts.len(), second.records_lost), (7, sweep.records_lost));
}

/// Two at once would tear the records apart: the second one is told so, with a spool of its own
/// too, and the first one loses nothing.
#[tag(root)]
#[test]
fn a_second_reader_is_refused_and_the_first_one_has_every_record() {
    const ROUNDS: usize = 20;
    let mut stage = Stage::new();
    let _guard = stage.enforce();
    let spool_path = stage.house.spool.path().to_owned();
    let mut running = Running::start(stage.house.reader("run", SCOPE).args(["--period", "20ms"]));
    wait_until("a sweep is written", Duration::from_secs(10), || {
        sweeps_written(&spool_path, SCOPE) > 0
    });
    let other = spool();
    chown(other.path(), Some(NOBODY), Some(NOBODY)).expect("root may");
    for _ in 0..ROUNDS {
        stage.send(50, 1000, Err(libc::EPERM));
        let mut second = crate::scope::reader("once", SCOPE, stage.house.pins.path(), other.path());
        second.uid(NOBODY).gid(PIN_GID);
        say(&mut second).expect_code(2).expect_stderr("another reader consumes the records");
    }
    running.signal(Signal::TERM);
    assert!(running.wait(Duration::from_secs(10)).success());
    let sweeps =
        sealed(&spool_path, SCOPE).iter().flat_map(|path| read(path).1).collect::<Vec<_>>();
    let mut times: Vec<u64> =
        sweeps.iter().flat_map(|(_, rows, _)| rows.iter().map(|row| row.at_boot_ns)).collect();
    assert!(sweeps.len() > 2);
    assert_eq!(times.len(), ROUNDS * 50, "no record is missing");
    times.dedup();
    assert_eq!(times.len(), ROUNDS * 50, "none is there twice");
}

/// Who is not in the group reads nothing and is told which right is missing.
#[tag(root)]
#[test]
fn a_user_outside_the_group_cannot_consume() {
    let mut stage = Stage::new();
    let _guard = stage.enforce();
    stage.send(3, 1000, Err(libc::EPERM));
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}"), "--clear-groups"]);
    let reader = stage.house.reader("once", SCOPE);
    command.args(reader.get_args().skip(3));
    say(&mut command).expect_code(2).expect_stderr("ermission denied");
    assert_eq!(stage.once().1.1.len(), 3, "nothing was taken");
}
