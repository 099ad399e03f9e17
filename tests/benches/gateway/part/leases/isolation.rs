//! From the start of `cordon isolate` to the last frame, under full load.

use crate::Effort;
use crate::gateway::Cordon;
use crate::part::stop::{self, Load, Stops};
use crate::report::Report;

pub(super) fn measure(effort: Effort, report: &mut Report) {
    let cordon = Cordon::new();
    let mut stops = Stops::default();
    Load::new(&cordon).while_sending(|sink| {
        for _ in 0..effort.pick(20, 100) {
            stops.stop(sink, &cordon, &["isolate", "host-near", "--reason", "bench"]);
            cordon.ask(&["release", "host-near", "--reason", "bench"]);
            stop::flows(sink);
        }
    });
    stops.report(report, "isolate");
}
