//! Frames a second from one host to the other, through four gateways in turns.

use std::time::Duration;

use serde_json::json;

use crate::Effort;
use crate::frames::{self, Family};
use crate::gateway::{Bare, Cordon, Gateway, Mode, Nftables};
use crate::report::{Report, Row, Target};
use crate::statistics::Samples;
use crate::traffic::{Generator, Sink, Timing};

/// Generator, gateway and sink share this CPU: a frame's whole way is what is measured.
const CPU: usize = 0;
const MANY: u16 = 1024;
const LOADS: [(Family, u16); 4] =
    [(Family::V4, 1), (Family::V4, MANY), (Family::V6, 1), (Family::V6, MANY)];
/// Frames that tell how many make up a round.
const TRIAL: u32 = 200_000;

/// One load through one gateway.
struct Cell<'a> {
    generator: Generator,
    sink: &'a Sink,
    count: u32,
    rates: Samples,
    delivered: Samples,
}

impl Cell<'_> {
    /// Sends, and keeps millions of delivered frames a second.
    fn round(&mut self) {
        let (rate, delivered) = self.send(self.count);
        self.rates.push(rate);
        self.delivered.push(delivered);
    }

    fn send(&self, count: u32) -> (f64, f64) {
        let before = self.sink.arrived().frames;
        let took = self.generator.send(CPU, count);
        // The last few hundred frames may still be on their way.
        std::thread::sleep(Duration::from_millis(2));
        #[expect(clippy::cast_precision_loss, reason = "a few million frames")]
        let arrived = (self.sink.arrived().frames - before) as f64;
        (arrived / took.as_secs_f64() / 1e6, arrived / f64::from(count))
    }

    fn calibrate(&mut self, round: Duration) {
        self.send(TRIAL);
        let (rate, delivered) = self.send(TRIAL);
        assert!(delivered > 0.5, "only {:.1} % arrive", 100.0 * delivered);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most some ten million frames"
        )]
        let count = (rate * 1e6 * round.as_secs_f64()) as u32;
        self.count = count.max(TRIAL);
    }
}

pub(crate) fn measure(effort: Effort, report: &mut Report) {
    let rounds = effort.pick(15, 40);
    let round = effort.pick(Duration::from_millis(150), Duration::from_millis(400));
    let (bare, cordon, nftables) = (Bare::new(), Cordon::new(), Nftables::new());
    let router = Cordon::standing(Mode::Router);
    let gateways: [(&str, &dyn Gateway); 4] = [
        ("bare redirect", &bare),
        ("cordon", &cordon),
        ("cordon as a router", &router),
        ("nftables", &nftables),
    ];
    let sinks = gateways.map(|(_, gateway)| Sink::new(gateway.lab().far().link(), Timing::None));
    let mut cells = Vec::new();
    for (family, flows) in LOADS {
        for ((_, gateway), sink) in gateways.into_iter().zip(&sinks) {
            gateway.establish(family, flows);
            let frame = frames::request(gateway.ends(family), family, flows);
            let generator = Generator::new(gateway.lab().near().link(), &[frame]);
            let (rates, delivered) = (Samples::default(), Samples::default());
            let mut cell = Cell { generator, sink, count: TRIAL, rates, delivered };
            cell.calibrate(round);
            cells.push(cell);
        }
    }
    for number in 0..rounds {
        if number % 2 == 0 {
            cells.iter_mut().for_each(Cell::round);
        } else {
            cells.iter_mut().rev().for_each(Cell::round);
        }
    }
    for (cells, (family, flows)) in cells.chunks(gateways.len()).zip(LOADS) {
        rows(report, cells, family, flows);
        for (cell, (name, _)) in cells.iter().zip(gateways) {
            report.samples(
                format!("forward {family:?} {flows} {name}"),
                json!({ "mpps": cell.rates.json(), "delivered": cell.delivered.json() }),
            );
        }
    }
    for (place, mode) in [(1, "bridge"), (2, "router")] {
        let v6 = &cells[2 * gateways.len() + place].rates;
        compare_families(report, mode, &cells[place].rates, v6);
    }
    report.note(
        "forward: millions of 64-byte UDP frames a second of established flows; generator, \
         gateway and sink share one CPU, the same code makes and counts the frames for all three; \
         median (quartiles), ratios round by round",
    );
    report.note(
        "forward: nftables routes (ip_forward, `ct state established accept` first, policy drop), \
         because this kernel has no connection tracking on bridges; the bare redirect bridges",
    );
}

fn rows(report: &mut Report, cells: &[Cell<'_>], family: Family, flows: u16) {
    let [bare, bridge, router, nftables] = cells else { return };
    for (mode, ours) in [("bridge", bridge), ("router", router)] {
        for (peer, cell, target) in [("a bare redirect", bare, 0.7), ("nftables", nftables, 4.0)] {
            let ratio = ours.rates.over(&cell.rates);
            report.row(Row {
                what: format!("forward {family:?}, {mode}, {flows} flows, of {peer}"),
                ours: format!("{} Mpps", ours.rates.show(2)),
                peer: format!("{} Mpps", cell.rates.show(2)),
                ratio: ratio.show(2),
                target: Target::at_least(target, ratio.median()),
            });
        }
    }
    let lost = cells.iter().map(|cell| 1.0 - cell.delivered.median()).fold(0.0, f64::max);
    if lost > 0.001 {
        report.note(format!(
            "forward {family:?}, {flows} flows: up to {:.1} % of the frames found a full ring; only \
             those that arrived count",
            100.0 * lost
        ));
    }
}

fn compare_families(report: &mut Report, mode: &str, v4: &Samples, v6: &Samples) {
    report.row(Row {
        what: format!("forward, {mode}, IPv6 of IPv4, 1 flow"),
        ours: format!("{} Mpps", v6.show(2)),
        peer: format!("{} Mpps", v4.show(2)),
        ratio: v6.over(v4).show(2),
        target: Target::at_least(0.85, v6.over(v4).median()),
    });
}
