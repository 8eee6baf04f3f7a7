// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a kind of program may do. A value, so that each hook has its own list.

/// What the proof demands of one kind of program.
///
/// A helper may be listed only when it writes neither to the packet nor through its
/// arguments, except that `skb_load_bytes` copies from the packet to where its third argument
/// points, which must be a map value. What it returns is taken for a number, except that `map_lookup_elem` and
/// `sk_storage_get` return a map value.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Name, for messages.
    pub name: &'static str,
    /// What every exit must return.
    pub passing: u64,
    /// Helpers that may be called, by their number in `linux/bpf.h`.
    pub helpers: &'static [u32],
    /// Offsets of the 4-byte context fields that hold packet pointers.
    pub packet_fields: &'static [i32],
}

/// The XDP sensor: returns `XDP_PASS`, uses maps, clocks, the frame length and the state of
/// the connection that a frame belongs to.
pub const XDP_OBSERVER: Policy = Policy {
    name: "xdp observer",
    passing: 2,
    helpers: &[
        helper::MAP_LOOKUP_ELEM,
        helper::MAP_UPDATE_ELEM,
        helper::JIFFIES64,
        helper::KTIME_GET_BOOT_NS,
        helper::SKC_LOOKUP_TCP,
        helper::SK_RELEASE,
        helper::XDP_GET_BUFF_LEN,
    ],
    // struct xdp_md: data, data_end, data_meta.
    packet_fields: &[0, 4, 8],
};

/// Helper numbers of `linux/bpf.h`.
pub(crate) mod helper {
    pub(crate) const MAP_LOOKUP_ELEM: u32 = 1;
    pub(crate) const MAP_UPDATE_ELEM: u32 = 2;
    pub(crate) const TAIL_CALL: u32 = 12;
    pub(crate) const SKB_LOAD_BYTES: u32 = 26;
    pub(crate) const GET_SOCKET_COOKIE: u32 = 46;
    pub(crate) const SOCK_OPS_CB_FLAGS_SET: u32 = 59;
    pub(crate) const SK_RELEASE: u32 = 86;
    pub(crate) const SK_FULLSOCK: u32 = 95;
    pub(crate) const SKC_LOOKUP_TCP: u32 = 99;
    pub(crate) const SK_STORAGE_GET: u32 = 107;
    pub(crate) const JIFFIES64: u32 = 118;
    pub(crate) const GET_NETNS_COOKIE: u32 = 122;
    pub(crate) const KTIME_GET_BOOT_NS: u32 = 125;
    pub(crate) const SK_CGROUP_ID: u32 = 128;
    pub(crate) const SKC_TO_TCP_SOCK: u32 = 137;
    pub(crate) const GET_CURRENT_TASK_BTF: u32 = 158;
    pub(crate) const SOCK_FROM_FILE: u32 = 162;
    pub(crate) const XDP_GET_BUFF_LEN: u32 = 188;
}
