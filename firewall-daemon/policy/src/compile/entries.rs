//! Rules become entries: one for each pair of selectors and each service.

use firewall_common::image::{RuleEntry, Selector};
use firewall_common::{RuleSlot, Service};

use super::{Capacity, Classes, CompileError, Names, Services};
use crate::model::{self, Policy, SubnetworkId};

/// In the order of their keys, each key once.
pub(super) fn expand(
    policy: &Policy,
    names: &Names,
    classes: &Classes<'_>,
    services: &Services,
    capacity: &Capacity,
) -> Result<Vec<RuleEntry>, CompileError> {
    let mut table = Table::new(capacity);
    for ((order, rule), &slot) in (0_u32..).zip(policy.rules()).zip(&names.rule_slots) {
        let mut numbers: Vec<Service> =
            rule.applications.iter().flat_map(|&id| services.of_application(id)).copied().collect();
        numbers.sort_unstable();
        numbers.dedup();
        let end = |selectors: &[model::Selector]| {
            let mut end = End::default();
            for selector in selectors {
                end.add(policy, names, classes, selector);
            }
            end
        };
        let (from, to) = (end(&rule.from), end(&rule.to));
        table.rule = Tag { order, slot, essential: rule.essential };
        for &from in &from.selectors {
            for &to in &to.selectors {
                for &service in &numbers {
                    table.add(from, to, service)?;
                }
                if !policy.is_routed() {
                    table.connect(from, to)?;
                }
            }
            for &routers in &to.routers {
                table.connect(from, routers)?;
            }
        }
        for &routers in &from.routers {
            for &to in &to.selectors {
                table.connect(routers, to)?;
            }
        }
    }
    table.finish()
}

/// One end of a rule in the image's terms.
#[derive(Default)]
struct End {
    selectors: Vec<Selector>,
    /// The routers that its nodes may be behind.
    routers: Vec<Selector>,
}

impl End {
    fn add(
        &mut self,
        policy: &Policy,
        names: &Names,
        classes: &Classes<'_>,
        selector: &model::Selector,
    ) {
        let slot = |id: &SubnetworkId| names.subnetwork_slot(*id);
        let class = |&class: &u16| Selector::class(class);
        match selector {
            model::Selector::Node(id) => self.selectors.push(Selector::node(names.node_slot(*id))),
            model::Selector::Role(id, role) => {
                self.selectors.extend(classes.role(*id, role).iter().map(class));
            }
            model::Selector::Declared(id) => {
                self.selectors.extend(classes.declared(*id).iter().map(class));
            }
            model::Selector::Any(id) => self.selectors.push(Selector::any(slot(id))),
            model::Selector::Gateway => self.selectors.push(Selector::GATEWAY),
        }
        // Neighbours of a router speak with it, not with each other.
        let Some(id) = policy.subnetwork_of(selector).filter(|_| !policy.is_routed()) else {
            return;
        };
        let routers = Selector::routers(slot(&id));
        if !policy.subnetwork(id).routers.is_empty() && !self.routers.contains(&routers) {
            self.routers.push(routers);
        }
    }
}

#[derive(Clone, Copy)]
struct Tag {
    order: u32,
    slot: RuleSlot,
    essential: bool,
}

/// Entries packed so that sorting puts the one that counts first: key, service, essential before
/// not, earlier rule before later.
struct Table {
    packed: Vec<u128>,
    /// By order.
    slots: Vec<RuleSlot>,
    rule: Tag,
    limit: usize,
    /// When duplicates are thrown out next.
    threshold: usize,
}

impl Table {
    fn new(capacity: &Capacity) -> Self {
        let limit = capacity.rule_entries() as usize;
        let rule = Tag { order: 0, slot: RuleSlot(0), essential: false };
        Self { packed: Vec::new(), slots: Vec::new(), rule, limit, threshold: 2 * limit + 4096 }
    }

    /// Both may resolve each other's address.
    fn connect(&mut self, one: Selector, other: Selector) -> Result<(), CompileError> {
        self.add(one, other, Service::CONNECTED)?;
        self.add(other, one, Service::CONNECTED)
    }

    fn add(&mut self, from: Selector, to: Selector, service: Service) -> Result<(), CompileError> {
        let Tag { order, slot, essential } = self.rule;
        if self.slots.len() <= order as usize {
            self.slots.resize(order as usize + 1, slot);
        }
        self.packed.push(
            u128::from(from.0) << 96
                | u128::from(to.0) << 64
                | u128::from(service.0) << 48
                | u128::from(!essential) << 32
                | u128::from(order),
        );
        if self.packed.len() >= self.threshold {
            self.compact()?;
        }
        Ok(())
    }

    fn compact(&mut self) -> Result<(), CompileError> {
        self.packed.sort_unstable();
        self.packed.dedup_by_key(|packed| *packed >> 48);
        if self.packed.len() > self.limit {
            return Err(CompileError::RuleEntries {
                needed: self.packed.len(),
                capacity: self.limit,
            });
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<RuleEntry>, CompileError> {
        self.compact()?;
        let Self { packed, slots, .. } = self;
        let entries = packed.into_iter().map(|packed| RuleEntry {
            from: Selector(word(packed >> 96)),
            to: Selector(word(packed >> 64)),
            service: Service(half(packed >> 48)),
            rule: slots[word(packed) as usize],
            essential: half(packed >> 32) == 0,
        });
        Ok(entries.collect())
    }
}

#[expect(clippy::cast_possible_truncation, reason = "takes the low 32 bits")]
const fn word(packed: u128) -> u32 {
    packed as u32
}

#[expect(clippy::cast_possible_truncation, reason = "takes the low 16 bits")]
const fn half(packed: u128) -> u16 {
    packed as u16
}
