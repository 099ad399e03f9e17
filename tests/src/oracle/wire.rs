//! What frames say. Whatever is not well-formed says nothing.

use std::net::IpAddr;

pub(super) struct Frame {
    pub(super) source_mac: [u8; 6],
    pub(super) destination_mac: [u8; 6],
    /// 0 if it has no tag.
    pub(super) vlan: u16,
    /// How many hops the packet may still go; 0 if it is none.
    pub(super) hops: u8,
    /// The packet's length, in bytes.
    pub(super) length: usize,
    pub(super) content: Content,
}

pub(super) enum Content {
    Packet(Packet),
    /// ARP, or a neighbour solicitation or advertisement.
    Neighbour(Message),
    Error(Error),
}

/// From one host to another.
pub(super) struct Packet {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) transport: Transport,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp { source: u16, destination: u16, segment: Segment },
    Udp { source: u16, destination: u16 },
    Echo { identifier: u16, asks: bool },
}

/// What matters of a TCP segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) flags: Flags,
    pub(super) sequence: u32,
    pub(super) acknowledgement: u32,
    /// Bytes of data.
    pub(super) length: u32,
    pub(super) window: u16,
    /// What a SYN offers.
    pub(super) scale: Option<u8>,
}

impl Segment {
    /// How many sequence numbers it takes: SYN and FIN have one each.
    pub(super) fn takes(self) -> u32 {
        match self.flags {
            Flags::Syn | Flags::SynAck | Flags::FinAck => self.length + 1,
            Flags::Ack | Flags::Rst | Flags::RstAck => self.length,
        }
    }

    /// The number behind it.
    pub(super) fn end(self) -> u32 {
        self.sequence.wrapping_add(self.takes())
    }
}

/// Flags that a correct sender sets together (RFC 9293, 3.10); a SYN carries no data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Flags {
    Syn,
    SynAck,
    #[default]
    Ack,
    FinAck,
    Rst,
    RstAck,
}

/// Somebody asks where `target` is, or answers `target`. The link-layer addresses that it names are
/// those of its frame.
pub(super) struct Message {
    pub(super) asks: bool,
    pub(super) sender: IpAddr,
    pub(super) target: IpAddr,
}

/// `reporter` tells `receiver` that its packet did not arrive.
pub(super) struct Error {
    pub(super) reporter: IpAddr,
    pub(super) quoted: Quoted,
}

/// A packet that the receiver of an error has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quoted {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) transport: QuotedTransport,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QuotedTransport {
    Tcp { source: u16, destination: u16 },
    Udp { source: u16, destination: u16 },
    EchoRequest { identifier: u16 },
}

pub(super) fn read(bytes: &[u8]) -> Option<Frame> {
    let destination_mac = array(bytes, 0)?;
    let source_mac: [u8; 6] = array(bytes, 6)?;
    if is_group(source_mac) || source_mac == [0; 6] {
        return None;
    }
    let (vlan, kind, packet) = match number(bytes, 12)? {
        // One tag, and no priority tag (VLAN 0) nor the reserved 4095.
        0x8100 => match number(bytes, 14)? % 4096 {
            0 | 4095 => return None,
            vlan => (vlan, number(bytes, 16)?, bytes.get(18..)?),
        },
        kind => (0, kind, bytes.get(14..)?),
    };
    let macs = Macs { source: source_mac, destination: destination_mac };
    let ((content, length), hops) = match kind {
        0x0806 => ((Content::Neighbour(arp(packet, macs)?), 28), 0),
        0x0800 => (four(packet, macs)?, packet[8]),
        0x86dd => (six(packet, macs)?, packet[7]),
        _ => return None,
    };
    // Only the shortest frames are padded: 60 bytes, and a tag.
    let is_padded = packet.len() > length;
    if is_padded && bytes.len() > 64 {
        return None;
    }
    Some(Frame { source_mac, destination_mac, vlan, hops, length, content })
}

#[derive(Clone, Copy)]
struct Macs {
    source: [u8; 6],
    destination: [u8; 6],
}

const fn is_group(mac: [u8; 6]) -> bool {
    mac[0] % 2 == 1
}

/// RFC 826 for Ethernet and IPv4. A sender speaks for its own MAC only; an answer is for one.
fn arp(packet: &[u8], macs: Macs) -> Option<Message> {
    let asks = match array(packet, 0)? {
        [0, 1, 8, 0, 6, 4, 0, 1] => true,
        [0, 1, 8, 0, 6, 4, 0, 2] => false,
        _ => return None,
    };
    let (sender_mac, target_mac) = (array(packet, 8)?, array(packet, 18)?);
    let (sender, target): ([u8; 4], [u8; 4]) = (array(packet, 14)?, array(packet, 24)?);
    let answers_one = target_mac == macs.destination && !is_group(macs.destination);
    let message = Message { asks, sender: sender.into(), target: target.into() };
    (sender_mac == macs.source && (asks || answers_one)).then_some(message)
}

/// What it says, and where the packet ends.
fn four(packet: &[u8], macs: Macs) -> Option<(Content, usize)> {
    let length = usize::from(number(packet, 2)?);
    let (fragment, hops) = (number(packet, 6)?, *packet.get(8)?);
    let source: [u8; 4] = array(packet, 12)?;
    let destination: [u8; 4] = array(packet, 16)?;
    // Version 4 without options; "don't fragment" is the only flag that a whole packet may have.
    let is_whole = packet[0] == 0x45 && length >= 20 && length <= packet.len();
    let is_host = |address: [u8; 4]| !matches!(address[0], 0 | 127 | 224..=255);
    let fine = is_whole && fragment | 0x4000 == 0x4000 && hops > 0;
    if !fine || !is_host(source) || !is_host(destination) || source == destination {
        return None;
    }
    if is_group(macs.destination) {
        return None;
    }
    let (source, destination) = (source.into(), destination.into());
    let segment = packet.get(20..length)?;
    let content = match packet[9] {
        1 => icmp(segment, source, destination, [8, 0], &[3, 11, 12])?,
        protocol => host_to_host(segment, protocol, source, destination)?,
    };
    Some((content, length))
}

/// Not multicast, not 6to4, not with an IPv4 address inside, not the unspecified or the loopback.
fn is_host(address: [u8; 16]) -> bool {
    let embeds = address[..10] == [0; 10] && matches!(address[10..12], [0, 0] | [0xff, 0xff]);
    address[0] != 0xff && address[..2] != [0x20, 0x02] && !embeds
}

fn six(packet: &[u8], macs: Macs) -> Option<(Content, usize)> {
    let end = 40 + usize::from(number(packet, 4)?);
    let source: [u8; 16] = array(packet, 8)?;
    let destination: [u8; 16] = array(packet, 24)?;
    let fine = packet[0] >> 4 == 6 && packet[7] > 0 && end <= packet.len();
    if !fine || !is_host(source) || source == destination {
        return None;
    }
    // No extension header is a transport.
    let (segment, protocol) = (packet.get(40..end)?, packet[6]);
    if protocol == 58 && matches!(segment.first(), Some(135 | 136)) {
        let message = discovery(segment, packet[7], source, destination, macs)?;
        return Some((Content::Neighbour(message), end));
    }
    if !is_host(destination) || is_group(macs.destination) {
        return None;
    }
    let (source, destination) = (source.into(), destination.into());
    let content = match protocol {
        58 => icmp(segment, source, destination, [128, 129], &[1, 2, 3, 4])?,
        protocol => host_to_host(segment, protocol, source, destination)?,
    };
    Some((content, end))
}

/// RFC 4861, 7.1: hop limit 255, code 0, and no option but the sender's own link-layer address.
fn discovery(
    segment: &[u8],
    hops: u8,
    source: [u8; 16],
    destination: [u8; 16],
    macs: Macs,
) -> Option<Message> {
    let (asks, code) = (segment[0] == 135, *segment.get(1)?);
    let target: [u8; 16] = array(segment, 8)?;
    let option_fits = match segment.get(24..)? {
        [] => true,
        [kind, 1, mac @ ..] => *kind == if asks { 1 } else { 2 } && *mac == macs.source,
        _ => false,
    };
    // RFC 4291, 2.7.1: a question goes to its target or to the target's group.
    let mut group = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0];
    group[13..].copy_from_slice(&target[13..]);
    let is_addressed = if asks {
        destination == target || destination == group
    } else {
        target == source && is_host(destination)
    };
    let fits_link = is_group(macs.destination) == (destination[0] == 0xff);
    let is_valid = is_host(destination) || destination[0] == 0xff;
    let target = if asks { target } else { destination };
    let message = Message { asks, sender: source.into(), target: target.into() };
    (hops == 255 && code == 0 && option_fits && is_addressed && fits_link && is_valid)
        .then_some(message)
}

fn icmp(
    segment: &[u8],
    source: IpAddr,
    destination: IpAddr,
    [request, reply]: [u8; 2],
    errors: &[u8],
) -> Option<Content> {
    let [kind, code, ..] = array::<8>(segment, 0)?;
    if errors.contains(&kind) {
        let quoted = quote(segment.get(8..)?, source.is_ipv4())?;
        let is_for_its_sender = quoted.source == destination;
        let error = Error { reporter: source, quoted };
        return is_for_its_sender.then_some(Content::Error(error));
    }
    let identifier = number(segment, 4)?;
    let is_echo = code == 0 && (kind == request || kind == reply);
    let transport = Transport::Echo { identifier, asks: kind == request };
    is_echo.then_some(Content::Packet(Packet { source, destination, transport }))
}

/// A packet as errors quote it: without options, its first eight bytes of transport at least.
fn quote(packet: &[u8], is_four: bool) -> Option<Quoted> {
    let (source, destination, protocol, start): (IpAddr, IpAddr, _, _) = if is_four {
        let (source, destination): ([u8; 4], [u8; 4]) = (array(packet, 12)?, array(packet, 16)?);
        let is_whole = packet[0] == 0x45 && number(packet, 6)? & 0x3fff == 0;
        is_whole.then_some((source.into(), destination.into(), packet[9], 20))?
    } else {
        let (source, destination): ([u8; 16], [u8; 16]) = (array(packet, 8)?, array(packet, 24)?);
        (packet[0] >> 4 == 6).then_some((source.into(), destination.into(), packet[6], 40))?
    };
    let [a, b, c, d, e, f, ..] = array::<8>(packet, start)?;
    let ports = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let transport = match (protocol, a) {
        (6, _) => QuotedTransport::Tcp { source: ports.0, destination: ports.1 },
        (17, _) => QuotedTransport::Udp { source: ports.0, destination: ports.1 },
        (1, 8) if is_four => {
            QuotedTransport::EchoRequest { identifier: u16::from_be_bytes([e, f]) }
        }
        (58, 128) if !is_four => {
            QuotedTransport::EchoRequest { identifier: u16::from_be_bytes([e, f]) }
        }
        _ => return None,
    };
    Some(Quoted { source, destination, transport })
}

fn host_to_host(
    segment: &[u8],
    protocol: u8,
    source: IpAddr,
    destination: IpAddr,
) -> Option<Content> {
    let transport = match protocol {
        6 => {
            let (source, destination) = ports(segment)?;
            Transport::Tcp { source, destination, segment: tcp(segment)? }
        }
        17 => {
            let (source, destination) = ports(segment)?;
            let length = usize::from(number(segment, 4)?);
            let fits = segment.len() >= 8 && length == segment.len();
            fits.then_some(Transport::Udp { source, destination })?
        }
        _ => return None,
    };
    Some(Content::Packet(Packet { source, destination, transport }))
}

fn tcp(segment: &[u8]) -> Option<Segment> {
    const FIN: u8 = 1;
    const SYN: u8 = 2;
    const RST: u8 = 4;
    const ACK: u8 = 16;
    const URG: u8 = 32;
    const SYN_ACK: u8 = SYN | ACK;
    const FIN_ACK: u8 = FIN | ACK;
    const RST_ACK: u8 = RST | ACK;
    let [words, flags] = array(segment, 12)?;
    let (options, data) =
        segment.get(20..)?.split_at_checked((4 * usize::from(words >> 4)).checked_sub(20)?)?;
    let flags = match flags & (FIN | SYN | RST | ACK | URG) {
        SYN if data.is_empty() => Flags::Syn,
        SYN_ACK if data.is_empty() => Flags::SynAck,
        ACK => Flags::Ack,
        FIN_ACK => Flags::FinAck,
        RST => Flags::Rst,
        RST_ACK => Flags::RstAck,
        _ => return None,
    };
    let scale = match flags {
        Flags::Syn | Flags::SynAck => offered(options)?,
        Flags::Ack | Flags::FinAck | Flags::Rst | Flags::RstAck => None,
    };
    Some(Segment {
        flags,
        sequence: u32::from_be_bytes(array(segment, 4)?),
        acknowledgement: u32::from_be_bytes(array(segment, 8)?),
        length: u32::try_from(data.len()).ok()?,
        window: number(segment, 14)?,
        scale,
    })
}

/// The window scale among the options of a SYN (RFC 9293, 3.1); more than 14 is 14 (RFC 7323, 2.3).
fn offered(mut options: &[u8]) -> Option<Option<u8>> {
    let mut scale = None;
    loop {
        options = match options {
            [] | [0, ..] => return Some(scale),
            [1, rest @ ..] => rest,
            [3, 3, shift, rest @ ..] => {
                scale = Some(*shift.min(&14));
                rest
            }
            [3, ..] => return None,
            [_, length @ 2..=255, ..] => options.get(usize::from(*length)..)?,
            [_, ..] => return None,
        };
    }
}

fn ports(segment: &[u8]) -> Option<(u16, u16)> {
    let (source, destination) = (number(segment, 0)?, number(segment, 2)?);
    (source != 0 && destination != 0).then_some((source, destination))
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_be_bytes)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}
