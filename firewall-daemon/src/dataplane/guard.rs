//! The guard of the guard: whether everything in the kernel is still as it was made, and made so
//! again where it is not.
//!
//! What is wanted is kept here, what is there is read, [`finding`] compares. Whoever may change the
//! kernel behind our back (root, or a process with our descriptors) can undo all of it again; what
//! is mended is told, so that somebody looks.

mod digest;
pub mod finding;
mod kept;

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use firewall_common::abi::Publication;
use firewall_common::{Generation, Port};
use firewall_policy::Names;

use self::finding::{Device, Finding, Hook, Seen, Wanted};
pub(super) use self::kept::{Armed, Kept};
use self::kept::{Held, KeptImage, identify};
use super::attach::{self, Target};
use super::interface::{Interface, VlanStripping};
use super::neighbourhood::Survey;
use super::pins::PinsError;
use super::stop::{Stopper, bump};
use super::sys;
use super::{ActivateError, DataPlane, GuardedPort, OpenError, redirect};
use crate::config::Mode;
use crate::fault::{self, Step};

/// How much is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// The ports: when the kernel says that an interface has changed.
    Ports,
    /// The pins, the image and the stops, too.
    Everything,
}

/// Something that was found.
#[derive(Debug)]
pub struct Outcome {
    /// The port; `None` where it is about all of them.
    pub port: Option<String>,
    /// What.
    pub finding: Finding,
    /// In a sentence.
    pub sentence: String,
    /// Whether it is as it should be again.
    pub mended: Result<(), MendError>,
}

/// Why something is still not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum MendError {
    /// It is not for the daemon to mend.
    #[error("nothing that the daemon mends")]
    NotOurs,
    /// The port could not be armed.
    #[error(transparent)]
    Arm(#[from] OpenError),
    /// The directory of pins cannot be used.
    #[error(transparent)]
    Pins(#[from] PinsError),
    /// The image could not be published again.
    #[error(transparent)]
    Activate(#[from] ActivateError),
    /// The card goes on hiding tags.
    #[error("it does not stop when told to")]
    VlanStripping,
    /// Something else failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl DataPlane {
    /// Makes a port's program guard the interface of that name, and the interface the way out of its
    /// peer; again, if it is another interface than before. Nothing leaves by it before it is guarded.
    pub(super) fn arm(&mut self, index: Port) -> Result<(), OpenError> {
        let Some(port) = self.ports.get_mut(usize::from(index.0)) else { return Ok(()) };
        let GuardedPort { name, interface, xdp, programs, .. } = port;
        let (mode, egress) = (self.mode, self.egress);
        let target = Target { port: name, interface, xdp: *xdp, egress, mode };
        let number = attach::attach(&target, programs, &self.pins)?;
        let failed = |source| OpenError::ReadBack { what: format!("port {name}"), source };
        let pins = [self.pins.link(name, *xdp), self.pins.egress(name, egress)];
        let pins = pins.each_ref().map(|pin| &**pin);
        let armed = Armed::new(pins, number, programs).map_err(failed)?;
        redirect(&self.maps, index, armed.interface())
            .map_err(|source| OpenError::Redirect { port: port.name.clone(), source })?;
        port.armed = Some(armed);
        Ok(())
    }

    /// Looks whether everything is as it was made, and mends what is not. Holds no lock that a stop
    /// waits for while it does. `names` are those of the policy in force.
    pub fn guard(&mut self, look: Look, names: &Names, stopper: &Stopper) -> Vec<Outcome> {
        fault::before(Step::Look);
        let mut outcomes = Vec::new();
        // A port that was made again is closed until it is armed: first.
        for port in (0..).map(Port).take(self.ports.len()) {
            self.guard_port(port, &mut outcomes);
        }
        let untold = self.tell();
        match look {
            Look::Ports => return outcomes,
            Look::Everything => outcomes.extend(untold),
        }
        for what in stopper.reinforce(names) {
            outcomes.push(about_all(Finding::Lifted { what }, Ok(())));
        }
        let maps = self.lost_pins();
        if !maps.is_empty() {
            outcomes.push(about_all(Finding::MapPins { maps }, self.pin_maps()));
        }
        if let Some(finding) = self.changed_publication() {
            self.republish();
            outcomes.push(about_all(finding, Ok(())));
        }
        if let Some(finding) = self.changed_image() {
            let mended = self.publish_again(names, stopper);
            outcomes.push(about_all(finding, mended.map_err(MendError::from)));
        }
        outcomes
    }

    /// Tells a router's program and its kernel what has changed around them; what they cannot be told.
    fn tell(&self) -> Vec<Outcome> {
        let mut untold = Vec::new();
        match self.survey() {
            Ok(Survey { is_changed, left_out }) => {
                if is_changed {
                    bump(&self.maps);
                }
                untold.extend(left_out.into_iter().map(Finding::LeftOut));
            }
            Err(error) => {
                let (what, error) = ("the program about the ports' addresses", error.to_string());
                untold.push(Finding::Untold { what, error });
            }
        }
        if let Err(error) = self.forward() {
            let (what, error) = ("the kernel to forward", error.to_string());
            untold.push(Finding::Untold { what, error });
        }
        untold.into_iter().map(|finding| about_all(finding, Err(MendError::NotOurs))).collect()
    }

    fn guard_port(&mut self, port: Port, outcomes: &mut Vec<Outcome>) {
        let Some(GuardedPort { name, interface, .. }) = self.ports.get(usize::from(port.0)) else {
            return;
        };
        let (name, interface) = (name.clone(), interface.clone());
        for finding in self.look_at(port) {
            let (mut finding, mut mended) = (finding.clone(), self.mend(port, &finding));
            let was_tried = !matches!(mended, Err(MendError::NotOurs));
            // It has gone while it was being mended.
            if mended.is_err() && was_tried && Interface::new(&interface).index().is_none() {
                (finding, mended) = (Finding::Missing, Err(MendError::NotOurs));
            }
            let sentence = finding.sentence(&interface);
            outcomes.push(Outcome { port: Some(name.clone()), finding, sentence, mended });
        }
    }

    fn look_at(&self, port: Port) -> Vec<Finding> {
        let Some(guarded) = self.ports.get(usize::from(port.0)) else { return Vec::new() };
        let Some(armed) = &guarded.armed else { return Vec::new() };
        let interface = Interface::new(&guarded.interface);
        let mut before = interface.index();
        loop {
            let seen = self.see(port, guarded, armed);
            let now = interface.index();
            match seen {
                Ok(seen) if seen.interface.map(|device| device.index) == now => {
                    let hooks = armed.hooks.each_ref().map(|held| (held.wanted, &held.program));
                    let promiscuous = match self.mode {
                        Mode::Bridge => true,
                        Mode::Router => false,
                    };
                    let wanted = Wanted { hooks, maps: &self.kept.essential, promiscuous };
                    return finding::of_port(&wanted, &seen);
                }
                Err((what, error)) if now == before => {
                    return vec![Finding::Unreadable { what, error: error.to_string() }];
                }
                // It went or came meanwhile: half of that was about another interface.
                Ok(_) | Err(_) => before = now,
            }
        }
    }

    fn see(
        &self,
        port: Port,
        guarded: &GuardedPort,
        armed: &Armed,
    ) -> Result<Seen, (&'static str, io::Error)> {
        let reading = |what| move |error| (what, error);
        let interface = Interface::new(&guarded.interface);
        let device = match interface.index() {
            None => None,
            Some(index) => Some(Device {
                index,
                mtu: interface.mtu().map_err(reading("the MTU"))?,
                stripping: interface.vlan_stripping().map_err(reading("the VLAN offload"))?,
                switches: interface.switches().map_err(reading("whether it is up"))?,
            }),
        };
        let [ingress, egress] = &armed.hooks;
        let hooks = [
            (ingress, self.pins.link(&guarded.name, guarded.xdp), &guarded.programs.cordon),
            (egress, self.pins.egress(&guarded.name, self.egress), &guarded.programs.guard),
        ];
        let see = |(Held { hold, .. }, pin, program): (&Held, PathBuf, &OwnedFd)| {
            let pinned = found(sys::open_pin(&pin)).map_err(reading("the pin of the link"))?;
            let is_pinned = pinned.map(|pinned| hold.is_pinned(&pinned)).transpose();
            Ok(Hook {
                holding: hold.holding().map_err(reading("the link"))?,
                is_pinned: is_pinned.map_err(reading("the link"))?.unwrap_or(false),
                program: identify(program).map_err(reading("the program"))?,
            })
        };
        let [ingress, egress] = hooks.map(see);
        let way_out = |map: &OwnedFd| {
            let mut way_out = [0_u32; 2];
            // SAFETY: the key is four bytes, the value eight.
            let looked_up =
                unsafe { sys::map_lookup(map.as_fd(), &u32::from(port.0), &mut way_out) };
            Ok(found(looked_up).map_err(reading("the way out"))?.map(|()| way_out))
        };
        let [whole, in_pieces] = self.maps.ports.each_ref().map(way_out);
        let ways_out = [whole?, in_pieces?];
        // A peer that is away takes nothing at all.
        let peer = guarded.peer.and_then(|peer| {
            let peer = &self.ports.get(usize::from(peer.0))?.interface;
            Some((peer.clone(), Interface::new(peer).mtu().ok()?))
        });
        Ok(Seen { interface: device, hooks: [ingress?, egress?], ways_out, peer })
    }

    fn mend(&mut self, port: Port, finding: &Finding) -> Result<(), MendError> {
        let Some(guarded) = self.ports.get(usize::from(port.0)) else { return Ok(()) };
        let interface = Interface::new(&guarded.interface);
        match finding {
            Finding::Recreated { .. } | Finding::Detached { .. } | Finding::Replaced { .. } => {
                self.arm(port).map_err(MendError::from)
            }
            Finding::LinkPin { .. } => {
                self.pins.prepare(&self.maps.sizes)?;
                let Some(Armed { hooks: [ingress, egress] }) = &guarded.armed else {
                    return Ok(());
                };
                pin_again(ingress.hold.object(), &self.pins.link(&guarded.name, guarded.xdp))?;
                pin_again(egress.hold.object(), &self.pins.egress(&guarded.name, self.egress))
            }
            Finding::WayOut { .. } => {
                let index = interface.index().ok_or(io::ErrorKind::NotFound);
                redirect(&self.maps, port, index.map_err(io::Error::from)?)?;
                Ok(())
            }
            Finding::VlanStripping => match interface.stop_vlan_stripping()? {
                VlanStripping::Off | VlanStripping::Absent => Ok(()),
                VlanStripping::On => Err(MendError::VlanStripping),
            },
            Finding::NotPromiscuous => Ok(interface.prepare_for_bridge()?),
            Finding::Missing
            | Finding::Renamed { .. }
            | Finding::Down
            | Finding::Narrower { .. }
            | Finding::OtherMaps
            | Finding::MapPins { .. }
            | Finding::Image { .. }
            | Finding::Publication { .. }
            | Finding::Lifted { .. }
            | Finding::LeftOut(_)
            | Finding::Untold { .. }
            | Finding::Unreadable { .. } => Err(MendError::NotOurs),
        }
    }

    fn lost_pins(&self) -> Vec<&'static str> {
        let maps = self.kept.maps.iter();
        maps.filter(|kept| !kept.is_pinned(&self.directory)).map(|kept| kept.name).collect()
    }

    fn pin_maps(&self) -> Result<(), MendError> {
        self.pins.prepare(&self.maps.sizes)?;
        for kept in self.kept.maps.iter().filter(|kept| !kept.is_pinned(&self.directory)) {
            pin_again(&kept.map, &self.directory.join(kept.name))?;
        }
        Ok(())
    }

    /// Also remembers the generation, which goes up with every stop.
    fn changed_publication(&mut self) -> Option<Finding> {
        let found = self.publication();
        let KeptImage { published, .. } = self.kept.image.as_mut()?;
        let finding = finding::of_publication(*published, found);
        if finding.is_none() {
            published.generation = found.generation;
        }
        finding
    }

    /// Under a new generation: flows that were allowed meanwhile are asked everything again.
    fn republish(&mut self) {
        let Some(KeptImage { published, .. }) = &mut self.kept.image else { return };
        let again = |word| {
            let found = Publication::decode(word).generation.0;
            let ahead = found.wrapping_sub(published.generation.0);
            let last = if ahead <= u32::MAX / 2 { found } else { published.generation.0 };
            Some(
                Publication { generation: Generation(last.wrapping_add(1)), ..*published }.encode(),
            )
        };
        let word = &self.maps.control().publication;
        // The closure never refuses.
        let _ = word.atomic().fetch_update(SeqCst, SeqCst, again);
        published.generation = super::stop::publication(&self.maps).generation;
    }

    fn changed_image(&self) -> Option<Finding> {
        let KeptImage { lines, digest, published } = self.kept.image.as_ref()?;
        let half = self.maps.image.get(published.half as usize * self.maps.lines..)?;
        let there = half.get(..lines.len())?;
        let words = there.iter().map(|line| line.0.each_ref().map(|word| word.load(Relaxed)));
        if self.kept.key.digest(words.clone()) == *digest {
            return None;
        }
        let line = words.zip(lines).position(|(there, line)| there != line.0);
        Some(Finding::Image { line: line.unwrap_or_default() })
    }

    /// The kept lines, in the other half.
    fn publish_again(&mut self, names: &Names, stopper: &Stopper) -> Result<(), ActivateError> {
        let Some(mut image) = self.kept.image.take() else { return Ok(()) };
        let published = self.publish(&image.lines, names, stopper);
        let result = published.map(|published| image.published = published);
        self.kept.image = Some(image);
        result
    }
}

fn about_all(finding: Finding, mended: Result<(), MendError>) -> Outcome {
    Outcome { port: None, sentence: finding.sentence(""), finding, mended }
}

/// What is not there is no error.
fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// In the place of whatever lies there.
fn pin_again(object: &OwnedFd, path: &Path) -> Result<(), MendError> {
    found(fs::remove_file(path))?;
    sys::pin(object.as_fd(), path)?;
    Ok(())
}
