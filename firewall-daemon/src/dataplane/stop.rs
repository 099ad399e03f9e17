//! Stop-all: store, latch, read back, answer. Nothing else stands in this path; in particular no
//! queue of the daemon's, no policy and no network.
//!
//! The store comes first because it takes microseconds, and a disk that is busy takes 1 to 13 ms
//! (measured): traffic ends at once, and the answer waits for the disk. What the kernel was told
//! outlives the daemon without the latch; the latch is for the reboot.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use firewall_common::abi::{Publication, Stop};
use firewall_common::{NodeSlot, SubnetworkSlot};
use firewall_control::StopLevel;
use std::sync::atomic::Ordering::SeqCst;

use super::latch::{Latch, LatchError, Latched, LatchedStop, Order};
use super::maps::Maps;
use crate::fault::{self, Step};

/// What a stop or a resume is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    Everything,
    /// One subnetwork, whose slot is known.
    Subnetwork {
        /// Its name.
        name: String,
        /// Its slot.
        slot: SubnetworkSlot,
    },
}

impl Scope {
    fn subnetwork(&self) -> Option<&str> {
        match self {
            Self::Everything => None,
            Self::Subnetwork { name, .. } => Some(name),
        }
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What lies on disk now.
    pub latched: StopLevel,
    /// What the kernel's word says, read back.
    pub effective: StopLevel,
    /// When it began.
    pub since: Option<String>,
    /// From the call until the kernel's word was read back.
    pub took: std::time::Duration,
}

/// Why it was not, or not wholly, done.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// Stopped, but the latch could not be written.
    #[error("stopped, but not latched: a reboot would forget it; {0}")]
    NotLatched(#[source] LatchError),
    /// Not resumed, because the latch could not be written.
    #[error("still stopped: {0}")]
    StillLatched(#[source] LatchError),
    /// The kernel's word is not what was stored.
    #[error("the kernel's word was not changed")]
    NotStored,
}

/// Everything that a stop needs, and nothing else.
pub struct Stopper {
    maps: Arc<Maps>,
    latch: Latch,
    latched: Mutex<Latched>,
}

impl Stopper {
    /// With what the latch says, which is brought into force at once.
    pub fn new(maps: Arc<Maps>, latch: Latch, latched: Latched) -> Self {
        let stopper = Self { maps, latch, latched: Mutex::new(latched) };
        stopper.enforce_everything();
        stopper
    }

    /// What is latched.
    pub fn latched(&self) -> Latched {
        let mut latched = self.lock();
        *latched = self.on_disk(&latched);
        latched.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Latched> {
        // A thread that died with the lock left a whole value: it is replaced, never edited.
        self.latched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is on disk, where `stop-all --direct` may have written; what we know, if it cannot be
    /// read.
    fn on_disk(&self, known: &Latched) -> Latched {
        self.latch.read().unwrap_or_else(|_| known.clone())
    }

    /// Stops; a stricter stop that is in force stays. If the disk is full it stops all the same, and
    /// says that it is not latched.
    pub fn stop(&self, scope: &Scope, stop: &LatchedStop) -> Result<Outcome, StopError> {
        let begun = Instant::now();
        // Before the lock: whoever holds it may be waiting for a disk that hangs.
        self.tighten(scope, stop.level);
        let mut latched = self.lock();
        // And again: a resume that held it may have stored its own word since.
        let level = self.tighten(scope, stop.level);
        let mut wanted = self.on_disk(&latched);
        let since = wanted.tighten(scope.subnetwork(), stop);
        let written = self.latch.write(&wanted);
        *latched = wanted;
        if self.stored(scope) != level {
            return Err(StopError::NotStored);
        }
        written.map_err(StopError::NotLatched)?;
        let effective = self.effective(scope);
        Ok(Outcome { latched: level, effective, since: Some(since), took: begun.elapsed() })
    }

    /// Lifts a stop: first on disk, then in the kernel.
    pub fn resume(&self, scope: &Scope) -> Result<Outcome, StopError> {
        let begun = Instant::now();
        let mut latched = self.lock();
        let mut wanted = self.on_disk(&latched);
        match scope {
            Scope::Everything => wanted.everything = None,
            Scope::Subnetwork { name, .. } => {
                wanted.subnetworks.remove(name);
            }
        }
        self.latch.write(&wanted).map_err(StopError::StillLatched)?;
        *latched = wanted;
        self.store(scope, Stop::None);
        if self.stored(scope) != StopLevel::None {
            return Err(StopError::NotStored);
        }
        Ok(Outcome {
            latched: StopLevel::None,
            effective: self.effective(scope),
            since: None,
            took: begun.elapsed(),
        })
    }

    /// Cuts a node off. Like a stop: if the disk is full it is cut off all the same.
    pub fn isolate(&self, node: &str, slot: NodeSlot, order: Order) -> Result<(), StopError> {
        self.cut_off(slot);
        let mut latched = self.lock();
        let mut wanted = self.on_disk(&latched);
        wanted.nodes.insert(node.to_owned(), order);
        // Again, as in `stop`.
        let isolated = self.cut_off(slot);
        let written = self.latch.write(&wanted);
        *latched = wanted;
        if !isolated {
            return Err(StopError::NotStored);
        }
        written.map_err(StopError::NotLatched)
    }

    /// Whether the kernel's word says so afterwards.
    fn cut_off(&self, slot: NodeSlot) -> bool {
        let state = self.maps.nodes.get(slot.0 as usize);
        state.inspect(|state| state.set_isolated(true));
        bump(&self.maps);
        state.is_some_and(|state| state.is_isolated())
    }

    /// Lets a node back: first on disk, then in the kernel.
    pub fn release(&self, node: &str, slot: NodeSlot) -> Result<(), StopError> {
        let mut latched = self.lock();
        let mut wanted = self.on_disk(&latched);
        wanted.nodes.remove(node);
        self.latch.write(&wanted).map_err(StopError::StillLatched)?;
        *latched = wanted;
        if let Some(state) = self.maps.nodes.get(slot.0 as usize) {
            state.set_isolated(false);
        }
        bump(&self.maps);
        Ok(())
    }

    /// Brings into force what is latched for a policy's nodes and subnetworks, before it is
    /// published. It never lifts anything: only a resume and a release do.
    pub fn enforce(&self, names: &firewall_policy::Names) {
        let latched = self.lock();
        for node in names.nodes().iter().filter(|node| latched.nodes.contains_key(&*node.name)) {
            if let Some(state) = self.maps.nodes.get(node.slot.0 as usize) {
                state.set_isolated(true);
            }
        }
        for subnetwork in names.subnetworks() {
            if let Some(stop) = latched.subnetworks.get(&*subnetwork.name) {
                let name = subnetwork.name.to_string();
                let scope = Scope::Subnetwork { name, slot: subnetwork.slot };
                let level = self.stored(&scope).max(stop.level);
                store_subnetwork(&self.maps, subnetwork.slot, kernel(level));
            }
        }
        drop(latched);
        bump(&self.maps);
    }

    /// Brings into force what is latched and not in force, which only somebody else can have lifted.
    /// Returns what that was. Never lifts anything.
    pub fn reinforce(&self, names: &firewall_policy::Names) -> Vec<String> {
        let known = self.latched();
        let mut isolated = Vec::new();
        if !known.nodes.is_empty() {
            // Outside the lock: a policy may have a million nodes.
            let nodes = names.nodes().iter();
            isolated.extend(nodes.filter(|node| known.nodes.contains_key(&*node.name)));
        }
        // A resume or a release that was faster is in it.
        let latched = self.lock();
        let mut lifted = Vec::new();
        if let Some(stop) = &latched.everything
            && self.stored(&Scope::Everything) < stop.level
        {
            self.store(&Scope::Everything, kernel(stop.level));
            lifted.push("the stop of everything".to_owned());
        }
        for subnetwork in names.subnetworks() {
            let Some(stop) = latched.subnetworks.get(&*subnetwork.name) else { continue };
            let name = subnetwork.name.to_string();
            let what = format!("the stop of {name}");
            let scope = Scope::Subnetwork { name, slot: subnetwork.slot };
            if self.stored(&scope) < stop.level {
                self.store(&scope, kernel(stop.level));
                lifted.push(what);
            }
        }
        for node in isolated.into_iter().filter(|node| latched.nodes.contains_key(&*node.name)) {
            let state = self.maps.nodes.get(node.slot.0 as usize);
            if let Some(state) = state.filter(|state| !state.is_isolated()) {
                state.set_isolated(true);
                bump(&self.maps);
                lifted.push(format!("the isolation of {}", node.name));
            }
        }
        lifted
    }

    /// The stricter of the latch and of the kernel's word: a stop that found the disk full is in
    /// the kernel alone.
    fn enforce_everything(&self) {
        fault::before(Step::EnforceStop);
        let latched = self.lock().everything.as_ref().map_or(StopLevel::None, |stop| stop.level);
        let level = latched.max(self.stored(&Scope::Everything));
        self.store(&Scope::Everything, kernel(level));
    }

    fn store(&self, scope: &Scope, stop: Stop) {
        store(&self.maps, scope, stop);
    }

    /// Stores a stop unless a stricter one is there; the level that is in force then.
    fn tighten(&self, scope: &Scope, level: StopLevel) -> StopLevel {
        fault::before(Step::StoreStop);
        let level = level.max(self.stored(scope));
        self.store(scope, kernel(level));
        level
    }

    fn stored(&self, scope: &Scope) -> StopLevel {
        stored(&self.maps, scope)
    }

    /// The stricter of the stop of everything and the scope's own, as the kernel has them.
    pub fn effective(&self, scope: &Scope) -> StopLevel {
        self.stored(&Scope::Everything).max(self.stored(scope))
    }
}

fn store(maps: &Maps, scope: &Scope, stop: Stop) {
    match scope {
        Scope::Everything => maps.control().stop.store(stop.encode()),
        Scope::Subnetwork { slot, .. } => {
            store_subnetwork(maps, *slot, stop);
            bump(maps);
        }
    }
}

fn store_subnetwork(maps: &Maps, slot: SubnetworkSlot, stop: Stop) {
    if let Some(state) = maps.subnetworks.get(usize::from(slot.0)) {
        state.stop.store(stop.encode());
    }
}

fn stored(maps: &Maps, scope: &Scope) -> StopLevel {
    let word = match scope {
        Scope::Everything => maps.control().stop.load(),
        Scope::Subnetwork { slot, .. } => {
            maps.subnetworks.get(usize::from(slot.0)).map_or(0, |state| state.stop.load())
        }
    };
    spoken(Stop::decode(word))
}

pub(super) fn spoken(stop: Stop) -> StopLevel {
    match stop {
        Stop::None => StopLevel::None,
        Stop::Ordinary => StopLevel::Ordinary,
        Stop::Hard => StopLevel::Hard,
    }
}

/// Makes every live flow be asked everything again on its next packet.
pub fn bump(maps: &Maps) {
    // The generation is the upper half; it wraps into nothing.
    maps.control().publication.atomic().fetch_add(1 << 32, SeqCst);
}

/// The generation in force.
pub fn publication(maps: &Maps) -> Publication {
    Publication::decode(maps.control().publication.load())
}

pub(super) fn kernel(level: StopLevel) -> Stop {
    match level {
        StopLevel::None => Stop::None,
        StopLevel::Ordinary => Stop::Ordinary,
        StopLevel::Hard => Stop::Hard,
    }
}
