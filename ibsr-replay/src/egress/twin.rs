// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the guard would have said to one flow: the verdict of [`ibsr_proto::verdict`] over the
//! tables of a policy, behind the same exemptions as in the kernel.
//!
//! Nothing is guessed. Where a recording does not say who it was, or the policy names somebody
//! whom nobody looked up, every identity that it could have been is asked about; only if all of
//! them lead to one verdict is that the verdict.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ibsr_proto::addr::SourceAddr;
use ibsr_proto::guard_abi::{Dimension, Direction, ExeKey, NameKey, Query};
use ibsr_proto::verdict::{Tables, masked, verdict};
use serde::{Deserialize, Serialize};

/// Cgroups that are looked at on the way up, as in `guard/identity.bpf.h`.
const CGROUP_LEVELS: usize = 16;
/// Identities that are asked about for one flow at most; a policy that leaves more open is not
/// judged there.
const MAX_IDENTITIES: usize = 4_096;
/// Executable of a socket whose owner nobody knows.
const UNOWNED: ExeKey = ExeKey { inode: 0, device: 0, pad: 0 };

/// A compiled policy and what a machine is known to call those whom it names.
#[derive(Debug, Clone)]
pub struct Twin {
    tables: Tables,
    protected: Vec<(u32, [u8; 16])>,
    cgroups: BTreeMap<String, u64>,
    strangers: Strangers,
    keeps_established: bool,
}

/// Numbers that stand in the tables for names which nobody looked up: anybody may be them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Strangers {
    /// For executables.
    pub exes: Vec<ExeKey>,
    /// For users.
    pub users: Vec<u32>,
}

/// One question: which way, at which port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ask {
    /// As the guard sees it.
    pub direction: Direction,
    /// Remote port of what goes out, local port of what comes in.
    pub port: u16,
}

/// What a flow is to the guard.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject {
    /// Remote address.
    pub addr: SourceAddr,
    /// As IANA numbers it.
    pub protocol: u8,
    /// Name by which it was reached.
    pub name: Option<Box<str>>,
    /// Executable of the owner; none where no owner is known.
    pub exe: Option<(u32, u64)>,
    /// User of the owner; none where no owner is known.
    pub uid: Option<u32>,
    /// Cgroup of the owner below the mount point; none where it was gone.
    pub cgroup: Option<String>,
    /// Each is asked; one denial is enough.
    pub asks: Vec<Ask>,
    /// Nobody saw how it began: any of `asks` may be the only one.
    pub is_either: bool,
    /// A session of TCP that was there before anybody looked.
    pub is_older: bool,
}

/// What became of a flow, or would have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Never denied, whatever the rules say.
    Exempt,
    /// Let pass by that rule, or by the default.
    Allowed(Option<u32>),
    /// Denied by that rule, or by the default.
    Denied(Option<u32>),
    /// Not known.
    Unjudged(Why),
}

/// Why a flow has no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It depends on the executable, which is not known.
    Executable,
    /// It depends on the user, who is not known.
    User,
    /// It depends on the cgroup, which is not known.
    Cgroup,
    /// It depends on how the flow began, which nobody saw.
    Direction,
    /// The tables give no verdict.
    Tables,
}

impl Why {
    /// For people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Executable => "it depends on the executable, which is not known",
            Self::User => "it depends on the user, who is not known",
            Self::Cgroup => "it depends on the cgroup, which is not known",
            Self::Direction => "it depends on how the flow began, which nobody saw",
            Self::Tables => "the tables give no verdict",
        }
    }
}

impl Twin {
    /// Of tables whose cgroups have these numbers, by their paths.
    #[must_use]
    pub fn new(
        tables: Tables,
        protected: Vec<(u32, [u8; 16])>,
        cgroups: impl IntoIterator<Item = (String, u64)>,
        strangers: Strangers,
        keeps_established: bool,
    ) -> Self {
        let trimmed = |(path, id): (String, u64)| (path.trim_matches('/').to_owned(), id);
        let cgroups = cgroups.into_iter().map(trimmed).collect();
        Self { tables, protected, cgroups, strangers, keeps_established }
    }

    /// Ways to match that deny, the defaults included.
    #[must_use]
    pub fn denials(&self) -> u64 {
        self.tables.leaves.iter().filter(|leaf| !leaf.is_allow()).count() as u64
    }

    /// What would have become of a flow.
    #[must_use]
    pub fn judge(&self, subject: &Subject) -> Fate {
        let addr = subject.addr.to_bytes();
        if is_loopback(subject.addr) || self.is_protected(addr) {
            return Fate::Exempt;
        }
        if self.keeps_established && subject.is_older {
            return Fate::Exempt;
        }
        let fates = subject.asks.iter().map(|ask| self.judge_one(subject, *ask));
        let mut left = None;
        for fate in fates {
            match (left, fate) {
                (None, fate) => left = Some(fate),
                (Some(known), fate) if known == fate => {}
                (Some(_), _) if subject.is_either => return Fate::Unjudged(Why::Direction),
                (Some(known), fate) => left = Some(worse(known, fate)),
            }
        }
        left.unwrap_or(Fate::Unjudged(Why::Tables))
    }

    fn judge_one(&self, subject: &Subject, ask: Ask) -> Fate {
        let (exes, users, cgroups) =
            (self.exes(subject), self.users(subject), self.cgroups(subject));
        if exes.len() * users.len() * cgroups.len() > MAX_IDENTITIES {
            return Fate::Unjudged(Why::Executable);
        }
        let name = subject.name.as_deref().and_then(NameKey::new);
        let ask_as = |exe: ExeKey, uid: u32, cgroup_id: u64| {
            let query = Query {
                addr: subject.addr.to_bytes(),
                exe,
                cgroup_id,
                uid,
                port: ask.port,
                protocol: subject.protocol,
                direction: ask.direction as u8,
            };
            self.fate(&query, name.as_ref())
        };
        let first = ask_as(exes[0], users[0], cgroups[0]);
        for (at, exe) in exes.iter().enumerate() {
            for user in &users {
                for cgroup in &cgroups {
                    if ask_as(*exe, *user, *cgroup) != first {
                        let is_exe = at > 0 && ask_as(*exe, users[0], cgroups[0]) != first;
                        let is_user = ask_as(exes[0], *user, cgroups[0]) != first;
                        return Fate::Unjudged(match (is_exe, is_user) {
                            (true, _) => Why::Executable,
                            (false, true) => Why::User,
                            (false, false) if cgroups.len() > 1 => Why::Cgroup,
                            (false, false) => Why::Executable,
                        });
                    }
                }
            }
        }
        first
    }

    fn fate(&self, query: &Query, name: Option<&NameKey>) -> Fate {
        match verdict(&self.tables, query, name) {
            None => Fate::Unjudged(Why::Tables),
            Some(leaf) if leaf.is_allow() => Fate::Allowed(leaf.rule()),
            Some(leaf) => Fate::Denied(leaf.rule()),
        }
    }

    fn asks(&self, dimension: Dimension) -> bool {
        self.tables.policy.uses & 1 << dimension as u32 != 0
    }

    fn exes(&self, subject: &Subject) -> Vec<ExeKey> {
        let key = |(device, inode)| ExeKey { inode, device, pad: 0 };
        match subject.exe {
            _ if !self.asks(Dimension::Exe) => vec![UNOWNED],
            Some(exe) => [key(exe)].into_iter().chain(self.strangers.exes.clone()).collect(),
            None => [UNOWNED].into_iter().chain(self.tables.exes.keys().copied()).collect(),
        }
    }

    fn users(&self, subject: &Subject) -> Vec<u32> {
        // Nobody in a table: those whom no rule names are all alike.
        let nobody = (0..=u32::MAX).find(|uid| !self.tables.users.contains_key(uid)).unwrap_or(0);
        match subject.uid {
            _ if !self.asks(Dimension::User) => vec![nobody],
            Some(uid) => [uid].into_iter().chain(self.strangers.users.clone()).collect(),
            None => [nobody].into_iter().chain(self.tables.users.keys().copied()).collect(),
        }
    }

    /// The nearest cgroup above that the policy names, as the kernel finds it.
    fn cgroups(&self, subject: &Subject) -> Vec<u64> {
        if !self.asks(Dimension::Cgroup) {
            return vec![0];
        }
        let Some(path) = &subject.cgroup else {
            return [0].into_iter().chain(self.cgroups.values().copied()).collect();
        };
        let mut path = path.trim_matches('/');
        for _ in 0..CGROUP_LEVELS {
            if let Some(id) = self.cgroups.get(path) {
                return vec![*id];
            }
            if path.is_empty() {
                break;
            }
            path = path.rsplit_once('/').map_or("", |(above, _)| above);
        }
        vec![0]
    }

    fn is_protected(&self, addr: [u8; 16]) -> bool {
        let addr = u128::from_be_bytes(addr);
        self.protected.iter().any(|(bits, of)| masked(addr, *bits) == u128::from_be_bytes(*of))
    }
}

/// A denial is enough; what is not known is worse than what passes.
fn worse(one: Fate, other: Fate) -> Fate {
    let rank = |fate: &Fate| match fate {
        Fate::Denied(_) => 0,
        Fate::Unjudged(_) => 1,
        Fate::Allowed(_) => 2,
        Fate::Exempt => 3,
    };
    if rank(&other) < rank(&one) { other } else { one }
}

/// 127.0.0.0/8 and `::1`, as `guard/judge.bpf.h` has it, and the unspecified address, which as a
/// peer is this machine: `guard/process.bpf.h`.
fn is_loopback(addr: SourceAddr) -> bool {
    match addr.to_ip() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_unspecified(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified(),
    }
}
