//! Frames of `ct-1` that a rule permits, ten a millisecond, and when they arrive.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use firewall_tests::gateway::policy::{FAR, NEAR};
use firewall_tests::lab::Lab;
use firewall_tests::packet::{payload, udp};
use nix::time::{ClockId, clock_gettime};

use crate::traffic::{Sink, Timing};

/// Between two frames; a sleep takes 50 µs longer.
const PAUSE: Duration = Duration::from_micros(50);
/// When nothing has come for so long, nothing comes any more.
const SILENCE: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(20);

/// See the [module](self).
pub(super) struct Traffic {
    sink: Sink,
    over: Arc<AtomicBool>,
    sender: Option<JoinHandle<()>>,
}

impl Traffic {
    pub(super) fn start(lab: &Lab) -> Self {
        let sink = Sink::new(lab.far().link(), Timing::LastFrame);
        let (port, over) = (lab.near().port(), Arc::new(AtomicBool::new(false)));
        let [headers, _] = NEAR.to(&FAR);
        let frame = (headers / udp(40_000, 514) / payload([0; 64])).bytes();
        let end = Arc::clone(&over);
        let sender = thread::spawn(move || {
            while !end.load(SeqCst) {
                // Without carrier there is nothing to send to.
                let _lost = port.try_send(&frame);
                thread::sleep(PAUSE);
            }
        });
        Self { sink, over, sender: Some(sender) }
    }

    /// From `begun` until frames arrive, in ms.
    pub(super) fn begins(&self, begun: Duration) -> f64 {
        let before = self.sink.arrived().frames;
        let end = Instant::now() + PATIENCE;
        while self.sink.arrived().frames == before {
            assert!(Instant::now() < end, "no frame arrives");
            thread::yield_now();
        }
        milliseconds(now().saturating_sub(begun))
    }

    /// From `begun` to the last frame, in ms; 0 if none has arrived since.
    pub(super) fn ends(&self, begun: Duration) -> f64 {
        let end = Instant::now() + PATIENCE;
        let mut last = self.sink.arrived();
        loop {
            thread::sleep(SILENCE);
            let now = self.sink.arrived();
            if now.frames == last.frames {
                return milliseconds(Duration::from_nanos(now.last).saturating_sub(begun));
            }
            assert!(Instant::now() < end, "frames go on arriving");
            last = now;
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.over.store(true, SeqCst);
        let ended = self.sender.take().map(JoinHandle::join);
        assert!(ended.is_none_or(|ended| ended.is_ok()) || thread::panicking());
    }
}

/// By the clock of the sink.
pub(super) fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap().into()
}

pub(super) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
