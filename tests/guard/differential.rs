// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's verdict beside its twin's, over seeded policies and queries.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ibsr_guard::install::install;
use ibsr_policy::{CompileError, best, compile};
use ibsr_proto::addr::SourceAddr;
use ibsr_proto::guard_abi::{ExeKey, NAME_BYTES, NameKey, Query};
use ibsr_proto::verdict::verdict;
use ibsr_tests::prog::{Compiled, compilers};
use libbpf_rs::ProgramInput;
use std::path::Path;
use test_tag::tag;
use zerocopy::IntoBytes as _;

use crate::loaded::{MapsOf, Numbers, read};

const POLICIES: usize = 200;
const QUERIES: usize = 500;
const SEED: u64 = 0x1b5e_0006;
const LABELS: [&str; 4] = ["com", "example", "a", "b-1"];
pub const CGROUPS: [&str; 4] = ["/a", "/a/b", "/a/b/c", "/d"];

/// SplitMix64, so that the draws are the same everywhere.
pub struct Draws(pub u64);

impl Draws {
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub const fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }

    /// Addresses that lie close together, so that prefixes and queries meet.
    pub fn addr(&mut self) -> IpAddr {
        let few = [0, 1, 127, 128, 255];
        if self.below(3) > 0 {
            return Ipv4Addr::new(10, self.of(&few), self.of(&few), self.of(&few)).into();
        }
        let few = [0, 1, 0x8000, 0xffff];
        let mut words = [0; 8];
        words[0] = 0x2001;
        words[1..].iter_mut().for_each(|word| *word = self.of(&few));
        Ipv6Addr::from(words).into()
    }

    fn name(&mut self) -> String {
        let labels: Vec<&str> = (0..=self.below(4)).map(|_| self.of(&LABELS)).collect();
        labels.join(".")
    }

    pub fn port(&mut self) -> u64 {
        self.of(&[0, 22, 53, 80, 443, 1_023, 1_024, 8_080, 65_535])
    }

    fn value(&mut self, field: &str) -> String {
        match field {
            "cidr" => {
                let addr = self.addr();
                let bits = self.below(if addr.is_ipv4() { 33 } else { 129 });
                format!("'{addr}/{bits}'")
            }
            "domain" => self.name(),
            "ports" => {
                let (a, b) = (self.port(), self.port());
                format!("{}-{}", a.min(b), a.max(b))
            }
            "protocol" => self.of(&["tcp", "udp", "icmp", "47"]).to_owned(),
            "direction" => self.of(&["out", "in", "bind"]).to_owned(),
            "exe" => format!("/bin/{}", self.below(4)),
            "user" => self.below(4).to_string(),
            _ => self.of(&CGROUPS).to_owned(),
        }
    }

    fn rule(&mut self) -> String {
        let action = self.of(&["allow", "deny", "{reject: ECONNREFUSED}"]);
        let mut text = format!("action: {action}");
        for field in ["cidr", "domain", "ports", "protocol", "direction", "exe", "user", "cgroup"] {
            if self.below(3) == 0 {
                let values: Vec<String> = (0..=self.below(3)).map(|_| self.value(field)).collect();
                text += &format!(", {field}: [{}]", values.join(", "));
            }
        }
        text
    }

    pub fn policy(&mut self) -> String {
        let mut text = format!(
            "default: {{out: {}, in: {}}}\nrules:\n",
            self.of(&["allow", "deny"]),
            self.of(&["allow", "deny"])
        );
        // Many rules have leaves in more than one word of a class.
        for _ in 0..self.of(&[1, 4, 12, 80]) {
            text += &format!("  - {{{}}}\n", self.rule());
        }
        text
    }

    fn query(&mut self) -> (Query, Option<NameKey>) {
        let query = Query {
            addr: SourceAddr::from(self.addr()).to_bytes(),
            exe: ExeKey { inode: self.below(5), device: 1, pad: 0 },
            cgroup_id: self.below(5),
            uid: u32::try_from(self.below(5)).expect("small"),
            port: u16::try_from(self.port()).expect("a port"),
            protocol: self.of(&[1, 6, 17, 47, 132]),
            direction: self.of(&[0, 1, 2]),
        };
        let name = self.name();
        (query, (self.below(2) == 0).then(|| NameKey::new(&name).expect("a name")))
    }
}

/// What the probe reads from a packet.
fn packet(query: &Query, name: Option<&NameKey>, slot: u32) -> Vec<u8> {
    let none = NameKey { prefix_bits: 0, name: [0; NAME_BYTES] };
    [query.as_bytes(), name.unwrap_or(&none).as_bytes(), slot.as_bytes()].concat()
}

/// 100,000 pairs: the kernel, its twin, and a walk over all rules say the same.
#[tag(root)]
#[test]
fn the_kernel_and_its_twin_judge_alike() {
    let machine = Numbers {
        cgroups: CGROUPS.iter().zip(1..).map(|(path, id)| ((*path).to_owned(), id)).collect(),
    };
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("bpf/guard_verdict_probe.bpf.c");
    let compiler = compilers().pop().expect("a compiler");
    let object = Compiled::new(&compiler, &source).open().load().expect("root may load");
    let mut programs = object.progs_mut();
    let probe = programs.next().expect("there is one program");
    let mut draws = Draws(SEED);
    let (mut pairs, mut denials, mut by_rule) = (0, 0, 0);
    while pairs < POLICIES * QUERIES {
        let text = draws.policy();
        let policy = read(&text);
        let compiled = match compile(&policy, &machine) {
            Err(CompileError::TooManyLeaves { .. }) => continue,
            compiled => compiled.expect("that is the only reason"),
        };
        let generation = install(&MapsOf(&object), &compiled, &[]).expect("the kernel takes it");
        for _ in 0..QUERIES {
            let (query, name) = draws.query();
            let slot = u32::try_from(generation & 1).expect("one bit");
            let data = packet(&query, name.as_ref(), slot);
            let input = ProgramInput { data_in: Some(&data), ..ProgramInput::default() };
            let kernel = probe.test_run(input).expect("it runs").return_value;
            let twin = verdict(&compiled.tables, &query, name.as_ref()).expect("a default");
            let expected = twin.rule.wrapping_add(1) << 8 | u32::from(twin.action);
            assert_eq!(kernel, expected, "{text}\n{query:?} {name:?}");
            let (slow, _) = best(&policy, &compiled.identities, &query, name.as_ref());
            assert_eq!(twin.rule().map(|rule| rule as usize), slow, "{text}\n{query:?} {name:?}");
            pairs += 1;
            denials += usize::from(!twin.is_allow());
            by_rule += usize::from(twin.rule().is_some());
        }
    }
    // Pairs that all end in a default would prove nothing.
    assert!(pairs >= 100_000, "{pairs} pairs");
    assert!(denials > pairs / 10 && denials < pairs * 9 / 10, "{denials} denials of {pairs}");
    assert!(by_rule > pairs / 10, "{by_rule} of {pairs} by a rule");
}
