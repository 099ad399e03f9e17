//! `cargo xtask bench`: release builds, then the measurements of `tests/benches/gateway`.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::{ebpf, process, setup, workspace};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Fewer and shorter rounds: minutes become seconds, and the figures a hint
    #[arg(long)]
    quick: bool,
    /// Writes every raw sample, and what it was measured on, to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
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
            Self::Activate => "activate",
            Self::Flood => "flood",
            Self::Memory => "memory",
            Self::Ledger => "ledger",
        }
    }
}

/// Builds and measures.
pub(crate) fn run(options: &Options) -> Result<()> {
    let Options { quick, json, parts } = options;
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
    ]))?;
    let mut bench = process::cargo();
    bench
        .args(["bench", "--quiet", "--package=firewall-tests", "--bench=gateway", "--"])
        .env("CORDON_BIN_DIR", workspace::target().join("release"))
        .env("XDP_FILTER_DIR", xdp_filter)
        .env("PATH", setup::path()?);
    if *quick {
        bench.arg("--quick");
    }
    if let Some(file) = json {
        bench.arg("--json").arg(absolute(file)?);
    }
    bench.args(parts.iter().map(|part| part.name()));
    process::run(&mut bench)
}

/// What cargo runs may have another current directory.
pub(crate) fn absolute(file: &Path) -> Result<PathBuf> {
    let here = env::current_dir().context("cannot tell the current directory")?;
    Ok(here.join(file))
}
