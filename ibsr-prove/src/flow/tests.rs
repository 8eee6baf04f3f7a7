// SPDX-License-Identifier: MIT OR Apache-2.0
//! The flow on programs of a few instructions, written by hand.

use super::*;
use crate::XDP_OBSERVER;
use crate::known::Kind;

const fn insn(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn { code, dst, src, off, imm }
}

const EXIT: Insn = insn(0x95, 0, 0, 0, 0);
/// `w0 = 2`.
const PASS: Insn = insn(0xb4, 0, 0, 0, 2);

/// `rDST = rSRC`.
const fn mov(dst: u8, src: u8) -> Insn {
    insn(0xbf, dst, src, 0, 0)
}

/// `rDST = IMM`.
const fn set(dst: u8, imm: i32) -> Insn {
    insn(0xb7, dst, 0, 0, imm)
}

/// `rDST += IMM`.
const fn add(dst: u8, imm: i32) -> Insn {
    insn(0x07, dst, 0, 0, imm)
}

/// `rDST += rSRC`.
const fn add_register(dst: u8, src: u8) -> Insn {
    insn(0x0f, dst, src, 0, 0)
}

/// `rDST = *(u64 *)(rBASE + OFF)`.
const fn load(dst: u8, base: u8, off: i16) -> Insn {
    insn(0x79, dst, base, off, 0)
}

/// `rDST = *(u32 *)(r1 + 0)`: the packet pointer, while r1 is the context.
const fn load_packet(dst: u8) -> Insn {
    insn(0x61, dst, 1, 0, 0)
}

/// `*(u64 *)(rBASE + OFF) = rSRC`.
const fn store(base: u8, off: i16, src: u8) -> Insn {
    insn(0x7b, base, src, off, 0)
}

/// `if rDST == 0 goto +OFF`.
const fn if_zero(dst: u8, off: i16) -> Insn {
    insn(0x15, dst, 0, off, 0)
}

const fn call(helper: i32) -> Insn {
    insn(0x85, 0, 0, 0, helper)
}

fn run(body: &[Insn]) -> Result<Proof, Refusal> {
    prove(body, &XDP_OBSERVER)
}

/// The body, then `return XDP_PASS`.
fn passing(body: &[Insn]) -> Result<Proof, Refusal> {
    run(&[body, &[PASS, EXIT]].concat())
}

fn store_refused(at: usize, through: Kind) -> Result<Proof, Refusal> {
    Err(Refusal::Store { at, through })
}

#[test]
fn the_smallest_observer_is_proven() {
    let proof = run(&[PASS, EXIT]).expect("it only passes");
    assert_eq!((proof.exits, proof.insns, proof.helpers.len()), (1, 2, 0));
}

#[test]
fn every_way_to_load_the_constant_counts() {
    for pass in [PASS, set(0, 2), insn(0xb4, 3, 0, 0, 2)] {
        let moved = if pass.dst == 3 { vec![pass, mov(0, 3)] } else { vec![pass] };
        assert!(run(&[&moved[..], &[EXIT]].concat()).is_ok(), "{pass:?}");
    }
    assert!(run(&[insn(0x18, 0, 0, 0, 2), Insn::default(), EXIT]).is_ok());
}

#[test]
fn another_constant_is_named() {
    let refusal = run(&[set(0, 1), EXIT]).expect_err("drops");
    assert_eq!(refusal, Refusal::Return { at: 1, found: Some(1), passing: 2 });
    assert_eq!(refusal.to_string(), "instruction 1 returns 1 instead of always 2");
    let negative = run(&[set(0, -1), EXIT]).expect_err("not 2");
    assert_eq!(negative, Refusal::Return { at: 1, found: Some(u64::MAX), passing: 2 });
}

/// `r0 = 0x100000002`: its low half alone would pass.
#[test]
fn all_64_bits_of_the_return_value_count() {
    let high = insn(0, 0, 0, 0, 1);
    assert!(run(&[insn(0x18, 0, 0, 0, 2), high, EXIT]).is_err());
}

#[test]
fn a_return_value_that_varies_is_refused() {
    let varies = |at| Err(Refusal::Return { at, found: None, passing: 2 });
    assert_eq!(run(&[load(0, 1, 12), EXIT]), varies(1), "from the context");
    assert_eq!(run(&[PASS, if_zero(3, 1), set(0, 1), EXIT]), varies(3), "by a branch");
    assert_eq!(run(&[PASS, insn(0x04, 0, 0, 0, 0), EXIT]), varies(2), "32-bit arithmetic");
    assert_eq!(run(&[PASS, insn(0xdc, 0, 0, 0, 16), EXIT]), varies(2), "byte swap");
    let looped = [PASS, add(0, 1), if_zero(3, -2), EXIT];
    assert_eq!(run(&looped), varies(3), "carried by a loop");
    let again = [set(6, 2), mov(0, 6), if_zero(3, 1), EXIT, add(6, 0), insn(5, 0, 0, -5, 0)];
    assert_eq!(run(&again), varies(3), "changed behind the first exit");
}

/// A second exit that nobody reaches does not count; one that is reached does.
#[test]
fn exits_are_counted_where_they_are_reached() {
    assert_eq!(run(&[PASS, EXIT, set(0, 1), EXIT]).expect("unreached").exits, 1);
    assert_eq!(run(&[PASS, if_zero(3, 1), EXIT, EXIT]).expect("both pass").exits, 2);
}

#[test]
fn a_loop_without_end_is_refused() {
    assert_eq!(run(&[PASS, insn(5, 0, 0, -1, 0), EXIT]), Err(Refusal::NoExit));
}

#[test]
fn calls_are_checked_against_the_list() {
    let listed = passing(&[call(118), call(125)]).expect("both are listed");
    assert_eq!(listed.helpers, BTreeSet::from([118, 125]));
    assert_eq!(passing(&[call(23)]), Err(Refusal::Helper { at: 0, helper: 23 }));
    assert_eq!(passing(&[call(12)]), Err(Refusal::TailCall { at: 0 }));
    assert_eq!(passing(&[insn(0x85, 0, 1, 0, 1)]), Err(Refusal::Subprogram { at: 0 }));
    assert_eq!(passing(&[insn(0x85, 0, 2, 0, 77)]), Err(Refusal::Kfunc { at: 0, btf_id: 77 }));
    assert_eq!(
        run(&[PASS, call(1), EXIT]),
        Err(Refusal::Return { at: 2, found: None, passing: 2 })
    );
}

#[test]
fn stores_go_to_the_stack_and_to_map_values_only() {
    assert!(passing(&[store(10, -8, 1)]).is_ok(), "stack");
    assert!(passing(&[call(1), store(0, 0, 3)]).is_ok(), "result of a lookup");
    assert!(passing(&[insn(0x18, 2, 2, 0, 4), Insn::default(), store(2, 0, 3)]).is_ok(), ".bss");
    assert_eq!(passing(&[store(1, 0, 3)]), store_refused(0, Kind::Context));
    assert_eq!(passing(&[load_packet(2), store(2, 0, 3)]), store_refused(1, Kind::Packet));
    assert_eq!(passing(&[set(2, 0), store(2, 0, 3)]), store_refused(1, Kind::Number));
    let map = [insn(0x18, 2, 1, 0, 4), Insn::default(), store(2, 0, 3)];
    assert_eq!(passing(&map), store_refused(2, Kind::Map));
    let immediate = insn(0x62, 1, 0, 0, 7);
    assert_eq!(passing(&[immediate]), store_refused(0, Kind::Context));
}

/// Every atomic operation writes, the one that loads excepted.
#[test]
fn an_atomic_operation_is_a_store() {
    for operation in [0x00, 0x01, 0x40, 0x50, 0xa0, 0xa1, 0xe1, 0xf1, 0x110] {
        let atomic = insn(0xdb, 2, 3, 0, operation);
        assert_eq!(passing(&[load_packet(2), atomic]), store_refused(1, Kind::Packet));
        assert!(passing(&[call(1), mov(2, 0), atomic]).is_ok(), "{operation:#x}");
    }
    assert!(passing(&[load_packet(2), insn(0xdb, 3, 2, 0, 0x100)]).is_ok());
    let unheard_of = passing(&[call(1), insn(0xdb, 0, 3, 0, 0x20)]);
    assert_eq!(unheard_of, Err(Refusal::Unknown { at: 1, code: 0xdb }));
}

/// Each of these ends with the packet pointer in r2 by another way.
#[test]
fn a_packet_pointer_is_followed_wherever_it_goes() {
    let ways: [&[Insn]; 7] = [
        &[load_packet(2), add(2, 14)],
        &[load_packet(2), add_register(2, 3)],
        &[load_packet(3), set(2, 0), add_register(2, 3)],
        &[load_packet(3), mov(2, 3)],
        &[load_packet(3), store(10, -8, 3), load(2, 10, -8)],
        &[load_packet(3), mov(4, 10), add(4, -16), store(4, 8, 3), load(2, 10, -8)],
        &[load_packet(3), set(2, 0), if_zero(5, 1), mov(2, 3)],
    ];
    for way in ways {
        let body = [way, &[store(2, 0, 5)]].concat();
        assert_eq!(passing(&body), store_refused(way.len(), Kind::Packet), "{way:?}");
    }
}

#[test]
fn a_pointer_that_depends_on_the_path_is_refused() {
    let either = [load_packet(6), call(1), if_zero(7, 1), mov(0, 6), store(0, 0, 3)];
    assert_eq!(passing(&either), store_refused(4, Kind::Mixed));
    let spilled = [
        load_packet(6),
        call(1),
        store(10, -8, 0),
        if_zero(7, 1),
        store(10, -8, 6),
        load(2, 10, -8),
        store(2, 0, 3),
    ];
    assert_eq!(passing(&spilled), store_refused(6, Kind::Mixed));
}

/// On the path where the lookup gave nothing, `0 + packet` is the packet.
#[test]
fn null_plus_packet_does_not_pass_for_a_map_value() {
    let body = [load_packet(6), call(1), add_register(0, 6), store(0, 0, 3)];
    assert_eq!(passing(&body), store_refused(3, Kind::Mixed));
    let difference = insn(0x1f, 6, 7, 0, 0);
    let body = [load_packet(6), mov(7, 6), difference, call(1), add_register(0, 6), store(0, 0, 3)];
    assert_eq!(passing(&body), store_refused(5, Kind::Mixed));
}

/// An exchange brings back what a slot held, a spilled pointer too.
#[test]
fn an_exchange_does_not_launder_a_pointer() {
    let body =
        [load_packet(2), store(10, -8, 2), set(3, 0), insn(0xdb, 10, 3, -8, 0xe1), store(3, 0, 5)];
    assert_eq!(passing(&body), store_refused(4, Kind::Packet));
}

#[test]
fn arguments_do_not_survive_a_call() {
    let body = [call(1), mov(2, 0), call(118), store(2, 0, 3)];
    assert_eq!(passing(&body), store_refused(3, Kind::Number));
    let kept = [call(1), mov(6, 0), call(118), store(6, 0, 3)];
    assert!(passing(&kept).is_ok());
}

#[test]
fn jumps_that_lead_nowhere_are_refused() {
    assert_eq!(run(&[]), Err(Refusal::Jump { at: 0, to: 0 }));
    assert_eq!(run(&[PASS]), Err(Refusal::Jump { at: 0, to: 1 }));
    assert_eq!(run(&[insn(5, 0, 0, -2, 0), EXIT]), Err(Refusal::Jump { at: 0, to: -1 }));
    assert_eq!(run(&[if_zero(1, 9), PASS, EXIT]), Err(Refusal::Jump { at: 0, to: 10 }));
    let into_a_wide_load = [insn(5, 0, 0, 1, 0), insn(0x18, 0, 0, 0, 2), Insn::default(), EXIT];
    assert_eq!(run(&into_a_wide_load), Err(Refusal::Unknown { at: 2, code: 0 }));
}

/// A far jump takes its distance from the immediate.
#[test]
fn a_far_jump_is_followed() {
    let far = insn(0x06, 0, 0, 0, 1);
    assert!(run(&[PASS, far, set(0, 1), EXIT]).is_ok());
    assert!(run(&[PASS, insn(0x06, 0, 0, 1, 0), set(0, 1), EXIT]).is_err());
}

#[test]
fn what_is_not_understood_is_refused() {
    let unknown = [
        insn(0xb7, 11, 0, 0, 0),
        insn(0xb7, 10, 0, 0, 0),
        insn(0xbf, 2, 3, 1, 1),
        insn(0x0d, 2, 0, 0, 0),
        insn(0x8d, 2, 0, 0, 0),
        insn(0xf5, 2, 0, 0, 0),
        insn(0xe7, 2, 0, 0, 0),
        insn(0x85, 0, 3, 0, 1),
        insn(0x18, 2, 7, 0, 0),
        insn(0x41, 2, 1, 0, 0),
    ];
    for insn in unknown {
        let refusal = passing(&[insn, Insn::default()]);
        assert_eq!(refusal, Err(Refusal::Unknown { at: 0, code: insn.code }), "{insn:?}");
    }
    assert_eq!(passing(&[insn(0x30, 0, 0, 0, 9)]), Err(Refusal::LegacyLoad { at: 0 }));
    assert_eq!(passing(&[insn(0x50, 0, 2, 0, 9)]), Err(Refusal::LegacyLoad { at: 0 }));
    let callback = [insn(0x18, 2, 4, 0, 9), Insn::default()];
    assert_eq!(passing(&callback), Err(Refusal::Callback { at: 0 }));
}

/// Bounds the memory that an absurd object could ask for.
#[test]
fn a_program_beyond_the_limit_is_refused_unexamined() {
    let long = vec![PASS; MAX_INSNS + 1];
    assert_eq!(run(&long), Err(Refusal::TooLong { len: MAX_INSNS + 1 }));
    let mut longest = vec![PASS; MAX_INSNS - 1];
    longest.push(EXIT);
    assert!(run(&longest).is_ok());
}
