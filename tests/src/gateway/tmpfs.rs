//! A small file system, to be filled up.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// A file system of 64 KiB, unmounted when dropped.
#[derive(Debug)]
pub struct Tmpfs {
    path: PathBuf,
}

impl Tmpfs {
    /// Mounts it over the directory at `path`.
    pub fn over(path: &Path) -> Self {
        let options = Some("size=64k,mode=0700");
        mount(Some("tmpfs"), path, Some("tmpfs"), MsFlags::empty(), options)
            .unwrap_or_else(|error| panic!("mount on {}: {error}", path.display()));
        Self { path: path.to_owned() }
    }

    /// Leaves not one byte free.
    pub fn fill(&self) {
        let mut file = File::create(self.filler()).expect("make a file");
        for size in [4096, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    /// Frees what [`Tmpfs::fill`] took.
    pub fn free(&self) {
        fs::remove_file(self.filler()).expect("remove a file");
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        if let Err(error) = umount2(&self.path, MntFlags::MNT_DETACH) {
            eprintln!("{} stays mounted: {error}", self.path.display());
        }
    }
}
