//! What keeps a program of ours in its place when the daemon is gone: a pinned link, or a filter of
//! the clsact qdisc.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use super::clsact;
use super::interface::Interface;
use super::pins::{self, Pins};
use super::sys;
use crate::config::{Config, Mode};
use crate::fault::{self, Step};

/// How the egress guard is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EgressHook {
    /// By a tcx link, before all other programs. Linux 6.6 and later.
    Tcx,
    /// By the first filter of the clsact qdisc.
    Clsact,
}

impl EgressHook {
    /// What the running kernel has.
    pub fn of_kernel() -> io::Result<Self> {
        Ok(Self::of_release(&fs::read_to_string("/proc/sys/kernel/osrelease")?))
    }

    /// What a kernel has whose release (`uname -r`) is that.
    fn of_release(release: &str) -> Self {
        let mut numbers = release.split(|character: char| !character.is_ascii_digit());
        let mut number = || numbers.next().and_then(|number| number.parse::<u32>().ok());
        match (number(), number()) {
            (Some(major), Some(minor)) if (major, minor) < (6, 6) => Self::Clsact,
            (_, _) => Self::Tcx,
        }
    }
}

/// See the [module](self).
pub(super) enum Hold {
    /// A link.
    Link(OwnedFd),
    /// A filter; what is pinned is its program.
    Filter {
        /// The index of the interface that it was made on.
        interface: u32,
        /// The program that it was made with.
        program: OwnedFd,
    },
}

/// What is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holding {
    /// The index of the interface; 0 once it, or the hold on it, is gone.
    pub(super) interface: u32,
    /// The number of the program that runs there.
    pub(super) program: u32,
}

impl Hold {
    /// What is pinned there, of an interface of that index.
    pub(super) fn open(pin: &Path, interface: u32) -> io::Result<Self> {
        let object = sys::open_pin(pin)?;
        Ok(match pins::hook_of(pin) {
            EgressHook::Tcx => Self::Link(object),
            EgressHook::Clsact => Self::Filter { interface, program: object },
        })
    }

    /// What is pinned for it.
    pub(super) fn object(&self) -> &OwnedFd {
        match self {
            Self::Link(link) => link,
            Self::Filter { program, .. } => program,
        }
    }

    /// What it holds now.
    pub(super) fn holding(&self) -> io::Result<Holding> {
        match self {
            Self::Link(link) => {
                let sys::LinkInfo { interface, program, .. } = sys::link_info(link.as_fd())?;
                Ok(Holding { interface, program })
            }
            Self::Filter { interface, .. } => Ok(match clsact::program(*interface)? {
                Some(program) => Holding { interface: *interface, program },
                None => Holding { interface: 0, program: 0 },
            }),
        }
    }

    /// Whether that object, which was pinned for it, is what should be.
    pub(super) fn is_pinned(&self, object: &OwnedFd) -> io::Result<bool> {
        match self {
            Self::Link(link) => {
                let pinned = sys::link_info(object.as_fd());
                let link = sys::link_info(link.as_fd())?;
                Ok(pinned.is_ok_and(|pinned| pinned.is_same(&link)))
            }
            Self::Filter { program, .. } => {
                let pinned = sys::program_info(object.as_fd());
                let program = sys::program_info(program.as_fd())?;
                Ok(pinned.is_ok_and(|pinned| pinned == program))
            }
        }
    }
}

/// Whether what a port has pinned holds that interface.
pub fn is_guarded(bpf_directory: &Path, port: &crate::config::Port, interface: &Interface) -> bool {
    let pins = Pins::new(bpf_directory);
    let Some(index) = interface.index() else { return false };
    let holds = |pin: &Path| {
        let holding = Hold::open(pin, index).and_then(|hold| hold.holding());
        holding.is_ok_and(|holding| holding.interface == index)
    };
    let mut guards = [EgressHook::Tcx, EgressHook::Clsact].into_iter();
    holds(&pins.link(&port.name, port.xdp))
        && guards.any(|hook| holds(&pins.egress(&port.name, hook)))
}

/// Takes enforcement away: detaches and removes every link, filter and map. The latch stays.
///
/// A router whose ports are not guarded any more must not forward: the kernel stops first.
pub fn detach_all(config: &Config) -> io::Result<Vec<String>> {
    let pins = Pins::new(&config.bpf.directory);
    match config.gateway.mode() {
        Mode::Bridge => {}
        Mode::Router => {
            for (_, port) in config.gateway.ports() {
                fault::at(Step::StopForwarding)?;
                Interface::new(&port.interface).stop_forwarding()?;
            }
        }
    }
    let links = match pins.all_links() {
        Ok(links) => links,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let guards = pins.all_egress().unwrap_or_default();
    for pin in links.iter().chain(&guards) {
        detach(pin)?;
    }
    for directory in pins.all_maps()?.into_iter().chain(pins.trials()?) {
        pins::remove_directory(&directory)?;
    }
    fs::remove_dir(pins.links())?;
    match fs::remove_dir(pins.egress_directory()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        removed => removed?,
    }
    fs::remove_dir(pins.directory())?;
    Ok(links.iter().map(|link| pins::port_of(link)).collect())
}

/// Detaches what is pinned there, wherever it is, and removes the pin.
pub(super) fn detach(pin: &Path) -> io::Result<()> {
    let object = sys::open_pin(pin)?;
    fault::at(Step::Detach)?;
    match pins::hook_of(pin) {
        EgressHook::Tcx => sys::link_detach(object.as_fd())?,
        EgressHook::Clsact => {
            let program = sys::program_info(object.as_fd())?.id;
            for interface in &nix::net::if_::if_nameindex()? {
                let index = interface.index();
                if clsact::program(index)? == Some(program) {
                    clsact::detach(index)?;
                }
            }
        }
    }
    fault::at(Step::Unpin)?;
    fs::remove_file(pin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_have_tcx_from_6_6_on() {
        for release in ["6.1.0-56-cloud-amd64", "6.5", "5.15.0-130-generic", "6.1\n"] {
            assert_eq!(EgressHook::of_release(release), EgressHook::Clsact, "{release}");
        }
        for release in ["6.6.0", "6.12.117+deb12-cloud-amd64", "6.18.44", "7.0-rc1", "10.1\n", ""] {
            assert_eq!(EgressHook::of_release(release), EgressHook::Tcx, "{release}");
        }
    }
}
