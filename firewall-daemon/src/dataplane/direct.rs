//! Stop-all without the daemon.

use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Instant;

use firewall_common::abi::Stop;
use firewall_control::StopLevel;

use super::latch::{Latch, LatchError, Latched, LatchedStop};
use super::maps::{MapsError, Stops};
use super::pins::Pins;
use super::slots;
use super::stop::{Outcome, StopError, kernel, spoken};

/// Why a stop without the daemon was not, or not wholly, done.
#[derive(Debug, thiserror::Error)]
pub enum DirectError {
    /// The latch could not be written; whether the kernel was told is said beside.
    #[error("{0}")]
    Stop(#[from] StopError),
    /// Nothing is pinned: there is nothing to stop, but the latch is written.
    #[error(
        "latched, but there is no enforcement in place under {directory}: nothing crosses a bridge that is not armed"
    )]
    NoPins {
        /// Where the pins should be.
        directory: String,
    },
    /// The pinned maps cannot be used.
    #[error("latched, but the pinned maps cannot be opened: {0}")]
    Maps(#[from] MapsError),
    /// Nobody has declared that subnetwork.
    #[error("latched, but the running policy has no subnetwork {name}")]
    UnknownSubnetwork {
        /// Its name.
        name: String,
    },
    /// Neither the kernel nor the disk was told.
    #[error("NOT stopped and not latched: {0}")]
    Neither(#[source] Box<DirectError>),
    /// The latch was damaged and could not be set aside.
    #[error("stopped, but not latched: the damaged latch cannot be set aside: {0}")]
    SetAside(#[source] std::io::Error),
}

impl DirectError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Stop(StopError::NotLatched(error) | StopError::StillLatched(error)) => {
                Some(error.hint().to_owned())
            }
            Self::Stop(StopError::NotStored) | Self::Maps(_) | Self::Neither(_) => Some(
                "pull the cable of the subnetwork, or `ip link set IFACE down` on a port of the \
                 gateway"
                    .to_owned(),
            ),
            Self::NoPins { .. } => {
                Some("if the gateway should be guarding, look whether --config is right".to_owned())
            }
            Self::UnknownSubnetwork { .. } => {
                Some("without --subnetwork everything is stopped".to_owned())
            }
            Self::SetAside(_) => Some("make the state directory writable".to_owned()),
        }
    }
}

/// Stops without the daemon: latches, then writes the pinned maps of every layout that is there. A
/// latch that cannot be read is set aside; since nobody knows what it held, everything is stopped
/// then. Returns what was stopped, too.
pub fn stop_all(
    state_directory: &Path,
    bpf_directory: &Path,
    subnetwork: Option<&str>,
    stop: &LatchedStop,
) -> Result<(Outcome, Option<String>), DirectError> {
    let begun = Instant::now();
    let latch = Latch::new(state_directory);
    let (mut latched, subnetwork, readable) = match latch.read() {
        Ok(latched) => (latched, subnetwork, Ok(())),
        Err(LatchError::Damaged { .. }) => {
            let aside = latch.set_aside().map(drop).map_err(DirectError::SetAside);
            (Latched::default(), None, aside)
        }
        Err(error @ (LatchError::Read { .. } | LatchError::Write { .. })) => {
            (Latched::default(), None, Err(StopError::NotLatched(error).into()))
        }
    };
    let told = tell_kernel(bpf_directory, subnetwork, stop.level);
    let since = latched.tighten(subnetwork, stop);
    let written = readable.and_then(|()| {
        latch.write(&latched).map_err(|error| DirectError::Stop(StopError::NotLatched(error)))
    });
    let effective = match (told, written) {
        (Ok(level), Ok(())) => level,
        (Ok(_), Err(error)) | (Err(error), Ok(())) => return Err(error),
        (Err(told), Err(_)) => return Err(DirectError::Neither(Box::new(told))),
    };
    let took = begun.elapsed();
    let outcome = Outcome { latched: effective, effective, since: Some(since), took };
    Ok((outcome, subnetwork.map(ToOwned::to_owned)))
}

/// Stores the stop in the pinned maps of every layout that is there. Never loosens one.
fn tell_kernel(
    bpf_directory: &Path,
    subnetwork: Option<&str>,
    level: StopLevel,
) -> Result<StopLevel, DirectError> {
    let directories = Pins::new(bpf_directory).all_maps().unwrap_or_default();
    if directories.is_empty() {
        return Err(DirectError::NoPins { directory: bpf_directory.display().to_string() });
    }
    let mut effective = level;
    for directory in directories {
        let maps = Stops::open(&directory)?;
        let word = match subnetwork {
            None => &maps.control().stop,
            Some(name) => {
                let slot = slots::find_in(&maps.names, name);
                let state = slot.and_then(|slot| maps.subnetworks.get(usize::from(slot.0)));
                let Some(state) = state else {
                    return Err(DirectError::UnknownSubnetwork { name: name.to_owned() });
                };
                &state.stop
            }
        };
        let wanted = level.max(spoken(Stop::decode(word.load())));
        word.store(kernel(wanted).encode());
        maps.control().publication.atomic().fetch_add(1 << 32, SeqCst);
        if spoken(Stop::decode(word.load())) != wanted {
            return Err(StopError::NotStored.into());
        }
        effective = wanted;
    }
    Ok(effective)
}
