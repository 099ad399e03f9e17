//! Processes that do not outlive their test.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    thread::sleep,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// How often something that cannot be waited for is looked at.
const INTERVAL: Duration = Duration::from_millis(5);

/// A running process, killed by its id and waited for when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; what it writes to stdout and stderr goes to the file `log`.
    pub fn logged(mut command: Command, log: &Path) -> Self {
        let file = File::create_new(log);
        let file = file.unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let again = file.try_clone().expect("one more descriptor");
        command.stdout(file).stderr(again);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child, log: log.to_owned() }
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("look at a child").is_none()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).unwrap();
        kill(Pid::from_raw(id), signal).unwrap_or_else(|error| panic!("{signal} to {id}: {error}"));
    }

    /// Waits for its end; None if that takes longer than `timeout`.
    pub fn wait(&mut self, timeout: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + timeout;
        loop {
            let status = self.child.try_wait().expect("look at a child");
            if status.is_some() || Instant::now() >= end {
                return status;
            }
            sleep(INTERVAL);
        }
    }

    /// Sends SIGTERM and waits; panics with the log after `timeout`.
    pub fn stop(&mut self, timeout: Duration) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        let status = self.wait(timeout);
        status.unwrap_or_else(|| panic!("still there {timeout:?} after SIGTERM:\n{}", self.log()))
    }

    /// Sends SIGKILL and waits.
    pub fn kill(&mut self) -> ExitStatus {
        // A child that has ended already is no error, and it is not waited for twice.
        self.child.kill().expect("kill a child");
        self.child.wait().expect("wait for a child")
    }

    /// What it has said so far, on stdout and stderr.
    pub fn log(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until it has said `text`; panics with the log if it ends, or if `timeout` passes,
    /// before that.
    pub fn wait_for_log(&mut self, text: &str, timeout: Duration) {
        let end = Instant::now() + timeout;
        loop {
            // Ask first: what it said last is then in the log.
            let over = !self.is_running() || Instant::now() >= end;
            if self.log().contains(text) {
                return;
            }
            assert!(!over, "no {text:?} in the log:\n{}", self.log());
            sleep(INTERVAL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails where it has ended and been waited for, which is the aim.
        let _ended = self.child.kill();
        let _waited = self.child.wait();
    }
}
