//! Random choices that can be made again: everything follows from a seed, which failures print.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

use firewall_tests::gateway::setting;

/// SplitMix64 (Steele, Lea and Flood 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// Less than `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.word() % limit.max(1) as u64).unwrap()
    }

    /// Once in so many times.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.word().to_le_bytes()[0]
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.byte()).collect()
    }

    pub(crate) fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

/// Counts what random tests have tried.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) frames: u64,
    pub(crate) told: BTreeMap<&'static str, u64>,
}

impl Tally {
    pub(crate) fn count(&mut self, told: &'static str) {
        self.frames += 1;
        *self.told.entry(told).or_default() += 1;
    }

    fn add(&mut self, other: Self) {
        let Self { frames, told } = other;
        self.frames += frames;
        for (reason, count) in told {
            *self.told.entry(reason).or_default() += count;
        }
    }
}

/// Runs sessions of `size` frames each, with the seeds from `CORDON_SEED` (0) on, until there are
/// `CORDON_FRAMES` (a few seconds' worth), on `CORDON_WORKERS` (1) threads. Each worker has what
/// `start` makes and makes it again after a session that panics. Says what was found and panics,
/// with the seeds, if a session has.
pub(crate) fn sessions<W>(
    what: &str,
    size: usize,
    start: impl Fn() -> W + Sync,
    session: impl Fn(&mut W, u64, &mut Tally) + Sync,
) -> Tally {
    let first = u64::from(setting("CORDON_SEED").unwrap_or(0));
    let end = first + frames().div_ceil(size) as u64;
    let next = AtomicU64::new(first);
    let work = || {
        let (mut tally, mut different) = (Tally::default(), Vec::new());
        let mut worker = None;
        while different.len() < 10 {
            let seed = next.fetch_add(1, Relaxed);
            if seed >= end {
                break;
            }
            let mut surroundings = worker.take().unwrap_or_else(&start);
            let ended = catch_unwind(AssertUnwindSafe(|| {
                session(&mut surroundings, seed, &mut tally);
                surroundings
            }));
            worker = ended.map_err(|_| different.push(seed)).ok();
        }
        (tally, different)
    };
    let workers = setting("CORDON_WORKERS").unwrap_or(1);
    let (mut tally, mut different) = (Tally::default(), Vec::new());
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            let (counted, seeds) = worker.join().unwrap();
            tally.add(counted);
            different.extend(seeds);
        }
    });
    let lines = tally.told.iter().map(|(reason, count)| format!("{count:>12} {reason}\n"));
    println!(
        "{what}: {} frames, seeds {first} to {}, {} differences\n{}",
        tally.frames,
        end - 1,
        different.len(),
        lines.collect::<String>()
    );
    assert!(
        different.is_empty(),
        "{what} differs; once more with `cargo xtask fuzz --frames 1 --seed N`, N of {different:?}"
    );
    tally
}

/// Whether enough frames are tried that all kinds must be among them.
pub(crate) fn is_thorough() -> bool {
    frames() >= ENOUGH
}

const ENOUGH: usize = 50_000;

/// How many frames a random test tries.
fn frames() -> usize {
    setting("CORDON_FRAMES").map_or(ENOUGH, |wanted| wanted as usize)
}
