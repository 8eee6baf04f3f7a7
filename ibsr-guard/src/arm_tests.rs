// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;

const S: u64 = 1_000_000_000;

fn armed() -> (Control, Spent, Evidence) {
    let control = Control { arming: 2, is_enforced: 1, ..Control::default() };
    let evidence =
        Evidence { expires_unix_s: 2_000, expires_boot_ns: 1_000 * S, ..Evidence::default() };
    (control, Spent { tripped_arming: 1, ..Spent::default() }, evidence)
}

/// At 500 s after boot and 1,000 s of the wall clock unless the case says another time.
fn said(change: impl FnOnce(&mut Control, &mut Spent), boot_s: u64, unix_s: i64) -> String {
    let (mut control, mut spent, evidence) = armed();
    change(&mut control, &mut spent);
    let renewed = refuse_renewal(&control, &spent, &evidence, boot_s * S, unix_s);
    renewed.map_or_else(|error| error.to_string(), |()| "renewed".to_owned())
}

#[test]
fn a_lease_is_renewed_only_while_armed_untripped_and_with_good_evidence() {
    assert_eq!(said(|_, _| (), 500, 1_000), "renewed");
    assert!(said(|control, _| control.is_enforced = 0, 500, 1_000).contains("not armed"));
    assert!(said(|_, spent| spent.tripped_arming = 2, 500, 1_000).contains("by itself"));
    assert_eq!(said(|_, _| (), 999, 1_999), "renewed");
    assert!(said(|_, _| (), 500, 2_000).contains("expired"));
    // A wall clock that was set back does not make evidence last longer.
    assert!(said(|_, _| (), 1_000, 1).contains("expired"));
}

#[test]
fn no_lease_is_longer_than_a_minute() {
    assert_eq!(lease_ns(Duration::from_secs(60)).expect("a minute"), 60 * S);
    assert_eq!(lease_ns(Duration::from_millis(1)).expect("short"), 1_000_000);
    assert!(lease_ns(Duration::from_millis(60_001)).is_err());
}
