//! What is measured, one file each.

mod activate;
mod flood;
mod forward;
mod leases;
mod ledger;
mod memory;
mod program;
mod scale;
mod stop;

use crate::Effort;
use crate::report::Report;

type Measure = fn(Effort, &mut Report);

/// Every part, in the order of the table.
pub(crate) const PARTS: [(&str, Measure); 9] = [
    ("forward", forward::measure),
    ("program", program::measure),
    ("scale", scale::measure),
    ("stop", stop::measure),
    ("leases", leases::measure),
    ("activate", activate::measure),
    ("flood", flood::measure),
    ("memory", memory::measure),
    ("ledger", ledger::measure),
];
