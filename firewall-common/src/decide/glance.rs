//! The fast path: one glance at a plain packet of an established flow, which passes by what the flow
//! remembers. It costs half of what the stages do.
//!
//! It may only ever let by what the stages would have let by. A flow is established under addresses,
//! ports and a protocol that the stages have judged, and nobody answers from a group's address, so a
//! packet with that very key needs no second judgement of these; its MACs, VLAN and port are compared
//! with the flow's. Whatever is not plain, not in force, not whole or not expected is left to the
//! stages: here nothing is ever refused.

use super::{Exit, Moment, Note, Passage, is_sent_like, pair};
use crate::abi::Stop;
use crate::flow::table::Look;
use crate::flow::{End, Flow, FlowKey, Phase, Scale, Sender, Signature, Tcp, other};
use crate::frame::wire;
use crate::parse::{Link, PADDED, ethertype, flag, protocol};
use crate::tables::Way;
use crate::{Addr, Frame, PassReason, Port, Tables};

/// What lies in the headers of a plain packet.
struct Plain {
    source: Addr,
    destination: Addr,
    protocol: u8,
    /// Both transport ports as they lie there, read natively.
    ports: u32,
    /// What a datagram says of its length, in network order.
    datagram: u16,
    /// TTL or hop limit.
    hops: u8,
    /// Bytes of the packet.
    length: u32,
    /// Where the transport header begins.
    transport: u32,
    /// Where the packet ends.
    end: u32,
}

/// Looks whether a frame is a packet of a flow in force. Its signature is in the note.
#[inline(always)]
pub(super) fn glance<F, T>(
    frame: &F,
    tables: &T,
    note: &mut Note,
    link: &Link,
    moment: &Moment,
) -> Option<Passage>
where
    F: Frame + ?Sized,
    T: Tables + ?Sized,
{
    let plain = match link.ethertype {
        ethertype::IPV4 => ipv4(frame, link.payload),
        ethertype::IPV6 => ipv6(frame, link.payload),
        _ => None,
    }?;
    let Plain { source, destination, protocol, ports, .. } = plain;
    if !matches!(protocol, protocol::TCP | protocol::UDP) {
        return None;
    }
    let source = End { address: source, port: u16::from_be((ports & 0xffff) as u16) };
    let destination = End { address: destination, port: u16::from_be((ports >> 16) as u16) };
    let (key, sender) = FlowKey::of(source, destination, protocol, pair(tables));
    note.key.become_key(&key);
    match tables.look(&note.key) {
        Look::Found(flow) => passage(frame, tables, note, moment, &plain, flow, sender),
        Look::Absent => {
            note.set_absent();
            None
        }
        Look::Unsure => None,
    }
}

/// An IPv4 packet without options, in one piece (RFC 791).
#[inline(always)]
fn ipv4<F: Frame + ?Sized>(frame: &F, start: u32) -> Option<Plain> {
    let wire::PlainIpv4 {
        version,
        length,
        fragment,
        hops,
        protocol,
        source,
        destination,
        ports,
        datagram,
        ..
    } = frame.load(start)?;
    if version != 0x45 || fragment & !DONT_FRAGMENT != 0 {
        return None;
    }
    let length = u16::from_be(length) as u32;
    let (source, destination) = (Addr::from_v4_word(source), Addr::from_v4_word(destination));
    let (transport, end) = (start + 20, start + length);
    Some(Plain { source, destination, protocol, ports, datagram, hops, length, transport, end })
}

/// In network order, as it is read: where the reserved flag, "more fragments" and the offset are zero.
const DONT_FRAGMENT: u16 = 0x4000_u16.to_be();

/// An IPv6 packet without extension headers (RFC 8200). The addresses of IPv4 flows are kept mapped,
/// and a packet that carries such addresses itself is none of theirs.
#[inline(always)]
fn ipv6<F: Frame + ?Sized>(frame: &F, start: u32) -> Option<Plain> {
    let wire::PlainIpv6 {
        version, length, next, hops, source, destination, ports, datagram, ..
    } = frame.load(start)?;
    let (wire::Words(source), wire::Words(destination)) = (source, destination);
    if version >> 4 != 6 || source[0] == 0 || destination[0] == 0 {
        return None;
    }
    let length = 40 + u16::from_be(length) as u32;
    let (source, destination) = (Addr::from_words(source), Addr::from_words(destination));
    let (protocol, transport, end) = (next, start + 40, start + length);
    Some(Plain { source, destination, protocol, ports, datagram, hops, length, transport, end })
}

/// What the flow makes of it.
#[inline(always)]
fn passage<F, T>(
    frame: &F,
    tables: &T,
    note: &mut Note,
    moment: &Moment,
    plain: &Plain,
    flow: &Flow,
    sender: Sender,
) -> Option<Passage>
where
    F: Frame + ?Sized,
    T: Tables + ?Sized,
{
    let (state, length) = (flow.state(), frame.length());
    // The stages know what a stop spares, and bring a flow up to the generation.
    let in_force = moment.stop == Stop::None
        && flow.generation() == moment.generation
        && is_sent_like(tables, flow.side(sender), note.signature)
        && !flow.is_expired(moment.now)
        && !flow.is_unleased(moment.now);
    let whole = plain.end <= length && (plain.end == length || length <= PADDED);
    if !in_force || !whole || plain.hops <= 1 {
        return None;
    }
    let exit = exit(tables, note, plain, flow.side(other(sender)))?;
    let (next, phase) = match (plain.protocol, state.phase()) {
        (protocol::UDP, Phase::Answered) => {
            if plain.transport + u16::from_be(plain.datagram) as u32 != plain.end {
                return None;
            }
            (state, Phase::Answered)
        }
        (protocol::TCP, Phase::Established) => {
            segment(frame, plain, &mut note.segment)?;
            (flow.carry(state, sender, &note.segment)?, Phase::Established)
        }
        _ => return None,
    };
    if next != state {
        flow.set_state(next);
    }
    flow.touch(moment.now, tables.timeout(phase));
    let (opener, responder) = flow.subnetworks();
    let forward = state.initiator() == sender;
    Some(Passage {
        reason: PassReason::Established,
        exit,
        rule: flow.rule(),
        from: if forward { opener } else { responder },
        to: if forward { responder } else { opener },
    })
}

/// The way out that the flow knows.
#[inline(always)]
fn exit<T: Tables + ?Sized>(
    tables: &T,
    note: &Note,
    plain: &Plain,
    far: Signature,
) -> Option<Exit> {
    let (port, vlan) = (far.port(), far.vlan());
    match tables.way() {
        Way::Bridge { peer } => Some(Exit::unchanged(peer, vlan)),
        Way::Router => {
            let near = tables.port_state(note.signature.port())?;
            let (hop, state) = (far.hop(), tables.port_state(port)?);
            let ours = note.signature.hop().word() == near.mac.load();
            let fits = plain.length as u64 <= state.mtu.load();
            if !ours || !fits || hop.is_none() || port == Port::GATEWAY {
                return None;
            }
            Some(Exit { port, vlan, hop })
        }
    }
}

/// Data or an acknowledgement, and nothing else (RFC 9293, 3.1).
#[inline(always)]
fn segment<F: Frame + ?Sized>(frame: &F, plain: &Plain, into: &mut Tcp) -> Option<()> {
    const FLAGS: u8 = flag::SYN | flag::FIN | flag::RST | flag::ACK | flag::URG;
    let wire::Tcp { sequence, acknowledgement, offset, flags, window, .. } =
        frame.load(plain.transport)?;
    let header = (offset >> 4) as u32 * 4;
    let data = plain.transport + header;
    if flags & FLAGS != flag::ACK || header < 20 || data > plain.end {
        return None;
    }
    *into = Tcp {
        flags,
        length: plain.end - data,
        sequence: u32::from_be(sequence),
        acknowledgement: u32::from_be(acknowledgement),
        window: u16::from_be(window),
        scale: Scale::NONE,
    };
    Some(())
}
