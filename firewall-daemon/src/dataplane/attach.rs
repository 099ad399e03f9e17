//! From a loaded program to a port that it guards.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use super::clsact;
use super::hold::{EgressHook, Hold, Holding};
use super::interface::{Interface, VlanStripping};
use super::load::Loaded;
use super::pins::Pins;
use super::sys::{self, XdpFlags};
use crate::config::{Mode, Xdp};
use crate::fault::{self, Step};

/// Why a port is not guarded.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// There is no such interface.
    #[error("port {port}: there is no interface {interface}")]
    NoInterface {
        /// The port.
        port: String,
        /// The interface.
        interface: String,
    },
    /// Its card hides VLAN tags, and goes on doing so.
    #[error("port {port}: {interface} strips VLAN tags and does not stop when told to")]
    VlanStripping {
        /// The port.
        port: String,
        /// The interface.
        interface: String,
    },
    /// The driver cannot run XDP programs.
    #[error("port {port}: {interface} cannot run XDP programs in its driver: {source}")]
    NotNative {
        /// The port.
        port: String,
        /// The interface.
        interface: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// Somebody else's program is attached.
    #[error("port {port}: another XDP program is attached to {interface}")]
    Occupied {
        /// The port.
        port: String,
        /// The interface.
        interface: String,
    },
    /// Something else failed.
    #[error("port {port}: cannot {what} {interface}: {source}")]
    Io {
        /// The port.
        port: String,
        /// The interface.
        interface: String,
        /// What failed.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The kernel did as asked, but another program is attached now.
    #[error("port {port}: {interface} does not run the program that was attached")]
    NotOurs {
        /// The port.
        port: String,
        /// The interface.
        interface: String,
    },
}

impl AttachError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::NoInterface { port, .. } => {
                format!("`ip link` lists them; name one under [port.{port}] interface")
            }
            Self::VlanStripping { interface, .. } => {
                format!(
                    "try `ethtool -K {interface} rxvlan off rx-vlan-stag-hw-parse off`, or use another card"
                )
            }
            Self::NotNative { port, .. } => format!(
                "under [port.{port}] set xdp = \"generic\" (slower), or jumbo = true if its MTU is above \
                 1500 and it can do that; or use another card"
            ),
            Self::Occupied { interface, .. } => {
                format!("look with `bpftool net show dev {interface}` whose it is, and detach it")
            }
            Self::Io { .. } => "cordond needs root on the gateway itself".to_owned(),
            Self::NotOurs { interface, .. } => {
                format!("somebody else changes {interface} at the same time; find out who")
            }
        }
    }
}

/// What is attached where.
pub struct Target<'a> {
    /// The port's name.
    pub port: &'a str,
    /// The interface's name.
    pub interface: &'a str,
    /// Where the program is to run.
    pub xdp: Xdp,
    /// How the egress guard is attached.
    pub egress: EgressHook,
    /// What the interface is to be ready for.
    pub mode: Mode,
}

/// Makes the programs guard the port; returns its interface's index. A link that is pinned and still
/// holds the interface, or a filter that is there, gets the program swapped, with no frame unseen
/// between; otherwise a new one is made and pinned.
///
/// The egress guard comes first: until the port's own program runs, the kernel would forward what
/// comes in, and nothing that it forwards may leave by a port that waits for its guard.
pub fn attach(target: &Target<'_>, programs: &Loaded, pins: &Pins) -> Result<u32, AttachError> {
    let Target { port, interface: name, xdp, egress, mode } = *target;
    let (port, interface) = (port.to_owned(), name.to_owned());
    let failed = |what| {
        let (port, interface) = (port.clone(), interface.clone());
        move |source| AttachError::Io { port, interface, what, source }
    };
    let device = Interface::new(name);
    let Some(index) = device.index() else {
        return Err(AttachError::NoInterface { port, interface });
    };
    let stripping = device.stop_vlan_stripping().map_err(failed("read the VLAN offload of"))?;
    match stripping {
        VlanStripping::Off | VlanStripping::Absent => {}
        VlanStripping::On => return Err(AttachError::VlanStripping { port, interface }),
    }
    let guard = |program: &OwnedFd| {
        let guarded = fault::at(Step::AttachGuard).and_then(|()| match egress {
            EgressHook::Tcx => sys::link_create_egress(program.as_fd(), index).map(Some),
            EgressHook::Clsact => clsact::attach(program.as_fd(), index).map(|()| None),
        });
        guarded.map_err(failed("guard what leaves"))
    };
    let decide = |program: &OwnedFd| create(target, index, program).map(Some);
    let guards: [(_, _, Create<'_>); 2] = [
        (pins.egress(&port, egress), &programs.guard, &guard),
        (pins.link(&port, xdp), &programs.cordon, &decide),
    ];
    for (pin, program, create) in guards {
        if !adopt(&pin, index, program).map_err(failed("swap the program of"))? {
            // A filter has no object of its own: its program is pinned.
            let link = create(program)?;
            let object = link.as_ref().unwrap_or(program);
            fault::at(Step::PinLink)
                .and_then(|()| sys::pin(object.as_fd(), &pin))
                .map_err(failed("pin the link of"))?;
        }
        fault::at(Step::ReadBackLink).map_err(failed("read back the link of"))?;
        let hold = Hold::open(&pin, index).map_err(failed("open the pinned link of"))?;
        let Holding { interface: held, program: running } =
            hold.holding().map_err(failed("read back the link of"))?;
        let ours =
            sys::program_info(program.as_fd()).map_err(failed("read back the program of"))?;
        if running != ours.id || held != index {
            return Err(AttachError::NotOurs { port: port.clone(), interface: interface.clone() });
        }
    }
    let prepared = fault::at(Step::BringUp).and_then(|()| match mode {
        Mode::Bridge => device.prepare_for_bridge(),
        Mode::Router => device.prepare_for_router(),
    });
    prepared.map_err(failed("bring up")).map(|()| index)
}

/// Makes a link, or something that needs none.
type Create<'a> = &'a dyn Fn(&OwnedFd) -> Result<Option<OwnedFd>, AttachError>;

/// Swaps the program of the pinned link, if it still holds that interface. A pin that has lost its
/// interface looks healthy; it is removed, and so is that of a filter's program: the filter stays,
/// and the one to come takes its place.
fn adopt(pin: &Path, interface: u32, program: &OwnedFd) -> io::Result<bool> {
    let hold = match Hold::open(pin, interface) {
        Ok(hold) => hold,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match &hold {
        Hold::Link(link) if hold.holding()?.interface == interface => {
            fault::at(Step::SwapProgram)?;
            sys::link_update(link.as_fd(), program.as_fd())?;
            Ok(true)
        }
        Hold::Link(_) | Hold::Filter { .. } => fs::remove_file(pin).map(|()| false),
    }
}

fn create(target: &Target<'_>, index: u32, program: &OwnedFd) -> Result<OwnedFd, AttachError> {
    let (port, interface) = (target.port.to_owned(), target.interface.to_owned());
    let flags = match target.xdp {
        Xdp::Native => XdpFlags::Native,
        Xdp::Generic => XdpFlags::Generic,
    };
    let created = fault::at(Step::AttachProgram)
        .and_then(|()| sys::link_create(program.as_fd(), index, flags));
    created.map_err(|source| {
        let taken = [nix::libc::EBUSY, nix::libc::EEXIST];
        if source.raw_os_error().is_some_and(|errno| taken.contains(&errno)) {
            return AttachError::Occupied { port, interface };
        }
        match flags {
            XdpFlags::Native => AttachError::NotNative { port, interface, source },
            XdpFlags::Generic => {
                AttachError::Io { port, interface, what: "attach the program to", source }
            }
        }
    })
}
