//! Loads the object: once for every port, with that port's constants.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use aya::maps::MapError;
use aya::programs::{Program, ProgramError, SchedClassifier};
use aya::{Ebpf, EbpfError, EbpfLoader};
use firewall_common::Port;
use firewall_common::abi::Timeouts;
use firewall_common::flow::table::buckets_for;
use firewall_common::quota::Limits;
use firewall_common::tables::Way;

use super::clock::Clock;
use super::maps::Sizes;
use crate::config::Config;
use crate::fault::{self, Step};

/// The eBPF object, built from source by `cargo xtask build`.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/firewall-ebpf.o"));

/// What a port's program is told once and for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Constants {
    /// Its port.
    pub port: Port,
    /// How its frames cross the gateway.
    pub way: Way,
    /// Whether its frames may come in pieces (multi-buffer XDP).
    pub jumbo: bool,
    /// Whether a router looks up routes, or leaves every packet to the kernel.
    pub routes: bool,
    /// Whether an authenticator speaks IEEE 802.1X with the nodes on it.
    pub authenticates: bool,
    /// The TCP port at which the gateway grants leases; 0 if it does not.
    pub enrolment: u16,
    /// How long flows live.
    pub timeouts: Timeouts,
    /// How many flows one node may open.
    pub limits: Limits,
    /// Events that one CPU may write in one tick.
    pub events_per_tick: u32,
}

/// Why the object did not load.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// This build has no object in it.
    #[error("this cordond was built without its eBPF object")]
    Missing,
    /// The kernel makes no such map.
    #[error("the kernel does not make the map {name}: {source}")]
    Map {
        /// Which map.
        name: String,
        /// Why not.
        source: io::Error,
    },
    /// The object, its maps or its relocations are not accepted.
    #[error("cannot load the eBPF object: {0}")]
    Object(#[source] Box<EbpfError>),
    /// The kernel's verifier refuses the program.
    #[error("the kernel refuses the program {name}: {source}")]
    Program {
        /// Which program.
        name: &'static str,
        /// Why; with the end of the verifier's log.
        source: Box<ProgramError>,
    },
    /// The object lacks a program.
    #[error("the eBPF object has no program {name}")]
    Absent {
        /// Which program.
        name: &'static str,
    },
}

impl LoadError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing | Self::Absent { .. } => "build with `cargo xtask build`",
            Self::Map { .. } => {
                "the kernel must have memory for all flows, nodes and rules: lower [capacity], or \
                 free some; and making maps needs root"
            }
            Self::Object(_) | Self::Program { .. } => {
                "loading needs root (CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON) and Linux 6.1 or later \
                 with BTF"
            }
        }
    }
}

/// A loaded program of one port. The maps it uses are pinned in the directory it was loaded with.
pub struct Loaded {
    /// The program that decides over what comes in.
    pub cordon: OwnedFd,
    /// The program that decides over what the gateway's kernel sends.
    pub guard: OwnedFd,
}

/// Loads a port's program. Maps that are pinned in the directory are used, the others are made and
/// pinned there.
pub fn program(
    directory: &Path,
    sizes: &Sizes,
    constants: &Constants,
) -> Result<Loaded, LoadError> {
    let mut object = object(directory, sizes, Some(constants))?;
    let decide = if constants.jumbo { "cordon_jumbo" } else { "cordon" };
    Ok(Loaded { cordon: load(&mut object, decide)?, guard: load(&mut object, "guard")? })
}

/// Loads the program that tells the kernel's tick.
pub fn clock(directory: &Path, sizes: &Sizes) -> Result<OwnedFd, LoadError> {
    let mut object = object(directory, sizes, None)?;
    load(&mut object, "clock")
}

fn object(
    directory: &Path,
    sizes: &Sizes,
    constants: Option<&Constants>,
) -> Result<Ebpf, LoadError> {
    if OBJECT.is_empty() {
        return Err(LoadError::Missing);
    }
    let mut loader = EbpfLoader::new();
    for shape in sizes.shapes() {
        loader.map_pin_path(shape.name, directory.join(shape.name));
        loader.map_max_entries(shape.name, shape.max_entries);
    }
    let globals = globals(sizes, constants);
    for (name, value) in &globals {
        loader.override_global(name, value, true);
    }
    let made = fault::at(Step::MakeMaps)
        .map_err(|io_error| MapError::CreateError { name: "CONTROL".to_owned(), io_error }.into());
    made.and_then(|()| loader.load(OBJECT)).map_err(refused)
}

fn refused(error: EbpfError) -> LoadError {
    if let EbpfError::MapError(MapError::CreateError { name, io_error: source }) = error {
        return LoadError::Map { name, source };
    }
    LoadError::Object(Box::new(error))
}

fn globals(sizes: &Sizes, constants: Option<&Constants>) -> Vec<(&'static str, u32)> {
    let mut globals = vec![("LINES", sizes.lines), ("BUCKETS", buckets_for(sizes.flows))];
    if let Some(constants) = constants {
        let Constants {
            port,
            way,
            jumbo: _,
            routes,
            authenticates,
            enrolment,
            timeouts,
            limits,
            events_per_tick,
        } = constants;
        let (is_router, peer) = match way {
            Way::Bridge { peer } => (false, peer.0),
            Way::Router => (true, 0),
        };
        let Timeouts { half_open, tcp, tcp_closing, tcp_closed, datagram, fragment } = *timeouts;
        globals.extend([
            ("PORT", u32::from(port.0)),
            ("PEER", u32::from(peer)),
            ("IS_ROUTER", is_router.into()),
            ("ROUTES", (*routes).into()),
            ("AUTHENTICATES", (*authenticates).into()),
            ("ENROLMENT", (*enrolment).into()),
            ("EVENTS_PER_TICK", *events_per_tick),
            ("LIMIT_HALF_OPEN", limits.half_open),
            ("LIMIT_NEW_FLOWS", limits.new_flows),
            ("TICKS_PER_SECOND", limits.second),
            ("TIMEOUT_HALF_OPEN", half_open),
            ("TIMEOUT_TCP", tcp),
            ("TIMEOUT_TCP_CLOSING", tcp_closing),
            ("TIMEOUT_TCP_CLOSED", tcp_closed),
            ("TIMEOUT_DATAGRAM", datagram),
            ("TIMEOUT_FRAGMENT", fragment),
        ]);
    }
    globals
}

fn load(object: &mut Ebpf, name: &'static str) -> Result<OwnedFd, LoadError> {
    let failed = |source| LoadError::Program { name, source: Box::new(source) };
    let program = object.program_mut(name).ok_or(LoadError::Absent { name })?;
    fault::at(Step::LoadProgram).map_err(|error| failed(ProgramError::IOError(error)))?;
    let fd = if let Program::Xdp(program) = program {
        program.load().map_err(failed)?;
        program.fd()
    } else {
        let program: &mut SchedClassifier = program.try_into().map_err(failed)?;
        program.load().map_err(failed)?;
        program.fd()
    };
    let fd = fd.map_err(failed)?;
    fd.as_fd().try_clone_to_owned().map_err(|error| failed(ProgramError::IOError(error)))
}

/// The tick frequency that timeouts are counted in.
pub fn timeouts(clock: Clock) -> Timeouts {
    Timeouts::defaults(clock.hz())
}

/// What the configuration lets one node open.
pub fn limits(config: &Config, clock: Clock) -> Limits {
    let crate::config::Limits { half_open, new_flows } = config.limits;
    Limits { half_open, new_flows, second: clock.hz() }
}
