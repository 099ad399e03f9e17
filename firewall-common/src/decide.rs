//! The decision: from a frame to a verdict. The stages run in the order of the functions here.

mod course;
mod exit;
mod extended;
mod fragments;
mod glance;
mod leave;
mod note;
mod question;
mod quota;
mod related;

use crate::abi::{Publication, Stop};
use crate::flow::{End, Flow, Segment, Sender, Signature};
use crate::parse::{self, Network, Transport, ethertype};
use crate::tables::Way;
use crate::verdict::refuse;
use crate::{DropReason, Frame, PassReason, Port, Tables, Ticks, eapol, guard};

pub use self::course::{Course, Named, begin, follow};
use self::exit::exit;
use self::extended::extended;
pub use self::extended::{chain, named, tolerance};
pub use self::fragments::{admit, reassemble, track};
use self::glance::glance;
pub use self::leave::{Leaving, Origin, leave};
pub use self::note::{Exit, Moment, Note, Passage};
pub(crate) use self::question::earlier;
pub use self::question::{Question, consult};
pub use self::quota::{charge, refund};
use self::related::related;
pub use self::related::{Quoted, quoted};

/// Decides over one frame. `note` is working memory; after the call it holds what the decision
/// learned of the frame, for the recorder. Nothing but the flows in `tables` is written.
#[inline(always)]
pub fn decide<F, T>(
    frame: &F,
    tables: &T,
    now: Ticks,
    note: &mut Note,
) -> Result<Passage, DropReason>
where
    F: Frame + ?Sized,
    T: Tables + ?Sized,
{
    note.forget();
    let moment = moment(tables, now)?;
    let link = parse::link(frame, tables.port())?;
    note.link(&link);
    if let Some(passage) = glance(frame, tables, note, &link, &moment) {
        return Ok(passage);
    }
    note.moment = moment;
    let network = match link.ethertype {
        ethertype::ARP => return guard::arp(frame, tables, note, link.payload),
        ethertype::IPV4 => parse::ipv4(frame, link.payload),
        ethertype::IPV6 => parse::ipv6(frame, link.payload),
        _ => return eapol::decide(frame, tables, note, tables.port()),
    };
    match network {
        Ok(network) => packet(frame, tables, note, &network),
        Err(DropReason::Fragment | DropReason::ExtensionHeader) => {
            core::hint::cold_path();
            extended(frame, tables, note, link.payload)
        }
        Err(reason) => Err(reason),
    }
}

/// What is in force, unless nothing may pass at all.
#[inline(always)]
fn moment<T: Tables + ?Sized>(tables: &T, now: Ticks) -> Result<Moment, DropReason> {
    let (stop, publication) = tables.control().ok_or(DropReason::NotArmed)?;
    if stop == Stop::Hard {
        return refuse(DropReason::Stopped);
    }
    if !publication.armed {
        return refuse(DropReason::NotArmed);
    }
    let Publication { half, generation, .. } = publication;
    Ok(Moment { stop, half, generation, now })
}

/// Whether the gateway would take the frame: what a switch floods to other MACs is not for a router.
/// What its own kernel sends goes to whoever it likes.
#[inline(always)]
fn is_for_us<T: Tables + ?Sized>(tables: &T, frame: Signature) -> bool {
    match tables.way() {
        Way::Bridge { .. } => return true,
        Way::Router if tables.port() == Port::GATEWAY => return true,
        Way::Router => {}
    }
    match tables.port_state(frame.port()) {
        Some(port) => frame.is_to_group() || frame.hop().word() == port.mac.load(),
        None => false,
    }
}

/// An IP packet: what it carries decides who judges it.
#[inline(always)]
fn packet<F, T>(
    frame: &F,
    tables: &T,
    note: &mut Note,
    network: &Network,
) -> Result<Passage, DropReason>
where
    F: Frame + ?Sized,
    T: Tables + ?Sized,
{
    note.packet(network);
    let transport = parse::transport(frame, network, &mut note.segment);
    let (sender, segment) = name(tables, note, network, transport);
    let transport = transport?;
    if network.has_trailer(frame) {
        return refuse(DropReason::TransportHeader);
    }
    if let Transport::NeighbourDiscovery { kind } = transport {
        return guard::neighbour_discovery(frame, tables, note, network, kind);
    }
    if note.signature.is_to_group() != network.is_group() {
        return refuse(DropReason::IpDestination);
    }
    if !is_for_us(tables, note.signature) {
        return refuse(DropReason::BindingMac);
    }
    if let Transport::Error { quoted } = transport {
        return related(frame, tables, note, network, quoted);
    }
    match segment {
        Some(segment) => conversation(tables, note, sender, segment),
        // No rule can name it; asking all the same finds the most telling reason.
        None => {
            tables.consult(note, Question::flow(sender))?;
            refuse(DropReason::NoRule)
        }
    }
}

/// Keeps the key of the flow that a packet would belong to: who sends, and the segment if it has
/// one that a flow can hold.
#[inline(always)]
fn name<T: Tables + ?Sized>(
    tables: &T,
    note: &mut Note,
    network: &Network,
    transport: Result<Transport, DropReason>,
) -> (Sender, Option<Segment>) {
    let pair = pair(tables);
    let end = |address, port| End { address, port };
    let (source, destination) = (network.source, network.destination);
    let (source_port, destination_port, segment) = match transport {
        Ok(Transport::Tcp { source, destination }) => (source, destination, Some(Segment::Tcp)),
        Ok(Transport::Udp { source, destination }) => {
            (source, destination, Some(Segment::Datagram))
        }
        // The responder's port is a constant, so that two pings with one identifier in opposite
        // directions stay two flows.
        Ok(Transport::Echo { identifier, request: true }) => {
            (identifier, ECHO_PORT, Some(Segment::Echo { request: true }))
        }
        Ok(Transport::Echo { identifier, request: false }) => {
            (ECHO_PORT, identifier, Some(Segment::Echo { request: false }))
        }
        Ok(Transport::Error { .. } | Transport::NeighbourDiscovery { .. } | Transport::Other)
        | Err(_) => (0, 0, None),
    };
    let sender = note.name(
        end(source, source_port),
        end(destination, destination_port),
        network.protocol,
        pair,
    );
    (sender, segment)
}

const ECHO_PORT: u16 = 0;

/// The lower port of the pair: one name for both directions. A router knows each address once.
#[inline(always)]
pub(crate) fn pair<T: Tables + ?Sized>(tables: &T) -> Port {
    match tables.way() {
        Way::Bridge { peer } => tables.port().min(peer),
        Way::Router => Port(0),
    }
}

/// A packet of a flow that exists, or that it opens.
#[inline(always)]
fn conversation<T: Tables + ?Sized>(
    tables: &T,
    note: &mut Note,
    sender: Sender,
    segment: Segment,
) -> Result<Passage, DropReason> {
    let found = if note.is_absent() { None } else { tables.find(note) };
    let Some((flow, established)) = found else {
        return open(tables, note, sender, segment);
    };
    if flow.is_expired(note.moment.now) {
        tables.remove(note);
        return open(tables, note, sender, segment);
    }
    let state = flow.state();
    let current = flow.generation() == note.moment.generation
        && is_sent_like(tables, flow.side(sender), note.signature)
        && (note.moment.stop == Stop::None || state.is_essential())
        && !flow.is_unleased(note.moment.now);
    if !current {
        authorise_again(tables, note, sender, flow)?;
    }
    tables.follow(note, Course { sender, segment, established, renewed: !current }, flow)?;
    Ok(note.passage)
}

/// The first packet of a flow.
#[inline(always)]
fn open<T: Tables + ?Sized>(
    tables: &T,
    note: &mut Note,
    sender: Sender,
    segment: Segment,
) -> Result<Passage, DropReason> {
    tables.consult(note, Question::flow(sender))?;
    tables.begin(note, Course::first(sender, segment))?;
    Ok(note.passage)
}

/// Whether a frame looks as the frames of that side do.
#[inline(always)]
fn is_sent_like<T: Tables + ?Sized>(tables: &T, side: Signature, frame: Signature) -> bool {
    match tables.way() {
        Way::Bridge { .. } => side == frame,
        Way::Router => side.is_sent_like(frame),
    }
}

/// A flow whose generation, binding, lease or leave under a stop is not what it was: it is asked
/// everything again and may go on in place, or this frame dies.
#[inline(always)]
fn authorise_again<T: Tables + ?Sized>(
    tables: &T,
    note: &mut Note,
    sender: Sender,
    flow: &Flow,
) -> Result<(), DropReason> {
    match tables.consult(note, Question::flow(flow.state().initiator())) {
        Ok(()) => Ok(()),
        // From the wrong side, where an overlapping network lies, it says nothing about the flow.
        Err(DropReason::NoRule) if flow.side(sender).port() == note.signature.port() => {
            tables.remove(note);
            refuse(DropReason::Revoked)
        }
        Err(reason) => Err(reason),
    }
}
