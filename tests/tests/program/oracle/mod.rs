//! What the policy language promises, read slowly from the policy itself: may this frame, the first
//! that the gateway ever sees, pass? Written from the contract and the RFCs; it knows no image, no
//! tables and none of the decision's code.

use std::collections::BTreeSet;
use std::net::IpAddr;

use firewall_common::image::MacBinding;
use firewall_policy::Policy;
use firewall_policy::model::{Node, Rule, Selector};

/// How far something is stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    #[default]
    Running,
    /// Rules marked `essential` are the only exception.
    Ordinary,
    /// Spares nothing.
    Hard,
}

/// What operators and authentication have said; nodes and subnetworks by their places in the policy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    pub(crate) stop: Level,
    pub(crate) subnetworks: Vec<Level>,
    pub(crate) isolated: BTreeSet<usize>,
    pub(crate) authenticated: BTreeSet<usize>,
}

/// Whether a frame that comes in on that port may pass as the first of a flow.
pub(crate) fn may_pass(policy: &Policy, standing: &Standing, port: u16, frame: &[u8]) -> bool {
    let Some(opening) = read(frame) else { return false };
    let Opening { source_mac, destination_mac, vlan, source, destination, .. } = opening;
    let Some(from) = Party::find(policy, port, source) else { return false };
    // Whatever leaves, leaves by the other port of the pair.
    let Some(to) = Party::find(policy, port ^ 1, destination) else { return false };
    let place = &policy.subnetworks()[from.subnetwork];
    // The source must look as it was declared: port, VLAN and MAC. The destination's MAC is the one
    // that its own frames would carry.
    if place.vlan.0 != vlan
        || !from.carries(policy, source_mac)
        || !to.carries(policy, destination_mac)
    {
        return false;
    }
    if [&from, &to].into_iter().any(|party| !party.may_speak(policy, standing)) {
        return false;
    }
    let local = |party: &Party| standing.subnetworks[party.subnetwork];
    let level = standing.stop.max(local(&from)).max(local(&to));
    policy.rules().iter().any(|rule| {
        let spared = match level {
            Level::Running => true,
            Level::Ordinary => rule.essential,
            Level::Hard => false,
        };
        spared
            && rule.from.iter().any(|selector| from.is(policy, selector))
            && rule.to.iter().any(|selector| to.is(policy, selector))
            && names(policy, rule, opening.service)
    })
}

fn names(policy: &Policy, rule: &Rule, service: Service) -> bool {
    rule.applications.iter().map(|id| policy.application(*id)).any(|application| match service {
        Service::Tcp(port) => {
            application.tcp.iter().any(|range| (range.first..=range.last).contains(&port))
        }
        Service::Udp(port) => {
            application.udp.iter().any(|range| (range.first..=range.last).contains(&port))
        }
        Service::Echo => application.echo,
    })
}

/// Who an address is: a declared node, or some address in a subnetwork.
struct Party {
    node: Option<usize>,
    subnetwork: usize,
}

impl Party {
    /// Provided that it lives behind that port.
    fn find(policy: &Policy, port: u16, address: IpAddr) -> Option<Self> {
        let has = |node: &Node| node.addresses.iter().any(|own| IpAddr::from(*own) == address);
        let party = match policy.nodes().iter().position(has) {
            Some(node) => {
                let subnetwork = policy.nodes()[node].subnetwork.index();
                Self { node: Some(node), subnetwork }
            }
            None => {
                let mut subnetworks = policy.subnetworks().iter();
                let subnetwork = subnetworks.position(|subnetwork| {
                    let mut networks = subnetwork.networks.iter();
                    subnetwork.port.0 == port
                        && networks.any(|network| {
                            // RFC 1122, 3.2.1.3, but for RFC 3021's two addresses of a /31.
                            let nobodys = address.is_ipv4()
                                && network.prefix_len() < 31
                                && [network.network(), network.broadcast()].contains(&address);
                            network.contains(&address) && !nobodys
                        })
                })?;
                Self { node: None, subnetwork }
            }
        };
        (policy.subnetworks()[party.subnetwork].port.0 == port).then_some(party)
    }

    fn carries(&self, policy: &Policy, mac: [u8; 6]) -> bool {
        // Any address in a network: nothing is known of its MAC.
        let Some(node) = self.node else { return true };
        match policy.nodes()[node].mac {
            MacBinding::Exact(own) => own.0 == mac,
            MacBinding::Router => {
                let routers = &policy.subnetworks()[self.subnetwork].routers;
                routers.iter().any(|router| router.0 == mac)
            }
            MacBinding::Any => true,
        }
    }

    fn may_speak(&self, policy: &Policy, standing: &Standing) -> bool {
        let Some(node) = self.node else { return true };
        let authenticated = standing.authenticated.contains(&node);
        let needed = policy.nodes()[node].authentication.needs_lease();
        !standing.isolated.contains(&node) && (authenticated || !needed)
    }

    fn is(&self, policy: &Policy, selector: &Selector) -> bool {
        match selector {
            Selector::Node(id) => self.node == Some(id.index()),
            Selector::Role(id, role) => {
                let plays = |node: usize| policy.nodes()[node].roles.contains(role);
                self.subnetwork == id.index() && self.node.is_some_and(plays)
            }
            Selector::Declared(id) => self.subnetwork == id.index() && self.node.is_some(),
            Selector::Any(id) => self.subnetwork == id.index(),
        }
    }
}

/// What the first frame of a flow says.
struct Opening {
    source_mac: [u8; 6],
    destination_mac: [u8; 6],
    vlan: u16,
    source: IpAddr,
    destination: IpAddr,
    service: Service,
}

#[derive(Clone, Copy)]
enum Service {
    Tcp(u16),
    Udp(u16),
    Echo,
}

/// `None` for whatever is not a clean SYN, datagram or echo request between two hosts.
fn read(frame: &[u8]) -> Option<Opening> {
    let destination_mac = array(frame, 0)?;
    let source_mac: [u8; 6] = array(frame, 6)?;
    let is_group = |mac: [u8; 6]| mac[0] % 2 == 1;
    if is_group(source_mac) || is_group(destination_mac) || source_mac == [0; 6] {
        return None;
    }
    let (vlan, kind, packet) = match number(frame, 12)? {
        // One tag, and no priority tag (VLAN 0) nor the reserved 4095.
        0x8100 => match number(frame, 14)? % 4096 {
            0 | 4095 => return None,
            vlan => (vlan, number(frame, 16)?, frame.get(18..)?),
        },
        kind => (0, kind, frame.get(14..)?),
    };
    let (source, destination, protocol, start, end) = match kind {
        0x0800 => four(packet)?,
        0x86dd => six(packet)?,
        _ => return None,
    };
    // Only the shortest frames are padded: 60 bytes, and a tag.
    let is_padded = packet.len() > end;
    if source == destination || is_padded && frame.len() > 64 {
        return None;
    }
    let service = transport(packet.get(start..end)?, protocol, source.is_ipv4())?;
    Some(Opening { source_mac, destination_mac, vlan, source, destination, service })
}

/// Addresses, protocol, and where the payload starts and ends.
type Network = (IpAddr, IpAddr, u8, usize, usize);

fn four(packet: &[u8]) -> Option<Network> {
    let length = usize::from(number(packet, 2)?);
    let (fragment, hops) = (number(packet, 6)?, *packet.get(8)?);
    let source: [u8; 4] = array(packet, 12)?;
    let destination: [u8; 4] = array(packet, 16)?;
    // Version 4 without options; "don't fragment" is the only flag that a whole packet may have.
    let is_whole = packet[0] == 0x45 && length >= 20 && length <= packet.len();
    let is_host = |address: [u8; 4]| !matches!(address[0], 0 | 127 | 224..=255);
    let fine = is_whole && fragment | 0x4000 == 0x4000 && hops > 0;
    (fine && is_host(source) && is_host(destination))
        .then(|| (IpAddr::from(source), IpAddr::from(destination), packet[9], 20, length))
}

fn six(packet: &[u8]) -> Option<Network> {
    let end = 40 + usize::from(number(packet, 4)?);
    let source: [u8; 16] = array(packet, 8)?;
    let destination: [u8; 16] = array(packet, 24)?;
    // Not multicast, not 6to4, not with an IPv4 address inside, not the unspecified or the loopback.
    let is_host = |address: [u8; 16]| {
        let embeds = address[..10] == [0; 10] && matches!(address[10..12], [0, 0] | [0xff, 0xff]);
        address[0] != 0xff && address[..2] != [0x20, 0x02] && !embeds
    };
    let fine = packet[0] >> 4 == 6 && packet[7] > 0 && end <= packet.len();
    (fine && is_host(source) && is_host(destination))
        .then(|| (IpAddr::from(source), IpAddr::from(destination), packet[6], 40, end))
}

/// What is asked for. No extension header is a transport.
fn transport(segment: &[u8], protocol: u8, is_four: bool) -> Option<Service> {
    const FIN: u8 = 1;
    const SYN: u8 = 2;
    const RST: u8 = 4;
    const ACK: u8 = 16;
    const URG: u8 = 32;
    let ports = || {
        let (source, destination) = (number(segment, 0)?, number(segment, 2)?);
        (source != 0 && destination != 0).then_some(destination)
    };
    match protocol {
        6 => {
            let destination = ports()?;
            let (words, flags) = (usize::from(*segment.get(12)? >> 4), *segment.get(13)?);
            // A SYN alone, and no data with it.
            let opens = flags & (FIN | SYN | RST | ACK | URG) == SYN;
            (opens && words >= 5 && 4 * words == segment.len()).then_some(Service::Tcp(destination))
        }
        17 => {
            let destination = ports()?;
            let length = usize::from(number(segment, 4)?);
            (segment.len() >= 8 && length == segment.len()).then_some(Service::Udp(destination))
        }
        1 | 58 => {
            let request = if is_four { (1, 8) } else { (58, 128) };
            let is_request = (protocol, *segment.first()?) == request && segment.get(1) == Some(&0);
            (is_request && segment.len() >= 8).then_some(Service::Echo)
        }
        _ => None,
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_be_bytes)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}
