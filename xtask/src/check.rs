//! `cargo xtask check`: everything that can be said about the code without running it.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{ebpf, process, workspace};

type Step = (&'static str, fn() -> Result<()>);

const STEPS: [Step; 6] = [
    ("formatting", formatting),
    ("eBPF build", ebpf::build),
    ("eBPF lints", ebpf::lint),
    ("lints", lints),
    ("documentation", documentation),
    ("unused dependencies", unused_dependencies),
];

/// Runs every step, also after one has failed, and sums up.
pub(crate) fn run() -> Result<ExitCode> {
    let mut rows: Vec<(&str, bool, Duration)> = Vec::new();
    for (name, step) in STEPS {
        eprintln!("==> {name}");
        let started = Instant::now();
        let outcome = step();
        if let Err(error) = &outcome {
            eprintln!("error: {error:#}");
        }
        rows.push((name, outcome.is_ok(), started.elapsed()));
    }
    eprintln!();
    for (name, passed, took) in &rows {
        let verdict = if *passed { "ok" } else { "FAILED" };
        eprintln!("{name:<20} {verdict:<6} {:>7.1} s", took.as_secs_f64());
    }
    let passed = rows.iter().all(|(_, passed, _)| *passed);
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn formatting() -> Result<()> {
    process::run(process::cargo().args(["fmt", "--all", "--check"]))
}

fn lints() -> Result<()> {
    process::run(process::cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))
}

fn documentation() -> Result<()> {
    process::run(
        process::cargo()
            .args(["doc", "--no-deps", "--workspace"])
            .env("RUSTDOCFLAGS", "-Dwarnings"),
    )
}

fn unused_dependencies() -> Result<()> {
    let machete = workspace::tool("cargo-machete");
    if !machete.is_file() {
        bail!("cargo-machete is missing; run `cargo xtask setup`");
    }
    process::run(Command::new(machete).current_dir(workspace::root()))
}
