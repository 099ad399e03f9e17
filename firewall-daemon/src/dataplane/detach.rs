//! Taking enforcement away, on purpose.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use super::interface::Interface;
use super::pins::{self, Pins};
use super::sys;
use crate::config::{Config, Mode};

/// Takes enforcement away: detaches and removes every link and every map. The latch stays.
///
/// A router whose ports are not guarded any more must not forward: the kernel stops first.
pub fn detach_all(config: &Config) -> io::Result<Vec<String>> {
    let pins = Pins::new(&config.bpf.directory);
    match config.gateway.mode() {
        Mode::Bridge => {}
        Mode::Router => {
            for (_, port) in config.gateway.ports() {
                Interface::new(&port.interface).stop_forwarding()?;
            }
        }
    }
    let links = match pins.all_links() {
        Ok(links) => links,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let guards = pins.all_egress_links().unwrap_or_default();
    for link in links.iter().chain(&guards) {
        detach(link)?;
    }
    for directory in pins.all_maps()?.into_iter().chain(pins.trials()?) {
        pins::remove_directory(&directory)?;
    }
    fs::remove_dir(pins.links())?;
    match fs::remove_dir(pins.egress_links()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        removed => removed?,
    }
    fs::remove_dir(pins.directory())?;
    Ok(links.iter().map(|link| pins::port_of(link)).collect())
}

/// Detaches a pinned link, and removes the pin.
pub(super) fn detach(link: &Path) -> io::Result<()> {
    sys::link_detach(sys::open_pin(link)?.as_fd())?;
    fs::remove_file(link)
}
