//! The real program on a second set of maps that no port knows: for expectations, and for tests.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use firewall_common::Port;
use firewall_common::abi::{Attachment, Publication, Stop};
use firewall_common::flow::table::{self, FlowTable as _};
use firewall_common::flow::{Flow, FlowKey};
use firewall_common::fragment::{Datagram, FragmentKey};
use firewall_common::quota::{Limits, Quota};
use firewall_common::{Addr, Generation, Mac, NodeSlot, SubnetworkSlot, Ticks};
use firewall_policy::Image;
use firewall_policy::explain::Memory;

use super::clock::Clock;
use super::interface::Interface;
use super::load::{self, Constants, LoadError, Loaded};
use super::maps::{Maps, MapsError, Sizes};
use super::neighbourhood::reconcile;
use super::pins::{self, Pins, PinsError};
use super::read;
use super::{redirect, sizes, stop, sys};
use crate::config::{Config, Mode};
use crate::fault::{self, Step};

/// `XDP_PASS`: a router's program leaves the frame to the kernel's routes.
const XDP_PASS: u32 = 2;
/// `XDP_REDIRECT`: a bridge's program sends the frame on.
const XDP_REDIRECT: u32 = 4;

/// The program, loaded a second time for every port, on maps of its own.
pub struct Trial {
    maps: Arc<Maps>,
    programs: HashMap<Port, Loaded>,
    crossing: u32,
}

/// Why there is no trial.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The directory for the second set of maps cannot be made.
    #[error(transparent)]
    Pins(#[from] PinsError),
    /// The program did not load a second time.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The second set of maps cannot be used.
    #[error(transparent)]
    Maps(#[from] MapsError),
    /// The ways out of the ports cannot be set.
    #[error("cannot redirect: {0}")]
    Redirect(#[source] io::Error),
}

/// As large as the configuration's for nodes and rules; flows come one at a time.
fn trial_sizes(config: &Config) -> Sizes {
    let sizes = sizes(config);
    Sizes { flows: sizes.flows.min(TRIAL_FLOWS), events: 4096, ..sizes }
}

const TRIAL_FLOWS: u32 = 1024;
/// Bytes.
const TRIAL_MTU: u64 = 1500;

/// So that several trials of one process keep apart.
static TRIALS: AtomicU32 = AtomicU32::new(0);

impl Trial {
    /// Loads the program for every port of the configuration, whose interfaces must exist. Every
    /// node is taken as authenticated.
    pub fn new(config: &Config, clock: Clock) -> Result<Self, TrialError> {
        Self::limited(config, clock, false, Limits::NONE)
    }

    /// The same, but a router asks the kernel for its routes: those of the network namespace of
    /// whoever runs it.
    pub fn routing(config: &Config, clock: Clock) -> Result<Self, TrialError> {
        Self::limited(config, clock, true, Limits::NONE)
    }

    /// Either, but a node may open no more flows than `limits` say.
    pub fn limited(
        config: &Config,
        clock: Clock,
        routes: bool,
        limits: Limits,
    ) -> Result<Self, TrialError> {
        let pins = Pins::of(config);
        pins.prepare(&sizes(config))?;
        let number = TRIALS.fetch_add(1, Ordering::Relaxed);
        let directory = pins.trial(number);
        // A daemon of our number that was killed may have left it.
        let _ = pins::remove_directory(&directory);
        fs::create_dir(&directory)
            .map_err(|source| PinsError::Io { path: directory.clone(), source })?;
        let loaded = Self::load(config, clock, &directory, routes, limits);
        // The maps live on in our descriptors; the pins were only the way to them.
        if let Err(error) = pins::remove_directory(&directory) {
            tracing::warn!(%error, "cannot remove the pins of the trial maps");
        }
        loaded
    }

    fn load(
        config: &Config,
        clock: Clock,
        directory: &std::path::Path,
        routes: bool,
        limits: Limits,
    ) -> Result<Self, TrialError> {
        let sizes = trial_sizes(config);
        let mut programs = HashMap::new();
        for (port, _) in config.gateway.ports() {
            let constants = Constants {
                port,
                way: config.gateway.way(port),
                jumbo: false,
                // Expectations are about rules, and hold while a neighbour is away.
                routes,
                authenticates: config.authentication.listens_on(port),
                enrolment: config.authentication.enrolment(),
                timeouts: load::timeouts(clock),
                // Expectations come all at once.
                limits,
                events_per_tick: 0,
            };
            programs.insert(port, load::program(directory, &sizes, &constants)?);
        }
        fault::at(Step::Try).map_err(TrialError::Redirect)?;
        let maps = Maps::open(directory, sizes)?;
        for (port, named) in config.gateway.ports() {
            let interface = Interface::new(&named.interface).index().unwrap_or(0);
            redirect(&maps, port, interface).map_err(TrialError::Redirect)?;
        }
        for node in &*maps.nodes {
            node.set_lease_end(Ticks(u64::MAX >> 1));
        }
        let crossing = match config.gateway.mode() {
            Mode::Bridge => XDP_REDIRECT,
            // Without routes all that may pass is left to the kernel.
            Mode::Router => XDP_PASS,
        };
        let trial = Self { maps: Arc::new(maps), programs, crossing };
        for (port, _) in config.gateway.ports() {
            // As in host memory, so that one frame is for both.
            trial.set_port(port, Memory::MAC, TRIAL_MTU);
        }
        Ok(trial)
    }

    /// Whether that action of [`Trial::run`] lets a frame cross the gateway.
    pub const fn crosses(&self, action: u32) -> bool {
        action == self.crossing
    }

    /// Says what a port's MAC and MTU are.
    pub fn set_port(&self, port: Port, mac: Mac, mtu: u64) {
        if let Some(state) = self.maps.port_states.get(usize::from(port.0)) {
            state.mac.store(mac.word());
            state.mtu.store(mtu);
        }
    }

    /// Gives the gateway an address of its own.
    pub fn add_local(&self, address: Addr) -> io::Result<()> {
        // SAFETY: the key is an address, the value four bytes.
        unsafe { sys::map_update(self.maps.local.as_fd(), &address, &1_u32) }
    }

    /// Says which port and tag each interface stands for, by its index; no other stands for any.
    pub fn set_interfaces(&self, interfaces: &HashMap<u32, Attachment>) -> io::Result<()> {
        let places = interfaces.iter().map(|(number, attachment)| (*attachment, *number));
        // SAFETY: keys and values are those that `Sizes::shapes` gives the maps.
        let reconciled = unsafe {
            [
                reconcile(self.maps.interfaces.as_fd(), interfaces)?,
                reconcile(self.maps.attachments.as_fd(), &places.collect())?,
            ]
        };
        if reconciled.iter().any(|reconciled| reconciled.left_out > 0) {
            return Err(io::Error::from_raw_os_error(nix::libc::E2BIG));
        }
        stop::bump(&self.maps);
        Ok(())
    }

    /// Puts an image in force.
    pub fn install(&self, image: &Image) {
        for (place, line) in self.maps.image.iter().zip(&image.lines) {
            for (word, value) in place.0.iter().zip(line.0) {
                word.store(value, Ordering::Relaxed);
            }
        }
        let Publication { generation, .. } = stop::publication(&self.maps);
        let generation = Generation(generation.0.wrapping_add(1));
        let publication = Publication { half: 0, armed: true, generation };
        self.maps.control().publication.store(publication.encode());
    }

    /// Runs a port's program over a frame: the kernel's action, and the frame as it would leave.
    pub fn run(&self, port: Port, frame: &[u8]) -> io::Result<(u32, Vec<u8>)> {
        let program = self.programs.get(&port).ok_or(io::ErrorKind::NotFound)?;
        sys::test_run(program.cordon.as_fd(), frame)
    }

    /// Runs a port's egress guard over a frame that the kernel sends and has taken in on the interface
    /// with that index; 0 if it has made it. Any other must exist in the network namespace of whoever
    /// runs it. Returns the kernel's action.
    pub fn run_out(&self, port: Port, interface: u32, frame: &[u8]) -> io::Result<u32> {
        let program = self.programs.get(&port).ok_or(io::ErrorKind::NotFound)?;
        sys::test_run_out(program.guard.as_fd(), interface, frame)
    }

    /// A port's program.
    pub fn program(&self, port: Port) -> Option<&OwnedFd> {
        self.programs.get(&port).map(|program| &program.cordon)
    }

    /// The maps, for those who read.
    pub fn maps(&self) -> &Arc<Maps> {
        &self.maps
    }

    /// Stops everything, or lets it go on.
    pub fn stop(&self, stop: Stop) {
        self.maps.control().stop.store(stop.encode());
    }

    /// Stops a subnetwork, or lets it go on.
    pub fn stop_subnetwork(&self, subnetwork: SubnetworkSlot, stop: Stop) {
        if let Some(state) = self.maps.subnetworks.get(usize::from(subnetwork.0)) {
            state.stop.store(stop.encode());
        }
        stop::bump(&self.maps);
    }

    /// Isolates a node, or lets it back.
    pub fn isolate(&self, node: NodeSlot, isolated: bool) {
        if let Some(state) = self.maps.nodes.get(node.0 as usize) {
            state.set_isolated(isolated);
        }
        stop::bump(&self.maps);
    }

    /// Grants a lease until that tick, or ends it (0). Only an end makes a new generation.
    pub fn grant(&self, node: NodeSlot, end: Ticks) {
        if let Some(state) = self.maps.nodes.get(node.0 as usize) {
            state.set_lease_end(end);
        }
        if end.0 == 0 {
            stop::bump(&self.maps);
        }
    }

    /// Forgets every flow, who has opened how many, and every datagram that has begun.
    pub fn forget_flows(&self) -> io::Result<()> {
        for (key, _) in self.questions()? {
            // SAFETY: the key is the table's.
            unsafe { sys::map_delete(self.maps.asked.as_fd(), &key) }?;
        }
        let buckets = (0..self.maps.count()).filter_map(|number| self.maps.bucket(number));
        buckets.for_each(|bucket| bucket.store(0));
        for (key, _) in self.datagrams()? {
            // SAFETY: the key is the table's.
            unsafe { sys::map_delete(self.maps.fragments.as_fd(), &key) }?;
        }
        self.quotas().for_each(Quota::reset);
        Ok(())
    }

    fn quotas(&self) -> impl Iterator<Item = &Quota> {
        let nodes = self.maps.nodes.iter().map(|state| &state.quota);
        nodes.chain(self.maps.subnetworks.iter().map(|state| &state.quota))
    }

    /// As if so many ticks had passed: every flow and every lease ends that much sooner.
    pub fn age(&self, ticks: u32) -> io::Result<()> {
        for (key, question) in self.questions()? {
            question.age(ticks);
            // SAFETY: key and value are the table's.
            unsafe { sys::map_update(self.maps.asked.as_fd(), &key, &question) }?;
        }
        table::flows(&*self.maps).for_each(|(_, flow, _)| flow.age(ticks));
        for (key, datagram) in self.datagrams()? {
            datagram.age(ticks);
            // SAFETY: key and value are the table's.
            unsafe { sys::map_update(self.maps.fragments.as_fd(), &key, &datagram) }?;
        }
        for node in &*self.maps.nodes {
            node.set_lease_end(Ticks(node.lease_end().0.saturating_sub(u64::from(ticks))));
        }
        self.quotas().for_each(|quota| quota.age(ticks));
        Ok(())
    }

    fn questions(&self) -> io::Result<Vec<(FlowKey, Flow)>> {
        let mut questions = Vec::new();
        read::questions(&self.maps, |key, question| {
            let copy = Flow::default();
            copy.copy(question);
            questions.push((*key, copy));
        })?;
        Ok(questions)
    }

    fn datagrams(&self) -> io::Result<Vec<(FragmentKey, Datagram)>> {
        let mut datagrams = Vec::new();
        read::datagrams(&self.maps, |key, datagram| {
            let copy = Datagram::default();
            copy.copy(datagram);
            datagrams.push((*key, copy));
        })?;
        Ok(datagrams)
    }

    /// Takes away the way out of a port.
    pub fn unplug(&self, port: Port) -> io::Result<()> {
        self.maps.ports.iter().try_for_each(|map| {
            // SAFETY: the key is four bytes.
            unsafe { sys::map_delete(map.as_fd(), &u32::from(port.0)) }.map(drop)
        })
    }
}
