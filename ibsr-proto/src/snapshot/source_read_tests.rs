// SPDX-License-Identifier: MIT OR Apache-2.0

use proptest::prelude::*;

use super::*;
use crate::snapshot::source_text::write;
use crate::snapshot::{Row, RowRef};

fn text(row: &Source) -> Vec<u8> {
    let mut out = Vec::new();
    write(row, &mut out);
    out
}

/// Counters of every length; uniform ones would nearly all have 19 or 20 digits.
fn counter() -> impl Strategy<Value = u64> {
    prop_oneof![
        (any::<u64>(), 0_u32..64).prop_map(|(value, shift)| value >> shift),
        Just(0),
        Just(u64::MAX),
        Just(10_000_000_000_000_000_000),
    ]
}

/// Both families, with as many zero groups as it takes to reach each place of `::`.
fn address() -> impl Strategy<Value = SourceAddr> {
    let group = prop_oneof![3 => Just(0_u16), 1 => 0_u16..=0x1f, 1 => any::<u16>()];
    prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| std::net::IpAddr::from(octets).into()),
        proptest::array::uniform8(group).prop_map(|groups| std::net::IpAddr::from(groups).into()),
        any::<[u8; 16]>().prop_map(SourceAddr::from_bytes),
    ]
}

fn row() -> impl Strategy<Value = Source> {
    let counts = proptest::array::uniform10(counter());
    (address(), counts, any::<u16>(), any::<Option<bool>>()).prop_map(
        |(
            src,
            [seq, syn, ack, handshakes, fin, rst, packets, bytes, born, last],
            dst_port,
            proven,
        )| {
            Source {
                seq,
                src,
                dst_port,
                syn,
                ack,
                handshakes,
                fin,
                rst,
                packets,
                bytes,
                proven,
                born_boot_ns: born,
                last_boot_ns: last,
            }
        },
    )
}

/// One change of a line, of the kinds that nearly keep it valid.
#[derive(Debug, Clone)]
enum Change {
    Replace(u8),
    Insert(u8),
    Remove,
    Repeat,
    Cut,
}

fn change() -> impl Strategy<Value = (Change, prop::sample::Index)> {
    let byte =
        || prop_oneof![prop::sample::select(&b"0123456789abcdefAF.:\"-+e,{} \n"[..]), any::<u8>(),];
    let change = prop_oneof![
        byte().prop_map(Change::Replace),
        byte().prop_map(Change::Insert),
        Just(Change::Remove),
        Just(Change::Repeat),
        Just(Change::Cut),
    ];
    (change, any::<prop::sample::Index>())
}

fn apply(line: &mut Vec<u8>, change: &Change, at: prop::sample::Index) {
    if line.is_empty() {
        return;
    }
    let at = at.index(line.len());
    match *change {
        Change::Replace(byte) => line[at] = byte,
        Change::Insert(byte) => line.insert(at, byte),
        Change::Remove => drop(line.remove(at)),
        Change::Repeat => line.insert(at, line[at]),
        Change::Cut => line.truncate(at),
    }
}

/// The whole contract: what is read is exactly what would be written, and serde agrees.
fn check(line: &[u8]) {
    let Some(source) = read(line) else { return };
    let bare = line.strip_suffix(b"\n").unwrap_or(line);
    assert_eq!(text(&source), bare, "{}", String::from_utf8_lossy(line));
    let by_serde: Source = serde_json::from_slice(line).expect("serde reads what is canonical");
    assert_eq!(source, by_serde);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// A row that the reader wrote and this left to serde would be five times as slow.
    #[test]
    fn every_written_row_is_read_with_and_without_its_line_feed(row in row()) {
        let mut line = text(&row);
        prop_assert_eq!(read(&line), Some(row));
        let by_serde = serde_json::from_slice::<Source>(&line).expect("serde reads it");
        prop_assert_eq!(by_serde, row);
        line.push(b'\n');
        prop_assert_eq!(read(&line), Some(row));
        line.push(b'\n');
        prop_assert_eq!(read(&line), None);
    }

    #[test]
    fn a_changed_line_is_never_read_as_another_row(
        row in row(),
        changes in proptest::collection::vec(change(), 1..4),
    ) {
        let mut line = text(&row);
        for (change, at) in &changes {
            apply(&mut line, change, *at);
        }
        check(&line);
    }

    /// Most changes of a whole line miss the address, where most of the cases are.
    #[test]
    fn an_address_is_read_only_in_its_own_spelling(
        address in address(),
        changes in proptest::collection::vec(change(), 1..3),
    ) {
        let mut written = Vec::new();
        address.write_text(&mut written);
        for (change, at) in &changes {
            apply(&mut written, change, *at);
        }
        if let Some(read) = Rest(&written).address() {
            let mut again = Vec::new();
            read.write_text(&mut again);
            prop_assert!(written.starts_with(&again), "{read}");
        }
    }

    /// Any text of the right letters: `::` twice, at either end, alone, too many groups.
    #[test]
    fn no_text_of_address_letters_is_misread(letters in "[0-2f:.]{0,40}") {
        let mut rest = Rest(letters.as_bytes());
        if let Some(read) = rest.address() {
            let taken = letters.len() - rest.0.len();
            prop_assert_eq!(read.to_string(), &letters[..taken]);
        }
    }
}

/// Spellings that serde takes for the same row: none may be read as canonical, and all
/// must still be read.
#[test]
fn other_spellings_of_the_same_row_are_left_to_serde() {
    let base = r#"{"type":"source","seq":1,"src":"2001:db8::7","dst_port":443,"syn":1,"ack":0,"handshakes":0,"fin":0,"rst":0,"packets":1,"bytes":60,"proven":true,"born_boot_ns":1,"last_boot_ns":2}"#;
    assert!(read(base.as_bytes()).is_some());
    for (from, to) in [
        ("2001:db8::7", "2001:db8:0::7"),
        ("2001:db8::7", "2001:DB8::7"),
        ("2001:db8::7", "2001:0db8::7"),
        ("2001:db8::7", "2001:db8:0:0:0:0:0:7"),
        ("2001:db8::7", "::ffff:1.2.3.4"),
        ("2001:db8::7", "::ffff:102:304"),
        ("\"seq\":1", "\"seq\": 1"),
        ("\"proven\":true", "\"proven\":null"),
        (",\"rst\":0", ",\"rst\":0,\"x\":1"),
        ("\"syn\":1,\"ack\":0", "\"ack\":0,\"syn\":1"),
        ("}", "} "),
        ("}", "}\r\n"),
    ] {
        let line = base.replace(from, to);
        assert_eq!(read(line.as_bytes()), None, "{line}");
        let row = Row::from_line(line.as_bytes()).expect("serde reads it");
        assert!(matches!(row, Row::Source(_)), "{line}");
    }
}

/// What is no row for serde is none here either.
#[test]
fn numbers_that_do_not_fit_are_not_wrapped() {
    let row = Source { syn: u64::MAX, ..zeros() };
    let line = String::from_utf8(text(&row)).expect("text");
    for (from, to) in [
        ("18446744073709551615", "18446744073709551616"),
        ("18446744073709551615", "99999999999999999999"),
        ("18446744073709551615", "184467440737095516150"),
        ("18446744073709551615", "00"),
        ("18446744073709551615", "-1"),
        ("18446744073709551615", ""),
        ("\"dst_port\":0", "\"dst_port\":65536"),
        ("0.0.0.0", "0.0.0.256"),
        ("0.0.0.0", "0.0.0"),
        ("0.0.0.0", "0.0.0.0.0"),
        ("0.0.0.0", "0.0.00.0"),
        ("0.0.0.0", ""),
    ] {
        let line = line.replace(from, to);
        assert_eq!(read(line.as_bytes()), None, "{line}");
        assert!(Row::from_line(line.as_bytes()).is_err(), "{line}");
    }
    let mut whole = Vec::new();
    RowRef::Source(&row).write_to(&mut whole);
    assert_eq!(Row::from_line(&whole).expect("reads"), Row::Source(row));
}

fn zeros() -> Source {
    Source {
        seq: 0,
        src: std::net::IpAddr::from([0; 4]).into(),
        dst_port: 0,
        syn: 0,
        ack: 0,
        handshakes: 0,
        fin: 0,
        rst: 0,
        packets: 0,
        bytes: 0,
        proven: None,
        born_boot_ns: 0,
        last_boot_ns: 0,
    }
}

/// Run by hand: `cargo test --release -p ibsr-proto -- --ignored --nocapture how_long`.
#[test]
#[ignore = "a measurement"]
fn how_long_a_row_takes() {
    let v4 = Source { syn: 42, ack: 156_000, bytes: 45_000_000, ..zeros() };
    let v4 = Source { seq: 1_234, src: "203.0.113.9".parse().expect("IPv4"), dst_port: 443, ..v4 };
    let v4 = Source { born_boot_ns: 3_600_123_456_789, last_boot_ns: 3_700_123_456_789, ..v4 };
    let v6 = Source { src: "2001:db8:1:2:3:4:5:6".parse().expect("IPv6"), ..v4 };
    for row in [v4, v6] {
        let line = text(&row);
        let rounds = 2_000_000_u32;
        for by_hand in [true, false] {
            let start = std::time::Instant::now();
            for _ in 0..rounds {
                let line = std::hint::black_box(line.as_slice());
                std::hint::black_box(match by_hand {
                    true => read(line),
                    false => serde_json::from_slice::<Source>(line).ok(),
                });
            }
            println!("{} by hand {by_hand}: {:?}", row.src, start.elapsed() / rounds);
        }
    }
}
