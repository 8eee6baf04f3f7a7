// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cgroup sensor on the real kernel: processes in cgroups of the test's own make sockets
//! and connections; what the sensor says of each is compared with what the processes, `/proc`
//! and the other end of the connection say.

#[path = "cgroup/behaviour.rs"]
mod behaviour;
#[path = "cgroup/conservation.rs"]
mod conservation;
#[path = "cgroup/dns.rs"]
mod dns;
#[path = "cgroup/dns_random.rs"]
mod dns_random;
#[path = "cgroup/dns_reference.rs"]
mod dns_reference;
#[path = "cgroup/dns_resolver.rs"]
mod dns_resolver;
#[path = "cgroup/load.rs"]
mod load;
#[path = "cgroup/owners.rs"]
mod owners;
#[path = "cgroup/reentrant.rs"]
mod reentrant;
#[path = "cgroup/seeded.rs"]
mod seeded;
#[path = "cgroup/tcp.rs"]
mod tcp;
#[path = "cgroup/udp.rs"]
mod udp;
#[path = "cgroup/wire.rs"]
mod wire;
#[path = "cgroup/zones.rs"]
mod zones;

use std::net::{IpAddr, SocketAddr};

use ibsr_proto::cgroup_abi::{Flow, FlowKey, step};

/// Bytes of an IPv4 header without options, and of a UDP header.
const IPV4_BYTES: u64 = 20;
const IPV6_BYTES: u64 = 40;
const UDP_BYTES: u64 = 8;

/// An address as rows have it.
fn addr(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// Checks who talked to whom.
#[track_caller]
fn assert_ends((key, flow): &(FlowKey, Flow), local: SocketAddr, remote: SocketAddr) {
    assert_eq!((key.remote_addr, key.remote_port), (addr(remote.ip()), remote.port()), "remote");
    assert_eq!((flow.local_addr, flow.local_port), (addr(local.ip()), local.port()), "local");
}

/// Names of steps, for messages that can be read.
fn steps(flow: &Flow) -> Vec<&'static str> {
    step::ALL.iter().filter(|(bit, _)| flow.steps & bit != 0).map(|(_, name)| *name).collect()
}
