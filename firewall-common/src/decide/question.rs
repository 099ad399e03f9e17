//! What only the image can answer: the slow path.

use super::{Note, related};
use crate::flow::Sender;
use crate::identity::{Direction, Role, View, recognise};
use crate::parse::{self, protocol};
use crate::tables::Way;
use crate::{DropReason, Service, Tables, Ticks, guard};

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
    pub(super) const fn flow(initiator: Sender) -> Self {
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
        Question::Report => related::report(tables, note),
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
    recognise(tables, note, Role::Source)?;
    let Some(view) = View::new(tables, note) else {
        return Err(DropReason::NotArmed);
    };
    note.sent_by();
    let is_enrolment = is_enrolment(tables, note, initiator);
    let source_lease = view.standing_before(
        &note.source,
        destination,
        is_enrolment && initiator == note.sender,
        now,
    )?;
    if parse::is_group(destination) {
        return Err(DropReason::NoRule);
    }
    note.query = destination;
    recognise(tables, note, Role::Destination)?;
    note.sent_to();
    if let Way::Bridge { .. } = tables.way()
        && !view.is_addressed(&note.destination, note.signature.destination())
    {
        return Err(DropReason::BindingMac);
    }
    let destination_lease = view.standing_before(
        &note.destination,
        source,
        is_enrolment && initiator != note.sender,
        now,
    )?;
    note.service = service(&view, note, initiator);
    let direction = if initiator == note.sender { Direction::Forward } else { Direction::Backward };
    tables.permit(note, direction)?;
    note.granted(direction, earlier(source_lease, destination_lease, now));
    Ok(())
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

/// Whether it would be a connection to where the gateway grants leases.
#[inline(always)]
fn is_enrolment<T: Tables + ?Sized>(tables: &T, note: &Note, initiator: Sender) -> bool {
    tables.enrolment() != 0
        && note.key.protocol == protocol::TCP
        && responder_port(note, initiator) == tables.enrolment()
}

#[inline(always)]
fn responder_port(note: &Note, initiator: Sender) -> u16 {
    match initiator {
        Sender::Low => note.key.high_port,
        Sender::High => note.key.low_port,
    }
}

/// The service of the responder's port.
#[inline(always)]
fn service<T: Tables + ?Sized>(view: &View<'_, T>, note: &Note, initiator: Sender) -> Service {
    let port = responder_port(note, initiator);
    match note.key.protocol {
        protocol::TCP => view.service(0, port),
        protocol::UDP => view.service(1, port),
        protocol::ICMP | protocol::ICMPV6 => view.header().echo,
        _ => Service::NONE,
    }
}
