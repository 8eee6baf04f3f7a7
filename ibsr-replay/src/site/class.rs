// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kinds of remote ends, and what is true of them.

use std::fmt;

/// Who is behind a source. The names are those in `truth.csv`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A few short HTTP connections.
    ShortHttp,
    /// One connection with requests for minutes to an hour.
    KeepAlive,
    /// A long download: thousands of ACKs.
    Bulk,
    /// Long round trips, SYNs and data sent again.
    SlowLossy,
    /// Cannot get through, tries again with TCP's own back-off, completes in the end.
    Broken,
    /// Cannot get through and lets a whole pool of connections try at once; completes in
    /// the end. Nothing in the counters of its first minute tells it from an attacker.
    Stampede,
    /// Tens of complete connections per second for minutes.
    Crawler,
    /// One of many who come within one hour.
    FlashCrowd,
    /// A household whose hosts take new IPv6 addresses every day.
    Privacy,
    /// Many clients behind one address.
    Nat,
    /// SYN, then RST, every few seconds, for ever. Never completes.
    HealthChecker,
    /// Touches a few ports every minute and completes.
    Monitor,
    /// SYNs of one source at a high rate.
    SynFlood,
    /// SYNs whose source address is not the sender's: 1 to 3 of each.
    SpoofedFlood,
    /// A SYN every second or two for hours.
    LowAndSlow,
    /// One SYN to each of many ports.
    PortScan,
    /// RSTs of one source at a high rate.
    RstStorm,
    /// Connections opened at a high rate, fewer than half of them completed, none used.
    Churn,
    /// An attacker who shares an address with honest clients.
    BadUserBehindNat,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::ShortHttp,
        Self::KeepAlive,
        Self::Bulk,
        Self::SlowLossy,
        Self::Broken,
        Self::Stampede,
        Self::Crawler,
        Self::FlashCrowd,
        Self::Privacy,
        Self::Nat,
        Self::HealthChecker,
        Self::Monitor,
        Self::SynFlood,
        Self::SpoofedFlood,
        Self::LowAndSlow,
        Self::PortScan,
        Self::RstStorm,
        Self::Churn,
        Self::BadUserBehindNat,
    ];

    /// Whether acting on the address hurts somebody honest. True behind a NAT whatever one
    /// of its users does.
    #[must_use]
    pub const fn is_legitimate(self) -> bool {
        !self.is_attack() || matches!(self, Self::BadUserBehindNat)
    }

    /// Whether somebody at the address attacks.
    #[must_use]
    pub const fn is_attack(self) -> bool {
        matches!(
            self,
            Self::SynFlood
                | Self::SpoofedFlood
                | Self::LowAndSlow
                | Self::PortScan
                | Self::RstStorm
                | Self::Churn
                | Self::BadUserBehindNat
        )
    }

    /// The word in `truth.csv`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ShortHttp => "short_http",
            Self::KeepAlive => "keep_alive",
            Self::Bulk => "bulk",
            Self::SlowLossy => "slow_lossy",
            Self::Broken => "broken",
            Self::Stampede => "stampede",
            Self::Crawler => "crawler",
            Self::FlashCrowd => "flash_crowd",
            Self::Privacy => "privacy",
            Self::Nat => "nat",
            Self::HealthChecker => "health_checker",
            Self::Monitor => "monitor",
            Self::SynFlood => "syn_flood",
            Self::SpoofedFlood => "spoofed_flood",
            Self::LowAndSlow => "low_and_slow",
            Self::PortScan => "port_scan",
            Self::RstStorm => "rst_storm",
            Self::Churn => "churn",
            Self::BadUserBehindNat => "bad_user_behind_nat",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
