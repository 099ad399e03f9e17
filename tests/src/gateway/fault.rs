//! What goes wrong with the daemon that has fail points, and where.

use std::{fs, os::unix::process::ExitStatusExt, path::PathBuf, process::Command};

use firewall_daemon::fault::Step;
use nix::sys::signal::Signal;

use super::{ENDED, Ended, Gateway};
use crate::lab::Process;

/// How a step goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The daemon dies by SIGKILL.
    Kill,
    /// The daemon is told that there is no memory.
    Error,
}

/// A step that goes wrong in the daemon's next life.
#[derive(Debug)]
pub struct Fault {
    file: PathBuf,
}

impl Fault {
    /// The `count`-th time that a daemon comes to `step`, it does so.
    pub fn arrange(gateway: &Gateway, step: Step, act: Act, count: u32) -> Self {
        let fault = Self { file: gateway.lab().directory().join("fault") };
        fault.arm(step, act, count);
        fault
    }

    /// Nothing goes wrong until [`Fault::arm`].
    pub fn later(gateway: &Gateway) -> Self {
        Self { file: gateway.lab().directory().join("fault") }
    }

    /// From now on, the `count`-th time that the daemon comes to `step`.
    pub fn arm(&self, step: Step, act: Act, count: u32) {
        let act = match act {
            Act::Kill => "kill",
            Act::Error => "error",
        };
        self.write(&format!("{} {act} {count}", step.name()));
    }

    fn write(&self, text: &str) {
        // At once: a daemon that runs reads it at any time.
        let beside = self.file.with_extension("new");
        fs::write(&beside, text).expect("write what shall go wrong");
        fs::rename(&beside, &self.file).expect("arrange what shall go wrong");
    }

    /// Whether it has gone wrong.
    pub fn has_struck(&self) -> bool {
        !self.file.exists()
    }

    /// The daemon stays at `step` when it first comes there, until [`Fault::let_go`].
    pub fn hold(gateway: &Gateway, step: Step) -> Self {
        let fault = Self::later(gateway);
        fault.write(&format!("{} hold 1", step.name()));
        fault
    }

    /// Lets a daemon that is held go on.
    pub fn let_go(&self) {
        fs::remove_file(self.file.with_extension("held")).expect("a daemon that is held");
    }

    fn command(&self, gateway: &Gateway) -> Command {
        let mut command = gateway.daemon_command("cordond-faulty");
        command.env("CORDON_FAIL", &self.file);
        command
    }
}

impl Gateway {
    /// Starts the daemon that has fail points, and does not wait.
    pub fn launch_faulty(&self, fault: &Fault) -> Process {
        self.process(fault.command(self))
    }

    /// The same, and waits until it answers.
    pub fn restart_faulty(&mut self, fault: &Fault) {
        assert!(self.daemon.is_none(), "the daemon runs already");
        self.wait_until_ready(self.launch_faulty(fault));
    }

    /// Takes enforcement away with the program that has fail points.
    pub fn detach_all_faulty(&self, fault: &Fault) -> Ended {
        let mut command = fault.command(self);
        command.args(["--detach-all", "--yes"]);
        Ended::of(command)
    }

    /// Waits for a daemon that dies by itself.
    pub fn dies(&mut self) {
        let mut daemon = self.daemon.take().expect("no daemon runs");
        let status = daemon.wait(ENDED);
        let signal = status.expect("the daemon does not die").signal();
        assert_eq!(signal, Some(Signal::SIGKILL as i32), "{}", daemon.log());
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        // It is gone where it has struck.
        let _ = fs::remove_file(&self.file);
    }
}
