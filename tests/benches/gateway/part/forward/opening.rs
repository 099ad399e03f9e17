//! New flows a second: every frame opens one.

use std::time::Duration;

use super::cell::Cell;
use crate::Effort;
use crate::frames::{self, Family};
use crate::gateway::{Cordon, Gateway, Mode, Nftables, Rules};
use crate::report::{Pair, Place, Report, Unit, Weight};
use crate::traffic::{Sink, Timing};

const PEER: &str = "nftables, ct state new";

pub(super) fn measure(effort: Effort, report: &mut Report) {
    let (bridge, router) = (Cordon::standing(Mode::Bridge), Cordon::standing(Mode::Router));
    let nftables = Nftables::new(Mode::Router, Rules::Tracked);
    let all: [(_, &dyn Gateway); 3] =
        [(super::BRIDGE, &bridge), (super::ROUTER, &router), (PEER, &nftables)];
    let sinks = all.map(|(_, gateway)| Sink::new(gateway.lab().far().link(), Timing::None));
    let round = Duration::from_millis(effort.pick(30, 40));
    let mut cells: Vec<_> = all
        .into_iter()
        .zip(&sinks)
        .map(|((name, gateway), sink)| {
            Cell::new(name, gateway, sink, frames::opening(gateway.ends(Family::Crowd)), round)
        })
        .collect();
    for number in 0..effort.pick(15, 100) {
        if number % 2 == 0 {
            cells.iter_mut().for_each(Cell::round);
        } else {
            cells.iter_mut().rev().for_each(Cell::round);
        }
    }
    let [ours @ .., peer] = cells.as_slice() else { return };
    for cell in ours {
        report.pair(Pair {
            what: &format!("forward, new flows: {}", cell.name),
            unit: Unit::Rate,
            ours: &cell.rates,
            peer: &peer.rates,
            peer_is: PEER,
            target: None,
            weight: Weight::Counts,
        });
        report.point("forward", cell.name, Place::In("new flows"), &cell.rates);
    }
    report.point("forward", PEER, Place::In("new flows"), &peer.rates);
    report.note(
        "forward, new flows: every frame opens one, in millions a second; the tables of both run full \
         and let go of the oldest unanswered ones",
    );
    for cell in &cells {
        let lost = 1.0 - cell.delivered.median();
        if lost > 0.001 {
            report.note(format!("forward, new flows: {} lost {:.1} %", cell.name, 100.0 * lost));
        }
    }
}
