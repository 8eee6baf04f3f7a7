// SPDX-License-Identifier: MIT OR Apache-2.0
//! One line of a snapshot file. Pure; nothing here does I/O.

use std::ops::RangeInclusive;

use ibsr_proto::addr::SourceAddr;
use serde::Deserialize;

/// Schema versions that are read.
const VERSIONS: RangeInclusive<u64> = 5..=7;
/// The year 2286: beyond it a time is a mistake, and nanoseconds soon leave 64 bits.
const MAX_UNIX_SEC: u64 = 10_000_000_000;
/// A day between two snapshots is no interval for a rate.
const MAX_INTERVAL_SEC: u64 = 86_400;

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Schema version.
    pub version: u64,
    /// Names the run of the tool.
    pub run_id: String,
    /// Wall clock.
    pub at_unix_sec: u64,
    /// Wall clock when the counters were zero; `at_unix_sec` for one window of 10 s.
    pub base_unix_sec: u64,
    /// Configured time between two lines.
    pub interval_sec: u64,
    /// Monitored ports, sorted.
    pub dst_ports: Vec<u16>,
    /// Sorted by address and port, each once.
    pub buckets: Vec<Bucket>,
}

/// Counts of one source towards one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Remote address.
    pub src: SourceAddr,
    /// Local port; 0 where the line does not say.
    pub dst_port: u16,
    /// Counters, in the units of a source row.
    pub syn: u64,
    /// Segments with ACK.
    pub ack: u64,
    /// What the tool takes for the ACK that ends a handshake.
    pub handshakes: u64,
    /// Segments with RST.
    pub rst: u64,
    /// Frames.
    pub packets: u64,
    /// Frame bytes.
    pub bytes: u64,
}

/// Why a line is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Nothing but white space.
    #[error("it is empty")]
    Empty,
    /// Longer than any line that is read.
    #[error("it is too long")]
    TooLong,
    /// Cut, not JSON, or a field is missing or of the wrong kind.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// Of another version, whose fields may mean other things.
    #[error(
        "its nr-ibsr version is {0}, this program reads versions {first} to {last}",
        first = VERSIONS.start(),
        last = VERSIONS.end()
    )]
    Version(u64),
    /// Counters that are no sums cannot be differenced.
    #[error("its counter mode is `{0}`, only `cumulative` is read")]
    Mode(String),
    /// Times that cannot be.
    #[error("its times cannot be: base {base_unix_sec}, at {at_unix_sec}")]
    Times {
        /// Start.
        base_unix_sec: u64,
        /// End.
        at_unix_sec: u64,
    },
    /// Counts of something else than a source.
    #[error("it has a bucket of the kind `{0}`, only `src_ip` is read")]
    Kind(String),
    /// One source twice: which of them counts?
    #[error("it lists `{0}` twice for one port")]
    Twice(SourceAddr),
}

#[derive(Deserialize)]
struct VersionOnly {
    version: u64,
}

#[derive(Deserialize)]
struct Wire {
    version: u64,
    ts_unix_sec: u64,
    interval_sec: u64,
    run_id: String,
    counter_mode: String,
    base_ts_unix_sec: u64,
    #[serde(default)]
    dst_ports: Vec<u16>,
    buckets: Vec<WireBucket>,
}

#[derive(Deserialize)]
struct WireBucket {
    key_type: String,
    src_ip: Option<SourceAddr>,
    dst_port: Option<u16>,
    syn: u64,
    ack: u64,
    handshake_ack: u64,
    rst: u64,
    packets: u64,
    bytes: u64,
}

/// Reads a line, with or without its line feed. Unknown fields are ignored.
///
/// # Errors
/// [`LineError`]; the version is looked at before anything else.
pub fn read(text: &[u8]) -> Result<Snapshot, LineError> {
    if text.trim_ascii().is_empty() {
        return Err(LineError::Empty);
    }
    let VersionOnly { version } = serde_json::from_slice(text)?;
    if !VERSIONS.contains(&version) {
        return Err(LineError::Version(version));
    }
    let wire: Wire = serde_json::from_slice(text)?;
    if wire.counter_mode != "cumulative" {
        return Err(LineError::Mode(wire.counter_mode));
    }
    let (base_unix_sec, at_unix_sec) = (wire.base_ts_unix_sec, wire.ts_unix_sec);
    if base_unix_sec > at_unix_sec || base_unix_sec == 0 || at_unix_sec > MAX_UNIX_SEC {
        return Err(LineError::Times { base_unix_sec, at_unix_sec });
    }
    let mut buckets = wire.buckets.into_iter().map(bucket).collect::<Result<Vec<_>, _>>()?;
    buckets.sort_unstable_by_key(|bucket| (bucket.src, bucket.dst_port));
    let key = |bucket: &Bucket| (bucket.src, bucket.dst_port);
    if let Some(twice) = buckets.windows(2).find(|pair| key(&pair[0]) == key(&pair[1])) {
        return Err(LineError::Twice(twice[0].src));
    }
    let mut dst_ports = wire.dst_ports;
    dst_ports.sort_unstable();
    dst_ports.dedup();
    Ok(Snapshot {
        version: wire.version,
        run_id: wire.run_id,
        at_unix_sec,
        base_unix_sec,
        interval_sec: wire.interval_sec.min(MAX_INTERVAL_SEC),
        dst_ports,
        buckets,
    })
}

fn bucket(wire: WireBucket) -> Result<Bucket, LineError> {
    let Some(src) = wire.src_ip.filter(|_| wire.key_type == "src_ip") else {
        return Err(LineError::Kind(wire.key_type));
    };
    Ok(Bucket {
        src,
        dst_port: wire.dst_port.unwrap_or_default(),
        syn: wire.syn,
        ack: wire.ack,
        handshakes: wire.handshake_ack,
        rst: wire.rst,
        packets: wire.packets,
        bytes: wire.bytes,
    })
}
