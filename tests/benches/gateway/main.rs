//! Measures the real daemon on real packets; see `cargo xtask bench`.
//!
//! Everything is measured side by side with its peer: in turns, in alternating order, and compared
//! round by round. No figure fails a run: the table says which targets are met.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement that cannot build its surroundings has failed"
)]

mod assembler;
mod frames;
mod gateway;
mod kernel;
mod part;
mod program;
mod report;
mod statistics;
mod traffic;
mod xdp_filter;

use std::path::PathBuf;

use report::Report;

/// How thorough a run is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    quick: bool,
    long: bool,
}

impl Effort {
    /// One of the three, by how thorough the run is.
    pub(crate) fn pick_long<T>(self, quick: T, full: T, long: T) -> T {
        if self.long { long } else { self.pick(quick, full) }
    }

    /// One of the two, by how thorough the run is.
    pub(crate) fn pick<T>(self, quick: T, full: T) -> T {
        if self.quick { quick } else { full }
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut quick, mut long) = (false, false);
    let (mut file, mut names) = (None, Vec::new());
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            // What cargo says to every benchmark.
            "--bench" => {}
            "--quick" => quick = true,
            "--long" => long = true,
            "--json" => file = Some(PathBuf::from(arguments.next().expect("--json FILE"))),
            name => names.push(name.to_owned()),
        }
    }
    let effort = Effort { quick, long };
    let mut report = Report::default();
    for (name, measure) in part::PARTS {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            eprintln!("==> {name}");
            measure(effort, &mut report);
        }
    }
    report.print();
    if let Some(file) = file {
        report.write(&file, quick);
    }
}
