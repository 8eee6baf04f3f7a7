// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which tests run in a guest, and which do not, and why. Data.

use ibsr_tests::kernel::{OLDEST, Release};

/// The one that runs on every kernel, also where the sensor cannot.
const EVERYWHERE: [&str; 1] = ["kernels"];
/// Those whose subject is what the kernel does.
const SUPPORTED: [&str; 9] = [
    "kernels",
    "verifier",
    "prover",
    "xdp_fixtures",
    "admission",
    "cgroup",
    "reader",
    "loader",
    "guard",
];

/// Test programs for a kernel.
pub fn tests_for(release: Release) -> &'static [&'static str] {
    if release < OLDEST { &EVERYWHERE } else { &SUPPORTED }
}

/// A test that does not run in a guest.
#[derive(Debug, Clone, Copy)]
pub struct Skip {
    /// Test program.
    pub program: &'static str,
    /// Name of the test without what the root tag appends.
    pub test: &'static str,
    /// Kernels before this one skip it; `None` for all.
    pub before: Option<Release>,
    /// For the reader of the results.
    pub reason: &'static str,
}

const MANY_ROWS: &str = "hundreds of thousands of rows: a minute under emulation";
const EACH_CALL: &str = "a run for each of a hundred system calls: minutes under emulation";
const MANY_FRAMES: &str = "a hundred thousand frames and more: a minute under emulation";
const RACE: &str = "twenty thousand meetings of two CPUs: a minute under emulation";
const EVEN: &str = "even intervals of 50 and 100 ms: emulated timers are not even";
const MESSAGES: &str = "six thousand messages, each with a reference: minutes under emulation";
const CHURN: &str = "a table that changes without pause: a minute and a half under emulation";

const SECONDS: &str = "within seconds, which programs take longer than under emulation";

const fn always(program: &'static str, test: &'static str, reason: &'static str) -> Skip {
    Skip { program, test, before: None, reason }
}

/// All of them. A row that names no test is an error, so none outlives its test. What is here
/// for its time alone runs on the machine's own kernel.
pub const SKIPS: [Skip; 34] = [
    always(
        "prover",
        "fuzz::what_is_proven_and_loaded_passes_every_frame_unchanged",
        "thirty thousand programs: a minute under emulation",
    ),
    always("xdp_fixtures", "races::a_handshake_is_counted_once_when_two_cpus_see_its_ack", RACE),
    always("xdp_fixtures", "races::no_count_is_lost_when_two_cpus_meet_a_new_source", RACE),
    always("xdp_fixtures", "races::no_count_is_lost_when_two_cpus_evict_each_others_sources", RACE),
    always("xdp_fixtures", "races::a_source_is_proven_once_when_two_cpus_see_its_proof", RACE),
    always(
        "xdp_fixtures",
        "races::no_count_is_lost_or_doubled_when_two_cpus_knock_for_one_source",
        RACE,
    ),
    always(
        "xdp_fixtures",
        "random::damaged_frames_are_judged_as_the_reference_judges_them",
        MANY_FRAMES,
    ),
    always(
        "xdp_fixtures",
        "random::assembled_frames_are_judged_as_the_reference_judges_them",
        MANY_FRAMES,
    ),
    always(
        "admission",
        "a_flood_of_new_addresses_makes_no_entry_and_costs_a_client_nothing",
        MANY_FRAMES,
    ),
    always("cgroup", "conservation::no_count_is_lost_when_two_cpus_meet_in_one_flow", RACE),
    always("cgroup", "behaviour::regular_intervals_are_flagged_and_ordinary_ones_are_not", EVEN),
    always("cgroup", "dns_random::dns_messages_are_judged_as_the_reference_judges_them", MESSAGES),
    always("reader", "cgroup_tables::what_was_measured_of_an_application_becomes_rows", EVEN),
    always("cgroup", "load::every_one_of_fifty_thousand_connections_is_reported", MANY_ROWS),
    always("reader", "restart::churn_during_sweeps_is_bounded_and_counted", CHURN),
    always("reader", "size::a_million_entries_are_swept_exactly_in_less_than_64_mib", MANY_ROWS),
    always("reader", "service::sigterm_in_the_middle_of_a_sweep_seals_whole_sweeps", MANY_ROWS),
    always(
        "reader",
        "kill::a_kill_at_any_system_call_leaves_whole_files_and_loses_nothing",
        EACH_CALL,
    ),
    always("loader", "crash::killed_during_attach_leaves_all_or_nothing", EACH_CALL),
    always("loader", "crash::killed_during_an_upgrade_keeps_the_link", EACH_CALL),
    always("loader", "cgroup_crash::killed_during_attach_leaves_all_or_nothing", EACH_CALL),
    always("loader", "cgroup_crash::killed_during_an_upgrade_keeps_every_hook", EACH_CALL),
    always("loader", "cgroup_failed::a_first_attach_that_fails_leaves_nothing", EACH_CALL),
    always("loader", "cgroup_failed::an_upgrade_that_fails_leaves_what_was_there", EACH_CALL),
    always("loader", "cgroup_crash::killed_during_detach_is_finished_by_the_next", EACH_CALL),
    always("loader", "crash::killed_during_detach_is_finished_by_the_next", EACH_CALL),
    always("guard", "differential::the_kernel_and_its_twin_judge_alike", MANY_FRAMES),
    always("guard", "modes::rehearsal_and_enforcement_judge_a_million_packets_alike", MANY_FRAMES),
    always("guard", "live::a_swap_under_load_gives_no_verdict_of_half_a_policy", RACE),
    always(
        "guard",
        "names::of_five_thousand_names_none_is_denied_when_its_address_is_connected_to",
        "five thousand names: a minute under emulation",
    ),
    always(
        "guard",
        "arming::a_crash_while_arming_leaves_a_rehearsal_or_a_lease",
        "the guard is loaded thirty times: minutes under emulation",
    ),
    always("guard", "lease::expired_evidence_ends_the_lease_and_its_renewal", SECONDS),
    always("guard", "query_clients::systemd_resolved_takes_the_answers", SECONDS),
    Skip {
        program: "loader",
        test: "life::check_touches_nothing_and_answers",
        before: Some(Release { major: 6, minor: 3 }),
        reason: "Linux lists what a driver can do since 6.3",
    },
];

/// Why `test`, as the program names it, does not run on `release`.
pub fn skipped(program: &str, test: &str, release: Release) -> Option<&'static Skip> {
    SKIPS.iter().find(|skip| {
        skip.program == program
            && is_named(test, skip.test)
            && skip.before.is_none_or(|first| release < first)
    })
}

/// Rows about `program` that name none of its `tests`.
pub fn stale<'a>(program: &'a str, tests: &'a [String]) -> impl Iterator<Item = &'static str> + 'a {
    SKIPS
        .iter()
        .filter(move |skip| skip.program == program)
        .filter(|skip| !tests.iter().any(|test| is_named(test, skip.test)))
        .map(|skip| skip.test)
}

/// `tag(root)` makes a module of each test: `name::root::test`.
fn is_named(test: &str, name: &str) -> bool {
    test.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::root"))
}
