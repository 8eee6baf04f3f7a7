// SPDX-License-Identifier: MIT OR Apache-2.0
//! A verdict against the truth.

use std::collections::BTreeMap;

use ibsr_proto::addr::SourceAddr;
use ibsr_replay::fold::compiled::Compiled;
use ibsr_replay::fold::source_facts::{Booked, SourceFacts};
use ibsr_replay::fold::vector::Choice;
use ibsr_replay::judge::gather::felt;
use ibsr_replay::judge::report::LIMIT_PPB;
use ibsr_replay::model::{Report, Verdict};
use ibsr_replay::rules::ast::Rule;
use ibsr_replay::site::{AttackKind, Class, Mix, SiteSpec, Steady};

use super::replay::{Honest, fold};

const PPB: u64 = 1_000_000_000;
/// Stampedes of the future that a site's choice is tried on.
const FUTURE: u64 = 300;

/// A site after its report.
pub struct Judged {
    /// Which.
    pub seed: u64,
    /// What the report says.
    pub verdict: Verdict,
    /// Legitimate clusters on held-out days, and those hurt, as the report counts them.
    pub counted: (u64, u64),
    /// Chosen threshold of each rule.
    pub chosen: Vec<Option<u64>>,
    /// Share of new clients whom the chosen rules would hurt in the long run.
    pub true_ppb: u64,
    /// The same at the loosest thresholds: whether a yes to everything would be wrong.
    pub loosest_ppb: u64,
    /// Sources of classes that a ready drop rule must never act on, that it acts on.
    pub never_dropped: Vec<(SourceAddr, Class)>,
    /// Planted floods at or above the chosen rate.
    pub flood: Flood,
}

/// Packets of planted floods.
#[derive(Debug, Default)]
pub struct Flood {
    /// Sent.
    pub sent: u64,
    /// Sent while the chosen rules act.
    pub acted: u64,
}

impl Judged {
    /// Judges a site.
    pub fn new(seed: u64, spec: &SiteSpec, rules: &Compiled) -> Self {
        let folded = fold(spec, rules, &mut Honest);
        let report = folded.report(rules);
        let choice = chosen(&report, rules);
        let truth = spec.truth();
        let sources = &folded.sources;
        let future = future(spec, rules);
        let share = |choice: &Choice| {
            let hurt = |facts: &&SourceFacts| is_hurt(facts, rules, choice);
            let stampedes = future.iter().filter(hurt).count() as u64;
            let of_stampedes = stampedes * PPB / FUTURE;
            let stampeding = of_stampedes * spec.mix.stampede / spec.mix.sum();
            stampeding + others_ppb(sources, &truth, |facts| is_hurt(facts, rules, choice))
        };
        Self {
            seed,
            verdict: report.decision.verdict,
            counted: (report.surface.clusters.n, report.surface.clusters.k),
            chosen: report.rules.iter().map(|rule| rule.chosen.as_ref()?.value).collect(),
            true_ppb: share(&choice),
            loosest_ppb: share(&loosest(rules)),
            never_dropped: never_dropped(sources, &truth, &dropping(&report, rules)),
            flood: floods(spec, &report, rules, sources, &truth),
        }
    }

    /// What there is to say about it, on one line.
    pub fn line(&self) -> String {
        let Self { seed, verdict, counted: (n, k), chosen, true_ppb, loosest_ppb, .. } = self;
        let (flood, never) = (&self.flood, &self.never_dropped);
        format!(
            "seed {seed}: {verdict}, {k} of {n} clusters hurt, truth {true_ppb} ppb (loosest \
             {loosest_ppb}), thresholds {chosen:?}, {flood:?}, never {never:?}"
        )
    }

    /// Ready, and more than the limit is hurt.
    pub fn is_mistake(&self) -> bool {
        self.verdict.is_ready() && self.true_ppb > LIMIT_PPB
    }

    /// Whether the loosest thresholds would hurt more than the limit.
    pub const fn is_trap(&self) -> bool {
        self.loosest_ppb > LIMIT_PPB
    }
}

fn choice_of(report: &Report, rules: &Compiled, is: impl Fn(&Rule) -> bool) -> Choice {
    let rows = report.rules.iter().zip(&rules.set().rules).enumerate();
    rows.fold(Choice::default(), |choice, (at, (row, rule))| {
        let index = row.chosen.as_ref().filter(|_| is(rule)).map(|chosen| chosen.index);
        choice.with(at, index, rule.thresholds())
    })
}

fn chosen(report: &Report, rules: &Compiled) -> Choice {
    choice_of(report, rules, |_| true)
}

fn dropping(report: &Report, rules: &Compiled) -> Choice {
    choice_of(report, rules, Rule::is_drop)
}

fn loosest(rules: &Compiled) -> Choice {
    let rules = rules.set().rules.iter().enumerate();
    rules.fold(Choice::default(), |choice, (at, rule)| {
        let thresholds = rule.thresholds();
        choice.with(at, Some(thresholds - 1), thresholds)
    })
}

fn booked<'a>(
    facts: &'a SourceFacts,
    rules: &'a Compiled,
    choice: &'a Choice,
) -> impl Iterator<Item = &'a Booked> {
    let by = facts.acted.iter().flat_map(|acted| &acted.by);
    by.filter(|((_, vector), booked)| choice.acts(felt(rules, *vector, booked))).map(|(_, b)| b)
}

fn is_hurt(facts: &SourceFacts, rules: &Compiled, choice: &Choice) -> bool {
    booked(facts, rules, choice).next().is_some()
}

/// What the site's stampedes would go through in another week.
fn future(spec: &SiteSpec, rules: &Compiled) -> Vec<SourceFacts> {
    if spec.mix.stampede == 0 {
        return Vec::new();
    }
    let future = SiteSpec {
        seed: !spec.seed,
        days: 1,
        clients_a_day: FUTURE,
        mix: Mix { stampede: 1, ..Mix::default() },
        returning_ppm: 0,
        steady: Steady::default(),
        crowds: Vec::new(),
        attacks: Vec::new(),
        clients_per_network: 1,
        ..spec.clone()
    };
    fold(&future, rules, &mut Honest).sources.into_values().collect()
}

/// Clients of all other kinds: those of the site itself say enough, since they are either
/// never hurt or many. An attacker behind a NAT counts, stampedes do not.
fn others_ppb(
    sources: &BTreeMap<SourceAddr, SourceFacts>,
    truth: &BTreeMap<SourceAddr, Class>,
    is_hurt: impl Fn(&SourceFacts) -> bool,
) -> u64 {
    let (mut all, mut hurt) = (0, 0);
    for (addr, facts) in sources {
        let class = truth[addr];
        if class.is_legitimate() && class != Class::Stampede {
            all += 1;
            hurt += u64::from(is_hurt(facts));
        }
    }
    (hurt * PPB).checked_div(all).unwrap_or(0)
}

fn never_dropped(
    sources: &BTreeMap<SourceAddr, SourceFacts>,
    truth: &BTreeMap<SourceAddr, Class>,
    dropping: &Choice,
) -> Vec<(SourceAddr, Class)> {
    let never = [Class::HealthChecker, Class::Nat, Class::BadUserBehindNat, Class::FlashCrowd];
    let is_dropped = |facts: &SourceFacts| {
        let by = facts.acted.iter().flat_map(|acted| &acted.by);
        by.into_iter().any(|((_, vector), _)| dropping.acts(*vector))
    };
    let dropped = sources.iter().filter(|(_, facts)| is_dropped(facts));
    let of = dropped.map(|(addr, _)| (*addr, truth[addr]));
    of.filter(|(_, class)| never.contains(class)).collect()
}

/// Packets of the planted SYN floods whose rate the chosen threshold is for. A site whose
/// honest clients are as fast as its attackers cannot catch these, and must not.
fn floods(
    spec: &SiteSpec,
    report: &Report,
    rules: &Compiled,
    sources: &BTreeMap<SourceAddr, SourceFacts>,
    truth: &BTreeMap<SourceAddr, Class>,
) -> Flood {
    let dead_syn = report.rules.iter().find(|rule| rule.name == "dead_syn");
    let theta = dead_syn.and_then(|rule| rule.chosen.as_ref()).and_then(|chosen| chosen.value);
    let floods = spec.attacks.iter().filter(|attack| attack.kind == AttackKind::SynFlood);
    let slowest = floods.map(|attack| attack.rate_ps).min();
    let is_meant = theta.zip(slowest).is_some_and(|(theta, rate)| theta <= rate);
    let mut flood = Flood::default();
    if !is_meant {
        return flood;
    }
    let choice = chosen(report, rules);
    for (addr, facts) in sources {
        if truth[addr] == Class::SynFlood {
            flood.sent += facts.counts.packets;
            flood.acted += booked(facts, rules, &choice).map(|booked| booked.packets).sum::<u64>();
        }
    }
    flood
}
