// SPDX-License-Identifier: MIT OR Apache-2.0
//! The pins change under a running reader: upgrade, detach, attach again, an interface that
//! goes and comes back. It never stops, and every epoch is closed with its last counts.

use ibsr_proto::abi::Meta;
use ibsr_proto::pins;
use ibsr_proto::snapshot::GapReason;
use ibsr_tests::netns::HOST_IF;
use ibsr_tests::process::{Running, wait_until};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::process::Signal;
use test_tag::tag;

use crate::scope::{self, Design, Made, meta, spool};
use crate::sealed::{Story, sweeps_written};
use crate::wire::{SOON, Wire, source};

#[track_caller]
fn end(mut running: Running) {
    assert!(running.is_running(), "the reader does not stop");
    running.signal(Signal::TERM);
    assert!(running.wait(SOON).success());
}

#[track_caller]
fn wait_for_segments(wire: &Wire, count: usize) {
    let sealed = || crate::sealed::sealed(wire.spool.path(), crate::wire::SCOPE).len();
    wait_until("segments are sealed", SOON, || sealed() >= count);
}

/// R7, L14: new maps behind the same link. The old ones are read to their last packet, which
/// came right before the switch, and there is no gap, because there was none.
#[tag(root)]
#[test]
fn an_upgrade_with_new_maps_closes_one_epoch_and_opens_the_next_without_a_gap() {
    let wire = Wire::new();
    wire.attach("--max-sources 2000");
    // Long enough that no sweep comes between the packets and the switch.
    let running = wire.start("5s", "");
    wire.wait_for_sweeps(1);
    wire.send(20, 3);
    wire.attach("--max-sources 3000");
    wire.send(20, 4);
    wait_for_segments(&wire, 1);
    wire.wait_for_sweeps(1);
    end(running);

    let story = wire.story();
    let epochs = story.epochs();
    assert_eq!(epochs.len(), 2);
    for (epoch, each) in epochs.into_iter().zip([3, 4]) {
        let packets = story.packets(epoch);
        assert_eq!(packets.len(), 20);
        assert!(packets.values().all(|&packets| packets == each), "{packets:?}");
    }
    assert!(story.gaps().is_empty(), "{:?}", story.gaps());
    let sizes: Vec<u32> = story.segments.iter().map(|it| it.header.max_sources).collect();
    assert_eq!((sizes[0], *sizes.last().expect("two")), (2000, 3000));
}

/// R7, L13: detach while it reads. The epoch ends with its last counts, the reader waits,
/// and goes on by itself; the time between is a gap.
#[tag(root)]
#[test]
fn a_detach_ends_the_epoch_and_the_next_attach_is_found() {
    let wire = Wire::new();
    wire.attach("");
    let running = wire.start("3s", "");
    wire.wait_for_sweeps(1);
    wire.send(20, 3);
    wire.load("detach");
    wait_for_segments(&wire, 1);
    wire.send(20, 9);
    wire.attach("");
    wait_until("it reads again", SOON, || wire.part().is_some());
    wire.send(20, 5);
    end(running);

    let story = wire.story();
    let epochs = story.epochs();
    assert_eq!(epochs.len(), 2);
    assert_eq!(story.packets(epochs[0])[&source(0)], 3);
    assert_eq!(story.packets(epochs[1])[&source(0)], 5);
    let [gap] = story.gaps()[..] else { panic!("one gap: {:?}", story.gaps()) };
    assert_eq!(gap.reason, GapReason::Detached);
    let next = story.segments.last().expect("two").header.attached_boot_ns;
    assert_eq!(gap.to_boot_ns, next);
    let last_attached =
        story.sweeps().filter(|(sweep, _)| sweep.attached && sweep.at_boot_ns < next);
    assert_eq!(Some(gap.from_boot_ns), last_attached.map(|(sweep, _)| sweep.at_boot_ns).max());
}

/// L5: the interface is deleted: `attached` turns false within a period, though link and
/// maps look healthy. Made anew and attached again, the time between is a gap.
#[tag(root)]
#[test]
fn a_deleted_interface_is_told_within_a_period_and_leaves_a_gap() {
    let wire = Wire::new();
    wire.attach("");
    let running = wire.start("50ms", "--segment-age 200ms");
    wire.wait_for_sweeps(1);
    wire.pair.host.ip(&format!("link del {HOST_IF}"));
    wait_until("a sweep says detached", SOON, || {
        wire.story().sweeps().any(|(sweep, _)| !sweep.attached)
    });
    wire.pair.wire();
    wire.attach("");
    wait_until("a sweep says attached again", SOON, || wire.story().last().attached);
    end(running);
    let story = wire.story();
    let [gap] = story.gaps()[..] else { panic!("one gap: {:?}", story.gaps()) };
    assert_eq!(gap.reason, GapReason::Detached);
}

/// L6: a renamed interface is still attached, and its counter is still read.
#[tag(root)]
#[test]
fn a_renamed_interface_keeps_counting() {
    let wire = Wire::new();
    wire.attach("");
    let running = wire.start("50ms", "");
    wire.wait_for_sweeps(1);
    wire.pair.host.ip(&format!("link set {HOST_IF} down"));
    wire.pair.host.ip(&format!("link set {HOST_IF} name wan0"));
    wire.pair.host.ip("link set wan0 up");
    wire.wait_for_sweeps(2);
    wire.send(10, 3);
    end(running);
    let story = wire.story();
    let last = story.last();
    assert!(last.attached && last.rx_packets.is_some(), "{last:?}");
    assert_eq!(last.totals.tracked, 30);
    assert!(story.gaps().is_empty());
}

/// L14: another program on the same maps: a new header, the same counters, no gap.
#[tag(root)]
#[test]
fn another_program_on_the_same_maps_goes_on_without_a_seam() {
    let mut made = Made::new(&Design::default());
    made.fill(10);
    let spool = spool();
    let mut command = scope::reader("run", scope::SCOPE, made.root.path(), spool.path());
    let running = Running::start(command.args(["--period", "50ms"]));
    wait_until("it sweeps", SOON, || sweeps_written(spool.path(), scope::SCOPE) >= 1);
    let next = made.root.path().join("next");
    made.pin_again(&next, &Meta { program_sha256: [0xbb; 32], ..meta() });
    renameat_with(CWD, &next, CWD, &made.dir, RenameFlags::EXCHANGE).expect("bpffs exchanges");
    wait_until("the old header's segment is sealed", SOON, || {
        !crate::sealed::sealed(spool.path(), scope::SCOPE).is_empty()
    });
    end(running);

    let story = Story::read(spool.path(), scope::SCOPE);
    assert_eq!((story.epochs().len(), story.segments.len()), (1, 2));
    let programs: Vec<_> = story.segments.iter().map(|it| &it.header.program_sha256[..2]).collect();
    assert_eq!(programs, ["00", "bb"]);
    let since = story.segments[1].sweeps[0].0.since_boot_ns;
    assert_eq!(since, story.segments[0].sweeps.last().expect("a sweep").0.at_boot_ns);
    assert!(dir_has_no_link_of_the_reader(&made));
}

/// L13: `detach` of everything removes the pin root too. In the unit's own mount that
/// directory never comes back: end, so that the next start sees the new one.
#[tag(root)]
#[test]
fn a_removed_pin_root_behind_a_mount_ends_the_reader_after_the_seal() {
    let made = Made::new(&Design::default());
    made.fill(10);
    let (spool, mount) = (spool(), tempfile::tempdir().expect("a directory"));
    let bind = "mount --bind $1 $2 && shift 2 && exec \"$@\"";
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "--", "sh", "-c", bind, "sh"]).arg(made.root.path());
    let reader = scope::reader("run", scope::SCOPE, mount.path(), spool.path());
    command.arg(mount.path()).arg(reader.get_program()).args(reader.get_args());
    let mut running = Running::start(command.args(["--period", "50ms"]));
    // The second sweep lists nothing, so rows in the last one are the last one's own.
    wait_until("it sweeps", SOON, || sweeps_written(spool.path(), scope::SCOPE) >= 2);
    std::fs::remove_dir_all(made.root.path()).expect("bpffs removes");
    assert_eq!(running.wait(SOON).code(), Some(2));
    let story = Story::read(spool.path(), scope::SCOPE);
    assert_eq!(story.last().rows, 10, "a full last sweep");
}

/// The reader opens no link and pins nothing.
fn dir_has_no_link_of_the_reader(made: &Made) -> bool {
    let names = std::fs::read_dir(&made.dir).expect("a directory").flatten();
    let mut names: Vec<_> = names.map(|entry| entry.file_name()).collect();
    names.sort();
    let mut expected = [
        pins::LINK,
        pins::LOSSES,
        pins::META,
        pins::PROVEN,
        pins::SETS,
        pins::TOTALS,
        pins::UNPROVEN,
    ];
    expected.sort_unstable();
    names == expected
}
