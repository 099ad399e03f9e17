//! Slots: numbers that stay with a name across reloads, so that counters, leases and stops do too.

use firewall_common::{NodeSlot, RuleSlot, SubnetworkSlot};
use foldhash::HashMap;

use super::Names;
use crate::model::Policy;

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

/// Slots as they were under a policy before: most of its names come again, and in the same order. A name
/// that does not stand where it is expected is looked for in the source.
pub struct Kept<'a, S: ?Sized> {
    source: &'a mut S,
    before: Option<(&'a Policy, &'a Names)>,
    /// Where the next node and the next rule of the policy before are expected.
    next: [usize; 2],
}

impl<'a, S: SlotSource + ?Sized> Kept<'a, S> {
    /// Whatever has a slot under a policy before has the same one in `source`.
    pub fn new(source: &'a mut S, before: Option<(&'a Policy, &'a Names)>) -> Self {
        Self { source, before, next: [0; 2] }
    }
}

impl<S: SlotSource + ?Sized> SlotSource for Kept<'_, S> {
    fn node(&mut self, name: &str) -> Option<NodeSlot> {
        let Self { source, before, next: [next, _] } = self;
        let Some((policy, names)) = before else { return source.node(name) };
        let named =
            |place: usize| policy.nodes().get(place).is_some_and(|node| *node.name == *name);
        if named(*next) {
            let slot = names.node_slots.get(*next).copied();
            *next += 1;
            return slot;
        }
        let slot = source.node(name)?;
        // What follows there is likely to follow here.
        if let Some(known) = names.node(slot) {
            *next = known.id.index() + 1;
        }
        Some(slot)
    }

    fn rule(&mut self, name: &str) -> Option<RuleSlot> {
        let Self { source, before, next: [_, next] } = self;
        let Some((policy, names)) = before else { return source.rule(name) };
        let named =
            |place: usize| policy.rules().get(place).is_some_and(|rule| *rule.name == *name);
        if named(*next) {
            let slot = names.rule_slots.get(*next).copied();
            *next += 1;
            return slot;
        }
        let slot = source.rule(name)?;
        if let Some(known) = names.rule(slot) {
            *next = known.id.index() + 1;
        }
        Some(slot)
    }

    fn subnetwork(&mut self, name: &str) -> Option<SubnetworkSlot> {
        self.source.subnetwork(name)
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
