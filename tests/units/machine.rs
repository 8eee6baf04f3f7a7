// SPDX-License-Identifier: MIT OR Apache-2.0
//! A Debian that boots in a second: systemd as PID 1 under nspawn, on the real kernel, with a
//! network and a bpffs of its own. systemd mounts bpffs with mode 0700, so this does too.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use ibsr_tests::netns::run;
use ibsr_tests::process::{Said, program, say};
use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use crate::install::{install, install_guard};

/// What the machine consists of; a change of it makes a new tree.
const SUITE: &str = "bookworm";
const PACKAGES: &str =
    "systemd,systemd-sysv,dbus,iproute2,iputils-ping,libelf1,zlib1g,ca-certificates";
/// Far above the second or two that a boot takes, and below the patience of whoever waits.
const BOOT_LIMIT_SECONDS: &str = "150";

/// A tree with the installed programs and units, removed on drop.
#[derive(Debug)]
pub(crate) struct Machine {
    dir: TempDir,
}

impl Machine {
    /// Copies the base tree and installs this build into it.
    pub(crate) fn new() -> Self {
        let base = base_tree();
        let dir = tempfile::tempdir_in(base.parent().expect("it lies in the cache"))
            .expect("a directory beside the base tree");
        let machine = Self { dir };
        run(Command::new("cp").arg("-a").arg(base).arg(machine.root()));
        install(machine.root().as_path(), Path::new("/usr"));
        fs::copy(program("ibsr-s3-server"), machine.path("usr/bin/ibsr-s3-server"))
            .expect("the tree is writable");
        fs::create_dir(machine.path("out")).expect("the tree is new");
        machine
    }

    /// One with the guard, which `make install` leaves out.
    pub(crate) fn with_guard() -> Self {
        let machine = Self::new();
        install_guard(machine.root().as_path(), Path::new("/usr"));
        machine
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// A path inside, seen from outside.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.root().join(inside)
    }

    /// What the script left in `/out/NAME`, without blanks around it.
    #[track_caller]
    pub(crate) fn out(&self, name: &str) -> String {
        let path = self.path("out").join(name);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        text.trim().to_owned()
    }

    /// Boots, runs `script` as a unit, and returns when the machine has powered off; panics
    /// with the console and our units' journal when the script did not reach its end.
    #[track_caller]
    pub(crate) fn boot(&self, script: &str) {
        /// The payload of every nspawn of this process has the same cgroup.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let marker = self.path("out/done");
        let _first_boot = fs::remove_file(&marker);
        self.write_unit(script);
        self.write_boot_id();
        let said = say(&mut self.nspawn());
        let journal = fs::read_to_string(self.path("out/journal")).unwrap_or_default();
        assert!(marker.is_file(), "the script failed\n{}\n-- journal\n{journal}", console(&said));
    }

    fn write_unit(&self, script: &str) {
        fs::write(self.path("etc/ibsr-test.sh"), script).expect("the tree is writable");
        let units = self.path("etc/systemd/system");
        fs::write(units.join("ibsr-test.service"), TEST_UNIT).expect("the tree is writable");
        let wants = units.join("multi-user.target.wants");
        fs::create_dir_all(&wants).expect("the tree is writable");
        let link = wants.join("ibsr-test.service");
        let _second_boot = std::os::unix::fs::symlink("../ibsr-test.service", link);
    }

    /// A boot id for this boot. nspawn makes one too, but a unit with a `/proc` of its own
    /// sees that of the machine outside.
    fn write_boot_id(&self) {
        let id = fs::read_to_string("/proc/sys/kernel/random/uuid").expect("/proc is mounted");
        fs::write(self.path("etc/boot-id"), id).expect("the tree is writable");
        for unit in ["ibsr-loader@", "ibsr-reader@"] {
            let dir = self.path("etc/systemd/system").join(format!("{unit}.service.d"));
            fs::create_dir_all(&dir).expect("the tree is writable");
            fs::write(dir.join("boot-id.conf"), BOOT_ID_DROP_IN).expect("the tree is writable");
        }
    }

    /// A new bpffs for each boot, in a mount namespace that ends with it: nothing of the
    /// machine outside is seen or touched, and nothing stays when a boot is cut short.
    fn nspawn(&self) -> Command {
        let bpffs = self.dir.path().join("bpffs");
        fs::create_dir_all(&bpffs).expect("the directory is ours");
        let mut command = Command::new("timeout");
        command.args(["--kill-after=10", BOOT_LIMIT_SECONDS, "unshare", "--mount", "sh", "-c"]);
        command.arg(format!(
            "mount -t bpf -o mode=0700 ibsr-test '{bpffs}' && exec systemd-nspawn \
             --directory='{root}' --boot --register=no --keep-unit --private-network \
             --machine=ibsr-test-{pid} --bind='{bpffs}':/sys/fs/bpf \
             --capability=CAP_BPF,CAP_PERFMON,CAP_NET_ADMIN,CAP_SYS_ADMIN,CAP_SYS_RESOURCE \
             --system-call-filter='bpf perf_event_open' < /dev/null",
            bpffs = bpffs.display(),
            root = self.root().display(),
            pid = std::process::id(),
        ));
        command
    }
}

const TEST_UNIT: &str = "\
[Service]
Type=oneshot
StandardOutput=journal+console
StandardError=journal+console
ExecStart=/bin/bash /etc/ibsr-test.sh
ExecStopPost=/bin/sh -c 'journalctl --no-pager --output=short-monotonic --unit=\"ibsr-[gler]*\" > /out/journal'
ExecStopPost=/bin/systemctl --no-block poweroff
";

const BOOT_ID_DROP_IN: &str =
    "[Service]\nBindReadOnlyPaths=/etc/boot-id:/proc/sys/kernel/random/boot_id\n";

fn console(said: &Said) -> String {
    format!("{}{}", said.stdout, said.stderr)
}

/// Path of the cached tree, built when it is missing: a minute or two, once.
fn base_tree() -> PathBuf {
    let cache = program("ibsr-loader")
        .ancestors()
        .nth(2)
        .expect("programs lie in target/PROFILE")
        .join("nspawn");
    fs::create_dir_all(&cache).expect("the target directory is writable");
    let lock = File::create(cache.join("lock")).expect("the cache is ours");
    flock(&lock, FlockOperation::LockExclusive).expect("a lock on our own file");
    let recipe = format!("{SUITE} {PACKAGES}\n");
    let (tree, stamp) = (cache.join("base"), cache.join("base.recipe"));
    if fs::read_to_string(&stamp).unwrap_or_default() != recipe {
        let _old = fs::remove_dir_all(&tree);
        let _old = fs::remove_file(&stamp);
        let mut build = Command::new("mmdebstrap");
        build.args(["--quiet", "--variant=minbase"]).arg(format!("--include={PACKAGES}"));
        run(build.arg(SUITE).arg(&tree));
        fs::write(&stamp, recipe).expect("the cache is ours");
    }
    tree
}
