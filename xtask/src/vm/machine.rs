// SPDX-License-Identifier: MIT OR Apache-2.0
//! One guest: started, waited for, its results read. Emulated, never accelerated, so that it
//! runs the same inside any other machine. Needs no rights: the guest sees the file tree
//! read-only and one folder that it may write.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::step::say;
use crate::vm::image;
use crate::vm::kernel::Kernel;

/// A guest that hangs is ended after this; a good one needs a quarter of it, on a busy machine more
/// than half.
const LIMIT: &str = "2400";
const MEMORY_MIB: &str = "2048";
const CPUS: &str = "2";
/// An old model is emulated faster than `max`, and code at fixed addresses without mitigations
/// faster than it would be otherwise: together 1.6 times.
const CPU: &str = "Nehalem";
const OPTIONS: &str = "console=ttyS0 panic=-1 quiet mitigations=off norandmaps nokaslr \
                       init_on_alloc=0 apparmor=0 audit=0";
/// A kernel rewrites its own code through breakpoints, and an emulated CPU now and then meets one
/// that is gone: the panic says so, and says nothing of the tests.
const BOOTS: usize = 3;
const STALE_CODE: &str = "Oops: int3";
const CONSOLE: &str = "console.log";
/// Room for translated code, in MiB.
const ACCELERATOR: &str = "tcg,thread=multi,tb-size=1024";

/// What is the same for every guest.
#[derive(Debug)]
pub(crate) struct Guest {
    /// Program that runs as the guest's process 1, from the shared tree.
    pub runner: PathBuf,
    /// What it shall do, JSON.
    pub plan: Value,
}

/// How it went.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// From the start of QEMU to its end.
    pub seconds: u64,
    /// What the guest wrote last; null when it did not come to the tests.
    pub report: Value,
}

impl Guest {
    /// Boots `kernel` and waits for its end, again where the emulator ended it. `dir` gets the
    /// console and what the guest writes.
    pub(crate) fn run(&self, kernel: &Kernel, dir: &Path) -> Result<Outcome> {
        for boot in 1..BOOTS {
            let outcome = self.boot(kernel, dir)?;
            let console = fs::read(dir.join(CONSOLE)).unwrap_or_default();
            if !String::from_utf8_lossy(&console).contains(STALE_CODE) {
                return Ok(outcome);
            }
            say(&format!("{}: the emulator ended boot {boot} of {BOOTS}", kernel.release));
        }
        self.boot(kernel, dir)
    }

    fn boot(&self, kernel: &Kernel, dir: &Path) -> Result<Outcome> {
        let out = dir.join("out");
        if dir.exists() {
            fs::remove_dir_all(dir)?;
        }
        fs::create_dir_all(&out)?;
        fs::write(out.join("plan.json"), self.plan.to_string())?;
        let initrd = dir.join("initrd");
        image::write(&initrd, kernel, &self.runner)?;
        let start = Instant::now();
        let mut command = machine(kernel, &initrd, &out);
        let console = File::create(dir.join(CONSOLE))?;
        command.stdin(Stdio::null()).stderr(console.try_clone()?).stdout(console);
        // Its exit code says nothing: a guest that panics ends it like one that is done.
        let _ended = command.status().context("failed to start `timeout`")?;
        let seconds = start.elapsed().as_secs();
        let report = fs::read(out.join("report.json")).unwrap_or_default();
        Ok(Outcome { seconds, report: serde_json::from_slice(&report).unwrap_or_default() })
    }
}

fn machine(kernel: &Kernel, initrd: &Path, out: &Path) -> Command {
    let share = |path: &Path, tag: &str, more: &str| {
        format!("local,path={},mount_tag={tag},security_model=none{more}", path.display())
    };
    let mut command = Command::new("timeout");
    command.args([LIMIT, "qemu-system-x86_64", "-accel", ACCELERATOR, "-cpu", CPU]);
    command.args(["-smp", CPUS, "-m", MEMORY_MIB, "-nographic", "-no-reboot", "-nic", "none"]);
    command.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(initrd);
    command.args(["-append", OPTIONS]);
    // Folders of the tree may lie on other disks, whose inode numbers are the same.
    let root = share(Path::new("/"), "root", ",readonly=on,multidevs=remap");
    command.args(["-virtfs", &root, "-virtfs", &share(out, "out", "")]);
    command
}
