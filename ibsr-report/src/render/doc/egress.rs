// SPDX-License-Identifier: MIT OR Apache-2.0
//! What there is to say about a policy: the verdict, who would have lost what, by which rule.

use ibsr_replay::egress::model::{EgressReport, LossRow, Rehearsal};
use ibsr_replay::model::Verdict;

use super::decision::{Head, gates, sentence, title};
use super::method::verify;
use super::talk::app_words;
use super::{Block, Cell, Fact, Section, Style, fact, numbers, or_nothing, units, words};
use crate::clock;

const HOUR_MS: u64 = 3_600_000;

/// Exit code of a run that ends with this report.
#[must_use]
pub const fn exit_code(report: &EgressReport) -> u8 {
    if is_go(report) { 0 } else { 1 }
}

/// Whether arming is an option and nothing of the input was lost.
#[must_use]
pub const fn is_go(report: &EgressReport) -> bool {
    report.is_whole && report.decision.verdict.is_ready()
}

/// The head.
#[must_use]
pub fn head(report: &EgressReport) -> Head {
    let verdict = report.decision.verdict;
    let cgroup = if report.cgroup.is_empty() { "/" } else { &report.cgroup };
    Head {
        title: title(verdict),
        meaning: meaning(report),
        next: next(verdict),
        not_whole: (!report.is_whole).then_some(
            "Not whole: there was no data, some of it could not be used, or it does not add up. \
             The section on the input says which.",
        ),
        provisional: None,
        hosts: format!("Host {}, cgroup {cgroup}", report.host),
        period: match (report.period.from_unix_ms, report.period.to_unix_ms) {
            (Some(from), Some(to)) => format!("{} to {}", clock::text(from), clock::text(to)),
            _ => "nothing was observed".to_owned(),
        },
        made: format!("Made {} by {}", report.generated_at, report.tool),
    }
}

fn meaning(report: &EgressReport) -> String {
    match report.decision.verdict {
        Verdict::InsufficientEvidence => {
            "Too little was observed to say what the policy would take away. Do not arm it.".into()
        }
        Verdict::NotReady => {
            "The policy would take away what applications use, or nobody can rule it out. Do not arm it.".into()
        }
        Verdict::NoBenefit => "The policy denies nothing.".into(),
        Verdict::ReadyCanary => {
            let share = report.decision.canary_percent;
            let share = share.map_or_else(|| "a small share".into(), |percent| format!("{percent} %"));
            format!("Every gate that allows a trial has passed: arm it for {share} of the clients and observe.")
        }
        Verdict::Ready => "Every gate has passed, and the guard's rehearsal said the same.".into(),
    }
}

const fn next(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::InsufficientEvidence => {
            "Keep the sensor and the reader running, close the gaps named below, and make the report again."
        }
        Verdict::NotReady => {
            "Read which applications would lose what. Allow what they need, or name the rule with \
             `--intended` if the loss is meant, and make the report again as the next look."
        }
        Verdict::NoBenefit => "Write a rule or a default that denies something.",
        Verdict::ReadyCanary | Verdict::Ready => {
            "Have the policy reviewed, sign the evidence, and arm the guard with it."
        }
    }
}

/// The sections behind the head, in their order.
#[must_use]
pub fn sections(report: &EgressReport, style: Style) -> Vec<Section> {
    let mut sections = vec![gates(&report.decision, style)];
    sections.extend(plan(report, style));
    sections.extend([surface(report, style), rules(report, style)]);
    sections.extend(report.rehearsal.as_ref().map(|said| rehearsal(said, style)));
    sections.extend([unjudged(report, style), days(report, style), input(report, style)]);
    sections.extend([method(report), verify()]);
    sections
}

fn plan(report: &EgressReport, style: Style) -> Option<Section> {
    let plan = report.decision.plan.as_ref()?;
    let facts = vec![
        fact("Destinations needed", style.count(plan.needed_clusters)),
        fact("Observed so far", style.count(plan.have_clusters)),
        fact("More days for a week", style.count(plan.more_whole_days)),
    ];
    Some(Section {
        id: "plan",
        title: "How much is missing",
        is_summary: true,
        blocks: vec![Block::Say(sentence(&plan.sentence)), Block::Facts(facts)],
    })
}

/// Whom it would have hurt.
fn surface(report: &EgressReport, style: Style) -> Section {
    let surface = &report.surface;
    let of = |k, n, upper| {
        let bound = if n > 0 { units::bound(upper) } else { units::NOTHING.to_owned() };
        format!("{} of {}, at most {bound}", style.count(k), style.count(n))
    };
    let (all, known, connections) =
        (&surface.destinations, &surface.destinations_unflagged, &surface.connections);
    let facts = vec![
        fact("Destinations in use that would be lost", of(all.k, all.n, all.upper_ppb)),
        fact("Without flagged ones", of(known.k, known.n, known.upper_ppb)),
        fact(
            "Completed connections that would be denied",
            of(connections.k, connections.n, connections.upper_ppb),
        ),
        fact("Lost and meant to be", style.count(surface.intended)),
        fact(
            "Applications hurt",
            format!(
                "{} of {}, {} of them lose everything",
                style.count(surface.applications_hurt),
                style.count(surface.applications),
                style.count(surface.applications_cut_off)
            ),
        ),
        fact(
            "Clients lost",
            format!("{} of {}", style.count(surface.clients_lost), style.count(surface.clients)),
        ),
        fact("Worst day", surface.worst_day.clone().unwrap_or_else(|| units::NOTHING.into())),
        fact("Share lost on it", or_nothing(surface.worst_day_ppb, units::share)),
    ];
    let mut blocks = vec![Block::Facts(facts)];
    if report.losses.is_empty() {
        blocks.push(Block::Say("No application would have lost what it used.".into()));
    } else {
        let caption = "Applications that would have lost what they used";
        blocks.push(pairs(caption, (&report.losses, report.losses_known), style));
    }
    if !report.denials.is_empty() {
        let caption = "Denied too: meant, or never answered";
        blocks.push(pairs(caption, (&report.denials, report.denials_known), style));
    }
    Section { id: "surface", title: "Whom it would have hurt", is_summary: true, blocks }
}

fn pairs(caption: &str, (rows, known): (&[LossRow], u64), style: Style) -> Block {
    let columns = [
        words("application"),
        words("user"),
        words("destination"),
        words("decided by"),
        numbers("flows"),
        numbers("completed"),
        words("flags"),
        words("first seen"),
        words("last seen"),
    ];
    style.cut(caption, &columns, (rows, known), |row: &LossRow| {
        let decided = row.rule.as_deref().or(row.why).unwrap_or(units::NOTHING);
        let flags = if row.flags.is_empty() { units::NOTHING.into() } else { row.flags.join(" ") };
        vec![
            Cell::code(app_words(&row.app)),
            Cell::Number(or_nothing(row.app.uid, |uid| uid.to_string())),
            Cell::code(to_words(row)),
            Cell::text(if row.is_intended { format!("{decided}, meant") } else { decided.into() }),
            style.number(row.flows),
            style.number(row.completed),
            Cell::text(flags),
            Cell::Time(or_nothing(row.first_unix_ms, clock::text)),
            Cell::Time(or_nothing(row.last_unix_ms, clock::text)),
        ]
    })
}

/// The other end in a few words.
fn to_words(row: &LossRow) -> String {
    let addr = row.addr.to_ip();
    match (&row.name, row.direction.as_str()) {
        (Some(name), _) => format!("{name}:{}/{} ({addr})", row.port, row.protocol),
        (None, "incoming") => {
            let net = if addr.is_ipv4() { 24 } else { 56 };
            format!("from {addr}/{net} to port {}/{}", row.port, row.protocol)
        }
        (None, _) => format!("{}/{}", std::net::SocketAddr::new(addr, row.port), row.protocol),
    }
}

fn rules(report: &EgressReport, style: Style) -> Section {
    let columns = [
        words("rule"),
        words("line"),
        words("action"),
        numbers("flows decided"),
        numbers("would deny"),
        numbers("destinations lost"),
        words("meant"),
    ];
    let known = report.rules.len() as u64;
    let table = style.cut("Each with what it decided", &columns, (&report.rules, known), |row| {
        vec![
            Cell::code(&row.name),
            Cell::Number(or_nothing(row.line, |line| line.to_string())),
            Cell::text(&row.action),
            style.number(row.flows),
            style.number(row.would_deny),
            style.number(row.destinations_lost),
            Cell::text(if row.is_intended { "yes" } else { "no" }),
        ]
    });
    let mut blocks = Vec::new();
    if !report.unresolved.is_empty() {
        blocks.push(Block::Warn(format!(
            "Nobody looked up what the policy names: {}. A flow whose verdict depends on it has none.",
            report.unresolved.join(", ")
        )));
    }
    blocks.push(table);
    blocks.push(Block::Facts(vec![fact("Policy, SHA-256", report.policy_sha256.clone())]));
    Section { id: "rules", title: "Rules", is_summary: true, blocks }
}

/// What the guard itself said in the same time.
fn rehearsal(said: &Rehearsal, style: Style) -> Section {
    let facts = vec![
        fact("Hours in which it judged by this policy", style.count(said.covered_ms / HOUR_MS)),
        fact("Verdicts recorded", style.count(said.records)),
        fact("Lost before they were read", style.count(said.records_lost)),
        fact("Of another policy", style.count(said.records_other)),
        fact(
            "About no flow: binds, questions, what cannot be read",
            style.count(said.records_apart),
        ),
        fact("Flows compared", style.count(said.flows)),
        fact("Flows that it would have denied", style.count(said.recorded)),
        fact("Flows predicted to be denied", style.count(said.predicted)),
        fact("Predicted only", style.count(said.only_predicted)),
        fact("Recorded only", style.count(said.only_recorded)),
        fact("By another rule than predicted", style.count(said.other_rule)),
        fact(
            "Ends and sockets whose connection never became a flow",
            style.count(said.without_flow),
        ),
        fact("Of all that was recorded, denied in earnest", style.count(said.denied)),
    ];
    Section {
        id: "rehearsal",
        title: "What the guard said",
        is_summary: true,
        blocks: vec![Block::Facts(facts)],
    }
}

fn unjudged(report: &EgressReport, style: Style) -> Section {
    let flows = &report.flows;
    let facts: Vec<Fact> = [
        ("Flows", flows.flows),
        ("With a verdict", flows.judged),
        ("Never denied, whatever the rules say", flows.exempt),
        ("Allowed", flows.allowed),
        ("Denied", flows.would_deny),
        ("Of these, meant", flows.would_deny_intended),
        ("Without a verdict", flows.unjudged),
        ("Handshakes completed", flows.completed),
        ("Of these, denied", flows.completed_denied),
    ]
    .into_iter()
    .map(|(name, count)| fact(name, style.count(count)))
    .collect();
    let mut blocks = vec![Block::Facts(facts)];
    if !report.unjudged.is_empty() {
        let caption = "Without a verdict; each counts as lost";
        blocks.push(pairs(caption, (&report.unjudged, report.unjudged_known), style));
    }
    Section { id: "flows", title: "Flows", is_summary: true, blocks }
}

fn days(report: &EgressReport, style: Style) -> Section {
    let columns =
        [words("day"), numbers("flows"), numbers("destinations in use"), numbers("would be lost")];
    let known = report.days.len() as u64;
    let table = style.cut("By the day on which it began", &columns, (&report.days, known), |day| {
        vec![
            Cell::Time(day.date.clone()),
            style.number(day.flows),
            style.number(day.destinations),
            style.number(day.destinations_lost),
        ]
    });
    Section { id: "days", title: "Days", is_summary: false, blocks: vec![table] }
}

fn input(report: &EgressReport, style: Style) -> Section {
    let (input, lost) = (&report.input, &report.losses_of_data);
    let facts = vec![
        fact("Segments used", style.count(input.segments_used)),
        fact("Segments that could not be used", style.count(input.segments_refused)),
        fact("Sweeps", style.count(input.sweeps)),
        fact("Rows of flows", style.count(input.rows)),
        fact("Rows rejected", style.count(lost.rows_rejected)),
        fact("Flows that nobody read", style.count(lost.flows_lost)),
        fact("Packets of evicted flows", style.count(lost.packets_lost)),
        fact("Packets of other protocols, in no flow", style.count(lost.other_packets)),
        fact("Time that nobody vouches for", or_nothing(lost.gaps_ppm, units::ppm)),
    ];
    let mut blocks = vec![Block::Facts(facts)];
    if !input.refused.is_empty() {
        let reason = |row: &ibsr_replay::model::Refused| format!("{}: {}", row.segment, row.reason);
        blocks.push(Block::List(input.refused.iter().map(reason).collect()));
    }
    let columns = [
        words("scope"),
        words("cgroup"),
        words("epoch"),
        numbers("sweeps"),
        numbers("rows"),
        words("program"),
    ];
    let known = report.streams.len() as u64;
    blocks.push(style.cut("Sets of maps", &columns, (&report.streams, known), |row| {
        vec![
            Cell::code(&row.scope),
            Cell::code(&row.cgroup),
            Cell::code(&row.epoch),
            style.number(row.sweeps),
            style.number(row.rows),
            Cell::Flag(row.is_proven, if row.is_proven { "proven" } else { "not proven" }),
        ]
    }));
    Section { id: "input", title: "Input", is_summary: false, blocks }
}

fn method(report: &EgressReport) -> Section {
    let points = [
        "Each flow is judged by the same verdict as in the kernel, over the same tables, at the \
         moment at which it began. Nothing was denied, so nothing says what an application would \
         have done instead.",
        "A destination is an executable and a name, or an executable and a /24 or /56. It is in \
         use when a handshake with it was completed, of UDP when datagrams went both ways.",
        "What a measurement of behaviour names counts as in use too, and what has no verdict \
         counts as lost: each in the worst way.",
        "Binds, ICMP and raw sockets are in no flow and are not judged here.",
    ];
    let settings = &report.settings;
    let facts = vec![
        fact("Look", settings.look.to_string()),
        fact("Error of its bounds", units::share(settings.alpha_ppb)),
        fact("Limit for destinations", units::share(settings.limit_ppb)),
        fact("Limit for connections", units::share(settings.connection_limit_ppb)),
        fact("Budget of denials, armed", settings.budget_denials.to_string()),
    ];
    Section {
        id: "method",
        title: "Method",
        is_summary: false,
        blocks: vec![Block::List(points.map(str::to_owned).to_vec()), Block::Facts(facts)],
    }
}
