// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian's kernels as files: fetched once with apt, which checks the archive's signature and
//! every checksum, taken apart, never installed. Nothing of the machine's own apt is touched.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::step::files;

const MIRROR: &str = "http://deb.debian.org/debian";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Names the newest kernel of a release by what it depends on.
const META_PACKAGE: &str = "linux-image-amd64";
/// Packages that hold files of a kernel; newer releases spread them over several.
const PARTS: [&str; 4] = ["linux-base-", "linux-image-", "linux-binary-", "linux-modules-"];
/// Modules that a guest needs: the shared folders, wires, and tc for the tests about filters.
const MODULES: [&str; 7] =
    ["9p", "9pnet_virtio", "bridge", "cls_bpf", "sch_ingress", "veth", "virtio_pci"];
/// What a cached kernel was unpacked for.
const WANTED: &str = "wanted";

/// A kernel and its modules, ready to boot.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// As `uname -r` says.
    pub release: String,
    /// The image.
    pub image: PathBuf,
    /// Modules in an order in which they load.
    pub modules: Vec<PathBuf>,
}

impl Kernel {
    /// The newest kernel of a Debian release, from `cache` where it is there.
    pub(crate) fn of_suite(suite: &str, cache: &Path) -> Result<Self> {
        let (done, wanted) = (cache.join(suite), MODULES.join(" "));
        if fs::read_to_string(done.join(WANTED)).ok().as_ref() != Some(&wanted) {
            let part = cache.join(format!("{suite}.part"));
            for old in [&part, &done] {
                if old.exists() {
                    fs::remove_dir_all(old)?;
                }
            }
            Apt::new(&part.join("apt"), suite)?.fetch_into(&part.join("tree"))?;
            take_apart(&part)
                .with_context(|| format!("failed to unpack the kernel of `{suite}`"))?;
            fs::remove_dir_all(part.join("apt"))?;
            fs::remove_dir_all(part.join("tree"))?;
            fs::write(part.join(WANTED), wanted)?;
            fs::rename(&part, &done)?;
        }
        let release = fs::read_to_string(done.join("release"))?;
        let modules = files(&done.join("modules"), &[".ko"])?;
        Ok(Self { release, image: done.join("vmlinuz"), modules })
    }
}

/// An apt of our own: its sources, lists and cache lie in one folder.
struct Apt {
    dir: PathBuf,
    options: Vec<String>,
}

impl Apt {
    fn new(dir: &Path, suite: &str) -> Result<Self> {
        for folder in ["lists/partial", "cache/archives/partial", "none"] {
            fs::create_dir_all(dir.join(folder))?;
        }
        fs::write(dir.join("status"), "")?;
        let source = format!("deb [signed-by={KEYRING} arch=amd64] {MIRROR} {suite} main\n");
        fs::write(dir.join("sources.list"), source)?;
        let at = dir.display();
        let options = [
            format!("Dir::Etc::sourcelist={at}/sources.list"),
            format!("Dir::Etc::sourceparts={at}/none"),
            format!("Dir::Etc::preferencesparts={at}/none"),
            format!("Dir::State::lists={at}/lists"),
            format!("Dir::State::status={at}/status"),
            format!("Dir::Cache={at}/cache"),
            "Acquire::Languages=none".to_owned(),
            // The user `_apt` may not enter the build directory.
            "APT::Sandbox::User=root".to_owned(),
        ];
        Ok(Self { dir: dir.to_owned(), options: options.to_vec() })
    }

    fn run(&self, program: &str, args: &[&str]) -> Result<String> {
        let mut command = Command::new(program);
        for option in &self.options {
            command.args(["-o", option]);
        }
        output(command.args(args).current_dir(&self.dir))
    }

    /// Unpacks every package of the newest kernel into `tree`.
    fn fetch_into(&self, tree: &Path) -> Result<()> {
        let _quiet = self.run("apt-get", &["update", "-qq"])?;
        let packages = self.parts_of(META_PACKAGE)?;
        ensure!(!packages.is_empty(), "`{META_PACKAGE}` names no kernel");
        let mut download = vec!["download", "-qq"];
        download.extend(packages.iter().map(String::as_str));
        let _quiet = self.run("apt-get", &download)?;
        fs::create_dir_all(tree)?;
        for package in files(&self.dir, &[".deb"])? {
            let _quiet = output(Command::new("dpkg-deb").arg("-x").arg(package).arg(tree))?;
        }
        Ok(())
    }

    /// What `package` depends on, and what that depends on, of the packages of one kernel.
    fn parts_of(&self, package: &str) -> Result<Vec<String>> {
        let mut parts: Vec<String> = Vec::new();
        let mut open = vec![package.to_owned()];
        while let Some(package) = open.pop() {
            let depends = self.run("apt-cache", &["depends", "--important", &package])?;
            for name in depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: ")) {
                if is_part(name) && !parts.iter().any(|part| part == name) {
                    parts.push(name.to_owned());
                    open.push(name.to_owned());
                }
            }
        }
        Ok(parts)
    }
}

/// Whether a package holds files of one exact kernel: its name goes on with the release.
fn is_part(package: &str) -> bool {
    PARTS.iter().any(|part| {
        package
            .strip_prefix(part)
            .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
    })
}

/// Moves what a guest needs from `dir/tree` to `dir`.
fn take_apart(dir: &Path) -> Result<()> {
    let tree = dir.join("tree");
    // In newer releases the image lies beside the modules.
    let image = files(&tree, &[""])?.into_iter().find(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz"))
    });
    fs::rename(image.context("no `vmlinuz` in the packages")?, dir.join("vmlinuz"))?;
    let folders = ["lib/modules", "usr/lib/modules"].map(|folder| tree.join(folder));
    let folder = folders.iter().find(|folder| folder.is_dir()).context("no modules")?;
    let entry = fs::read_dir(folder)?.next().context("no modules")??;
    fs::write(dir.join("release"), entry.file_name().to_string_lossy().as_bytes())?;
    let mut modules = Modules::below(&entry.path())?;
    for name in MODULES {
        modules.load(name)?;
    }
    fs::create_dir(dir.join("modules"))?;
    for (number, (name, bytes)) in modules.loaded.iter().enumerate() {
        fs::write(dir.join(format!("modules/{number:02}-{name}.ko")), bytes)?;
    }
    Ok(())
}

/// The modules of one kernel, and those that were asked for after what they depend on.
struct Modules {
    files: BTreeMap<String, PathBuf>,
    built_in: Vec<String>,
    loaded: Vec<(String, Vec<u8>)>,
}

impl Modules {
    fn below(dir: &Path) -> Result<Self> {
        let built_in = fs::read_to_string(dir.join("modules.builtin"))?;
        Ok(Self {
            files: files(dir, &[".ko", ".ko.xz"])?
                .into_iter()
                .map(|path| (module_name(&path.to_string_lossy()), path))
                .collect(),
            built_in: built_in.lines().map(module_name).collect(),
            loaded: Vec::new(),
        })
    }

    fn load(&mut self, name: &str) -> Result<()> {
        let is_there = self.built_in.iter().any(|built_in| built_in == name)
            || self.loaded.iter().any(|(loaded, _)| loaded == name);
        if is_there {
            return Ok(());
        }
        let Some(path) = self.files.get(name) else { bail!("there is no module `{name}`") };
        let bytes = if path.extension().is_some_and(|extension| extension == "xz") {
            let output = Command::new("busybox").arg("unxz").arg("-c").arg(path).output()?;
            ensure!(output.status.success(), "failed to unpack `{}`", path.display());
            output.stdout
        } else {
            fs::read(path)?
        };
        for needed in dependencies(&bytes) {
            self.load(&needed)?;
        }
        self.loaded.push((name.to_owned(), bytes));
        Ok(())
    }
}

/// `drivers/net/veth.ko.xz` is `veth`. The kernel does not tell `-` from `_` in these names.
fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split(".ko").next().unwrap_or(file).replace('-', "_")
}

/// What a module says it depends on: `depends=` in its `.modinfo` section.
fn dependencies(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"depends=";
    let line = module.split(|&byte| byte == 0).find_map(|line| line.strip_prefix(KEY));
    let names = String::from_utf8_lossy(line.unwrap_or_default()).into_owned();
    names.split(',').filter(|name| !name.is_empty()).map(module_name).collect()
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| {
        format!("failed to start `{}`: `make deps-vm` installs it", command.get_program().display())
    })?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed: {}", said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_packages_of_one_exact_kernel_are_its_parts() {
        for part in ["linux-image-6.1.0-50-amd64", "linux-base-7.3.4+deb13-amd64"] {
            assert!(is_part(part), "{part}");
        }
        for other in ["linux-base", "linux-modules-amd64", "linux-base-amd64", "initramfs-tools"] {
            assert!(!is_part(other), "{other}");
        }
    }

    #[test]
    fn a_module_is_known_by_the_name_that_the_kernel_uses() {
        assert_eq!(module_name("kernel/drivers/iommu/virtio-iommu.ko.xz"), "virtio_iommu");
        assert_eq!(module_name("veth.ko"), "veth");
    }

    #[test]
    fn dependencies_stand_in_the_module_itself() {
        let module = b"\0license=GPL\0depends=9pnet,net-fs\0retpoline=Y\0";
        assert_eq!(dependencies(module), ["9pnet", "net_fs"]);
        assert!(dependencies(b"\0depends=\0name=netfs\0").is_empty());
    }
}
