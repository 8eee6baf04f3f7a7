// SPDX-License-Identifier: MIT OR Apache-2.0
//! All renderers over all samples: they say the same, and nothing of a file gets through as
//! more than text.

use ibsr_replay::model::Report;

use super::sample::{self, HOSTILE};
use super::{csv, html, json, md, text, toml};

/// Every output for people, with its name, digits without groups.
fn pages(report: &Report) -> [(&'static str, String); 3] {
    let html =
        html::report(report).replace('\u{202f}', "").replace('\u{a0}', " ").replace("&lt;", "<");
    [("text", text::report(report)), ("markdown", md::report(report)), ("html", html)]
}

fn everything() -> Vec<Report> {
    let mut reports = sample::all();
    reports.push(sample::hostile());
    reports
}

#[test]
fn every_output_says_the_same_verdict() {
    for report in everything() {
        let verdict = report.decision.verdict.as_str();
        for (name, page) in pages(&report) {
            assert!(page.contains(verdict), "{name} lacks {verdict}");
            let others = sample::all().into_iter().map(|other| other.decision.verdict.as_str());
            // READY is a part of READY_CANARY and NOT_READY.
            for other in others.filter(|other| !verdict.contains(other)) {
                assert!(!page.contains(other), "{name} of {verdict} says {other} too");
            }
        }
        assert!(toml::rules(&report).contains(&format!("# Verdict: {verdict}.")));
    }
}

#[test]
fn every_output_says_the_same_numbers() {
    for report in everything() {
        let clusters = &report.surface.clusters;
        if clusters.n == 0 {
            continue;
        }
        let upper = super::units::bound(clusters.upper_ppb);
        let says = format!(
            "{} of {} legitimate source clusters would have been affected in held-out days",
            clusters.k, clusters.n
        );
        for (name, page) in pages(&report) {
            assert!(page.contains(&says), "{name} lacks `{says}`");
            assert!(page.contains(&format!("the true share is below {upper}")), "{name}: {upper}");
        }
        let value: serde_json::Value = serde_json::from_str(&json::report(&report)).expect("JSON");
        assert_eq!(value["surface"]["clusters"]["k"], clusters.k);
        assert_eq!(value["surface"]["clusters"]["n"], clusters.n);
        assert_eq!(value["surface"]["clusters"]["upper_ppb"], clusters.upper_ppb);
    }
}

#[test]
fn every_gate_stands_in_every_output_with_its_result() {
    let report = sample::not_ready();
    for (name, page) in pages(&report) {
        for gate in &report.decision.gates {
            let lines: Vec<_> = page.lines().collect();
            let at = lines.iter().position(|line| line.contains(gate.asks)).expect(gate.name);
            let row = lines[at..lines.len().min(at + 5)].join(" ");
            let word = if gate.is_passed { "pass" } else { "fail" };
            let first = row.find("pass").into_iter().chain(row.find("fail")).min();
            assert_eq!(first, row.find(word), "{name}: {}: {row}", gate.name);
            assert!(first.is_some(), "{name}: {}", gate.name);
        }
    }
}

/// A marker that a terminal, a page or Markdown would act on must not be left anywhere.
#[test]
fn hostile_text_is_inert_in_every_output() {
    let report = sample::hostile();
    let page = html::report(&report);
    assert!(!page.contains("<script"), "an element got through");
    assert!(!page.contains("[2J|`\"'"), "a quote got through");
    assert!(page.contains("&lt;script&gt;alert(1)"), "the text is shown, not lost");
    let text = text::report(&report);
    let markdown = md::report(&report);
    for (name, page) in [("html", &page), ("text", &text), ("markdown", &markdown)] {
        let active = page.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
        assert_eq!(active, None, "{name}");
    }
    for line in markdown.lines().filter(|line| line.starts_with('|')) {
        let code = line.split('`').skip(1).step_by(2).collect::<String>();
        let prose = line.split('`').step_by(2).collect::<String>();
        assert!(!prose.contains('<') && !prose.contains("]("), "{line}");
        assert!(!code.contains('|'), "{line}");
    }
    let columns = |line: &str| line.matches('|').count();
    let mut lines = markdown.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(next) =
            lines.peek().filter(|next| line.starts_with('|') && next.starts_with('|'))
        {
            assert_eq!(columns(line), columns(next), "{line}\n{next}");
        }
    }
}

#[test]
fn no_spreadsheet_finds_a_formula_in_the_evidence() {
    let table = csv::evidence(&sample::hostile());
    let mut lines = table.split("\r\n");
    assert_eq!(lines.next(), Some(csv::COLUMNS.join(",").as_str()));
    let row = lines.next().expect("a row");
    assert!(row.starts_with("\"198.18.1.9\",\"legitimate\",1200,0,700,"), "{row}");
    assert!(row.contains(",\"'=<script>"), "{row}");
    assert!(row.contains("|`\"\"'[x]"), "{row}");
    assert!(!table.contains('\u{1b}'));
    assert_eq!(
        lines.filter(|line| !line.is_empty()).count(),
        39,
        "9 affected, 40 caught, 9 of them twice"
    );
}

/// A number that is no number comes from a division by nothing.
#[test]
fn an_empty_report_has_sentences_instead_of_charts() {
    let report = sample::empty();
    for (name, page) in pages(&report) {
        for bad in ["NaN", "inf", "None", "Some(", "undefined"] {
            let found =
                page.split(|c: char| !c.is_alphanumeric() && c != '(').any(|word| word == bad);
            assert!(!found, "{name} says {bad}");
        }
        assert!(page.contains("There is none: no rule may act."), "{name}");
    }
    let page = html::report(&report);
    assert!(!page.contains("<svg"), "a chart of nothing");
    assert_eq!(page.matches("There is no chart").count(), 3);
    assert_eq!(csv::evidence(&report).lines().count(), 1);
}

#[test]
fn every_drawing_has_a_title_and_a_description_of_its_own() {
    for report in everything() {
        let page = html::report(&report);
        let drawings: Vec<_> = page
            .split("<svg")
            .skip(1)
            .map(|part| part.split("</svg>").next().expect("a part"))
            .collect();
        for drawing in &drawings {
            let id = drawing
                .split("aria-labelledby=\"")
                .nth(1)
                .and_then(|rest| rest.split(' ').next())
                .expect("an id");
            assert!(drawing.contains(&format!("<title id=\"{id}\">")), "{id}");
            assert_eq!(page.matches(&format!("id=\"{id}\"")).count(), 1, "{id} is unique");
            let description = drawing.split("</desc>").next().expect("a description");
            let description = description.rsplit('>').next().expect("its text");
            assert!(description.len() > 20, "{description:?} in {id}");
            assert!(!drawing.contains("NaN") && !drawing.contains("inf"), "{drawing}");
        }
        let is_full = !report.streams.is_empty();
        let of_talks = if report.talks.is_some() { 2 } else { 0 };
        assert_eq!(drawings.len(), of_talks + if is_full { 9 } else { 0 });
    }
}

#[test]
fn the_page_loads_nothing_and_stays_small() {
    for report in everything() {
        let page = html::report(&report);
        assert!(page.len() < 150_000, "{} bytes", page.len());
        for attribute in
            [" src=", " srcset=", "@import", "<link rel=\"stylesheet", "<script", " onload="]
        {
            assert!(!page.contains(attribute), "{attribute}");
        }
        let aims = page.split(" href=\"").skip(1);
        assert!(aims.into_iter().all(|aim| aim.starts_with('#') || aim.starts_with("data:,")));
        assert!(page.contains("default-src 'none'; style-src 'unsafe-inline'; img-src data:"));
    }
}

#[test]
fn the_candidate_rules_stay_toml_behind_their_comment() {
    let report = sample::not_ready();
    let rules = toml::rules(&report);
    assert!(rules.ends_with(&report.candidate));
    let comment = rules.strip_suffix(&report.candidate).expect("a comment");
    assert!(comment.lines().all(|line| line.is_empty() || line.starts_with("# ")), "{comment}");
    assert!(comment.contains("does not allow"));
    assert!(!toml::rules(&sample::ready()).contains("does not allow"));
}

#[test]
fn a_run_ends_with_0_only_when_ready_and_whole() {
    let code = |report: Report| super::doc::exit_code(&report);
    assert_eq!((code(sample::ready()), code(sample::canary())), (0, 0));
    assert_eq!(code(Report { is_whole: false, ..sample::ready() }), 1);
    for report in
        [sample::empty(), sample::insufficient(), sample::not_ready(), sample::no_benefit()]
    {
        assert_eq!(code(Report { is_whole: true, ..report }), 1);
    }
}

#[test]
fn input_that_could_not_be_used_is_said_at_the_top() {
    let whole = Report { is_whole: true, ..sample::not_ready() };
    let part = Report { is_whole: false, ..sample::not_ready() };
    for ((name, page), (_, other)) in pages(&part).into_iter().zip(pages(&whole)) {
        let note = page.find("Not whole: ").expect(name);
        assert!(note < page.find("gates passed").expect(name), "{name}");
        assert!(!other.contains("Not whole"), "{name}");
    }
}

#[test]
fn numbers_of_rules_that_were_not_accepted_are_called_provisional() {
    let (provisional, settled) = (sample::provisional(), sample::not_ready());
    for ((name, page), (_, other)) in pages(&provisional).into_iter().zip(pages(&settled)) {
        assert!(page.contains("Provisional: no threshold of any rule"), "{name}");
        assert!(page.contains("none of which was shown to be safe"), "{name}");
        assert!(!other.contains("Provisional"), "{name}");
    }
    assert!(toml::rules(&provisional).contains("# Provisional"));
}

/// More hosts than a page can hold, and as many days: the page stays bounded.
#[test]
fn long_lists_are_cut_with_a_line_that_says_so() {
    let mut report = sample::not_ready();
    let stream = report.streams[0].clone();
    report.streams = (0..200)
        .map(|number| ibsr_replay::model::StreamRow {
            host: format!("h{number}"),
            ..stream.clone()
        })
        .collect();
    report.surface.affected = 5_000;
    let page = html::report(&report);
    assert!(page.len() < 150_000, "{} bytes", page.len());
    assert!(page.contains("and 176 more with shorter gaps"));
    assert!(page.contains("… and 175 more in report.json."));
    assert!(page.contains("… and 4\u{202f}991 more in report.json and evidence.csv."));
    assert!(md::report(&report).contains("… and 100 more."));
    assert!(text::report(&report).contains("... and 185 more"));
}

#[test]
fn the_schema_page_names_every_field() {
    let page = include_str!("../../../docs/report-schema.md");
    let mut report = sample::hostile();
    report.decision.plan = sample::insufficient().decision.plan;
    let value: serde_json::Value = serde_json::from_str(&json::report(&report)).expect("JSON");
    let mut names = std::collections::BTreeSet::new();
    collect(&value, &mut names);
    assert!(names.len() > 150, "{}", names.len());
    let missing: Vec<_> =
        names.iter().filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

fn collect(value: &serde_json::Value, names: &mut std::collections::BTreeSet<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                names.insert(name.clone());
                collect(value, names);
            }
        }
        serde_json::Value::Array(list) => list.iter().for_each(|value| collect(value, names)),
        _ => {}
    }
}

/// For a look at the page: `IBSR_SAMPLES=DIR cargo test -p ibsr-report samples -- --ignored`.
#[test]
#[ignore = "writes pages for people to look at"]
fn samples_are_written() {
    let dir = std::env::var_os("IBSR_SAMPLES").expect("IBSR_SAMPLES names a directory");
    for (number, report) in everything().into_iter().enumerate() {
        let name = format!("{number}-{}", report.decision.verdict);
        for (ending, content) in [
            ("html", html::report(&report)),
            ("md", md::report(&report)),
            ("txt", text::report(&report)),
        ] {
            let path = std::path::Path::new(&dir).join(format!("{name}.{ending}"));
            std::fs::write(path, content).expect("written");
        }
    }
    assert!(!HOSTILE.is_empty());
}
