//! The decision: from a frame to a verdict. The stages run in the order of the functions here.

use crate::abi::{Publication, Stop};
use crate::flow::{Advance, End, Flow, FlowKey, Grant, Segment, Sender, Signature, State, other};
use crate::frame::wire;
use crate::guard::Claim;
use crate::identity::{Direction, Role, Speaker, View};
use crate::image::Allowed;
use crate::parse::{self, Link, Network, Transport, ethertype, protocol};
use crate::word::Word64;
use crate::{
    Addr, DropReason, Frame, Generation, Mac, PassReason, Port, RuleSlot, Service, SubnetworkSlot,
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
    note.link(&link);
    note.moment = Moment { stop, half, generation, now };
    let network = match link.ethertype {
        ethertype::ARP => return guard::arp(frame, tables, note, link.payload),
        ethertype::IPV4 => parse::ipv4(frame, link.payload)?,
        ethertype::IPV6 => parse::ipv6(frame, link.payload)?,
        _ => return Err(DropReason::Ethertype),
    };
    packet(frame, tables, note, &network)
}

/// What a decision is taken under; read once per frame.
#[derive(Clone, Copy, Debug, Default)]
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
    /// MACs, VLAN and port; the last frame's while [`Note::ethertype`] is zero.
    pub signature: Signature,
    /// Which end of `key` sent the frame.
    pub sender: Sender,
    /// Who sent it; working memory like the three that follow: BPF's stack has 512 bytes.
    pub source: Speaker,
    /// Who would receive it.
    pub destination: Speaker,
    /// Whose address is asked for.
    pub query: Addr,
    /// The service that is asked for.
    pub service: Service,
    /// What the rule table said.
    pub allowed: Allowed,
    /// What a flow is allowed under.
    pub grant: Grant,
    /// What an ARP or neighbour discovery message says.
    pub claim: Claim,
    /// What the decision is taken under.
    pub moment: Moment,
    /// Why a question was answered with no, across a call of the kernel's.
    pub refusal: DropReason,
    /// Sender's node slot, receiver's in the upper half. Words that are stored one by one: LLVM
    /// would make a call of memset for anything wider.
    pub nodes: Word64,
    /// EtherType, both subnetworks, `NAMED`.
    pub about: Word64,
}

const NAMED: u64 = 1 << 48;

impl Default for Note {
    fn default() -> Self {
        Self {
            key: FlowKey::default(),
            flow: Flow::default(),
            signature: Signature::default(),
            sender: Sender::Low,
            source: Speaker::default(),
            destination: Speaker::default(),
            query: Addr::UNSPECIFIED,
            service: Service::NONE,
            allowed: Allowed::default(),
            grant: Grant::default(),
            claim: Claim::default(),
            moment: Moment::default(),
            refusal: DropReason::NotArmed,
            nodes: Word64::default(),
            about: Word64::default(),
        }
    }
}

impl Note {
    #[inline(always)]
    fn forget(&self) {
        self.nodes.store(0);
        self.about.store(0);
    }

    #[inline(always)]
    fn link(&mut self, link: &Link) {
        self.signature = link.signature;
        self.about.store(link.ethertype as u64);
    }

    /// Keeps the flow key of the frame.
    #[inline(always)]
    pub fn name(&mut self, source: End, destination: End, protocol: u8, pair: Port) -> Sender {
        let (key, sender) = FlowKey::of(source, destination, protocol, pair);
        self.key = key;
        self.sender = sender;
        self.about.store(self.about.load() | NAMED);
        sender
    }

    #[inline(always)]
    fn unname(&self) {
        self.about.store(self.about.load() & !NAMED);
    }

    /// Keeps what the flow is allowed under.
    #[inline(always)]
    pub(crate) fn granted(&mut self, direction: Direction, lease_end: u32) {
        let (from, to) = match direction {
            Direction::Forward => (self.source.subnetwork, self.destination.subnetwork),
            Direction::Backward => (self.destination.subnetwork, self.source.subnetwork),
        };
        let Allowed { rule, essential } = self.allowed;
        self.grant =
            Grant { generation: self.moment.generation, lease_end, rule, essential, from, to };
    }

    /// `source` is known.
    #[inline(always)]
    pub fn sent_by(&self) {
        self.nodes.store(self.source.party.node().0 as u64);
        self.about.store(self.about.load() | (self.source.subnetwork.0 as u64) << 16);
    }

    /// `destination` is known, too.
    #[inline(always)]
    pub fn sent_to(&self) {
        let Speaker { party, subnetwork, .. } = self.destination;
        self.nodes.store(self.nodes.load() | (party.node().0 as u64) << 32);
        self.about.store(self.about.load() | (subnetwork.0 as u64) << 32);
    }

    /// The frame's EtherType behind the tag; 0 if it was refused before.
    #[inline(always)]
    pub fn ethertype(&self) -> u16 {
        (self.about.load() & 0xffff) as u16
    }

    /// Whether `key` and `sender` are this frame's.
    #[inline(always)]
    pub fn is_named(&self) -> bool {
        self.about.load() & NAMED != 0
    }

    /// The slots of the sending and the receiving node.
    #[inline(always)]
    pub fn nodes(&self) -> (u32, u32) {
        let nodes = self.nodes.load();
        ((nodes & 0xffff_ffff) as u32, (nodes >> 32) as u32)
    }

    /// The subnetworks of the sender and of the receiver.
    #[inline(always)]
    pub fn subnetworks(&self) -> (u16, u16) {
        let about = self.about.load();
        ((about >> 16 & 0xffff) as u16, (about >> 32 & 0xffff) as u16)
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
        return guard::neighbour_discovery(frame, tables, note, network, kind);
    }
    if note.signature.is_to_group() != network.is_group() {
        return Err(DropReason::IpDestination);
    }
    if let Transport::Error { quoted } = transport {
        return related(frame, tables, note, network, quoted);
    }
    match segment {
        Some(segment) => conversation(tables, note, sender, segment),
        // No rule can name it; asking all the same finds the most telling reason.
        None => {
            tables.consult(note, Question::flow(sender))?;
            Err(DropReason::NoRule)
        }
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
    note: &mut Note,
    sender: Sender,
    segment: Segment,
) -> Result<Passage, DropReason> {
    let (flow, established) = match tables.flow(&note.key) {
        Some(flow) => (flow, true),
        None => match tables.half_open(&note.key) {
            Some(flow) => (flow, false),
            None => return open(tables, note, sender, segment),
        },
    };
    if flow.is_expired(note.moment.now) {
        forget(tables, note, established);
        return open(tables, note, sender, segment);
    }
    let state = flow.state();
    let current = flow.generation() == note.moment.generation
        && flow.side(sender) == note.signature
        && (note.moment.stop == Stop::None || state.is_essential())
        && !flow.is_unleased(note.moment.now);
    if !current {
        authorise_again(tables, note, sender, flow, established)?;
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
            flow.touch(note.moment.now, state.phase().timeout(&tables.timeouts()));
        }
        Advance::Promote(state) => {
            if established {
                flow.set_state(state);
                flow.touch(note.moment.now, state.phase().timeout(&tables.timeouts()));
            } else {
                note.flow.copy(flow);
                note.flow.set_state(state);
                note.flow.touch(note.moment.now, state.phase().timeout(&tables.timeouts()));
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
    note: &mut Note,
    sender: Sender,
    segment: Segment,
) -> Result<Passage, DropReason> {
    tables.consult(note, Question::flow(sender))?;
    let phase = segment.opens()?;
    let Note { grant, .. } = *note;
    let state = State::new(phase, sender, grant.essential);
    let answer = unheard(&note.destination);
    note.flow.open(&grant, state, sender, [note.signature, answer]);
    note.flow.touch(note.moment.now, phase.timeout(&tables.timeouts()));
    if tables.insert_half_open(&note.key, &note.flow).is_err() {
        return Err(DropReason::FlowTableFull);
    }
    Ok(Passage {
        reason: PassReason::Opened,
        egress: note.destination.vlan,
        rule: grant.rule,
        from: grant.from,
        to: grant.to,
    })
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
        Err(DropReason::NoRule) => {
            forget(tables, note, established);
            return Err(DropReason::Revoked);
        }
        Err(reason) => return Err(reason),
    }
    if flow.generation() != note.moment.generation {
        flow.set_side(other(sender), unheard(&note.destination));
    }
    flow.set_side(sender, note.signature);
    flow.authorise(&note.grant);
    Ok(())
}

/// What only the image can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Question {
    /// May the flow of this frame be, opened by the end of its key that comes first?
    FlowOpenedByLow = 0,
    /// May it be, opened by the other end?
    FlowOpenedByHigh = 1,
    /// May the sender of this ARP or neighbour discovery message claim what it claims?
    Claim = 2,
    /// May the sender of this ICMP error be who reports?
    Report = 3,
}

impl Question {
    #[inline(always)]
    const fn flow(initiator: Sender) -> Self {
        match initiator {
            Sender::Low => Self::FlowOpenedByLow,
            Sender::High => Self::FlowOpenedByHigh,
        }
    }
}

/// Answers from the image. Reads the note and leaves there what it finds: who speaks to whom, and
/// the grant. Called through [`Tables::consult`].
#[inline(always)]
pub fn consult<T: Tables + ?Sized>(
    tables: &T,
    note: &mut Note,
    question: Question,
) -> Result<(), DropReason> {
    match question {
        Question::FlowOpenedByLow => authorise(tables, note, Sender::Low),
        Question::FlowOpenedByHigh => authorise(tables, note, Sender::High),
        Question::Claim => guard::judge(tables, note),
        Question::Report => report(tables, note),
    }
}

/// Whether the flow of this frame may be, with `initiator` as the end that opens it.
#[inline(always)]
fn authorise<T: Tables + ?Sized>(
    tables: &T,
    note: &mut Note,
    initiator: Sender,
) -> Result<(), DropReason> {
    let (source, destination) = match note.sender {
        Sender::Low => (note.key.low, note.key.high),
        Sender::High => (note.key.high, note.key.low),
    };
    let now = note.moment.now;
    note.query = source;
    tables.identify(note, Role::Source)?;
    let Some(view) = View::new(tables, note) else {
        return Err(DropReason::NotArmed);
    };
    note.sent_by();
    let source_lease = view.standing(&note.source, now)?;
    if parse::is_group(destination) {
        return Err(DropReason::NoRule);
    }
    note.query = destination;
    tables.identify(note, Role::Destination)?;
    note.sent_to();
    if !view.is_addressed(&note.destination, note.signature.destination()) {
        return Err(DropReason::BindingMac);
    }
    let destination_lease = view.standing(&note.destination, now)?;
    note.service = service(&view, note, initiator);
    let direction = if initiator == note.sender { Direction::Forward } else { Direction::Backward };
    tables.permit(note, direction)?;
    note.granted(direction, earlier(source_lease, destination_lease, now));
    Ok(())
}

/// Whether who reports an error is a node that speaks for itself, or a router of the subnetwork
/// beyond with an address that is no node's: not even a router reports in another node's name.
#[inline(always)]
fn report<T: Tables + ?Sized>(tables: &T, note: &mut Note) -> Result<(), DropReason> {
    match tables.identify(note, Role::Source) {
        Ok(()) => return Ok(()),
        Err(DropReason::UnknownSource) => {}
        Err(reason) if note.source.party.is_node() => return Err(reason),
        // A router has addresses in more networks than the one it sends from.
        Err(_) => {}
    }
    let Some(view) = View::new(tables, note) else {
        return Err(DropReason::NotArmed);
    };
    if view.is_router(note.grant.to, note.signature.source()) {
        Ok(())
    } else {
        Err(DropReason::UnknownSource)
    }
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
        protocol::ICMP | protocol::ICMPV6 => view.header().echo,
        _ => Service::NONE,
    }
}

/// An ICMP error passes if it quotes a packet of a live flow, goes to that packet's sender and
/// comes from the side that packet went to (RFC 5927; FreeBSD CVE-2019-5598).
#[inline(always)]
fn related<F, T>(
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
    let (source, destination, protocol, transport) = quote(frame, network, quoted)?;
    if source != network.destination {
        return Err(DropReason::NoRule);
    }
    // The ports of TCP and UDP, the type and identifier of an echo: eight bytes hold either.
    let (Some(ports), Some(echo)) =
        (frame.load::<wire::Udp>(transport), frame.load::<wire::Icmp>(transport))
    else {
        return Err(DropReason::Truncated);
    };
    if transport + 8 > network.end {
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
        pair(tables),
    );
    let flow = tables.flow(&note.key).or_else(|| tables.half_open(&note.key));
    // The frame itself goes the other way and may come from a router.
    note.unname();
    let Some(flow) = flow else {
        return Err(DropReason::NoRule);
    };
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
    note.query = network.source;
    note.grant.to = beyond;
    match tables.consult(note, Question::Report) {
        Ok(()) => {}
        // The policy names no router there, but the flow goes through this one.
        Err(DropReason::UnknownSource) if far.source() == note.signature.source() => {}
        Err(reason) => return Err(reason),
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
