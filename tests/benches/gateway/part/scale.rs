//! How the cost of a frame grows with nodes, with rules and with active flows: one at a time, and the
//! large corner against the small one.

mod policy;
mod site;

use std::time::Instant;

use self::policy::Size;
use self::site::{Kind, Site, Stepping};
use crate::Effort;
use crate::program::Program;
use crate::report::{Pair, Place, Report, Unit, Weight};
use crate::statistics::Samples;
use crate::traffic;

/// Active flows where nodes and rules are what grows.
const FLOWS: u32 = 1024;
const SMALL: Size = Size { nodes: 10, rules: 10, speakers: 2 };
/// More ports than that no address has.
const CROWD: Size = Size { nodes: 75, rules: 10, speakers: 6 };

/// What a site stands for.
struct Point {
    chart: Option<&'static str>,
    over: u32,
    site: Site,
}

pub(crate) fn measure(effort: Effort, report: &mut Report) {
    let empty = Stepping::new(&Program::empty(), SMALL, FLOWS);
    let small = Site::new(SMALL, FLOWS, &empty, &Kind::ALL);
    let mut points = vec![Point { chart: None, over: 10, site: small }];
    let mut add = |chart, over, size| {
        let begun = Instant::now();
        points.push(Point { chart, over, site: Site::new(size, FLOWS, &empty, &Kind::ALL) });
        eprintln!("    {size:?} in force after {:.1} s", begun.elapsed().as_secs_f64());
    };
    for &nodes in effort.pick(&[1_000, 100_000][..], &[1_000, 100_000, 1_000_000]) {
        add(Some("nodes"), nodes, Size { nodes, ..SMALL });
    }
    for rules in [1_000, 100_000] {
        add(Some("rules"), rules, Size { nodes: 1_000, rules, ..SMALL });
    }
    let large = Size { nodes: effort.pick(100_000, 1_000_000), rules: 100_000, ..SMALL };
    add(None, large.nodes, large);
    traffic::on_cpu(0, || {
        for number in 0..effort.pick(15, 100) {
            in_turns(&mut points, number, |point, number| point.site.round(number));
        }
    });
    grown(report, &points, large);
    drop(points);
    crowded(effort, report);
    report.note(
        "scale: ns a frame over an empty program, as in `program`; 1024 flows of 4 nodes take turns; \
         what follows 1M nodes or 64k flows lies in no cache and only informs",
    );
}

fn in_turns<T>(all: &mut [T], number: u16, act: impl Fn(&mut T, u16)) {
    if number.is_multiple_of(2) {
        all.iter_mut().for_each(|one| act(one, number));
    } else {
        all.iter_mut().rev().for_each(|one| act(one, number));
    }
}

/// Each site against the small one.
fn grown(report: &mut Report, points: &[Point], large: Size) {
    let [small, others @ ..] = points else { return };
    for kind in Kind::ALL {
        let base = small.site.net(kind);
        for chart in ["nodes", "rules"] {
            report.point(chart, kind.name(), Place::Over(small.over), &base);
        }
        for Point { chart, over, site } in others {
            let net = site.net(kind);
            let (grows, target) = match chart {
                Some(chart) => (format!("{over} {chart}"), None),
                None => (format!("{} nodes and {} rules", large.nodes, large.rules), Some(1.25)),
            };
            report.pair(Pair {
                what: &format!("scale: {}, {grows}", kind.name()),
                unit: Unit::Nanoseconds,
                ours: &net,
                peer: &base,
                peer_is: "itself, 10 nodes and 10 rules",
                target: target.filter(|_| kind == Kind::Established),
                weight: if *over > 100_000 { Weight::Informs } else { Weight::Counts },
            });
            if let Some(chart) = chart {
                report.point(chart, kind.name(), Place::Over(*over), &net);
            }
        }
    }
}

/// One site, of whose million flows more and more are active.
fn crowded(effort: Effort, report: &mut Report) {
    let most = 1 << 20;
    let axis = [1, 1 << 10, 1 << 16, most];
    let empty = Stepping::new(&Program::empty(), CROWD, most);
    let mut site = Site::new(CROWD, most, &empty, &[Kind::NoRule, Kind::First]);
    for flows in axis {
        site.take_turns(flows);
    }
    traffic::on_cpu(0, || (0..effort.pick(10, 100)).for_each(|number| site.round(number)));
    let nets: Vec<(u32, Samples)> = site.established().collect();
    let [(_, base), ..] = nets.as_slice() else { return };
    for (flows, net) in &nets {
        report.point("flows", Kind::Established.name(), Place::Over(*flows), net);
        if *flows > 1 {
            report.pair(Pair {
                what: &format!("scale: established, {flows} active flows"),
                unit: Unit::Nanoseconds,
                ours: net,
                peer: base,
                peer_is: "itself, 1 flow",
                target: None,
                weight: if *flows > FLOWS { Weight::Informs } else { Weight::Counts },
            });
        }
    }
    for kind in [Kind::NoRule, Kind::First] {
        report.pair(Pair {
            what: &format!("scale: {}, {most} flows in the table", kind.name()),
            unit: Unit::Nanoseconds,
            ours: &site.net(kind),
            peer: base,
            peer_is: "established, 1 flow",
            target: None,
            weight: Weight::Informs,
        });
    }
}
