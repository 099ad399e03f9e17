//! `cargo xtask soak`: release builds, then a gateway that is never left alone.

use anyhow::{Result, bail};

use crate::{ebpf, process, setup, workspace};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// For how long
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    minutes: u32,
    /// What happens when; another each time if it is not given
    #[arg(long)]
    seed: Option<u32>,
}

/// Builds and soaks.
pub(crate) fn run(options: &Options) -> Result<()> {
    let Options { minutes, seed } = *options;
    if !process::is_root() {
        bail!("the soak loads programs and creates network namespaces, which needs root");
    }
    setup::run()?;
    ebpf::build()?;
    process::run(process::cargo().args([
        "build",
        "--release",
        "--package=firewall-daemon",
        "--package=firewall-cli",
    ]))?;
    let mut soak = process::cargo();
    soak.args(["bench", "--quiet", "--package=firewall-tests", "--bench=soak", "--"])
        .args(["--minutes", &minutes.to_string()])
        .env("CORDON_BIN_DIR", workspace::target().join("release"))
        .env("PATH", setup::path()?);
    if let Some(seed) = seed {
        soak.args(["--seed", &seed.to_string()]);
    }
    process::run(&mut soak)
}
