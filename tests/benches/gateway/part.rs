//! What is measured, one file each.

mod activate;
mod forward;
mod ledger;
mod program;
mod stop;

use crate::Effort;
use crate::report::Report;

type Measure = fn(Effort, &mut Report);

/// Every part, in the order of the table.
pub(crate) const PARTS: [(&str, Measure); 5] = [
    ("forward", forward::measure),
    ("program", program::measure),
    ("stop", stop::measure),
    ("activate", activate::measure),
    ("ledger", ledger::measure),
];
