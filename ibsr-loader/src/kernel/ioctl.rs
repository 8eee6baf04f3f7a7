// SPDX-License-Identifier: MIT OR Apache-2.0
//! Interface ioctls: MTU, flags and what ethtool asks. Each takes a name and returns owned
//! values.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::net::{AddressFamily, SocketType, socket};

/// `struct ifreq` with the members that are asked for here.
#[repr(C)]
struct IfRequest {
    name: [u8; libc::IFNAMSIZ],
    value: IfValue,
}

#[repr(C)]
union IfValue {
    number: c_int,
    flags: i16,
    pointer: *mut libc::c_void,
    /// The kernel copies the whole struct, whose union is as long as `struct ifmap`.
    _size: [u64; 3],
}

/// Any socket takes interface ioctls. Netlink is the one family that the unit allows.
///
/// # Errors
/// When not even that one is allowed.
pub fn ioctl_socket() -> io::Result<OwnedFd> {
    Ok(socket(AddressFamily::NETLINK, SocketType::DGRAM, None)?)
}

fn interface_ioctl(request: libc::Ioctl, ifname: &str, value: IfValue) -> io::Result<IfValue> {
    let mut ifreq = IfRequest { name: [0; libc::IFNAMSIZ], value };
    if ifname.len() >= libc::IFNAMSIZ {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    ifreq.name[..ifname.len()].copy_from_slice(ifname.as_bytes());
    let socket = ioctl_socket()?;
    // SAFETY: `ifreq` is as large as the kernel's struct; a pointer in it was made from a
    // live exclusive borrow by the caller.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), request, &raw mut ifreq) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(ifreq.value) }
}

/// MTU of an interface in bytes.
///
/// # Errors
/// ENODEV when the interface is gone.
pub fn mtu(ifname: &str) -> io::Result<u32> {
    let value = interface_ioctl(libc::SIOCGIFMTU as _, ifname, IfValue { _size: [0; 3] })?;
    // SAFETY: SIOCGIFMTU fills the number.
    u32::try_from(unsafe { value.number }).map_err(io::Error::other)
}

/// `IFF_*` flags of an interface.
///
/// # Errors
/// ENODEV when the interface is gone.
pub fn flags(ifname: &str) -> io::Result<c_int> {
    let value = interface_ioctl(libc::SIOCGIFFLAGS as _, ifname, IfValue { _size: [0; 3] })?;
    // SAFETY: SIOCGIFFLAGS fills the flags.
    Ok(c_int::from(unsafe { value.flags }))
}

/// Runs an ethtool command. The buffer is as long as the command's struct in
/// `<linux/ethtool.h>`; its first word is the command.
fn ethtool<const WORDS: usize>(ifname: &str, command: u32) -> io::Result<[u32; WORDS]> {
    const SIOCETHTOOL: libc::Ioctl = 0x8946;
    let mut buffer = [0; WORDS];
    buffer[0] = command;
    let pointer = buffer.as_mut_ptr().cast();
    interface_ioctl(SIOCETHTOOL, ifname, IfValue { pointer })?;
    Ok(buffer)
}

/// Name of the driver.
///
/// # Errors
/// EOPNOTSUPP when the driver does not say.
pub fn driver(ifname: &str) -> io::Result<String> {
    const ETHTOOL_GDRVINFO: u32 = 3;
    // struct ethtool_drvinfo: 196 bytes, `driver` is the 32 bytes after the command.
    let info = ethtool::<49>(ifname, ETHTOOL_GDRVINFO)?;
    let bytes: Vec<u8> =
        info[1..9].iter().flat_map(|word| word.to_ne_bytes()).take_while(|&b| b != 0).collect();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether large receive offload is on.
///
/// # Errors
/// EOPNOTSUPP when the driver does not say.
pub fn is_lro_on(ifname: &str) -> io::Result<bool> {
    const ETHTOOL_GFLAGS: u32 = 0x25;
    const ETH_FLAG_LRO: u32 = 1 << 15;
    // struct ethtool_value: command, data.
    Ok(ethtool::<2>(ifname, ETHTOOL_GFLAGS)?[1] & ETH_FLAG_LRO != 0)
}

/// Receive queues: those of their own and those combined with a send queue.
///
/// # Errors
/// EOPNOTSUPP when the driver does not say.
pub fn rx_queues(ifname: &str) -> io::Result<u32> {
    const ETHTOOL_GCHANNELS: u32 = 0x3c;
    // struct ethtool_channels: command, 4 limits, then rx, tx, other, combined.
    let channels = ethtool::<9>(ifname, ETHTOOL_GCHANNELS)?;
    Ok(channels[5] + channels[8])
}
