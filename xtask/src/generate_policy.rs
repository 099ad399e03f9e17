//! `cargo xtask generate-policy`: a policy as large as somebody likes.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::{bench, ebpf, process};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many nodes it declares
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    nodes: u32,
    /// How many rules it has
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    rules: u32,
    /// The directory to write to; it must not hold a policy yet
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
}

/// Builds the generator and runs it.
pub(crate) fn run(options: &Options) -> Result<()> {
    let Options { nodes, rules, output } = options;
    let output = bench::absolute(output)?;
    if output.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{} is not empty", output.display());
    }
    ebpf::build()?;
    process::run(
        process::cargo()
            .args(["run", "--quiet", "--release", "--package=firewall-tests"])
            .args(["--example=generate-policy", "--", &nodes.to_string(), &rules.to_string()])
            .arg(output),
    )
}
