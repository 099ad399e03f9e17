//! How long to wait before the next attempt.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// Before the second attempt.
const FIRST: Duration = Duration::from_millis(500);
/// Before every attempt from the seventh on: a gateway that comes back is noticed soon enough.
const LONGEST: Duration = Duration::from_secs(30);

/// Doubles from attempt to attempt.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
    random: RandomState,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST, random: RandomState::new() }
    }
}

impl Backoff {
    /// How long to wait now: between half of the time and all of it, so that a ward full of nodes does
    /// not come back at the same moment.
    pub fn wait(&mut self) -> Duration {
        let longest = self.next;
        self.next = (longest * 2).min(LONGEST);
        let half = longest / 2;
        // Every wait has another length, so that the hash is another one, too.
        let milliseconds = u64::try_from(half.as_millis()).unwrap_or(u64::MAX).max(1);
        half + Duration::from_millis(self.random.hash_one(longest) % milliseconds)
    }

    /// It has worked.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_half_a_minute_and_begin_anew() {
        let mut backoff = Backoff::default();
        for longest in [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] {
            let wait = backoff.wait().as_millis();
            assert!((longest / 2..=longest).contains(&wait), "{wait} of {longest}");
        }
        backoff.reset();
        assert!(backoff.wait() <= FIRST);
    }
}
