//! How many flows a node may open. What is taken comes back with time, and what was answered at once,
//! so that a busy server is not held back and a scanner is.

use crate::Ticks;
use crate::word::Word64;

/// How many flows one node may open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Limits {
    /// Flows that nobody has answered: so many in one go, and so many again in every half-open
    /// timeout.
    pub half_open: u32,
    /// Flows a second, whether answered or not: so many in one go, and so many again every second.
    pub new_flows: u32,
    /// Ticks a second.
    pub second: u32,
}

impl Limits {
    /// The highest that can be set: what is taken is counted in 16 bits.
    pub const HIGHEST: u32 = u16::MAX as u32;
    /// Higher than what is taken is ever counted: nobody is held back.
    pub const NONE: Self =
        Self { half_open: Self::HIGHEST + 1, new_flows: Self::HIGHEST + 1, second: 1 };
}

/// A node has opened as many flows as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

/// What a node has taken: two token buckets and when they were last looked into, in one word, so
/// that a fresh map is one of full buckets.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Quota(Word64);

/// Another CPU may take something between a load and its exchange. Whoever loses so many times in a
/// row takes nothing and goes on: each loss was a flow of the same node that did take, or was answered.
const TRIES: u32 = 4;

impl Quota {
    /// Nothing is taken.
    pub const fn full() -> Self {
        Self(Word64::new(0))
    }

    /// Takes one flow. `timeout` is that of half-open flows, in ticks. A flow that is refused takes
    /// nothing.
    #[inline(always)]
    pub fn charge(&self, limits: &Limits, timeout: u32, now: Ticks) -> Result<(), Exhausted> {
        for _ in 0..TRIES {
            let word = self.0.load();
            let Taken { unanswered, opened, .. } = Taken::decode(word).at(limits, timeout, now);
            if unanswered >= limits.half_open || opened >= limits.new_flows {
                return Err(Exhausted);
            }
            let taken = Taken { seen: now.low(), unanswered: unanswered + 1, opened: opened + 1 };
            if self.0.exchange(word, taken.encode()) == word {
                break;
            }
        }
        Ok(())
    }

    /// A flow of the node's was answered, or its answer was that there will be none.
    #[inline(always)]
    pub fn refund(&self) {
        for _ in 0..TRIES {
            let word = self.0.load();
            let taken = Taken::decode(word);
            let Some(unanswered) = taken.unanswered.checked_sub(1) else {
                return;
            };
            if self.0.exchange(word, Taken { unanswered, ..taken }.encode()) == word {
                return;
            }
        }
    }

    /// As if so many ticks had passed: for trials.
    pub fn age(&self, ticks: u32) {
        let taken = Taken::decode(self.0.load());
        self.0.store(Taken { seen: taken.seen.wrapping_sub(ticks), ..taken }.encode());
    }

    /// Gives everything back.
    pub fn reset(&self) {
        self.0.store(0);
    }
}

/// What a [`Quota`]'s word says.
#[derive(Clone, Copy)]
struct Taken {
    /// The tick it was last charged, low 32 bits. A node that is silent for as long as those take to
    /// come round (49 days at 1000 Hz) may find what it left, and waits for it as if it were fresh.
    seen: u32,
    unanswered: u32,
    opened: u32,
}

impl Taken {
    #[inline(always)]
    const fn decode(word: u64) -> Self {
        Self {
            seen: (word & 0xffff_ffff) as u32,
            unanswered: (word >> 32 & 0xffff) as u32,
            opened: (word >> 48) as u32,
        }
    }

    #[inline(always)]
    const fn encode(self) -> u64 {
        self.seen as u64 | counted(self.unanswered) << 32 | counted(self.opened) << 48
    }

    /// What of it is left now.
    #[inline(always)]
    const fn at(self, limits: &Limits, timeout: u32, now: Ticks) -> Self {
        let elapsed = now.low().wrapping_sub(self.seen);
        Self {
            unanswered: left(self.unanswered, limits.half_open, timeout, now.0, elapsed),
            opened: left(self.opened, limits.new_flows, limits.second, now.0, elapsed),
            ..self
        }
    }
}

#[inline(always)]
const fn counted(taken: u32) -> u64 {
    if taken > Limits::HIGHEST { Limits::HIGHEST as u64 } else { taken as u64 }
}

/// What is left of `taken`, of which `rate` come back in `period` ticks. They come at ticks that
/// depend on the clock alone, so that no fraction is lost however often somebody looks.
#[inline(always)]
const fn left(taken: u32, rate: u32, period: u32, now: u64, elapsed: u32) -> u32 {
    if elapsed >= period {
        return 0;
    }
    let back = due(now, rate, period) - due(now.saturating_sub(elapsed as u64), rate, period);
    ((taken as u64).saturating_sub(back) & 0xffff_ffff) as u32
}

/// How many have come back since the clock began.
#[inline(always)]
const fn due(tick: u64, rate: u32, period: u32) -> u64 {
    tick * rate as u64 / period as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const HZ: u32 = 250;
    const TIMEOUT: u32 = 30 * HZ;

    fn opened(quota: &Quota, limits: &Limits, now: u64) -> u32 {
        let charge = || quota.charge(limits, TIMEOUT, Ticks(now));
        (0..100_000).take_while(|_| charge().is_ok()).map(|_| 1).sum()
    }

    fn limits(half_open: u32, new_flows: u32) -> Limits {
        Limits { half_open, new_flows, second: HZ }
    }

    #[test]
    fn a_fresh_quota_is_full_whatever_the_time() {
        for now in [0, 1, u64::from(u32::MAX), 1 << 32, (1 << 32) + 1, 1 << 41] {
            assert_eq!(opened(&Quota::full(), &limits(7, 100), now), 7, "{now}");
            assert_eq!(opened(&Quota::full(), &limits(100, 7), now), 7, "{now}");
        }
    }

    #[test]
    fn what_is_unanswered_comes_back_over_the_timeout_to_the_last_flow() {
        let (quota, limits) = (Quota::full(), limits(1024, Limits::HIGHEST));
        let begun = (1 << 32) - 100;
        assert_eq!(opened(&quota, &limits, begun), 1024);
        let mut back = 0;
        for tick in 1..=u64::from(TIMEOUT) {
            back += opened(&quota, &limits, begun + tick);
        }
        assert_eq!(back, 1024);
    }

    #[test]
    fn the_rate_holds_in_every_second_and_over_all() {
        let (quota, limits) = (Quota::full(), limits(Limits::HIGHEST, 333));
        let mut all = 0;
        for tick in 0..10 * u64::from(HZ) {
            all += opened(&quota, &limits, 5000 + tick);
        }
        let whole = 333 * 11;
        assert!((whole - 2..=whole).contains(&all), "{all} of {whole}");
    }

    #[test]
    fn a_refused_flow_takes_nothing() {
        let (quota, limits) = (Quota::full(), limits(10, 2));
        assert_eq!(opened(&quota, &limits, 7000), 2);
        let word = quota.0.load();
        assert_eq!(quota.charge(&limits, TIMEOUT, Ticks(7000)), Err(Exhausted));
        assert_eq!(quota.0.load(), word);
    }

    #[test]
    fn who_is_answered_is_held_back_by_the_rate_only() {
        let (quota, limits) = (Quota::full(), limits(2, 100));
        for _ in 0..100 {
            assert_eq!(quota.charge(&limits, TIMEOUT, Ticks(9000)), Ok(()));
            quota.refund();
        }
        assert_eq!(quota.charge(&limits, TIMEOUT, Ticks(9000)), Err(Exhausted));
        assert_eq!(opened(&quota, &limits, 9000 + u64::from(HZ)), 2);
    }

    #[test]
    fn nobody_is_held_back_where_there_are_no_limits() {
        let (quota, now) = (Quota::full(), Ticks(1 << 40));
        for _ in 0..200_000 {
            assert_eq!(quota.charge(&Limits::NONE, TIMEOUT, now), Ok(()));
        }
    }

    #[test]
    fn several_processors_take_no_more_than_a_fifth_too_much() {
        let (quota, limits) = (Quota::full(), limits(5000, Limits::HIGHEST));
        let taken: u32 = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| opened(&quota, &limits, 9000))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or(0)).sum()
        });
        assert!((5000..=6000).contains(&taken), "{taken}");
    }
}
