//! Forgets flows that are over, and takes no more than its share of a processor for it, however many
//! there are.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use super::Daemon;
use crate::dataplane::sweep::Sweep;
use crate::priority;

/// A fiftieth of a processor.
const SHARE: u32 = 50;
/// How often the whole table is looked at, if that takes no more than the share.
const WALK: Duration = Duration::from_secs(5);
/// For how long a flow is over before it is forgotten, in seconds.
const GRACE: u32 = 5;

impl Daemon {
    /// Begins to forget flows that are over, on a thread of its own, behind the others: nobody
    /// who stops something waits for it.
    pub fn sweep(self: Arc<Self>) -> io::Result<()> {
        let sweeping = move || {
            priority::lower();
            let mut sweep = Sweep::new(GRACE * self.clock.hz());
            loop {
                let begun = Instant::now();
                self.walk(&mut sweep);
                thread::sleep(WALK.saturating_sub(begun.elapsed()));
            }
        };
        thread::Builder::new().name("sweep".to_owned()).spawn(sweeping).map(drop)
    }

    /// Once over the table.
    fn walk(&self, sweep: &mut Sweep) {
        loop {
            let before = spent();
            let slice = sweep.slice(&self.maps, self.clock.now());
            thread::sleep((SHARE - 1) * spent().saturating_sub(before));
            if slice.is_last {
                return;
            }
        }
    }
}

/// The processor's time that this thread has taken.
fn spent() -> Duration {
    // Every Linux has that clock.
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}
