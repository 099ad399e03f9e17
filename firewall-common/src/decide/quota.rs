//! What a new flow takes from the quota of the node that opens it, and what gives it back.

use super::Note;
use crate::flow::Phase;
use crate::flow::{Flow, Sender};
use crate::identity::View;
use crate::image::Party;
use crate::quota::Quota;
use crate::{DropReason, SubnetworkSlot, Tables};

/// Takes a flow from the quota of whoever has sent the note's frame, and has been granted it: nobody
/// spends another's with frames that would not pass anyway. Called through [`Tables::charge`].
#[inline(always)]
pub fn charge<T: Tables + ?Sized>(tables: &T, note: &mut Note) -> Result<(), DropReason> {
    let (timeout, now) = (tables.timeout(Phase::Asked), note.moment.now);
    let Some(quota) = quota(tables, note.source.party, note.source.subnetwork) else {
        return Err(DropReason::FlowLimit);
    };
    quota.charge(&tables.limits(), timeout, now).map_err(|_| DropReason::FlowLimit)
}

/// A flow that was half-open is answered. Its initiator is whoever has that address by now. Called
/// through [`Tables::refund`].
#[inline(always)]
pub fn refund<T: Tables + ?Sized>(tables: &T, note: &mut Note, flow: &Flow) {
    let initiator = match flow.state().initiator() {
        Sender::Low => note.key.low,
        Sender::High => note.key.high,
    };
    let Some(view) = View::new(tables, note) else {
        return;
    };
    let party = view.node(initiator).unwrap_or_default();
    if let Some(quota) = quota(tables, party, flow.subnetworks().0) {
        quota.refund();
    }
}

/// The quota of a declared node, or what the undeclared addresses of a subnetwork share. The gateway
/// itself is in none, which has a slot, too.
#[inline(always)]
fn quota<T: Tables + ?Sized>(
    tables: &T,
    party: Party,
    subnetwork: SubnetworkSlot,
) -> Option<&Quota> {
    if party.is_node() {
        tables.node(party.node()).map(|state| &state.quota)
    } else {
        tables.subnetwork(subnetwork).map(|state| &state.quota)
    }
}
