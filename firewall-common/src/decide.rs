//! The decision: from a frame to a verdict. The stages run in the order of the functions here.

use crate::abi::{Publication, Stop};
use crate::flow::{Advance, End, Flow, FlowKey, Grant, Segment, Sender, Signature, State, other};
use crate::identity::{Speaker, View};
use crate::parse::{self, Network, Transport, ethertype, protocol};
use crate::{
    Addr, DropReason, Frame, Generation, PassReason, Port, RuleSlot, Service, SubnetworkSlot,
    Tables, Ticks, Vlan, guard,
};

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
    let (stop, publication) = tables.control().ok_or(DropReason::NotArmed)?;
    if stop == Stop::Hard {
        return Err(DropReason::Stopped);
    }
    if !publication.armed {
        return Err(DropReason::NotArmed);
    }
    let Publication { half, generation, .. } = publication;
    let link = parse::link(frame, tables.port())?;
    note.signature = link.signature;
    note.ethertype = link.ethertype;
    let moment = Moment { stop, half, generation, now };
    match link.ethertype {
        ethertype::ARP => guard::arp(frame, tables, &moment, note, link.payload),
        ethertype::IPV4 => {
            let network = parse::ipv4(frame, link.payload)?;
            packet(frame, tables, &moment, note, &network)
        }
        ethertype::IPV6 => {
            let network = parse::ipv6(frame, link.payload)?;
            packet(frame, tables, &moment, note, &network)
        }
        _ => Err(DropReason::Ethertype),
    }
}

/// What a decision is taken under; read once per frame.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// How far everything is stopped; never [`Stop::Hard`] here.
    pub stop: Stop,
    /// The active half of the image.
    pub half: u32,
    /// The generation in force.
    pub generation: Generation,
    /// The time.
    pub now: Ticks,
}

/// Leave to pass, and what the recorder needs to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    /// Why.
    pub reason: PassReason,
    /// The tag the frame must carry when it leaves.
    pub egress: Vlan,
    /// The rule that allowed it.
    pub rule: RuleSlot,
    /// The sender's subnetwork.
    pub from: SubnetworkSlot,
    /// The receiver's subnetwork.
    pub to: SubnetworkSlot,
}

/// What the decision learned of the frame so far; zero where it did not get that far.
#[derive(Debug)]
#[repr(C)]
pub struct Note {
    /// The flow's key; its addresses are the frame's.
    pub key: FlowKey,
    /// A flow being written before it enters a table.
    pub flow: Flow,
    /// MACs, VLAN and port.
    pub signature: Signature,
    /// The sending node's slot.
    pub source_node: u32,
    /// The receiving node's slot.
    pub destination_node: u32,
    /// The EtherType, behind the tag.
    pub ethertype: u16,
    /// The sender's subnetwork.
    pub source_subnetwork: u16,
    /// The receiver's subnetwork.
    pub destination_subnetwork: u16,
    /// Which end of `key` sent the frame.
    pub sender: Sender,
    /// Whether `key` is this frame's.
    pub has_key: bool,
}

impl Default for Note {
    fn default() -> Self {
        Self {
            key: FlowKey::default(),
            flow: Flow::default(),
            signature: Signature::default(),
            source_node: 0,
            destination_node: 0,
            ethertype: 0,
            source_subnetwork: 0,
            destination_subnetwork: 0,
            sender: Sender::Low,
            has_key: false,
        }
    }
}

impl Note {
    #[inline(always)]
    fn forget(&mut self) {
        self.signature = Signature::default();
        self.ethertype = 0;
        self.has_key = false;
        self.source_node = 0;
        self.destination_node = 0;
        self.source_subnetwork = 0;
        self.destination_subnetwork = 0;
    }

    /// Keeps the flow key of the frame.
    #[inline(always)]
    pub fn name(&mut self, source: End, destination: End, protocol: u8, pair: Port) -> Sender {
        let (key, sender) = FlowKey::of(source, destination, protocol, pair);
        self.key = key;
        self.sender = sender;
        self.has_key = true;
        sender
    }

    /// Keeps who sent the frame.
    #[inline(always)]
    pub fn sent_by(&mut self, speaker: &Speaker) {
        self.source_node = speaker.party.node().0;
        self.source_subnetwork = speaker.subnetwork.0;
    }

    /// Keeps who would receive it.
    #[inline(always)]
    pub fn sent_to(&mut self, speaker: &Speaker) {
        self.destination_node = speaker.party.node().0;
        self.destination_subnetwork = speaker.subnetwork.0;
    }
}

/// An IP packet: what it carries decides who judges it.
#[inline(always)]
fn packet<F, T>(
    frame: &F,
    tables: &T,
    moment: &Moment,
    note: &mut Note,
    network: &Network,
) -> Result<Passage, DropReason>
where
    F: Frame + ?Sized,
    T: Tables + ?Sized,
{
    let pair = pair(tables);
    let end = |address, port| End { address, port };
    let (source, destination) = (network.source, network.destination);
    let transport = parse::transport(frame, network);
    let (source_port, destination_port, segment) = match transport {
        Ok(Transport::Tcp { source, destination, flags, data }) => {
            (source, destination, Some(Segment::Tcp { flags, data }))
        }
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
    let transport = transport?;
    if network.has_trailer(frame) {
        return Err(DropReason::TransportHeader);
    }
    if let Transport::NeighbourDiscovery { kind } = transport {
        return guard::neighbour_discovery(frame, tables, moment, note, network, kind);
    }
    if note.signature.destination().is_group() != network.is_group() {
        return Err(DropReason::IpDestination);
    }
    if let Transport::Error { quoted } = transport {
        return related(frame, tables, moment, note, network, quoted);
    }
    match segment {
        Some(segment) => conversation(tables, moment, note, sender, segment),
        None => Err(refuse(tables, moment, note)),
    }
}

const ECHO_PORT: u16 = 0;

/// The lower port of the pair: one name for both directions.
#[inline(always)]
pub(crate) fn pair<T: Tables + ?Sized>(tables: &T) -> Port {
    tables.port().min(tables.peer())
}

/// A packet of a flow that exists, or that it opens.
#[inline(always)]
fn conversation<T: Tables + ?Sized>(
    tables: &T,
    moment: &Moment,
    note: &mut Note,
    sender: Sender,
    segment: Segment,
) -> Result<Passage, DropReason> {
    let (flow, established) = match tables.flow(&note.key) {
        Some(flow) => (flow, true),
        None => match tables.half_open(&note.key) {
            Some(flow) => (flow, false),
            None => return open(tables, moment, note, sender, segment),
        },
    };
    if flow.is_expired(moment.now) {
        forget(tables, note, established);
        return open(tables, moment, note, sender, segment);
    }
    let state = flow.state();
    let current = flow.generation() == moment.generation
        && flow.side(sender) == note.signature
        && (moment.stop == Stop::None || state.is_essential())
        && !flow.is_unleased(moment.now);
    if !current {
        authorise_again(tables, moment, note, sender, flow, established)?;
    }
    let state = flow.state();
    let from_initiator = state.initiator() == sender;
    let advance = segment.advance(state, from_initiator)?;
    let passage = Passage {
        reason: PassReason::Established,
        egress: flow.side(other(sender)).vlan(),
        rule: flow.rule(),
        from: if from_initiator { flow.subnetworks().0 } else { flow.subnetworks().1 },
        to: if from_initiator { flow.subnetworks().1 } else { flow.subnetworks().0 },
    };
    match advance {
        Advance::Keep(state) => {
            flow.set_state(state);
            flow.touch(moment.now, state.phase().timeout(&tables.timeouts()));
        }
        Advance::Promote(state) => {
            if established {
                flow.set_state(state);
                flow.touch(moment.now, state.phase().timeout(&tables.timeouts()));
            } else {
                note.flow.copy(flow);
                note.flow.set_state(state);
                note.flow.touch(moment.now, state.phase().timeout(&tables.timeouts()));
                if tables.insert(&note.key, &note.flow).is_err() {
                    return Err(DropReason::FlowTableFull);
                }
                tables.remove_half_open(&note.key);
            }
        }
        Advance::End => forget(tables, note, established),
    }
    Ok(passage)
}

#[inline(always)]
fn forget<T: Tables + ?Sized>(tables: &T, note: &Note, established: bool) {
    if established {
        tables.remove(&note.key);
    } else {
        tables.remove_half_open(&note.key);
    }
}

/// The first packet of a flow.
#[inline(always)]
fn open<T: Tables + ?Sized>(
    tables: &T,
    moment: &Moment,
    note: &mut Note,
    sender: Sender,
    segment: Segment,
) -> Result<Passage, DropReason> {
    let view = View::new(tables, moment.half).ok_or(DropReason::NotArmed)?;
    let (source, destination, lease_end) = parties(&view, moment, note)?;
    let service = service(&view, note, sender);
    let allowed = view.allowed(moment.stop, &source, &destination, service)?;
    let phase = segment.opens()?;
    let grant = Grant {
        generation: moment.generation,
        lease_end,
        rule: allowed.rule,
        essential: allowed.essential,
        from: source.subnetwork,
        to: destination.subnetwork,
    };
    let state = State::new(phase, sender, allowed.essential);
    note.flow.open(&grant, state, sender, [note.signature, unheard(&destination)]);
    note.flow.touch(moment.now, phase.timeout(&tables.timeouts()));
    if tables.insert_half_open(&note.key, &note.flow).is_err() {
        return Err(DropReason::FlowTableFull);
    }
    Ok(Passage {
        reason: PassReason::Opened,
        egress: destination.vlan,
        rule: allowed.rule,
        from: source.subnetwork,
        to: destination.subnetwork,
    })
}

/// The signature of a side that has not been heard: its VLAN and port are known, its MAC is zero,
/// which no frame that gets this far carries.
#[inline(always)]
fn unheard(speaker: &Speaker) -> Signature {
    Signature::new(Default::default(), Default::default(), speaker.vlan, speaker.port)
}

/// A flow whose generation, binding, lease or leave under a stop is not what it was: it is asked
/// everything again and goes on in place, or this frame dies.
#[inline(always)]
fn authorise_again<T: Tables + ?Sized>(
    tables: &T,
    moment: &Moment,
    note: &mut Note,
    sender: Sender,
    flow: &Flow,
    established: bool,
) -> Result<(), DropReason> {
    let view = View::new(tables, moment.half).ok_or(DropReason::NotArmed)?;
    let (source, destination, lease_end) = parties(&view, moment, note)?;
    let initiator = flow.state().initiator();
    let service = service(&view, note, initiator);
    let (from, to) =
        if initiator == sender { (source, destination) } else { (destination, source) };
    let allowed = match view.allowed(moment.stop, &from, &to, service) {
        Ok(allowed) => allowed,
        Err(DropReason::NoRule) => {
            forget(tables, note, established);
            return Err(DropReason::Revoked);
        }
        Err(reason) => return Err(reason),
    };
    if flow.generation() != moment.generation {
        flow.set_side(other(sender), unheard(&destination));
    }
    flow.set_side(sender, note.signature);
    flow.authorise(&Grant {
        generation: moment.generation,
        lease_end,
        rule: allowed.rule,
        essential: allowed.essential,
        from: from.subnetwork,
        to: to.subnetwork,
    });
    Ok(())
}

/// Both ends of the frame, bound, leased and neither isolated; and the earlier lease end.
#[inline(always)]
fn parties<T: Tables + ?Sized>(
    view: &View<'_, T>,
    moment: &Moment,
    note: &mut Note,
) -> Result<(Speaker, Speaker, u32), DropReason> {
    let (source, destination) = match note.sender {
        Sender::Low => (note.key.low, note.key.high),
        Sender::High => (note.key.high, note.key.low),
    };
    let source = view.source(source, note.signature)?;
    note.sent_by(&source);
    let source_lease = view.standing(&source, moment.now)?;
    if parse::is_group(destination) {
        return Err(DropReason::NoRule);
    }
    let destination = view.destination(destination)?;
    note.sent_to(&destination);
    if !view.is_addressed(&destination, note.signature.destination()) {
        return Err(DropReason::BindingMac);
    }
    let destination_lease = view.standing(&destination, moment.now)?;
    Ok((source, destination, earlier(source_lease, destination_lease, moment.now)))
}

/// The earlier of two lease ends as a flow keeps it: never 0 unless neither has one, and never so
/// far ahead that the wrapping comparison would call it past.
#[inline(always)]
pub(crate) fn earlier(one: u64, other: u64, now: Ticks) -> u32 {
    let end = match (one, other) {
        (0, 0) => return 0,
        (0, end) | (end, 0) => end,
        (one, other) => one.min(other),
    };
    let end = Ticks(end.min(now.0 + (1 << 30))).low();
    if end == 0 { u32::MAX } else { end }
}

/// The service of the responder's port.
#[inline(always)]
fn service<T: Tables + ?Sized>(view: &View<'_, T>, note: &Note, initiator: Sender) -> Service {
    let port = match initiator {
        Sender::Low => note.key.high_port,
        Sender::High => note.key.low_port,
    };
    match note.key.protocol {
        protocol::TCP => view.service(0, port),
        protocol::UDP => view.service(1, port),
        protocol::ICMP | protocol::ICMPV6 => view.header.echo,
        _ => Service::NONE,
    }
}

/// A packet that no rule can name: the most telling reason.
#[inline(always)]
fn refuse<T: Tables + ?Sized>(tables: &T, moment: &Moment, note: &mut Note) -> DropReason {
    let Some(view) = View::new(tables, moment.half) else {
        return DropReason::NotArmed;
    };
    match parties(&view, moment, note) {
        Ok(_) => DropReason::NoRule,
        Err(reason) => reason,
    }
}

/// An ICMP error passes if it quotes a packet of a live flow, goes to that packet's sender and
/// comes from the side that packet went to (RFC 5927; FreeBSD CVE-2019-5598).
#[inline(always)]
fn related<F, T>(
    frame: &F,
    tables: &T,
    moment: &Moment,
    note: &mut Note,
    network: &Network,
    quoted: u32,
) -> Result<Passage, DropReason>
where
    F: Frame + ?Sized,
    T: Tables + ?Sized,
{
    let (source, destination, protocol, transport) = quote(frame, network, quoted)?;
    if source != network.destination {
        return Err(DropReason::NoRule);
    }
    let Some(ports) = frame.load::<8>(transport) else {
        return Err(DropReason::Truncated);
    };
    if transport + 8 > network.end {
        return Err(DropReason::Truncated);
    }
    let [a, b, c, d, identifier @ .., _, _] = ports;
    let (source_port, destination_port) = match protocol {
        protocol::TCP | protocol::UDP => (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])),
        // Only an echo request can have started a flow; an error about a reply is not worth a hole.
        protocol::ICMP if a == 8 => (u16::from_be_bytes(identifier), ECHO_PORT),
        protocol::ICMPV6 if a == 128 => (u16::from_be_bytes(identifier), ECHO_PORT),
        _ => return Err(DropReason::NoRule),
    };
    let sender = note.name(
        End { address: source, port: source_port },
        End { address: destination, port: destination_port },
        protocol,
        pair(tables),
    );
    let flow = tables.flow(&note.key).or_else(|| tables.half_open(&note.key));
    // The frame itself goes the other way and may come from a router.
    note.has_key = false;
    let Some(flow) = flow else {
        return Err(DropReason::NoRule);
    };
    let state = flow.state();
    if flow.is_expired(moment.now) || flow.is_unleased(moment.now) {
        return Err(DropReason::NoRule);
    }
    if moment.stop != Stop::None && !state.is_essential() {
        return Err(DropReason::Stopped);
    }
    if flow.generation() != moment.generation {
        return Err(DropReason::Revoked);
    }
    let far = flow.side(other(sender));
    if far.port() != note.signature.port() {
        return Err(DropReason::BindingPort);
    }
    if far.vlan() != note.signature.vlan() {
        return Err(DropReason::BindingVlan);
    }
    let from_initiator = state.initiator() == sender;
    let (initiator, responder) = flow.subnetworks();
    let (near, beyond) =
        if from_initiator { (initiator, responder) } else { (responder, initiator) };
    if far.source() != note.signature.source() {
        let view = View::new(tables, moment.half).ok_or(DropReason::NotArmed)?;
        if !view.is_router(beyond, note.signature.source()) {
            view.source(network.source, note.signature)?;
        }
    }
    Ok(Passage {
        reason: PassReason::Related,
        egress: flow.side(sender).vlan(),
        rule: flow.rule(),
        from: beyond,
        to: near,
    })
}

/// The addresses, the protocol and the transport header's place of a quoted packet. Both families
/// quote at least eight bytes behind a header without options, since we let no others through.
#[inline(always)]
fn quote<F: Frame + ?Sized>(
    frame: &F,
    network: &Network,
    start: u32,
) -> Result<(Addr, Addr, u8, u32), DropReason> {
    if network.source.is_v4() {
        let header = frame.load::<20>(start).ok_or(DropReason::Truncated)?;
        let [0x45, _, _, _, _, _, f0, f1, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] =
            header
        else {
            return Err(DropReason::IpOptions);
        };
        if u16::from_be_bytes([f0, f1]) & 0x3fff != 0 {
            return Err(DropReason::Fragment);
        }
        let source = Addr::from_v4([s0, s1, s2, s3]);
        let destination = Addr::from_v4([d0, d1, d2, d3]);
        Ok((source, destination, protocol, start + 20))
    } else {
        let [first, .., next, _] = frame.load::<8>(start).ok_or(DropReason::Truncated)?;
        if first >> 4 != 6 {
            return Err(DropReason::IpHeader);
        }
        let source = frame.load::<16>(start + 8).ok_or(DropReason::Truncated)?;
        let destination = frame.load::<16>(start + 24).ok_or(DropReason::Truncated)?;
        Ok((Addr::from_bytes(source), Addr::from_bytes(destination), next, start + 40))
    }
}
