//! What the data plane remembers of what it made.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use firewall_common::abi::{Publication, map};
use firewall_common::image::Line;

use super::digest::Key;
use super::finding::Program;
use crate::dataplane::hold::{Hold, Holding};
use crate::dataplane::load::Loaded;
use crate::dataplane::maps::Sizes;
use crate::dataplane::sys::{self, MapInfo};

/// A port's programs and what holds them, as they were attached: of what comes in, and of what
/// leaves.
pub(in crate::dataplane) struct Armed {
    pub(super) hooks: [Held; 2],
}

/// What holds a program, and the program.
pub(super) struct Held {
    pub(super) hold: Hold,
    pub(super) wanted: Holding,
    pub(super) program: Program,
}

impl Armed {
    /// What was just attached to that interface and pinned at these places.
    pub(in crate::dataplane) fn new(
        pins: [&Path; 2],
        interface: u32,
        programs: &Loaded,
    ) -> io::Result<Self> {
        let [ingress, egress] = pins;
        let ingress = Held::new(ingress, interface, &programs.cordon)?;
        let egress = Held::new(egress, interface, &programs.guard)?;
        Ok(Self { hooks: [ingress, egress] })
    }

    /// The index of its interface.
    pub(in crate::dataplane) fn interface(&self) -> u32 {
        self.hooks[0].wanted.interface
    }
}

impl Held {
    fn new(pin: &Path, interface: u32, program: &OwnedFd) -> io::Result<Self> {
        let hold = Hold::open(pin, interface)?;
        let wanted = hold.holding()?;
        Ok(Self { hold, wanted, program: identify(program)? })
    }
}

/// What the data plane remembers of what it made.
pub(in crate::dataplane) struct Kept {
    pub(super) maps: Vec<KeptMap>,
    /// The maps that the daemon writes and every program reads.
    pub(super) essential: Vec<u32>,
    pub(super) image: Option<KeptImage>,
    pub(super) key: Key,
}

/// A map, and what the kernel says of it.
pub(super) struct KeptMap {
    pub(super) name: &'static str,
    pub(super) map: OwnedFd,
    info: MapInfo,
}

impl KeptMap {
    /// Whether what lies in that directory under its name is this map.
    pub(super) fn is_pinned(&self, directory: &Path) -> bool {
        let pinned = sys::open_pin(&directory.join(self.name));
        let info = pinned.and_then(|pinned| sys::map_info(pinned.as_fd()));
        info.is_ok_and(|info| info == self.info)
    }
}

/// The image in force, to be told apart from another one and to be published again.
pub(super) struct KeptImage {
    pub(super) lines: Vec<Line>,
    pub(super) digest: u64,
    pub(super) published: Publication,
}

impl Kept {
    /// The maps that are pinned in that directory, and no image.
    pub(in crate::dataplane) fn new(directory: &Path, sizes: &Sizes) -> io::Result<Self> {
        let mut maps = Vec::new();
        for shape in sizes.shapes() {
            let map = sys::open_pin(&directory.join(shape.name))?;
            let info = sys::map_info(map.as_fd())?;
            maps.push(KeptMap { name: shape.name, map, info });
        }
        let is_essential = |kept: &&KeptMap| [map::CONTROL, map::IMAGE].contains(&kept.name);
        let essential = maps.iter().filter(is_essential).map(|kept| kept.info.id).collect();
        Ok(Self { maps, essential, image: None, key: Key::random() })
    }

    /// Remembers the image that was just published.
    pub(in crate::dataplane) fn image(&mut self, lines: Vec<Line>, published: Publication) {
        let digest = self.key.digest(lines.iter().map(|line| line.0));
        self.image = Some(KeptImage { lines, digest, published });
    }
}

/// What tells a program from others.
pub(super) fn identify(program: &OwnedFd) -> io::Result<Program> {
    let sys::ProgramInfo { id, tag, .. } = sys::program_info(program.as_fd())?;
    Ok(Program { id, tag, maps: sys::program_maps(program.as_fd())? })
}
