// SPDX-License-Identifier: MIT OR Apache-2.0
//! Descriptors: standard input without a buffer, sockets passed over a Unix socket, and the
//! cookie of the network namespace and whole frames, which have no safe wrapper.

use std::ffi::CString;
use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Standard input as a file of its own.
pub fn stdin() -> Option<File> {
    std::io::stdin().as_fd().try_clone_to_owned().ok().map(File::from)
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// Passes `fd` to whoever waits at `path`.
pub fn give(fd: BorrowedFd<'_>, path: &str) -> Result<(), Errno> {
    let stream = UnixStream::connect(path).map_err(|error| errno(&error))?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [fd];
    if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(Errno::NOBUFS);
    }
    sendmsg(&stream, &[IoSlice::new(b"x")], &mut control, SendFlags::empty()).map(|_sent| ())
}

/// A listening place for [`take`].
pub fn wait_at(path: &str) -> Result<UnixListener, Errno> {
    UnixListener::bind(path).map_err(|error| errno(&error))
}

/// Takes one socket that is passed at `listener`.
pub fn take(listener: &UnixListener) -> Result<OwnedFd, Errno> {
    let (stream, _from) = listener.accept().map_err(|error| errno(&error))?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(&stream, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::empty())?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(mut fds) = message {
            return fds.next().ok_or(Errno::BADF);
        }
    }
    Err(Errno::BADF)
}

/// `SO_NETNS_COOKIE`.
pub fn netns_cookie(fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    let mut cookie = 0_u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the value and its length outlive the call and have the sizes that are stated.
    let code = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    if code == 0 { Ok(cookie) } else { Err(errno(&std::io::Error::last_os_error())) }
}

/// Sends a whole frame on an interface, past everything that sockets of IP go through.
pub fn send_frame(interface: &str, frame: &[u8]) -> Result<usize, Errno> {
    let name = CString::new(interface).map_err(|_wrong| Errno::INVAL)?;
    // SAFETY: the name is a string that outlives the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    // SAFETY: no pointer is passed.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0) };
    if index == 0 || fd < 0 {
        return Err(errno(&std::io::Error::last_os_error()));
    }
    // SAFETY: it was just opened and is nobody else's.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: all bytes zero is a good value of it.
    let mut at: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    at.sll_family = libc::AF_PACKET as u16;
    at.sll_ifindex = i32::try_from(index).map_err(|_wrong| Errno::INVAL)?;
    // SAFETY: the frame and the address outlive the call and have the sizes that are stated.
    let sent = unsafe {
        libc::sendto(
            fd.as_raw_fd(),
            frame.as_ptr().cast(),
            frame.len(),
            0,
            (&raw const at).cast(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    usize::try_from(sent).map_err(|_negative| errno(&std::io::Error::last_os_error()))
}

/// Splits the process; whether this is the child. The parent comes back when the child ended.
pub fn fork_and_wait() -> Result<bool, Errno> {
    // SAFETY: this program has one thread, so the child may do whatever its parent may.
    match unsafe { libc::fork() } {
        -1 => Err(errno(&std::io::Error::last_os_error())),
        0 => Ok(true),
        child => {
            let pid = rustix::process::Pid::from_raw(child);
            rustix::process::waitpid(pid, rustix::process::WaitOptions::empty())?;
            Ok(false)
        }
    }
}
