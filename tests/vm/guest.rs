// SPDX-License-Identifier: MIT OR Apache-2.0
//! The run itself. Everything that it finds out is in `report.json`, written before the first
//! test program and anew after each, so that a guest that hangs or panics has reported what it
//! finished, and one that never came so far is known by its absence.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use ibsr_cli::Answer;
use ibsr_tests::kernel::Release;
use rustix::system::{RebootCommand, reboot};
use serde::{Deserialize, Serialize};

use crate::libtest::{Verdict, parse_list, parse_run};
use crate::plan::{skipped, stale, tests_for};

/// A test that takes longer is ended, and has failed.
const LIMIT: Duration = Duration::from_secs(300);
const TICK: Duration = Duration::from_millis(20);
/// One test on each of the guest's CPUs.
const WORKERS: usize = 2;
/// Emulated memory is slow: no table of a million entries where a test names no size.
const MAX_SOURCES: &str = "8192";
const ONLY_ROOT: &str = ":root:";

/// What the outer half asks for.
#[derive(Debug, Deserialize)]
struct Order {
    /// Where cargo runs the tests.
    dir: PathBuf,
    /// Objects that were compiled ahead.
    objects: PathBuf,
    /// Each test program's name and path.
    tests: BTreeMap<String, PathBuf>,
    /// Contents of the verifier's baseline.
    baseline: String,
    /// Whether figures shall be written instead of compared.
    is_blessing: bool,
}

/// What came of everything.
#[derive(Debug, Default, Serialize)]
struct Report {
    boot_s: u64,
    runs: Vec<Run>,
    is_complete: bool,
}

/// What came of one test program.
#[derive(Debug, Default, Serialize)]
struct Run {
    test: String,
    passed: Vec<Passed>,
    failed: Vec<String>,
    skipped: Vec<Skipped>,
    seconds: u64,
}

#[derive(Debug, Serialize)]
struct Passed {
    test: String,
    ms: u64,
}

#[derive(Debug, Serialize)]
struct Skipped {
    test: String,
    reason: String,
}

/// Runs the order in `dir`, then turns the guest off, whatever happened.
pub fn run(dir: &Path) -> Result<Answer> {
    let result = run_order(dir);
    if let Err(error) = &result {
        fs::write(dir.join("error"), format!("{error:#}\n")).context("the folder is gone")?;
    }
    rustix::fs::sync();
    reboot(RebootCommand::Restart).context("failed to turn the guest off")?;
    Ok(Answer::Yes)
}

fn run_order(dir: &Path) -> Result<()> {
    let order: Order = serde_json::from_slice(&fs::read(dir.join("plan.json"))?)?;
    let uptime = fs::read_to_string("/proc/uptime")?;
    let boot_s = uptime.split('.').next().and_then(|text| text.parse().ok()).unwrap_or_default();
    let _up = Command::new("/bin/busybox").args(["ip", "link", "set", "lo", "up"]).status();
    let baseline = dir.join("baseline.json");
    fs::write(&baseline, &order.baseline)?;
    let mut report = Report { boot_s, ..Report::default() };
    report.write(dir)?;
    for name in tests_for(Release::running()) {
        report.runs.push(order.run(name, dir)?);
        report.write(dir)?;
    }
    if order.is_blessing {
        fs::rename(baseline, dir.join("blessed.json"))?;
    }
    report.is_complete = true;
    report.write(dir)
}

impl Report {
    fn write(&self, dir: &Path) -> Result<()> {
        let json = serde_json::to_vec_pretty(self)?;
        fs::write(dir.join("report.json"), json).context("failed to write `report.json`")
    }
}

impl Order {
    /// Runs one test program and sorts its tests.
    fn run(&self, name: &str, dir: &Path) -> Result<Run> {
        let start = Instant::now();
        let mut run = Run { test: name.to_owned(), ..Run::default() };
        let Some(path) = self.tests.get(name) else {
            run.failed.push(format!("there is no test program `{name}`"));
            return Ok(run);
        };
        let listed = self.command(path, dir).args(["--list", "--format", "terse"]).output()?;
        let tests = parse_list(&String::from_utf8_lossy(&listed.stdout));
        run.failed.extend(stale(name, &tests).map(|row| format!("no test is called `{row}`")));
        let release = Release::running();
        let mut wanted = Vec::new();
        for test in tests.into_iter().filter(|test| test.contains(ONLY_ROOT)) {
            match skipped(name, &test, release) {
                Some(skip) => run.skipped.push(Skipped { test, reason: skip.reason.to_owned() }),
                None => wanted.push(test),
            }
        }
        let logs = dir.join(name);
        fs::create_dir_all(&logs)?;
        let ended = self.run_all(path, dir, &logs, &wanted);
        for (test, ended) in wanted.into_iter().zip(ended) {
            run.sort(test, ended);
        }
        run.seconds = start.elapsed().as_secs();
        Ok(run)
    }

    /// Runs each test in a process of its own, some at a time; what came of each.
    fn run_all(
        &self,
        path: &Path,
        dir: &Path,
        logs: &Path,
        tests: &[String],
    ) -> Vec<Result<Ended>> {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(test) = tests.get(at) else { return done };
                done.push((at, self.run_one(path, dir, logs, test)));
            }
        };
        let mut done: Vec<_> = thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS).map(|_worker| scope.spawn(work)).collect();
            let ended = workers.into_iter().map(|it| it.join().expect("a worker never panics"));
            ended.flatten().collect()
        });
        done.sort_by_key(|(at, _)| *at);
        done.into_iter().map(|(_, ended)| ended).collect()
    }

    fn run_one(&self, path: &Path, dir: &Path, logs: &Path, test: &str) -> Result<Ended> {
        let start = Instant::now();
        let log = logs.join(test.replace("::", "."));
        let file = File::create(&log)?;
        let mut command = self.command(path, dir);
        command.args(["--exact", test]).stderr(file.try_clone()?).stdout(file);
        let is_success = wait(&mut command.spawn()?, LIMIT)?;
        let verdict = parse_run(&String::from_utf8_lossy(&fs::read(&log)?)).remove(test);
        Ok(Ended { verdict, is_success, ms: start.elapsed().as_millis() as u64 })
    }

    /// `path` with the surroundings that cargo would give it.
    fn command(&self, path: &Path, dir: &Path) -> Command {
        let mut command = Command::new(path);
        command.current_dir(&self.dir).env_clear();
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("HOME", "/run/tmp").env("TMPDIR", "/run/tmp");
        command.env("IBSR_OBJECTS", &self.objects).env("IBSR_MAX_SOURCES", MAX_SOURCES);
        command.env("IBSR_BASELINE", dir.join("baseline.json"));
        if self.is_blessing {
            command.env("IBSR_BLESS", "1");
        }
        command
    }
}

/// The end of one test's process.
#[derive(Debug)]
struct Ended {
    verdict: Option<Verdict>,
    is_success: bool,
    ms: u64,
}

impl Run {
    /// Nothing but a verdict and a good exit code make a test pass.
    fn sort(&mut self, test: String, ended: Result<Ended>) {
        match ended {
            Ok(Ended { verdict: Some(Verdict::Passed), is_success: true, ms }) => {
                self.passed.push(Passed { test, ms });
            }
            Ok(Ended { verdict: Some(Verdict::Ignored), is_success: true, .. }) => {
                self.skipped.push(Skipped { test, reason: "ignored in its source".to_owned() });
            }
            Ok(Ended { verdict: Some(_), .. }) => self.failed.push(test),
            Ok(Ended { verdict: None, .. }) => self.failed.push(format!("{test} (not finished)")),
            Err(error) => self.failed.push(format!("{test} ({error:#})")),
        }
    }
}

/// Whether the child ended well, which it did not when it had to be killed.
fn wait(child: &mut Child, limit: Duration) -> Result<bool> {
    let start = Instant::now();
    while start.elapsed() < limit {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        thread::sleep(TICK);
    }
    child.kill()?;
    let _reaped = child.wait()?;
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(verdict: Option<Verdict>, is_success: bool) -> (usize, usize, usize) {
        let mut run = Run::default();
        run.sort("a".to_owned(), Ok(Ended { verdict, is_success, ms: 1 }));
        (run.passed.len(), run.failed.len(), run.skipped.len())
    }

    #[test]
    fn nothing_but_a_verdict_and_a_good_end_makes_a_test_pass() {
        assert_eq!(sorted(Some(Verdict::Passed), true), (1, 0, 0));
        assert_eq!(sorted(Some(Verdict::Passed), false), (0, 1, 0));
        assert_eq!(sorted(Some(Verdict::Failed), true), (0, 1, 0));
        assert_eq!(sorted(None, true), (0, 1, 0), "no such test is no pass");
        assert_eq!(sorted(Some(Verdict::Ignored), true), (0, 0, 1));
    }

    #[test]
    fn a_process_that_hangs_is_ended_and_has_failed() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("it is there");
        assert!(!wait(&mut child, TICK).expect("it can be ended"));
        let mut child = Command::new("true").spawn().expect("it is there");
        assert!(wait(&mut child, LIMIT).expect("it ends"));
    }
}
