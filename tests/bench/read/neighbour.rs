// SPDX-License-Identifier: MIT OR Apache-2.0
//! What runs on the other CPU while packets are measured on theirs.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result, ensure};
use ibsr_tests::process::program;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};
use serde::Deserialize;

use crate::scope::{Made, SCOPE};

/// Where packets are.
pub const PACKETS_CPU: usize = 0;
const OTHER_CPU: usize = 1;
/// More than caches hold.
const COPIED_BYTES: usize = 64 << 20;
/// Between two looks at whether to stop.
const PIECE_BYTES: usize = 1 << 20;

/// Binds a thread, the calling one when `None`, to a CPU.
///
/// # Errors
/// When there is no such CPU.
pub fn bind(thread: Option<Pid>, cpu: usize) -> Result<()> {
    let mut cpus = CpuSet::new();
    cpus.set(cpu);
    sched_setaffinity(thread, &cpus).with_context(|| format!("there is no CPU {cpu}"))
}

/// What runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neighbour {
    /// Nothing.
    Nobody,
    /// A thread that copies memory: any busy program.
    Copying,
    /// `ibsr-reader` sweeping without a pause, in one of its ways.
    Sweeping(&'static str),
}

/// What sweeps did until the end.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct Done {
    /// Whole sweeps.
    pub sweeps: u64,
    /// Entries of the last one.
    pub entries: u64,
    /// CPU time of the reader.
    pub cpu_us: u64,
}

impl Neighbour {
    /// Starts it; it is at work when this returns.
    ///
    /// # Errors
    /// When there is no second CPU or no reader.
    pub fn start(self, made: &Made) -> Result<Busy> {
        Ok(match self {
            Self::Nobody => Busy::Nobody,
            Self::Copying => copying()?,
            Self::Sweeping(pass) => sweeping(made, pass)?,
        })
    }
}

/// What runs until it is stopped.
#[derive(Debug)]
pub enum Busy {
    /// Nothing.
    Nobody,
    /// The copying thread.
    Thread(Arc<AtomicBool>, JoinHandle<Result<()>>),
    /// The reader.
    Reader(Child, BufReader<ChildStdout>),
}

impl Busy {
    /// Ends it and waits for its end; of a reader, what it did.
    ///
    /// # Errors
    /// When it had failed.
    pub fn stop(self) -> Result<Option<Done>> {
        match self {
            Self::Nobody => Ok(None),
            Self::Thread(is_over, thread) => {
                is_over.store(true, Ordering::Relaxed);
                thread.join().expect("copying does not panic")?;
                Ok(None)
            }
            Self::Reader(mut child, mut output) => {
                drop(child.stdin.take());
                let mut line = String::new();
                output.read_line(&mut line).context("failed to read from ibsr-reader")?;
                ensure!(child.wait()?.success(), "the reader failed");
                Ok(Some(serde_json::from_str(&line).context("failed to read what it did")?))
            }
        }
    }
}

fn copying() -> Result<Busy> {
    let is_over = Arc::new(AtomicBool::new(false));
    let (begun, begins) = sync_channel(1);
    let thread = {
        let is_over = Arc::clone(&is_over);
        thread::spawn(move || copy(&is_over, &begun))
    };
    // An error is told by `stop`; here it only means that nobody begins.
    begins.recv().context("nobody copies")?;
    Ok(Busy::Thread(is_over, thread))
}

fn copy(is_over: &AtomicBool, begun: &SyncSender<()>) -> Result<()> {
    bind(None, OTHER_CPU)?;
    let (from, mut to) = (vec![1_u8; COPIED_BYTES], vec![2_u8; COPIED_BYTES]);
    begun.send(())?;
    loop {
        for (from, to) in from.chunks(PIECE_BYTES).zip(to.chunks_mut(PIECE_BYTES)) {
            to.copy_from_slice(std::hint::black_box(from));
            if is_over.load(Ordering::Relaxed) {
                return Ok(());
            }
        }
    }
}

fn sweeping(made: &Made, pass: &str) -> Result<Busy> {
    let mut child = Command::new(program("ibsr-reader"))
        .args(["walk", "--quiet", "--until-eof", pass, "--scope", SCOPE, "--pin-root"])
        .arg(made.root.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("failed to start ibsr-reader")?;
    bind(Some(Pid::from_child(&child)), OTHER_CPU)?;
    let mut output = BufReader::new(child.stdout.take().expect("it is a pipe"));
    let mut line = String::new();
    output.read_line(&mut line).context("failed to read from ibsr-reader")?;
    ensure!(line == "\n", "the reader did not begin");
    Ok(Busy::Reader(child, output))
}
