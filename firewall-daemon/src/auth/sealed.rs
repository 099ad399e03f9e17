//! A file that is there as it was written, or is known not to be: a line of JSON, and its checksum.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

/// The file.
#[derive(Clone, Debug)]
pub(super) struct Sealed {
    path: PathBuf,
}

impl Sealed {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// What is in it; nothing if it is not there.
    ///
    /// # Errors
    /// Where it cannot be read, or is damaged.
    pub(super) fn read<T: DeserializeOwned>(&self) -> io::Result<Option<T>> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let damaged = || {
            let sentence = format!("{} is damaged", self.path.display());
            io::Error::new(io::ErrorKind::InvalidData, sentence)
        };
        let body = text.strip_suffix('\n').and_then(|text| text.rsplit_once('\n'));
        let (body, checksum) = body.ok_or_else(damaged)?;
        if checksum != checksum_of(body) {
            return Err(damaged());
        }
        serde_json::from_str(body).map(Some).map_err(|_| damaged())
    }

    /// Replaces the file. It is not waited for the disk.
    ///
    /// # Errors
    /// Where it cannot be written; the file before is then still there.
    pub(super) fn write(&self, body: &impl Serialize) -> io::Result<()> {
        let body = serde_json::to_string(body).map_err(io::Error::other)?;
        let beside = self.path.with_extension("new");
        let mut options = OpenOptions::new();
        let mut file: File =
            options.create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
        file.write_all(format!("{body}\n{}\n", checksum_of(&body)).as_bytes())?;
        fs::rename(&beside, &self.path)
    }
}

fn checksum_of(body: &str) -> String {
    super::hexadecimal(&Sha256::digest(body))
}
