//! ARP (RFC 826) and neighbour discovery (RFC 4861): they pass between nodes that some rule
//! connects, when the sender owns what it claims, and an answer only if it was asked for.

use crate::decide::{Moment, Note, Passage, earlier, pair};
use crate::flow::{End, Grant, Phase, Sender, Signature, State, other};
use crate::frame::wire;
use crate::identity::{Speaker, View};
use crate::parse::Network;
use crate::{Addr, DropReason, Frame, Mac, PassReason, Service, Tables};

/// A message about who lives at an address, the same for both protocols.
struct Claim {
    /// The sender's address.
    sender: Addr,
    /// The address of the one it is meant for, or whose MAC it asks for.
    target: Addr,
    /// It asks; otherwise it answers.
    asks: bool,
    /// What a claim of something that is not the sender's is called.
    spoof: DropReason,
    /// What an address that no rule connects is called.
    stranger: DropReason,
    /// What letting it through is called.
    pass: PassReason,
}

/// Decides over an ARP frame.
#[inline(always)]
pub fn arp<F, T>(
    frame: &F,
    tables: &T,
    moment: &Moment,
    note: &mut Note,
    start: u32,
) -> Result<Passage, DropReason>
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
    let claim = Claim {
        sender: Addr::from_v4_word(sender),
        target: Addr::from_v4_word(target),
        asks,
        spoof: DropReason::ArpSpoof,
        stranger: DropReason::ArpTarget,
        pass: PassReason::Arp,
    };
    // A probe (sender 0.0.0.0, RFC 5227) and an announcement (sender = target) reach nobody that a
    // rule names; the announcement of another's address is told apart below.
    let destination = note.signature.destination();
    if sender_mac != note.signature.source()
        || !asks && (target_mac != destination || destination.is_group())
    {
        return Err(DropReason::ArpSpoof);
    }
    pass(tables, moment, note, &claim)
}

/// Decides over an ICMPv6 neighbour discovery message.
#[inline(always)]
pub fn neighbour_discovery<F, T>(
    frame: &F,
    tables: &T,
    moment: &Moment,
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
    let Some(target) = frame.load::<[u64; 2]>(network.payload + 8) else {
        return Err(DropReason::Truncated);
    };
    let target = Addr::from_words(target);
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
    let claim = Claim {
        sender: network.source,
        target: if asks { target } else { network.destination },
        asks,
        spoof: DropReason::NdSpoof,
        stranger: DropReason::NdSpoof,
        pass: PassReason::NeighbourDiscovery,
    };
    pass(tables, moment, note, &claim)
}

/// ff02::1:ffXX:XXXX (RFC 4291, 2.7.1).
#[inline(always)]
const fn solicited_node(target: Addr) -> Addr {
    let low = u64::from_be(target.words()[1]);
    let group = 0x0000_0001_ff00_0000 | low & 0x00ff_ffff;
    Addr::from_words([0xff02_0000_0000_0000_u64.to_be(), group.to_be()])
}

#[inline(never)]
fn pass<T: Tables + ?Sized>(
    tables: &T,
    moment: &Moment,
    note: &mut Note,
    claim: &Claim,
) -> Result<Passage, DropReason> {
    let (asker, owner) = (
        End { address: claim.sender, port: if claim.asks { 1 } else { 0 } },
        End { address: claim.target, port: if claim.asks { 0 } else { 1 } },
    );
    let side = note.name(asker, owner, 0, pair(tables));
    let view = View::new(tables, moment.half).ok_or(DropReason::NotArmed)?;
    let frame = note.signature;
    let known = match view.source(claim.sender, frame) {
        Ok(speaker) => Some(speaker),
        Err(DropReason::UnknownSource) => None,
        Err(_) => return Err(claim.spoof),
    };
    if claim.sender == claim.target {
        let owns = known.is_some();
        return Err(if owns { claim.stranger } else { claim.spoof });
    }
    let target = match view.destination(claim.target) {
        Ok(speaker) => Some(speaker),
        Err(DropReason::UnknownDestination) => None,
        Err(_) => return Err(claim.stranger),
    };
    let (sender, target) = match (known, target) {
        (Some(sender), Some(target)) => (sender, target),
        (Some(sender), None) => {
            // An undeclared address: the sender's gateway, if it lies behind the peer port.
            match view.gateway_of(&sender) {
                Some(router) if router.port == tables.peer() => (sender, router),
                Some(_) | None => return Err(claim.stranger),
            }
        }
        (None, Some(target)) => match view.gateway_of(&target) {
            Some(router) if is_router(&view, &router, frame) => (router, target),
            Some(_) | None => return Err(DropReason::UnknownSource),
        },
        (None, None) => return Err(DropReason::UnknownSource),
    };
    note.sent_by(&sender);
    let sender_lease = view.standing(&sender, moment.now)?;
    note.sent_to(&target);
    let target_lease = view.standing(&target, moment.now)?;
    let allowed = match view.allowed(moment.stop, &sender, &target, Service::CONNECTED) {
        Ok(allowed) => allowed,
        Err(DropReason::NoRule) => return Err(claim.stranger),
        Err(reason) => return Err(reason),
    };
    if claim.asks {
        let grant = Grant {
            generation: moment.generation,
            lease_end: earlier(sender_lease, target_lease, moment.now),
            rule: allowed.rule,
            essential: allowed.essential,
            from: sender.subnetwork,
            to: target.subnetwork,
        };
        let state = State::new(Phase::Asked, side, allowed.essential);
        let answer = Signature::new(Mac::default(), Mac::default(), target.vlan, target.port);
        note.flow.open(&grant, state, side, [frame, answer]);
        note.flow.touch(moment.now, tables.timeouts().half_open);
        if tables.insert_half_open(&note.key, &note.flow).is_err() {
            return Err(DropReason::FlowTableFull);
        }
    } else if !was_asked(tables, moment, note, other(side)) {
        return Err(claim.spoof);
    }
    Ok(Passage {
        reason: claim.pass,
        egress: target.vlan,
        rule: allowed.rule,
        from: sender.subnetwork,
        to: target.subnetwork,
    })
}

#[inline(always)]
fn is_router<T: Tables + ?Sized>(view: &View<'_, T>, router: &Speaker, frame: Signature) -> bool {
    router.port == frame.port()
        && router.vlan == frame.vlan()
        && view.is_router(router.subnetwork, frame.source())
}

#[inline(always)]
fn was_asked<T: Tables + ?Sized>(tables: &T, moment: &Moment, note: &Note, asker: Sender) -> bool {
    match tables.half_open(&note.key) {
        Some(flow) => {
            !flow.is_expired(moment.now)
                && flow.state().initiator() == asker
                && flow.side(asker).source() == note.signature.destination()
        }
        None => false,
    }
}
