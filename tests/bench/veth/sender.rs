// SPDX-License-Identifier: MIT OR Apache-2.0
//! The sending side: live frames of a test run, redirected into the wire.

use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use ibsr_tests::frames::{Frame, flag};
use ibsr_tests::netns::{HOST_MAC, PEER_IF};
use rustix::process::setpriority_process;
use rustix::thread::{CpuSet, gettid, sched_setaffinity};

use crate::programs::{Loaded, Programs, Senders, Settings, Which};
use crate::receiver::NICE;

/// CPU of the sender. The receiver's is 0.
const CPU: usize = 1;
/// Frames of one system call. Many: each call waits for RCU, while nothing is sent.
const SLICE: u32 = 1 << 20;
/// Nobody's: IP drops the packet as soon as it sees it.
const OTHER_HOST: [u8; 6] = [0x02, 0, 0, 0, 0x77, 99];

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// ACKs from 1,000 sources.
    Ordinary,
    /// SYNs, each from an address that was never seen, for nobody.
    Flood,
    /// The same to a server of this host, which answers each.
    Attack,
}

impl Traffic {
    /// All.
    pub const ALL: [Self; 3] = [Self::Ordinary, Self::Flood, Self::Attack];

    /// For the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ordinary => "1,000 sources",
            Self::Flood => "every packet a new source",
            Self::Attack => "the same, to a server",
        }
    }
}

/// What to send, and for how long.
pub type Order = (Traffic, Duration);

/// Carries out orders, and says after each that it is done, until there is nobody to give one.
///
/// # Errors
/// When the kernel does not send.
pub fn run(orders: &Receiver<Order>, done: &SyncSender<()>) -> Result<()> {
    let mut cpus = CpuSet::new();
    cpus.set(CPU);
    sched_setaffinity(None, &cpus).context("there is no second CPU")?;
    setpriority_process(Some(gettid()), NICE).context("failed to prefer the sender")?;
    let programs = Programs::compile()?;
    let ifindex = rustix::net::netdevice::name_to_index(&socket()?, PEER_IF)?;
    let load = |senders, flags, to: [u8; 6]| -> Result<(Loaded, Vec<u8>)> {
        let settings = Settings { ifindex, ..Settings::new(senders) };
        let mut frame = Frame::v4([10, 77, 0, 2], [10, 77, 0, 1]).flags(flags).build();
        frame[..6].copy_from_slice(&to);
        Ok((programs.load(Which::Sender, &settings)?, frame))
    };
    let ordinary = load(Senders::Uniform(1_000), flag::ACK, OTHER_HOST)?;
    let flood = load(Senders::New, flag::SYN, OTHER_HOST)?;
    let attack = load(Senders::New, flag::SYN, HOST_MAC)?;
    for (traffic, duration) in orders {
        let (program, frame) = match traffic {
            Traffic::Ordinary => &ordinary,
            Traffic::Flood => &flood,
            Traffic::Attack => &attack,
        };
        let start = Instant::now();
        while start.elapsed() < duration {
            program.run_live(frame, SLICE)?;
        }
        if done.send(()).is_err() {
            break;
        }
    }
    Ok(())
}

fn socket() -> Result<std::os::fd::OwnedFd> {
    use rustix::net::{AddressFamily, SocketType, socket};
    socket(AddressFamily::INET, SocketType::DGRAM, None).context("failed to open a socket")
}
