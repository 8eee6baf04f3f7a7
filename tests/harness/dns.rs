// SPDX-License-Identifier: MIT OR Apache-2.0
//! DNS for tests: messages byte by byte, a small responder, and what the sensor says of both.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use ibsr_proto::cgroup_dns_abi::{AddressName, DnsTotals, NameText};
use libbpf_rs::{Map, MapCore as _, MapFlags};
use zerocopy::{FromBytes as _, IntoBytes as _};

use crate::cgroup::{Cgroup, CgroupSensor};
use crate::prog::{Compiled, Knobs, compilers};

/// Types of records.
pub const A: u16 = 1;
/// An alias.
pub const CNAME: u16 = 5;
/// An IPv6 address.
pub const AAAA: u16 = 28;
/// Class of the Internet.
pub const IN: u16 = 1;
/// A pointer to the name of the question.
pub const ASKED: [u8; 2] = [0xc0, 12];

/// `www.example.org` on the wire.
#[must_use]
pub fn wire(name: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in name.split('.') {
        wire.push(u8::try_from(label.len()).expect("a label is short"));
        wire.extend(label.as_bytes());
    }
    wire.push(0);
    wire
}

/// A question as resolvers of a C library ask it.
#[must_use]
pub fn question(id: u16, name: &[u8], kind: u16) -> Vec<u8> {
    let mut message = header(id, 0x0100, 0);
    message.extend(name);
    message.extend(kind.to_be_bytes());
    message.extend(IN.to_be_bytes());
    message
}

/// Header of a message with one question.
#[must_use]
pub fn header(id: u16, flags: u16, answers: u16) -> Vec<u8> {
    [id, flags, 1, answers, 0, 0].into_iter().flat_map(u16::to_be_bytes).collect()
}

/// A record.
#[must_use]
pub fn record(owner: &[u8], kind: u16, ttl_s: u32, data: &[u8]) -> Vec<u8> {
    let mut record = owner.to_vec();
    record.extend(kind.to_be_bytes());
    record.extend(IN.to_be_bytes());
    record.extend(ttl_s.to_be_bytes());
    record.extend(u16::try_from(data.len()).expect("it fits").to_be_bytes());
    record.extend(data);
    record
}

/// A record with an address.
#[must_use]
pub fn address(owner: &[u8], ttl_s: u32, ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => record(owner, A, ttl_s, &ip.octets()),
        IpAddr::V6(ip) => record(owner, AAAA, ttl_s, &ip.octets()),
    }
}

/// An answer to `question` without an option record, with `rcode` and `records`.
#[must_use]
pub fn reply(question: &[u8], rcode: u16, records: &[Vec<u8>]) -> Vec<u8> {
    let id = u16::from_be_bytes([question[0], question[1]]);
    let mut message =
        header(id, 0x8180 | rcode, u16::try_from(records.len()).expect("they are few"));
    message.extend(&question[12..asked(question).2]);
    message.extend(records.concat());
    message
}

/// What a well-formed question asks: the name as text in lower case, the type, and where the
/// question ends.
#[must_use]
pub fn asked(question: &[u8]) -> (String, u16, usize) {
    let (mut at, mut labels) = (12, Vec::new());
    while question[at] != 0 {
        let end = at + 1 + usize::from(question[at]);
        labels.push(String::from_utf8_lossy(&question[at + 1..end]).to_lowercase());
        at = end;
    }
    let kind = u16::from_be_bytes([question[at + 1], question[at + 2]]);
    (labels.join("."), kind, at + 5)
}

/// Bytes as an actor takes them.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Answers every datagram with what a function says; ended on drop.
#[derive(Debug)]
pub struct Responder {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Responder {
    /// Answers on `socket`.
    #[must_use]
    pub fn start(socket: UdpSocket, answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> Self {
        const LOOK_UP: Duration = Duration::from_millis(50);
        socket.set_read_timeout(Some(LOOK_UP)).expect("a socket takes that");
        let is_over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            let mut data = vec![0; 65_536];
            while !told.load(Ordering::Relaxed) {
                match socket.recv_from(&mut data) {
                    Ok((bytes, from)) => {
                        let _gone = socket.send_to(&answer(&data[..bytes]), from);
                    }
                    // A receive that has a timeout is not restarted when the thread was stopped.
                    Err(error)
                        if matches!(
                            error.kind(),
                            ErrorKind::WouldBlock | ErrorKind::Interrupted
                        ) => {}
                    // The client may be gone before its answer.
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                    Err(error) => panic!("the responder cannot receive: {error}"),
                }
            }
        });
        Self { is_over, thread: Some(thread) }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let ended = self.thread.take().expect("it is joined once").join();
        assert!(ended.is_ok() || std::thread::panicking(), "the responder failed");
    }
}

/// An address as the sensor has it.
#[must_use]
pub fn mapped(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// Attaches the sensor to `cgroup` for servers at these ports; `resolvers` are listed.
#[must_use]
pub fn attach(cgroup: &Cgroup, ports: &[u16], resolvers: &[IpAddr], flows: u32) -> CgroupSensor {
    attach_with(cgroup, ports, resolvers, flows, &[])
}

/// The same with more knobs.
#[must_use]
pub fn attach_with(
    cgroup: &Cgroup,
    ports: &[u16],
    resolvers: &[IpAddr],
    flows: u32,
    knobs: Knobs<'_>,
) -> CgroupSensor {
    let clang = compilers().pop().expect("a compiler");
    let compiled = Compiled::new(&clang, &CgroupSensor::source());
    let bytes_of = |number: &u16| number.to_ne_bytes();
    let ports: Vec<u8> = ports.iter().chain([&0]).flat_map(bytes_of).collect();
    let count = u32::try_from(resolvers.len()).expect("they are few").to_ne_bytes();
    let resolvers: Vec<u8> = resolvers.iter().flat_map(|ip| mapped(*ip)).collect();
    // Not zero, as the loader draws it.
    let seed = 0x0123_4567_89ab_cdef_u64.to_ne_bytes();
    let own: [(&str, &[u8]); 4] = [
        ("ibsr_seed", &seed),
        ("ibsr_dns_ports", &ports),
        ("ibsr_dns_resolver_count", &count),
        ("ibsr_dns_resolvers", &resolvers),
    ];
    let mut sensor = CgroupSensor::load_with(&compiled, flows, &[&own, knobs].concat());
    sensor.attach_to(cgroup);
    sensor
}

/// A server's socket at `ip` and a port of the kernel's choice.
#[must_use]
pub fn server(ip: &str) -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind((ip, 0)).expect("it is this machine");
    let at = socket.local_addr().expect("it is bound");
    (socket, at)
}

/// A map of the sensor.
#[must_use]
pub fn map<'a>(sensor: &'a CgroupSensor, name: &str) -> Map<'a> {
    sensor.object().maps().find(|map| map.name() == name).expect("the map exists")
}

/// Every address with its name.
#[must_use]
pub fn names(sensor: &CgroupSensor) -> BTreeMap<[u8; 16], AddressName> {
    let map = map(sensor, "ibsr_names");
    map.keys()
        .filter_map(|key| {
            let value = map.lookup(&key, MapFlags::ANY).expect("readable")?;
            let value = AddressName::read_from_bytes(&value).expect("the ABI");
            Some((key.try_into().expect("an address"), value))
        })
        .collect()
}

/// The text of a name; nothing where there is none.
#[must_use]
pub fn text(sensor: &CgroupSensor, name: u64) -> Option<NameText> {
    let value = map(sensor, "ibsr_name_texts").lookup(name.as_bytes(), MapFlags::ANY);
    Some(NameText::read_from_bytes(&value.expect("readable")?).expect("the ABI"))
}

/// Outcomes over all CPUs, after a check that each datagram has one.
#[must_use]
#[track_caller]
pub fn totals(sensor: &CgroupSensor) -> DnsTotals {
    let values = map(sensor, "ibsr_dns_totals").lookup_percpu(&0_u32.to_ne_bytes(), MapFlags::ANY);
    let cpus: Vec<DnsTotals> = values
        .expect("readable")
        .expect("the one entry exists")
        .iter()
        .map(|value| DnsTotals::read_from_bytes(value).expect("the ABI"))
        .collect();
    let sum = DnsTotals::sum(&cpus);
    assert!(sum.adds_up(), "{sum:#?}");
    sum
}
