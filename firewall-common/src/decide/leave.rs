//! The egress guard: what the gateway's own kernel sends out of a port is explained by a live flow or
//! by a rule for the gateway, or does not leave. So nothing gets into a subnetwork around the
//! program of the port it should have come in by: not from an interface that nobody guards, a tunnel,
//! a container, or a process on the gateway.

use super::course::unheard;
use super::related::quoted_flow;
use super::{Exit, Named, Note, PassReason, Passage, Question, moment, name, packet};
use crate::abi::Stop;
use crate::flow::{Flow, Sender, Signature, other};
use crate::parse::{self, Network, Part, Transport, ethertype};
use crate::tables::Way;
use crate::{DropReason, Frame, Port, RuleSlot, SubnetworkSlot, Tables, Ticks, Vlan, eapol, guard};

/// Where the kernel has a frame from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It made it.
    Gateway,
    /// It forwards what came in on that port, and what the port's program has left to it.
    Port(Port),
    /// It forwards what came in on an interface that is no port.
    Unguarded,
}

/// How a frame leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// Where the kernel has it from.
    pub origin: Origin,
    /// The port it is about to leave by.
    pub port: Port,
    /// The tag that the kernel keeps beside the frame, to be written when it leaves.
    pub tag: Vlan,
}

/// Decides over a frame that the kernel sends. `tables` are those of [`Port::GATEWAY`]. Whatever is
/// not explained is [`DropReason::Egress`], if nothing stops it anyway and it is not one too many.
#[inline(always)]
pub fn leave<F, T>(
    frame: &F,
    tables: &T,
    now: Ticks,
    note: &mut Note,
    leaving: Leaving,
) -> Result<Passage, DropReason>
where
    F: Frame + ?Sized,
    T: Tables + ?Sized,
{
    match explain(frame, tables, now, note, leaving) {
        Ok(passage) => Ok(passage),
        Err(
            reason @ (DropReason::Stopped
            | DropReason::StoppedSubnetwork
            | DropReason::NotArmed
            | DropReason::FlowLimit),
        ) => Err(reason),
        Err(_) => Err(DropReason::Egress),
    }
}

#[inline(always)]
fn explain<F, T>(
    frame: &F,
    tables: &T,
    now: Ticks,
    note: &mut Note,
    leaving: Leaving,
) -> Result<Passage, DropReason>
where
    F: Frame + ?Sized,
    T: Tables + ?Sized,
{
    note.forget();
    let moment = moment(tables, now)?;
    let Leaving { origin, port, tag } = leaving;
    let mut link = parse::link(frame, Port::GATEWAY)?;
    if link.ethertype == ethertype::EAPOL && origin == Origin::Gateway && tag == Vlan::UNTAGGED {
        note.link(&link);
        return eapol::decide(frame, tables, note, port);
    }
    match tables.way() {
        // A bridge has no address and sends nothing else of its own.
        Way::Bridge { .. } => return Err(DropReason::Egress),
        Way::Router => {}
    }
    let vlan = match (link.signature.vlan(), tag) {
        (inside, Vlan::UNTAGGED) => inside,
        (Vlan::UNTAGGED, beside) => beside,
        _ => return Err(DropReason::Vlan),
    };
    let Some(state) = tables.port_state(port) else {
        return Err(DropReason::NotArmed);
    };
    // Not a frame that somebody has put together on a packet socket.
    if link.signature.source_word() != state.mac.load() {
        return Err(DropReason::MacSource);
    }
    link.signature = link.signature.untagged();
    note.link(&link);
    note.moment = moment;
    let network = match link.ethertype {
        ethertype::ARP if origin == Origin::Gateway => {
            return guard::arp(frame, tables, note, link.payload);
        }
        ethertype::IPV4 => parse::ipv4(frame, link.payload),
        ethertype::IPV6 => parse::ipv6(frame, link.payload),
        _ => return Err(DropReason::Ethertype),
    };
    let passage = match (network, origin) {
        (Ok(network), Origin::Gateway) => packet(frame, tables, note, &network)?,
        (Ok(network), Origin::Port(from)) => forwarded(frame, tables, note, &network, from)?,
        (Err(DropReason::ExtensionHeader | DropReason::Fragment), Origin::Port(from)) => {
            forwarded_extended(frame, tables, note, link.payload, from)?
        }
        // The gateway belongs to no subnetwork that could let by more than plain packets.
        (Err(reason), Origin::Gateway | Origin::Port(_)) => return Err(reason),
        (Ok(_) | Err(_), Origin::Unguarded) => return Err(DropReason::Egress),
    };
    // Neighbour discovery goes out where the address is asked for. What is for the gateway itself goes
    // nowhere.
    let Exit { port: wanted, vlan: tagged, .. } = passage.exit;
    let is_discovery = passage.reason == PassReason::NeighbourDiscovery;
    if !is_discovery && (wanted != port || tagged != vlan) {
        return Err(DropReason::NoRoute);
    }
    Ok(passage)
}

/// What a port's program has allowed and left to the kernel: its flow is there and says so. The
/// flow's state has moved on already.
#[inline(always)]
fn forwarded<F, T>(
    frame: &F,
    tables: &T,
    note: &mut Note,
    network: &Network,
    from: Port,
) -> Result<Passage, DropReason>
where
    F: Frame + ?Sized,
    T: Tables + ?Sized,
{
    let transport = parse::transport(frame, network, &mut note.segment);
    let (sender, segment) = name(tables, note, network, transport);
    // Nothing that a port's program lets in looks like that; the kernel makes nothing of the kind.
    if network.has_trailer(frame) || note.signature.is_to_group() != network.is_group() {
        return Err(DropReason::TransportHeader);
    }
    if let Ok(Transport::Error { quoted }) = transport {
        // It goes back to the sender of what it quotes, from the other side.
        let (flow, sender) = quoted_flow(frame, tables, note, network, quoted)?;
        return live(tables, note, flow, other(sender), from);
    }
    if segment.is_none() {
        return Err(DropReason::NoRule);
    }
    let Some((flow, _)) = tables.find(note) else {
        return Err(DropReason::NoRule);
    };
    live(tables, note, flow, sender, from)
}

/// Whether a flow is in force and `sender` is behind that port; and where its frames go.
#[inline(always)]
fn live<T: Tables + ?Sized>(
    tables: &T,
    note: &mut Note,
    flow: &Flow,
    sender: Sender,
    from: Port,
) -> Result<Passage, DropReason> {
    let (near, far) = (flow.side(sender), flow.side(other(sender)));
    if flow.is_expired(note.moment.now) || near.port() != from {
        return Err(DropReason::NoRule);
    }
    let state = flow.state();
    let current = flow.generation() == note.moment.generation
        && (note.moment.stop == Stop::None || state.is_essential())
        && !flow.is_unleased(note.moment.now);
    if current {
        return Ok(towards(far));
    }
    // While it waited for its neighbour something has changed; the kernel has rewritten its MACs, the
    // flow knows those it came with. Its receiver may live elsewhere now.
    note.signature = near;
    note.sender = sender;
    tables.consult(note, Question::flow(state.initiator()))?;
    Ok(towards(unheard(&note.destination)))
}

const fn towards(far: Signature) -> Passage {
    Passage {
        reason: PassReason::Kernel,
        exit: Exit::unchanged(far.port(), far.vlan()),
        rule: RuleSlot(0),
        from: SubnetworkSlot(0),
        to: SubnetworkSlot(0),
    }
}

/// The same for a packet that is not plain, which is asked about every time.
#[inline(always)]
fn forwarded_extended<F, T>(
    frame: &F,
    tables: &T,
    note: &mut Note,
    start: u32,
    from: Port,
) -> Result<Passage, DropReason>
where
    F: Frame + ?Sized,
    T: Tables + ?Sized,
{
    let tolerance = frame.tolerance(tables, note, start)?;
    note.came_in = from;
    let part = frame.chain(note, tolerance)?;
    match part {
        Part::Whole => {}
        Part::First => tables.admit(note)?,
        Part::Next => {
            tables.reassemble(note)?;
            return Ok(note.passage);
        }
    }
    let Named { sender, .. } = frame.named(tables, note, part)?;
    let Some((flow, _)) = tables.find(note) else {
        return Err(DropReason::NoRule);
    };
    let near = flow.side(sender);
    if flow.is_expired(note.moment.now) || near.port() != from {
        return Err(DropReason::NoRule);
    }
    note.signature = near;
    tables.consult(note, Question::flow(flow.state().initiator()))?;
    note.passage = towards(unheard(&note.destination));
    if part == Part::First {
        tables.track(note)?;
    }
    Ok(note.passage)
}
