// SPDX-License-Identifier: MIT OR Apache-2.0
//! The packet-level recording: the same site as frames on a wire.

use super::flow::Packet;
use super::schedule::Schedule;
use super::spec::{SiteSpec, SpecError};

/// The packets of a site, one sweep's worth at a time.
#[derive(Debug)]
pub struct Wire {
    schedule: Schedule,
    packets: Vec<Packet>,
}

impl Wire {
    /// Before the first packet.
    ///
    /// # Errors
    /// [`SpecError`]: there is no such site.
    pub fn new(spec: SiteSpec) -> Result<Self, SpecError> {
        Ok(Self { schedule: Schedule::new(spec)?, packets: Vec::new() })
    }

    /// Packets between two sweeps, in order of time; what [`super::Sweeps`] counts in the
    /// sweep with the same number.
    pub fn next_packets(&mut self) -> Option<&[Packet]> {
        let Self { schedule, packets } = self;
        packets.clear();
        schedule.advance(|running, over| running.flow.packets(over, packets))?;
        packets.sort_unstable();
        Some(packets)
    }
}
