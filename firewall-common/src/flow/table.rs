//! The table of established flows: an array of buckets, two of which may hold a key.
//!
//! A kernel hash map spends 22 ns on finding a flow of 40 bytes of key (15 of them on hashing it,
//! Linux 6.18); this takes 7, and the daemon reads and sweeps it in its own memory. It is not an LRU
//! table: what is in it stays until it is over.
//!
//! **Several CPUs at once.** A bucket's control word says which of its slots are whose, and changes only
//! by whole exchanges. Whoever enters a flow claims a slot, writes it, and then shows it with
//! its tag; whoever forgets one takes the tag away. The rest of the word counts claims, so that nobody
//! forgets a flow that has meanwhile taken the place of the one he has seen, unless he has slept through
//! 65,536 claims of one bucket (a byte's worth was not enough for a thread that another one preempts).
//! When two CPUs enter one flow
//! at once, both look again afterwards and the later place gives way. A reader may hold a flow that is
//! being forgotten, as with the kernel's own preallocated maps.

#[cfg(not(target_arch = "bpf"))]
mod sweep;

#[cfg(not(target_arch = "bpf"))]
pub use self::sweep::{Left, flows, sweep};
use super::{Flow, FlowKey};
use crate::tables::Full;
use crate::word::Word64;

/// The slots of a bucket.
pub const WAYS: u32 = 6;

/// What a key's hash is made with: secret, so that nobody chooses who shares a bucket.
pub type Seed = [Word64; WORDS];

/// 64-bit words of a key.
pub const WORDS: usize = size_of::<FlowKey>() / 8;

/// A flow in its place: 112 bytes.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Slot {
    // First: so a pointer to it needs no arithmetic, which the verifier allows only after a check for
    // null, and LLVM does before.
    flow: Flow,
    key: [Word64; WORDS],
}

/// Whose the six slots of a bucket are: a byte for each, 0 if it is free, `BUSY`, or a tag. The last
/// two count claims. Apart from the slots, so that a key that is nowhere costs two hot words.
pub type Bucket = Word64;

/// Claimed, and not written yet.
const BUSY: u64 = 1;
/// Every tag has it, and neither of the two above.
const TAG: u64 = 0x80;
const CLAIM: u64 = 1 << (8 * WAYS);

/// The table as somebody sees it.
pub trait Established {
    /// How many buckets there are.
    fn count(&self) -> u32;
    /// One of them.
    fn bucket(&self, index: u32) -> Option<&Bucket>;
    /// One of the slots: a bucket's first is the sixth after the first of the bucket before.
    fn slot(&self, index: u32) -> Option<&Slot>;
    /// The secret; `None` only if it is missing.
    fn seed(&self) -> Option<&Seed>;
}

/// Buckets for so many flows, which then fill 64 % of the slots. With that, 400,000 flows that went
/// through a table kept full of 262,144 found both buckets full 1208 times, at 90 % of those 117 times. A
/// few buckets more, as small tables fill unevenly. One bucket takes just as many as it has slots.
pub const fn buckets_for(flows: u32) -> u32 {
    if flows <= WAYS {
        return 1;
    }
    flows.saturating_add(flows / 20 * 11).div_ceil(WAYS).saturating_add(8)
}

/// Where the flow of that key is: its slot.
#[inline(always)]
pub fn locate<E: Established + ?Sized>(table: &E, key: &FlowKey) -> Option<u32> {
    let Place { first, second, tag } = Place::of(table, key)?;
    match locate_before(table, first, WAYS, tag, key) {
        Some(slot) => Some(slot),
        None => locate_before(table, second, WAYS, tag, key),
    }
}

/// What a first look at the table tells.
#[derive(Clone, Copy, Debug)]
pub enum Look<'t> {
    /// There is such a flow.
    Found(&'t Flow),
    /// There is none.
    Absent,
    /// Too many keys look like it: [`locate`] knows.
    Unsure,
}

/// Looks for the flow of that key, at no more than two in each bucket that have its tag.
#[inline(always)]
pub fn look<'t, E: Established + ?Sized>(table: &'t E, key: &FlowKey) -> Look<'t> {
    let Some(Place { first, second, tag }) = Place::of(table, key) else {
        return Look::Unsure;
    };
    match look_into(table, first, tag, key) {
        Look::Absent => look_into(table, second, tag, key),
        look @ (Look::Found(_) | Look::Unsure) => look,
    }
}

/// Enters a flow. If its key is there already, another CPU was faster: that one goes on, as far as
/// either has come.
#[inline(always)]
pub fn insert<E: Established + ?Sized>(table: &E, key: &FlowKey, flow: &Flow) -> Result<(), Full> {
    if let Some(there) = locate(table, key) {
        return catch_up(table, there, flow);
    }
    let Place { first, second, tag } = Place::of(table, key).ok_or(Full)?;
    // If the emptier one is full, the other is, too.
    let into_first = first == second || used(table, first)? <= used(table, second)?;
    let bucket = if into_first { first } else { second };
    let slot = enter(table, bucket, tag, key, flow).ok_or(Full)?;
    // Whoever enters the same flow at the same time sees this one, or is seen.
    let mut twin = locate_before(table, bucket, slot, tag, key);
    if !into_first && twin.is_none() {
        twin = locate_before(table, first, WAYS, tag, key);
    }
    match twin {
        Some(twin) => {
            catch_up(table, twin, flow)?;
            forget(table, bucket, slot, tag, key);
            Ok(())
        }
        None => Ok(()),
    }
}

/// Forgets the flow of that key.
#[inline(always)]
pub fn remove<E: Established + ?Sized>(table: &E, key: &FlowKey) {
    let Some(Place { first, second, tag }) = Place::of(table, key) else {
        return;
    };
    for bucket in [first, second] {
        for slot in 0..WAYS {
            forget(table, bucket, slot, tag, key);
        }
    }
}

/// Where a key may lie, in order, and what marks its slot.
#[derive(Clone, Copy, Debug)]
struct Place {
    first: u32,
    second: u32,
    tag: u64,
}

impl Place {
    #[inline(always)]
    fn of<E: Established + ?Sized>(table: &E, key: &FlowKey) -> Option<Self> {
        let (hash, count) = (hash(table.seed()?, key), table.count() as u64);
        // Two numbers of 32 bits, scaled to the count (Lemire, "Fast random integer generation in an
        // interval", 2019); the tag has none of the bits that matter most to them.
        let (one, another) = (hash >> 32, hash >> 7 & 0xffff_ffff);
        let (one, another) = (((one * count) >> 32) as u32, ((another * count) >> 32) as u32);
        let (first, second) = if one <= another { (one, another) } else { (another, one) };
        Some(Self { first, second, tag: hash & 0x7f | TAG })
    }
}

/// NH of UMAC (Black et al., "UMAC: Fast and Secure Message Authentication", 1999), which two keys
/// share with a chance of 2^-32 at most, and a finish that spreads it over all bits.
#[inline(always)]
fn hash(seed: &Seed, key: &FlowKey) -> u64 {
    let mut sum = 0_u64;
    for (number, secret) in seed.iter().enumerate() {
        let (secret, word) = (secret.load(), key.word(number));
        let low = word & 0xffff_ffff;
        let low = low.wrapping_add(secret) & 0xffff_ffff;
        let high = (word >> 32).wrapping_add(secret >> 32) & 0xffff_ffff;
        sum = sum.wrapping_add(low.wrapping_mul(high));
    }
    // The multiplier of Steele et al., "Fast splittable pseudorandom number generators", 2014.
    let mixed = (sum ^ sum >> 32).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ mixed >> 32
}

/// One in every byte.
const ONES: u64 = 0x0101_0101_0101_0101;
/// The upper bit of every slot's byte.
const MARKS: u64 = 0x0000_8080_8080_8080;

#[inline(always)]
fn slot<E: Established + ?Sized>(table: &E, bucket: u32, number: u32) -> Option<&Slot> {
    table.slot(bucket * WAYS + number)
}

/// The slot of that key, only among the slots of a bucket before that one.
#[inline(always)]
fn locate_before<E: Established + ?Sized>(
    table: &E,
    bucket: u32,
    end: u32,
    tag: u64,
    key: &FlowKey,
) -> Option<u32> {
    let mut marks = alike(table.bucket(bucket)?.load(), tag);
    for _ in 0..WAYS {
        if marks == 0 {
            return None;
        }
        let number = lowest(marks);
        if number >= end {
            return None;
        }
        if slot(table, bucket, number)?.holds(key) {
            return Some(bucket * WAYS + number);
        }
        marks &= marks.wrapping_sub(1);
    }
    None
}

#[inline(always)]
fn look_into<'t, E: Established + ?Sized>(
    table: &'t E,
    bucket: u32,
    tag: u64,
    key: &FlowKey,
) -> Look<'t> {
    let Some(control) = table.bucket(bucket) else {
        return Look::Unsure;
    };
    let mut marks = alike(control.load(), tag);
    for _ in 0..2 {
        if marks == 0 {
            return Look::Absent;
        }
        let Some(slot) = slot(table, bucket, lowest(marks)) else {
            return Look::Unsure;
        };
        if slot.holds(key) {
            return Look::Found(&slot.flow);
        }
        marks &= marks.wrapping_sub(1);
    }
    if marks == 0 { Look::Absent } else { Look::Unsure }
}

/// How many slots of a bucket are taken.
#[inline(always)]
fn used<E: Established + ?Sized>(table: &E, bucket: u32) -> Result<u32, Full> {
    let control = table.bucket(bucket).ok_or(Full)?.load();
    Ok(WAYS - ((free(control) >> 7).wrapping_mul(ONES) >> 56) as u32)
}

/// Takes a slot of a bucket and puts the flow in it; which one.
#[inline(always)]
fn enter<E: Established + ?Sized>(
    table: &E,
    bucket: u32,
    tag: u64,
    key: &FlowKey,
    flow: &Flow,
) -> Option<u32> {
    let control = table.bucket(bucket)?;
    for _ in 0..TRIES {
        let seen = control.load();
        let free = free(seen);
        if free == 0 {
            return None;
        }
        let number = lowest(free);
        let claimed = seen.wrapping_add(CLAIM) | at(number, BUSY);
        if control.exchange(seen, claimed) == seen {
            slot(table, bucket, number)?.write(key, flow);
            // Nobody else changes the byte of a slot that is claimed.
            control.add(at(number, tag - BUSY));
            return Some(number);
        }
    }
    None
}

/// Frees a slot of a bucket if it has that key.
#[inline(always)]
fn forget<E: Established + ?Sized>(table: &E, bucket: u32, number: u32, tag: u64, key: &FlowKey) {
    let Some(control) = table.bucket(bucket) else {
        return;
    };
    for _ in 0..TRIES {
        let seen = control.load();
        let is_ours = seen >> (8 * number) & 0xff == tag
            && slot(table, bucket, number).is_some_and(|slot| slot.holds(key));
        if !is_ours || control.exchange(seen, seen & !at(number, 0xff)) == seen {
            return;
        }
    }
}

#[inline(always)]
fn catch_up<E: Established + ?Sized>(table: &E, slot: u32, flow: &Flow) -> Result<(), Full> {
    table.slot(slot).ok_or(Full)?.flow.catch_up(flow);
    Ok(())
}

/// How often a control word is tried to be changed. Every failure means that another CPU has just
/// entered or forgotten another flow of the same few.
const TRIES: u32 = 8;

impl Slot {
    /// The flow, whosever it is.
    #[inline(always)]
    pub const fn flow(&self) -> &Flow {
        &self.flow
    }

    #[inline(always)]
    fn holds(&self, key: &FlowKey) -> bool {
        let mut difference = 0;
        for (number, mine) in self.key.iter().enumerate() {
            difference |= mine.load() ^ key.word(number);
        }
        difference == 0
    }

    #[inline(always)]
    fn write(&self, key: &FlowKey, flow: &Flow) {
        for (number, mine) in self.key.iter().enumerate() {
            mine.store(key.word(number));
        }
        self.flow.copy(flow);
    }
}

/// A byte in its slot's place.
#[inline(always)]
const fn at(slot: u32, byte: u64) -> u64 {
    byte << (8 * slot)
}

/// The marks of the slots that may have that tag: above one that has it, one that differs by a bit
/// may be marked, too.
#[inline(always)]
const fn alike(control: u64, tag: u64) -> u64 {
    let differs = control ^ tag.wrapping_mul(ONES);
    differs.wrapping_sub(ONES) & !differs & MARKS
}

/// The marks of exactly the slots that are free.
#[inline(always)]
const fn free(control: u64) -> u64 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    !((control & LOW).wrapping_add(LOW) | control) & MARKS
}

/// The first slot that is marked. BPF cannot count zeros: the product's last byte is looked up.
#[inline(always)]
const fn lowest(marks: u64) -> u32 {
    let first = (marks & marks.wrapping_neg()) >> 7;
    (first.wrapping_mul(0x0001_0203_0405_0607) >> 56) as u32
}
