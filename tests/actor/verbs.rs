// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an actor can be told to do. Names stand for sockets, addresses are `IP:PORT`.

use std::collections::HashMap;
use std::ffi::CString;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, accept, acceptfrom, bind,
    connect, getpeername, getsockname, ipproto, listen, recv, send, sendto, socket_with, sockopt,
};
use rustix::thread::{CapabilitySet, CapabilitySets, CpuSet, sched_setaffinity, set_capabilities};

use crate::errand::{self, Errand};
use crate::{Answer, dns, fds, load};

/// The sockets of one process.
#[derive(Default)]
pub struct Actor {
    sockets: HashMap<String, OwnedFd>,
    waiting: HashMap<String, UnixListener>,
    /// Connections that nobody waits for.
    begun: Vec<OwnedFd>,
}

fn ok(text: impl ToString) -> Result<Answer, Errno> {
    Ok(Answer::Ok(text.to_string()))
}

fn address(text: &str) -> Result<SocketAddr, Errno> {
    text.parse().map_err(|_wrong| Errno::INVAL)
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, Errno> {
    text.parse().map_err(|_wrong| Errno::INVAL)
}

fn numbers(texts: &[&str]) -> Result<Vec<u64>, Errno> {
    texts.iter().map(|text| number(text)).collect()
}

fn local(fd: BorrowedFd<'_>) -> Result<SocketAddr, Errno> {
    SocketAddr::try_from(getsockname(fd)?)
}

impl Actor {
    /// Does what a line says.
    pub fn act(&mut self, words: &[&str]) -> Result<Answer, Errno> {
        match *words {
            ["socket", name, kind] => self.socket(name, kind),
            ["bind", name, to] => {
                bind(self.fd(name)?, &address(to)?)?;
                ok(local(self.fd(name)?)?)
            }
            ["connect", name, to] => {
                connect(self.fd(name)?, &address(to)?)?;
                ok(local(self.fd(name)?)?)
            }
            ["listen", name] => listen(self.fd(name)?, 64).map(|()| Answer::Ok(String::new())),
            ["accept", name, new] => {
                let (fd, _peer) = acceptfrom(self.fd(name)?)?;
                self.keep(new, fd)
            }
            ["accept-blind", name, new] => {
                let fd = accept(self.fd(name)?)?;
                self.keep(new, fd)
            }
            ["send", name, bytes] => self.send(name, number(bytes)?),
            ["sendto", name, to, bytes] => {
                let data = vec![b'x'; number(bytes)?];
                ok(sendto(self.fd(name)?, &data, SendFlags::empty(), &address(to)?)?)
            }
            ["spray", name, to, ports] => self.spray(name, address(to)?, number(ports)?),
            ["spray-for", name, to, ms] => {
                load::spray_for(self.fd(name)?, address(to)?, number(ms)?).and_then(ok)
            }
            ["duel", name, to, ports, times] => {
                load::duel(self.fd(name)?, address(to)?, number(ports)?, number(times)?)
                    .and_then(ok)
            }
            ["begin", count, to] => {
                self.begun.extend(load::begin(address(to)?, number(count)?)?);
                ok(self.begun.len())
            }
            ["receive", name, bytes] => self.receive(name, number(bytes)?),
            ["reset", name] => {
                let fd = self.sockets.remove(name).ok_or(Errno::BADF)?;
                sockopt::set_socket_linger(&fd, Some(Duration::ZERO))?;
                ok("")
            }
            ["close", name] => self.sockets.remove(name).ok_or(Errno::BADF).and(ok("")),
            _ => self.act_as_process(words),
        }
    }

    fn act_as_process(&mut self, words: &[&str]) -> Result<Answer, Errno> {
        match *words {
            ["local", name] => ok(local(self.fd(name)?)?),
            ["peername", name] => {
                getpeername(self.fd(name)?)?;
                ok("")
            }
            ["netns-cookie", name] => ok(fds::netns_cookie(self.fd(name)?)?),
            ["give", name, path] => fds::give(self.fd(name)?, path).and(ok("")),
            ["wait-at", path] => {
                self.waiting.insert(path.to_owned(), fds::wait_at(path)?);
                ok("")
            }
            ["take", name, path] => {
                let fd = fds::take(self.waiting.get(path).ok_or(Errno::BADF)?)?;
                self.keep(name, fd)
            }
            ["fork"] => match fds::fork_and_wait()? {
                true => ok(std::process::id()),
                false => Ok(Answer::Silent),
            },
            ["comm", name] => {
                let name = CString::new(name).map_err(|_wrong| Errno::INVAL)?;
                rustix::thread::set_name(&name).and(ok(""))
            }
            ["cpu", cpu] => {
                let mut set = CpuSet::new();
                set.set(number(cpu)?);
                sched_setaffinity(None, &set).and(ok(""))
            }
            ["drop-capabilities"] => {
                let none = CapabilitySet::empty();
                let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
                set_capabilities(None, sets).and(ok(""))
            }
            ["uid", uid] => {
                let uid = rustix::process::Uid::from_raw(number(uid)?);
                rustix::thread::set_thread_uid(uid).and(ok(""))
            }
            ["ping", name, count, bytes] => {
                self.exchange(name, number(count)?, number(bytes)?, true)
            }
            ["pong", name, count, bytes] => {
                self.exchange(name, number(count)?, number(bytes)?, false)
            }
            ["rename", name, new] => {
                let fd = self.sockets.remove(name).ok_or(Errno::BADF)?;
                self.keep(new, fd)
            }
            ["load", tcp, udp, count] => {
                load::load(address(tcp)?, address(udp)?, number(count)?).and_then(ok)
            }
            ["beat", kind, to, ref gaps_ms @ ..] => {
                load::beat(kind == "udp4", address(to)?, &numbers(gaps_ms)?).and_then(ok)
            }
            ["errand", kind, to, ask_bytes, answer_bytes, ref gaps_ms @ ..] => {
                let (is_udp, ask_bytes) = (kind == "udp", number(ask_bytes)?);
                let answer_bytes = number(answer_bytes)?;
                let errand = Errand { is_udp, to, ask_bytes, answer_bytes };
                errand::go(errand, &numbers(gaps_ms)?).and_then(ok)
            }
            ["answer-tcp", name] => errand::answer_tcp(self.fd(name)?).and(ok("")),
            ["answer-udp", name] => errand::answer_udp(self.fd(name)?).and(ok("")),
            ["scan", from, count] => load::scan(address(from)?, number(count)?).and_then(ok),
            ["get", http, count] => load::get(address(http)?, number(count)?).and_then(ok),
            ["serve", tcp, udp, count] => {
                load::serve(self.fd(tcp)?, self.fd(udp)?, number(count)?).and_then(ok)
            }
            ["exit"] => Ok(Answer::Exit),
            _ => dns::act(self, words),
        }
    }

    /// The descriptor of a socket.
    pub fn fd(&self, name: &str) -> Result<BorrowedFd<'_>, Errno> {
        self.sockets.get(name).map(|fd| fd.as_fd()).ok_or(Errno::BADF)
    }

    /// Answers with the socket's cookie.
    fn keep(&mut self, name: &str, fd: OwnedFd) -> Result<Answer, Errno> {
        let cookie = sockopt::socket_cookie(&fd)?;
        self.sockets.insert(name.to_owned(), fd);
        ok(cookie)
    }

    fn socket(&mut self, name: &str, kind: &str) -> Result<Answer, Errno> {
        let (family, kind, protocol) = match kind {
            "tcp4" => (AddressFamily::INET, SocketType::STREAM, None),
            "tcp6" => (AddressFamily::INET6, SocketType::STREAM, None),
            "udp4" => (AddressFamily::INET, SocketType::DGRAM, None),
            "udp6" => (AddressFamily::INET6, SocketType::DGRAM, None),
            // The kernel takes what is sent as a whole packet with its IP header.
            "raw4" => (AddressFamily::INET, SocketType::RAW, Some(ipproto::RAW)),
            "raw6" => (AddressFamily::INET6, SocketType::RAW, Some(ipproto::RAW)),
            "icmp4" => (AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP)),
            _ => return Err(Errno::INVAL),
        };
        let fd = socket_with(family, kind, SocketFlags::CLOEXEC, protocol)?;
        self.keep(name, fd)
    }

    fn send(&self, name: &str, bytes: usize) -> Result<Answer, Errno> {
        let data = vec![b'x'; bytes];
        let mut sent = 0;
        while sent < bytes {
            sent += send(self.fd(name)?, &data[sent..], SendFlags::NOSIGNAL)?;
        }
        ok(sent)
    }

    /// So many messages of so many bytes both ways.
    fn exchange(
        &self,
        name: &str,
        count: usize,
        bytes: usize,
        begins: bool,
    ) -> Result<Answer, Errno> {
        let fd = self.fd(name)?;
        let mut data = vec![b'x'; bytes];
        if !begins {
            recv(fd, &mut data[..], RecvFlags::WAITALL)?;
        }
        for left in (0..count).rev() {
            send(fd, &data, SendFlags::NOSIGNAL)?;
            if begins || left > 0 {
                recv(fd, &mut data[..], RecvFlags::WAITALL)?;
            }
        }
        ok(count)
    }

    /// A byte to each of so many ports from that of `to` on.
    fn spray(&self, name: &str, to: SocketAddr, ports: u16) -> Result<Answer, Errno> {
        for port in 0..ports {
            let to = SocketAddr::new(to.ip(), to.port() + port);
            sendto(self.fd(name)?, b"x", SendFlags::empty(), &to)?;
        }
        ok(ports)
    }

    /// Exactly so many bytes, or fewer at the end of the stream.
    fn receive(&self, name: &str, bytes: usize) -> Result<Answer, Errno> {
        let mut data = vec![0; bytes.max(1)];
        let mut received = 0;
        while received < bytes {
            match recv(self.fd(name)?, &mut data[received..], RecvFlags::empty())? {
                (0, _) => break,
                (some, _) => received += some,
            }
        }
        ok(received)
    }
}
