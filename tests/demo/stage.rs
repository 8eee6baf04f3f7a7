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
use ibsr_tests::cgroup::Cgroup;
use ibsr_tests::netns::HOST_IF;
use ibsr_tests::process::{Running, program, wait_until};
use libbpf_rs::query::{LinkInfoIter, LinkTypeInfo};
use rustix::process::Signal;

use crate::acts::RESOLVER;
use crate::apps::Apps;
use crate::world::World;
use crate::{heading, show_command};

const BUCKET: &str = "ibsr-demo";
const PREFIX: &str = "edge";
const ACCESS_KEY: &str = "demo-access-key";
const SECRET_KEY: &str = "demo-secret-key";
/// nobody and nogroup on Debian: the reader gets no more.
const NOBODY: &str = "65534";
/// Scopes, as the loader names them: that of [`HOST_IF`], and ours.
const FRONT: &str = "xdp-veth-h";
const BACK: &str = "cg-demo";

/// Everything that must be gone at the end, in the order in which it is dropped.
pub struct Stage {
    /// Namespaces and web server.
    pub world: World,
    /// Where the sensors and the guard are pinned.
    pub pins: PinRoot,
    /// Everything that stays.
    pub files: PathBuf,
    endpoint: String,
    _s3: Running,
}

impl Stage {
    /// Namespaces, web server, S3 server.
    pub fn build(files: &Path) -> Result<Self> {
        heading("two namespaces with two wires, nginx, an S3 server on loopback");
        for name in ["spool", "learned"] {
            let spool = files.join(name);
            fs::create_dir_all(&spool).context("failed to create the spool")?;
            std::os::unix::fs::chown(&spool, Some(65_534), Some(65_534))
                .context("failed to give the spool to nobody")?;
        }
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

    /// Attaches the second sensor, has the known applications go their ways once, writes down
    /// what they reached, and attaches again with that.
    pub fn learn(&self, apps: &mut Apps) -> Result<()> {
        heading(
            "the sensor of a cgroup: attach, see what is ordinary, write it down, attach with that",
        );
        let path = self.world.scope.path().display().to_string();
        let resolver = RESOLVER.to_string();
        let attach = ["attach", "cgroup", &path, "--name", "demo", "--resolver", &resolver];
        let attach = [&attach[..], &["--group", NOBODY]].concat();
        self.loader(&attach)?;
        apps.rehearse()?;
        let learned = self.files.join("learned").display().to_string();
        let args = self.reader_args("once", BACK, &learned);
        show_command(&program("ibsr-reader"), &args);
        succeed(
            without_rights(&mut Command::new("setpriv")).arg(program("ibsr-reader")).args(&args),
        )?;
        let baseline = self.files.join("demo.baseline").display().to_string();
        let args = ["baseline", &format!("{learned}/{BACK}"), "-o", &baseline].map(str::to_owned);
        show_command(&program("ibsr-report"), &args);
        succeed(Command::new(program("ibsr-report")).args(&args))?;
        self.loader(&[&attach[..], &["--baseline", &baseline]].concat())?;
        self.loader(&["status"])
    }

    /// Detaches and checks that nothing of ours is left.
    pub fn detach(&self) -> Result<()> {
        heading("ibsr-loader: detach");
        self.loader(&["detach"])?;
        wait_until("no program is on the cgroup", Duration::from_secs(5), || {
            links_to(&self.world.scope) == 0
        });
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

    /// Starts a reader for each sensor, as nobody, and waits until both have swept once.
    pub fn start_readers(&self) -> Result<[Running; 2]> {
        heading("ibsr-reader: user nobody, no capability, a sweep a second");
        let readers = [self.start_front_reader()?, self.start_back_reader()];
        for scope in [FRONT, BACK] {
            let dir = PathBuf::from(self.spool()).join(scope);
            wait_until("the readers' first sweep", Duration::from_secs(10), || {
                fs::read_dir(&dir).is_ok_and(|entries| entries.count() > 0)
            });
        }
        Ok(readers)
    }

    fn start_front_reader(&self) -> Result<Running> {
        let reader = program("ibsr-reader");
        let net = self.files.join("sys");
        fs::create_dir_all(&net).context("failed to create a place for sysfs")?;
        let mut args = self.run_args(FRONT);
        args.push("--net-dir".to_owned());
        args.push(format!("{}/class/net/{HOST_IF}", net.display()));
        show_command(&reader, &args);
        // The namespace's own sysfs, for the interface's own counter, in a mount namespace
        // that ends with the reader.
        let script = "mount -t sysfs none \"$0\" && exec setpriv \"$@\"";
        let mut command = self.world.pair.host.command("unshare");
        command.args(["-m", "bash", "-c", script]).arg(&net);
        Ok(Running::start(without_rights(&mut command).arg(reader).args(args)))
    }

    fn start_back_reader(&self) -> Running {
        let reader = program("ibsr-reader");
        let args = self.run_args(BACK);
        show_command(&reader, &args);
        Running::start(without_rights(&mut Command::new("setpriv")).arg(reader).args(args))
    }

    fn run_args(&self, scope: &str) -> Vec<String> {
        let mut args = self.reader_args("run", scope, &self.spool());
        args.extend(["--period", "1s", "--segment-age", "5s"].map(str::to_owned));
        args
    }

    fn reader_args(&self, verb: &str, scope: &str, spool: &str) -> Vec<String> {
        let pins = self.pins.path().display().to_string();
        let args =
            [verb, "--scope", scope, "--spool", spool, "--pin-root", &pins, "--host", "demo"];
        args.map(str::to_owned).to_vec()
    }

    /// Ends the readers; their last segments are sealed.
    pub fn seal(&self, readers: [Running; 2]) -> Result<()> {
        heading("ibsr-reader: SIGTERM, the last sweeps are sealed");
        for mut reader in readers {
            reader.signal(Signal::TERM);
            let status = reader.wait(Duration::from_secs(10));
            ensure!(status.success(), "a reader ended with {status}");
        }
        Ok(())
    }

    /// Where the segments of the second sensor lie.
    pub fn back_segments(&self) -> PathBuf {
        self.files.join("spool").join(BACK)
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

/// Has `setpriv` make nobody of what follows.
fn without_rights(command: &mut Command) -> &mut Command {
    command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]);
    command.args(["--inh-caps=-all", "--bounding-set=-all", "--"])
}

/// Links of programs to a cgroup, as the kernel lists them.
fn links_to(cgroup: &Cgroup) -> usize {
    let id = cgroup.id();
    let is_there =
        |link: &LinkTypeInfo| matches!(link, LinkTypeInfo::Cgroup(it) if it.cgroup_id == id);
    LinkInfoIter::default().filter(|link| is_there(&link.info)).count()
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
