//! Who may open what to whom.

use super::Line;
use super::hash::{low, pack, rule_hash};
use crate::{NodeSlot, RuleSlot, Service, SubnetworkSlot};

/// What one end of a rule names: 2 bits of kind, 30 of number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Selector(pub u32);

impl Selector {
    /// One node.
    #[inline(always)]
    pub const fn node(node: NodeSlot) -> Self {
        Self(node.0 & NUMBER)
    }

    /// The nodes of one class.
    #[inline(always)]
    pub const fn class(class: u16) -> Self {
        Self(1 << 30 | class as u32)
    }

    /// Every address in the networks of a subnetwork, declared or not.
    #[inline(always)]
    pub const fn any(subnetwork: SubnetworkSlot) -> Self {
        Self(2 << 30 | subnetwork.0 as u32)
    }

    /// The routers of a subnetwork; only entries for [`Service::CONNECTED`] name them.
    #[inline(always)]
    pub const fn routers(subnetwork: SubnetworkSlot) -> Self {
        Self(3 << 30 | subnetwork.0 as u32)
    }

    /// The gateway itself: slot 0 is no node's.
    pub const GATEWAY: Self = Self(0);

    /// Names nothing: no entry has it.
    pub const NOBODY: Self = Self(u32::MAX);

    /// The kind: 0 node, 1 class, 2 any, 3 routers.
    #[inline(always)]
    pub const fn kind(self) -> u32 {
        self.0 >> 30
    }
}

const NUMBER: u32 = (1 << 30) - 1;

/// Which kinds of selector the two ends of a rule entry have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The initiator's selector kind.
    pub from: u32,
    /// The responder's selector kind.
    pub to: u32,
}

impl Shape {
    /// The bit in [`super::Header::shapes`].
    #[inline(always)]
    pub const fn index(self) -> u32 {
        self.from << 2 | self.to
    }
}

/// One entry of the rule table: 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleEntry {
    /// Who may open.
    pub from: Selector,
    /// To whom.
    pub to: Selector,
    /// Which class of ports, or [`Service::CONNECTED`].
    pub service: Service,
    /// The rule that says so.
    pub rule: RuleSlot,
    /// It survives an ordinary stop.
    pub essential: bool,
}

const RULE_USED: u64 = 1 << 48;
const RULE_ESSENTIAL: u64 = 1 << 49;

/// What the rule table answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// The rule that says so.
    pub rule: RuleSlot,
    /// It survives an ordinary stop.
    pub essential: bool,
}

impl RuleEntry {
    /// As it lies in a quarter of a line.
    pub const fn encode(self) -> [u64; 2] {
        [
            rule_key(self.from, self.to),
            self.rule.0 as u64
                | (self.service.0 as u64) << 32
                | RULE_USED
                | if self.essential { RULE_ESSENTIAL } else { 0 },
        ]
    }

    /// The hash that places this entry in the image with that seed.
    pub const fn hash(self, seed: u64) -> u64 {
        rule_hash(self.from, self.to, self.service, seed)
    }

    /// The entry for that question, if this bucket holds it.
    #[inline(always)]
    pub const fn find(
        line: &Line,
        from: Selector,
        to: Selector,
        service: Service,
    ) -> Option<Allowed> {
        let key = rule_key(from, to);
        let wanted = (service.0 as u64) << 32 | RULE_USED;
        let Line([a, av, b, bv, c, cv, d, dv]) = *line;
        let value = if a ^ key | av & RULE_MATCH ^ wanted == 0 {
            av
        } else if b ^ key | bv & RULE_MATCH ^ wanted == 0 {
            bv
        } else if c ^ key | cv & RULE_MATCH ^ wanted == 0 {
            cv
        } else if d ^ key | dv & RULE_MATCH ^ wanted == 0 {
            dv
        } else {
            return None;
        };
        Some(Allowed { rule: RuleSlot(low(value)), essential: value & RULE_ESSENTIAL != 0 })
    }
}

const RULE_MATCH: u64 = 0xffff << 32 | RULE_USED;

#[inline(always)]
pub(super) const fn rule_key(from: Selector, to: Selector) -> u64 {
    pack(from.0, to.0)
}
