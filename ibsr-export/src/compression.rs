// SPDX-License-Identifier: MIT OR Apache-2.0
//! The three ways an object can be compressed. The same segment always gives the same bytes:
//! fixed level, one thread, no time stamp.

use std::io::{self, Write};

use clap::ValueEnum;
use flate2::write::GzEncoder;

/// Level of zstd. Segments are text that repeats itself; higher levels gain a few percent for several
/// times the CPU, which belongs to whatever else runs on the host.
pub const ZSTD_LEVEL: i32 = 1;

/// How an object is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Compression {
    /// `.zst`
    Zstd,
    /// `.gz`
    Gzip,
    /// As it lies in the spool
    None,
}

impl Compression {
    /// What is appended to the segment's name.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
            Self::None => "",
        }
    }

    /// Media type of the object.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Zstd => "application/zstd",
            Self::Gzip => "application/gzip",
            Self::None => "application/x-ndjson",
        }
    }

    /// A writer that compresses into `out`.
    ///
    /// # Errors
    /// When zstd cannot get its memory (under 1 MiB at this level).
    pub fn encoder<W: Write>(self, out: W) -> io::Result<Encoder<W>> {
        Ok(match self {
            Self::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(out, ZSTD_LEVEL)?;
                encoder.include_checksum(true)?;
                Encoder::Zstd(encoder)
            }
            Self::Gzip => Encoder::Gzip(GzEncoder::new(out, flate2::Compression::fast())),
            Self::None => Encoder::None(out),
        })
    }
}

/// A compressing writer; [`Self::finish`] it, or the object lacks its end.
pub enum Encoder<W: Write> {
    /// zstd.
    Zstd(zstd::stream::write::Encoder<'static, W>),
    /// gzip.
    Gzip(GzEncoder<W>),
    /// No compression.
    None(W),
}

impl<W: Write> Encoder<W> {
    /// Writes the end of the stream and gives the inner writer back.
    ///
    /// # Errors
    /// Those of the inner writer.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Self::Zstd(encoder) => encoder.finish(),
            Self::Gzip(encoder) => encoder.finish(),
            Self::None(out) => Ok(out),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    #[expect(clippy::disallowed_methods, reason = "forwards; its callers use write_all")]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Zstd(encoder) => encoder.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::None(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Zstd(encoder) => encoder.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::None(out) => out.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    const TEXT: &[u8] = b"{\"type\":\"source\",\"seq\":1}\n";

    fn compress(compression: Compression) -> Vec<u8> {
        let mut encoder = compression.encoder(Vec::new()).expect("encoder");
        encoder.write_all(TEXT).expect("writes");
        encoder.finish().expect("ends")
    }

    #[test]
    fn each_form_decodes_with_the_usual_tools() {
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&*compress(Compression::Gzip))
            .read_to_end(&mut text)
            .expect("gzip");
        assert_eq!(text, TEXT);
        assert_eq!(zstd::decode_all(&*compress(Compression::Zstd)).expect("zstd"), TEXT);
        assert_eq!(compress(Compression::None), TEXT);
    }

    /// A repeated upload must be the same bytes: a server without conditional writes then
    /// replaces an object by itself.
    #[test]
    fn the_same_segment_gives_the_same_bytes() {
        for compression in Compression::value_variants() {
            assert_eq!(compress(*compression), compress(*compression));
        }
    }
}
