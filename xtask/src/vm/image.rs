// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first file system of a guest: busybox, modules, one script. In the `newc` form of cpio
//! that the kernel unpacks, see Documentation/driver-api/early-userspace/buffer-format.rst.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::step::root;
use crate::vm::kernel::Kernel;

const MAGIC: &str = "070701";
const TRAILER: &str = "TRAILER!!!";
const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const LINK: u32 = 0o120_777;

/// Writes the image for `kernel` to `path`; `runner` is the program that runs after it.
pub(crate) fn write(path: &Path, kernel: &Kernel, runner: &Path) -> Result<()> {
    let mut image = Image::default();
    for dir in ["bin", "dev", "modules", "proc", "root", "sys"] {
        image.add(dir, DIRECTORY, &[]);
    }
    image.add("bin/busybox", PROGRAM, &fs::read(busybox()?)?);
    image.add("bin/sh", LINK, b"busybox");
    for module in &kernel.modules {
        let name = module.file_name().expect("a module is a file").to_string_lossy();
        image.add(&format!("modules/{name}"), PROGRAM, &fs::read(module)?);
    }
    image.add("runner", PROGRAM, runner.as_os_str().as_encoded_bytes());
    image.add("init", PROGRAM, &fs::read(root().join("tests/vm/init.sh"))?);
    fs::write(path, image.finish()).with_context(|| format!("failed to write `{}`", path.display()))
}

/// The statically linked busybox: nothing else is there when it runs.
fn busybox() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|dir| dir.join("busybox"))
        .find(|file| file.is_file())
        .context("`busybox` is missing: `make deps-vm` installs it")
}

/// An archive in the making.
#[derive(Default)]
struct Image {
    bytes: Vec<u8>,
    count: u32,
}

impl Image {
    fn add(&mut self, name: &str, mode: u32, data: &[u8]) {
        self.count += 1;
        let (is_dir, length) = (mode == DIRECTORY, data.len() as u32);
        let links = if is_dir { 2 } else { 1 };
        let name_length = name.len() as u32 + 1;
        // inode, mode, owner, group, links, mtime, size, device, device of a node, name, check
        let fields = [self.count, mode, 0, 0, links, 0, length, 0, 0, 0, 0, name_length, 0];
        self.bytes.extend(MAGIC.as_bytes());
        for field in fields {
            write!(self.bytes, "{field:08x}").expect("memory takes every write");
        }
        self.bytes.extend(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(data);
        self.pad();
    }

    /// Headers and contents start at multiples of four bytes.
    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.add(TRAILER, 0, &[]);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Read back by the description of the format: 110 bytes of header, hexadecimal.
    #[test]
    fn every_file_is_where_the_format_puts_it() {
        let mut image = Image::default();
        image.add("dir", DIRECTORY, &[]);
        image.add("dir/file", PROGRAM, b"hello");
        let bytes = image.finish();
        let mut found = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let field = |number: usize| {
                let text = &bytes[at + 6 + number * 8..][..8];
                usize::from_str_radix(std::str::from_utf8(text).expect("digits"), 16)
                    .expect("hexadecimal")
            };
            assert_eq!(&bytes[at..at + 6], MAGIC.as_bytes());
            let (size, name_length) = (field(6), field(11));
            let name = &bytes[at + 110..][..name_length - 1];
            let data = (at + 110 + name_length).next_multiple_of(4);
            found.push((name.to_vec(), bytes[data..data + size].to_vec()));
            at = (data + size).next_multiple_of(4);
        }
        let expected: [(&[u8], &[u8]); 3] =
            [(b"dir", b""), (b"dir/file", b"hello"), (TRAILER.as_bytes(), b"")];
        let expected = expected.map(|(name, data)| (name.to_vec(), data.to_vec()));
        assert_eq!(found, expected);
    }
}
