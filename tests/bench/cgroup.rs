// SPDX-License-Identifier: MIT OR Apache-2.0
//! `make bench-cgroup`: what the cgroup sensor adds to a packet and to a connection.
//!
//! Packets: a program that does nothing, one that does one hash lookup, and the sensor are
//! attached to one cgroup, so all three see every packet of a ping-pong between two processes;
//! the kernel itself says how long each ran; the same for questions and answers of DNS, for
//! which there is no bound. Connections: requests a second to a web server,
//! a connection for each, with the sensor attached and without, in turn; once with the server in
//! the cgroup, as a service is observed, and once with whoever asks too, which has no bound: there
//! the sensor works twice for each connection. Ends with 1 when a bound is missed. With
//! `JSON=FILE` the rows are written there too. With `ROUNDS=N` as many rounds.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use comfy_table::Table;
use ibsr_cli::{Answer, finish, table};
use ibsr_tests::actor::Actor;
use ibsr_tests::bench::write_where_asked;
use ibsr_tests::cgroup::{Cgroup, CgroupSensor};
use ibsr_tests::dns::{self, A, ASKED, Responder, server};
use ibsr_tests::process::{Running, wait_until};
use ibsr_tests::prog::{Compiled, compilers};
use ibsr_tests::run_times::{self, median};
use libbpf_rs::{MapCore as _, MapFlags};
use serde_json::json;
use tempfile::TempDir;

/// Rounds where nobody asks for others; the middle one counts.
const ROUNDS: usize = 15;
/// Questions and answers of one round.
const PINGS: usize = 20_000;
const PING_BYTES: usize = 64;
/// Connections of one turn: so few that the machine is the same for all of a round.
const CONNECTIONS: usize = 400;
/// Rounds of connections for each round of packets.
const CONNECTION_ROUNDS: usize = 8;
/// Where the web server listens.
const WEB: &str = "127.0.0.1:18080";
/// A packet may cost this much of the lookup program's cost.
const PACKET_BOUND: f64 = 1.6;
/// This part of the connections to an observed server must remain.
const CONNECTION_BOUND: f64 = 0.95;

/// Kind of socket, name of the row.
const KINDS: [(&str, &str); 4] =
    [("tcp4", "TCP, IPv4"), ("tcp6", "TCP, IPv6"), ("udp4", "UDP, IPv4"), ("udp6", "UDP, IPv6")];

fn main() -> ExitCode {
    finish("bench-cgroup", run())
}

/// One line: costs of the three in nanoseconds.
struct PacketRow {
    name: String,
    empty_ns: f64,
    lookup_ns: f64,
    sensor_ns: f64,
}

impl PacketRow {
    fn ratio(&self) -> f64 {
        self.sensor_ns / self.lookup_ns
    }
}

#[expect(clippy::print_stdout, reason = "the tables are the output")]
fn run() -> Result<Answer> {
    if !rustix::process::geteuid().is_root() {
        bail!("cgroups need root");
    }
    let rounds = match std::env::var("ROUNDS") {
        Ok(text) => text.parse()?,
        Err(_) => ROUNDS,
    };
    let mut rows = Vec::new();
    for (kind, name) in KINDS {
        rows.extend(packets(kind, name, rounds)?);
    }
    let dns_rows = dns_packets(rounds)?;
    let names = ["ns a packet", "empty", "one lookup", "the sensor", "of one lookup"];
    let mut table = table(&names, &[1, 2, 3, 4]);
    for row in rows.iter().chain(&dns_rows) {
        table.add_row([
            row.name.clone(),
            format!("{:.1}", row.empty_ns),
            format!("{:.1}", row.lookup_ns),
            format!("{:.1}", row.sensor_ns),
            format!("{:.2}", row.ratio()),
        ]);
    }
    println!("{table}\n");
    let mut scenes = Vec::new();
    for (name, ends) in [("the server only", Ends::Server), ("both ends", Ends::Both)] {
        let shares = connections(rounds * CONNECTION_ROUNDS, ends)?;
        println!("in the cgroup: {name}\n{}\n", connection_table(&shares));
        scenes.push((name, shares));
    }
    write_where_asked("JSON", || {
        let rows: Vec<_> = rows
            .iter()
            .chain(&dns_rows)
            .map(|row| {
                json!({ "name": row.name, "empty_ns": row.empty_ns,
                "lookup_ns": row.lookup_ns, "sensor_ns": row.sensor_ns, "ratio": row.ratio() })
            })
            .collect();
        let connections: Vec<_> = scenes
            .iter()
            .map(|(name, [_, empty, lean, sensor])| {
                json!({ "ends": name, "empty": empty, "without_behaviour": lean, "sensor": sensor })
            })
            .collect();
        json!({ "packets": rows, "connections": connections }).to_string()
    })?;
    let (_, [.., [of_server, _]]) = scenes[0];
    let is_kept =
        of_server >= CONNECTION_BOUND && rows.iter().all(|row| row.ratio() <= PACKET_BOUND);
    Ok(if is_kept { Answer::Yes } else { Answer::No })
}

/// Two processes and a connection between them.
fn connected(cgroup: &Cgroup, kind: &str) -> (Actor, Actor) {
    let (mut client, mut server) = (Actor::start(cgroup), Actor::start(cgroup));
    let loopback = if kind.ends_with('4') { "127.0.0.1:0" } else { "[::1]:0" };
    server.socket("l", kind);
    let at = server.address(&format!("bind l {loopback}"));
    client.socket("a", kind);
    if kind.starts_with("tcp") {
        server.act("listen l");
        client.act(&format!("connect a {at}"));
        server.act("accept l a");
    } else {
        let from = client.address(&format!("connect a {at}"));
        server.act(&format!("connect l {from}"));
        server.act("rename l a");
    }
    (client, server)
}

fn compiled(source: &Path) -> Compiled {
    Compiled::new(&compilers().pop().expect("a compiler"), source)
}

/// A line for each of [`ROWS`].
fn connection_table(shares: &[[f64; 2]; ROWS.len()]) -> Table {
    let mut table = table(&["attached", "connections a second", "per CPU second"], &[1, 2]);
    for (name, [rate, cpu]) in ROWS.iter().zip(shares) {
        table.add_row([(*name).to_owned(), format!("{rate:.3}"), format!("{cpu:.3}")]);
    }
    table
}

/// The two programs to compare with, attached.
fn floor(cgroup: &Cgroup) -> Result<CgroupSensor> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("bpf/bench/cgroup_floor.bpf.c");
    let floor = CgroupSensor::attach_object(&compiled(&source), cgroup, 1);
    let table = floor.object().maps().find(|map| map.name() == "floor_table").expect("a table");
    let key: Vec<u8> = (1_u64..=4).flat_map(u64::to_ne_bytes).collect();
    table.update(&key, &0_u64.to_ne_bytes(), MapFlags::ANY)?;
    Ok(floor)
}

/// Both directions of one kind of socket.
fn packets(kind: &str, name: &str, rounds: usize) -> Result<Vec<PacketRow>> {
    let cgroup = Cgroup::new();
    let _floor = floor(&cgroup)?;
    let _sensor = CgroupSensor::attach_with(&cgroup, 100_000);
    let (mut client, mut server) = connected(&cgroup, kind);
    measured(name, rounds, || {
        server.tell(&format!("pong a {PINGS} {PING_BYTES}"));
        client.act(&format!("ping a {PINGS} {PING_BYTES}"));
        server.answer().expect("it answers");
    })
}

/// A question that is remembered, and its answer with two addresses, which are learned. The
/// resolver is outside of the cgroup, so that nothing else is counted.
fn dns_packets(rounds: usize) -> Result<Vec<PacketRow>> {
    let cgroup = Cgroup::new();
    let _floor = floor(&cgroup)?;
    let (socket, at) = server("127.0.0.80");
    let _sensor = dns::attach(&cgroup, &[at.port()], &[at.ip()], 100_000);
    let _resolver = Responder::start(socket, |question| {
        let records = [[10, 0, 0, 1], [10, 0, 0, 2]].map(|ip| dns::record(&ASKED, A, 60, &ip));
        dns::reply(question, 0, &records)
    });
    let mut client = Actor::start(&cgroup);
    client.socket("a", "udp4");
    client.act(&format!("connect a {at}"));
    let asked = dns::hex(&dns::question(1, &dns::wire("www.some-service.example.com"), A));
    measured("DNS, A", rounds, || {
        client.act(&format!("ask a {asked} {PINGS}"));
    })
}

/// The middle of so many rounds of `exchange`, which sends [`PINGS`] both ways.
fn measured(name: &str, rounds: usize, mut exchange: impl FnMut()) -> Result<Vec<PacketRow>> {
    let found = run_times::middle_ns(&PROGRAMS, rounds, PINGS as u64, &mut exchange)?;
    let middle = |program: &str| found[program];
    let row = |direction: &str, [empty, lookup, sensor]: [&str; 3]| PacketRow {
        name: format!("{name}, {direction}"),
        empty_ns: middle(empty),
        lookup_ns: middle(lookup),
        sensor_ns: middle(sensor),
    };
    let [in_empty, out_empty, in_lookup, out_lookup, in_sensor, out_sensor] = PROGRAMS;
    Ok(vec![
        row("in", [in_empty, in_lookup, in_sensor]),
        row("out", [out_empty, out_lookup, out_sensor]),
    ])
}

const PROGRAMS: [&str; 6] =
    ["empty_in", "empty_out", "lookup_in", "lookup_out", "ibsr_ingress", "ibsr_egress"];

/// A web server with one worker; ended on drop.
struct Web {
    _dir: TempDir,
    _process: Running,
}

impl Web {
    fn start(cgroup: &Cgroup) -> Result<Self> {
        let dir = TempDir::new()?;
        let at = dir.path().display();
        fs::write(dir.path().join("index.html"), "x".repeat(1_000))?;
        let config = format!(
            "daemon off; pid {at}/pid; error_log stderr emerg; worker_processes 1;\n\
             events {{}}\n\
             http {{ access_log {at}/access.log; client_body_temp_path {at}/b; proxy_temp_path {at}/p;\n\
             fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n\
             server {{ listen {WEB}; root {at}; }} }}\n\
             user root;\n"
        );
        fs::write(dir.path().join("nginx.conf"), config)?;
        let mut command = Command::new("sh");
        command.args(["-c", r#"echo $$ > "$0" && exec nginx -c "$1""#]);
        command.arg(cgroup.path().join("cgroup.procs")).arg(dir.path().join("nginx.conf"));
        let process = Running::start(&mut command);
        wait_until("the web server listens", Duration::from_secs(10), || {
            std::net::TcpStream::connect(WEB).is_ok()
        });
        Ok(Self { _dir: dir, _process: process })
    }
}

/// CPU time that the processes of a cgroup have used.
fn cpu_us(cgroup: &Cgroup) -> Result<f64> {
    let stat = fs::read_to_string(cgroup.path().join("cpu.stat"))?;
    let usage = stat.lines().find_map(|line| line.strip_prefix("usage_usec "));
    Ok(usage.context("`cpu.stat` has no `usage_usec`")?.parse()?)
}

/// What is attached while connections are made.
const ROWS: [&str; 4] = [
    "nothing",
    "empty programs on the same hooks",
    "the sensor without the analysis of behaviour",
    "the sensor",
];

/// Which end of each connection the sensor sees.
#[derive(Clone, Copy)]
enum Ends {
    /// The worst case: client and server.
    Both,
    /// The client is in another cgroup.
    Server,
}

/// HTTP requests, a connection for each. For each of [`ROWS`]
/// the middle of all rounds' ratios to the round's run without a program: of rates, and of CPU
/// time, which a busy machine disturbs less.
fn connections(rounds: usize, ends: Ends) -> Result<[[f64; 2]; ROWS.len()]> {
    let (cgroup, beside) = (Cgroup::new(), Cgroup::new());
    let _web = Web::start(&cgroup)?;
    let mut client = Actor::start(match ends {
        Ends::Both => &cgroup,
        Ends::Server => &beside,
    });
    let cpu = || -> Result<f64> { Ok(cpu_us(&cgroup)? + cpu_us(&beside)?) };
    let mut measure = || -> Result<[f64; 2]> {
        let (start, used) = (Instant::now(), cpu()?);
        client.act(&format!("get {WEB} {CONNECTIONS}"));
        Ok([start.elapsed().as_secs_f64(), cpu()? - used])
    };
    let empty = Path::new(env!("CARGO_MANIFEST_DIR")).join("bpf/bench/cgroup_empty.bpf.c");
    let empty = CgroupSensor::load(&compiled(&empty), 100_000, None);
    let sensor = compiled(&CgroupSensor::source());
    let with = |knobs: &[(&str, &[u8])]| CgroupSensor::load_with(&sensor, 100_000, knobs);
    let lean = with(&[("ibsr_behaviour_on", &0_u32.to_ne_bytes())]);
    let mut attached = [None, Some(empty), Some(lean), Some(with(&[]))];
    let _warm = measure()?;
    let mut ratios: [[Vec<f64>; 2]; ROWS.len()] = Default::default();
    for round in 0..rounds {
        let mut costs = [[0.0; 2]; ROWS.len()];
        // Whoever comes later may be slowed by what the others left behind: they take turns.
        for turn in 0..ROWS.len() {
            let row = (round + turn) % ROWS.len();
            if let Some(programs) = &mut attached[row] {
                programs.attach_to(&cgroup);
            }
            costs[row] = measure()?;
            if let Some(programs) = &mut attached[row] {
                programs.detach();
            }
        }
        for (ratios, cost) in ratios.iter_mut().zip(costs) {
            for (at, ratios) in ratios.iter_mut().enumerate() {
                ratios.push(costs[0][at] / cost[at]);
            }
        }
    }
    Ok(ratios.map(|row| row.map(|mut ratios| median(&mut ratios))))
}
