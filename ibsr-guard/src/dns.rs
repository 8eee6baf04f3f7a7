// SPDX-License-Identifier: MIT OR Apache-2.0
//! The interfaces where queries are judged: attaches the program of each by a tcx link, or by a
//! clsact filter on kernels below 6.6. A link goes with its pin. A filter does not, so its pin
//! is the program's, under a name that says where the filter is.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use ibsr_proto::pins::LINK_PREFIX;
use libbpf_rs::libbpf_sys::{self, bpf_link_create_opts};
use libbpf_rs::query::LinkTypeInfo;
use libbpf_rs::{
    Link, Object, ProgramHandle, ProgramMut, ProgramType, TC_EGRESS, TcHook, TcHookBuilder,
};
use rustix::io::Errno;
use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use tracing::{info, warn};

/// Program of every interface but loopback.
pub const DEVICE: &str = "ibsr_g_query";
/// Program of loopback, where an answer cannot be sent back as if it had arrived.
pub const LOOPBACK: &str = "ibsr_g_query_lo";
/// Starts the pin of a filter's program; index, priority, handle and name follow.
const FILTER: &str = "filter-dns:";
/// The same of the program that a filter is about to have. Whoever dies while it is switched
/// leaves both pins, and the filter is found by one of them.
const NEXT_FILTER: &str = "next-filter-dns:";
/// Of loopback in every namespace, <net/net_namespace.h>.
const LOOPBACK_INDEX: u32 = 1;

/// An interface that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its index in this network namespace.
    pub index: u32,
}

impl Interface {
    /// The program that belongs on it.
    #[must_use]
    pub const fn program(&self) -> &'static str {
        if self.index == LOOPBACK_INDEX { LOOPBACK } else { DEVICE }
    }

    fn link_pin(&self) -> String {
        format!("{LINK_PREFIX}{}-{}", self.program(), self.pin_name())
    }

    /// A name of bpffs has no '.', one of an interface has no ':'.
    fn pin_name(&self) -> String {
        self.name.replace('.', ":")
    }
}

/// Whether a program is for interfaces, and not for a cgroup.
#[must_use]
pub fn is_query(program: &ProgramMut<'_>) -> bool {
    program.prog_type() == ProgramType::SchedCls
}

fn index_of(name: &str) -> io::Result<u32> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
    Ok(name_to_index(&socket, name)?)
}

/// Looks interfaces up in this network namespace. One that is named twice is found once.
///
/// # Errors
/// When one is not there.
pub fn find(names: &[String]) -> Result<Vec<Interface>> {
    let mut found: Vec<Interface> = Vec::new();
    for name in names {
        let index = index_of(name).with_context(|| {
            format!(
                "failed to find interface `{name}`\nhint: `ip link` lists those of this namespace"
            )
        })?;
        if !found.iter().any(|known| known.index == index) {
            found.push(Interface { name: name.clone(), index });
        }
    }
    Ok(found)
}

/// Attaches the program of each interface ahead of others that are there and pins what holds it
/// below `dir`.
///
/// # Errors
/// When the kernel refuses one; what was pinned stays for the caller to remove.
pub fn attach(object: &mut Object, dir: &Path, interfaces: &[Interface]) -> Result<()> {
    for interface in interfaces {
        let Some(program) =
            object.progs_mut().find(|program| program.name() == interface.program())
        else {
            bail!("the guard has no program `{}`", interface.program());
        };
        attach_one(program.as_fd(), dir, interface)
            .with_context(|| format!("failed to attach to interface `{}`", interface.name))?;
        info!(interface = interface.name, "judging queries");
    }
    Ok(())
}

/// Attaches the program of one interface, by a link where the kernel knows that, and pins what
/// holds it below `dir`.
///
/// # Errors
/// When the kernel refuses it; then nothing is left.
pub fn attach_one(program: BorrowedFd<'_>, dir: &Path, interface: &Interface) -> Result<()> {
    match attach_tcx(program, interface) {
        Ok(link) => pin(link.as_fd(), &dir.join(interface.link_pin())),
        // Below 6.6 the kernel does not know the kind of attachment.
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
            attach_clsact(program, dir, interface)
        }
        Err(error) => Err(error.into()),
    }
}

/// Attaches by a link, as the first program; detaches when the last descriptor and pin is gone.
///
/// # Errors
/// What the kernel says; `EINVAL` below 6.6.
#[expect(unsafe_code, reason = "libbpf-rs has no function for it")]
pub fn attach_tcx(program: BorrowedFd<'_>, interface: &Interface) -> io::Result<OwnedFd> {
    let index = i32::try_from(interface.index).map_err(io::Error::other)?;
    let opts = bpf_link_create_opts {
        sz: size_of::<bpf_link_create_opts>() as libbpf_sys::size_t,
        flags: libbpf_sys::BPF_F_BEFORE,
        ..bpf_link_create_opts::default()
    };
    let kind = libbpf_sys::BPF_TCX_EGRESS;
    // SAFETY: the program's descriptor is open, and `opts` lives through the call.
    let link =
        unsafe { libbpf_sys::bpf_link_create(program.as_raw_fd(), index, kind, &raw const opts) };
    if link < 0 {
        return Err(io::Error::from_raw_os_error(-link));
    }
    // SAFETY: the kernel has just made it and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(link) })
}

#[expect(unsafe_code, reason = "libbpf-rs pins what it has opened itself")]
fn pin(object: BorrowedFd<'_>, path: &Path) -> Result<()> {
    let path_c = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the descriptor is open, and the path ends with a zero and lives through the call.
    let code = unsafe { libbpf_sys::bpf_obj_pin(object.as_raw_fd(), path_c.as_ptr()) };
    if code < 0 {
        let error = io::Error::from_raw_os_error(-code);
        return Err(error).with_context(|| format!("failed to pin `{}`", path.display()));
    }
    Ok(())
}

fn hook(program: BorrowedFd<'_>, index: u32) -> Result<TcHook> {
    let mut builder = TcHookBuilder::new(program);
    Ok(builder.ifindex(i32::try_from(index)?).hook(TC_EGRESS))
}

/// Attaches by a filter of clsact and pins the program below `dir`. The kernel gives a priority
/// ahead of the others, and a handle. A qdisc that is there stays as it is.
///
/// # Errors
/// When the kernel refuses it; then no filter is left.
pub fn attach_clsact(program: BorrowedFd<'_>, dir: &Path, interface: &Interface) -> Result<()> {
    let mut hook = hook(program, interface.index)?;
    hook.create().context("failed to make a clsact qdisc")?;
    let mut filter = hook.attach().context("failed to add a filter")?;
    let (priority, handle) = (filter.get_priority(), filter.get_handle());
    let at = format!("{}:{priority}:{handle}:{}", interface.index, interface.pin_name());
    let pinned = pin(program, &dir.join(format!("{FILTER}{at}")));
    if pinned.is_err() {
        filter.detach()?;
    }
    pinned
}

/// Name of the interface that the pin of a link is about.
fn link_of(pin: &str) -> Option<String> {
    let rest = pin.strip_prefix(LINK_PREFIX)?;
    let mut names = [DEVICE, LOOPBACK].into_iter();
    let name = names.find_map(|program| rest.strip_prefix(program)?.strip_prefix('-'))?;
    Some(name.replace(':', "."))
}

/// Where the filter of a pin is: index, priority, handle, name.
fn filter_of(pin: &str) -> Option<(u32, u32, u32, String)> {
    let fields = pin.strip_prefix(FILTER).or_else(|| pin.strip_prefix(NEXT_FILTER))?;
    let mut fields = fields.splitn(4, ':');
    let mut number = || fields.next()?.parse().ok();
    let (index, priority, handle) = (number()?, number()?, number()?);
    Some((index, priority, handle, fields.next()?.replace(':', ".")))
}

/// A hook at the place of a filter. That the filter is that of the pin is known by its program,
/// and not by the name of its interface, which may be another one by now.
fn filter_at(program: BorrowedFd<'_>, index: u32, priority: u32, handle: u32) -> Result<TcHook> {
    let mut hook = hook(program, index)?;
    hook.priority(priority).handle(handle);
    Ok(hook)
}

/// Whether what a pin is about is still on its interface; `true` for a pin that is about none.
///
/// A link says it of any namespace. A filter is only found in the one that it is in.
///
/// # Errors
/// When the link or the program cannot be opened.
pub fn is_there(pin: &Path) -> Result<bool> {
    let what = || format!("failed to look at `{}`", pin.display());
    let name = pin.file_name().unwrap_or_default().to_string_lossy();
    if let Some((index, priority, handle, _)) = filter_of(&name) {
        let program = ProgramHandle::from_pinned_path(pin).with_context(what)?;
        let mut hook = filter_at(program.as_fd(), index, priority, handle)?;
        return Ok(hook.query().ok() == Some(program.id()));
    }
    if link_of(&name).is_none() {
        return Ok(true);
    }
    let link = Link::open(pin).and_then(|link| link.info()).with_context(what)?;
    // The kernel takes a link off an interface that goes, and says index 0 from then on.
    Ok(!matches!(link.info, LinkTypeInfo::Tcx(at) if at.ifindex == 0))
}

/// Removes the filter that a pin in the guard's folder is about; nothing for another pin. A
/// filter that has another program by now is somebody else's and stays.
///
/// # Errors
/// When the program cannot be read or the filter cannot be removed.
pub fn release(pin: &Path) -> Result<()> {
    let name = pin.file_name().unwrap_or_default().to_string_lossy();
    let Some((index, priority, handle, interface)) = filter_of(&name) else { return Ok(()) };
    let program = ProgramHandle::from_pinned_path(pin)
        .with_context(|| format!("failed to open `{}`", pin.display()))?;
    let mut hook = filter_at(program.as_fd(), index, priority, handle)?;
    if hook.query().ok() != Some(program.id()) {
        warn!(interface, priority, handle, "the filter is not in this network namespace any more");
        return Ok(());
    }
    hook.detach().with_context(|| format!("failed to remove the filter of `{interface}`"))
}

/// Puts the programs of `object` behind every filter that the pins in `dir` are about and that
/// is there. Links are not touched: they can be told to change their program.
///
/// # Errors
/// When the kernel refuses one.
pub fn switch(object: &Object, dir: &Path) -> Result<()> {
    for pin in pins(dir)? {
        let name = pin.file_name().unwrap_or_default().to_string_lossy();
        let is_next = name.starts_with(NEXT_FILTER);
        let Some((index, _, _, name)) = filter_of(&name).filter(|_| !is_next) else { continue };
        if !is_there(&pin)? {
            warn!(interface = name, "it is gone: no query is judged there");
            continue;
        }
        let wanted = Interface { name, index }.program();
        let program = object.progs().find(|program| program.name() == wanted);
        let program = program.with_context(|| format!("the guard has no program `{wanted}`"))?;
        switch_filter(program.as_fd(), &pin)
            .with_context(|| format!("failed to switch the filter of `{}`", pin.display()))?;
    }
    Ok(())
}

/// Puts `program` behind the filter that a pin is about, between two packets.
///
/// # Errors
/// When the pin is about none, or the kernel refuses.
pub fn switch_filter(program: BorrowedFd<'_>, pin_path: &Path) -> Result<()> {
    let name = pin_path.file_name().unwrap_or_default().to_string_lossy();
    let (index, priority, handle, _) = filter_of(&name).context("it is no pin of a filter")?;
    let next = pin_path.with_file_name(format!("next-{name}"));
    // Of one that died here.
    let _absent = fs::remove_file(&next);
    pin(program, &next)?;
    let mut hook = hook(program, index)?;
    hook.priority(priority).handle(handle).replace(true).attach()?;
    fs::rename(&next, pin_path).context("failed to replace the pin")
}

fn pins(dir: &Path) -> Result<Vec<PathBuf>> {
    let list = || fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>();
    list().with_context(|| format!("failed to list `{}`", dir.display()))
}

/// The interfaces that the pins in a folder are about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attached {
    /// Names of those where queries are judged, sorted.
    pub there: Vec<String>,
    /// Names of those that were deleted since, sorted. Another one may have such a name by now.
    pub gone: Vec<String>,
}

/// Says where queries are judged, by the pins in `dir`.
///
/// # Errors
/// When `dir` cannot be listed or a pin not be opened.
pub fn attached(dir: &Path) -> Result<Attached> {
    let (mut there, mut gone) = (BTreeSet::new(), BTreeSet::new());
    for pin in pins(dir)? {
        let name = pin.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let interface = link_of(&name).or_else(|| Some(filter_of(&name)?.3));
        let Some(interface) = interface else { continue };
        if is_there(&pin)? { &mut there } else { &mut gone }.insert(interface);
    }
    // Of a filter that was being switched two pins are left, and one of them is right.
    let gone = gone.difference(&there).cloned().collect();
    Ok(Attached { there: there.into_iter().collect(), gone })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pin_of_a_filter_says_where_it_is() {
        let interface = Interface { name: "eth0.100".into(), index: 7 };
        let pin = format!("{FILTER}7:49152:1:{}", interface.pin_name());
        assert!(!pin.contains('.'), "bpffs refuses it");
        assert_eq!(filter_of(&pin), Some((7, 49_152, 1, "eth0.100".into())));
        let link = interface.link_pin();
        assert_eq!((link_of(&link), filter_of(&link)), (Some("eth0.100".into()), None));
        assert_eq!(link_of(&pin), None);
        assert_eq!(link_of("link-ibsr_g_egress"), None);
        assert_eq!(link_of("link-ibsr_g_query_lo-lo"), Some("lo".into()));
        assert_eq!(filter_of("filter-dns:7:1"), None);
    }

    #[test]
    fn loopback_has_a_program_of_its_own() {
        let found = find(&["lo".into(), "lo".into()]).expect("every namespace has it");
        assert_eq!(found, [Interface { name: "lo".into(), index: 1 }]);
        assert_eq!(found[0].program(), LOOPBACK);
        assert_eq!(Interface { name: "eth0".into(), index: 2 }.program(), DEVICE);
        let error = find(&["no.such".into()]).expect_err("it is not there");
        assert!(error.to_string().contains("`no.such`\nhint: "), "{error}");
    }
}
