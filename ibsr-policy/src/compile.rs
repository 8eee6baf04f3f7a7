// SPDX-License-Identifier: MIT OR Apache-2.0
//! A policy to the tables of [`ibsr_proto::verdict`].
//!
//! A rule becomes one leaf for each way in which it can match: each length of suffix, prefix,
//! port range and cgroup path that it lists. Leaves are numbered from the most specific, so
//! that the first one left is the verdict. Each entry of a table holds the leaves that it and
//! everything around it allow: the longest match is enough.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use ibsr_proto::addr::SourceAddr;
use ibsr_proto::guard_abi::{
    Action, Class, DEFAULT_RULE, Dimension, Direction, ExeKey, LEAVES, Leaf, PORT_ROWS,
    PROTOCOL_ROWS, Policy as Head,
};
use ibsr_proto::verdict::Tables;

use crate::canonical::policy_hash;
use crate::model::{Policy, Prefix, Rule, Verdict};
use crate::specificity::{Specificity, depth, labels, port_rank};

/// What only the running machine knows. `None`: there is no such.
pub trait Resolve {
    /// Inode and device of an executable.
    fn exe(&self, path: &str) -> Option<ExeKey>;
    /// Number of a user.
    fn user(&self, name: &str) -> Option<u32>;
    /// Id of a cgroup.
    fn cgroup(&self, path: &str) -> Option<u64>;
}

/// The identities of one rule, as the machine has them.
#[derive(Debug, Clone, Default)]
pub struct Identities {
    /// Executables.
    pub exes: BTreeSet<ExeKey>,
    /// Users.
    pub users: BTreeSet<u32>,
    /// Every cgroup that the policy names, by id.
    pub cgroups: BTreeMap<u64, String>,
}

impl Identities {
    /// Whether the cgroup of that id is the one at `path` or below it.
    #[must_use]
    pub fn is_below(&self, id: u64, path: &str) -> bool {
        self.cgroups.get(&id).is_some_and(|of| is_below(of, path))
    }
}

fn is_below(path: &str, ancestor: &str) -> bool {
    let ancestor = ancestor.trim_end_matches('/');
    let rest = path.trim_end_matches('/').strip_prefix(ancestor);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A policy in the form that is installed.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The tables.
    pub tables: Tables,
    /// For each rule, what it names.
    pub identities: Vec<Identities>,
    /// For each leaf that is of a rule, how narrow it is and its rule.
    pub leaves: Vec<(Specificity, usize)>,
}

/// Why a policy cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// More ways to match than a class has bits.
    #[error(
        "the policy needs {needed} leaves, at most {LEAVES}\nhint: a rule needs one for each combination of prefix length, suffix length, port range and cgroup depth that it lists"
    )]
    TooManyLeaves {
        /// How many.
        needed: usize,
    },
}

/// Compiles a policy.
///
/// # Errors
/// [`CompileError::TooManyLeaves`].
pub fn compile(policy: &Policy, resolve: &impl Resolve) -> Result<Compiled, CompileError> {
    let identities = identities(policy, resolve);
    let mut leaves: Vec<(Specificity, usize)> =
        policy.rules.iter().enumerate().flat_map(|(at, rule)| leaves_of(rule, at)).collect();
    let needed = leaves.len() + Direction::ALL.len();
    if needed > LEAVES {
        return Err(CompileError::TooManyLeaves { needed });
    }
    leaves.sort_by(|(a, of_a), (b, of_b)| b.cmp(a).then(of_a.cmp(of_b)));
    let mut builder = Builder::new(policy, &leaves);
    builder.protocols();
    builder.addresses();
    builder.names();
    builder.ports();
    builder.identities(&identities);
    Ok(Compiled { tables: builder.tables, identities, leaves })
}

fn identities(policy: &Policy, resolve: &impl Resolve) -> Vec<Identities> {
    let paths = policy.rules.iter().flat_map(|rule| &rule.cgroups);
    let cgroups: BTreeMap<u64, String> =
        paths.filter_map(|path| Some((resolve.cgroup(path)?, path.clone()))).collect();
    let of = |rule: &Rule| Identities {
        exes: rule.exes.iter().filter_map(|path| resolve.exe(path)).collect(),
        users: rule.users.iter().filter_map(|user| resolve.user(user)).collect(),
        cgroups: cgroups.clone(),
    };
    policy.rules.iter().map(of).collect()
}

/// Each way in which a rule can match.
fn leaves_of(rule: &Rule, at: usize) -> Vec<(Specificity, usize)> {
    fn or_none(values: BTreeSet<u32>) -> Vec<u32> {
        if values.is_empty() { vec![0] } else { values.into_iter().collect() }
    }
    let suffixes = or_none(rule.domains.iter().map(labels).collect());
    let prefixes = or_none(rule.prefixes.iter().map(|prefix| prefix.bits() + 1).collect());
    let ports = or_none(rule.ports.iter().map(|range| port_rank(range.width())).collect());
    let cgroups = or_none(rule.cgroups.iter().map(|path| depth(path)).collect());
    let mut leaves = Vec::new();
    for labels in suffixes {
        for prefix in &prefixes {
            for ports in &ports {
                for cgroup in &cgroups {
                    let (prefix, ports, cgroup) = (*prefix, *ports, *cgroup);
                    let narrow =
                        Specificity { labels, prefix, ports, cgroup, ..Specificity::of(rule) };
                    leaves.push((narrow, at));
                }
            }
        }
    }
    leaves
}

struct Builder<'policy> {
    policy: &'policy Policy,
    leaves: &'policy [(Specificity, usize)],
    known: HashMap<Class, u32>,
    tables: Tables,
}

impl<'policy> Builder<'policy> {
    fn new(policy: &'policy Policy, leaves: &'policy [(Specificity, usize)]) -> Self {
        let mut all: Vec<Leaf> = leaves
            .iter()
            .map(|(_, rule)| {
                let index = u32::try_from(*rule).expect("rules are fewer than leaves");
                leaf(&policy.rules[*rule].verdict, index)
            })
            .collect();
        let bind = Verdict { action: Action::Allow, error: 0, ..policy.defaults.out };
        for verdict in [policy.defaults.out, policy.defaults.incoming, bind] {
            all.push(leaf(&verdict, DEFAULT_RULE));
        }
        let tables = Tables {
            policy: Head {
                hash: policy_hash(policy),
                keep_established: u32::from(policy.keep_established),
                ..Head::default()
            },
            classes: Vec::new(),
            leaves: all,
            addrs: BTreeMap::new(),
            names: BTreeMap::new(),
            ports: Vec::new(),
            protocols: Vec::new(),
            exes: BTreeMap::new(),
            users: BTreeMap::new(),
            cgroups: BTreeMap::new(),
            resolvers: policy.resolvers.iter().map(|addr| key_of(*addr)).collect(),
        };
        Self { policy, leaves, known: HashMap::new(), tables }
    }

    /// The leaves of which `holds` says so; the defaults too.
    fn class_where(&self, holds: impl Fn(&Specificity, &Rule, usize) -> bool) -> Class {
        let mut class = Class::NONE;
        for (at, (narrow, rule)) in self.leaves.iter().enumerate() {
            if holds(narrow, &self.policy.rules[*rule], *rule) {
                class.insert(at);
            }
        }
        for at in self.leaves.len()..self.tables.leaves.len() {
            class.insert(at);
        }
        class
    }

    /// The number of a class, which is made when it is new.
    fn number(&mut self, class: Class) -> u32 {
        *self.known.entry(class).or_insert_with(|| {
            self.tables.classes.push(class);
            u32::try_from(self.tables.classes.len() - 1).expect("far fewer")
        })
    }

    /// Says what is not in the table of `dimension`: the leaves that do not ask.
    fn miss(&mut self, dimension: Dimension, miss: Class) -> bool {
        let is_asked = miss != self.class_where(|_, _, _| true);
        self.tables.policy.miss[dimension as usize] = self.number(miss);
        self.tables.policy.uses |= u32::from(is_asked) << dimension as u32;
        is_asked
    }

    fn protocols(&mut self) {
        let first_default = self.leaves.len();
        let mut row = Vec::with_capacity(PROTOCOL_ROWS as usize);
        for (way, direction) in Direction::ALL.into_iter().enumerate() {
            for protocol in 0..=u8::MAX {
                let mut class = self.class_where(|_, rule, _| {
                    rule.applies_to(direction)
                        && (rule.protocols.is_empty() || rule.protocols.contains(&protocol))
                });
                for other in (0..Direction::ALL.len()).filter(|other| *other != way) {
                    let at = first_default + other;
                    class.word[at / 64] &= !(1 << (at % 64));
                }
                row.push(self.number(class));
            }
        }
        self.tables.protocols = row;
        self.tables.policy.uses |= 1 << Dimension::Protocol as u32;
        self.tables.policy.miss[Dimension::Protocol as usize] = self.number(Class::NONE);
    }

    /// The leaves of each prefix: of itself and of all around it. Prefixes come before those
    /// within them, so the one around is always on the stack.
    fn addresses(&mut self) {
        let miss = self.class_where(|narrow, _, _| narrow.prefix == 0);
        if !self.miss(Dimension::Address, miss) {
            return;
        }
        let mut own: BTreeMap<([u8; 16], u32), BTreeSet<usize>> = BTreeMap::new();
        for (rule, of) in self.policy.rules.iter().enumerate() {
            for prefix in &of.prefixes {
                own.entry((prefix.addr(), prefix.bits())).or_default().insert(rule);
            }
        }
        // Without it a short IPv6 prefix such as ::/0 would hold every IPv4 address.
        let mapped = Prefix::new(ipnet::IpNet::V4(ipnet::Ipv4Net::default()));
        own.entry((mapped.addr(), mapped.bits())).or_default();
        let by_rule = by_rule(self.leaves);
        for is_v4 in [false, true] {
            let mut around: Vec<(Prefix, Class)> = Vec::new();
            for ((addr, bits), rules) in &own {
                let prefix = Prefix::from_key(*addr, *bits);
                if prefix.is_v4() != is_v4 {
                    continue;
                }
                while around.last().is_some_and(|(outer, _)| !outer.covers(prefix)) {
                    around.pop();
                }
                let mut class = around.last().map_or(miss, |(_, class)| *class);
                for (at, narrow) in rules.iter().flat_map(|rule| &by_rule[rule]) {
                    if narrow.prefix == bits + 1 {
                        class.insert(*at);
                    }
                }
                let number = self.number(class);
                self.tables.addrs.insert((*bits, *addr), number);
                around.push((prefix, class));
            }
        }
    }

    /// The same for suffixes: reversed, an outer one is a prefix of those below it.
    fn names(&mut self) {
        let miss = self.class_where(|narrow, _, _| narrow.labels == 0);
        if !self.miss(Dimension::Name, miss) {
            return;
        }
        self.tables.policy.is_strict = u32::from(self.policy.is_strict);
        let mut own: BTreeMap<Vec<u8>, (u32, BTreeSet<usize>)> = BTreeMap::new();
        for (rule, of) in self.policy.rules.iter().enumerate() {
            for suffix in &of.domains {
                let entry = own.entry(suffix.reversed().to_vec());
                entry.or_insert_with(|| (labels(suffix), BTreeSet::new())).1.insert(rule);
            }
        }
        let by_rule = by_rule(self.leaves);
        let mut around: Vec<(Vec<u8>, Class)> = Vec::new();
        for (name, (labels, rules)) in own {
            while around.last().is_some_and(|(outer, _)| !name.starts_with(outer)) {
                around.pop();
            }
            let mut class = around.last().map_or(miss, |(_, class)| *class);
            for rule in rules {
                for (at, narrow) in &by_rule[&rule] {
                    if narrow.labels == labels {
                        class.insert(*at);
                    }
                }
            }
            let number = self.number(class);
            self.tables.names.insert(name.clone(), number);
            around.push((name, class));
        }
    }

    fn ports(&mut self) {
        let miss = self.class_where(|narrow, _, _| narrow.ports == 0);
        if !self.miss(Dimension::Port, miss) {
            return;
        }
        // The class changes only where a range begins or has ended.
        let ranges = self.policy.rules.iter().flat_map(|rule| &rule.ports);
        let edges: BTreeSet<u32> = ranges
            .flat_map(|range| [u32::from(range.first), u32::from(range.last) + 1])
            .chain([0, PORT_ROWS])
            .collect();
        let edges: Vec<u32> = edges.into_iter().collect();
        let mut ports = Vec::with_capacity(PORT_ROWS as usize);
        for pair in edges.windows(2) {
            let port = u16::try_from(pair[0]).expect("the last edge only ends");
            let class = self.class_where(|narrow, rule, _| {
                narrow.ports == 0
                    || rule.ports.iter().any(|range| {
                        range.contains(port) && port_rank(range.width()) == narrow.ports
                    })
            });
            let number = self.number(class);
            ports.resize(pair[1] as usize, number);
        }
        self.tables.ports = ports;
    }

    fn identities(&mut self, of: &[Identities]) {
        let miss = self.class_where(|narrow, _, _| !narrow.is_exe);
        if self.miss(Dimension::Exe, miss) {
            for exe in of.iter().flat_map(|names| names.exes.clone()).collect::<BTreeSet<_>>() {
                let class = self
                    .class_where(|narrow, _, rule| !narrow.is_exe || of[rule].exes.contains(&exe));
                let number = self.number(class);
                self.tables.exes.insert(exe, number);
            }
        }
        let miss = self.class_where(|narrow, _, _| !narrow.is_user);
        if self.miss(Dimension::User, miss) {
            for uid in of.iter().flat_map(|names| names.users.clone()).collect::<BTreeSet<_>>() {
                let class = self.class_where(|narrow, _, rule| {
                    !narrow.is_user || of[rule].users.contains(&uid)
                });
                let number = self.number(class);
                self.tables.users.insert(uid, number);
            }
        }
        let miss = self.class_where(|narrow, _, _| narrow.cgroup == 0);
        if self.miss(Dimension::Cgroup, miss) {
            let all = of.first().map(|names| names.cgroups.clone()).unwrap_or_default();
            for (id, path) in all {
                let class = self.class_where(|narrow, rule, _| {
                    narrow.cgroup == 0
                        || rule
                            .cgroups
                            .iter()
                            .any(|root| is_below(&path, root) && depth(root) == narrow.cgroup)
                });
                let number = self.number(class);
                self.tables.cgroups.insert(id, number);
            }
        }
    }
}

fn by_rule(leaves: &[(Specificity, usize)]) -> HashMap<usize, Vec<(usize, Specificity)>> {
    let mut by_rule: HashMap<usize, Vec<(usize, Specificity)>> = HashMap::new();
    for (at, (narrow, rule)) in leaves.iter().enumerate() {
        by_rule.entry(*rule).or_default().push((at, *narrow));
    }
    by_rule
}

fn key_of(addr: IpAddr) -> [u8; 16] {
    SourceAddr::from(addr).to_bytes()
}

fn leaf(verdict: &Verdict, rule: u32) -> Leaf {
    let sinkhole = verdict.sinkhole.map_or([0; 16], key_of);
    Leaf {
        sinkhole,
        rule,
        ttl_s: verdict.ttl_s,
        error: verdict.error,
        action: verdict.action as u8,
        pad: [0; 5],
    }
}

#[cfg(test)]
#[path = "compile_tests.rs"]
mod tests;
