//! What only userspace does with the table: it walks over it, and forgets what is over.

use super::{ESTABLISHED, FlowTable, Slot, TAG, WAYS, at, slot};
use crate::flow::{Flow, FlowKey};
use crate::word::Word64;

/// Every flow in the table, and whether it is established.
pub fn flows<T: FlowTable + ?Sized>(table: &T) -> impl Iterator<Item = (FlowKey, &Flow, bool)> {
    (0..table.count()).flat_map(move |bucket| {
        let control = table.bucket(bucket).map_or(0, Word64::load);
        (0..WAYS).filter_map(move |number| {
            let tag = tag(control, number)?;
            let slot = slot(table, bucket, number)?;
            Some((slot.key(), &slot.flow, tag & ESTABLISHED != 0))
        })
    })
}

/// What a slot that is neither free nor being written is marked with.
const fn tag(control: u64, number: u32) -> Option<u64> {
    let tag = control >> (8 * number) & 0xff;
    if tag < TAG { None } else { Some(tag) }
}

/// What came of a bucket that was swept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Flows that stay.
    pub kept: u32,
    /// Flows that are forgotten.
    pub forgotten: u32,
}

/// Forgets the flows of a bucket that are over, as `is_over` says.
pub fn sweep<T: FlowTable + ?Sized>(
    table: &T,
    bucket: u32,
    is_over: impl Fn(&Flow) -> bool,
) -> Left {
    let mut left = Left::default();
    let Some(control) = table.bucket(bucket) else {
        return left;
    };
    for number in 0..WAYS {
        let seen = control.load();
        let Some(slot) = slot(table, bucket, number) else {
            continue;
        };
        if tag(seen, number).is_none() {
            continue;
        }
        // Whatever has been entered since has changed the word.
        if is_over(&slot.flow) && control.exchange(seen, seen & !at(number, 0xff)) == seen {
            left.forgotten += 1;
        } else {
            left.kept += 1;
        }
    }
    left
}

impl Slot {
    fn key(&self) -> FlowKey {
        FlowKey::from_words(self.key.each_ref().map(Word64::load))
    }
}
