// SPDX-License-Identifier: MIT OR Apache-2.0
//! What only the cgroup sensor asks of the kernel.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

use libbpf_rs::ProgramAttachType;
use libbpf_rs::btf::Btf;

use super::owned;

/// Attaches a program to a hook of a cgroup, beside those that others attached.
///
/// # Errors
/// EPERM when another program has the hook for itself here or above, E2BIG when 64 are there.
pub fn link_cgroup(
    prog: BorrowedFd<'_>,
    cgroup: BorrowedFd<'_>,
    hook: ProgramAttachType,
) -> io::Result<OwnedFd> {
    // SAFETY: both descriptors are open; a null pointer means no options.
    owned(unsafe {
        libbpf_sys::bpf_link_create(
            prog.as_raw_fd(),
            cgroup.as_raw_fd(),
            hook as libbpf_sys::bpf_attach_type,
            std::ptr::null(),
        )
    })
}

/// Runs an iterator program over everything that it walks, once.
///
/// # Errors
/// When the kernel does not make the iterator or ends it early.
pub fn walk(prog: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the descriptor is open; a null pointer means no options.
    let link = owned(unsafe {
        libbpf_sys::bpf_link_create(
            prog.as_raw_fd(),
            0,
            libbpf_sys::BPF_TRACE_ITER,
            std::ptr::null(),
        )
    })?;
    // SAFETY: the descriptor is open.
    let files = owned(unsafe { libbpf_sys::bpf_iter_create(link.as_raw_fd()) })?;
    let mut said = Vec::new();
    File::from(files).read_to_end(&mut said).map(drop)
}

/// The types of an opened object.
///
/// # Errors
/// When it has none.
pub fn object_btf<'a>(object: NonNull<libbpf_sys::bpf_object>) -> anyhow::Result<Btf<'a>> {
    // SAFETY: the pointer comes from a live `OpenObject`, which outlives the answer.
    let btf = unsafe { Btf::from_bpf_object(object.as_ref())? };
    btf.ok_or_else(|| anyhow::anyhow!("the embedded object has no types"))
}
