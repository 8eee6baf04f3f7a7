// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who is at work on a given day. Each actor is drawn from the seed and its own number, so
//! a day can be made without the days before it.

use ibsr_proto::addr::SourceAddr;

use super::actor::{Actor, Habit, Job, MS, S};
use super::address::{self, LEGITIMATE_NETWORKS};
use super::class::Class;
use super::random::Random;
use super::shape::Shape;
use super::spec::{Attack, AttackKind, DAY_MS, SiteSpec};

const DAY_NS: u64 = DAY_MS * MS;
const HOUR_NS: u64 = 3_600 * S;
const NS_PER_S: u64 = S;

/// How busy each hour of the day is: an evening peak, a quiet night.
const HOURS: [u64; 24] =
    [4, 2, 1, 1, 1, 2, 3, 5, 7, 8, 9, 9, 8, 8, 9, 9, 9, 10, 11, 12, 12, 10, 7, 5];
/// When people behind a NAT are at work.
const OFFICE: (u64, u64) = (8, 20);
/// Seconds between two connections of one client behind a NAT.
const NAT_CLIENT_S: u64 = 50;
/// Hosts of a household that come on one day.
const HOUSEHOLD: u64 = 2;
/// Of the clients in a crowd so many in a million find the server too busy at first.
const CROWDED_PPM: u64 = 300_000;
/// Of a churning source's connections so many in ten are completed.
const CHURN_COMPLETED: u64 = 4;

/// What a number is drawn for.
#[derive(Debug, Clone, Copy)]
enum Of {
    Family = 1,
    Client,
    Class,
    Returning,
    Crowd,
    Nat,
    Checker,
    Monitor,
    Household,
    Attack,
}

impl SiteSpec {
    fn random(&self, of: Of, words: &[u64]) -> Random {
        let seed = Random::of(self.seed, &[of as u64]).next_u64();
        Random::of(seed, words)
    }

    /// Everybody who begins on `day`, in no order of time.
    pub(super) fn actors(&self, day: u64) -> Vec<Actor> {
        let mut actors = Vec::new();
        self.clients(day, &mut actors);
        self.crowd(day, &mut actors);
        self.steady(day, &mut actors);
        self.attackers(day, &mut actors);
        actors
    }

    fn address(&self, network: u64, host: u64) -> SourceAddr {
        let mut random = self.random(Of::Family, &[network]);
        if random.chance(self.v6_ppm) {
            let host = self.random(Of::Family, &[network, host]).next_u64();
            return address::client_v6(network, host);
        }
        address::client_v4(network, host)
    }

    fn clients(&self, day: u64, actors: &mut Vec<Actor>) {
        let a_day = self.clients_a_day;
        for number in day * a_day..(day + 1) * a_day {
            actors.push(self.client(day, number));
            if day > 0 && self.random(Of::Returning, &[number]).chance(self.returning_ppm) {
                actors.push(self.client(day, number - a_day));
            }
        }
    }

    fn client(&self, day: u64, number: u64) -> Actor {
        let mut random = self.random(Of::Client, &[day, number]);
        let class = self.class_of(number);
        let src =
            self.address(number / self.clients_per_network, number % self.clients_per_network);
        let at_ns = day * DAY_NS + moment(&mut random);
        Actor::new(class, src, self.job(class, &mut random), random, at_ns)
    }

    /// Of a client, on every day that it comes.
    fn class_of(&self, number: u64) -> Class {
        let mix = self.mix;
        let mut rest = self.random(Of::Class, &[number]).below(mix.sum());
        for (class, count) in [
            (Class::ShortHttp, mix.short_http),
            (Class::KeepAlive, mix.keep_alive),
            (Class::Bulk, mix.bulk),
            (Class::SlowLossy, mix.slow_lossy),
            (Class::Broken, mix.broken),
            (Class::Stampede, mix.stampede),
        ] {
            match rest.checked_sub(count) {
                Some(behind) => rest = behind,
                None => return class,
            }
        }
        Class::Crawler
    }

    fn job(&self, class: Class, random: &mut Random) -> Job {
        let visit = Habit {
            shape: Shape::Http,
            count: (1, 4),
            every_ns: (20 * MS, 2 * S),
            gap_ns: (20 * S, 300 * S),
            flows: random.between((1, 6)),
        };
        let one = Habit { count: (1, 1), ..visit };
        match class {
            Class::KeepAlive => {
                Job::Habit(Habit { shape: Shape::KeepAlive, flows: random.between((1, 3)), ..one })
            }
            Class::Bulk => {
                Job::Habit(Habit { shape: Shape::Bulk, flows: random.between((1, 2)), ..one })
            }
            Class::SlowLossy => Job::Habit(Habit { shape: Shape::Lossy, ..one }),
            Class::Broken => {
                let tries = random.between((3, 8));
                let gap_ns = (35 * S, 240 * S);
                let failing = Habit { shape: Shape::Unanswered, gap_ns, flows: tries, ..one };
                Job::Then(failing, visit)
            }
            Class::Stampede => {
                let syn_ps = random.pick(&self.stampede.syn_ps);
                let count = syn_ps * random.between(self.stampede.lasts_s);
                Job::Then(pool(syn_ps, count), visit)
            }
            Class::Crawler => Job::Habit(Habit {
                count: (600, 4_000),
                every_ns: (25 * MS, 100 * MS),
                gap_ns: (300 * S, 900 * S),
                flows: random.between((1, 3)),
                ..visit
            }),
            _ => Job::Habit(visit),
        }
    }

    fn crowd(&self, day: u64, actors: &mut Vec<Actor>) {
        let mut number = self.daily_networks();
        for crowd in &self.crowds {
            for client in number..number + crowd.clients {
                if crowd.day == day {
                    let mut random = self.random(Of::Crowd, &[client]);
                    let at_ns = day * DAY_NS + crowd.hour * HOUR_NS + random.below(HOUR_NS);
                    let is_late = random.chance(CROWDED_PPM);
                    let visit = Habit {
                        shape: if is_late { Shape::HttpRetried } else { Shape::Http },
                        count: (1, 6),
                        every_ns: (20 * MS, S),
                        gap_ns: (5 * S, 60 * S),
                        flows: random.between((1, 4)),
                    };
                    let src = self.address(client, 0);
                    let job = Job::Habit(visit);
                    actors.push(Actor::new(Class::FlashCrowd, src, job, random, at_ns));
                }
            }
            number += crowd.clients;
        }
    }

    /// Network of the `index`th of those who are always there: counted from the last one.
    const fn steady_network(index: u64) -> u64 {
        LEGITIMATE_NETWORKS - 1 - index
    }

    fn nat_address(index: u64) -> SourceAddr {
        address::client_v4(Self::steady_network(index), 0)
    }

    fn steady(&self, day: u64, actors: &mut Vec<Actor>) {
        let steady = self.steady;
        for index in 0..steady.nats {
            self.nat(day, index, actors);
        }
        let begins_ns = day * DAY_NS;
        let mut number = steady.nats;
        for index in 0..steady.health_checkers {
            // The same every day: its pace is its nature.
            let mut random = self.random(Of::Checker, &[index]);
            let every_ns = random.between((S, 5 * S));
            let at_ns = begins_ns + random.between((1, S));
            let job = all_day(Shape::HalfOpen, every_ns);
            let src = address::client_v4(Self::steady_network(number), 0);
            actors.push(Actor::new(Class::HealthChecker, src, job, random, at_ns));
            number += 1;
        }
        for index in 0..steady.monitors {
            let mut random = self.random(Of::Monitor, &[index]);
            let ports = self.ports.len() as u64;
            let gap_ns = 60 * S / ports;
            let habit = Habit {
                shape: Shape::Touch,
                count: (1, 1),
                every_ns: (0, 0),
                gap_ns: (gap_ns, gap_ns),
                flows: DAY_NS / gap_ns,
            };
            let at_ns = begins_ns + random.between((1, gap_ns));
            let src = address::client_v4(Self::steady_network(number), 0);
            let job = Job::EachPort(habit);
            actors.push(Actor::new(Class::Monitor, src, job, random, at_ns));
            number += 1;
        }
        for index in 0..steady.households {
            for member in 0..HOUSEHOLD {
                let mut random = self.random(Of::Household, &[index, day, member]);
                let host = random.next_u64();
                let src = address::client_v6(Self::steady_network(number), host);
                let at_ns = begins_ns + moment(&mut random);
                let job = self.job(Class::Privacy, &mut random);
                actors.push(Actor::new(Class::Privacy, src, job, random, at_ns));
            }
            number += 1;
        }
    }

    fn nat(&self, day: u64, index: u64, actors: &mut Vec<Actor>) {
        let mut random = self.random(Of::Nat, &[index, day]);
        let clients = self.steady.nat_clients.max(1);
        let every_ns = NAT_CLIENT_S * S / clients;
        let minute = (60 * S).div_ceil(every_ns);
        let minutes = (OFFICE.1 - OFFICE.0) * 60;
        let work = Habit {
            shape: Shape::Http,
            count: (minute, minute),
            every_ns: (every_ns, every_ns),
            gap_ns: (60 * S, 60 * S),
            flows: minutes,
        };
        let trouble = Habit {
            shape: Shape::Unanswered,
            count: (1, 2),
            every_ns: (S, 9 * S),
            gap_ns: (20 * S, 120 * S),
            flows: minutes / 2,
        };
        let at_ns = day * DAY_NS + OFFICE.0 * HOUR_NS + random.between((1, 60 * S));
        let src = Self::nat_address(index);
        let job = Job::Habit(trouble);
        let failing = Actor::new(Class::Nat, src, job, random.clone(), at_ns).second();
        let job = Job::Habit(work);
        actors.extend([Actor::new(Class::Nat, src, job, random, at_ns), failing]);
    }

    fn attackers(&self, day: u64, actors: &mut Vec<Actor>) {
        let (mut attacker, mut borrowed) = (0, 0);
        for attack in &self.attacks {
            if attack.day == day {
                self.attack(attack, attacker, borrowed, actors);
            }
            match attack.kind {
                AttackKind::Spoofed => borrowed += attack.sources,
                _ => attacker += attack.sources,
            }
        }
    }

    fn attack(&self, attack: &Attack, attacker: u64, borrowed: u64, actors: &mut Vec<Actor>) {
        let at_ns = attack.day * DAY_NS + attack.at_s * NS_PER_S;
        let once = matches!(attack.kind, AttackKind::Spoofed | AttackKind::BehindNat);
        for number in attacker..attacker + if once { 1 } else { attack.sources } {
            let mut random = self.random(Of::Attack, &[number, borrowed, attack.day]);
            let src = match attack.kind {
                AttackKind::BehindNat => Self::nat_address(0),
                _ if attack.is_neighbour => {
                    address::neighbour(number % self.daily_networks().max(1))
                }
                _ => address::attacker(number),
            };
            let at_ns = at_ns + random.between((1, S));
            let (class, jobs) = attack.jobs(borrowed, &mut random);
            for (order, job) in jobs.into_iter().enumerate() {
                let actor = Actor::new(class, src, job, random.clone(), at_ns);
                let is_second = order > 0 || attack.kind == AttackKind::BehindNat;
                actors.push(if is_second { actor.second() } else { actor });
            }
        }
    }
}

impl Attack {
    fn jobs(&self, borrowed: u64, random: &mut Random) -> (Class, Vec<Job>) {
        let every_ns = NS_PER_S / self.rate_ps;
        let count = self.rate_ps * self.lasts_s;
        let many = |shape, every_ns: u64, count: u64| {
            let count = count.max(1);
            let (count, every_ns) = ((count, count), (every_ns, every_ns));
            Job::Habit(Habit { shape, count, every_ns, gap_ns: (0, 0), flows: 1 })
        };
        match self.kind {
            AttackKind::SynFlood => (Class::SynFlood, vec![many(Shape::SynOnly, every_ns, count)]),
            AttackKind::BehindNat => {
                (Class::BadUserBehindNat, vec![many(Shape::SynOnly, every_ns, count)])
            }
            AttackKind::Spoofed => {
                let addresses = self.sources;
                let job = Job::Spoofed { first: borrowed, addresses, every_ns };
                (Class::SpoofedFlood, vec![job])
            }
            AttackKind::LowAndSlow => {
                let every_ns = random.between((S, 2 * S));
                let count = self.lasts_s * NS_PER_S / every_ns;
                (Class::LowAndSlow, vec![many(Shape::SynOnly, every_ns, count)])
            }
            AttackKind::PortScan => {
                let ports = count.clamp(1, 65_535);
                (Class::PortScan, vec![Job::Scan { first_port: 1, ports, every_ns }])
            }
            AttackKind::RstStorm => (Class::RstStorm, vec![many(Shape::Rst, every_ns, count)]),
            AttackKind::Churn => {
                let part = |of: u64| (every_ns * 10 / of, count * of / 10);
                let (done, rest) = (part(CHURN_COMPLETED), part(10 - CHURN_COMPLETED));
                let jobs =
                    vec![many(Shape::Touch, done.0, done.1), many(Shape::SynOnly, rest.0, rest.1)];
                (Class::Churn, jobs)
            }
        }
    }
}

/// A pool of connections that all try at once, none answered.
const fn pool(syn_ps: u64, count: u64) -> Habit {
    let every_ns = NS_PER_S / syn_ps;
    Habit {
        shape: Shape::SynOnly,
        count: (count, count),
        every_ns: (every_ns, every_ns),
        gap_ns: (2 * S, 10 * S),
        flows: 1,
    }
}

/// One connection every `every_ns`, an hour's worth in each flow.
const fn all_day(shape: Shape, every_ns: u64) -> Job {
    let count = HOUR_NS / every_ns;
    let gap_ns = count * every_ns;
    Job::FirstPort(Habit {
        shape,
        count: (count, count),
        every_ns: (every_ns, every_ns),
        gap_ns: (gap_ns, gap_ns),
        flows: DAY_NS / gap_ns,
    })
}

/// A moment of a day, likelier in its busy hours; never its first nanosecond.
fn moment(random: &mut Random) -> u64 {
    let mut rest = random.below(HOURS.iter().sum());
    let mut hour = 0;
    for weight in HOURS {
        match rest.checked_sub(weight) {
            Some(behind) => rest = behind,
            None => break,
        }
        hour += 1;
    }
    hour * HOUR_NS + random.between((1, HOUR_NS - 1))
}
