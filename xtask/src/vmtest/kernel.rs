//! Debian's kernels, taken from their packages and never installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{process, setup, workspace};

/// A series of kernels that Debian carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Series {
    /// Debian 12's.
    V6_1,
    /// Debian 13's; in the security archive of Debian 12, too.
    V6_12,
}

/// What can be asked for.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(super) enum Choice {
    /// Debian 12's
    #[value(name = "6.1")]
    V6_1,
    /// Debian 13's
    #[value(name = "6.12")]
    V6_12,
    /// Both
    All,
}

impl Choice {
    pub(super) const fn series(self) -> &'static [Series] {
        match self {
            Self::V6_1 => &[Series::V6_1],
            Self::V6_12 => &[Series::V6_12],
            Self::All => &ALL,
        }
    }
}

/// Every series that is tried.
pub(super) const ALL: [Series; 2] = [Series::V6_1, Series::V6_12];

/// What the tests need that the kernels do not have built in; what others need comes first.
const MODULES: [&str; 9] =
    ["llc", "stp", "garp", "mrp", "8021q", "bridge", "veth", "sch_ingress", "cls_bpf"];

/// An unpacked kernel.
pub(super) struct Kernel {
    /// Its version and Debian's: `6.1.0-56-cloud-amd64`.
    pub(super) release: String,
    /// What a boot loader loads.
    pub(super) image: PathBuf,
    modules: PathBuf,
}

impl Series {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
        }
    }

    /// Packages that depend on the newest kernel of a series; which one depends on the release.
    const fn newest(self) -> &'static [&'static str] {
        match self {
            Self::V6_1 => &["linux-image-cloud-amd64"],
            Self::V6_12 => &["linux-image-6.12-cloud-amd64", "linux-image-cloud-amd64"],
        }
    }

    /// The newest kernel's package.
    fn package(self) -> Option<String> {
        let prefix = format!("linux-image-{}.", self.name());
        self.newest().iter().find_map(|newest| {
            let said = process::output(Command::new("apt-cache").args(["depends", newest])).ok()?;
            let mut packages =
                said.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
            packages.find(|package| package.starts_with(&prefix)).map(str::to_owned)
        })
    }
}

impl Kernel {
    /// Downloads and unpacks the newest kernel of a series, unless it lies there already.
    pub(super) fn fetch(series: Series) -> Result<Self> {
        let package = match series.package() {
            Some(package) => package,
            None => {
                setup::update_package_lists()?;
                let name = series.name();
                series.package().with_context(|| format!("this Debian has no Linux {name}"))?
            }
        };
        let directory = workspace::vm().join(&package);
        if !directory.is_dir() {
            eprintln!("vmtest: downloading {package}");
            setup::unpack(&package, &directory)?;
        }
        let release = package.trim_start_matches("linux-image-").trim_end_matches("-unsigned");
        let image = directory.join("boot").join(format!("vmlinuz-{release}"));
        let modules = directory.join("lib/modules").join(release).join("kernel");
        if !image.is_file() || !modules.is_dir() {
            bail!("{package} has no kernel where one is expected; remove {}", directory.display());
        }
        Ok(Self { release: release.to_owned(), image, modules })
    }

    /// The modules, by name and in the order in which they are to be inserted.
    pub(super) fn modules(&self) -> Result<Vec<(&'static str, Vec<u8>)>> {
        let mut files = Vec::new();
        collect(&self.modules, &mut files)?;
        let module = |name: &'static str| {
            let plain = files.iter().find(|file| file.ends_with(format!("{name}.ko")));
            let packed = files.iter().find(|file| file.ends_with(format!("{name}.ko.xz")));
            let bytes = match (plain, packed) {
                (Some(file), _) => fs::read(file)?,
                (None, Some(file)) => process::bytes(Command::new("xz").arg("-dc").arg(file))?,
                (None, None) => bail!("Linux {} has no module {name}", self.release),
            };
            Ok((name, bytes))
        };
        MODULES.into_iter().map(module).collect()
    }
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
