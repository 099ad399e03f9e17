//! Flows: what is talking, why it may, and how far its connection has come.

use crate::abi::Timeouts;
use crate::id::is_past;
use crate::parse::flag;
use crate::word::{Word32, Word64};
use crate::{Addr, DropReason, Generation, Mac, Port, RuleSlot, SubnetworkSlot, Ticks, Vlan};

/// What names a flow, the same for both directions: the two ends in [`Addr::precedes`] order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct FlowKey {
    /// The end whose address precedes the other's.
    pub low: Addr,
    /// The other end.
    pub high: Addr,
    /// The transport port of `low`, host order.
    pub low_port: u16,
    /// The transport port of `high`, host order.
    pub high_port: u16,
    /// IP protocol; 0 for ARP and neighbour discovery.
    pub protocol: u8,
    /// Always zero: the kernel hashes every byte.
    pub reserved: u8,
    /// The lower port of the pair it crosses: pairs may have overlapping networks.
    pub pair: Port,
}

impl FlowKey {
    /// The key of a frame, and which end sent it.
    #[inline(always)]
    pub fn of(source: End, destination: End, protocol: u8, pair: Port) -> (Self, Sender) {
        let (low, high, sender) = if source.address.precedes(destination.address) {
            (source, destination, Sender::Low)
        } else {
            (destination, source, Sender::High)
        };
        let key = Self {
            low: low.address,
            high: high.address,
            low_port: low.port,
            high_port: high.port,
            protocol,
            reserved: 0,
            pair,
        };
        (key, sender)
    }
}

/// One end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Its address.
    pub address: Addr,
    /// Its transport port, host order.
    pub port: u16,
}

/// Which end of a [`FlowKey`] sent a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// `low` did.
    Low,
    /// `high` did.
    High,
}

/// How the frames of one direction look on the wire: 16 bytes that are compared in two words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Signature {
    first: u64,
    second: u64,
}

impl Signature {
    /// Destination MAC, source MAC, VLAN and the port the frame came in on.
    #[inline(always)]
    pub const fn new(destination: Mac, source: Mac, vlan: Vlan, port: Port) -> Self {
        let source = source.word();
        Self {
            first: destination.word() | source << 48,
            second: source >> 16 | (vlan.0 as u64) << 32 | (port.0 as u64) << 48,
        }
    }

    /// From the 12 bytes that hold both MACs, read natively.
    #[inline(always)]
    pub const fn from_header(first: u64, second: u32, vlan: Vlan, port: Port) -> Self {
        Self { first, second: second as u64 | (vlan.0 as u64) << 32 | (port.0 as u64) << 48 }
    }

    /// Whether the receiver is a group.
    #[inline(always)]
    pub const fn is_to_group(self) -> bool {
        self.first & 1 != 0
    }

    /// Whether the sender is a group, or zero.
    #[inline(always)]
    pub const fn is_from_nobody(self) -> bool {
        let (first, rest) = (self.first >> 48, self.second & 0xffff_ffff);
        first & 1 != 0 || first == 0 && rest == 0
    }

    /// From the two words of [`Signature::words`].
    #[inline(always)]
    pub const fn from_words([first, second]: [u64; 2]) -> Self {
        Self { first, second }
    }

    /// As it lies in flows and events.
    #[inline(always)]
    pub const fn words(self) -> [u64; 2] {
        [self.first, self.second]
    }

    /// The receiver on the link.
    #[inline(always)]
    pub const fn destination(self) -> Mac {
        Mac::from_word(self.first)
    }

    /// The sender on the link; zero in a flow that has not heard from this side yet.
    #[inline(always)]
    pub const fn source(self) -> Mac {
        Mac::from_word(self.first >> 48 | self.second << 16)
    }

    /// The tag.
    #[inline(always)]
    pub const fn vlan(self) -> Vlan {
        Vlan((self.second >> 32 & 0xffff) as u16)
    }

    /// The port.
    #[inline(always)]
    pub const fn port(self) -> Port {
        Port((self.second >> 48) as u16)
    }
}

/// How far a flow has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Phase {
    /// Nobody has answered yet (all but TCP).
    Asked = 0,
    /// TCP: the initiator sent a SYN.
    SynSent = 1,
    /// TCP: the responder answered it.
    SynReceived = 2,
    /// TCP: the handshake is complete.
    Established = 3,
    /// TCP: one side has sent its FIN.
    Closing = 4,
    /// TCP: both sides have.
    Closed = 5,
    /// UDP, ICMP echo: the responder answered.
    Answered = 6,
}

impl Phase {
    /// Every phase, in the order of the discriminants.
    pub const ALL: [Self; 7] = [
        Self::Asked,
        Self::SynSent,
        Self::SynReceived,
        Self::Established,
        Self::Closing,
        Self::Closed,
        Self::Answered,
    ];

    /// The name that `cordon flows` shows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::SynSent => "syn-sent",
            Self::SynReceived => "syn-received",
            Self::Established => "established",
            Self::Closing => "closing",
            Self::Closed => "closed",
            Self::Answered => "answered",
        }
    }

    #[inline(always)]
    const fn decode(word: u32) -> Self {
        match word & 0xff {
            1 => Self::SynSent,
            2 => Self::SynReceived,
            3 => Self::Established,
            4 => Self::Closing,
            5 => Self::Closed,
            6 => Self::Answered,
            _ => Self::Asked,
        }
    }

    /// How long a flow may be silent in this phase, in ticks.
    #[inline(always)]
    pub const fn timeout(self, timeouts: &Timeouts) -> u32 {
        match self {
            Self::Asked | Self::SynSent | Self::SynReceived => timeouts.half_open,
            Self::Established => timeouts.tcp,
            Self::Closing => timeouts.tcp_closing,
            Self::Closed => timeouts.tcp_closed,
            Self::Answered => timeouts.datagram,
        }
    }
}

/// A phase and the facts beside it, in one word of the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State(u32);

const ESSENTIAL: u32 = 1 << 8;
const INITIATOR_HIGH: u32 = 1 << 9;
const FIN_INITIATOR: u32 = 1 << 10;
const FIN_RESPONDER: u32 = 1 << 11;

impl State {
    /// A flow that `initiator` opens.
    #[inline(always)]
    pub const fn new(phase: Phase, initiator: Sender, essential: bool) -> Self {
        let initiator = match initiator {
            Sender::Low => 0,
            Sender::High => INITIATOR_HIGH,
        };
        Self(phase as u32 | initiator | if essential { ESSENTIAL } else { 0 })
    }

    /// From the word in the flow.
    #[inline(always)]
    pub const fn decode(word: u32) -> Self {
        Self(word)
    }

    /// How far it has come.
    #[inline(always)]
    pub const fn phase(self) -> Phase {
        Phase::decode(self.0)
    }

    /// Whether an essential rule allows it.
    #[inline(always)]
    pub const fn is_essential(self) -> bool {
        self.0 & ESSENTIAL != 0
    }

    /// Who opened it.
    #[inline(always)]
    pub const fn initiator(self) -> Sender {
        if self.0 & INITIATOR_HIGH == 0 { Sender::Low } else { Sender::High }
    }

    #[inline(always)]
    const fn with(self, phase: Phase) -> Self {
        Self(self.0 & !0xff | phase as u32)
    }

    #[inline(always)]
    const fn with_essential(self, essential: bool) -> Self {
        Self(self.0 & !ESSENTIAL | if essential { ESSENTIAL } else { 0 })
    }

    #[inline(always)]
    const fn reopened(self) -> Self {
        Self(self.0 & !(FIN_INITIATOR | FIN_RESPONDER)).with(Phase::SynSent)
    }

    #[inline(always)]
    const fn closed_by(self, initiator: bool) -> Self {
        let state = Self(self.0 | if initiator { FIN_INITIATOR } else { FIN_RESPONDER });
        let both = FIN_INITIATOR | FIN_RESPONDER;
        state.with(if state.0 & both == both { Phase::Closed } else { Phase::Closing })
    }
}

/// What a segment does to a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advance {
    /// It stays where it is, in that state.
    Keep(State),
    /// It has become established: it moves to the table that a flood cannot empty.
    Promote(State),
    /// It is over; this segment still passes.
    End,
}

/// What the transport layer says about one segment of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// TCP: its flags and whether it carries data.
    Tcp {
        /// The flags' byte.
        flags: u8,
        /// Whether it carries data.
        data: bool,
    },
    /// UDP.
    Datagram,
    /// ICMP echo.
    Echo {
        /// A request, not a reply.
        request: bool,
    },
}

impl Segment {
    /// The phase of a flow that this segment opens, or why it cannot open one.
    #[inline(always)]
    pub const fn opens(self) -> Result<Phase, DropReason> {
        match self {
            Self::Tcp { flags, data: _ } => {
                if flags & (flag::SYN | flag::ACK | flag::RST | flag::FIN) == flag::SYN {
                    Ok(Phase::SynSent)
                } else {
                    Err(DropReason::TcpState)
                }
            }
            Self::Datagram | Self::Echo { request: true } => Ok(Phase::Asked),
            Self::Echo { request: false } => Err(DropReason::NoRule),
        }
    }

    /// What this segment does to a flow in that state, or why it cannot belong to it.
    #[inline(always)]
    pub const fn advance(self, state: State, initiator: bool) -> Result<Advance, DropReason> {
        match self {
            Self::Tcp { flags, data } => tcp(state, initiator, flags, data),
            Self::Datagram => Ok(answered(state, initiator)),
            Self::Echo { request } => {
                if request == initiator {
                    Ok(answered(state, initiator))
                } else {
                    Err(DropReason::NoRule)
                }
            }
        }
    }
}

#[inline(always)]
const fn answered(state: State, initiator: bool) -> Advance {
    match state.phase() {
        Phase::Answered => Advance::Keep(state),
        Phase::Asked
        | Phase::SynSent
        | Phase::SynReceived
        | Phase::Established
        | Phase::Closing
        | Phase::Closed => {
            if initiator {
                Advance::Keep(state)
            } else {
                Advance::Promote(state.with(Phase::Answered))
            }
        }
    }
}

/// RFC 9293, 3.3.2, seen from the middle. [`crate::parse`] lets only SYN, SYN+ACK, ACK, FIN+ACK, RST
/// and RST+ACK by.
#[inline(always)]
const fn tcp(state: State, initiator: bool, flags: u8, data: bool) -> Result<Advance, DropReason> {
    let syn = flags & flag::SYN != 0;
    let ack = flags & flag::ACK != 0;
    let fin = flags & flag::FIN != 0;
    if flags & flag::RST != 0 {
        return Ok(Advance::End);
    }
    match state.phase() {
        Phase::SynSent => {
            if initiator && syn && !ack {
                Ok(Advance::Keep(state))
            } else if !initiator && syn && ack {
                Ok(Advance::Keep(state.with(Phase::SynReceived)))
            } else if !initiator && ack && !data && !fin {
                // A responder that still remembers an earlier connection (RFC 5961, 4): its
                // challenge makes the initiator reset it.
                Ok(Advance::Keep(state))
            } else {
                Err(DropReason::TcpState)
            }
        }
        Phase::SynReceived => {
            if syn {
                // Retransmissions: a SYN of the initiator, a SYN+ACK of the responder.
                if initiator != ack { Ok(Advance::Keep(state)) } else { Err(DropReason::TcpState) }
            } else if !initiator {
                Err(DropReason::TcpState)
            } else if fin {
                Ok(Advance::Promote(state.closed_by(true)))
            } else {
                Ok(Advance::Promote(state.with(Phase::Established)))
            }
        }
        Phase::Established | Phase::Closing | Phase::Closed => {
            let closed = matches!(state.phase(), Phase::Closed);
            if syn && initiator && !ack {
                // The initiator lost its memory and uses the port again. While the connection
                // lives, the responder's challenge ACK and the reset that follows decide.
                Ok(Advance::Keep(if closed { state.reopened() } else { state }))
            } else if syn && !initiator && ack && !closed {
                Ok(Advance::Keep(state))
            } else if syn || closed && data {
                Err(DropReason::TcpState)
            } else if fin {
                Ok(Advance::Keep(state.closed_by(initiator)))
            } else {
                Ok(Advance::Keep(state))
            }
        }
        Phase::Asked | Phase::Answered => Err(DropReason::TcpState),
    }
}

/// A flow: why it may talk, and what its frames must look like. 72 bytes; with its key, the kernel's
/// 48 bytes of hash entry and 16 of bucket that makes 176.
///
/// Several CPUs may write one at once. Every field is valid on its own and [`Flow::authorise`]
/// writes the generation last, so a reader that sees the new generation sees what it stands for.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Flow {
    generation: Word32,
    expires: Word32,
    lease_end: Word32,
    rule: Word32,
    sides: [[Word64; 2]; 2],
    subnetworks: Word32,
    state: Word32,
    reserved: [Word32; 4],
}

/// What authorises a flow.
#[derive(Clone, Copy, Debug, Default)]
pub struct Grant {
    /// What it is allowed under.
    pub generation: Generation,
    /// The earlier of both nodes' lease ends, low 32 bits; 0 if neither needs one.
    pub lease_end: u32,
    /// The rule that allows it.
    pub rule: RuleSlot,
    /// That rule survives an ordinary stop.
    pub essential: bool,
    /// The initiator's subnetwork.
    pub from: SubnetworkSlot,
    /// The responder's subnetwork.
    pub to: SubnetworkSlot,
}

impl Flow {
    /// Writes a whole new flow in place.
    #[inline(always)]
    pub fn open(&self, grant: &Grant, state: State, sender: Sender, sides: [Signature; 2]) {
        self.state.store(state.0);
        self.set_side(sender, sides[0]);
        self.set_side(other(sender), sides[1]);
        self.expires.store(0);
        self.reserved.iter().for_each(|word| word.store(0));
        self.authorise(grant);
    }

    /// Writes a copy of another flow in place.
    #[inline(always)]
    pub fn copy(&self, flow: &Self) {
        let Self { generation, expires, lease_end, rule, sides, subnetworks, state, reserved: _ } =
            flow;
        self.state.store(state.load());
        // No iterators: the verifier cannot follow where they end.
        self.sides[0][0].store(sides[0][0].load());
        self.sides[0][1].store(sides[0][1].load());
        self.sides[1][0].store(sides[1][0].load());
        self.sides[1][1].store(sides[1][1].load());
        self.expires.store(expires.load());
        self.reserved.iter().for_each(|word| word.store(0));
        self.lease_end.store(lease_end.load());
        self.rule.store(rule.load());
        self.subnetworks.store(subnetworks.load());
        self.generation.store(generation.load());
    }

    /// Writes why it may talk; the generation last.
    #[inline(always)]
    pub fn authorise(&self, grant: &Grant) {
        self.lease_end.store(grant.lease_end);
        self.rule.store(grant.rule.0);
        self.subnetworks.store((grant.from.0 as u32) << 16 | grant.to.0 as u32);
        self.state.store(self.state().with_essential(grant.essential).0);
        self.generation.store(grant.generation.0);
    }

    /// What it was allowed under.
    #[inline(always)]
    pub fn generation(&self) -> Generation {
        Generation(self.generation.load())
    }

    /// The rule that allowed it.
    #[inline(always)]
    pub fn rule(&self) -> RuleSlot {
        RuleSlot(self.rule.load())
    }

    /// The subnetworks of the initiator and of the responder.
    #[inline(always)]
    pub fn subnetworks(&self) -> (SubnetworkSlot, SubnetworkSlot) {
        let word = self.subnetworks.load();
        (SubnetworkSlot((word >> 16) as u16), SubnetworkSlot((word & 0xffff) as u16))
    }

    /// How far it has come.
    #[inline(always)]
    pub fn state(&self) -> State {
        State(self.state.load())
    }

    /// Moves it on.
    #[inline(always)]
    pub fn set_state(&self, state: State) {
        if self.state() != state {
            self.state.store(state.0);
        }
    }

    /// What frames from that end must look like.
    #[inline(always)]
    pub fn side(&self, sender: Sender) -> Signature {
        let words = &self.sides[index(sender)];
        Signature::from_words([words[0].load(), words[1].load()])
    }

    /// Sets what frames from that end must look like.
    #[inline(always)]
    pub fn set_side(&self, sender: Sender, signature: Signature) {
        let words = &self.sides[index(sender)];
        words[0].store(signature.first);
        words[1].store(signature.second);
    }

    /// The instant it dies unless it talks, low 32 bits of ticks.
    #[inline(always)]
    pub fn expires(&self) -> u32 {
        self.expires.load()
    }

    /// Whether it has been silent for too long.
    #[inline(always)]
    pub fn is_expired(&self, now: Ticks) -> bool {
        is_past(self.expires(), now.low())
    }

    /// Whether a lease it depends on has ended.
    #[inline(always)]
    pub fn is_unleased(&self, now: Ticks) -> bool {
        let end = self.lease_end.load();
        end != 0 && is_past(end, now.low())
    }

    /// It has talked. Writes only when the tick has changed: the line stays clean otherwise.
    #[inline(always)]
    pub fn touch(&self, now: Ticks, timeout: u32) {
        let expires = now.low().wrapping_add(timeout);
        if self.expires() != expires {
            self.expires.store(expires);
        }
    }
}

/// The end that did not send.
#[inline(always)]
pub const fn other(sender: Sender) -> Sender {
    match sender {
        Sender::Low => Sender::High,
        Sender::High => Sender::Low,
    }
}

#[inline(always)]
const fn index(sender: Sender) -> usize {
    match sender {
        Sender::Low => 0,
        Sender::High => 1,
    }
}
