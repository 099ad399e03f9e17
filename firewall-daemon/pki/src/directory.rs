//! Files that are there whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};

use crate::PkiError;

fn failed(action: &'static str, path: &Path) -> impl Fn(io::Error) -> PkiError {
    move |source| PkiError::Io { action, path: path.to_owned(), source }
}

/// A directory of the owner's alone.
pub(crate) fn make(path: &Path) -> Result<(), PkiError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("make", path))
}

/// Waits until nobody else changes the directory.
pub(crate) fn lock(directory: &Path) -> Result<Flock<File>, PkiError> {
    let file = File::open(directory).map_err(failed("open", directory))?;
    Flock::lock(file, FlockArg::LockExclusive)
        .map_err(|(_, errno)| failed("lock", directory)(errno.into()))
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, PkiError> {
    fs::read(path).map_err(failed("read", path))
}

/// Writes what is not there yet.
pub(crate) fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), PkiError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(failed("write", path))
}

/// Writes beside it, then in its place.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), PkiError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    match fs::remove_file(beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("remove", beside)(error));
        }
        Ok(()) | Err(_) => {}
    }
    write_new(beside, bytes, mode)?;
    fs::rename(beside, path).map_err(failed("replace", path))?;
    let directory = path.parent().unwrap_or(Path::new("."));
    File::open(directory).and_then(|file| file.sync_all()).map_err(failed("write", directory))
}
