//! What is there, compared with what should be.

use firewall_common::abi::Publication;

use crate::dataplane::hold::Holding;
use crate::dataplane::interface::{Switches, VlanStripping};
use crate::dataplane::neighbourhood::LeftOut;

/// Something that is not as the daemon made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// There is no such interface.
    Missing,
    /// There is no interface of that name, but the one that was armed is still there.
    Renamed {
        /// Its index.
        index: u32,
    },
    /// The name is another interface's than the one that was armed.
    Recreated {
        /// The index of the interface that was armed.
        before: u32,
        /// The index of the one that is there.
        now: u32,
    },
    /// The link holds no interface any more, or the filter is gone, though the interface is still
    /// there.
    Detached {
        /// Where.
        place: Place,
    },
    /// The link or the filter runs another program.
    Replaced {
        /// Where.
        place: Place,
        /// That program's number.
        program: u32,
    },
    /// What is pinned for it is missing, or another one's.
    LinkPin {
        /// Where.
        place: Place,
    },
    /// Frames for the interface go elsewhere, or nowhere.
    WayOut {
        /// The interface and the program behind it that the map names.
        found: Option<[u32; 2]>,
    },
    /// The card hides VLAN tags.
    VlanStripping,
    /// The interface takes frames for its own MAC only.
    NotPromiscuous,
    /// Somebody has switched the interface off. That may be meant as a brake: it stays off.
    Down,
    /// The interface that its frames leave by takes shorter ones only: the kernel drops the longer
    /// ones after the program has counted them as passed.
    Narrower {
        /// The longest packet of the interface's, in bytes.
        mtu: u32,
        /// The peer's interface.
        peer: String,
        /// The longest packet of its, in bytes.
        peer_mtu: u32,
    },
    /// The program does not work on the maps that the daemon writes.
    OtherMaps,
    /// Pinned maps are missing, or others lie in their place.
    MapPins {
        /// Their names.
        maps: Vec<&'static str>,
    },
    /// A line of the image in force is not what was written.
    Image {
        /// The first such line.
        line: usize,
    },
    /// The word that says which image is in force is not what was published.
    Publication {
        /// What it says.
        found: Publication,
    },
    /// A stop or an isolation that is latched was lifted in the kernel.
    Lifted {
        /// Of what.
        what: String,
    },
    /// The program cannot be told of all that there is.
    LeftOut(LeftOut),
    /// A router's program or its kernel could not be told what they must know.
    Untold {
        /// Whom of what.
        what: &'static str,
        /// Why not.
        error: String,
    },
    /// The kernel does not say how it stands.
    Unreadable {
        /// What cannot be read.
        what: &'static str,
        /// Why not.
        error: String,
    },
}

impl Finding {
    /// What is wrong, about an interface of that name.
    pub fn sentence(&self, interface: &str) -> String {
        match self {
            Self::Missing => format!("there is no interface {interface}; nothing crosses it"),
            Self::Renamed { index } => format!(
                "{interface} has another name now (index {index}); it is still guarded, and a \
                 restart of cordond wants the new name in the configuration"
            ),
            Self::Recreated { before, now } => {
                format!("{interface} was made again (index {now}, before {before})")
            }
            Self::Detached { place } => {
                format!("somebody took {} away from {interface}", place.program())
            }
            Self::Replaced { place, program } => format!(
                "somebody put program {program} in the place of {} on {interface}",
                place.ours()
            ),
            Self::LinkPin { place: Place::Ingress } => {
                format!("the pin of {interface}'s link was gone or another's")
            }
            Self::LinkPin { place: Place::Egress } => {
                format!("the pin of {interface}'s egress guard was gone or another's")
            }
            Self::WayOut { found: None } => format!("frames for {interface} had no way out"),
            Self::WayOut { found: Some([index, 0]) } => {
                format!("frames for {interface} went to the interface with index {index}")
            }
            Self::WayOut { found: Some([index, program]) } => format!(
                "frames for {interface} went through program {program} to the interface with index \
                 {index}"
            ),
            Self::VlanStripping => {
                format!("{interface} was made to hide VLAN tags from the program")
            }
            Self::NotPromiscuous => {
                format!("{interface} was made to take frames for its own MAC only")
            }
            Self::Down => format!(
                "{interface} is down and nothing crosses it; `ip link set {interface} up` when \
                 that is not meant"
            ),
            Self::Narrower { mtu, peer, peer_mtu } => format!(
                "{interface} takes packets of up to {mtu} bytes and {peer}, where they leave, \
                 {peer_mtu}: longer ones are counted as passed, and lost; give both the same MTU"
            ),
            Self::OtherMaps => format!(
                "the program on {interface} does not work on the maps of the daemon; restart \
                 cordond"
            ),
            Self::MapPins { maps } => {
                format!("pins of maps were gone or others': {}", maps.join(", "))
            }
            Self::Image { line } => {
                format!("somebody edited the policy in the kernel (line {line} of the image)")
            }
            Self::Publication { found: Publication { half, armed, generation } } => format!(
                "somebody edited which policy is in force (half {half}, generation {}, {})",
                generation.0,
                if *armed { "armed" } else { "not armed" }
            ),
            Self::Lifted { what } => format!("somebody lifted {what} in the kernel"),
            Self::LeftOut(left_out) => left_out.to_string(),
            Self::Untold { what, error } => format!("cannot tell {what}: {error}"),
            Self::Unreadable { what, error } => format!("cannot read {what}: {error}"),
        }
    }
}

impl Finding {
    /// Whether another one, of the same place, is still about the same; how much of it there is may be
    /// another.
    pub fn goes_on(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Narrower { .. }, Self::Narrower { .. }) => true,
            (Self::LeftOut(one), Self::LeftOut(other)) => one.what == other.what,
            (one, other) => one == other,
        }
    }
}

/// What a program of ours decides over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// What comes in on a port.
    Ingress,
    /// What the gateway's kernel sends out of it.
    Egress,
}

impl Place {
    const ALL: [Self; 2] = [Self::Ingress, Self::Egress];

    const fn program(self) -> &'static str {
        match self {
            Self::Ingress => "the program",
            Self::Egress => "the egress guard",
        }
    }

    const fn ours(self) -> &'static str {
        match self {
            Self::Ingress => "ours",
            Self::Egress => "the egress guard",
        }
    }
}

/// A port as it was armed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted<'a> {
    /// The programs, and what holds them to which interface; by [`Place`].
    pub(super) hooks: [(Holding, &'a Program); 2],
    /// The maps that the daemon writes and every program reads.
    pub(super) maps: &'a [u32],
    /// The interface takes frames for every MAC, as a bridge must.
    pub(super) promiscuous: bool,
}

/// A program, so that another one is told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::dataplane) struct Program {
    /// The kernel's number for it.
    pub(super) id: u32,
    /// The hash of its instructions.
    pub(super) tag: [u8; 8],
    /// The numbers of its maps.
    pub(super) maps: Vec<u32>,
}

/// A port as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The interface of that name.
    pub(super) interface: Option<Device>,
    /// Where our programs are; by [`Place`].
    pub(super) hooks: [Hook; 2],
    /// The entries of both maps of ways out.
    pub(super) ways_out: [Option<[u32; 2]>; 2],
    /// In bridge mode, the interface that its frames leave by, and its MTU in bytes.
    pub(super) peer: Option<(String, u32)>,
}

/// Where a program of ours is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hook {
    /// What holds it there.
    pub(super) holding: Holding,
    /// Whether that is what is pinned.
    pub(super) is_pinned: bool,
    /// The program that the daemon holds.
    pub(super) program: Program,
}

/// An interface as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) index: u32,
    /// In bytes.
    pub(super) mtu: u32,
    pub(super) stripping: VlanStripping,
    pub(super) switches: Switches,
}

/// What is wrong with a port, in the order in which it is mended.
pub(super) fn of_port(wanted: &Wanted<'_>, seen: &Seen) -> Vec<Finding> {
    let Seen { interface, hooks, ways_out, peer } = seen;
    let mut found = Vec::new();
    let hooks = || hooks.iter().zip(&wanted.hooks).zip(Place::ALL);
    for ((Hook { is_pinned, program, .. }, (_, ours)), place) in hooks() {
        if !is_pinned {
            found.push(Finding::LinkPin { place });
        }
        let reads_ours = wanted.maps.iter().all(|map| program.maps.contains(map));
        if program != *ours || !reads_ours {
            found.push(Finding::OtherMaps);
        }
    }
    let [Hook { holding, .. }, _] = &seen.hooks;
    let [(armed, _), _] = wanted.hooks;
    let Some(Device { index, mtu, stripping, switches }) = *interface else {
        found.push(match holding.interface {
            0 => Finding::Missing,
            index => Finding::Renamed { index },
        });
        return found;
    };
    // What arming it again mends is not wrong besides.
    if index != armed.interface {
        found.push(Finding::Recreated { before: armed.interface, now: index });
        return found;
    }
    for ((Hook { holding, .. }, (armed, _)), place) in hooks() {
        if holding.interface != index {
            found.push(Finding::Detached { place });
        } else if holding.program != armed.program {
            found.push(Finding::Replaced { place, program: holding.program });
        }
    }
    let astray = ways_out.iter().find(|way_out| **way_out != Some([index, 0]));
    found.extend(astray.map(|found| Finding::WayOut { found: *found }));
    match stripping {
        VlanStripping::Off | VlanStripping::Absent => {}
        VlanStripping::On => found.push(Finding::VlanStripping),
    }
    match switches {
        Switches { up: false, .. } => found.push(Finding::Down),
        Switches { up: true, promiscuous: false } if wanted.promiscuous => {
            found.push(Finding::NotPromiscuous);
        }
        Switches { up: true, .. } => {}
    }
    if let Some((peer, peer_mtu)) = peer
        && *peer_mtu < mtu
    {
        found.push(Finding::Narrower { mtu, peer: peer.clone(), peer_mtu: *peer_mtu });
    }
    found
}

/// Whether the word of the publication is what it should be: of an image in that half, and of no
/// generation that is over, under which flows may still be remembered that are not allowed any
/// more.
pub(super) fn of_publication(wanted: Publication, found: Publication) -> Option<Finding> {
    let ahead = found.generation.0.wrapping_sub(wanted.generation.0);
    let is_ours = found.armed && found.half == wanted.half && ahead <= u32::MAX / 2;
    (!is_ours).then_some(Finding::Publication { found })
}

#[cfg(test)]
mod tests;
