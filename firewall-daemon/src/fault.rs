//! Fail points: the steps of load and activation at which a test makes the daemon die or fail.
//!
//! Only the feature `fail-points` compiles them in, and only `cordond-faulty` is built with it. There
//! `CORDON_FAIL` names a file that holds `STEP ACTION COUNT`, such as `pin-link kill 2`: the second
//! time that the daemon comes to that step it removes the file, and then dies by SIGKILL (`kill`), is
//! told that there is no memory (`error`), or stays there (`hold`) until somebody removes the file
//! beside it whose name ends in `.held`.

use std::io;

/// A step. The name says what is about to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The latch is read.
    ReadLatch,
    /// A directory of pins is made, or looked at.
    MakeDirectory,
    /// The object's maps are made and pinned, or those that are pinned are used.
    MakeMaps,
    /// A program goes to the verifier.
    LoadProgram,
    /// The kernel's tick is measured.
    MeasureTick,
    /// The pinned maps are opened and mapped.
    OpenMaps,
    /// What is latched is brought into force.
    EnforceStop,
    /// A router's program is told of addresses and VLAN devices.
    Survey,
    /// A pin that is not wanted any more is detached.
    LetGo,
    /// An interface is made the way out of a port.
    Redirect,
    /// The egress guard is attached.
    AttachGuard,
    /// A port's program is attached.
    AttachProgram,
    /// The program of a pinned link is swapped.
    SwapProgram,
    /// A link is pinned.
    PinLink,
    /// What was attached is read back.
    ReadBackLink,
    /// The interface is brought up.
    BringUp,
    /// A directory of maps of another layout is removed.
    RemoveMaps,
    /// A router's kernel is let forward what the program leaves to it.
    Forward,
    /// A name is given a slot.
    TakeSlot,
    /// The expectations are tried on a second set of maps.
    Try,
    /// The last readers of the idle half are waited for.
    AwaitReaders,
    /// A line of the idle half is filled.
    FillLine,
    /// What was filled is read back.
    ReadBackImage,
    /// The stops of the policy's subnetworks and nodes are brought into force.
    EnforceStops,
    /// The image is published.
    Publish,
    /// The image has been published.
    Published,
    /// The guard looks whether everything is as it was made.
    Look,
    /// A stop is stored in the kernel.
    StoreStop,
    /// The file beside the latch is made.
    CreateLatch,
    /// Its second half is written.
    WriteLatch,
    /// It is brought to the disk.
    SyncLatch,
    /// It takes the latch's place.
    RenameLatch,
    /// The directory is brought to the disk.
    SyncDirectory,
    /// A router's kernel is kept from forwarding.
    StopForwarding,
    /// A link is detached.
    Detach,
    /// The pin of what was detached is removed.
    Unpin,
}

impl Step {
    /// Every step, in the order of a start, an activation, a stop and a detachment.
    pub const ALL: [Self; 36] = [
        Self::ReadLatch,
        Self::MakeDirectory,
        Self::MakeMaps,
        Self::LoadProgram,
        Self::MeasureTick,
        Self::OpenMaps,
        Self::EnforceStop,
        Self::Survey,
        Self::LetGo,
        Self::Redirect,
        Self::AttachGuard,
        Self::AttachProgram,
        Self::SwapProgram,
        Self::PinLink,
        Self::ReadBackLink,
        Self::BringUp,
        Self::RemoveMaps,
        Self::Forward,
        Self::TakeSlot,
        Self::Try,
        Self::AwaitReaders,
        Self::FillLine,
        Self::ReadBackImage,
        Self::EnforceStops,
        Self::Publish,
        Self::Published,
        Self::Look,
        Self::StoreStop,
        Self::CreateLatch,
        Self::WriteLatch,
        Self::SyncLatch,
        Self::RenameLatch,
        Self::SyncDirectory,
        Self::StopForwarding,
        Self::Detach,
        Self::Unpin,
    ];

    /// Its name in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadLatch => "read-latch",
            Self::MakeDirectory => "make-directory",
            Self::MakeMaps => "make-maps",
            Self::LoadProgram => "load-program",
            Self::MeasureTick => "measure-tick",
            Self::OpenMaps => "open-maps",
            Self::EnforceStop => "enforce-stop",
            Self::Survey => "survey",
            Self::LetGo => "let-go",
            Self::Redirect => "redirect",
            Self::AttachGuard => "attach-guard",
            Self::AttachProgram => "attach-program",
            Self::SwapProgram => "swap-program",
            Self::PinLink => "pin-link",
            Self::ReadBackLink => "read-back-link",
            Self::BringUp => "bring-up",
            Self::RemoveMaps => "remove-maps",
            Self::Forward => "forward",
            Self::TakeSlot => "take-slot",
            Self::Try => "try",
            Self::AwaitReaders => "await-readers",
            Self::FillLine => "fill-line",
            Self::ReadBackImage => "read-back-image",
            Self::EnforceStops => "enforce-stops",
            Self::Publish => "publish",
            Self::Published => "published",
            Self::Look => "look",
            Self::StoreStop => "store-stop",
            Self::CreateLatch => "create-latch",
            Self::WriteLatch => "write-latch",
            Self::SyncLatch => "sync-latch",
            Self::RenameLatch => "rename-latch",
            Self::SyncDirectory => "sync-directory",
            Self::StopForwarding => "stop-forwarding",
            Self::Detach => "detach",
            Self::Unpin => "unpin",
        }
    }
}

/// The daemon comes to a step, which may fail.
#[inline(always)]
pub fn at(step: Step) -> io::Result<()> {
    #[cfg(feature = "fail-points")]
    return points::at(step, points::Action::Error);
    #[cfg(not(feature = "fail-points"))]
    {
        let _ = step;
        Ok(())
    }
}

/// The daemon comes to a step that cannot fail: it can only die there.
#[inline(always)]
pub fn before(step: Step) {
    #[cfg(feature = "fail-points")]
    let _cannot_fail = points::at(step, points::Action::Kill);
    #[cfg(not(feature = "fail-points"))]
    let _ = step;
}

#[cfg(feature = "fail-points")]
mod points {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
    use std::thread::sleep;
    use std::time::Duration;
    use std::{env, fs, io};

    use nix::errno::Errno;
    use nix::sys::signal::{Signal, raise};

    use super::Step;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub(super) enum Action {
        Hold,
        Kill,
        Error,
    }

    /// Does what the file says, if that is about this step and no worse than `worst`.
    pub(super) fn at(step: Step, worst: Action) -> io::Result<()> {
        static PASSED: AtomicU32 = AtomicU32::new(0);
        let Some(path) = env::var_os("CORDON_FAIL").map(PathBuf::from) else { return Ok(()) };
        let Ok(text) = fs::read_to_string(&path) else { return Ok(()) };
        let mut words = text.split_whitespace();
        let action = match (words.next(), words.next()) {
            (Some(name), Some("hold")) if name == step.name() => Action::Hold,
            (Some(name), Some("kill")) if name == step.name() => Action::Kill,
            (Some(name), Some("error")) if name == step.name() => Action::Error,
            (_, _) => return Ok(()),
        };
        let count = words.next().and_then(|count| count.parse().ok());
        if action > worst || Some(PASSED.fetch_add(1, SeqCst) + 1) != count {
            return Ok(());
        }
        let held = path.with_extension("held");
        match action {
            Action::Hold => fs::rename(&path, &held)?,
            Action::Kill | Action::Error => fs::remove_file(&path)?,
        }
        match action {
            Action::Hold => {
                while held.exists() {
                    sleep(Duration::from_millis(5));
                }
                Ok(())
            }
            Action::Kill => {
                raise(Signal::SIGKILL)?;
                Ok(())
            }
            Action::Error => Err(Errno::ENOMEM.into()),
        }
    }
}
