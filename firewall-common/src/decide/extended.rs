//! Packets with IPv6 extension headers, and fragments: they pass only where both ends' subnetworks
//! name them, and are asked about every time. Whatever is refused before that is known to be so is
//! called as it would be where nobody names any.

use super::{Course, Named, Note, Passage, Question, is_for_us, name};
use crate::flow::Sender;
use crate::frame::wire;
use crate::identity::{Role, View, recognise};
use crate::image::Tolerance;
use crate::parse::{self, Part, Transport, ethertype, next, protocol};
use crate::verdict::refuse;
use crate::{DropReason, Frame, Tables};

/// Decides over a packet that is not plain. Five calls of functions, none within another, as the kernel adds up the
/// stacks of calls.
#[inline(always)]
pub(super) fn extended<F, T>(
    frame: &F,
    tables: &T,
    note: &mut Note,
    start: u32,
) -> Result<Passage, DropReason>
where
    F: Frame + ?Sized,
    T: Tables + ?Sized,
{
    let tolerance = frame.tolerance(tables, note, start)?;
    note.came_in = note.signature.port();
    let part = frame.chain(note, tolerance)?;
    match part {
        Part::Whole => {}
        Part::First => tables.admit(note)?,
        Part::Next => {
            tables.reassemble(note)?;
            return Ok(note.passage);
        }
    }
    let Named { sender, segment } = frame.named(tables, note, part)?;
    let found = match tables.find(note) {
        Some((flow, _)) if flow.is_expired(note.moment.now) => {
            tables.remove(note);
            None
        }
        found => found,
    };
    let initiator = found.map_or(sender, |(flow, _)| flow.state().initiator());
    tables.consult(note, Question::flow(initiator))?;
    let Some(segment) = segment else {
        return refuse(DropReason::NoRule);
    };
    match found {
        Some((flow, established)) => {
            tables.follow(note, Course { sender, segment, established, renewed: true }, flow)?;
        }
        None => tables.begin(note, Course::first(sender, segment))?,
    }
    if part == Part::First {
        tables.track(note)?;
    }
    Ok(note.passage)
}

/// Reads the network header: what the subnetworks of both ends let by, never nothing. Called through [`Frame::tolerance`].
#[inline(always)]
pub fn tolerance<F, T>(
    frame: &F,
    tables: &T,
    note: &mut Note,
    start: u32,
) -> Result<Tolerance, DropReason>
where
    F: Frame + ?Sized,
    T: Tables + ?Sized,
{
    let mut refusal = DropReason::Fragment;
    let network = if note.ethertype() == ethertype::IPV4 {
        let Ok((network, piece)) = parse::ipv4_fragment(frame, start) else {
            return Err(refusal);
        };
        note.piece = piece;
        network
    } else {
        let network = parse::ipv6_header(frame, start)?;
        if network.protocol != next::FRAGMENT {
            refusal = DropReason::ExtensionHeader;
        }
        network
    };
    note.packet(&network);
    note.network = network;
    let Some(view) = View::new(tables, note) else {
        return Err(DropReason::NotArmed);
    };
    if view.header().tolerance.is_nothing() {
        return Err(refusal);
    }
    note.query = network.source;
    let source = recognise(tables, note, Role::Source);
    if !is_somebody(source) {
        return Err(refusal);
    }
    note.query = network.destination;
    let destination = recognise(tables, note, Role::Destination);
    if !is_somebody(destination) {
        return Err(refusal);
    }
    let tolerance = view.tolerance(&note.source).and(view.tolerance(&note.destination));
    if tolerance.is_nothing() { Err(refusal) } else { Ok(tolerance) }
}

/// Whether the policy knows somebody there, be it that not all fits: that is looked at later.
#[inline(always)]
fn is_somebody(answer: Result<(), DropReason>) -> bool {
    !matches!(
        answer,
        Err(DropReason::UnknownSource | DropReason::UnknownDestination | DropReason::NotArmed)
    )
}

/// Walks the extension headers. Called through [`Frame::chain`].
#[inline(always)]
pub fn chain<F: Frame + ?Sized>(
    frame: &F,
    note: &mut Note,
    tolerance: Tolerance,
) -> Result<Part, DropReason> {
    let part = parse::chain(frame, &mut note.network, &mut note.piece, tolerance)?;
    if note.network.has_trailer(frame) {
        return Err(DropReason::TransportHeader);
    }
    Ok(part)
}

/// Reads the transport header, and leaves the key of the packet's flow in the note: what the packet
/// is of that flow. Called through [`Frame::named`].
#[inline(always)]
pub fn named<F, T>(frame: &F, tables: &T, note: &mut Note, part: Part) -> Result<Named, DropReason>
where
    F: Frame + ?Sized,
    T: Tables + ?Sized,
{
    let mut network = note.network;
    let is_first = part == Part::First;
    if is_first && network.protocol == protocol::UDP {
        // Its length is that of the datagram, which must be longer.
        let Some(header) = frame.load::<wire::Udp>(network.payload) else {
            return Err(DropReason::Fragment);
        };
        let end = network.payload + u16::from_be(header.length) as u32;
        if end <= network.end {
            return Err(DropReason::TransportHeader);
        }
        note.first.end = end - note.piece.data;
        network.end = end;
    }
    let refusal = if is_first { DropReason::Fragment } else { DropReason::ExtensionHeader };
    let transport = parse::transport(frame, &network, &mut note.segment);
    let (sender, segment) = name(tables, note, &network, transport);
    if is_first {
        first(note, sender);
    }
    match transport? {
        // Neither is judged anywhere but in a plain packet (of fragments: RFC 6980).
        Transport::Error { .. } | Transport::NeighbourDiscovery { .. } => {
            return Err(refusal);
        }
        Transport::Tcp { .. }
        | Transport::Udp { .. }
        | Transport::Echo { .. }
        | Transport::Other => {}
    }
    if note.signature.is_to_group() {
        return Err(DropReason::IpDestination);
    }
    if !is_for_us(tables, note.signature) {
        return Err(DropReason::BindingMac);
    }
    Ok(Named { sender, segment })
}

/// Keeps what the other fragments will be compared with.
#[inline(always)]
fn first(note: &mut Note, sender: Sender) {
    let (low, high) = (note.key.low_port, note.key.high_port);
    note.first.ports = match sender {
        Sender::Low => (low, high),
        Sender::High => (high, low),
    };
    note.first.protocol = note.key.protocol;
    if note.key.protocol == protocol::TCP {
        let end = note.piece.offset + (note.network.end - note.piece.data);
        note.first.sequence = note.segment.end().wrapping_sub(end);
    }
}
