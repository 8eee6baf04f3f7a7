// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the programs of the cgroup sensor may do, one policy for each kind of hook. At a hook
//! all of them allow with 1; for TCP's callbacks that is the value with which the answers of other
//! programs still count.
//!
//! What the context points to beyond the packet (`sk`, the headers of `sock_ops`) is followed
//! as a number, and nothing may be stored through a number.

use crate::policy::{Policy, helper};

/// Allows at `cgroup_skb`, `cgroup/sock*`, `cgroup/*bind*`, `cgroup/connect*`,
/// `cgroup/sendmsg*` and `cgroup/getpeername*`; at `sockops` it keeps what others answered.
const ALLOW: u64 = 1;

/// Packets: counted by what is kept with their socket; those of DNS are copied to a map value
/// and read there.
pub const CGROUP_SKB_OBSERVER: Policy = Policy {
    name: "cgroup packet observer",
    passing: ALLOW,
    helpers: &[
        helper::MAP_LOOKUP_ELEM,
        helper::MAP_UPDATE_ELEM,
        helper::SKB_LOAD_BYTES,
        helper::GET_SOCKET_COOKIE,
        helper::SK_FULLSOCK,
        helper::SK_STORAGE_GET,
        helper::JIFFIES64,
        helper::KTIME_GET_BOOT_NS,
        helper::SK_CGROUP_ID,
    ],
    // struct __sk_buff: data, data_end, data_meta.
    packet_fields: &[76, 80, 140],
};

/// Sockets as they are made, bound and released.
pub const CGROUP_SOCK_OBSERVER: Policy = Policy {
    name: "cgroup socket observer",
    passing: ALLOW,
    helpers: OF_PROCESSES,
    packet_fields: &[],
};

/// Calls with an address: bind, connect, send, and asking for the peer's.
pub const CGROUP_SOCK_ADDR_OBSERVER: Policy =
    Policy { name: "cgroup address observer", ..CGROUP_SOCK_OBSERVER };

/// Callbacks of TCP. The two helpers more ask for callbacks, and make a socket readable.
pub const SOCK_OPS_OBSERVER: Policy = Policy {
    name: "tcp observer",
    passing: ALLOW,
    helpers: &[
        helper::MAP_LOOKUP_ELEM,
        helper::MAP_UPDATE_ELEM,
        helper::GET_SOCKET_COOKIE,
        helper::SOCK_OPS_CB_FLAGS_SET,
        helper::SK_STORAGE_GET,
        helper::JIFFIES64,
        helper::GET_NETNS_COOKIE,
        helper::KTIME_GET_BOOT_NS,
        helper::SKC_TO_TCP_SOCK,
        helper::GET_CURRENT_TASK_BTF,
    ],
    packet_fields: &[],
};

/// The walk over open files: 0 goes on with the next one. It is at no hook, so it decides
/// nothing; what it may write is what any program here may.
pub const FILE_WALK_OBSERVER: Policy = Policy {
    name: "file observer",
    passing: 0,
    helpers: &[
        helper::MAP_LOOKUP_ELEM,
        helper::MAP_UPDATE_ELEM,
        helper::GET_SOCKET_COOKIE,
        helper::SK_STORAGE_GET,
        helper::KTIME_GET_BOOT_NS,
        helper::SOCK_FROM_FILE,
    ],
    packet_fields: &[],
};

/// For hooks in the context of the process that asks.
const OF_PROCESSES: &[u32] = &[
    helper::MAP_LOOKUP_ELEM,
    helper::MAP_UPDATE_ELEM,
    helper::GET_SOCKET_COOKIE,
    helper::SK_STORAGE_GET,
    helper::JIFFIES64,
    helper::GET_NETNS_COOKIE,
    helper::KTIME_GET_BOOT_NS,
    helper::GET_CURRENT_TASK_BTF,
];

/// The policy for a program by the name of its section; nothing for what is not ours.
#[must_use]
pub fn cgroup_policy(section: &str) -> Option<&'static Policy> {
    match section {
        "cgroup_skb/ingress" | "cgroup_skb/egress" => Some(&CGROUP_SKB_OBSERVER),
        "cgroup/sock_create"
        | "cgroup/sock_release"
        | "cgroup/post_bind4"
        | "cgroup/post_bind6" => Some(&CGROUP_SOCK_OBSERVER),
        "cgroup/bind4"
        | "cgroup/bind6"
        | "cgroup/connect4"
        | "cgroup/connect6"
        | "cgroup/sendmsg4"
        | "cgroup/sendmsg6"
        | "cgroup/getpeername4"
        | "cgroup/getpeername6" => Some(&CGROUP_SOCK_ADDR_OBSERVER),
        "sockops" => Some(&SOCK_OPS_OBSERVER),
        "iter/task_file" => Some(&FILE_WALK_OBSERVER),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Insn, Kind, Refusal, prove};

    const EXIT: Insn = Insn { code: 0x95, dst: 0, src: 0, off: 0, imm: 0 };
    const PASS: Insn = Insn { code: 0xb7, dst: 0, src: 0, off: 0, imm: 1 };

    const fn call(helper: u32) -> Insn {
        Insn { code: 0x85, dst: 0, src: 0, off: 0, imm: helper.cast_signed() }
    }

    /// What is kept with a socket may be written; the process and the socket may not.
    #[test]
    fn only_the_state_of_a_socket_is_writable_of_what_helpers_return() {
        let store = Insn { code: 0x7a, dst: 0, src: 0, off: 8, imm: 0 };
        let program = |helper| [call(helper), store, PASS, EXIT];
        let good = prove(&program(helper::SK_STORAGE_GET), &CGROUP_SOCK_OBSERVER);
        assert_eq!(good.expect("a map value").exits, 1);
        let task = prove(&program(helper::GET_CURRENT_TASK_BTF), &CGROUP_SOCK_OBSERVER);
        assert_eq!(task, Err(Refusal::Store { at: 1, through: Kind::Number }));
        let socket = prove(&program(helper::SK_FULLSOCK), &CGROUP_SKB_OBSERVER);
        assert_eq!(socket, Err(Refusal::Store { at: 1, through: Kind::Number }));
    }

    /// A pointer that was found by following one from a helper is no more writable.
    #[test]
    fn what_a_process_points_to_is_not_writable() {
        let follow = Insn { code: 0x79, dst: 1, src: 0, off: 16, imm: 0 };
        let store = Insn { code: 0x7b, dst: 1, src: 2, off: 0, imm: 0 };
        let program = [call(helper::GET_CURRENT_TASK_BTF), follow, store, PASS, EXIT];
        let refusal = prove(&program, &SOCK_OPS_OBSERVER);
        assert_eq!(refusal, Err(Refusal::Store { at: 2, through: Kind::Mixed }));
    }

    /// A copy of the packet over the stack could change what the exit returns.
    #[test]
    fn bytes_of_the_packet_are_copied_to_map_values_only() {
        const COPY: u32 = helper::SKB_LOAD_BYTES;
        let to = |src| Insn { code: 0xbf, dst: 3, src, off: 0, imm: 0 };
        let with = |first: Insn, second: Insn| {
            prove(&[first, second, call(COPY), PASS, EXIT], &CGROUP_SKB_OBSERVER)
        };
        let value = with(call(helper::MAP_LOOKUP_ELEM), to(0)).expect("a map value");
        assert!(value.helpers.contains(&COPY));
        for (src, kind) in [(10, Kind::Stack), (1, Kind::Context), (5, Kind::Number)] {
            let refusal = Refusal::Copy { at: 2, helper: COPY, to: kind };
            assert_eq!(with(to(src), PASS), Err(refusal), "{kind}");
        }
        let maybe = [
            call(helper::MAP_LOOKUP_ELEM),
            to(0),
            Insn { code: 0x15, dst: 6, src: 0, off: 1, imm: 0 },
            to(10),
            call(COPY),
            PASS,
            EXIT,
        ];
        let refusal = Refusal::Copy { at: 4, helper: COPY, to: Kind::Mixed };
        assert_eq!(prove(&maybe, &CGROUP_SKB_OBSERVER), Err(refusal), "on one path");
    }

    /// Each kind of hook has a list of its own.
    #[test]
    fn no_hook_may_call_what_only_another_needs() {
        for (policy, helper) in [
            (&CGROUP_SKB_OBSERVER, helper::GET_CURRENT_TASK_BTF),
            (&CGROUP_SOCK_OBSERVER, helper::SOCK_OPS_CB_FLAGS_SET),
            (&CGROUP_SOCK_ADDR_OBSERVER, helper::SKC_TO_TCP_SOCK),
            (&SOCK_OPS_OBSERVER, helper::SK_CGROUP_ID),
        ] {
            let refusal = prove(&[call(helper), PASS, EXIT], policy);
            assert_eq!(refusal, Err(Refusal::Helper { at: 0, helper }), "{}", policy.name);
        }
    }

    #[test]
    fn a_hook_that_is_not_ours_has_no_policy() {
        for section in
            ["xdp.frags", "cgroup/getsockopt", "cgroup/setsockopt", "cgroup/dev", "tc", ""]
        {
            assert!(cgroup_policy(section).is_none(), "{section}");
        }
    }
}
