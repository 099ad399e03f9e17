//! The data plane: the only part that knows the kernel.
//!
//! [`DataPlane::open`] makes or adopts what is pinned, [`DataPlane::activate`] publishes images,
//! [`stop::Stopper`] stops; [`read`] counts. Closed is the resting state: fresh maps are not armed.

pub mod ask;
pub mod attach;
pub mod carrier;
pub mod clock;
mod clsact;
pub mod direct;
pub mod guard;
pub mod hold;
pub mod interface;
pub mod latch;
pub mod lease;
pub mod load;
pub mod maps;
pub mod neighbourhood;
pub mod neighbours;
mod netlink;
pub mod pins;
pub mod prove;
mod publish;
pub mod read;
pub mod ring;
pub mod slots;
pub mod stop;
pub mod sweep;
pub mod sys;
pub mod trial;
pub mod watch;

use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;

use firewall_common::Port;
use firewall_common::abi::Publication;
use firewall_policy::Capacity;

use self::attach::AttachError;
use self::clock::Clock;
use self::guard::{Armed, Kept};
use self::hold::EgressHook;
use self::interface::Interface;
use self::latch::{Latch, LatchError};
use self::load::{Constants, LoadError, Loaded};
use self::maps::{Maps, MapsError, Sizes};
use self::neighbourhood::{LeftOut, Survey};
use self::pins::{Pins, PinsError};
pub use self::publish::ActivateError;
use self::slots::Slots;
use self::stop::Stopper;
use crate::config::{Config, Mode, Xdp};
use crate::fault::{self, Step};

/// Events that one CPU may write in one tick; the rest is counted.
const EVENTS_PER_TICK: u32 = 16;

/// Why the data plane could not be opened. Whatever was in place still is.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory of pins cannot be used.
    #[error(transparent)]
    Pins(#[from] PinsError),
    /// Pinned maps cannot be used.
    #[error(transparent)]
    Maps(#[from] MapsError),
    /// The object did not load.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A port is not guarded.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The latch cannot be read.
    #[error(transparent)]
    Latch(#[from] LatchError),
    /// The kernel's tick is not known.
    #[error("cannot measure the kernel's tick: {0}")]
    Clock(#[source] io::Error),
    /// The kernel's release cannot be read.
    #[error("cannot read which Linux this is: {0}")]
    Release(#[source] io::Error),
    /// What the kernel says of ports, addresses and VLANs cannot be read or told on.
    #[error("cannot tell the program about the ports' addresses: {0}")]
    Survey(#[source] io::Error),
    /// The program cannot be told of all of the router's addresses or VLANs.
    #[error(transparent)]
    LeftOut(#[from] LeftOut),
    /// A port that is not in the configuration any more could not be let go.
    #[error("cannot let go of the port {port}: {source}")]
    Detach {
        /// The port.
        port: String,
        /// Why not.
        source: io::Error,
    },
    /// What was made cannot be read back.
    #[error("cannot read back {what}: {source}")]
    ReadBack {
        /// What.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// An interface could not be made the way out of a port.
    #[error("port {port}: cannot redirect to it: {source}")]
    Redirect {
        /// The port.
        port: String,
        /// Why not.
        source: io::Error,
    },
}

impl OpenError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Pins(error) => error.hint().to_owned(),
            Self::Maps(_) => {
                "the pinned maps are not this version's; `cordond --detach-all --yes` removes them, \
                 and with them enforcement"
                    .to_owned()
            }
            Self::Load(error) => error.hint().to_owned(),
            Self::Attach(error) => error.hint(),
            Self::Latch(error) => error.hint().to_owned(),
            Self::LeftOut(left_out) => left_out.hint().to_owned(),
            Self::Survey(_) => {
                "`ip address` must list the ports' addresses, and /proc/sys/net must be writable to \
                 cordond; it runs as root on the gateway itself"
                    .to_owned()
            }
            Self::Clock(_)
            | Self::Release(_)
            | Self::Detach { .. }
            | Self::ReadBack { .. }
            | Self::Redirect { .. } => "cordond needs root on the gateway itself".to_owned(),
        }
    }
}

/// A port of the gateway, guarded.
pub struct GuardedPort {
    /// Its name.
    pub name: String,
    /// Its interface's name.
    pub interface: String,
    /// Where the program is to run.
    pub xdp: Xdp,
    /// The port that its frames leave from, in bridge mode.
    peer: Option<Port>,
    programs: Loaded,
    armed: Option<Armed>,
}

/// The kernel's side of the gateway.
pub struct DataPlane {
    pins: Pins,
    directory: PathBuf,
    maps: Arc<Maps>,
    ports: Vec<GuardedPort>,
    mode: Mode,
    egress: EgressHook,
    slots: Slots,
    clock: Clock,
    kept: Kept,
    attached: bool,
    /// What was published when the last reader of the idle half was seen to be gone.
    drained: Option<Publication>,
}

impl DataPlane {
    /// Makes or adopts the maps, brings the latch into force, and guards every port. On fresh maps
    /// nothing passes until the first image is activated; adopted ones go on as they are.
    pub fn open(config: &Config, egress: EgressHook) -> Result<(Self, Stopper), OpenError> {
        let latch = Latch::new(&config.state.directory);
        let latched = latch.read()?;
        let sizes = sizes(config);
        let pins = Pins::of(config);
        pins.prepare(&sizes)?;
        let directory = pins.maps(&sizes);
        maps::check(&directory, &sizes)?;
        let clock = load::clock(&directory, &sizes)?;
        let clock = fault::at(Step::MeasureTick).and_then(|()| Clock::measure(clock.as_fd()));
        let clock = clock.map_err(OpenError::Clock)?;
        let maps = Arc::new(Maps::open(&directory, sizes)?);
        // Before any link: what was stopped is stopped from the first frame on.
        let stopper = Stopper::new(Arc::clone(&maps), latch, latched);
        let mut ports = Vec::new();
        for (index, port) in config.gateway.ports() {
            let constants = Constants {
                port: index,
                way: config.gateway.way(index),
                jumbo: port.jumbo,
                routes: true,
                authenticates: config.authentication.listens_on(index),
                enrolment: config.authentication.enrolment(),
                timeouts: load::timeouts(clock),
                limits: load::limits(config, clock),
                events_per_tick: EVENTS_PER_TICK,
            };
            let programs = load::program(&directory, &sizes, &constants)?;
            let (name, interface) = (port.name.clone(), port.interface.clone());
            let (xdp, peer) = (port.xdp, config.gateway.peer(index));
            ports.push(GuardedPort { name, interface, xdp, peer, programs, armed: None });
        }
        let slots = Slots::new(Arc::clone(&maps));
        let kept = Kept::new(&directory, &sizes)
            .map_err(|source| OpenError::ReadBack { what: "the maps".to_owned(), source })?;
        let mode = config.gateway.mode();
        let (attached, drained) = (false, None);
        let mut plane = Self {
            pins,
            directory,
            maps,
            ports,
            mode,
            egress,
            slots,
            clock,
            kept,
            attached,
            drained,
        };
        // A router's program knows its neighbourhood before the first frame.
        let Survey { left_out, .. } = plane.survey().map_err(OpenError::Survey)?;
        if let Some(left_out) = left_out.into_iter().next() {
            return Err(left_out.into());
        }
        if plane.publication().armed || plane.pins.all_links().unwrap_or_default().is_empty() {
            plane.attach()?;
        }
        Ok((plane, stopper))
    }

    /// Makes every port's program guard it, lets go of ports that are not in the configuration any
    /// more, and forgets maps of other sizes or layouts. [`DataPlane::open`] has done so already,
    /// unless the maps are fresh and programs with other maps guard the ports: those go on until an
    /// image is published for ours.
    pub fn attach(&mut self) -> Result<(), OpenError> {
        if self.attached {
            return Ok(());
        }
        self.let_go()?;
        for (index, port) in (0..).map(Port).zip(&self.ports) {
            let Some(interface) = Interface::new(&port.interface).index() else {
                let (port, interface) = (port.name.clone(), port.interface.clone());
                return Err(AttachError::NoInterface { port, interface }.into());
            };
            redirect(&self.maps, index, interface)
                .map_err(|source| OpenError::Redirect { port: port.name.clone(), source })?;
        }
        for port in (0..).map(Port).take(self.ports.len()) {
            self.arm(port)?;
        }
        for other in self.pins.all_maps().unwrap_or_default() {
            if other == self.directory {
                continue;
            }
            let removed = fault::at(Step::RemoveMaps).and_then(|()| pins::remove_directory(&other));
            if let Err(error) = removed {
                tracing::warn!(%error, directory = %other.display(), "cannot remove old maps");
            }
        }
        self.attached = true;
        self.forward().map_err(OpenError::Survey)
    }

    /// Detaches what is pinned and not wanted: a port that is gone carries nothing, and one that
    /// changes its mode cannot have both.
    fn let_go(&self) -> Result<(), OpenError> {
        let wanted: Vec<_> =
            self.ports.iter().map(|port| self.pins.link(&port.name, port.xdp)).collect();
        let links = self.pins.all_links().unwrap_or_default();
        // The guard of what leaves goes last.
        let guards: Vec<_> =
            self.ports.iter().map(|port| self.pins.egress(&port.name, self.egress)).collect();
        let mut unwanted: Vec<_> =
            links.into_iter().filter(|link| !wanted.contains(link)).collect();
        let pinned = self.pins.all_egress().unwrap_or_default();
        unwanted.extend(pinned.into_iter().filter(|pin| !guards.contains(pin)));
        for pin in unwanted {
            fault::at(Step::LetGo)
                .and_then(|()| hold::detach(&pin))
                .map_err(|source| OpenError::Detach { port: pins::port_of(&pin), source })?;
        }
        Ok(())
    }

    /// Tells a router's program what the kernel says of ports, addresses and VLANs. A bridge does not
    /// ask.
    pub fn survey(&self) -> io::Result<Survey> {
        match self.mode {
            Mode::Bridge => Ok(neighbourhood::introduce(&self.maps, &self.ports)),
            Mode::Router => {
                fault::at(Step::Survey)?;
                neighbourhood::survey(&self.maps, &self.ports)
            }
        }
    }

    /// Keeps a router's kernel forwarding what the programs of its guarded ports leave to it.
    pub fn forward(&self) -> io::Result<()> {
        match self.mode {
            Mode::Bridge => Ok(()),
            Mode::Router => {
                fault::at(Step::Forward)?;
                neighbourhood::forward(&self.ports)
            }
        }
    }

    /// The maps, for those who read.
    pub fn maps(&self) -> Arc<Maps> {
        Arc::clone(&self.maps)
    }

    /// The reading end of the ring of events.
    pub fn ring(&self) -> io::Result<ring::Ring> {
        ring::Ring::open(&self.directory.join(firewall_common::abi::map::EVENTS))
    }

    /// The kernel's tick.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// The ports, by [`Port`].
    pub fn ports(&self) -> &[GuardedPort] {
        &self.ports
    }

    /// The slots that names own.
    pub fn slots(&mut self) -> &mut Slots {
        &mut self.slots
    }

    /// Whether an image is in force.
    pub fn publication(&self) -> Publication {
        stop::publication(&self.maps)
    }
}

fn redirect(maps: &Maps, port: Port, interface: u32) -> io::Result<()> {
    fault::at(Step::Redirect)?;
    // `struct bpf_devmap_val`: the interface, and no program behind it.
    let value = [interface, 0];
    maps.ports.iter().try_for_each(|map| {
        // SAFETY: the key is four bytes, the value eight.
        unsafe { sys::map_update(map.as_fd(), &u32::from(port.0), &value) }
    })
}

/// Measures the kernel's tick with a clock program of its own, for those who have no data plane.
pub fn measure_clock(config: &Config) -> Result<Clock, OpenError> {
    let sizes = sizes(config);
    let pins = Pins::of(config);
    pins.prepare(&sizes)?;
    let clock = load::clock(&pins.maps(&sizes), &sizes)?;
    Clock::measure(clock.as_fd()).map_err(OpenError::Clock)
}

/// How large the maps are under that configuration.
pub fn sizes(config: &Config) -> Sizes {
    let capacity = capacity(config);
    Sizes::new(capacity.nodes, capacity.rules, capacity.flows, capacity.lines)
}

/// How much a policy may need under that configuration.
pub fn capacity(config: &Config) -> Capacity {
    let crate::config::Capacity { nodes, rules, flows } = config.capacity;
    Capacity::new(nodes, rules, flows)
}
