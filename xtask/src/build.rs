//! `cargo xtask build`: the eBPF object first, then the programs that embed it.

use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::{ebpf, process, workspace};

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
    process::run(&mut cargo)?;
    if !release {
        faulty()?;
    }
    refuse_fail_points(if release { "release" } else { "debug" })
}

/// Builds the daemon that has fail points, which the tests start.
pub(crate) fn faulty() -> Result<()> {
    process::run(process::cargo().args([
        "build",
        "--package=firewall-daemon",
        "--features=fail-points",
        "--bin=cordond-faulty",
    ]))
}

/// Fails if what would be installed has fail points: whoever may set its environment could end it at
/// any step.
fn refuse_fail_points(profile: &str) -> Result<()> {
    let path = workspace::target().join(profile).join("cordond");
    let program = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    if program.windows(FAIL_POINTS.len()).any(|part| part == FAIL_POINTS) {
        bail!("{} was built with fail points; build it without that feature", path.display());
    }
    Ok(())
}

/// What every program with fail points holds.
const FAIL_POINTS: &[u8] = b"CORDON_FAIL";
