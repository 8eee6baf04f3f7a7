// SPDX-License-Identifier: MIT OR Apache-2.0
//! The sensor with a full table, pinned where the reader looks for it. It is attached nowhere:
//! packets come from test runs.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use ibsr_proto::abi::{Meta, SourceKey, Table};
use ibsr_proto::pins;
use ibsr_tests::frames::{Frame, flag};
use libbpf_rs::MapHandle;

use crate::programs::{Loaded, Programs, Senders, Settings, Which, address};
use crate::scope::{Design, Made, SCOPE, meta, reader};

const PEER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

/// Sources that a full table may lack, of a million: both sets of one may be full.
const LACKING_PPM: u64 = 100;

/// Whether `entries` are all of `sources`, but for the few that a table may lack.
#[must_use]
pub const fn is_nearly(entries: u64, sources: u32) -> bool {
    let sources = sources as u64;
    entries <= sources && sources - entries <= sources * LACKING_PPM / 1_000_000
}

/// A sensor, its pins, and a packet of a source that it knows.
#[derive(Debug)]
pub struct Scene {
    /// Its pins.
    pub made: Made,
    loaded: Loaded,
    frame: Vec<u8>,
}

impl Scene {
    /// A sensor that knows `sources`, in a table of this kind.
    ///
    /// # Errors
    /// When the kernel refuses a program or a map.
    pub fn new(programs: &Programs, table: Table, sources: u32) -> Result<Self> {
        // An LRU map evicts before it is full: each CPU keeps free entries for itself.
        let entries = sources + sources / 10 + 4096;
        let settings = Settings { entries, ..Settings::new(Senders::Uniform(sources)) };
        let loaded = programs.load(Which::Ours(table), &settings)?;
        let key = |number| SourceKey {
            addr: address(number).to_ipv6_mapped().octets(),
            dst_port: 443,
            pad: 0,
        };
        loaded.prove(&(0..sources).map(key).collect::<Vec<_>>())?;
        let design = Design { meta: Meta { table: table as u32, ..meta() }, ..Design::default() };
        let scene = Self {
            made: Made::new(&design),
            loaded,
            frame: Frame::v4(PEER, [10, 77, 0, 1]).flags(flag::ACK).build(),
        };
        scene.repin()?;
        scene.run(sources)?;
        Ok(scene)
    }

    /// Puts the sensor's maps where those of the hand-made scope are.
    fn repin(&self) -> Result<()> {
        let all = pins::XDP_MAPS.iter().filter(|(pin, _)| *pin != pins::META);
        for (pin, name) in all {
            let path = self.made.dir.join(pin);
            let (Some(map), true) = (self.loaded.map(name), path.exists()) else { continue };
            fs::remove_file(&path).with_context(|| format!("failed to unpin `{pin}`"))?;
            MapHandle::try_from(&map)?
                .pin(&path)
                .with_context(|| format!("failed to pin `{pin}`"))?;
        }
        Ok(())
    }

    /// Sends `packets`, each from any of the sources. Returns CPU nanoseconds a packet.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn run(&self, packets: u32) -> Result<f64> {
        self.loaded.run(&self.frame, packets)
    }

    /// A segment with a row for each source, below `spool`.
    ///
    /// # Errors
    /// When the reader fails.
    pub fn segment(&self, spool: &Path) -> Result<PathBuf> {
        let mut command = reader("once", SCOPE, self.made.root.path(), spool);
        let output = command.arg("--quiet").output().context("failed to run ibsr-reader")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim_end()))
    }
}
