//! `cargo xtask test`: builds, then runs every test, and says in one line how many passed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::iter::Sum;
use std::ops::AddAssign;
use std::process::{Command, ExitCode, Stdio};
use std::{fmt, io};

use anyhow::{Context as _, Result, bail};

use crate::{build, ebpf, process, setup, workspace};

/// The package whose tests load programs into the kernel and create network namespaces.
const PRIVILEGED: &str = "firewall-tests";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Runs only what needs no root: not the real program in the kernel, not the real daemon
    #[arg(long)]
    unprivileged: bool,
    /// Names to filter tests by, or arguments of `cargo test`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FILTER")]
    arguments: Vec<String>,
}

/// Runs the tests the options ask for; fails when one fails, or is skipped where none may be.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let Options { unprivileged, arguments } = options;
    if *unprivileged {
        eprintln!("note: without root, the tests in {PRIVILEGED} are left out");
    } else if process::is_root() {
        setup::run()?;
        ebpf::build()?;
        // With the tests, so that programs and tests share one choice of features.
        process::run(process::cargo().args(["build", "--workspace", "--bins", "--tests"]))?;
        build::faulty()?;
    } else {
        bail!(
            "the tests load programs into the kernel and create network namespaces, which needs \
             root; run the rest with `cargo xtask test --unprivileged`"
        );
    }
    let (mut tally, succeeded) = run_cargo(&mut cargo_test(*unprivileged, arguments)?)?;
    // The test runner counts those as ignored, too.
    tally.skipped = tally.skipped.saturating_sub(tally.elsewhere);
    if !succeeded && tally.failed == 0 {
        eprintln!("error: cargo test failed before or between tests, counted as one failure");
        tally.failed = 1;
    }
    if tally.elsewhere > 0 {
        eprintln!("note: {} tests were left to `{VMTEST}`", tally.elsewhere);
    }
    let may_skip = !workspace::is_ci();
    if tally.skipped > 0 && !may_skip {
        eprintln!("error: tests were skipped, which is not allowed in CI");
    }
    let passed = tally.failed == 0 && (tally.skipped == 0 || may_skip);
    println!("{tally}");
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn cargo_test(unprivileged: bool, arguments: &[String]) -> Result<Command> {
    let mut cargo = process::cargo();
    cargo
        .args(["test", "--no-fail-fast"])
        .env("CORDON_BIN_DIR", workspace::target().join("debug"))
        .env("PATH", setup::path()?);
    if !arguments.iter().any(|argument| argument == "-p" || argument.starts_with("--package")) {
        cargo.arg("--workspace");
        if unprivileged {
            cargo.args(["--exclude", PRIVILEGED]);
        }
    }
    // cargo takes one filter, the test runner behind it any number.
    if arguments.iter().all(|argument| !argument.starts_with('-')) {
        cargo.arg("--");
    }
    cargo.args(arguments);
    Ok(cargo)
}

/// Runs cargo, passing on what it prints, and adds up the results on the way.
fn run_cargo(cargo: &mut Command) -> Result<(Tally, bool)> {
    let mut child = cargo.stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let output = child.stdout.take().context("cannot read what cargo prints")?;
    let mut tally = Tally::default();
    for line in BufReader::new(output).split(b'\n') {
        let mut line = line.context("cannot read what cargo prints")?;
        let text = String::from_utf8_lossy(&line);
        if is_left_to_vmtest(&text) {
            tally.elsewhere += 1;
        } else if let Some(result) = Tally::parse(&text) {
            tally += result;
        }
        line.push(b'\n');
        io::stdout().write_all(&line).context("cannot print what cargo prints")?;
    }
    let status = child.wait().context("cannot wait for cargo")?;
    Ok((tally, status.success()))
}

/// What runs the tests that this machine's kernel may be unable to.
const VMTEST: &str = "cargo xtask vmtest";

/// Whether a line says so, like `test a_tag ... ignored, wants 8021q: cargo xtask vmtest`.
fn is_left_to_vmtest(line: &str) -> bool {
    line.starts_with("test ") && line.contains(" ... ignored, ") && line.ends_with(VMTEST)
}

/// How many tests ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    /// Ignored here and run by `cargo xtask vmtest`.
    pub(crate) elsewhere: u64,
}

impl Tally {
    /// Reads a line such as `test result: ok. 3 passed; 0 failed; 1 ignored; ...`.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let count = |what: &str| {
            counts.split("; ").find_map(|part| part.strip_suffix(what)?.trim().parse().ok())
        };
        Some(Self {
            passed: count("passed")?,
            failed: count("failed")?,
            skipped: count("ignored")?,
            elsewhere: 0,
        })
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        let Self { passed, failed, skipped, elsewhere } = other;
        self.passed += passed;
        self.failed += failed;
        self.skipped += skipped;
        self.elsewhere += elsewhere;
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), |mut sum, tally| {
            sum += tally;
            sum
        })
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, skipped, elsewhere: _ } = self;
        write!(f, "{passed} passed, {failed} failed")?;
        if *skipped > 0 {
            write!(f, ", {skipped} skipped")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_added_up_whether_they_are_good_or_bad() {
        let good = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s";
        let bad = "test result: FAILED. 12 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.50s";
        let mut tally = Tally::default();
        tally += Tally::parse(good).unwrap();
        tally += Tally::parse(bad).unwrap();
        assert_eq!(tally, Tally { passed: 15, failed: 2, skipped: 1, elsewhere: 0 });
        assert_eq!(tally.to_string(), "15 passed, 2 failed, 1 skipped");
    }

    #[test]
    fn other_lines_are_no_results() {
        assert_eq!(Tally::parse("test decide::tests::a_reply ... ok"), None);
        assert_eq!(Tally::parse("running 3 tests"), None);
    }

    #[test]
    fn nothing_skipped_is_not_mentioned() {
        let tally = Tally { passed: 4, ..Tally::default() };
        assert_eq!(tally.to_string(), "4 passed, 0 failed");
    }

    #[test]
    fn only_what_names_the_other_task_is_left_to_it() {
        assert!(is_left_to_vmtest("test a_tag ... ignored, wants 8021q: cargo xtask vmtest"));
        assert!(!is_left_to_vmtest("test a_tag ... ignored, flaky"));
        assert!(!is_left_to_vmtest("test a_tag ... ignored"));
        assert!(!is_left_to_vmtest("test a_tag ... ok"));
    }
}
