//! From what happens to a proof to what that does to frames, and what renewals cost.

mod certificate;
mod isolation;
mod port;
mod renewals;
mod switch;
mod traffic;

use serde_json::json;

use crate::Effort;
use crate::report::{Report, Row, Target};
use crate::statistics::Samples;

pub(crate) fn measure(effort: Effort, report: &mut Report) {
    port::measure(effort, report);
    switch::measure(effort, report);
    certificate::measure(effort, report);
    isolation::measure(effort, report);
    renewals::measure(effort, report);
}

/// How long a permitted node may wait.
const BEGIN: f64 = 100.0;
/// How long one that is not permitted any more may speak.
const END: f64 = 1000.0;

/// A row of milliseconds, whose slowest sample counts.
fn row(report: &mut Report, what: &str, samples: &Samples, most: f64) {
    let [median, slowest] = [samples.median(), samples.maximum()];
    report.row(Row {
        what: format!("leases: {what}, p50 / max of {}", samples.0.len()),
        ours: format!("{median:.2} / {slowest:.2} ms"),
        target: Target::at_most(most, "ms (max)", slowest),
        ..Row::default()
    });
    report.samples(format!("leases: {what}"), json!({ "ms": samples.json() }));
}
