//! `cargo xtask vmtest`: boots Debian's kernels in QEMU and runs there what must hold on each, with
//! VLAN devices of Linux's own too, which not every kernel has.

mod archive;
mod image;
mod kernel;
mod machine;
mod record;
mod report;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use self::image::Run;
use self::kernel::{Choice, Kernel, Series};
use self::machine::Machine;
use self::report::{Outcome, Reader};
use crate::test::Tally;
use crate::{ebpf, process, setup, workspace};

/// Programs that a test machine is made with, and the Debian package each comes in.
const PROGRAMS: [(&str, &str); 4] = [
    ("busybox", "busybox-static"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("strip", "binutils"),
    ("xz", "xz-utils"),
];

/// The test binaries that are run, and how.
const BINARIES: [(&str, &[&str]); 8] = [
    ("verifier", &["--nocapture"]),
    ("lab", &[]),
    ("program", &[]),
    ("gateway_traffic", &[]),
    ("gateway_guard", &[]),
    ("gateway_router", &[]),
    ("clsact", &[]),
    ("vlan_devices", &["--include-ignored"]),
];

/// More of them, for which an emulated processor takes its time: only where the filter names them.
const MORE: [&str; 6] = [
    "gateway_input",
    "gateway_latch",
    "gateway_ledger",
    "gateway_life",
    "gateway_reload",
    "gateway_stop",
];

/// As few random frames as show every verdict, and patience: emulated, the verifier takes seconds.
const SETTINGS: &str = "CORDON_FRAMES=20000 CORDON_READY=240";

/// How long one kernel may take, at the least on an idle machine a few times over.
const BOUND: Duration = Duration::from_mins(20);

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Which of Debian's kernels
    #[arg(long, value_enum, default_value = "all")]
    kernel: Choice,
    /// Only test binaries whose name has this in it or, if none has, only such tests
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
}

/// Boots, runs and sums up; fails when a test does, or a machine.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let Options { kernel, filter } = options;
    setup::run()?;
    setup::need(&PROGRAMS)?;
    ebpf::build()?;
    let built = Built::build()?;
    let runs = built.runs(filter.as_deref())?;
    let mut outcomes = Vec::new();
    for &series in kernel.series() {
        let kernel = Kernel::fetch(series)?;
        eprintln!("==> Linux {}", kernel.release);
        let begun = Instant::now();
        let outcome = boot(series, &kernel, &built, &runs)?;
        outcomes.push((series, kernel.release, outcome, begun.elapsed()));
    }
    let mut tally = Tally::default();
    println!();
    for (_, release, outcome, took) in &outcomes {
        print_rows(release, outcome, *took);
        tally += outcome.tally;
    }
    let records: Vec<_> = outcomes
        .iter()
        .map(|(series, release, outcome, _)| (*series, &**release, &*outcome.records))
        .filter(|(_, _, records)| !records.is_empty())
        .collect();
    record::keep(&records)?;
    println!("{tally}");
    let passed = tally.failed == 0 && tally.skipped == 0 && tally.passed > 0;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn boot(series: Series, kernel: &Kernel, built: &Built, runs: &[Run]) -> Result<Outcome> {
    let place = |ending: &str| workspace::vm().join(format!("{}.{ending}", series.name()));
    let (initrd, log) = (place("cpio"), place("log"));
    fs::write(&initrd, image::build(kernel, &built.programs, runs)?)
        .with_context(|| format!("cannot write {}", initrd.display()))?;
    let (kernel, initrd, log) = (&*kernel.image, &*initrd, &*log);
    let mut reader = Reader::default();
    let end = Machine { kernel, initrd, command_line: SETTINGS, log }.run(BOUND, |line| {
        if reader.line(line) {
            println!("{line}");
        }
    })?;
    let outcome = reader.finish(runs.len(), end, BOUND);
    for fault in &outcome.faults {
        eprintln!("error: {fault}; the console is in {}", log.display());
    }
    Ok(outcome)
}

fn print_rows(release: &str, outcome: &Outcome, took: Duration) {
    let Outcome { rows, tally, faults, records: _ } = outcome;
    let line = |name: &str, tally: &Tally, took: Duration| {
        let seconds = took.as_secs_f64();
        let tally = tally.to_string();
        println!("{release:<30} {name:<18} {tally:<24} {seconds:>6.1} s");
    };
    for row in rows {
        line(&row.name, &row.tally, row.took);
    }
    line("in all", tally, took);
    for fault in faults {
        println!("{release:<30} {fault}");
    }
}

/// The programs and the test binaries, as cargo has built them.
struct Built {
    programs: Vec<PathBuf>,
    tests: Vec<(String, PathBuf)>,
}

impl Built {
    /// As for `cargo xtask test`, so that nothing is built twice.
    fn build() -> Result<Self> {
        eprintln!("vmtest: building programs and tests");
        let mut cargo = process::cargo();
        cargo.args(["build", "--workspace", "--bins", "--tests"]);
        let said = process::output(cargo.arg("--message-format=json-render-diagnostics"))?;
        let mut built = Self { programs: Vec::new(), tests: Vec::new() };
        for message in said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let Some(executable) = message["executable"].as_str().map(PathBuf::from) else {
                continue;
            };
            let name = message["target"]["name"].as_str().unwrap_or_default().to_owned();
            let is_test = message["profile"]["test"].as_bool() == Some(true);
            let is_integration = message["target"]["kind"][0].as_str() == Some("test");
            if is_test && is_integration {
                built.tests.push((name, executable));
            } else if !is_test && ["cordon", "cordond"].contains(&&*name) {
                built.programs.push(executable);
            }
        }
        Ok(built)
    }

    /// What the filter leaves of [`BINARIES`] and [`MORE`].
    fn runs(&self, filter: Option<&str>) -> Result<Vec<Run>> {
        let more = MORE.map(|name| (name, &[][..]));
        let named = |filter: &str| {
            let all = BINARIES.into_iter().chain(more);
            all.filter(|(name, _)| name.contains(filter)).collect::<Vec<_>>()
        };
        let chosen = filter.map(named).unwrap_or_default();
        let (chosen, filter) =
            if chosen.is_empty() { (BINARIES.to_vec(), filter) } else { (chosen, None) };
        let runs = chosen.into_iter().map(|(name, arguments)| {
            let found = self.tests.iter().find(|(test, _)| test == name);
            let (name, binary) = found.with_context(|| format!("cargo built no test {name}"))?;
            let arguments = arguments.iter().copied().chain(filter).map(str::to_owned).collect();
            Ok(Run { name: name.clone(), binary: binary.clone(), arguments })
        });
        if filter.is_some_and(|filter| filter.contains(char::is_whitespace)) {
            bail!("a filter has no blanks");
        }
        runs.collect()
    }
}
