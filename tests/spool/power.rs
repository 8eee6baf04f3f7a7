// SPDX-License-Identifier: MIT OR Apache-2.0
//! The power fails: an ext4 on a loop device is shut down without its log being flushed, so
//! whatever was not made durable is gone at the next mount.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use ibsr_proto::snapshot::SegmentName;
use ibsr_tests::netns::run;
use ibsr_tests::process::wait_until;
use rustix::process::Signal;

use crate::rig::{PATIENCE, Rig, SCOPE, all_sealed, names};

/// `EXT4_IOC_SHUTDOWN` is `_IOR('X', 125, __u32)` (fs/ext4/ext4.h).
const EXT4_IOC_SHUTDOWN: libc::c_ulong = 0x8004_587d;
/// `EXT4_GOING_FLAGS_NOLOGFLUSH`.
const WITHOUT_LOG_FLUSH: u32 = 2;

fn cut_power(mounted: &Path) {
    let dir = File::open(mounted).expect("the mount point");
    // SAFETY: the descriptor is open and the kernel reads one u32 from the pointer.
    let done = unsafe { libc::ioctl(dir.as_raw_fd(), EXT4_IOC_SHUTDOWN, &WITHOUT_LOG_FLUSH) };
    assert_eq!(done, 0, "{}", io::Error::last_os_error());
}

fn sealed_bytes(spool: &Path) -> BTreeMap<String, Vec<u8>> {
    let dir = spool.join(SCOPE);
    let sealed = names(&dir).into_iter().filter(|name| SegmentName::parse(name, SCOPE).is_some());
    sealed.map(|name| (name.clone(), fs::read(dir.join(name)).expect("a segment"))).collect()
}

fn make_disk(image: &Path) {
    let file = File::create(image).expect("a file");
    file.set_len(32 << 20).expect("a sparse file");
    run(Command::new("mkfs.ext4").arg("-q").arg(image));
}

/// R2: every segment that was sealed when the power failed is there afterwards, byte for
/// byte; what was open is recovered or set aside, never half a segment.
#[test_tag::tag(root)]
#[test]
fn sealed_segments_survive_a_power_loss() {
    let rig = Rig::new();
    let (image, disk) = (rig.path("disk.img"), rig.spool("disk"));
    make_disk(&image);
    let spool = disk.join("spool");
    let mount = format!("mount -o loop {} {}", image.display(), disk.display());
    let script = format!("{mount} && mkdir -m 750 {} && exec \"$@\"", spool.display());
    let prefix = ["unshare", "-m", "sh", "-c", &script, "sh"].map(str::to_owned);
    let mut reader = rig.start(&prefix, &spool, &[], "log");
    let inside = |path: &Path| {
        PathBuf::from(format!("/proc/{}/root", reader.pid()))
            .join(path.strip_prefix("/").expect("absolute"))
    };
    let (disk_inside, spool_inside) = (inside(&disk), inside(&spool));
    wait_until("five segments", PATIENCE, || {
        spool_inside.exists() && all_sealed(&spool_inside).len() >= 5
    });
    let before = sealed_bytes(&spool_inside);
    // The last of them may be visible and its name not yet durable; one more and it is.
    wait_until("one segment more", PATIENCE, || sealed_bytes(&spool_inside).len() > before.len());
    cut_power(&disk_inside);
    rig.wait_for("log", "failed to");
    reader.signal(Signal::KILL);
    assert!(!reader.wait(PATIENCE).success());

    let after = rig.path("after");
    let script = format!("{mount} && cp -a {} {}", spool.display(), after.display());
    run(Command::new("unshare").args(["-m", "sh", "-c", &script]));
    let found = sealed_bytes(&after);
    for (name, bytes) in &before {
        assert_eq!(found.get(name), Some(bytes), "{name} was sealed before the power failed");
    }
    all_sealed(&after);
    rig.once_has_everything(&after);
    all_sealed(&after);
}
