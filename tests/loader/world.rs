// SPDX-License-Identifier: MIT OR Apache-2.0
//! One interface, one pin root, one loader: what every test here starts from, and how it asks
//! the kernel (not the loader) what is attached.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ibsr_proto::abi::{CpuTotals, Meta};
use ibsr_proto::conservation::Totals;
use ibsr_proto::pins::{META, Scope, TOTALS};
use ibsr_tests::bpffs::PinRoot;
use ibsr_tests::netns::{HOST_IF, PEER_IF, Pair};
use ibsr_tests::process::{Said, program, say, wait_until};
use libbpf_rs::{MapCore as _, MapFlags, MapHandle};
use serde_json::Value;
use zerocopy::FromBytes as _;

/// Every pin of an attached scope, sorted.
pub const PINS: [&str; 11] = [
    "door", "link", "losses", "meta", "pending", "prog", "proven", "sets", "tags", "totals",
    "unproven",
];

/// Long enough for a kernel work queue on a busy machine.
pub const SOON: Duration = Duration::from_secs(10);

/// A veth pair and a pin root of the test's own.
pub struct World {
    pub pair: Pair,
    pub pins: PinRoot,
    pub loader: PathBuf,
}

impl World {
    pub fn new() -> Self {
        let pair = Pair::new();
        // Tests here count every packet: no ICMPv6 that nobody sent.
        for (space, ifname) in [(&pair.host, HOST_IF), (&pair.peer, PEER_IF)] {
            space.set_sysctl(&format!("ipv6/conf/{ifname}/disable_ipv6"), "1");
        }
        Self { pair, pins: PinRoot::new(), loader: program("ibsr-loader") }
    }

    /// A loader command inside the host namespace, on this pin root.
    pub fn command(&self, args: &str) -> Command {
        let mut command = self.pair.host.command(self.loader.to_str().expect("a plain path"));
        self.add_args(&mut command, args);
        command
    }

    /// The same, started by another program, for example `strace ... -- LOADER ARGS`.
    pub fn command_under(&self, wrapper: &[&str], args: &str) -> Command {
        let mut command = self.pair.host.command(wrapper[0]);
        command.args(&wrapper[1..]).arg(&self.loader);
        self.add_args(&mut command, args);
        command
    }

    fn add_args(&self, command: &mut Command, args: &str) {
        command.args(args.split_whitespace()).arg("--pin-root").arg(self.pins.path());
        // The machine that runs this may have a group `ibsr` or not.
        if args.starts_with("attach") && !args.contains("--group") {
            command.args(["--group", "0"]);
        }
    }

    pub fn run(&self, args: &str) -> Said {
        say(&mut self.command(args))
    }

    /// `attach xdp veth-h ARGS`, which must work.
    #[track_caller]
    pub fn attach(&self, args: &str) -> Said {
        self.run(&format!("attach xdp {HOST_IF} {args}")).expect_code(0)
    }

    /// The first scope of `status --format json`, and the exit code.
    #[track_caller]
    pub fn status(&self) -> (i32, Value) {
        let said = self.run("status --format json");
        let report: Value = serde_json::from_str(&said.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", said.stdout, said.stderr));
        (said.code.expect("an exit code"), report["scopes"][0].clone())
    }

    #[track_caller]
    pub fn assert_healthy(&self) {
        let (code, scope) = self.status();
        assert_eq!(code, 0, "{scope:#}");
    }

    pub fn scope(&self) -> Scope {
        Scope::xdp(HOST_IF).expect("a plain name")
    }

    pub fn dir(&self) -> PathBuf {
        self.scope().dir(self.pins.path())
    }

    /// Number of the XDP program on the host's interface, as the kernel says.
    pub fn xdp_id(&self) -> Option<u64> {
        xdp_id_of(&self.pair.host.ip(&format!("-j link show {HOST_IF}")))
    }

    /// Names in the scope directory, sorted; empty when there is none.
    pub fn pins(&self) -> Vec<String> {
        names(&self.dir())
    }

    /// Either everything is there, or nothing is attached.
    #[track_caller]
    pub fn assert_all_or_nothing(&self, when: &str) {
        if self.pins().iter().any(|name| name == "link") {
            assert_eq!(self.pins(), PINS, "{when}: pins beside a link");
            assert!(self.xdp_id().is_some(), "{when}: a pinned link and no program");
        } else {
            // The kernel takes a program off when the last descriptor of its link closes.
            wait_until(&format!("{when}: nothing is attached"), SOON, || self.xdp_id().is_none());
        }
    }

    /// `detach` works and leaves no pin, no directory, no program: that one is off when the
    /// command ends, so that an attach may follow at once.
    #[track_caller]
    pub fn assert_detaches(&self) {
        let _said = self.run("detach").expect_code(0);
        assert_eq!(self.xdp_id(), None, "still on the interface");
        assert!(!self.pins.path().exists(), "left: {:?}", names(self.pins.path()));
    }

    /// The same where `xdp_id` tells about the interface, after a detach that was killed: its
    /// link was unpinned by then, and the kernel releases it a little later.
    #[track_caller]
    pub fn assert_detaches_by(&self, xdp_id: impl Fn() -> Option<u64>) {
        let _said = self.run("detach").expect_code(0);
        assert!(!self.pins.path().exists(), "left: {:?}", names(self.pins.path()));
        wait_until("the program is gone", SOON, || xdp_id().is_none());
    }

    pub fn link_id(&self) -> u64 {
        self.status().1["link_id"].as_u64().expect("an attached scope has a link")
    }

    pub fn meta(&self) -> Meta {
        let map = open_map(&self.dir().join(META));
        let bytes = map.lookup(&[0; 4], MapFlags::ANY).expect("readable").expect("one entry");
        Meta::from_abi(&bytes).expect("of this build")
    }

    /// The totals map, opened now: it stays readable when its pin is gone.
    pub fn totals_map(&self) -> MapHandle {
        open_map(&self.dir().join(TOTALS))
    }

    pub fn totals(&self) -> Totals {
        read_totals(&self.totals_map())
    }
}

pub fn xdp_id_of(ip_json: &str) -> Option<u64> {
    let links: Value = serde_json::from_str(ip_json).expect("ip prints JSON");
    links[0]["xdp"]["prog"]["id"].as_u64()
}

pub fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("listable").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

pub fn open_map(path: &Path) -> MapHandle {
    MapHandle::from_pinned_path_with_file_flags(path, libbpf_sys::BPF_F_RDONLY)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub fn read_totals(map: &MapHandle) -> Totals {
    let cpus = map.lookup_percpu(&[0; 4], MapFlags::ANY).expect("readable").expect("one entry");
    let cpus: Vec<CpuTotals> =
        cpus.iter().map(|bytes| CpuTotals::read_from_bytes(bytes).expect("this ABI")).collect();
    Totals::from_cpus(&cpus)
}

/// Compiles an XDP program of the operator's.
pub fn operator_program(dir: &Path, name: &str, body: &str) -> PathBuf {
    operator_object(dir, name, &format!("SEC(\"xdp\") int {name}(struct xdp_md *ctx)"), body)
}

/// Compiles any program of the operator's to a temporary object.
pub fn operator_object(dir: &Path, name: &str, head: &str, body: &str) -> PathBuf {
    let source = dir.join(format!("{name}.bpf.c"));
    let text = format!(
        "#include <linux/bpf.h>\n#include <linux/pkt_cls.h>\n#include <bpf/bpf_helpers.h>\n\
         {head} {{ {body} }}\nchar LICENSE[] SEC(\"license\") = \"GPL\";\n"
    );
    fs::write(&source, text).expect("a temporary directory is writable");
    let object = dir.join(format!("{name}.bpf.o"));
    ibsr_bpf::compile(&source, &object).expect("a valid program");
    object
}
