// SPDX-License-Identifier: MIT OR Apache-2.0
//! A spool that is too small for what is written, for a long time.

use std::fs;

use ibsr_proto::snapshot::GapReason;
use ibsr_tests::process::wait_until;
use rustix::process::Signal;

use crate::rig::{PATIENCE, Rig, SCOPE, Sealed, all_sealed, names};

const BOUND: u64 = 48 * 1024;
/// A segment of three sweeps of 40 sources has 28 KiB; it may be open or just sealed.
const ONE_SEGMENT: u64 = 64 * 1024;

/// The spool stays in its bounds for as long as it runs: sweeps are merged, then the oldest
/// segments go, and gap rows name each of them.
#[test_tag::tag(root)]
#[test]
fn a_small_spool_stays_small_and_tells_what_it_dropped() {
    let rig = Rig::new();
    let spool = rig.spool("spool");
    let bound = BOUND.to_string();
    let more = ["--spool-bytes", &bound, "--full-every", "1ms"];
    let mut reader = rig.start(&[], &spool, &more, "log");
    let dir = spool.join(SCOPE);
    wait_until("twelve dropped segments", PATIENCE, || {
        let sizes = names(&dir).into_iter().filter_map(|name| fs::metadata(dir.join(name)).ok());
        let bytes: u64 = sizes.map(|it| it.len()).sum();
        assert!(bytes <= BOUND + ONE_SEGMENT, "{bytes} bytes");
        rig.said("log").matches("segment dropped").count() >= 12
    });
    reader.signal(Signal::TERM);
    assert!(reader.wait(PATIENCE).success(), "{}", rig.said("log"));
    let sealed = all_sealed(&spool);
    assert!(sealed.iter().any(|it| it.parsed_name().merged_to.is_some()), "merged before dropped");
    let told: Vec<&str> = sealed
        .iter()
        .flat_map(Sealed::gaps)
        .filter(|gap| gap.reason == GapReason::Retention)
        .filter_map(|gap| gap.segment.as_deref())
        .collect();
    let last = rig
        .said("log")
        .lines()
        .rfind(|line| line.contains("segment dropped"))
        .map(|line| line.rsplit('/').next().expect("a path").trim_end_matches('"').to_owned());
    assert!(told.contains(&last.expect("a drop").as_str()), "{told:?}\n{}", rig.said("log"));
    rig.once_has_everything(&spool);
}
