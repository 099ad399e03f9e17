//! The way out: a bridge has one, a router's kernel knows it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::party::Party;
use super::wire::Frame;
use super::{Exit, Mode, Oracle};

/// What a router's kernel knows of the world.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The gateway's own addresses.
    pub own: BTreeSet<IpAddr>,
    /// Its ports.
    pub ports: Vec<Port>,
    /// The port and the tag that each interface stands for, by the number that routes call it.
    pub interfaces: BTreeMap<usize, Place>,
    /// The routes; the longest prefix counts.
    pub routes: Vec<Route>,
    /// The MACs of neighbours that are resolved, by interface and address.
    pub neighbours: BTreeMap<(usize, IpAddr), [u8; 6]>,
}

/// A port and a tag.
type Place = (u16, u16);

/// A port of the gateway's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Port {
    /// Its MAC.
    pub mac: [u8; 6],
    /// The longest packet that it sends, in bytes.
    pub mtu: usize,
}

/// Where a network lies.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The network.
    pub network: IpNet,
    /// The interface it leads out of; `None` of a black hole.
    pub interface: Option<usize>,
    /// The router it leads to; `None` where its hosts are neighbours.
    pub via: Option<IpAddr>,
}

impl Surroundings {
    /// Where a packet leaves, and to whose MAC if that is known.
    fn look_up(&self, address: IpAddr) -> Option<(Place, Option<[u8; 6]>)> {
        let routes = self.routes.iter().filter(|route| route.network.contains(&address));
        let Route { interface, via, .. } =
            *routes.max_by_key(|route| route.network.prefix_len())?;
        let interface = interface?;
        let place = *self.interfaces.get(&interface)?;
        let next = via.unwrap_or(address);
        Some((place, self.neighbours.get(&(interface, next)).copied()))
    }

    fn has_interface(&self, place: Place) -> bool {
        self.interfaces.values().any(|known| *known == place)
    }
}

impl Oracle {
    /// How a packet leaves that came in on that port, or that the gateway itself sends, and may go
    /// there; `None` if no route leads to where the policy has its receiver.
    pub(super) fn exit(
        &self,
        from: Option<u16>,
        frame: &Frame,
        address: IpAddr,
        to: &Party,
    ) -> Option<Exit> {
        let surroundings = match &self.mode {
            Mode::Bridge => return Some(Exit::Across { vlan: self.vlan(to)? }),
            Mode::Router(surroundings) => surroundings,
        };
        let Some(port) = from else { return Some(Exit::Kept) };
        let (Some(way_out), Some(vlan)) = (self.port(to), self.vlan(to)) else {
            return Some(Exit::Kernel);
        };
        let Port { mac: source, mtu } = *surroundings.ports.get(usize::from(way_out))?;
        // The kernel tells the sender (RFC 1812, 5.3.1; RFC 1191; RFC 8201), so that no route is asked
        // for.
        if frame.hops <= 1 || frame.length > mtu {
            return Some(Exit::Kernel);
        }
        let (place, neighbour) = surroundings.look_up(address)?;
        if place != (way_out, vlan) || !surroundings.has_interface((port, frame.vlan)) {
            return None;
        }
        Some(match neighbour {
            Some(destination) => Exit::Forwarded { vlan, source, destination },
            None => Exit::Kernel,
        })
    }
}
