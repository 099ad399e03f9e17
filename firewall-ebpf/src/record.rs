//! What is remembered of a frame: counters always, an event if there is room for it.

use firewall_common::abi::{self, EventState};
use firewall_common::decide::Passage;
use firewall_common::event::Event;
use firewall_common::flow::{Sender, Signature};
use firewall_common::frame::wire;
use firewall_common::{Frame, Note, PassReason, Ticks, Verdict, Vlan};

use crate::{constants, maps};

/// Counts a frame that came in, or that the gateway's kernel wants to send.
#[inline(always)]
pub(crate) fn received(length: u32) {
    maps::count(abi::counter(constants::port().0, None), length);
}

/// Counts a frame that was decided.
#[inline(always)]
pub(crate) fn verdict(verdict: Verdict, length: u32) {
    maps::count(abi::counter(constants::port().0, Some(verdict)), length);
}

/// Counts a frame that passed, by its rule and its pair of subnetworks.
#[inline(always)]
pub(crate) fn passed(passage: &Passage, length: u32) {
    maps::count_rule(passage.rule.0, length);
    maps::count_pair(abi::pair_counter(passage.from.0, passage.to.0), length);
}

/// Tells of a drop or of a new flow. A flood costs a bucket's worth of events a tick; the rest is
/// counted. What is told never changes a verdict.
#[inline(always)]
pub(crate) fn event<F: Frame>(verdict: Verdict, note: &Note, packet: &F, now: Ticks, length: u32) {
    match verdict {
        Verdict::Pass(PassReason::Opened) | Verdict::Drop(_) => {}
        Verdict::Pass(
            PassReason::Established
            | PassReason::Related
            | PassReason::Arp
            | PassReason::NeighbourDiscovery
            | PassReason::Kernel
            | PassReason::Eapol,
        ) => return,
    }
    let Some(state) = maps::event_state() else {
        return;
    };
    if !admit(state, now) {
        state.suppressed += 1;
        return;
    }
    let Some(mut entry) = maps::events().reserve::<Event>(0) else {
        state.overflowed += 1;
        return;
    };
    entry.write(describe(verdict, note, packet, now, length));
    entry.submit(0);
    state.emitted += 1;
}

#[inline(always)]
fn admit(state: &mut EventState, now: Ticks) -> bool {
    if state.refilled != now.0 {
        state.refilled = now.0;
        state.tokens = constants::events_per_tick() as u64;
    }
    if state.tokens == 0 {
        return false;
    }
    state.tokens -= 1;
    true
}

#[inline(always)]
fn describe<F: Frame>(verdict: Verdict, note: &Note, packet: &F, now: Ticks, length: u32) -> Event {
    let (source_node, destination_node) = note.nodes();
    let (source_subnetwork, destination_subnetwork) = note.subnetworks();
    let mut event = Event {
        ticks: now.0,
        // A frame of the gateway's own kernel belongs to the port that it was to leave by.
        signature: note.signature.at(constants::port()).words(),
        length,
        source_node,
        destination_node,
        ethertype: note.ethertype(),
        source_subnetwork,
        destination_subnetwork,
        verdict: (verdict.index() & 0xff) as u8,
        ..Event::default()
    };
    if note.ethertype() == 0 {
        // Refused before the link layer was read whole: its MACs are still worth knowing.
        event.signature = match packet.load::<wire::Ethernet>(0) {
            Some(header) => {
                let wire::Ethernet { first, second, .. } = header;
                Signature::from_header(first, second, Vlan::UNTAGGED, constants::port()).words()
            }
            None => [0; 2],
        };
    }
    if note.is_named() {
        let key = &note.key;
        event.protocol = key.protocol;
        (event.source, event.source_port, event.destination, event.destination_port) =
            match note.sender {
                Sender::Low => (key.low, key.low_port, key.high, key.high_port),
                Sender::High => (key.high, key.high_port, key.low, key.low_port),
            };
    }
    if let Verdict::Pass(_) = verdict {
        event.rule = note.flow.rule().0;
    }
    event
}
