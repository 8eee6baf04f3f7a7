// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a site is made of.

use super::address::{ATTACK_NETWORKS, HOSTS, LEGITIMATE_NETWORKS, SPOOFED_ADDRESSES};

/// Ms of a day without leap seconds, as Unix time has them.
pub const DAY_MS: u64 = 86_400_000;

/// A synthetic site. The same value always makes the same recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteSpec {
    /// Everything that is drawn is drawn from this.
    pub seed: u64,
    /// Wall clock at the start; a midnight UTC.
    pub start_unix_ms: u64,
    /// Days, at least 1.
    pub days: u64,
    /// Time between two sweeps; divides a day.
    pub period_ms: u64,
    /// Every so many sweeps all entries are listed.
    pub full_every: u64,
    /// Days between two sets of maps (an upgrade at midnight); 0: one set for all days.
    pub attach_every_days: u64,
    /// Ports with a service, the most used one first. The program counts all ports.
    pub ports: Vec<u16>,
    /// New clients each day, nearly all of them in networks of their own.
    pub clients_a_day: u64,
    /// Who they are: each is drawn, so no two days have the same.
    pub mix: Mix,
    /// Clients that share a network (/24).
    pub clients_per_network: u64,
    /// How many in a million come back the next day.
    pub returning_ppm: u64,
    /// How many networks in a million are IPv6.
    pub v6_ppm: u64,
    /// Who is there every day.
    pub steady: Steady,
    /// What a [`super::Class::Stampede`] sends.
    pub stampede: Stampede,
    /// Hours with many new clients.
    pub crowds: Vec<Crowd>,
    /// Attacks.
    pub attacks: Vec<Attack>,
}

/// How often a new client is of each kind; only the proportions count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mix {
    /// [`super::Class::ShortHttp`].
    pub short_http: u64,
    /// [`super::Class::KeepAlive`].
    pub keep_alive: u64,
    /// [`super::Class::Bulk`].
    pub bulk: u64,
    /// [`super::Class::SlowLossy`].
    pub slow_lossy: u64,
    /// [`super::Class::Broken`].
    pub broken: u64,
    /// [`super::Class::Stampede`].
    pub stampede: u64,
    /// [`super::Class::Crawler`].
    pub crawler: u64,
}

/// Sources that are there every day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Steady {
    /// NAT gateways.
    pub nats: u64,
    /// Clients behind each of them.
    pub nat_clients: u64,
    /// Health checkers.
    pub health_checkers: u64,
    /// Monitoring scanners.
    pub monitors: u64,
    /// Households with IPv6 privacy addresses.
    pub households: u64,
}

/// How hard a client tries that cannot get through and does not wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stampede {
    /// SYN per second, one of these for each client.
    pub syn_ps: Vec<u64>,
    /// For how long, from and to.
    pub lasts_s: (u64, u64),
}

/// Many new clients within an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crowd {
    /// Day, from 0.
    pub day: u64,
    /// Hour of the day, UTC.
    pub hour: u64,
    /// How many.
    pub clients: u64,
}

/// Kinds of attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AttackKind {
    /// SYNs at a rate from each source.
    SynFlood,
    /// SYNs from borrowed addresses; the rate is addresses per second over all.
    Spoofed,
    /// A SYN every one or two seconds from each source; the rate is not used.
    LowAndSlow,
    /// So many ports per second from each source, from port 1 on.
    PortScan,
    /// RSTs at a rate from each source.
    RstStorm,
    /// Connections at a rate from each source, 40 % of them completed.
    Churn,
    /// A SYN flood from the address of the site's first NAT. Plant it in office hours:
    /// later nobody shares the address.
    BehindNat,
}

/// One attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attack {
    /// What.
    pub kind: AttackKind,
    /// Day, from 0.
    pub day: u64,
    /// Start within the day.
    pub at_s: u64,
    /// Length.
    pub lasts_s: u64,
    /// Per second, see [`AttackKind`].
    pub rate_ps: u64,
    /// Addresses; of [`AttackKind::Spoofed`] too. [`AttackKind::BehindNat`] has one.
    pub sources: u64,
    /// Whether they live in networks of legitimate clients.
    pub is_neighbour: bool,
}

/// Why a site cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// Something is 0 that must not be, or a day is not a whole number of it.
    #[error("`{0}` must be positive and divide a day")]
    Period(&'static str),
    /// Days are those of the calendar.
    #[error("the start is {0} ms behind a midnight UTC")]
    Start(u64),
    /// A site without ports has no clients.
    #[error("no ports")]
    NoPorts,
    /// Clients of no kind.
    #[error("every weight of the mix is 0")]
    NoMix,
    /// An attack or a crowd begins on a day that the site does not have.
    #[error("day {day} is behind the last of {days} days")]
    Day {
        /// Day, from 0.
        day: u64,
        /// Days of the site.
        days: u64,
    },
    /// There are not so many addresses.
    #[error("{wanted} {what} but there are only {limit}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many were asked for.
        wanted: u64,
        /// How many there are.
        limit: u64,
    },
    /// A rate of 0, or above one each nanosecond.
    #[error("a rate of {0} per second")]
    Rate(u64),
}

impl Mix {
    /// All of them.
    #[must_use]
    pub const fn sum(&self) -> u64 {
        let Self { short_http, keep_alive, bulk, slow_lossy, broken, stampede, crawler } = *self;
        short_http + keep_alive + bulk + slow_lossy + broken + stampede + crawler
    }
}

impl SiteSpec {
    /// Sweeps of one day.
    #[must_use]
    pub const fn sweeps_a_day(&self) -> u64 {
        DAY_MS / self.period_ms
    }

    /// Networks of clients that come anew, over all days.
    #[must_use]
    pub const fn daily_networks(&self) -> u64 {
        (self.days * self.clients_a_day).div_ceil(self.clients_per_network)
    }

    /// Checks that there is such a site.
    ///
    /// # Errors
    /// [`SpecError`].
    pub fn check(&self) -> Result<(), SpecError> {
        for (name, value) in [("period_ms", self.period_ms), ("days", self.days)] {
            if value == 0 {
                return Err(SpecError::Period(name));
            }
        }
        if !DAY_MS.is_multiple_of(self.period_ms) {
            return Err(SpecError::Period("period_ms"));
        }
        if self.full_every == 0 || self.clients_per_network == 0 {
            return Err(SpecError::Period("full_every and clients_per_network"));
        }
        if !self.start_unix_ms.is_multiple_of(DAY_MS) {
            return Err(SpecError::Start(self.start_unix_ms % DAY_MS));
        }
        if self.ports.is_empty() {
            return Err(SpecError::NoPorts);
        }
        let days = self.attacks.iter().map(|a| a.day).chain(self.crowds.iter().map(|c| c.day));
        if let Some(day) = days.max().filter(|day| *day >= self.days) {
            return Err(SpecError::Day { day, days: self.days });
        }
        if self.clients_a_day > 0 && self.mix.sum() == 0 {
            return Err(SpecError::NoMix);
        }
        self.check_rates()?;
        self.check_addresses()
    }

    fn check_rates(&self) -> Result<(), SpecError> {
        const MOST: u64 = 1_000_000_000;
        let rates = self.attacks.iter().map(|attack| attack.rate_ps);
        let wrong = rates.chain(self.stampede.syn_ps.iter().copied());
        match wrong.into_iter().find(|rate| *rate == 0 || *rate > MOST) {
            Some(rate) => Err(SpecError::Rate(rate)),
            None if self.stampede.syn_ps.is_empty() => Err(SpecError::Rate(0)),
            None => Ok(()),
        }
    }

    fn check_addresses(&self) -> Result<(), SpecError> {
        let steady = self.steady;
        let crowds: u64 = self.crowds.iter().map(|crowd| crowd.clients).sum();
        let networks = self.daily_networks()
            + crowds
            + steady.nats
            + steady.health_checkers
            + steady.monitors
            + steady.households;
        let sources = |is_spoofed: bool| -> u64 {
            let wanted = |a: &&Attack| (a.kind == AttackKind::Spoofed) == is_spoofed;
            self.attacks.iter().filter(wanted).map(|a| a.sources).sum()
        };
        for (what, wanted, limit) in [
            ("clients in a network", self.clients_per_network, HOSTS),
            ("client networks", networks, LEGITIMATE_NETWORKS),
            ("attackers", sources(false), ATTACK_NETWORKS),
            ("spoofed addresses", sources(true), SPOOFED_ADDRESSES),
        ] {
            if wanted > limit {
                return Err(SpecError::TooMany { what, wanted, limit });
            }
        }
        Ok(())
    }
}
