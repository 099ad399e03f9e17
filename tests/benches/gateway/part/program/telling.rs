//! What it costs to tell of a refused frame: an event in the ring, against a bucket without tokens.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use aya::util::nr_cpus;
use firewall_common::abi::{EventState, map};
use firewall_daemon::dataplane::sys;

use super::case::Runner;
use crate::Effort;
use crate::frames::{self, Family, Frame, Side};
use crate::gateway::{Cordon, Gateway};
use crate::program::Program;
use crate::report::{Pair, Report, Unit, Weight};
use crate::statistics::Samples;
use crate::traffic;

/// Frames of one run: they fit the ring, and end before the kernel's tick refills the bucket.
const FRAMES: u32 = 500;
/// A run is not taken that a tick falls into, nor one that finds the ring full.
const ATTEMPTS: u32 = 20;
/// In which the daemon empties the ring.
const PAUSE: Duration = Duration::from_millis(2);

struct Bucket {
    state: OwnedFd,
    program: Program,
    frame: Frame,
}

pub(super) fn measure(effort: Effort, cordon: &Cordon, report: &mut Report) {
    traffic::on_cpu(0, || compare(effort, cordon, report));
}

fn compare(effort: Effort, cordon: &Cordon, report: &mut Report) {
    let bucket = Bucket {
        state: cordon.map(map::EVENT_STATE),
        program: cordon.program(Side::Near),
        frame: frames::no_rule(cordon.ends(Family::V4), Side::Near),
    };
    let mut empty = Runner::new(&Program::empty(), super::cases::XDP_PASS);
    let [mut told, mut untold] = [const { Samples(Vec::new()) }; 2];
    for number in 0..effort.pick(20, 120) {
        let order = if number % 2 == 0 { [FRAMES, 0] } else { [0, FRAMES] };
        let [Some(first), Some(second)] = order.map(|tokens| bucket.time(tokens)) else { continue };
        empty.run("empty", &bucket.frame.bytes, FRAMES);
        let (with, without) = if number % 2 == 0 { (first, second) } else { (second, first) };
        told.push(with);
        untold.push(without);
    }
    if told.0.is_empty() {
        return report
            .note("program: what an event costs could not be told: every run was disturbed");
    }
    let [told, untold] =
        [told, untold].map(|times| times.paired(&empty.times, |own, empty| own - empty));
    report.pair(Pair {
        what: "program: no rule, an event written",
        unit: Unit::Nanoseconds,
        ours: &told,
        peer: &untold,
        peer_is: "itself, none written",
        target: None,
        weight: Weight::Informs,
    });
}

impl Bucket {
    /// Nanoseconds a frame, while the bucket has so many tokens.
    fn time(&self, tokens: u32) -> Option<f64> {
        (0..ATTEMPTS).find_map(|_| {
            std::thread::sleep(PAUSE);
            // The tick's own refill comes first.
            self.program.run(&self.frame.bytes, 1);
            let mut states = self.states();
            let before = states.iter().map(|state| state.emitted).sum::<u64>();
            states.iter_mut().for_each(|state| state.tokens = tokens.into());
            // SAFETY: four bytes of key, and a value for every possible CPU.
            unsafe { sys::map_update(self.state.as_fd(), &0_u32, states.as_slice()) }.unwrap();
            let (took, _) = self.program.run(&self.frame.bytes, FRAMES);
            let emitted = self.states().iter().map(|state| state.emitted).sum::<u64>() - before;
            (emitted == u64::from(tokens)).then_some(took)
        })
    }

    fn states(&self) -> Vec<EventState> {
        let mut states = vec![EventState::default(); nr_cpus().unwrap()];
        // SAFETY: four bytes of key, and a value for every possible CPU.
        unsafe { sys::map_lookup(self.state.as_fd(), &0_u32, &mut states) }.unwrap();
        states
    }
}
