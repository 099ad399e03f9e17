//! A TCP connection as somebody in the middle sees it: RFC 9293, 3.3.2, by flags alone. Sequence
//! numbers are not looked at yet; their windows would be kept in [`Connection`].

use super::wire::{Flags, Segment};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Connection {
    stage: Stage,
    /// Who has sent a FIN: the opener, the responder.
    finished: [bool; 2],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// The opener has sent a SYN.
    #[default]
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

impl Connection {
    /// `None` if the segment does not fit.
    pub(super) const fn take(self, from_opener: bool, segment: Segment) -> Option<Fate> {
        let Segment { flags, has_data } = segment;
        if matches!(flags, Flags::Rst) {
            return Some(Fate::Ends);
        }
        let next = match self.stage {
            Stage::Asked => match (flags, from_opener) {
                // Once more.
                (Flags::Syn, true) => self,
                (Flags::SynAck, false) => Self { stage: Stage::Answered, ..self },
                // RFC 5961, 4: the responder still has an old connection, and challenges. What the
                // opener then sends is a reset.
                (Flags::Ack, false) if !has_data => self,
                (Flags::Syn | Flags::SynAck | Flags::Ack | Flags::FinAck | Flags::Rst, _) => {
                    return None;
                }
            },
            Stage::Answered => match (flags, from_opener) {
                (Flags::Syn, true) | (Flags::SynAck, false) => self,
                (Flags::Ack, true) => Self { stage: Stage::Connected, ..self },
                (Flags::FinAck, true) => {
                    Self { stage: Stage::Connected, finished: [true, self.finished[1]] }
                }
                (Flags::Syn | Flags::SynAck | Flags::Ack | Flags::FinAck | Flags::Rst, _) => {
                    return None;
                }
            },
            Stage::Connected => match (flags, from_opener) {
                // Both have said that they send nothing more.
                (Flags::Ack | Flags::FinAck, _) if has_data && self.is_closed() => return None,
                (Flags::Ack, _) => self,
                (Flags::FinAck, true) => Self { finished: [true, self.finished[1]], ..self },
                (Flags::FinAck, false) => Self { finished: [self.finished[0], true], ..self },
                // After the close, the port is used again. Before, the opener has lost its memory,
                // and the responder's challenge decides.
                (Flags::Syn, true) if self.is_closed() => {
                    Self { stage: Stage::Asked, finished: [false; 2] }
                }
                (Flags::Syn, true) => self,
                // The opener's acknowledgement was lost.
                (Flags::SynAck, false) if !self.is_closed() => self,
                (Flags::Syn | Flags::SynAck | Flags::Rst, _) => return None,
            },
        };
        Some(Fate::GoesOn(next))
    }

    const fn is_closed(self) -> bool {
        self.finished[0] && self.finished[1]
    }

    pub(super) const fn is_connected(self) -> bool {
        matches!(self.stage, Stage::Connected)
    }

    /// How many seconds it may be silent.
    pub(super) const fn patience(self) -> u64 {
        match (self.stage, self.finished) {
            (Stage::Asked | Stage::Answered, _) => 30,
            (Stage::Connected, [false, false]) => 24 * 3600,
            (Stage::Connected, [true, true]) => 10,
            (Stage::Connected, [true, false] | [false, true]) => 3600,
        }
    }
}
