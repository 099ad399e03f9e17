//! From bytes to headers. Each stage returns the value that the next one needs.

mod chain;
mod numbers;
mod options;

pub use self::chain::{Part, Piece, chain, ipv4_fragment};
pub use self::numbers::{ethertype, next, protocol};
pub use self::options::{Options, extension, window_scale};
use crate::flow::{Scale, Signature, Tcp};
use crate::frame::wire;
use crate::verdict::refuse;
use crate::{Addr, DropReason, Frame, Port, Vlan};

/// The link layer: who sends to whom, with which tag, on which port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// MACs, VLAN and port.
    pub signature: Signature,
    /// What the payload is.
    pub ethertype: u16,
    /// Where the payload begins.
    pub payload: u32,
}

/// Reads the Ethernet header and at most one 802.1Q tag.
#[inline(always)]
pub fn link<F: Frame + ?Sized>(frame: &F, port: Port) -> Result<Link, DropReason> {
    let Some(header) = frame.load::<wire::Ethernet>(0) else {
        return refuse(DropReason::Truncated);
    };
    let mut ethertype = u16::from_be(header.ethertype);
    let mut payload = 14;
    let mut vlan = Vlan::UNTAGGED;
    if ethertype == ethertype::VLAN {
        let Some(tag) = frame.load::<wire::Tag>(14) else {
            return refuse(DropReason::Truncated);
        };
        vlan = Vlan(u16::from_be(tag.control) & 0x0fff);
        // A priority tag, or the reserved VID 4095: hosts strip and accept the first.
        if vlan.0 == 0 || vlan.0 == 0x0fff {
            return refuse(DropReason::Vlan);
        }
        ethertype = u16::from_be(tag.ethertype);
        payload = 18;
    }
    if ethertype == ethertype::VLAN
        || ethertype == ethertype::SERVICE_VLAN
        || ethertype == ethertype::OLD_SERVICE_VLAN
    {
        return refuse(DropReason::Vlan);
    }
    let signature = Signature::from_header(header.first, header.second, vlan, port);
    if signature.is_from_nobody() {
        return refuse(DropReason::MacSource);
    }
    Ok(Link { signature, ethertype, payload })
}

/// The network layer, options and extension headers excluded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Who sends.
    pub source: Addr,
    /// To whom.
    pub destination: Addr,
    /// What the payload is.
    pub protocol: u8,
    /// TTL or hop limit.
    pub hops: u8,
    /// Bytes of the packet, its header included.
    pub length: u32,
    /// Where the payload begins.
    pub payload: u32,
    /// Where the packet ends; the frame may be padded beyond it.
    pub end: u32,
}

/// Frames up to this length may be padded beyond their packet: 60 bytes (IEEE 802.3-2018, 4A.2.3.2.4)
/// and a tag.
pub(crate) const PADDED: u32 = 64;

/// Reads an IPv4 header (RFC 791) of a whole packet.
#[inline(always)]
pub fn ipv4<F: Frame + ?Sized>(frame: &F, start: u32) -> Result<Network, DropReason> {
    let header = ipv4_header(frame, start)?;
    if u16::from_be(header.fragment) & 0x3fff != 0 {
        return refuse(DropReason::Fragment);
    }
    ipv4_packet(header, start)
}

#[inline(always)]
fn ipv4_header<F: Frame + ?Sized>(frame: &F, start: u32) -> Result<wire::Ipv4, DropReason> {
    let Some(header) = frame.load::<wire::Ipv4>(start) else {
        return refuse(DropReason::Truncated);
    };
    let wire::Ipv4 { version, length, fragment, hops, .. } = header;
    if version != 0x45 {
        let options = version >> 4 == 4 && version & 0x0f > 5;
        return Err(if options { DropReason::IpOptions } else { DropReason::IpHeader });
    }
    let length = u16::from_be(length) as u32;
    // TTL 0, the reserved flag: a host behind us would take both.
    if length < 20
        || start + length > frame.length()
        || hops == 0
        || u16::from_be(fragment) & 0x8000 != 0
    {
        return refuse(DropReason::IpHeader);
    }
    Ok(header)
}

#[inline(always)]
fn ipv4_packet(header: wire::Ipv4, start: u32) -> Result<Network, DropReason> {
    let wire::Ipv4 { length, hops, protocol, source, destination, .. } = header;
    let length = u16::from_be(length) as u32;
    let addresses = (Addr::from_v4_word(source), Addr::from_v4_word(destination));
    let (source, destination) = (u32::from_be(source), u32::from_be(destination));
    if !is_unicast_v4(source) || source == destination {
        return refuse(DropReason::IpSource);
    }
    if !is_unicast_v4(destination) && !is_group_v4(destination) {
        return refuse(DropReason::IpDestination);
    }
    Ok(Network {
        source: addresses.0,
        destination: addresses.1,
        protocol,
        hops,
        length,
        payload: start + 20,
        end: start + length,
    })
}

/// Reads an IPv6 header (RFC 8200) that the transport header follows at once.
#[inline(always)]
pub fn ipv6<F: Frame + ?Sized>(frame: &F, start: u32) -> Result<Network, DropReason> {
    let network = ipv6_header(frame, start)?;
    if network.protocol == next::FRAGMENT {
        return refuse(DropReason::Fragment);
    }
    if is_extension_header(network.protocol) {
        return refuse(DropReason::ExtensionHeader);
    }
    Ok(network)
}

/// Reads an IPv6 header; the payload may begin with an extension header.
#[inline(always)]
pub(crate) fn ipv6_header<F: Frame + ?Sized>(frame: &F, start: u32) -> Result<Network, DropReason> {
    let Some(header) = frame.load::<wire::Ipv6>(start) else {
        return refuse(DropReason::Truncated);
    };
    let wire::Ipv6 { version, length, next, hops, source, destination } = header;
    let payload = start + 40;
    let end = payload + u16::from_be(length) as u32;
    if u32::from_be(version) >> 28 != 6 || hops == 0 || end > frame.length() {
        return refuse(DropReason::IpHeader);
    }
    let (source, destination) = (Addr::from_words(source.0), Addr::from_words(destination.0));
    if !is_unicast_v6(source) || source == destination {
        return refuse(DropReason::IpSource);
    }
    if !is_unicast_v6(destination) && !is_group_v6(destination) {
        return refuse(DropReason::IpDestination);
    }
    Ok(Network { source, destination, protocol: next, hops, length: end - start, payload, end })
}

impl Network {
    /// Whether the destination is a group: multicast or the limited broadcast.
    #[inline(always)]
    pub const fn is_group(&self) -> bool {
        is_group(self.destination)
    }

    /// Bytes after the packet are a covert channel, unless the frame is of the minimum length.
    #[inline(always)]
    pub fn has_trailer<F: Frame + ?Sized>(&self, frame: &F) -> bool {
        frame.length() > self.end && frame.length() > PADDED
    }
}

/// Not 0/8, 127/8, 224/4 or 240/4 (RFC 6890).
#[inline(always)]
const fn is_unicast_v4(address: u32) -> bool {
    let first = address >> 24;
    first != 0 && first != 127 && first < 224
}

#[inline(always)]
const fn is_group_v4(address: u32) -> bool {
    address >> 28 == 0xe || address == u32::MAX
}

/// Not ::/96 (which holds ::, ::1 and the IPv4-compatible addresses), not v4-mapped, not multicast,
/// not 6to4 that embeds an IPv4 address of ours (RFC 3964): 2002::/16 as a whole.
#[inline(always)]
const fn is_unicast_v6(address: Addr) -> bool {
    let [high, low] = address.words();
    let (high, low) = (u64::from_be(high), u64::from_be(low));
    let embeds_v4 = high == 0 && (low >> 32 == 0 || low >> 32 == 0xffff);
    !embeds_v4 && high >> 56 != 0xff && high >> 48 != 0x2002
}

#[inline(always)]
const fn is_group_v6(address: Addr) -> bool {
    u64::from_be(address.words()[0]) >> 56 == 0xff
}

/// Whether an address is multicast or the limited broadcast.
#[inline(always)]
pub const fn is_group(address: Addr) -> bool {
    let [high, low] = address.words();
    if high == 0 {
        is_group_v4((u64::from_be(low) & 0xffff_ffff) as u32)
    } else {
        u64::from_be(high) >> 56 == 0xff
    }
}

/// Hop-by-hop, routing, ESP, AH, destination options, mobility, HIP, shim6 (IANA, IPv6 extension
/// header types); the fragment header has a reason of its own.
#[inline(always)]
const fn is_extension_header(next: u8) -> bool {
    matches!(next, 0 | 43 | 50 | 51 | 60 | 135 | 139 | 140)
}

/// TCP flags (RFC 9293, 3.1).
pub mod flag {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// The acknowledgement field is significant.
    pub const ACK: u8 = 0x10;
    /// The urgent pointer is significant.
    pub const URG: u8 = 0x20;
}

/// The transport layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A TCP segment; what it says of its connection is written to the [`Tcp`] beside.
    Tcp {
        /// Source port, host order.
        source: u16,
        /// Destination port, host order.
        destination: u16,
    },
    /// A UDP datagram.
    Udp {
        /// Source port, host order.
        source: u16,
        /// Destination port, host order.
        destination: u16,
    },
    /// An ICMP or ICMPv6 echo.
    Echo {
        /// The identifier.
        identifier: u16,
        /// A request, not a reply.
        request: bool,
    },
    /// An ICMP or ICMPv6 error that quotes a packet.
    Error {
        /// Where the quoted packet begins.
        quoted: u32,
    },
    /// An ICMPv6 neighbour discovery message.
    NeighbourDiscovery {
        /// The ICMPv6 type, 133..=137.
        kind: u8,
    },
    /// Anything else; no rule can name it.
    Other,
}

/// Reads the transport header. What only TCP has goes to `segment`, in memory: as part of the value
/// returned it cost every other frame registers, and stores of nothing (6 ns).
#[inline(always)]
pub fn transport<F: Frame + ?Sized>(
    frame: &F,
    network: &Network,
    segment: &mut Tcp,
) -> Result<Transport, DropReason> {
    match network.protocol {
        protocol::TCP => tcp(frame, network, segment),
        protocol::UDP => udp(frame, network),
        protocol::ICMP if network.source.is_v4() => icmp(frame, network),
        protocol::ICMPV6 if !network.source.is_v4() => icmp(frame, network),
        _ => Ok(Transport::Other),
    }
}

#[inline(always)]
fn tcp<F: Frame + ?Sized>(
    frame: &F,
    network: &Network,
    segment: &mut Tcp,
) -> Result<Transport, DropReason> {
    if network.payload + 20 > network.end {
        return refuse(DropReason::TransportHeader);
    }
    let Some(header) = frame.load::<wire::Tcp>(network.payload) else {
        return refuse(DropReason::Truncated);
    };
    let wire::Tcp { source, destination, sequence, acknowledgement, offset, flags, window } =
        header;
    let (source, destination) = (u16::from_be(source), u16::from_be(destination));
    let header = (offset >> 4) as u32 * 4;
    let data = network.payload + header;
    if header < 20 || data > network.end || source == 0 || destination == 0 {
        return refuse(DropReason::TransportHeader);
    }
    let length = network.end - data;
    let plausible = match flags & (flag::SYN | flag::FIN | flag::RST | flag::ACK) {
        flag::SYN | SYN_ACK => length == 0,
        flag::ACK | FIN_ACK | flag::RST | RST_ACK => true,
        _ => false,
    };
    if !plausible || flags & flag::URG != 0 {
        return refuse(DropReason::TcpFlags);
    }
    let scale = if flags & flag::SYN == 0 {
        Scale::NONE
    } else {
        frame.window_scale(network.payload + 20, data)?
    };
    *segment = Tcp {
        flags,
        length,
        sequence: u32::from_be(sequence),
        acknowledgement: u32::from_be(acknowledgement),
        window: u16::from_be(window),
        scale,
    };
    Ok(Transport::Tcp { source, destination })
}

const SYN_ACK: u8 = flag::SYN | flag::ACK;
const FIN_ACK: u8 = flag::FIN | flag::ACK;
const RST_ACK: u8 = flag::RST | flag::ACK;

#[inline(always)]
fn udp<F: Frame + ?Sized>(frame: &F, network: &Network) -> Result<Transport, DropReason> {
    if network.payload + 8 > network.end {
        return refuse(DropReason::TransportHeader);
    }
    let Some(header) = frame.load::<wire::Udp>(network.payload) else {
        return refuse(DropReason::Truncated);
    };
    let (source, destination) = (u16::from_be(header.source), u16::from_be(header.destination));
    let length = u16::from_be(header.length) as u32;
    if source == 0 || destination == 0 || network.payload + length != network.end {
        return refuse(DropReason::TransportHeader);
    }
    Ok(Transport::Udp { source, destination })
}

#[inline(always)]
fn icmp<F: Frame + ?Sized>(frame: &F, network: &Network) -> Result<Transport, DropReason> {
    if network.payload + 8 > network.end {
        return refuse(DropReason::TransportHeader);
    }
    let Some(header) = frame.load::<wire::Icmp>(network.payload) else {
        return refuse(DropReason::Truncated);
    };
    let wire::Icmp { kind, code, identifier, .. } = header;
    let identifier = u16::from_be(identifier);
    let quoted = network.payload + 8;
    let v4 = network.source.is_v4();
    Ok(match (v4, kind) {
        (true, 8) | (false, 128) if code == 0 => Transport::Echo { identifier, request: true },
        (true, 0) | (false, 129) if code == 0 => Transport::Echo { identifier, request: false },
        // Unreachable, time exceeded, parameter problem (RFC 792); redirect and source quench are
        // not among them.
        (true, 3 | 11 | 12) => Transport::Error { quoted },
        // Unreachable, packet too big, time exceeded, parameter problem (RFC 4443).
        (false, 1..=4) => Transport::Error { quoted },
        (false, 133..=137) => Transport::NeighbourDiscovery { kind },
        (true | false, _) => Transport::Other,
    })
}
