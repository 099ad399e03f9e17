//! Leases in the kernel: one store each, and a new generation where one ends sooner than flows have
//! been told.

use std::time::Duration;

use firewall_common::{NodeSlot, Ticks};

use super::clock::Clock;
use super::maps::Maps;
use super::{read, stop};

/// Ended: before any tick that a kernel has, and not 0, which is of nodes that never had a lease.
const ENDED: Ticks = Ticks(1);

/// Changes to leases; what ends a flow comes into force for all of them at once, when it is dropped.
pub struct Granter<'m> {
    maps: &'m Maps,
    clock: Clock,
    is_sooner: bool,
}

impl<'m> Granter<'m> {
    /// Nothing is changed yet.
    pub fn new(maps: &'m Maps, clock: Clock) -> Self {
        Self { maps, clock, is_sooner: false }
    }

    /// Lets a node speak until then, in time since boot.
    pub fn hold(&mut self, slot: NodeSlot, until: Duration) {
        self.store(slot, self.clock.ticks(until));
    }

    /// Lets a node speak no longer.
    pub fn end(&mut self, slot: NodeSlot) {
        self.store(slot, ENDED);
    }

    fn store(&mut self, slot: NodeSlot, end: Ticks) {
        let Some(state) = read::node(self.maps, slot) else { return };
        self.is_sooner |= end < state.lease_end();
        state.set_lease_end(end);
    }
}

impl Drop for Granter<'_> {
    fn drop(&mut self) {
        if self.is_sooner {
            stop::bump(self.maps);
        }
    }
}

/// When a node's lease ends, in time since boot; none if these maps never had one of it.
pub fn end(maps: &Maps, clock: Clock, slot: NodeSlot) -> Option<Duration> {
    let end = read::node(maps, slot)?.lease_end();
    (end.0 != 0).then(|| clock.time(end))
}
