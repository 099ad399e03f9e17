//! `cargo xtask demo`: the firewall at work, in network namespaces, with real clients.

use std::process::ExitCode;

use anyhow::{Result, bail};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Leaves the laboratory running at the end and says how to play with it
    #[arg(long)]
    keep: bool,
}

/// Tells the story and checks every sentence of it.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let Options { keep } = *options;
    bail!("the demonstration is being written (keep: {keep})");
}
