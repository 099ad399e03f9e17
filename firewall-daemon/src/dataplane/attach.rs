//! From a loaded program to a port that it guards.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::interface::{Interface, VlanStripping};
use super::load::Loaded;
use super::pins::Pins;
use super::sys::{self, XdpFlags};
use crate::config::{Mode, Xdp};

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
                "set xdp = \"generic\" under [port.{port}] (slower), lower the MTU to 1500, or use \
                 another card"
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
    /// What the interface is to be ready for.
    pub mode: Mode,
}

/// Makes the program guard the port. A link that is pinned and still holds the interface gets the
/// program swapped, with no frame unseen between; otherwise a new link is made and pinned.
///
/// The egress guard comes first: until the port's own program runs, the kernel would forward what
/// comes in, and nothing that it forwards may leave by a port that waits for its guard.
pub fn attach(target: &Target<'_>, programs: &Loaded, pins: &Pins) -> Result<(), AttachError> {
    let Target { port, interface: name, .. } = *target;
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
    let egress = |program: &OwnedFd| {
        sys::link_create_egress(program.as_fd(), index).map_err(failed("guard what leaves"))
    };
    let ingress = |program: &OwnedFd| create(target, index, program);
    let guards: [(_, _, Create<'_>); 2] = [
        (pins.egress_link(&port), &programs.guard, &egress),
        (pins.link(&port, target.xdp), &programs.cordon, &ingress),
    ];
    for (pin, program, create) in guards {
        let link = match adopt(&pin, index, program).map_err(failed("swap the program of"))? {
            Some(link) => link,
            None => {
                let link = create(program)?;
                sys::pin(link.as_fd(), &pin).map_err(failed("pin the link of"))?;
                link
            }
        };
        let information = sys::link_info(link.as_fd()).map_err(failed("read back the link of"))?;
        let ours =
            sys::program_info(program.as_fd()).map_err(failed("read back the program of"))?;
        if information.program != ours.id || information.interface != index {
            return Err(AttachError::NotOurs { port: port.clone(), interface: interface.clone() });
        }
    }
    let prepared = match target.mode {
        Mode::Bridge => device.prepare_for_bridge(),
        Mode::Router => device.prepare_for_router(),
    };
    prepared.map_err(failed("bring up"))
}

/// Makes a link for a program.
type Create<'a> = &'a dyn Fn(&OwnedFd) -> Result<OwnedFd, AttachError>;

/// The pinned link, if it still holds that interface, with its program swapped. A pin that has lost
/// its interface looks healthy; it is removed.
fn adopt(pin: &std::path::Path, interface: u32, program: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    let link = match sys::open_pin(pin) {
        Ok(link) => link,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if sys::link_info(link.as_fd())?.interface == interface {
        sys::link_update(link.as_fd(), program.as_fd())?;
        return Ok(Some(link));
    }
    fs::remove_file(pin)?;
    Ok(None)
}

fn create(target: &Target<'_>, index: u32, program: &OwnedFd) -> Result<OwnedFd, AttachError> {
    let (port, interface) = (target.port.to_owned(), target.interface.to_owned());
    let flags = match target.xdp {
        Xdp::Native => XdpFlags::Native,
        Xdp::Generic => XdpFlags::Generic,
    };
    sys::link_create(program.as_fd(), index, flags).map_err(|source| {
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
