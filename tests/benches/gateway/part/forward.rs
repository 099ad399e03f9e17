//! Frames a second from one host to the other, through all gateways in turns.

mod cell;
mod opening;

use std::time::Duration;

use serde_json::json;

use self::cell::Cell;
use crate::Effort;
use crate::frames::Family;
use crate::gateway::{Bare, Cordon, Gateway, Mode, Nftables, Rules};
use crate::report::{Pair, Place, Report, Row, Target, Unit, Weight};
use crate::statistics::Samples;
use crate::traffic::{Sink, Timing};

const MANY: u16 = 1024;
const LOADS: [(Family, u16); 4] =
    [(Family::V4, 1), (Family::V4, MANY), (Family::V6, 1), (Family::V6, MANY)];

/// A gateway, and what ours should be of it.
struct Contender {
    name: &'static str,
    gateway: Box<dyn Gateway>,
    sink: Sink,
    /// Whose peer it is, and at least how many times as fast that should be with one flow and with
    /// many.
    peer_of: &'static [&'static str],
    target: Option<[f64; 2]>,
    /// Its rules know neither flows nor IPv6: one load tells all.
    stateless: bool,
}

const BRIDGE: &str = "Cordon, bridge";
const ROUTER: &str = "Cordon, router";

fn contenders() -> Vec<Contender> {
    let ours = |name, mode| Contender::new(name, Cordon::standing(mode), &[], None);
    let nftables = |name, mode, rules, target| {
        let peer_of: &[&str] = match mode {
            Mode::Bridge => &[BRIDGE],
            Mode::Router => &[ROUTER],
        };
        let stateless = rules != Rules::Tracked;
        // This kernel has no connection tracking on bridges: both are compared with the router.
        let peer_of = if stateless { peer_of } else { &[BRIDGE, ROUTER] };
        Contender { stateless, ..Contender::new(name, Nftables::new(mode, rules), peer_of, target) }
    };
    let (bridge, router, linear) = (Mode::Bridge, Mode::Router, Some([15.0; 2]));
    vec![
        ours(BRIDGE, bridge),
        ours(ROUTER, router),
        Contender::new("bare redirect", Bare::new(), &[BRIDGE, ROUTER], Some([0.85, 0.75])),
        nftables("nftables, ct state established", router, Rules::Tracked, Some([4.0; 2])),
        nftables("nftables, 100 rules", router, Rules::Linear(100), None),
        nftables("nftables, 1000 rules", router, Rules::Linear(1000), linear),
        nftables("nftables, set of 1000", router, Rules::Set(1000), None),
        nftables("nftables on a bridge, 1000 rules", bridge, Rules::Linear(1000), linear),
        nftables("nftables on a bridge, set of 1000", bridge, Rules::Set(1000), None),
    ]
}

impl Contender {
    fn new(
        name: &'static str,
        gateway: impl Gateway + 'static,
        peer_of: &'static [&'static str],
        target: Option<[f64; 2]>,
    ) -> Self {
        let sink = Sink::new(gateway.lab().far().link(), Timing::None);
        Self { name, gateway: Box::new(gateway), sink, peer_of, target, stateless: false }
    }
}

pub(crate) fn measure(effort: Effort, report: &mut Report) {
    let contenders = contenders();
    let mut loads: Vec<_> = LOADS
        .into_iter()
        .map(|(family, flows)| {
            let able =
                contenders.iter().filter(|one| !one.stateless || (family, flows) == LOADS[0]);
            let round = Duration::from_millis(effort.pick(30, 40));
            let cells = able.map(|one| Cell::established(one, (family, flows), round));
            (family, flows, cells.collect::<Vec<_>>())
        })
        .collect();
    for number in 0..effort.pick(15, 100) {
        let cells = loads.iter_mut().flat_map(|(_, _, cells)| cells);
        if number % 2 == 0 {
            cells.for_each(Cell::round);
        } else {
            cells.rev().for_each(Cell::round);
        }
    }
    for (family, flows, cells) in &loads {
        tell(report, &contenders, cells, *family, *flows);
    }
    for mode in [BRIDGE, ROUTER] {
        let rates = |load: usize| &find(&loads[load].2, mode).rates;
        compare_families(report, mode, rates(0), rates(2));
    }
    drop(loads);
    drop(contenders);
    opening::measure(effort, report);
    report.note(
        "forward: millions of 64-byte UDP frames a second of established flows; generator, \
         gateway and sink share one CPU, the same code makes and counts the frames for all; \
         median (quartiles), ratios round by round",
    );
    report.note(
        "forward: nftables routes by ip_forward, or where a bridge is said bridges; its policy is \
         drop; `ct state established accept` comes first; this kernel has no connection tracking on \
         bridges, so the bridge is compared with the router there; the 100 or 1000 rules know no \
         state, ours is the last",
    );
}

fn find<'a, 'b>(cells: &'a [Cell<'b>], name: &str) -> &'a Cell<'b> {
    cells.iter().find(|cell| cell.name == name).expect("every load goes through it")
}

fn tell(report: &mut Report, all: &[Contender], cells: &[Cell<'_>], family: Family, flows: u16) {
    let load = match flows {
        1 => format!("{}, 1 flow", family.name()),
        _ => format!("{}, {flows} flows", family.name()),
    };
    for Contender { name, peer_of, target, .. } in all {
        let Some(peer) = cells.iter().find(|cell| cell.name == *name) else { continue };
        for ours in *peer_of {
            report.pair(Pair {
                what: &format!("forward, {load}: {ours}"),
                unit: Unit::Rate,
                ours: &find(cells, ours).rates,
                peer: &peer.rates,
                peer_is: name,
                target: target.map(|[one, many]| if flows == 1 { one } else { many }),
                weight: Weight::Counts,
            });
        }
        report.point("forward", name, Place::In(&load), &peer.rates);
        report.samples(
            format!("forward, {load}: {name}"),
            json!({ "mpps": peer.rates.json(), "delivered": peer.delivered.json() }),
        );
    }
    let lost = cells.iter().map(|cell| 1.0 - cell.delivered.median()).fold(0.0, f64::max);
    if lost > 0.001 {
        report.note(format!(
            "forward, {load}: up to {:.1} % of the frames found a full ring; only those that \
             arrived count",
            100.0 * lost
        ));
    }
}

fn compare_families(report: &mut Report, mode: &str, v4: &Samples, v6: &Samples) {
    report.row(Row {
        what: format!("forward, {mode}: IPv6 of IPv4, 1 flow"),
        ours: Unit::Rate.show(v6),
        peer: Unit::Rate.show(v4),
        ratio: v6.over(v4).show(2),
        target: Target::at_least(0.85, v6.over(v4).median()),
    });
}
