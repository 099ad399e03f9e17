//! The frames: 64 bytes in memory, UDP, from the near host to the far one.

use firewall_tests::packet::{
    Arp, Mac, Packet, arp_request, eth, ipv4, ipv6, payload, tcp, udp, vlan,
};

use crate::traffic::AddressStep;

/// How long every generated frame is, in bytes.
pub(crate) const FRAME: usize = 64;
/// The source port of the first flow.
pub(crate) const FIRST_PORT: u16 = 1024;
/// The port that the policy allows.
pub(crate) const SERVICE: u16 = 4000;

pub(crate) const NEAR_V4: &str = "10.1.0.10";
pub(crate) const FAR_V4: &str = "10.2.0.20";
pub(crate) const NEAR_V6: &str = "fd00:1::10";
pub(crate) const FAR_V6: &str = "fd00:2::20";
/// In a network of its own, tagged on both sides.
pub(crate) const NEAR_TAGGED: &str = "10.3.0.10";
pub(crate) const FAR_TAGGED: &str = "10.4.0.20";
/// The first of the crowd behind a router on the near side: so many open flows that no quota of one node
/// would do.
pub(crate) const CROWD_V4: &str = "10.5.1.0";
/// As a power of two: how many they are.
pub(crate) const CROWD_BITS: i32 = 8;
/// Where the number of one of them lies in what he says.
pub(crate) const CROWD: AddressStep =
    AddressStep { at: 14 + 14, first: 0x0100, bits: CROWD_BITS, identification: 0x1000 };
/// Nobody's.
pub(crate) const STRANGER: &str = "10.1.0.99";
/// The tag.
pub(crate) const TAG: u16 = 120;

/// Which addresses a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
    Tagged,
    /// IPv4, from the crowd.
    Crowd,
}

impl Family {
    /// As people say it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
            Self::Tagged => "IPv4 in a VLAN",
            Self::Crowd => "IPv4, many nodes",
        }
    }
}

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Near,
    Far,
}

/// A frame, and how it stands for many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) bytes: [u8; FRAME],
    pub(crate) varied: Option<Varied>,
}

/// The source port counts up, `flows` (a power of two) different values from `first` on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Varied {
    pub(crate) flows: u16,
    pub(crate) first: u16,
    pub(crate) port_at: i16,
    /// Two bytes of payload that count down.
    pub(crate) balanced_at: Option<i16>,
    /// Addresses take turns, too.
    pub(crate) address: Option<AddressStep>,
}

/// One conversation's both directions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) near: Mac,
    /// What the near host takes for the far one: the far host behind a bridge, the router else.
    pub(crate) near_sees: Mac,
    pub(crate) far: Mac,
    pub(crate) far_sees: Mac,
}

/// A request from the near host, and where its source port lies.
pub(crate) fn request(ends: Ends, family: Family, flows: u16) -> Frame {
    let port_at = port_at(family);
    let balanced = matches!(family, Family::V6);
    // IPv4 needs no checksum and carries none, so that conntrack has nothing to verify that a
    // card would have verified; IPv6 needs one.
    let balanced_at = balanced.then_some(port_at + 8);
    let varied = Varied { flows, first: FIRST_PORT, port_at, balanced_at, address: None };
    Frame { bytes: bytes(&conversation(ends, family, 0, true)), varied: Some(varied) }
}

/// Every frame another flow, eight millions of them.
pub(crate) fn opening(ends: Ends) -> Frame {
    let Frame { bytes, varied } = request(ends, Family::Crowd, 1 << 15);
    Frame { bytes, varied: varied.map(|varied| Varied { address: Some(CROWD), ..varied }) }
}

/// Where the source port lies.
pub(crate) const fn port_at(family: Family) -> i16 {
    match family {
        Family::V4 | Family::Crowd => 14 + 20,
        Family::V6 => 14 + 40,
        Family::Tagged => 14 + 4 + 20,
    }
}

/// The frames that make flow number `flow` an established one.
pub(crate) fn handshake(ends: Ends, family: Family, flow: u16) -> [Packet; 2] {
    [conversation(ends, family, flow, true), conversation(ends, family, flow, false)]
}

fn conversation(ends: Ends, family: Family, flow: u16, forward: bool) -> Packet {
    let Ends { near, near_sees, far, far_sees } = ends;
    let (link, ports) = if forward {
        (eth(near, near_sees), (FIRST_PORT + flow, SERVICE))
    } else {
        (eth(far, far_sees), (SERVICE, FIRST_PORT + flow))
    };
    let transport = udp(ports.0, ports.1);
    let data = |length| {
        let mut data = vec![0; length];
        data[..2].copy_from_slice(&(FIRST_PORT - flow).to_be_bytes());
        payload(data)
    };
    let order = |near, far| if forward { (near, far) } else { (far, near) };
    match family {
        Family::V4 => {
            let (source, destination) = order(NEAR_V4, FAR_V4);
            link / ipv4(source, destination) / transport.checksum(0) / data(FRAME - 42)
        }
        Family::Crowd => {
            let (source, destination) = order(CROWD_V4, FAR_V4);
            let ip = ipv4(source, destination).identification(CROWD.identification);
            link / ip / transport.checksum(0) / data(FRAME - 42)
        }
        Family::V6 => {
            let (source, destination) = order(NEAR_V6, FAR_V6);
            link / ipv6(source, destination) / transport / data(FRAME - 62)
        }
        Family::Tagged => {
            let (source, destination) = order(NEAR_TAGGED, FAR_TAGGED);
            let ip = ipv4(source, destination);
            link / vlan(TAG) / ip / transport.checksum(0) / data(FRAME - 46)
        }
    }
}

/// A frame of a conversation's first flow, from that side.
pub(crate) fn established(ends: Ends, family: Family, side: Side) -> Frame {
    let packet = conversation(ends, family, 0, side == Side::Near);
    Frame { bytes: bytes(&packet), varied: None }
}

/// The frames that make a TCP connection an established one.
pub(crate) fn tcp_handshake(ends: Ends) -> [(Side, Packet); 3] {
    let Ends { near, near_sees, far, far_sees } = ends;
    let request = tcp(FIRST_PORT, SERVICE).seq(FIRST_SEQUENCE);
    let reply = tcp(SERVICE, FIRST_PORT).syn().ack().ack_number(FIRST_SEQUENCE + 1);
    [
        (Side::Near, eth(near, near_sees) / ipv4(NEAR_V4, FAR_V4) / request.syn()),
        (Side::Far, eth(far, far_sees) / ipv4(FAR_V4, NEAR_V4) / reply),
        (Side::Near, segment(ends, &[])),
    ]
}

const FIRST_SEQUENCE: u32 = 1_000_000;

/// A segment of that connection from the near host: sent again and again, a retransmission.
pub(crate) fn tcp_data(ends: Ends) -> Frame {
    Frame { bytes: bytes(&segment(ends, &[0; FRAME - 54])), varied: None }
}

fn segment(ends: Ends, data: &[u8]) -> Packet {
    let header = tcp(FIRST_PORT, SERVICE).seq(FIRST_SEQUENCE + 1).ack().ack_number(1);
    eth(ends.near, ends.near_sees) / ipv4(NEAR_V4, FAR_V4) / header / payload(data)
}

/// From an address that no node has.
pub(crate) fn unknown_source(ends: Ends, side: Side) -> Frame {
    refused(ends, side, [STRANGER, STRANGER], SERVICE)
}

/// Between two nodes, and to a port that no rule allows.
pub(crate) fn no_rule(ends: Ends, side: Side) -> Frame {
    refused(ends, side, [NEAR_V4, FAR_V4], 9)
}

/// Of an EtherType that nobody allows.
pub(crate) fn foreign(ends: Ends, side: Side) -> Frame {
    let mut frame = unknown_source(ends, side);
    frame.bytes[12..14].copy_from_slice(&[0x88, 0xcc]);
    frame
}

/// From a node's address, and not from its MAC.
pub(crate) fn spoofed(ends: Ends) -> Frame {
    let packet = eth(FORGED, ends.near_sees) / ipv4(NEAR_V4, FAR_V4);
    single(packet / udp(FIRST_PORT, 9) / payload([0; FRAME - 42]))
}

const FORGED: Mac = Mac::local(0xbad);

/// The first fragment of a datagram.
pub(crate) fn fragment(ends: Ends) -> Frame {
    let packet = eth(ends.near, ends.near_sees) / ipv4(NEAR_V4, FAR_V4).more_fragments();
    single(packet / udp(FIRST_PORT, SERVICE) / payload([0; FRAME - 42]))
}

/// An IPv4 header that promises more than there is.
pub(crate) fn overlong(ends: Ends) -> Frame {
    let packet = eth(ends.near, ends.near_sees) / ipv4(NEAR_V4, FAR_V4).total_length(100);
    single(packet / udp(FIRST_PORT, SERVICE) / payload([0; FRAME - 42]))
}

/// A segment of a connection that nobody has opened.
pub(crate) fn stray_segment(ends: Ends) -> Frame {
    let header = tcp(FIRST_PORT + 1, SERVICE).seq(FIRST_SEQUENCE).ack().ack_number(1);
    let packet = eth(ends.near, ends.near_sees) / ipv4(NEAR_V4, FAR_V4);
    single(packet / header / payload([0; FRAME - 54]))
}

/// Who has the far host's address?
pub(crate) fn arp(ends: Ends) -> Frame {
    question(ends, arp_request(ends.near, NEAR_V4, FAR_V4))
}

/// The same in another's name.
pub(crate) fn arp_spoofed(ends: Ends) -> Frame {
    question(ends, arp_request(FORGED, NEAR_V4, FAR_V4))
}

fn question(ends: Ends, arp: Arp) -> Frame {
    single((eth(ends.near, Mac::BROADCAST) / arp).padded_to(FRAME))
}

fn single(packet: Packet) -> Frame {
    Frame { bytes: bytes(&packet), varied: None }
}

/// From one of the sources, the near side's first.
fn refused(ends: Ends, side: Side, sources: [&str; 2], port: u16) -> Frame {
    let [near, far] = sources;
    let headers = match side {
        Side::Near => eth(ends.near, ends.near_sees) / ipv4(near, FAR_V4),
        Side::Far => eth(ends.far, ends.far_sees) / ipv4(far, NEAR_V4),
    };
    let packet = headers / udp(FIRST_PORT, port) / payload([0; FRAME - 42]);
    Frame { bytes: bytes(&packet), varied: None }
}

fn bytes(packet: &Packet) -> [u8; FRAME] {
    packet.bytes().try_into().unwrap()
}
