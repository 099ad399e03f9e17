//! A TCP connection as somebody in the middle sees it (RFC 9293, 3.3.2 and 3.10): what each end has
//! sent, and what it lets the other send (RFC 7323, 2). Numbers are modulo 2^32; here they are told
//! apart by how far one is behind another, which has a sign.

use super::wire::{Flags, Segment};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Connection {
    stage: Stage,
    /// The opener, the responder.
    ends: [End; 2],
    /// Who has sent a FIN.
    finished: [bool; 2],
    /// What the responder acknowledged instead of the SYN: it remembers an earlier connection and
    /// challenges (RFC 5961, 4), and the opener resets that one there.
    challenged: Option<u32>,
    /// The opener has sent another SYN than the connection's; what is kept of its number.
    other_syn: Option<u16>,
    /// There was a reset that its receiver need not believe (RFC 5961, 3).
    is_doubted: bool,
    /// There was one that ends it, which the gateway's kernel has yet to send.
    is_reset: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct End {
    /// Behind everything that it has sent.
    next: u32,
    /// Behind everything that it lets the other send.
    limit: u32,
    /// What its SYN offered.
    scale: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The opener has sent a SYN.
    Asked,
    /// The responder has answered it with its own.
    Answered,
    /// The opener has acknowledged that.
    Connected,
}

/// What becomes of a connection by a segment that passes.
pub(super) enum Fate {
    GoesOn(Connection),
    Ends,
}

const OPENER: usize = 0;
const RESPONDER: usize = 1;

/// The largest window that is not scaled.
const WINDOW: i64 = 65_535;

/// Acknowledgements may be late by the largest window, and in any case by as much as a full one and
/// a segment.
const LATE: i64 = 66_000;

impl Connection {
    /// By its first SYN.
    pub(super) fn opened(syn: Segment) -> Self {
        let opener = End { next: syn.end(), limit: 0, scale: syn.scale };
        Self {
            stage: Stage::Asked,
            ends: [opener, End::default()],
            finished: [false; 2],
            challenged: None,
            other_syn: None,
            is_doubted: false,
            is_reset: false,
        }
    }

    /// `None` if the segment does not fit.
    pub(super) fn take(self, from_opener: bool, segment: Segment) -> Option<Fate> {
        let sender = if from_opener { OPENER } else { RESPONDER };
        match segment.flags {
            Flags::Syn if from_opener => Some(Fate::GoesOn(self.asked(segment))),
            Flags::SynAck if !from_opener => self.answered(segment).map(Fate::GoesOn),
            Flags::Syn | Flags::SynAck => None,
            Flags::Ack | Flags::FinAck => self.told(sender, segment).map(Fate::GoesOn),
            Flags::Rst | Flags::RstAck => self.reset(sender, segment),
        }
    }

    /// The opener's SYN.
    fn asked(self, segment: Segment) -> Self {
        let is_again = segment.end() == self.ends[OPENER].next;
        match self.stage {
            Stage::Asked | Stage::Answered if is_again => self,
            Stage::Asked => Self::opened(segment),
            // After the close, the port is used again.
            Stage::Connected if self.is_closed() => Self::opened(segment),
            // The opener has lost its memory, or it is a stranger's. What the responder answers
            // decides.
            Stage::Answered | Stage::Connected => {
                Self { other_syn: Some(kept(segment.sequence)), ..self }
            }
        }
    }

    /// The responder's SYN and acknowledgement.
    fn answered(self, segment: Segment) -> Option<Self> {
        let acknowledged = segment.acknowledgement;
        let is_ours = acknowledged == self.ends[OPENER].next;
        let is_of_other = self.is_of_other_syn(acknowledged);
        let begins = match self.stage {
            Stage::Asked => is_ours,
            Stage::Answered => is_ours || is_of_other,
            Stage::Connected if self.is_closed() => false,
            // The opener's acknowledgement was lost.
            Stage::Connected if self.fits(RESPONDER, segment) => return Some(self),
            Stage::Connected => is_of_other,
        };
        // The other SYN's options are forgotten; no window is larger than with 14.
        let scale = if is_ours { self.ends[OPENER].scale } else { Some(14) };
        let opener = End { next: acknowledged, limit: segment.end(), scale };
        // The window of a SYN is not scaled.
        let limit = acknowledged.wrapping_add(u32::from(segment.window));
        let responder = End { next: segment.end(), limit, scale: segment.scale };
        begins.then_some(Self {
            stage: Stage::Answered,
            ends: [opener, responder],
            ..Self::opened(segment)
        })
    }

    /// Data, an acknowledgement, a FIN.
    fn told(self, sender: usize, segment: Segment) -> Option<Self> {
        let is_fin = segment.flags == Flags::FinAck;
        let is_bare = segment.length == 0 && !is_fin;
        let [opener, responder] = self.ends;
        let passes = match (self.stage, sender) {
            (Stage::Asked, RESPONDER) if is_bare => {
                return Some(Self { challenged: Some(segment.acknowledgement), ..self });
            }
            (Stage::Asked, _) => false,
            // Only who has seen the responder's SYN has its number.
            (Stage::Answered, OPENER) => {
                segment.acknowledgement == responder.next && self.fits(OPENER, segment)
            }
            // It has received the other SYN and challenges.
            (Stage::Answered, _) => {
                let is_place =
                    segment.sequence == responder.next && segment.acknowledgement == opener.next;
                return (self.other_syn.is_some() && is_bare && is_place).then_some(self);
            }
            // Both have said that they send nothing more.
            (Stage::Connected, _) => {
                let is_new = behind(self.ends[sender].next, segment.end()) > 0;
                self.fits(sender, segment) && !(is_new && self.is_closed())
            }
        };
        let mut next = Self { stage: Stage::Connected, ..self };
        // The opener speaks on, so it is no other that has begun anew.
        if sender == OPENER {
            next.other_syn = None;
        }
        next.finished[sender] |= is_fin;
        let end = &mut next.ends[sender];
        let window = u32::from(segment.window) << self.shift(sender);
        end.next = later(end.next, segment.end());
        end.limit = later(end.limit, segment.acknowledgement.wrapping_add(window));
        passes.then_some(next)
    }

    fn reset(self, sender: usize, segment: Segment) -> Option<Fate> {
        let Segment { flags, sequence, acknowledgement, .. } = segment;
        // Nobody listens: its number is 0, but it acknowledges the SYN (RFC 9293, 3.10.7.1).
        let is_of_syn = self.stage != Stage::Connected && acknowledgement == self.ends[OPENER].next;
        let refuses = is_of_syn || self.is_of_other_syn(acknowledgement);
        if sender == RESPONDER && flags == Flags::RstAck && refuses {
            return Some(Fate::Ends);
        }
        let is_exact = sequence == self.ends[sender].next;
        if self.stage == Stage::Asked {
            let ends = is_exact || self.challenged == Some(sequence);
            return (sender == OPENER && ends).then_some(Fate::Ends);
        }
        if !self.fits(sender, segment) {
            return None;
        }
        let is_doubted = self.is_doubted || self.stage == Stage::Connected;
        Some(if is_exact { Fate::Ends } else { Fate::GoesOn(Self { is_doubted, ..self }) })
    }

    /// Whether it lies within what the other end allows or follows the last without a gap, repeats
    /// at most one largest window, and acknowledges only what was sent.
    fn fits(&self, sender: usize, segment: Segment) -> bool {
        let receiver = 1 - sender;
        let [ours, theirs] = [self.ends[sender], self.ends[receiver]];
        let largest = |end: usize| WINDOW << self.shift(end);
        let start = behind(ours.next, segment.sequence);
        let end = start + i64::from(segment.takes());
        let is_allowed = start <= 0 || end <= behind(ours.next, theirs.limit);
        let is_recent = start >= -largest(receiver);
        let acknowledged = behind(theirs.next, segment.acknowledgement);
        let was_sent = acknowledged <= 0 && acknowledged >= -largest(sender).max(LATE);
        is_allowed && is_recent && (was_sent || segment.flags == Flags::Rst)
    }

    /// Windows are scaled if both ends have offered it.
    fn shift(&self, end: usize) -> u8 {
        match self.ends.map(|end| end.scale) {
            [Some(opener), Some(responder)] => [opener, responder][end],
            [None, _] | [_, None] => 0,
        }
    }

    fn is_of_other_syn(&self, acknowledged: u32) -> bool {
        self.other_syn == Some(kept(acknowledged.wrapping_sub(1)))
    }

    /// It was reset; what is still on its way is that of a closed one, the reset itself included.
    pub(super) fn ended(self) -> Self {
        let mut ended = Self { stage: Stage::Connected, finished: [true; 2], ..self };
        if self.stage == Stage::Asked {
            ended.ends[RESPONDER].limit = self.challenged.unwrap_or(self.ends[OPENER].next);
        }
        Self { is_reset: true, ..ended }
    }

    const fn is_closed(self) -> bool {
        self.finished[0] && self.finished[1]
    }

    pub(super) const fn is_connected(self) -> bool {
        matches!(self.stage, Stage::Connected) && !self.is_reset
    }

    /// How many seconds it may be silent.
    pub(super) const fn patience(self) -> u64 {
        match (self.stage, self.finished, self.is_doubted) {
            (Stage::Asked | Stage::Answered, _, _) => 30,
            (Stage::Connected, [true, true], _) => 10,
            (Stage::Connected, [false, false], false) => 24 * 3600,
            (Stage::Connected, _, _) => 3600,
        }
    }
}

/// How far that number is behind the first; negative if it is before.
fn behind(first: u32, number: u32) -> i64 {
    i64::from(number.wrapping_sub(first).cast_signed())
}

fn later(one: u32, other: u32) -> u32 {
    if behind(one, other) > 0 { other } else { one }
}

/// Of another SYN's number 14 bits are kept, into which the others are folded.
fn kept(number: u32) -> u16 {
    let bits = (0..32).filter(|bit| number >> bit & 1 == 1);
    bits.fold(0, |kept, bit| kept ^ 1 << (bit % 14))
}
