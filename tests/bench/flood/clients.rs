// SPDX-License-Identifier: MIT OR Apache-2.0
//! Steady clients: connections over the loopback of the calling thread's namespace, from an
//! address each, held open by both ends.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};

use anyhow::{Context as _, Result, bail};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How many there are.
pub const CLIENTS: u32 = 1_000;
/// Where they connect to.
pub const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 443);
/// Both ends of every client's connection and what a program needs itself.
const DESCRIPTORS: u64 = CLIENTS as u64 * 2 + 200;

/// The clients' ends, and what keeps them connected.
#[derive(Debug)]
pub struct Clients {
    ends: Vec<SocketAddrV4>,
    _streams: Vec<TcpStream>,
}

impl Clients {
    /// Connects all of them.
    ///
    /// # Errors
    /// When the namespace has no loopback, or the process may not hold so many descriptors.
    pub fn connect() -> Result<Self> {
        allow_descriptors()?;
        let listener = TcpListener::bind(SERVER).context("failed to listen")?;
        let (mut ends, mut streams) = (Vec::new(), Vec::new());
        for number in 0..CLIENTS {
            let client = connect_from(address(number))
                .with_context(|| format!("failed to connect client {number}"))?;
            let SocketAddr::V4(end) = client.local_addr()? else { bail!("not an IPv4 address") };
            let (server, _) = listener.accept().context("failed to accept")?;
            ends.push(end);
            streams.extend([client, server]);
        }
        Ok(Self { ends, _streams: streams })
    }

    /// Address and port of each.
    #[must_use]
    pub fn ends(&self) -> &[SocketAddrV4] {
        &self.ends
    }
}

/// 127.1.0.1 and so on: loopback addresses need not be added.
fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x7f01_0001 + number)
}

fn connect_from(address: Ipv4Addr) -> Result<TcpStream> {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&socket, &SocketAddrV4::new(address, 0))?;
    connect(&socket, &SERVER)?;
    Ok(TcpStream::from(socket))
}

fn allow_descriptors() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < DESCRIPTORS) {
        let raised = Rlimit { current: Some(DESCRIPTORS), maximum: limit.maximum };
        setrlimit(Resource::Nofile, raised)
            .with_context(|| format!("failed to allow {DESCRIPTORS} open files"))?;
    }
    Ok(())
}
