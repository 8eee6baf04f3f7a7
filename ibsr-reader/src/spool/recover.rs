// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an earlier process left behind: `.part` files, found when the spool is opened.
//!
//! One with its footer only lacked the rename. One without is cut after its last whole sweep
//! and sealed as recovered. Anything else is set aside under a name that says so; nothing is
//! deleted, except a half-made merge whose sweeps still lie in their own segment.

use std::io::BufReader;

use ibsr_proto::snapshot::SegmentName;

use super::dir::{Dir, Entry};
use super::error::SpoolError;
use super::part::Part;
use super::scan::{Scan, scan};

const PART_SUFFIX: &str = ".part";
const ASIDE_SUFFIX: &str = "damaged";
/// Files kept aside for one name. Each needs a crash of its own; beyond this the newest stays
/// where it is and is passed over.
const MAX_ASIDE: u32 = 8;

/// Seals or sets aside every `.part` of the directory. An error on one file is logged and
/// that file left as it is: the spool works without it.
pub(super) fn recover(dir: &Dir, scope: &str) -> Result<(), SpoolError> {
    for entry in dir.list(|name| part_of(name, scope).is_some())? {
        let Some(name) = part_of(&entry.name, scope) else { continue };
        if let Err(error) = recover_part(dir, &entry, name) {
            tracing::warn!(%error, "segment not recovered");
        }
    }
    Ok(())
}

fn recover_part(dir: &Dir, entry: &Entry, name: SegmentName) -> Result<(), SpoolError> {
    let path = dir.path_of(&entry.name);
    if !entry.facts.is_our_part(dir.uid()) {
        tracing::warn!(path = %path.display(), "not a file of ours under a name of ours");
        return set_aside(dir, &entry.name);
    }
    if is_half_made_merge(dir, &name)? {
        return dir.remove(&entry.name);
    }
    let file = dir.open_part(&entry.name)?;
    let found = scan(&mut BufReader::new(&file))
        .map_err(|error| dir.failed("read", &entry.name, error))?
        .filter(|found| belongs(found, &name));
    let is_taken = !dir.list(|other| other == name.to_string())?.is_empty();
    match found {
        Some(found) if !is_taken => {
            let part = Part::resume(name, file, found.whole.clone());
            let sealed = seal(dir, part, &found);
            if sealed.as_ref().is_err_and(SpoolError::is_doubtful) {
                set_aside(dir, &entry.name)?;
            }
            sealed
        }
        _ => {
            tracing::warn!(path = %path.display(), "segment without a whole sweep set aside");
            set_aside(dir, &entry.name)
        }
    }
}

fn seal(dir: &Dir, mut part: Part, found: &Scan) -> Result<(), SpoolError> {
    let is_finished = found.footer.is_some();
    let name = if is_finished {
        part.publish(dir, |_| Ok(()))?
    } else {
        let part_name = part.part_name().to_owned();
        part.roll_back().map_err(|error| dir.failed("truncate", &part_name, error))?;
        part.seal(dir, true, |_| Ok(()))?
    };
    let sweeps = found.sweeps.as_ref().map_or(0, |sweeps| sweeps.count);
    let path = dir.path_of(&name.to_string());
    tracing::info!(path = %path.display(), sweeps, torn = !is_finished, "segment recovered");
    Ok(())
}

/// Whether the file holds what its name says.
fn belongs(found: &Scan, name: &SegmentName) -> bool {
    let Some(sweeps) = &found.sweeps else { return false };
    let first_seq = sweeps.first.merged_from_seq.unwrap_or(sweeps.first.seq);
    found.header.scope() == name.scope
        && found.header.host() == name.host
        && boot8(found.header.boot_id()) == name.boot8
        && first_seq == name.first_seq
}

/// The part of a boot id that stands in names.
pub(super) fn boot8(boot_id: &str) -> String {
    boot_id.chars().filter(char::is_ascii_hexdigit).take(8).collect::<String>().to_lowercase()
}

fn is_half_made_merge(dir: &Dir, name: &SegmentName) -> Result<bool, SpoolError> {
    let origin = SegmentName { merged_to: None, ..name.clone() }.to_string();
    Ok(name.merged_to.is_some()
        && dir.list(|other| other == origin)?.iter().any(|it| it.facts.is_our_file(dir.uid())))
}

/// Gives a file that is in the way another name, whatever it is.
pub(super) fn set_aside(dir: &Dir, part_name: &str) -> Result<(), SpoolError> {
    let names = (0..MAX_ASIDE).map(|number| match number {
        0 => format!("{part_name}.{ASIDE_SUFFIX}"),
        more => format!("{part_name}.{ASIDE_SUFFIX}.{more}"),
    });
    let mut refusal = rustix::io::Errno::EXIST;
    for aside in names {
        match dir.rename(part_name, &aside) {
            Ok(()) => return Ok(()),
            Err(errno) => refusal = errno,
        }
    }
    Err(dir.failed("set aside", part_name, refusal))
}

fn part_of(file_name: &str, scope: &str) -> Option<SegmentName> {
    SegmentName::parse(file_name.strip_prefix('.')?.strip_suffix(PART_SUFFIX)?, scope)
}
