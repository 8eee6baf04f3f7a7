// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rows of a site straight into the folds, without files.

use std::collections::BTreeMap;

use ibsr_proto::addr::SourceAddr;
use ibsr_proto::snapshot::{Header, Row, Source, Sweep};
use ibsr_replay::fold::compiled::Compiled;
use ibsr_replay::fold::facts::{FoldedUnit, UnitFacts, UnitId};
use ibsr_replay::fold::horizon::Partition;
use ibsr_replay::fold::id::StreamId;
use ibsr_replay::fold::source_facts::SourceFacts;
use ibsr_replay::fold::unit::UnitFold;
use ibsr_replay::judge::cover::{Cover, TalkUnits};
use ibsr_replay::judge::gather::{By, Gatherer};
use ibsr_replay::judge::report::{CONNECTION_LIMIT_PPB, LIMIT_PPB, Wanted, report};
use ibsr_replay::model::{Input, Report};
use ibsr_replay::site::{DAY_MS, SiteSpec, Sweeps};

/// What all folds of a site left behind.
#[derive(Debug, Default)]
pub struct Folded {
    units: BTreeMap<UnitId, UnitFacts>,
    /// By address.
    pub sources: BTreeMap<SourceAddr, SourceFacts>,
}

/// A recording that may be changed on its way to the folds: a header for each segment, and
/// the rows of each sweep with the row that closes them.
pub trait Meddler {
    /// The header of a day.
    fn header(&mut self, _header: &mut Header) {}
    /// A sweep; false leaves it out.
    fn sweep(&mut self, _rows: &mut Vec<Source>, _close: &mut Sweep) -> bool {
        true
    }
}

/// Nobody meddles.
#[derive(Debug)]
pub struct Honest;

impl Meddler for Honest {}

/// The header as a proven program under seal would have it: these recordings stand for real
/// ones, and only a real one can be ready.
fn sealed(header: &Header) -> Header {
    Header { evidence: "frozen".into(), program_sha256: "5e".repeat(32), ..header.clone() }
}

/// Folds every day of a site whose maps are new each day.
pub fn fold(spec: &SiteSpec, rules: &Compiled, meddler: &mut impl Meddler) -> Folded {
    assert_eq!(spec.attach_every_days, 1, "one stream a day");
    let mut folded = Folded::default();
    let mut sweeps = Sweeps::new(spec.clone()).expect("a site");
    let mut open: Option<UnitFold<'_>> = None;
    let mut rows = Vec::new();
    while let Some((header, swept)) = sweeps.next_with_header() {
        if swept.is_first {
            folded.take(open.take());
            let mut header = sealed(header);
            meddler.header(&mut header);
            let day = u32::try_from(swept.close.at_unix_ms / DAY_MS).expect("a day");
            let id = UnitId { stream: StreamId::from(&header), day };
            let fold = open.insert(UnitFold::new(id, rules, Partition::WHOLE));
            fold.begin("simulated", &header);
            fold.vouch(&header);
        }
        let fold = open.as_mut().expect("the first sweep is first");
        rows.clear();
        rows.extend_from_slice(swept.sources);
        let mut close = swept.close;
        if meddler.sweep(&mut rows, &mut close) {
            rows.iter().for_each(|row| fold.add(0, Row::Source(*row)));
            fold.add(0, Row::Sweep(Box::new(close)));
        }
    }
    folded.take(open);
    folded
}

impl Folded {
    fn take(&mut self, fold: Option<UnitFold<'_>>) {
        let Some(mut fold) = fold else { return };
        fold.end();
        let FoldedUnit { id, facts, sources } = fold.finish();
        self.units.insert(id, facts);
        for (addr, facts) in sources {
            self.sources.entry(addr).or_default().join(&facts);
        }
    }

    /// The report over it.
    pub fn report(&self, rules: &Compiled) -> Report {
        let mut days: Vec<u32> = self.units.keys().map(|id| id.day).collect();
        days.sort_unstable();
        days.dedup();
        let cover = Cover::of(&self.units, &TalkUnits::new());
        let mut gatherer = Gatherer::new(rules, days, cover, By::Syn, 1);
        for (addr, facts) in &self.sources {
            gatherer.add(*addr, facts.clone());
        }
        let wanted = Wanted {
            tool: "ibsr-replay acceptance".into(),
            now: jiff::Timestamp::UNIX_EPOCH,
            top: 1,
            by: By::Syn,
            look: 1,
            limit_ppb: LIMIT_PPB,
            connection_limit_ppb: CONNECTION_LIMIT_PPB,
        };
        let input = Input { segments_found: 1, segments_used: 1, ..Input::default() };
        report(rules, &wanted, input, &self.units, &gatherer.finish())
    }
}
