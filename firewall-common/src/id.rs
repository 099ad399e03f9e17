//! Newtypes for the numbers that must not be mistaken for one another.

/// The index of a gateway port (a network interface), in the order of the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Port(pub u16);

impl Port {
    /// Behind it lives the gateway's own kernel.
    pub const GATEWAY: Self = Self(0xfffe);
    /// Where a router looks for networks: behind whichever port.
    pub const ANYWHERE: Self = Self(0xfffd);
}

/// An 802.1Q VLAN identifier, 1..=4094; 0 means untagged (IEEE 802.1Q-2018, 9.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Vlan(pub u16);

impl Vlan {
    /// No tag on the wire.
    pub const UNTAGGED: Self = Self(0);
}

/// A node's index in the node state table; kept by name across reloads. 0 is nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct NodeSlot(pub u32);

/// A rule's index in the rule counters; kept by name across reloads. 0 is no rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct RuleSlot(pub u32);

/// A subnetwork's index in the state table and the image; kept by name across reloads. 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct SubnetworkSlot(pub u16);

/// An equivalence class of (protocol, destination port): two ports that every application treats
/// alike share one. [`Service::NONE`] is named by no application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Service(pub u16);

impl Service {
    /// No application names this port.
    pub const NONE: Self = Self(0);
    /// Not a service: marks the rule entries that say "some rule connects these two".
    pub const CONNECTED: Self = Self(u16::MAX);
}

/// What a flow was allowed under; any change of policy, stop or authentication makes a new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Generation(pub u32);

/// The kernel's jiffies since boot (`bpf_jiffies64`): coarse, monotonic, not moved by wall-clock
/// changes. One tick is 1/HZ seconds (1 to 10 ms).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Ticks(pub u64);

impl Ticks {
    /// The low 32 bits: what a flow entry keeps. Wraps after 49 days at 1000 Hz.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the wrap is the point")]
    pub const fn low(self) -> u32 {
        self.0 as u32
    }
}

/// Whether the wrapping instant `end` lies behind `now`, both in the low 32 bits of ticks.
#[inline(always)]
pub const fn is_past(end: u32, now: u32) -> bool {
    end.wrapping_sub(now) as i32 <= 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_past_across_the_wrap() {
        assert!(is_past(u32::MAX, 3));
        assert!(!is_past(3, u32::MAX));
        assert!(is_past(7, 7));
    }
}
