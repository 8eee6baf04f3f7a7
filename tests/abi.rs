// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ibsr_abi.h` against its Rust twin, by the BTF of the built objects: names, order, offsets
//! and sizes of fields, values of enumerations and constants, and the maps themselves.

use std::collections::BTreeMap;
use std::path::Path;

use ibsr_proto::abi::{
    self, Evidence, Field, LAYOUTS, Layout, Meta, ProofKind, Sensor, Set, Table, XdpMode,
};
use ibsr_proto::abi::{CpuTotals, SourceCounts, SourceKey};
use ibsr_proto::cgroup_abi::{
    self, CGROUP_LAYOUTS, CgroupMeta, CgroupTotals, Direction, Flow, FlowKey, Learned, Owner,
    missing, step,
};
use ibsr_proto::cgroup_behaviour_abi::{
    self as behaviour_abi, AppKey, AppWindow, BEHAVIOUR_LAYOUTS, BaselineKey, Behaviour,
    BehaviourKey, BehaviourTotals, flag,
};
use ibsr_proto::cgroup_dns_abi::{self as dns, AddressName, DnsTotals, NameText};
use ibsr_proto::cgroup_zone_abi::{self as zone_abi, Zone, ZoneKey};
use ibsr_proto::guard_abi::{self as guard, Action, POLICY_LAYOUTS};
use ibsr_proto::guard_control::{self, CONTROL_LAYOUTS};
use ibsr_proto::pins;
use ibsr_tests::cgroup::CgroupSensor;
use ibsr_tests::prog::{Compiled, compilers};
use libbpf_rs::MapType;
use libbpf_rs::btf::types::{Array, Enum, Int, MemberAttr, Struct};
use libbpf_rs::btf::{Btf, BtfType, HasSize as _};

/// The sensor, built by every compiler, with its BTF.
fn for_each_sensor(check: impl Fn(&Compiled, &Btf<'_>)) {
    for clang in compilers() {
        let compiled = Compiled::sensor(&clang);
        check(&compiled, &Btf::from_path(compiled.path()).expect("the object has BTF"));
    }
}

/// The cgroup sensor in the same way.
fn for_each_cgroup_sensor(check: impl Fn(&Compiled, &Btf<'_>)) {
    for clang in compilers() {
        let compiled = Compiled::new(&clang, &CgroupSensor::source());
        check(&compiled, &Btf::from_path(compiled.path()).expect("the object has BTF"));
    }
}

/// Bytes of a field's type.
fn size(ty: BtfType<'_>) -> usize {
    let ty = ty.skip_mods_and_typedefs();
    if let Ok(int) = Int::try_from(ty) {
        return int.size();
    }
    if let Ok(of) = Struct::try_from(ty) {
        return of.size();
    }
    let array = Array::try_from(ty).expect("the ABI has integers, structs and arrays of them only");
    array.capacity() * size(array.contained_type())
}

/// What differs between the kernel's struct and our table.
fn differences(btf: &Btf<'_>, layout: &Layout) -> Vec<String> {
    let Some(found) = btf.type_by_name::<Struct<'_>>(layout.c_name) else {
        return vec![format!("`{}` is missing", layout.c_name)];
    };
    let mut differences = Vec::new();
    if found.size() != layout.size {
        differences.push(format!("{} bytes, not {}", found.size(), layout.size));
    }
    let members: Vec<_> = found
        .iter()
        .map(|member| {
            let MemberAttr::Normal { offset } = member.attr else { panic!("no bit fields") };
            let name = member.name.expect("named").to_string_lossy().into_owned();
            let ty = btf.type_by_id::<BtfType<'_>>(member.ty).expect("it has a type");
            (name, offset as usize / 8, size(ty))
        })
        .collect();
    let fields: Vec<_> = layout
        .fields
        .iter()
        .map(|field| (field.name.to_owned(), field.offset, field.size))
        .collect();
    if members != fields {
        differences.push(format!("`{}` has {members:?}, not {fields:?}", layout.c_name));
    }
    differences
}

#[test]
fn every_struct_is_laid_out_as_its_twin() {
    let check = |btf: &Btf<'_>, layouts: &[Layout]| {
        for layout in layouts {
            assert_eq!(differences(btf, layout), Vec::<String>::new());
        }
    };
    for_each_sensor(|_, btf| check(btf, &LAYOUTS));
    for_each_cgroup_sensor(|_, btf| check(btf, &CGROUP_LAYOUTS));
    for_each_cgroup_sensor(|_, btf| check(btf, &BEHAVIOUR_LAYOUTS));
    let probe = probe();
    let btf = Btf::from_path(probe.path()).expect("the object has BTF");
    check(&btf, &POLICY_LAYOUTS);
    check(&btf, &CONTROL_LAYOUTS);
}

/// Two fields of one size that changed places keep every size and offset: the names tell.
#[test]
fn a_swap_of_two_fields_is_noticed() {
    let check = |btf: &Btf<'_>, layouts: &[Layout]| {
        for layout in layouts.iter().filter(|layout| layout.fields.len() > 1) {
            let mut fields: Vec<Field> = layout.fields.to_vec();
            let (a, b) = (fields[0].name, fields[1].name);
            (fields[0].name, fields[1].name) = (b, a);
            let swapped = Layout { fields: Box::leak(fields.into_boxed_slice()), ..*layout };
            assert_eq!(differences(btf, &swapped).len(), 1, "{}", layout.c_name);
        }
    };
    for_each_sensor(|_, btf| check(btf, &LAYOUTS));
    for_each_cgroup_sensor(|_, btf| check(btf, &CGROUP_LAYOUTS));
    for_each_cgroup_sensor(|_, btf| check(btf, &BEHAVIOUR_LAYOUTS));
    let probe = probe();
    let btf = Btf::from_path(probe.path()).expect("the object has BTF");
    check(&btf, &POLICY_LAYOUTS);
    check(&btf, &CONTROL_LAYOUTS);
}

/// Values of one enumeration of the probe.
fn values(btf: &Btf<'_>, name: &str) -> BTreeMap<String, i64> {
    let found = btf.type_by_name::<Enum<'_>>(name).unwrap_or_else(|| panic!("`{name}` in BTF"));
    found
        .iter()
        .map(|member| (member.name.expect("named").to_string_lossy().into_owned(), member.value))
        .collect()
}

fn probe() -> Compiled {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("bpf/abi_probe.bpf.c");
    Compiled::new(&compilers().pop().expect("a compiler"), &source)
}

#[test]
fn every_enumeration_has_the_values_of_its_twin() {
    let probe = probe();
    let btf = Btf::from_path(probe.path()).expect("the object has BTF");
    let check = |name: &str, prefix: &str, text: &dyn Fn(u32) -> Option<&'static str>| {
        let twin = (0..64).filter_map(|value| {
            Some((format!("{prefix}{}", text(value)?.to_uppercase()), i64::from(value)))
        });
        assert_eq!(values(&btf, name), twin.collect());
    };
    check("ibsr_evidence", "IBSR_EVIDENCE_", &|value| Some(Evidence::from_abi(value)?.as_str()));
    let table = |value| match Table::from_abi(value)? {
        Table::Lru => Some("lru"),
        Table::Sets => Some("sets"),
    };
    check("ibsr_table", "IBSR_TABLE_", &table);
    check("ibsr_sensor", "IBSR_SENSOR_", &|value| Some(Sensor::from_abi(value)?.as_str()));
    check("ibsr_proof", "IBSR_PROOF_", &|value| Some(ProofKind::from_abi(value)?.as_str()));
    check("ibsr_direction", "IBSR_DIRECTION_", &|value| Some(Direction::from_abi(value)?.as_str()));
    check("ibsr_learned", "IBSR_LEARNED_", &|value| Some(Learned::from_abi(value)?.as_str()));
    let lacks = missing::ALL
        .map(|(bit, name, _)| (format!("IBSR_MISSING_{}", name.to_uppercase()), i64::from(bit)));
    assert_eq!(values(&btf, "ibsr_missing"), lacks.into());
    let steps =
        step::ALL.map(|(bit, name)| (format!("IBSR_STEP_{}", name.to_uppercase()), i64::from(bit)));
    assert_eq!(values(&btf, "ibsr_step"), steps.into());
    let flags =
        flag::ALL.map(|(bit, name)| (format!("IBSR_FLAG_{}", name.to_uppercase()), i64::from(bit)));
    assert_eq!(values(&btf, "ibsr_behaviour_flag"), flags.into());
    check("ibsr_xdp_mode", "IBSR_XDP_", &|value| Some(XdpMode::from_abi(value)?.as_str()));
    let actions = Action::ALL
        .map(|action| (format!("IBSR_GUARD_{}", action.as_str().to_uppercase()), action as i64));
    assert_eq!(values(&btf, "ibsr_guard_action"), actions.into());
}

#[test]
fn every_constant_is_that_of_its_twin() {
    let probe = probe();
    let btf = Btf::from_path(probe.path()).expect("the object has BTF");
    let expected = [
        ("PROBE_ABI_VERSION", i64::from(abi::ABI_VERSION)),
        ("PROBE_META_MAGIC", i64::from(abi::META_MAGIC)),
        ("PROBE_PORT_BYTES", abi::PORT_BYTES as i64),
        ("PROBE_PORT_COUNT", i64::from(u16::MAX) + 1),
        ("PROBE_MAX_VLANS", abi::MAX_VLANS as i64),
        ("PROBE_MAX_IPV6_EXT", abi::MAX_IPV6_EXT as i64),
        ("PROBE_DEFAULT_MAX_SOURCES", i64::from(abi::DEFAULT_MAX_SOURCES)),
        ("PROBE_PENDING_SLOTS", i64::from(abi::PENDING_SLOTS)),
        ("PROBE_DOOR_SLOTS", i64::from(abi::DOOR_SLOTS)),
        ("PROBE_PORT_CELLS", abi::PORT_CELLS as i64),
        ("PROBE_SET_WAYS", abi::SET_WAYS as i64),
        ("PROBE_WAYS_PER_SOURCE", i64::from(abi::WAYS_PER_SOURCE)),
        ("PROBE_CGROUP_ABI_VERSION", i64::from(cgroup_abi::CGROUP_ABI_VERSION)),
        ("PROBE_DEFAULT_MAX_FLOWS", i64::from(cgroup_abi::DEFAULT_MAX_FLOWS)),
        ("PROBE_MAX_BEHAVIOURS", i64::from(behaviour_abi::DEFAULT_MAX_BEHAVIOURS)),
        ("PROBE_MAX_APPS", i64::from(behaviour_abi::DEFAULT_MAX_APPS)),
        ("PROBE_MAX_BASELINE", i64::from(behaviour_abi::MAX_BASELINE)),
        ("PROBE_INTERVAL_SHIFT", i64::from(behaviour_abi::INTERVAL_SHIFT)),
        ("PROBE_INTERVAL_LIMIT", i64::from(behaviour_abi::INTERVAL_LIMIT)),
        ("PROBE_BATCH_INTERVALS", i64::from(behaviour_abi::BATCH_INTERVALS)),
        ("PROBE_CV_PERCENT_LIMIT", i64::from(behaviour_abi::CV_PERCENT_LIMIT)),
        ("PROBE_PEER_BITMAP_BITS", behaviour_abi::PEER_BITMAP_BITS as i64),
        ("PROBE_COMM_BYTES", cgroup_abi::COMM_BYTES as i64),
        ("PROBE_CGROUP_PATH_BYTES", cgroup_abi::PATH_BYTES as i64),
        ("PROBE_NAME_BYTES", dns::NAME_BYTES as i64),
        ("PROBE_DNS_PORTS", dns::DNS_PORTS as i64),
        ("PROBE_DNS_RESOLVERS", dns::DNS_RESOLVERS as i64),
        ("PROBE_DNS_RECORDS", dns::DNS_RECORDS as i64),
        ("PROBE_DNS_STEPS", dns::DNS_STEPS as i64),
        ("PROBE_DNS_MESSAGE_MAX", dns::DNS_MESSAGE_MAX as i64),
        ("PROBE_DNS_PATIENCE_S", dns::DNS_PATIENCE_S as i64),
        ("PROBE_NAME_TTL_MIN_S", i64::from(dns::NAME_TTL_MIN_S)),
        ("PROBE_NAME_TTL_MAX_S", i64::from(dns::NAME_TTL_MAX_S)),
        ("PROBE_DEFAULT_MAX_NAMES", i64::from(dns::DEFAULT_MAX_NAMES)),
        ("PROBE_DEFAULT_MAX_ZONES", i64::from(zone_abi::DEFAULT_MAX_ZONES)),
        ("PROBE_ZONE_LABELS", zone_abi::ZONE_LABELS as i64),
        ("PROBE_NAME_BITMAP_BITS", zone_abi::NAME_BITMAP_BITS as i64),
        ("PROBE_ZONE_BITMAP_BITS", zone_abi::ZONE_BITMAP_BITS as i64),
        ("PROBE_GUARD_LEAVES", guard::LEAVES as i64),
        ("PROBE_GUARD_NAME_BYTES", guard::NAME_BYTES as i64),
        ("PROBE_GUARD_SLOTS", i64::from(guard::SLOTS)),
        ("PROBE_GUARD_DIMENSIONS", guard::DIMENSIONS as i64),
        ("PROBE_GUARD_PROTOCOL_ROWS", i64::from(guard::PROTOCOL_ROWS)),
        ("PROBE_GUARD_PORT_ROWS", i64::from(guard::PORT_ROWS)),
        ("PROBE_GUARD_LEASE_S", i64::from(guard_control::MAX_LEASE_S)),
        ("PROBE_GUARD_PEER_S", i64::from(guard_control::PEER_S)),
        ("PROBE_GUARD_GENERATIONS", i64::from(guard_control::GENERATIONS)),
        ("PROBE_GUARD_PEERS", i64::from(guard_control::PEERS)),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value)).into();
    assert_eq!(values(&btf, "abi_constants"), expected);
}

/// Type, size of key and value, number of entries.
type Shape = (MapType, usize, usize, u32);

/// Every map that the source names.
fn maps(compiled: &Compiled) -> BTreeMap<String, Shape> {
    let object = compiled.open();
    object
        .maps()
        .filter(|map| !map.name().to_string_lossy().contains('.'))
        .map(|map| {
            let name = map.name().to_string_lossy().into_owned();
            let sizes = (map.key_size() as usize, map.value_size() as usize);
            (name, (map.map_type(), sizes.0, sizes.1, map.max_entries()))
        })
        .collect()
}

/// The tables of the cgroup sensor; the state of a socket is its own affair.
#[test]
fn every_table_of_the_cgroup_sensor_has_the_type_and_sizes_of_its_twin() {
    let max_flows = cgroup_abi::DEFAULT_MAX_FLOWS;
    let max_names = dns::DEFAULT_MAX_NAMES;
    let (rows, apps) = (behaviour_abi::DEFAULT_MAX_BEHAVIOURS, behaviour_abi::DEFAULT_MAX_APPS);
    let row = (MapType::LruHash, size_of::<BehaviourKey>(), size_of::<Behaviour>(), rows);
    let baseline = behaviour_abi::MAX_BASELINE;
    let max_zones = zone_abi::DEFAULT_MAX_ZONES;
    let expected: [(&str, Shape); 13] = [
        ("ibsr_behaviour", row),
        ("ibsr_app_window", (MapType::LruHash, size_of::<AppKey>(), size_of::<AppWindow>(), apps)),
        ("ibsr_baseline", (MapType::LpmTrie, size_of::<BaselineKey>(), 4, baseline)),
        ("ibsr_bh_totals", (MapType::PercpuArray, 4, size_of::<BehaviourTotals>(), 1)),
        ("ibsr_cg_meta", (MapType::Array, 4, size_of::<CgroupMeta>(), 1)),
        ("ibsr_flows", (MapType::LruHash, size_of::<FlowKey>(), size_of::<Flow>(), max_flows)),
        ("ibsr_owners", (MapType::LruHash, 8, size_of::<Owner>(), max_flows)),
        ("ibsr_cg_totals", (MapType::PercpuArray, 4, size_of::<CgroupTotals>(), 1)),
        ("ibsr_names", (MapType::LruHash, 16, size_of::<AddressName>(), max_names)),
        ("ibsr_name_texts", (MapType::LruHash, 8, size_of::<NameText>(), max_names)),
        ("ibsr_dns_totals", (MapType::PercpuArray, 4, size_of::<DnsTotals>(), 1)),
        ("ibsr_zones", (MapType::LruHash, size_of::<ZoneKey>(), size_of::<Zone>(), max_zones)),
        ("ibsr_zone_texts", (MapType::LruHash, 8, size_of::<NameText>(), max_zones)),
    ];
    for_each_cgroup_sensor(|compiled, _| {
        let mut maps = maps(compiled);
        let pinned: Vec<&str> = pins::CGROUP_MAPS.iter().map(|(_, name)| *name).collect();
        assert!(maps.keys().all(|name| pinned.contains(&name.as_str())), "every map has a pin");
        for (name, shape) in expected {
            assert_eq!(maps.remove(name), Some(shape), "`{name}`");
            assert!(name.len() <= 15, "`{name}` would be cut");
        }
        let (kind, ..) = maps.remove("ibsr_sockets").expect("the state of sockets");
        assert_eq!(kind, MapType::SkStorage);
        // The affair of the programs alone: questions that wait, and scratch memory.
        for name in ["ibsr_dns_asked", "ibsr_scratch"] {
            assert!(maps.remove(name).is_some(), "`{name}`");
        }
        assert!(maps.is_empty(), "{maps:?}");
    });
}

/// What a reader checks of each pin before it reads, checked where the pins come from.
#[test]
fn every_pinned_map_has_the_type_and_sizes_that_readers_expect() {
    let sources = (
        MapType::LruHash,
        size_of::<SourceKey>(),
        size_of::<SourceCounts>(),
        abi::DEFAULT_MAX_SOURCES,
    );
    let expected: BTreeMap<&str, Shape> = [
        ("ibsr_meta", (MapType::Array, 4, size_of::<Meta>(), 1)),
        ("ibsr_proven", sources),
        ("ibsr_unproven", sources),
        ("ibsr_sets", (MapType::Array, 4, size_of::<Set>(), 1)),
        // Tags and a lock: private to the program.
        ("ibsr_tags", (MapType::Array, 4, 16, 1)),
        ("ibsr_totals", (MapType::PercpuArray, 4, size_of::<CpuTotals>(), 1)),
        ("ibsr_losses", (MapType::PercpuArray, 4, size_of::<abi::Losses>(), 1)),
        ("ibsr_pending", (MapType::Array, 4, 8, abi::PENDING_SLOTS)),
        ("ibsr_door", (MapType::Array, 4, 32, abi::DOOR_SLOTS / 2)),
    ]
    .into();
    for_each_sensor(|compiled, _| {
        let maps = maps(compiled);
        assert_eq!(maps.len(), pins::XDP_MAPS.len());
        for (pin, name) in pins::XDP_MAPS {
            assert_eq!(maps[name], expected[name], "pin `{pin}`");
            // BPF_OBJ_NAME_LEN less the NUL: bpftool shows the whole name.
            assert!(name.len() <= 15, "`{name}` would be cut");
        }
    });
}
