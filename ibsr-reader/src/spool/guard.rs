// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a directory or a file of the spool can be trusted: pure questions about what
//! `stat` said, so that each rule is tested as a value.

use rustix::fs::{FileType, Stat};

use super::error::Doubt;

const STICKY: u32 = 0o1000;
const OTHERS_WRITE: u32 = 0o002;

/// What the rules look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) kind: FileType,
    pub(super) mode: u32,
    pub(super) owner: u32,
    /// Whether this is its only name.
    pub(super) is_single: bool,
}

impl From<&Stat> for Facts {
    fn from(stat: &Stat) -> Self {
        Self {
            kind: FileType::from_raw_mode(stat.st_mode),
            mode: stat.st_mode & 0o7777,
            owner: stat.st_uid,
            is_single: stat.st_nlink == 1,
        }
    }
}

impl Facts {
    fn check_directory(&self) -> Result<(), Doubt> {
        match self.kind {
            FileType::Directory => Ok(()),
            FileType::Symlink => Err(Doubt::Symlink),
            _ => Err(Doubt::NotADirectory),
        }
    }

    /// The root may belong to root as well. In a sticky directory such as `/tmp` nobody can
    /// replace what we make, so everybody may write there.
    pub(super) fn check_root(&self, uid: u32) -> Result<(), Doubt> {
        self.check_directory()?;
        if self.owner != uid && self.owner != 0 {
            return Err(Doubt::Owner { owner: self.owner, expected: uid });
        }
        if self.mode & OTHERS_WRITE != 0 && self.mode & STICKY == 0 {
            return Err(Doubt::WorldWritable { mode: self.mode });
        }
        Ok(())
    }

    /// The scope's directory must be ours alone: the exporter would skip files of another.
    pub(super) fn check_scope(&self, uid: u32) -> Result<(), Doubt> {
        self.check_directory()?;
        if self.owner != uid {
            return Err(Doubt::Owner { owner: self.owner, expected: uid });
        }
        if self.mode & OTHERS_WRITE != 0 {
            return Err(Doubt::WorldWritable { mode: self.mode });
        }
        Ok(())
    }

    /// A regular file of ours.
    pub(super) fn is_our_file(&self, uid: u32) -> bool {
        self.kind == FileType::RegularFile && self.owner == uid
    }

    /// A file that may be written to again: a second link could lead anywhere.
    pub(super) fn is_our_part(&self, uid: u32) -> bool {
        self.is_our_file(uid) && self.is_single
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir(mode: u32, owner: u32) -> Facts {
        Facts { kind: FileType::Directory, mode, owner, is_single: false }
    }

    #[test]
    fn a_private_directory_of_ours_is_trusted() {
        assert_eq!(dir(0o750, 7).check_root(7), Ok(()));
        assert_eq!(dir(0o750, 7).check_scope(7), Ok(()));
        assert_eq!(dir(0o755, 0).check_root(7), Ok(()), "the root may be root's");
        assert_eq!(dir(0o1777, 0).check_root(7), Ok(()), "/tmp");
    }

    #[test]
    fn every_doubt_has_its_own_words() {
        let expected = Doubt::Owner { owner: 8, expected: 7 };
        assert_eq!(dir(0o750, 8).check_root(7), Err(expected.clone()));
        assert_eq!(dir(0o750, 8).check_scope(7), Err(expected));
        assert_eq!(dir(0o750, 0).check_scope(7), Err(Doubt::Owner { owner: 0, expected: 7 }));
        let open = Doubt::WorldWritable { mode: 0o777 };
        assert_eq!(dir(0o777, 7).check_root(7), Err(open.clone()));
        assert_eq!(dir(0o777, 7).check_scope(7), Err(open));
        assert!(dir(0o1777, 7).check_scope(7).is_err());
        let link = Facts { kind: FileType::Symlink, ..dir(0o777, 7) };
        assert_eq!(link.check_root(7), Err(Doubt::Symlink));
        let file = Facts { kind: FileType::RegularFile, ..dir(0o640, 7) };
        assert_eq!(file.check_scope(7), Err(Doubt::NotADirectory));
    }

    #[test]
    fn only_a_regular_file_with_one_link_is_written_to_again() {
        let part = Facts { kind: FileType::RegularFile, mode: 0o640, owner: 7, is_single: true };
        assert!(part.is_our_part(7));
        assert!(!part.is_our_part(8));
        assert!(!Facts { is_single: false, ..part }.is_our_part(7));
        assert!(!Facts { kind: FileType::Fifo, ..part }.is_our_part(7));
    }
}
