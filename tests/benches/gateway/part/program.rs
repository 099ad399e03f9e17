//! What the program itself takes, frame by frame, on one CPU and without a network around it; beside
//! xdp-filter, which keeps no state and knows no nodes.

pub(super) mod case;
pub(super) mod cases;
mod telling;

use serde_json::json;

use self::case::Case;
use crate::Effort;
use crate::frames::{self, Family, Side};
use crate::gateway::{Cordon, Gateway};
use crate::report::{Pair, Place, Report, Unit, Weight};
use crate::statistics::Samples;
use crate::traffic::{self, Sink, Timing};

const MANY: u16 = 1024;

pub(crate) fn measure(effort: Effort, report: &mut Report) {
    let cordon = Cordon::new();
    // Nothing may answer for the far host.
    let _sink = Sink::new(cordon.lab().far().link(), Timing::None);
    establish(&cordon);
    let mut cases = cases::all(&cordon, effort.pick(50_000, 100_000));
    traffic::on_cpu(0, || {
        cases::check(&cordon, &mut cases);
        for number in 0..effort.pick(20, 120) {
            cases.iter_mut().for_each(|case| case.round(number));
        }
    });
    let established = cases[0].net();
    for case in &cases {
        tell(report, case, &established);
    }
    telling::measure(effort, &cordon, report);
    report.note(
        "program: ns a frame over an empty program (BPF_PROG_TEST_RUN, the daemon's own program and \
         maps); xdp-filter with all features on the same frame, default deny: what passes, \
         passes by its port (MACs and addresses are looked up before), what is refused matches nothing",
    );
}

fn establish(cordon: &Cordon) {
    for family in [Family::V4, Family::V6, Family::Tagged] {
        cordon.establish(family, if family == Family::V4 { MANY } else { 1 });
    }
    for (side, packet) in frames::tcp_handshake(cordon.ends(Family::V4)) {
        match side {
            Side::Near => cordon.lab().near().port().send(&packet),
            Side::Far => cordon.lab().far().port().send(&packet),
        }
    }
}

fn tell(report: &mut Report, case: &Case, established: &Samples) {
    let Case { what, ours, empty, filter, target, renewed, .. } = case;
    let (net, filter_net) = (case.net(), case.filter_net());
    let row = format!("program: {what}");
    let pair = Pair {
        what: &row,
        unit: Unit::Nanoseconds,
        ours: &net,
        peer: established,
        peer_is: "itself, established",
        target: None,
        weight: Weight::Counts,
    };
    report.pair(match &filter_net {
        Some(peer) => Pair { peer, peer_is: "xdp-filter", target: *target, ..pair },
        None if *renewed => Pair { target: Some(4.0), ..pair },
        None => pair,
    });
    report.point("program", "Cordon", Place::In(what), &net);
    if let Some(net) = &filter_net {
        report.point("program", "xdp-filter", Place::In(what), net);
    }
    report.samples(
        row,
        json!({
            "ours_ns": ours.times.json(),
            "empty_ns": empty.times.json(),
            "xdp_filter_ns": filter.as_ref().map(|filter| filter.times.json()),
        }),
    );
}
