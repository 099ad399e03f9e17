//! `cargo xtask fuzz`: the random comparisons of `tests/tests/program`, in release mode on every CPU.

use std::thread::available_parallelism;

use anyhow::{Result, bail};

use crate::{ebpf, process, setup, workspace};

/// The tests that try random frames: of a bridge, and of a router.
const COMPARISONS: [&str; 7] = [
    "differential::the_program_decides_as_the_same_decision_does_in_host_memory",
    "conversations::every_frame_of_a_conversation_passes_if_and_only_if_it_was_promised",
    "stateless::a_first_frame_passes_if_and_only_if_the_policy_says_so",
    "router::a_routers_program_decides_as_the_same_decision_does_in_host_memory",
    "conversations::every_frame_of_a_conversation_passes_a_router_if_and_only_if_it_was_promised",
    "stateless::a_first_frame_passes_a_router_if_and_only_if_policy_and_routes_say_so",
    "guard::the_gateways_kernel_sends_what_was_promised_and_nothing_else",
];

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many frames each of the comparisons tries, three of a bridge and four of a router
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    frames: u32,
    /// The seed of the first session; with `--frames 1` it is the only one
    #[arg(long, default_value_t = 0)]
    seed: u32,
}

/// Runs every comparison; fails if one has found a difference.
pub(crate) fn run(options: &Options) -> Result<()> {
    let Options { frames, seed } = *options;
    if !process::is_root() {
        bail!("the comparisons load programs into the kernel, which needs root");
    }
    setup::run()?;
    ebpf::build()?;
    let workers = available_parallelism().map_or(1, usize::from);
    let mut cargo = process::cargo();
    cargo
        .args(["test", "--release", "--quiet", "--package=firewall-tests", "--test=program", "--"])
        .args(["--nocapture", "--test-threads=1", "--exact"])
        .args(COMPARISONS)
        .env("CORDON_BIN_DIR", workspace::target().join("release"))
        .env("CORDON_FRAMES", frames.to_string())
        .env("CORDON_SEED", seed.to_string())
        .env("CORDON_WORKERS", workers.to_string())
        .env("PATH", setup::path()?);
    process::run(&mut cargo)
}
