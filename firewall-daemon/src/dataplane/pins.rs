//! What outlives the daemon: the directory in the BPF file system.
//!
//! `links/PORT` are the links (`links/PORT@generic` in generic mode), `egress/PORT` those of the
//! egress guard (`egress/PORT@clsact` its program where a filter holds it), `maps-HASH/NAME` the maps; HASH stands for their layout, their sizes, the order of
//! the ports and the gateway's mode, so a daemon never adopts maps that mean something else.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use sha2::{Digest, Sha256};

use super::hold::EgressHook;
use super::maps::Sizes;
use crate::config::{Config, Mode, Xdp};
use crate::fault::{self, Step};

/// The gateway's directory in the BPF file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pins {
    directory: PathBuf,
    ports: Vec<String>,
    mode: Mode,
}

/// Why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PinsError {
    /// It does not lie in a BPF file system.
    #[error("{} is not in a BPF file system", directory.display())]
    NotBpf {
        /// The directory.
        directory: PathBuf,
    },
    /// Somebody else owns it, or may write to it.
    #[error("{} is open to others than root", directory.display())]
    Open {
        /// The directory.
        directory: PathBuf,
    },
    /// It cannot be read or made.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// What cannot be used.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl PinsError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotBpf { .. } => {
                "mount one with `mount -t bpf bpf /sys/fs/bpf`, or set [bpf] directory"
            }
            Self::Open { .. } => {
                "whoever may write there can disarm the firewall; look who did this"
            }
            Self::Io { .. } => "run as root; the directory must be on a mounted BPF file system",
        }
    }
}

impl Pins {
    /// The directory at that path, which need not exist, whatever gateway it is of.
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), ports: Vec::new(), mode: Mode::Bridge }
    }

    /// The directory of a gateway.
    pub fn of(config: &Config) -> Self {
        let ports = config.gateway.ports().map(|(_, port)| port.name.clone()).collect();
        Self { ports, mode: config.gateway.mode(), ..Self::new(&config.bpf.directory) }
    }

    /// Makes the directories that are missing, and refuses those that others could write to.
    pub fn prepare(&self, sizes: &Sizes) -> Result<(), PinsError> {
        if let Some(parent) = self.directory.parent() {
            let kind = statfs(parent).map_err(|errno| self.io(parent, errno.into()))?;
            if kind.filesystem_type() != BPF_FS_MAGIC {
                return Err(PinsError::NotBpf { directory: self.directory.clone() });
            }
        }
        let directories = [self.links(), self.egress_directory(), self.maps(sizes)];
        for directory in [self.directory.clone()].into_iter().chain(directories) {
            let made = fault::at(Step::MakeDirectory)
                .and_then(|()| DirBuilder::new().mode(0o700).create(&directory));
            match made {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => other.map_err(|error| self.io(&directory, error))?,
            }
            let metadata = fs::metadata(&directory).map_err(|error| self.io(&directory, error))?;
            if metadata.uid() != nix::unistd::geteuid().as_raw()
                || metadata.permissions().mode() & 0o077 != 0
            {
                return Err(PinsError::Open { directory });
            }
        }
        Ok(())
    }

    fn io(&self, path: &Path, source: io::Error) -> PinsError {
        PinsError::Io { path: path.to_owned(), source }
    }

    /// The directory itself.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the links are.
    pub fn links(&self) -> PathBuf {
        self.directory.join("links")
    }

    /// Where what is pinned of the egress guard is.
    pub fn egress_directory(&self) -> PathBuf {
        self.directory.join("egress")
    }

    /// Where a port's link is.
    pub fn link(&self, port: &str, xdp: Xdp) -> PathBuf {
        self.links().join(match xdp {
            Xdp::Native => port.to_owned(),
            Xdp::Generic => format!("{port}{GENERIC}"),
        })
    }

    /// Where what is pinned of a port's egress guard is.
    pub fn egress(&self, port: &str, hook: EgressHook) -> PathBuf {
        self.egress_directory().join(match hook {
            EgressHook::Tcx => port.to_owned(),
            EgressHook::Clsact => format!("{port}{CLSACT}"),
        })
    }

    /// Where the maps of those sizes are, for those ports.
    pub fn maps(&self, sizes: &Sizes) -> PathBuf {
        let Self { directory: _, ports, mode } = self;
        let layout = firewall_common::abi::LAYOUT;
        let digest = Sha256::digest(format!("{layout} {sizes:?} {ports:?} {mode:?}"));
        let hash: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        self.directory.join(format!("{MAPS}{hash}"))
    }

    /// Every directory of maps, of whatever layout.
    pub fn all_maps(&self) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(MAPS) {
                found.push(entry.path());
            }
        }
        found.sort();
        Ok(found)
    }

    /// Every pinned link.
    pub fn all_links(&self) -> io::Result<Vec<PathBuf>> {
        entries(&self.links())
    }

    /// Everything that is pinned of the egress guard.
    pub fn all_egress(&self) -> io::Result<Vec<PathBuf>> {
        entries(&self.egress_directory())
    }

    /// Directories of trials whose process is gone, or will not use its pins again.
    pub fn trials(&self) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(TRIAL) {
                found.push(entry.path());
            }
        }
        Ok(found)
    }

    /// A directory for a trial.
    pub fn trial(&self, number: u32) -> PathBuf {
        self.directory.join(format!("{TRIAL}{}-{number}", std::process::id()))
    }
}

fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory)?;
    let paths: io::Result<Vec<PathBuf>> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect();
    paths.map(|mut paths| {
        paths.sort();
        paths
    })
}

/// The port that a pin is of.
pub fn port_of(pin: &Path) -> String {
    let name = pin.file_name().unwrap_or_default().to_string_lossy();
    let mut stems = [GENERIC, CLSACT].into_iter().filter_map(|suffix| name.strip_suffix(suffix));
    stems.next().unwrap_or(&name).to_owned()
}

/// What a pin stands for: a filter, or any link.
pub(super) fn hook_of(pin: &Path) -> EgressHook {
    let name = pin.file_name().unwrap_or_default().to_string_lossy();
    if name.ends_with(CLSACT) { EgressHook::Clsact } else { EgressHook::Tcx }
}

const CLSACT: &str = "@clsact";
const GENERIC: &str = "@generic";
const TRIAL: &str = "trial-";
const MAPS: &str = "maps-";

/// Removes a directory of pins; what is still used lives on.
pub fn remove_directory(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        fs::remove_file(entry?.path())?;
    }
    fs::remove_dir(directory)
}
