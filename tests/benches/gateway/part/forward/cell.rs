//! One load through one gateway.

use std::time::Duration;

use super::Contender;
use crate::frames::{self, Family, Frame};
use crate::gateway::Gateway;
use crate::statistics::Samples;
use crate::traffic::{Generator, Sink};

/// Generator, gateway and sink share this CPU: a frame's whole way is what is measured.
const CPU: usize = 0;
/// Frames that tell how many make up a round.
const TRIAL: u32 = 20_000;
/// Of fewer the first and the last batch say too little.
const MINIMUM: u32 = 1_000;

/// See the [module](self).
pub(super) struct Cell<'a> {
    pub(super) name: &'static str,
    generator: Generator,
    sink: &'a Sink,
    count: u32,
    pub(super) rates: Samples,
    pub(super) delivered: Samples,
}

impl<'a> Cell<'a> {
    /// Establishes the flows; a round takes about that long.
    pub(super) fn established(
        contender: &'a Contender,
        (family, flows): (Family, u16),
        round: Duration,
    ) -> Self {
        let Contender { name, gateway, sink, .. } = contender;
        gateway.establish(family, flows);
        let frame = frames::request(gateway.ends(family), family, flows);
        Self::new(name, &**gateway, sink, frame, round)
    }

    pub(super) fn new(
        name: &'static str,
        gateway: &dyn Gateway,
        sink: &'a Sink,
        frame: Frame,
        round: Duration,
    ) -> Self {
        let generator = Generator::new(gateway.lab().near().link(), &[frame]);
        let (rates, delivered) = (Samples::default(), Samples::default());
        let mut cell = Self { name, generator, sink, count: TRIAL, rates, delivered };
        cell.calibrate(round);
        cell
    }

    /// Sends, and keeps millions of delivered frames a second.
    pub(super) fn round(&mut self) {
        let (rate, delivered) = send(&self.generator, self.sink, self.count);
        self.rates.push(rate);
        self.delivered.push(delivered);
    }

    fn calibrate(&mut self, round: Duration) {
        send(&self.generator, self.sink, TRIAL);
        let (rate, delivered) = send(&self.generator, self.sink, TRIAL);
        assert!(delivered > 0.5, "{}: only {:.1} % arrive", self.name, 100.0 * delivered);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most some ten million frames"
        )]
        let count = (rate * 1e6 * round.as_secs_f64()) as u32;
        self.count = count.max(MINIMUM);
    }
}

/// Millions of delivered frames a second, and their share of those sent.
fn send(generator: &Generator, sink: &Sink, count: u32) -> (f64, f64) {
    let before = sink.arrived().frames;
    let took = generator.send(CPU, count);
    // The last few hundred frames may still be on their way.
    std::thread::sleep(Duration::from_millis(2));
    #[expect(clippy::cast_precision_loss, reason = "a few million frames")]
    let arrived = (sink.arrived().frames - before) as f64;
    (arrived / took.as_secs_f64() / 1e6, arrived / f64::from(count))
}
