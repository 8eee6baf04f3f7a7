// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an actor can be told about DNS: bytes as hexadecimal digits, and the C library's own
//! resolver.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send, sendto, sockopt};

use crate::verbs::Actor;
use crate::{Answer, fds};

/// Longest datagram.
const MAX_BYTES: usize = 65_536;

fn ok(text: impl ToString) -> Result<Answer, Errno> {
    Ok(Answer::Ok(text.to_string()))
}

fn bytes(hex: &str) -> Result<Vec<u8>, Errno> {
    let digits = |at: usize| hex.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
    (0..hex.len()).step_by(2).map(|at| digits(at).ok_or(Errno::INVAL)).collect()
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, Errno> {
    text.parse().map_err(|_wrong| Errno::INVAL)
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::HOSTUNREACH)
}

/// Does what a line says.
pub fn act(actor: &Actor, words: &[&str]) -> Result<Answer, Errno> {
    match *words {
        ["say", name, hex] => ok(send(actor.fd(name)?, &bytes(hex)?, SendFlags::empty())?),
        ["sayto", name, to, hex] => {
            let to: SocketAddr = to.parse().map_err(|_wrong| Errno::INVAL)?;
            ok(sendto(actor.fd(name)?, &bytes(hex)?, SendFlags::empty(), &to)?)
        }
        ["frame", interface, hex] => ok(fds::send_frame(interface, &bytes(hex)?)?),
        ["nodelay", name] => sockopt::set_tcp_nodelay(actor.fd(name)?, true).and(ok("")),
        ["hear", name] => ok(hear(actor.fd(name)?)?),
        ["ask", name, hex, count] => {
            let question = bytes(hex)?;
            for _ in 0..number::<usize>(count)? {
                send(actor.fd(name)?, &question, SendFlags::empty())?;
                hear(actor.fd(name)?)?;
            }
            ok(count)
        }
        ["split", name, segment] => option(actor.fd(name)?, libc::UDP_SEGMENT, number(segment)?),
        ["join", name] => option(actor.fd(name)?, libc::UDP_GRO, 1),
        ["resolve", host] => {
            let found = (host, 0).to_socket_addrs().map_err(|error| errno(&error))?;
            let found: Vec<String> = found.map(|at| at.ip().to_string()).collect();
            ok(found.join(","))
        }
        ["race", domain, port, count] => race(domain, number(port)?, number(count)?),
        _ => Err(Errno::NOSYS),
    }
}

/// One datagram.
fn hear(fd: BorrowedFd<'_>) -> Result<usize, Errno> {
    let mut data = vec![0; MAX_BYTES];
    Ok(recv(fd, &mut data[..], RecvFlags::empty())?.0)
}

/// How the kernel splits and joins datagrams.
fn option(fd: BorrowedFd<'_>, name: i32, value: i32) -> Result<Answer, Errno> {
    // SAFETY: the descriptor is open, and the value lives through the call and is as long as
    // stated.
    let code = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_UDP,
            name,
            (&raw const value).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    if code == 0 { ok("") } else { Err(errno(&io::Error::last_os_error())) }
}

/// Resolves `0.domain`, `1.domain`, and so on, and connects to each at once. Answers with the
/// cookies of the connections.
fn race(domain: &str, port: u16, count: usize) -> Result<Answer, Errno> {
    let mut cookies = Vec::new();
    for number in 0..count {
        let host = format!("{number}.{domain}");
        let mut found = (host.as_str(), port).to_socket_addrs().map_err(|error| errno(&error))?;
        let at = found.next().ok_or(Errno::HOSTUNREACH)?;
        let connection = TcpStream::connect(at).map_err(|error| errno(&error))?;
        cookies.push(sockopt::socket_cookie(connection.as_fd())?.to_string());
    }
    ok(cookies.join(","))
}
