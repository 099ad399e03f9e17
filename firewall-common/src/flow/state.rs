//! How far a flow has come, and what a segment does to it.

use super::Sender;
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
pub struct State(pub(super) u32);

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
    pub(super) const fn with_essential(self, essential: bool) -> Self {
        Self(self.0 & !ESSENTIAL | if essential { ESSENTIAL } else { 0 })
    }

    #[inline(always)]
    const fn reopened(self) -> Self {
        Self(self.0 & !(FIN_INITIATOR | FIN_RESPONDER)).with(Phase::SynSent)
    }

    /// It was reset.
    #[inline(always)]
    pub(crate) const fn ended(self) -> Self {
        self.with(Phase::Closed)
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
