//! The table of flows: an array of buckets, two of which may hold a key.
//!
//! A kernel hash map spends 22 ns on finding a flow of 40 bytes of key (15 of them on hashing it,
//! Linux 6.18); this takes 7, and the daemon reads and sweeps it in its own memory.
//!
//! **Half-open flows give way, established ones never do.** Both live here, so that a flow that is answered stays
//! where it is. A new flow takes a free slot of its buckets or that of a half-open one; if all are
//! taken by established flows it is refused. So a flood costs nobody an association, and those that
//! are not answered share what is free.
//!
//! **Several CPUs at once.** A bucket's control word says which of its slots are whose, and changes only
//! by whole exchanges. Whoever enters a flow claims a slot, writes it, and then shows it with
//! its tag; whoever forgets one takes the tag away. The rest of the word counts claims, so that nobody
//! forgets, or takes for answered, a flow that has meanwhile taken the place of the one he has seen, unless he
//! has slept through
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

/// Whose the six slots of a bucket are: a byte for each, 0 if it is free, `BUSY`, or a tag, which of an
/// established flow has its upper bit set. The last two count claims. Apart from the slots, so that a
/// key that is nowhere costs two hot words.
pub type Bucket = Word64;

/// Claimed, and not written yet.
const BUSY: u64 = 1;
/// The lowest tag; the highest is 127.
const TAG: u64 = 2;
/// Added to the tag of an established flow.
const ESTABLISHED: u64 = 0x80;
const CLAIM: u64 = 1 << (8 * WAYS);

/// The table as somebody sees it.
pub trait FlowTable {
    /// How many buckets there are.
    fn count(&self) -> u32;
    /// One of them.
    fn bucket(&self, index: u32) -> Option<&Bucket>;
    /// One of the slots: a bucket's first is the sixth after the first of the bucket before.
    fn slot(&self, index: u32) -> Option<&Slot>;
    /// The secret; `None` only if it is missing.
    fn seed(&self) -> Option<&Seed>;
}

/// Buckets for so many established flows, which then fill 64 % of the slots. With that, 400,000 flows that went
/// through a table kept full of 262,144 found both buckets full 1208 times, at 90 % of those 117 times. A
/// few buckets more, as small tables fill unevenly. One bucket takes just as many as it has slots.
pub const fn buckets_for(flows: u32) -> u32 {
    if flows <= WAYS {
        return 1;
    }
    flows.saturating_add(flows / 20 * 11).div_ceil(WAYS).saturating_add(8)
}

/// Where a flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its slot.
    pub slot: u32,
    /// Its responder has answered.
    pub established: bool,
}

/// Where the flow of that key is.
#[inline(always)]
pub fn find<T: FlowTable + ?Sized>(table: &T, key: &FlowKey) -> Option<Found> {
    let Place { first, second, tag } = Place::of(table, key)?;
    match find_before(table, first, WAYS, tag, key) {
        Some(found) => Some(found),
        None => find_before(table, second, WAYS, tag, key),
    }
}

/// What a first look at the table tells.
#[derive(Clone, Copy, Debug)]
pub enum Look<'t> {
    /// There is such a flow, established.
    Found(&'t Flow),
    /// There is none, half-open or established.
    Absent,
    /// It may be half-open, or too many keys look like it: [`find`] knows.
    Unsure,
}

/// Looks for the established flow of that key, at no more than two in each bucket that have its tag.
#[inline(always)]
pub fn look<'t, T: FlowTable + ?Sized>(table: &'t T, key: &FlowKey) -> Look<'t> {
    let Some(Place { first, second, tag }) = Place::of(table, key) else {
        return Look::Unsure;
    };
    let established = match look_into(table, first, tag | ESTABLISHED, key) {
        Look::Absent => look_into(table, second, tag | ESTABLISHED, key),
        look @ (Look::Found(_) | Look::Unsure) => look,
    };
    match established {
        Look::Absent if may_be_half_open(table, first, tag) => Look::Unsure,
        Look::Absent if may_be_half_open(table, second, tag) => Look::Unsure,
        look @ (Look::Found(_) | Look::Absent | Look::Unsure) => look,
    }
}

#[inline(always)]
fn may_be_half_open<T: FlowTable + ?Sized>(table: &T, bucket: u32, tag: u64) -> bool {
    table.bucket(bucket).is_none_or(|control| alike(control.load(), tag) != 0)
}

/// Enters a half-open flow. If its key is there already, another CPU was faster, and that one stays as it
/// is: its slot may be another flow's by the time that somebody writes there.
#[inline(always)]
pub fn open<T: FlowTable + ?Sized>(table: &T, key: &FlowKey, flow: &Flow) -> Result<(), Full> {
    if find(table, key).is_some() {
        return Ok(());
    }
    let Place { first, second, tag } = Place::of(table, key).ok_or(Full)?;
    let into_first = first == second || room(table, first)? >= room(table, second)?;
    let bucket = if into_first { first } else { second };
    let number = enter(table, bucket, tag, key, flow).ok_or(Full)?;
    // Whoever enters the same flow at the same time sees this one, or is seen.
    let mut twin = find_before(table, bucket, number, tag, key);
    if !into_first && twin.is_none() {
        twin = find_before(table, first, WAYS, tag, key);
    }
    if twin.is_some() {
        remove(table, key, bucket * WAYS + number);
    }
    Ok(())
}

/// Makes the half-open flow of that key, which was found in that slot, an established one. It fails if
/// the flow has had to give way since.
#[inline(always)]
pub fn establish<T: FlowTable + ?Sized>(table: &T, key: &FlowKey, slot: u32) -> Result<(), Full> {
    change(table, key, slot, |seen, number| seen | at(number, ESTABLISHED))
}

/// Forgets the flow of that key, which was found in that slot.
#[inline(always)]
pub fn remove<T: FlowTable + ?Sized>(table: &T, key: &FlowKey, slot: u32) {
    // Somebody else was faster.
    let _ = change(table, key, slot, |seen, number| seen & !at(number, 0xff));
}

/// Changes the control word of a slot's bucket, if the slot still has that key.
#[inline(always)]
fn change<T: FlowTable + ?Sized>(
    table: &T,
    key: &FlowKey,
    slot: u32,
    to: impl Fn(u64, u32) -> u64,
) -> Result<(), Full> {
    let number = slot % WAYS;
    let (control, slot) = (table.bucket(slot / WAYS).ok_or(Full)?, table.slot(slot).ok_or(Full)?);
    for _ in 0..TRIES {
        let seen = control.load();
        if seen >> (8 * number) & 0xff < TAG || !slot.holds(key) {
            return Err(Full);
        }
        let changed = to(seen, number);
        if control.exchange(seen, changed) == seen {
            return Ok(());
        }
    }
    Err(Full)
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
    fn of<T: FlowTable + ?Sized>(table: &T, key: &FlowKey) -> Option<Self> {
        let (hash, count) = (hash(table.seed()?, key), table.count() as u64);
        // Three numbers, scaled (Lemire, "Fast random integer generation in an interval", 2019); the
        // tag's has none of the bits that matter most to the others.
        let (one, another) = (hash >> 32, hash >> 7 & 0xffff_ffff);
        let (one, another) = (((one * count) >> 32) as u32, ((another * count) >> 32) as u32);
        let (first, second) = if one <= another { (one, another) } else { (another, one) };
        let tag = TAG + (((hash & 0xffff) * (ESTABLISHED - TAG)) >> 16);
        Some(Self { first, second, tag })
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
/// The others.
const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;

#[inline(always)]
fn slot<T: FlowTable + ?Sized>(table: &T, bucket: u32, number: u32) -> Option<&Slot> {
    table.slot(bucket * WAYS + number)
}

/// Where that key is, only among the slots of a bucket before that one.
#[inline(always)]
fn find_before<T: FlowTable + ?Sized>(
    table: &T,
    bucket: u32,
    end: u32,
    tag: u64,
    key: &FlowKey,
) -> Option<Found> {
    let control = table.bucket(bucket)?.load();
    let mut marks = alike(control & LOW, tag);
    for _ in 0..WAYS {
        if marks == 0 {
            return None;
        }
        let number = lowest(marks);
        if number >= end {
            return None;
        }
        if slot(table, bucket, number)?.holds(key) {
            let established = control >> (8 * number) & ESTABLISHED != 0;
            return Some(Found { slot: bucket * WAYS + number, established });
        }
        marks &= marks.wrapping_sub(1);
    }
    None
}

#[inline(always)]
fn look_into<'t, T: FlowTable + ?Sized>(
    table: &'t T,
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

/// How well a bucket can take another flow: by its free slots, then by those of half-open flows.
#[inline(always)]
fn room<T: FlowTable + ?Sized>(table: &T, bucket: u32) -> Result<u64, Full> {
    let control = table.bucket(bucket).ok_or(Full)?.load();
    Ok(number_of(free(control)) << 8 | number_of(half_open(control)))
}

/// Takes a slot of a bucket, a half-open flow's if none is free, and puts the flow in it; which one.
#[inline(always)]
fn enter<T: FlowTable + ?Sized>(
    table: &T,
    bucket: u32,
    tag: u64,
    key: &FlowKey,
    flow: &Flow,
) -> Option<u32> {
    let control = table.bucket(bucket)?;
    for _ in 0..TRIES {
        let seen = control.load();
        let mut marks = free(seen);
        if marks == 0 {
            marks = half_open(seen);
            // One after the other: those that came last stay longest.
            let first = (seen >> (8 * WAYS)) % WAYS as u64;
            let next = marks & u64::MAX << (8 * first);
            if next != 0 {
                marks = next;
            }
        }
        if marks == 0 {
            return None;
        }
        let number = lowest(marks);
        let claimed = (seen & !at(number, 0xff)).wrapping_add(CLAIM) | at(number, BUSY);
        if control.exchange(seen, claimed) == seen {
            slot(table, bucket, number)?.write(key, flow);
            // Nobody else changes the byte of a slot that is claimed.
            control.add(at(number, tag - BUSY));
            return Some(number);
        }
    }
    None
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
    !((control & LOW).wrapping_add(LOW) | control) & MARKS
}

/// The marks of the slots of half-open flows.
#[inline(always)]
const fn half_open(control: u64) -> u64 {
    // What is at least a tag carries into its upper bit.
    (control & LOW).wrapping_add(ONES.wrapping_mul(ESTABLISHED - TAG)) & !control & MARKS
}

/// How many slots are marked.
#[inline(always)]
const fn number_of(marks: u64) -> u64 {
    (marks >> 7).wrapping_mul(ONES) >> 56
}

/// The first slot that is marked. BPF cannot count zeros: the product's last byte is looked up.
#[inline(always)]
const fn lowest(marks: u64) -> u32 {
    let first = (marks & marks.wrapping_neg()) >> 7;
    (first.wrapping_mul(0x0001_0203_0405_0607) >> 56) as u32
}
