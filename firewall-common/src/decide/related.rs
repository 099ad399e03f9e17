//! ICMP errors.

use super::{ECHO_PORT, Note, Passage, Question, exit, pair};
use crate::abi::Stop;
use crate::flow::{End, Flow, Sender, Signature, other};
use crate::frame::wire;
use crate::identity::{Role, View, recognise};
use crate::parse::{Network, protocol};
use crate::{Addr, DropReason, Frame, PassReason, Port, SubnetworkSlot, Tables};

/// An ICMP error passes if it quotes a packet of a live flow, goes to that packet's sender and
/// comes from the side that packet went to (RFC 5927; FreeBSD CVE-2019-5598).
#[inline(always)]
pub(super) fn related<F, T>(
    frame: &F,
    tables: &T,
    note: &mut Note,
    network: &Network,
    quoted: u32,
) -> Result<Passage, DropReason>
where
    F: Frame + ?Sized,
    T: Tables + ?Sized,
{
    let (flow, sender) = quoted_flow(frame, tables, note, network, quoted)?;
    let state = flow.state();
    if flow.is_expired(note.moment.now) || flow.is_unleased(note.moment.now) {
        return Err(DropReason::NoRule);
    }
    if note.moment.stop != Stop::None && !state.is_essential() {
        return Err(DropReason::Stopped);
    }
    if flow.generation() != note.moment.generation {
        return Err(DropReason::Revoked);
    }
    let from_initiator = state.initiator() == sender;
    let (initiator, responder) = flow.subnetworks();
    let (near, beyond) =
        if from_initiator { (initiator, responder) } else { (responder, initiator) };
    if note.signature.port() == Port::GATEWAY {
        // The router that had to give up is the gateway itself.
        if !tables.is_local(&network.source) {
            return Err(DropReason::UnknownSource);
        }
    } else {
        come_from_beyond(tables, note, network, flow.side(other(sender)), beyond)?;
    }
    // The error goes the way of what the other end sends.
    let (_, exit) = exit(tables, note, flow, other(sender))?;
    Ok(Passage { reason: PassReason::Related, exit, rule: flow.rule(), from: beyond, to: near })
}

/// Whether an error comes from where its flow goes, from somebody who may report.
#[inline(always)]
fn come_from_beyond<T: Tables + ?Sized>(
    tables: &T,
    note: &mut Note,
    network: &Network,
    far: Signature,
    beyond: SubnetworkSlot,
) -> Result<(), DropReason> {
    if far.port() != note.signature.port() {
        return Err(DropReason::BindingPort);
    }
    if far.vlan() != note.signature.vlan() {
        return Err(DropReason::BindingVlan);
    }
    note.query = network.source;
    note.grant.to = beyond;
    match tables.consult(note, Question::Report) {
        Ok(()) => Ok(()),
        // The policy names no router there, but the flow goes through this one.
        Err(DropReason::UnknownSource) if far.source() == note.signature.source() => Ok(()),
        Err(reason) => Err(reason),
    }
}

/// The flow that an ICMP error quotes a packet of, and which end sent that packet: the one that the
/// error goes to.
#[inline(always)]
pub(super) fn quoted_flow<'t, F, T>(
    frame: &F,
    tables: &'t T,
    note: &mut Note,
    network: &Network,
    quoted: u32,
) -> Result<(&'t Flow, Sender), DropReason>
where
    F: Frame + ?Sized,
    T: Tables + ?Sized,
{
    let quoted = Quoted { start: quoted, end: network.end, pair: pair(tables) };
    let sender = frame.quoted(note, quoted)?;
    match tables.find(note) {
        Some((flow, _)) => Ok((flow, sender)),
        None => Err(DropReason::NoRule),
    }
}

/// Where an ICMP error quotes a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// Where the quoted packet begins.
    pub start: u32,
    /// Where the quoting one ends.
    pub end: u32,
    /// The lower port of the pair that both cross.
    pub pair: Port,
}

/// Puts the key of the quoted packet's flow, and who sent it, in the place of those of the error that
/// quotes it. Called through [`Frame::quoted`].
#[inline(always)]
pub fn quoted<F: Frame + ?Sized>(
    frame: &F,
    note: &mut Note,
    quoted: Quoted,
) -> Result<Sender, DropReason> {
    let Quoted { start, end, pair } = quoted;
    let receiver = match note.sender {
        Sender::Low => note.key.high,
        Sender::High => note.key.low,
    };
    let (source, destination, protocol, transport) = quote(frame, receiver.is_v4(), start)?;
    if source != receiver {
        return Err(DropReason::NoRule);
    }
    // The ports of TCP and UDP, the type and identifier of an echo: eight bytes hold either.
    let (Some(ports), Some(echo)) =
        (frame.load::<wire::Udp>(transport), frame.load::<wire::Icmp>(transport))
    else {
        return Err(DropReason::Truncated);
    };
    if transport + 8 > end {
        return Err(DropReason::Truncated);
    }
    let (source_port, destination_port) = match (protocol, echo.kind) {
        (protocol::TCP | protocol::UDP, _) => {
            (u16::from_be(ports.source), u16::from_be(ports.destination))
        }
        // Only an echo request can have started a flow; an error about a reply is not worth a hole.
        (protocol::ICMP, 8) | (protocol::ICMPV6, 128) => (u16::from_be(echo.identifier), ECHO_PORT),
        _ => return Err(DropReason::NoRule),
    };
    let sender = note.name(
        End { address: source, port: source_port },
        End { address: destination, port: destination_port },
        protocol,
        pair,
    );
    // The frame itself goes the other way and may come from a router.
    note.unname();
    Ok(sender)
}

/// The addresses, the protocol and the transport header's place of a quoted packet. Both families
/// quote at least eight bytes behind a header without options, since we let no others through.
#[inline(always)]
fn quote<F: Frame + ?Sized>(
    frame: &F,
    is_v4: bool,
    start: u32,
) -> Result<(Addr, Addr, u8, u32), DropReason> {
    if is_v4 {
        let header = frame.load::<wire::Ipv4>(start).ok_or(DropReason::Truncated)?;
        let wire::Ipv4 { version, fragment, protocol, source, destination, .. } = header;
        if version != 0x45 {
            return Err(DropReason::IpOptions);
        }
        if u16::from_be(fragment) & 0x3fff != 0 {
            return Err(DropReason::Fragment);
        }
        let (source, destination) = (Addr::from_v4_word(source), Addr::from_v4_word(destination));
        Ok((source, destination, protocol, start + 20))
    } else {
        let header = frame.load::<wire::Ipv6>(start).ok_or(DropReason::Truncated)?;
        let wire::Ipv6 { version, next, source, destination, .. } = header;
        if u32::from_be(version) >> 28 != 6 {
            return Err(DropReason::IpHeader);
        }
        Ok((Addr::from_words(source.0), Addr::from_words(destination.0), next, start + 40))
    }
}

/// Whether who reports an error is a node that speaks for itself and may speak, or a router of the
/// subnetwork beyond with an address that is no node's: not even a router reports in another node's
/// name, or in the gateway's.
#[inline(always)]
pub(super) fn report<T: Tables + ?Sized>(tables: &T, note: &mut Note) -> Result<(), DropReason> {
    let reporter = recognise(tables, note, Role::Source);
    let Some(view) = View::new(tables, note) else {
        return Err(DropReason::NotArmed);
    };
    match reporter {
        // An isolated node does not meddle with what others say to each other, either.
        Ok(()) => return view.standing(&note.source, note.moment.now).map(drop),
        Err(DropReason::UnknownSource) => {}
        Err(reason) if note.source.party.is_node() || note.source.port == Port::GATEWAY => {
            return Err(reason);
        }
        // A router has addresses in more networks than the one it sends from.
        Err(_) => {}
    }
    if view.is_router(note.grant.to, note.signature.source()) {
        Ok(())
    } else {
        Err(DropReason::UnknownSource)
    }
}
