// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames of a capture file, pcap or pcapng. Many of these files are damaged on purpose: what
//! comes before the damage is read.

use pcap_parser::pcapng::Block;
use pcap_parser::traits::PcapNGPacketBlock as _;
use pcap_parser::{PcapBlockOwned, PcapError, create_reader};

/// Link type of Ethernet (LINKTYPE_ETHERNET).
pub(crate) const ETHERNET: u16 = 1;

/// How a file ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// With its last record.
    Whole,
    /// In the middle, or with something that is no record.
    Damaged(String),
}

/// Shows every frame to `see`: its link type and what of it was captured.
pub(crate) fn read_frames(file: &[u8], mut see: impl FnMut(u16, &[u8])) -> End {
    // Room for the whole file: then a record that does not fit is one that lies.
    let mut reader = match create_reader(file.len() + 1, file) {
        Ok(reader) => reader,
        Err(error) => return End::Damaged(format!("{error:?}")),
    };
    let mut links = Vec::new();
    loop {
        let is_exhausted = reader.reader_exhausted();
        match reader.next() {
            Ok((length, record)) => {
                if let Some((link, frame)) = frame(&record, &mut links) {
                    see(link, frame);
                }
                reader.consume(length);
            }
            Err(PcapError::Eof) => return End::Whole,
            Err(PcapError::Incomplete(_)) if !is_exhausted => {
                reader.refill().expect("memory can be read");
            }
            Err(error) => return End::Damaged(format!("{error:?}").chars().take(60).collect()),
        }
    }
}

/// The frame in a record, if it holds one. `links` are the link types of the interfaces that
/// were described so far.
fn frame<'a>(record: &'a PcapBlockOwned<'_>, links: &mut Vec<u16>) -> Option<(u16, &'a [u8])> {
    match record {
        // The upper half of the field says how long the checksum behind each frame is.
        PcapBlockOwned::LegacyHeader(header) => links.push(header.network.0 as u16),
        PcapBlockOwned::Legacy(record) => return Some((*links.first()?, record.data)),
        PcapBlockOwned::NG(Block::SectionHeader(_)) => links.clear(),
        PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
            links.push(interface.linktype.0 as u16);
        }
        PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
            return Some((*links.get(packet.if_id as usize)?, packet.packet_data()));
        }
        PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
            return Some((*links.first()?, packet.packet_data()));
        }
        PcapBlockOwned::NG(_) => {}
    }
    None
}
