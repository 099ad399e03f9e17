//! What a client and we alone know.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// A secret, which is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// The fewest bytes (RFC 2865, 3 asks for 16 at least).
const SHORTEST: usize = 16;
/// The most bytes.
const LONGEST: usize = 256;

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("cannot read the secret {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Somebody else may read or write the file.
    #[error("the secret {} has mode {mode:04o} and belongs to user {owner}", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// Whose it is.
        owner: u32,
    },
    /// Too short to withstand guessing, or too long.
    #[error("the secret {} has {length} bytes, not {SHORTEST} to {LONGEST}", path.display())]
    Length {
        /// Which.
        path: PathBuf,
        /// How many, without the line's end.
        length: usize,
    },
}

impl SecretError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Read { .. } => {
                "name it in secret_file of [[authentication.radius.client]]".into()
            }
            Self::Open { path, .. } => {
                let path = path.display();
                format!("make it yours alone: chown root {path} && chmod 600 {path}")
            }
            Self::Length { path, .. } => {
                format!("make a new one: openssl rand -hex 24 > {}", path.display())
            }
        }
    }
}

impl Secret {
    /// From bytes, of any length.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// From a file that is ours alone; a line's end at its end does not count.
    ///
    /// # Errors
    /// [`SecretError`], with a hint.
    pub fn load(path: &Path) -> Result<Self, SecretError> {
        let failed = |source| SecretError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let (mode, owner) = (metadata.permissions().mode() & 0o7777, metadata.uid());
        if mode & 0o077 != 0 || owner != nix::unistd::geteuid().as_raw() {
            return Err(SecretError::Open { path: path.to_owned(), mode, owner });
        }
        let mut bytes = Vec::new();
        // One more than there may be, for the check below, and two for the line's end.
        file.take(LONGEST as u64 + 3).read_to_end(&mut bytes).map_err(failed)?;
        let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !(SHORTEST..=LONGEST).contains(&line.len()) {
            return Err(SecretError::Length { path: path.to_owned(), length: line.len() });
        }
        Ok(Self(line.to_owned()))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(..)")
    }
}
