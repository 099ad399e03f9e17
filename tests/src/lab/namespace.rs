//! Network namespaces.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    ops::Deref,
    os::{
        fd::AsFd,
        unix::{fs::MetadataExt, process::CommandExt},
    },
    panic::resume_unwind,
    path::{Path, PathBuf},
    process::{Command, id},
    sync::Arc,
    thread,
};

use nix::{
    mount::{MntFlags, umount2},
    sched::{CloneFlags, setns},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{must, unique_prefix};

/// Where named network namespaces are mounted.
pub(super) const DIRECTORY: &str = "/run/netns";

/// A named network namespace. Dropping it kills the processes in it and takes its name away; the
/// kernel frees the rest when the last [`Handle`] and socket are gone.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    handle: Handle,
}

impl Namespace {
    /// A quiet namespace named `cordon-PID-NUMBER-NAME`.
    pub fn new(name: &str) -> Self {
        Self::with_prefix(&unique_prefix(), name)
    }

    pub(super) fn with_prefix(prefix: &str, name: &str) -> Self {
        let name = format!("{prefix}-{name}");
        must(Command::new("ip").args(["netns", "add", &name]));
        let path = Path::new(DIRECTORY).join(&name);
        let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let namespace = Self { name, handle: Handle(Arc::new(file)) };
        namespace.run(be_quiet);
        must(namespace.command("ip").args(["link", "set", "lo", "up"]));
        namespace
    }

    /// The name that `ip netns` shows.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that the namespace is mounted on.
    pub fn path(&self) -> PathBuf {
        Path::new(DIRECTORY).join(&self.name)
    }

    /// A way in that does not keep the name alive.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Deref for Namespace {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.path()) {
            eprintln!("{} stays behind: {error}", self.name);
        }
    }
}

/// A way into a network namespace.
#[derive(Clone, Debug)]
pub struct Handle(Arc<File>);

impl Handle {
    /// Runs `work` on a thread in this network namespace; all else, mounts in particular, stays
    /// the caller's. Sockets and threads made there belong to the namespace for good.
    ///
    /// Two views lie there: `/sys/class/net` is the initial namespace's, and `/proc/net` the main
    /// thread's (`/proc/thread-self/net` and `/proc/sys/net` are right).
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let thread = thread::current();
        let name = thread.name().unwrap_or("namespace").to_owned();
        thread::scope(|scope| {
            let inside = thread::Builder::new().name(name).spawn_scoped(scope, || {
                self.enter();
                work()
            });
            let inside = inside.expect("start a thread");
            inside.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// Moves the calling thread into this network namespace, for good.
    pub fn enter(&self) {
        setns(self.0.as_fd(), CloneFlags::CLONE_NEWNET).expect("enter a namespace");
    }

    /// A command whose process will enter this network namespace, and no other one.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let file = Arc::clone(&self.0);
        let mut command = Command::new(program);
        let enter = move || setns(file.as_fd(), CloneFlags::CLONE_NEWNET).map_err(io::Error::from);
        // SAFETY: between fork and exec the closure makes one system call and allocates nothing.
        unsafe { command.pre_exec(enter) };
        command
    }
}

/// Kills what runs in the namespace mounted at `path` and takes the mount away.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    kill_inhabitants(path)?;
    umount2(path, MntFlags::MNT_DETACH)?;
    fs::remove_file(path)
}

/// Each process is found by the namespace that it is in and killed by its id.
fn kill_inhabitants(path: &Path) -> io::Result<()> {
    let namespace = fs::metadata(path)?;
    let own = fs::metadata("/proc/self/ns/net")?;
    if namespace.ino() == own.ino() {
        return Ok(());
    }
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process that has ended meanwhile is no inhabitant.
        let Ok(place) = fs::metadata(entry.path().join("ns/net")) else { continue };
        let inhabits = place.ino() == namespace.ino() && place.dev() == namespace.dev();
        if inhabits && u32::try_from(process) != Ok(id()) {
            let _ended_meanwhile = kill(Pid::from_raw(process), Signal::SIGKILL);
        }
    }
    Ok(())
}

/// No address, no duplicate address detection, no solicitation unless a test asks for it. IPv6
/// itself is off on every interface but the loopback until [`Link::address`](super::Link::address)
/// gives it an address.
fn be_quiet() {
    // The stricter of "all" and the interface's own value counts.
    set("net/ipv6/conf/all/accept_dad", "0");
    for (setting, value) in [
        ("accept_dad", "0"),
        ("accept_ra", "0"),
        ("autoconf", "0"),
        ("router_solicitations", "0"),
        ("addr_gen_mode", "1"),
        ("disable_ipv6", "1"),
    ] {
        set(&format!("net/ipv6/conf/default/{setting}"), value);
    }
}

/// Sets a sysctl of the calling thread's network namespace.
pub(super) fn set(setting: &str, value: &str) {
    let path = Path::new("/proc/sys").join(setting);
    fs::write(&path, value).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
