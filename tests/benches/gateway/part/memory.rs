//! What a flow, a node and a rule weigh: how much more the kernel charges for all maps when there is
//! room for twice as many.

use std::fs;

use serde_json::json;

use crate::Effort;
use crate::gateway::{Cordon, Room};
use crate::kernel;
use crate::report::{Report, Row, Target};

const ROOM: Room = Room { nodes: 1 << 16, rules: 1 << 16, flows: 1 << 18 };

/// Bytes of every map, by its name.
type Weights = Vec<(String, u64)>;

pub(crate) fn measure(_effort: Effort, report: &mut Report) {
    let base = weigh(ROOM);
    let flows = weigh(Room { flows: 2 * ROOM.flows, ..ROOM });
    let nodes = weigh(Room { nodes: 2 * ROOM.nodes, ..ROOM });
    let rules = weigh(Room { rules: 2 * ROOM.rules, ..ROOM });
    row(
        report,
        "an established flow",
        growth(&flows, &base, ROOM.flows),
        conntrack()
            .map_or_else(String::new, |bytes| format!("nf_conntrack: {bytes} B and extensions")),
        Some(176.0),
    );
    row(
        report,
        "a node, both halves of the image",
        growth(&nodes, &base, ROOM.nodes),
        String::new(),
        Some(96.0),
    );
    row(
        report,
        "a rule, both halves of the image",
        growth(&rules, &base, ROOM.rules),
        String::new(),
        None,
    );
    report.note(
        "memory: how much more the kernel charges for all maps (memlock in fdinfo) with room for twice \
         as many, divided by how many more",
    );
}

fn weigh(room: Room) -> Weights {
    let maps = Cordon::small(room).all_maps();
    maps.into_iter().map(|(name, map)| (name, kernel::memory(&map))).collect()
}

/// Bytes for each of `more`.
fn growth(large: &Weights, small: &Weights, more: u32) -> f64 {
    let bytes = |weights: &Weights| weights.iter().map(|(_, bytes)| bytes).sum::<u64>();
    #[expect(clippy::cast_precision_loss, reason = "some megabytes")]
    let grown = (bytes(large) - bytes(small)) as f64;
    grown / f64::from(more)
}

fn row(report: &mut Report, what: &str, bytes: f64, peer: String, target: Option<f64>) {
    report.row(Row {
        what: format!("memory: {what}"),
        ours: format!("{bytes:.1} B"),
        peer,
        target: target.and_then(|target| Target::at_most(target, "B", bytes)),
        ..Row::default()
    });
    report.samples(format!("memory: {what}"), json!({ "bytes": bytes }));
}

/// Bytes of conntrack's slab objects.
fn conntrack() -> Option<u64> {
    let text = fs::read_to_string("/proc/slabinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("nf_conntrack "))?;
    // name, active objects, all objects, bytes of one
    line.split_whitespace().nth(3)?.parse().ok()
}
