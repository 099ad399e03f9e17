//! The way out: a bridge has one, a router asks the kernel's routes and remembers.

use super::{Exit, Note};
use crate::abi::Attachment;
use crate::flow::{Flow, Sender, other};
use crate::tables::{Route, Way};
use crate::verdict::refuse;
use crate::{DropReason, PassReason, Port, Tables};

/// Where a frame goes that `sender` sends in `flow`, which the note's key names; and as what.
#[inline(always)]
pub(super) fn exit<T: Tables + ?Sized>(
    tables: &T,
    note: &Note,
    flow: &Flow,
    sender: Sender,
) -> Result<(PassReason, Exit), DropReason> {
    match tables.way() {
        Way::Bridge { peer } => {
            let vlan = flow.side(other(sender)).vlan();
            Ok((PassReason::Established, Exit::unchanged(peer, vlan)))
        }
        Way::Router => routed(tables, note, flow, sender),
    }
}

/// The next hop is kept in the flow until the generation changes, and looked up where it is not
/// known.
#[inline(always)]
fn routed<T: Tables + ?Sized>(
    tables: &T,
    note: &Note,
    flow: &Flow,
    sender: Sender,
) -> Result<(PassReason, Exit), DropReason> {
    let far = flow.side(other(sender));
    let (port, vlan) = (far.port(), far.vlan());
    if port == Port::GATEWAY || tables.port() == Port::GATEWAY {
        return Ok((PassReason::Established, Exit::unchanged(port, vlan)));
    }
    let Some(state) = tables.port_state(port) else {
        return refuse(DropReason::NoRoute);
    };
    let kernel = Ok((PassReason::Kernel, Exit::GATEWAY));
    // The kernel answers that it came too far, or is too big (RFC 1812, 5.3.1; RFC 1191; RFC 8201).
    if note.hops() <= 1 || note.length() as u64 > state.mtu.load() {
        return kernel;
    }
    let mut hop = far.hop();
    if hop.is_none() {
        let (from, to) = (flow.side(sender).vlan(), Attachment::new(port, vlan));
        match tables.route(note, sender, from, to) {
            Route::Hop(found) => hop = found,
            Route::Unresolved => return kernel,
            Route::Astray => return refuse(DropReason::NoRoute),
        }
        flow.set_side(other(sender), far.to(hop));
    }
    Ok((PassReason::Established, Exit { port, vlan, hop }))
}
