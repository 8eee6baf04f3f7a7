// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ready-made sites.

use super::random::Random;
use super::spec::{Attack, AttackKind, Crowd, Mix, SiteSpec, Stampede, Steady};

/// 2026-01-05T00:00:00Z, a Monday.
const START_UNIX_MS: u64 = 1_767_571_200_000;
const PPM: u64 = 1_000_000;

/// What kind of site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Preset {
    /// No attack.
    Quiet,
    /// SYN floods of single sources on several days.
    Flood,
    /// Every kind of attack.
    Mixed,
    /// Anything: size, clients and attacks are drawn from the seed.
    Random,
}

impl Preset {
    /// A site of `days` days with about `clients_a_day` new ones each. [`Self::Random`]
    /// draws these two too and takes the given ones as the most that they may be.
    #[must_use]
    pub fn spec(self, seed: u64, days: u64, clients_a_day: u64) -> SiteSpec {
        let quiet = quiet(seed, days, clients_a_day);
        match self {
            Self::Quiet => quiet,
            Self::Flood => SiteSpec { attacks: floods(days), ..quiet },
            Self::Mixed => SiteSpec { attacks: all_kinds(days), ..quiet },
            Self::Random => random(seed, days, clients_a_day),
        }
    }
}

fn quiet(seed: u64, days: u64, clients_a_day: u64) -> SiteSpec {
    SiteSpec {
        seed,
        start_unix_ms: START_UNIX_MS,
        days,
        period_ms: 10_000,
        full_every: 360,
        attach_every_days: 0,
        ports: vec![443, 80, 22, 8443],
        clients_a_day,
        mix: mix(0),
        clients_per_network: 1,
        returning_ppm: 200_000,
        v6_ppm: 150_000,
        steady: Steady {
            nats: 1,
            nat_clients: 500,
            health_checkers: 2,
            monitors: 1,
            households: 1 + clients_a_day / 100,
        },
        stampede: Stampede { syn_ps: vec![8, 15, 30, 60], lasts_s: (40, 120) },
        crowds: vec![Crowd { day: days / 2, hour: 18, clients: clients_a_day / 2 }],
        attacks: Vec::new(),
    }
}

/// The usual clients; so many in a million stampede instead.
const fn mix(stampede_ppm: u64) -> Mix {
    Mix {
        short_http: 635_000 - stampede_ppm,
        keep_alive: 150_000,
        bulk: 40_000,
        slow_lossy: 120_000,
        broken: 50_000,
        stampede: stampede_ppm,
        crawler: 5_000,
    }
}

const fn attack(kind: AttackKind, day: u64, hour: u64, rate_ps: u64, sources: u64) -> Attack {
    let at_s = hour * 3_600 + 600;
    Attack { kind, day, at_s, lasts_s: 900, rate_ps, sources, is_neighbour: false }
}

fn floods(days: u64) -> Vec<Attack> {
    let on = |day: u64, hour, rate_ps, sources| {
        attack(AttackKind::SynFlood, day % days, hour, rate_ps, sources)
    };
    let mut attacks: Vec<Attack> = (0..days)
        .filter(|day| day % 3 != 1)
        .flat_map(|day| [on(day, 3 + day % 7, 800, 6), on(day, 20, 200, 10)])
        .collect();
    for attack in attacks.iter_mut().step_by(4) {
        attack.is_neighbour = true;
    }
    attacks
}

fn all_kinds(days: u64) -> Vec<Attack> {
    let on =
        |day: u64, kind, hour, rate_ps, sources| attack(kind, day % days, hour, rate_ps, sources);
    let each_day = |day: u64| {
        [
            on(day, AttackKind::SynFlood, 2, 500, 5),
            on(day, AttackKind::PortScan, 5, 20, 4),
            on(day, AttackKind::RstStorm, 9, 300, 3),
            on(day, AttackKind::Churn, 13, 100, 3),
            Attack { lasts_s: 4 * 3_600, ..on(day, AttackKind::LowAndSlow, 15, 1, 3) },
        ]
    };
    let mut attacks: Vec<Attack> = (0..days).flat_map(each_day).collect();
    attacks.push(on(days / 3, AttackKind::Spoofed, 11, 400, 20_000));
    attacks.push(on(days / 2, AttackKind::BehindNat, 14, 200, 1));
    attacks
}

/// A number whose magnitude is drawn evenly: as many between 10 and 20 as between 20 and 40.
fn spread(random: &mut Random, first: u64, last: u64) -> u64 {
    let doublings = (last / first.max(1)).max(1).ilog2();
    let from = first << random.below(u64::from(doublings) + 1);
    random.between((from, (2 * from).min(last))).min(last)
}

fn random(seed: u64, most_days: u64, most_clients: u64) -> SiteSpec {
    let mut random = Random::of(seed, &[0x5173]);
    let days = random.between((8.min(most_days), most_days));
    let clients = spread(&mut random, (most_clients / 20).max(20), most_clients);
    let quiet = quiet(seed, days, clients);
    // A quarter of the sites has nobody who stampedes. In the others they are about as many
    // as a usual limit of one in a thousand allows, where a verdict is hardest to reach.
    let stampede_ppm = if random.chance(PPM / 4) { 0 } else { spread(&mut random, 500, 8_000) };
    let rates = [3, 8, 15, 30, 60, 150, 400];
    let hardest = 1 + random.below(rates.len() as u64) as usize;
    let mut spec = SiteSpec {
        attach_every_days: 1,
        full_every: quiet.sweeps_a_day(),
        mix: mix(stampede_ppm),
        returning_ppm: random.between((0, 400_000)),
        v6_ppm: random.between((0, 500_000)),
        clients_per_network: random.pick(&[1, 1, 1, 2]),
        steady: Steady {
            nats: random.below(2),
            nat_clients: random.pick(&[20, 100, 500]),
            health_checkers: random.below(3),
            monitors: random.below(2),
            households: random.below(1 + clients / 50),
        },
        stampede: Stampede { syn_ps: rates[..hardest].to_vec(), lasts_s: (40, 90) },
        ..quiet
    };
    if random.chance(PPM / 2) {
        spec.crowds.clear();
    }
    // Three sites in twenty are never attacked.
    if !random.chance(150_000) {
        spec.attacks = drawn_attacks(&mut random, days, spec.steady.nats > 0);
    }
    spec
}

fn drawn_attacks(random: &mut Random, days: u64, has_nat: bool) -> Vec<Attack> {
    let kinds = [
        AttackKind::SynFlood,
        AttackKind::SynFlood,
        AttackKind::SynFlood,
        AttackKind::LowAndSlow,
        AttackKind::PortScan,
        AttackKind::RstStorm,
        AttackKind::Churn,
        AttackKind::Spoofed,
        AttackKind::BehindNat,
    ];
    let drawn = (0..random.between((days / 2, 2 * days))).map(|_| {
        let kind = random.pick(&kinds);
        let rate_ps = spread(random, 50, 1_000);
        let is_scan = kind == AttackKind::PortScan;
        let is_shared = kind == AttackKind::BehindNat;
        Attack {
            kind,
            day: random.below(days),
            at_s: random.between(if is_shared { (31_000, 68_000) } else { (0, 80_000) }),
            lasts_s: random.between(if is_scan { (60, 120) } else { (600, 1_800) }),
            rate_ps: if is_scan { rate_ps.min(60) } else { rate_ps },
            sources: match kind {
                AttackKind::Spoofed => random.between((200, 2_000)),
                AttackKind::BehindNat => 1,
                _ => random.between((1, 4)),
            },
            is_neighbour: random.chance(200_000),
        }
    });
    drawn.filter(|attack| has_nat || attack.kind != AttackKind::BehindNat).collect()
}
