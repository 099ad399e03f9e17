//! The project's own tasks. One file per task; run `cargo xtask --help` for the list.

mod bench;
mod build;
mod check;
mod demo;
mod ebpf;
mod fuzz;
mod generate_policy;
mod process;
mod setup;
mod soak;
mod test;
mod vmtest;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own tasks")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Installs what building and testing need, and only what is missing
    Setup,
    /// Builds the eBPF object, then every program that embeds it
    Build(build::Options),
    /// Formatting, lints on both sides of the kernel boundary, documentation, unused dependencies
    Check,
    /// Measures forwarding, stops and activations side by side with their peers; root is needed
    Bench(bench::Options),
    /// Builds, then runs every test; root is needed for all but the host ones
    Test(test::Options),
    /// Boots Debian's kernels in QEMU and runs the tests there that must hold on each of them
    Vmtest(vmtest::Options),
    /// Compares the program with the decision and the oracle, by random frames; root is needed
    Fuzz(fuzz::Options),
    /// Keeps a gateway busy with traffic, attacks, reloads, stops and crashes; root is needed
    Soak(soak::Options),
    /// Writes a policy of any size, to see how it fares
    GeneratePolicy(generate_policy::Options),
    /// Shows the firewall at work between a radiology and a hospital, in network namespaces
    Demo(demo::Options),
}

fn main() -> ExitCode {
    let Arguments { task } = Arguments::parse();
    let outcome = match task {
        Task::Setup => setup::run().map(|()| ExitCode::SUCCESS),
        Task::Build(options) => build::run(&options).map(|()| ExitCode::SUCCESS),
        Task::Check => check::run(),
        Task::Bench(options) => bench::run(&options),
        Task::Test(options) => test::run(&options),
        Task::Vmtest(options) => vmtest::run(&options),
        Task::Fuzz(options) => fuzz::run(&options).map(|()| ExitCode::SUCCESS),
        Task::Soak(options) => soak::run(&options).map(|()| ExitCode::SUCCESS),
        Task::GeneratePolicy(options) => generate_policy::run(&options).map(|()| ExitCode::SUCCESS),
        Task::Demo(options) => demo::run(&options),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
