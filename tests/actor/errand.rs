// SPDX-License-Identifier: MIT OR Apache-2.0
//! What applications do over and over again: find a service by its name, connect, ask, be
//! answered, close. And the service: it is told in each question how much there is to read and
//! how much to answer.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, connect, socket};

/// Nobody waits longer for an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Two lengths, at the beginning of each question.
const LENGTHS_BYTES: usize = 16;
static CHUNK: [u8; 65_536] = [b'x'; 65_536];

/// What is asked each time.
#[derive(Debug, Clone, Copy)]
pub struct Errand<'a> {
    /// Over UDP, else TCP.
    pub is_udp: bool,
    /// `HOST:PORT`; a name is resolved each time.
    pub to: &'a str,
    /// Length of a question, with the lengths in it.
    pub ask_bytes: usize,
    /// Length of its answer.
    pub answer_bytes: usize,
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// Goes once, and again after each gap; how many connections were answered. The gaps are between
/// the beginnings.
pub fn go(errand: Errand<'_>, gaps_ms: &[u64]) -> Result<usize, Errno> {
    let mut due = Instant::now();
    for gap_ms in [0].iter().chain(gaps_ms) {
        due += Duration::from_millis(*gap_ms);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        once(errand).map_err(|error| errno(&error))?;
    }
    Ok(gaps_ms.len() + 1)
}

fn once(errand: Errand<'_>) -> io::Result<()> {
    let to = errand.to.to_socket_addrs()?.next().ok_or(Errno::HOSTUNREACH)?;
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let kind = if errand.is_udp { SocketType::DGRAM } else { SocketType::STREAM };
    let fd = socket(family, kind, None)?;
    connect(&fd, &to)?;
    if errand.is_udp { once_over_udp(errand, fd.into()) } else { once_over_tcp(errand, fd.into()) }
}

fn lengths(errand: Errand<'_>) -> [u8; LENGTHS_BYTES] {
    let mut lengths = [0; LENGTHS_BYTES];
    lengths[..8].copy_from_slice(&(errand.ask_bytes as u64).to_be_bytes());
    lengths[8..].copy_from_slice(&(errand.answer_bytes as u64).to_be_bytes());
    lengths
}

fn once_over_tcp(errand: Errand<'_>, mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&lengths(errand))?;
    write_some(&mut stream, errand.ask_bytes.saturating_sub(LENGTHS_BYTES))?;
    read_some(&mut stream, errand.answer_bytes)
}

fn once_over_udp(errand: Errand<'_>, socket: UdpSocket) -> io::Result<()> {
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut question = lengths(errand).to_vec();
    question.resize(errand.ask_bytes.max(LENGTHS_BYTES), b'x');
    socket.send(&question)?;
    let received = socket.recv(&mut vec![0; errand.answer_bytes.max(1)])?;
    if received == errand.answer_bytes { Ok(()) } else { Err(Errno::PIPE.into()) }
}

fn write_some(stream: &mut impl Write, bytes: usize) -> io::Result<()> {
    let mut left = bytes;
    while left > 0 {
        let chunk = left.min(CHUNK.len());
        stream.write_all(&CHUNK[..chunk])?;
        left -= chunk;
    }
    Ok(())
}

fn read_some(stream: &mut impl Read, bytes: usize) -> io::Result<()> {
    let (mut left, mut data) = (bytes, vec![0; CHUNK.len()]);
    while left > 0 {
        let chunk = left.min(data.len());
        match stream.read(&mut data[..chunk])? {
            0 => return Err(Errno::PIPE.into()),
            some => left -= some,
        }
    }
    Ok(())
}

/// Answers every connection of a listener from now on, beside whatever else is asked of the
/// process: it must not fork any more.
pub fn answer_tcp(listener: BorrowedFd<'_>) -> Result<(), Errno> {
    let listener = TcpListener::from(own(listener)?);
    thread::spawn(move || {
        while let Ok((mut stream, _from)) = listener.accept() {
            // A client that goes away is its own business.
            thread::spawn(move || answer(&mut stream));
        }
    });
    Ok(())
}

fn answer(stream: &mut TcpStream) -> io::Result<()> {
    let mut lengths = [0; LENGTHS_BYTES];
    stream.read_exact(&mut lengths)?;
    let (ask_bytes, answer_bytes) = parse(&lengths);
    read_some(stream, ask_bytes.saturating_sub(LENGTHS_BYTES))?;
    write_some(stream, answer_bytes)
}

/// Answers every datagram in the same way.
pub fn answer_udp(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    let socket = UdpSocket::from(own(socket)?);
    thread::spawn(move || {
        let mut data = vec![0; CHUNK.len()];
        while let Ok((bytes, from)) = socket.recv_from(&mut data) {
            answer_datagram(&socket, &data[..bytes], from);
        }
    });
    Ok(())
}

fn answer_datagram(socket: &UdpSocket, question: &[u8], to: SocketAddr) {
    let Some(lengths) = question.first_chunk() else { return };
    let (_, answer_bytes) = parse(lengths);
    let _gone = socket.send_to(&CHUNK[..answer_bytes.min(CHUNK.len())], to);
}

fn own(fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    fd.try_clone_to_owned().map_err(|error| errno(&error))
}

fn parse(lengths: &[u8; LENGTHS_BYTES]) -> (usize, usize) {
    let number = |at: usize| {
        let bytes = lengths[at..at + 8].try_into().expect("two numbers of eight bytes");
        u64::from_be_bytes(bytes) as usize
    };
    (number(0), number(8))
}
