// SPDX-License-Identifier: MIT OR Apache-2.0
//! Acceptance: many seeded sites, each judged as a report would judge it, and each verdict
//! held against the truth. What a bound promises is about the sites that come out ready:
//! among all sites, few may be ready and hurt more than their limit.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use ibsr_replay::fold::compiled::Compiled;
use ibsr_replay::rules::family::family;
use ibsr_replay::site::{Attack, Mix, Preset, SiteSpec, Stampede};

#[path = "sites/replay.rs"]
mod replay;
#[path = "sites/tampered.rs"]
mod tampered;
#[path = "sites/verdict.rs"]
mod verdict;

use verdict::Judged;

/// Sites of the test; all of them with `IBSR_SITES=1000`.
const SITES: u64 = 200;
/// Sites whose truth is just above the limit.
const HARD_SITES: u64 = 60;
const MOST_DAYS: u64 = 9;
const MOST_CLIENTS: u64 = 2_500;
const WINDOW_NS: u64 = 10_000_000_000;
/// Of all sites so many in a hundred may be ready and hurt more than their limit.
const MISTAKES_PERCENT: u64 = 5;
/// Of a planted flood's packets so many in a hundred must be acted on.
const CAPTURE_PERCENT: u64 = 90;

fn rules() -> Compiled {
    Compiled::new(family(), WINDOW_NS)
}

fn spec(seed: u64) -> SiteSpec {
    Preset::Random.spec(seed, MOST_DAYS, MOST_CLIENTS)
}

fn sites() -> u64 {
    let wanted = std::env::var("IBSR_SITES").ok();
    wanted.map_or(SITES, |count| count.parse().expect("`IBSR_SITES` is a number"))
}

/// A site whose attackers can be caught only at a threshold that hurts a little more than
/// one client in a thousand: whoever takes a count for the truth is wrong on many of them.
fn hard(seed: u64, stampede_ppm: u64) -> SiteSpec {
    let flood = Preset::Flood.spec(seed, 8, 1_000);
    let slow = |attack: &Attack| Attack { rate_ps: 25, lasts_s: 1_800, ..*attack };
    SiteSpec {
        attach_every_days: 1,
        full_every: flood.sweeps_a_day(),
        mix: Mix {
            short_http: 999_999 - stampede_ppm,
            crawler: 1,
            stampede: stampede_ppm,
            ..Mix::default()
        },
        stampede: Stampede { syn_ps: vec![30], lasts_s: (60, 90) },
        attacks: flood.attacks.iter().map(slow).collect(),
        ..flood
    }
}

/// Judges sites 1 to `count`, on every CPU.
fn judge_all(count: u64, spec: impl Fn(u64) -> SiteSpec + Sync) -> Vec<Judged> {
    let next = AtomicU64::new(1);
    let work = || {
        let rules = rules();
        let mut judged = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > count {
                return judged;
            }
            judged.push(Judged::new(seed, &spec(seed), &rules));
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no panic")).collect()
    })
}

/// The promise of the whole product, over sites whose truth is known.
#[test]
fn ready_sites_keep_their_promise() {
    let all = judge_all(sites(), spec);
    let ready: Vec<&Judged> = all.iter().filter(|site| site.verdict.is_ready()).collect();
    let mistakes: Vec<&&Judged> = ready.iter().filter(|site| site.is_mistake()).collect();
    let count = |of: fn(&Judged) -> bool| all.iter().filter(|site| of(site)).count();
    println!(
        "{} sites: {} ready, {} of them above their limit; {} could be ready only by mistake",
        all.len(),
        ready.len(),
        mistakes.len(),
        count(Judged::is_trap),
    );
    all.iter().for_each(|site| println!("{}", site.line()));
    for site in &ready {
        assert!(site.never_dropped.is_empty(), "{}", site.line());
    }
    let few = all.len() as u64 * MISTAKES_PERCENT / 100;
    assert!(mistakes.len() as u64 <= few, "{} mistakes", mistakes.len());
    // A judge who never says yes makes no mistakes, and is no use; sites where a yes would
    // be wrong must be among them, or nothing was tested.
    assert!(ready.len() * 6 >= all.len(), "only {} of {} ready", ready.len(), all.len());
    assert!(count(Judged::is_trap) * 10 >= all.len(), "hardly a trap");
    capture_is_enough(&ready);
}

/// Where the truth is just above the limit, a yes is nearly always refused; where nobody is
/// hurt, the same attackers are caught.
#[test]
fn sites_just_above_their_limit_are_seldom_ready() {
    let all = judge_all(HARD_SITES, |seed| hard(seed, 1_100 + 5 * seed));
    all.iter().for_each(|site| println!("{}", site.line()));
    assert!(all.iter().all(Judged::is_trap), "every one of them is above its limit");
    let mistakes = all.iter().filter(|site| site.is_mistake()).count() as u64;
    assert!(mistakes * 100 <= HARD_SITES * MISTAKES_PERCENT, "{mistakes} mistakes");
    let harmless = judge_all(HARD_SITES / 6, |seed| hard(seed, 0));
    harmless.iter().for_each(|site| println!("{}", site.line()));
    assert!(harmless.iter().all(|site| site.verdict.is_ready()), "nobody is hurt");
}

/// Floods that the chosen threshold is for are caught nearly whole: what is missed is the
/// time until the third window is over.
fn capture_is_enough(ready: &[&Judged]) {
    let with_floods: Vec<_> = ready.iter().filter(|site| site.flood.sent > 0).collect();
    assert!(with_floods.len() * 2 >= ready.len(), "floods in {} sites", with_floods.len());
    let (mut acted, mut sent) = (0, 0);
    for site in with_floods {
        acted += site.flood.acted;
        sent += site.flood.sent;
    }
    assert!(acted * 100 >= sent * CAPTURE_PERCENT, "{acted} of {sent} packets acted on");
}
