//! Fragments, strictly in order (RFC 5722 drops a datagram with an overlap; here one with anything but
//! the next fragment at its place). The first is decided over like a packet, and must hold every
//! header; the others pass for as long as what allowed it holds.

use super::{Note, pair};
use crate::abi::Stop;
use crate::flow::{End, Phase, Sender};
use crate::fragment::{Datagram, First, FragmentKey, Progress};
use crate::parse::{Piece, protocol};
use crate::tables::Way;
use crate::{DropReason, Port, Tables};

/// Fragments that others follow carry at least so many bytes: no link between hosts is so narrow that
/// a correct sender would make smaller ones (RFC 791, 3.1: 576 bytes), and all headers fit.
const SHORTEST: u32 = 512;

/// The longest packet (RFC 791, 3.1; RFC 8200, 3 and 4.5: without its header and the fragment's).
const LONGEST: u32 = 0xffff;
const IPV6: u32 = 48;

/// Receivers keep the fragments of a datagram that was not completed for so long (RFC 8200, 4.5: 60 s),
/// in half-open timeouts.
const KEPT: u32 = 2;

/// Names the datagram of the note's fragment.
#[inline(always)]
fn key(note: &Note) -> FragmentKey {
    let Piece { identification, next, .. } = note.piece;
    let (network, frame) = (&note.network, note.signature);
    let protocol = if network.source.is_v4() { next } else { 0 };
    let leaves = frame.port() == Port::GATEWAY;
    let place = (frame.vlan(), note.came_in);
    FragmentKey::new(network.source, network.destination, protocol, identification, place, leaves)
}

/// Where a fragment's data ends in its datagram; `None` if no fragment may look like that.
#[inline(always)]
fn end(note: &Note) -> Option<u32> {
    let Piece { offset, data, more, .. } = note.piece;
    let length = note.network.end.wrapping_sub(data);
    // What a router of ours has split once more may be shorter.
    let is_made_here = note.signature.port() == Port::GATEWAY && offset != 0;
    let is_odd = more && (length & 7 != 0 || length < SHORTEST && !is_made_here);
    let longest = if note.network.source.is_v4() { LONGEST } else { LONGEST + IPV6 };
    if length == 0 || length > LONGEST || is_odd || offset + note.length() > longest {
        return None;
    }
    Some(offset + length)
}

/// Whether a datagram may begin with the note's fragment. Called through [`Tables::admit`].
#[inline(always)]
pub fn admit<T: Tables + ?Sized>(tables: &T, note: &mut Note) -> Result<(), DropReason> {
    note.fragment = key(note);
    note.first = First { signature: note.signature, next: note.piece.next, ..First::default() };
    if end(note).is_none() || !note.piece.more {
        return Err(DropReason::Fragment);
    }
    let Some(datagram) = tables.datagram(&note.fragment) else {
        return Ok(());
    };
    if let Some(progress) = datagram.progress(&note.fragment)
        && !datagram.is_late(
            note.moment.now,
            KEPT * tables.timeout(Phase::Asked),
            tables.reassembly(),
        )
    {
        if datagram.signature() != note.signature {
            return Err(DropReason::BindingMac);
        }
        // It has begun already: whatever comes now could be put together with what was let by.
        datagram.spoil(progress);
        return Err(DropReason::Fragment);
    }
    tables.forget_datagram(&note.fragment);
    Ok(())
}

/// Remembers a datagram whose first fragment may pass. Called through [`Tables::track`].
#[inline(always)]
pub fn track<T: Tables + ?Sized>(tables: &T, note: &mut Note) -> Result<(), DropReason> {
    let Some(next) = end(note) else {
        return Err(DropReason::Fragment);
    };
    let deadline = note.moment.now.low().wrapping_add(tables.reassembly());
    let Note { fragment, first, grant, passage, datagram, .. } = note;
    datagram.begin(fragment, first, next, grant, passage, deadline);
    // Another CPU has seen another first one meanwhile.
    tables.begin_datagram(&note.fragment, &note.datagram).map_err(|_| DropReason::Fragment)
}

/// Decides over a fragment that is not the first. Called through [`Tables::reassemble`].
#[inline(always)]
pub fn reassemble<T: Tables + ?Sized>(tables: &T, note: &mut Note) -> Result<(), DropReason> {
    note.fragment = key(note);
    let Some(datagram) = tables.datagram(&note.fragment) else {
        return Err(DropReason::Fragment);
    };
    let Some(progress) = datagram.progress(&note.fragment) else {
        return Err(DropReason::Fragment);
    };
    let sender = attribute(tables, note, datagram);
    if datagram.signature() != note.signature {
        return Err(DropReason::BindingMac);
    }
    if note.moment.stop != Stop::None && !datagram.is_essential() {
        return Err(DropReason::Stopped);
    }
    let more = note.piece.more;
    let end = match next(tables, note, datagram, progress) {
        Ok(end) => end,
        Err(reason) => {
            datagram.spoil(progress);
            return Err(reason);
        }
    };
    note.passage = datagram.passage();
    if !datagram.advance(progress, end) {
        return Err(DropReason::Fragment);
    }
    if more {
        return Ok(());
    }
    if let Err(reason) = complete(tables, note, datagram, sender, end) {
        // What has passed waits at its receiver, and another datagram's last could complete it.
        if let Some(progress) = datagram.progress(&note.fragment) {
            datagram.spoil(progress);
        }
        return Err(reason);
    }
    tables.forget_datagram(&note.fragment);
    Ok(())
}

/// Keeps the key of the flow that a datagram belongs to.
#[inline(always)]
fn attribute<T: Tables + ?Sized>(tables: &T, note: &mut Note, datagram: &Datagram) -> Sender {
    let (source, destination) = datagram.ports();
    let (source, destination) = (
        End { address: note.network.source, port: source },
        End { address: note.network.destination, port: destination },
    );
    note.name(source, destination, datagram.protocol(), pair(tables))
}

/// Where the datagram has come to with this fragment, or what is wrong with it.
#[inline(always)]
fn next<T: Tables + ?Sized>(
    tables: &T,
    note: &Note,
    datagram: &Datagram,
    progress: Progress,
) -> Result<u32, DropReason> {
    let now = note.moment.now;
    if datagram.generation() != note.moment.generation {
        return Err(DropReason::Revoked);
    }
    if datagram.is_unleased(now) {
        return Err(DropReason::LeaseExpired);
    }
    let Some(end) = end(note) else {
        return Err(DropReason::Fragment);
    };
    let Piece { offset, more, next, .. } = note.piece;
    let (expected, whole) = (progress.next(), datagram.end());
    let ends_wrong = if more { end >= whole } else { end != whole };
    if datagram.is_late(now, 0, tables.reassembly())
        || expected != Some(offset)
        || next != datagram.next()
        || whole != 0 && ends_wrong
        || !fits(tables, note, datagram.passage().exit.port)
    {
        return Err(DropReason::Fragment);
    }
    Ok(end)
}

/// Whether a router can send it as it is: the kernel tells the sender of a first fragment only.
#[inline(always)]
fn fits<T: Tables + ?Sized>(tables: &T, note: &Note, port: Port) -> bool {
    match tables.way() {
        Way::Bridge { .. } => true,
        Way::Router if port == Port::GATEWAY || note.signature.port() == Port::GATEWAY => true,
        Way::Router => match tables.port_state(port) {
            Some(state) => note.hops() > 1 && note.length() as u64 <= state.mtu.load(),
            None => false,
        },
    }
}

/// The last fragment is there: of TCP, its connection has come further than its first one said.
#[inline(always)]
fn complete<T: Tables + ?Sized>(
    tables: &T,
    note: &mut Note,
    datagram: &Datagram,
    sender: Sender,
    end: u32,
) -> Result<(), DropReason> {
    if datagram.protocol() != protocol::TCP || note.signature.port() == Port::GATEWAY {
        return Ok(());
    }
    // The first one's mark counts from the datagram's beginning.
    let sent = datagram.sequence().wrapping_add(end);
    match tables.find(note) {
        Some((flow, _)) if flow.extend(sender, sent) => Ok(()),
        Some(_) | None => Err(DropReason::TcpState),
    }
}
