//! From the start of `cordon stop-all` to the last frame, while a CPU sends all it can.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use serde_json::json;

use crate::Effort;
use crate::frames::{self, Family};
use crate::gateway::{self, Cordon, Gateway};
use crate::report::{Report, Row, Target};
use crate::statistics::Samples;
use crate::traffic::{Generator, Sink, Timing};

const CPU: usize = 0;
/// Frames of one call.
const BURST: u32 = 1_000_000;
/// How long frames are waited for that come although they should not.
const SILENCE: Duration = Duration::from_millis(20);

/// What many stops came to.
#[derive(Default)]
pub(super) struct Stops {
    /// From the start of the command to the last frame, in ms.
    last_frame: Samples,
    /// From the start of the command to its end, in ms.
    answered: Samples,
    /// What the command says that the stop took, in ms.
    own: Samples,
    /// Frames after the command's end.
    late: u64,
    /// Stops that are left out of `last_frame`: the generator did not get the CPU meanwhile.
    unloaded: u32,
    /// What a command takes that does nothing, in ms.
    idle: Samples,
}

impl Stops {
    /// Stops, and waits whether anything still comes.
    pub(super) fn stop(&mut self, sink: &Sink, cordon: &Cordon, arguments: &[&str]) {
        let begun = now();
        let idle = cordon.command(&["--version"]).output().unwrap();
        assert!(idle.status.success());
        self.idle.push(milliseconds(now() - begun));
        let mut command = cordon.command(arguments);
        let begun = now();
        let report = gateway::answer(&mut command);
        let answered = now();
        let at_answer = sink.arrived();
        thread::sleep(SILENCE);
        let last = sink.arrived();
        self.late += last.frames - at_answer.frames;
        self.late += u64::from(at_answer.last > answered);
        // Without a frame since the start there was no load to stop, and nothing was measured.
        match last.last.checked_sub(begun) {
            Some(latency) => self.last_frame.push(milliseconds(latency)),
            None => self.unloaded += 1,
        }
        self.answered.push(milliseconds(answered - begun));
        self.own.push(report["took_microseconds"].as_f64().unwrap() / 1e3);
    }

    pub(super) fn report(&self, report: &mut Report, what: &str) {
        let [p50, p99] = [0.5, 0.99].map(|share| self.last_frame.quantile(share));
        report.row(Row {
            what: format!(
                "{what}: command started to last frame, p50 / p99 / max of {}",
                self.last_frame.0.len()
            ),
            ours: format!("{p50:.2} / {p99:.2} / {:.2} ms", self.last_frame.maximum()),
            peer: format!(
                "{:.2} / {:.2} ms, --version",
                self.idle.median(),
                self.idle.quantile(0.99)
            ),
            target: Target::at_most(5.0, "ms (p99)", p99),
            ..Row::default()
        });
        report.row(Row {
            what: format!("{what}: command started to answered, p50 / p99"),
            ours: format!("{:.2} / {:.2} ms", self.answered.median(), self.answered.quantile(0.99)),
            ..Row::default()
        });
        report.row(Row {
            what: format!("{what}: latch, store and read-back by its own clock, p50 / p99"),
            ours: format!("{:.2} / {:.2} ms", self.own.median(), self.own.quantile(0.99)),
            ..Row::default()
        });
        report.row(Row {
            what: format!("{what}: frames after the answer"),
            ours: self.late.to_string(),
            target: Target::exactly("0", self.late == 0),
            ..Row::default()
        });
        if self.unloaded > 0 {
            report.note(format!(
                "{what}: {} of {} stops are left out of the last frame's time: the generator did \
                 not run between the command's start and the stop",
                self.unloaded,
                self.own.0.len()
            ));
        }
        report.samples(
            what,
            json!({
                "last_frame_ms": self.last_frame.json(),
                "answered_ms": self.answered.json(),
                "own_ms": self.own.json(),
                "late": self.late,
                "unloaded": self.unloaded,
                "idle_ms": self.idle.json(),
            }),
        );
    }
}

pub(crate) fn measure(effort: Effort, report: &mut Report) {
    let mut cordon = Cordon::new();
    let load = Load::new(&cordon);
    let (mut stops, mut direct) = (Stops::default(), Stops::default());
    load.while_sending(|sink| {
        for _ in 0..effort.pick(20, 200) {
            stops.stop(sink, &cordon, &["stop-all", "--reason", "bench"]);
            cordon.ask(&["resume", "--reason", "bench"]);
            flows(sink);
        }
        for _ in 0..effort.pick(5, 200) {
            cordon.kill();
            direct.stop(sink, &cordon, &["stop-all", "--direct", "--reason", "bench"]);
            cordon.start();
            cordon.ask(&["resume", "--reason", "bench"]);
            flows(sink);
        }
    });
    stops.report(report, "stop-all");
    direct.report(report, "stop-all --direct, daemon killed");
    report.note(
        "stop-all: an ordinary stop of a flow that no essential rule allows, one CPU sending at full \
         rate meanwhile; the sink notes the time of every frame; starting the command is part of it; where the \
         generator loses its CPU to the command, the last frame comes early: the time to the answer \
         bounds it from above",
    );
}

/// One flow, at all that a CPU can send.
pub(super) struct Load {
    sink: Sink,
    generator: Generator,
}

impl Load {
    pub(super) fn new(cordon: &Cordon) -> Self {
        let sink = Sink::new(cordon.lab().far().link(), Timing::LastFrame);
        cordon.establish(Family::V4, 1);
        let frame = frames::request(cordon.ends(Family::V4), Family::V4, 1);
        let generator = Generator::new(cordon.lab().near().link(), &[frame]);
        Self { sink, generator }
    }

    pub(super) fn while_sending(&self, act: impl FnOnce(&Sink)) {
        let end = AtomicBool::new(false);
        thread::scope(|scope| {
            // The generator ends also where something below panics, or nobody would see the panic.
            let _guard = Ending(&end);
            scope.spawn(|| self.generator.send_until(CPU, BURST, &end));
            flows(&self.sink);
            act(&self.sink);
        });
    }
}

struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Waits until frames arrive.
pub(super) fn flows(sink: &Sink) {
    let before = sink.arrived().frames;
    gateway::wait_until("frames flow", || sink.arrived().frames > before + 10_000);
}

fn now() -> u64 {
    let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap());
    u64::try_from(now.as_nanos()).unwrap()
}

fn milliseconds(nanoseconds: u64) -> f64 {
    Duration::from_nanos(nanoseconds).as_secs_f64() * 1e3
}
