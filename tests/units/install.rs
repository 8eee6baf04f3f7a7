// SPDX-License-Identifier: MIT OR Apache-2.0
//! `make install` of the programs of this build.

use std::path::Path;
use std::process::Command;

use ibsr_tests::netns::run;
use ibsr_tests::process::program;

/// Root of the checkout.
pub(crate) fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests lie in the checkout")
}

/// Installs below `destdir`, for use at `prefix`.
pub(crate) fn install(destdir: &Path, prefix: &Path) {
    make("install", destdir, prefix);
}

/// The guard too, which `make install` leaves out.
pub(crate) fn install_guard(destdir: &Path, prefix: &Path) {
    make("install-guard", destdir, prefix);
}

fn make(target: &str, destdir: &Path, prefix: &Path) {
    let built = program("ibsr-loader");
    let variable = |name: &str, value: &Path| format!("{name}={}", value.display());
    run(Command::new("make").current_dir(checkout()).args([
        target.to_owned(),
        variable("BUILT", built.parent().expect("a program lies in a directory")),
        variable("DESTDIR", destdir),
        variable("PREFIX", prefix),
    ]));
}
