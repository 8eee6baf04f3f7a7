// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cgroup scope: attach, again, both scopes at once, detach, and the end of a cgroup.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};

use ibsr_proto::abi::Evidence;
use ibsr_proto::pins::{CGROUP_MAPS, CGROUP_PROGS, FLOWS, META, OWNERS, Scope};
use ibsr_tests::cgroup::{Cgroup, CgroupSensor};
use ibsr_tests::netns::HOST_IF;
use ibsr_tests::process::{Said, say};
use ibsr_tests::prog::{Compiled, compilers};
use libbpf_rs::{MapCore as _, MapFlags, MapHandle};
use test_tag::tag;

use crate::cgroup_site::{Site, Talk, all_pins, flows_of, totals_of};
use crate::world::{World, names, open_map};

#[tag(root)]
#[test]
fn attach_counts_and_detach_leaves_nothing() {
    let site = Site::new();
    let said = site.attach("").expect_stderr("attached");
    assert_eq!(said.stdout, "", "talk belongs on stderr");
    assert_eq!(site.pins(), all_pins());
    assert_eq!(site.programs(), CGROUP_PROGS.len() - 1);
    site.assert_healthy();
    let mut talk = Talk::start(&site.cgroup);
    talk.connect_once();
    let flows = flows_of(&site.flows_map());
    assert!(flows.iter().any(|(key, flow)| key.socket == talk.sockets[0] && flow.packets_out > 0));
    let totals = totals_of(&site.totals_map());
    assert_eq!((totals.connects, totals.accepted, totals.seeded), (1, 1, 0));
    let (_, scope) = site.status();
    assert_eq!(scope["totals"]["packets"], totals.packets());
    site.assert_detaches();
    talk.connect_once();
}

/// The list of programs is what names the pins, so it must be that of the object.
#[test]
fn every_program_of_the_object_has_a_pin() {
    let clang = compilers().pop().expect("a compiler");
    let compiled = Compiled::new(&clang, &CgroupSensor::source());
    let object = compiled.open();
    let progs: Vec<String> =
        object.progs().map(|prog| prog.name().to_string_lossy().into_owned()).collect();
    let pinned: Vec<String> = CGROUP_PROGS.iter().map(|prog| format!("ibsr_{prog}")).collect();
    assert_eq!(progs, pinned);
}

/// A second attach with the same settings is a no-op with the same programs and maps.
#[tag(root)]
#[test]
fn a_second_attach_changes_nothing() {
    let site = Site::new();
    let _said = site.attach("--max-flows 500");
    let (meta, inode) = (site.meta(), fs::metadata(site.dir()).expect("there").ino());
    let _said = site.attach("--max-flows 500").expect_stderr("already attached, nothing to do");
    assert_eq!((site.meta(), fs::metadata(site.dir()).expect("there").ino()), (meta, inode));
    assert_eq!(names(site.pins.path()), ["cg-site"]);
}

/// Ten at once take turns; all succeed, with one set of programs between them.
#[tag(root)]
#[test]
fn ten_at_once_end_with_one_set_of_programs() {
    let site = Site::new();
    let start = |_| {
        let mut command = site.command_under(&[], &site.attach_args(""));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started")
    };
    let children: Vec<_> = (0..10).map(start).collect();
    let unchanged = children
        .into_iter()
        .map(|child| Said::from(child.wait_with_output().expect("waited for")).expect_code(0))
        .filter(|said| said.stderr.contains("already attached"))
        .count();
    assert_eq!((unchanged, site.programs()), (9, CGROUP_PROGS.len() - 1));
    site.assert_healthy();
}

/// Sockets from before get their owner from the walk, and `status` says how many.
#[tag(root)]
#[test]
fn sockets_from_before_are_seeded_and_counted_as_such() {
    let site = Site::new();
    let talk = Talk::start(&site.cgroup);
    let _said = site.attach("").expect_stderr("seeded=1");
    assert_eq!(totals_of(&site.totals_map()).seeded, 1, "the listener");
    let (_, scope) = site.status();
    assert_eq!(scope["seeded"], 1, "{scope:#}");
    let text = site.run("status").stdout;
    assert!(text.contains("seeded       1 sockets that were there before"), "{text}");
    assert!(talk.client_pid() > 0);
}

#[tag(root)]
#[test]
fn pins_have_their_modes_and_their_group() {
    let site = Site::new();
    let _said = site.attach("--group 12345");
    let of = |path: &std::path::Path| {
        let meta = fs::metadata(path).expect("there");
        (meta.mode() & 0o7777, meta.uid(), meta.gid())
    };
    assert_eq!(of(&site.dir()), (0o750, 0, 12345));
    for pin in site.pins() {
        let is_map = CGROUP_MAPS.iter().any(|(map, _)| *map == pin);
        let mode = if is_map { 0o640 } else { 0o600 };
        assert_eq!(of(&site.dir().join(&pin)), (mode, 0, 12345), "{pin}");
    }
}

/// What `status` says without rights, and what such a caller cannot do.
#[tag(root)]
#[test]
fn a_member_of_the_group_reads_and_cannot_write_or_detach() {
    let site = Site::new();
    let _said = site.attach("--group 65534");
    let tmp = tempfile::tempdir().expect("a temporary directory");
    run_as_nobody(&site, tmp.path(), "status").expect_code(0).expect_stdout("needs root");
    run_as_nobody(&site, tmp.path(), "detach").expect_code(2);
    assert_eq!(site.pins(), all_pins());
    site.assert_healthy();
    assert!(site.meta().evidence >= Evidence::Frozen as u32, "6.1 freezes maps too");
    for pin in [META, FLOWS, OWNERS] {
        let map = MapHandle::from_pinned_path(site.dir().join(pin)).expect("root may open it");
        let (key, value) = (vec![0; map.key_size() as usize], vec![0; map.value_size() as usize]);
        let written = map.update(&key, &value, MapFlags::ANY);
        assert!(written.is_err(), "not even root writes `{pin}`");
    }
}

trait Stdout {
    fn expect_stdout(self, text: &str);
}

impl Stdout for Said {
    #[track_caller]
    fn expect_stdout(self, text: &str) {
        assert!(self.stdout.contains(text), "{}", self.stdout);
    }
}

fn run_as_nobody(site: &Site, tmp: &std::path::Path, verb: &str) -> Said {
    use std::os::unix::fs::chown;
    // The build directory may be closed to others: run a copy.
    let copy = tmp.join("ibsr-loader");
    fs::copy(&site.loader, &copy).expect("copied");
    chown(tmp, Some(65534), None).expect("root may");
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--"]);
    say(command.arg(copy).arg(verb).arg("--pin-root").arg(site.pins.path()))
}

/// Everything that user space could write is frozen, the description too.
#[tag(root)]
#[test]
fn the_maps_are_frozen_and_the_digest_is_that_of_the_dry_run() {
    let site = Site::new();
    let said = site.attach("--dry-run");
    assert!(said.stdout.contains("would attach 16 proven programs"), "{}", said.stdout);
    assert!(!site.pins.path().exists() && site.programs() == 0);
    let _said = site.attach("");
    let meta = site.meta();
    assert!(said.stdout.contains(&meta.program_sha256_text()), "{}", said.stdout);
    assert_eq!((meta.cgroup_id, meta.missing), (site.cgroup.id(), 0));
    let path = site.cgroup.path().file_name().expect("a name").to_str().expect("plain");
    assert_eq!(meta.path(), path);
    for (pin, _) in CGROUP_MAPS {
        let shown = say(Command::new("bpftool")
            .args(["-j", "map", "show", "pinned"])
            .arg(site.dir().join(pin)));
        let shown: serde_json::Value = serde_json::from_str(&shown.stdout).expect("JSON");
        assert_eq!(shown["frozen"], 1, "`{pin}`: {shown}");
    }
}

/// The two scopes know nothing of each other: one list, one `detach` for each.
#[tag(root)]
#[test]
fn both_scopes_are_attached_together() {
    let (world, site) = (World::new(), Site::new());
    let cgroup = format!("attach cgroup {} --name site", site.cgroup.path().display());
    let _said = world.attach("");
    let _said = world.run(&cgroup).expect_code(0);
    assert_eq!(names(world.pins.path()), ["cg-site", &format!("xdp-{HOST_IF}")]);
    let said = world.run("status").expect_code(0);
    for text in ["cg-site: healthy", &format!("xdp-{HOST_IF}: healthy"), "15 attached", "native"] {
        assert!(said.stdout.contains(text), "{text}: {}", said.stdout);
    }
    let _said = world.run("detach cg-site").expect_code(0);
    assert_eq!((site.programs(), names(world.pins.path())), (0, vec![format!("xdp-{HOST_IF}")]));
    world.assert_healthy();
    let _said = world.run(&cgroup).expect_code(0);
    world.assert_detaches();
    assert_eq!(site.programs(), 0);
}

/// The kernel takes the links off when the cgroup is removed: status says so, and a new cgroup
/// of that path is attached to as if nothing had been.
#[tag(root)]
#[test]
fn a_removed_cgroup_is_reported_and_its_successor_attached() {
    let site = Site::new();
    let inner = site.cgroup.child("inner");
    let path = inner.path().to_owned();
    let attach = format!("attach cgroup {} --name site", path.display());
    let _said = site.run(&attach).expect_code(0);
    let first = site.meta();
    drop(inner);
    site.assert_says_soon("its cgroup was deleted");
    fs::create_dir(&path).expect("the parent is there");
    let _said = site.run(&attach).expect_code(0).expect_stderr("was deleted");
    site.assert_healthy();
    assert_ne!((site.meta().cgroup_id, site.meta().epoch), (first.cgroup_id, first.epoch));
    site.assert_detaches();
    fs::remove_dir(&path).expect("empty");
}

/// The default name is the last part of the path, dots and all.
#[tag(root)]
#[test]
fn a_scope_is_named_after_its_cgroup() {
    let site = Site::new();
    let inner = site.cgroup.child("web.service");
    let attach = format!("attach cgroup {} --max-flows 100", inner.path().display());
    let _said = site.run(&attach).expect_code(0);
    let scope = Scope::cgroup("web.service").expect("plain");
    let meta = open_map(&scope.dir(site.pins.path()).join("meta"));
    assert_eq!(meta.value_size() as usize, 728);
    let (code, status) = site.status();
    assert_eq!((code, &status["scope"]), (0, &"cg-web.service".into()), "{status:#}");
    let _said = site.run("detach cg-web.service").expect_code(0).expect_stderr("detached");
    let _said =
        site.run("detach cg-web.service").expect_code(0).expect_stderr("nothing is attached");
    drop(inner);
}

/// Two sensors on one cgroup, under two names, would count everything twice.
#[tag(root)]
#[test]
fn one_cgroup_takes_one_sensor_and_one_inside_another_its_own() {
    let site = Site::new();
    let _said = site.attach("--max-flows 100");
    let again = format!("attach cgroup {} --name twice", site.cgroup.path().display());
    let said = site.run(&again).expect_code(2).expect_stderr("by scope `cg-site`");
    let _said = said.expect_stderr("hint: ");
    let inner: Cgroup = site.cgroup.child("inner");
    let other = format!("attach cgroup {} --name site", inner.path().display());
    let _said = site.run(&other).expect_code(2).expect_stderr("observes cgroup");
    let inside = format!("attach cgroup {} --max-flows 100", inner.path().display());
    let _said = site.run(&inside).expect_code(0);
    assert_eq!(names(site.pins.path()), ["cg-inner", "cg-site"]);
    let _said = site.run("detach").expect_code(0);
    drop(inner);
}
