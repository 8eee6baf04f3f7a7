// SPDX-License-Identifier: MIT OR Apache-2.0
//! `attach cgroup`. All pins, links included, are made in the prepared directory, which then
//! gets its name in one step: a loader that dies earlier leaves a directory that no reader
//! looks at, and one that dies later leaves everything.

use std::path::Path;

use anyhow::Result;
use ibsr_cli::Answer;
use ibsr_cli::hint::with_hint;
use ibsr_cli::pindir::PinRoot;
use ibsr_cli::privilege;
use ibsr_proto::abi::{Evidence, hex};
use ibsr_proto::baseline::Entry;
use ibsr_proto::cgroup_behaviour_abi::BaselineKey;
use ibsr_proto::pins::{CGROUP_MAPS, DIR_MODE, LINK_MODE, MAP_MODE, PIN_GROUP, Scope};
use rustix::fs::Gid;
use tracing::{debug, info, warn};

use crate::baseline;
use crate::cgroupfs::Cgroup;
use crate::cli::CgroupArgs;
use crate::detach;
use crate::installed::cgroup::{self as installed, Installed, prog_pin};
use crate::meta::{self, Epoch};
use crate::object::cgroup::{self as object, Knobs, Loaded, Settings};
use crate::object::{Storage, random};
use crate::pindir::Stage;
use crate::plan::{Course, Wanted, Why, choose};
use crate::preflight;
use crate::upgrade::cgroup as switch;

/// One attach, from what was asked to what was found out.
#[derive(Debug)]
pub struct Attach {
    /// Where.
    pub cgroup: Cgroup,
    /// Name of the pins.
    pub scope: Scope,
    /// What was asked for.
    pub wanted: Wanted<Settings>,
    /// Group of the pins.
    pub group: Gid,
    /// Destinations that were there before.
    pub baseline: Vec<BaselineKey>,
    dry_run: bool,
}

/// Runs the subcommand.
///
/// # Errors
/// When anything is in the way; nothing is left attached then that was not attached before.
pub fn run(args: &CgroupArgs, pin_root: &Path) -> Result<Answer> {
    let group = privilege::take_group(&args.group, args.group == PIN_GROUP)?;
    let cgroup = Cgroup::open(&args.path)?;
    let baseline = args.baseline.as_deref().map(baseline::read).transpose()?;
    let attach = Attach {
        scope: cgroup.scope(args.name.as_deref())?,
        wanted: Wanted {
            target: cgroup.id,
            settings: args.settings(baseline.as_ref())?,
            evidence: Evidence::Frozen,
            mode: None,
            boot_id: meta::boot_id()?,
        },
        cgroup,
        group,
        baseline: baseline.iter().flat_map(|it| &it.entries).map(Entry::key).collect(),
        dry_run: args.dry_run,
    };
    privilege::limit()?;
    preflight::require_cgroup()?;
    let root = PinRoot::create(pin_root, DIR_MODE, attach.group)?;
    let answer = attach.settle(&root);
    if answer.is_err() || args.dry_run {
        root.remove_if_made_here();
    }
    privilege::drop_all()?;
    answer
}

impl Attach {
    fn settle(&self, root: &PinRoot) -> Result<Answer> {
        if !self.dry_run {
            switch::recover(root, &self.scope)?;
        }
        let found = installed::read(&self.scope.dir(root.path()))?;
        if let Some(found) = &found {
            found.check_ours()?;
            for name in &found.foreign {
                warn!(path = %found.dir.join(name).display(), "not ours, left alone");
            }
        }
        let current = found.as_ref().map(Installed::current);
        let course = match choose(current.as_ref(), &self.wanted) {
            Course::OtherTarget(_) if found.as_ref().is_some_and(|found| self.succeeds(found)) => {
                Course::Replace(Why::TargetDeleted)
            }
            course => course,
        };
        debug!(?course, "course chosen");
        match (course, &found) {
            (Course::Replace(why), Some(found)) => {
                info!(scope = %self.scope, %why, "replacing what was there");
                if self.dry_run {
                    return self
                        .tell_plan(&format!("remove `{}`, then attach", found.dir.display()));
                }
                detach::take_off(&found.dir)?;
                self.attach_new(root)
            }
            (Course::SameMaps | Course::NewMaps(_), Some(found)) => {
                switch::run(self, root, found, course)
            }
            (Course::OtherTarget(id), Some(found)) => Err(self.other_cgroup(id, found)),
            _ => self.attach_new(root),
        }
    }

    /// Whether the cgroup was made where the one that is observed was: a path names one at a
    /// time, and the kernel takes the links off some time after the first is gone.
    fn succeeds(&self, found: &Installed) -> bool {
        found.meta.as_deref().is_ok_and(|meta| meta.path() == self.cgroup.path)
    }

    fn other_cgroup(&self, id: u64, found: &Installed) -> anyhow::Error {
        let path = found.meta.as_deref().map_or_else(|_| String::new(), |meta| meta.path());
        with_hint(
            anyhow::anyhow!("scope `{}` observes cgroup {id}, `/{path}`", self.scope),
            format!(
                "give this one another name with --name, or `ibsr-loader detach {}`",
                self.scope
            ),
        )
    }

    fn attach_new(&self, root: &PinRoot) -> Result<Answer> {
        if let Some(scope) = installed::scope_of(root.path(), self.cgroup.id, &self.scope) {
            return Err(with_hint(
                anyhow::anyhow!("`/{}` is already observed, by scope `{scope}`", self.cgroup.path),
                format!("`ibsr-loader detach {scope}` first, or keep it"),
            ));
        }
        let knobs = Knobs { cgroup_id: self.cgroup.id, seed: random()? };
        if self.dry_run {
            let mut storage = Storage::uninit();
            let prepared = object::prepare(&mut storage, &self.wanted.settings, knobs, None, 0)?;
            let (programs, digest) = (prepared.programs(), hex(&prepared.digest()));
            return self
                .tell_plan(&format!("attach {programs} proven programs of digest {digest}"));
        }
        let mut storage = [(); 3].map(|()| Storage::uninit());
        let loaded = object::load_what_the_kernel_has(storage.each_mut(), |storage, without| {
            object::prepare(storage, &self.wanted.settings, knobs, None, without)
        })?;
        switch::install(self, root, &loaded, knobs, Epoch::begin()?, None)?;
        self.tell_done("attached", &loaded, loaded.missing());
        Ok(Answer::Yes)
    }

    /// Pins the programs and their maps in the prepared directory, after describing them.
    pub(crate) fn stage(
        &self,
        root: &PinRoot,
        loaded: &Loaded<'_>,
        knobs: Knobs,
        epoch: Epoch,
    ) -> Result<Stage> {
        loaded.expect_destinations(&self.baseline)?;
        let evidence = loaded.bind();
        if evidence < Evidence::Frozen {
            warn!("the maps are not frozen: user space with rights could write them");
        }
        loaded.describe(&meta::describe_cgroup(
            &self.cgroup,
            &self.wanted.settings,
            epoch,
            evidence,
            knobs.seed,
            loaded,
        )?)?;
        let stage = Stage::create(self.scope.next_dir(root.path()), self.group)?;
        loaded.for_each_prog(|hook, prog, _| Ok(stage.pin(&prog_pin(hook), prog, LINK_MODE)?))?;
        for (pin, _) in CGROUP_MAPS {
            stage.pin(pin, loaded.map(pin), MAP_MODE)?;
        }
        Ok(stage)
    }

    pub(crate) const fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// `--dry-run`: says what would be done.
    pub(crate) fn tell_plan(&self, plan: &str) -> Result<Answer> {
        crate::out::line(&format!("would {plan}: {} on `/{}`", self.scope, self.cgroup.path))?;
        Ok(Answer::Yes)
    }

    /// Says what was done; `totals` tells how many sockets were seeded.
    pub(crate) fn tell_done(&self, what: &str, loaded: &Loaded<'_>, missing: u32) {
        let seeded = loaded.totals().map_or(0, |totals| totals.seeded);
        info!(
            scope = %self.scope,
            cgroup = format!("/{}", self.cgroup.path),
            max_flows = self.wanted.settings.max_flows,
            max_owners = self.wanted.settings.max_owners,
            seeded,
            "{what}"
        );
        if self.wanted.settings.resolvers.is_empty() {
            warn!("no --resolver is listed: names are learned from whoever a process asks");
        }
        for (bit, name, meaning) in ibsr_proto::cgroup_abi::missing::ALL {
            if missing & bit != 0 {
                warn!("this kernel does not take `{name}`: {meaning}");
            }
        }
    }
}
