// SPDX-License-Identifier: MIT OR Apache-2.0
//! When the sensor of a cgroup ran: the time from which no flow is missing but those that the
//! kernel evicted. Rows are cumulative, so a sweep that came late, or stands for several, hides
//! nothing; one that is missing may have listed what no later one does.

use ibsr_proto::snapshot::cgroup::{Header, Sweep};

use crate::fold::window::Stretch;

/// Before the first sweep of a stream so many periods of its epoch are taken as seen.
const FIRST_PERIODS: u64 = 3;
const NS_PER_MS: u64 = 1_000_000;

/// The sweeps of one stream, in their order.
#[derive(Debug, Default)]
pub(crate) struct CoverFold {
    attached_boot_ns: u64,
    period_ms: u64,
    is_vouched: bool,
    is_damaged: bool,
    stated: Vec<Stretch>,
    last: Option<(u64, u64)>,
}

impl CoverFold {
    /// Begins a segment.
    pub(crate) fn begin(&mut self, header: &Header) {
        self.attached_boot_ns = header.attached_boot_ns;
        self.period_ms = header.period_ms;
        self.is_vouched = is_vouched(header);
    }

    /// A line of the sweep under way cannot be read.
    pub(crate) const fn damage(&mut self) {
        self.is_damaged = true;
    }

    /// The reader says that it missed something.
    pub(crate) fn gap(&mut self, over: Stretch) {
        self.stated.push(over);
    }

    /// The time that a sweep adds, if any.
    pub(crate) fn sweep(&mut self, sweep: &Sweep) -> Option<Stretch> {
        let is_damaged = std::mem::take(&mut self.is_damaged);
        let to_ns = sweep.at_boot_ns;
        let first_seq = sweep.merged_from_seq.unwrap_or(sweep.seq);
        let from_ns = match self.last {
            // The same sweep in another file, or a clock that contradicts the order.
            Some((seq, at_ns)) if sweep.seq <= seq || to_ns <= at_ns => return None,
            Some((seq, at_ns)) => {
                let is_next = first_seq <= seq + 1 && sweep.since_boot_ns <= at_ns;
                is_next.then_some(at_ns)
            }
            None => self.first(sweep),
        };
        self.last = Some((sweep.seq, to_ns));
        let is_stated = from_ns.is_some_and(|from_ns| {
            self.stated.iter().any(|gap| gap.from_ns < to_ns && gap.to_ns > from_ns)
        });
        self.stated.retain(|gap| gap.to_ns > to_ns);
        let over = Stretch { from_ns: from_ns?, to_ns };
        let is_seen = sweep.attached && self.is_vouched && !is_damaged && !is_stated;
        (is_seen && over.len_ns() > 0).then_some(over)
    }

    /// The first sweep that there is need not be the first of its epoch.
    fn first(&self, sweep: &Sweep) -> Option<u64> {
        let longest_ns = self.period_ms.saturating_mul(FIRST_PERIODS * NS_PER_MS);
        let is_first = sweep.since_boot_ns == 0
            && sweep.at_boot_ns.saturating_sub(self.attached_boot_ns) <= longest_ns;
        is_first.then_some(self.attached_boot_ns)
    }
}

/// Whether proven programs counted into maps that nobody else could write: labels by others
/// would rest on nothing.
fn is_vouched(header: &Header) -> bool {
    let digest = &header.programs_sha256;
    let is_digest = digest.len() == 64 && digest.bytes().any(|byte| byte != b'0');
    is_digest && matches!(header.evidence.as_str(), "frozen" | "exclusive")
}

/// The same time in as few stretches as possible, in order.
#[must_use]
pub fn unite(mut all: Vec<Stretch>) -> Vec<Stretch> {
    all.sort_unstable();
    let mut united: Vec<Stretch> = Vec::new();
    for next in all {
        match united.last_mut() {
            Some(last) if next.from_ns <= last.to_ns => last.to_ns = last.to_ns.max(next.to_ns),
            _ => united.push(next),
        }
    }
    united
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn header() -> Header {
        Header {
            attached_boot_ns: 100 * S,
            period_ms: 10_000,
            programs_sha256: "5e".repeat(32),
            evidence: "frozen".into(),
            ..Header::default()
        }
    }

    fn sweep(seq: u64, since_s: u64, at_s: u64) -> Sweep {
        let (since_boot_ns, at_boot_ns) = (since_s * S, at_s * S);
        Sweep { seq, since_boot_ns, at_boot_ns, attached: true, ..Sweep::default() }
    }

    /// What sweeps cover, in seconds.
    fn covered(header: &Header, sweeps: &[Sweep]) -> Vec<(u64, u64)> {
        let mut fold = CoverFold::default();
        fold.begin(header);
        let all = sweeps.iter().filter_map(|sweep| fold.sweep(sweep)).collect();
        unite(all).into_iter().map(|over| (over.from_ns / S, over.to_ns / S)).collect()
    }

    #[test]
    fn sweeps_that_follow_each_other_cover_the_time_between_them() {
        let all = [sweep(1, 0, 110), sweep(2, 110, 120), sweep(3, 0, 200), sweep(4, 200, 210)];
        assert_eq!(covered(&header(), &all), [(100, 210)], "a late sweep hides nothing");
        let merged = Sweep { merged_from_seq: Some(2), ..sweep(9, 110, 190) };
        let all = [sweep(1, 0, 110), merged.clone(), sweep(5, 140, 150), sweep(10, 190, 200)];
        assert_eq!(covered(&header(), &all), [(100, 200)]);
    }

    #[test]
    fn what_is_missing_covers_nothing() {
        let after = |second: Sweep| covered(&header(), &[sweep(1, 0, 110), second]);
        assert_eq!(after(sweep(3, 110, 130)), [(100, 110)], "a sweep is missing");
        assert_eq!(after(sweep(2, 111, 120)), [(100, 110)], "changes are missing");
        assert_eq!(after(Sweep { attached: false, ..sweep(2, 110, 120) }), [(100, 110)]);
        assert_eq!(after(sweep(2, 110, 110)), [(100, 110)]);
        let mut fold = CoverFold::default();
        fold.begin(&header());
        fold.damage();
        assert_eq!(fold.sweep(&sweep(1, 0, 110)), None);
        fold.gap(Stretch { from_ns: 50 * S, to_ns: 110 * S });
        assert!(fold.sweep(&sweep(2, 110, 120)).is_some(), "of an earlier time");
        fold.gap(Stretch { from_ns: 125 * S, to_ns: 135 * S });
        assert_eq!(fold.sweep(&sweep(3, 120, 130)), None);
        assert_eq!(fold.sweep(&sweep(4, 130, 140)), None, "the rest of it");
        assert!(fold.sweep(&sweep(5, 140, 150)).is_some());
    }

    /// The spool may have dropped what was before.
    #[test]
    fn the_first_sweep_covers_its_epoch_only_if_it_is_the_first_of_it() {
        assert_eq!(covered(&header(), &[sweep(7, 0, 130)]), [(100, 130)]);
        assert_eq!(covered(&header(), &[sweep(7, 0, 131), sweep(8, 131, 141)]), [(131, 141)]);
        assert_eq!(covered(&header(), &[sweep(7, 100, 110), sweep(8, 110, 120)]), [(110, 120)]);
    }

    #[test]
    fn a_sensor_that_nobody_vouches_for_covers_nothing() {
        let plain = Header { evidence: "plain".into(), ..header() };
        let unproven = Header { programs_sha256: "0".repeat(64), ..header() };
        for header in [plain, unproven] {
            assert!(covered(&header, &[sweep(1, 0, 110)]).is_empty());
        }
    }

    #[test]
    fn stretches_unite_to_the_same_in_any_order() {
        let of = |list: &[(u64, u64)]| -> Vec<Stretch> {
            list.iter().map(|&(from_ns, to_ns)| Stretch { from_ns, to_ns }).collect()
        };
        let united = of(&[(1, 9), (10, 12)]);
        assert_eq!(unite(of(&[(1, 5), (10, 12), (5, 9), (2, 3)])), united);
        assert_eq!(unite(of(&[(2, 3), (5, 9), (1, 5), (10, 12)])), united);
        assert_eq!(unite(united.clone()), united);
    }
}
