// SPDX-License-Identifier: MIT OR Apache-2.0
//! The programs as a user would start them: loader, reader without rights, exporter, report,
//! and the S3 server that stands in for a bucket in the cloud.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ibsr_replay::rules::{family, text};
use ibsr_tests::bpffs::PinRoot;
use ibsr_tests::netns::HOST_IF;
use ibsr_tests::process::{Running, program, wait_until};
use rustix::process::Signal;

use crate::world::World;
use crate::{heading, show_command};

const BUCKET: &str = "ibsr-demo";
const PREFIX: &str = "edge";
const ACCESS_KEY: &str = "demo-access-key";
const SECRET_KEY: &str = "demo-secret-key";
/// nobody and nogroup on Debian: the reader gets no more.
const NOBODY: &str = "65534";

/// Everything that must be gone at the end, in the order in which it is dropped.
pub struct Stage {
    /// Namespaces and web server.
    pub world: World,
    pins: PinRoot,
    files: PathBuf,
    endpoint: String,
    _s3: Running,
}

impl Stage {
    /// Namespaces, web server, S3 server.
    pub fn build(files: &Path) -> Result<Self> {
        heading("two namespaces with a wire, nginx, an S3 server on loopback");
        let spool = files.join("spool");
        fs::create_dir_all(&spool).context("failed to create the spool")?;
        std::os::unix::fs::chown(&spool, Some(65_534), Some(65_534))
            .context("failed to give the spool to nobody")?;
        let (s3, endpoint) = start_s3(files)?;
        let world = World::build(files)?;
        Ok(Self { world, pins: PinRoot::new(), files: files.to_owned(), endpoint, _s3: s3 })
    }

    /// `check`, `attach` and `status`.
    pub fn attach(&self) -> Result<()> {
        heading("ibsr-loader: attach, pin, exit");
        self.loader(&["check", HOST_IF])?;
        self.loader(&["attach", "xdp", HOST_IF, "--group", NOBODY])?;
        self.loader(&["status"])
    }

    /// Detaches and checks that nothing of ours is left.
    pub fn detach(&self) -> Result<()> {
        heading("ibsr-loader: detach");
        self.loader(&["detach"])?;
        let link = self.world.pair.host.ip(&format!("-d link show {HOST_IF}"));
        ensure!(!link.contains("xdp"), "a program is still attached: {link}");
        let left = fs::read_dir(self.pins.path()).map_or(0, Iterator::count);
        ensure!(left == 0, "`{}` is not empty", self.pins.path().display());
        Ok(())
    }

    fn loader(&self, args: &[&str]) -> Result<()> {
        let loader = program("ibsr-loader");
        let mut args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        args.extend(["--pin-root".to_owned(), self.pins.path().display().to_string()]);
        show_command(&loader, &args);
        let path = loader.display().to_string();
        succeed(self.world.pair.host.command(&path).args(&args))
    }

    /// Starts the reader as nobody and waits until it has swept once.
    pub fn start_reader(&self) -> Result<Running> {
        heading("ibsr-reader: user nobody, no capability, a sweep a second");
        let reader = program("ibsr-reader");
        let net = self.files.join("sys");
        fs::create_dir_all(&net).context("failed to create a place for sysfs")?;
        let args: Vec<String> = [
            "run",
            "--scope",
            &format!("xdp-{HOST_IF}"),
            "--spool",
            &self.spool(),
            "--pin-root",
            &self.pins.path().display().to_string(),
            "--period",
            "1s",
            "--segment-age",
            "5s",
            "--host",
            "demo",
            "--net-dir",
            &format!("{}/class/net/{HOST_IF}", net.display()),
        ]
        .map(str::to_owned)
        .to_vec();
        show_command(&reader, &args);
        // The namespace's own sysfs, for the interface's own counter, in a mount namespace
        // that ends with the reader.
        let script = "mount -t sysfs none \"$0\" && exec setpriv --reuid \"$1\" --regid \"$1\" \
                      --clear-groups --inh-caps=-all --bounding-set=-all -- \"${@:2}\"";
        let mut command = self.world.pair.host.command("unshare");
        command.args(["-m", "bash", "-c", script]).arg(&net).arg(NOBODY).arg(reader).args(args);
        let running = Running::start(&mut command);
        let scope = PathBuf::from(self.spool()).join(format!("xdp-{HOST_IF}"));
        wait_until("the reader's first sweep", Duration::from_secs(10), || {
            fs::read_dir(&scope).is_ok_and(|entries| entries.count() > 0)
        });
        Ok(running)
    }

    /// Ends the reader; the last segment is sealed.
    pub fn seal(&self, mut reader: Running) -> Result<()> {
        heading("ibsr-reader: SIGTERM, the last sweep is sealed");
        reader.signal(Signal::TERM);
        let status = reader.wait(Duration::from_secs(10));
        ensure!(status.success(), "the reader ended with {status}");
        Ok(())
    }

    /// One pass of the exporter.
    pub fn export(&self) -> Result<()> {
        heading("ibsr-export: sealed segments to the bucket");
        let export = program("ibsr-export");
        let state = self.files.join("export-state");
        fs::create_dir_all(&state).context("failed to create the exporter's state directory")?;
        let args: Vec<String> = [
            "s3",
            "run",
            "--spool",
            &self.spool(),
            "--state",
            &state.display().to_string(),
            "--bucket",
            BUCKET,
            "--prefix",
            PREFIX,
            "--endpoint-url",
            &self.endpoint,
            "--force-path-style",
        ]
        .map(str::to_owned)
        .to_vec();
        show_command(&export, &args);
        succeed(with_credentials(Command::new(&export).args(&args)))
    }

    /// The report over the bucket: text for people, and files in the directory returned.
    pub fn report(&self) -> Result<PathBuf> {
        heading("ibsr-report: from the bucket");
        let out = self.files.join("report");
        let args = self.report_args(&out);
        show_command(&program("ibsr-report"), &args);
        answers_no(with_credentials(Command::new(program("ibsr-report")).args(&args)))?;
        Ok(out)
    }

    /// The same with each default rule at its loosest threshold, unseen: who is spared there
    /// is spared at all of them.
    pub fn report_at_the_loosest(&self) -> Result<PathBuf> {
        let family = family::family();
        let last: Vec<_> = family.rules.iter().map(|rule| Some(rule.thresholds() - 1)).collect();
        let rules = self.files.join("loosest.toml");
        fs::write(&rules, text::to_toml(&family.pinned(&last)))
            .context("failed to write `loosest.toml`")?;
        let out = self.files.join("report-at-the-loosest");
        let mut command = Command::new(program("ibsr-report"));
        command.args(self.report_args(&out)).arg("--quiet").arg("--rules").arg(&rules);
        answers_no(with_credentials(&mut command).stdout(Stdio::null()))?;
        Ok(out)
    }

    fn report_args(&self, out: &Path) -> Vec<String> {
        [
            "run",
            &format!("s3://{BUCKET}/{PREFIX}"),
            "--endpoint-url",
            &self.endpoint,
            "--force-path-style",
            "--window",
            "1s",
            "--out",
            &out.display().to_string(),
        ]
        .map(str::to_owned)
        .to_vec()
    }

    fn spool(&self) -> String {
        self.files.join("spool").display().to_string()
    }
}

fn start_s3(files: &Path) -> Result<(Running, String)> {
    let store = files.join("bucket");
    fs::create_dir_all(&store).context("failed to create the bucket's directory")?;
    let mut command = Command::new(program("ibsr-s3-server"));
    command.arg("--dir").arg(&store).args(["--listen", "127.0.0.1:0", "--bucket", BUCKET]);
    command.args(["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY]).stdout(Stdio::piped());
    let mut running = Running::start(&mut command);
    let stdout = running.child().stdout.take().context("the server's stdout is a pipe")?;
    let mut endpoint = String::new();
    BufReader::new(stdout).read_line(&mut endpoint).context("the S3 server said nothing")?;
    Ok((running, endpoint.trim().to_owned()))
}

/// What a user would have in the environment or in a profile; nothing of the machine's own.
fn with_credentials(command: &mut Command) -> &mut Command {
    command
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("NO_PROXY", "127.0.0.1")
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("failed to run {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

/// Exit code 1: the program did its work, and the answer is not yes.
fn answers_no(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("failed to run {command:?}"))?;
    ensure!(status.code() == Some(1), "{command:?} ended with {status} instead of code 1");
    Ok(())
}
