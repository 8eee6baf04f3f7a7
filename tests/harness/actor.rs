// SPDX-License-Identifier: MIT OR Apache-2.0
//! A process of the test's own, in a cgroup, that does with sockets what it is told.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use ibsr_proto::cgroup_abi::Owner;

use crate::cgroup::Cgroup;
use crate::netns::Namespace;
use crate::process::{Running, program};

/// An actor; ended on drop.
#[derive(Debug)]
pub struct Actor {
    pid: u32,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    _process: Running,
}

/// For `sh -c`: enters the cgroup whose `cgroup.procs` is the first argument, then becomes the
/// rest.
pub const ENTER: &str = r#"echo $$ > "$0" && exec "$@""#;

impl Actor {
    /// Starts one in `cgroup`, in the test's own network namespace.
    #[must_use]
    pub fn start(cgroup: &Cgroup) -> Self {
        Self::become_one(Command::new("sh"), cgroup)
    }

    /// Starts one in `cgroup` and `namespace`.
    #[must_use]
    pub fn start_in(cgroup: &Cgroup, namespace: &Namespace) -> Self {
        Self::become_one(namespace.command("sh"), cgroup)
    }

    /// Starts one in `cgroup` and `namespace` for which `etc` is `/etc`.
    #[must_use]
    pub fn start_with_etc(cgroup: &Cgroup, namespace: &Namespace, etc: &Path) -> Self {
        Self::start_copy(&program("ibsr-actor"), cgroup, namespace, etc)
    }

    /// The same with a copy of the actor: another application, under the copy's name.
    #[must_use]
    pub fn start_copy(copy: &Path, cgroup: &Cgroup, namespace: &Namespace, etc: &Path) -> Self {
        let mut command = namespace.command("unshare");
        command.args(["--mount", "sh", "-c", r#"mount --bind "$0" /etc && exec sh "$@""#]).arg(etc);
        Self::become_copy(copy, command, cgroup)
    }

    fn become_one(command: Command, cgroup: &Cgroup) -> Self {
        Self::become_copy(&program("ibsr-actor"), command, cgroup)
    }

    fn become_copy(copy: &Path, mut command: Command, cgroup: &Cgroup) -> Self {
        command.args(["-c", ENTER]).arg(cgroup.path().join("cgroup.procs"));
        command.arg(copy).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Running::start(&mut command);
        let input = process.child().stdin.take().expect("it is a pipe");
        let output = BufReader::new(process.child().stdout.take().expect("it is a pipe"));
        let mut actor = Self { pid: process.pid(), input, output, _process: process };
        // An answer means that it is in the cgroup and has become the actor.
        assert_eq!(actor.ask("no such verb"), Err(libc::ENOSYS));
        actor
    }

    /// Its process id.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Says a line without waiting for the answer.
    pub fn tell(&mut self, line: &str) {
        self.input.write_all(format!("{line}\n").as_bytes()).expect("the actor reads");
    }

    /// The next answer: its text, or an errno.
    ///
    /// # Errors
    /// The errno that the actor met.
    pub fn answer(&mut self) -> Result<String, i32> {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the actor answers in text");
        match line.trim_end_matches('\n').split_once(' ') {
            Some(("ok", text)) => Ok(text.to_owned()),
            Some(("err", errno)) => Err(errno.parse().expect("a number")),
            _ => panic!("the actor ended or said {line:?}"),
        }
    }

    /// Says a line and waits for the answer.
    ///
    /// # Errors
    /// The errno that the actor met.
    pub fn ask(&mut self, line: &str) -> Result<String, i32> {
        self.tell(line);
        self.answer()
    }

    /// Says a line that must succeed.
    #[track_caller]
    pub fn act(&mut self, line: &str) -> String {
        self.ask(line).unwrap_or_else(|errno| panic!("`{line}` failed with errno {errno}"))
    }

    /// Makes a socket; its cookie.
    #[track_caller]
    pub fn socket(&mut self, name: &str, kind: &str) -> u64 {
        self.act(&format!("socket {name} {kind}")).parse().expect("a cookie")
    }

    /// Says a line that is answered with an address.
    #[track_caller]
    pub fn address(&mut self, line: &str) -> SocketAddr {
        self.act(line).parse().expect("an address")
    }

    /// Says a line that is answered with a cookie or a count.
    #[track_caller]
    pub fn number(&mut self, line: &str) -> u64 {
        self.act(line).parse().expect("a number")
    }
}

/// What `/proc` says of a process, as the sensor should say it. Times are left at zero, and so
/// is what only the kernel knows.
#[must_use]
pub fn described(pid: u32) -> Owner {
    let status = Status::of(pid);
    let exe = fs::metadata(format!("/proc/{pid}/exe")).expect("the process runs");
    let parent = status.number("PPid:", 10) as u32;
    let (major, minor) = (libc::major(exe.dev()), libc::minor(exe.dev()));
    Owner {
        capabilities: status.number("CapEff:", 16),
        exe_inode: exe.ino(),
        exe_device: major << 20 | minor,
        tgid: pid,
        uid: status.number("Uid:", 10) as u32,
        euid: status.field("Uid:", 1).parse().expect("a number"),
        parent_tgid: parent,
        comm: comm(pid),
        parent_comm: comm(parent),
        ..Owner::default()
    }
}

/// Start of a process in hundredths of a second since boot: `/proc/PID/stat`, field 22.
#[must_use]
pub fn start_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    let behind_comm = stat.rsplit_once(')').expect("the name is in brackets").1;
    behind_comm.split_whitespace().nth(19).and_then(|text| text.parse().ok()).expect("a number")
}

fn comm(pid: u32) -> [u8; 16] {
    let text = fs::read(format!("/proc/{pid}/comm")).expect("the process runs");
    let mut comm = [0; 16];
    let name = text.strip_suffix(b"\n").expect("a line");
    comm[..name.len()].copy_from_slice(name);
    comm
}

struct Status(String);

impl Status {
    fn of(pid: u32) -> Self {
        Self(fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs"))
    }

    fn field(&self, key: &str, number: usize) -> &str {
        let line = self.0.lines().find_map(|line| line.strip_prefix(key)).expect("a known field");
        line.split_whitespace().nth(number).expect("enough words")
    }

    fn number(&self, key: &str, radix: u32) -> u64 {
        u64::from_str_radix(self.field(key, 0), radix).expect("a number")
    }
}
