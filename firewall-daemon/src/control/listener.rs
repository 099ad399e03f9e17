//! The socket: nobody reaches it before its mode and group are set.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{
    DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown,
};
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{Gid, Group, mkdtemp};
use tokio::net::{UnixListener, UnixStream};

use super::gate::Peer;
use crate::config;

/// Read and write for owner and group, nothing for others.
const MODE: u32 = 0o660;

/// Why the socket is not there.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A daemon answers on it.
    #[error("socket already in use: another daemon answers on {}", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// What lies there is no socket, so it is not ours to remove.
    #[error("{} is there and is not a socket", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The group that may command does not exist.
    #[error("there is no group \"{group}\", which [control] says may command the firewall")]
    NoGroup {
        /// Its name.
        group: String,
    },
    /// The kernel said no.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// To do what.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl BindError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::InUse { .. } => Some("stop it first, or give this one another socket".to_owned()),
            Self::NotASocket { .. } => Some("move it away, or name another path".to_owned()),
            Self::NoGroup { group } => Some(format!(
                "create it with `groupadd --system {group}`, or name another in [control] group"
            )),
            Self::Io { .. } => None,
        }
    }
}

/// The control socket. Removed with the value, unless another daemon's lies there by then.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    group: Gid,
    path: PathBuf,
    identity: (u64, u64),
    /// Held as long as the socket is ours.
    _lock: Flock<File>,
}

impl Listener {
    /// Makes the socket; within a tokio runtime.
    ///
    /// # Errors
    /// A [`BindError`]; then nothing was changed, except that a dead daemon's socket may be gone.
    pub fn bind(settings: &config::Control) -> Result<Self, BindError> {
        let config::Control { socket: path, group } = settings;
        let group = find_group(group)?;
        let directory = path.parent().unwrap_or(Path::new("/"));
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |source| BindError::Io { action, path, source }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(directory)
            .map_err(failed("create the directory", directory))?;
        let lock = lock(path)?;
        remove_stale(path)?;

        // Bound where only we can reach it, and moved into place when it is as it should be.
        let private = mkdtemp(&directory.join(".cordon-XXXXXX"))
            .map_err(io::Error::from)
            .map_err(failed("create a directory in", directory))?;
        let hidden = private.join("s");
        let bound = expose(&hidden, path, group);
        // What is left over is an empty directory, or one with a socket that nobody listens on.
        let _ = fs::remove_dir_all(&private);
        let listener = bound?;
        let identity = identity(path).map_err(failed("find", path))?;
        Ok(Self { listener, group, path: path.clone(), identity, _lock: lock })
    }

    /// Whether a daemon answers there.
    pub fn is_served(settings: &config::Control) -> bool {
        StdStream::connect(&settings.socket).is_ok()
    }

    pub(crate) const fn group(&self) -> Gid {
        self.group
    }

    pub(crate) async fn accept(&self) -> io::Result<(UnixStream, Peer)> {
        let (stream, _) = self.listener.accept().await?;
        let credentials = stream.peer_cred()?;
        let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok()).unwrap_or_default();
        Ok((stream, Peer { uid: credentials.uid(), gid: credentials.gid(), pid }))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            // A socket that stays behind is stale, and the next daemon removes it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn find_group(name: &str) -> Result<Gid, BindError> {
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid),
        Ok(None) => Err(BindError::NoGroup { group: name.to_owned() }),
        Err(errno) => Err(BindError::Io {
            action: "look up the group in",
            path: PathBuf::from("/etc/group"),
            source: errno.into(),
        }),
    }
}

/// Two daemons that start at once must not both find the socket free.
fn lock(path: &Path) -> Result<Flock<File>, BindError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&name)
        .map_err(|source| BindError::Io { action: "open", path: name.clone(), source })?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| {
        if errno == Errno::EWOULDBLOCK {
            BindError::InUse { path: path.to_owned() }
        } else {
            BindError::Io { action: "lock", path: name, source: errno.into() }
        }
    })
}

fn remove_stale(path: &Path) -> Result<(), BindError> {
    let failed = |action| {
        let path = path.to_owned();
        move |source| BindError::Io { action, path, source }
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("look at")(error)),
        Ok(metadata) if metadata.file_type().is_socket() => {}
        Ok(_) => return Err(BindError::NotASocket { path: path.to_owned() }),
    }
    match StdStream::connect(path) {
        Ok(_) => Err(BindError::InUse { path: path.to_owned() }),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed("remove the stale socket"))
        }
        Err(error) => Err(failed("try the socket")(error)),
    }
}

fn expose(hidden: &Path, path: &Path, group: Gid) -> Result<UnixListener, BindError> {
    let failed = |action| move |source| BindError::Io { action, path: path.to_owned(), source };
    let listener = StdListener::bind(hidden).map_err(failed("bind"))?;
    listener.set_nonblocking(true).map_err(failed("prepare"))?;
    chown(hidden, None, Some(group.as_raw())).map_err(failed("set the group of"))?;
    fs::set_permissions(hidden, Permissions::from_mode(MODE)).map_err(failed("set the mode of"))?;
    let listener = UnixListener::from_std(listener).map_err(failed("listen on"))?;
    fs::rename(hidden, path).map_err(failed("move into place"))?;
    Ok(listener)
}

/// Device and inode: whether it is still the same socket.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}
