//! `cargo xtask build`: the eBPF object first, then the programs that embed it.

use anyhow::Result;

use crate::{ebpf, process};

#[derive(Default, clap::Args)]
pub(crate) struct Options {
    /// Builds with the release profile (the eBPF object always is)
    #[arg(long)]
    release: bool,
    /// Builds only the eBPF object, twice and in two places, and compares the bytes
    #[arg(long)]
    check: bool,
}

/// Builds what the options ask for.
pub(crate) fn run(options: &Options) -> Result<()> {
    let Options { release, check } = *options;
    if check {
        return ebpf::prove_reproducible();
    }
    ebpf::build()?;
    let mut cargo = process::cargo();
    cargo.args(["build", "--workspace"]);
    if release {
        cargo.arg("--release");
    }
    process::run(&mut cargo)
}
