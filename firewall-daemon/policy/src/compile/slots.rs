//! Slots: numbers that stay with a name across reloads, so that counters, leases and stops do too.

use firewall_common::{NodeSlot, RuleSlot, SubnetworkSlot};
use foldhash::HashMap;

/// Gives every name its slot, at least 1, the same one each time it is asked.
pub trait SlotSource {
    /// The node's; none if the table is full.
    fn node(&mut self, name: &str) -> Option<NodeSlot>;
    /// The rule's; none if the table is full.
    fn rule(&mut self, name: &str) -> Option<RuleSlot>;
    /// The subnetwork's; none if the table is full.
    fn subnetwork(&mut self, name: &str) -> Option<SubnetworkSlot>;
}

/// 1, 2, 3, in the order of asking: for policies that nothing runs under yet.
#[derive(Clone, Debug, Default)]
pub struct SequentialSlots {
    nodes: HashMap<String, u32>,
    rules: HashMap<String, u32>,
    subnetworks: HashMap<String, u32>,
}

impl SequentialSlots {
    /// Nothing has a slot yet.
    pub fn new() -> Self {
        Self::default()
    }
}

impl SlotSource for SequentialSlots {
    fn node(&mut self, name: &str) -> Option<NodeSlot> {
        next(&mut self.nodes, name).map(NodeSlot)
    }

    fn rule(&mut self, name: &str) -> Option<RuleSlot> {
        next(&mut self.rules, name).map(RuleSlot)
    }

    fn subnetwork(&mut self, name: &str) -> Option<SubnetworkSlot> {
        let slot = next(&mut self.subnetworks, name)?;
        u16::try_from(slot).ok().map(SubnetworkSlot)
    }
}

fn next(slots: &mut HashMap<String, u32>, name: &str) -> Option<u32> {
    if let Some(&slot) = slots.get(name) {
        return Some(slot);
    }
    let slot = u32::try_from(slots.len()).ok()?.checked_add(1)?;
    slots.insert(name.to_owned(), slot);
    Some(slot)
}
