//! The archive that a kernel unpacks into its first file system: cpio in the format `newc`
//! (Documentation/driver-api/early-userspace/buffer-format.rst in the kernel's sources).

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result};

/// S_IFDIR, S_IFREG, S_IFLNK.
const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// An archive in the making. Directories above an entry are made as needed.
#[derive(Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    names: BTreeSet<String>,
}

impl Archive {
    /// An empty directory.
    pub(super) fn directory(&mut self, path: impl AsRef<Path>) -> Result<()> {
        self.entry(path.as_ref(), DIRECTORY | 0o755, &[])
    }

    /// A file that may be executed. The first one at a path stays.
    pub(super) fn file(&mut self, path: impl AsRef<Path>, contents: &[u8]) -> Result<()> {
        self.entry(path.as_ref(), FILE | 0o755, contents)
    }

    /// A symbolic link.
    pub(super) fn link(&mut self, path: impl AsRef<Path>, target: &str) -> Result<()> {
        self.entry(path.as_ref(), LINK | 0o777, target.as_bytes())
    }

    /// The whole archive.
    pub(super) fn finish(mut self) -> Result<Vec<u8>> {
        self.record("TRAILER!!!", 0, &[])?;
        Ok(self.bytes)
    }

    fn entry(&mut self, path: &Path, mode: u32, contents: &[u8]) -> Result<()> {
        let path = path.strip_prefix("/").unwrap_or(path);
        let name = path.to_str().context("a file's name is no text")?;
        if self.names.contains(name) {
            return Ok(());
        }
        if let Some(parent) = path.parent().filter(|parent| *parent != Path::new("")) {
            self.directory(parent)?;
        }
        self.record(name, mode, contents)?;
        self.names.insert(name.to_owned());
        Ok(())
    }

    fn record(&mut self, name: &str, mode: u32, contents: &[u8]) -> Result<()> {
        let size = u32::try_from(contents.len()).context("a file is too large")?;
        let inode = u32::try_from(self.names.len() + 1)?;
        let name_size = u32::try_from(name.len() + 1)?;
        // inode, mode, uid, gid, links, mtime, size, device (2), special device (2), name, check
        let fields = [inode, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(name.bytes().chain([0]));
        self.pad();
        self.bytes.extend(contents);
        self.pad();
        Ok(())
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_holds_what_was_put_into_it_once_and_the_directories_above() {
        let mut archive = Archive::default();
        archive.file("/bin/tool", b"12345").unwrap();
        archive.file("/bin/tool", b"another").unwrap();
        archive.link("/bin/sh", "tool").unwrap();
        let bytes = archive.finish().unwrap();
        assert_eq!(bytes.len() % 4, 0);
        let (mut found, mut start) = (Vec::new(), 0);
        while start < bytes.len() {
            let field = |index: usize| {
                let digits = &bytes[start + 6 + 8 * index..][..8];
                usize::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap()
            };
            assert_eq!(&bytes[start..start + 6], b"070701");
            let (mode, size, name_size) = (field(1), field(6), field(11));
            let name = &bytes[start + 110..][..name_size - 1];
            let contents = (start + 110 + name_size).next_multiple_of(4);
            found.push((std::str::from_utf8(name).unwrap(), mode, &bytes[contents..][..size]));
            start = (contents + size).next_multiple_of(4);
        }
        let expected: [(&str, usize, &[u8]); 4] = [
            ("bin", 0o040_755, b""),
            ("bin/tool", 0o100_755, b"12345"),
            ("bin/sh", 0o120_777, b"tool"),
            ("TRAILER!!!", 0, b""),
        ];
        assert_eq!(found, expected);
    }
}
