//! Forgets the established flows that have been silent for too long, a slice of the table at a time.
//!
//! The program lets no such flow speak any more: its next segment opens a new one or is none of any
//! (`tcp_state`). So nothing depends on when it is forgotten but the room that it takes.

use std::io;
use std::iter::repeat_with;
use std::os::fd::AsFd;

use firewall_common::Ticks;
use firewall_common::flow::{Flow, FlowKey};
use nix::libc;

use super::maps::Maps;
use super::sys::{self, Cursor};

/// How many flows are looked at in one go.
const SLICE: usize = 512;

/// A walk over the table of established flows that never ends.
pub struct Sweep {
    /// For how long a flow must have been over, in ticks. A program that took it for alive when it
    /// was not over yet, and has not renewed it, came to its end long since.
    grace: u32,
    cursor: Cursor,
    keys: Vec<FlowKey>,
    flows: Vec<Flow>,
}

/// What came of a slice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// Flows that were looked at.
    pub looked: usize,
    /// Flows that are forgotten.
    pub forgotten: usize,
    /// The walk has come to the table's end, and begins again.
    pub is_last: bool,
}

impl Sweep {
    /// A walk from the table's beginning on.
    pub fn new(grace: u32) -> Self {
        let mut sweep = Self { grace, cursor: Cursor::default(), keys: vec![], flows: vec![] };
        sweep.grow(SLICE);
        sweep
    }

    fn grow(&mut self, room: usize) {
        self.keys.resize(room, FlowKey::default());
        self.flows = repeat_with(Flow::default).take(room).collect();
    }

    /// Goes on from where the last slice ended. A table that changes meanwhile may show a flow twice
    /// or, until the next walk, not.
    pub fn slice(&mut self, maps: &Maps, now: Ticks) -> io::Result<Slice> {
        let (looked, next) = loop {
            let map = maps.flows.as_fd();
            // SAFETY: keys and values are those of the flow table, as many of each.
            let read =
                unsafe { sys::map_lookup_batch(map, self.cursor, &mut self.keys, &mut self.flows) };
            match read {
                // One bucket holds more than a slice.
                Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => {
                    self.grow(2 * self.keys.len());
                }
                read => break read?,
            }
        };
        self.cursor = next.unwrap_or_default();
        let then = Ticks(now.0.saturating_sub(self.grace.into()));
        let mut forgotten = 0;
        for (key, flow) in self.keys.iter().zip(&self.flows).take(looked) {
            if flow.is_expired(then) && forget(maps, key, then)? {
                forgotten += 1;
            }
        }
        Ok(Slice { looked, forgotten, is_last: next.is_none() })
    }
}

/// Forgets a flow that is over. Whatever the slice has shown, another connection may have taken the
/// place since.
fn forget(maps: &Maps, key: &FlowKey, then: Ticks) -> io::Result<bool> {
    let map = maps.flows.as_fd();
    let mut flow = [Flow::default()];
    // SAFETY: key and value are those of the flow table.
    let found = unsafe { sys::map_lookup(map, key, &mut flow) };
    if found.is_err() || !flow[0].is_expired(then) {
        return Ok(false);
    }
    // SAFETY: as above.
    let taken = unsafe { sys::map_take(map, key, &mut flow) }?;
    if !taken || flow[0].is_expired(then) {
        return Ok(taken);
    }
    // It was answered between the two calls. Put back, it goes on; what has come within these
    // microseconds was dropped as `tcp_state`, and TCP sends it again.
    // SAFETY: as above.
    unsafe { sys::map_insert(map, key, &flow[0]) }?;
    Ok(false)
}
