//! The course of a flow: what a packet that may pass makes of it.

use super::exit::exit;
use super::{Note, Passage};
use crate::flow::{Advance, Flow, Segment, Sender, Signature, State, other};
use crate::identity::Speaker;
use crate::tables::Way;
use crate::verdict::refuse;
use crate::{DropReason, Hop, Mac, PassReason, Tables};

/// A packet of a flow that may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Course {
    /// Who sent it. Not read from the note: there an enum of two has 256 values for the verifier.
    pub sender: Sender,
    /// What it is of the flow.
    pub segment: Segment,
    /// The flow is established.
    pub established: bool,
    /// The flow has just been granted again.
    pub renewed: bool,
}

impl Course {
    const ESTABLISHED: u64 = 1 << 4;
    const RENEWED: u64 = 1 << 5;

    /// Of a flow that is not there yet.
    #[inline(always)]
    pub(super) const fn first(sender: Sender, segment: Segment) -> Self {
        Self { sender, segment, established: false, renewed: false }
    }

    /// As a number, across a call of the kernel's.
    #[inline(always)]
    pub const fn encode(self) -> u64 {
        let Self { sender, segment, established, renewed } = self;
        let named = Named { sender, segment: Some(segment) };
        let established = if established { Self::ESTABLISHED } else { 0 };
        named.encode() | established | if renewed { Self::RENEWED } else { 0 }
    }

    /// From [`Course::encode`]; `None` for every other number.
    #[inline(always)]
    pub const fn decode(number: u64) -> Option<Self> {
        let Named { sender, segment: Some(segment) } = Named::decode(number) else {
            return None;
        };
        let established = number & Self::ESTABLISHED != 0;
        Some(Self { sender, segment, established, renewed: number & Self::RENEWED != 0 })
    }
}

/// What a packet is of its flow, as its headers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// Who sent it.
    pub sender: Sender,
    /// What it is of the flow; without, no rule can name it.
    pub segment: Option<Segment>,
}

impl Named {
    const SEGMENT: u64 = 7;
    const SENT_BY_HIGH: u64 = 1 << 3;

    /// As a number, across a call of the kernel's.
    #[inline(always)]
    pub const fn encode(self) -> u64 {
        let Self { sender, segment } = self;
        let segment = match segment {
            Some(segment) => segment.encode(),
            None => Self::SEGMENT,
        };
        let sender = match sender {
            Sender::Low => 0,
            Sender::High => Self::SENT_BY_HIGH,
        };
        segment | sender
    }

    /// From [`Named::encode`].
    #[inline(always)]
    pub const fn decode(number: u64) -> Self {
        let low = number & Self::SENT_BY_HIGH == 0;
        Self {
            sender: if low { Sender::Low } else { Sender::High },
            segment: Segment::decode(number & Self::SEGMENT),
        }
    }
}

/// The next packet of a flow that is in force, or has just been granted again; the passage is left in
/// the note. Called through [`Tables::follow`].
#[inline(always)]
pub fn follow<T: Tables + ?Sized>(
    tables: &T,
    note: &mut Note,
    course: Course,
    flow: &Flow,
) -> Result<(), DropReason> {
    let Course { sender, segment, established, renewed } = course;
    if renewed {
        renew(tables, note, sender, flow);
    }
    note.passage = proceed(tables, note, sender, segment, flow, established)?;
    Ok(())
}

/// The first packet of a flow that has just been granted; the passage is left in the note. Called
/// through [`Tables::begin`].
#[inline(always)]
pub fn begin<T: Tables + ?Sized>(
    tables: &T,
    note: &mut Note,
    course: Course,
) -> Result<(), DropReason> {
    note.passage = enter(tables, note, course.sender, course.segment)?;
    Ok(())
}

/// A packet of a flow that is in force.
#[inline(always)]
fn proceed<T: Tables + ?Sized>(
    tables: &T,
    note: &mut Note,
    sender: Sender,
    segment: Segment,
    flow: &Flow,
    established: bool,
) -> Result<Passage, DropReason> {
    let state = flow.state();
    let from_initiator = state.initiator() == sender;
    // What has no way out moves no window.
    let (reason, exit) = exit(tables, note, flow, sender)?;
    let advance = flow.follow(state, sender, segment, &note.segment)?;
    let advance = match (advance, reason) {
        // The kernel still has to send it, and the guard to know why.
        (Advance::End, PassReason::Kernel) => Advance::Keep(state.ended()),
        (advance, _) => advance,
    };
    let passage = Passage {
        reason,
        exit,
        rule: flow.rule(),
        from: if from_initiator { flow.subnetworks().0 } else { flow.subnetworks().1 },
        to: if from_initiator { flow.subnetworks().1 } else { flow.subnetworks().0 },
    };
    match advance {
        Advance::Keep(next) => {
            // Another CPU may have moved it on since.
            if next != state {
                flow.set_state(next);
            }
            flow.touch(note.moment.now, tables.timeout(next.phase()));
        }
        Advance::Promote(state) => {
            // Before anything is written: until then it may have to give way to another.
            if !established && tables.establish(note).is_err() {
                return refuse(DropReason::FlowTableFull);
            }
            flow.set_state(state);
            flow.touch(note.moment.now, tables.timeout(state.phase()));
            if !established {
                tables.refund(note, flow);
            }
        }
        Advance::End => {
            if !established {
                tables.refund(note, flow);
            }
            tables.remove(note);
        }
    }
    Ok(passage)
}

/// Keeps a flow that has been granted.
#[inline(always)]
fn enter<T: Tables + ?Sized>(
    tables: &T,
    note: &mut Note,
    sender: Sender,
    segment: Segment,
) -> Result<Passage, DropReason> {
    let phase = segment.opens(&note.segment)?;
    let Note { grant, .. } = *note;
    let state = State::new(phase, sender, grant.essential);
    let answer = unheard(&note.destination);
    let heard = heard(tables, note.signature, Hop::NONE);
    note.flow.open(&grant, state, sender, [heard, answer]);
    note.flow.begin_with(sender, segment, &note.segment);
    note.flow.touch(note.moment.now, tables.timeout(phase));
    let (_, exit) = exit(tables, note, &note.flow, sender)?;
    tables.charge(note)?;
    if tables.open(note).is_err() {
        return refuse(DropReason::FlowTableFull);
    }
    Ok(Passage {
        reason: PassReason::Opened,
        exit,
        rule: grant.rule,
        from: grant.from,
        to: grant.to,
    })
}

/// Writes into a flow what has just been granted to it.
#[inline(always)]
fn renew<T: Tables + ?Sized>(tables: &T, note: &Note, sender: Sender, flow: &Flow) {
    let mut hop = flow.side(sender).hop();
    if flow.generation() != note.moment.generation {
        // Routes may have changed, too.
        hop = Hop::NONE;
        flow.set_side(other(sender), unheard(&note.destination));
    }
    flow.set_side(sender, heard(tables, note.signature, hop));
    flow.authorise(&note.grant);
}

/// What a flow keeps of a side that was heard. A router keeps the next hop towards it where a bridge
/// keeps the MAC that its frames are addressed to.
#[inline(always)]
fn heard<T: Tables + ?Sized>(tables: &T, frame: Signature, hop: Hop) -> Signature {
    match tables.way() {
        Way::Bridge { .. } => frame,
        Way::Router => frame.to(hop),
    }
}

/// What a receiver's answer will look like, its MAC left zero, which no frame that gets this far
/// carries.
#[inline(always)]
pub(super) fn unheard(speaker: &Speaker) -> Signature {
    Signature::new(Mac::default(), Mac::default(), speaker.vlan, speaker.port)
}
