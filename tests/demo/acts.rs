// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the applications behind the second sensor do, as data: four that somebody should look
//! at, five that do their work. Every limit of the sensor is the default.
//!
//! Of the ordinary ones each does something that would be flagged of a stranger, and is spared
//! for a reason of its own. NTP is as even as the beacon: the baseline has it, and UDP 123 is
//! measured and never flagged anyway. Health checks are as even too: they come in. The backup
//! sends as much as the exfiltration: to an internal address. Updates and pages go to public
//! addresses that the baseline has; who visits new sites every day has no use for a baseline.

use std::net::Ipv4Addr;

/// The one listed resolver.
pub const RESOLVER: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 53);
/// Address of the server on the second wire.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);
/// Where the health checks come from.
pub const BALANCER: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 2);
/// Below this zone each name is a message. A zone is the last two labels to the sensor.
pub const TUNNEL_ZONE: &str = "tunnel.example";
/// Every other name. What is not below 10.0.0.0/8 is public to the sensor.
pub static NAMES: [(&str, Ipv4Addr); 8] = [
    ("c2.example.net", Ipv4Addr::new(203, 0, 113, 66)),
    ("drop.example.net", Ipv4Addr::new(203, 0, 113, 99)),
    ("mirror.example.org", Ipv4Addr::new(198, 51, 100, 10)),
    ("time.example.org", Ipv4Addr::new(198, 51, 100, 123)),
    ("news.example.com", Ipv4Addr::new(198, 51, 100, 21)),
    ("images.example.com", Ipv4Addr::new(198, 51, 100, 22)),
    ("shop.example.com", Ipv4Addr::new(198, 51, 100, 23)),
    ("backup.example.internal", Ipv4Addr::new(10, 79, 1, 7)),
];

const MIB: usize = 1 << 20;
/// Times this, what the exfiltration and the backup send is above the default of 1 GiB.
const PART_BYTES: usize = 100 * MIB;
const PARTS: usize = 11;

/// Something that an application does.
pub enum Deed {
    /// Connects, asks, is answered, closes; once, and again after each gap.
    Errand {
        /// `tcp` or `udp`.
        protocol: &'static str,
        /// Name of the other end: resolved each time.
        host: &'static str,
        /// Its port.
        port: u16,
        /// Bytes sent each time.
        ask_bytes: usize,
        /// Bytes received each time.
        answer_bytes: usize,
        /// From beginning to beginning.
        gaps_ms: &'static [u64],
    },
    /// Tries so many internal addresses, where nobody listens.
    Scan {
        /// The first.
        from: Ipv4Addr,
        /// The same of each.
        port: u16,
        /// How many.
        count: u32,
    },
    /// Asks the resolver for so many long names below [`TUNNEL_ZONE`], over one socket.
    Tunnel {
        /// How many.
        count: u16,
    },
    /// Nothing, for a while.
    Wait {
        /// How long.
        ms: u64,
    },
    /// Answers whoever comes.
    Serve {
        /// Where it listens.
        port: u16,
        /// How often the balancer comes, less one.
        gaps_ms: &'static [u64],
    },
}

/// An application.
pub struct Act {
    /// Of its executable.
    pub name: &'static str,
    /// What it does, for people.
    pub does: &'static str,
    /// One after the other.
    pub deeds: &'static [Deed],
    /// Whether it ran when the baseline was learned: then no destination of its is new, else
    /// all are.
    pub is_known: bool,
    /// What else must be flagged of it.
    pub flags: &'static [(&'static str, Of)],
}

/// What is flagged.
pub enum Of {
    /// The application as a whole.
    App,
    /// Where it went.
    Host(&'static str),
    /// The names that it asked for below a zone, or what went there.
    Zone(&'static str),
}

/// All of them, planted ones first.
pub static ACTS: [Act; 9] = [
    Act {
        name: "beacon",
        does: "says hello every 450 ms",
        deeds: &[tcp("c2.example.net", 443, (200, 50), &[450; 30])],
        is_known: false,
        flags: &[("regular_intervals", Of::Host("c2.example.net"))],
    },
    Act {
        name: "exfil",
        does: "sends 1.1 GiB to a public address",
        deeds: &[tcp("drop.example.net", 443, (PART_BYTES, 16), &[900; PARTS - 1])],
        is_known: false,
        flags: &[("volume_out", Of::App), ("volume_out", Of::Zone("example.net"))],
    },
    Act {
        name: "scanner",
        does: "tries 200 internal addresses",
        // Its many new destinations would hide those of the others in a list that is cut.
        deeds: &[
            Deed::Wait { ms: 12_500 },
            Deed::Scan { from: Ipv4Addr::new(10, 79, 0, 1), port: 22, count: 200 },
        ],
        is_known: false,
        flags: &[("many_internal_peers", Of::App), ("many_failed_connects", Of::App)],
    },
    Act {
        name: "tunnel",
        does: "asks for 400 long names of one zone",
        deeds: &[Deed::Tunnel { count: 400 }],
        is_known: false,
        flags: &[("many_names", Of::Zone(TUNNEL_ZONE)), ("name_volume", Of::Zone(TUNNEL_ZONE))],
    },
    Act {
        name: "updater",
        does: "downloads at uneven times",
        deeds: &[tcp("mirror.example.org", 80, (300, 2 * MIB), &[700, 2_900, 400, 5_100, 1_600])],
        is_known: true,
        flags: &[],
    },
    Act {
        name: "ntp",
        does: "asks for the time, evenly: UDP 123",
        deeds: &[udp("time.example.org", 123, (48, 48), &[450; 30])],
        is_known: true,
        flags: &[],
    },
    Act {
        name: "browser",
        does: "opens pages of three sites",
        deeds: &[
            tcp("news.example.com", 443, (900, 60_000), &[40, 30, 900]),
            tcp("images.example.com", 443, (700, 250_000), &[15, 20, 10, 25, 10, 1_300]),
            tcp("shop.example.com", 443, (1_100, 90_000), &[60, 2_400, 35, 700]),
        ],
        is_known: true,
        flags: &[],
    },
    Act {
        name: "backup",
        does: "sends 1.1 GiB to an internal address",
        deeds: &[tcp("backup.example.internal", 873, (PART_BYTES, 16), &[700; PARTS - 1])],
        is_known: true,
        flags: &[],
    },
    Act {
        name: "api",
        does: "is checked every 450 ms",
        deeds: &[Deed::Serve { port: 8_080, gaps_ms: &[450; 30] }],
        is_known: true,
        flags: &[],
    },
];

const fn tcp(
    host: &'static str,
    port: u16,
    (ask_bytes, answer_bytes): (usize, usize),
    gaps_ms: &'static [u64],
) -> Deed {
    Deed::Errand { protocol: "tcp", host, port, ask_bytes, answer_bytes, gaps_ms }
}

const fn udp(
    host: &'static str,
    port: u16,
    (ask_bytes, answer_bytes): (usize, usize),
    gaps_ms: &'static [u64],
) -> Deed {
    Deed::Errand { protocol: "udp", host, port, ask_bytes, answer_bytes, gaps_ms }
}

/// What everybody does, with the name of the application.
pub fn deeds() -> impl Iterator<Item = (&'static str, &'static Deed)> {
    ACTS.iter().flat_map(|act| act.deeds.iter().map(|deed| (act.name, deed)))
}

/// Address of a name.
pub fn address(host: &str) -> Option<Ipv4Addr> {
    NAMES.iter().find(|(name, _)| *name == host).map(|(_, address)| *address)
}
