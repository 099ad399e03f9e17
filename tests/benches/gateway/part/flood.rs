//! Idle but established flows in a flood of new ones, four times as many as there is room for.

use std::os::fd::{AsFd as _, OwnedFd};

use firewall_daemon::dataplane::sys;
use serde_json::json;

use crate::Effort;
use crate::frames::{self, Family, Side};
use crate::gateway::{Cordon, Gateway as _, Room};
use crate::kernel::{self, MapKind};
use crate::part::ledger::Ledger;
use crate::program::Program;
use crate::report::{Report, Row, Target};
use crate::traffic::{self, Order, Sink, Steps, Timing};

/// Room for so many flows.
const ROOM: u32 = 4096;
/// Flows that must live.
const FLOWS: u16 = 1024;
const FLOOD: u32 = 4 * ROOM;
/// Flows that are opened before they are answered: fewer than the half-open table holds.
const BATCH: u32 = 128;

/// Where source and destination port lie.
const PORTS_AT: [i16; 2] = [34, 36];

pub(crate) fn measure(_effort: Effort, report: &mut Report) {
    let peer = format!("LRU hash of {ROOM}: {} lost", lost_by_lru());
    for (what, answered) in [("unanswered", false), ("answered", true)] {
        let cordon = Cordon::small(Room { nodes: 1024, rules: 1024, flows: ROOM });
        let _sink = Sink::new(cordon.lab().far().link(), Timing::None);
        cordon.establish(Family::V4, FLOWS);
        let before = Ledger::read(&cordon);
        traffic::on_cpu(0, || flood(&cordon, answered));
        let flooded = Ledger::read(&cordon);
        traffic::on_cpu(0, || touch(&cordon));
        let after = Ledger::read(&cordon);
        let alive = after.of("established") - flooded.of("established");
        let lost = u64::from(FLOWS) - alive;
        let refused = flooded.of("flow_table_full") - before.of("flow_table_full");
        report.row(Row {
            what: format!(
                "flood: of {FLOWS} idle flows lost to {FLOOD} {what} ones, room for {ROOM}"
            ),
            ours: format!("{lost} (and {refused} new ones refused)"),
            peer: peer.clone(),
            target: Target::exactly("0", lost == 0),
            ..Row::default()
        });
        report.samples(format!("flood: {what}"), json!({ "lost": lost, "refused": refused }));
    }
}

/// New flows to another service, each one answered if that is wanted.
fn flood(cordon: &Cordon, answered: bool) {
    let ends = cordon.ends(Family::V4);
    let service = (frames::SERVICE + 1).to_be_bytes();
    let mut request = frames::request(ends, Family::V4, 1).bytes;
    request[36..38].copy_from_slice(&service);
    let mut reply = frames::established(ends, Family::V4, Side::Far).bytes;
    reply[34..36].copy_from_slice(&service);
    let [source, destination] = PORTS_AT;
    let (requests, replies) = (
        stepping(cordon, Side::Near, source, FLOOD),
        stepping(cordon, Side::Far, destination, FLOOD),
    );
    for _ in 0..FLOOD / BATCH {
        requests.run(&request, BATCH);
        if answered {
            replies.run(&reply, BATCH);
        }
    }
}

/// One frame of every flow that was there before.
fn touch(cordon: &Cordon) {
    let request = frames::request(cordon.ends(Family::V4), Family::V4, 1).bytes;
    stepping(cordon, Side::Near, PORTS_AT[0], FLOWS.into()).run(&request, FLOWS.into());
}

fn stepping(cordon: &Cordon, side: Side, port_at: i16, flows: u32) -> Program {
    let steps = Steps { flows, order: Order::Counted, port_at, address: None };
    cordon.program(side).stepping(steps)
}

/// The same with a table that evicts: flows, flood, and what is left of the flows.
fn lost_by_lru() -> usize {
    let table = kernel::map(MapKind::LruHash, 4, ROOM);
    let flows = 0..u32::from(FLOWS);
    for key in flows.clone().chain(FLOWS.into()..u32::from(FLOWS) + FLOOD) {
        kernel::set_element(&table, key, [key]);
    }
    flows.filter(|key| !is_in(&table, *key)).count()
}

fn is_in(table: &OwnedFd, key: u32) -> bool {
    // SAFETY: keys and values have four bytes.
    unsafe { sys::map_lookup(table.as_fd(), &key, &mut [0_u32]) }.is_ok()
}
