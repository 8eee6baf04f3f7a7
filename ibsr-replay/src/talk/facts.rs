// SPDX-License-Identifier: MIT OR Apache-2.0
//! Applications, destinations, and what passed between them, within fixed bounds.
//!
//! What is kept when there is too much is decided by a hash of the name and by nothing else,
//! so that partial results merge to the same result in any order. What is not kept stays in
//! the sums.

use std::collections::BTreeMap;

use ibsr_proto::addr::SourceAddr;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Applications that a [`Talk`] keeps. With [`MAX_PEERS`] of each they would need gigabytes;
/// a host has some hundred applications, and few of them talk to more than a hundred others.
pub const MAX_APPS: usize = 4_096;
/// Destinations that are kept of each application, once for those that it went to and once
/// for those that came: a flood of clients does not push out where an application goes.
pub const MAX_PEERS: usize = 512;

/// An executable and the user that it ran as.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Program {
    /// Name of the process.
    pub comm: String,
    /// Device of the executable, `major << 20 | minor`.
    pub exe_device: u32,
    /// Inode of the executable; 0 for threads of the kernel.
    pub exe_inode: u64,
    /// Real user id.
    pub uid: u32,
}

/// An application: what runs where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct App {
    /// Host label.
    pub host: String,
    /// `runtime:id` of a container, else the path of the cgroup; empty where none is known.
    pub place: String,
    /// What runs; none where no owner is known.
    pub program: Option<Program>,
}

/// The other end, as seen from an application.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Peer {
    /// Number of [`ibsr_proto::snapshot::cgroup::words::Direction`].
    pub direction: u8,
    /// As IANA numbers it.
    pub protocol: u16,
    /// Port of the service: the remote one, or the local one of what came in.
    pub port: u16,
    /// Remote address.
    pub addr: SourceAddr,
    /// Name by which it was reached. An address that has several is a peer under each.
    pub name: Option<Box<str>>,
}

/// What passed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Flows that began.
    pub connections: u64,
    /// Of these, handshakes completed.
    pub established: u64,
    /// Flows that ended with an error, by errno; 0 where it is not known.
    pub failed: BTreeMap<u16, u64>,
    /// Segments towards the application.
    pub packets_in: u64,
    /// Their bytes from the IP header on.
    pub bytes_in: u64,
    /// Segments from the application.
    pub packets_out: u64,
    /// Their bytes from the IP header on.
    pub bytes_out: u64,
    /// Segments sent again.
    pub retransmits: u64,
    /// Wall clock at the beginning of the first flow.
    pub first_unix_ms: Option<u64>,
    /// Wall clock at the last packet or step.
    pub last_unix_ms: Option<u64>,
}

impl Tally {
    /// Adds another.
    pub fn join(&mut self, other: &Self) {
        let add = |own: &mut u64, more: u64| *own = own.saturating_add(more);
        add(&mut self.connections, other.connections);
        add(&mut self.established, other.established);
        for (error, more) in &other.failed {
            add(self.failed.entry(*error).or_default(), *more);
        }
        add(&mut self.packets_in, other.packets_in);
        add(&mut self.bytes_in, other.bytes_in);
        add(&mut self.packets_out, other.packets_out);
        add(&mut self.bytes_out, other.bytes_out);
        add(&mut self.retransmits, other.retransmits);
        self.first_unix_ms = match (self.first_unix_ms, other.first_unix_ms) {
            (Some(own), Some(more)) => Some(own.min(more)),
            (own, more) => own.or(more),
        };
        self.last_unix_ms = self.last_unix_ms.max(other.last_unix_ms);
    }
}

/// The peers of an application, those with the smallest hashes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peers {
    /// At most [`MAX_PEERS`].
    pub kept: BTreeMap<(u64, Peer), Tally>,
    /// All others.
    pub rest: Tally,
}

impl Peers {
    fn add(&mut self, key: (u64, Peer), tally: &Tally) {
        self.kept.entry(key).or_default().join(tally);
        while self.kept.len() > MAX_PEERS
            && let Some((_, out)) = self.kept.pop_last()
        {
            self.rest.join(&out);
        }
    }

    fn join(&mut self, other: &Self) {
        for (key, tally) in &other.kept {
            self.add(key.clone(), tally);
        }
        self.rest.join(&other.rest);
    }
}

/// An application's part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppFacts {
    /// All of it.
    pub total: Tally,
    /// Where it went.
    pub outgoing: Peers,
    /// What came, or was there before the sensor and nobody knows how it began.
    pub incoming: Peers,
}

/// Who talked to whom.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Talk {
    /// At most [`MAX_APPS`], those with the smallest hashes.
    pub apps: BTreeMap<(u64, App), AppFacts>,
    /// All others.
    pub rest: Tally,
}

const OUTGOING: u8 = 1;

impl Talk {
    /// Adds what passed between `app` and `peer`.
    pub fn add(&mut self, app: &App, peer: Peer, tally: &Tally) {
        let facts = self.apps.entry((hash_app(app), app.clone())).or_default();
        facts.total.join(tally);
        let peers = match peer.direction {
            OUTGOING => &mut facts.outgoing,
            _ => &mut facts.incoming,
        };
        peers.add((hash_peer(&peer), peer), tally);
        self.shrink();
    }

    /// Adds another. Associative and commutative, the bounds included: whoever is left out of
    /// a part has [`MAX_APPS`] smaller hashes beside it there, and so has it in the whole.
    pub fn join(&mut self, other: &Self) {
        for (key, facts) in &other.apps {
            let own = self.apps.entry(key.clone()).or_default();
            own.total.join(&facts.total);
            own.outgoing.join(&facts.outgoing);
            own.incoming.join(&facts.incoming);
            self.shrink();
        }
        self.rest.join(&other.rest);
    }

    fn shrink(&mut self) {
        while self.apps.len() > MAX_APPS
            && let Some((_, out)) = self.apps.pop_last()
        {
            self.rest.join(&out.total);
        }
    }
}

fn hash_app(app: &App) -> u64 {
    let mut hash = Sha256::new();
    let mut text = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    text(&app.host);
    text(&app.place);
    if let Some(program) = &app.program {
        text(&program.comm);
        hash.update(program.exe_device.to_le_bytes());
        hash.update(program.exe_inode.to_le_bytes());
        hash.update(program.uid.to_le_bytes());
    }
    first(hash)
}

fn hash_peer(peer: &Peer) -> u64 {
    let mut hash = Sha256::new();
    hash.update([peer.direction]);
    hash.update(peer.protocol.to_le_bytes());
    hash.update(peer.port.to_le_bytes());
    hash.update(peer.addr.to_bytes());
    hash.update(peer.name.as_deref().unwrap_or_default());
    first(hash)
}

/// The first 64 bits of a digest.
pub(super) fn first(hash: Sha256) -> u64 {
    let digest = hash.finalize();
    digest[..8].iter().fold(0, |all, byte| all << 8 | u64::from(*byte))
}
