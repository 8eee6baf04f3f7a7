// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames onto a wire through a packet socket, many with one system call.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

/// Frames handed to the kernel at once.
const BATCH: usize = 64;

/// Sends every frame out of `ifname`, an interface of the calling thread's namespace (use it
/// inside [`crate::netns::Namespace::inside`]). Returns how many were sent: all of them, or
/// it panics.
pub fn send_frames(ifname: &str, frames: impl IntoIterator<Item = Vec<u8>>) -> usize {
    let socket = packet_socket(ifname)
        .unwrap_or_else(|error| panic!("failed to open a packet socket on `{ifname}`: {error}"));
    let mut frames = frames.into_iter();
    let mut sent = 0;
    loop {
        let batch: Vec<Vec<u8>> = frames.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            return sent;
        }
        send_batch(&socket, &batch)
            .unwrap_or_else(|error| panic!("failed to send on `{ifname}`: {error}"));
        sent += batch.len();
    }
}

fn packet_socket(ifname: &str) -> io::Result<OwnedFd> {
    let name = CString::new(ifname)?;
    // SAFETY: the name is a C string that outlives the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: no pointer is passed; the result is checked. Protocol 0 receives nothing.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made and is owned by nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: all-zero is a valid address structure.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_ifindex = index.cast_signed();
    // SAFETY: the address lives through the call and its size is passed.
    let bound = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of::<libc::sockaddr_ll>() as u32,
        )
    };
    if bound == 0 { Ok(socket) } else { Err(io::Error::last_os_error()) }
}

fn send_batch(socket: &OwnedFd, batch: &[Vec<u8>]) -> io::Result<()> {
    let mut parts: Vec<libc::iovec> = batch
        .iter()
        .map(|frame| libc::iovec {
            iov_base: frame.as_ptr().cast_mut().cast(),
            iov_len: frame.len(),
        })
        .collect();
    let mut messages: Vec<libc::mmsghdr> = parts
        .iter_mut()
        .map(|part| {
            // SAFETY: all-zero is a valid message header.
            let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
            message.msg_hdr.msg_iov = part;
            message.msg_hdr.msg_iovlen = 1;
            message
        })
        .collect();
    let mut rest = &mut messages[..];
    while !rest.is_empty() {
        // SAFETY: each header points to one part, each part to a frame; all outlive the call,
        // which only reads what they point to.
        let sent =
            unsafe { libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as u32, 0) };
        match usize::try_from(sent) {
            Ok(sent) => rest = &mut rest[sent..],
            Err(_) => wait_for_room(io::Error::last_os_error())?,
        }
    }
    Ok(())
}

/// A full queue empties by itself; everything else is an error.
fn wait_for_room(error: io::Error) -> io::Result<()> {
    match error.raw_os_error() {
        Some(libc::ENOBUFS | libc::EAGAIN | libc::EINTR) => {
            std::thread::yield_now();
            Ok(())
        }
        _ => Err(error),
    }
}
