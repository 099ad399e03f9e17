//! `cargo xtask bench`: release builds, then the measurements of `tests/benches/gateway`; charts of
//! them, and whether they are worse than earlier ones.

mod chart;
mod gate;
mod results;
mod svg;

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use self::results::Results;
use crate::{ebpf, process, setup, workspace};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Fewer and shorter rounds: minutes become seconds, and the figures a hint
    #[arg(long)]
    quick: bool,
    /// What is measured over some time, over a longer one
    #[arg(long, conflicts_with = "quick")]
    long: bool,
    /// Writes every raw sample, and what it was measured on, to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Fails if three series or more are over 5 % worse, against their peers, than in this file
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// Draws charts into this directory
    #[arg(long, value_name = "DIR")]
    charts: Option<PathBuf>,
    /// Takes the samples of this file and measures nothing
    #[arg(long, value_name = "FILE", conflicts_with_all = ["quick", "long", "json", "parts"])]
    from: Option<PathBuf>,
    /// What to measure; everything if none is named
    #[arg(value_name = "PART")]
    parts: Vec<Part>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Part {
    /// Frames a second through the gateway, against a bare redirect and against nftables
    Forward,
    /// Nanoseconds that the program itself takes, by kind of frame, against xdp-filter
    Program,
    /// How that grows with nodes, rules and active flows
    Scale,
    /// From the start of `cordon stop-all` to the last frame, under full load
    Stop,
    /// From a proof to the first frame, from its end to the last, and what renewals cost
    Leases,
    /// From `cordon reload` to the new policy in force
    Activate,
    /// Established flows lost in a flood of new ones
    Flood,
    /// Bytes of kernel memory a flow, a node and a rule
    Memory,
    /// Whether every frame of a mixed flood on all CPUs is counted exactly once
    Ledger,
}

impl Part {
    const fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Program => "program",
            Self::Scale => "scale",
            Self::Stop => "stop",
            Self::Leases => "leases",
            Self::Activate => "activate",
            Self::Flood => "flood",
            Self::Memory => "memory",
            Self::Ledger => "ledger",
        }
    }
}

/// Measures, draws and compares, as far as that is wanted.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let Options { quick: _, long: _, json, compare, charts, from, parts: _ } = options;
    if from.is_some() && compare.is_none() && charts.is_none() {
        bail!("--from measures nothing: say --charts or --compare, too");
    }
    // A file that cannot be read is found out before minutes are spent.
    let earlier = compare.as_deref().map(Results::read).transpose()?;
    let file = match (from, json) {
        (Some(file), _) => file.clone(),
        (None, Some(file)) => absolute(file)?,
        (None, None) => workspace::target().join("bench.json"),
    };
    if from.is_none() {
        measure(options, &file)?;
    }
    if let Some(directory) = charts {
        chart::write(&Results::read(&file)?, directory)?;
    }
    let Some(earlier) = earlier else { return Ok(ExitCode::SUCCESS) };
    let comparison = gate::compare(&earlier, &Results::read(&file)?);
    print!("{comparison}");
    Ok(if comparison.is_worse() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Builds and measures; the samples go to the file.
fn measure(options: &Options, file: &Path) -> Result<()> {
    if !process::is_root() {
        bail!("the benchmarks load programs and create network namespaces, which needs root");
    }
    setup::run()?;
    let xdp_filter = setup::xdp_filter()?;
    ebpf::build()?;
    process::run(process::cargo().args([
        "build",
        "--release",
        "--package=firewall-daemon",
        "--package=firewall-cli",
        "--package=firewall-node",
    ]))?;
    let mut bench = process::cargo();
    bench
        .args(["bench", "--quiet", "--package=firewall-tests", "--bench=gateway", "--"])
        .env("CORDON_BIN_DIR", workspace::target().join("release"))
        .env("XDP_FILTER_DIR", xdp_filter)
        .env("PATH", setup::path()?);
    if options.quick {
        bench.arg("--quick");
    }
    if options.long {
        bench.arg("--long");
    }
    bench.arg("--json").arg(file);
    bench.args(options.parts.iter().map(|part| part.name()));
    process::run(&mut bench)
}

/// What cargo runs may have another current directory.
pub(crate) fn absolute(file: &Path) -> Result<PathBuf> {
    let here = env::current_dir().context("cannot tell the current directory")?;
    Ok(here.join(file))
}
