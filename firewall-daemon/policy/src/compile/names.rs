//! Who has which slot: how counters and events get their names back.

use std::sync::Arc;

use firewall_common::image::SUBNETWORKS;
use firewall_common::{NodeSlot, RuleSlot, SubnetworkSlot};

use super::{CompileError, SlotSource};
use crate::model::{NodeId, Policy, RuleId, SubnetworkId};

/// Names by slot, for the life of an image.
#[derive(Clone, Debug, Default)]
pub struct Names {
    pub(super) subnetwork_slots: Vec<SubnetworkSlot>,
    pub(super) node_slots: Vec<NodeSlot>,
    pub(super) rule_slots: Vec<RuleSlot>,
    nodes: Vec<NamedNode>,
    rules: Vec<NamedRule>,
    subnetworks: Vec<NamedSubnetwork>,
}

/// A node and its slot.
#[derive(Clone, Debug)]
pub struct NamedNode {
    /// Its slot.
    pub slot: NodeSlot,
    /// Its name.
    pub name: Arc<str>,
    /// The slot of its subnetwork.
    pub subnetwork: SubnetworkSlot,
    /// The node in the policy that was compiled.
    pub id: NodeId,
}

/// A rule and its slot.
#[derive(Clone, Debug)]
pub struct NamedRule {
    /// Its slot.
    pub slot: RuleSlot,
    /// Its name.
    pub name: Arc<str>,
    /// The rule in the policy that was compiled.
    pub id: RuleId,
}

/// A subnetwork and its slot.
#[derive(Clone, Debug)]
pub struct NamedSubnetwork {
    /// Its slot.
    pub slot: SubnetworkSlot,
    /// Its name.
    pub name: Arc<str>,
    /// The subnetwork in the policy that was compiled.
    pub id: SubnetworkId,
}

/// Two bits of a selector say what it is.
const LAST_NODE: u32 = (1 << 30) - 1;

impl Names {
    pub(super) fn assign<S: SlotSource + ?Sized>(
        policy: &Policy,
        slots: &mut S,
    ) -> Result<Self, CompileError> {
        let full = |what: &'static str| {
            move |name: &Arc<str>| CompileError::Slots { what, name: name.to_string() }
        };
        let mut names = Self::default();
        for (index, subnetwork) in (0_u32..).zip(policy.subnetworks()) {
            let slot = slots.subnetwork(&subnetwork.name);
            let slot = slot
                .filter(|slot| (1..SUBNETWORKS).contains(&u32::from(slot.0)))
                .ok_or_else(|| full("subnetwork")(&subnetwork.name))?;
            names.subnetwork_slots.push(slot);
            let (name, id) = (subnetwork.name.clone(), SubnetworkId(index));
            names.subnetworks.push(NamedSubnetwork { slot, name, id });
        }
        for (index, node) in (0_u32..).zip(policy.nodes()) {
            let slot = slots
                .node(&node.name)
                .filter(|slot| (1..=LAST_NODE).contains(&slot.0))
                .ok_or_else(|| full("node")(&node.name))?;
            names.node_slots.push(slot);
            let subnetwork = names.subnetwork_slot(node.subnetwork);
            let (name, id) = (node.name.clone(), NodeId(index));
            names.nodes.push(NamedNode { slot, name, subnetwork, id });
        }
        for (index, rule) in (0_u32..).zip(policy.rules()) {
            let slot = slots
                .rule(&rule.name)
                .filter(|slot| slot.0 >= 1)
                .ok_or_else(|| full("rule")(&rule.name))?;
            names.rule_slots.push(slot);
            let (name, id) = (rule.name.clone(), RuleId(index));
            names.rules.push(NamedRule { slot, name, id });
        }
        names.nodes.sort_unstable_by_key(|node| node.slot);
        names.rules.sort_unstable_by_key(|rule| rule.slot);
        names.subnetworks.sort_unstable_by_key(|subnetwork| subnetwork.slot);
        Ok(names)
    }

    /// The node with that slot.
    pub fn node(&self, slot: NodeSlot) -> Option<&NamedNode> {
        let index = self.nodes.binary_search_by_key(&slot, |node| node.slot).ok()?;
        self.nodes.get(index)
    }

    /// The rule with that slot.
    pub fn rule(&self, slot: RuleSlot) -> Option<&NamedRule> {
        let index = self.rules.binary_search_by_key(&slot, |rule| rule.slot).ok()?;
        self.rules.get(index)
    }

    /// The subnetwork with that slot.
    pub fn subnetwork(&self, slot: SubnetworkSlot) -> Option<&NamedSubnetwork> {
        let index = self.subnetworks.binary_search_by_key(&slot, |one| one.slot).ok()?;
        self.subnetworks.get(index)
    }

    /// All nodes, by slot.
    pub fn nodes(&self) -> &[NamedNode] {
        &self.nodes
    }

    /// All rules, by slot.
    pub fn rules(&self) -> &[NamedRule] {
        &self.rules
    }

    /// All subnetworks, by slot.
    pub fn subnetworks(&self) -> &[NamedSubnetwork] {
        &self.subnetworks
    }

    /// The slot of a node of the policy that was compiled.
    pub fn node_slot(&self, id: NodeId) -> NodeSlot {
        self.node_slots[id.index()]
    }

    /// The slot of a rule of the policy that was compiled.
    pub fn rule_slot(&self, id: RuleId) -> RuleSlot {
        self.rule_slots[id.index()]
    }

    /// The slot of a subnetwork of the policy that was compiled.
    pub fn subnetwork_slot(&self, id: SubnetworkId) -> SubnetworkSlot {
        self.subnetwork_slots[id.index()]
    }
}
