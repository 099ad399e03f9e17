//! What the console of a test machine says, and what it comes to.

use std::time::{Duration, Instant};

use super::machine::End;
use crate::test::Tally;

/// One test binary on one kernel.
pub(super) struct Row {
    /// Which.
    pub(super) name: String,
    /// What its test runner has counted.
    pub(super) tally: Tally,
    /// What it ended with; `None` if it did not.
    pub(super) code: Option<i32>,
    /// How long it took.
    pub(super) took: Duration,
    begun: Instant,
}

impl Row {
    /// A binary that fails before or between its tests has failed once.
    fn settled(mut self) -> Self {
        if self.code != Some(0) && self.tally.failed == 0 {
            self.tally.failed = 1;
        }
        self
    }
}

/// Reads a console line by line.
#[derive(Default)]
pub(super) struct Reader {
    rows: Vec<Row>,
    up: bool,
    over: bool,
    complaints: Vec<String>,
    records: Vec<Record>,
}

/// What the verifier had to say about a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Which program.
    pub(crate) program: String,
    /// Instructions that it walked through.
    pub(crate) instructions: u32,
    /// Bytes of stack, of the deepest chain of calls.
    pub(crate) stack: u32,
}

impl Record {
    /// Reads a line such as `verifier: cordon instructions 144582 stack 416`.
    fn parse(line: &str) -> Option<Self> {
        let words: Vec<_> = line.strip_prefix("verifier: ")?.split_whitespace().collect();
        let [program, "instructions", instructions, "stack", stack] = words[..] else {
            return None;
        };
        let program = program.to_owned();
        Some(Self { program, instructions: instructions.parse().ok()?, stack: stack.parse().ok()? })
    }
}

/// What happened on one kernel.
pub(super) struct Outcome {
    /// One for every binary that was begun.
    pub(super) rows: Vec<Row>,
    /// Everything together; what the machine itself did wrong is one failure more.
    pub(super) tally: Tally,
    /// What is wrong beside the tests.
    pub(super) faults: Vec<String>,
    /// What the verifier said.
    pub(super) records: Vec<Record>,
}

impl Reader {
    /// Takes one line. Whether it is worth showing: the firmware's are not.
    pub(super) fn line(&mut self, line: &str) -> bool {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["vmtest:", "up", ..] => self.up = true,
            ["vmtest:", "begin", name] => self.rows.push(Row {
                name: name.to_owned(),
                tally: Tally::default(),
                code: None,
                took: Duration::ZERO,
                begun: Instant::now(),
            }),
            ["vmtest:", "end", _, code] => {
                if let Some(row) = self.rows.last_mut() {
                    (row.code, row.took) = (code.parse().ok(), row.begun.elapsed());
                }
            }
            ["vmtest:", "complaint", ..] => self.complaints.push(words[2..].join(" ")),
            ["vmtest:", "over"] => self.over = true,
            _ => self.test_line(line),
        }
        self.up
    }

    fn test_line(&mut self, line: &str) {
        if let (Some(result), Some(row)) = (Tally::parse(line), self.rows.last_mut()) {
            row.tally += result;
        }
        self.records.extend(Record::parse(line));
    }

    /// What it comes to. `expected` binaries were to be run.
    pub(super) fn finish(self, expected: usize, end: End, bound: Duration) -> Outcome {
        let Self { rows, up, over, complaints, records } = self;
        let mut faults: Vec<_> =
            complaints.into_iter().map(|line| format!("the kernel complains: {line}")).collect();
        let bound = bound.as_secs();
        match (end, up, over) {
            (End::TimedOut, _, _) => faults.push(format!("killed after {bound} seconds")),
            (End::PoweredOff, false, _) => faults.push("the kernel did not start".to_owned()),
            (End::PoweredOff, true, false) => faults.push("the machine ended early".to_owned()),
            (End::PoweredOff, true, true) => {}
        }
        let rows: Vec<_> = rows.into_iter().map(Row::settled).collect();
        let mut tally = rows.iter().map(|row| row.tally).sum::<Tally>();
        if !faults.is_empty() || rows.len() < expected {
            tally.failed += 1;
        }
        Outcome { rows, tally, faults, records }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(9);

    fn outcome(console: &str, end: End) -> Outcome {
        let mut reader = Reader::default();
        for line in console.lines() {
            reader.line(line);
        }
        reader.finish(1, end, BOUND)
    }

    const GOOD: &str = "SeaBIOS\nvmtest: up 6.1.0\nvmtest: begin lab\n\
        test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n\
        verifier: cordon instructions 144582 stack 416\nvmtest: end lab 0\nvmtest: over";

    #[test]
    fn a_machine_that_ran_everything_to_its_end_is_counted() {
        let Outcome { rows, tally, faults, records } = outcome(GOOD, End::PoweredOff);
        assert_eq!((rows.len(), rows[0].code, faults), (1, Some(0), Vec::new()));
        assert_eq!(tally, Tally { passed: 3, ..Tally::default() });
        let record = Record { program: "cordon".to_owned(), instructions: 144_582, stack: 416 };
        assert_eq!(records, [record]);
    }

    #[test]
    fn whatever_ends_otherwise_has_failed() {
        let crashed = GOOD.replace("end lab 0", "end lab 134");
        let silent = GOOD.replace("vmtest: over", "");
        let hung = GOOD.split("verifier").next().unwrap();
        let oops = GOOD.replace("vmtest: over", "vmtest: complaint BUG: x\nvmtest: over");
        let empty = GOOD.split("vmtest: begin").next().unwrap().to_owned() + "vmtest: over";
        for (console, end) in [
            (&*crashed, End::PoweredOff),
            (&silent, End::PoweredOff),
            (hung, End::TimedOut),
            (GOOD, End::TimedOut),
            (&oops, End::PoweredOff),
            (&empty, End::PoweredOff),
            ("SeaBIOS", End::PoweredOff),
        ] {
            assert!(outcome(console, end).tally.failed > 0, "{console}");
        }
    }
}
