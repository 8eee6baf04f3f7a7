// SPDX-License-Identifier: MIT OR Apache-2.0

use ibsr_proto::snapshot::cgroup::words::{Device, ErrorName, Protocol};
use ibsr_proto::snapshot::guard::words::{ActionName, HookName, Way};

use super::*;
use crate::egress::twin::Why;

const S: u64 = 1_000_000_000;
const TCP: u16 = 6;

fn wanted() -> Wanted {
    Wanted {
        host: "h".into(),
        cgroup: "a/b".into(),
        policy_sha256: "p".into(),
        identities_sha256: "i".into(),
    }
}

fn header(epoch: &str) -> Header {
    Header { host: "h".into(), boot_id: "boot".into(), epoch: epoch.into(), ..Header::default() }
}

fn policy() -> PolicyInUse {
    PolicyInUse {
        since_boot_ns: 100 * S,
        policy_sha256: "p".into(),
        identities_sha256: "i".into(),
        object_sha256: "o".into(),
        cgroup_id: 1,
        cgroup_path: Some("/a".into()),
    }
}

fn sweep(generation: u64, since_s: u64, at_s: u64, policy: PolicyInUse) -> Sweep {
    Sweep {
        since_boot_ns: since_s * S,
        at_boot_ns: at_s * S,
        generation,
        policy: Some(policy),
        ..Sweep::default()
    }
}

fn addr() -> SourceAddr {
    "192.0.2.1".parse().expect("an address")
}

fn verdict(socket: u64, rule: Option<u32>) -> Verdict<'static> {
    Verdict {
        seq: 1,
        at_boot_ns: 0,
        generation: 1,
        hook: HookName(Hook::Connect as u8),
        direction: Way(Direction::Out as u8),
        protocol: Protocol(TCP),
        addr: addr(),
        port: 443,
        exe_device: Device(0),
        exe_inode: 0,
        uid: 0,
        cgroup_id: 0,
        cgroup_path: None,
        comm: None,
        rule,
        action: ActionName(1),
        error: ErrorName(1),
        is_denied: false,
        socket,
    }
}

const OUT: [Ask; 1] = [Ask { direction: Direction::Out, port: 443 }];
const COME: [Ask; 1] = [Ask { direction: Direction::In, port: 22 }];

fn flow(socket: u64, born_s: u64, asks: &'static [Ask]) -> FlowId<'static> {
    FlowId { boot_id: "boot", socket, addr: addr(), protocol: TCP, born_boot_ns: born_s * S, asks }
}

/// A guard that judged by the policy from 100 s to 200 s and recorded these.
fn rehearsed(verdicts: &[Verdict<'_>]) -> Rehearsed {
    let mut fold = RehearsalFold::new(wanted());
    fold.begin(&header("1"));
    for verdict in verdicts {
        fold.verdict(verdict).expect("few");
    }
    fold.sweep(&sweep(1, 0, 200, policy()));
    fold.finish().expect("of this policy")
}

fn told(verdicts: &[Verdict<'_>], flows: &[(FlowId<'_>, Fate)]) -> Rehearsal {
    let rehearsed = rehearsed(verdicts);
    let mut compared = Compared::default();
    for (flow, fate) in flows {
        // Each in a part of its own: the parts may be joined in any order.
        let mut part = Compared::default();
        part.flow(&rehearsed, *flow, *fate);
        part.join(std::mem::take(&mut compared));
        compared = part;
    }
    rehearsed.told(&compared)
}

#[test]
fn each_way_to_differ_is_counted_by_itself() {
    let verdicts =
        [verdict(1, Some(3)), verdict(1, Some(3)), verdict(3, None), verdict(4, Some(3))];
    let said = told(
        &verdicts,
        &[
            (flow(1, 150, &OUT), Fate::Denied(Some(3))),
            (flow(2, 150, &OUT), Fate::Denied(Some(3))),
            (flow(3, 150, &OUT), Fate::Allowed(None)),
            (flow(4, 150, &OUT), Fate::Denied(None)),
            (flow(5, 150, &OUT), Fate::Allowed(Some(1))),
            (flow(6, 150, &OUT), Fate::Exempt),
        ],
    );
    let expected = Rehearsal {
        object_sha256: vec!["o".into()],
        covered_ms: 100_000,
        records: 4,
        flows: 6,
        recorded: 3,
        predicted: 3,
        only_predicted: 1,
        only_recorded: 1,
        other_rule: 1,
        ..Rehearsal::default()
    };
    assert_eq!(said, expected);
    assert_eq!(said.differences(), 3);
}

/// Before the policy was in use, and just then, nobody recorded; and what is not predicted is not
/// compared.
#[test]
fn only_flows_of_its_time_with_a_prediction_are_compared() {
    let denied = Fate::Denied(None);
    let flows = [
        (flow(1, 99, &OUT), denied),
        (flow(2, 100, &OUT), denied),
        (flow(3, 201, &OUT), denied),
        (flow(4, 150, &OUT), Fate::Unjudged(Why::User)),
        (FlowId { boot_id: "other", ..flow(5, 150, &OUT) }, denied),
    ];
    assert_eq!(told(&[], &flows).flows, 0);
    let edges = [(flow(1, 101, &OUT), denied), (flow(2, 200, &OUT), denied)];
    assert_eq!(told(&[], &edges).only_predicted, 2);
}

/// What comes in is recorded with the socket of the listener.
#[test]
fn what_comes_in_is_found_by_its_ends() {
    let come = Verdict {
        direction: Way(Direction::In as u8),
        hook: HookName(Hook::Ingress as u8),
        port: 22,
        ..verdict(9, Some(0))
    };
    let said = told(&[come], &[(flow(1, 150, &COME), Fate::Denied(Some(0)))]);
    assert_eq!((said.recorded, said.differences(), said.without_flow), (1, 0, 0));
}

#[test]
fn what_is_about_no_flow_is_counted_apart() {
    let bind = Verdict { hook: HookName(Hook::Bind as u8), ..verdict(1, None) };
    let query = Verdict { hook: HookName(Hook::Query as u8), ..verdict(1, None) };
    let denied = Verdict { is_denied: true, ..verdict(2, None) };
    let said = told(&[bind, query, verdict(1, Some(STRICT_RULE)), denied], &[]);
    assert_eq!((said.records, said.records_apart, said.without_flow, said.denied), (4, 3, 1, 1));
}

#[test]
fn a_rehearsal_of_anything_else_is_none() {
    let changes: [fn(&mut PolicyInUse); 4] = [
        |policy| policy.policy_sha256.push('x'),
        |policy| policy.identities_sha256.push('x'),
        |policy| policy.cgroup_path = Some("/a/b/c".into()),
        |policy| policy.cgroup_path = None,
    ];
    for change in changes {
        let mut other = policy();
        change(&mut other);
        let mut fold = RehearsalFold::new(wanted());
        fold.begin(&header("1"));
        fold.verdict(&verdict(1, None)).expect("few");
        fold.sweep(&sweep(1, 0, 200, other));
        assert!(fold.finish().is_none());
    }
    let mut fold = RehearsalFold::new(wanted());
    fold.begin(&Header { host: "other".into(), ..header("1") });
    fold.sweep(&sweep(1, 0, 200, policy()));
    assert!(fold.finish().is_none());
}

/// A generation of another policy before and a guard that was attached again: each has its own
/// records and its own losses.
#[test]
fn generations_and_guards_are_told_apart() {
    let mut fold = RehearsalFold::new(wanted());
    fold.begin(&header("1"));
    fold.verdict(&Verdict { generation: 7, ..verdict(1, None) }).expect("few");
    let other = PolicyInUse { policy_sha256: "x".into(), ..policy() };
    fold.sweep(&Sweep { records_lost: 5, ..sweep(7, 0, 150, other) });
    fold.verdict(&Verdict { generation: 8, ..verdict(2, None) }).expect("few");
    let later = PolicyInUse { since_boot_ns: 160 * S, ..policy() };
    fold.sweep(&Sweep { records_lost: 7, unread: 1, ..sweep(8, 150, 200, later) });
    fold.begin(&header("2"));
    fold.reject();
    fold.sweep(&Sweep { records_lost: 2, ..sweep(1, 0, 200, policy()) });
    let rehearsed = fold.finish().expect("of this policy");
    let said = rehearsed.told(&Compared::default());
    assert_eq!((said.records, said.records_other, said.records_lost), (2, 1, 2 + 1 + 2 + 1));
    // From 100 s to 200 s; what the first guard covered is in that.
    assert_eq!((said.covered_ms, said.without_flow), (100_000, 1));
}
