// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a server honours `If-None-Match: *`, found out once and remembered.
//!
//! AWS does; some S3 servers ignore the header and overwrite. Until it is known, and where it
//! is ignored, HEAD comes before PUT. It is found out by putting the first small object twice:
//! the second answer is 412 or 200, and either way the object holds the same bytes and the
//! right to write is all that is needed.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use crate::state::replace_file;

/// What is known about a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conditional {
    /// An existing object is never replaced.
    Honoured,
    /// The last writer wins.
    Ignored,
    /// Not known yet.
    #[serde(other)]
    Unknown,
}

/// The note for one server and bucket.
#[derive(Debug)]
pub struct Capability {
    path: PathBuf,
    server: String,
    now: Mutex<Conditional>,
}

impl Capability {
    /// Reads the note; an unreadable one counts as none.
    pub fn load(path: &Path, endpoint: &str, bucket: &str) -> Self {
        let server = format!("{endpoint} {bucket}");
        let now = read(path).get(&server).copied().unwrap_or(Conditional::Unknown);
        Self { path: path.to_owned(), server, now: Mutex::new(now) }
    }

    /// What is known now.
    pub fn get(&self) -> Conditional {
        *self.now.lock().expect("no holder panics")
    }

    /// Remembers what a server did.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn learn(&self, found: Conditional) -> io::Result<()> {
        let mut now = self.now.lock().expect("no holder panics");
        if *now == found {
            return Ok(());
        }
        *now = found;
        tracing::debug!(server = self.server, ?found, "learned about conditional writes");
        let mut servers = read(&self.path);
        servers.insert(self.server.clone(), found);
        replace_file(&self.path, &serde_json::to_vec(&servers)?)
    }
}

fn read(path: &Path) -> BTreeMap<String, Conditional> {
    std::fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_learned_is_known_after_a_restart_and_for_that_bucket_only() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("servers.json");
        let load = |bucket: &str| Capability::load(&path, "http://localhost", bucket);
        assert_eq!(load("a").get(), Conditional::Unknown);
        load("a").learn(Conditional::Ignored).expect("writes");
        load("b").learn(Conditional::Honoured).expect("writes");
        assert_eq!(load("a").get(), Conditional::Ignored);
        assert_eq!(load("b").get(), Conditional::Honoured);
        std::fs::write(&path, "{").expect("writes");
        assert_eq!(load("a").get(), Conditional::Unknown);
    }
}
