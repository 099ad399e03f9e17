//! Leases on disk: a daemon that starts again goes on with those of the one before. They are of one
//! boot, whose clock their ends are of; an end on disk may be earlier than the one in force, and never
//! is later.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Source;

/// A lease on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Whose.
    pub node: String,
    /// Who has seen the proof.
    pub source: Source,
    /// From which MAC.
    pub mac: Option<[u8; 6]>,
    /// The source's name for it.
    pub session: String,
    /// When it ends, since boot.
    pub until: Duration,
    /// Whether that is the end of its grace.
    pub in_grace: bool,
    /// Of what it was granted for.
    pub binding: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    boot: String,
    leases: Vec<Kept>,
}

/// The file.
#[derive(Clone, Debug)]
pub struct Store {
    path: PathBuf,
    boot: String,
}

impl Store {
    /// In the daemon's state directory, of that boot.
    pub fn new(state_directory: &Path, boot: String) -> Self {
        Self { path: state_directory.join("leases"), boot }
    }

    /// Of this boot.
    ///
    /// # Errors
    /// Where the kernel does not say which boot this is.
    pub fn of_this_boot(state_directory: &Path) -> io::Result<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        Ok(Self::new(state_directory, boot.trim().to_owned()))
    }

    /// What is kept of this boot; nothing if there is no file, or if it is another boot's.
    ///
    /// # Errors
    /// Where it cannot be read, or is damaged: then nobody has a lease.
    pub fn read(&self) -> io::Result<Vec<Kept>> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the leases are damaged");
        let body = text.strip_suffix('\n').and_then(|text| text.rsplit_once('\n'));
        let (body, checksum) = body.ok_or_else(damaged)?;
        if checksum != checksum_of(body) {
            return Err(damaged());
        }
        let Body { boot, leases } = serde_json::from_str(body).map_err(|_| damaged())?;
        Ok(if boot == self.boot { leases } else { Vec::new() })
    }

    /// Replaces the file. It is not waited for the disk: what a crash of the machine loses is another
    /// boot's anyway.
    ///
    /// # Errors
    /// Where it cannot be written; the file before is then still there.
    pub fn write(&self, leases: Vec<Kept>) -> io::Result<()> {
        let body = Body { boot: self.boot.clone(), leases };
        let body = serde_json::to_string(&body).map_err(io::Error::other)?;
        let beside = self.path.with_extension("new");
        let mut options = OpenOptions::new();
        let mut file: File =
            options.create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
        file.write_all(format!("{body}\n{}\n", checksum_of(&body)).as_bytes())?;
        fs::rename(&beside, &self.path)
    }
}

fn checksum_of(body: &str) -> String {
    Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> Vec<Kept> {
        vec![Kept {
            node: "ct-1".to_owned(),
            source: Source::Dot1x(3),
            mac: Some([2, 0, 0, 0, 1, 1]),
            session: "a".to_owned(),
            until: Duration::from_millis(77_001),
            in_grace: false,
            binding: u64::MAX,
        }]
    }

    #[test]
    fn leases_are_read_back_in_the_same_boot_only() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path(), "this".to_owned());
        assert_eq!(store.read().unwrap(), []);
        store.write(kept()).unwrap();
        assert_eq!(store.read().unwrap(), kept());
        let after = Store::new(directory.path(), "another".to_owned());
        assert_eq!(after.read().unwrap(), []);
    }

    #[test]
    fn damaged_leases_are_nobodys() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path(), "this".to_owned());
        store.write(kept()).unwrap();
        let good = fs::read(&store.path).unwrap();
        for place in 0..good.len() {
            let mut bad = good.clone();
            bad[place] ^= 1;
            fs::write(&store.path, bad).unwrap();
            assert!(store.read().is_err(), "byte {place}");
            fs::write(&store.path, &good[..place]).unwrap();
            assert!(store.read().is_err(), "cut to {place} bytes");
        }
    }
}
