//! The table of flows, in two maps.

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;
use firewall_common::Note;
use firewall_common::flow::table::{self, Bucket, FlowTable, Found, Look, Seed, Slot};
use firewall_common::flow::{Flow, FlowKey};
use firewall_common::tables::Full;

use crate::{constants, maps};

#[map]
static FLOWS: Array<Slot> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
static FLOW_BUCKETS: Array<Bucket> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// The flows.
struct Flows;

impl FlowTable for Flows {
    #[inline(always)]
    fn count(&self) -> u32 {
        constants::buckets()
    }

    #[inline(always)]
    fn bucket(&self, index: u32) -> Option<&Bucket> {
        FLOW_BUCKETS.get(index)
    }

    #[inline(always)]
    fn slot(&self, index: u32) -> Option<&Slot> {
        FLOWS.get(index)
    }

    #[inline(always)]
    fn seed(&self) -> Option<&Seed> {
        maps::seed()
    }
}

/// Where the flow of the note's key is; a slot that does not exist if it is nowhere.
#[inline(always)]
pub(crate) fn find(note: &Note) -> u64 {
    match table::find(&Flows, &note.key) {
        Some(Found { slot, established: true }) => slot as u64 | ESTABLISHED,
        Some(Found { slot, established: false }) => slot as u64,
        None => u32::MAX as u64,
    }
}

/// Beside the slot that [`find`] tells.
const ESTABLISHED: u64 = 1 << 32;

/// Enters the note's flow, half-open.
#[inline(always)]
pub(crate) fn open(note: &Note) -> Result<(), Full> {
    table::open(&Flows, &note.key, &note.flow)
}

/// The established flow of that key, for who is in a hurry.
#[inline(always)]
pub(crate) fn look(key: &FlowKey) -> Look<'static> {
    table::look(&Flows, key)
}

/// The flow that [`find`] has told of. Its slot is kept in the note.
#[inline(always)]
pub(crate) fn found(answer: u64, note: &Note) -> Option<(&'static Flow, bool)> {
    note.slot.store(answer & 0xffff_ffff);
    let flow = FLOWS.get((answer & 0xffff_ffff) as u32)?.flow();
    Some((flow, answer & ESTABLISHED != 0))
}

/// Makes the flow that was found an established one.
#[inline(always)]
pub(crate) fn establish(note: &Note) -> Result<(), Full> {
    table::establish(&Flows, &note.key, (note.slot.load() & 0xffff_ffff) as u32)
}

/// Forgets the flow that was found.
#[inline(always)]
pub(crate) fn remove(note: &Note) {
    table::remove(&Flows, &note.key, (note.slot.load() & 0xffff_ffff) as u32);
}
