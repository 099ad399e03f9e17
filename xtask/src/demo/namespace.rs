//! Network namespaces: the machines of the laboratory.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use nix::mount::{MntFlags, umount2};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::process::finish;

/// Where named network namespaces are mounted.
pub(super) const DIRECTORY: &str = "/run/netns";

const SETTING_UP: Duration = Duration::from_secs(20);

/// A network namespace with a name that `ip netns` shows.
#[derive(Clone)]
pub(super) struct Namespace {
    name: String,
    file: Arc<File>,
}

impl Namespace {
    /// Makes one in which nothing speaks by itself.
    pub(super) fn new(name: String) -> Result<Self> {
        run(Command::new("ip").args(["netns", "add", &name]))?;
        let path = Path::new(DIRECTORY).join(&name);
        let file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        let namespace = Self { name, file: Arc::new(file) };
        // IPv6's router solicitations and group reports would be noise in the counters.
        namespace.inside(|| fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1"))?.ok();
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A program that will run in this network namespace and in no other new one: `ip netns exec`
    /// would remount `/sys` as well and hide the BPF file system.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let file = Arc::clone(&self.file);
        let mut command = Command::new(program);
        let enter = move || setns(&*file, CloneFlags::CLONE_NEWNET).map_err(io::Error::from);
        // SAFETY: between fork and exec the closure makes one system call and allocates nothing.
        unsafe { command.pre_exec(enter) };
        command
    }

    /// Does `work` on a thread in this namespace.
    pub(super) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(&*self.file, CloneFlags::CLONE_NEWNET)?;
                Ok::<T, io::Error>(work())
            });
            let done = thread.join().map_err(|_| anyhow!("a thread in {} failed", self.name))?;
            done.with_context(|| format!("cannot enter {}", self.name))
        })
    }

    /// Runs `ip` with these words.
    pub(super) fn ip(&self, words: &str) -> Result<()> {
        run(self.command("ip").args(words.split_whitespace()))
    }

    /// Turns features of an interface on and off, with the words of `ethtool -K`.
    pub(super) fn ethtool(&self, interface: &str, words: &str) -> Result<()> {
        run(self.command("ethtool").args(["-K", interface]).args(words.split_whitespace()))
    }
}

fn run(command: &mut Command) -> Result<()> {
    let what = format!("{command:?}").replace('"', "");
    // `finish` wants the command for good, while builders lend it.
    let command = std::mem::replace(command, Command::new("true"));
    finish(command, SETTING_UP)?.or_fail(&what).map(drop)
}

/// Kills whatever runs in the namespace of this name, and takes the name away.
pub(super) fn remove(name: &str) -> Result<()> {
    let path = Path::new(DIRECTORY).join(name);
    kill_inhabitants(&path)?;
    umount2(&path, MntFlags::MNT_DETACH).with_context(|| format!("cannot unmount {name}"))?;
    fs::remove_file(&path).with_context(|| format!("cannot remove {name}"))
}

/// Each process is found by the namespace it is in and killed by its id; again, until none is left,
/// since a server may have forked meanwhile.
fn kill_inhabitants(path: &Path) -> Result<()> {
    let own = fs::metadata("/proc/self/ns/net")?.ino();
    let namespace = fs::metadata(path)?.ino();
    if own == namespace {
        return Ok(());
    }
    for _ in 0..100 {
        let inhabitants = inhabitants(namespace)?;
        if inhabitants.is_empty() {
            return Ok(());
        }
        for process in inhabitants {
            let _ended_meanwhile = kill(process, Signal::SIGKILL);
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn inhabitants(namespace: u64) -> Result<Vec<Pid>> {
    let entries = fs::read_dir("/proc")?.flatten();
    let processes = entries.filter_map(|entry| {
        let id: u32 = entry.file_name().to_str()?.parse().ok()?;
        let place: PathBuf = entry.path().join("ns/net");
        // A process that has ended meanwhile is no inhabitant.
        let inhabits = fs::metadata(place).ok()?.ino() == namespace;
        (inhabits && id != process::id()).then_some(Pid::from_raw(id.try_into().ok()?))
    });
    Ok(processes.collect())
}
