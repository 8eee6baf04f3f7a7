// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;

/// A struct whose every byte is another, so that no field can stand for another.
fn numbered<T: zerocopy::FromBytes>() -> T {
    let bytes: Vec<u8> = (1..=size_of::<T>()).map(|at| at as u8).collect();
    T::read_from_bytes(&bytes).expect("the size")
}

#[test]
fn a_destination_becomes_a_row_field_by_field() {
    let (key, numbers): (BehaviourKey, Behaviour) = (numbered(), numbered());
    // 2, 2, 8, 8 units: mean 5, deviation 3.
    let batch = (4, 20, 136);
    let value = Behaviour {
        batch_count: batch.0,
        batch_sum: batch.1,
        batch_square_sum: batch.2,
        batch_min: 2,
        batch_max: 8,
        ..numbers
    };
    let row = behaviour_row(9, &key, &value);
    assert_eq!((row.seq, row.exe_inode, row.exe_device.0), (9, key.exe_inode, key.exe_device));
    assert_eq!(row.remote_addr.to_bytes(), key.remote_addr);
    assert_eq!((row.remote_port, row.protocol.0), (key.remote_port, key.protocol));
    assert_eq!((row.flags.0, row.flagged_boot_ns), (value.flags, value.flagged_boot_ns));
    assert_eq!((row.born_boot_ns, row.last_boot_ns), (value.born_boot_ns, value.last_boot_ns));
    assert_eq!(row.last_connect_boot_ns, value.last_connect_boot_ns);
    assert_eq!(
        (row.connects, row.failed, row.unsent),
        (value.connects, value.failed, value.unsent)
    );
    assert_eq!((row.bytes_out, row.bytes_in), (value.bytes_out, value.bytes_in));
    assert_eq!((row.intervals, row.intervals_long), (value.intervals, value.intervals_long));
    const UNIT_NS: u64 = 4_194_304;
    assert_eq!((row.batch_intervals, row.batch_mean_ns), (4, 5 * UNIT_NS));
    assert_eq!((row.batch_min_ns, row.batch_max_ns), (2 * UNIT_NS, 8 * UNIT_NS));
    assert_eq!(row.batch_cv_ppm, Some(600_000));
    let row = behaviour_row(9, &key, &Behaviour::default());
    assert_eq!((row.batch_mean_ns, row.batch_cv_ppm), (0, None));
}

#[test]
fn an_application_becomes_a_row_field_by_field() {
    let (key, numbers): (AppKey, AppWindow) = (numbered(), numbered());
    let mut value =
        AppWindow { window: 3, peer_bitmap: [0; 16], nxdomain_bitmap: [7, 0, 0, 0], ..numbers };
    value.peer_bitmap[2] = 0b101;
    let row = app_row(9, &key, &value, 600);
    assert_eq!((row.seq, row.exe_inode, row.exe_device.0), (9, key.exe_inode, key.exe_device));
    assert_eq!((row.flags.0, row.flagged_boot_ns), (value.flags, value.flagged_boot_ns));
    assert_eq!(
        (row.connects, row.failed, row.bytes_out),
        (value.connects, value.failed, value.bytes_out)
    );
    assert_eq!((row.last_boot_ns, row.window_boot_ns), (value.last_boot_ns, 1_800));
    assert_eq!(
        (row.window_bytes_out, row.window_failed),
        (value.window_bytes_out, value.window_failed)
    );
    assert_eq!(row.window_internal_peers, 2);
    assert_eq!((row.nxdomain, row.window_nxdomain_zones), (value.nxdomain, 3));
}

#[test]
fn a_zone_becomes_a_row_field_by_field() {
    let (key, numbers): (ZoneKey, Zone) = (numbered(), numbered());
    let mut value = Zone { window: 3, name_bitmap: [0; 8], ..numbers };
    value.name_bitmap[7] = 0b1001;
    let row = zone_row(9, &key, &value, 600);
    assert_eq!((row.seq, row.exe_inode, row.exe_device.0), (9, key.exe_inode, key.exe_device));
    assert_eq!((row.zone, row.zone_key.0), (None, key.zone));
    assert_eq!((row.flags.0, row.flagged_boot_ns), (value.flags, value.flagged_boot_ns));
    assert_eq!((row.born_boot_ns, row.last_boot_ns), (value.born_boot_ns, value.last_boot_ns));
    assert_eq!(
        (row.questions, row.answers, row.nxdomain),
        (value.questions, value.answers, value.nxdomain)
    );
    assert_eq!((row.name_bytes, row.labels), (value.name_bytes, value.labels));
    assert_eq!((row.bytes_out, row.bytes_in), (value.bytes_out, value.bytes_in));
    assert_eq!((row.window_boot_ns, row.window_names), (1_800, 2));
    assert_eq!(
        (row.window_name_bytes, row.window_bytes_out),
        (value.window_name_bytes, value.window_bytes_out)
    );
}

#[test]
fn a_name_becomes_a_row_field_by_field() {
    let (addr, value): ([u8; 16], AddressName) = (numbered(), numbered());
    let row = name_row(9, address(&addr), &value, "www.example.org");
    assert_eq!((row.seq, row.addr.to_bytes(), &*row.name), (9, addr, "www.example.org"));
    assert_eq!(
        (row.learned_boot_ns, row.expiry_boot_ns),
        (value.learned_boot_ns, value.expiry_boot_ns)
    );
    assert_eq!((row.resolver.to_bytes(), row.resolver_port), (value.resolver, value.resolver_port));
    assert_eq!(row.chain, value.chain);
}

#[test]
fn what_is_in_no_row_and_was_not_lost_was_evicted() {
    let totals = BehaviourTotals { connects: 10, connects_lost: 2, ..BehaviourTotals::default() };
    assert_eq!(Behaviours { rows: 0, connects: 5 }.evicted(&totals), 3);
    assert_eq!(Behaviours { rows: 0, connects: 9 }.evicted(&totals), 0, "one came meanwhile");
    let totals = BehaviourTotals { zone_questions: 10, zone_lost: 2, ..totals };
    assert_eq!(Zones { questions: 5, ..Zones::default() }.evicted(&totals), 3);
}
