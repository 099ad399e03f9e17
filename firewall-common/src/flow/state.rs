//! How far a flow has come, and what a segment does to it.

use super::{Scale, Sender, Tcp};
use crate::DropReason;
use crate::abi::Timeouts;
use crate::parse::flag;

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
        match word & PHASE {
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
pub struct State(pub(super) u32);

const PHASE: u32 = 15;
const ESSENTIAL: u32 = 1 << 4;
const INITIATOR_HIGH: u32 = 1 << 5;
const FIN_INITIATOR: u32 = 1 << 6;
const FIN_RESPONDER: u32 = 1 << 7;
/// The [`Scale`] that each end has offered, from these bits on.
const SCALE_INITIATOR: u32 = 8;
const SCALE_RESPONDER: u32 = 12;
/// Both have.
const SCALED: u32 = 1 << 16;
/// The initiator has sent another SYN than the connection's.
const DISPUTED: u32 = 1 << 17;
/// What is remembered of that SYN's sequence number, from this bit on.
const DISPUTE: u32 = 18;

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

    /// How far the windows of one end are shifted.
    #[inline(always)]
    pub(super) const fn shift(self, initiator: bool) -> u32 {
        let scale = if initiator { SCALE_INITIATOR } else { SCALE_RESPONDER };
        if self.0 & SCALED == 0 { 0 } else { Scale::from_bits(self.0 >> scale).bits() }
    }

    #[inline(always)]
    const fn with(self, phase: Phase) -> Self {
        Self(self.0 & !PHASE | phase as u32)
    }

    #[inline(always)]
    pub(super) const fn with_essential(self, essential: bool) -> Self {
        Self(self.0 & !ESSENTIAL | if essential { ESSENTIAL } else { 0 })
    }

    /// The initiator asks, for the first time or again.
    #[inline(always)]
    pub(super) const fn asked(self, scale: Scale) -> Self {
        let kept = self.0 & (ESSENTIAL | INITIATOR_HIGH);
        Self(kept | scale.bits() << SCALE_INITIATOR).with(Phase::SynSent)
    }

    /// The responder answers; `disputed` if it answers the SYN that was not the connection's.
    #[inline(always)]
    pub(super) const fn answered(self, scale: Scale, disputed: bool) -> Self {
        let offered = Scale::from_bits(self.0 >> SCALE_INITIATOR);
        // An answer offers no scale to who has offered none, and what that SYN has is forgotten: no
        // window of the initiator's can be larger.
        let asked = if disputed { Scale::LARGEST } else { offered };
        let scaled = asked.bits() != Scale::NONE.bits() && scale.bits() != Scale::NONE.bits();
        let scales = asked.bits() << SCALE_INITIATOR | scale.bits() << SCALE_RESPONDER;
        let kept = self.0 & (ESSENTIAL | INITIATOR_HIGH);
        Self(kept | scales | if scaled { SCALED } else { 0 }).with(Phase::SynReceived)
    }

    /// It was reset. No FIN that comes late opens it again by half.
    #[inline(always)]
    pub(crate) const fn ended(self) -> Self {
        Self(self.0 | FIN_INITIATOR | FIN_RESPONDER).with(Phase::Closed)
    }

    #[inline(always)]
    pub(super) const fn established(self) -> Self {
        self.undisputed().with(Phase::Established)
    }

    #[inline(always)]
    pub(super) const fn closed_by(self, initiator: bool) -> Self {
        let state = Self(self.0 | if initiator { FIN_INITIATOR } else { FIN_RESPONDER });
        let both = FIN_INITIATOR | FIN_RESPONDER;
        state.with(if state.0 & both == both { Phase::Closed } else { Phase::Closing })
    }

    /// There was a reset that its receiver may not believe.
    #[inline(always)]
    pub(super) const fn doubted(self) -> Self {
        match self.phase() {
            Phase::Established => self.with(Phase::Closing),
            Phase::Asked
            | Phase::SynSent
            | Phase::SynReceived
            | Phase::Closing
            | Phase::Closed
            | Phase::Answered => self,
        }
    }

    /// There was a SYN with that sequence number, of which 14 bits are kept: who answers it must
    /// have seen it.
    #[inline(always)]
    pub(super) const fn disputed(self, sequence: u32) -> Self {
        let Self(state) = self.undisputed();
        let folded = sequence ^ sequence >> 14 ^ sequence >> 28;
        Self(state | DISPUTED | folded << DISPUTE)
    }

    #[inline(always)]
    pub(super) const fn undisputed(self) -> Self {
        Self(self.0 & (DISPUTED - 1))
    }

    #[inline(always)]
    pub(super) const fn is_disputed(self) -> bool {
        self.0 & DISPUTED != 0
    }

    #[inline(always)]
    pub(super) const fn is_disputed_by(self, sequence: u32) -> bool {
        self.is_disputed() && self.disputed(sequence).0 == self.0
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
    /// TCP: a [`Tcp`] goes with it.
    Tcp,
    /// UDP.
    Datagram,
    /// ICMP echo.
    Echo {
        /// A request, not a reply.
        request: bool,
    },
}

impl Segment {
    /// As a number, across a call of the kernel's.
    #[inline(always)]
    pub const fn encode(self) -> u64 {
        match self {
            Self::Tcp => 0,
            Self::Datagram => 1,
            Self::Echo { request: true } => 2,
            Self::Echo { request: false } => 3,
        }
    }

    /// From [`Segment::encode`]; `None` for every other number.
    #[inline(always)]
    pub const fn decode(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::Tcp),
            1 => Some(Self::Datagram),
            2 => Some(Self::Echo { request: true }),
            3 => Some(Self::Echo { request: false }),
            _ => None,
        }
    }

    /// The phase of a flow that this segment opens, or why it cannot open one.
    #[inline(always)]
    pub const fn opens(self, segment: &Tcp) -> Result<Phase, DropReason> {
        match self {
            Self::Tcp => {
                if segment.flags & (flag::SYN | flag::ACK | flag::RST | flag::FIN) == flag::SYN {
                    Ok(Phase::SynSent)
                } else {
                    Err(DropReason::TcpState)
                }
            }
            Self::Datagram | Self::Echo { request: true } => Ok(Phase::Asked),
            Self::Echo { request: false } => Err(DropReason::NoRule),
        }
    }
}

#[inline(always)]
pub(super) const fn answered(state: State, initiator: bool) -> Advance {
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
