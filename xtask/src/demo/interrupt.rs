//! Ctrl-C ends the story early, and its laboratory with it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(20);

extern "C" fn note(_: nix::libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// From now on SIGINT, SIGTERM and SIGHUP are noted, and every wait ends with an error.
pub(super) fn watch() -> Result<()> {
    let action = SigAction::new(SigHandler::Handler(note), SaFlags::SA_RESTART, SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler does nothing but store to an atomic.
        unsafe { sigaction(signal, &action) }.context("cannot handle signals")?;
    }
    Ok(())
}

/// An error once somebody has asked for the end.
pub(super) fn check() -> Result<()> {
    if is_asked() {
        bail!("interrupted");
    }
    Ok(())
}

/// Whether somebody has asked for the end.
pub(super) fn is_asked() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Lets time pass.
pub(super) fn pause(time: Duration) -> Result<()> {
    until(time, || Ok(false)).map(drop)
}

/// Waits until the condition holds, and says how long that took; None after `patience`.
pub(super) fn until(
    patience: Duration,
    mut condition: impl FnMut() -> Result<bool>,
) -> Result<Option<Duration>> {
    let start = Instant::now();
    loop {
        check()?;
        if condition()? {
            return Ok(Some(start.elapsed()));
        }
        let Some(left) = patience.checked_sub(start.elapsed()) else { return Ok(None) };
        sleep(left.min(INTERVAL));
    }
}
