//! What the demonstration prints: sentences for people, a tick or a cross for every measured fact.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::interrupt;

/// The sentences told so far and how they came out.
pub(super) struct Report {
    started: Instant,
    steps: Vec<Step>,
    colour: bool,
}

struct Step {
    title: &'static str,
    passed: usize,
    failed: usize,
    took: Duration,
}

impl Report {
    pub(super) fn new() -> Self {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { started: Instant::now(), steps: Vec::new(), colour }
    }

    /// Tells one step of the story. A step that cannot be told to its end has failed, and the story
    /// goes on; only the wish to end ends it.
    pub(super) fn step(
        &mut self,
        title: &'static str,
        sees: &str,
        tell: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        interrupt::check()?;
        let started = Instant::now();
        self.steps.push(Step { title, passed: 0, failed: 0, took: Duration::ZERO });
        println!("\n{}", self.paint("1", &format!("{:>2}  {title}", self.steps.len())));
        println!("    {sees}");
        let told = tell(self);
        interrupt::check()?;
        if let Err(error) = told {
            self.check("this step can be told to its end", false, &format!("{error:#}"));
        }
        if let Some(step) = self.steps.last_mut() {
            step.took = started.elapsed();
        }
        Ok(())
    }

    /// A claim, whether it holds, and what was measured.
    pub(super) fn check(&mut self, claim: &str, holds: bool, measured: &str) {
        let mark = if holds { self.paint("32", "✔") } else { self.paint("31", "✘") };
        println!("    {mark} {claim:<58} {measured}");
        if let Some(step) = self.steps.last_mut() {
            step.passed += usize::from(holds);
            step.failed += usize::from(!holds);
        }
    }

    /// Something to read, indented.
    pub(super) fn show(&self, text: &str) {
        for line in text.lines() {
            println!("      {}", self.paint("2", line));
        }
    }

    /// The table at the end; whether everything held.
    pub(super) fn summary(&self) -> bool {
        println!("\n{}", self.paint("1", "Summary"));
        for (number, step) in (1..).zip(&self.steps) {
            let Step { title, passed, failed, took } = step;
            let good = *failed == 0 && *passed > 0;
            let mark = if good { self.paint("32", "✔") } else { self.paint("31", "✘") };
            let count = format!("{passed} of {}", passed + failed);
            println!("  {mark} {number:>2}  {title:<62} {count:>8} {:>6.1} s", took.as_secs_f64());
        }
        let (passed, failed) = self
            .steps
            .iter()
            .fold((0, 0), |(passed, failed), step| (passed + step.passed, failed + step.failed));
        let took = self.started.elapsed().as_secs_f64();
        println!("\n{passed} facts hold, {failed} do not; {took:.0} s");
        failed == 0 && passed > 0
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// `3.4 MB`, the way people say it.
pub(super) fn bytes(count: u64) -> String {
    match count {
        0 => "0 bytes".to_owned(),
        1..1_000_000 => format!("{}.{} kB", count / 1000, count % 1000 / 100),
        _ => format!("{}.{} MB", count / 1_000_000, count % 1_000_000 / 100_000),
    }
}
