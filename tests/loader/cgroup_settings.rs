// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an operator says of names and of behaviour: it reaches the programs, stays in `meta`, is
//! shown by `status`, and what is wrong is refused before anything is attached.

use std::fs;

use ibsr_proto::baseline::{Baseline, Entry, SCHEMA};
use ibsr_proto::cgroup_behaviour_abi::{BaselineKey, Behaviour, BehaviourKey, flag};
use ibsr_proto::pins::{BASELINE, BEHAVIOUR};
use ibsr_tests::actor::{Actor, described};
use libbpf_rs::{MapCore as _, MapFlags};
use tempfile::TempDir;
use test_tag::tag;
use zerocopy::{FromBytes as _, IntoBytes as _};

use crate::cgroup_site::Site;
use crate::world::open_map;

const ALL: &str = "--resolver 9.9.9.9 --resolver 2620:fe::fe --dns-port 53 --dns-port 5353 \
                   --max-names 500 --window 1m --regular-percent 5 --regular-count 30 \
                   --volume-out 5MiB --internal-peers 40 --failed-connects 7 \
                   --zone-names 100 --zone-name-bytes 3KiB --nxdomain-zones 20";

#[tag(root)]
#[test]
fn settings_stay_in_meta_and_are_shown() {
    let site = Site::new();
    let _said = site.attach(ALL);
    let meta = site.meta();
    let resolvers: Vec<String> = meta.resolvers().map(|it| it.to_string()).collect();
    assert_eq!(resolvers, ["9.9.9.9", "2620:fe::fe"]);
    assert_eq!(meta.dns_ports().collect::<Vec<_>>(), [53, 5_353]);
    assert_eq!((meta.max_names, meta.window_ns), (500, 60_000_000_000));
    assert_eq!((meta.regular_cv_percent, meta.regular_count), (5, 30));
    assert_eq!((meta.volume_out_bytes, meta.failed_connects), (5 << 20, 7));
    assert_eq!((meta.internal_peer_bits, meta.baseline_entries), (39, 0));
    assert_eq!((meta.zone_name_bytes, meta.zone_name_bits), (3 << 10, 91));
    assert_eq!(meta.nxdomain_zone_bits, 19);
    let (code, scope) = site.status();
    assert_eq!((code, &scope["resolvers"]), (0, &serde_json::json!(["9.9.9.9", "2620:fe::fe"])));
    assert_eq!(scope["notes"], serde_json::json!([]));
    let said = site.run("status").expect_code(0);
    assert!(said.stdout.contains("500 at most, from 9.9.9.9, 2620:fe::fe"), "{}", said.stdout);

    let _said = site.attach(ALL).expect_stderr("already attached, nothing to do");
    let _said = site.attach("").expect_stderr("no --resolver is listed");
    assert_ne!(site.meta().epoch, meta.epoch, "other settings begin a new epoch");
    let (_, scope) = site.status();
    assert!(
        scope["notes"][0].as_str().is_some_and(|note| note.contains("--resolver")),
        "{scope:#}"
    );
    site.assert_detaches();
}

/// Too many, too wide, not a number: said in words, with nothing attached.
#[tag(root)]
#[test]
fn settings_that_the_programs_do_not_take_are_refused() {
    let site = Site::new();
    let many = |option: &str, count: u32| format!("{option} 10.0.0.1 ").repeat(count as usize);
    for (args, words) in [
        (many("--resolver", 17), "at most 16 times --resolver"),
        ("--dns-port 1 ".repeat(9), "at most 8 times --dns-port"),
        ("--regular-percent 51".to_owned(), "51"),
        ("--internal-peers 5000".to_owned(), "5000"),
        ("--window 0s".to_owned(), "more than zero"),
        ("--baseline /nowhere.json".to_owned(), "/nowhere.json"),
    ] {
        let _said = site.run(&site.attach_args(&args)).expect_code(2).expect_stderr(words);
        assert_eq!(site.programs(), 0, "{args}");
    }
}

fn destination(actor: &Actor, prefix: &str) -> Entry {
    let owner = described(actor.pid());
    Entry {
        exe_device: owner.exe_device,
        exe_inode: owner.exe_inode,
        protocol: 17,
        port: 9,
        prefix: prefix.parse().expect("a prefix"),
    }
}

/// The file goes into a frozen map; what is in it is not flagged, what is not is.
#[tag(root)]
#[test]
fn a_baseline_is_given_to_the_programs() {
    let (site, files) = (Site::new(), TempDir::new().expect("a directory"));
    let mut actor = Actor::start(&site.cgroup);
    let entries = vec![destination(&actor, "127.0.7.0/24"), destination(&actor, "::1/128")];
    let baseline = Baseline {
        schema: SCHEMA.to_owned(),
        tool: "test".to_owned(),
        host: "here".to_owned(),
        from_unix_ms: 1,
        to_unix_ms: 2,
        entries: entries.clone(),
    };
    let path = files.path().join("baseline.json");
    fs::write(&path, baseline.to_text()).expect("a file");
    let args = format!("--baseline {}", path.display());
    let _said = site.attach(&args);
    assert_eq!((site.meta().baseline_entries, site.meta().baseline_hash), (2, baseline.hash()));
    let said = site.run("status").expect_code(0);
    assert!(said.stdout.contains("2 destinations"), "{}", said.stdout);
    let map = open_map(&site.dir().join(BASELINE));
    let mut keys: Vec<Vec<u8>> = map.keys().collect();
    let mut expected: Vec<Vec<u8>> =
        entries.iter().map(|entry| entry.key().as_bytes().to_vec()).collect();
    keys.sort();
    expected.sort();
    assert_eq!(keys, expected);
    let more = BaselineKey::default();
    let refused = map.update(more.as_bytes(), &[0; 4], MapFlags::ANY);
    let _frozen = refused.expect_err("user space cannot add to it");

    let _cookie = actor.socket("u", "udp4");
    for ip in ["127.0.7.200", "127.0.8.1"] {
        actor.act(&format!("sendto u {ip}:9 1"));
    }
    let rows = open_map(&site.dir().join(BEHAVIOUR));
    let flags = |last: [u8; 2]| {
        let of = |key: &Vec<u8>| BehaviourKey::read_from_bytes(key).expect("the ABI").remote_addr;
        let key = rows.keys().find(|key| of(key)[14..] == last).expect("a row");
        let value = rows.lookup(&key, MapFlags::ANY).expect("readable").expect("there");
        Behaviour::read_from_bytes(&value).expect("the ABI").flags
    };
    assert_eq!((flags([7, 200]), flags([8, 1])), (flag::IN_BASELINE, flag::NOT_IN_BASELINE));

    let _said = site.attach(&args).expect_stderr("already attached, nothing to do");
    fs::write(&path, "{\"schema\":\"ibsr-baseline/1\",\n\"tool\":\"t\",\"host\":1}")
        .expect("a file");
    let said = site.run(&site.attach_args(&args)).expect_code(2);
    let _said = said.expect_stderr("line 2").expect_stderr("ibsr-report baseline");
    assert_eq!(site.meta().baseline_entries, 2, "what was there goes on");
    site.assert_detaches();
}
