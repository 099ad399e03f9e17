//! A machine without hardware: QEMU, which also emulates the processor. Nested virtualisation hangs
//! on too many hosts.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// What a machine consists of.
pub(super) struct Machine<'a> {
    /// The kernel.
    pub(super) kernel: &'a Path,
    /// Its first file system.
    pub(super) initrd: &'a Path,
    /// What the kernel does not know goes to the first process.
    pub(super) command_line: &'a str,
    /// Everything that the console says.
    pub(super) log: &'a Path,
}

/// How a machine came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By itself.
    PoweredOff,
    /// Killed: it had taken too long.
    TimedOut,
}

impl Machine<'_> {
    /// Runs it to its end, or kills it after `bound`; hands every line of its console over.
    pub(super) fn run(&self, bound: Duration, mut line: impl FnMut(&str)) -> Result<End> {
        let Self { kernel, initrd, command_line, log } = *self;
        let mut log = File::create(log).context("cannot create the console's log")?;
        let mut qemu = Command::new("qemu-system-x86_64");
        // With a thread for each processor, one may run the breakpoint of a static key that another
        // has patched away by then, and Linux 6.12 dies of it ("Oops: int3"; QEMU 7.2, 1 run of 3).
        qemu.args(["-machine", "q35", "-accel", "tcg,thread=single", "-cpu", "max"])
            .args(["-smp", "2", "-m", "2048", "-nodefaults", "-no-user-config", "-no-reboot"])
            .args(["-display", "none", "-serial", "stdio"])
            .arg("-kernel")
            .arg(kernel)
            .arg("-initrd")
            .arg(initrd)
            .args(["-append", &format!("console=ttyS0 quiet panic=-1 {command_line}")]);
        qemu.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut qemu = Running(qemu.spawn().context("cannot start qemu-system-x86_64")?);
        let console = lines(qemu.0.stdout.take().context("cannot read the console")?);
        let end = Instant::now() + bound;
        loop {
            match console.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(said) => {
                    writeln!(log, "{said}").context("cannot write the console's log")?;
                    line(&said);
                }
                Err(RecvTimeoutError::Timeout) => return Ok(End::TimedOut),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        qemu.0.wait().context("cannot wait for qemu-system-x86_64")?;
        Ok(End::PoweredOff)
    }
}

/// Killed by its handle, whatever happens.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Fails where it has ended, which is the aim.
        let _ended = self.0.kill();
        let _waited = self.0.wait();
    }
}

/// A serial console ends lines with CR LF, and the firmware clears the screen.
fn lines(console: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(console).split(b'\n') {
            let Ok(line) = line else { return };
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches('\r').replace('\x1b', "");
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
