// SPDX-License-Identifier: MIT OR Apache-2.0
//! Digests over instructions, so that what runs can be compared with what was proven.
//!
//! Map file descriptors differ at each load; they are taken out in the same way as the
//! kernel's `bpf_prog_calc_tag` takes them out.

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::flow::Proof;
use crate::insn::{Insn, LD_IMM64, pseudo};

/// The tags that kernels give the proven program: the first 8 bytes of SHA-256 on newer
/// ones, of SHA-1 on older ones. `bpf_prog_info.tag` of the loaded program is one of them.
#[must_use]
pub const fn kernel_tags(proof: &Proof) -> [[u8; 8]; 2] {
    [head(&proof.sha256), head(&proof.sha1)]
}

const fn head(digest: &[u8]) -> [u8; 8] {
    match digest.first_chunk() {
        Some(head) => *head,
        None => panic!("a digest is longer than a tag"),
    }
}

/// SHA-256 over `parts`, each with its length in front, for a digest of several digests.
pub fn digest_of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut sha256 = Sha256::new();
    for part in parts {
        sha256.update((part.len() as u64).to_le_bytes());
        sha256.update(part);
    }
    sha256.finalize().into()
}

/// SHA-256 and SHA-1 over the instructions without map descriptors.
pub(crate) fn digests(insns: &[Insn]) -> ([u8; 32], [u8; 20]) {
    let (mut sha256, mut sha1) = (Sha256::new(), Sha1::new());
    for bytes in normalised(insns) {
        sha256.update(bytes);
        sha1.update(bytes);
    }
    (sha256.finalize().into(), sha1.finalize().into())
}

fn normalised(insns: &[Insn]) -> impl Iterator<Item = [u8; 8]> {
    let mut second_half = false;
    insns.iter().map(move |&insn| {
        let first_half = !second_half && is_map_load(insn);
        let drop_imm = first_half || (second_half && is_second_half(insn));
        second_half = first_half;
        Insn { imm: if drop_imm { 0 } else { insn.imm }, ..insn }.to_bytes()
    })
}

const fn is_map_load(insn: Insn) -> bool {
    insn.code == LD_IMM64 && (insn.src == pseudo::MAP_FD || insn.src == pseudo::MAP_VALUE)
}

const fn is_second_half(insn: Insn) -> bool {
    insn.code == 0 && insn.dst == 0 && insn.src == 0 && insn.off == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(src: u8, imm: i32, high: i32) -> [Insn; 2] {
        let first = Insn { code: LD_IMM64, dst: 1, src, off: 0, imm };
        [first, Insn { imm: high, ..Insn::default() }]
    }

    #[test]
    fn a_map_descriptor_does_not_change_the_digest() {
        for src in [pseudo::MAP_FD, pseudo::MAP_VALUE] {
            assert_eq!(digests(&load(src, 7, 16)), digests(&load(src, 9, 0)));
        }
    }

    #[test]
    fn every_other_immediate_does() {
        assert_ne!(digests(&load(pseudo::NUMBER, 7, 0)), digests(&load(pseudo::NUMBER, 9, 0)));
        assert_ne!(digests(&load(pseudo::NUMBER, 7, 0)), digests(&load(pseudo::NUMBER, 7, 1)));
        assert_ne!(digests(&load(pseudo::MAP_FD, 7, 0)), digests(&load(pseudo::MAP_VALUE, 7, 0)));
    }

    /// Otherwise bytes could move from one part to the next unseen.
    #[test]
    fn a_digest_of_parts_depends_on_where_they_end() {
        let of = |parts: [&'static [u8]; 2]| digest_of(parts);
        assert_eq!(of([b"ab", b"c"]), of([b"ab", b"c"]));
        assert_ne!(of([b"ab", b"c"]), of([b"a", b"bc"]));
    }

    /// What `sha256sum` and `sha1sum` say of the two instructions `w0 = 2; exit`.
    #[test]
    #[cfg(target_endian = "little")]
    fn the_digest_is_plain_sha_over_the_bytes() {
        let insns = [
            Insn { code: 0xb4, dst: 0, src: 0, off: 0, imm: 2 },
            Insn { code: 0x95, ..Insn::default() },
        ];
        let (sha256, sha1) = digests(&insns);
        assert_eq!(sha256[..4], [0xd4, 0xf8, 0x54, 0x2f]);
        assert_eq!(sha1[..4], [0x3f, 0xed, 0x66, 0x67]);
    }
}
