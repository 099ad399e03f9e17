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

/// How many seconds the monotonic clock may be ahead of the ticks, where these began late at boot.
const SHIFT: u64 = 60;

impl Clock {
    /// Measures the kernel's tick frequency: runs the object's `clock` program, which leaves the
    /// tick in the frame, and looks which frequency explains it.
    pub fn measure(program: BorrowedFd<'_>) -> io::Result<Self> {
        let sample = || -> io::Result<(Ticks, Duration)> {
            let (_, frame) = sys::test_run(program, &[0; 64])?;
            let elapsed = monotonic();
            let bytes = frame.first_chunk::<8>();
            let bytes = bytes.ok_or_else(|| invalid("the clock program is silent"))?;
            Ok((Ticks(u64::from_le_bytes(*bytes)), elapsed))
        };
        let first = sample()?;
        let candidates = Self::from_sample(first);
        if let [clock] = candidates[..] {
            return Ok(clock);
        }
        // All frequencies meet 300 s after boot: there it takes a second look.
        std::thread::sleep(Duration::from_millis(200));
        let clock = Self::from_samples(first, sample()?);
        let clock = clock.ok_or_else(|| invalid("an unknown tick frequency"))?;
        // Flows' ages and leases would be off by as much, and a lease might never end.
        if !clock.explains(first, SHIFT) {
            return Err(invalid("it is not the monotonic clock's; is this a time namespace?"));
        }
        Ok(clock)
    }

    /// Whether it explains a tick, to within so many seconds.
    fn explains(self, (ticks, elapsed): (Ticks, Duration), seconds: u64) -> bool {
        self.ticks(elapsed).0.abs_diff(ticks.0) <= seconds * u64::from(self.hz)
    }

    /// The frequencies that explain a tick, to within two seconds.
    fn from_sample(sample: (Ticks, Duration)) -> Vec<Self> {
        let clocks = FREQUENCIES.into_iter().map(|hz| Self { hz });
        clocks.filter(|clock| clock.explains(sample, 2)).collect()
    }

    /// The frequency that comes closest to the ticks between two samples.
    fn from_samples(first: (Ticks, Duration), second: (Ticks, Duration)) -> Option<Self> {
        let ticks = u128::from(second.0.0.checked_sub(first.0.0)?) * 1_000_000_000;
        let nanoseconds = second.1.checked_sub(first.1)?.as_nanos();
        let miss = |hz: &u32| (u128::from(*hz) * nanoseconds).abs_diff(ticks);
        FREQUENCIES.into_iter().min_by_key(miss).map(|hz| Self { hz })
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

    /// The time since boot at a tick, rounded down.
    pub fn time(self, Ticks(ticks): Ticks) -> Duration {
        let hz = u64::from(self.hz);
        let since_boot = ticks.saturating_sub((1 << 32) - HEAD_START * hz);
        let nanoseconds = u128::from(since_boot) * 1_000_000_000 / u128::from(hz);
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
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

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Time since boot, suspension left out: what jiffies count.
pub fn monotonic() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frequency_is_recognised_from_one_sample_or_two() {
        for hz in FREQUENCIES {
            for seconds in [5, 86_400, 400 * 86_400] {
                let elapsed = Duration::from_secs(seconds) + Duration::from_millis(500);
                let clock = Clock { hz };
                let found = Clock::from_sample((clock.ticks(elapsed), elapsed));
                assert_eq!(found, [clock], "{hz} Hz after {seconds} s");
            }
            let (first, second) = (Duration::from_secs(300), Duration::from_millis(300_200));
            let clock = Clock { hz };
            let sample = |elapsed| (clock.ticks(elapsed), elapsed);
            assert_eq!(Clock::from_sample(sample(first)).len(), FREQUENCIES.len());
            assert_eq!(Clock::from_samples(sample(first), sample(second)), Some(clock));
        }
        let (second, decade) = (Duration::from_secs(1), Duration::from_secs(10 * 365 * 86_400));
        let clock = Clock { hz: 250 };
        let shifted = |at: Duration| (clock.ticks(at), at + decade);
        assert_eq!(Clock::from_sample(shifted(second)), []);
        assert!(!clock.explains(shifted(second), SHIFT), "a time namespace");
        let nonsense = (Ticks(77), Duration::from_secs(9));
        assert_eq!(Clock::from_sample(nonsense), []);
    }
}
