//! What a TCP segment does to its connection (RFC 9293, 3.10), seen from the middle.
//! [`crate::parse`] lets only SYN, SYN+ACK, ACK, FIN+ACK, RST and RST+ACK by.

use super::{Advance, Flow, Phase, Sender, State, Tcp};
use crate::DropReason;
use crate::parse::flag;
use crate::verdict::refuse;

/// Who sends to which connection.
struct Connection<'a> {
    flow: &'a Flow,
    state: State,
    sender: Sender,
    initiator: bool,
}

/// Checks the segment and moves the windows on; the caller moves the state.
#[inline(always)]
pub(super) fn follow(
    flow: &Flow,
    state: State,
    sender: Sender,
    segment: &Tcp,
) -> Result<Advance, DropReason> {
    let initiator = state.initiator() == sender;
    let connection = Connection { flow, state, sender, initiator };
    if segment.has(flag::RST) {
        connection.reset(segment)
    } else if !segment.has(flag::SYN) {
        connection.segment(segment)
    } else if initiator && !segment.has(flag::ACK) {
        connection.syn(segment)
    } else if !initiator && segment.has(flag::ACK) {
        connection.answer(segment)
    } else {
        refuse(DropReason::TcpState)
    }
}

impl Connection<'_> {
    /// Data, acknowledgements, FIN.
    #[inline(always)]
    fn segment(&self, segment: &Tcp) -> Result<Advance, DropReason> {
        let Self { flow, state, sender, initiator } = *self;
        let windows = flow.windows(state, sender);
        let fin = segment.has(flag::FIN);
        let advance = match state.phase() {
            Phase::SynSent => {
                if initiator || segment.length != 0 || fin {
                    return refuse(DropReason::TcpState);
                }
                // A responder that still remembers an earlier connection (RFC 5961, 4): its
                // challenge makes the initiator reset it.
                flow.challenge(sender, segment.acknowledgement);
                return Ok(Advance::Keep(state));
            }
            Phase::SynReceived if initiator => {
                // Only who has seen the responder's SYN completes the handshake: others would fill
                // the table of established flows.
                if segment.acknowledgement != windows.theirs.sent || !windows.hold(segment) {
                    return refuse(DropReason::TcpState);
                }
                let established = state.established();
                Advance::Promote(if fin { established.closed_by(true) } else { established })
            }
            Phase::SynReceived => {
                // A challenge again, of a SYN that is not the connection's.
                let expected = segment.sequence == windows.ours.sent
                    && segment.acknowledgement == windows.theirs.sent;
                return if state.is_disputed() && expected && segment.length == 0 && !fin {
                    Ok(Advance::Keep(state))
                } else {
                    refuse(DropReason::TcpState)
                };
            }
            Phase::Established | Phase::Closing | Phase::Closed => {
                let closed = matches!(state.phase(), Phase::Closed);
                if !windows.hold(segment) || closed && !windows.repeats(segment) {
                    return refuse(DropReason::TcpState);
                }
                let state = if initiator { state.undisputed() } else { state };
                Advance::Keep(if fin { state.closed_by(initiator) } else { state })
            }
            Phase::Asked | Phase::Answered => return refuse(DropReason::TcpState),
        };
        flow.advance(sender, &windows, segment);
        Ok(advance)
    }

    /// A SYN of the initiator.
    #[inline(always)]
    fn syn(&self, segment: &Tcp) -> Result<Advance, DropReason> {
        let Self { flow, state, sender, .. } = *self;
        let again = segment.end() == flow.windows(state, sender).ours.sent;
        match state.phase() {
            Phase::SynSent | Phase::SynReceived if again => Ok(Advance::Keep(state)),
            Phase::SynSent | Phase::Closed => {
                flow.begin(sender, segment);
                Ok(Advance::Keep(state.asked(segment.scale)))
            }
            // The initiator lost its memory and uses the port again. While the connection lives, the
            // responder decides: it challenges and is reset, or answers because it knows no more
            // either. The windows stay: anybody may have sent this.
            Phase::SynReceived | Phase::Established | Phase::Closing => {
                Ok(Advance::Keep(state.disputed(segment.sequence)))
            }
            Phase::Asked | Phase::Answered => Err(DropReason::TcpState),
        }
    }

    /// A SYN+ACK of the responder.
    #[inline(always)]
    fn answer(&self, segment: &Tcp) -> Result<Advance, DropReason> {
        let Self { flow, state, sender, .. } = *self;
        let windows = flow.windows(state, sender);
        let acknowledges = segment.acknowledgement == windows.theirs.sent;
        let dispute = state.is_disputed_by(segment.acknowledgement.wrapping_sub(1));
        let answered = match state.phase() {
            Phase::SynSent => acknowledges,
            Phase::SynReceived => acknowledges || dispute,
            Phase::Established | Phase::Closing => {
                if windows.hold(segment) {
                    return Ok(Advance::Keep(state));
                }
                dispute
            }
            Phase::Closed | Phase::Asked | Phase::Answered => false,
        };
        if !answered {
            return refuse(DropReason::TcpState);
        }
        flow.answer(sender, segment);
        Ok(Advance::Keep(state.answered(segment.scale, !acknowledges)))
    }

    /// A reset ends the connection only if it stands exactly where the sender has come to, as for
    /// the receiver (RFC 5961, 3): the receiver may challenge any other, and the connection lives on.
    #[inline(always)]
    fn reset(&self, segment: &Tcp) -> Result<Advance, DropReason> {
        let Self { flow, state, sender, initiator } = *self;
        let windows = flow.windows(state, sender);
        let phase = state.phase();
        // A port where nobody listens: the sequence number is 0 (RFC 9293, 3.10.7.1).
        let opening = matches!(phase, Phase::SynSent | Phase::SynReceived)
            && segment.acknowledgement == windows.theirs.sent;
        let refused = opening || state.is_disputed_by(segment.acknowledgement.wrapping_sub(1));
        if !initiator && segment.has(flag::ACK) && refused {
            return Ok(Advance::End);
        }
        let exact = segment.sequence == windows.ours.sent;
        match phase {
            Phase::SynSent => {
                if initiator && (exact || segment.sequence == windows.theirs.granted) {
                    Ok(Advance::End)
                } else {
                    refuse(DropReason::TcpState)
                }
            }
            Phase::SynReceived | Phase::Established | Phase::Closing | Phase::Closed => {
                if !windows.hold(segment) {
                    refuse(DropReason::TcpState)
                } else if exact {
                    Ok(Advance::End)
                } else {
                    Ok(Advance::Keep(state.doubted()))
                }
            }
            Phase::Asked | Phase::Answered => Err(DropReason::TcpState),
        }
    }
}
