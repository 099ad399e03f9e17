//! What must outlive the daemon and the machine: stops and isolations, on disk.
//!
//! One file, replaced as a whole: written beside, synced, renamed, the directory synced. Its last
//! line is a checksum. A file that cannot be read or does not match is an error and never an empty
//! latch: whoever forgets a stop opens the network.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use firewall_control::{Caller, StopLevel};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::fault::{self, Step};

/// Somebody's act that stays in force: who, when, why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Since when, RFC 3339.
    pub since: String,
    /// Who asked for it.
    pub by: Caller,
    /// Why.
    pub reason: String,
}

/// A stop that is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatchedStop {
    /// How far it goes.
    pub level: StopLevel,
    /// Whose order.
    #[serde(flatten)]
    pub order: Order,
}

/// Everything that is latched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latched {
    /// The stop of everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub everything: Option<LatchedStop>,
    /// Stops by subnetwork.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub subnetworks: BTreeMap<String, LatchedStop>,
    /// Isolations by node.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub nodes: BTreeMap<String, Order>,
}

impl Latched {
    /// Enters a stop, unless a stricter one is there. Returns since when the one in force is.
    pub fn tighten(&mut self, subnetwork: Option<&str>, stop: &LatchedStop) -> String {
        let before = match subnetwork {
            None => self.everything.as_ref(),
            Some(name) => self.subnetworks.get(name),
        };
        let stop = before.filter(|before| before.level > stop.level).unwrap_or(stop).clone();
        let since = stop.order.since.clone();
        match subnetwork {
            None => self.everything = Some(stop),
            Some(name) => {
                self.subnetworks.insert(name.to_owned(), stop);
            }
        }
        since
    }
}

/// Why the latch cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LatchError {
    /// The file cannot be read.
    #[error("cannot read the latch {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is damaged.
    #[error("the latch {} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// In what way.
        what: &'static str,
    },
    /// The file cannot be written.
    #[error("cannot write the latch {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl LatchError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Read { .. } => {
                "enforcement stays as it is; look whether the disk is in order and mounted, and \
                 whether root may read the file"
            }
            Self::Damaged { .. } => {
                "enforcement stays as it is; `cordon stop-all --direct --reason TEXT` sets the file \
                 aside and writes a new one that stops everything, after which cordond starts and \
                 `cordon resume` lifts it"
            }
            Self::Write { .. } => "free some space, or make the file system writable",
        }
    }
}

/// The file.
#[derive(Clone, Debug)]
pub struct Latch {
    path: PathBuf,
}

impl Latch {
    /// In the daemon's state directory.
    pub fn new(state_directory: &Path) -> Self {
        Self { path: state_directory.join("latch") }
    }

    /// What is latched; nothing if there is no file yet.
    pub fn read(&self) -> Result<Latched, LatchError> {
        let text = fault::at(Step::ReadLatch).and_then(|()| fs::read_to_string(&self.path));
        let text = match text {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Latched::default()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(self.damaged("it is not text"));
            }
            Err(source) => return Err(LatchError::Read { path: self.path.clone(), source }),
        };
        let body = text.strip_suffix('\n').and_then(|text| text.rsplit_once('\n'));
        let Some((body, checksum)) = body else {
            return Err(self.damaged("it is cut short"));
        };
        if checksum != checksum_of(body) {
            return Err(self.damaged("its checksum does not match"));
        }
        serde_json::from_str(body).map_err(|_| self.damaged("it does not say what a latch says"))
    }

    /// Replaces the file; returns when it is on disk.
    pub fn write(&self, latched: &Latched) -> Result<(), LatchError> {
        self.replace(latched)
            .map_err(|source| LatchError::Write { path: self.path.clone(), source })
    }

    fn replace(&self, latched: &Latched) -> io::Result<()> {
        let body = serde_json::to_string(latched).map_err(io::Error::other)?;
        let text = format!("{body}\n{}\n", checksum_of(&body));
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        let beside = self.path.with_extension(format!("new-{}", std::process::id()));
        let written = fault::at(Step::CreateLatch)
            .and_then(|()| {
                let mut options = OpenOptions::new();
                options.create(true).truncate(true).write(true).mode(0o600).open(&beside)
            })
            .and_then(|mut file| {
                let (first, second) = text.as_bytes().split_at(text.len() / 2);
                file.write_all(first)?;
                fault::at(Step::WriteLatch)?;
                file.write_all(second)?;
                fault::at(Step::SyncLatch)?;
                file.sync_all()
            })
            .and_then(|()| fault::at(Step::RenameLatch))
            .and_then(|()| fs::rename(&beside, &self.path));
        if let Err(error) = written {
            // What was left of it would only take space.
            let _ = fs::remove_file(&beside);
            return Err(error);
        }
        fault::at(Step::SyncDirectory)?;
        File::open(directory)?.sync_all()
    }

    /// Sets a damaged file aside, for somebody to look at. Returns where.
    pub fn set_aside(&self) -> io::Result<PathBuf> {
        let aside = self.path.with_extension("damaged");
        fs::rename(&self.path, &aside)?;
        Ok(aside)
    }

    fn damaged(&self, what: &'static str) -> LatchError {
        LatchError::Damaged { path: self.path.clone(), what }
    }
}

fn checksum_of(body: &str) -> String {
    Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(reason: &str) -> Order {
        Order {
            since: "2026-01-02T03:04:05Z".into(),
            by: Caller { uid: 7, pid: 41, ..Caller::default() },
            reason: reason.into(),
        }
    }

    fn latched() -> Latched {
        let stop = |level| LatchedStop { level, order: order("ransomware") };
        Latched {
            everything: Some(stop(StopLevel::Hard)),
            subnetworks: [("radiology".into(), stop(StopLevel::Ordinary))].into(),
            nodes: [("ct-1".into(), order("infected"))].into(),
        }
    }

    #[test]
    fn what_is_latched_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let latch = Latch::new(directory.path());
        assert_eq!(latch.read().unwrap(), Latched::default());
        latch.write(&latched()).unwrap();
        assert_eq!(latch.read().unwrap(), latched());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn every_flipped_or_missing_byte_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let latch = Latch::new(directory.path());
        latch.write(&latched()).unwrap();
        let good = fs::read(&latch.path).unwrap();
        for place in 0..good.len() {
            for bit in [0x01, 0x20, 0x80] {
                let mut bad = good.clone();
                bad[place] ^= bit;
                fs::write(&latch.path, bad).unwrap();
                assert!(latch.read().is_err(), "byte {place}");
            }
            fs::write(&latch.path, &good[..place]).unwrap();
            assert!(latch.read().is_err(), "cut to {place} bytes");
        }
    }

    #[test]
    fn a_stop_never_loosens_a_stricter_one() {
        let mut stopped = latched();
        let ordinary = LatchedStop { level: StopLevel::Ordinary, order: order("again") };
        stopped.tighten(None, &ordinary);
        assert_eq!(stopped.everything, latched().everything);
        let hard = LatchedStop { level: StopLevel::Hard, ..ordinary };
        stopped.tighten(Some("radiology"), &hard);
        assert_eq!(stopped.subnetworks["radiology"], hard);
    }

    #[test]
    fn a_damaged_latch_is_set_aside() {
        let directory = tempfile::tempdir().unwrap();
        let latch = Latch::new(directory.path());
        fs::write(&latch.path, "x").unwrap();
        let aside = latch.set_aside().unwrap();
        assert_eq!(fs::read(aside).unwrap(), b"x");
        assert_eq!(latch.read().unwrap(), Latched::default());
    }
}
