//! Random frames of two ends that might talk under a policy.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use firewall_common::image::MacBinding;
use firewall_policy::Policy;
use firewall_policy::model::{Application, PortRange, Selector};
use firewall_tests::packet::*;

use crate::random::Random;
use crate::router::own_addresses;

/// What the frames of one end look like.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) gateway_port: u16,
    pub(crate) vlan: u16,
    pub(crate) mac: Mac,
    pub(crate) address: IpAddr,
}

/// A conversation, as the one who opens it sees it.
#[derive(Clone, Debug)]
pub(crate) struct Talk {
    pub(crate) near: End,
    pub(crate) far: End,
    pub(crate) kind: Kind,
    pub(crate) near_port: u16,
    pub(crate) far_port: u16,
    pub(crate) near_syn: Syn,
    pub(crate) far_syn: Syn,
}

/// With what an end of a TCP connection begins.
#[derive(Clone, Debug)]
pub(crate) struct Syn {
    pub(crate) sequence: u32,
    pub(crate) options: Vec<u8>,
}

impl Syn {
    pub(crate) fn any(random: &mut Random) -> Self {
        let number = random.word().to_le_bytes();
        let sequence = u32::from_le_bytes([number[0], number[1], number[2], number[3]]);
        // Now and then the numbers wrap around within the connection.
        let sequence = if random.once_in(3) { sequence | 0xffff_fff0 } else { sequence };
        let scale = number[4];
        let options = match random.below(5) {
            0 => vec![1, 3, 3, scale % 16],
            1 => vec![2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 3, scale % 16],
            2 => vec![2, 4, 5, 0xb4, 0, 3, 9, 9],
            _ => Vec::new(),
        };
        Self { sequence, options }
    }

    /// The number of one of the first bytes; now and then one that is far away.
    fn at(&self, random: &mut Random) -> u32 {
        let at = match random.below(24) {
            0 => *random.pick(&[1 << 31, 1 << 24, 70_000, 60_000, 13]),
            1 => random.pick(&[1_u32 << 30, 70_000, 66_000, 65_800, 2]).wrapping_neg(),
            2 | 3 => 4,
            4 => 8,
            5 => 1,
            _ => 0,
        };
        self.sequence.wrapping_add(1).wrapping_add(at)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tcp,
    Udp,
    Echo,
    Neighbour,
}

/// A frame and the port that it comes in on.
pub(crate) type Sent = (u16, Vec<u8>);

/// Ports inside, at the edges of and outside what applications may name.
const PORTS: [u16; 16] =
    [1, 22, 103, 104, 105, 443, 1023, 1024, 2761, 2762, 2765, 2766, 5000, 5001, 65534, 65535];

impl Talk {
    /// Mostly one that a rule allows.
    pub(crate) fn any(random: &mut Random, policy: &Policy) -> Self {
        let talk = if random.once_in(10) { None } else { Self::allowed(random, policy) };
        talk.unwrap_or_else(|| Self::foreign(random, policy))
    }

    fn allowed(random: &mut Random, policy: &Policy) -> Option<Self> {
        let rule = random.pick(policy.rules());
        let ends = ends(random, policy);
        let of = |selector: &Selector| {
            let chosen = ends.iter().filter(|(owner, _)| owner.is_chosen(policy, selector));
            chosen.map(|(_, end)| end.clone()).collect::<Vec<_>>()
        };
        let (from, mut to) = (of(random.pick(&rule.from)), of(random.pick(&rule.to)));
        let near = choose(random, &from)?;
        to.retain(|end| end.address.is_ipv4() == near.address.is_ipv4());
        let far = choose(random, &to)?;
        let Application { tcp, udp, echo, .. } =
            policy.application(*random.pick(&rule.applications));
        let mut services = vec![(Kind::Neighbour, 0)];
        let edges = |ranges: &[PortRange]| {
            ranges.iter().flat_map(|range| [range.first, range.last]).collect::<Vec<_>>()
        };
        for _ in 0..3 {
            services.extend(edges(tcp).into_iter().map(|port| (Kind::Tcp, port)));
        }
        services.extend(edges(udp).into_iter().map(|port| (Kind::Udp, port)));
        services.extend(echo.then_some((Kind::Echo, 0)));
        let (kind, far_port) = *random.pick(&services);
        let near_port = *random.pick(&[40000, 40001, 104, 1]);
        let (near_syn, far_syn) = (Syn::any(random), Syn::any(random));
        Some(Self { near, far, kind, near_port, far_port, near_syn, far_syn })
    }

    /// Between ends that may have nothing to do with each other.
    fn foreign(random: &mut Random, policy: &Policy) -> Self {
        let stranger = |address: &str, gateway_port| {
            let address = address.parse().unwrap();
            End { gateway_port, vlan: 0, mac: Mac::local(0x0666), address }
        };
        let mut all: Vec<_> = ends(random, policy).into_iter().map(|(_, end)| end).collect();
        all.extend([stranger("198.51.100.1", 0), stranger("2001:db8::1", 1)]);
        let near = random.pick(&all).clone();
        all.retain(|end| end.address.is_ipv4() == near.address.is_ipv4());
        if !random.once_in(20) && all.iter().any(|end| end.gateway_port == near.gateway_port ^ 1) {
            all.retain(|end| end.gateway_port == near.gateway_port ^ 1);
        }
        let far = random.pick(&all).clone();
        let kind = *random.pick(&[Kind::Tcp, Kind::Tcp, Kind::Udp, Kind::Echo, Kind::Neighbour]);
        let near_port = *random.pick(&[40000, 40001, 104, 1]);
        let far_port = *random.pick(&PORTS);
        let (near_syn, far_syn) = (Syn::any(random), Syn::any(random));
        Self { near, far, kind, near_port, far_port, near_syn, far_syn }
    }

    fn link(&self, forth: bool) -> (Packet, u16) {
        let (from, to) = if forth { (&self.near, &self.far) } else { (&self.far, &self.near) };
        let link = eth(from.mac, to.mac).into();
        let link = if from.vlan == 0 { link } else { link / vlan(from.vlan).priority(5) };
        (link, from.gateway_port)
    }

    fn network(&self, forth: bool) -> (Packet, u16) {
        let (from, to) = if forth { (&self.near, &self.far) } else { (&self.far, &self.near) };
        let (link, port) = self.link(forth);
        (link / ip(from.address, to.address), port)
    }

    /// Who else might tell that a frame of this one did not arrive: anybody of the family, on either
    /// side, now and then with an address that nobody has, or that the gateway has if it is a router.
    pub(crate) fn reporters(&self, random: &mut Random, policy: &Policy) -> Vec<End> {
        let mut ends: Vec<_> = ends(random, policy).into_iter().map(|(_, end)| end).collect();
        ends.retain(|end| end.address.is_ipv4() == self.near.address.is_ipv4());
        let own = own_addresses().find(|own| own.is_ipv4() == self.near.address.is_ipv4());
        let hops = ends.clone().into_iter().flat_map(|end| {
            let unknown: IpAddr = match end.address {
                IpAddr::V4(_) => Ipv4Addr::new(198, 51, 100, 1).into(),
                IpAddr::V6(_) => Ipv6Addr::from(0x2001_0db8 << 96).into(),
            };
            let addresses = [Some(unknown), own].into_iter().flatten();
            addresses.map(move |address| End { address, ..end.clone() })
        });
        ends.extend(hops.collect::<Vec<_>>());
        ends
    }

    /// The frame that opens it.
    pub(crate) fn opening(&self) -> Sent {
        let (packet, port) = self.opening_packet();
        (port, packet.bytes())
    }

    fn opening_packet(&self) -> (Packet, u16) {
        let (network, port) = self.network(true);
        let packet = match self.kind {
            Kind::Tcp => {
                let Syn { sequence, options } = &self.near_syn;
                let syn = tcp(self.near_port, self.far_port).syn().seq(*sequence);
                network / syn.options(options)
            }
            Kind::Udp => network / udp(self.near_port, self.far_port) / payload(b"asks"),
            Kind::Echo => network / echo_request(self.near_port, 1),
            Kind::Neighbour => return self.neighbour(true),
        };
        (packet, port)
    }

    fn neighbour(&self, asks: bool) -> (Packet, u16) {
        let (from, to) = if asks { (&self.near, &self.far) } else { (&self.far, &self.near) };
        let (link, port) = self.link(asks);
        let packet = match (from.address, to.address) {
            (IpAddr::V4(us), IpAddr::V4(them)) if asks => link / arp_request(from.mac, us, them),
            (IpAddr::V4(us), IpAddr::V4(them)) => link / arp_reply(from.mac, us, to.mac, them),
            (IpAddr::V6(us), IpAddr::V6(them)) => {
                let ask = neighbour_solicitation(them).source_link(from.mac);
                let answer = neighbour_advertisement(us).target_link(from.mac);
                link / ipv6(us, them).hop_limit(255) / if asks { ask } else { answer }
            }
            (IpAddr::V4(_) | IpAddr::V6(_), _) => link / payload([0; 46]),
        };
        (packet, port)
    }

    /// Any frame of it, in either direction.
    pub(crate) fn frame(&self, random: &mut Random) -> Sent {
        let forth = random.once_in(2);
        let (network, port) = self.network(forth);
        let (from, to) =
            if forth { (self.near_port, self.far_port) } else { (self.far_port, self.near_port) };
        let mut packet = match self.kind {
            _ if random.once_in(10) => return self.error(random, forth, None),
            Kind::Tcp => {
                const FLAGS: [u8; 9] = [0x12, 0x12, 0x10, 0x10, 0x10, 0x11, 0x04, 0x02, 0x14];
                let mut flags = *random.pick(&FLAGS);
                if random.once_in(20) {
                    flags = random.byte();
                }
                let segment =
                    network / self.numbered(random, forth, tcp(from, to).flags(flags), flags);
                if random.once_in(4) { segment / payload(b"DICM") } else { segment }
            }
            Kind::Udp | Kind::Echo | Kind::Neighbour => self.turn_packet(forth).0,
        };
        if random.once_in(10) {
            packet = packet.padded_to(60 + random.below(8));
        }
        (port, packet.bytes())
    }

    /// Sequence numbers, window and options, mostly those of a real conversation.
    fn numbered(&self, random: &mut Random, forth: bool, header: Tcp, flags: u8) -> Tcp {
        let (ours, theirs) =
            if forth { (&self.near_syn, &self.far_syn) } else { (&self.far_syn, &self.near_syn) };
        let window = *random.pick(&[0xffff, 0xffff, 501, 4, 0]);
        let header = header.ack_number(theirs.at(random)).window(window);
        const SYN: u8 = 2;
        if flags & SYN != 0 && !random.once_in(10) {
            header.seq(ours.sequence).options(&ours.options)
        } else {
            header.seq(ours.at(random))
        }
    }

    /// A question that the near end asks, or the far end's answer.
    pub(crate) fn turn(&self, asks: bool) -> Sent {
        let (packet, port) = self.turn_packet(asks);
        (port, packet.bytes())
    }

    fn turn_packet(&self, asks: bool) -> (Packet, u16) {
        let (network, port) = self.network(asks);
        let (near, far) = (self.near_port, self.far_port);
        let packet = match self.kind {
            Kind::Tcp => return self.opening_packet(),
            Kind::Udp if asks => network / udp(near, far) / payload(b"asks"),
            Kind::Udp => network / udp(far, near) / payload(b"answers"),
            Kind::Echo if asks => network / echo_request(near, 2),
            Kind::Echo => network / echo_reply(near, 2),
            Kind::Neighbour => return self.neighbour(asks),
        };
        (packet, port)
    }

    /// A TCP segment of either end; `what` sets its flags and numbers.
    pub(crate) fn segment(&self, forth: bool, what: impl Fn(Tcp) -> Tcp, data: &[u8]) -> Sent {
        let (network, port) = self.network(forth);
        let (near, far) = (self.near_port, self.far_port);
        let header = what(if forth { tcp(near, far) } else { tcp(far, near) });
        let segment = network / header;
        let packet = if data.is_empty() { segment } else { segment / payload(data) };
        (port, packet.bytes())
    }

    /// An error about the opening frame, or about one that never was; told by an end of it or by
    /// somebody else.
    pub(crate) fn error(&self, random: &mut Random, forth: bool, reporter: Option<&End>) -> Sent {
        let mut told = self.clone();
        if let Some(reporter) = reporter {
            *(if forth { &mut told.near } else { &mut told.far }) = reporter.clone();
        }
        let (network, port) = told.network(forth);
        let mut quoted = self.clone();
        // An error goes to the sender of what it quotes; now and then it does not.
        if forth != random.once_in(8) {
            std::mem::swap(&mut quoted.near, &mut quoted.far);
            std::mem::swap(&mut quoted.near_port, &mut quoted.far_port);
        }
        if quoted.kind == Kind::Neighbour {
            quoted.kind = Kind::Udp;
        }
        let (quoted, _) = quoted.opening_packet();
        let error = match random.below(3) {
            0 => icmp_unreachable(&quoted),
            1 => icmp_packet_too_big(&quoted, 1280),
            _ => icmp_time_exceeded(&quoted),
        };
        (port, (network / error).bytes())
    }
}

/// Whose an address is: a node's, or nobody's in a subnetwork; by their places in the policy.
struct Owner {
    node: Option<usize>,
    subnetwork: usize,
}

impl Owner {
    fn is_chosen(&self, policy: &Policy, selector: &Selector) -> bool {
        let node = self.node.map(|node| &policy.nodes()[node]);
        match selector {
            Selector::Node(wanted) => self.node == Some(wanted.index()),
            Selector::Role(wanted, role) => {
                self.subnetwork == wanted.index()
                    && node.is_some_and(|node| node.roles.contains(role))
            }
            Selector::Declared(wanted) => self.subnetwork == wanted.index() && node.is_some(),
            Selector::Any(wanted) => self.subnetwork == wanted.index(),
            Selector::Gateway => false,
        }
    }
}

/// Every node's addresses, and of every network some that are nobody's: the first, the last or one
/// in the middle.
fn ends(random: &mut Random, policy: &Policy) -> Vec<(Owner, End)> {
    let mut ends = Vec::new();
    for (index, node) in policy.nodes().iter().enumerate() {
        let subnetwork = policy.subnetwork(node.subnetwork);
        let mac = match node.mac {
            MacBinding::Exact(mac) => Mac(mac.0),
            MacBinding::Router => Mac(random.pick(&subnetwork.routers).0),
            MacBinding::Any => Mac::local(0x0999),
        };
        let (gateway_port, vlan) = (subnetwork.port.0, subnetwork.vlan.0);
        for address in node.addresses.iter().map(|address| IpAddr::from(*address)) {
            let owner = Owner { node: Some(index), subnetwork: node.subnetwork.index() };
            ends.push((owner, End { gateway_port, vlan, mac, address }));
        }
    }
    for (index, subnetwork) in policy.subnetworks().iter().enumerate() {
        let (gateway_port, vlan) = (subnetwork.port.0, subnetwork.vlan.0);
        for network in &subnetwork.networks {
            let address = match (random.below(6), network.network()) {
                (0, address) => address,
                (1, _) => network.broadcast(),
                (_, IpAddr::V4(first)) => Ipv4Addr::from(u32::from(first) + 13).into(),
                (_, IpAddr::V6(first)) => Ipv6Addr::from(u128::from(first) + 0x1300).into(),
            };
            let mac = match subnetwork.routers.first() {
                Some(router) if random.once_in(2) => Mac(router.0),
                Some(_) | None => Mac::local(0x0777),
            };
            let owner = Owner { node: None, subnetwork: index };
            ends.push((owner, End { gateway_port, vlan, mac, address }));
        }
    }
    ends
}

fn choose(random: &mut Random, ends: &[End]) -> Option<End> {
    if ends.is_empty() { None } else { Some(random.pick(ends).clone()) }
}
