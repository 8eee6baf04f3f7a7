// SPDX-License-Identifier: MIT OR Apache-2.0
//! `attach xdp`: look, choose, prove, load, pin, link. In that order: the link is created
//! last and pinned at once, so a loader that dies earlier leaves nothing attached, and one
//! that dies later leaves everything.

use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;
use ibsr_cli::Answer;
use ibsr_cli::hint::with_hint;
use ibsr_cli::pindir::PinRoot;
use ibsr_cli::privilege;
use ibsr_proto::abi::{Evidence, Table, XdpMode, hex};
use ibsr_proto::pins::{
    DIR_MODE, LINK, LINK_MODE, MAP_MODE, MAPPED_MODE, PIN_GROUP, PROG, SETS, Scope, XDP_MAPS,
};
use ibsr_proto::ports::PortSet;
use rustix::fs::Gid;
use tracing::{debug, info, warn};

use crate::cli::XdpArgs;
use crate::detach;
use crate::installed::xdp::{self as installed, Installed};
use crate::kernel;
use crate::meta::{self, Epoch, Target};
use crate::netdev::{self, Occupant};
use crate::object::Storage;
use crate::object::xdp::{self as object, Loaded, Maps, Settings};
use crate::pindir::Stage;
use crate::plan::{Course, Wanted, choose};
use crate::preflight;
use crate::upgrade::{self, xdp as switch};

/// How long the kernel may take to release the program of a loader that was killed.
const RELEASE: Duration = Duration::from_secs(1);

/// One attach, from what was asked to what was found out.
#[derive(Debug)]
pub struct Attach {
    /// Where.
    pub target: Target,
    /// Name of the pins.
    pub scope: Scope,
    /// What was asked for.
    pub wanted: Wanted<Settings>,
    /// Group of the pins.
    pub group: Gid,
    /// Programs that were on the interface at the start.
    occupants: Vec<Occupant>,
    dry_run: bool,
}

/// Runs the subcommand.
///
/// # Errors
/// When anything is in the way; nothing is left attached then that was not attached before.
pub fn run(args: &XdpArgs, pin_root: &Path) -> Result<Answer> {
    let group = privilege::take_group(&args.group, args.group == PIN_GROUP)?;
    privilege::limit_to_look()?;
    let attach = Attach::look(args, group)?;
    privilege::limit()?;
    preflight::require_frags()?;
    let root = PinRoot::create(pin_root, DIR_MODE, attach.group)?;
    let answer = attach.settle(&root);
    if answer.is_err() || args.dry_run {
        root.remove_if_made_here();
    }
    privilege::drop_all()?;
    answer
}

impl Attach {
    fn look(args: &XdpArgs, group: Gid) -> Result<Self> {
        let scope = Scope::xdp(&args.ifname)?;
        let ifindex = netdev::find(&args.ifname, args.wait)?;
        if let Some(state) = netdev::silence(&args.ifname) {
            info!(ifname = args.ifname, state, "nothing will be counted until the interface is up");
        }
        let ports = PortSet::from_ranges(&args.dst_ports);
        Ok(Self {
            target: Target { ifname: args.ifname.clone(), ifindex },
            scope,
            wanted: Wanted {
                target: ifindex.into(),
                settings: Settings {
                    ports,
                    table: args.table.into(),
                    max_sources: args.max_sources,
                    proof: args.proof.into(),
                    admits_first: args.admit_first,
                },
                evidence: args.evidence.into(),
                mode: args.mode.map(XdpMode::from),
                boot_id: meta::boot_id()?,
            },
            group,
            occupants: netdev::occupants(ifindex)?,
            dry_run: args.dry_run,
        })
    }

    fn settle(&self, root: &PinRoot) -> Result<Answer> {
        let dir = self.scope.dir(root.path());
        if !self.dry_run {
            switch::recover(root, &self.scope)?;
        }
        let found = installed::read(&dir)?;
        if let Some(found) = &found {
            found.check_ours(None)?;
            tell_foreign(found);
        }
        let current = found.as_ref().map(Installed::current);
        let course = choose(current.as_ref(), &self.wanted);
        debug!(?course, "course chosen");
        match (course, &found) {
            (Course::Fresh, _) => self.attach_new(root),
            (Course::Replace(why), Some(found)) => {
                info!(scope = %self.scope, %why, "replacing what was there");
                self.replace(root, found)
            }
            (Course::SameMaps | Course::NewMaps(_), Some(found)) => {
                switch::run(self, root, found, course)
            }
            (Course::OtherTarget(target), Some(_)) => Err(self.other_interface(target)),
            (_, None) => self.attach_new(root),
        }
    }

    fn other_interface(&self, ifindex: u64) -> anyhow::Error {
        let name = u32::try_from(ifindex).ok().and_then(netdev::name_of).map_or_else(
            || "which is in another network namespace".to_owned(),
            |name| format!("now named `{name}`"),
        );
        with_hint(
            anyhow::anyhow!("scope `{}` observes interface {ifindex}, {name}", self.scope),
            format!("`ibsr-loader detach {}` first, or keep it", self.scope),
        )
    }

    fn replace(&self, root: &PinRoot, found: &Installed) -> Result<Answer> {
        if self.dry_run {
            return self.tell_plan(&format!("remove `{}`, then attach", found.dir.display()));
        }
        detach::take_off(&found.dir)?;
        self.attach_new(root)
    }

    /// Refuses to share an interface, even with another scope of ours.
    fn check_free(&self, root: &PinRoot) -> Result<()> {
        let start = Instant::now();
        loop {
            let now = kernel::query_xdp(self.target.ifindex)?;
            let on_it = [now.native_id, now.generic_id, now.offload_id];
            let Some(id) = on_it.into_iter().find(|&id| id != 0) else { return Ok(()) };
            if let Some(scope) = installed::scope_of(root.path(), id) {
                let observed = anyhow::anyhow!(
                    "`{}` is already observed, by scope `{scope}`",
                    self.target.ifname
                );
                return Err(with_hint(
                    observed,
                    format!("`ibsr-loader detach {scope}` first, or keep it"),
                ));
            }
            // The names were asked for at the start, while the rights for that were there.
            let known = self.occupants.iter().find(|occupant| occupant.id == id);
            let is_foreign = known.is_some_and(|occupant| !occupant.may_be_ours());
            if is_foreign || start.elapsed() > RELEASE {
                let new = || Occupant { id, mode: "new", described: None };
                return Err(self.occupied(&known.cloned().unwrap_or_else(new)));
            }
            sleep(RELEASE / 20);
        }
    }

    fn occupied(&self, by: &dyn std::fmt::Display) -> anyhow::Error {
        with_hint(
            anyhow::anyhow!(
                "`{}` already has an XDP program: {by}; it is left alone",
                self.target.ifname
            ),
            "one interface takes one XDP program: detach that one with the tool that attached it",
        )
    }

    fn attach_new(&self, root: &PinRoot) -> Result<Answer> {
        self.check_free(root)?;
        let first = self.wanted.mode.unwrap_or(XdpMode::Native);
        let error = match self.try_mode(root, first)? {
            Attempt::Done => return Ok(Answer::Yes),
            Attempt::Refused(error) => error,
        };
        let features = kernel::query_xdp(self.target.ifindex)?.features;
        if self.wanted.mode.is_none() && preflight::driver_lacks_xdp(&error, features) {
            warn!(ifname = self.target.ifname, %error, "the driver has no XDP: attaching in the core (generic), which costs more per packet");
            return match self.try_mode(root, XdpMode::Generic)? {
                Attempt::Done => Ok(Answer::Yes),
                Attempt::Refused(error) => Err(self.not_attached(XdpMode::Generic, error, 0)),
            };
        }
        Err(self.not_attached(first, error, features))
    }

    fn not_attached(&self, mode: XdpMode, error: io::Error, features: u64) -> anyhow::Error {
        if error.raw_os_error() == Some(libc::EBUSY) {
            let found = netdev::occupants(self.target.ifindex).unwrap_or_default();
            let by =
                found.first().map_or_else(|| "it came just now".to_owned(), ToString::to_string);
            return self.occupied(&by);
        }
        let ifname = &self.target.ifname;
        let mtu = kernel::mtu(ifname).unwrap_or_default();
        let why = preflight::explain_refusal(mtu, ifname, mode, &error, features);
        let error = anyhow::Error::new(error).context(format!(
            "failed to attach to `{}` ({})",
            self.target.ifname,
            mode.as_str()
        ));
        with_hint(error, why)
    }

    /// Everything from the object to the pinned link, for one mode.
    fn try_mode(&self, root: &PinRoot, mode: XdpMode) -> Result<Attempt> {
        let mut storage = Storage::uninit();
        let prepared =
            object::prepare(&mut storage, &self.wanted.settings, &Maps::New(self.wanted.evidence))?;
        if self.dry_run {
            let digest = hex(&prepared.proof().sha256);
            self.tell_plan(&format!("attach ({}) the proven program {digest}", mode.as_str()))?;
            return Ok(Attempt::Done);
        }
        let loaded = prepared.load()?;
        let evidence = loaded.bind();
        let mut stage = self.stage(root, &loaded, Epoch::begin()?, mode, evidence)?;
        let dir = self.scope.dir(root.path());
        upgrade::install(&mut stage, &dir)?;
        let link = match kernel::link_xdp(loaded.prog(), self.target.ifindex, mode) {
            Ok(link) => link,
            Err(error) => return Ok(Attempt::Refused(error)),
        };
        // From here on it is attached: if the pin fails, closing the link detaches again.
        stage.pin(LINK, link.as_fd(), LINK_MODE)?;
        stage.keep();
        let id = kernel::link_info(link.as_fd()).map_or(0, |link| link.id);
        self.tell_done("attached", mode, evidence, id);
        Ok(Attempt::Done)
    }

    /// Pins the program and its maps in the prepared directory, after describing them.
    pub(crate) fn stage(
        &self,
        root: &PinRoot,
        loaded: &Loaded<'_>,
        epoch: Epoch,
        mode: XdpMode,
        evidence: Evidence,
    ) -> Result<Stage> {
        let settings = &self.wanted.settings;
        let is_mapped = settings.table == Table::Sets;
        anyhow::ensure!(
            !is_mapped || evidence >= Evidence::Frozen,
            "the kernel does not freeze maps, so the group could write the set-associative table\n\
             hint: attach with `--table lru`"
        );
        let digest = loaded.proof().sha256;
        loaded.describe(&meta::describe(&self.target, settings, epoch, mode, evidence, digest)?)?;
        let stage = Stage::create(self.scope.next_dir(root.path()), self.group)?;
        stage.pin(PROG, loaded.prog(), LINK_MODE)?;
        for (pin, _) in XDP_MAPS {
            let mode = if is_mapped && pin == SETS { MAPPED_MODE } else { MAP_MODE };
            stage.pin(pin, loaded.map(pin), mode)?;
        }
        Ok(stage)
    }

    pub(crate) const fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// `--dry-run`: says what would be done.
    pub(crate) fn tell_plan(&self, plan: &str) -> Result<Answer> {
        crate::out::line(&format!("would {plan}: {} on `{}`", self.scope, self.target.ifname))?;
        Ok(Answer::Yes)
    }

    pub(crate) fn tell_done(&self, what: &str, mode: XdpMode, evidence: Evidence, link_id: u32) {
        info!(
            scope = %self.scope,
            ifname = self.target.ifname,
            mode = mode.as_str(),
            evidence = evidence.as_str(),
            dst_ports = %self.wanted.settings.ports,
            table = self.wanted.settings.table.as_str(),
            max_sources = self.wanted.settings.max_sources,
            link_id,
            "{what}"
        );
    }
}

/// How an attempt in one mode ended, when it did not fail for another reason.
enum Attempt {
    Done,
    /// The link was refused; everything is undone.
    Refused(io::Error),
}

fn tell_foreign(found: &Installed) {
    for name in &found.foreign {
        warn!(path = %found.dir.join(name).display(), "not ours, left alone");
    }
}
