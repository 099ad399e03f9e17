//! ARP (RFC 826) and neighbour discovery (RFC 4861): they pass between nodes that some rule
//! connects, when the sender owns what it claims, and an answer only if it was asked for.

use crate::abi::Stop;
use crate::decide::{Exit, Note, Passage, Question, earlier, pair};
use crate::flow::{End, Phase, Sender, Signature, State, other};
use crate::frame::wire;
use crate::identity::{Direction, Role, Speaker, View, local_stop, recognise};
use crate::image::Allowed;
use crate::parse::Network;
use crate::tables::Way;
use crate::{Addr, DropReason, Frame, Mac, PassReason, Port, Service, Tables};

/// A message about who lives at an address, the same for both protocols.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Claim {
    /// The sender's address.
    pub sender: Addr,
    /// The address of the one it is meant for, or whose MAC it asks for.
    pub target: Addr,
    /// It asks; otherwise it answers.
    pub asks: bool,
    /// What a claim of something that is not the sender's is called.
    pub spoof: DropReason,
    /// What an address that no rule connects is called.
    pub stranger: DropReason,
}

impl Default for Claim {
    fn default() -> Self {
        Self {
            sender: Addr::UNSPECIFIED,
            target: Addr::UNSPECIFIED,
            asks: false,
            spoof: DropReason::ArpSpoof,
            stranger: DropReason::ArpTarget,
        }
    }
}

/// Decides over an ARP frame.
#[inline(always)]
pub fn arp<F, T>(frame: &F, tables: &T, note: &mut Note, start: u32) -> Result<Passage, DropReason>
where
    F: Frame + ?Sized,
    T: Tables + ?Sized,
{
    let Some(header) = frame.load::<wire::Arp>(start) else {
        return Err(DropReason::Truncated);
    };
    let wire::Arp { fixed, sender_mac, sender, target_mac, target } = header;
    // Ethernet (1), IPv4 (0x0800), lengths 6 and 4, operation 1 or 2.
    let asks = match u64::from_be(fixed) {
        0x0001_0800_0604_0001 => true,
        0x0001_0800_0604_0002 => false,
        _ => return Err(DropReason::ArpSpoof),
    };
    if frame.length() > start + 28 && frame.length() > 64 {
        return Err(DropReason::ArpSpoof);
    }
    note.claim = Claim {
        sender: Addr::from_v4_word(sender),
        target: Addr::from_v4_word(target),
        asks,
        spoof: DropReason::ArpSpoof,
        stranger: DropReason::ArpTarget,
    };
    // A probe (sender 0.0.0.0, RFC 5227) and an announcement (sender = target) reach nobody that a
    // rule names; the announcement of another's address is told apart below.
    let destination = note.signature.destination();
    if sender_mac != note.signature.source()
        || !asks && (target_mac != destination || destination.is_group())
    {
        return Err(DropReason::ArpSpoof);
    }
    pass(tables, note, PassReason::Arp)
}

/// Decides over an ICMPv6 neighbour discovery message.
#[inline(always)]
pub fn neighbour_discovery<F, T>(
    frame: &F,
    tables: &T,
    note: &mut Note,
    network: &Network,
    kind: u8,
) -> Result<Passage, DropReason>
where
    F: Frame + ?Sized,
    T: Tables + ?Sized,
{
    // Solicitations and advertisements only: router discovery and redirects are how a host on the
    // wrong side would make itself a router.
    let asks = match kind {
        135 => true,
        136 => false,
        _ => return Err(DropReason::NdSpoof),
    };
    let length = network.end - network.payload;
    let Some(header) = frame.load::<wire::Icmp>(network.payload) else {
        return Err(DropReason::Truncated);
    };
    let code = header.code;
    // RFC 4861, 7.1: hop limit 255, code 0, whole options. The only option let by is the link-layer
    // address, alone.
    if network.hops != 255 || code != 0 || length != 24 && length != 32 {
        return Err(DropReason::NdSpoof);
    }
    let Some(target) = frame.load::<wire::Words>(network.payload + 8) else {
        return Err(DropReason::Truncated);
    };
    let target = Addr::from_words(target.0);
    if length == 32 {
        let Some(option) = frame.load::<wire::LinkOption>(network.payload + 24) else {
            return Err(DropReason::Truncated);
        };
        let wire::LinkOption { kind, units, mac } = option;
        let wanted = if asks { 1 } else { 2 };
        if kind != wanted || units != 1 || mac != note.signature.source() {
            return Err(DropReason::NdSpoof);
        }
    }
    let addressed = if asks {
        network.destination == target || network.destination == solicited_node(target)
    } else {
        // The sender may answer for its own address only; unsolicited ones go to a group.
        target == network.source && !network.is_group()
    };
    if !addressed || note.signature.is_to_group() != network.is_group() {
        return Err(DropReason::NdSpoof);
    }
    note.claim = Claim {
        sender: network.source,
        target: if asks { target } else { network.destination },
        asks,
        spoof: DropReason::NdSpoof,
        stranger: DropReason::NdSpoof,
    };
    pass(tables, note, PassReason::NeighbourDiscovery)
}

/// ff02::1:ffXX:XXXX (RFC 4291, 2.7.1).
#[inline(always)]
const fn solicited_node(target: Addr) -> Addr {
    let low = u64::from_be(target.words()[1]);
    let group = 0x0000_0001_ff00_0000 | low & 0x00ff_ffff;
    Addr::from_words([0xff02_0000_0000_0000_u64.to_be(), group.to_be()])
}

#[inline(always)]
fn pass<T: Tables + ?Sized>(
    tables: &T,
    note: &mut Note,
    reason: PassReason,
) -> Result<Passage, DropReason> {
    let Claim { sender, target, asks, spoof, stranger: _ } = note.claim;
    let (sender, target) = (
        End { address: sender, port: if asks { 1 } else { 0 } },
        End { address: target, port: if asks { 0 } else { 1 } },
    );
    let announces = sender.address == target.address;
    let side = note.name(sender, target, 0, pair(tables));
    tables.consult(note, Question::Claim)?;
    let Note { grant, destination, .. } = *note;
    if announces {
        // Only a router lets it get this far. Nobody will answer.
    } else if asks {
        let state = State::new(Phase::Asked, side, grant.essential);
        let answer =
            Signature::new(Mac::default(), Mac::default(), destination.vlan, destination.port);
        note.flow.open(&grant, state, side, [note.signature, answer]);
        note.flow.touch(note.moment.now, tables.timeout(Phase::Asked));
        if tables.ask(&note.key, &note.flow).is_err() {
            return Err(DropReason::FlowTableFull);
        }
    } else if !was_asked(tables, note, other(side)) {
        return Err(spoof);
    }
    Ok(Passage {
        reason,
        exit: match tables.way() {
            Way::Bridge { peer } => Exit::unchanged(peer, destination.vlan),
            Way::Router => Exit::GATEWAY,
        },
        rule: grant.rule,
        from: grant.from,
        to: grant.to,
    })
}

#[inline(always)]
fn was_asked<T: Tables + ?Sized>(tables: &T, note: &Note, asker: Sender) -> bool {
    match tables.asked(&note.key) {
        Some(flow) => {
            !flow.is_expired(note.moment.now)
                && flow.state().initiator() == asker
                && flow.side(asker).source() == note.signature.destination()
        }
        None => false,
    }
}

/// Whether the sender owns what it claims, and some rule connects it to the one it speaks to.
#[inline(always)]
pub(crate) fn judge<T: Tables + ?Sized>(tables: &T, note: &mut Note) -> Result<(), DropReason> {
    match tables.way() {
        Way::Bridge { peer } => connected(tables, note, peer),
        Way::Router => beside_the_gateway(tables, note),
    }
}

/// A router speaks with its neighbours for itself: no rule is needed, and nothing is passed on.
#[inline(always)]
fn beside_the_gateway<T: Tables + ?Sized>(tables: &T, note: &mut Note) -> Result<(), DropReason> {
    let Claim { sender, target, asks: _, spoof, stranger } = note.claim;
    if note.signature.port() == Port::GATEWAY {
        if !tables.is_local(&sender) {
            return Err(spoof);
        }
        note.source = Speaker::gateway();
        note.allowed = Allowed::default();
        note.granted(Direction::Forward, 0);
        return Ok(());
    }
    let Some(view) = View::new(tables, note) else {
        return Err(DropReason::NotArmed);
    };
    note.query = sender;
    match recognise(tables, note, Role::Source) {
        Ok(()) => {}
        Err(DropReason::UnknownSource) => {
            if !view.router(note.signature, &mut note.source) {
                return Err(DropReason::UnknownSource);
            }
        }
        Err(_) => return Err(spoof),
    }
    note.sent_by();
    if !tables.is_local(&target) && target != sender {
        return Err(stranger);
    }
    // Who may ask the gateway for a lease must find it first.
    let is_enrolment = tables.enrolment() != 0;
    let lease = view.standing_before(&note.source, target, is_enrolment, note.moment.now)?;
    match local_stop(tables, &note.source) {
        Stop::None | Stop::Ordinary => {}
        Stop::Hard => return Err(DropReason::StoppedSubnetwork),
    }
    note.destination = Speaker::gateway();
    note.allowed = Allowed::default();
    note.granted(Direction::Forward, earlier(lease, 0, note.moment.now));
    Ok(())
}

/// A bridge passes on what a rule connects.
#[inline(always)]
fn connected<T: Tables + ?Sized>(
    tables: &T,
    note: &mut Note,
    peer: Port,
) -> Result<(), DropReason> {
    let Claim { sender, target, asks: _, spoof, stranger } = note.claim;
    let now = note.moment.now;
    note.query = sender;
    let known = match recognise(tables, note, Role::Source) {
        Ok(()) => true,
        Err(DropReason::UnknownSource) => false,
        Err(_) => return Err(spoof),
    };
    if sender == target {
        return Err(if known { stranger } else { spoof });
    }
    note.query = target;
    let wanted = match recognise(tables, note, Role::Destination) {
        Ok(()) => true,
        Err(DropReason::UnknownDestination) => false,
        Err(_) => return Err(stranger),
    };
    let Some(view) = View::new(tables, note) else {
        return Err(DropReason::NotArmed);
    };
    match (known, wanted) {
        (true, true) => {}
        // An undeclared address: the sender's gateway, if it lies behind the peer port.
        (true, false) => {
            if !view.gateway_of(&note.source, &mut note.destination)
                || note.destination.port != peer
            {
                return Err(stranger);
            }
        }
        (false, true) => {
            if !view.gateway_of(&note.destination, &mut note.source)
                || !is_router(&view, &note.source, &note.signature)
            {
                return Err(DropReason::UnknownSource);
            }
        }
        (false, false) => return Err(DropReason::UnknownSource),
    }
    note.sent_by();
    let sender_lease = view.standing(&note.source, now)?;
    note.sent_to();
    let target_lease = view.standing(&note.destination, now)?;
    note.service = Service::CONNECTED;
    match tables.permit(note, Direction::Forward) {
        Ok(()) => {}
        Err(DropReason::NoRule) => return Err(stranger),
        Err(reason) => return Err(reason),
    }
    note.granted(Direction::Forward, earlier(sender_lease, target_lease, now));
    Ok(())
}

#[inline(always)]
fn is_router<T: Tables + ?Sized>(view: &View<'_, T>, router: &Speaker, frame: &Signature) -> bool {
    router.port == frame.port()
        && router.vlan == frame.vlan()
        && view.is_router(router.subnetwork, frame.source())
}
