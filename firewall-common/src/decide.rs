//! The decision: from a frame to a verdict. The stages run in the order of the functions here.

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
use crate::flow::{Advance, End, Flow, Segment, Sender, Signature, State, other};
use crate::identity::Speaker;
use crate::parse::{self, Network, Transport, ethertype};
use crate::tables::Way;
use crate::verdict::refuse;
use crate::{DropReason, Frame, Hop, Mac, PassReason, Port, Tables, Ticks, eapol, guard};

use self::exit::exit;
use self::extended::extended;
pub use self::extended::{Course, begin, chain, course, follow, tolerance};
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
    let Some((flow, established)) = find(tables, note) else {
        return open(tables, note, sender, segment);
    };
    if flow.is_expired(note.moment.now) {
        forget(tables, note, established);
        return open(tables, note, sender, segment);
    }
    let state = flow.state();
    let current = flow.generation() == note.moment.generation
        && is_sent_like(tables, flow.side(sender), note.signature)
        && (note.moment.stop == Stop::None || state.is_essential())
        && !flow.is_unleased(note.moment.now);
    if !current {
        authorise_again(tables, note, sender, flow, established)?;
    }
    proceed(tables, note, sender, segment, flow, established)
}

/// The flow that the note's key names, and whether it is established.
#[inline(always)]
fn find<'t, T: Tables + ?Sized>(tables: &'t T, note: &mut Note) -> Option<(&'t Flow, bool)> {
    let established = if note.is_absent() { None } else { tables.established(note) };
    match established {
        Some(flow) => Some((flow, true)),
        None => tables.half_open(&note.key).map(|flow| (flow, false)),
    }
}

/// A packet of a flow that is in force.
#[inline(always)]
fn proceed<T: Tables + ?Sized>(
    tables: &T,
    note: &mut Note,
    sender: Sender,
    segment: Segment,
    flow: &Flow,
    established: bool,
) -> Result<Passage, DropReason> {
    let state = flow.state();
    let from_initiator = state.initiator() == sender;
    // What has no way out moves no window.
    let (reason, exit) = exit(tables, note, flow, sender)?;
    let advance = flow.follow(state, sender, segment, &note.segment)?;
    let advance = match (advance, reason) {
        // The kernel still has to send it, and the guard to know why.
        (Advance::End, PassReason::Kernel) => Advance::Keep(state.ended()),
        (advance, _) => advance,
    };
    let passage = Passage {
        reason,
        exit,
        rule: flow.rule(),
        from: if from_initiator { flow.subnetworks().0 } else { flow.subnetworks().1 },
        to: if from_initiator { flow.subnetworks().1 } else { flow.subnetworks().0 },
    };
    match advance {
        Advance::Keep(next) => {
            // Another CPU may have moved it on since.
            if next != state {
                flow.set_state(next);
            }
            flow.touch(note.moment.now, tables.timeout(next.phase()));
        }
        Advance::Promote(state) => {
            if established {
                flow.set_state(state);
                flow.touch(note.moment.now, tables.timeout(state.phase()));
            } else {
                note.flow.copy(flow);
                note.flow.set_state(state);
                note.flow.touch(note.moment.now, tables.timeout(state.phase()));
                if tables.promote(note).is_err() {
                    return refuse(DropReason::FlowTableFull);
                }
                tables.refund(note, flow);
            }
        }
        Advance::End => {
            if !established {
                tables.refund(note, flow);
            }
            forget(tables, note, established);
        }
    }
    Ok(passage)
}

#[inline(always)]
fn forget<T: Tables + ?Sized>(tables: &T, note: &mut Note, established: bool) {
    if established {
        tables.remove(note);
    } else {
        tables.remove_half_open(&note.key);
    }
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
    enter(tables, note, sender, segment)
}

/// Keeps a flow that has been granted.
#[inline(always)]
fn enter<T: Tables + ?Sized>(
    tables: &T,
    note: &mut Note,
    sender: Sender,
    segment: Segment,
) -> Result<Passage, DropReason> {
    let phase = segment.opens(&note.segment)?;
    let Note { grant, .. } = *note;
    let state = State::new(phase, sender, grant.essential);
    let answer = unheard(&note.destination);
    let heard = heard(tables, note.signature, Hop::NONE);
    note.flow.open(&grant, state, sender, [heard, answer]);
    note.flow.begin_with(sender, segment, &note.segment);
    note.flow.touch(note.moment.now, tables.timeout(phase));
    let (_, exit) = exit(tables, note, &note.flow, sender)?;
    tables.charge(note)?;
    if tables.insert_half_open(&note.key, &note.flow).is_err() {
        return refuse(DropReason::FlowTableFull);
    }
    Ok(Passage {
        reason: PassReason::Opened,
        exit,
        rule: grant.rule,
        from: grant.from,
        to: grant.to,
    })
}

/// Whether a frame looks as the frames of that side do.
#[inline(always)]
fn is_sent_like<T: Tables + ?Sized>(tables: &T, side: Signature, frame: Signature) -> bool {
    match tables.way() {
        Way::Bridge { .. } => side == frame,
        Way::Router => side.is_sent_like(frame),
    }
}

/// What a flow keeps of a side that was heard. A router keeps the next hop towards it where a bridge
/// keeps the MAC that its frames are addressed to.
#[inline(always)]
fn heard<T: Tables + ?Sized>(tables: &T, frame: Signature, hop: Hop) -> Signature {
    match tables.way() {
        Way::Bridge { .. } => frame,
        Way::Router => frame.to(hop),
    }
}

/// What a receiver's answer will look like, its MAC left zero, which no frame that gets this far
/// carries.
#[inline(always)]
fn unheard(speaker: &Speaker) -> Signature {
    Signature::new(Mac::default(), Mac::default(), speaker.vlan, speaker.port)
}

/// A flow whose generation, binding, lease or leave under a stop is not what it was: it is asked
/// everything again and goes on in place, or this frame dies.
#[inline(always)]
fn authorise_again<T: Tables + ?Sized>(
    tables: &T,
    note: &mut Note,
    sender: Sender,
    flow: &Flow,
    established: bool,
) -> Result<(), DropReason> {
    match tables.consult(note, Question::flow(flow.state().initiator())) {
        Ok(()) => {}
        // From the wrong side, where an overlapping network lies, it says nothing about the flow.
        Err(DropReason::NoRule) if flow.side(sender).port() == note.signature.port() => {
            forget(tables, note, established);
            return refuse(DropReason::Revoked);
        }
        Err(reason) => return Err(reason),
    }
    renew(tables, note, sender, flow);
    Ok(())
}

/// Writes into a flow what has just been granted to it.
#[inline(always)]
fn renew<T: Tables + ?Sized>(tables: &T, note: &Note, sender: Sender, flow: &Flow) {
    let mut hop = flow.side(sender).hop();
    if flow.generation() != note.moment.generation {
        // Routes may have changed, too.
        hop = Hop::NONE;
        flow.set_side(other(sender), unheard(&note.destination));
    }
    flow.set_side(sender, heard(tables, note.signature, hop));
    flow.authorise(&note.grant);
}
