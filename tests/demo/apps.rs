// SPDX-License-Identifier: MIT OR Apache-2.0
//! The applications at work: copies of one actor, so that each is an executable of its own, in
//! a cgroup of its own below the observed one. What each did is counted by itself.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use ibsr_tests::actor::Actor;
use ibsr_tests::cgroup::Cgroup;
use ibsr_tests::dns::{A, hex, question, wire};
use ibsr_tests::netns::Pair;
use ibsr_tests::process::program;
use sha2::{Digest as _, Sha256};

use crate::acts::{ACTS, Act, BALANCER, Deed, RESOLVER, SERVER, TUNNEL_ZONE, address, deeds};
use crate::outside::{Outside, serve};

/// One end of what an application did, as the report should name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Contact {
    /// `outgoing` or `incoming`.
    pub direction: String,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// The other end.
    pub addr: String,
    /// Of the service.
    pub port: u64,
    /// By which it was reached.
    pub name: Option<String>,
}

impl Contact {
    /// Somebody at `addr`, without a name.
    pub fn new(direction: &str, protocol: &str, addr: impl ToString, port: u16) -> Self {
        Self {
            direction: direction.to_owned(),
            protocol: protocol.to_owned(),
            addr: addr.to_string(),
            port: port.into(),
            name: None,
        }
    }
}

/// What became of the connections.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Begun.
    pub connections: u64,
    /// Of these, in vain.
    pub failed: u64,
}

/// What an application did, as it says itself.
pub type Done = BTreeMap<Contact, Count>;

struct App {
    act: &'static Act,
    actor: Actor,
    _cgroup: Cgroup,
}

/// All of them; ended on drop.
pub struct Apps {
    apps: Vec<App>,
    outside: Outside,
}

impl Apps {
    /// Starts them, each below `scope`, with nothing to do yet.
    pub fn start(pair: &Pair, scope: &Cgroup, files: &Path) -> Result<Self> {
        let etc = files.join("etc");
        write_etc(&etc).context("failed to write what a resolver is configured with")?;
        let bin = files.join("apps");
        fs::create_dir_all(&bin).context("failed to create the directory of applications")?;
        // Before anybody is started: a program that is still open for writing cannot be.
        for act in &ACTS {
            fs::copy(program("ibsr-actor"), bin.join(act.name))
                .with_context(|| format!("failed to copy the actor as `{}`", act.name))?;
        }
        let outside = Outside::build(pair, &etc)?;
        let mut apps = Vec::new();
        for act in &ACTS {
            let cgroup = scope.child(&format!("{}.service", act.name));
            let copy = bin.join(act.name);
            let mut actor = Actor::start_copy(&copy, &cgroup, &pair.host, &etc);
            for deed in act.deeds {
                if let Deed::Serve { port, .. } = deed {
                    serve(&mut actor, "tcp", SERVER, *port)?;
                }
            }
            apps.push(App { act, actor, _cgroup: cgroup });
        }
        // They run: their files are needed no more.
        fs::remove_dir_all(&bin).context("failed to remove the copies of the actor")?;
        Ok(Self { apps, outside })
    }

    /// Each errand of the known ones, once: what is normal here.
    pub fn rehearse(&mut self) -> Result<()> {
        let known = self.apps.iter_mut().filter(|app| app.act.is_known);
        for App { act, actor, .. } in known {
            for deed in act.deeds {
                if let Deed::Errand { .. } = deed {
                    perform(actor, deed, true)?;
                }
            }
        }
        Ok(())
    }

    /// Everything that each has to do, side by side; by the names of the applications.
    pub fn run(&mut self) -> Result<BTreeMap<&'static str, Done>> {
        let Self { apps, outside } = self;
        thread::scope(|scope| {
            let balancer = scope.spawn(|| checks(outside));
            let apps: Vec<_> =
                apps.iter_mut().map(|app| scope.spawn(move || (app.act.name, work(app)))).collect();
            let mut all: BTreeMap<_, Done> = BTreeMap::new();
            for app in apps {
                let (name, done) = app.join().expect("an application does not panic");
                all.insert(name, done?);
            }
            for (name, done) in balancer.join().expect("the balancer does not panic")? {
                all.entry(name).or_default().extend(done);
            }
            Ok(all)
        })
    }
}

/// What comes in, by the names of those who serve.
fn checks(outside: &mut Outside) -> Result<Vec<(&'static str, Done)>> {
    let mut served = Vec::new();
    for (name, deed) in deeds() {
        if let Deed::Serve { port, gaps_ms } = deed {
            let count = Count { connections: outside.check(*port, gaps_ms)?, failed: 0 };
            let contact = Contact::new("incoming", "tcp", BALANCER, *port);
            served.push((name, Done::from([(contact, count)])));
        }
    }
    Ok(served)
}

fn work(app: &mut App) -> Result<Done> {
    let mut done = Done::new();
    for deed in app.act.deeds {
        for (contact, count) in perform(&mut app.actor, deed, false)? {
            let sum = done.entry(contact).or_default();
            sum.connections += count.connections;
            sum.failed += count.failed;
        }
    }
    Ok(done)
}

/// Has an actor do it; of an errand only the first go when it is a rehearsal.
fn perform(actor: &mut Actor, deed: &Deed, is_rehearsal: bool) -> Result<Vec<(Contact, Count)>> {
    let all_well = |connections| Count { connections, failed: 0 };
    let resolver = Contact::new("outgoing", "udp", RESOLVER, 53);
    match deed {
        Deed::Errand { protocol, host, port, ask_bytes, answer_bytes, gaps_ms } => {
            let gaps_ms = if is_rehearsal { &[][..] } else { gaps_ms };
            let gaps: String = gaps_ms.iter().map(|gap_ms| format!(" {gap_ms}")).collect();
            let line = format!("errand {protocol} {host}:{port} {ask_bytes} {answer_bytes}{gaps}");
            let count = all_well(ask(actor, &line)?.parse()?);
            let ip = address(host).with_context(|| format!("`{host}` has no address"))?;
            let there = Contact::new("outgoing", protocol, ip, *port);
            // The C library asks for both kinds of addresses from one socket.
            Ok(vec![
                (Contact { name: Some((*host).to_owned()), ..there }, count),
                (resolver, count),
            ])
        }
        Deed::Scan { from, port, count } => {
            let refused: u32 = ask(actor, &format!("scan {from}:{port} {count}"))?.parse()?;
            if refused != *count {
                bail!("{refused} of {count} addresses refused");
            }
            let contact = |number| {
                let ip = Ipv4Addr::from(u32::from(*from) + number);
                let contact = Contact::new("outgoing", "tcp", ip, *port);
                (contact, Count { connections: 1, failed: 1 })
            };
            Ok((0..*count).map(contact).collect())
        }
        Deed::Tunnel { count } => {
            ask(actor, "socket tunnel udp4")?;
            ask(actor, &format!("connect tunnel {RESOLVER}:53"))?;
            for number in 0..*count {
                let question = question(number, &wire(&message(number)), A);
                ask(actor, &format!("ask tunnel {} 1", hex(&question)))?;
            }
            ask(actor, "close tunnel")?;
            Ok(vec![(resolver, all_well(1))])
        }
        Deed::Wait { ms } => {
            thread::sleep(Duration::from_millis(*ms));
            Ok(Vec::new())
        }
        Deed::Serve { .. } => Ok(Vec::new()),
    }
}

/// A name that carries 45 bytes, in two labels behind a number.
pub fn message(number: u16) -> String {
    let secret = [Sha256::digest(number.to_le_bytes()), Sha256::digest(number.to_be_bytes())];
    let digits = hex(secret.concat().as_slice());
    format!("{number:04x}{}.{}.{TUNNEL_ZONE}", &digits[..50], &digits[64..104])
}

/// Says a line to an actor.
pub fn ask(actor: &mut Actor, line: &str) -> Result<String> {
    actor.ask(line).map_err(|errno| {
        let error = std::io::Error::from_raw_os_error(errno);
        anyhow!(error).context(format!("an actor failed to `{line}`"))
    })
}

fn write_etc(etc: &Path) -> std::io::Result<()> {
    fs::create_dir_all(etc)?;
    fs::write(etc.join("resolv.conf"), format!("nameserver {RESOLVER}\n"))?;
    fs::write(etc.join("nsswitch.conf"), "hosts: dns\n")
}
