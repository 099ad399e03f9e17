//! The table of established flows: an array of buckets, two of which may hold a key.
//!
//! A kernel hash map spends 22 ns on finding a flow of 40 bytes of key (15 of them on hashing it,
//! Linux 6.18); this takes 7, and the daemon reads and sweeps it in its own memory. It is not an LRU
//! table: what is in it stays until it is over.
//!
//! **Several CPUs at once.** A bucket's control word says which of its slots are whose, and changes only
//! by whole exchanges. Whoever enters a flow claims a slot, writes it, and then shows it with
//! its tag; whoever forgets one takes the tag away. The word's last byte counts claims, so that nobody
//! forgets a flow that has meanwhile taken the place of the one he has seen. When two CPUs enter one flow
//! at once, both look again afterwards and the later place gives way. A reader may hold a flow that is
//! being forgotten, as with the kernel's own preallocated maps.

use super::{Flow, FlowKey};
use crate::tables::Full;
use crate::word::Word64;

/// The slots of a bucket.
pub const WAYS: usize = 7;

/// What a key's hash is made with: secret, so that nobody chooses who shares a bucket.
pub type Seed = [Word64; WORDS];

/// 64-bit words of a key.
pub const WORDS: usize = size_of::<FlowKey>() / 8;

/// A flow in its place.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Slot {
    key: [Word64; WORDS],
    flow: Flow,
}

/// Seven slots, and whose they are: 792 bytes.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Bucket {
    /// A byte for every slot: 0 if it is free, `BUSY`, or a tag. The last one counts claims.
    control: Word64,
    slots: [Slot; WAYS],
}

/// Claimed, and not written yet.
const BUSY: u64 = 1;
/// Every tag has it, and neither of the two above.
const TAG: u64 = 0x80;
const CLAIM: u64 = 1 << (8 * WAYS);

/// The table as somebody sees it.
pub trait Buckets {
    /// How many there are.
    fn count(&self) -> u32;
    /// One of them.
    fn bucket(&self, index: u32) -> Option<&Bucket>;
    /// The secret; `None` only if it is missing.
    fn seed(&self) -> Option<&Seed>;
}

/// Buckets for so many flows: two thirds of the slots. With that, 400,000 flows that went through a
/// table kept full of 262,144 found both buckets full 458 times; at 90 % of those never. A few
/// buckets more, as small tables fill unevenly.
pub const fn buckets_for(flows: u32) -> u32 {
    flows.saturating_add(flows / 2).div_ceil(WAYS as u32).saturating_add(8)
}

/// Where the flow of that key is: its bucket and its slot.
#[inline(always)]
pub fn locate<B: Buckets + ?Sized>(buckets: &B, key: &FlowKey) -> Option<(u32, usize)> {
    let Place { first, second, tag } = Place::of(buckets, key)?;
    match buckets.bucket(first)?.locate_before(WAYS, tag, key) {
        Some(slot) => Some((first, slot)),
        None => Some((second, buckets.bucket(second)?.locate_before(WAYS, tag, key)?)),
    }
}

/// What a first look at the table tells.
#[derive(Clone, Copy, Debug)]
pub enum Look<'t> {
    /// There is such a flow.
    Found(&'t Flow),
    /// There is none.
    Absent,
    /// Too many keys look like it: [`find`] knows.
    Unsure,
}

/// Looks for the flow of that key, at no more than two that have its tag.
#[inline(always)]
pub fn look<'t, B: Buckets + ?Sized>(buckets: &'t B, key: &FlowKey) -> Look<'t> {
    let Some(Place { first, second, tag }) = Place::of(buckets, key) else {
        return Look::Unsure;
    };
    match buckets.bucket(first).map_or(Look::Unsure, |bucket| bucket.look(tag, key)) {
        Look::Absent => buckets.bucket(second).map_or(Look::Unsure, |bucket| bucket.look(tag, key)),
        look @ (Look::Found(_) | Look::Unsure) => look,
    }
}

/// The flow of that key.
#[inline(always)]
pub fn find<'t, B: Buckets + ?Sized>(buckets: &'t B, key: &FlowKey) -> Option<&'t Flow> {
    let place = Place::of(buckets, key)?;
    match buckets.bucket(place.first)?.find(place.tag, key) {
        Some(flow) => Some(flow),
        None => buckets.bucket(place.second)?.find(place.tag, key),
    }
}

/// Enters a flow. If its key is there already, another CPU was faster: that one goes on, as far as
/// either has come.
#[inline(always)]
pub fn insert<B: Buckets + ?Sized>(buckets: &B, key: &FlowKey, flow: &Flow) -> Result<(), Full> {
    if let Some(there) = find(buckets, key) {
        there.catch_up(flow);
        return Ok(());
    }
    let Place { first, second, tag } = Place::of(buckets, key).ok_or(Full)?;
    let (first, second) = (buckets.bucket(first).ok_or(Full)?, buckets.bucket(second).ok_or(Full)?);
    // If the emptier one is full, the other is, too.
    let into_first = first.used() <= second.used();
    let bucket = if into_first { first } else { second };
    let slot = bucket.enter(tag, key, flow).ok_or(Full)?;
    // Whoever enters the same flow at the same time sees this one, or is seen.
    let mut twin = bucket.find_before(slot, tag, key);
    if !into_first && twin.is_none() {
        twin = first.find(tag, key);
    }
    if let Some(twin) = twin {
        twin.catch_up(flow);
        bucket.forget(slot, tag, key);
    }
    Ok(())
}

/// Forgets the flow of that key.
#[inline(always)]
pub fn remove<B: Buckets + ?Sized>(buckets: &B, key: &FlowKey) {
    let Some(place) = Place::of(buckets, key) else {
        return;
    };
    for index in [place.first, place.second] {
        if let Some(bucket) = buckets.bucket(index) {
            for slot in 0..WAYS {
                bucket.forget(slot, place.tag, key);
            }
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
    fn of<B: Buckets + ?Sized>(buckets: &B, key: &FlowKey) -> Option<Self> {
        let (hash, count) = (hash(buckets.seed()?, key), buckets.count() as u64);
        // Two numbers of 32 bits, scaled to the count (Lemire, "Fast random integer generation in an
        // interval", 2019); the tag has none of the bits that matter most to them.
        let (one, another) = (hash >> 32, hash >> 7 & 0xffff_ffff);
        let (one, another) = ((one * count >> 32) as u32, (another * count >> 32) as u32);
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
const MARKS: u64 = 0x0080_8080_8080_8080;

impl Bucket {
    #[inline(always)]
    fn find(&self, tag: u64, key: &FlowKey) -> Option<&Flow> {
        self.find_before(WAYS, tag, key)
    }

    /// Only among the slots before that one.
    #[inline(always)]
    fn find_before(&self, end: usize, tag: u64, key: &FlowKey) -> Option<&Flow> {
        self.flow(self.locate_before(end, tag, key)?)
    }

    #[inline(always)]
    fn look(&self, tag: u64, key: &FlowKey) -> Look<'_> {
        let mut marks = alike(self.control.load(), tag);
        for _ in 0..2 {
            if marks == 0 {
                return Look::Absent;
            }
            let Some(slot) = self.slot(lowest(marks)) else {
                return Look::Unsure;
            };
            if slot.holds(key) {
                return Look::Found(&slot.flow);
            }
            marks &= marks.wrapping_sub(1);
        }
        if marks == 0 { Look::Absent } else { Look::Unsure }
    }

    /// The flow in a slot, whosever it is.
    #[inline(always)]
    pub fn flow(&self, slot: usize) -> Option<&Flow> {
        self.slot(slot).map(|slot| &slot.flow)
    }

    #[inline(always)]
    fn slot(&self, number: usize) -> Option<&Slot> {
        if number < WAYS { self.slots.get(after(number)) } else { None }
    }

    #[inline(always)]
    fn locate_before(&self, end: usize, tag: u64, key: &FlowKey) -> Option<usize> {
        let mut marks = alike(self.control.load(), tag);
        for _ in 0..WAYS {
            if marks == 0 {
                return None;
            }
            let slot = lowest(marks);
            if slot >= end {
                return None;
            }
            if self.slot(slot)?.holds(key) {
                return Some(slot);
            }
            marks &= marks.wrapping_sub(1);
        }
        None
    }

    /// How many slots are taken.
    #[inline(always)]
    fn used(&self) -> u64 {
        WAYS as u64 - ((free(self.control.load()) >> 7).wrapping_mul(ONES) >> 56)
    }

    /// Takes a slot and puts the flow in it; which one.
    #[inline(always)]
    fn enter(&self, tag: u64, key: &FlowKey, flow: &Flow) -> Option<usize> {
        for _ in 0..TRIES {
            let control = self.control.load();
            let free = free(control);
            if free == 0 {
                return None;
            }
            let number = lowest(free);
            let slot = self.slot(number)?;
            let claimed = control.wrapping_add(CLAIM) | at(number, BUSY);
            if self.control.exchange(control, claimed) == control {
                slot.write(key, flow);
                // Nobody else changes the byte of a slot that is claimed.
                self.control.add(at(number, tag - BUSY));
                return Some(number);
            }
        }
        None
    }

    /// Frees a slot if it has that key.
    #[inline(always)]
    fn forget(&self, number: usize, tag: u64, key: &FlowKey) {
        let Some(slot) = self.slot(number) else {
            return;
        };
        for _ in 0..TRIES {
            let control = self.control.load();
            if control >> (8 * number) & 0xff != tag || !slot.holds(key) {
                return;
            }
            let freed = control & !at(number, 0xff);
            if self.control.exchange(control, freed) == control {
                return;
            }
        }
    }
}

/// How often a control word is tried to be changed. Every failure means that another CPU has just
/// entered or forgotten another flow of the same few.
const TRIES: u32 = 8;

impl Slot {
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

/// A number of which LLVM knows nothing from before: it must not compute with it what the verifier
/// cannot bound, before the comparison that does.
#[cfg(target_arch = "bpf")]
#[inline(always)]
fn after(mut number: usize) -> usize {
    // SAFETY: it changes nothing.
    unsafe {
        core::arch::asm!(
            "{0} = {0}",
            inout(reg) number,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    number
}

#[cfg(not(target_arch = "bpf"))]
const fn after(number: usize) -> usize {
    number
}

/// A byte in its slot's place.
#[inline(always)]
const fn at(slot: usize, byte: u64) -> u64 {
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
const fn lowest(marks: u64) -> usize {
    let first = (marks & marks.wrapping_neg()) >> 7;
    (first.wrapping_mul(0x0001_0203_0405_0607) >> 56) as usize
}

#[cfg(not(target_arch = "bpf"))]
impl Bucket {
    /// Every flow in it.
    pub fn flows(&self) -> impl Iterator<Item = (FlowKey, &Flow)> {
        let taken = (0..WAYS).filter(|slot| self.tag(*slot) & TAG != 0);
        taken.filter_map(|slot| self.slots.get(slot)).map(|slot| {
            let words = slot.key.each_ref().map(Word64::load);
            (FlowKey::from_words(words), &slot.flow)
        })
    }

    /// Forgets the flows that are over, as `is_over` says; how many are left.
    pub fn sweep(&self, is_over: impl Fn(&FlowKey, &Flow) -> bool) -> usize {
        let mut left = 0;
        for number in 0..WAYS {
            let tag = self.tag(number);
            if tag & TAG == 0 {
                continue;
            }
            let Some(slot) = self.slot(number) else {
                continue;
            };
            let control = self.control.load();
            let key = FlowKey::from_words(slot.key.each_ref().map(Word64::load));
            if is_over(&key, &slot.flow) && control >> (8 * number) & 0xff == tag {
                // Whatever has been entered since has changed the word.
                let freed = control & !at(number, 0xff);
                if self.control.exchange(control, freed) == control {
                    continue;
                }
            }
            left += 1;
        }
        left
    }

    fn tag(&self, slot: usize) -> u64 {
        self.control.load() >> (8 * slot) & 0xff
    }
}
