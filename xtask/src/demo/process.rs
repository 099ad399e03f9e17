//! Programs in the laboratory: those that end by themselves, and those that serve.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::prctl;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use super::interrupt;

/// What a program that has ended has said.
pub(super) struct Said {
    /// Its exit code; None if a signal or our patience ended it.
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Said {
    pub(super) fn succeeded(&self) -> bool {
        self.code == Some(0)
    }

    /// `good` if it succeeded, otherwise its first complaint.
    pub(super) fn gist<'a>(&'a self, good: &'a str) -> &'a str {
        if self.succeeded() { good } else { self.stderr.lines().next().unwrap_or("no answer") }
    }

    /// What it wrote to stdout, or an error with what it wrote to stderr.
    pub(super) fn or_fail(self, what: &str) -> Result<String> {
        let Self { code, stdout, stderr } = self;
        match code {
            Some(0) => Ok(stdout),
            Some(code) => bail!("{what} failed with exit code {code}: {}", stderr.trim()),
            None => bail!("{what} did not come to its end: {}", stderr.trim()),
        }
    }
}

/// Runs a program to its end; kills it when `patience` is over.
pub(super) fn finish(mut command: Command, patience: Duration) -> Result<Said> {
    // In a group of its own, so that the terminal's Ctrl-C reaches us alone.
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    let stdout = child.stdout.take().map(|pipe| thread::spawn(move || read(pipe)));
    let stderr = child.stderr.take().map(|pipe| thread::spawn(move || read(pipe)));
    let mut status = None;
    let waited = interrupt::until(patience, || {
        status = child.try_wait()?;
        Ok(status.is_some())
    });
    if status.is_none() {
        let _ended_meanwhile = child.kill();
        child.wait()?;
    }
    waited?;
    let collect = |reader: Option<thread::JoinHandle<String>>| {
        reader.and_then(|reader| reader.join().ok()).unwrap_or_default()
    };
    let code = status.and_then(|status| status.code());
    Ok(Said { code, stdout: collect(stdout), stderr: collect(stderr) })
}

fn read(mut pipe: impl Read) -> String {
    let mut bytes = Vec::new();
    // What came before an error is worth showing.
    let _incomplete = pipe.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Makes us the parent of whatever our programs leave orphaned, so that [`reap`] finds it.
pub(super) fn adopt() -> Result<()> {
    prctl::set_child_subreaper(true).context("cannot adopt orphans")
}

/// Waits for every program that has been killed; not every machine's init does so at once.
pub(super) fn reap() {
    let ended = || waitpid(None, Some(WaitPidFlag::WNOHANG));
    while ended().is_ok_and(|status| status != WaitStatus::StillAlive) {}
}

/// A program that runs until it is told to end. It outlives us if the laboratory is kept; otherwise
/// it dies with its namespace.
pub(super) struct Service {
    child: Child,
    log: PathBuf,
}

impl Service {
    /// Starts a program whose words go to a file.
    pub(super) fn start(mut command: Command, log: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(log);
        let file = file.with_context(|| format!("cannot write {}", log.display()))?;
        let again = file.try_clone()?;
        command.process_group(0).stdin(Stdio::null()).stdout(file).stderr(again);
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { child, log: log.to_owned() })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// What it has said so far.
    pub(super) fn log(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// SIGKILL: no chance to tidy up.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}
