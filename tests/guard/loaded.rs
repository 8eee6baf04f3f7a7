// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guard of the test's own: loaded, told, attached to a cgroup that the test made.

use std::fs::{self, File};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};
use ibsr_guard::dns::{self, Interface, is_query};
use ibsr_guard::install::{CONTROL, Maps, install, read_control, write_control};
use ibsr_policy::{Compiled, Policy, Resolve, compile};
use ibsr_proto::guard_abi::ExeKey;
use ibsr_proto::guard_control::{Control, Counts, Hook, Spent};
use ibsr_tests::bpffs::PinRoot;
use ibsr_tests::cgroup::Cgroup;
use ibsr_tests::netns::Namespace;
use ibsr_tests::prog::{Compiled as Object_, compilers};
use libbpf_rs::{Link, MapCore as _, MapFlags, MapHandle, Object, ProgramInput};
use zerocopy::FromBytes as _;

/// A machine that knows numbers only: executables `/bin/N`, users `N`, cgroups of a list.
#[derive(Debug, Default)]
pub struct Numbers {
    /// Path and id.
    pub cgroups: Vec<(String, u64)>,
}

impl Resolve for Numbers {
    fn exe(&self, path: &str) -> Option<ExeKey> {
        let inode = path.strip_prefix("/bin/")?.parse().ok()?;
        Some(ExeKey { inode, device: 1, pad: 0 })
    }

    fn user(&self, name: &str) -> Option<u32> {
        name.parse().ok()
    }

    fn cgroup(&self, path: &str) -> Option<u64> {
        self.cgroups.iter().find(|(known, _)| known == path).map(|(_, id)| *id)
    }
}

/// Reads a policy that has no lists.
#[track_caller]
pub fn read(text: &str) -> Policy {
    ibsr_policy::parse("p", text, &|_| Err("no lists".into()))
        .unwrap_or_else(|error| panic!("{error}"))
}

/// The maps of an object.
#[derive(Debug)]
pub struct MapsOf<'object>(pub &'object Object);

impl Maps for MapsOf<'_> {
    fn map(&self, name: &str) -> Result<MapHandle> {
        let map = self.0.maps().find(|map| map.name() == name).context("the map exists")?;
        Ok(MapHandle::try_from(&map)?)
    }
}

/// A lease that the program takes, and time to renew it.
const LONG_NS: u64 = 55_000_000_000;

/// A guard; detached on drop.
#[derive(Debug)]
pub struct Guard {
    // Links go before the object that they are about.
    _links: Vec<Link>,
    /// What judges queries: links go with their pins, filters when they are released.
    queries: Vec<PinRoot>,
    object: Object,
    renewal: Mutex<Option<Renewal>>,
    /// Held by whoever changes the control word.
    word: Arc<Mutex<()>>,
}

/// Renews a lease until it is dropped: the program takes none that is longer than a minute.
#[derive(Debug)]
struct Renewal {
    stop: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Renewal {
    fn start(control: MapHandle, word: Arc<Mutex<()>>) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(Duration::from_secs(10)) == Err(RecvTimeoutError::Timeout) {
                let _held = word.lock().expect("nobody panicked");
                let now = read_control(&control).expect("readable");
                let lease_until_boot_ns = boot_ns() + LONG_NS;
                write_control(&control, &Control { lease_until_boot_ns, ..now }).expect("writable");
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        let _stopped = self.stop.send(());
        let _ended = self.thread.take().map(JoinHandle::join);
    }
}

impl Guard {
    /// The guard's source.
    pub fn source() -> PathBuf {
        ibsr_bpf::source_dir().join("guard.bpf.c")
    }

    /// Loads one with or without the means to deny and attaches it.
    #[track_caller]
    pub fn attach(cgroup: &Cgroup, may_enforce: bool) -> Self {
        let clang = compilers().pop().expect("a compiler");
        let compiled = Object_::new(&clang, &Self::source());
        let mut open = compiled.open();
        for mut map in open.maps_mut() {
            if map.name().to_string_lossy().ends_with(".rodata") {
                let bytes = map.initial_value_mut().expect("there are knobs");
                let at = compiled.knob_offset("ibsr_may_enforce").expect("the knob exists");
                bytes[at..at + 4].copy_from_slice(&u32::from(may_enforce).to_ne_bytes());
            }
        }
        let object = open.load().expect("root may load the guard");
        let dir = File::open(cgroup.path()).expect("the cgroup exists");
        let mut links = Vec::new();
        for program in object.progs_mut().filter(|program| !is_query(program)) {
            links.push(program.attach_cgroup(dir.as_raw_fd()).expect("root may attach"));
        }
        Self {
            _links: links,
            queries: Vec::new(),
            object,
            renewal: Mutex::default(),
            word: Arc::default(),
        }
    }

    /// Judges queries that leave by an interface of `namespace`.
    #[track_caller]
    pub fn judge_queries(&mut self, namespace: &Namespace, interface: &str) {
        let pins = PinRoot::new();
        fs::create_dir(pins.path()).expect("bpffs is writable");
        self.on_interface(namespace, interface, |program, found| {
            dns::attach_one(program, pins.path(), found).expect("root may attach");
        });
        self.queries.push(pins);
    }

    /// Judges queries nowhere any more; `namespace` is where it did.
    #[track_caller]
    pub fn leave_interfaces(&mut self, namespace: &Namespace) {
        for pins in self.queries.drain(..) {
            for pin in fs::read_dir(pins.path()).expect("listable") {
                let pin = pin.expect("listable").path();
                namespace.inside(|| dns::release(&pin).expect("it goes"));
            }
        }
    }

    /// Runs `attach` inside `namespace` for an interface there and the program that belongs on it.
    #[track_caller]
    pub fn on_interface<T: Send>(
        &self,
        namespace: &Namespace,
        interface: &str,
        attach: impl Fn(BorrowedFd<'_>, &Interface) -> T + Sync,
    ) -> T {
        let programs: Vec<_> = self.object.progs().collect();
        let fd_of = |name: &str| {
            let program = programs.iter().find(|program| program.name() == name);
            program.expect("it exists").as_fd()
        };
        let (device, loopback) = (fd_of(dns::DEVICE), fd_of(dns::LOOPBACK));
        namespace.inside(|| {
            let found = dns::find(&[interface.into()]).expect("it is there").remove(0);
            attach(if found.program() == dns::DEVICE { device } else { loopback }, &found)
        })
    }

    /// Its maps.
    pub const fn maps(&self) -> MapsOf<'_> {
        MapsOf(&self.object)
    }

    /// Makes `text` the policy in use.
    #[track_caller]
    pub fn apply(&self, text: &str) {
        self.apply_with(text, &Numbers::default());
    }

    /// The same on a machine that knows what it names.
    #[track_caller]
    pub fn apply_with(&self, text: &str, machine: &impl Resolve) {
        let policy = read(text);
        let compiled = compile(&policy, machine).expect("small");
        self.apply_compiled(&policy, &compiled);
    }

    /// The same for one that is compiled.
    #[track_caller]
    pub fn apply_compiled(&self, policy: &Policy, compiled: &Compiled) {
        let _held = self.word.lock().expect("nobody panicked");
        install(&self.maps(), compiled, &policy.protected).expect("the kernel takes it");
    }

    /// Tells it to deny to everyone until then, with a budget that never ends; `u64::MAX` renews
    /// the lease for as long as the guard is there.
    #[track_caller]
    pub fn enforce_until(&self, lease_until_boot_ns: u64) {
        let is_endless = lease_until_boot_ns == u64::MAX;
        let until = if is_endless { boot_ns() + LONG_NS } else { lease_until_boot_ns };
        let mut renewal = self.renewal.lock().expect("nobody panicked");
        *renewal = None;
        self.tell(|control| {
            control.arming += 1;
            control.is_enforced = 1;
            control.canary_percent = 100;
            control.budget_until = u64::MAX;
            control.lease_until_boot_ns = until;
        });
        if is_endless {
            let control = self.maps().map(CONTROL).expect("it exists");
            *renewal = Some(Renewal::start(control, Arc::clone(&self.word)));
        }
    }

    /// Changes the control word.
    #[track_caller]
    pub fn tell(&self, change: impl FnOnce(&mut Control)) {
        let _held = self.word.lock().expect("nobody panicked");
        let map = self.maps().map(CONTROL).expect("it exists");
        let mut control = read_control(&map).expect("readable");
        change(&mut control);
        write_control(&map, &control).expect("writable");
    }

    /// What a program of it returns for each packet.
    #[track_caller]
    pub fn run(&self, program: &str, packets: &[Vec<u8>]) -> Vec<u32> {
        let mut programs = self.object.progs_mut();
        let program = programs.find(|one| one.name() == program).expect("the program exists");
        let one = |packet: &Vec<u8>| {
            let input = ProgramInput { data_in: Some(packet), ..ProgramInput::default() };
            program.test_run(input).expect("it runs").return_value
        };
        packets.iter().map(one).collect()
    }

    /// What the program says about its budget.
    #[track_caller]
    pub fn spent(&self) -> Spent {
        let map = self.maps().map("ibsr_g_spent").expect("it exists");
        let bytes = map.lookup(&0_u32.to_ne_bytes(), MapFlags::ANY).expect("readable");
        Spent::read_from_bytes(&bytes.expect("one entry")).expect("the ABI")
    }

    /// Counts of a hook.
    #[track_caller]
    pub fn counts(&self, hook: Hook) -> Counts {
        let map = self.maps().map("ibsr_g_counts").expect("it exists");
        let cpus = map.lookup_percpu(&(hook as u32).to_ne_bytes(), MapFlags::ANY);
        let cpus: Vec<Counts> = cpus
            .expect("readable")
            .expect("the hook has counts")
            .iter()
            .map(|bytes| Counts::read_from_bytes(bytes).expect("the ABI"))
            .collect();
        Counts::sum(&cpus)
    }
}

/// Now, on the clock of leases.
pub fn boot_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    u64::try_from(now.tv_sec * 1_000_000_000 + now.tv_nsec).expect("after boot")
}
