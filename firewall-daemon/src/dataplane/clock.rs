//! The kernel's ticks and ours.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use firewall_common::Ticks;
use nix::time::{ClockId, clock_gettime};

use super::sys;

/// Converts between ticks (jiffies) and the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    hz: u32,
}

/// The frequencies that a kernel can be built with (Kconfig.hz), alpha's 1024 left out.
const FREQUENCIES: [u32; 4] = [100, 250, 300, 1000];

/// jiffies start at this many seconds before the 32-bit wrap (`INITIAL_JIFFIES`).
const HEAD_START: u64 = 300;

impl Clock {
    /// Measures the kernel's tick frequency: runs the object's `clock` program, which leaves the
    /// tick in the frame, and looks which frequency explains it.
    pub fn measure(program: BorrowedFd<'_>) -> io::Result<Self> {
        let (_, frame) = sys::test_run(program, &[0; 64])?;
        let elapsed = monotonic();
        let Some(bytes) = frame.first_chunk::<8>() else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the clock program is silent"));
        };
        Self::from_sample(Ticks(u64::from_le_bytes(*bytes)), elapsed)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "an unknown tick frequency"))
    }

    fn from_sample(ticks: Ticks, elapsed: Duration) -> Option<Self> {
        let distance = |hz: u32| {
            let expected = Self { hz }.ticks(elapsed).0;
            expected.abs_diff(ticks.0) / u64::from(hz)
        };
        // The wrong frequencies are off by most of the time since boot; seconds after boot by most
        // of the head start.
        FREQUENCIES
            .into_iter()
            .min_by_key(|&hz| distance(hz))
            .filter(|&hz| distance(hz) <= 2)
            .map(|hz| Self { hz })
    }

    /// Ticks a second.
    pub const fn hz(self) -> u32 {
        self.hz
    }

    /// The tick at that time since boot.
    pub fn ticks(self, monotonic: Duration) -> Ticks {
        let hz = u64::from(self.hz);
        let since_boot = u128::from(hz) * monotonic.as_nanos() / 1_000_000_000;
        let since_boot = u64::try_from(since_boot).unwrap_or(u64::MAX);
        Ticks((1 << 32) - HEAD_START * hz + since_boot)
    }

    /// The tick now.
    pub fn now(self) -> Ticks {
        self.ticks(monotonic())
    }

    /// How long ago a tick was.
    pub fn since(self, ticks: Ticks) -> Duration {
        Duration::from_secs(1) * u32::try_from(self.now().0.saturating_sub(ticks.0)).unwrap_or(0)
            / self.hz
    }

    /// A duration in ticks, rounded down.
    pub fn from_seconds(self, seconds: u32) -> u32 {
        self.hz.saturating_mul(seconds)
    }
}

/// Time since boot, suspension left out: what jiffies count.
pub fn monotonic() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frequency_is_recognised_from_one_sample() {
        for hz in FREQUENCIES {
            for seconds in [0, 5, 300, 86_400, 400 * 86_400] {
                let elapsed = Duration::from_secs(seconds) + Duration::from_millis(500);
                let clock = Clock { hz };
                let found = Clock::from_sample(clock.ticks(elapsed), elapsed);
                assert_eq!(found, Some(clock), "{hz} Hz after {seconds} s");
            }
        }
        assert_eq!(Clock::from_sample(Ticks(77), Duration::from_secs(9)), None);
    }
}
