// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each class is what its definition says, seen through counters alone: a generator whose
//! NAT did not look like one would make every test with it worthless.

use super::*;

/// All ports of a source together.
fn sums(spec: &SiteSpec) -> BTreeMap<SourceAddr, Source> {
    let mut sums: BTreeMap<SourceAddr, Source> = BTreeMap::new();
    for row in last_rows(spec).into_values() {
        let sum = sums.entry(row.src).or_insert(crate::site::sweeps::empty(row.src, 0));
        sum.dst_port += 1;
        sum.syn += row.syn;
        sum.ack += row.ack;
        sum.handshakes += row.handshakes;
        sum.fin += row.fin;
        sum.rst += row.rst;
        sum.packets += row.packets;
        sum.bytes += row.bytes;
        sum.born_boot_ns = sum.born_boot_ns.min(row.born_boot_ns);
        sum.last_boot_ns = sum.last_boot_ns.max(row.last_boot_ns);
    }
    sums
}

/// The sources of `class`; at least `least`. `dst_port` is how many ports it sent to.
fn of(spec: &SiteSpec, class: Class, least: usize) -> Vec<Source> {
    let truth = spec.truth();
    let all: Vec<Source> =
        sums(spec).into_values().filter(|row| truth.get(&row.src) == Some(&class)).collect();
    assert!(all.len() >= least, "{class}: {}", all.len());
    all
}

fn daily(clients_a_day: u64, mix: Mix) -> SiteSpec {
    // Two days, so that nobody is cut off at midnight but on the last one.
    SiteSpec { clients_a_day, mix, days: 2, returning_ppm: 0, ..empty_site() }
}

fn steady(steady: Steady) -> SiteSpec {
    SiteSpec { steady, ..empty_site() }
}

fn attack(kind: AttackKind, lasts_s: u64, rate_ps: u64, sources: u64) -> SiteSpec {
    let attack =
        Attack { kind, day: 0, at_s: 40_000, lasts_s, rate_ps, sources, is_neighbour: false };
    let steady = Steady { nats: 1, nat_clients: 500, ..Steady::default() };
    SiteSpec { attacks: vec![attack], steady, ..empty_site() }
}

/// Most of `rows` are so; the last day cuts a few off.
fn most(rows: &[Source], is: impl Fn(&Source) -> bool) {
    let others: Vec<&Source> = rows.iter().filter(|row| !is(row)).collect();
    assert!(others.len() * 50 <= rows.len(), "{} of {}: {:?}", others.len(), rows.len(), others[0]);
}

const fn lasted_ns(row: &Source) -> u64 {
    row.last_boot_ns - row.born_boot_ns
}

#[test]
fn short_http_completes_what_it_begins() {
    let rows = of(&daily(200, Mix { short_http: 1, ..Mix::default() }), Class::ShortHttp, 390);
    most(&rows, |row| row.handshakes == row.syn && row.fin == row.syn && row.rst == 0);
    most(&rows, |row| (1..=24).contains(&row.syn) && row.packets == 7 * row.syn);
}

#[test]
fn keep_alive_lives_for_minutes_on_few_connections() {
    let rows = of(&daily(200, Mix { keep_alive: 1, ..Mix::default() }), Class::KeepAlive, 390);
    most(&rows, |row| row.handshakes == row.syn && row.syn <= 3);
    most(&rows, |row| lasted_ns(row) >= 50 * S && row.packets >= 22 * row.syn);
}

#[test]
fn bulk_is_thousands_of_acks_without_data() {
    let rows = of(&daily(100, Mix { bulk: 1, ..Mix::default() }), Class::Bulk, 190);
    most(&rows, |row| row.handshakes == row.syn && row.ack >= 2_000 * row.syn);
    most(&rows, |row| row.bytes < 90 * row.packets);
}

#[test]
fn slow_and_lossy_sends_syns_again_and_completes() {
    let rows = of(&daily(200, Mix { slow_lossy: 1, ..Mix::default() }), Class::SlowLossy, 390);
    most(&rows, |row| row.syn >= 2 * row.handshakes && row.syn <= 3 * row.handshakes);
    most(&rows, |row| row.handshakes >= 1 && row.fin == row.handshakes);
}

#[test]
fn broken_retries_seldom_and_completes_at_last() {
    let spec = daily(200, Mix { broken: 1, ..Mix::default() });
    let rows = of(&spec, Class::Broken, 390);
    most(&rows, |row| row.syn >= 18 && row.handshakes >= 1);
    // Its own back-off is its bound: never more than a few SYN in any ten seconds.
    let mut syns: BTreeMap<Key, u64> = BTreeMap::new();
    each(&spec, |swept| {
        for row in swept.sources {
            let before = syns.insert((row.src, row.dst_port), row.syn).unwrap_or(0);
            assert!(row.syn - before <= 20, "{row:?}");
        }
    });
}

#[test]
fn a_stampede_looks_like_an_attack_until_it_completes() {
    let spec = daily(100, Mix { stampede: 1, ..Mix::default() });
    let rows = of(&spec, Class::Stampede, 190);
    most(&rows, |row| row.syn >= 8 * 40 && (1..=24).contains(&row.handshakes));
    most(&rows, |row| row.handshakes * 10 < row.syn);
    assert!(Class::Stampede.is_legitimate());
}

#[test]
fn a_crawler_completes_tens_of_connections_per_second() {
    let rows = of(&daily(50, Mix { crawler: 1, ..Mix::default() }), Class::Crawler, 90);
    most(&rows, |row| row.handshakes == row.syn && row.syn >= 600);
    assert!(rows.iter().any(|row| row.syn * S > 5 * lasted_ns(row)));
}

#[test]
fn a_flash_crowd_is_many_new_sources_within_an_hour() {
    let crowds = vec![Crowd { day: 0, hour: 18, clients: 500 }];
    let spec = SiteSpec { crowds, ..empty_site() };
    let rows = of(&spec, Class::FlashCrowd, 500);
    let born = |row: &Source| row.born_boot_ns;
    let first = rows.iter().map(born).min().expect("rows");
    let last = rows.iter().map(born).max().expect("rows");
    assert!(last - first <= 3_600 * S && last - first > 3_000 * S);
    most(&rows, |row| row.handshakes >= 1 && row.syn <= 2 * row.handshakes);
    let retried = rows.iter().filter(|row| row.syn > row.handshakes).count();
    assert!((100..200).contains(&retried), "{retried}");
}

#[test]
fn privacy_addresses_are_new_every_day_in_the_same_64() {
    let spec = SiteSpec { days: 3, ..steady(Steady { households: 20, ..Steady::default() }) };
    let rows = of(&spec, Class::Privacy, 115);
    let mut members: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    for row in &rows {
        *members.entry(row.src.to_bytes()[..8].to_vec()).or_default() += 1;
    }
    assert_eq!(members.len(), 20);
    assert!(members.values().all(|count| (4..=6).contains(count)), "{members:?}");
}

#[test]
fn a_nat_is_many_clients_behind_one_address() {
    let spec = steady(Steady { nats: 2, nat_clients: 500, ..Steady::default() });
    let rows = of(&spec, Class::Nat, 2);
    for row in &rows {
        let hours = lasted_ns(row) / (3_600 * S);
        assert!((11..=12).contains(&hours), "{hours}");
        assert!(row.handshakes * S / lasted_ns(row) >= 9, "ten clients a second");
        assert!(row.handshakes * 100 > row.syn * 95 && row.handshakes < row.syn);
    }
}

#[test]
fn a_health_checker_never_completes_and_never_stops() {
    let spec = steady(Steady { health_checkers: 5, ..Steady::default() });
    for row in of(&spec, Class::HealthChecker, 5) {
        assert_eq!((row.handshakes, row.ack, row.dst_port), (0, 0, 1));
        assert!(row.syn.abs_diff(row.rst) <= 1 && lasted_ns(&row) > 86_000 * S);
        let every_ns = lasted_ns(&row) / row.syn;
        assert!((S * 99 / 100..=5 * S).contains(&every_ns), "{every_ns}");
    }
}

#[test]
fn a_monitor_touches_few_ports_and_completes() {
    let spec = steady(Steady { monitors: 2, ..Steady::default() });
    for row in of(&spec, Class::Monitor, 2) {
        assert_eq!((u64::from(row.dst_port), row.handshakes), (4, row.syn));
        assert!((4 * 1_435..=4 * 1_440).contains(&row.syn), "{}", row.syn);
    }
}

#[test]
fn a_flood_is_syns_of_one_source_at_its_rate() {
    for row in of(&attack(AttackKind::SynFlood, 100, 300, 3), Class::SynFlood, 3) {
        assert_eq!((row.syn, row.packets, row.handshakes), (30_000, 30_000, 0));
        assert!(lasted_ns(&row) <= 100 * S && lasted_ns(&row) > 99 * S);
    }
}

#[test]
fn a_spoofed_flood_borrows_each_address_for_one_to_three_syns() {
    let rows = of(&attack(AttackKind::Spoofed, 100, 300, 5_000), Class::SpoofedFlood, 5_000);
    assert!(rows.iter().all(|row| (1..=3).contains(&row.syn) && row.syn == row.packets));
    assert!((1..=3).all(|syn| rows.iter().any(|row| row.syn == syn)));
}

#[test]
fn low_and_slow_stays_at_a_syn_a_second() {
    for row in of(&attack(AttackKind::LowAndSlow, 7_200, 1, 4), Class::LowAndSlow, 4) {
        assert!((3_590..=7_200).contains(&row.syn) && row.syn == row.packets);
    }
}

#[test]
fn a_scan_touches_each_port_once() {
    for row in of(&attack(AttackKind::PortScan, 50, 20, 2), Class::PortScan, 2) {
        assert_eq!((row.dst_port, row.syn, row.packets), (1_000, 1_000, 1_000));
    }
}

#[test]
fn an_rst_storm_is_rst_only() {
    for row in of(&attack(AttackKind::RstStorm, 60, 100, 2), Class::RstStorm, 2) {
        assert_eq!((row.rst, row.packets, row.syn), (6_000, 6_000, 0));
    }
}

#[test]
fn churn_completes_four_of_ten() {
    for row in of(&attack(AttackKind::Churn, 100, 50, 2), Class::Churn, 2) {
        assert_eq!((row.syn, row.handshakes), (5_000, 2_000));
        assert!(row.fin == 0 && row.rst == row.handshakes);
    }
}

/// Two connections with the same ports at a time would be one to the sensor.
#[test]
fn what_shares_an_address_shares_no_connection() {
    let spec = SiteSpec { steady: Steady::default(), ..attack(AttackKind::Churn, 100, 50, 2) };
    let mut wire = Wire::new(spec).expect("a site");
    let mut isns = BTreeMap::new();
    while let Some(packets) = wire.next_packets() {
        for packet in packets.iter().filter(|packet| packet.flags == flag::SYN) {
            let connection = (packet.src, packet.src_port, packet.dst_port);
            assert_eq!(isns.insert(connection, packet.seq), None, "{packet:?}");
        }
    }
    assert_eq!(isns.len(), 10_000);
}

/// Acting on the address hurts those who share it.
#[test]
fn a_bad_user_behind_a_nat_adds_to_its_syns_and_stays_legitimate() {
    let rows = of(&attack(AttackKind::BehindNat, 100, 300, 1), Class::BadUserBehindNat, 1);
    assert!(rows[0].syn > 30_000 + rows[0].handshakes && rows[0].handshakes > 300_000);
    assert!(Class::BadUserBehindNat.is_legitimate() && Class::BadUserBehindNat.is_attack());
}

#[test]
fn a_neighbour_lives_in_a_network_of_clients() {
    let mut spec = attack(AttackKind::SynFlood, 30, 50, 4);
    (spec.clients_a_day, spec.mix) = (50, Mix { short_http: 1, ..Mix::default() });
    spec.v6_ppm = 0;
    spec.attacks[0].is_neighbour = true;
    let truth = spec.truth();
    let shares = |a: &SourceAddr, b: &SourceAddr| a.to_bytes()[..15] == b.to_bytes()[..15];
    let of = |class| truth.iter().filter(move |(_, found)| **found == class).map(|(src, _)| src);
    assert_eq!(of(Class::SynFlood).count(), 4);
    for attacker in of(Class::SynFlood) {
        assert!(of(Class::ShortHttp).any(|client| shares(client, attacker)), "{attacker}");
    }
}

#[test]
fn what_is_no_site_is_refused_with_its_reason() {
    let attack = attack(AttackKind::SynFlood, 1, 1, 1);
    let with = |change: fn(&mut SiteSpec)| {
        let mut spec = attack.clone();
        change(&mut spec);
        Sweeps::new(spec).map(|_| ()).expect_err("refused").to_string()
    };
    assert!(with(|spec| spec.days = 0).contains("days"));
    assert!(with(|spec| spec.period_ms = 7_001).contains("period_ms"));
    assert!(with(|spec| spec.start_unix_ms += 5).contains("5 ms behind a midnight"));
    assert!(with(|spec| spec.ports.clear()).contains("ports"));
    assert!(with(|spec| spec.attacks[0].day = 1).contains("day 1"));
    assert!(with(|spec| spec.attacks[0].rate_ps = 0).contains("rate of 0"));
    assert!(
        with(|spec| (spec.clients_a_day, spec.mix.bulk) = (1 << 20, 1)).contains("client networks")
    );
    assert!(with(|spec| spec.clients_a_day = 1).contains("weight"));
    assert!(with(|spec| spec.clients_per_network = 1_000).contains("253"));
}
