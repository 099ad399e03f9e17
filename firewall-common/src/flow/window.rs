//! TCP sequence windows: what each end may send next, seen from the middle (Guido van Rooij, "Real
//! Stateful TCP Packet Filtering in IP Filter", 2001). All numbers are modulo 2^32 (RFC 9293, 3.4).

use super::{Flow, Sender, State, index, other};
use crate::parse::flag;

/// What a TCP header says of its place in the connection, in host order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tcp {
    /// The flags' byte.
    pub flags: u8,
    /// Bytes of data.
    pub length: u32,
    /// The sequence number.
    pub sequence: u32,
    /// The acknowledgement number.
    pub acknowledgement: u32,
    /// The window, not scaled.
    pub window: u16,
    /// What a SYN offers; nothing in any other segment.
    pub scale: Scale,
}

impl Tcp {
    /// Whether that [`flag`] is set.
    #[inline(always)]
    pub const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The sequence number behind it: SYN and FIN take one, too.
    #[inline(always)]
    pub(crate) const fn end(&self) -> u32 {
        let flags = self.has(flag::SYN) as u32 + self.has(flag::FIN) as u32;
        self.sequence.wrapping_add(self.length).wrapping_add(flags)
    }
}

/// How far the windows of one end are shifted (RFC 7323, 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale(u8);

impl Default for Scale {
    fn default() -> Self {
        Self::NONE
    }
}

impl Scale {
    /// Not offered.
    pub const NONE: Self = Self(15);
    /// The largest there is.
    pub const LARGEST: Self = Self(14);

    /// What an option offers; more than 14 is 14 (RFC 7323, 2.3).
    #[inline(always)]
    pub const fn offered(shift: u8) -> Self {
        if shift > Self::LARGEST.0 { Self::LARGEST } else { Self(shift) }
    }

    /// As it lies in [`State`]: 0 to 14, or 15.
    #[inline(always)]
    pub const fn bits(self) -> u32 {
        self.0 as u32
    }

    /// From [`Scale::bits`].
    #[inline(always)]
    pub const fn from_bits(bits: u32) -> Self {
        Self((bits & 15) as u8)
    }
}

/// How far one end has come: one word of the flow, which only this end's own segments move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The sequence number behind everything that it has sent.
    pub(super) sent: u32,
    /// The one behind everything that it has allowed the other end to send.
    pub(super) granted: u32,
}

impl Mark {
    #[inline(always)]
    const fn encode(self) -> u64 {
        (self.sent as u64) << 32 | self.granted as u64
    }

    #[inline(always)]
    const fn decode(word: u64) -> Self {
        Self { sent: (word >> 32) as u32, granted: (word & 0xffff_ffff) as u32 }
    }
}

/// Both ends' marks and scales, as the sender of a segment sees them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    pub(super) ours: Mark,
    pub(super) theirs: Mark,
    our_shift: u32,
    their_shift: u32,
}

/// The largest window that is not scaled.
const WINDOW: u32 = 0xffff;

/// How late an acknowledgement may be at least: the largest window and a segment of Ethernet.
const LATE: u32 = 66_000;

impl Windows {
    /// Whether the segment is one that its receiver might take, or that repeats what it has taken.
    #[inline(always)]
    pub(super) const fn hold(&self, segment: &Tcp) -> bool {
        let Self { ours, theirs, our_shift, their_shift } = *self;
        // What begins where the last segment ended passes whatever the window is: probes of a closed
        // one (RFC 9293, 3.8.6.1), and it costs nothing, as who does not see the connection does not
        // hit that place more easily than any other.
        let allowed = is_not_after(segment.end(), theirs.granted)
            || is_not_after(segment.sequence, ours.sent);
        let oldest = ours.sent.wrapping_sub(WINDOW << their_shift);
        if !allowed || !is_not_after(oldest, segment.sequence) {
            return false;
        }
        let window = WINDOW << our_shift;
        let oldest = theirs.sent.wrapping_sub(if window < LATE { LATE } else { window });
        !segment.has(flag::ACK)
            || is_not_after(segment.acknowledgement, theirs.sent)
                && is_not_after(oldest, segment.acknowledgement)
    }

    /// Whether the segment brings nothing that was not sent before.
    #[inline(always)]
    pub(super) const fn repeats(&self, segment: &Tcp) -> bool {
        is_not_after(segment.end(), self.ours.sent)
    }
}

/// Whether `one` is `another` or up to 2^31 - 1 before it.
#[inline(always)]
const fn is_not_after(one: u32, another: u32) -> bool {
    another.wrapping_sub(one) >> 31 == 0
}

#[inline(always)]
const fn later(one: u32, another: u32) -> u32 {
    if is_not_after(one, another) { another } else { one }
}

/// How often a mark is tried to be moved. Every failure means that another CPU has handled another
/// segment of the same end within some ten nanoseconds; cards keep a connection on one CPU.
const TRIES: u32 = 4;

impl Flow {
    /// The windows for a segment of that end.
    #[inline(always)]
    pub(super) fn windows(&self, state: State, sender: Sender) -> Windows {
        let initiator = state.initiator() == sender;
        Windows {
            ours: Mark::decode(self.marks[index(sender)].load()),
            theirs: Mark::decode(self.marks[index(other(sender))].load()),
            our_shift: state.shift(initiator),
            their_shift: state.shift(!initiator),
        }
    }

    /// A SYN of the initiator: everything begins anew.
    #[inline(always)]
    pub(super) fn begin(&self, sender: Sender, segment: &Tcp) {
        let sent = segment.end();
        self.mark(sender, Mark { sent, granted: 0 });
        // Until the responder has answered, its mark says which reset of the initiator is due.
        self.mark(other(sender), Mark { sent: 0, granted: sent });
    }

    /// The responder's SYN: what it acknowledges is all that the initiator has sent.
    #[inline(always)]
    pub(super) fn answer(&self, sender: Sender, segment: &Tcp) {
        let (sent, acknowledged) = (segment.end(), segment.acknowledgement);
        // The window of a SYN is not scaled (RFC 7323, 2.2).
        let granted = acknowledged.wrapping_add(segment.window as u32);
        self.mark(sender, Mark { sent, granted });
        self.mark(other(sender), Mark { sent: acknowledged, granted: sent });
    }

    /// The responder acknowledged that instead of the initiator's SYN.
    #[inline(always)]
    pub(super) fn challenge(&self, sender: Sender, acknowledged: u32) {
        self.mark(sender, Mark { sent: 0, granted: acknowledged });
    }

    #[inline(always)]
    fn mark(&self, end: Sender, mark: Mark) {
        self.marks[index(end)].store(mark.encode());
    }

    /// The sender has come as far as that; `false` if it may not.
    #[inline(always)]
    pub(crate) fn extend(&self, sender: Sender, sent: u32) -> bool {
        let windows = self.windows(self.state(), sender);
        if !is_not_after(sent, windows.theirs.granted) {
            return false;
        }
        let mark = &self.marks[index(sender)];
        let mut seen = windows.ours;
        for _ in 0..TRIES {
            let wanted = Mark { sent: later(seen.sent, sent), ..seen };
            let found = mark.exchange(seen.encode(), wanted.encode());
            if found == seen.encode() {
                break;
            }
            seen = Mark::decode(found);
        }
        true
    }

    /// Moves the sender's mark on, never back. A mark that fell behind would cut the connection for
    /// good: what the other end acknowledges of it would seem never sent, whatever is sent again.
    /// Hence no plain store.
    #[inline(always)]
    pub(super) fn advance(&self, sender: Sender, windows: &Windows, segment: &Tcp) {
        let window = (segment.window as u32) << windows.our_shift;
        let granted = segment.acknowledgement.wrapping_add(window);
        let mark = &self.marks[index(sender)];
        let mut seen = windows.ours;
        for _ in 0..TRIES {
            let wanted = Mark {
                sent: later(seen.sent, segment.end()),
                granted: later(seen.granted, granted),
            };
            let seen_word = seen.encode();
            if wanted.encode() == seen_word {
                return;
            }
            let found = mark.exchange(seen_word, wanted.encode());
            if found == seen_word {
                return;
            }
            seen = Mark::decode(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Phase, Segment};

    fn data(sequence: u32, acknowledgement: u32) -> Tcp {
        let (flags, window) = (flag::ACK, 1000);
        Tcp { flags, length: 100, sequence, acknowledgement, window, scale: Scale::NONE }
    }

    /// A flow between two ends that have sent nothing but the SYN, 0 and 0.
    fn established() -> (Flow, State) {
        let (flow, low) = (Flow::default(), Sender::Low);
        let state = State::new(Phase::Established, low, false);
        let syn = Tcp { flags: flag::SYN, length: 0, ..data(0, 0) };
        flow.state.store(state.0);
        flow.begin(low, &syn);
        flow.answer(other(low), &Tcp { flags: flag::SYN | flag::ACK, acknowledgement: 1, ..syn });
        (flow, state)
    }

    #[test]
    fn what_another_cpu_has_seen_meanwhile_is_never_taken_back() {
        let (first, second, third) = (data(1, 1), data(101, 5), data(201, 3));
        for [one, another, last] in
            [[first, second, third], [third, first, second], [second, third, first]]
        {
            let (flow, state) = established();
            let stale = flow.windows(state, Sender::Low);
            for segment in [one, another, last] {
                flow.advance(Sender::Low, &stale, &segment);
            }
            let marks = flow.windows(state, Sender::Low).ours;
            assert_eq!(marks, Mark { sent: 301, granted: 1005 });
        }
    }

    #[test]
    fn what_comes_next_in_line_does_not_wait_for_a_window() {
        let (flow, state) = established();
        flow.mark(Sender::High, Mark { sent: 1, granted: 1 });
        for number in 0..100 {
            let next = flow.follow(state, Sender::Low, Segment::Tcp, &data(1 + 100 * number, 1));
            assert!(next.is_ok(), "{number}: {next:?}");
        }
        let gap = flow.follow(state, Sender::Low, Segment::Tcp, &data(10_002, 1));
        assert_eq!(gap, Err(crate::DropReason::TcpState));
    }

    #[test]
    fn a_copy_has_the_windows_of_its_flow() {
        let (flow, state) = established();
        let copy = Flow::default();
        copy.copy(&flow);
        for end in [Sender::Low, Sender::High] {
            assert_eq!(copy.windows(state, end).ours, flow.windows(state, end).ours);
        }
    }
}
