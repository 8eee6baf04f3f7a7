// SPDX-License-Identifier: MIT OR Apache-2.0
//! The last act: the policy that was rehearsed is armed for a share of the clients. New
//! connections and names are denied to them, sessions that stand go on, and when everything in
//! user space dies, everything passes.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use comfy_table::Table;
use ibsr_cli::table;
use ibsr_tests::actor::Actor;
use ibsr_tests::cgroup::Cgroup;
use ibsr_tests::process::{Running, program};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::apps::ask;
use crate::guard::{DENIED, DENIED_PORT, Guard};
use crate::heading;
use crate::outside::OUTSIDE_IF;
use crate::stage::Stage;

/// A minute in earnest; nobody wants to wait for it.
pub const LEASE: Duration = Duration::from_secs(5);
/// A canary of a tenth leaves none of so many out of 300,000 times once.
const SESSIONS: u8 = 120;
/// The same for executables.
const COPIES: u32 = 120;
/// Where questions arrive and answers are dropped.
const SILENT: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 54);
const LOOKUPS: usize = 21;

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Sessions that stood before.
    pub sessions: usize,
    /// Of these, with data both ways while the guard was armed.
    pub sessions_alive: usize,
    /// New connections to the same places that were denied.
    pub denied: usize,
    /// Of the denied places, those that could be reached again at the end.
    pub back: usize,
    /// Executables that were asked to look a denied name up, until one was answered by the guard.
    pub copies: usize,
    /// A lookup of a denied name: the median.
    pub answered: Duration,
    /// The same name while nobody denied it.
    pub resolved: Duration,
    /// The same name where answers are dropped; one try.
    pub dropped: Duration,
    /// From the end of user space until the name was back.
    pub until_open: Duration,
}

/// Clients of the guard and whom they talk to. What is first goes first.
struct Cast {
    client: Actor,
    server: Actor,
    outsider: Actor,
    _silent: UdpSocket,
    cgroup: Cgroup,
    _outside: Cgroup,
}

impl Cast {
    fn start(stage: &Stage) -> Result<Self> {
        let pair = &stage.world.pair;
        pair.peer.ip(&format!("addr add {SILENT}/16 dev {OUTSIDE_IF}"));
        let _silent = pair.peer.inside(|| UdpSocket::bind((SILENT, 53)))?;
        let etc = stage.files.join("etc-silent");
        fs::create_dir_all(&etc)?;
        fs::write(etc.join("resolv.conf"), format!("nameserver {SILENT}\noptions attempts:1\n"))?;
        fs::write(etc.join("nsswitch.conf"), "hosts: dns\n")?;
        let (cgroup, outside) = (stage.world.scope.child("batch.service"), Cgroup::new());
        let ordinary = stage.files.join("etc");
        let client = Actor::start_with_etc(&cgroup, &pair.host, &ordinary);
        let mut server = Actor::start_with_etc(&outside, &pair.peer, &ordinary);
        let outsider = Actor::start_with_etc(&outside, &pair.host, &etc);
        ask(&mut server, "socket l tcp4")?;
        ask(&mut server, &format!("bind l 0.0.0.0:{DENIED_PORT}"))?;
        ask(&mut server, "listen l")?;
        Ok(Self { client, server, outsider, _silent, cgroup, _outside: outside })
    }

    /// A new connection to place `number`, kept under that name on both sides.
    fn connect(&mut self, number: u8, name: &str) -> Result<bool> {
        let Self { client, server, .. } = self;
        ask(client, &format!("socket {name} tcp4"))?;
        match client.ask(&format!("connect {name} 203.0.113.{number}:{DENIED_PORT}")) {
            Ok(_) => ask(server, &format!("accept l {name}")).map(|_| true),
            Err(libc::EPERM) => Ok(false),
            Err(errno) => bail!("a connection failed with errno {errno} instead of a denial"),
        }
    }

    /// The same, closed again.
    fn reaches(&mut self, number: u8) -> Result<bool> {
        let is_connected = self.connect(number, "new")?;
        ask(&mut self.client, "close new")?;
        if is_connected {
            ask(&mut self.server, "close new")?;
        }
        Ok(is_connected)
    }

    /// Data both ways over a session.
    fn talk(&mut self, name: &str) -> Result<()> {
        let Self { client, server, .. } = self;
        ask(client, &format!("send {name} 1000"))?;
        ask(server, &format!("receive {name} 1000"))?;
        ask(server, &format!("send {name} 1000"))?;
        ask(client, &format!("receive {name} 1000")).map(drop)
    }
}

/// The act, from the evidence to the end of the lease.
pub fn run(stage: &Stage, guard: &Guard<'_>, evidence: &str) -> Result<Seen> {
    let mut cast = Cast::start(stage)?;
    let mut seen = Seen { sessions: SESSIONS.into(), ..Seen::default() };
    for number in 1..=SESSIONS {
        ensure!(cast.connect(number, &number.to_string())?, "a rehearsal has denied something");
    }
    seen.resolved = median(&mut cast.client, true)?;
    seen.dropped = lookup(&mut cast.outsider)?.0;

    heading(
        "armed with that evidence: for its share of the clients, for as long as somebody renews",
    );
    guard.arm(evidence, LEASE, 0)?;
    let renewal = guard.renewal(LEASE);
    let mut denied = Vec::new();
    for number in 1..=SESSIONS {
        if !cast.reaches(number)? {
            denied.push(number);
        }
        cast.talk(&number.to_string())?;
        seen.sessions_alive += 1;
    }
    seen.denied = denied.len();
    let (mut client, copies) = of_the_canary(stage, &cast)?;
    seen.copies = copies;
    seen.answered = median(&mut client, false)?;
    guard.show_status()?;

    heading("kill -9 of everything that renews: nobody is left to end the guard");
    kill(&renewal)?;
    let killed = Instant::now();
    while !lookup(&mut client)?.1 {
        ensure!(killed.elapsed() < 4 * LEASE, "the lease of {LEASE:?} does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
    seen.until_open = killed.elapsed();
    for number in denied {
        seen.back += usize::from(cast.reaches(number)?);
    }
    guard.show_status()?;
    Ok(seen)
}

/// How long looking the denied name up takes, and whether there is such a name.
fn lookup(client: &mut Actor) -> Result<(Duration, bool)> {
    let begun = Instant::now();
    let said = client.ask(&format!("resolve {}", DENIED[0]));
    Ok((begun.elapsed(), said.is_ok()))
}

/// The median of some lookups; an error when one is not answered as it should be.
fn median(client: &mut Actor, exists: bool) -> Result<Duration> {
    let mut all = Vec::new();
    for _ in 0..LOOKUPS {
        let (time, is_there) = lookup(client)?;
        ensure!(is_there == exists, "`{}`: resolved {is_there} instead of {exists}", DENIED[0]);
        all.push(time);
    }
    all.sort_unstable();
    Ok(all[LOOKUPS / 2])
}

/// An application for which the guard answers: a client is an executable and whom it asks, and a
/// share of them is in the canary. Each copy is another executable while all of them exist.
fn of_the_canary(stage: &Stage, cast: &Cast) -> Result<(Actor, usize)> {
    let dir = stage.files.join("copies");
    fs::create_dir_all(&dir).context("failed to create the directory of copies")?;
    let found = (1..=COPIES).find_map(|number| {
        let copy = dir.join(format!("app-{number}"));
        let started = start_copy(stage, cast, &copy).and_then(|mut actor| {
            let is_denied = !lookup(&mut actor)?.1;
            Ok(is_denied.then_some((actor, number as usize)))
        });
        started.transpose()
    });
    fs::remove_dir_all(&dir).context("failed to remove the copies")?;
    found.with_context(|| format!("none of {COPIES} executables is in the canary"))?
}

fn start_copy(stage: &Stage, cast: &Cast, copy: &Path) -> Result<Actor> {
    fs::copy(program("ibsr-actor"), copy).context("failed to copy the actor")?;
    let etc = stage.files.join("etc");
    Ok(Actor::start_copy(copy, &cast.cgroup, &stage.world.pair.host, &etc))
}

fn kill(renewal: &Running) -> Result<()> {
    let group = i32::try_from(renewal.pid()).ok().and_then(Pid::from_raw).context("no pid")?;
    kill_process_group(group, Signal::KILL).context("failed to kill the renewal")
}

/// What the guard did, for people.
pub fn as_table(seen: &Seen) -> Table {
    let mut table = table(&["what", "seen"], &[]);
    let ms = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
    let [name, _] = DENIED;
    let of = |part: usize, all: usize| format!("{part} of {all}");
    let rows = [
        (format!("lookup of {name}, answered by its resolver"), ms(seen.resolved)),
        ("the same, answered by the guard in the kernel".to_owned(), ms(seen.answered)),
        ("the same, where answers are dropped (one try)".to_owned(), ms(seen.dropped)),
        ("new connections denied: the canary".to_owned(), of(seen.denied, seen.sessions)),
        ("executables that asked until one was in the canary".to_owned(), seen.copies.to_string()),
        (
            "sessions to the same places that went on".to_owned(),
            of(seen.sessions_alive, seen.sessions),
        ),
        (
            format!("everything open after kill -9, lease {} s", LEASE.as_secs()),
            format!("{:.1} s", seen.until_open.as_secs_f64()),
        ),
        ("denied places that could be reached again".to_owned(), of(seen.back, seen.denied)),
    ];
    for (what, value) in rows {
        table.add_row([what, value]);
    }
    table
}
