// SPDX-License-Identifier: MIT OR Apache-2.0
//! Time: from sweep to sweep, who sends in between. Actors wait in the slot of their next
//! flow, flows in the slot of their next packet, so a quiet client costs nothing.

use std::collections::BTreeMap;

use super::actor::{Actor, MS};
use super::flow::{Flow, Over};
use super::random::Random;
use super::spec::{SiteSpec, SpecError};

/// A sweep begins up to this much before its time: a real one is never exact. Less than a
/// period; more than 0, so that the last sweep of a day belongs to it.
const MAX_EARLY_NS: u64 = 3 * MS;

/// A flow that is not over.
#[derive(Debug)]
pub(super) struct Running {
    pub flow: Flow,
    /// Where the counters of its first port are: start of the set of maps, and index.
    pub entry: Option<(u64, u32)>,
}

#[derive(Debug)]
enum Task {
    Wake(Box<Actor>, Box<Flow>),
    Run(Box<Running>),
}

/// Slot by slot; slot `n` is the time that sweep `n` covers.
#[derive(Debug)]
pub(super) struct Schedule {
    spec: SiteSpec,
    slot: u64,
    tasks: BTreeMap<u64, Vec<Task>>,
}

impl Schedule {
    pub fn new(spec: SiteSpec) -> Result<Self, SpecError> {
        spec.check()?;
        Ok(Self { spec, slot: 0, tasks: BTreeMap::new() })
    }

    pub const fn spec(&self) -> &SiteSpec {
        &self.spec
    }

    const fn period_ns(&self) -> u64 {
        self.spec.period_ms * MS
    }

    /// End of a slot, since the start of the site.
    fn end_ns(&self, slot: u64) -> u64 {
        let early = Random::of(self.spec.seed, &[slot, 0xea]).between((1, MAX_EARLY_NS));
        (slot + 1) * self.period_ns() - early
    }

    fn slot_of(&self, ns: u64) -> u64 {
        let slot = ns.saturating_sub(1) / self.period_ns();
        if ns > self.end_ns(slot) { slot + 1 } else { slot }
    }

    /// Number of the set of maps that counts in `slot`.
    pub const fn epoch_of(&self, slot: u64) -> u64 {
        match slot.checked_div(self.spec.attach_every_days * self.spec.sweeps_a_day()) {
            Some(epoch) => epoch,
            None => 0,
        }
    }

    /// First slot of a set of maps.
    pub const fn first_slot_of(&self, epoch: u64) -> u64 {
        epoch * self.spec.attach_every_days * self.spec.sweeps_a_day()
    }

    /// End of the slot before.
    pub fn start_ns(&self, slot: u64) -> u64 {
        slot.checked_sub(1).map_or(0, |before| self.end_ns(before))
    }

    /// Goes through the next slot: calls `run` for every flow that sends in it.
    pub fn advance(&mut self, mut run: impl FnMut(&mut Running, Over)) -> Option<(u64, Over)> {
        let slot = self.slot;
        if slot == self.spec.days * self.spec.sweeps_a_day() {
            return None;
        }
        if slot.is_multiple_of(self.spec.sweeps_a_day()) {
            for actor in self.spec.actors(slot / self.spec.sweeps_a_day()) {
                self.wait(Box::new(actor));
            }
        }
        let over = Over {
            from_ns: self.start_ns(slot),
            to_ns: self.end_ns(slot),
            epoch_ns: self.start_ns(self.first_slot_of(self.epoch_of(slot))),
        };
        // Woken actors may add flows to this very slot.
        while let Some(tasks) = self.tasks.remove(&slot) {
            for task in tasks {
                match task {
                    Task::Wake(actor, flow) => {
                        self.go_on(Box::new(Running { flow: *flow, entry: None }), over, &mut run);
                        self.wait(actor);
                    }
                    Task::Run(running) => self.go_on(running, over, &mut run),
                }
            }
        }
        self.slot += 1;
        Some((slot, over))
    }

    fn wait(&mut self, mut actor: Box<Actor>) {
        if let Some(flow) = actor.next_flow(&self.spec.ports) {
            let slot = self.slot_of(flow.at_ns).max(self.slot);
            self.tasks.entry(slot).or_default().push(Task::Wake(actor, Box::new(flow)));
        }
    }

    fn go_on(
        &mut self,
        mut running: Box<Running>,
        over: Over,
        run: &mut impl FnMut(&mut Running, Over),
    ) {
        run(&mut running, over);
        if let Some(next_ns) = running.flow.next_after(over.to_ns) {
            let slot = self.slot_of(next_ns);
            self.tasks.entry(slot).or_default().push(Task::Run(running));
        }
    }
}
