// SPDX-License-Identifier: MIT OR Apache-2.0
//! The system calls that libbpf-rs and rustix have no safe form of: links with flags, pins of
//! any descriptor, object information and the XDP query; the interface ioctls are below.
//!
//! With [`ioctl`] the only file with `unsafe` in it besides the generated skeleton. Each
//! function is one call, takes and returns owned values, and decides nothing.

use std::ffi::{CString, c_char, c_int};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr::NonNull;

use ibsr_proto::abi::XdpMode;

mod cgroup;
mod ioctl;
pub use cgroup::{link_cgroup, object_btf, walk};
pub use ioctl::{driver, flags, ioctl_socket, is_lro_on, mtu, rx_queues};

/// What the kernel says about a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkInfo {
    /// Number of the link.
    pub id: u32,
    /// Number of the program that it attaches.
    pub prog_id: u32,
    /// Whether it attaches to XDP at all.
    pub is_xdp: bool,
    /// Interface index; 0 when the interface was deleted.
    pub ifindex: u32,
    /// Id of the cgroup of a link to one, 0 when it was deleted; `None` for other links.
    pub cgroup_id: Option<u64>,
}

/// What the kernel says about a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgInfo {
    /// Number of the program.
    pub id: u32,
    /// Name, at most 15 bytes.
    pub name: String,
    /// First 8 bytes of the kernel's own hash over the instructions.
    pub tag: [u8; 8],
    /// Whether it is an XDP program.
    pub is_xdp: bool,
}

/// What the kernel says about a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapInfo {
    /// Number of the map.
    pub id: u32,
    /// Name, at most 15 bytes.
    pub name: String,
    /// Size of a key in bytes.
    pub key_size: u32,
    /// Size of a value in bytes.
    pub value_size: u32,
    /// Capacity.
    pub max_entries: u32,
}

/// Programs on an interface and what its driver can do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct XdpState {
    /// Program in the driver; 0 for none.
    pub native_id: u32,
    /// Program in the core; 0 for none.
    pub generic_id: u32,
    /// Program in the hardware; 0 for none.
    pub offload_id: u32,
    /// Bits of `enum netdev_xdp_act`; 0 when the kernel does not say (before 6.3).
    pub features: u64,
}

/// `libbpf` ends every failed call with -errno as the result.
fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(result) }
}

fn owned(result: c_int) -> io::Result<OwnedFd> {
    // SAFETY: a result that is not negative is a new descriptor that nobody else owns.
    check(result).map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

fn c_path(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

fn size_of_u32<T>() -> u32 {
    u32::try_from(size_of::<T>()).expect("no ABI struct is that large")
}

fn text(name: &[c_char]) -> String {
    let bytes: Vec<u8> =
        name.iter().map(|&byte| byte.to_ne_bytes()[0]).take_while(|&byte| byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Creates the maps of an opened object and relocates its instructions, without loading them.
///
/// # Errors
/// Whatever the kernel said first.
pub fn prepare(object: NonNull<libbpf_sys::bpf_object>) -> io::Result<()> {
    // SAFETY: the pointer comes from a live `OpenObject`, which is not used during the call.
    check(unsafe { libbpf_sys::bpf_object__prepare(object.as_ptr()) }).map(drop)
}

/// Lets only `prog`, as its instructions are when the maps are made, ever use `map`.
///
/// # Errors
/// When the map exists already or belongs to another object.
pub fn set_exclusive(
    map: NonNull<libbpf_sys::bpf_map>,
    prog: NonNull<libbpf_sys::bpf_program>,
) -> io::Result<()> {
    // SAFETY: both pointers come from one live `OpenObject`, which is not used during the call.
    check(unsafe { libbpf_sys::bpf_map__set_exclusive_program(map.as_ptr(), prog.as_ptr()) })
        .map(drop)
}

/// Makes a map that only a program with a digest of zeroes could use (Linux 6.18).
///
/// # Errors
/// E2BIG or EINVAL where the kernel does not know exclusive maps.
pub fn probe_exclusive() -> io::Result<()> {
    let digest = [0u8; 32];
    let opts = libbpf_sys::bpf_map_create_opts {
        sz: size_of::<libbpf_sys::bpf_map_create_opts>() as libbpf_sys::size_t,
        excl_prog_hash: digest.as_ptr().cast(),
        excl_prog_hash_size: 32,
        ..Default::default()
    };
    // SAFETY: name, digest and options live until the call returns.
    owned(unsafe {
        libbpf_sys::bpf_map_create(
            libbpf_sys::BPF_MAP_TYPE_ARRAY,
            c"ibsr_probe".as_ptr(),
            4,
            4,
            1,
            &raw const opts,
        )
    })
    .map(drop)
}

/// Attaches an XDP program to an interface.
///
/// # Errors
/// EBUSY when a program is there; the driver's own error otherwise.
pub fn link_xdp(prog: BorrowedFd<'_>, ifindex: u32, mode: XdpMode) -> io::Result<OwnedFd> {
    let flags = match mode {
        XdpMode::Native => libbpf_sys::XDP_FLAGS_DRV_MODE,
        XdpMode::Generic => libbpf_sys::XDP_FLAGS_SKB_MODE,
    };
    let opts = libbpf_sys::bpf_link_create_opts {
        sz: size_of::<libbpf_sys::bpf_link_create_opts>() as libbpf_sys::size_t,
        flags,
        ..Default::default()
    };
    let ifindex = c_int::try_from(ifindex).map_err(io::Error::other)?;
    // SAFETY: both descriptors are open and `opts` lives until the call returns.
    owned(unsafe {
        libbpf_sys::bpf_link_create(prog.as_raw_fd(), ifindex, libbpf_sys::BPF_XDP, &raw const opts)
    })
}

/// Replaces the program of a link between two packets.
///
/// # Errors
/// When the kernel refuses, for example because the interface is gone (ENOLINK).
pub fn update_link(link: BorrowedFd<'_>, prog: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: both descriptors are open; a null pointer means no options.
    check(unsafe {
        libbpf_sys::bpf_link_update(link.as_raw_fd(), prog.as_raw_fd(), std::ptr::null())
    })
    .map(drop)
}

/// Takes the program off its hook now. Closing the last descriptor does so too, but later,
/// from a work queue.
///
/// # Errors
/// When the descriptor is not a link.
pub fn detach_link(link: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the descriptor is open.
    check(unsafe { libbpf_sys::bpf_link_detach(link.as_raw_fd()) }).map(drop)
}

/// Pins any BPF object.
///
/// # Errors
/// When the path is taken or not on bpffs.
pub fn pin(fd: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = c_path(path)?;
    // SAFETY: the descriptor is open and the path ends in a zero byte.
    check(unsafe { libbpf_sys::bpf_obj_pin(fd.as_raw_fd(), path.as_ptr()) }).map(drop)
}

/// Opens any pin, for reading only where `read_only` (maps; links and programs refuse it).
///
/// # Errors
/// When the pin is missing or its mode does not allow it.
pub fn open_pin(path: &Path, read_only: bool) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    let opts = libbpf_sys::bpf_obj_get_opts {
        sz: size_of::<libbpf_sys::bpf_obj_get_opts>() as libbpf_sys::size_t,
        file_flags: if read_only { libbpf_sys::BPF_F_RDONLY } else { 0 },
        ..Default::default()
    };
    // SAFETY: the path ends in a zero byte and `opts` lives until the call returns.
    owned(unsafe { libbpf_sys::bpf_obj_get_opts(path.as_ptr(), &raw const opts) })
}

/// Refuses every later write from user space; the program keeps writing.
///
/// # Errors
/// When the kernel cannot freeze this type of map.
pub fn freeze(map: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the descriptor is open.
    check(unsafe { libbpf_sys::bpf_map_freeze(map.as_raw_fd()) }).map(drop)
}

/// Describes a link.
///
/// # Errors
/// When the descriptor is not a link.
pub fn link_info(link: BorrowedFd<'_>) -> io::Result<LinkInfo> {
    let mut info = libbpf_sys::bpf_link_info::default();
    let mut len = size_of_u32::<libbpf_sys::bpf_link_info>();
    // SAFETY: the kernel writes at most `len` bytes, which is the size of `info`.
    check(unsafe {
        libbpf_sys::bpf_link_get_info_by_fd(link.as_raw_fd(), &raw mut info, &raw mut len)
    })?;
    let is_xdp = info.type_ == libbpf_sys::BPF_LINK_TYPE_XDP;
    // SAFETY: every member of the union is plain integers, and `type_` says which one it is.
    let ifindex = if is_xdp { unsafe { info.__bindgen_anon_1.xdp.ifindex } } else { 0 };
    let is_cgroup = info.type_ == libbpf_sys::BPF_LINK_TYPE_CGROUP;
    // SAFETY: the same.
    let cgroup_id = unsafe { info.__bindgen_anon_1.cgroup.cgroup_id };
    let cgroup_id = is_cgroup.then_some(cgroup_id);
    Ok(LinkInfo { id: info.id, prog_id: info.prog_id, is_xdp, ifindex, cgroup_id })
}

/// Describes a program.
///
/// # Errors
/// When the descriptor is not a program.
pub fn prog_info(prog: BorrowedFd<'_>) -> io::Result<ProgInfo> {
    let mut info = libbpf_sys::bpf_prog_info::default();
    let mut len = size_of_u32::<libbpf_sys::bpf_prog_info>();
    // SAFETY: the kernel writes at most `len` bytes, and no array is asked for.
    check(unsafe {
        libbpf_sys::bpf_prog_get_info_by_fd(prog.as_raw_fd(), &raw mut info, &raw mut len)
    })?;
    let is_xdp = info.type_ == libbpf_sys::BPF_PROG_TYPE_XDP;
    Ok(ProgInfo { id: info.id, name: text(&info.name), tag: info.tag, is_xdp })
}

/// Describes a map.
///
/// # Errors
/// When the descriptor is not a map.
pub fn map_info(map: BorrowedFd<'_>) -> io::Result<MapInfo> {
    let mut info = libbpf_sys::bpf_map_info::default();
    let mut len = size_of_u32::<libbpf_sys::bpf_map_info>();
    // SAFETY: the kernel writes at most `len` bytes, and no array is asked for.
    check(unsafe {
        libbpf_sys::bpf_map_get_info_by_fd(map.as_raw_fd(), &raw mut info, &raw mut len)
    })?;
    Ok(MapInfo {
        id: info.id,
        name: text(&info.name),
        key_size: info.key_size,
        value_size: info.value_size,
        max_entries: info.max_entries,
    })
}

/// Opens a program by its number. Needs CAP_SYS_ADMIN.
///
/// # Errors
/// EPERM without that capability, ENOENT when the program is gone.
pub fn prog_by_id(id: u32) -> io::Result<OwnedFd> {
    // SAFETY: a call by value.
    owned(unsafe { libbpf_sys::bpf_prog_get_fd_by_id(id) })
}

/// Asks netlink which XDP programs an interface has. Needs no capability.
///
/// # Errors
/// When the interface is gone or netlink sockets are not allowed.
pub fn query_xdp(ifindex: u32) -> io::Result<XdpState> {
    let mut opts = libbpf_sys::bpf_xdp_query_opts {
        sz: size_of::<libbpf_sys::bpf_xdp_query_opts>() as libbpf_sys::size_t,
        ..Default::default()
    };
    let ifindex = c_int::try_from(ifindex).map_err(io::Error::other)?;
    // SAFETY: `opts` lives until the call returns and says its own size.
    check(unsafe { libbpf_sys::bpf_xdp_query(ifindex, 0, &raw mut opts) })?;
    Ok(XdpState {
        native_id: opts.drv_prog_id,
        generic_id: opts.skb_prog_id,
        offload_id: opts.hw_prog_id,
        features: opts.feature_flags,
    })
}

/// Loads `r0 = XDP_PASS; exit` with the flag that multi-buffer programs need (Linux 5.18).
///
/// # Errors
/// EPERM without CAP_BPF and CAP_NET_ADMIN, EINVAL where the flag is unknown.
pub fn probe_frags() -> io::Result<()> {
    const MOV64_IMM: u8 = 0xb7;
    const EXIT: u8 = 0x95;
    let insn = |code, imm| libbpf_sys::bpf_insn { code, imm, ..Default::default() };
    let insns = [insn(MOV64_IMM, 2), insn(EXIT, 0)];
    let mut opts = libbpf_sys::bpf_prog_load_opts {
        sz: size_of::<libbpf_sys::bpf_prog_load_opts>() as libbpf_sys::size_t,
        prog_flags: libbpf_sys::BPF_F_XDP_HAS_FRAGS,
        ..Default::default()
    };
    // SAFETY: name, licence, instructions and options live until the call returns.
    owned(unsafe {
        libbpf_sys::bpf_prog_load(
            libbpf_sys::BPF_PROG_TYPE_XDP,
            c"ibsr_probe".as_ptr(),
            c"Dual BSD/GPL".as_ptr(),
            insns.as_ptr(),
            insns.len() as libbpf_sys::size_t,
            &raw mut opts,
        )
    })
    .map(drop)
}
