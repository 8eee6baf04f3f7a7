// SPDX-License-Identifier: MIT OR Apache-2.0
//! Much of one thing in a row. The load: short exchanges, a TCP connection and a UDP socket for
//! each, a question and an answer on both. Every question of a client has another length, so that its bytes tell
//! whether all of them were counted.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, acceptfrom, connect, recv,
    recvfrom, send, sendto, socket, socket_with,
};

/// Questions have 1 to this many bytes, in turn.
const LENGTHS: usize = 64;
const ANSWER: &[u8] = b"an answer";

/// Asks `count` times over each; bytes sent over each of the two.
pub fn load(tcp: SocketAddr, udp: SocketAddr, count: usize) -> Result<usize, Errno> {
    let mut sent = 0;
    for number in 0..count {
        let question = vec![b'q'; number % LENGTHS + 1];
        for (to, kind) in [(tcp, SocketType::STREAM), (udp, SocketType::DGRAM)] {
            let fd = socket(family(to), kind, None)?;
            connect(&fd, &to)?;
            send(&fd, &question, SendFlags::NOSIGNAL)?;
            let mut answer = [0; ANSWER.len()];
            let (received, _) = recv(&fd, &mut answer, RecvFlags::empty())?;
            if received != ANSWER.len() {
                return Err(Errno::PIPE);
            }
        }
        sent += question.len();
    }
    Ok(sent)
}

/// Begins `count` connections without waiting for any, one each 2 ms: their timers run out one
/// by one too.
pub fn begin(to: SocketAddr, count: usize) -> Result<Vec<OwnedFd>, Errno> {
    let mut begun = Vec::new();
    for _ in 0..count {
        let fd = socket_with(family(to), SocketType::STREAM, SocketFlags::NONBLOCK, None)?;
        match connect(&fd, &to) {
            Ok(()) | Err(Errno::INPROGRESS) => begun.push(fd),
            Err(errno) => return Err(errno),
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(begun)
}

/// Sends single bytes without pause; how many. A full queue costs a datagram, nothing else.
pub fn spray_for(fd: BorrowedFd<'_>, to: SocketAddr, ms: u64) -> Result<usize, Errno> {
    let (start, limit) = (Instant::now(), Duration::from_millis(ms));
    let mut sent = 0;
    while start.elapsed() < limit {
        match sendto(fd, b"x", SendFlags::DONTWAIT, &to) {
            Ok(_) => sent += 1,
            Err(Errno::AGAIN | Errno::NOBUFS) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(sent)
}

/// Two threads send single bytes over one socket at the same time: to each of `ports` ports from
/// that of `to` on, `times` times from each thread; how many in all.
pub fn duel(fd: BorrowedFd<'_>, to: SocketAddr, ports: u16, times: u32) -> Result<u32, Errno> {
    // A barrier that puts its threads to sleep wakes them one after the other.
    let arrived = AtomicU32::new(0);
    let meet = |round: u32| {
        arrived.fetch_add(1, Ordering::SeqCst);
        while arrived.load(Ordering::SeqCst) < 2 * (round + 1) {
            std::hint::spin_loop();
        }
    };
    let fight = || -> Result<u32, Errno> {
        for port in 0..ports {
            let to = SocketAddr::new(to.ip(), to.port() + port);
            meet(port.into());
            for _ in 0..times {
                sendto(fd, b"x", SendFlags::empty(), &to)?;
            }
        }
        Ok(u32::from(ports) * times)
    };
    thread::scope(|scope| {
        let other = scope.spawn(fight);
        let sent = fight();
        Ok(sent? + other.join().map_err(|_panic| Errno::IO)??)
    })
}

/// Gets `/` over HTTP `count` times, each time over a connection of its own; bytes received.
pub fn get(http: SocketAddr, count: usize) -> Result<usize, Errno> {
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let (mut received, mut data) = (0, vec![0; 65_536]);
    for _ in 0..count {
        let fd = socket(family(http), SocketType::STREAM, None)?;
        connect(&fd, &http)?;
        send(&fd, REQUEST, SendFlags::NOSIGNAL)?;
        loop {
            match recv(&fd, &mut data[..], RecvFlags::empty())? {
                (0, _) => break,
                (some, _) => received += some,
            }
        }
    }
    Ok(received)
}

/// Connects once, and again after each gap; how often. The gaps are between the beginnings, so
/// that the time a connection takes does not add to them.
pub fn beat(is_udp: bool, to: SocketAddr, gaps_ms: &[u64]) -> Result<usize, Errno> {
    let kind = if is_udp { SocketType::DGRAM } else { SocketType::STREAM };
    let mut due = Instant::now();
    for gap_ms in [0].iter().chain(gaps_ms) {
        due += Duration::from_millis(*gap_ms);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let fd = socket(family(to), kind, None)?;
        connect(&fd, &to)?;
    }
    Ok(gaps_ms.len() + 1)
}

/// Tries to connect to so many addresses from `from` on; how many refused.
pub fn scan(from: SocketAddr, count: u32) -> Result<u32, Errno> {
    let SocketAddr::V4(first) = from else { return Err(Errno::AFNOSUPPORT) };
    let mut refused = 0;
    for number in 0..count {
        let ip = Ipv4Addr::from(u32::from(*first.ip()) + number);
        let fd = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        match connect(&fd, &SocketAddr::new(ip.into(), first.port())) {
            Ok(()) => {}
            Err(Errno::CONNREFUSED) => refused += 1,
            Err(errno) => return Err(errno),
        }
    }
    Ok(refused)
}

/// Answers `count` times over each.
pub fn serve(tcp: BorrowedFd<'_>, udp: BorrowedFd<'_>, count: usize) -> Result<usize, Errno> {
    for _ in 0..count {
        let mut question = [0; LENGTHS];
        let (fd, _peer) = acceptfrom(tcp)?;
        recv(&fd, &mut question, RecvFlags::empty())?;
        send(&fd, ANSWER, SendFlags::NOSIGNAL)?;
        let (_received, _, from) = recvfrom(udp, &mut question, RecvFlags::empty())?;
        let from = from.ok_or(Errno::INVAL)?;
        sendto(udp, ANSWER, SendFlags::empty(), &from)?;
    }
    Ok(count)
}

const fn family(to: SocketAddr) -> AddressFamily {
    match to {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    }
}
