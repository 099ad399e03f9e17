//! Forgets the flows that have been silent for too long, a slice of the table at a time.
//!
//! The program lets no such flow speak any more: its next segment opens a new one or is none of any
//! (`tcp_state`). So nothing depends on when it is forgotten but the room that it takes.

use firewall_common::Ticks;
use firewall_common::flow::table::{self, FlowTable as _, Left};

use super::maps::Maps;

/// How many buckets are looked at in one go, of six flows at most.
const SLICE: u32 = 80;

/// A walk over the table of flows that never ends.
pub struct Sweep {
    /// For how long a flow must have been over, in ticks. A program that took it for alive when it
    /// was not over yet, and has not renewed it, came to its end long since.
    grace: u32,
    /// The bucket that comes next.
    next: u32,
}

/// What came of a slice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// Flows that were looked at.
    pub looked: u32,
    /// Flows that are forgotten.
    pub forgotten: u32,
    /// The walk has come to the table's end, and begins again.
    pub is_last: bool,
}

impl Sweep {
    /// A walk from the table's beginning on.
    pub const fn new(grace: u32) -> Self {
        Self { grace, next: 0 }
    }

    /// Goes on from where the last slice ended.
    pub fn slice(&mut self, maps: &Maps, now: Ticks) -> Slice {
        let then = Ticks(now.0.saturating_sub(self.grace.into()));
        let end = self.next.saturating_add(SLICE).min(maps.count());
        let mut slice = Slice { is_last: end == maps.count(), ..Slice::default() };
        for bucket in self.next..end {
            let Left { kept, forgotten } = table::sweep(maps, bucket, |flow| flow.is_expired(then));
            slice.looked += kept + forgotten;
            slice.forgotten += forgotten;
        }
        self.next = if slice.is_last { 0 } else { end };
        slice
    }
}
