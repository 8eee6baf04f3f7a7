// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pins that are not this release's: refused with both layouts named, never decoded.

use ibsr_proto::abi::Meta;
use ibsr_proto::pins;
use ibsr_tests::process::say;
use libbpf_rs::MapType;
use test_tag::tag;

use crate::scope::{Design, Made, SCOPE, meta, reader, spool};
use crate::sealed::sealed;

struct Case {
    what: &'static str,
    change: fn(&mut Design),
    says: &'static [&'static str],
}

/// Each way in which pins can be wrong, one at a time.
const CASES: [Case; 15] = [
    Case {
        what: "no meta",
        change: |design| design.without = Some(pins::META),
        says: &["meta` is missing", "hint: ibsr-loader attach xdp made0"],
    },
    Case {
        what: "no table of proven sources",
        change: |design| design.without = Some(pins::PROVEN),
        says: &["proven` is missing", "hint: ibsr-loader attach xdp made0"],
    },
    Case {
        what: "no totals",
        change: |design| design.without = Some(pins::TOTALS),
        says: &["totals` is missing"],
    },
    Case {
        what: "no link",
        change: |design| design.without = Some(pins::LINK),
        says: &["link` is missing", "nothing is attached"],
    },
    Case {
        what: "sources of another type",
        change: |design| design.proven.map_type = MapType::Hash,
        says: &[
            "proven` is Hash with keys of 20",
            "reads LruHash with keys of 20 and values of 80",
        ],
    },
    Case {
        what: "sources with larger keys",
        change: |design| design.proven.key = 24,
        says: &["proven` is LruHash with keys of 24", "reads LruHash with keys of 20"],
    },
    Case {
        what: "sources with smaller values",
        change: |design| design.proven.value = 64,
        says: &["and values of 64 bytes", "and values of 80 bytes"],
    },
    Case {
        what: "totals that are not per CPU",
        change: |design| design.totals.map_type = MapType::Array,
        says: &["totals` is Array", "reads PercpuArray"],
    },
    Case {
        what: "totals with larger values",
        change: |design| design.totals.value = 128,
        says: &["values of 128 bytes", "values of 160 bytes"],
    },
    Case {
        what: "meta of another type",
        change: |design| design.meta_shape.map_type = MapType::Hash,
        says: &["meta` is Hash", "reads Array"],
    },
    Case {
        what: "meta of another size",
        change: |design| design.meta_shape.value = 64,
        says: &["`meta` holds 64 bytes", "loader and the reader of one release"],
    },
    Case {
        what: "a map of somebody else's",
        change: |design| design.meta = Meta { magic: 7, ..meta() },
        says: &["IBSR magic", "0x00000007"],
    },
    Case {
        what: "another ABI version",
        change: |design| design.meta = Meta { abi_version: 1, ..meta() },
        says: &["ABI version 1", "this program reads version 2"],
    },
    Case {
        what: "another layout of the same version",
        change: |design| design.meta = Meta { abi_hash: 0xabc, ..meta() },
        says: &["0000000000000abc", "loader and the reader of one release"],
    },
    Case {
        what: "another number of CPUs",
        change: |design| design.meta = Meta { ncpu: 1000, ..meta() },
        says: &["made for 1000 possible CPUs"],
    },
];

/// R6: exit 2 with one message that names both sides, and no file.
#[tag(root)]
#[test]
fn pins_of_another_layout_are_refused_and_nothing_is_decoded() {
    for Case { what, change, says } in CASES {
        let mut design = Design::default();
        change(&mut design);
        let made = Made::new(&design);
        let spool = spool();
        let said = say(&mut reader("once", SCOPE, made.root.path(), spool.path())).expect_code(2);
        for text in says {
            assert!(said.stderr.contains(text), "{what}: {text:?} not in\n{}", said.stderr);
        }
        assert_eq!(said.stdout, "", "{what}");
        assert!(sealed(spool.path(), SCOPE).is_empty(), "{what}");
    }
}

/// R6: the service does not wait for a layout to become right by itself.
#[tag(root)]
#[test]
fn the_service_ends_with_two_on_another_layout() {
    let design = Design { meta: Meta { abi_version: 9, ..meta() }, ..Design::default() };
    let made = Made::new(&design);
    let spool = spool();
    let _said = say(&mut reader("run", SCOPE, made.root.path(), spool.path()))
        .expect_code(2)
        .expect_stderr("ABI version 9");
    assert!(sealed(spool.path(), SCOPE).is_empty());
}
