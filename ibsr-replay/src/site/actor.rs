// SPDX-License-Identifier: MIT OR Apache-2.0
//! A remote end on one day: which flows it makes, one after the other.

use ibsr_proto::addr::SourceAddr;

use super::address;
use super::class::Class;
use super::flow::Flow;
use super::random::Random;
use super::shape::Shape;

pub(super) const MS: u64 = 1_000_000;
pub(super) const S: u64 = 1_000 * MS;

/// A kind of flow, again and again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Habit {
    /// What each connection sends.
    pub shape: Shape,
    /// Connections of one flow, from and to.
    pub count: (u64, u64),
    /// Time between two of them, from and to.
    pub every_ns: (u64, u64),
    /// Time from one flow to the next, from and to.
    pub gap_ns: (u64, u64),
    /// How many flows.
    pub flows: u64,
}

/// What an actor does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Job {
    /// One habit towards the site's first port, seldom to another.
    Habit(Habit),
    /// The same towards the site's first port only.
    FirstPort(Habit),
    /// The same towards each of the site's ports in turn.
    EachPort(Habit),
    /// Two habits, the second begins when the first is over.
    Then(Habit, Habit),
    /// One SYN to each of so many ports, so far apart.
    Scan { first_port: u16, ports: u64, every_ns: u64 },
    /// Borrowed addresses from this number on, so many, so far apart.
    Spoofed { first: u64, addresses: u64, every_ns: u64 },
}

/// A remote end at work.
#[derive(Debug, Clone)]
pub(super) struct Actor {
    pub class: Class,
    pub src: SourceAddr,
    job: Job,
    random: Random,
    at_ns: u64,
    done: u64,
    src_port: u64,
    is_second: bool,
}

/// How many times in a million a client uses another port than the site's first.
const OTHER_PORT_PPM: u64 = 150_000;
/// A borrowed address sends this many SYNs at most.
const MAX_SPOOFED_SYN: u64 = 3;

impl Actor {
    /// Begins at `at_ns`.
    pub const fn new(class: Class, src: SourceAddr, job: Job, random: Random, at_ns: u64) -> Self {
        Self { class, src, job, random, at_ns, done: 0, src_port: 0, is_second: false }
    }

    /// Uses the other half of the source ports: for the second of two actors behind one
    /// address, so that no connection of one has the ports of a connection of the other.
    pub const fn second(mut self) -> Self {
        self.is_second = true;
        self
    }

    /// Every address that it sends from.
    pub fn sources(&self) -> impl Iterator<Item = SourceAddr> {
        let (first, addresses) = match self.job {
            Job::Spoofed { first, addresses, .. } => (first, addresses),
            _ => (0, 0),
        };
        let own = (addresses == 0).then_some(self.src);
        own.into_iter().chain((first..first + addresses).map(address::spoofed))
    }

    /// The next flow; they begin in ascending order.
    pub fn next_flow(&mut self, ports: &[u16]) -> Option<Flow> {
        let flow = match self.job {
            Job::Habit(habit) => self.habit(habit, habit.flows, ports, Self::usual_port),
            Job::FirstPort(habit) => self.habit(habit, habit.flows, ports, |_, ports| ports[0]),
            Job::EachPort(habit) => self.habit(habit, habit.flows, ports, |actor, ports| {
                ports[actor.done as usize % ports.len()]
            }),
            Job::Then(first, _) if self.done < first.flows => {
                self.habit(first, first.flows, ports, Self::usual_port).inspect(|flow| {
                    // Nothing overlaps: what comes second is what ended the first.
                    let length_ns = (flow.count - 1) * flow.every_ns;
                    self.at_ns = self.at_ns.max(flow.at_ns + length_ns);
                })
            }
            Job::Then(first, second) => {
                self.habit(second, first.flows + second.flows, ports, Self::usual_port)
            }
            Job::Scan { first_port, ports, every_ns } => (self.done == 0).then(|| Flow {
                port_stride: 1,
                ..self.flow(Shape::SynOnly, ports, every_ns, first_port)
            }),
            Job::Spoofed { first, addresses, every_ns } => {
                (self.done < addresses).then(|| self.borrowed(first, every_ns, ports))
            }
        }?;
        self.done += 1;
        Some(flow)
    }

    fn habit(
        &mut self,
        habit: Habit,
        flows: u64,
        ports: &[u16],
        port: impl Fn(&mut Self, &[u16]) -> u16,
    ) -> Option<Flow> {
        if self.done >= flows {
            return None;
        }
        let port = port(self, ports);
        let (count, every_ns) =
            (self.random.between(habit.count), self.random.between(habit.every_ns));
        let flow = self.flow(habit.shape, count, every_ns, port);
        self.at_ns += self.random.between(habit.gap_ns);
        Some(flow)
    }

    fn usual_port(&mut self, ports: &[u16]) -> u16 {
        if self.random.chance(OTHER_PORT_PPM) { self.random.pick(ports) } else { ports[0] }
    }

    fn flow(&mut self, shape: Shape, count: u64, every_ns: u64, dst_port: u16) -> Flow {
        let first_src_port = self.src_port;
        self.src_port += count;
        Flow {
            at_ns: self.at_ns,
            src: self.src,
            first_src_port,
            is_upper: self.is_second,
            dst_port,
            port_stride: 0,
            count,
            every_ns,
            script: shape.script(&mut self.random),
        }
    }

    fn borrowed(&mut self, first: u64, every_ns: u64, ports: &[u16]) -> Flow {
        let count = self.random.between((1, MAX_SPOOFED_SYN));
        let flow = self.flow(Shape::SynOnly, count, S, ports[0]);
        self.at_ns += every_ns;
        Flow { src: address::spoofed(first + self.done), ..flow }
    }
}
