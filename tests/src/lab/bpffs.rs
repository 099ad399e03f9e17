//! BPF file systems: where programs, maps and links are pinned.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// A BPF file system of its own, mode 0700; dropping it unmounts it and lets go of all its pins.
#[derive(Debug)]
pub struct BpfFs {
    path: PathBuf,
}

impl BpfFs {
    /// Makes the directory at `path` and mounts the file system there.
    pub fn mount(path: &Path) -> Self {
        let made = fs::create_dir(path).and_then(|()| {
            let options = Some("mode=0700");
            mount(Some("bpf"), path, Some("bpf"), MsFlags::empty(), options)
                .map_err(io::Error::from)
        });
        made.unwrap_or_else(|error| panic!("BPF file system at {}: {error}", path.display()));
        Self { path: path.to_owned() }
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for BpfFs {
    fn drop(&mut self) {
        if let Err(error) = unmount(&self.path) {
            eprintln!("{} stays behind: {error}", self.path.display());
        }
    }
}

/// Unmounts what is mounted at `path` even while somebody has a file open there.
pub(super) fn unmount(path: &Path) -> io::Result<()> {
    umount2(path, MntFlags::MNT_DETACH)?;
    fs::remove_dir(path)
}
