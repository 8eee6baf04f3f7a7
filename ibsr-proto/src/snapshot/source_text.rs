// SPDX-License-Identifier: MIT OR Apache-2.0
//! Source rows by hand. A full sweep writes a million of them, and there serde's machinery
//! costs as much as reading the table. The text is what serde would write, to the byte.

use super::v1::Source;

/// Appends `row` as JSON, without a line feed.
pub(super) fn write(row: &Source, out: &mut Vec<u8>) {
    field(out, br#"{"type":"source","seq":"#, row.seq);
    out.extend_from_slice(br#","src":""#);
    row.src.write_text(out);
    field(out, br#"","dst_port":"#, row.dst_port.into());
    field(out, br#","syn":"#, row.syn);
    field(out, br#","ack":"#, row.ack);
    field(out, br#","handshakes":"#, row.handshakes);
    field(out, br#","fin":"#, row.fin);
    field(out, br#","rst":"#, row.rst);
    field(out, br#","packets":"#, row.packets);
    field(out, br#","bytes":"#, row.bytes);
    match row.proven {
        Some(true) => out.extend_from_slice(br#","proven":true"#),
        Some(false) => out.extend_from_slice(br#","proven":false"#),
        None => {}
    }
    field(out, br#","born_boot_ns":"#, row.born_boot_ns);
    field(out, br#","last_boot_ns":"#, row.last_boot_ns);
    out.push(b'}');
}

fn field(out: &mut Vec<u8>, name: &[u8], value: u64) {
    out.extend_from_slice(name);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::addr::SourceAddr;
    use crate::snapshot::RowRef;

    /// Addresses of both families, and the mapped ones between them.
    fn address() -> impl Strategy<Value = SourceAddr> {
        prop_oneof![
            any::<[u8; 4]>().prop_map(|octets| std::net::IpAddr::from(octets).into()),
            any::<[u8; 16]>().prop_map(SourceAddr::from_bytes),
            Just(SourceAddr::from_bytes([0; 16])),
            Just(SourceAddr::from_bytes([0xfe; 16])),
        ]
    }

    proptest! {
        /// Two writers of one contract: they may never differ.
        #[test]
        fn a_row_is_written_as_serde_would(
            src in address(),
            counts in any::<[u64; 10]>(),
            dst_port: u16,
            proven: Option<bool>,
        ) {
            let [seq, syn, ack, handshakes, fin, rst, packets, bytes, born, last] = counts;
            let row = Source {
                seq, src, dst_port, syn, ack, handshakes, fin, rst, packets, bytes, proven,
                born_boot_ns: born, last_boot_ns: last,
            };
            let mut text = Vec::new();
            write(&row, &mut text);
            let by_serde = serde_json::to_vec(&RowRef::Source(&row)).expect("serializes");
            prop_assert_eq!(String::from_utf8(text), String::from_utf8(by_serde));
        }
    }
}
